//! Keys of an app's people: for programs, and passkeys. Each test is named after what it shows; numbers are of the contract.
#![expect(
    clippy::too_many_lines,
    reason = "each test is one story, told from beginning to end"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_core::admin::applications::ApplicationChange;
use doorward_core::app_auth::api_keys::Permissions;
use doorward_core::app_auth::settings::DoorChange;
use doorward_domain::Lifetime;
use doorward_domain::client::ClientKind;
use doorward_testkit::{App, Authenticator, PASSWORD, each_app};
use http::StatusCode;
use serde_json::{Value, json};

use crate::app_auth::{browser, get, open, post};
use crate::app_auth_admin::{admin, door};
use crate::app_auth_plugins::{all, id_of, ok, says, see, somebody, told};
use crate::http_client::Client;

const ORIGIN: &str = "https://door.example.org";

#[tokio::test]
async fn section_5_11_keys_are_shown_once_and_kept_as_digests() {
    each_app(async |app| {
        open(&app, all()).await;
        let mut nobody = browser(&app);
        let got = post(&mut nobody, "/api-key/create", json!({ "name": "x" })).await;
        assert_eq!(
            got.json(),
            json!({ "message": "Unauthorized or invalid session", "code": "UNAUTHORIZED_SESSION" })
        );
        assert_eq!(got.status, StatusCode::UNAUTHORIZED);
        let (mut anna, anna_id) = somebody(&app, "anna").await;
        let (mut eve, _) = somebody(&app, "eve").await;
        let made = ok(&mut anna, "/api-key/create", json!({ "name": "deploy" })).await;
        let key = made["key"].as_str().unwrap().to_owned();
        assert_eq!(key.len(), 64);
        assert!(key.bytes().all(|b| b.is_ascii_alphabetic()));
        assert_eq!(
            (
                &made["start"],
                &made["referenceId"],
                &made["enabled"],
                &made["rateLimitMax"],
                &made["rateLimitTimeWindow"]
            ),
            (
                &json!(key[..6]),
                &json!(anna_id),
                &json!(true),
                &json!(10),
                &json!(86_400_000)
            )
        );
        let ci = ok(
            &mut anna,
            "/api-key/create",
            json!({ "name": "ci", "prefix": "ci_", "expiresIn": 86400 }),
        )
        .await;
        assert!(ci["key"].as_str().unwrap().starts_with("ci_"));
        assert!(ci["expiresAt"].is_string());
        for (body, status, code) in [
            (
                json!({ "name": "x", "expiresIn": 60 }),
                400,
                "EXPIRES_IN_IS_TOO_SMALL",
            ),
            (
                json!({ "name": "x", "expiresIn": 34_560_000 }),
                400,
                "EXPIRES_IN_IS_TOO_LARGE",
            ),
            (json!({ "name": "x", "expiresIn": -1 }), 400, "VALIDATION_ERROR"),
            (
                json!({ "name": "x", "permissions": { "files": ["read"] } }),
                400,
                "SERVER_ONLY_PROPERTY",
            ),
            (
                json!({ "name": "x", "remaining": 5 }),
                400,
                "SERVER_ONLY_PROPERTY",
            ),
            (
                json!({ "name": "x", "metadata": { "a": 1 } }),
                400,
                "METADATA_DISABLED",
            ),
            (json!({ "name": "x".repeat(33) }), 400, "INVALID_NAME_LENGTH"),
            (json!({ "name": "x", "prefix": "a b" }), 400, "VALIDATION_ERROR"),
        ] {
            let got = post(&mut anna, "/api-key/create", body).await;
            assert_eq!(told(&got), says(status, code), "{}", got.body);
        }
        let got = post(
            &mut eve,
            "/api-key/create",
            json!({ "name": "x", "userId": anna_id }),
        )
        .await;
        assert_eq!(
            told(&got),
            says(401, "UNAUTHORIZED_SESSION"),
            "a name in the body is no identity"
        );
        ok(&mut anna, "/api-key/create", json!({})).await;
        let list = see(&mut anna, "/api-key/list").await;
        assert_eq!(
            (list["apiKeys"].as_array().unwrap().len(), &list["total"]),
            (3, &json!(3))
        );
        assert!(!list.to_string().contains(&key), "shown once");
        let id = id_of(&made);
        assert_eq!(
            see(&mut anna, &format!("/api-key/get?id={id}")).await["name"],
            "deploy"
        );
        for got in [
            get(&mut anna, "/api-key/get?id=unknown").await,
            get(&mut eve, &format!("/api-key/get?id={id}")).await,
            post(
                &mut eve,
                "/api-key/update",
                json!({ "keyId": id, "name": "mine" }),
            )
            .await,
            post(&mut eve, "/api-key/delete", json!({ "keyId": id })).await,
            post(
                &mut anna,
                "/api-key/update",
                json!({ "keyId": "unknown", "name": "x" }),
            )
            .await,
        ] {
            assert_eq!(
                got.json(),
                json!({ "message": "API Key not found", "code": "KEY_NOT_FOUND" })
            );
            assert_eq!(got.status, StatusCode::NOT_FOUND);
        }
        // What a key stands for, and when it stands for nothing.
        let (known, user) = app
            .doorward
            .app_check_key(&door(&app), &key, &Permissions::new())
            .await
            .unwrap();
        assert_eq!((known.requests, user.id.to_string()), (1, anna_id.clone()));
        for wrong in ["", "x", &key[..63], &format!("{key}x")] {
            assert!(
                app.doorward
                    .app_check_key(&door(&app), wrong, &Permissions::new())
                    .await
                    .is_err()
            );
        }
        let mut program = browser(&app);
        program.headers.push(("x-api-key", key.clone()));
        assert_eq!(
            see(&mut program, "/get-session").await,
            Value::Null,
            "a key is no session"
        );
        program.headers.push(("authorization", format!("Bearer {key}")));
        assert_eq!(see(&mut program, "/get-session").await, Value::Null);
        let change = json!({ "keyId": id, "name": "deploy two", "enabled": false });
        let changed = ok(&mut anna, "/api-key/update", change).await;
        assert_eq!(
            (&changed["name"], &changed["enabled"]),
            (&json!("deploy two"), &json!(false))
        );
        assert!(
            app.doorward
                .app_check_key(&door(&app), &key, &Permissions::new())
                .await
                .is_err()
        );
        for (body, code) in [
            (json!({ "keyId": id }), "NO_VALUES_TO_UPDATE"),
            (json!({ "keyId": id, "remaining": 3 }), "SERVER_ONLY_PROPERTY"),
        ] {
            assert_eq!(
                told(&post(&mut anna, "/api-key/update", body).await),
                says(400, code)
            );
        }
        let got = post(&mut anna, "/api-key/verify", json!({ "key": key })).await;
        assert_eq!((got.status, got.body.as_str()), (StatusCode::NOT_FOUND, ""));
        let ci_key = ci["key"].as_str().unwrap();
        for _ in 0..10 {
            app.doorward
                .app_check_key(&door(&app), ci_key, &Permissions::new())
                .await
                .unwrap();
        }
        assert!(
            app.doorward
                .app_check_key(&door(&app), ci_key, &Permissions::new())
                .await
                .is_err(),
            "ten a day"
        );
        app.clock.advance(Lifetime::from_days(2));
        assert!(
            app.doorward
                .app_check_key(&door(&app), ci_key, &Permissions::new())
                .await
                .is_err(),
            "it ended"
        );
        assert_eq!(
            ok(&mut anna, "/api-key/delete", json!({ "keyId": id })).await,
            json!({ "success": true })
        );
        let got = post(&mut anna, "/api-key/delete", json!({ "keyId": id })).await;
        assert_eq!(told(&got), says(404, "KEY_NOT_FOUND"));
    })
    .await;
}

