//! Reading and writing our cookies: small, host-only, `__Host-` with `Secure` on https (RFC 6265bis section 4.1.3.2).

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};

use crate::App;

/// Which cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// The session token.
    Session,
    /// The browser's own random name; ties forms to browsers.
    Browser,
    /// Sealed memory of accounts that signed in from here.
    Known,
    /// Chosen language.
    Language,
}

impl Name {
    pub(crate) const fn text(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, true) => "__Host-doorward_session",
            (Self::Session, false) => "doorward_session",
            (Self::Browser, true) => "__Host-doorward_browser",
            (Self::Browser, false) => "doorward_browser",
            (Self::Known, true) => "__Host-doorward_known",
            (Self::Known, false) => "doorward_known",
            (Self::Language, true) => "__Host-doorward_language",
            (Self::Language, false) => "doorward_language",
        }
    }
}

/// Longest `Cookie` header that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;
/// Most cookies of one name that are looked at.
const MOST: usize = 32;

/// All cookies, in the order of the header.
fn all(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter(|value| value.len() <= LONGEST)
        .flat_map(|value| value.split(';'))
        // Values of headers that can be read are ASCII, so that this is all white space there is.
        .filter_map(|pair| pair.trim_ascii().split_once('='))
}

/// The value of one cookie; the first when it is there twice.
pub(crate) fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    all(headers).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The same, to keep.
pub(crate) fn read(headers: &HeaderMap, name: &str) -> Option<String> {
    find(headers, name).map(str::to_owned)
}

/// The values of all cookies with one of these names, each with what its name stands for; in the order of the names, then of the
/// header. At most 32.
pub(crate) fn read_ranked<'a, K: Copy>(headers: &'a HeaderMap, names: &[(&str, K)]) -> Vec<(K, &'a str)> {
    let mut found: Vec<(usize, K, &str)> = Vec::new();
    for (key, value) in all(headers) {
        let known = names.iter().enumerate().find(|(_, (name, _))| *name == key);
        if let Some((rank, (_, kind))) = known {
            found.push((rank, *kind, value));
            if found.len() == MOST {
                break;
            }
        }
    }
    found.sort_by_key(|(rank, ..)| *rank);
    found.into_iter().map(|(_, kind, value)| (kind, value)).collect()
}

/// A `Set-Cookie` value. `seconds` 0 deletes it.
pub(crate) fn write(app: &App, name: Name, value: &str, seconds: i64) -> Option<HeaderValue> {
    let secure = if app.secure { "; Secure" } else { "" };
    let text = format!(
        "{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}",
        name.text(app.secure)
    );
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_cookie_headers_give_nothing_or_the_first_value() {
        let mut headers = HeaderMap::new();
        headers.insert(
            COOKIE,
            HeaderValue::from_static("a=1; doorward_session=x; doorward_session=y; =; ;;"),
        );
        assert_eq!(read(&headers, "doorward_session").as_deref(), Some("x"));
        headers.insert(COOKIE, HeaderValue::from_bytes(&[0xff, b'=', b'1']).unwrap());
        assert_eq!(read(&headers, "doorward_session"), None);
        headers.insert(
            COOKIE,
            HeaderValue::from_str(&format!("doorward_session={}", "x".repeat(LONGEST))).unwrap(),
        );
        assert_eq!(read(&headers, "doorward_session"), None);
    }
}
