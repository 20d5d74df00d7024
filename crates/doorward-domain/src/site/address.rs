//! Addresses of sites, and the host part of a request.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest host name in bytes (RFC 1035 section 2.3.4).
const LONGEST_HOST: usize = 253;
/// Longest path of an address.
const LONGEST_PATH: usize = 200;

/// The host that a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Authority<'a> {
    /// Host name or address in lower case, without a dot at its end and without brackets.
    pub host: &'a str,
    /// Port, when one was written.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`. `buffer` takes the lower-case copy when one is needed. `None` for everything
    /// that is no host: such a request is for nobody.
    #[must_use]
    pub fn parse(text: &'a str, buffer: &'a mut String) -> Option<Self> {
        let (host, port) = split_port(text)?;
        let host = host.strip_suffix('.').unwrap_or(host);
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            buffer.clear();
            buffer.push_str(host);
            buffer.make_ascii_lowercase();
            buffer.as_str()
        } else {
            host
        };
        is_host(host).then_some(Self { host, port })
    }

    /// The port without the one that the scheme has anyway.
    #[must_use]
    pub fn odd_port(&self, https: bool) -> Option<u16> {
        self.port.filter(|port| *port != standard_port(https))
    }
}

const fn standard_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    if text.len() > LONGEST_HOST + 10 {
        return None;
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        inside.parse::<std::net::Ipv6Addr>().ok()?;
        return match after.strip_prefix(':') {
            Some(port) => Some((inside, Some(parse_port(port)?))),
            None => after.is_empty().then_some((inside, None)),
        };
    }
    match text.split_once(':') {
        None => Some((text, None)),
        Some((host, port)) => Some((host, Some(parse_port(port)?))),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .filter(|port| *port != 0)
}

/// Is this a host name in lower case, or an address?
fn is_host(host: &str) -> bool {
    if host.contains(':') {
        return host.parse::<std::net::Ipv6Addr>().is_ok();
    }
    if host.len() > LONGEST_HOST {
        return false;
    }
    // One look at each byte: this runs for every check.
    let mut label = 0_usize;
    let mut last = 0_usize;
    for (at, byte) in host.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' if label < 63 => label += 1,
            b'.' if label > 0 => {
                label = 0;
                last = at + 1;
            }
            _ => return false,
        }
    }
    // Browsers read what ends in a number as an address, in more ways than one (URL Standard, "ends in a number checker").
    let last = host.get(last..).unwrap_or_default();
    let hex = last.strip_prefix("0x");
    let number = last.bytes().all(|byte| byte.is_ascii_digit())
        || hex.is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    label > 0 && (!number || host.parse::<std::net::Ipv4Addr>().is_ok())
}

/// Is this an address instead of a name?
pub(super) fn is_ip(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
}

/// Which hosts a site is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Exactly this one.
    Exact(String),
    /// One label before this, written `*.example.org`.
    Label(String),
    /// This one and everything below it, written `.example.org`.
    Domain(String),
}

impl HostPattern {
    /// The name without its mark.
    #[must_use]
    pub fn base(&self) -> &str {
        match self {
            Self::Exact(base) | Self::Label(base) | Self::Domain(base) => base,
        }
    }

    /// Does it cover this host?
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        match self {
            Self::Exact(base) => host == base,
            Self::Label(base) => below(host, base).is_some_and(|label| !label.contains('.')),
            Self::Domain(base) => host == base || below(host, base).is_some(),
        }
    }
}

/// What stands before `.base` in a host.
fn below<'a>(host: &'a str, base: &str) -> Option<&'a str> {
    host.strip_suffix(base)?
        .strip_suffix('.')
        .filter(|label| !label.is_empty())
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(base) if base.contains(':') => write!(f, "[{base}]"),
            Self::Exact(base) => f.write_str(base),
            Self::Label(base) => write!(f, "*.{base}"),
            Self::Domain(base) => write!(f, ".{base}"),
        }
    }
}

/// Scheme, hosts, port and path of a site, written like a URL: `https://wiki.example.org`, `https://*.example.org`,
/// `https://.example.org` (the domain and everything below), `http://localhost:8080/app`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SiteAddress {
    /// Reached by https.
    pub https: bool,
    /// Which hosts.
    pub host: HostPattern,
    /// This port only; `None`: whichever the proxy listens on.
    pub port: Option<u16>,
    /// Paths at and below this; `/` for all. Without a slash at its end otherwise.
    pub path: String,
}

impl SiteAddress {
    /// Is a path (as it is decided on) at or below this site's?
    #[must_use]
    pub fn covers_path(&self, path: &str) -> bool {
        super::path::is_below(path, &self.path)
    }
}

impl fmt::Display for SiteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

impl From<SiteAddress> for String {
    fn from(address: SiteAddress) -> Self {
        address.to_string()
    }
}