/// Gives the shop a client, and its server, which proves to be the shop.
async fn server_of(app: &App) -> Client {
    let shop = open(app, all()).await;
    let mut client = ApplicationChange::default();
    client.client.kind = Some(ClientKind::Confidential);
    client.client.redirect_uris = Some(vec!["https://shop.example.org/callback".to_owned()]);
    app.doorward
        .update_application(shop, &client)
        .await
        .expect("a client");
    let made = app
        .doorward
        .rotate_secret(shop, Lifetime::from_seconds(0))
        .await
        .expect("a secret");
    let proof = format!(
        "{}:{}",
        made.application.client.expect("one").client_id,
        made.client_secret.expect("one")
    );
    let mut server = Client::new(app);
    server
        .headers
        .push(("authorization", format!("Basic {}", STANDARD.encode(proof))));
    server
}

#[tokio::test]
async fn the_app_itself_sets_what_a_key_may_do_and_how_often() {
    each_app(async |app| {
        let mut server = server_of(&app).await;
        let (mut anna, anna_id) = somebody(&app, "anna").await;
        let verify = async |server: &mut Client, body: Value| {
            let got = ok(server, "/api-key/verify", body).await;
            (got["valid"].clone(), got["error"]["code"].clone(), got["key"]["remaining"].clone())
        };
        let yes = |left: Value| (json!(true), Value::Null, left);
        let no = |code: &str| (json!(false), json!(code), Value::Null);
        // For whom has to be said, and must exist; every field is looked at.
        for (body, status, code) in [
            (json!({ "name": "x" }), 401, "UNAUTHORIZED_SESSION"),
            (json!({ "userId": "nobody" }), 400, "USER_NOT_FOUND"),
            (json!({ "userId": anna_id, "refillAmount": 5 }), 400, "REFILL_AMOUNT_AND_INTERVAL_REQUIRED"),
            (json!({ "userId": anna_id, "refillInterval": 5 }), 400, "REFILL_INTERVAL_AND_AMOUNT_REQUIRED"),
            (json!({ "userId": anna_id, "remaining": -1 }), 400, "VALIDATION_ERROR"),
            (json!({ "userId": anna_id, "remaining": 1.5 }), 400, "VALIDATION_ERROR"),
            (json!({ "userId": anna_id, "rateLimitMax": 0 }), 400, "VALIDATION_ERROR"),
            (json!({ "userId": anna_id, "rateLimitTimeWindow": 1_u64 << 60 }), 400, "VALIDATION_ERROR"),
            (json!({ "userId": anna_id, "permissions": ["files"] }), 400, "VALIDATION_ERROR"),
            (json!({ "userId": anna_id, "permissions": { "files": vec!["x"; 65] } }), 400, "VALIDATION_ERROR"),
            (json!({ "userId": anna_id, "metadata": "text" }), 400, "INVALID_METADATA_TYPE"),
            (json!({ "userId": anna_id, "metadata": { "a": "x".repeat(5000) } }), 400, "VALIDATION_ERROR"),
        ] {
            let got = post(&mut server, "/api-key/create", body).await;
            assert_eq!(told(&got), says(status, code), "{}", got.body);
        }
        let made = ok(
            &mut server,
            "/api-key/create",
            json!({
                "userId": anna_id, "remaining": 2, "refillAmount": 3, "refillInterval": 3_600_000, "rateLimitEnabled": false,
                "permissions": { "files": ["read", "write"], "mail": [] }, "metadata": { "plan": "gold" },
            }),
        )
        .await;
        assert_eq!(
            (&made["referenceId"], &made["metadata"]["plan"], &made["permissions"]["files"][1]),
            (&json!(anna_id), &json!("gold"), &json!("write"))
        );
        let (key, id) = (made["key"].clone(), id_of(&made));
        // All that is wanted has to be permitted; what is not counts nothing.
        let asks = |permissions: Value| json!({ "key": key, "permissions": permissions });
        for wanted in [json!({ "files": ["delete"] }), json!({ "files": ["read"], "mail": ["send"] }), json!({ "db": ["read"] })] {
            assert_eq!(verify(&mut server, asks(wanted)).await, no("KEY_NOT_FOUND"));
        }
        assert_eq!(verify(&mut server, asks(json!({ "files": ["read"] }))).await, yes(json!(1)));
        assert_eq!(verify(&mut server, json!({ "key": key })).await, yes(json!(0)));
        assert_eq!(verify(&mut server, json!({ "key": key })).await, no("USAGE_EXCEEDED"));
        app.clock.advance(Lifetime::from_minutes(60));
        for left in [2, 1, 0] {
            assert_eq!(verify(&mut server, json!({ "key": key })).await, yes(json!(left)));
        }
        assert_eq!(verify(&mut server, json!({ "key": key })).await, no("USAGE_EXCEEDED"));
        // The person sees all of it and changes none of it.
        assert_eq!(see(&mut anna, &format!("/api-key/get?id={id}")).await["refillAmount"], 3);
        for change in [json!({ "permissions": { "files": ["delete"] } }), json!({ "remaining": 9 }), json!({ "rateLimitEnabled": false })] {
            let mut body = change;
            body["keyId"] = json!(id);
            let got = post(&mut anna, "/api-key/update", body).await;
            assert_eq!(told(&got), says(400, "SERVER_ONLY_PROPERTY"));
        }
        // A window of the app's own.
        let change = json!({
            "keyId": id, "remaining": null, "rateLimitEnabled": true, "rateLimitMax": 7, "rateLimitTimeWindow": 60_000, "permissions": null,
        });
        let changed = ok(&mut server, "/api-key/update", change).await;
        assert_eq!(
            (&changed["remaining"], &changed["permissions"], &changed["metadata"]["plan"]),
            (&Value::Null, &Value::Null, &json!("gold"))
        );
        assert_eq!(verify(&mut server, asks(json!({ "files": ["read"] }))).await, no("KEY_NOT_FOUND"));
        app.clock.advance(Lifetime::from_minutes(1));
        for _ in 0..7 {
            assert_eq!(verify(&mut server, json!({ "key": key })).await, yes(Value::Null));
        }
        assert_eq!(verify(&mut server, json!({ "key": key })).await, no("RATE_LIMIT_EXCEEDED"));
        app.clock.advance(Lifetime::from_minutes(1));
        assert_eq!(verify(&mut server, json!({ "key": key })).await, yes(Value::Null));
        assert_eq!(
            ok(&mut server, "/api-key/delete", json!({ "keyId": id })).await,
            json!({ "success": true })
        );
        assert_eq!(verify(&mut server, json!({ "key": key })).await, no("KEY_NOT_FOUND"));
    })
    .await;
}

