//! Which header fields pass between a visitor and a service, in both directions.

use http::header::{
    ALT_SVC, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderMap,
    HeaderName, HeaderValue, SET_COOKIE, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{Method, StatusCode, Version};
use std::net::IpAddr;

use super::{Authorization, Before, cookies};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Fields of one connection besides those that `Connection` names (RFC 9110 section 7.6.1); `proxy-…` too.
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    // Common gateways make HTTP_PROXY of it, which programs take for their own setting.
    "proxy",
];

/// What we say about the visitor ourselves, whoever said it before.
const OURS: [&str; 5] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

/// Some frameworks take the path from here, and the rules were asked about the path in the request line.
const OTHER_PATHS: [&str; 2] = ["x-original-url", "x-rewrite-url"];

/// What others say about the visitor; counts from proxies of ours only. And all of `x-forwarded-…`.
const ACCOUNTS: [&str; 5] = [
    "cf-connecting-ip",
    "client-ip",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
];

/// Name by which we know ourselves in `Via`.
const PSEUDONYM: &str = "doorward";
/// So often a request may pass through a Doorward.
const MOST_ROUNDS: usize = 4;

/// Adds a field; a map that is full stays as it is.
pub(super) fn append(to: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) {
    if to.try_append(name, value.clone()).is_err() {
        tracing::debug!("a message has more header fields than fit");
    }
}

fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(&name) || name.starts_with("proxy-")
}

/// Names that a `Connection` field lists.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    tokens(headers, &CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .collect()
}

/// The elements of a list field.
pub(super) fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// A name as lenient readers see it: gateways to CGI turn `_`, and old ones every sign, into the same letter.
fn folded(name: &str) -> String {
    name.chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .collect()
}

/// Names that never come from outside.
struct Protected<'a> {
    strip: &'a [HeaderName],
    set: Option<&'a HeaderMap>,
    trusted: bool,
}

impl Protected<'_> {
    fn names(&self, name: &str) -> bool {
        self.strip.iter().any(|own| own.as_str() == name)
            || self.set.is_some_and(|set| set.contains_key(name))
            || OURS.contains(&name)
            || OTHER_PATHS.contains(&name)
            || !self.trusted && (ACCOUNTS.contains(&name) || name.starts_with("x-forwarded-"))
    }

    fn holds(&self, name: &str) -> bool {
        // A name with `_` is the same as one with `-` for many services; nothing that needs one is worth the doubt.
        if name.contains('_') || self.names(name) {
            return true;
        }
        let plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !plain && self.names(&folded(name))
    }
}

