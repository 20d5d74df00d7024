//! The doors of apps on the better-auth wire contract: each test is named after what it shows; numbers are of the contract.

use doorward_core::admin::applications::ApplicationChange;
use doorward_core::app_auth::settings::DoorChange;
use doorward_domain::{ApplicationId, Lifetime};
use doorward_testkit::{App, PASSWORD, each_app};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::http_client::{Client, Got};

pub(crate) const SECRET: &str = "doorward-test-secret-0123456789abcdef";
const ORIGIN: &str = "https://door.example.org";
const COOKIE: &str = "__Secure-better-auth.session_token";

/// An app with a door that lets everybody in.
pub(crate) async fn open(app: &App, change: DoorChange) -> ApplicationId {
    let audience = ApplicationChange {
        everyone: Some(true),
        ..ApplicationChange::default()
    };
    let made = app
        .doorward
        .create_application("shop", &audience)
        .await
        .expect("an app");
    let change = DoorChange {
        secret: Some(SECRET.to_owned()),
        sign_up: change.sign_up.or(Some(true)),
        rate_limit: change.rate_limit.or(Some(false)),
        ..change
    };
    let id = made.application.id;
    app.doorward.change_door(id, &change).await.expect("a door");
    id
}

/// A browser at the app's own origin.
pub(crate) fn browser(app: &App) -> Client {
    let mut client = Client::new(app);
    client.headers.push(("origin", ORIGIN.to_owned()));
    client
}

pub(crate) async fn post(client: &mut Client, path: &str, body: Value) -> Got {
    let body = Some(("application/json", body.to_string()));
    client
        .deliver(Method::POST, &format!("/api/auth{path}"), body)
        .await
}

pub(crate) async fn get(client: &mut Client, path: &str) -> Got {
    client
        .deliver(Method::GET, &format!("/api/auth{path}"), None)
        .await
}

pub(crate) async fn sign_up(client: &mut Client, name: &str) -> Value {
    let body = json!({ "name": name, "email": format!("{name}@example.org"), "password": PASSWORD });
    let got = post(client, "/sign-up/email", body).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.body);
    got.json()
}

fn told(got: &Got) -> (u16, String) {
    let code = got
        .json()
        .get("code")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    (got.status.as_u16(), code)
}

#[tokio::test]
async fn section_1_3_sign_up_session_and_sign_out() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut client = browser(&app);
        let nobody = get(&mut client, "/get-session").await;
        assert_eq!((nobody.status, nobody.body.as_str()), (StatusCode::OK, "null"));
        let made = sign_up(&mut client, "alice").await;
        let token = made["token"].as_str().unwrap().to_owned();
        assert_eq!(token.len(), 32);
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_eq!(made["user"]["email"], "alice@example.org");
        assert_eq!(made["user"]["emailVerified"], false);
        let session = get(&mut client, "/get-session").await.json();
        assert_eq!(session["session"]["token"], token.as_str());
        assert_eq!(session["user"]["id"], made["user"]["id"]);
        assert!(session["session"]["expiresAt"].as_str().unwrap().ends_with('Z'));
        let out = post(&mut client, "/sign-out", json!({})).await;
        assert_eq!(out.json(), json!({ "success": true }));
        assert!(client.cookies.is_empty(), "{:?}", client.cookies);
        // The token is worth nothing any more, also as a bearer.
        client.headers.push(("authorization", format!("Bearer {token}")));
        assert_eq!(get(&mut client, "/get-session").await.body, "null");
    })
    .await;
}

#[tokio::test]
async fn section_2_1_the_cookie_is_byte_for_byte_as_the_contract_says() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut client = browser(&app);
        let body = json!({ "name": "Al", "email": "al@example.org", "password": PASSWORD });
        let got = post(&mut client, "/sign-up/email", body).await;
        let token = got.json()["token"].as_str().unwrap().to_owned();
        let signed = doorward_crypto::signed::sign(&token, SECRET);
        let encoded = signed.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
        let cookie = got.headers.get("set-cookie").unwrap().to_str().unwrap();
        let wanted = format!("{COOKIE}={encoded}; Max-Age=604800; Path=/; HttpOnly; Secure; SameSite=Lax");
        assert_eq!(cookie, wanted);
        assert_eq!(got.header("set-auth-token"), signed);
    })
    .await;
}