#[tokio::test]
async fn a_limited_key_is_not_used_more_often_by_many_at_once() {
    each_app(async |app| {
        let server = server_of(&app).await;
        let (_, anna_id) = somebody(&app, "anna").await;
        let made = ok(
            &mut server.clone(),
            "/api-key/create",
            json!({ "userId": anna_id, "remaining": 5 }),
        )
        .await;
        let key = made["key"].clone();
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let (mut server, key) = (server.clone(), key.clone());
            calls.spawn(async move { post(&mut server, "/api-key/verify", json!({ "key": key })).await });
        }
        let answers = calls.join_all().await;
        let valid = answers
            .iter()
            .filter(|got| got.status == StatusCode::OK && got.json()["valid"] == true);
        assert_eq!(valid.count(), 5);
        assert!(
            answers.iter().all(|got| got.status == StatusCode::OK),
            "a crowd is no fault"
        );
    })
    .await;
}

#[tokio::test]
async fn only_the_apps_server_asks_what_a_key_stands_for() {
    each_app(async |app| {
        let shop = open(&app, all()).await;
        let mut client = ApplicationChange::default();
        client.client.kind = Some(ClientKind::Confidential);
        client.client.redirect_uris = Some(vec!["https://shop.example.org/callback".to_owned()]);
        app.doorward.update_application(shop, &client).await.unwrap();
        let made = app
            .doorward
            .rotate_secret(shop, Lifetime::from_seconds(0))
            .await
            .unwrap();
        let id = made.application.client.unwrap().client_id;
        let basic = |id: &str, secret: &str| format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let (mut anna, anna_id) = somebody(&app, "anna").await;
        let key = ok(&mut anna, "/api-key/create", json!({})).await["key"].clone();
        let mut server = Client::new(&app);
        server
            .headers
            .push(("authorization", basic(&id, &made.client_secret.unwrap())));
        let got = ok(&mut server, "/api-key/verify", json!({ "key": key })).await;
        assert_eq!(
            (
                &got["valid"],
                &got["error"],
                &got["key"]["referenceId"],
                &got["user"]["email"]
            ),
            (
                &json!(true),
                &Value::Null,
                &json!(anna_id),
                &json!("anna@example.org")
            )
        );
        assert!(got["key"].get("key").is_none());
        let got = ok(&mut server, "/api-key/verify", json!({ "key": "x" })).await;
        let error = json!({ "message": "API Key not found", "code": "KEY_NOT_FOUND" });
        assert_eq!(got, json!({ "valid": false, "error": error, "key": null }));
        // Another application's server, a wrong secret, a name alone, nothing: no such call.
        let blog = app.oidc_client("blog", |_| {}).await;
        let other = app.doorward.find_application("blog").await.unwrap();
        let theirs = app
            .doorward
            .rotate_secret(other.id, Lifetime::from_seconds(0))
            .await
            .unwrap();
        let their_id = theirs.application.client.unwrap().client_id;
        for authorization in [
            basic(&their_id, &theirs.client_secret.unwrap()),
            basic(&id, "wrong"),
            basic(&id, ""),
            "Basic".to_owned(),
            format!("Bearer {}", key.as_str().unwrap()),
            String::new(),
        ] {
            let mut caller = Client::new(&app);
            caller.headers.push(("authorization", authorization));
            let got = post(&mut caller, "/api-key/verify", json!({ "key": key })).await;
            assert_eq!((got.status, got.body.as_str()), (StatusCode::NOT_FOUND, ""));
        }
        drop(blog);
    })
    .await;
}

