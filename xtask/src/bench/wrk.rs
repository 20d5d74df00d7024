//! Load by wrk, and the reading of its report.

use std::path::PathBuf;

use super::process::Server;
use crate::workspace::Workspace;

/// Names and values beside `Host`.
pub(crate) type Headers = Vec<(&'static str, String)>;

/// What wrk sends.
#[derive(Clone)]
pub(crate) enum Load {
    /// GET.
    Page { path: String, headers: Headers },
    /// The same form again and again.
    Form { path: String, file: PathBuf },
    /// Chains of refresh tokens.
    Refresh { path: String, file: PathBuf },
    /// POST with JSON bodies in turn: one a line of the file.
    Json {
        path: String,
        headers: Headers,
        file: PathBuf,
    },
    /// Chains of refresh tokens in JSON bodies; the first line of the file does not count.
    RefreshJson { path: String, file: PathBuf },
}

/// What one run of wrk gave, with the processor time that the server used meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// How many were answered.
    pub(crate) requests: f64,
    /// Microseconds of the server's processor time per request.
    pub(crate) processor_us: f64,
    /// Resident memory of the server right after the run, in MiB.
    pub(crate) resident_mib: f64,
}

pub(crate) const CONNECTIONS: usize = 16;

impl Load {
    /// GET without headers of its own.
    pub(crate) fn page(path: &str) -> Self {
        Self::Page {
            path: path.to_owned(),
            headers: Headers::new(),
        }
    }

    /// GET with a bearer token.
    pub(crate) fn with_token(path: &str, token: &str) -> Self {
        Self::Page {
            path: path.to_owned(),
            headers: vec![("Authorization", format!("Bearer {token}"))],
        }
    }
}

/// Sends one kind of request for some seconds. An answer outside 2xx and 3xx is an error, because its speed says nothing.
pub(crate) fn run(
    workspace: &Workspace,
    server: &Server,
    load: &Load,
    seconds: u32,
) -> Result<Sample, String> {
    let none = Headers::new();
    let (path, script, file, headers) = match load {
        Load::Page { path, headers } => (path, None, None, headers),
        Load::Form { path, file } => (path, Some("post.lua"), Some(file), &none),
        Load::Refresh { path, file } | Load::RefreshJson { path, file } => {
            (path, Some("refresh.lua"), Some(file), &none)
        }
        Load::Json { path, headers, file } => (path, Some("json.lua"), Some(file), headers),
    };
    let mut arguments = vec![
        "-t1".to_owned(),
        format!("-c{CONNECTIONS}"),
        format!("-d{seconds}s"),
        "--latency".to_owned(),
        // Password hashes on a busy machine take long.
        "--timeout".to_owned(),
        "20s".to_owned(),
    ];
    arguments.extend(["-H".to_owned(), format!("Host: localhost:{}", server.port)]);
    for (name, value) in headers {
        arguments.extend(["-H".to_owned(), format!("{name}: {value}")]);
    }
    if let Some(script) = script {
        arguments.extend(["-s".to_owned(), format!("xtask/bench/{script}")]);
    }
    arguments.push(format!("http://127.0.0.1:{}{path}", server.port));
    if let Some(file) = file {
        arguments.extend(["--".to_owned(), file.display().to_string()]);
    }
    if matches!(load, Load::RefreshJson { .. }) {
        arguments.push("json".to_owned());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let before = server.processor_seconds()?;
    let said = workspace.run("wrk", &arguments)?;
    let used = server.processor_seconds()? - before;
    let resident_mib = server.resident_mib()?;
    read(&said, used, resident_mib).map_err(|error| format!("{path}: {error}\n{said}"))
}

fn read(said: &str, processor_seconds: f64, resident_mib: f64) -> Result<Sample, String> {
    let line = |start: &str| {
        said.lines()
            .map(str::trim)
            .find_map(|line| line.strip_prefix(start))
            .map(str::trim)
    };
    if let Some(refused) = line("Non-2xx or 3xx responses:") {
        return Err(format!("{refused} answers were refusals"));
    }
    if let Some(errors) = line("Socket errors:") {
        return Err(format!("socket errors: {errors}"));
    }
    let per_second = line("Requests/sec:")
        .and_then(|number| number.parse().ok())
        .ok_or("no Requests/sec")?;
    let requests = said
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .and_then(|(number, _)| number.parse::<f64>().ok())
        .filter(|requests| *requests > 0.0)
        .ok_or("no requests")?;
    let p50_ms = line("50%").and_then(milliseconds).ok_or("no 50% latency")?;
    let p99_ms = line("99%").and_then(milliseconds).ok_or("no 99% latency")?;
    Ok(Sample {
        per_second,
        p50_ms,
        p99_ms,
        requests,
        processor_us: processor_seconds * 1e6 / requests,
        resident_mib,
    })
}

/// wrk writes `612.00us`, `1.25ms`, `2.01s`.
fn milliseconds(text: &str) -> Option<f64> {
    let (number, factor) = if let Some(number) = text.strip_suffix("us") {
        (number, 0.001)
    } else if let Some(number) = text.strip_suffix("ms") {
        (number, 1.0)
    } else if let Some(number) = text.strip_suffix('m') {
        (number, 60_000.0)
    } else {
        (text.strip_suffix('s')?, 1000.0)
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
#[path = "wrk_tests.rs"]
mod tests;
