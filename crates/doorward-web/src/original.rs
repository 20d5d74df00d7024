//! What a proxy says about the request that it asks for. Each kind of proxy says it in its own headers; what is missing, said twice
//! or unreadable is no request that anybody could decide on.

use http::header::{GetAll, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri};

use doorward_core::place::Place;

/// Looked for in every check: a name that is text would be read anew each time.
const X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");

/// The proxies that we speak to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proxy {
    /// nginx `auth_request`: `X-Original-URL`, answers by status.
    Nginx,
    /// Traefik `forwardAuth`: `X-Forwarded-*`, answers are handed to the browser.
    Traefik,
    /// Caddy `forward_auth`: the same.
    Caddy,
    /// Envoy `ext_authz` over HTTP: the original path behind the prefix, the original host.
    Envoy,
    /// HAProxy with our Lua: as nginx.
    Haproxy,
}

impl Proxy {
    /// Does the proxy hand our answer on to the browser?
    pub(crate) const fn hands_on(self) -> bool {
        matches!(self, Self::Traefik | Self::Caddy | Self::Envoy)
    }
}

/// The original request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Original {
    pub(crate) place: Place,
    /// `None` when the proxy does not say.
    pub(crate) method: Option<Method>,
}

/// The value of a header that is there exactly once.
pub(crate) fn one(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    once(&headers.get_all(name))
}

fn once<'a>(values: &GetAll<'a, HeaderValue>) -> Option<&'a str> {
    let mut values = values.iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok()).flatten()
}

fn https(text: &str) -> Option<bool> {
    // Traefik names the scheme of WebSockets.
    match text {
        "https" | "wss" => Some(true),
        "http" | "ws" => Some(false),
        _ => None,
    }
}

/// A method that is said once; `Err` when it is said but cannot be read. A proxy that says nothing asks with GET whatever the original
/// was, unless it hands the original one on.
///
/// Only the one header that this proxy sets is looked at: the others came from the visitor.
fn method_of(headers: &HeaderMap, name: Option<HeaderName>, own: &Method) -> Result<Option<Method>, ()> {
    let said = name.map(|name| headers.get_all(name));
    match said.filter(|values| values.iter().next().is_some()) {
        Some(values) => once(&values)
            .and_then(|text| Method::from_bytes(text.as_bytes()).ok())
            .map(Some)
            .ok_or(()),
        None => Ok(Some(own.clone()).filter(|own| *own != Method::GET && *own != Method::HEAD)),
    }
}

/// Reads the original request; `None` when it cannot be read.
pub(crate) fn read(
    proxy: Proxy,
    headers: &HeaderMap,
    uri: &Uri,
    method: &Method,
    prefix: &str,
) -> Option<Original> {
    match proxy {
        Proxy::Nginx | Proxy::Haproxy => {
            let url = one(headers, X_ORIGINAL_URL)?;
            // Read as a URL of a page it would end there; the service may read on.
            let place = Place::parse(url).filter(|_| !url.contains('#'))?;
            // Files that were written for authentik do not set it, so that there it would be the visitor's.
            let name = (!uri.path().starts_with("/outpost.")).then_some(X_ORIGINAL_METHOD);
            let method = method_of(headers, name, method).ok()?;
            Some(Original { place, method })
        }
        Proxy::Traefik | Proxy::Caddy => {
            let https = https(one(headers, X_FORWARDED_PROTO)?)?;
            let place = Place::of(
                https,
                one(headers, X_FORWARDED_HOST)?,
                one(headers, X_FORWARDED_URI)?,
            )?;
            let method = method_of(headers, Some(X_FORWARDED_METHOD), method).ok()?;
            Some(Original { place, method })
        }
        Proxy::Envoy => {
            let https = https(one(headers, X_FORWARDED_PROTO)?)?;
            let target = uri.path_and_query()?.as_str().strip_prefix(prefix)?;
            // Over HTTP/2 the host is part of the address.
            let host = match uri.authority() {
                Some(authority) => authority.as_str(),
                None => one(headers, HOST)?,
            };
            let place = Place::of(https, host, if target.is_empty() { "/" } else { target })?;
            Some(Original {
                place,
                method: Some(method.clone()),
            })
        }
    }
}

/// Where a request that came to us through a proxy, or directly, was made.
pub(crate) fn here(headers: &HeaderMap, uri: &Uri, trusted: bool, fallback_https: bool) -> Option<Place> {
    let target = uri.path_and_query()?.as_str();
    let own = || match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => one(headers, HOST),
    };
    if !trusted {
        return Place::of(fallback_https, own()?, target);
    }
    let https = match headers.get(X_FORWARDED_PROTO) {
        Some(_) => https(one(headers, X_FORWARDED_PROTO)?)?,
        None => fallback_https,
    };
    let host = match headers.get(X_FORWARDED_HOST) {
        Some(_) => one(headers, X_FORWARDED_HOST)?,
        None => own()?,
    };
    Place::of(https, host, target)
}

