//! Session cookies and session tokens, resolved at the better-auth door.

use std::time::Duration;

use doorward_guard::{Guard, Kind, Source};
use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fake::{Fake, bearer, get, map, now};

const DOOR: &str = "/api/auth/get-session";
const NAMES: [&str; 3] = [
    "__Secure-better-auth.session_token",
    "better-auth.session_token",
    "__Host-better-auth.session_token",
];

fn session(user: &str) -> Value {
    json!({ "session": { "id": "s1", "userId": user, "token": "t", "expiresAt": "2999-01-01T00:00:00.000Z",
        "activeOrganizationId": "w1", "ipAddress": "", "userAgent": null, "impersonatedBy": null },
        "user": { "id": user, "name": "Alice", "email": "alice@example.org", "emailVerified": true, "role": "user" } })
}

fn guard(fake: &Fake) -> Guard {
    Guard::builder(&fake.url())
        .sessions("/api/auth/")
        .trusted_origin("https://app.example.org")
        .build()
        .expect("a guard")
}

#[tokio::test]
async fn the_cookie_goes_to_the_door_byte_for_byte() {
    let fake = Fake::start().await;
    fake.says(DOOR, 200, session("alice"));
    let guard = guard(&fake);
    for value in [
        "abc.FJb%2F3V%2BYI%3D",
        "abc.FJb/3V+YI=",
        "a%252Fb",
        "\"quoted\"",
        "%",
        "a b",
    ] {
        let header = format!("other=1; {}={value}; more=2", NAMES[0]);
        let caller = get(&guard, &[("cookie", &header)]).await.expect("somebody");
        assert_eq!(caller.source(), Source::SessionCookie);
        let person = caller.person().expect("a person");
        assert_eq!(
            (person.id.as_str(), person.workspace.as_deref()),
            ("alice", Some("w1"))
        );
        assert!(person.email_verified && caller.has_role("user") && !caller.has_scope("openid"));
        let asked = fake.asked().pop().expect("a request");
        assert_eq!(
            asked.header("cookie"),
            format!("{}={value}", NAMES[0]),
            "nothing else goes along"
        );
        assert_eq!(asked.header("authorization"), "");
        assert!(
            asked.target.contains("disableRefresh=true") && asked.target.contains("disableCookieCache=true")
        );
    }
}

/// The server tells its doors apart by host and path, also when it is asked at an address inside a cluster.
#[tokio::test]
async fn a_door_is_asked_in_its_own_name() {
    let fake = Fake::start().await;
    for path in [DOOR, "/sub/api/auth/get-session", "/shop/auth/get-session"] {
        fake.says(path, 200, session("alice"));
    }
    let inside = fake.url();
    for (public, sessions, asked_path, asked_host) in [
        ("https://id.example.org", "/api/auth", DOOR, "id.example.org"),
        (
            "https://id.example.org:8443/",
            "api/auth/",
            DOOR,
            "id.example.org:8443",
        ),
        (
            "https://id.example.org",
            "https://shop.example.org/shop/auth",
            "/shop/auth/get-session",
            "shop.example.org",
        ),
        (
            "https://id.example.org/sub",
            "https://id.example.org/sub/api/auth",
            DOOR,
            "id.example.org",
        ),
        ("https://id.example.org/sub", "/api/auth", DOOR, "id.example.org"),
    ] {
        let guard = Guard::builder(public)
            .internal_url(&inside)
            .sessions(sessions)
            .build()
            .expect("a guard");
        bearer(&guard, "abc").await.expect("somebody");
        let asked = fake.asked().pop().expect("a request");
        assert_eq!(
            (asked.target.split('?').next(), asked.header("host")),
            (Some(asked_path), asked_host),
            "{sessions}"
        );
    }
    let elsewhere = format!("{inside}/shop/auth");
    let guard = Guard::builder("https://id.example.org")
        .sessions(&elsewhere)
        .build()
        .expect("a guard");
    bearer(&guard, "abc").await.expect("somebody");
    assert_eq!(
        inside,
        format!("http://{}", fake.asked().pop().expect("a request").header("host"))
    );
    assert!(
        Guard::builder("https://id.example.org")
            .sessions("http://shop.example.org/auth")
            .build()
            .is_err()
    );
}

#[tokio::test]
async fn bearer_forms_go_to_the_door_as_they_are() {
    let fake = Fake::start().await;
    fake.says(DOOR, 200, session("alice"));
    let guard = guard(&fake);
    let raw = "abcdefghijklmnopqrstuvwxyzABCDEF";
    for token in [
        raw.to_owned(),
        format!("{raw}.FJbnMH0sQ/3VKUilnwaMSJnkSgNBxFwJ110i9PAj+YI="),
        format!("{raw}.FJbnMH0sQ%2F3VKUilnwaMSJnkSgNBxFwJ110i9PAj%2BYI%3D"),
    ] {
        let caller = bearer(&guard, &token).await.expect("somebody");
        assert_eq!(caller.source(), Source::SessionToken);
        assert_eq!(
            fake.asked().pop().expect("a request").header("authorization"),
            format!("Bearer {token}")
        );
    }
}

