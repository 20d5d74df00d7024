//! Tests of request lines formatted by hand, against the formatter that they replace.

use super::*;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Format;

/// A clock that stands still, so that two formatters say the same time.
#[derive(Clone, Copy)]
struct Still;

impl FormatTime for Still {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str("2026-10-05T07:08:09.123456Z")
    }
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Memory {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Requests of every sort, and something else.
fn say() {
    let routes = [
        "/application/o/{slug}/jwks/",
        "unknown",
        "a \"b\" \\ \u{1b}[31m ü",
    ];
    for route in routes {
        for (status, micros) in [(200_u16, 0_u64), (404, 7), (503, u64::MAX)] {
            for code in [None, Some("7F2K-9QDX")] {
                let method = http_method(status);
                let client = std::net::IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(status == 200)]);
                tracing::info!(name: "request", route, %method, status, micros, %client, code, "request");
                tracing::debug!(name: "request", route, %method, status, micros, %client, code, "request");
            }
        }
    }
    let error = io::Error::other("no \"room\"");
    tracing::warn!(%error, version = "1", n = -3, "something else");
}

fn http_method(status: u16) -> &'static str {
    if status == 200 { "GET" } else { "POST" }
}

fn said(json: bool, quick: bool) -> String {
    let memory = Memory::default();
    let builder = tracing_subscriber::fmt()
        .with_writer(memory.clone())
        .with_max_level(Level::DEBUG)
        .with_ansi(false);
    let usual = Format::default().with_timer(Still).with_ansi(false);
    let plain = usual.clone().with_target(false);
    let object = usual
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false);
    let (clock, form) = (Still, if json { Form::Json } else { Form::Plain });
    match (json, quick) {
        (true, true) => {
            let usual = object;
            let quick = builder.json().event_format(Quick { usual, clock, form });
            tracing::subscriber::with_default(quick.finish(), say);
        }
        (true, false) => tracing::subscriber::with_default(builder.json().event_format(object).finish(), say),
        (false, true) => {
            let usual = plain;
            let quick = builder.event_format(Quick { usual, clock, form });
            tracing::subscriber::with_default(quick.finish(), say);
        }
        (false, false) => tracing::subscriber::with_default(builder.event_format(plain).finish(), say),
    }
    let bytes = memory.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn lines_of_requests_are_what_the_usual_formatter_writes() {
    for json in [false, true] {
        let (quick, usual) = (said(json, true), said(json, false));
        assert_eq!(quick.lines().count(), 37);
        for (quick, usual) in quick.lines().zip(usual.lines()) {
            assert_eq!(quick, usual);
        }
        assert_eq!(quick, usual);
    }
}

#[test]
fn moments_are_written_as_rfc3339_has_them() {
    let cases = [
        (0, 0, "1970-01-01T00:00:00.000000Z"),
        (951_782_399, 999_999, "2000-02-28T23:59:59.999999Z"),
        (951_782_400, 1, "2000-02-29T00:00:00.000001Z"),
        (951_868_800, 0, "2000-03-01T00:00:00.000000Z"),
        (4_107_542_399, 0, "2100-02-28T23:59:59.000000Z"),
        (4_107_542_400, 0, "2100-03-01T00:00:00.000000Z"),
        (1_791_184_089, 123_456, "2026-10-05T07:08:09.123456Z"),
        (253_402_300_799, 999_999, "9999-12-31T23:59:59.999999Z"),
    ];
    for (seconds, micros, text) in cases {
        let since = Duration::from_secs(seconds) + Duration::from_micros(micros);
        assert_eq!(moment(since, &mut [0; 27]), text);
    }
}
