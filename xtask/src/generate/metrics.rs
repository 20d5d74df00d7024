//! The reference page of metrics: what `doorward-core` registers, read from the source, because a server that was just
//! started does not show the ones that nothing has happened to yet.

use crate::scan::scan;
use crate::workspace::Workspace;

const SOURCE: &str = "crates/doorward-core/src/metrics.rs";

/// Reads name and meaning of every metric.
pub(super) fn page(workspace: &Workspace) -> Result<String, String> {
    let metrics = metrics(&workspace.read(SOURCE)?);
    if metrics.is_empty() {
        return Err(format!("no metrics in {SOURCE}"));
    }
    let rows: String = metrics
        .iter()
        .map(|(name, help)| format!("| `doorward_{name}` | {help} |\n"))
        .collect();
    Ok(format!(
        "# Metrics

Written by `cargo xtask generate` from `{SOURCE}`. Do not edit.

`/-/metrics` speaks OpenMetrics. Who may read it: [`metrics.listen`](settings.md#metricslisten) and
[`metrics.token`](settings.md#metricstoken). Counters end in `_total`, histograms in `_bucket`, `_sum` and `_count`.

| metric | what it says |
|---|---|
{rows}"
    ))
}

/// The first two arguments of every `register(…)` and `register_with_unit(…)`.
fn metrics(source: &str) -> Vec<(String, String)> {
    let scan = scan(source);
    // In the code every literal is an empty pair of quotes; the list of literals is in the same order.
    let mut literals = scan.literals.iter();
    let mut found = Vec::new();
    let mut rest = scan.code.as_str();
    while let Some((before, after)) = rest.split_once("\"\"") {
        let Some(name) = literals.next() else { break };
        rest = after;
        let call = before.trim_end();
        let suffix = if call.ends_with("register(") {
            ""
        } else if call.ends_with("register_with_unit(") {
            "_seconds"
        } else {
            continue;
        };
        let (Some((_, after)), Some(help)) = (rest.split_once("\"\""), literals.next()) else {
            break;
        };
        rest = after;
        found.push((format!("{}{suffix}", name.text), help.text.clone()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::metrics;

    #[test]
    fn names_and_meanings_are_read_from_each_registration() {
        let source = "let x = \"no\";\nregistry.register(\n    \"a\",\n    \"What a is\",\n    a.clone(),\n);\n\
            registry.register_with_unit(\"b\", \"What b is\", Unit::Seconds, b);\n";
        let pair = |name: &str, help: &str| (name.to_owned(), help.to_owned());
        assert_eq!(
            metrics(source),
            [pair("a", "What a is"), pair("b_seconds", "What b is")]
        );
    }
}
