//! The session chain of an app (contract section 10): each test has the name of its row there.

use doorward_core::app_auth::settings::DoorChange;
use doorward_core::place::unescape;
use doorward_domain::app_auth::Provider;
use doorward_domain::event::EventKind;
use doorward_testkit::{App, PASSWORD, each_app};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app_auth::{SECRET, browser, get, open, post, sign_up};
use crate::http_client::{Client, Got};
use crate::log;

const ORIGIN: &str = "https://door.example.org";
const ISSUER: &str = "https://idp.example.net/application/o/shop/";
const NAMES: [&str; 3] = [
    "__Secure-better-auth.session_token",
    "better-auth.session_token",
    "__Host-better-auth.session_token",
];
/// A session that nobody has.
const STALE: &str = "abcdefghijklmnopqrstuvwxyzABCDEF";

fn authentik() -> Provider {
    Provider {
        id: "authentik".to_owned(),
        issuer: Some(ISSUER.to_owned()),
        client_id: "shop".to_owned(),
        scopes: ["openid", "email"].map(str::to_owned).to_vec(),
        ..Provider::default()
    }
}

fn with(provider: Provider) -> DoorChange {
    DoorChange {
        providers: vec![(provider, Some("hush".to_owned()))],
        plugins: Some(vec!["generic-oauth".to_owned()]),
        ..DoorChange::default()
    }
}

/// A provider shaped like authentik, which says this of whoever signs in.
fn idp(app: &App, claims: &Value) {
    let at = |name: &str| format!("https://idp.example.net/application/o/{name}/");
    let document = json!({
        "issuer": ISSUER, "authorization_endpoint": at("authorize"), "token_endpoint": at("token"),
        "userinfo_endpoint": at("userinfo"), "end_session_endpoint": at("shop/end-session"),
    });
    app.fetch
        .serve(&format!("{ISSUER}.well-known/openid-configuration"), &document);
    let tokens =
        json!({ "access_token": "at", "token_type": "Bearer", "expires_in": 300, "id_token": "a.b.c" });
    app.fetch.serve(&at("token"), &tokens);
    app.fetch.serve(&at("userinfo"), claims);
}

/// Begins a flow in the older dialect; gives the address at the provider and the state.
async fn begin(client: &mut Client, body: Value) -> (String, String) {
    let got = post(client, "/sign-in/oauth2", body).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.body);
    let told = got.json();
    let url = told.get("url").and_then(Value::as_str).expect("a URL").to_owned();
    let state = url.split("state=").nth(1).and_then(|rest| rest.split('&').next());
    let state = state.expect("a state").to_owned();
    (url, state)
}

/// The whole way through the provider.
async fn enter(client: &mut Client, body: Value) -> Got {
    let (_, state) = begin(client, body).await;
    get(
        client,
        &format!("/oauth2/callback/authentik?code=c&state={state}"),
    )
    .await
}

fn to_dashboard() -> Value {
    json!({ "providerId": "authentik", "callbackURL": "/dashboard", "errorCallbackURL": "/oops?kept=1" })
}

async fn count(app: &App, table: &str) -> i64 {
    app.rows().await.get(table).copied().unwrap_or_default()
}