/// Row 8 of the chain: nobody is signed out by a fault.
#[tokio::test]
async fn status_matrix() {
    let fake = Fake::start().await;
    let other = session("alice")
        .to_string()
        .replace("\"id\":\"alice\"", "\"id\":\"bob\"");
    for (code, body, expected) in [
        (200, "null", 401),
        (401, "{}", 401),
        (200, "{}", 503),
        (200, "", 503),
        (200, "<html>", 503),
        (200, &other, 503),
        (302, "null", 503),
        (404, "", 503),
        (429, "{}", 503),
        (500, "{}", 503),
        (503, "{}", 503),
    ] {
        fake.says(DOOR, code, body);
        let refusal = get(&guard(&fake), &[("cookie", "better-auth.session_token=x")])
            .await
            .expect_err("a refusal");
        assert_eq!(refusal.status(), expected, "{code} {body}");
        if expected == 503 {
            let body: Value = serde_json::from_str(&refusal.body()).expect("JSON");
            assert_eq!(body["error_id"].as_str().map(str::len), Some(16));
            assert_eq!(body["error"], "temporarily_unavailable");
            assert!(refusal.headers().get("www-authenticate").is_none());
        } else {
            assert_eq!(refusal.kind(), &Kind::SessionEnded);
        }
    }
    // Nobody there at all.
    let guard = Guard::builder("http://127.0.0.1:9")
        .sessions("/api/auth")
        .build()
        .expect("a guard");
    let refusal = get(&guard, &[("cookie", "better-auth.session_token=x")])
        .await
        .expect_err("a refusal");
    assert_eq!(refusal.status(), 503);
    assert_eq!(guard.check().await.len(), 1);
    // Too slow.
    fake.says(DOOR, 200, "null");
    fake.take_time(Duration::from_millis(500));
    let guard = Guard::builder(&fake.url())
        .sessions("/api/auth")
        .timeout(Duration::from_millis(50))
        .build()
        .expect("a guard");
    let refusal = get(&guard, &[("cookie", "better-auth.session_token=x")])
        .await
        .expect_err("a refusal");
    assert_eq!(refusal.status(), 503);
}

#[tokio::test]
async fn answers_are_kept_for_seconds_and_asked_once_at_a_time() {
    let fake = Fake::start().await;
    fake.says(DOOR, 200, session("alice"));
    fake.take_time(Duration::from_millis(100));
    let guard = Guard::builder(&fake.url())
        .sessions("/api/auth")
        .keep_answers(Duration::from_millis(400))
        .build()
        .expect("a guard");
    let cookie = [("cookie", "better-auth.session_token=x")];
    let crowd: Vec<_> = (0..50)
        .map(|_| {
            let guard = guard.clone();
            tokio::spawn(async move {
                get(&guard, &[("cookie", "better-auth.session_token=x")])
                    .await
                    .is_ok()
            })
        })
        .collect();
    for one in crowd {
        assert!(one.await.expect("an answer"));
    }
    assert_eq!(fake.asked().len(), 1);
    fake.says(DOOR, 200, "null");
    assert!(get(&guard, &cookie).await.is_ok(), "still kept");
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert!(get(&guard, &cookie).await.is_err(), "signed out");
    let asking = Guard::builder(&fake.url())
        .sessions("/api/auth")
        .keep_answers(Duration::ZERO)
        .build()
        .expect("a guard");
    let before = fake.asked().len();
    for _ in 0..3 {
        assert!(get(&asking, &cookie).await.is_err());
    }
    assert_eq!(fake.asked().len(), before + 3);
}

#[tokio::test]
async fn a_yes_is_not_kept_beyond_the_end_of_the_session() {
    let fake = Fake::start().await;
    let ends_at = now() + 2;
    let text = stamp(ends_at);
    let ends = session("alice")
        .to_string()
        .replace("2999-01-01T00:00:00.000Z", &text);
    fake.says(DOOR, 200, &ends);
    let guard = Guard::builder(&fake.url())
        .sessions("/api/auth")
        .keep_answers(Duration::from_secs(60))
        .build()
        .expect("a guard");
    let cookie = [("cookie", "better-auth.session_token=x")];
    assert!(get(&guard, &cookie).await.is_ok());
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert!(get(&guard, &cookie).await.is_err());
}