#[tokio::test]
async fn section_10_candidate_order() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut client = browser(&app);
        let token = sign_up(&mut client, "alice").await["token"]
            .as_str()
            .unwrap()
            .to_owned();
        let good = doorward_crypto::signed::sign(&token, SECRET);
        let stale = doorward_crypto::signed::sign("abcdefghijklmnopqrstuvwxyzABCDEF", SECRET);
        let names = [
            COOKIE,
            "better-auth.session_token",
            "__Host-better-auth.session_token",
        ];
        // Each place holds nothing, a good token or a stale one: somebody is known exactly when one is good.
        for state in 0..81_u32 {
            let at = |place: u32| state / 3_u32.pow(place) % 3;
            let mut client = browser(&app);
            for (place, name) in names.iter().enumerate() {
                match at(u32::try_from(place).unwrap()) {
                    1 => drop(client.cookies.insert((*name).to_owned(), good.clone())),
                    2 => drop(client.cookies.insert((*name).to_owned(), stale.clone())),
                    _ => {}
                }
            }
            match at(3) {
                1 => client.headers.push(("authorization", format!("Bearer {good}"))),
                2 => client.headers.push(("authorization", format!("Bearer {stale}"))),
                _ => {}
            }
            let known = (0..4).any(|place| at(place) == 1);
            let got = get(&mut client, "/get-session").await;
            assert_eq!(got.body != "null", known, "state {state}: {}", got.body);
            let alias = get(&mut client, "/session").await;
            let wanted = if known {
                StatusCode::OK
            } else {
                StatusCode::UNAUTHORIZED
            };
            // The first look may have taken cookies away that were of no use.
            if known {
                assert_eq!(alias.status, wanted, "state {state}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn section_10_raw_cookie_bytes_and_bearer_forms() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let token = sign_up(&mut browser(&app), "alice").await["token"]
            .as_str()
            .unwrap()
            .to_owned();
        let signed = doorward_crypto::signed::sign(&token, SECRET);
        let encoded = signed.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
        let twice = encoded.replace('%', "%25");
        for (cookie, known) in [(&signed, true), (&encoded, true), (&twice, false)] {
            let mut client = browser(&app);
            client.cookies.insert(COOKIE.to_owned(), cookie.clone());
            let got = get(&mut client, "/get-session").await;
            assert_eq!(
                (got.status, got.body != "null"),
                (StatusCode::OK, known),
                "{cookie}"
            );
        }
        for (bearer, known) in [
            (format!("Bearer {token}"), true),
            (format!("bearer {signed}"), true),
            (format!("Bearer {encoded}"), true),
            (format!("Bearer {token}x"), false),
            (format!("Bearer {token}.AAAA"), false),
            ("Bearer".to_owned(), false),
            ("Bearer %".to_owned(), false),
            (format!("Basic {token}"), false),
            (format!("Bearer {}", "x".repeat(4000)), false),
        ] {
            let mut client = browser(&app);
            client.headers.push(("authorization", bearer.clone()));
            let got = get(&mut client, "/get-session").await;
            assert_eq!(
                (got.status, got.body != "null"),
                (StatusCode::OK, known),
                "{bearer}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn section_3_1_origins() {
    each_app(async |app| {
        let trusted = DoorChange {
            trusted_origins: Some(vec!["https://*.example.net".to_owned()]),
            ..DoorChange::default()
        };
        open(&app, trusted).await;
        let mut client = browser(&app);
        sign_up(&mut client, "alice").await;
        let sign_in = json!({ "email": "alice@example.org", "password": PASSWORD });
        for (origin, site, code) in [
            (Some("https://door.example.org"), None, None),
            (Some("https://a.example.net"), None, None),
            (Some("https://evil.example.com"), None, Some("INVALID_ORIGIN")),
            (
                Some("https://door.example.org.evil.com"),
                None,
                Some("INVALID_ORIGIN"),
            ),
            (Some("null"), None, Some("MISSING_OR_NULL_ORIGIN")),
            (Some("null"), Some("same-origin"), None),
            (None, None, Some("MISSING_OR_NULL_ORIGIN")),
        ] {
            let mut other = client.clone();
            other.headers.clear();
            if let Some(origin) = origin {
                other.headers.push(("origin", origin.to_owned()));
            }
            if let Some(site) = site {
                other.headers.push(("sec-fetch-site", site.to_owned()));
            }
            let got = post(&mut other, "/sign-in/email", sign_in.clone()).await;
            match code {
                None => assert_eq!(got.status, StatusCode::OK, "{origin:?} {}", got.body),
                Some(code) => assert_eq!(told(&got), (403, code.to_owned()), "{origin:?}"),
            }
        }
        // Programs without cookies say nothing of an origin; a form of another site in a browser says a lot.
        let mut program = Client::new(&app);
        assert_eq!(
            post(&mut program, "/sign-in/email", sign_in.clone()).await.status,
            StatusCode::OK
        );
        let mut form = Client::new(&app);
        form.headers.push(("sec-fetch-site", "cross-site".to_owned()));
        form.headers.push(("sec-fetch-mode", "navigate".to_owned()));
        let got = post(&mut form, "/sign-in/email", sign_in.clone()).await;
        assert_eq!(
            told(&got),
            (403, "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED".to_owned())
        );
    })
    .await;
}

#[tokio::test]
async fn section_3_2_places_to_go_to() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut client = browser(&app);
        sign_up(&mut client, "alice").await;
        for bad in [
            "https://evil.com",
            "//evil.com",
            "/\\evil.com",
            "javascript:alert(1)",
            "/%2fevil.com",
        ] {
            let body = json!({ "email": "alice@example.org", "password": PASSWORD, "callbackURL": bad });
            let got = post(&mut client, "/sign-in/email", body).await;
            assert_eq!(told(&got), (403, "INVALID_CALLBACK_URL".to_owned()), "{bad}");
        }
        let body = json!({ "email": "alice@example.org", "password": PASSWORD, "callbackURL": "/dashboard" });
        let got = post(&mut client, "/sign-in/email", body).await;
        assert_eq!((got.status, got.location()), (StatusCode::OK, "/dashboard"));
        assert_eq!(
            (&got.json()["redirect"], &got.json()["url"]),
            (&json!(true), &json!("/dashboard"))
        );
    })
    .await;
}

#[tokio::test]
async fn section_1_1_transport() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut client = browser(&app);
        for (method, path) in [
            (Method::GET, "/nothing"),
            (Method::POST, "/nothing"),
            (Method::GET, "/sign-in/email"),
            (Method::GET, "/get-session/"),
            (Method::PUT, "/get-session"),
            (Method::DELETE, "/list-sessions"),
            (Method::GET, "//get-session"),
            (Method::GET, "/get-session%2f"),
        ] {
            let got = client
                .deliver(method.clone(), &format!("/api/auth{path}"), None)
                .await;
            assert_eq!(
                (got.status, got.body.as_str()),
                (StatusCode::NOT_FOUND, ""),
                "{method} {path}"
            );
        }
        let broken = client
            .deliver(
                Method::POST,
                "/api/auth/sign-in/email",
                Some(("application/json", "{".to_owned())),
            )
            .await;
        assert_eq!(broken.status, StatusCode::BAD_REQUEST);
        assert_eq!(broken.json()["message"], "Invalid JSON in request body");
        let deep = "[".repeat(10_000);
        let got = client
            .deliver(
                Method::POST,
                "/api/auth/sign-in/email",
                Some(("application/json", deep)),
            )
            .await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST);
        let large = format!("{{\"email\":\"{}\"}}", "x".repeat(100_000));
        let got = client
            .deliver(
                Method::POST,
                "/api/auth/sign-in/email",
                Some(("application/json", large)),
            )
            .await;
        assert_eq!(got.status, StatusCode::PAYLOAD_TOO_LARGE);
        let kind = client
            .deliver(
                Method::POST,
                "/api/auth/change-password",
                Some(("text/plain", "{}".to_owned())),
            )
            .await;
        assert_eq!(told(&kind), (415, "UNSUPPORTED_MEDIA_TYPE".to_owned()));
        let form = "email=nobody%40example.org&password=wrong-password".to_owned();
        let form = Some(("application/x-www-form-urlencoded", form));
        let got = client
            .deliver(Method::POST, "/api/auth/sign-in/email", form)
            .await;
        assert_eq!(told(&got), (401, "INVALID_EMAIL_OR_PASSWORD".to_owned()));
        // Where no app has its door, nothing is said of doors.
        let elsewhere = client.deliver(Method::GET, "/api/other/get-session", None).await;
        assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);
        // The legacy base path is the same door.
        assert_eq!(
            client.deliver(Method::GET, "/auth/get-session", None).await.body,
            "null"
        );
    })
    .await;
}