/// The fields of a request as the service gets them, apart from `Host` and from what the connection needs.
pub(super) fn request(from: &HeaderMap, version: Version, before: &Before<'_>) -> HeaderMap {
    let protected = Protected {
        strip: before.strip,
        set: Some(&before.set),
        trusted: before.trusted,
    };
    let nominated = nominated(from);
    let mut to = HeaderMap::with_capacity(from.len() + before.set.len() + 8);
    for (name, value) in from {
        let text = name.as_str();
        let elsewhere = *name == HOST || *name == CONTENT_LENGTH || *name == COOKIE || *name == EXPECT;
        let ours = *name == AUTHORIZATION && before.authorization == Authorization::Strip;
        if elsewhere || ours || is_hop_by_hop(text) || nominated.contains(name) || protected.holds(text) {
            continue;
        }
        append(&mut to, name, value);
    }
    // Not after `nominated`: a visitor could otherwise take back what we say.
    if let Some(cookies) = cookies::without_own(from, before.own_cookies) {
        append(&mut to, &COOKIE, &cookies);
    }
    for (name, value) in &before.set {
        append(&mut to, name, value);
    }
    forwarded(from, before, &mut to);
    if let Ok(via) = HeaderValue::from_str(&format!("{} {PSEUDONYM}", protocol(version))) {
        append(&mut to, &VIA, &via);
    }
    to
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// What we say about the visitor.
fn forwarded(from: &HeaderMap, before: &Before<'_>, to: &mut HeaderMap) {
    let mut chain = String::new();
    if before.trusted {
        for hop in tokens(from, &X_FORWARDED_FOR) {
            chain.push_str(hop);
            chain.push_str(", ");
        }
    }
    chain.push_str(&before.peer.to_canonical().to_string());
    let client = before.client.to_canonical();
    let node = match client {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("\"[{v6}]\""),
    };
    let quoted = before.host.replace(['"', '\\'], "");
    let said = [
        (X_FORWARDED_FOR, chain),
        (X_FORWARDED_HOST, before.host.to_owned()),
        (X_FORWARDED_PROTO, before.scheme.to_owned()),
        (X_REAL_IP, client.to_string()),
        (
            FORWARDED,
            format!("for={node};host=\"{quoted}\";proto={}", before.scheme),
        ),
    ];
    for (name, text) in said {
        if let Ok(value) = HeaderValue::from_str(&text) {
            append(to, &name, &value);
        }
    }
}

/// Did the request pass through us too often?
pub(super) fn goes_round(headers: &HeaderMap) -> bool {
    let ours = tokens(headers, &VIA)
        .filter(|hop| hop.split_whitespace().nth(1) == Some(PSEUDONYM))
        .count();
    ours >= MOST_ROUNDS
}

/// Is the transfer coding one that was undone? hyper undoes `chunked`, and nothing else.
pub(super) fn is_plain_coding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// Does the visitor want trailers?
pub(super) fn wants_trailers(headers: &HeaderMap) -> bool {
    tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"))
}

/// The protocol that a request or an answer changes to, when it names exactly one.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<&HeaderValue> {
    let asks = tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let mut all = headers.get_all(UPGRADE).iter();
    let (Some(only), None) = (all.next(), all.next()) else {
        return None;
    };
    let text = only.to_str().ok()?.trim();
    (asks && !text.is_empty() && !text.contains(',')).then_some(only)
}

/// The fields of an answer as the visitor gets them. `exact` is the length of its body when that is known.
pub(super) fn response(
    from: &HeaderMap,
    own_cookies: &[&str],
    status: StatusCode,
    method: &Method,
    exact: Option<u64>,
) -> HeaderMap {
    let nominated = nominated(from);
    let mut to = HeaderMap::with_capacity(from.len() + 4);
    // Of an answer without a body it says what there would have been.
    let describes = *method == Method::HEAD || status == StatusCode::NOT_MODIFIED;
    for (name, value) in from {
        // The services that Alt-Svc points to are not behind this door.
        let elsewhere = *name == SET_COOKIE || *name == ALT_SVC;
        if elsewhere || is_hop_by_hop(name.as_str()) || nominated.contains(name) {
            continue;
        }
        if *name == CONTENT_LENGTH {
            let length = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
            let right = length.is_some() && (describes || length == exact);
            if !right || to.contains_key(CONTENT_LENGTH) {
                continue;
            }
        }
        append(&mut to, name, value);
    }
    cookies::pass_set_cookies(from, &mut to, own_cookies);
    to
}

/// Trailers of a request: what may not come as a field may not come late either, nor may what steers the message (RFC 9110
/// section 6.5.1).
pub(super) fn request_trailers(from: &HeaderMap, strip: &[HeaderName]) -> HeaderMap {
    let protected = Protected {
        strip,
        set: None,
        trusted: false,
    };
    trailers(from, |name| protected.holds(name))
}

/// Trailers of an answer.
pub(super) fn response_trailers(from: &HeaderMap) -> HeaderMap {
    trailers(from, |_| false)
}

fn trailers(from: &HeaderMap, refused: impl Fn(&str) -> bool) -> HeaderMap {
    const STEERING: [HeaderName; 6] = [HOST, CONTENT_LENGTH, COOKIE, SET_COOKIE, AUTHORIZATION, EXPECT];
    let mut to = HeaderMap::with_capacity(from.len());
    for (name, value) in from {
        if !(STEERING.contains(name) || is_hop_by_hop(name.as_str()) || refused(name.as_str())) {
            append(&mut to, name, value);
        }
    }
    to
}
