//! Reference pages under `docs/reference`, made from the code and committed, so that a reader needs no build and a
//! stale page fails `cargo xtask tidy`.
//!
//! A page is one line in [`PAGES`]: its file and the function that writes it. The functions only arrange what the
//! code says about itself; knowledge about settings or commands does not belong here.

mod cli;

use crate::workspace::Workspace;

/// One generated page.
struct Page {
    file: &'static str,
    text: fn(&Workspace) -> Result<String, String>,
}

const PAGES: &[Page] = &[Page {
    file: "docs/reference/cli.md",
    text: cli::page,
}];

/// Writes every page that is not up to date.
pub(crate) fn write(workspace: &Workspace) -> Result<bool, String> {
    for page in PAGES {
        let text = (page.text)(workspace)?;
        if workspace.read(page.file).ok().as_deref() == Some(text.as_str()) {
            println!("{} is up to date", page.file);
            continue;
        }
        let path = workspace.path(page.file);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        }
        std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", page.file))?;
        println!("{} written", page.file);
    }
    Ok(true)
}

/// Says which pages are stale; writes nothing.
pub(crate) fn check(workspace: &Workspace) -> Result<bool, String> {
    let stale = stale(workspace);
    for (page, why) in &stale {
        println!("{page}:1: {why}");
    }
    println!("generate: {} pages, {} stale", PAGES.len(), stale.len());
    Ok(stale.is_empty())
}

/// The pages that differ from what the code says now, or that cannot be made, and which of the two it is.
pub(crate) fn stale(workspace: &Workspace) -> Vec<(&'static str, String)> {
    PAGES
        .iter()
        .filter_map(|page| match (page.text)(workspace) {
            Ok(text) if workspace.read(page.file).ok().as_deref() == Some(text.as_str()) => None,
            Ok(_) => {
                let why = "is not what the code says: run `cargo xtask generate` and commit the result";
                Some((page.file, why.to_owned()))
            }
            Err(error) => Some((page.file, format!("cannot be made: {error}"))),
        })
        .collect()
}