#[tokio::test]
async fn section_1_4_sessions_are_listed_and_revoked_without_giving_tokens_away() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut phone = browser(&app);
        let phone_token = sign_up(&mut phone, "alice").await["token"]
            .as_str()
            .unwrap()
            .to_owned();
        let mut laptop = browser(&app);
        let sign_in = json!({ "email": "ALICE@example.org", "password": PASSWORD });
        let laptop_token = post(&mut laptop, "/sign-in/email", sign_in.clone()).await.json()["token"]
            .as_str()
            .unwrap()
            .to_owned();
        let list = get(&mut laptop, "/list-sessions").await.json();
        let list = list.as_array().unwrap();
        assert_eq!(list.len(), 2);
        let tokens: Vec<&str> = list.iter().map(|one| one["token"].as_str().unwrap()).collect();
        assert!(tokens.contains(&laptop_token.as_str()));
        assert!(
            !tokens.contains(&phone_token.as_str()),
            "another session's token is not given away"
        );
        let handle = tokens
            .iter()
            .find(|one| **one != laptop_token)
            .unwrap()
            .to_string();
        // A handle opens nothing.
        let mut thief = browser(&app);
        thief.headers.push(("authorization", format!("Bearer {handle}")));
        assert_eq!(get(&mut thief, "/get-session").await.body, "null");
        // Somebody else's handle and token have no effect.
        let mut mallory = browser(&app);
        sign_up(&mut mallory, "mallory").await;
        for text in [handle.as_str(), phone_token.as_str(), "unknown"] {
            let got = post(&mut mallory, "/revoke-session", json!({ "token": text })).await;
            assert_eq!(got.json(), json!({ "status": true }));
        }
        assert_ne!(get(&mut phone, "/get-session").await.body, "null");
        post(&mut laptop, "/revoke-session", json!({ "token": handle })).await;
        assert_eq!(get(&mut phone, "/get-session").await.body, "null");
        assert_ne!(get(&mut laptop, "/get-session").await.body, "null");
        post(&mut phone, "/sign-in/email", sign_in).await;
        post(&mut laptop, "/revoke-other-sessions", json!({})).await;
        assert_eq!(get(&mut phone, "/get-session").await.body, "null");
        post(&mut laptop, "/revoke-sessions", json!({})).await;
        assert_eq!(get(&mut laptop, "/get-session").await.body, "null");
    })
    .await;
}

