//! Redirect URIs: what may be registered and when a given URI matches (RFC 6749 section 3.1.2, RFC 8252, RFC 9700 section 2.1).
//!
//! Matching is comparison of strings (RFC 3986 section 6.2.1, as RFC 9700 demands): nothing is decoded, folded or normalised.
//! Two registered forms leave one component open: the port of an http loopback URI, and one host label written as `*`.
//!
//! Must not live here: the query of the answer (see [`crate::authorize`]).

use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest redirect URI in bytes.
pub const LONGEST: usize = 2048;

/// Schemes that run code or read files when a browser is sent to them.
const DANGEROUS: [&str; 24] = [
    "javascript",
    "data",
    "vbscript",
    "file",
    "blob",
    "about",
    "filesystem",
    "view-source",
    "ws",
    "wss",
    "ftp",
    "mailto",
    "intent",
    "tel",
    "sms",
    "ssh",
    "smb",
    "ldap",
    "ldaps",
    "telnet",
    "jar",
    "resource",
    "chrome",
    "res",
];

/// Words that stand directly below a country's domain and that anybody can register names under (`co.uk`, `com.au`).
const SECOND_LEVEL: [&str; 12] = [
    "co", "com", "org", "net", "edu", "gov", "ac", "or", "ne", "go", "gob", "nom",
];

/// Domains that give a label to anybody who asks for one.
const SHARED: [&str; 30] = [
    "amazonaws.com",
    "appspot.com",
    "azurewebsites.net",
    "blogspot.com",
    "cloudfront.net",
    "deno.dev",
    "duckdns.org",
    "eu.org",
    "firebaseapp.com",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "glitch.me",
    "herokuapp.com",
    "netlify.app",
    "ngrok.io",
    "ngrok.app",
    "ngrok-free.app",
    "nip.io",
    "no-ip.org",
    "onrender.com",
    "pages.dev",
    "repl.co",
    "run.app",
    "sslip.io",
    "surge.sh",
    "trycloudflare.com",
    "vercel.app",
    "web.app",
    "workers.dev",
];

/// A registered redirect URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectPattern {
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// Compared as a whole.
    Exact(String),
    /// `http://` and a loopback host, any port (RFC 8252 section 7.3); `tail` is path and query.
    Loopback { origin: String, tail: String },
    /// `https://`, one free label, then `rest`: `.example.org`, port, path and query.
    Wildcard { rest: String },
}

impl RedirectPattern {
    /// Reads a URI as an operator registers it.
    ///
    /// Accepted: an absolute `https` or `http` URI; the same with `*` as the first host label (https only); `http` on 127.0.0.1, `[::1]`
    /// or localhost, which then matches with any port; a private-use scheme (RFC 8252 section 7.1).
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(registered: &str) -> Result<Self, String> {
        check_characters(registered)?;
        let (scheme, rest) = registered
            .split_once(':')
            .filter(|(scheme, _)| is_scheme(scheme))
            .ok_or_else(|| {
                format!("redirect URI `{registered}` has no scheme; expected for example https://app.example.org/callback")
            })?;
        let form = match scheme {
            "https" | "http" => web(registered, scheme, rest)?,
            other => {
                private_use(registered, other, rest)?;
                Form::Exact(registered.to_owned())
            }
        };
        Ok(Self { form })
    }

    /// Does a URI from a request match? Never true for another scheme, host, path or query.
    #[must_use]
    pub fn matches(&self, given: &str) -> bool {
        if given.len() > LONGEST {
            return false;
        }
        match &self.form {
            Form::Exact(registered) => given == registered,
            Form::Loopback { origin, tail } => given
                .strip_prefix(origin.as_str())
                .is_some_and(|rest| strip_port(rest) == tail.as_str()),
            Form::Wildcard { rest } => given
                .strip_prefix("https://")
                .and_then(|given| given.split_at_checked(given.find('.')?))
                .is_some_and(|(label, behind)| behind == rest.as_str() && is_free_label(label)),
        }
    }

    /// The one URI that this pattern stands for; `None` when it leaves something open.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        match &self.form {
            Form::Exact(registered) => Some(registered),
            Form::Loopback { .. } | Form::Wildcard { .. } => None,
        }
    }
}

/// Does any registered pattern match? Patterns that cannot be read match nothing.
#[must_use]
pub fn find_match(patterns: &[String], given: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| RedirectPattern::parse(pattern).is_ok_and(|pattern| pattern.matches(given)))
}

