//! What a proxy says about a request, and where a browser wants to return to. The first line is a URL, the second the method, the
//! third a query with `rd`; the fourth and following are sites with a rule each.
//!
//! Holds: a place is written as it is read, and another URL parser sees the same host; the decision is total, and Public comes from
//! a rule that says so in every reading; a place to return to that has a site leads to a host of that site; cookies reach hosts
//! of one registrable domain only.
#![no_main]

use std::collections::BTreeSet;
use std::sync::Arc;

use doorward_core::place::{Place, escape, return_of};
use doorward_domain::application::{Application, Audience};
use doorward_domain::site::{
    Access, BreakGlass, Decision, Found, PathRule, Reach, Readings, Site, SiteIndex, decide, registrable,
};
use doorward_domain::{Id, Timestamp};
use libfuzzer_sys::fuzz_target;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use url::Url;

/// The very file of doorward-web: it knows headers and places only.
#[path = "../../crates/doorward-web/src/original.rs"]
#[expect(dead_code, reason = "only what reads a proxy's question is fuzzed")]
mod original;

use original::Proxy;

const MOST_SITES: usize = 12;

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(4, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (url, method, query, sites) = (next(), next(), next(), next());
    let index = index(sites);
    if let Some(place) = Place::parse(url) {
        judge(&place);
        decided(&index, &place, method);
    }
    from_headers(&index, url, method);
    if let Some(place) = return_of(query).and_then(|wanted| Place::parse(&wanted)) {
        judge(&place);
        assert_eq!(return_of(&format!("rd={}", escape(&place.url()))), Some(place.url()), "a wanted page did not survive");
        decided(&index, &place, "GET");
    }
});

fn index(text: &str) -> SiteIndex {
    let mut sites = Vec::new();
    for line in text.lines().take(MOST_SITES) {
        let (address, rule) = line.split_once(' ').unwrap_or((line, ""));
        let Ok(address) = address.parse() else { continue };
        let mut site = Site::new(address);
        let (access, path) = rule.split_once(' ').unwrap_or((rule, "/"));
        if let Ok(path) = path.parse() {
            let access = match access {
                "public" => Access::Public,
                "deny" => Access::Deny,
                "everyone" => Access::Audience(Audience { everyone: true, ..Audience::default() }),
                _ => Access::Application,
            };
            site.rules.push(PathRule { path, methods: BTreeSet::new(), access });
        }
        site.isolated = rule.ends_with('!');
        sites.push(site);
    }
    let now = Timestamp::from_seconds(0);
    let application = Arc::new(Application {
        id: Id::mint(now, [1; 10]),
        slug: "a".into(),
        name: "A".into(),
        description: String::new(),
        icon_url: None,
        launch_url: None,
        heading: None,
        hidden: false,
        audience: Audience::default(),
        client: None,
        secrets: Vec::new(),
        app_auth: None,
        sites,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    });
    SiteIndex::new([&application], Some("door.example.org"))
}

/// A place is what it is read as, here and in browsers.
fn judge(place: &Place) {
    let url = place.url();
    assert_eq!(Place::parse(&url).as_ref(), Some(place), "{url}");
    assert!(url.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{url:?} in a header");
    match Url::parse(&url) {
        Ok(parsed) => {
            let host = parsed.host_str().unwrap_or_default();
            let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let same = host == place.host
                || host.parse::<std::net::Ipv6Addr>().is_ok_and(|ip| place.host.parse() == Ok(ip));
            assert!(same, "{url} is at {host}");
            assert!(parsed.username().is_empty() && parsed.password().is_none() && parsed.fragment().is_none(), "{url}");
            assert_eq!(parsed.port(), place.port, "{url}");
            assert_eq!(parsed.scheme() == "https", place.https);
        }
        // Names in xn-- form that stand for nothing are refused by browsers, and lead nowhere.
        Err(_) => assert!(place.host.contains("xn--"), "{url}"),
    }
}

/// The same through the headers of each proxy.
fn from_headers(index: &SiteIndex, url: &str, method: &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let (authority, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-original-url", url),
        ("x-original-method", method),
        ("x-forwarded-proto", scheme),
        ("x-forwarded-host", authority),
        ("x-forwarded-uri", target),
        ("x-forwarded-method", method),
        ("host", authority),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let uri: Uri = format!("/auth{target}").parse().unwrap_or_default();
    let _ = original::is_navigation(&headers, &Method::GET);
    for proxy in [Proxy::Nginx, Proxy::Haproxy, Proxy::Caddy, Proxy::Traefik, Proxy::Envoy] {
        let Some(read) = original::read(proxy, &headers, &uri, &Method::GET, "/auth") else { continue };
        judge(&read.place);
        let method = read.method.as_ref().map_or("GET", Method::as_str);
        decided(index, &read.place, method);
        // Whatever the service makes of a fragment, nobody decided on it.
        assert!(!read.place.target.contains('#'));
        if proxy == Proxy::Nginx {
            assert!(!url.contains('#'), "{url}");
        }
    }
}

fn decided(index: &SiteIndex, place: &Place, method: &str) {
    let Some(readings) = Readings::of(&place.target) else { return };
    let read: Vec<&str> = readings.iter().collect();
    assert!(!read.is_empty() && read.iter().all(|path| path.starts_with('/')), "{read:?}");
    let reach = index.reach(&place.host);
    assert!(reach.covers(&place.host));
    if let Reach::Domain(domain) = reach {
        assert!(registrable(domain).is_some() && registrable(domain) == registrable(&place.host), "{domain}");
        assert!(!index.is_isolated(&place.host));
    }
    let Found::Site(entry) = index.find(place.as_authority(), place.https, &readings) else { return };
    assert!(entry.site.address.host.covers(&place.host), "{} for {}", entry.name, place.url());
    assert!(read.iter().all(|path| entry.site.address.covers_path(path)), "{} for {}", entry.name, place.url());
    let port = place.as_authority().odd_port(place.https);
    assert!(entry.site.address.port.is_none() || entry.site.address.port == port);
    let decision = decide(entry, None, method, &readings, BreakGlass::On);
    match decision {
        Decision::Public { .. } => {
            let open = |path: &&str| {
                let first = entry.site.rules.iter().find(|rule| rule.fits(method, path));
                first.is_some_and(|rule| rule.access == Access::Public)
            };
            assert!(read.iter().all(open), "{} is public", place.url());
        }
        Decision::SignIn { .. } | Decision::Deny { .. } => {}
        Decision::Allow { .. } => panic!("nobody was admitted to {}", place.url()),
    }
}
