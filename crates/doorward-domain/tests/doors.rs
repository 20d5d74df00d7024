//! What holds for any set of doors, against a model that goes through the plain list.

mod common;

use std::sync::Arc;

use doorward_domain::app_auth::AppAuth;
use doorward_domain::app_auth::doors::DoorIndex;
use doorward_domain::application::Application;
use proptest::prelude::*;
use proptest::sample::select;

fn application(number: u8, door: Option<AppAuth>) -> Arc<Application> {
    Arc::new(Application {
        app_auth: door,
        ..common::application(number)
    })
}

fn door(base_url: &str, aliases: &[&str]) -> AppAuth {
    AppAuth {
        base_url: base_url.to_owned(),
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        ..AppAuth::default()
    }
}

/// Slug and base path of what is found.
fn found(applications: &[Arc<Application>], host: Option<&str>, path: &str) -> Option<(String, String)> {
    let index = DoorIndex::new(applications);
    let found = index.find(host, path)?;
    Some((found.application.slug.clone(), found.base.to_string()))
}

/// The same by looking at every base of every application.
fn by_list(applications: &[Arc<Application>], host: Option<&str>, path: &str) -> Option<(String, String)> {
    let mut fitting: Vec<((bool, usize), String, String)> = Vec::new();
    for application in applications {
        let Some(settings) = &application.app_auth else {
            continue;
        };
        let named = host.is_some_and(|host| host.eq_ignore_ascii_case(settings.host()));
        for base in std::iter::once(settings.path()).chain(settings.aliases.iter().map(String::as_str)) {
            let rest = path.strip_prefix(base);
            if !base.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                fitting.push(((named, base.len()), application.slug.clone(), base.to_owned()));
            }
        }
    }
    let best = fitting.iter().map(|(rank, ..)| *rank).max()?;
    fitting.retain(|(rank, ..)| *rank == best);
    let (_, slug, base) = fitting.first()?.clone();
    fitting
        .iter()
        .all(|(_, other, _)| *other == slug)
        .then_some((slug, base))
}

#[test]
fn host_and_base_path_decide_and_a_renamed_host_is_forgiven_where_it_is_clear() {
    let apps = [
        application(1, Some(door("https://a.example/api/auth", &["/auth"]))),
        application(2, Some(door("https://b.example:8443/api/auth", &["/auth"]))),
        application(3, Some(door("https://a.example/api", &["/shop/auth"]))),
        application(4, None),
        application(5, Some(door("https://nowhere.example", &[]))),
    ];
    let cases = [
        (
            Some("a.example"),
            "/api/auth/get-session",
            Some(("a1", "/api/auth")),
        ),
        (Some("A.Example"), "/auth", Some(("a1", "/auth"))),
        (Some("b.example:8443"), "/api/auth/ok", Some(("a2", "/api/auth"))),
        // Another port is another host: two apps have this path, and nobody can tell.
        (Some("b.example"), "/api/auth/ok", None),
        (None, "/auth/ok", None),
        (Some("a.example"), "/api/authors", Some(("a3", "/api"))),
        // A host that is named comes before a longer path.
        (
            Some("proxy.internal"),
            "/shop/auth/ok",
            Some(("a3", "/shop/auth")),
        ),
        (Some("a.example"), "/shop/auth/", Some(("a3", "/shop/auth"))),
        (None, "/shop/authority", None),
        (Some("nowhere.example"), "/", None),
        (Some("nowhere.example"), "", None),
        (Some("a.example"), "api/auth/ok", None),
    ];
    for (host, path, wanted) in cases {
        let wanted = wanted.map(|(slug, base)| (slug.to_owned(), base.to_owned()));
        assert_eq!(found(&apps, host, path), wanted, "{host:?} {path}");
        assert_eq!(by_list(&apps, host, path), wanted, "the model: {host:?} {path}");
    }
    let long = format!("/api/auth/{}", "x".repeat(503));
    assert_eq!(found(&apps, Some("a.example"), &long), None);
    assert!(found(&apps, Some("a.example"), long.get(..512).unwrap_or_default()).is_some());
    assert!(
        DoorIndex::default()
            .find(Some("a.example"), "/api/auth")
            .is_none()
    );
}

const BASES: [&str; 8] = ["", "/a", "/a/b", "/a/b/c", "/ab", "/b", "/a/", "/é/a"];
const HOSTS: [&str; 4] = ["one.example", "two.example", "two.example:81", "One.Example"];

fn doors() -> impl Strategy<Value = Option<AppAuth>> {
    let one = (
        select(&HOSTS[..]),
        select(&BASES[..]),
        prop::collection::vec(select(&BASES[..]), 0..3),
    );
    let made = one.prop_map(|(host, base, aliases)| door(&format!("https://{host}{base}"), &aliases));
    prop::option::weighted(0.9, made)
}

proptest! {
    #[test]
    fn the_index_finds_what_the_list_finds(
        doors in prop::collection::vec(doors(), 0..7),
        host in prop::option::of(select(vec!["one.example", "two.example", "TWO.example:81", "three.example", ""])),
        path in "(/|/a|/b|/c|/ab|b|/é){0,6}",
    ) {
        let apps: Vec<_> = (1..).zip(doors).map(|(number, door)| application(number, door)).collect();
        prop_assert_eq!(found(&apps, host, &path), by_list(&apps, host, &path));
    }
}
