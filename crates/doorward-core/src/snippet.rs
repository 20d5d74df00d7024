//! Configuration texts for the proxies that ask Doorward before every request: what `doorward application snippet` prints.
//!
//! Texts only. The fixed parts are files beside this one, with `<<name>>` where something goes; what repeats per header, host
//! or path is made here. The end-to-end tests start real proxies from exactly these texts.

mod caddy;
mod envoy;
mod fill;
mod haproxy;
mod kubernetes;
mod nginx;
mod traefik;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use fill::fill;

/// Headers that tell the service who came. A forged one from outside must never arrive, so every proxy overwrites all of them, also those of the sets that are off.
pub const IDENTITY_HEADERS: [&str; 24] = [
    "X-Doorward-Username",
    "X-Doorward-Email",
    "X-Doorward-Name",
    "X-Doorward-Groups",
    "X-Doorward-Uid",
    "X-Doorward-User-Id",
    "X-Doorward-Application",
    "X-Doorward-Jwt",
    "X-authentik-username",
    "X-authentik-groups",
    "X-authentik-entitlements",
    "X-authentik-email",
    "X-authentik-name",
    "X-authentik-uid",
    "X-authentik-jwt",
    "X-authentik-meta-jwks",
    "X-authentik-meta-outpost",
    "X-authentik-meta-provider",
    "X-authentik-meta-app",
    "X-authentik-meta-version",
    "Remote-User",
    "Remote-Groups",
    "Remote-Email",
    "Remote-Name",
];

/// Headers between the proxy and Doorward. They mean nothing to the service.
const CONTROL_HEADERS: [&str; 5] = [
    "X-Doorward-Location",
    "X-Doorward-Code",
    "X-Doorward-Strip-Authorization",
    "X-Original-URL",
    "X-Original-Method",
];

/// Ways in which a visitor could lie to the service about the way of the request; what the proxy knows itself it sets anew.
const FORWARDED_HEADERS: [&str; 9] = [
    "Forwarded",
    "X-Forwarded-Host",
    "X-Forwarded-Method",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-Uri",
    "X-Real-IP",
];

/// What the check wants to know of a request besides its address.
const ASKED_HEADERS: [&str; 13] = [
    "Cookie",
    "Authorization",
    "Accept",
    "Accept-Language",
    "User-Agent",
    "Origin",
    "Referer",
    "Sec-Fetch-Dest",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Site",
    "Sec-Fetch-User",
    "Upgrade",
    "X-Requested-With",
];

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// nginx with `auth_request`.
    Nginx,
    /// Caddy 2.
    Caddy,
    /// Traefik 3 with `forwardAuth`.
    Traefik,
    /// Envoy with `ext_authz` over HTTP.
    Envoy,
    /// `HAProxy` with Lua.
    Haproxy,
    /// Ingresses: ingress-nginx and Traefik.
    Kubernetes,
}

impl Proxy {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Nginx,
        Self::Caddy,
        Self::Traefik,
        Self::Envoy,
        Self::Haproxy,
        Self::Kubernetes,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Traefik => "traefik",
            Self::Envoy => "envoy",
            Self::Haproxy => "haproxy",
            Self::Kubernetes => "kubernetes",
        }
    }
}

impl FromStr for Proxy {
    type Err = UnknownProxy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|proxy| proxy.as_str() == text);
        found.copied().ok_or(UnknownProxy)
    }
}

/// The word names no proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownProxy;

impl fmt::Display for UnknownProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected nginx, caddy, traefik, envoy, haproxy or kubernetes")
    }
}

impl std::error::Error for UnknownProxy {}

/// One address that people open, and the service behind it.
#[derive(Clone, Copy, Debug)]
pub struct SnippetSite<'a> {
    /// `wiki.example.org`, `*.example.org` (one label) or `.example.org` (the domain and everything below).
    pub host: &'a str,
    /// Port, when it is not the usual one.
    pub port: Option<u16>,
    /// Does the proxy speak TLS there?
    pub https: bool,
    /// What is guarded: this path and everything below.
    pub path: &'a str,
    /// `host:port` of the service.
    pub upstream: &'a str,
}

/// What to write.
#[derive(Clone, Copy, Debug)]
pub struct Snippet<'a> {
    /// For whom.
    pub proxy: Proxy,
    /// `host:port` where the proxy reaches Doorward.
    pub doorward: &'a str,
    /// Where people sign in.
    pub public_url: &'a str,
    /// What is guarded.
    pub sites: &'a [SnippetSite<'a>],
    /// Address that the proxy listens on; all of them when none is given.
    pub bind: Option<&'a str>,
    /// Files with certificate and key, for sites with TLS.
    pub certificate: Option<(&'a str, &'a str)>,
}

/// One file of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnippetFile {
    /// Where it usually goes.
    pub path: &'static str,
    /// What is in it.
    pub text: String,
}