/// The registered pattern that looks most like the given URI, for the error page. Looks at the first 50 patterns and 300 characters, so that a
/// stranger's request costs little.
#[must_use]
pub fn nearest<'a>(patterns: &'a [String], given: &str) -> Option<&'a str> {
    let short = |text: &str| text.chars().take(300).collect::<String>();
    let given = short(given);
    patterns
        .iter()
        .take(50)
        .min_by_key(|pattern| doorward_domain::text::distance(&given, &short(pattern)))
        .map(String::as_str)
}

/// Is this an absolute URI in RFC 3986 characters, without fragment, user info or anything that browsers read in two ways?
#[must_use]
pub fn is_well_formed(given: &str) -> bool {
    if check_characters(given).is_err() {
        return false;
    }
    let Some((scheme, rest)) = given.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return false;
    };
    let authority = rest
        .strip_prefix("//")
        .map(|rest| rest.split(['/', '?']).next().unwrap_or(rest));
    match (scheme, authority) {
        ("http" | "https", Some(authority)) => check_authority(given, authority).is_ok(),
        ("http" | "https", None) => false,
        (_, authority) => !rest.is_empty() && !authority.is_some_and(|authority| authority.contains('@')),
    }
}

/// `rest` behind a host: without a leading `:port`, when there is a usable one.
fn strip_port(rest: &str) -> &str {
    let Some(behind) = rest.strip_prefix(':') else {
        return rest;
    };
    let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
    match behind.split_at_checked(digits) {
        Some((port, tail)) if is_port(port) => tail,
        _ => rest,
    }
}

fn is_port(text: &str) -> bool {
    !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn is_scheme(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// A label that `*` may stand for.
fn is_free_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn check_characters(uri: &str) -> Result<(), String> {
    if uri.is_empty() {
        return Err("redirect URI is empty; expected for example https://app.example.org/callback".into());
    }
    if uri.len() > LONGEST {
        return Err(format!(
            "redirect URI has {} bytes; expected at most {LONGEST}",
            uri.len()
        ));
    }
    if let Some(bad) = uri.chars().find(|c| !is_uri_character(*c)) {
        let hint = match url::Url::parse(uri) {
            Ok(url) if !bad.is_ascii() => format!("; in ASCII it reads {url}"),
            _ => String::new(),
        };
        return Err(format!(
            "redirect URI has the character {bad:?}, which a URI may not have{hint}"
        ));
    }
    if uri.contains('#') {
        return Err(format!(
            "redirect URI `{uri}` has a fragment; expected none (RFC 6749 section 3.1.2)"
        ));
    }
    let mut pieces = uri.split('%');
    pieces.next();
    let whole = |piece: &str| piece.bytes().take_while(u8::is_ascii_hexdigit).take(2).count() == 2;
    if !pieces.all(whole) {
        return Err(format!(
            "redirect URI `{uri}` has a % that is not followed by two hexadecimal digits"
        ));
    }
    Ok(())
}

fn is_uri_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c)
}

fn web(registered: &str, scheme: &str, rest: &str) -> Result<Form, String> {
    let rest = rest
        .strip_prefix("//")
        .ok_or_else(|| format!("redirect URI `{registered}` has no host; expected {scheme}://host/path"))?;
    let cut = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(cut).unwrap_or((rest, ""));
    check_tail(registered, tail)?;
    if let Some(behind) = authority.strip_prefix("*.") {
        if scheme != "https" {
            return Err(format!(
                "redirect URI `{registered}` has a wildcard; that is possible with https only"
            ));
        }
        check_wildcard(registered, behind)?;
        return Ok(Form::Wildcard {
            rest: format!(".{behind}{tail}"),
        });
    }
    let host = check_authority(registered, authority)?;
    if scheme == "http" && ["127.0.0.1", "[::1]", "localhost"].contains(&host) {
        return Ok(Form::Loopback {
            origin: format!("http://{host}"),
            tail: tail.to_owned(),
        });
    }
    Ok(Form::Exact(registered.to_owned()))
}

