//! The way to a site's cookie: codes that are good once, and that nothing leads away from our sites.

use std::collections::BTreeSet;

use doorward_core::hand_over::{CALLBACK, START, Start};
use doorward_core::place::{Place, escape, return_of};
use doorward_core::sessions::Which;
use doorward_core::site_cookie::Kept;
use doorward_domain::{Lifetime, Reason};
use doorward_testkit::{App, PUBLIC_URL, each_app};

use super::{FAR, WIKI, Way, application, begin, enter, get, onward, place, put, put_with, query};

async fn furnish(app: &App) {
    app.person("alice").await;
    app.group("staff").await;
    let alice = app.doorward.find_user("alice").await.unwrap();
    let staff = app.doorward.find_group("staff").await.unwrap();
    app.doorward.add_member(alice.id, staff.id).await.unwrap();
    application(
        app,
        "sites",
        Some("staff"),
        vec![
            put(WIKI, &[]),
            put(FAR, &[]),
            put("https://git.faraway.test", &[]),
            put("https://alone.elsewhere.test/app", &[]),
            put("http://plain.local.test", &[]),
            put_with("https://vault.example.org", &[], |draft| {
                draft.isolated = Some(true);
            }),
        ],
    )
    .await;
}

const DEEP: &str = "https://wiki.faraway.test/a/b?x=1&rd=https://evil.example.net/&y=%20z";

async fn way(app: &App) -> Way {
    match begin(app, &app.sign_in("alice").await, DEEP).await {
        Err(way) => way,
        Ok(cookie) => panic!("no code: {cookie:?}"),
    }
}

/// Sent to begin anew for this page, and got no cookie.
fn begins_anew(start: &Start, wanted: &str) {
    let Start::Onward {
        location,
        cookie: None,
    } = start
    else {
        panic!("expected to begin anew, got {start:?}")
    };
    let expected = format!("{PUBLIC_URL}{START}?rd={}", escape(wanted));
    assert_eq!(*location, expected);
}

#[tokio::test]
async fn a_code_is_good_once_for_a_minute_and_in_its_browser_only() {
    each_app(async |app| {
        furnish(&app).await;
        let door = &app.doorward;
        let finish = async |way: &Way, browser: Option<&str>| {
            door.callback(&place(&way.callback), browser, None).await.unwrap()
        };

        let first = way(&app).await;
        let Start::Onward {
            location,
            cookie: Some(cookie),
        } = finish(&first, Some(&first.browser)).await
        else {
            panic!("no cookie")
        };
        assert_eq!(
            (location.as_str(), cookie.domain.as_deref(), cookie.secure),
            (DEEP, Some("faraway.test"), true)
        );
        let jar = vec![(Kept::Secure, cookie.value)];
        assert_eq!(get(&app, DEEP, &jar).await, "allowed");
        assert_eq!(
            get(&app, "https://git.faraway.test/", &jar).await,
            "allowed",
            "at once on all hosts of the domain"
        );
        begins_anew(&finish(&first, Some(&first.browser)).await, DEEP);

        let other = way(&app).await;
        for (what, browser) in [
            ("no browser's cookie", None),
            ("another browser's", Some(door.new_browser())),
            ("that of the code before", Some(first.browser.clone())),
            ("an empty one", Some(String::new())),
        ] {
            begins_anew(&finish(&other, browser.as_deref()).await, DEEP);
            assert_ne!(what, "");
        }
        // A thief's attempts do not use the code up.
        assert!(matches!(
            finish(&other, Some(&other.browser)).await,
            Start::Onward { cookie: Some(_), .. }
        ));

        let late = way(&app).await;
        app.wait(Lifetime::from_millis(59_999));
        let just = way(&app).await;
        app.wait(Lifetime::from_millis(1));
        begins_anew(&finish(&late, Some(&late.browser)).await, DEEP);
        app.wait(Lifetime::from_millis(59_998));
        assert!(matches!(
            finish(&just, Some(&just.browser)).await,
            Start::Onward { cookie: Some(_), .. }
        ));
    })
    .await;
}