#[tokio::test]
async fn chain_missing_email_ends_on_the_apps_page() {
    each_app(async |app| {
        open(&app, with(authentik())).await;
        idp(&app, &json!({ "sub": "u-17", "name": "No Mail" }));
        let mut client = browser(&app);
        let people = count(&app, "users").await;
        let got = enter(&mut client, to_dashboard()).await;
        assert_eq!(got.status, StatusCode::FOUND, "{}", got.body);
        assert_eq!(got.location(), "/oops?kept=1&error=email_is_missing");
        assert!(client.cookies.is_empty(), "{:?}", client.cookies);
        assert_eq!(
            (count(&app, "users").await, count(&app, "accounts").await),
            (people, 0)
        );
        let events = app.events().await;
        let event = events.iter().find(|event| event.kind == EventKind::Refused);
        let event = event.expect("a refusal");
        assert_eq!(
            (&event.details["provider"], &event.details["subject"]),
            (&json!("authentik"), &json!("u-17"))
        );
        // In the newer dialect under its own name; and without a page of the call, on one of ours that says it to people.
        let social = json!({ "provider": "authentik", "callbackURL": "/dashboard" });
        let begun = post(&mut client, "/sign-in/social", social).await.json();
        let url = begun["url"].as_str().expect("a URL");
        let state = url.split("state=").nth(1).and_then(|rest| rest.split('&').next());
        let back = format!("/callback/authentik?code=c&state={}", state.expect("a state"));
        let got = get(&mut client, &back).await;
        assert_eq!(
            got.location(),
            "https://door.example.org/api/auth/error?error=email_not_found"
        );
        let page = get(&mut client, "/error?error=email_not_found").await;
        assert!(page.body.contains("Sign-in to shop did not work") && page.body.contains("email_not_found"));
        // Addresses that stand for none are none, whoever says them.
        idp(
            &app,
            &json!({ "sub": "u-18", "email": "x@Placeholder.invalid", "email_verified": true }),
        );
        let got = enter(&mut client, to_dashboard()).await;
        assert_eq!(got.location(), "/oops?kept=1&error=email_is_missing");
    })
    .await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, a step after the other")]
async fn chain_missing_email_makes_a_placeholder_where_that_is_wanted() {
    each_app(async |app| {
        let lenient = Provider {
            placeholder_email: true,
            ..authentik()
        };
        let loose = DoorChange {
            link_verified_only: Some(false),
            change_email: Some(true),
            ..with(lenient)
        };
        let change = DoorChange {
            plugins: Some(vec![
                "generic-oauth".to_owned(),
                "magic-link".to_owned(),
                "email-otp".to_owned(),
            ]),
            ..loose
        };
        open(&app, change).await;
        idp(
            &app,
            &json!({ "sub": "u-17", "name": "No Mail", "email_verified": true }),
        );
        let mut client = browser(&app);
        let got = enter(&mut client, to_dashboard()).await;
        assert_eq!(got.location(), "/dashboard");
        let user = get(&mut client, "/get-session").await.json()["user"].clone();
        let email = user["email"].as_str().expect("an address").to_owned();
        assert!(
            email.ends_with("@placeholder.invalid") && email.len() > 40,
            "{email}"
        );
        assert_eq!(
            (&user["emailVerified"], &user["name"]),
            (&json!(false), &json!("No Mail"))
        );
        // The same account comes back as the same person.
        let mut again = browser(&app);
        enter(&mut again, to_dashboard()).await;
        assert_eq!(
            get(&mut again, "/get-session").await.json()["user"]["id"],
            user["id"]
        );
        // It gets no mail, whatever asks for one.
        for (path, body) in [
            (
                "/request-password-reset",
                json!({ "email": email, "redirectTo": "/reset" }),
            ),
            ("/send-verification-email", json!({ "email": email })),
            ("/sign-in/magic-link", json!({ "email": email })),
            (
                "/email-otp/send-verification-otp",
                json!({ "email": email, "type": "sign-in" }),
            ),
        ] {
            let got = post(&mut browser(&app), path, body).await;
            assert!(got.status.is_success(), "{path}: {}", got.body);
        }
        app.doorward.run_due_jobs().await.expect("jobs");
        assert!(app.inbox.letters().is_empty(), "{:?}", app.inbox.letters());
        // Nobody is linked to it, even where unproved addresses are linked; nobody takes one; no operator calls it proved.
        let thief = Provider {
            id: "evil".to_owned(),
            trusted: true,
            ..authentik()
        };
        let shop = app.doorward.find_application("shop").await.expect("the app").id;
        let evil = DoorChange {
            providers: vec![(thief, None)],
            ..DoorChange::default()
        };
        app.doorward
            .change_door(shop, &evil)
            .await
            .expect("another provider");
        idp(
            &app,
            &json!({ "sub": "thief", "email": email, "email_verified": true }),
        );
        let mut other = browser(&app);
        let body = json!({ "providerId": "evil", "callbackURL": "/dashboard", "errorCallbackURL": "/oops" });
        let (_, state) = begin(&mut other, body).await;
        let got = get(&mut other, &format!("/oauth2/callback/evil?code=c&state={state}")).await;
        assert_eq!(got.location(), "/oops?error=email_is_missing");
        let body = json!({ "name": "Eve", "email": "eve@placeholder.invalid", "password": PASSWORD });
        let got = post(&mut browser(&app), "/sign-up/email", body).await;
        assert_eq!(
            (got.status, &got.json()["code"]),
            (StatusCode::BAD_REQUEST, &json!("INVALID_EMAIL"))
        );
        let proved = doorward_core::admin::users::UserChange {
            email_verified: Some(true),
            ..Default::default()
        };
        let id = user["id"].as_str().expect("an id").parse().expect("an id");
        assert!(app.doorward.update_user(id, &proved).await.is_err());
        // The way out: an address of one's own, which is asked first.
        let got = post(
            &mut client,
            "/change-email",
            json!({ "newEmail": "real@example.org" }),
        )
        .await;
        assert_eq!(got.json(), json!({ "status": true }), "{}", got.body);
        app.doorward.run_due_jobs().await.expect("jobs");
        let letters = app.inbox.letters();
        assert_eq!(
            letters
                .iter()
                .map(|letter| letter.to.as_str())
                .collect::<Vec<_>>(),
            ["real@example.org"]
        );
    })
    .await;
}

/// How each route class names who calls.
const CLASSES: [(&str, &str); 5] = [
    ("/get-session", "/user/id"),
    ("/session", "/user/id"),
    ("/profile", "/id"),
    ("/list-sessions", "/0/userId"),
    ("/list-accounts", "/0/userId"),
];

#[tokio::test]
async fn one_extractor() {
    let lines = log::lines();
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut tokens = Vec::new();
        let mut ids = Vec::new();
        for name in ["alice", "bob"] {
            let made = sign_up(&mut browser(&app), name).await;
            tokens.push(made["token"].as_str().expect("a token").to_owned());
            ids.push(made["user"]["id"].as_str().expect("an id").to_owned());
        }
        let signed = |token: &str| doorward_crypto::signed::sign(token, SECRET);
        let encoded = |token: &str| {
            signed(token)
                .replace('/', "%2F")
                .replace('+', "%2B")
                .replace('=', "%3D")
        };
        let alice = &tokens[0];
        let cookies = [
            None,
            Some(encoded(alice)),
            Some(signed(alice)),
            Some(signed(STALE)),
            Some("garbage".to_owned()),
            // Unsigned, a token is no cookie.
            Some(alice.clone()),
        ];
        let bearers = [
            None,
            Some(format!("Bearer {alice}")),
            Some(format!("bearer {}", encoded(alice))),
            Some(format!("Bearer {STALE}")),
            Some("Bearer %%%".to_owned()),
        ];
        for (at, name) in NAMES.iter().enumerate() {
            for (c, cookie) in cookies.iter().enumerate() {
                for (b, bearer) in bearers.iter().enumerate() {
                    let known = matches!(c, 1 | 2) || matches!(b, 1 | 2);
                    for (path, place) in CLASSES {
                        let mut client = browser(&app);
                        if let Some(cookie) = cookie {
                            client.cookies.insert((*name).to_owned(), cookie.clone());
                            client.cookies.insert("other".to_owned(), "x=y%".to_owned());
                        }
                        if let Some(bearer) = bearer {
                            client.headers.push(("authorization", bearer.clone()));
                        }
                        let got = get(&mut client, path).await;
                        let found = serde_json::from_str::<Value>(&got.body).unwrap_or_default();
                        let found = found.pointer(place).and_then(Value::as_str);
                        let wanted = known.then_some(ids[0].as_str());
                        if path != "/list-accounts" {
                            assert_eq!(found, wanted, "{path} cookie {at}/{c} bearer {b}: {}", got.body);
                        }
                        let nobody = if path == "/get-session" { 200 } else { 401 };
                        let status = if known { 200 } else { nobody };
                        assert_eq!(got.status.as_u16(), status, "{path} cookie {at}/{c} bearer {b}");
                    }
                }
            }
        }
        // Two people at once: the bearer on the door's own routes, the cookie on those of the older application; said in the log.
        for (path, place, who) in [
            ("/get-session", "/user/id", 1),
            ("/list-sessions", "/0/userId", 1),
            ("/session", "/user/id", 0),
            ("/profile", "/id", 0),
        ] {
            let mut client = browser(&app);
            client.cookies.insert(NAMES[0].to_owned(), encoded(alice));
            client
                .headers
                .push(("authorization", format!("Bearer {}", tokens[1])));
            let found = get(&mut client, path).await.json();
            assert_eq!(
                found.pointer(place).and_then(Value::as_str),
                Some(ids[who].as_str()),
                "{path}"
            );
            let told = lines.with(&["sessions of two people", &ids[who], &format!("path=\"{path}\"")]);
            assert!(!told.is_empty(), "{path}");
            assert!(
                told.iter().all(|line| !line.contains(alice.as_str())),
                "no token in the log"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn raw_cookie_bytes() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        // 10,000 random tokens: signed, encoded once and decoded once is where they came from; raw is the same.
        let (door, _) = app
            .doorward
            .door_at(Some("door.example.org"), "/api/auth/ok")
            .expect("a door");
        let (mut plus, mut slash) = (0, 0);
        for _ in 0..10_000 {
            let token = app.doorward.app_secret_text::<32>();
            let signed = app.doorward.door_sign(&door, &token).expect("a signature");
            plus += usize::from(signed.contains('+'));
            slash += usize::from(signed.contains('/'));
            let encoded = signed.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
            for sent in [&signed, &encoded] {
                let read = unescape(sent).expect("readable");
                let verified = app.doorward.door_verify(&door, &read).expect("a door");
                assert_eq!(verified.as_deref(), Some(token.as_str()), "{sent}");
            }
            let twice = unescape(&encoded.replace('%', "%25")).expect("readable");
            assert_eq!(app.doorward.door_verify(&door, &twice).expect("a door"), None);
            let spaced = signed.replace('+', " ");
            let read = app.doorward.door_verify(&door, &spaced).expect("a door");
            assert_eq!(read.is_some(), !signed.contains('+'), "{signed}");
        }
        assert!(plus > 1000 && slash > 1000, "{plus} {slash}");
        // Over HTTP, with a session whose signature has all of them.
        let body = json!({ "email": "alice@example.org", "password": PASSWORD });
        sign_up(&mut browser(&app), "alice").await;
        let mut signed = String::new();
        while !(signed.contains('+') && signed.contains('/')) {
            let made = post(&mut browser(&app), "/sign-in/email", body.clone())
                .await
                .json();
            signed = doorward_crypto::signed::sign(made["token"].as_str().expect("a token"), SECRET);
        }
        let encoded = signed.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
        for (sent, known) in [
            (signed.clone(), true),
            (encoded.clone(), true),
            (
                encoded.to_lowercase().replace(&signed.to_lowercase(), &signed),
                false,
            ),
            (encoded.replace("%2F", "%2f").replace("%2B", "%2b"), true),
            (format!("\"{signed}\""), true),
            (encoded.replace('%', "%25"), false),
            (signed.replace('+', "%20"), false),
            (signed.replace('=', ""), false),
            (format!("{signed}%"), false),
            (format!("{signed}%00"), false),
        ] {
            for path in ["/get-session", "/session"] {
                let mut client = browser(&app);
                client.cookies.insert(NAMES[0].to_owned(), sent.clone());
                let got = get(&mut client, path).await;
                let nobody = if path == "/session" { 401 } else { 200 };
                assert_eq!(
                    got.status.as_u16(),
                    if known { 200 } else { nobody },
                    "{path} {sent}"
                );
                assert_eq!(got.body.contains("alice@example.org"), known, "{path} {sent}");
            }
        }
    })
    .await;
}

/// A client that shows a session which is not in memory.
fn cold(app: &App, token: &str) -> Client {
    let mut client = browser(app);
    client.headers.push(("authorization", format!("Bearer {token}")));
    client
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, a step after the other")]
async fn status_matrix() {
    let lines = log::lines();
    // Whose fault it is: theirs is 401 or 403, the database away 503, a mistake of ours 500. Ours have a number that is in the log.
    let calls = [
        (Method::GET, "/get-session"),
        (Method::GET, "/session"),
        (Method::GET, "/profile"),
        (Method::GET, "/list-sessions"),
        (Method::POST, "/sign-in/email"),
        (Method::POST, "/sign-in"),
        (Method::POST, "/sign-out"),
    ];
    for (fault, status) in [
        ("none", 200),
        ("away", 503),
        ("not reached yet", 503),
        ("no table of sessions", 503),
        ("no table of people", 503),
        ("no column", 503),
        ("a row that nobody wrote", 500),
    ] {
        each_app(async |app| {
            open(&app, DoorChange::default()).await;
            let token = sign_up(&mut browser(&app), "alice").await["token"]
                .as_str()
                .expect("a token")
                .to_owned();
            // Another process, which has not seen the session yet.
            let app = if fault == "not reached yet" {
                app.unopened_replica()
            } else {
                app.replica().await
            };
            match fault {
                // SQLite goes on reading what it has open; suite 13 takes databases away in earnest.
                "away" if app.store().engine_name() == "sqlite" => return,
                "away" => app.store().close().await,
                "no table of sessions" => app.lose("sessions").await,
                "no table of people" => app.lose("users").await,
                "no column" => app.lose_column("users", "username").await,
                "a row that nobody wrote" => app.spoil("users", "attributes", "'[]'").await,
                _ => {}
            }
            for (method, path) in &calls {
                let body = json!({ "email": "alice@example.org", "password": PASSWORD });
                let body = (*method == Method::POST).then(|| ("application/json", body.to_string()));
                let mut client = cold(&app, &token);
                let got = client
                    .deliver(method.clone(), &format!("/api/auth{path}"), body)
                    .await;
                assert_eq!(got.status.as_u16(), status, "{fault}: {path}: {}", got.body);
                if fault == "none" {
                    continue;
                }
                let told = got.json();
                let id = told["errorId"].as_str().expect("a number");
                // The randomness of tests repeats itself, and so do numbers between the engines.
                let line = lines.with(&[id, &format!("{path}\"")]);
                assert!(!line.is_empty(), "{fault}: {path} {id}");
                assert!(
                    !got.body.contains("users") && !got.body.contains("sessions"),
                    "{}",
                    got.body
                );
                assert!(
                    !got.headers.contains_key("set-cookie"),
                    "nobody is signed out by our fault"
                );
                assert_eq!(got.headers.contains_key("retry-after"), status == 503);
                let alias =
                    fault != "not reached yet" && matches!(*path, "/session" | "/profile" | "/sign-in");
                assert_eq!(told.get("success").is_some(), alias, "{path}: {}", got.body);
            }
        })
        .await;
    }
    // What is nobody's fault but the caller's.
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut client = browser(&app);
        let token = sign_up(&mut client, "alice").await["token"]
            .as_str()
            .expect("a token")
            .to_owned();
        let wrong = json!({ "email": "alice@example.org", "password": "not the password" });
        let unknown = json!({ "email": "nobody@example.org", "password": "not the password" });
        for body in [wrong, unknown] {
            let got = post(&mut browser(&app), "/sign-in/email", body).await;
            assert_eq!(got.status, StatusCode::UNAUTHORIZED);
            assert!(got.json().get("errorId").is_none());
        }
        assert_eq!(
            get(&mut cold(&app, STALE), "/list-sessions").await.status,
            StatusCode::UNAUTHORIZED
        );
        app.clock.advance(doorward_domain::Lifetime::from_days(8));
        assert_eq!(
            get(&mut cold(&app, &token), "/session").await.status,
            StatusCode::UNAUTHORIZED
        );
    })
    .await;
}

