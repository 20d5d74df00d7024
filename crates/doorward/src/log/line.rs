//! Lines of requests, of which there are many: written as the usual formatter writes them, only with less ado. Everything
//! else goes to the usual formatter.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For people, without colours.
    Plain,
    /// One JSON object.
    Json,
}

/// Writes lines of requests itself and leaves the others to `usual`.
pub(super) struct Quick<F, T> {
    pub(super) usual: F,
    pub(super) clock: T,
    pub(super) form: Form,
}

impl<S, N, F, T> FormatEvent<S, N> for Quick<F, T>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
    T: FormatTime,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let about = event.metadata();
        if about.name() != super::REQUEST || writer.has_ansi_escapes() {
            return self.usual.format_event(context, writer, event);
        }
        // In one piece: the writer is asked once.
        let mut line = String::with_capacity(USUAL);
        if self.form == Form::Json {
            line.push_str("{\"timestamp\":\"");
            self.clock.format_time(&mut Writer::new(&mut line))?;
            line.push_str("\",\"level\":\"");
            line.push_str(about.level().as_str());
            line.push('"');
        } else {
            self.clock.format_time(&mut Writer::new(&mut line))?;
            line.push_str(match *about.level() {
                Level::INFO => "  INFO",
                Level::WARN => "  WARN",
                Level::ERROR => " ERROR",
                Level::DEBUG => " DEBUG",
                Level::TRACE => " TRACE",
            });
        }
        let mut fields = Fields {
            line: &mut line,
            form: self.form,
            result: Ok(()),
        };
        event.record(&mut fields);
        fields.result?;
        if self.form == Form::Json {
            line.push_str(",\"target\":\"");
            line.push_str(about.target());
            line.push_str("\"}");
        }
        line.push('\n');
        writer.write_str(&line)
    }
}

/// Room for most lines.
const USUAL: usize = 256;

/// Writes one field after the other.
struct Fields<'a> {
    line: &'a mut String,
    form: Form,
    result: fmt::Result,
}

impl Fields<'_> {
    fn name(&mut self, field: &Field) {
        match (self.form, field.name()) {
            (Form::Json, name) => {
                self.line.push_str(",\"");
                self.line.push_str(name);
                self.line.push_str("\":");
            }
            (Form::Plain, "message") => self.line.push(' '),
            (Form::Plain, name) => {
                self.line.push(' ');
                self.line.push_str(name);
                self.line.push('=');
            }
        }
    }

    fn written(&mut self, result: fmt::Result) {
        self.result = self.result.and(result);
    }
}

impl Visit for Fields<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        number(self.line, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        // Routes and codes: nothing in them that either form would escape. Anything else goes the long way.
        let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if value.as_bytes().iter().all(plain) {
            self.line.push('"');
            self.line.push_str(value);
            self.line.push('"');
            return;
        }
        let result = match self.form {
            Form::Plain => write!(self.line, "{value:?}"),
            Form::Json => write!(self.line, "{}", serde_json::Value::from(value)),
        };
        self.written(result);
    }

    /// Methods, addresses and the message. What HTTP and IP allow there needs no escaping either.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.name(field);
        let result = match self.form {
            Form::Plain => write!(self.line, "{value:?}"),
            Form::Json => write!(self.line, "\"{value:?}\""),
        };
        self.written(result);
    }
}

/// Decimal, without the machinery of padding.
fn number(line: &mut String, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        first = place;
        if value == 0 {
            break;
        }
    }
    for digit in digits.get(first..).unwrap_or_default() {
        line.push(char::from(*digit));
    }
}

/// The wall clock as RFC 3339 has it, in microseconds and UTC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wall;

impl FormatTime for Wall {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        #[expect(
            clippy::disallowed_methods,
            reason = "the log says when it was written, whatever time the server is told"
        )]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        writer.write_str(moment(since, &mut [0; 27]))
    }
}

/// Length of a moment up to its end.
const MOMENT: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";

/// The moment so long after 1970 began, for the years up to 9999.
fn moment(since: std::time::Duration, text: &mut [u8; 27]) -> &str {
    *text = *MOMENT;
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let micros = u64::from(since.subsec_micros());
    let fields = [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, second / 3600),
        (14, 2, second / 60 % 60),
        (17, 2, second % 60),
        (20, 6, micros),
    ];
    for (at, length, mut value) in fields {
        let digits = text.get_mut(at..at + length).unwrap_or_default();
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
        }
    }
    std::str::from_utf8(text).unwrap_or_default()
}

/// The Gregorian date of a day, counted from 1 January 1970. Years are counted from March on, so that the leap day is the last
/// of its year; 400 years have 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // March to July and August to December have 153 days each.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
