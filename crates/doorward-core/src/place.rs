//! Places on the web as far as sites need them: scheme, host, port, path with query. Read strictly and written anew, so that what
//! leaves as a redirect is what was decided on.

use doorward_domain::site::{Authority, is_printable_target};

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Reached by https.
    pub https: bool,
    /// Host in lower case, without brackets.
    pub host: String,
    /// Port, when it is not the scheme's own.
    pub port: Option<u16>,
    /// Path and query; begins with a slash.
    pub target: String,
}

impl Place {
    /// From what a proxy says of a request. `None` for what is no place, and for a fragment, which no request has.
    #[must_use]
    pub fn of(https: bool, authority: &str, target: &str) -> Option<Self> {
        let mut buffer = String::new();
        let authority = Authority::parse(authority, &mut buffer)?;
        if !target.starts_with('/') || !is_printable_target(target) || target.contains('#') {
            return None;
        }
        Some(Self {
            https,
            host: authority.host.to_owned(),
            port: authority.odd_port(https),
            target: target.to_owned(),
        })
    }

    /// From an absolute URL with http or https. A fragment is dropped.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let (https, rest) = split_scheme(url)?;
        let rest = rest.split('#').next().unwrap_or_default();
        let ends = |byte: u8| matches!(byte, b'/' | b'?');
        let (authority, target) = match rest.bytes().position(ends) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        if target.starts_with('?') {
            return Self::of(https, authority, &format!("/{target}"));
        }
        Self::of(https, authority, target)
    }

    /// Host with port, as in a URL.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    /// The whole.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.origin(), self.target)
    }

    /// The host as the sites know it.
    #[must_use]
    pub fn as_authority(&self) -> Authority<'_> {
        Authority {
            host: &self.host,
            port: self.port,
        }
    }
}

/// `http` or `https`, in any case of letters, and what follows.
pub(crate) fn split_scheme(url: &str) -> Option<(bool, &str)> {
    let begins = |scheme: &str| {
        let (begin, rest) = url.split_at_checked(scheme.len())?;
        begin.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    match begins("https://") {
        Some(rest) => Some((true, rest)),
        None => begins("http://").map(|rest| (false, rest)),
    }
}

/// Where this program itself lives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Home(Option<Place>);

impl Home {
    pub(crate) fn new(public_url: &str) -> Self {
        Self(Place::parse(public_url))
    }

    pub(crate) fn host(&self) -> Option<&str> {
        self.0.as_ref().map(|place| place.host.as_str())
    }

    pub(crate) fn https(&self) -> bool {
        self.0.as_ref().is_some_and(|place| place.https)
    }

    /// The same host and port, by whichever scheme: the proxy in front may not say.
    pub(crate) fn lives_at(&self, place: &Place) -> bool {
        self.0
            .as_ref()
            .is_some_and(|home| home.host == place.host && home.port == place.port)
    }

    /// Is this the very host and port that this program lives at?
    pub(crate) fn is(&self, place: &Place) -> bool {
        self.0.as_ref().is_some_and(|home| {
            home.host == place.host && home.port == place.port && home.https == place.https
        })
    }
}

/// The value of `rd` in a query. Proxies put the wanted URL there as it is, with its own `&` and `=`: then everything up to the end
/// belongs to it. One that is written as it should be ends at the next `&`.
#[must_use]
pub fn return_of(query: &str) -> Option<String> {
    let at = query
        .match_indices("rd=")
        .map(|(at, _)| at)
        .find(|at| *at == 0 || query.as_bytes().get(at.wrapping_sub(1)) == Some(&b'&'))?;
    let rest = query.get(at + 3..)?;
    if split_scheme(rest).is_some() || (rest.starts_with('/') && !rest.starts_with("//")) {
        return Some(rest.to_owned());
    }
    let value = rest.split('&').next().unwrap_or_default();
    let undone = unescape(value)?;
    Some(undone)
}

/// Undoes percent escapes once; a plus sign stays one. `None` for what is no escape or no UTF-8.
#[must_use]
pub fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        out.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(out).ok()
}

/// Escapes everything but unreserved characters (RFC 3986 section 2.3).
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_as_it_was_decided_on() {
        let url = |text: &str| Place::parse(text).map(|place| place.url());
        assert_eq!(
            url("HTTPS://Wiki.Example.org:443/a?b=c#d").as_deref(),
            Some("https://wiki.example.org/a?b=c")
        );
        assert_eq!(url("http://[::1]:8080").as_deref(), Some("http://[::1]:8080/"));
        assert_eq!(
            url("https://a.example?x=//evil").as_deref(),
            Some("https://a.example/?x=//evil")
        );
        for bad in [
            "javascript://a.example/%0aalert(1)",
            "//a.example/",
            "https:/a.example",
            "https://a.example@evil.example/",
            "https://a.example\\@evil.example/",
            "https://evil.example\\.a.example/",
            "https:// a.example/",
            "https://a.example/\r\nSet-Cookie: x",
            "https://a.example/ x",
            "https://a.example/\u{e4}",
            "https://%61.example/",
        ] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_wanted_url_survives_however_it_was_written() {
        let rd = |query: &str| return_of(query).unwrap_or_default();
        assert_eq!(
            rd("rd=https://a.example/x?y=1&z=2&rd=3"),
            "https://a.example/x?y=1&z=2&rd=3"
        );
        assert_eq!(
            rd("rd=https%3A%2F%2Fa.example%2Fx%3Fy%3D1%26z%3D%2520&b=7"),
            "https://a.example/x?y=1&z=%20"
        );
        assert_eq!(rd("b=7&rd=https://a.example/?a=b&c"), "https://a.example/?a=b&c");
        assert_eq!(rd("xrd=https://evil/&rd=/here?x&y"), "/here?x&y");
        assert_eq!(return_of("rdx=1"), None);
        assert_eq!(return_of("rd=%zz"), None);
    }
}