#[tokio::test]
async fn anon_contract() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut client = browser(&app);
        let got = get(&mut client, "/get-session").await;
        assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, "null"));
        assert!(!got.headers.contains_key("set-cookie"));
        for path in [
            "/session",
            "/profile",
            "/list-sessions",
            "/list-accounts",
            "/account-info?providerId=x",
        ] {
            let got = get(&mut client, path).await;
            assert_eq!(got.status, StatusCode::UNAUTHORIZED, "{path}: {}", got.body);
        }
        for path in [
            "/update-user",
            "/revoke-sessions",
            "/change-password",
            "/link-social",
        ] {
            let body =
                json!({ "name": "x", "newPassword": PASSWORD, "currentPassword": PASSWORD, "provider": "x" });
            let got = post(&mut client, path, body).await;
            assert_eq!(got.status, StatusCode::UNAUTHORIZED, "{path}: {}", got.body);
        }
        assert_eq!(
            post(&mut client, "/sign-out", json!({})).await.json(),
            json!({ "success": true })
        );
    })
    .await;
}

#[tokio::test]
async fn session_alias() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut client = browser(&app);
        async fn at(client: &mut Client, method: Method, path: &str, body: Option<Value>) -> Got {
            let body = body.map(|body| ("application/json", body.to_string()));
            client.deliver(method, &format!("/auth{path}"), body).await
        }
        let refused =
            json!({ "message": "Invalid or expired session", "error": "Unauthorized", "statusCode": 401 });
        for path in ["/session", "/profile"] {
            let got = at(&mut client, Method::GET, path, None).await;
            assert_eq!(
                (got.status, got.json()),
                (StatusCode::UNAUTHORIZED, refused.clone()),
                "{path}"
            );
        }
        let person = json!({ "name": "Alice", "email": "alice@example.org", "password": PASSWORD });
        let made = at(&mut client, Method::POST, "/sign-up", Some(person.clone())).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.body);
        let session = at(&mut client, Method::GET, "/session", None).await.json();
        let mut keys: Vec<&String> = session.as_object().expect("an object").keys().collect();
        keys.sort();
        assert_eq!(keys, ["session", "user"]);
        assert_eq!(
            session["user"],
            at(&mut client, Method::GET, "/profile", None).await.json()
        );
        at(&mut client, Method::POST, "/sign-out", Some(json!({}))).await;
        assert_eq!(
            at(&mut client, Method::GET, "/session", None).await.json(),
            refused
        );
        let entered = at(&mut client, Method::POST, "/sign-in", Some(person.clone())).await;
        assert_eq!(entered.json()["user"]["email"], "alice@example.org");
        // An expected failure has the door's own shape, a fault on these routes the older one, elsewhere ours.
        let wrong = json!({ "email": "alice@example.org", "password": "not the password" });
        let got = at(&mut browser(&app), Method::POST, "/sign-in", Some(wrong)).await;
        assert_eq!(got.json()["code"], "INVALID_EMAIL_OR_PASSWORD");
        app.spoil("users", "attributes", "'[]'").await;
        let got = at(&mut browser(&app), Method::POST, "/sign-in", Some(person.clone())).await;
        assert_eq!(got.status, StatusCode::INTERNAL_SERVER_ERROR);
        let told = got.json();
        let fields = ["success", "message", "path", "statusCode"].map(|name| told[name].clone());
        let wanted = [
            json!(false),
            json!("An unexpected error occurred"),
            json!("/auth/sign-in"),
            json!(500),
        ];
        assert_eq!(fields, wanted, "{}", got.body);
        assert!(told["errorId"].is_string() && told.as_object().map(serde_json::Map::len) == Some(5));
        let got = post(&mut browser(&app), "/sign-in/email", person).await;
        assert_eq!(got.json()["code"], "INTERNAL_SERVER_ERROR");
    })
    .await;
}

