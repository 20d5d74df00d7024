//! The copy of session and person in a cookie (contract section 2.4): in the compact form, for `get-session` alone, for as long as the
//! operator says, and for nobody but whose it is.

use doorward_core::app_auth::settings::DoorChange;
use doorward_domain::{ApplicationId, Lifetime};
use doorward_testkit::{App, PASSWORD, each_app};
use http::StatusCode;
use serde_json::{Value, json};

use crate::app_auth::{SECRET, browser, get, open, post, sign_up};
use crate::http_client::Client;

const COPY: &str = "__Secure-better-auth.session_data";

async fn with_copies(app: &App, age: u32) -> ApplicationId {
    let change = DoorChange {
        cookie_cache: Some(Lifetime::from_seconds(age)),
        ..DoorChange::default()
    };
    open(app, change).await
}

/// Another browser with the same cookies.
fn same(app: &App, client: &Client) -> Client {
    let mut other = browser(app);
    other.cookies = client.cookies.clone();
    other
}

fn copy(client: &Client) -> Option<String> {
    client.cookies.get(COPY).cloned()
}

/// What stands in a copy, after the signature was checked as better-auth makes it.
#[expect(clippy::indexing_slicing, reason = "a missing field fails the test")]
fn content(text: &str) -> Value {
    let bytes = doorward_crypto::webauthn::decode(text, 100_000).expect("base64url");
    let whole = String::from_utf8(bytes).expect("UTF-8");
    let value: Value = serde_json::from_str(&whole).expect("JSON");
    let inner = whole
        .strip_prefix("{\"session\":")
        .and_then(|rest| rest.rsplit_once(",\"expiresAt\":"));
    let inner = inner
        .map(|(inner, _)| inner.trim_end_matches('}'))
        .expect("the session first");
    let message = format!("{inner},\"expiresAt\":{}}}", value["expiresAt"]);
    let mac = doorward_crypto::signed::mac(&message, SECRET);
    assert_eq!(value["signature"], mac.as_str(), "{whole}");
    value
}

/// Ends all sessions of somebody.
#[expect(clippy::indexing_slicing, reason = "a missing field fails the test")]
async fn revoke(app: &App, user: &Value) {
    let user = user["user"]["id"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("an id");
    let which = doorward_core::sessions::Which::All;
    app.doorward
        .end_sessions(user, which, &doorward_core::Origin::default())
        .await
        .expect("an end");
}

#[tokio::test]
async fn without_the_setting_there_is_none_and_an_old_one_is_taken_away() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut client = browser(&app);
        sign_up(&mut client, "alice").await;
        assert_eq!(copy(&client), None);
        client.cookies.insert(COPY.to_owned(), "left-over".to_owned());
        client.cookies.insert(format!("{COPY}.1"), "left-over".to_owned());
        assert_ne!(get(&mut client, "/get-session").await.body, "null");
        assert!(
            client.cookies.keys().all(|name| !name.starts_with(COPY)),
            "{:?}",
            client.cookies
        );
    })
    .await;
}

#[tokio::test]
async fn section_2_4_the_compact_form_counts_for_its_time_and_for_get_session_alone() {
    each_app(async |app| {
        with_copies(&app, 300).await;
        let mut client = browser(&app);
        let made = sign_up(&mut client, "alice").await;
        let first = content(&copy(&client).expect("a copy"));
        assert_eq!(first["session"]["user"]["email"], "alice@example.org");
        assert_eq!(first["session"]["session"]["token"], made["token"]);
        assert_eq!(first["session"]["version"], "1");
        assert_eq!(first["expiresAt"].as_i64(), Some(app.now().millis() + 300_000));
        revoke(&app, &made).await;
        // Here is the price: it was ended, and is still in the copy.
        let read = get(&mut client, "/get-session").await.json();
        assert_eq!(read["user"]["email"], "alice@example.org");
        // Nothing else believes it.
        for path in ["/list-sessions", "/list-accounts"] {
            assert_eq!(
                get(&mut client, path).await.status,
                StatusCode::UNAUTHORIZED,
                "{path}"
            );
        }
        let alias = client.deliver(http::Method::GET, "/auth/session", None).await;
        assert_eq!(alias.status, StatusCode::UNAUTHORIZED);
        let mut asking = same(&app, &client);
        assert_eq!(
            get(&mut asking, "/get-session?disableCookieCache=true")
                .await
                .body,
            "null"
        );
        assert_eq!(copy(&asking), None, "and it is taken away");
        app.wait_seconds(301);
        assert_eq!(get(&mut client, "/get-session").await.body, "null");
    })
    .await;
}

