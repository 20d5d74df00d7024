//! What a request brings to say who sends it: session cookies and a bearer token, in the order in which they count.
//!
//! Only what is there is read here, and nothing is decoded: a cookie's value goes to the server byte for byte as it came.

use http::Method;
use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, ORIGIN, UPGRADE};

use crate::jose::LONGEST_TOKEN;

/// Longest session cookie that is looked at: a signed token has about 80 bytes, encoded or not.
const LONGEST_COOKIE: usize = 512;
/// Cookies of one name that are tried: a stale one may stand beside a valid one.
const MOST_OF_ONE_NAME: usize = 2;

/// One thing that may say who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presented {
    /// `name=value` as it stood in the header.
    Cookie(String),
    /// What followed `Bearer`.
    Bearer(String),
    /// Something followed `Bearer` that is too long to be looked at.
    TooLong,
}

/// The names of the session cookie with this prefix, in the order in which they count.
pub(crate) fn cookie_names(prefix: &str) -> [String; 3] {
    ["__Secure-", "", "__Host-"].map(|start| format!("{start}{prefix}.session_token"))
}

/// Cookies first, by name, then the bearer token. What is garbled is as good as absent.
pub(crate) fn presented(headers: &HeaderMap, names: &[String]) -> Vec<Presented> {
    let mut found = Vec::new();
    for name in names {
        found.extend(
            cookies(headers, name)
                .take(MOST_OF_ONE_NAME)
                .map(Presented::Cookie),
        );
    }
    found.extend(bearer(headers));
    found
}

fn cookies<'a>(headers: &'a HeaderMap, wanted: &'a str) -> impl Iterator<Item = String> + 'a {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .map(str::trim)
        .filter(move |pair| {
            pair.split_once('=').is_some_and(|(name, value)| {
                name == wanted && !value.is_empty() && value.len() <= LONGEST_COOKIE
            })
        })
        .map(str::to_owned)
}

/// The bearer token. Two `Authorization` headers, another scheme or letters that no token has: none.
fn bearer(headers: &HeaderMap) -> Option<Presented> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(header), None) = (all.next(), all.next()) else {
        return None;
    };
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return None;
    }
    if token.len() > LONGEST_TOKEN {
        return Some(Presented::TooLong);
    }
    // RFC 6750, section 2.1, and the percent sign of session tokens that are sent encoded.
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=%".contains(&byte);
    token
        .bytes()
        .all(letter)
        .then(|| Presented::Bearer(token.to_owned()))
}

/// Whether a cookie may count for this request: what changes nothing may come from anywhere, everything else must come
/// from a page of the same origin or of a trusted one. A browser says which; who says nothing is not a browser, and such
/// programs send a token instead.
pub(crate) fn cookie_may_count(method: &Method, headers: &HeaderMap, trusted: &[String]) -> bool {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    // A WebSocket begins with a GET that any page may send.
    if reads && !headers.contains_key(UPGRADE) {
        return true;
    }
    let one = |name: &str| {
        let mut all = headers.get_all(name).iter();
        match (all.next(), all.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    };
    let origin = one(ORIGIN.as_str());
    if origin.is_some_and(|origin| trusted.iter().any(|known| known == origin)) {
        return true;
    }
    match one("sec-fetch-site") {
        Some(site) => site == "same-origin",
        // Browsers of before 2023: the origin's host is the one that was asked.
        None => {
            let host = origin
                .and_then(|origin| origin.split_once("://"))
                .map(|(_, host)| host);
            host.is_some() && host == one(HOST.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).expect("a header"));
        }
        headers
    }

    fn found(pairs: &[(&'static str, &str)]) -> Vec<Presented> {
        presented(&headers(pairs), &cookie_names("better-auth"))
    }

    fn cookie(text: &str) -> Presented {
        Presented::Cookie(text.to_owned())
    }

    #[test]
    fn candidate_order() {
        let all = found(&[
            (
                "cookie",
                "__Host-better-auth.session_token=c; better-auth.session_token=b; other=1",
            ),
            ("cookie", "__Secure-better-auth.session_token=a%2B+/="),
            ("authorization", "bEARER  d"),
        ]);
        let expected = [
            cookie("__Secure-better-auth.session_token=a%2B+/="),
            cookie("better-auth.session_token=b"),
            cookie("__Host-better-auth.session_token=c"),
            Presented::Bearer("d".to_owned()),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn what_is_garbled_is_absent() {
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Basic YTpi",
            "Bearer a b",
            "Bearer a,b",
            "Bearer \"a\"",
            "token",
        ] {
            assert_eq!(found(&[("authorization", value)]), [], "{value}");
        }
        assert_eq!(
            found(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]),
            []
        );
        assert_eq!(found(&[("cookie", "better-auth.session_token=")]), []);
        assert_eq!(
            found(&[(
                "cookie",
                "xbetter-auth.session_token=a;better-auth.session_tokenx=a"
            )]),
            []
        );
        let long = format!("better-auth.session_token={}", "a".repeat(513));
        assert_eq!(found(&[("cookie", &long)]), []);
        let many = "better-auth.session_token=1; ".repeat(50);
        assert_eq!(found(&[("cookie", &many)]).len(), 2);
        let long = format!("Bearer {}", "a".repeat(9000));
        assert_eq!(found(&[("authorization", &long)]), [Presented::TooLong]);
    }

    #[test]
    fn cookies_from_other_sites_do_not_count_for_changes() {
        let trusted = ["https://app.example.org".to_owned()];
        let may = |method: &Method, pairs: &[(&'static str, &str)]| {
            cookie_may_count(method, &headers(pairs), &trusted)
        };
        assert!(may(&Method::GET, &[]));
        assert!(!may(&Method::GET, &[("upgrade", "websocket")]));
        assert!(!may(&Method::POST, &[]));
        assert!(may(&Method::POST, &[("origin", "https://app.example.org")]));
        assert!(may(
            &Method::POST,
            &[("sec-fetch-site", "same-origin"), ("origin", "https://x.example")]
        ));
        assert!(may(
            &Method::POST,
            &[("host", "api.example"), ("origin", "https://api.example")]
        ));
        for origin in [
            "null",
            "https://app.example.org.evil.example",
            "https://evil.example",
            "http://app.example.org",
        ] {
            assert!(
                !may(&Method::POST, &[("host", "api.example"), ("origin", origin)]),
                "{origin}"
            );
        }
        assert!(!may(
            &Method::DELETE,
            &[("sec-fetch-site", "same-site"), ("origin", "https://x.example")]
        ));
        assert!(!may(
            &Method::POST,
            &[
                ("sec-fetch-site", "cross-site"),
                ("host", "a"),
                ("origin", "https://a")
            ]
        ));
        let twice = [
            ("origin", "https://app.example.org"),
            ("origin", "https://evil.example"),
        ];
        assert!(!may(&Method::POST, &twice));
    }
}