/// Checks `host[:port]` and returns the host.
fn check_authority<'a>(uri: &str, authority: &'a str) -> Result<&'a str, String> {
    if authority.contains('@') {
        return Err(format!(
            "redirect URI `{uri}` has a user name before the host; expected none"
        ));
    }
    let (host, port) = if let Some(inside) = authority.strip_prefix('[') {
        let closing = inside.find(']').map_or(0, |at| at + 2);
        let (host, behind) = authority.split_at_checked(closing).unwrap_or(("", authority));
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if address.is_none_or(|address| address.parse::<Ipv6Addr>().is_err()) {
            return Err(format!("redirect URI `{uri}` has a broken IPv6 address as host"));
        }
        (
            host,
            if behind.is_empty() {
                None
            } else {
                Some(behind.strip_prefix(':').unwrap_or(""))
            },
        )
    } else {
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        check_name(uri, host)?;
        (host, port)
    };
    if port.is_some_and(|port| !is_port(port)) {
        return Err(format!(
            "redirect URI `{uri}` has a bad port; expected 1 to 65535"
        ));
    }
    Ok(host)
}

fn check_name(uri: &str, host: &str) -> Result<(), String> {
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if host.is_empty() || host.len() > 253 || !host.split('.').all(label_ok) {
        return Err(format!(
            "redirect URI `{uri}` has a bad host; expected a name such as app.example.org without a dot at the end"
        ));
    }
    // Browsers read a host with a number as its last label as an IPv4 address, also in forms such as 0x7f.1.
    let last = host.rsplit('.').next().unwrap_or(host);
    let numeric =
        last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(format!(
            "redirect URI `{uri}` has a bad IPv4 address as host; expected for example 192.0.2.1"
        ));
    }
    Ok(())
}

fn check_tail(uri: &str, tail: &str) -> Result<(), String> {
    if tail.contains('*') {
        return Err(format!(
            "redirect URI `{uri}` has a `*` behind the host; only the first host label may be `*`"
        ));
    }
    let path = tail.split('?').next().unwrap_or("");
    let dots = |segment: &str| {
        matches!(
            segment.to_ascii_lowercase().replace("%2e", ".").as_str(),
            "." | ".."
        )
    };
    if path.split('/').any(dots) {
        return Err(format!(
            "redirect URI `{uri}` has `.` or `..` as a path segment; write the path it leads to"
        ));
    }
    Ok(())
}

fn check_wildcard(uri: &str, behind: &str) -> Result<(), String> {
    let host = check_authority(uri, behind)?;
    let labels: Vec<String> = host.split('.').map(str::to_ascii_lowercase).collect();
    let shared = SHARED.contains(&labels.join(".").as_str());
    let below_country = match labels.as_slice() {
        [second, country] => country.len() == 2 && SECOND_LEVEL.contains(&second.as_str()),
        _ => false,
    };
    if labels.len() < 2
        || host.parse::<Ipv4Addr>().is_ok()
        || host.starts_with('[')
        || shared
        || below_country
    {
        return Err(format!(
            "redirect URI `{uri}` has a wildcard over names that belong to different people; expected at least *.example.org"
        ));
    }
    Ok(())
}

fn private_use(uri: &str, scheme: &str, rest: &str) -> Result<(), String> {
    let lower = scheme.to_ascii_lowercase();
    if lower == "http" || lower == "https" {
        return Err(format!(
            "redirect URI `{uri}` has a scheme in upper case; expected {lower}"
        ));
    }
    if DANGEROUS.contains(&lower.as_str()) {
        return Err(format!(
            "redirect URI `{uri}` has the scheme {lower}, which a browser must never be sent to"
        ));
    }
    // RFC 8252 section 8.4 asks for a reversed domain; many well-known apps register a plain word, and administrators
    // connect those too. PKCE is what guards the code there.
    if scheme.len() < 3 || scheme.starts_with('.') || scheme.ends_with('.') {
        return Err(format!(
            "redirect URI `{uri}` has the scheme {scheme}, which no app has; expected https, or a scheme of the app's \
             own such as org.example.app:/callback (RFC 8252 section 7.1)"
        ));
    }
    let authority = rest
        .strip_prefix("//")
        .map(|rest| rest.split(['/', '?']).next().unwrap_or(rest));
    if authority.is_some_and(|authority| authority.contains('@')) {
        return Err(format!(
            "redirect URI `{uri}` has a user name before the host; expected none"
        ));
    }
    if rest.is_empty() {
        return Err(format!(
            "redirect URI `{uri}` ends behind its scheme; expected for example {scheme}:/callback"
        ));
    }
    let path = authority.map_or(rest, |authority| {
        rest.strip_prefix("//")
            .and_then(|rest| rest.strip_prefix(authority))
            .unwrap_or("")
    });
    check_tail(uri, path)
}
