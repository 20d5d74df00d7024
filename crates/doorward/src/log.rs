//! The log, on standard error: for people with colours on a terminal only, or one JSON object per line.

mod batch;
mod line;

use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use std::time::Duration;

use doorward_config::{LogFormat, LogLevel};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Format;

use crate::out::complain;
use crate::settings;
use batch::Batches;
use line::{Form, Quick, Wall};

/// Name of the event that a finished request is.
const REQUEST: &str = doorward_web::REQUEST_EVENT;
/// How long an end waits for its last lines to be read.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How long a panic waits for the lines before it.
const BEFORE_PANIC: Duration = Duration::from_millis(100);

/// The server's lines on their way out.
static BATCHES: OnceLock<Batches> = OnceLock::new();

/// Starts the log of the server, which many requests write to at once. [`flush`] has to be called before the process ends.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn start(format: LogFormat, level: LogLevel) -> io::Result<()> {
    let batches = Batches::start()?;
    listen(format, level, batches.clone());
    // Started twice only in tests within one process.
    let _already = BATCHES.set(batches);
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        wait(BEFORE_PANIC);
        print(panic);
    }));
    Ok(())
}

/// Starts the log of the other commands: warnings only.
pub(crate) fn start_quiet() {
    listen(LogFormat::Human, LogLevel::Warn, io::stderr);
}

/// Lets the lines that were said so far get out, before the process ends or speaks past the log.
pub(crate) fn flush() {
    wait(LAST_LINES);
}

fn wait(patience: Duration) {
    if let Some(batches) = BATCHES.get() {
        batches.flush(patience);
    }
}

fn listen<W>(format: LogFormat, level: LogLevel, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_writer(writer);
    let usual = Format::default().with_timer(Wall);
    let started = match format {
        LogFormat::Json => builder
            .json()
            .with_ansi(false)
            .event_format(Quick {
                usual: usual
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false),
                clock: Wall,
                form: Form::Json,
            })
            .try_init(),
        LogFormat::Human => builder
            .with_ansi(io::stderr().is_terminal() && !settings::wants_no_colour())
            .event_format(Quick {
                usual: usual.with_target(false),
                clock: Wall,
                form: Form::Plain,
            })
            .try_init(),
    };
    // Started twice only in tests within one process.
    let _already = started;
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
