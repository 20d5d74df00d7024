//! The page of a door that says what went wrong, where the app has none of its own.

use http::StatusCode;

use super::call::Call;
use super::{Answer, with_query};

/// What went wrong, for people; never more of the code than letters.
pub(super) fn error_page(call: &Call) -> Answer {
    let code = call.asked("error").unwrap_or("UNKNOWN");
    let plain = |c: char| c.is_ascii_alphanumeric() || "_'-".contains(c);
    let code = if !code.is_empty() && code.len() <= 200 && code.chars().all(plain) {
        code
    } else {
        "UNKNOWN"
    };
    if let Some(page) = &call.door.settings().error_url {
        return Answer::Go(with_query(page, &[("error", code)]));
    }
    let name = escape_html(&call.door.application.name);
    let code = escape_html(code);
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Sign-in did not work</title></head><body><main><h1>Sign-in to {name} did not work</h1>\
         <p>Go back to the application and try again. If it happens again, give this code to whoever runs it:</p>\
         <p><code>{code}</code></p></main></body></html>"
    );
    Answer::Page(StatusCode::OK, html)
}

pub(super) fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
