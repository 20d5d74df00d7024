//! The address that people and applications use for this server.

use std::fmt;
use url::{Host, Url};

/// Scheme, host and port, nothing else: `https://id.example.org`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicUrl {
    url: Url,
    text: String,
}

/// Why a text is no public URL; the sentences never hold the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublicUrlProblem {
    /// Not an absolute URL at all.
    Form,
    /// A host without a scheme.
    Scheme,
    /// User name or password.
    UserInfo,
    /// A path.
    Path,
    /// Query or fragment.
    Query,
    /// A wildcard or an unspecified address.
    Host,
}

impl PublicUrl {
    /// Reads and normalises: lower-case host, default port dropped, no slash at the end.
    pub(crate) fn parse(text: &str) -> Result<Self, PublicUrlProblem> {
        if text.len() > 2000 || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(PublicUrlProblem::Form);
        }
        // The parser of the URL standard forgives much (`https:host`, backslashes) that no other program does.
        let lower = text.to_ascii_lowercase();
        if !lower.starts_with("http://") && !lower.starts_with("https://") || text.contains('\\') {
            return Err(if text.contains("://") {
                PublicUrlProblem::Form
            } else {
                PublicUrlProblem::Scheme
            });
        }
        let url = Url::parse(text).map_err(|_| PublicUrlProblem::Form)?;
        if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
            return Err(PublicUrlProblem::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(PublicUrlProblem::Query);
        }
        if url.path() != "/" {
            return Err(PublicUrlProblem::Path);
        }
        match url.host() {
            Some(Host::Domain(domain)) if !domain.contains('*') && !domain.is_empty() => {}
            Some(Host::Ipv4(address)) if !address.is_unspecified() => {}
            Some(Host::Ipv6(address)) if !address.is_unspecified() => {}
            _ => return Err(PublicUrlProblem::Host),
        }
        if url.port() == Some(0) {
            return Err(PublicUrlProblem::Form);
        }
        let text = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, text })
    }

    /// Without a slash at the end: `https://id.example.org`. Also the origin (RFC 6454) in its serialised form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As a URL; its path is `/`.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The host name or address, in lower case, IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The port, explicit or that of the scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(443)
    }

    /// Whether the scheme is https; cookies carry `Secure` and the `__Host-` prefix exactly then.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether the host is this machine: `localhost`, names below it (RFC 6761 section 6.3) and loopback addresses.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(Host::Domain(domain)) => {
                let domain = domain.trim_end_matches('.');
                domain == "localhost" || domain.ends_with(".localhost")
            }
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => std::net::IpAddr::V6(address).to_canonical().is_loopback(),
            None => false,
        }
    }

    /// The address of a path on this server.
    ///
    /// `path` begins with a slash and is already percent-encoded.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