#[tokio::test]
async fn a_code_that_is_lost_foreign_or_changed_begins_anew() {
    each_app(async |app| {
        furnish(&app).await;
        let door = &app.doorward;
        let good = way(&app).await;
        let at = |url: &str| place(url);
        let code = query(&good.callback).strip_prefix("code=").unwrap().to_owned();
        let mut changed = code.clone().into_bytes();
        changed[20] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        let root = "https://wiki.faraway.test/";
        for query in [
            String::new(),
            "code=".into(),
            "code".into(),
            "state=x".into(),
            format!("code={}", &code[..code.len() - 1]),
            format!("code={changed}"),
            format!("code={}", "A".repeat(9_000)),
            "code=%00".into(),
            // A cookie of a site is no code.
            format!(
                "code={}",
                enter(&app, &app.sign_in("alice").await, DEEP).await[0].1
            ),
        ] {
            let here = at(&format!("https://wiki.faraway.test{CALLBACK}?{query}"));
            let done = door.callback(&here, Some(&good.browser), None).await.unwrap();
            begins_anew(&done, root);
        }
        // On another host than it was made for: that host begins for itself.
        let here = at(&format!("https://git.faraway.test{CALLBACK}?code={code}"));
        begins_anew(
            &door.callback(&here, Some(&good.browser), None).await.unwrap(),
            "https://git.faraway.test/",
        );
        // The session ended, the person was switched off, the site went: no cookie either.
        let alice = door.find_user("alice").await.unwrap();
        let ended = way(&app).await;
        door.end_sessions(alice.id, Which::All, &doorward_core::Origin::default())
            .await
            .unwrap();
        begins_anew(
            &door
                .callback(&at(&ended.callback), Some(&ended.browser), None)
                .await
                .unwrap(),
            DEEP,
        );
        let gone = way(&app).await;
        let sites = door.find_application("sites").await.unwrap();
        door.delete_application(sites.id).await.unwrap();
        let done = door
            .callback(&at(&gone.callback), Some(&gone.browser), None)
            .await
            .unwrap();
        assert!(matches!(done, Start::Onward { cookie: None, .. }), "{done:?}");
    })
    .await;
}