#[tokio::test]
async fn issuer_slash() {
    each_app(async |app| {
        let bare = Provider {
            id: "bare".to_owned(),
            issuer: Some(ISSUER.trim_end_matches('/').to_owned()),
            ..authentik()
        };
        let change = DoorChange {
            providers: vec![(authentik(), None), (bare, None)],
            ..with(authentik())
        };
        open(&app, change).await;
        idp(&app, &json!({ "sub": "u-1", "email": "ada@example.org" }));
        let mut client = browser(&app);
        // Found at the same address, and another issuer all the same.
        let body = json!({ "providerId": "bare", "callbackURL": "/" });
        let got = post(&mut client, "/sign-in/oauth2", body).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST, "{}", got.body);
        let (_, state) = begin(&mut client, to_dashboard()).await;
        // The issuer of the answer likewise (RFC 9207).
        for (issuer, place) in [
            (
                "https%3A%2F%2Fidp.example.net%2Fapplication%2Fo%2Fshop",
                "/oops?kept=1&error=issuer_mismatch",
            ),
            (
                "https%3A%2F%2Fidp.example.net%2Fapplication%2Fo%2Fshop%2F",
                "/dashboard",
            ),
        ] {
            let mut client = client.clone();
            let (_, state) = begin(&mut client, to_dashboard()).await;
            let back = format!("/oauth2/callback/authentik?code=c&state={state}&iss={issuer}");
            assert_eq!(get(&mut client, &back).await.location(), place);
        }
        assert_eq!(state.len(), 32);
    })
    .await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, a step after the other")]
