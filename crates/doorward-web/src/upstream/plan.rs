//! What is sent to a service, read from what the visitor sent: one reading of the message, before anything is opened.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body::Body as _;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use url::Url;

use super::body::Sent;
use super::connect::{Channel, Want};
use super::{Before, HostHeader, Kind, Target, Unreachable, fields};

const SEC_WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");

/// A change of protocol that the visitor asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// `Upgrade` over HTTP/1.1.
    Upgrade(HeaderValue),
    /// A WebSocket by extended CONNECT over HTTP/2 (RFC 8441); the service is asked as over HTTP/1.1.
    Connect,
}

impl Wish {
    /// The protocol as the service is asked for it.
    pub(super) fn protocol(&self) -> HeaderValue {
        match self {
            Self::Upgrade(protocol) => protocol.clone(),
            Self::Connect => HeaderValue::from_static("websocket"),
        }
    }
}

/// What is sent to a service.
pub(super) struct Plan {
    pub(super) method: Method,
    pub(super) wish: Option<Wish>,
    /// May it be sent twice? A method that changes nothing, without a body.
    pub(super) repeatable: bool,
    headers: HeaderMap,
    path: PathAndQuery,
    host: HeaderValue,
    wants_trailers: bool,
    /// Does the target speak HTTP/2 only?
    prior_knowledge: bool,
    tls: bool,
}

impl Plan {
    /// Reads the request, and takes its upgrade out of it when a change of protocol is asked for.
    pub(super) fn read(
        parts: &mut Parts,
        body: &Body,
        target: &Target<'_>,
        before: &Before<'_>,
    ) -> Result<(Self, Option<OnUpgrade>), Unreachable> {
        let refused = |why: &str| Err(Unreachable::new(Kind::Refused, why));
        if fields::goes_round(&parts.headers) {
            return Err(Unreachable::new(
                Kind::Loop,
                "the upstream leads back to this server",
            ));
        }
        if !fields::is_plain_coding(&parts.headers) {
            return refused("the body has a transfer coding besides `chunked`");
        }
        let prior_knowledge = target.url.scheme() == "h2c";
        let wish = wish(parts, body);
        match (&parts.method, &wish) {
            // TRACE would show the identity headers to whoever sent it.
            (&Method::TRACE, _) => return refused("TRACE is not forwarded"),
            (&Method::CONNECT, None) => return refused("CONNECT is not forwarded"),
            (&Method::CONNECT, Some(_)) if prior_knowledge => {
                return refused("WebSockets do not reach an h2c upstream");
            }
            _ => {}
        }
        // A service that only knows HTTP/2 has no `Upgrade`; it may still answer the request itself.
        let wish = wish.filter(|_| !prior_knowledge);
        let upgrade = wish.as_ref().and_then(|_| parts.extensions.remove::<OnUpgrade>());
        let wish = wish.filter(|_| upgrade.is_some());
        let mut headers = fields::request(&parts.headers, parts.version, before);
        if wish == Some(Wish::Connect) && !headers.contains_key(SEC_WEBSOCKET_KEY) {
            headers.insert(SEC_WEBSOCKET_KEY, websocket_key()?);
        }
        let method = method(parts);
        let plan = Self {
            repeatable: method.is_safe() && body.is_end_stream() && wish.is_none(),
            method,
            wish,
            headers,
            path: join(target.url, parts.uri.path_and_query())?,
            host: host(target, before)?,
            wants_trailers: fields::wants_trailers(&parts.headers),
            prior_knowledge,
            tls: target.url.scheme() == "https",
        };
        Ok((plan, upgrade))
    }

    /// Which connections will do.
    pub(super) fn want(&self) -> Want {
        match (&self.wish, self.prior_knowledge, self.tls) {
            (_, true, _) => Want::Two,
            (None, false, true) => Want::Any,
            _ => Want::One,
        }
    }