#[tokio::test]
async fn it_is_refreshed_follows_changes_and_goes_with_the_session() {
    each_app(async |app| {
        with_copies(&app, 300).await;
        let mut client = browser(&app);
        sign_up(&mut client, "alice").await;
        let first = copy(&client).expect("a copy");
        app.wait_seconds(301);
        assert_eq!(
            get(&mut client, "/get-session").await.json()["user"]["name"],
            "alice"
        );
        let second = copy(&client).expect("a copy");
        assert_ne!(first, second);
        // A change of the own profile shows at once; one with a long picture in several pieces.
        let picture = format!("https://a.example/{}", "a".repeat(2000));
        let body = json!({ "name": "Alice \"A\" \u{2028} é", "image": picture });
        assert_eq!(
            post(&mut client, "/update-user", body).await.status,
            StatusCode::OK
        );
        assert_eq!(copy(&client), None);
        assert!(client.cookies.contains_key(&format!("{COPY}.0")));
        assert!(client.cookies.values().all(|value| value.len() <= 3600));
        let whole: String = (0..5)
            .filter_map(|n| client.cookies.get(&format!("{COPY}.{n}")))
            .cloned()
            .collect();
        assert_eq!(content(&whole)["session"]["user"]["image"], picture.as_str());
        let read = get(&mut client, "/get-session").await.json();
        assert_eq!(read["user"]["name"], "Alice \"A\" \u{2028} é");
        post(&mut client, "/sign-out", json!({})).await;
        assert!(client.cookies.is_empty(), "{:?}", client.cookies);
    })
    .await;
}

#[tokio::test]
async fn a_copy_that_is_changed_strange_or_old_is_as_good_as_none() {
    each_app(async |app| {
        let id = with_copies(&app, 300).await;
        let (mut alice, mut eve) = (browser(&app), browser(&app));
        let made = sign_up(&mut alice, "alice").await;
        let hers = sign_up(&mut eve, "eve").await;
        let (genuine, other) = (copy(&alice).expect("a copy"), copy(&eve).expect("a copy"));
        revoke(&app, &hers).await;
        let text = String::from_utf8(doorward_crypto::webauthn::decode(&genuine, 100_000).expect("text"))
            .expect("text");
        let sealed = |text: &str| doorward_crypto::webauthn::encode(text.as_bytes());
        let own = hers["token"].as_str().expect("a token");
        let forged = text.replace(made["token"].as_str().expect("a token"), own);
        for (what, value) in [
            ("somebody else's", genuine.clone()),
            ("with another token", sealed(&forged)),
            (
                "with another end",
                sealed(&text.replace("\"expiresAt\":17", "\"expiresAt\":99")),
            ),
            ("cut off", other.chars().take(100).collect()),
            ("not base64url", "!!!".to_owned()),
            ("empty", String::new()),
            (
                "no JSON",
                sealed("{\"session\":,\"expiresAt\":1,\"signature\":\"\"}"),
            ),
            (
                "without a signature",
                sealed(text.split(",\"signature\"").next().expect("a text")),
            ),
            ("very long", "A".repeat(20_000)),
        ] {
            let mut client = same(&app, &eve);
            client.cookies.insert(COPY.to_owned(), value);
            assert_eq!(get(&mut client, "/get-session").await.body, "null", "{what}");
        }
        // Her own still counts, until copies count for less.
        let mut client = same(&app, &eve);
        assert_ne!(get(&mut client, "/get-session").await.body, "null");
        let shorter = DoorChange {
            cookie_cache: Some(Lifetime::from_seconds(10)),
            ..DoorChange::default()
        };
        app.doorward.change_door(id, &shorter).await.expect("a door");
        app.wait_seconds(11);
        assert_eq!(get(&mut client, "/get-session").await.body, "null");
        let longest = DoorChange {
            cookie_cache: Some(Lifetime::from_hours(2)),
            ..DoorChange::default()
        };
        assert!(app.doorward.change_door(id, &longest).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_copy_of_one_app_is_nothing_in_another_with_the_same_secret() {
    each_app(async |app| {
        with_copies(&app, 300).await;
        let audience = doorward_core::admin::applications::ApplicationChange {
            everyone: Some(true),
            ..doorward_core::admin::applications::ApplicationChange::default()
        };
        let other = app
            .doorward
            .create_application("other", &audience)
            .await
            .expect("an app");
        let change = DoorChange {
            base_url: Some("https://door.example.org/other".to_owned()),
            aliases: Some(Vec::new()),
            secret: Some(SECRET.to_owned()),
            cookie_cache: Some(Lifetime::from_seconds(300)),
            ..DoorChange::default()
        };
        app.doorward
            .change_door(other.application.id, &change)
            .await
            .expect("a door");
        let mut client = browser(&app);
        let body = json!({ "name": "al", "email": "al@example.org", "password": PASSWORD });
        assert_eq!(
            post(&mut client, "/sign-up/email", body).await.status,
            StatusCode::OK
        );
        assert_ne!(get(&mut client, "/get-session").await.body, "null");
        let there = client
            .deliver(http::Method::GET, "/other/get-session", None)
            .await;
        assert_eq!((there.status, there.body.as_str()), (StatusCode::OK, "null"));
    })
    .await;
}
