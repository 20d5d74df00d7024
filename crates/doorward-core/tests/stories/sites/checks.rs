//! Who passes where, what a check costs, and that an explanation says the same as a check.

use doorward_core::forward_auth::Verdict;
use doorward_core::hand_over::Start;
use doorward_core::site_cookie::Kept;
use doorward_domain::Reason;
use doorward_domain::event::EventKind;
use doorward_domain::site::BreakGlass;
use doorward_store::count_queries;
use doorward_testkit::{App, each_app};
use std::time::Duration;

use super::{FAR, Jar, WIKI, application, asks, begin, enter, get, place, put, put_with, word};

/// A wiki for staff with every kind of rule, a domain around it, a far-away site, and one that admits nobody.
async fn furnish(app: &App) {
    for group in ["staff", "ops", "guests"] {
        app.group(group).await;
    }
    for (name, groups) in [
        ("alice", &["staff"][..]),
        ("olga", &["staff", "ops"]),
        ("gus", &["guests"]),
        ("bob", &[]),
    ] {
        let user = app.person(name).await;
        for group in groups {
            let group = app.doorward.find_group(group).await.unwrap();
            app.doorward.add_member(user.id, group.id).await.unwrap();
        }
    }
    app.administrator("root").await;
    let rules = [
        "public GET =/health",
        "public /static",
        "deny /static/secret",
        "group:ops /ops",
        "user:bob /bob",
        "everyone /lobby/**",
        "application GET /both",
        "deny /both",
        "deny /shut",
    ];
    // The order counts: what is shut within something public stands before it.
    let rules: Vec<&str> = ["deny /static/secret"].into_iter().chain(rules).collect();
    application(app, "wiki", Some("staff"), vec![put(WIKI, &rules)]).await;
    application(
        app,
        "domain",
        Some("guests"),
        vec![
            put("https://.example.org", &[]),
            put("https://*.corp.example.org/api", &[]),
        ],
    )
    .await;
    application(app, "far", Some("staff"), vec![put(FAR, &[])]).await;
    application(app, "nobody", None, vec![put("https://nobody.example.org", &[])]).await;
}