/// Is a person looking at a page, whom a redirect helps? Scripts, sockets and programs are told with a status instead.
pub(crate) fn is_navigation(headers: &HeaderMap, method: &Method) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if *method != Method::GET && *method != Method::HEAD {
        return false;
    }
    if headers.contains_key(http::header::AUTHORIZATION)
        || text("x-requested-with").is_some_and(|with| with.eq_ignore_ascii_case("xmlhttprequest"))
        || text("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket"))
    {
        return false;
    }
    if let Some(mode) = text("sec-fetch-mode") {
        return mode == "navigate";
    }
    wants_html(headers)
}

/// Can the caller show a page? One that says nothing about it can.
pub(crate) fn wants_html(headers: &HeaderMap) -> bool {
    match headers
        .get(http::header::ACCEPT)
        .and_then(|value| value.to_str().ok())
    {
        None => true,
        Some(accept) => accept
            .split(',')
            .filter_map(|part| part.split(';').next())
            .any(|kind| {
                matches!(
                    kind.trim(),
                    "text/html" | "application/xhtml+xml" | "*/*" | "text/*" | ""
                )
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        headers
    }

    fn url(proxy: Proxy, pairs: &[(&'static str, &'static str)], uri: &str) -> Option<String> {
        let prefix = "/.doorward/auth/envoy";
        read(
            proxy,
            &headers(pairs),
            &uri.parse().unwrap(),
            &Method::GET,
            prefix,
        )
        .map(|original| original.place.url())
    }

    #[test]
    fn each_proxy_says_it_in_its_own_way() {
        assert_eq!(
            url(
                Proxy::Nginx,
                &[("x-original-url", "https://wiki.example.org:443/a?b=c&d")],
                "/x"
            )
            .as_deref(),
            Some("https://wiki.example.org/a?b=c&d")
        );
        let forwarded = [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "wiki.example.org"),
            ("x-forwarded-uri", "/a?b"),
        ];
        assert_eq!(
            url(Proxy::Caddy, &forwarded, "/x").as_deref(),
            Some("https://wiki.example.org/a?b")
        );
        let envoy = [("x-forwarded-proto", "http"), ("host", "wiki.example.org:8080")];
        assert_eq!(
            url(Proxy::Envoy, &envoy, "/.doorward/auth/envoy/a?b=c").as_deref(),
            Some("http://wiki.example.org:8080/a?b=c")
        );
    }

    #[test]
    fn what_is_missing_double_or_unreadable_is_nothing() {
        assert_eq!(url(Proxy::Nginx, &[], "/x"), None);
        for bad in [
            "/a",
            "https://",
            "https://a/ b",
            "ftp://a/",
            "https://a@b/",
            "https://a/public#/../admin",
            "https://a#/",
        ] {
            assert_eq!(url(Proxy::Nginx, &[("x-original-url", bad)], "/x"), None, "{bad}");
        }
        let double = [
            ("x-original-url", "https://a.example/"),
            ("x-original-url", "https://b.example/"),
        ];
        assert_eq!(url(Proxy::Nginx, &double, "/x"), None);
        let lists = [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "a.example, b.example"),
            ("x-forwarded-uri", "/"),
        ];
        assert_eq!(url(Proxy::Traefik, &lists, "/x"), None);
        assert_eq!(url(Proxy::Traefik, &lists[..2], "/x"), None);
    }

    #[test]
    fn only_people_at_a_page_are_redirected() {
        let navigation =
            |pairs: &[(&'static str, &'static str)]| is_navigation(&headers(pairs), &Method::GET);
        assert!(navigation(&[]));
        assert!(navigation(&[("accept", "*/*")]));
        assert!(navigation(&[("accept", "text/html,application/xhtml+xml;q=0.9")]));
        assert!(navigation(&[
            ("sec-fetch-mode", "navigate"),
            ("accept", "text/html")
        ]));
        assert!(!navigation(&[
            ("sec-fetch-mode", "cors"),
            ("accept", "text/html")
        ]));
        assert!(!navigation(&[("x-requested-with", "XMLHttpRequest")]));
        assert!(!navigation(&[("authorization", "Bearer x")]));
        assert!(!navigation(&[("accept", "application/json")]));
        assert!(!navigation(&[("upgrade", "websocket")]));
        assert!(!is_navigation(&HeaderMap::new(), &Method::POST));
    }
}