/// The UTC time stamp of seconds since 1970.
fn stamp(seconds: i64) -> String {
    let (mut day, rest) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while day >= 365 + i64::from(leap(year)) {
        day -= 365 + i64::from(leap(year));
        year += 1;
    }
    let months = [
        31,
        28 + i64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 1;
    for length in months {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    format!(
        "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.000Z",
        day + 1
    )
}

#[tokio::test]
async fn cookies_of_other_sites_change_nothing() {
    let fake = Fake::start().await;
    fake.says(DOOR, 200, session("alice"));
    let guard = guard(&fake);
    let cookie = ("cookie", "better-auth.session_token=x");
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let evil = map(&[
            cookie,
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "cross-site"),
        ]);
        let refusal = guard.authenticate(&method, &evil).await.expect_err("a refusal");
        assert_eq!(
            (refusal.status().as_u16(), refusal.kind()),
            (403, &Kind::CrossSite)
        );
        let app = map(&[
            cookie,
            ("origin", "https://app.example.org"),
            ("sec-fetch-site", "same-site"),
        ]);
        assert!(guard.authenticate(&method, &app).await.is_ok());
    }
    assert!(
        get(&guard, &[cookie, ("sec-fetch-site", "cross-site")])
            .await
            .is_ok()
    );
    // A token is nothing that a browser sends by itself.
    let both = map(&[
        cookie,
        ("origin", "https://evil.example"),
        ("authorization", "Bearer x"),
    ]);
    let caller = guard.authenticate(&Method::POST, &both).await.expect("somebody");
    assert_eq!(caller.source(), Source::SessionToken);
}

/// Row 3 of the chain: all combinations of absent, invalid and valid for three cookies and the bearer token. The first
/// valid one wins, whatever invalid ones stand beside it.
#[tokio::test]
async fn candidate_order() {
    let door = Door::start().await;
    let guard = Guard::builder(&door.url)
        .sessions("/api/auth")
        .build()
        .expect("a guard");
    for combination in 0..81_u32 {
        let states: Vec<u32> = (0..4).map(|place| combination / 3_u32.pow(place) % 3).collect();
        let text = |place: usize| match states[place] {
            0 => None,
            1 => Some(format!("stale{place}")),
            _ => Some(format!("valid{place}")),
        };
        let mut headers = Vec::new();
        // In reverse, because the order of the header must not count.
        for place in (0..3).rev() {
            headers.extend(text(place).map(|value| ("cookie", format!("{}={value}", NAMES[place]))));
        }
        headers.extend(text(3).map(|value| ("authorization", format!("Bearer {value}"))));
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let found = guard.authenticate(&Method::GET, &appended(&headers)).await;
        let expected = states
            .iter()
            .position(|state| *state == 2)
            .map(|place| format!("valid{place}"));
        assert_eq!(
            found.as_ref().ok().map(|caller| caller.id().to_owned()),
            expected,
            "{states:?}"
        );
        if states == [0, 0, 0, 0] {
            assert_eq!(found.expect_err("a refusal").kind(), &Kind::NoCredentials);
        }
    }
}

fn appended(headers: &[(&str, &str)]) -> http::HeaderMap {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().expect("a name");
        map.append(name, value.parse().expect("a value"));
    }
    map
}

/// A door where `validN` is the session of a person of that name.
struct Door {
    url: String,
}

impl Door {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let answer = async |headers: http::HeaderMap| {
            let text = |name: &str| {
                headers
                    .get(name)
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default()
                    .to_owned()
            };
            let all = text("cookie") + &text("authorization");
            let valid = all
                .find("valid")
                .and_then(|at| all.get(at..at + 6))
                .map(str::to_owned);
            axum::Json(valid.map(|user| session(&user)))
        };
        let router = axum::Router::new().route(DOOR, axum::routing::get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url }
    }
}

proptest! {
    /// Whatever a request brings, the guard answers, and never with a server error while the server is well.
    #[test]
    fn any_header_is_survived(cookie in "[ -~]{0,80}", authorization in "[ -~]{0,80}", bearer in "[ -~]{0,60}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let guard = Guard::builder("http://127.0.0.1:9").openid("notes", "a").build().expect("a guard");
            let session = format!("better-auth.session_token={cookie}");
            let bearer = format!("Bearer {bearer}");
            for headers in [[("cookie", cookie.as_str()), ("authorization", authorization.as_str())], [("cookie", &session), ("authorization", &bearer)]] {
                let outcome = guard.authenticate(&Method::GET, &map(&headers)).await;
                let status = outcome.err().map(|refusal| refusal.status().as_u16());
                assert_eq!(status, Some(401));
            }
        });
    }
}
