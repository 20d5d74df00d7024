//! The reference page of metrics: what a server that was just started says about its own measurements.

use crate::bench::{Scratch, doorward, http::Browser, process};
use crate::workspace::Workspace;

/// Starts the program on a fresh folder and asks it.
pub(super) fn page(workspace: &Workspace) -> Result<String, String> {
    let program = super::cli::program(workspace)?;
    let scratch = Scratch::new(workspace, "metrics")?;
    let server = doorward::start(&program, scratch.folder(), process::free_port()?)?;
    let answer = Browser::new(server.port).get("/-/metrics")?;
    server.stop()?;
    let rows = rows(&answer.body);
    if rows.is_empty() {
        return Err(format!("/-/metrics answered {} without metrics", answer.status));
    }
    Ok(format!(
        "# Metrics

Written by `cargo xtask generate` from a running server. Do not edit.

`/-/metrics` speaks OpenMetrics. Who may read it: [`metrics.listen`](settings.md#metricslisten) and
[`metrics.token`](settings.md#metricstoken). Counters end in `_total`, histograms in `_bucket`, `_sum` and `_count`.

| metric | type | what it says |
|---|---|---|
{rows}"
    ))
}

/// A line for each `# TYPE`, with the text of its `# HELP`.
fn rows(exposition: &str) -> String {
    let about = |keyword: &str| {
        let start = format!("# {keyword} ");
        exposition
            .lines()
            .filter_map(move |line| line.strip_prefix(&start)?.split_once(' '))
    };
    about("TYPE")
        .map(|(name, kind)| {
            let help = about("HELP")
                .find(|(known, _)| *known == name)
                .map_or("", |(_, help)| help);
            format!("| `{name}` | {kind} | {} |\n", help.trim_end_matches('.'))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn each_metric_is_a_line_with_its_help() {
        let text = "# HELP a_b What it is.\n# TYPE a_b counter\na_b_total 1\n# TYPE c gauge\n# EOF\n";
        assert_eq!(
            rows(text),
            "| `a_b` | counter | What it is |\n| `c` | gauge |  |\n"
        );
    }
}