async fn legacy_callback_paths() {
    let lines = log::lines();
    each_app(async |app| {
        let id = open(&app, with(authentik())).await;
        idp(&app, &json!({ "sub": "u-1", "email": "ada@example.org" }));
        for (base, path, body, callback) in [
            (
                "/auth",
                "/sign-in/oauth2",
                to_dashboard(),
                "/oauth2/callback/authentik",
            ),
            (
                "/auth",
                "/sign-in/social",
                json!({ "provider": "authentik", "callbackURL": "/dashboard" }),
                "/callback/authentik",
            ),
            (
                "/api/auth",
                "/sign-in/oauth2",
                to_dashboard(),
                "/oauth2/callback/authentik",
            ),
            (
                "/api/auth",
                "/sign-in/social",
                json!({ "provider": "authentik", "callbackURL": "/dashboard" }),
                "/callback/authentik",
            ),
        ] {
            let mut client = browser(&app);
            // Whatever the request says of its host, the base is the configured one.
            client
                .headers
                .push(("x-forwarded-host", "evil.example.com".to_owned()));
            let body = Some(("application/json", body.to_string()));
            let got = client.deliver(Method::POST, &format!("{base}{path}"), body).await;
            let url = got.json()["url"].as_str().expect("a URL").to_owned();
            let wanted = format!(
                "redirect_uri={}",
                format!("{ORIGIN}{base}{callback}")
                    .replace(':', "%3A")
                    .replace('/', "%2F")
            );
            assert!(url.contains(&wanted), "{url} {wanted}");
            let state = url
                .split("state=")
                .nth(1)
                .and_then(|rest| rest.split('&').next())
                .expect("a state");
            let got = client
                .deliver(
                    Method::GET,
                    &format!("{base}{callback}?code=c&state={state}"),
                    None,
                )
                .await;
            assert_eq!(
                (got.status, got.location()),
                (StatusCode::FOUND, "/dashboard"),
                "{base}{path}"
            );
            assert!(client.cookies.contains_key(NAMES[0]));
        }
        // Where flows go is in the log, so that a page that is older than the API is seen.
        assert!(
            !lines
                .with(&["a sign-in at a provider begins", "callback=\"/dashboard\""])
                .is_empty()
        );
        // A provider that knows one address gets that one, for both dialects, and only one that the door serves.
        let fixed = |uri: &str| DoorChange {
            providers: vec![(
                Provider {
                    redirect_uri: Some(uri.to_owned()),
                    ..authentik()
                },
                None,
            )],
            ..DoorChange::default()
        };
        for bad in [
            "https://evil.example.com/auth/callback/authentik",
            "https://door.example.org/auth/callback/other",
        ] {
            let refused = app
                .doorward
                .change_door(id, &fixed(bad))
                .await
                .expect_err("a refusal");
            assert!(
                refused.to_string().contains("/auth/callback/authentik"),
                "{refused}"
            );
        }
        let uri = format!("{ORIGIN}/auth/callback/authentik");
        app.doorward
            .change_door(id, &fixed(&uri))
            .await
            .expect("a change");
        let mut client = browser(&app);
        let (url, state) = begin(&mut client, to_dashboard()).await;
        assert!(
            url.contains("redirect_uri=https%3A%2F%2Fdoor.example.org%2Fauth%2Fcallback%2Fauthentik"),
            "{url}"
        );
        let got = client
            .deliver(
                Method::GET,
                &format!("/auth/callback/authentik?code=c&state={state}"),
                None,
            )
            .await;
        assert_eq!(got.location(), "/dashboard");
        let sent = app.fetch.posts();
        let fields = &sent.last().expect("a call").fields;
        assert!(fields.contains(&("redirect_uri".to_owned(), uri)));
    })
    .await;
}