impl Snippet<'_> {
    /// The files, the main one first.
    #[must_use]
    pub fn files(&self) -> Vec<SnippetFile> {
        match self.proxy {
            Proxy::Nginx => nginx::files(self),
            Proxy::Caddy => caddy::files(self),
            Proxy::Traefik => traefik::files(self),
            Proxy::Envoy => envoy::files(self),
            Proxy::Haproxy => haproxy::files(self),
            Proxy::Kubernetes => kubernetes::files(self),
        }
    }

    /// Everything in one text; several files stand one below the other, each under a line with its name.
    #[must_use]
    pub fn text(&self) -> String {
        let files = self.files();
        if let [only] = files.as_slice() {
            return only.text.clone();
        }
        let part = |file: &SnippetFile| {
            let mark = if file.path.ends_with(".lua") { "--" } else { "#" };
            format!("{mark} ======== {} ========\n{}", file.path, file.text)
        };
        files.iter().map(part).collect::<Vec<_>>().join("\n")
    }

    /// The sites by host, port and scheme, in a stable order; a host may have several guarded paths.
    fn doors(&self) -> Vec<Door<'_>> {
        let mut found: BTreeMap<(&str, u16, bool), Vec<Place<'_>>> = BTreeMap::new();
        for site in self.sites {
            let port = site.port.unwrap_or(if site.https { 443 } else { 80 });
            found
                .entry((site.host, port, site.https))
                .or_default()
                .push(Place {
                    path: site.path,
                    upstream: site.upstream,
                });
        }
        let mut doors: Vec<Door<'_>> = found
            .into_iter()
            .map(|((host, port, https), mut places)| {
                // Proxies that take the first match must see the longer path first.
                places.sort_by_key(|place| std::cmp::Reverse(place.path.len()));
                places.dedup_by_key(|place| place.path);
                Door {
                    host,
                    port,
                    https,
                    places,
                }
            })
            .collect();
        doors.sort_by_key(|door| (door.rank(), std::cmp::Reverse(door.host.len())));
        doors
    }

    /// What comes first in every text.
    fn heading(&self) -> String {
        let hosts: Vec<String> = self.doors().iter().map(Door::address).collect();
        fill(
            include_str!("snippet/heading.txt"),
            &[
                ("sites", &hosts.join(", ")),
                ("doorward", self.doorward),
                ("public_url", self.public_url),
            ],
        )
    }

    /// `address:port` for a listener, or only the port.
    fn listen(&self, port: u16) -> String {
        self.bind
            .map_or_else(|| port.to_string(), |bind| format!("{bind}:{port}"))
    }
}

/// One host as the proxy serves it.
struct Door<'a> {
    host: &'a str,
    port: u16,
    https: bool,
    places: Vec<Place<'a>>,
}

/// A path of a host, and what is behind it.
struct Place<'a> {
    path: &'a str,
    upstream: &'a str,
}

/// How the host of a site is written.
enum Host<'a> {
    /// Exactly this one.
    Exact(&'a str),
    /// One label below this one.
    Star(&'a str),
    /// This one and everything below.
    Parent(&'a str),
}

impl<'a> Door<'a> {
    fn kind(&self) -> Host<'a> {
        if let Some(parent) = self.host.strip_prefix("*.") {
            Host::Star(parent)
        } else if let Some(parent) = self.host.strip_prefix('.') {
            Host::Parent(parent)
        } else {
            Host::Exact(self.host)
        }
    }

    /// From the special to the general.
    fn rank(&self) -> u8 {
        match self.kind() {
            Host::Exact(_) => 0,
            Host::Star(_) => 1,
            Host::Parent(_) => 2,
        }
    }

    /// A regular expression for exactly the hosts that are meant, in lower case and without port.
    fn pattern(&self) -> String {
        let escaped = |host: &str| host.replace('.', r"\.").replace('[', r"\[").replace(']', r"\]");
        match self.kind() {
            Host::Exact(host) => format!("^{}$", escaped(host)),
            Host::Star(parent) => format!(r"^[^.]+\.{}$", escaped(parent)),
            Host::Parent(parent) => format!(r"^(.+\.)?{}$", escaped(parent)),
        }
    }

    fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// `:port`, or nothing for the usual port.
    fn port_suffix(&self) -> String {
        match (self.https, self.port) {
            (true, 443) | (false, 80) => String::new(),
            (_, port) => format!(":{port}"),
        }
    }

    /// What people type.
    fn address(&self) -> String {
        format!("{}://{}{}/", self.scheme(), self.host, self.port_suffix())
    }

    /// A name for the parts of a configuration that need one.
    fn name(&self, separator: char) -> String {
        let host = match self.kind() {
            Host::Exact(host) => host.to_owned(),
            Host::Star(parent) => format!("any.{parent}"),
            Host::Parent(parent) => format!("all.{parent}"),
        };
        let plain = |letter: char| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                separator
            }
        };
        format!("{host}{}", self.port_suffix())
            .chars()
            .map(plain)
            .collect()
    }

    /// Where its certificate is expected when the command line did not say.
    fn certificate(&self, given: Option<(&str, &str)>) -> (String, String) {
        given.map_or_else(
            || {
                let name = self.host.trim_start_matches(['*', '.']);
                (format!("/etc/ssl/{name}.crt"), format!("/etc/ssl/{name}.key"))
            },
            |(certificate, key)| (certificate.to_owned(), key.to_owned()),
        )
    }
}

impl Place<'_> {
    /// The path without a slash at its end; empty for the whole host.
    fn stem(&self) -> &str {
        self.path.trim_end_matches('/')
    }
}

/// One text per item, one below the other.
fn lines<T>(items: impl IntoIterator<Item = T>, line: impl Fn(T) -> String) -> String {
    items.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