#[tokio::test]
async fn a_banned_persons_keys_stand_for_nothing() {
    each_app(async |app| {
        open(&app, all()).await;
        let (mut root, _) = admin(&app, "root").await;
        let (mut bob, bob_id) = somebody(&app, "bob").await;
        let key = ok(&mut bob, "/api-key/create", json!({})).await["key"]
            .as_str()
            .unwrap()
            .to_owned();
        app.doorward
            .app_check_key(&door(&app), &key, &Permissions::new())
            .await
            .unwrap();
        ok(&mut root, "/admin/ban-user", json!({ "userId": bob_id })).await;
        assert!(
            app.doorward
                .app_check_key(&door(&app), &key, &Permissions::new())
                .await
                .is_err()
        );
        let mut device = Authenticator::new(9, ORIGIN);
        ok(&mut root, "/admin/unban-user", json!({ "userId": bob_id })).await;
        ok(
            &mut bob,
            "/sign-in/email",
            json!({ "email": "bob@example.org", "password": PASSWORD }),
        )
        .await;
        add(&mut bob, &mut device).await;
        ok(&mut root, "/admin/ban-user", json!({ "userId": bob_id })).await;
        let mut client = browser(&app);
        let got = enter(&mut client, &mut device).await;
        assert_eq!(told(&got), says(403, "BANNED_USER"));
    })
    .await;
}

