//! `doorward completions` and `doorward man`: written from the grammar itself.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;
use clap_mangen::Man as Page;
use serde_json::json;

use crate::arguments;
use crate::failure::{Failure, Result};
use crate::out::Out;

/// Which shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  doorward completions bash > /etc/bash_completion.d/doorward\n  doorward completions zsh > ~/.zfunc/_doorward\n  doorward completions fish > ~/.config/fish/completions/doorward.fish"
)]
pub(crate) struct Completions {
    /// Shell
    shell: Shell,
}

/// Where to.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  doorward man | man -l -\n  doorward man --out /usr/local/share/man/man1"
)]
pub(crate) struct Man {
    /// Folder to write a page for every command to
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints a completion script.
pub(crate) fn completions(what: &Completions, out: Out) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(what.shell, &mut arguments::grammar(), "doorward", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    out.either(&json!({ "script": script }), || {
        vec![script.trim_end().to_owned()]
    })
}

/// Prints the page of the program, or writes all pages.
pub(crate) fn man(what: &Man, out: Out) -> Result<()> {
    let Some(folder) = &what.out else {
        let mut page = Vec::new();
        Page::new(arguments::grammar())
            .render(&mut page)
            .map_err(|error| Failure::Fault(format!("the page cannot be made: {error}")))?;
        let page = String::from_utf8_lossy(&page).into_owned();
        return out.either(&json!({ "page": page }), || vec![page.trim_end().to_owned()]);
    };
    let shown = folder.display().to_string();
    let unwritable = |error| Failure::Fault(format!("the pages cannot be written to {shown}: {error}"));
    fs::create_dir_all(folder).map_err(unwritable)?;
    clap_mangen::generate_to(arguments::grammar(), folder).map_err(unwritable)?;
    out.either(&json!({ "folder": shown }), || {
        vec![format!("The pages are in {shown}.")]
    })
}