#[tokio::test]
async fn favicon_200() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let got = browser(&app).get("/favicon.ico").await;
        assert_eq!(got.status, StatusCode::OK);
        assert_eq!(got.header("content-type"), "image/svg+xml");
        assert!(got.body.contains("<svg") && got.header("cache-control").contains("max-age="));
    })
    .await;
}

#[tokio::test]
async fn version_endpoint_and_the_header_of_all_answers() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let mut client = browser(&app);
        let told = client.get("/version").await.json();
        assert_eq!(
            (&told["version"], &told["commit"], &told["dirty"]),
            (&json!("0.0.0"), &json!("test"), &json!(false))
        );
        assert!(told["schema_version"].as_i64().is_some_and(|schema| schema >= 1));
        assert!(told.get("built_at").is_some() && told.get("image_digest").is_none());
        for path in [
            "/version",
            "/api/auth/get-session",
            "/auth/session",
            "/api/auth/nothing",
            "/nothing",
            "/if/flow/sign-in/",
            "/application/o/jwks/",
            "/.well-known/openid-configuration",
            "/favicon.ico",
            "/.doorward/auth/nginx",
            "/-/health/live/",
        ] {
            let got = client.get(path).await;
            assert_eq!(got.header("x-doorward-version"), "0.0.0+test", "{path}");
        }
        let mut options = crate::http_client::options();
        options.image_digest = Some("sha256:abc".to_owned());
        options.build.dirty = Some(true);
        let mut named = Client::on(doorward_web::router::router(app.doorward.clone(), options));
        let got = named.get("/version").await;
        assert_eq!(
            (&got.json()["image_digest"], &got.json()["dirty"]),
            (&json!("sha256:abc"), &json!(true))
        );
        assert_eq!(got.header("x-doorward-version"), "0.0.0+test.dirty");
    })
    .await;
}