#[tokio::test]
async fn section_2_3_sessions_are_extended_and_end() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut client = browser(&app);
        sign_up(&mut client, "alice").await;
        let first = get(&mut client, "/get-session").await.json()["session"]["expiresAt"].clone();
        app.clock.advance(Lifetime::from_hours(23));
        assert_eq!(
            get(&mut client, "/get-session").await.json()["session"]["expiresAt"],
            first
        );
        app.clock.advance(Lifetime::from_hours(2));
        let quiet = get(&mut client, "/get-session?disableRefresh=true").await;
        assert_eq!(quiet.json()["session"]["expiresAt"], first);
        let extended = get(&mut client, "/get-session").await;
        assert_ne!(extended.json()["session"]["expiresAt"], first);
        assert!(extended.headers.contains_key("set-cookie"));
        assert_eq!(
            told(&get(&mut client, "/list-sessions").await),
            (403, "SESSION_NOT_FRESH".to_owned())
        );
        app.clock.advance(Lifetime::from_days(8));
        assert_eq!(get(&mut client, "/get-session").await.body, "null");
        let short = json!({ "email": "alice@example.org", "password": PASSWORD, "rememberMe": false });
        let got = post(&mut client, "/sign-in/email", short).await;
        let cookies: Vec<&str> = got
            .headers
            .get_all("set-cookie")
            .iter()
            .filter_map(|c| c.to_str().ok())
            .collect();
        assert!(
            cookies.iter().all(|cookie| !cookie.contains("Max-Age")),
            "{cookies:?}"
        );
        assert!(cookies.iter().any(|cookie| cookie.contains("dont_remember")));
        app.clock.advance(Lifetime::from_hours(25));
        assert_eq!(get(&mut client, "/get-session").await.body, "null");
    })
    .await;
}