impl TryFrom<String> for SiteAddress {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for SiteAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |what: &str| {
            format!(
                "site `{text}` {what}; expected for example https://wiki.example.org, https://*.example.org or https://.example.org/app"
            )
        };
        let (https, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(bad("has a scheme other than https and http")),
            None => return Err(bad("has no scheme")),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        if rest.contains(['?', '#', '@', '\\']) {
            return Err(bad("has a query, a fragment, a user name or a backslash"));
        }
        if !authority.is_ascii() {
            return Err(bad(
                "has a host with letters outside ASCII (write it in its xn-- form)",
            ));
        }
        type Make = fn(String) -> HostPattern;
        let (make, authority): (Make, &str) = if let Some(base) = authority.strip_prefix("*.") {
            (HostPattern::Label, base)
        } else if let Some(base) = authority.strip_prefix('.') {
            (HostPattern::Domain, base)
        } else {
            (HostPattern::Exact, authority)
        };
        let mut buffer = String::new();
        let Some(parsed) = Authority::parse(authority, &mut buffer) else {
            return Err(bad("has no host that can be used"));
        };
        let port = parsed.odd_port(https);
        let host = make(parsed.host.to_owned());
        if !matches!(host, HostPattern::Exact(_)) && is_ip(host.base()) {
            return Err(bad("puts a wildcard before an address"));
        }
        let path = super::path::site_path(path).map_err(|what| bad(&what))?;
        if path.len() > LONGEST_PATH {
            return Err(bad("has a path of more than 200 characters"));
        }
        Ok(Self {
            https,
            host,
            port,
            path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(String, Option<u16>)> {
        let mut buffer = String::new();
        Authority::parse(text, &mut buffer).map(|found| (found.host.to_owned(), found.port))
    }

    #[test]
    fn hosts_are_read_strictly() {
        assert_eq!(
            parse("Wiki.Example.ORG."),
            Some(("wiki.example.org".into(), None))
        );
        assert_eq!(
            parse("wiki.example.org:8443"),
            Some(("wiki.example.org".into(), Some(8443)))
        );
        assert_eq!(parse("[::1]:80"), Some(("::1".into(), Some(80))));
        assert_eq!(parse("192.0.2.1"), Some(("192.0.2.1".into(), None)));
        for bad in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "a/b",
            "a@b",
            "a:b",
            "a:",
            "a:0",
            "a:99999",
            "a:+80",
            "a,b",
            "a\\b",
            "[::1",
            "[::1]x",
            "[x]",
            "::1",
            "a%2eb",
            "ä.example",
            "a:80:80",
            "a\r\nb",
            "a..",
            "127.1",
            "2130706433",
            "0x7f.0x1",
            "0x",
            "a.192.0.2.1",
            "192.0.2.256",
            "192.0.2.01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse(&"a".repeat(64)), None);
        assert_eq!(parse(&"a.".repeat(200)), None);
    }

    #[test]
    fn addresses_are_written_as_they_are_read() {
        for text in [
            "https://wiki.example.org/",
            "https://*.example.org/",
            "https://.example.org/",
            "http://localhost:8080/app",
            "http://[::1]:8080/",
        ] {
            assert_eq!(text.parse::<SiteAddress>().unwrap().to_string(), text);
        }
        let short: SiteAddress = "https://Wiki.Example.Org:443".parse().unwrap();
        assert_eq!(short.to_string(), "https://wiki.example.org/");
        let slash: SiteAddress = "https://wiki.example.org/app/".parse().unwrap();
        assert_eq!(slash.to_string(), "https://wiki.example.org/app");
    }

    #[test]
    fn addresses_that_cannot_be_meant_are_refused() {
        for bad in [
            "",
            "wiki.example.org",
            "ftp://a.example",
            "https://",
            "https:///x",
            "https://*",
            "https://*.",
            "https://a.*.example",
            "https://**.example",
            "https://a.example?x",
            "https://u@a.example",
            "https://a.example/../b",
            "https://a.example//b",
            "https://*.192.0.2.1",
            "https://ä.example",
            "https://a.example/%2e%2e/b",
        ] {
            assert!(bad.parse::<SiteAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_cover_what_they_say() {
        let covers = |pattern: &str, host: &str| {
            format!("https://{pattern}")
                .parse::<SiteAddress>()
                .unwrap()
                .host
                .covers(host)
        };
        assert!(covers("wiki.example.org", "wiki.example.org"));
        assert!(!covers("wiki.example.org", "xwiki.example.org"));
        assert!(covers("*.example.org", "a.example.org"));
        for not in ["example.org", "a.b.example.org", "aexample.org", ".example.org"] {
            assert!(!covers("*.example.org", not), "{not}");
        }
        for within in ["example.org", "a.example.org", "a.b.example.org"] {
            assert!(covers(".example.org", within), "{within}");
        }
        assert!(!covers(".example.org", "badexample.org"));
    }
}