const URLS: [&str; 32] = [
    "https://wiki.example.org/",
    "https://wiki.example.org/page?x=1",
    "https://wiki.example.org/health",
    "https://wiki.example.org/health/",
    "https://wiki.example.org/static/a.css",
    "https://wiki.example.org/static/secret/key",
    "https://wiki.example.org/static/../page",
    "https://wiki.example.org/static/..%2fops",
    "https://wiki.example.org/static/%2e%2e/shut",
    "https://wiki.example.org/static/../shut/%2e%2e/static",
    "https://wiki.example.org/static//x",
    "https://wiki.example.org/static;x=1/secret",
    "https://wiki.example.org/ops",
    "https://wiki.example.org/ops/..;/static",
    "https://wiki.example.org/bob",
    "https://wiki.example.org/lobby/x",
    "https://wiki.example.org/lobby",
    "https://wiki.example.org/both",
    "https://wiki.example.org/shut",
    "https://wiki.example.org:444/",
    "http://wiki.example.org/",
    "https://git.example.org/",
    "https://git.corp.example.org/api/x",
    "https://a.b.corp.example.org/api",
    "https://example.org/",
    "https://wiki.faraway.test/",
    "https://faraway.test/",
    "https://nobody.example.org/",
    "https://badexample.org/",
    "https://door.example.org/x",
    "https://192.0.2.1/",
    "https://wiki.example.org/a%00b",
];

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table, read from top to bottom")]
async fn a_person_passes_only_where_the_audience_or_a_rule_admits() {
    each_app(async |app| {
        furnish(&app).await;
        let mut table = String::new();
        for name in ["nobody", "alice", "olga", "gus", "bob", "root"] {
            let jar = match name {
                "nobody" => Jar::new(),
                name => enter(&app, &app.sign_in(name).await, "https://wiki.example.org/page").await,
            };
            for (path, expected) in [
                (
                    "/page",
                    [
                        "sign_in",
                        "allowed",
                        "allowed",
                        "not_in_audience",
                        "not_in_audience",
                        "break_glass",
                    ],
                ),
                ("/health", ["public"; 6]),
                (
                    "/health/",
                    [
                        "sign_in",
                        "allowed",
                        "allowed",
                        "not_in_audience",
                        "not_in_audience",
                        "break_glass",
                    ],
                ),
                ("/static/a.css", ["public"; 6]),
                (
                    "/static/secret/key",
                    [
                        "rule_denies",
                        "rule_denies",
                        "rule_denies",
                        "rule_denies",
                        "rule_denies",
                        "break_glass",
                    ],
                ),
                (
                    "/static/..%2fops",
                    [
                        "sign_in",
                        "not_in_audience",
                        "allowed",
                        "not_in_audience",
                        "not_in_audience",
                        "break_glass",
                    ],
                ),
                (
                    "/static/../shut/%2e%2e/static",
                    [
                        "rule_denies",
                        "rule_denies",
                        "rule_denies",
                        "rule_denies",
                        "rule_denies",
                        "break_glass",
                    ],
                ),
                (
                    "/ops/1",
                    [
                        "sign_in",
                        "not_in_audience",
                        "allowed",
                        "not_in_audience",
                        "not_in_audience",
                        "break_glass",
                    ],
                ),
                (
                    "/bob",
                    [
                        "sign_in",
                        "not_in_audience",
                        "not_in_audience",
                        "not_in_audience",
                        "allowed",
                        "break_glass",
                    ],
                ),
                (
                    "/lobby/x",
                    ["sign_in", "allowed", "allowed", "allowed", "allowed", "allowed"],
                ),
            ] {
                let at = ["nobody", "alice", "olga", "gus", "bob", "root"]
                    .iter()
                    .position(|known| *known == name)
                    .unwrap();
                let got = get(&app, &format!("{WIKI}{path}"), &jar).await;
                if got != expected[at] {
                    table.push_str(&format!("{name} {path}: {got}, expected {}\n", expected[at]));
                }
            }
        }
        assert_eq!(table, "");
        // Methods: GET stands for HEAD, small letters are no method.
        let alice = enter(&app, &app.sign_in("alice").await, WIKI).await;
        let both = format!("{WIKI}/both");
        for (method, expected) in [
            ("GET", "allowed"),
            ("HEAD", "allowed"),
            ("POST", "rule_denies"),
            ("get", "original_unreadable"),
            ("Post", "original_unreadable"),
            ("", "original_unreadable"),
        ] {
            let verdict = asks(&app, &both, method, &alice, None).await.unwrap();
            assert_eq!(word(&verdict), expected, "{method}");
        }
        // A cookie of the domain is good on its hosts; the decision is each site's own.
        assert_eq!(
            get(&app, "https://git.example.org/", &alice).await,
            "not_in_audience"
        );
        assert_eq!(
            get(&app, "https://nobody.example.org/", &alice).await,
            "audience_empty"
        );
        assert_eq!(get(&app, FAR, &alice).await, "sign_in", "another domain's cookie");
    })
    .await;
}