/// Registers a device.
async fn add(client: &mut Client, device: &mut Authenticator) -> Value {
    let options = see(client, "/passkey/generate-register-options").await;
    let body = json!({ "response": device.create(&options), "name": "laptop" });
    ok(client, "/passkey/verify-registration", body).await
}

/// Signs in with a device.
async fn enter(client: &mut Client, device: &mut Authenticator) -> crate::http_client::Got {
    let options = see(client, "/passkey/generate-authenticate-options").await;
    let body = json!({ "response": device.get(&options) });
    post(client, "/passkey/verify-authentication", body).await
}

/// A registration whose answer is bent before it is sent.
async fn refused(app: &App, bend: impl FnOnce(&mut Authenticator)) -> (u16, String) {
    let mut anna = browser(app);
    ok(
        &mut anna,
        "/sign-in/email",
        json!({ "email": "anna@example.org", "password": PASSWORD }),
    )
    .await;
    let options = see(&mut anna, "/passkey/generate-register-options").await;
    let mut device = Authenticator::new(77, ORIGIN);
    bend(&mut device);
    let body = json!({ "response": device.create(&options) });
    told(&post(&mut anna, "/passkey/verify-registration", body).await)
}

#[tokio::test]
async fn section_5_5_a_passkey_is_made_used_renamed_and_deleted() {
    each_app(async |app| {
        open(&app, all()).await;
        let mut nobody = browser(&app);
        let got = get(&mut nobody, "/passkey/generate-register-options").await;
        assert_eq!(told(&got), says(401, "UNAUTHORIZED"));
        let (mut anna, anna_id) = somebody(&app, "anna").await;
        let mut device = Authenticator::new(1, ORIGIN);
        let got = post(
            &mut anna,
            "/passkey/verify-registration",
            json!({ "response": device.create(&json!({})) }),
        )
        .await;
        assert_eq!(told(&got), says(400, "CHALLENGE_NOT_FOUND"));
        let got = post(&mut anna, "/passkey/verify-registration", json!({})).await;
        assert_eq!(
            got.json()["message"],
            "[body.response] Invalid input: expected nonoptional, received undefined"
        );
        let got = get(
            &mut anna,
            "/passkey/generate-register-options?name=laptop&authenticatorAttachment=platform",
        )
        .await;
        let cookie = got.header("set-cookie").to_owned();
        assert!(
            cookie.starts_with("__Secure-better-auth.better-auth-passkey=") && cookie.contains("Max-Age=300"),
            "{cookie}"
        );
        let options = got.json();
        assert_eq!(
            (
                &options["rp"]["id"],
                &options["user"]["name"],
                &options["user"]["displayName"],
                &options["attestation"]
            ),
            (
                &json!("door.example.org"),
                &json!("laptop"),
                &json!("anna@example.org"),
                &json!("none")
            )
        );
        assert_eq!(
            options["authenticatorSelection"]["authenticatorAttachment"],
            "platform"
        );
        assert_eq!(
            options["pubKeyCredParams"][1],
            json!({ "alg": -7, "type": "public-key" })
        );
        assert_ne!(options["user"]["id"], anna_id.as_str());
        let answer = json!({ "response": device.create(&options), "name": "laptop" });
        let bound = anna.cookies.clone();
        let made = ok(&mut anna, "/passkey/verify-registration", answer.clone()).await;
        assert_eq!(
            (
                &made["name"],
                &made["userId"],
                &made["deviceType"],
                &made["backedUp"],
                &made["transports"]
            ),
            (
                &json!("laptop"),
                &json!(anna_id),
                &json!("singleDevice"),
                &json!(false),
                &json!("internal")
            )
        );
        assert_eq!(made["aaguid"], "00000000-0000-0000-0000-000000000000");
        // A challenge is used once, whatever the cookie says.
        anna.cookies = bound;
        let got = post(&mut anna, "/passkey/verify-registration", answer).await;
        assert_eq!(told(&got), says(400, "CHALLENGE_NOT_FOUND"));
        let options = see(&mut anna, "/passkey/generate-register-options").await;
        assert_eq!(options["excludeCredentials"][0]["id"], made["credentialID"]);
        // The same key once more, by anybody.
        let got = post(
            &mut anna,
            "/passkey/verify-registration",
            json!({ "response": device.create(&options) }),
        )
        .await;
        assert_eq!(told(&got), says(400, "FAILED_TO_VERIFY_REGISTRATION"));

        let mut phone = browser(&app);
        let got = post(
            &mut phone,
            "/passkey/verify-authentication",
            json!({ "response": device.get(&json!({})) }),
        )
        .await;
        assert_eq!(told(&got), says(400, "CHALLENGE_NOT_FOUND"));
        let options = see(&mut phone, "/passkey/generate-authenticate-options").await;
        assert_eq!(
            (&options["rpId"], options.get("allowCredentials")),
            (&json!("door.example.org"), None)
        );
        let answer = json!({ "response": device.get(&options) });
        let bound = phone.cookies.clone();
        let got = ok(&mut phone, "/passkey/verify-authentication", answer.clone()).await;
        assert_eq!(got["user"]["id"], anna_id.as_str());
        assert_eq!(
            see(&mut phone, "/get-session").await["user"]["id"],
            anna_id.as_str()
        );
        phone.cookies = bound;
        let got = post(&mut phone, "/passkey/verify-authentication", answer).await;
        assert_eq!(told(&got), says(400, "CHALLENGE_NOT_FOUND"));
        let options = see(&mut anna, "/passkey/generate-authenticate-options").await;
        assert_eq!(options["allowCredentials"][0]["id"], made["credentialID"]);

        let (mut eve, _) = somebody(&app, "eve").await;
        let id = id_of(&made);
        let got = post(
            &mut eve,
            "/passkey/update-passkey",
            json!({ "id": id, "name": "mine" }),
        )
        .await;
        assert_eq!(
            told(&got),
            says(401, "YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY")
        );
        let got = post(&mut eve, "/passkey/delete-passkey", json!({ "id": id })).await;
        assert_eq!((got.status, got.body.as_str()), (StatusCode::UNAUTHORIZED, ""));
        assert_eq!(see(&mut eve, "/passkey/list-user-passkeys").await, json!([]));
        let renamed = ok(
            &mut anna,
            "/passkey/update-passkey",
            json!({ "id": id, "name": "old laptop" }),
        )
        .await;
        assert_eq!(renamed["passkey"]["name"], "old laptop");
        let got = post(
            &mut anna,
            "/passkey/update-passkey",
            json!({ "id": "unknown", "name": "x" }),
        )
        .await;
        assert_eq!(told(&got), says(404, "PASSKEY_NOT_FOUND"));
        assert_eq!(
            see(&mut anna, "/passkey/list-user-passkeys").await[0]["name"],
            "old laptop"
        );
        assert_eq!(
            ok(&mut anna, "/passkey/delete-passkey", json!({ "id": id })).await,
            json!({ "status": true })
        );
        let got = post(&mut anna, "/passkey/delete-passkey", json!({ "id": id })).await;
        assert_eq!(told(&got), says(404, "PASSKEY_NOT_FOUND"));
        assert_eq!(
            told(&enter(&mut browser(&app), &mut device).await),
            says(401, "PASSKEY_NOT_FOUND")
        );
        app.clock.advance(Lifetime::from_days(2));
        let got = get(&mut anna, "/passkey/generate-register-options").await;
        assert_eq!(told(&got), says(403, "SESSION_NOT_FRESH"));
    })
    .await;
}

