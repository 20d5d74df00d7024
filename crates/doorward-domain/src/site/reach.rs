//! How far the cookie of a site reaches: over the smallest domain that holds all of our sites in the same registrable domain, and
//! never over a public suffix.

use std::collections::HashMap;

use super::Site;
use super::address::is_ip;

/// Where a cookie is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach<'a> {
    /// On this host alone.
    Host(&'a str),
    /// On this domain and everything below it.
    Domain(&'a str),
}

impl<'a> Reach<'a> {
    /// The name of the host or domain.
    #[must_use]
    pub const fn name(self) -> &'a str {
        match self {
            Self::Host(name) | Self::Domain(name) => name,
        }
    }

    /// Is a host within it?
    #[must_use]
    pub fn covers(self, host: &str) -> bool {
        match self {
            Self::Host(name) => host == name,
            Self::Domain(name) => {
                host == name
                    || host
                        .strip_suffix(name)
                        .is_some_and(|before| before.ends_with('.'))
            }
        }
    }
}

/// The registrable domain of a host: one label more than its public suffix (<https://publicsuffix.org>). `None` for addresses,
/// single labels and public suffixes themselves.
#[must_use]
pub fn registrable(host: &str) -> Option<&str> {
    if is_ip(host) {
        return None;
    }
    psl::domain_str(host)
}

/// Domains that are shared by more than one host of ours, by registrable domain.
#[derive(Debug, Default)]
pub(super) struct Reaches {
    shared: HashMap<String, String>,
}

impl Reaches {
    pub(super) fn new<'a>(sites: impl IntoIterator<Item = &'a Site>, home: Option<&str>) -> Self {
        // The longest name that all hosts of a registrable domain end in.
        let mut common: HashMap<String, (String, bool)> = HashMap::new();
        let mut take = |base: &str, many: bool| {
            let Some(registrable) = registrable(base) else {
                return;
            };
            match common.get_mut(registrable) {
                None => {
                    common.insert(registrable.to_owned(), (base.to_owned(), many));
                }
                Some((shared, several)) => {
                    *several |= many || shared != base;
                    let kept = common_suffix(shared, base).to_owned();
                    *shared = kept;
                }
            }
        };
        for site in sites.into_iter().filter(|site| !site.isolated) {
            let host = &site.address.host;
            take(host.base(), !matches!(host, super::HostPattern::Exact(_)));
        }
        if let Some(home) = home {
            take(home, false);
        }
        let shared = common
            .into_iter()
            .filter(|(_, (_, several))| *several)
            .map(|(registrable, (shared, _))| (registrable, shared))
            .collect();
        Self { shared }
    }

    pub(super) fn of<'a>(&'a self, host: &'a str) -> Reach<'a> {
        let shared = registrable(host).and_then(|registrable| self.shared.get(registrable));
        match shared {
            Some(domain) if Reach::Domain(domain).covers(host) => Reach::Domain(domain),
            _ => Reach::Host(host),
        }
    }
}

/// The longest common end of two names, label by label.
fn common_suffix<'a>(a: &'a str, b: &str) -> &'a str {
    let mut kept = a.len();
    for (left, right) in a.rsplit('.').zip(b.rsplit('.')) {
        if left != right {
            break;
        }
        kept = kept.saturating_sub(left.len() + 1);
        if kept == 0 {
            break;
        }
    }
    // What remains in front was not common.
    let end = if kept == 0 && (b == a || b.ends_with(&format!(".{a}"))) {
        0
    } else {
        kept + 1
    };
    a.get(end..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaches(sites: &[&str], home: Option<&str>) -> Reaches {
        let sites: Vec<Site> = sites
            .iter()
            .map(|text| Site::new(format!("https://{text}").parse().unwrap()))
            .collect();
        Reaches::new(&sites, home)
    }

    #[test]
    fn names_are_cut_at_labels() {
        assert_eq!(
            common_suffix("wiki.example.org", "git.example.org"),
            "example.org"
        );
        assert_eq!(common_suffix("example.org", "git.example.org"), "example.org");
        assert_eq!(common_suffix("git.example.org", "example.org"), "example.org");
        assert_eq!(
            common_suffix("a.b.example.org", "c.b.example.org"),
            "b.example.org"
        );
        assert_eq!(common_suffix("xb.example.org", "b.example.org"), "example.org");
        assert_eq!(common_suffix("a.example.org", "a.example.org"), "a.example.org");
        assert_eq!(common_suffix("a.org", "b.com"), "");
    }

    #[test]
    fn a_cookie_reaches_as_far_as_our_sites_and_no_further() {
        let one = reaches(&["wiki.example.org"], None);
        assert_eq!(one.of("wiki.example.org"), Reach::Host("wiki.example.org"));
        let two = reaches(&["wiki.corp.example.org", "git.corp.example.org"], None);
        assert_eq!(two.of("wiki.corp.example.org"), Reach::Domain("corp.example.org"));
        assert_eq!(two.of("www.example.org"), Reach::Host("www.example.org"));
        let home = reaches(&["wiki.example.org"], Some("id.example.org"));
        assert_eq!(home.of("wiki.example.org"), Reach::Domain("example.org"));
        assert_eq!(home.of("wiki.other.org"), Reach::Host("wiki.other.org"));
        let all = reaches(&["*.example.org"], None);
        assert_eq!(all.of("a.example.org"), Reach::Domain("example.org"));
    }

    #[test]
    fn public_suffixes_and_addresses_are_never_shared() {
        let suffix = reaches(
            &["a.co.uk", "b.co.uk", "x.github.io", "y.github.io"],
            Some("id.co.uk"),
        );
        for host in ["a.co.uk", "b.co.uk", "x.github.io", "y.github.io", "id.co.uk"] {
            assert_eq!(suffix.of(host), Reach::Host(host));
        }
        let local = reaches(
            &["localhost", "127.0.0.1", "127.0.0.2", "[::1]"],
            Some("localhost"),
        );
        for host in ["localhost", "127.0.0.1", "::1"] {
            assert_eq!(local.of(host), Reach::Host(host));
        }
        let made_up = reaches(&["a.example.test", "b.example.test"], None);
        assert_eq!(made_up.of("a.example.test"), Reach::Domain("example.test"));
    }
}