#[tokio::test]
async fn an_explanation_says_what_a_check_does() {
    each_app(async |app| {
        furnish(&app).await;
        for glass in [BreakGlass::On, BreakGlass::Off] {
            app.doorward.set_break_glass(glass).await.unwrap();
            for name in [
                None,
                Some("alice"),
                Some("olga"),
                Some("gus"),
                Some("bob"),
                Some("root"),
            ] {
                let mut jar = Jar::new();
                if let Some(name) = name {
                    let browser = app.sign_in(name).await;
                    jar.extend(enter(&app, &browser, WIKI).await);
                    jar.extend(enter(&app, &browser, FAR).await);
                }
                for url in URLS {
                    for method in ["GET", "POST"] {
                        let verdict = asks(&app, url, method, &jar, None).await.unwrap();
                        let explained = app.doorward.explain_url(name, url, method).await.unwrap();
                        let (outcome, reason) = match &verdict {
                            Verdict::Pass(_) => ("allowed", None),
                            Verdict::SignIn(_) => ("sign_in", None),
                            Verdict::Refused { refused, .. } => ("refused", Some(refused.reason)),
                        };
                        assert_eq!(
                            (explained.outcome, explained.reason),
                            (outcome, reason),
                            "{name:?} {method} {url}"
                        );
                        let site = match &verdict {
                            Verdict::Pass(pass) => Some(pass.entry.name.to_string()),
                            Verdict::SignIn(entry) => Some(entry.name.to_string()),
                            Verdict::Refused { entry, .. } => {
                                entry.as_ref().map(|entry| entry.name.to_string())
                            }
                        };
                        assert_eq!(explained.site, site, "{name:?} {method} {url}");
                    }
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn strangers_are_answered_without_a_query_and_write_nothing() {
    each_app(async |app| {
        furnish(&app).await;
        let jars: [Jar; 4] = [
            Jar::new(),
            vec![(Kept::Secure, "x".into())],
            vec![
                (Kept::Host, "A".repeat(130)),
                (Kept::Secure, "B".repeat(500)),
                (Kept::Anyhow, String::new()),
            ],
            vec![(Kept::Secure, "dws_".to_owned() + &"A".repeat(43)); 32],
        ];
        let before = app.rows().await;
        for url in URLS {
            for jar in &jars {
                for authorization in [
                    None,
                    Some("Basic eDp5"),
                    Some("Digest x"),
                    Some("Bearer"),
                    Some(""),
                ] {
                    let (verdict, queries) = count_queries(asks(&app, url, "GET", jar, authorization)).await;
                    assert_eq!(queries, 0, "{url} {authorization:?}: {verdict:?}");
                }
            }
        }
        let (_, bearer) =
            count_queries(asks(&app, WIKI, "GET", &jars[0], Some("Bearer not-one-of-ours"))).await;
        assert!(bearer <= 1, "an unknown token: {bearer}");
        // Neither do those who begin to sign in, for us or for somewhere else.
        let origin = doorward_core::Origin::default();
        for wanted in [
            "https://wiki.example.org/x",
            "https://evil.example.net/",
            "nonsense",
            "https://wiki.faraway.test/",
        ] {
            for query in [
                format!("rd={wanted}"),
                format!("b={}&rd={wanted}", "0".repeat(64)),
            ] {
                let (_, queries) = count_queries(app.doorward.start_at_home(None, &query, &origin)).await;
                assert_eq!(queries, 0, "{query}");
                for host in [
                    "https://wiki.example.org",
                    "https://wiki.faraway.test",
                    "https://unknown.example.net",
                ] {
                    let here = place(&format!("{host}/.doorward/start?{query}"));
                    let _ = app.doorward.start_at_site(&here, None);
                    let here = place(&format!("{host}/.doorward/callback?code={}", "A".repeat(90)));
                    let (_, queries) = count_queries(app.doorward.callback(&here, None, None)).await;
                    assert_eq!(queries, 0, "{host}");
                }
            }
        }
        assert_eq!(app.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_warm_session_is_answered_without_a_query() {
    each_app(async |app| {
        furnish(&app).await;
        let jar = enter(&app, &app.sign_in("alice").await, WIKI).await;
        let (verdict, cold) = count_queries(asks(&app, WIKI, "GET", &jar, None)).await;
        assert_eq!(word(&verdict.unwrap()), "allowed");
        assert!(cold <= 1, "cold: {cold}");
        let before = app.rows().await;
        for url in [
            "https://wiki.example.org/",
            "https://wiki.example.org/page",
            "https://wiki.example.org/health",
            "https://unknown.test/",
        ] {
            for jar in [
                jar.clone(),
                [vec![(Kept::Secure, "junk".to_owned()); 20], jar.clone()].concat(),
            ] {
                let (_, warm) = count_queries(asks(&app, url, "GET", &jar, None)).await;
                assert_eq!(warm, 0, "{url}");
            }
        }
        assert_eq!(app.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_cookie_counts_where_it_was_made_for_and_under_its_name() {
    each_app(async |app| {
        furnish(&app).await;
        let staff = Some("staff");
        application(
            &app,
            "vault",
            staff,
            vec![put_with("https://vault.example.org", &[], |draft| {
                draft.isolated = Some(true);
            })],
        )
        .await;
        application(
            &app,
            "plain",
            staff,
            vec![
                put("http://plain.local.test", &[]),
                put("http://also.local.test", &[]),
            ],
        )
        .await;
        let browser = app.sign_in("alice").await;
        let value = |jar: &Jar| jar[0].1.clone();
        let domain = enter(&app, &browser, WIKI).await;
        assert_eq!(domain[0].0, Kept::Secure);
        let far = enter(&app, &browser, FAR).await;
        assert_eq!(far[0].0, Kept::Host);
        let vault = enter(&app, &browser, "https://vault.example.org/").await;
        assert_eq!(vault[0].0, Kept::Host, "isolated");
        let plain = enter(&app, &browser, "http://plain.local.test/").await;
        assert_eq!(plain[0].0, Kept::Anyhow);
        assert!(value(&domain).len() < 150, "{}", value(&domain).len());

        let all = [Kept::Host, Kept::Secure, Kept::Anyhow];
        for (jar, good) in [
            (&domain, &["https://wiki.example.org/"][..]),
            (&far, &["https://wiki.faraway.test/"]),
            (&vault, &["https://vault.example.org/"]),
            (&plain, &["http://plain.local.test/", "http://also.local.test/"]),
        ] {
            for url in [
                "https://wiki.example.org/",
                "http://wiki.example.org/",
                "https://wiki.faraway.test/",
                "https://vault.example.org/",
                "http://plain.local.test/",
                "http://also.local.test/",
                // What was sent in the open is nothing over https.
                "https://plain.local.test/",
            ] {
                for name in all {
                    let tossed: Jar = vec![(name, value(jar))];
                    let got = get(&app, url, &tossed).await;
                    // A proxy that does not say https for a site that is reached so only: the cookie is a secure one all the same.
                    let here = good.contains(&url.replace("http://wiki", "https://wiki").as_str())
                        && name == jar[0].0;
                    assert_eq!(
                        got == "allowed",
                        here,
                        "{:?} as {name:?} at {url}: {got}",
                        jar[0].0
                    );
                }
            }
        }
        // A site that is isolated later stops to take what its neighbours see, warm as it is.
        assert_eq!(get(&app, WIKI, &domain).await, "allowed");
        let wiki = app.doorward.find_application("wiki").await.unwrap();
        let change = doorward_core::admin::applications::ApplicationChange {
            sites: vec![put_with(WIKI, &[], |draft| draft.isolated = Some(true))],
            ..Default::default()
        };
        app.doorward.update_application(wiki.id, &change).await.unwrap();
        assert_eq!(get(&app, WIKI, &domain).await, "sign_in");
    })
    .await;
}

#[tokio::test]
async fn a_foreign_cookie_before_ours_changes_nothing_and_one_of_ours_counts_in_order() {
    each_app(async |app| {
        furnish(&app).await;
        let alice = enter(&app, &app.sign_in("alice").await, WIKI).await;
        let gone = app.sign_in("gus").await;
        let ended = enter(&app, &gone, "https://git.example.org/").await;
        app.doorward
            .sign_out(&gone.visit().await.unwrap(), &gone.origin)
            .await
            .unwrap();
        let far = enter(&app, &app.sign_in("alice").await, FAR).await;
        for before in [
            vec![(Kept::Secure, String::new())],
            vec![(Kept::Secure, "a=b".to_owned()); 25],
            ended,
            far,
            vec![
                (Kept::Host, alice[0].1.clone()),
                (Kept::Anyhow, alice[0].1.clone()),
            ],
        ] {
            let jar = [before.clone(), alice.clone()].concat();
            assert_eq!(get(&app, WIKI, &jar).await, "allowed", "{before:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_refused_person_gets_a_code_that_explains_it_and_a_flood_does_not_fill_the_database() {
    each_app(async |app| {
        furnish(&app).await;
        let jar = enter(&app, &app.sign_in("gus").await, "https://git.example.org/").await;
        let before = app.rows().await["events"];
        let verdict = asks(&app, &format!("{WIKI}/ops/secret?token=abc"), "GET", &jar, None)
            .await
            .unwrap();
        let Verdict::Refused { refused, visit, .. } = verdict else {
            panic!("{verdict:?}")
        };
        assert!(visit.is_some());
        let code = refused.code.unwrap();
        let events = app.events().await;
        let event = events
            .into_iter()
            .find(|event| event.code.as_ref() == Some(&code))
            .unwrap();
        assert_eq!(
            (event.kind, event.code, event.reason),
            (EventKind::Refused, Some(code), Some(Reason::NotInAudience))
        );
        assert_eq!(event.details["rule"], "group:ops /ops (rule 5)");
        assert_eq!(event.details["path"], "/ops/secret");
        assert!(
            !event.details.to_string().contains("abc"),
            "the query may hold secrets: {}",
            event.details
        );
        for n in 0..200 {
            get(&app, &format!("{WIKI}/{n}"), &jar).await;
        }
        assert!(app.rows().await["events"] - before <= 35);
    })
    .await;
}

#[tokio::test]
async fn break_glass_is_recorded_once_an_hour_for_each_session_and_site_and_can_be_switched_off() {
    each_app(async |app| {
        furnish(&app).await;
        let first = enter(&app, &app.sign_in("root").await, WIKI).await;
        let second = enter(&app, &app.sign_in("root").await, WIKI).await;
        let recorded = async |expected: usize| {
            for _ in 0..200 {
                let events = app.events().await;
                let found = events
                    .iter()
                    .filter(|event| event.kind == EventKind::BreakGlass)
                    .count();
                if found == expected {
                    return;
                }
                assert!(found < expected, "{found} events, expected {expected}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("{expected} events were not recorded");
        };
        let nobody = "https://nobody.example.org/";
        for _ in 0..5 {
            assert_eq!(get(&app, &format!("{WIKI}/shut"), &first).await, "break_glass");
            assert_eq!(
                get(&app, &format!("{WIKI}/lobby/x"), &first).await,
                "allowed",
                "as everybody"
            );
        }
        recorded(1).await;
        assert_eq!(get(&app, nobody, &first).await, "break_glass");
        recorded(2).await;
        assert_eq!(get(&app, WIKI, &second).await, "break_glass");
        recorded(3).await;
        app.wait_seconds(3599);
        get(&app, WIKI, &first).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        recorded(3).await;
        app.wait_seconds(1);
        get(&app, WIKI, &first).await;
        recorded(4).await;
        let mut events = app.events().await;
        events.retain(|event| event.kind == EventKind::BreakGlass);
        let event = events.pop().unwrap();
        assert_eq!(event.details["overruled"], "not_in_audience");
        assert_eq!(event.details["site"], "https://wiki.example.org/");
        // Only what exists: a host that nobody listed stays shut.
        assert_eq!(
            get(&app, "https://elsewhere.test/", &first).await,
            "host_unlisted"
        );

        app.doorward.set_break_glass(BreakGlass::Off).await.unwrap();
        assert_eq!(app.doorward.break_glass().await.unwrap(), BreakGlass::Off);
        assert_eq!(get(&app, WIKI, &first).await, "not_in_audience");
        assert_eq!(get(&app, nobody, &first).await, "audience_empty");
        // Also for replicas, and after a restart.
        let replica = app.replica().await;
        assert_eq!(get(&replica, WIKI, &first).await, "not_in_audience");
    })
    .await;
}

#[tokio::test]
async fn begun_sign_ins_of_isolated_and_far_sites_need_the_code() {
    each_app(async |app| {
        furnish(&app).await;
        let browser = app.sign_in("alice").await;
        assert!(begin(&app, &browser, WIKI).await.is_ok());
        assert!(begin(&app, &browser, FAR).await.is_err());
        // Doorward's own host has Doorward's own session.
        let verdict = asks(&app, "https://door.example.org/x", "GET", &Jar::new(), None)
            .await
            .unwrap();
        let Verdict::SignIn(entry) = verdict else {
            panic!("{verdict:?}")
        };
        let start = app
            .doorward
            .sign_in_at(&place("https://door.example.org/x"), &entry, None);
        assert!(matches!(start, Start::Onward { cookie: None, .. }), "{start:?}");
    })
    .await;
}
