//! The reference page of routes: the table of `doorward-web`'s router, row by row.

use crate::scan::scan;
use crate::workspace::Workspace;

const ROUTER: &str = "crates/doorward-web/src/router.rs";

/// One row: path, methods, who may call it.
type Row = [String; 3];

/// Reads the rows from the source, where the whole map stands on one page.
pub(super) fn page(workspace: &Workspace) -> Result<String, String> {
    let rows = rows(&workspace.read(ROUTER)?);
    if rows.is_empty() {
        return Err(format!("no rows in {ROUTER}"));
    }
    let lines: String = rows
        .iter()
        .map(|[path, methods, caller]| format!("| `{path}` | {methods} | {caller} |\n"))
        .collect();
    Ok(format!(
        "# Routes

Written by `cargo xtask generate` from `{ROUTER}`. Do not edit.

Everything else is 404, and every other method 405. Who may call a route is tested with every kind of caller.

| path | methods | who |
|---|---|---|
{lines}"
    ))
}

/// The arguments of every `row(…)`: a path in quotes, the name of the methods, the caller.
fn rows(source: &str) -> Vec<Row> {
    let scan = scan(source);
    // In the code every literal is an empty pair of quotes, so paths come from the list of literals, in the same order.
    let mut literals = scan.literals.iter();
    let mut rows = Vec::new();
    let mut rest = scan.code.as_str();
    while let Some(at) = rest.find('"') {
        let (before, after) = rest.split_at(at);
        let after = after.strip_prefix("\"\"").unwrap_or_default();
        let Some(path) = literals.next() else { break };
        let is_row = before
            .trim_end()
            .strip_suffix('(')
            .is_some_and(|before| before.ends_with(" row"));
        let mut arguments = after.split(',').skip(1).map(str::trim);
        if let (true, Some(methods), Some(caller)) = (is_row, arguments.next(), arguments.next()) {
            rows.push([path.text.clone(), spelled(methods), who(caller)]);
        }
        rest = after;
    }
    rows
}

fn spelled(methods: &str) -> String {
    if methods == "BOTH" {
        "GET, POST".to_owned()
    } else {
        methods.to_owned()
    }
}

fn who(caller: &str) -> String {
    let words = match caller {
        "Anyone" => "anyone",
        "Browser" => "any browser: leads to a sign-in or answers one",
        "Person" => "somebody who is signed in",
        "Client" => "a registered client with its credentials",
        "Bearer" => "the bearer of an access token",
        "LinkHolder" => "the holder of a one-time link",
        "Program" => "a service with pages of its own, on behalf of somebody",
        "Operator" => "this machine, trusted networks, the metrics token",
        other => other,
    };
    words.to_owned()
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
