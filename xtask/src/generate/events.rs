//! The reference page of events and reasons: the words and their documentation from `doorward-domain`.

use crate::workspace::Workspace;

/// Reads both lists from the source, where a word and its meaning stand together.
pub(super) fn page(workspace: &Workspace) -> Result<String, String> {
    let events = workspace.read("crates/doorward-domain/src/event.rs")?;
    let reasons = workspace.read("crates/doorward-domain/src/refusal.rs")?;
    let table = |source: &str, name: &str| {
        let rows = words(source, name);
        if rows.is_empty() {
            return Err(format!("no words of {name} in doorward-domain"));
        }
        Ok(rows
            .iter()
            .map(|(word, meaning)| format!("| `{word}` | {meaning} |\n"))
            .collect::<String>())
    };
    Ok(format!(
        "# Events and reasons

Written by `cargo xtask generate` from doorward-domain. Do not edit.

Every sign-in, refusal, token, consent and change is an event, written in the same transaction as what it tells about.
`doorward event list` shows them. A refusal that a person meets carries a code: `doorward explain CODE` says which rule
decided, and on which input.

## Events

| event | what happened |
|---|---|
{}
## Reasons of refusals

| reason | which rule refused |
|---|---|
{}",
        table(&events, "EventKind")?,
        table(&reasons, "Reason")?
    ))
}

/// The words of one enum inside `words! { … }`, each with the documentation before it.
fn words(source: &str, name: &str) -> Vec<(String, String)> {
    let opening = format!("{name} {{");
    let mut meaning = String::new();
    let mut found = Vec::new();
    for line in source
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != opening)
        .skip(1)
    {
        if let Some(text) = line.strip_prefix("///") {
            meaning = [meaning.trim(), text.trim()].join(" ").trim().to_owned();
        } else if let Some((_, word)) = line.split_once(" = \"") {
            let word = word.split('"').next().unwrap_or_default();
            found.push((word.to_owned(), std::mem::take(&mut meaning)));
        } else if line == "}" {
            break;
        }
    }
    found
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
