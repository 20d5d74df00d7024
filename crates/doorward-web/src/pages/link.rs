//! Addresses that a page may point at. A [`Link`] can only be made from a text that is safe as a target, so that no
//! template has to remember to check (`javascript:` and the like do not exist here).

use std::fmt;

/// Longest accepted address, in bytes.
const LONGEST: usize = 16_384;

/// An address that was checked; shown and used as it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link<'a>(&'a str);

/// Schemes that run, embed or read something in the page's own name instead of going somewhere.
const NEVER: &[&str] = &[
    "about",
    "blob",
    "chrome",
    "data",
    "file",
    "filesystem",
    "intent",
    "javascript",
    "jar",
    "resource",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

impl<'a> Link<'a> {
    /// A path on this server, for example `/if/user/?q=mail`. `None` for everything that a browser could read as another
    /// host (`//host`, `/\host`) or that holds control characters, spaces or backslashes.
    #[must_use]
    pub fn local(path: &'a str) -> Option<Self> {
        let starts_well = path.starts_with('/') && !path.starts_with("//");
        (starts_well && is_clean(path)).then_some(Self(path))
    }

    /// An address on the web, `http` or `https` with a host: icons, launch addresses, iframes.
    #[must_use]
    pub fn web(address: &'a str) -> Option<Self> {
        let (scheme, rest) = split_scheme(address)?;
        let web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        let host = rest.strip_prefix("//")?;
        let has_host = !host.is_empty() && !host.starts_with(['/', '?', '#', '@', ':']);
        (web && has_host && is_clean(address)).then_some(Self(address))
    }

    /// Where a client wants people back: on the web, or a scheme of its own (RFC 8252 section 7.1) that is none of those that
    /// act in the name of the page.
    #[must_use]
    pub fn client(address: &'a str) -> Option<Self> {
        let (scheme, _) = split_scheme(address)?;
        if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
            return Self::web(address);
        }
        let forbidden = NEVER.iter().any(|never| never.eq_ignore_ascii_case(scheme));
        (!forbidden && is_clean(address)).then_some(Self(address))
    }

    /// The address.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Host and port of a web address, for people to read; the whole scheme of any other.
    #[must_use]
    pub fn host(self) -> &'a str {
        let Some((scheme, rest)) = self.0.split_once(':') else {
            return self.0;
        };
        if Self::web(self.0).is_none() {
            return scheme;
        }
        let authority = rest.trim_start_matches('/').split(['/', '?', '#']).next();
        let authority = authority.unwrap_or(rest);
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    }
}

impl fmt::Display for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Scheme and the rest (RFC 3986 section 3.1). Browsers forgive blanks and line breaks around and inside a scheme; this does not.
fn split_scheme(address: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = address.split_once(':')?;
    let mut bytes = scheme.bytes();
    let valid = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    valid.then_some((scheme, rest))
}

fn is_clean(address: &str) -> bool {
    address.len() <= LONGEST
        && !address
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_embedded_content_never_become_a_link() {
        for attack in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " javascript:alert(1)",
            "\u{1}javascript:alert(1)",
            "java\tscript:alert(1)",
            "java\nscript:alert(1)",
            "javascript\u{0}:alert(1)",
            "javascript://example.org/%0aalert(1)",
            "data:text/html,<script>alert(1)</script>",
            "data:image/svg+xml,<svg onload=alert(1)>",
            "DATA:image/png;base64,AAAA",
            "vbscript:msgbox",
            "blob:https://example.org/1",
            "file:///etc/passwd",
            "about:blank",
            "view-source:https://example.org",
            "filesystem:https://example.org/x",
            "",
            ":",
            "//example.org/x",
            "example.org",
            "https:example.org",
            "https://",
            "https:///path",
            "https://@",
            "https://exa mple.org",
            "https://example.org/\r\nSet-Cookie: a=b",
            "https:\\\\example.org",
        ] {
            assert_eq!(Link::web(attack), None, "web {attack:?}");
            assert_eq!(Link::client(attack), None, "client {attack:?}");
            assert_eq!(Link::local(attack), None, "local {attack:?}");
        }
    }

    #[test]
    fn a_local_path_never_leads_to_another_host() {
        for attack in [
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "\\/evil.example",
            "evil",
            "/a b",
        ] {
            assert_eq!(Link::local(attack), None, "{attack:?}");
        }
        for path in ["/", "/if/user/?q=a%20b", "/if/flow/sign-in/?next=//x"] {
            assert_eq!(Link::local(path).unwrap().as_str(), path);
        }
    }

    #[test]
    fn clients_may_use_schemes_of_their_own() {
        for address in [
            "com.example.app:/cb",
            "myapp://done",
            "https://g.example/out",
            "http://127.0.0.1:5000/",
        ] {
            assert!(Link::client(address).is_some(), "{address}");
        }
        assert_eq!(Link::web("myapp://done"), None);
    }

    #[test]
    fn the_host_is_what_a_person_reads() {
        for (address, host) in [
            ("https://g.example:8443/a?b#c", "g.example:8443"),
            ("https://bank.example@evil.example/", "evil.example"),
            ("com.example.app:/cb", "com.example.app"),
            ("com.example.app://cb", "com.example.app"),
            ("myapp://done", "myapp"),
            ("HTTPS://g.example", "g.example"),
        ] {
            assert_eq!(Link::client(address).unwrap().host(), host, "{address}");
        }
    }

    #[test]
    fn endless_addresses_are_refused() {
        let long = format!("https://example.org/{}", "a".repeat(LONGEST));
        assert_eq!(Link::web(&long), None);
    }
}