#[tokio::test]
async fn section_5_5_registrations_of_other_ceremonies_are_refused() {
    each_app(async |app| {
        let change = DoorChange {
            trusted_origins: Some(vec!["https://shop.example.org".to_owned()]),
            ..all()
        };
        open(&app, change).await;
        somebody(&app, "anna").await;
        let failed = says(400, "FAILED_TO_VERIFY_REGISTRATION");
        assert_eq!(
            refused(&app, |device| device.origin =
                "https://evil.example.org".to_owned())
            .await,
            failed
        );
        assert_eq!(
            refused(&app, |device| device.rp = "evil.example.org".to_owned()).await,
            failed
        );
        assert_eq!(
            refused(&app, |device| device.flags = 0).await,
            failed,
            "nobody was there"
        );
        assert_eq!(refused(&app, |device| device.id = vec![1; 500]).await, failed);
        assert_eq!(refused(&app, |device| device.id = Vec::new()).await, failed);
        // Another challenge than the browser's.
        let mut anna = browser(&app);
        ok(
            &mut anna,
            "/sign-in/email",
            json!({ "email": "anna@example.org", "password": PASSWORD }),
        )
        .await;
        see(&mut anna, "/passkey/generate-register-options").await;
        let mut device = Authenticator::new(3, ORIGIN);
        let got = post(
            &mut anna,
            "/passkey/verify-registration",
            json!({ "response": device.create(&json!({ "challenge": "AAAA" })) }),
        )
        .await;
        assert_eq!(told(&got), failed);
        // A challenge for signing in does not register.
        let options = see(&mut anna, "/passkey/generate-authenticate-options").await;
        let got = post(
            &mut anna,
            "/passkey/verify-registration",
            json!({ "response": device.create(&options) }),
        )
        .await;
        assert_eq!(told(&got), says(400, "CHALLENGE_NOT_FOUND"));
        // A challenge of somebody else's browser does not either: neither the challenge nor the cookie alone is enough.
        let (mut eve, _) = somebody(&app, "eve").await;
        let options = see(&mut eve, "/passkey/generate-register-options").await;
        let got = post(
            &mut anna,
            "/passkey/verify-registration",
            json!({ "response": device.create(&options) }),
        )
        .await;
        assert_eq!(told(&got), says(400, "CHALLENGE_NOT_FOUND"));
        let name = "__Secure-better-auth.better-auth-passkey";
        anna.cookies.insert(name.to_owned(), eve.cookies[name].clone());
        let got = post(
            &mut anna,
            "/passkey/verify-registration",
            json!({ "response": device.create(&options) }),
        )
        .await;
        assert_eq!(
            told(&got),
            says(401, "YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY")
        );
        // Too late.
        let options = see(&mut anna, "/passkey/generate-register-options").await;
        app.clock.advance(Lifetime::from_minutes(5));
        let got = post(
            &mut anna,
            "/passkey/verify-registration",
            json!({ "response": device.create(&options) }),
        )
        .await;
        assert_eq!(told(&got), says(400, "CHALLENGE_NOT_FOUND"));
        // Pages of trusted origins may.
        let mut shop = Authenticator::new(4, ORIGIN);
        shop.origin = "https://shop.example.org".to_owned();
        add(&mut anna, &mut shop).await;
        for nonsense in [
            json!(null),
            json!(7),
            json!({}),
            json!({ "id": "x", "response": { "clientDataJSON": "%%" } }),
        ] {
            see(&mut anna, "/passkey/generate-register-options").await;
            let got = post(
                &mut anna,
                "/passkey/verify-registration",
                json!({ "response": nonsense }),
            )
            .await;
            assert_eq!(told(&got), failed);
        }
    })
    .await;
}

