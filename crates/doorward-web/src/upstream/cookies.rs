//! Our own cookies stay with us: they do not reach a service, and a service does not set them.

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

/// The visitor's cookies without ours, in one field (RFC 9113 section 8.2.3). What is left stays byte for byte.
pub(super) fn without_own(headers: &HeaderMap, own: &[&str]) -> Option<HeaderValue> {
    let mut kept: Vec<u8> = Vec::new();
    let mut dropped = false;
    let mut fields = headers.get_all(COOKIE).iter();
    let first = fields.next()?;
    let more = fields.next();
    for field in std::iter::once(first).chain(more).chain(fields) {
        for pair in field.as_bytes().split(|byte| *byte == b';') {
            let pair = pair.trim_ascii();
            if is_own(pair, own) {
                dropped = true;
            } else if !pair.is_empty() {
                if !kept.is_empty() {
                    kept.extend_from_slice(b"; ");
                }
                kept.extend_from_slice(pair);
            }
        }
    }
    if more.is_none() && !dropped {
        return Some(first.clone());
    }
    if kept.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&kept).ok()
}

/// Does a service's `Set-Cookie` take one of our names?
pub(super) fn sets_own(value: &HeaderValue, own: &[&str]) -> bool {
    let pair = value
        .as_bytes()
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    is_own(pair, own)
}

/// A name or a whole pair. A cookie without a name is sent back as its value alone, and `=name=value` is one: leading equals
/// signs say nothing about how it will be read.
fn is_own(pair: &[u8], own: &[&str]) -> bool {
    let mut pair = pair.trim_ascii();
    while let Some(rest) = pair.strip_prefix(b"=") {
        pair = rest.trim_ascii_start();
    }
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
    let name = name.trim_ascii();
    own.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
}

/// Copies a service's cookies, except those with our names.
pub(super) fn pass_set_cookies(from: &HeaderMap, to: &mut HeaderMap, own: &[&str]) {
    for value in from.get_all(SET_COOKIE) {
        if sets_own(value, own) {
            tracing::warn!("a service tried to set a cookie of ours; it was dropped");
        } else {
            super::fields::append(to, &SET_COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &[&str] = &["__Host-doorward_session", "doorward_site"];

    fn left(fields: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_str(field).unwrap());
        }
        without_own(&headers, OWN).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn ours_are_taken_out_and_the_rest_stays_byte_for_byte() {
        assert_eq!(left(&[]), None);
        assert_eq!(
            left(&["a=1;b=\"x y\" ;  c"]).as_deref(),
            Some("a=1;b=\"x y\" ;  c")
        );
        assert_eq!(left(&["doorward_site=1"]), None);
        assert_eq!(
            left(&["a=1; doorward_site=secret; b=2=3"]).as_deref(),
            Some("a=1; b=2=3")
        );
        assert_eq!(
            left(&["doorward_site=1; doorward_site=2", "a=1", "b=2"]).as_deref(),
            Some("a=1; b=2")
        );
        assert_eq!(left(&["a=1", "b=2"]).as_deref(), Some("a=1; b=2"));
        assert_eq!(left(&["a=doorward_site=1"]).as_deref(), Some("a=doorward_site=1"));
    }

    #[test]
    fn no_spelling_of_ours_gets_through() {
        for spelling in [
            "doorward_site=s",
            " doorward_site =s",
            "\tdoorward_site\t=s",
            "DOORWARD_SITE=s",
            "__host-Doorward_Session=s",
            "=doorward_site=s",
            "= = doorward_site=s",
            "doorward_site",
            "x=\"1; doorward_site=s\"",
        ] {
            let left = left(&[&format!("a=1;{spelling}; z=2")]).unwrap();
            assert!(
                !left.to_ascii_lowercase().contains("doorward"),
                "{spelling}: {left}"
            );
            assert!(left.contains("a=1") && left.contains("z=2"), "{left}");
        }
    }

    #[test]
    fn a_service_sets_its_own_cookies_only() {
        let sets = |text: &str| sets_own(&HeaderValue::from_bytes(text.as_bytes()).unwrap(), OWN);
        assert!(!sets("session=1; Path=/; HttpOnly"));
        assert!(!sets("a=doorward_site=1"));
        assert!(!sets("a=1; doorward_site=2"));
        assert!(sets("doorward_site=1"));
        assert!(sets("DoorWard_Site = 1; Path=/"));
        assert!(sets("=doorward_site=1"));
        assert!(sets("  = =doorward_site=1"));
        assert!(sets("doorward_site; Domain=example.org"));
    }
}
