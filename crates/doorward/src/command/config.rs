//! `doorward config …`

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::failure::{Failure, Result, problem_json};
use crate::out::{Out, cells};
use crate::settings::{self, Given};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Lists everything that is wrong with the settings
    #[command(
        after_help = "Examples:\n  doorward config check\n  doorward config check --config /etc/doorward/doorward.toml --json"
    )]
    Check,
    /// Prints every setting, its value and where it was said; never a secret
    #[command(after_help = "Examples:\n  doorward config show\n  doorward config show --json")]
    Show,
    /// Prints a settings file with every setting, commented out
    #[command(after_help = "Examples:\n  doorward config sample > doorward.toml")]
    Sample,
}

/// Does it.
pub(crate) fn run(what: &Config, given: &Given, out: Out) -> Result<ExitCode> {
    match what {
        Config::Check => check(given, out),
        Config::Show => show(given, out).map(|()| ExitCode::SUCCESS),
        Config::Sample => sample(out).map(|()| ExitCode::SUCCESS),
    }
}

fn check(given: &Given, out: Out) -> Result<ExitCode> {
    let settings = settings::read_or_problems(given)?.map_err(Failure::Settings)?;
    let warnings: Vec<Value> = settings.warnings.iter().map(problem_json).collect();
    out.either(&json!({ "ok": true, "warnings": warnings }), || {
        let mut lines: Vec<String> = settings
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}"))
            .collect();
        lines.push("The settings are right.".to_owned());
        lines
    })?;
    Ok(ExitCode::SUCCESS)
}

fn show(given: &Given, out: Out) -> Result<()> {
    let settings = settings::read(given)?;
    let values = settings
        .describe()
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<Vec<Value>, _>>()
        .map_err(|error| Failure::Fault(format!("settings cannot be written as JSON: {error}")))?;
    out.list(
        values,
        &["SETTING", "VALUE", "SAID IN"],
        |info| cells(info, &["key", "value", "source"]),
        "There are no settings.",
    )
}

fn sample(out: Out) -> Result<()> {
    let text = doorward_config::sample_file();
    out.either(&json!({ "sample": text }), || vec![text.trim_end().to_owned()])
}