#[tokio::test]
async fn an_apps_session_opens_nothing_but_the_app() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut client = browser(&app);
        let token = sign_up(&mut client, "alice").await["token"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(app.doorward.visit(Some(&token)).await.unwrap().is_none());
        client
            .cookies
            .insert("__Host-doorward_session".to_owned(), token.clone());
        let portal = client.get("/if/user/").await;
        assert_eq!(
            portal.status,
            StatusCode::SEE_OTHER,
            "the portal sends to sign in"
        );
        // Nor does it open another app, and Doorward's own session opens no app.
        let audience = ApplicationChange {
            everyone: Some(true),
            ..ApplicationChange::default()
        };
        let other = app
            .doorward
            .create_application("blog", &audience)
            .await
            .unwrap()
            .application;
        let change = DoorChange {
            base_url: Some(format!("{ORIGIN}/blog/auth")),
            aliases: Some(Vec::new()),
            secret: Some(SECRET.to_owned()),
            ..DoorChange::default()
        };
        app.doorward.change_door(other.id, &change).await.unwrap();
        assert_eq!(
            client
                .deliver(Method::GET, "/blog/auth/get-session", None)
                .await
                .body,
            "null"
        );
        app.person("bob").await;
        let mut bob = Client::new(&app);
        bob.sign_in("bob").await;
        let own = bob.cookies["__Host-doorward_session"].clone();
        bob.headers.push(("authorization", format!("Bearer {own}")));
        assert_eq!(get(&mut bob, "/get-session").await.body, "null");
    })
    .await;
}

#[tokio::test]
async fn who_is_not_in_the_audience_or_banned_or_switched_off_is_not_let_in() {
    each_app(async |app| {
        let id = open(&app, DoorChange::default()).await;
        let mut client = browser(&app);
        let made = sign_up(&mut client, "alice").await;
        assert_ne!(get(&mut client, "/get-session").await.body, "null");
        let nobody = ApplicationChange {
            everyone: Some(false),
            ..ApplicationChange::default()
        };
        app.doorward.update_application(id, &nobody).await.unwrap();
        assert_eq!(get(&mut client.clone(), "/get-session").await.body, "null");
        let sign_in = json!({ "email": "alice@example.org", "password": PASSWORD });
        assert_eq!(
            post(&mut client.clone(), "/sign-in/email", sign_in.clone())
                .await
                .status,
            StatusCode::FORBIDDEN
        );
        let body = json!({ "name": "Eve", "email": "eve@example.org", "password": PASSWORD });
        assert_eq!(
            post(&mut client.clone(), "/sign-up/email", body).await.status,
            StatusCode::FORBIDDEN
        );
        assert!(
            app.doorward.find_user("eve@example.org").await.is_err(),
            "nothing was written"
        );
        let everyone = ApplicationChange {
            everyone: Some(true),
            ..ApplicationChange::default()
        };
        app.doorward.update_application(id, &everyone).await.unwrap();
        assert_ne!(get(&mut client, "/get-session").await.body, "null");
        let off = doorward_core::admin::users::UserChange {
            active: Some(false),
            ..Default::default()
        };
        let user = made["user"]["id"].as_str().unwrap().parse().unwrap();
        app.doorward.update_user(user, &off).await.unwrap();
        assert_eq!(get(&mut client, "/get-session").await.body, "null");
    })
    .await;
}