    /// The request for a connection.
    pub(super) fn request(&self, channel: &Channel, body: Sent) -> Result<Request<Sent>, Unreachable> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        let mut headers = self.headers.clone();
        match channel {
            Channel::One(_) => {
                *request.uri_mut() = Uri::from(self.path.clone());
                headers.insert(HOST, self.host.clone());
                self.connection(request.body(), &mut headers);
            }
            Channel::Two(_) => {
                *request.version_mut() = Version::HTTP_2;
                *request.uri_mut() = self.absolute()?;
                if self.wants_trailers {
                    headers.insert(TE, HeaderValue::from_static("trailers"));
                }
            }
        }
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Fields of an HTTP/1.1 connection.
    fn connection(&self, body: &Sent, headers: &mut HeaderMap) {
        if let Some(wish) = &self.wish {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, wish.protocol());
        } else if self.wants_trailers {
            headers.insert(CONNECTION, HeaderValue::from_static("te"));
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        // hyper takes it for granted that GET has no body, and would leave it out.
        if !body.is_end_stream() && body.size_hint().exact().is_none() {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }

    fn absolute(&self) -> Result<Uri, Unreachable> {
        let wrong = |error: http::Error| Unreachable::new(Kind::Refused, error.to_string());
        let authority = Authority::try_from(self.host.as_bytes()).map_err(|error| wrong(error.into()))?;
        let scheme = if self.tls { Scheme::HTTPS } else { Scheme::HTTP };
        Uri::builder()
            .scheme(scheme)
            .authority(authority)
            .path_and_query(self.path.clone())
            .build()
            .map_err(wrong)
    }
}

/// The change of protocol that a request asks for. Not one to another HTTP or to TLS: requests inside it would pass nobody's
/// rules.
fn wish(parts: &Parts, body: &Body) -> Option<Wish> {
    if parts.method == Method::CONNECT {
        return is_websocket(parts).then_some(Wish::Connect);
    }
    if parts.version != Version::HTTP_11 || !body.is_end_stream() {
        return None;
    }
    let protocol = fields::upgrade(&parts.headers)?;
    let name = protocol.to_str().ok()?.trim().to_ascii_lowercase();
    let inner = ["h2", "http", "tls"]
        .iter()
        .any(|refused| name.starts_with(refused));
    (!inner).then(|| Wish::Upgrade(protocol.clone()))
}

/// A WebSocket by extended CONNECT.
fn is_websocket(parts: &Parts) -> bool {
    let protocol = parts.extensions.get::<Protocol>();
    parts.method == Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// The method that the service will see.
pub(super) fn method(parts: &Parts) -> Method {
    if is_websocket(parts) {
        Method::GET
    } else {
        parts.method.clone()
    }
}

/// The visitor's path behind the upstream's own, byte for byte.
fn join(url: &Url, asked: Option<&PathAndQuery>) -> Result<PathAndQuery, Unreachable> {
    let base = url.path().trim_end_matches('/');
    let Some(asked) = asked else {
        return Err(Unreachable::new(Kind::Refused, "the request names no path"));
    };
    if base.is_empty() {
        return Ok(asked.clone());
    }
    // `OPTIONS *` is about the whole server, of which the upstream is a part.
    let asked = if asked.as_str() == "*" { "" } else { asked.as_str() };
    PathAndQuery::try_from(format!("{base}{asked}"))
        .map_err(|error| Unreachable::new(Kind::Refused, error.to_string()))
}

fn host(target: &Target<'_>, before: &Before<'_>) -> Result<HeaderValue, Unreachable> {
    let text = match target.host_header {
        HostHeader::Visitor => before.host.to_owned(),
        HostHeader::Upstream => authority(target.url),
    };
    HeaderValue::try_from(text).map_err(|error| Unreachable::new(Kind::Refused, error.to_string()))
}

/// Host and port of the upstream, the port when it is not the usual one.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) if !(url.scheme() == "h2c" && port == 80) => format!("{host}:{port}"),
        _ => host.to_owned(),
    }
}

/// A key for a handshake that the browser did not make itself. It has to differ each time and guards nothing (RFC 6455
/// section 10.3 is about what browsers send).
fn websocket_key() -> Result<HeaderValue, Unreachable> {
    let mut bytes = [0; 16];
    for half in bytes.chunks_exact_mut(8) {
        half.copy_from_slice(&RandomState::new().build_hasher().finish().to_ne_bytes());
    }
    HeaderValue::try_from(STANDARD.encode(bytes))
        .map_err(|error| Unreachable::new(Kind::Refused, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str, asked: &str) -> String {
        let url = Url::parse(base).unwrap();
        join(&url, Some(&asked.parse().unwrap())).unwrap().to_string()
    }

    #[test]
    fn the_path_stays_byte_for_byte_behind_the_base() {
        for asked in [
            "/",
            "/a//b/../c/./d",
            "/%2e%2e/%2F%5c?x=%00&y=a+b%20c??#",
            "/ü?ä",
            "/a;b=c/{d}|\"e\"",
            "//evil.example/x",
            "/?",
        ] {
            let Ok(parsed) = asked.parse::<PathAndQuery>() else {
                panic!("{asked}");
            };
            assert_eq!(joined("http://a:1", asked), parsed.to_string());
            assert_eq!(joined("http://a:1/", asked), parsed.to_string());
            assert_eq!(joined("http://a:1/base", asked), format!("/base{parsed}"));
            assert_eq!(joined("http://a:1/base/?q#f", asked), format!("/base{parsed}"));
        }
        assert_eq!(joined("http://a:1", "*"), "*");
        assert_eq!(joined("http://a:1/base/", "*"), "/base");
    }

    #[test]
    fn the_upstreams_own_host_has_its_port_when_it_is_not_the_usual_one() {
        for (url, expected) in [
            ("http://a.example", "a.example"),
            ("http://a.example:80", "a.example"),
            ("http://a.example:8080/x", "a.example:8080"),
            ("https://[::1]:8443", "[::1]:8443"),
            ("h2c://a.example:80", "a.example"),
            ("h2c://a.example:8080", "a.example:8080"),
        ] {
            assert_eq!(authority(&Url::parse(url).unwrap()), expected);
        }
    }

    #[test]
    fn rules_are_asked_about_the_method_that_arrives() {
        let seen = |method: Method, protocol: Option<&'static str>| {
            let (mut parts, ()) = Request::builder().method(method).body(()).unwrap().into_parts();
            if let Some(protocol) = protocol {
                parts.extensions.insert(Protocol::from_static(protocol));
            }
            super::method(&parts)
        };
        assert_eq!(seen(Method::CONNECT, Some("websocket")), Method::GET);
        assert_eq!(seen(Method::CONNECT, Some("connect-udp")), Method::CONNECT);
        assert_eq!(seen(Method::CONNECT, None), Method::CONNECT);
        assert_eq!(seen(Method::DELETE, Some("websocket")), Method::DELETE);
    }

    #[test]
    fn keys_differ() {
        assert_ne!(websocket_key().unwrap(), websocket_key().unwrap());
        assert_eq!(websocket_key().unwrap().len(), 24);
    }
}