#[tokio::test]
async fn fifty_parallel_callbacks_with_one_code_give_one_cookie() {
    each_app(async |app| {
        furnish(&app).await;
        let way = way(&app).await;
        let replica = app.replica().await;
        let tasks: Vec<_> = (0..50)
            .map(|n| {
                let door = if n % 2 == 0 {
                    app.doorward.clone()
                } else {
                    replica.doorward.clone()
                };
                let (callback, browser) = (way.callback.clone(), way.browser.clone());
                tokio::spawn(async move {
                    door.callback(&place(&callback), Some(&browser), None)
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut cookies = 0;
        for task in tasks {
            match task.await.unwrap() {
                Start::Onward { cookie: Some(_), .. } => cookies += 1,
                other => begins_anew(&other, DEEP),
            }
        }
        assert_eq!(cookies, 1);
    })
    .await;
}

#[tokio::test]
async fn a_link_of_a_thief_gives_the_thief_nothing() {
    each_app(async |app| {
        furnish(&app).await;
        let door = &app.doorward;
        let victim = app.sign_in("alice").await;
        let visit = victim.visit().await;
        // The thief's browser has a start cookie; the victim follows the thief's link.
        let thief = door.new_browser();
        let mark = doorward_crypto::token::digest(&thief).hex();
        let link = format!("b={mark}&rd={}", escape(DEEP));
        let sent = door.start_at_home(visit.as_deref(), &link, &victim.origin).await;
        let callback = onward(&sent).to_owned();
        assert!(callback.starts_with(&format!("https://wiki.faraway.test{CALLBACK}")));
        // The victim's browser, which comes there, is another.
        begins_anew(
            &door
                .callback(&place(&callback), Some(&door.new_browser()), None)
                .await
                .unwrap(),
            DEEP,
        );
        begins_anew(&door.callback(&place(&callback), None, None).await.unwrap(), DEEP);
    })
    .await;
}

/// Ways to lead somebody away from here.
const TRICKS: [&str; 40] = [
    "https://evil.example.net/",
    "http://evil.example.net",
    "//evil.example.net/",
    "///evil.example.net/",
    "\\\\evil.example.net/",
    "https:evil.example.net",
    "https:/evil.example.net",
    "https:///evil.example.net",
    "https://wiki.example.org@evil.example.net/",
    "https://wiki.example.org:443@evil.example.net/",
    "https://evil.example.net\\@wiki.example.org/",
    "https://evil.example.net\\.wiki.example.org/",
    "https://evil.example.net#wiki.example.org/",
    "https://evil.example.net?wiki.example.org/",
    "https://evil.example.net%2f.wiki.example.org/",
    "https://evil.example.net%23.wiki.example.org/",
    "https://wiki.example.org.evil.example.net/",
    "https://evilwiki.example.org/",
    "https://wiki.example.org%00.evil.example.net/",
    "https://wiki.example.org%0d%0a.evil.example.net/",
    "https://wiki.example.org\r\nLocation: https://evil.example.net/",
    "https://wiki.example.org\t/",
    " https://evil.example.net/",
    "\thttps://evil.example.net/",
    "javascript:alert(1)",
    "javascript://wiki.example.org/%0aalert(1)",
    "data:text/html,x",
    "ftp://wiki.example.org/",
    "wss://wiki.example.org/",
    "https://wiki.example.org:0/",
    "https://wiki.example.org:65536/",
    "https://wiki.example.org:80:443/",
    "https://[::1]/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://127.1/",
    "https://wíki.example.org/",
    "https://wiki。example.org/",
    "https://example.org/",
    "https://vault.example.org.:443@evil.example.net/",
];

#[tokio::test]
async fn nothing_leads_away_from_our_sites() {
    each_app(async |app| {
        furnish(&app).await;
        let door = &app.doorward;
        let browser = app.sign_in("alice").await;
        let visit = browser.visit().await;
        let hosts: BTreeSet<&str> = [
            "wiki.example.org",
            "wiki.faraway.test",
            "git.faraway.test",
            "alone.elsewhere.test",
            "plain.local.test",
            "vault.example.org",
            "door.example.org",
        ]
        .into();
        let ours = |start: &Start, trick: &str| match start {
            Start::Onward { location, .. } | Start::Marked { location, .. } => {
                let url = Place::parse(location).unwrap_or_else(|| panic!("{trick} led to {location}"));
                assert!(hosts.contains(url.host.as_str()), "{trick} led to {location}");
                let parsed = url::Url::parse(location).unwrap();
                assert_eq!(
                    parsed.host_str(),
                    Some(url.host.as_str()),
                    "{trick} led to {location}"
                );
                assert!(
                    parsed.username().is_empty() && parsed.password().is_none(),
                    "{location}"
                );
                assert!(!location.contains(['\r', '\n', ' ', '\\']), "{location}");
            }
            Start::SignIn(next) => assert!(next.starts_with(&format!("{START}?")), "{trick}: {next}"),
            Start::Refused(refused) => assert_eq!(refused.reason, Reason::ReturnElsewhere, "{trick}"),
        };
        for trick in TRICKS {
            for rd in [
                trick.to_owned(),
                escape(trick),
                escape(&escape(trick)),
                format!("{trick}&rd={WIKI}"),
                format!("x&rd={}", escape(trick)),
            ] {
                let query = format!("rd={rd}");
                for visit in [None, visit.as_deref()] {
                    let at_home = door.start_at_home(visit, &query, &browser.origin).await;
                    ours(&at_home, trick);
                    assert!(
                        matches!(at_home, Start::Refused(_)),
                        "{trick} as {rd}: {at_home:?}"
                    );
                }
                for host in [
                    WIKI,
                    FAR,
                    "http://plain.local.test",
                    "https://unknown.example.net",
                ] {
                    if let Some(here) = Place::of(
                        host.starts_with("https"),
                        host.split_once("://").unwrap().1,
                        &format!("{START}?{query}"),
                    ) {
                        ours(&door.start_at_site(&here, None), trick);
                    }
                }
            }
        }
        // A path leads somewhere on the site where it was said, whatever it looks like.
        for path in [
            "/",
            "/a?b=c",
            "/\\evil.example.net",
            "/.evil.example.net",
            "/%2f/evil.example.net",
            "/@evil.example.net",
        ] {
            let here = place(&format!("{FAR}{START}?rd={path}"));
            let start = door.start_at_site(&here, None);
            ours(&start, path);
            let home = door
                .start_at_home(visit.as_deref(), query(onward(&start)), &browser.origin)
                .await;
            ours(&home, path);
        }
    })
    .await;
}

#[tokio::test]
async fn the_wanted_page_survives_with_its_query_however_it_was_written() {
    each_app(async |app| {
        furnish(&app).await;
        let door = &app.doorward;
        let browser = app.sign_in("alice").await;
        let visit = browser.visit().await;
        for wanted in [
            "https://wiki.example.org/",
            "https://wiki.example.org/a?b=c&d=e&rd=https://x/&b=1",
            "https://wiki.example.org/a?b=%26%3D%2B+%23&c",
            "https://wiki.example.org/%E4%B8%AD/x;y=1?q=%C3%A4",
            "https://wiki.example.org:8443/a?b",
            "https://wiki.example.org/a?next=https%3A%2F%2Fevil.example.net",
        ] {
            for rd in [wanted.to_owned(), escape(wanted), format!("{wanted}#part")] {
                let home = door
                    .start_at_home(visit.as_deref(), &format!("rd={rd}"), &browser.origin)
                    .await;
                assert_eq!(onward(&home), wanted, "{rd}");
                // Without a session: through the sign-in, which comes back with the same.
                let Start::SignIn(next) = door
                    .start_at_home(None, &format!("rd={rd}"), &browser.origin)
                    .await
                else {
                    panic!("{rd}")
                };
                let back = return_of(query(&next)).unwrap();
                assert_eq!(back, wanted, "{rd}");
                let here = place(&format!("{WIKI}{START}?rd={}", rd.split('#').next().unwrap()));
                let start = door.start_at_site(&here, None);
                assert_eq!(return_of(query(onward(&start))).as_deref(), Some(wanted), "{rd}");
            }
        }
        // By https where the site says so, back to the front page of what is too long or ours.
        for (wanted, expected) in [
            (
                "http://wiki.example.org/a",
                "https://wiki.example.org/a".to_owned(),
            ),
            (
                "http://wiki.example.org:80/a",
                "https://wiki.example.org/a".to_owned(),
            ),
            (
                "https://wiki.example.org/.doorward/start?rd=x",
                "https://wiki.example.org/".to_owned(),
            ),
            (
                "https://wiki.example.org/outpost.goauthentik.io/start",
                "https://wiki.example.org/".to_owned(),
            ),
        ] {
            let home = door
                .start_at_home(
                    visit.as_deref(),
                    &format!("rd={}", escape(wanted)),
                    &browser.origin,
                )
                .await;
            assert_eq!(onward(&home), expected, "{wanted}");
        }
        let long = format!("https://wiki.example.org/{}", "a".repeat(5000));
        let home = door
            .start_at_home(visit.as_deref(), &format!("rd={long}"), &browser.origin)
            .await;
        assert_eq!(onward(&home), "https://wiki.example.org/");
    })
    .await;
}

#[tokio::test]
async fn circles_are_seen_and_many_tabs_are_none() {
    each_app(async |app| {
        furnish(&app).await;
        let door = &app.doorward;
        let browser = app.sign_in("alice").await;
        let visit = browser.visit().await;
        for tab in 0..40 {
            let query = format!("rd=https://wiki.example.org/tab/{tab}");
            let start = door
                .start_at_home(visit.as_deref(), &query, &browser.origin)
                .await;
            assert!(
                matches!(start, Start::Onward { cookie: Some(_), .. }),
                "{tab}: {start:?}"
            );
        }
        let again = async || {
            door.start_at_home(
                visit.as_deref(),
                "rd=https://wiki.example.org/page",
                &browser.origin,
            )
            .await
        };
        let mut rounds = 0;
        let refused = loop {
            match again().await {
                Start::Refused(refused) => break refused,
                _ => rounds += 1,
            }
            // Two redirects each: browsers give up after twenty by themselves, and say nothing of the reason.
            assert!(rounds < 10, "{rounds} rounds");
            app.wait_seconds(1);
        };
        assert_eq!(refused.reason, Reason::CookieNotKept);
        assert!(refused.code.is_some() && rounds >= 5, "{rounds}");
        app.wait_seconds(20);
        assert!(
            matches!(again().await, Start::Onward { .. }),
            "later it may be tried again"
        );
    })
    .await;
}