#[tokio::test]
async fn section_5_5_sign_ins_that_do_not_fit_are_refused() {
    each_app(async |app| {
        open(&app, all()).await;
        let (mut anna, _) = somebody(&app, "anna").await;
        let mut device = Authenticator::new(1, ORIGIN);
        add(&mut anna, &mut device).await;
        let mut client = browser(&app);
        let mut copy = device.clone();
        assert_eq!(enter(&mut client, &mut device).await.status, StatusCode::OK);
        // A copy of the key that lags behind is found out by its counter.
        let got = enter(&mut browser(&app), &mut copy).await;
        assert_eq!(told(&got), says(400, "AUTHENTICATION_FAILED"));
        // Another key under a known name.
        let mut other = Authenticator::new(2, ORIGIN);
        other.id.clone_from(&device.id);
        other.counter = 100;
        assert_eq!(
            told(&enter(&mut browser(&app), &mut other).await),
            says(401, "AUTHENTICATION_FAILED")
        );
        // An unknown name.
        let mut unknown = Authenticator::new(5, ORIGIN);
        assert_eq!(
            told(&enter(&mut browser(&app), &mut unknown).await),
            says(401, "PASSKEY_NOT_FOUND")
        );
        // Another page, another host, nobody there.
        let refused = says(400, "AUTHENTICATION_FAILED");
        let mut evil = device.clone();
        evil.origin = "https://evil.example.org".to_owned();
        assert_eq!(told(&enter(&mut browser(&app), &mut evil).await), refused);
        let mut evil = device.clone();
        evil.rp = "evil.example.org".to_owned();
        assert_eq!(told(&enter(&mut browser(&app), &mut evil).await), refused);
        let mut absent = device.clone();
        absent.flags = 0;
        assert_eq!(told(&enter(&mut browser(&app), &mut absent).await), refused);
        // The answer of one browser in another.
        let mut victim = browser(&app);
        let options = see(&mut victim, "/passkey/generate-authenticate-options").await;
        let answer = json!({ "response": device.get(&options) });
        let mut thief = browser(&app);
        assert_eq!(
            told(&post(&mut thief, "/passkey/verify-authentication", answer.clone()).await),
            says(400, "CHALLENGE_NOT_FOUND")
        );
        see(&mut thief, "/passkey/generate-authenticate-options").await;
        assert_eq!(
            told(&post(&mut thief, "/passkey/verify-authentication", answer.clone()).await),
            refused
        );
        // The same twice at once signs in once.
        let (mut one, mut two) = (victim.clone(), victim.clone());
        let (first, second) = tokio::join!(
            post(&mut one, "/passkey/verify-authentication", answer.clone()),
            post(&mut two, "/passkey/verify-authentication", answer)
        );
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400]);
        let got = post(&mut client, "/passkey/verify-authentication", json!({})).await;
        assert_eq!(
            got.json()["message"],
            "[body.response] Invalid input: expected record, received undefined"
        );
        // Nothing but a signed cookie names a challenge.
        let mut forger = browser(&app);
        forger.cookies.insert(
            "__Secure-better-auth.better-auth-passkey".to_owned(),
            "x.y".to_owned(),
        );
        let got = post(
            &mut forger,
            "/passkey/verify-authentication",
            json!({ "response": {} }),
        )
        .await;
        assert_eq!(told(&got), says(400, "CHALLENGE_NOT_FOUND"));
    })
    .await;
}