#[tokio::test]
async fn signing_out_leads_on_to_the_provider_where_that_is_wanted() {
    each_app(async |app| {
        let id = open(&app, with(authentik())).await;
        idp(&app, &json!({ "sub": "u-1", "email": "ada@example.org" }));
        let out = json!({ "callbackURL": "/bye", "state": "s" });
        let mut client = browser(&app);
        enter(&mut client, to_dashboard()).await;
        let got = post(&mut client, "/sign-out", out.clone()).await;
        assert_eq!(got.json(), json!({ "success": true }), "not asked for");
        let ends = Provider {
            end_session: true,
            ..authentik()
        };
        let change = DoorChange {
            providers: vec![(ends, None)],
            ..DoorChange::default()
        };
        app.doorward.change_door(id, &change).await.expect("a change");
        let mut client = browser(&app);
        enter(&mut client, to_dashboard()).await;
        let mut evil = client.clone();
        let got = post(&mut evil, "/sign-out", json!({ "callbackURL": "https://evil.example.com/" })).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN, "no redirect to anywhere");
        let kept = client.clone();
        let got = post(&mut client, "/sign-out", out).await;
        let told = got.json();
        assert_eq!((&told["success"], &told["redirect"]), (&json!(true), &json!(true)));
        let url = told["url"].as_str().expect("a URL");
        let wanted = "https://idp.example.net/application/o/shop/end-session/?id_token_hint=a.b.c&client_id=shop\
                      &post_logout_redirect_uri=https%3A%2F%2Fdoor.example.org%2Fbye&state=s";
        assert_eq!(url, wanted);
        // The session has ended here, whether or not the browser goes there.
        assert_eq!(get(&mut kept.clone(), "/get-session").await.body, "null");
        // Who signed in by password goes nowhere; a provider that is away keeps nobody signed in.
        let mut local = browser(&app);
        sign_up(&mut local, "bob").await;
        assert_eq!(post(&mut local, "/sign-out", json!({})).await.json(), json!({ "success": true }));
        let mut quiet = browser(&app);
        enter(&mut quiet, to_dashboard()).await;
        let told = post(&mut quiet, "/sign-out", json!({ "disableRedirect": true })).await.json();
        assert_eq!(told["redirect"], json!(false));
        assert!(!told["url"].as_str().expect("a URL").contains("post_logout"));
    })
    .await;
}

#[tokio::test]
async fn ui_build_mismatch_pages_carry_the_build() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let got = browser(&app).get("/if/flow/sign-in/").await;
        let word = got.header("x-doorward-version").to_owned();
        let meta = format!("<meta name=\"doorward-build\" content=\"{word}\"");
        // The page is HTML: what stands in the attribute may be escaped.
        let plain = got.body.replace("&#43;", "+");
        assert!(plain.contains(&meta), "{meta} in {plain}");
        assert!(
            got.header("content-security-policy")
                .contains("connect-src 'self'")
        );
    })
    .await;
}