#[tokio::test]
async fn section_1_6_passwords_are_changed_and_reset_by_mail() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut client = browser(&app);
        sign_up(&mut client, "alice").await;
        let wrong = json!({ "currentPassword": "not the password", "newPassword": "another good one" });
        assert_eq!(told(&post(&mut client, "/change-password", wrong).await), (400, "INVALID_PASSWORD".to_owned()));
        let change = json!({ "currentPassword": PASSWORD, "newPassword": "another good one", "revokeOtherSessions": true });
        let got = post(&mut client, "/change-password", change).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.body);
        assert!(got.json()["token"].is_string());
        assert_ne!(get(&mut client, "/get-session").await.body, "null");
        for email in ["alice@example.org", "nobody@example.org"] {
            let got = post(&mut client, "/request-password-reset", json!({ "email": email, "redirectTo": "/reset" })).await;
            assert_eq!(got.json()["status"], true);
        }
        app.doorward.run_due_jobs().await.unwrap();
        let letters = app.inbox.letters();
        assert_eq!(letters.len(), 1, "only somebody who exists is written to");
        let link = letters[0].text.split_whitespace().find(|word| word.starts_with("https://")).unwrap().to_owned();
        let path = link.strip_prefix(ORIGIN).unwrap();
        let followed = client.deliver(Method::GET, path, None).await;
        assert_eq!(followed.status, StatusCode::FOUND);
        let token = followed.location().strip_prefix("https://door.example.org/reset?token=").unwrap().to_owned();
        assert_eq!(token.len(), 24);
        let short = json!({ "token": token, "newPassword": "short" });
        assert_eq!(told(&post(&mut client, "/reset-password", short).await), (400, "PASSWORD_TOO_SHORT".to_owned()));
        let reset = json!({ "token": token, "newPassword": "a third good one" });
        let got = post(&mut client, "/reset-password", reset.clone()).await;
        assert_eq!(got.json(), json!({ "status": true }), "{}", got.body);
        assert_eq!(told(&post(&mut client, "/reset-password", reset).await), (400, "INVALID_TOKEN".to_owned()));
        assert_eq!(get(&mut client, "/get-session").await.body, "null", "a reset ends sessions");
        let again = client.deliver(Method::GET, path, None).await;
        assert_eq!(again.location(), "https://door.example.org/reset?error=INVALID_TOKEN");
        let sign_in = json!({ "email": "alice@example.org", "password": "a third good one" });
        assert_eq!(post(&mut client, "/sign-in/email", sign_in).await.status, StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn section_1_6_an_address_is_proved_and_changed() {
    each_app(async |app| {
        let change = DoorChange {
            require_verification: Some(true),
            verify_on_sign_in: Some(true),
            change_email: Some(true),
            ..DoorChange::default()
        };
        open(&app, change).await;
        let mut client = browser(&app);
        let made = sign_up(&mut client, "alice").await;
        assert_eq!(made["token"], Value::Null);
        // A second sign-up for the address looks the same and writes nothing.
        let again = sign_up(&mut client, "alice").await;
        let keys = |value: &Value| {
            value["user"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&made), keys(&again));
        assert_ne!(made["user"]["id"], again["user"]["id"]);
        let sign_in = json!({ "email": "alice@example.org", "password": PASSWORD });
        assert_eq!(
            told(&post(&mut client, "/sign-in/email", sign_in.clone()).await),
            (403, "EMAIL_NOT_VERIFIED".to_owned())
        );
        app.doorward.run_due_jobs().await.unwrap();
        let link_of = |at: usize| {
            let letters = app.inbox.letters();
            let link = letters[at]
                .text
                .split_whitespace()
                .find(|word| word.starts_with("https://"))
                .unwrap()
                .to_owned();
            link.strip_prefix(ORIGIN).unwrap().to_owned()
        };
        let followed = client.deliver(Method::GET, &link_of(0), None).await;
        assert_eq!((followed.status, followed.location()), (StatusCode::FOUND, "/"));
        let again = client.deliver(Method::GET, &link_of(0), None).await;
        assert_eq!(again.location(), "/?error=INVALID_TOKEN");
        assert_eq!(
            post(&mut client, "/sign-in/email", sign_in).await.status,
            StatusCode::OK
        );
        let before = app.inbox.letters().len();
        let got = post(
            &mut client,
            "/change-email",
            json!({ "newEmail": "al@example.net", "callbackURL": "/x" }),
        )
        .await;
        assert_eq!(got.json(), json!({ "status": true }));
        app.doorward.run_due_jobs().await.unwrap();
        let letters = app.inbox.letters();
        let to: Vec<&str> = letters[before..]
            .iter()
            .map(|letter| letter.to.as_str())
            .collect();
        assert_eq!(to, ["alice@example.org"], "the proved address is asked first");
        client.deliver(Method::GET, &link_of(before), None).await;
        app.doorward.run_due_jobs().await.unwrap();
        let letters = app.inbox.letters();
        assert_eq!(letters[before + 1].to, "al@example.net");
        let before = before + 1;
        assert_eq!(
            get(&mut client, "/get-session").await.json()["user"]["email"],
            "alice@example.org"
        );
        client.deliver(Method::GET, &link_of(before), None).await;
        let user = get(&mut client, "/get-session").await.json()["user"].clone();
        assert_eq!(
            (&user["email"], &user["emailVerified"]),
            (&json!("al@example.net"), &json!(true))
        );
    })
    .await;
}

#[tokio::test]
async fn nobody_gives_themselves_a_role_and_calls_are_counted() {
    each_app(async |app| {
        let change = DoorChange {
            rate_limit: Some(true),
            ..DoorChange::default()
        };
        open(&app, change).await;
        let mut client = browser(&app);
        let body =
            json!({ "name": "Eve", "email": "eve@example.org", "password": PASSWORD, "role": "admin" });
        assert_eq!(
            told(&post(&mut client, "/sign-up/email", body).await),
            (400, "FIELD_NOT_ALLOWED".to_owned())
        );
        let made = sign_up(&mut client, "alice").await;
        assert_eq!(made["user"]["role"], "user");
        let got = post(&mut client, "/update-user", json!({ "role": "admin" })).await;
        assert_eq!(told(&got), (400, "FIELD_NOT_ALLOWED".to_owned()));
        let got = post(&mut client, "/update-user", json!({ "name": "Alice B" })).await;
        assert_eq!(got.json(), json!({ "status": true }));
        assert_eq!(
            get(&mut client, "/get-session").await.json()["user"]["name"],
            "Alice B"
        );
        let wrong = json!({ "email": "alice@example.org", "password": "wrong-password" });
        for _ in 0..3 {
            assert_eq!(
                post(&mut client, "/sign-in/email", wrong.clone()).await.status,
                StatusCode::UNAUTHORIZED
            );
        }
        let got = post(&mut client, "/sign-in/email", wrong).await;
        assert_eq!(got.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(got.header("x-retry-after"), got.header("retry-after"));
    })
    .await;
}
