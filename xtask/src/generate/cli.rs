//! The command line's reference page: the `--help` text of every command, in the order in which they are listed.

use std::process::Command;

use crate::workspace::Workspace;

/// Deeper than any command of ours; stops a program that lists itself.
const DEEPEST: usize = 4;

/// Asks the program for its help, command by command.
pub(super) fn page(workspace: &Workspace) -> Result<String, String> {
    let program = program(workspace)?;
    let mut text = String::from(
        "# Command line\n\nWritten by `cargo xtask generate` from `doorward --help`. Do not edit.\n\nEvery command takes \
         its data folder or database from the same file, variables and flags as the server\n([settings](settings.md)), \
         and may run beside a running server.\n",
    );
    describe(&program, &mut Vec::new(), &mut text)?;
    Ok(text)
}

/// Builds the program and says where it is.
fn program(workspace: &Workspace) -> Result<std::path::PathBuf, String> {
    workspace.run(
        "cargo",
        &["build", "--quiet", "--locked", "--package", "doorward"],
    )?;
    let metadata = workspace.run(
        "cargo",
        &["metadata", "--format-version", "1", "--no-deps", "--locked"],
    )?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata is not JSON: {error}"))?;
    let target = metadata
        .get("target_directory")
        .and_then(serde_json::Value::as_str)
        .ok_or("cargo metadata names no target directory")?;
    Ok(std::path::Path::new(target).join("debug").join("doorward"))
}

fn describe(program: &std::path::Path, command: &mut Vec<String>, text: &mut String) -> Result<(), String> {
    let output = Command::new(program)
        .args(command.iter())
        .arg("--help")
        .env_clear()
        .env("COLUMNS", "100")
        .output()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let help = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || help.trim().is_empty() {
        return Err(format!("`doorward {} --help` said nothing", command.join(" ")));
    }
    let name = std::iter::once("doorward")
        .chain(command.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(" ");
    text.push_str(&format!(
        "\n## `{name}`\n\n```text\n{}\n```\n",
        without_trailing_spaces(&help)
    ));
    if command.len() == DEEPEST {
        return Ok(());
    }
    for sub in subcommands(&help) {
        command.push(sub);
        describe(program, command, text)?;
        command.pop();
    }
    Ok(())
}

fn without_trailing_spaces(help: &str) -> String {
    help.trim_end()
        .lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The names under `Commands:`, without `help`, which only repeats the rest.
fn subcommands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
