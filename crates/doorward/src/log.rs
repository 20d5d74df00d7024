//! The log, on standard error: for people with colours on a terminal only, or one JSON object per line.

use std::io::{self, IsTerminal};

use doorward_config::{LogFormat, LogLevel};
use tracing_subscriber::EnvFilter;

use crate::out::complain;
use crate::settings;

/// Starts the log of the server.
pub(crate) fn start(format: LogFormat, level: LogLevel) {
    let filter = filter(level);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = match format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_ansi(false)
            .try_init(),
        LogFormat::Human => builder
            .with_target(false)
            .with_ansi(io::stderr().is_terminal() && !settings::wants_no_colour())
            .try_init(),
    };
    // Started twice only in tests within one process.
    let _already = started;
}

/// Starts the log of the other commands: warnings only.
pub(crate) fn start_quiet() {
    start(LogFormat::Human, LogLevel::Warn);
}

/// `DOORWARD_LOG` as it is, else our own crates at `level` and everybody else's from warnings on.
fn filter(level: LogLevel) -> EnvFilter {
    let standard = match level {
        LogLevel::Error => "error".to_owned(),
        level => format!("warn,doorward={}", level.as_str()),
    };
    match settings::log_filter().map(EnvFilter::try_new) {
        Some(Ok(asked)) => asked,
        Some(Err(problem)) => {
            complain(&format!("DOORWARD_LOG is not a filter and is ignored: {problem}"));
            EnvFilter::new(standard)
        }
        None => EnvFilter::new(standard),
    }
}
