//! The token API over HTTP: every answer that services know, rotation and reuse of refresh tokens, and attacks.

mod attacks;
mod rotation;

use doorward_core::Options;
use doorward_core::admin::users::UserChange;
use doorward_core::token_api::{TokenAlgorithm, TokenApi};
use doorward_crypto::shared::SharedKey;
use doorward_domain::Lifetime;
use doorward_testkit::{App, PASSWORD, each_app, each_app_with};
use doorward_web::router;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::http_client::{Client, Got, options};

pub(crate) const SECRET: &str = "a shared secret of 32 bytes or so";
pub(crate) const ISSUER: &str = "daarion-auth";

pub(crate) fn settings() -> TokenApi {
    TokenApi {
        algorithm: TokenAlgorithm::Hs256,
        secret: Some(SharedKey::new(SECRET)),
        issuer: ISSUER.into(),
        access_lifetime: Lifetime::from_minutes(30),
        refresh_lifetime: Lifetime::from_days(7),
        sliding: false,
        registration: true,
        keep_bcrypt: false,
        introspect_open: false,
        introspect_token: Some("the credential of services".into()),
        matrix: None,
    }
}

/// On: as the old service was.
pub(crate) fn on(options: &mut Options) {
    options.token_api = Some(Arc::new(settings()));
}

fn with(change: impl Fn(&mut TokenApi)) -> impl Fn(&mut Options) {
    move |options| {
        let mut api = settings();
        change(&mut api);
        options.token_api = Some(Arc::new(api));
    }
}

/// A program that calls the doors.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) client: Client,
}

impl Program {
    pub(crate) fn new(app: &App) -> Self {
        Self {
            client: Client::new(app),
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Got {
        let path = format!("/api/auth/{path}");
        self.client.raw(Method::POST, &path, body.to_string()).await
    }

    fn bearing(&self, token: &str) -> Self {
        let mut program = self.clone();
        program.client.headers = vec![("authorization", format!("Bearer {token}"))];
        program
    }

    pub(crate) async fn me(&self, token: &str) -> Got {
        let program = self.bearing(token);
        program.client.raw(Method::GET, "/api/auth/me", "").await
    }

    pub(crate) async fn introspect(&self, token: &str) -> Value {
        let program = self.bearing("the credential of services");
        let got = program.post("introspect", &json!({ "token": token })).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.body);
        got.json()
    }

    pub(crate) async fn login(&self, username: &str) -> Value {
        let email = format!("{username}@example.org");
        let got = self
            .post("login", &json!({ "email": email, "password": PASSWORD }))
            .await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.body);
        got.json()
    }

    pub(crate) async fn refresh(&self, token: &Value) -> Got {
        self.post("refresh", &json!({ "refresh_token": token })).await
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

fn keys(value: &Value) -> Vec<&str> {
    let members = value
        .as_object()
        .unwrap_or_else(|| panic!("not an object: {value}"));
    members.keys().map(String::as_str).collect()
}

/// Status and `detail`.
fn said(got: &Got) -> (u16, Value) {
    (
        got.status.as_u16(),
        got.json().get("detail").cloned().unwrap_or(Value::Null),
    )
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story from the first call to the last")]
async fn the_smoke_test_of_the_contract() {
    each_app_with(on, async |app| {
        let program = Program::new(&app);
        let body = json!({ "email": "Ada@Example.org", "password": "correct horse", "display_name": "Ada" });
        let got = program.post("register", &body).await;
        assert_eq!(got.status, StatusCode::CREATED, "{}", got.body);
        let made = got.json();
        assert_eq!(
            keys(&made),
            [
                "display_name",
                "email",
                "matrix_status",
                "matrix_user_id",
                "roles",
                "user_id"
            ]
        );
        assert_eq!(
            (&made["email"], &made["roles"]),
            (&json!("ada@example.org"), &json!(["user"]))
        );
        assert_eq!(
            (&made["matrix_user_id"], &made["matrix_status"]),
            (&json!(null), &json!("disabled"))
        );

        let credentials = json!({ "email": "ada@example.org", "password": "correct horse" });
        let got = program.post("login", &credentials).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.body);
        assert_eq!(got.header("cache-control"), "no-store");
        assert_eq!(got.header("set-cookie"), "", "tokens, no cookie");
        let tokens = got.json();
        assert_eq!(
            keys(&tokens),
            [
                "access_token",
                "expires_in",
                "refresh_token",
                "token_type",
                "user"
            ]
        );
        assert_eq!(
            (&tokens["token_type"], &tokens["expires_in"]),
            (&json!("Bearer"), &json!(1800))
        );
        assert_eq!(
            keys(&tokens["user"]),
            [
                "avatar_url",
                "display_name",
                "email",
                "id",
                "is_admin",
                "matrix_user_id",
                "roles"
            ]
        );

        let me = program.me(text(&tokens["access_token"])).await;
        assert_eq!(me.status, StatusCode::OK);
        assert_eq!(me.json()["email"], "ada@example.org");
        assert_eq!(
            keys(&me.json()),
            [
                "avatar_url",
                "created_at",
                "display_name",
                "email",
                "id",
                "is_active",
                "is_admin",
                "matrix_user_id",
                "roles"
            ]
        );
        assert_eq!(me.json()["created_at"], "2027-01-15T08:00:00.000Z");

        let active = program.introspect(text(&tokens["access_token"])).await;
        assert_eq!(
            keys(&active),
            [
                "active",
                "email",
                "exp",
                "iat",
                "iss",
                "name",
                "roles",
                "sid",
                "sub",
                "token_type"
            ]
        );
        assert_eq!(
            (&active["active"], &active["sub"]),
            (&json!(true), &made["user_id"])
        );

        app.wait_seconds(60);
        let got = program.refresh(&tokens["refresh_token"]).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.body);
        let next = got.json();
        assert_eq!(
            keys(&next),
            ["access_token", "expires_in", "refresh_token", "token_type"]
        );
        assert_ne!(next["refresh_token"], tokens["refresh_token"]);

        let got = program
            .post("logout", &json!({ "refresh_token": next["refresh_token"] }))
            .await;
        assert_eq!(
            (got.status, got.json()),
            (StatusCode::OK, json!({ "status": "ok" }))
        );
        let got = program.refresh(&next["refresh_token"]).await;
        assert_eq!(said(&got), (401, json!("Invalid or expired refresh token")));
        let dead = program.introspect(text(&next["access_token"])).await;
        assert_eq!(dead, json!({ "active": false }));
        let again = program
            .post("logout", &json!({ "refresh_token": next["refresh_token"] }))
            .await;
        assert_eq!(again.status, StatusCode::OK, "idempotent");
    })
    .await;
}

#[tokio::test]
async fn while_it_is_off_its_paths_are_like_any_others() {
    each_app(async |app| {
        let program = Program::new(&app);
        for path in ["register", "login", "refresh", "logout", "introspect"] {
            let got = program.post(path, &json!({})).await;
            let unknown = program.post("nonsense", &json!({})).await;
            assert_eq!(got.status, unknown.status, "{path}");
        }
        let got = program.client.raw(Method::GET, "/healthz", "").await;
        assert_eq!(got.status, StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test]
async fn register_refuses_with_the_answers_of_the_contract() {
    each_app_with(on, async |app| {
        let program = Program::new(&app);
        let good = json!({ "email": "ada@example.org", "password": "correct horse" });
        assert_eq!(program.post("register", &good).await.status, StatusCode::CREATED);
        let again = json!({ "email": "ADA@example.org", "password": "another horse" });
        let got = program.post("register", &again).await;
        assert_eq!(said(&got), (409, json!("Email already registered")));
        for (body, field, kind) in [
            (json!({}), "email", "missing"),
            (json!({ "email": "x", "password": "correct horse" }), "email", "value_error"),
            (
                json!({ "email": "b@example.org", "password": "short" }),
                "password",
                "string_too_short",
            ),
            (
                json!({ "email": "b@example.org", "password": "x".repeat(129) }),
                "password",
                "string_too_long",
            ),
            (
                json!({ "email": "b@example.org", "password": "b@example.org" }),
                "password",
                "value_error",
            ),
            (
                json!({ "email": "b@example.org", "password": "correct horse", "display_name": "n".repeat(101) }),
                "display_name",
                "string_too_long",
            ),
        ] {
            let got = program.post("register", &body).await;
            assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", got.body);
            let issue = &got.json()["detail"][0];
            assert_eq!(issue["loc"], json!(["body", field]), "{}", got.body);
            assert_eq!(issue["type"], kind, "{}", got.body);
            assert!(issue["msg"].is_string() && issue.get("input").is_some());
        }
        // An address in the bin is free again.
        let user = app.doorward.find_user("ada@example.org").await.expect("Ada");
        app.doorward.delete_user(user.id).await.expect("a deletion");
        assert_eq!(program.post("register", &again).await.status, StatusCode::CREATED);
    })
    .await;
}

#[tokio::test]
async fn registration_can_be_off() {
    each_app_with(with(|api| api.registration = false), async |app| {
        let body = json!({ "email": "ada@example.org", "password": "correct horse" });
        let got = Program::new(&app).post("register", &body).await;
        assert_eq!(said(&got), (403, json!("Registration is disabled")));
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_registrations_is_slowed_with_429() {
    each_app_with(on, async |app| {
        let program = Program::new(&app);
        let mut slowed = false;
        for number in 0..155 {
            let body = json!({ "email": format!("n{number}@example.org"), "password": format!("n{number}@example.org") });
            let got = program.post("register", &body).await;
            if got.status == StatusCode::TOO_MANY_REQUESTS {
                assert_eq!(said(&got), (429, json!("Too many requests")));
                assert_eq!(got.header("retry-after"), "1");
                slowed = true;
            }
        }
        assert!(slowed);
    })
    .await;
}

#[tokio::test]
async fn login_says_one_thing_for_unknown_wrong_and_switched_off() {
    each_app_with(on, async |app| {
        app.person("ada").await;
        let off = app.person("off").await;
        let change = UserChange {
            active: Some(false),
            ..UserChange::default()
        };
        app.doorward.update_user(off.id, &change).await.expect("a change");
        let program = Program::new(&app);
        for (email, password) in [
            ("nobody@example.org", PASSWORD),
            ("ada@example.org", "wrong"),
            ("off@example.org", PASSWORD),
            ("ada@example.org", ""),
        ] {
            let got = program
                .post("login", &json!({ "email": email, "password": password }))
                .await;
            assert_eq!(said(&got), (401, json!("Invalid email or password")), "{email}");
            assert_eq!(got.header("www-authenticate"), "Bearer");
        }
        let got = program
            .post("login", &json!({ "email": "ada@example.org" }))
            .await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
    })
    .await;
}

#[tokio::test]
async fn guessing_locks_the_account_at_that_place_for_a_while_with_423() {
    each_app_with(on, async |app| {
        app.person("ada").await;
        let program = Program::new(&app);
        let wrong = json!({ "email": "ada@example.org", "password": "wrong" });
        for _ in 0..5 {
            assert_eq!(
                program.post("login", &wrong).await.status,
                StatusCode::UNAUTHORIZED
            );
        }
        let got = program.post("login", &wrong).await;
        assert_eq!(said(&got), (423, json!("Account temporarily locked")));
        assert!(!got.header("retry-after").is_empty());
        let unknown = json!({ "email": "nobody@example.org", "password": "wrong" });
        for _ in 0..5 {
            program.post("login", &unknown).await;
        }
        let got = program.post("login", &unknown).await;
        assert_eq!(got.status, StatusCode::LOCKED, "the same for somebody unknown");
        app.wait_seconds(60);
        program.login("ada").await;
    })
    .await;
}

#[tokio::test]
async fn a_crowded_network_hears_429() {
    each_app_with(on, async |app| {
        app.person("ada").await;
        let program = Program::new(&app);
        for number in 0..100 {
            let wrong = json!({ "email": format!("n{number}@example.org"), "password": "wrong" });
            program.post("login", &wrong).await;
        }
        let got = program
            .post("login", &json!({ "email": "x@example.org", "password": "wrong" }))
            .await;
        assert_eq!(said(&got), (429, json!("Too many requests")));
        assert!(!got.header("retry-after").is_empty());
    })
    .await;
}

#[tokio::test]
async fn roles_follow_groups_at_once() {
    each_app_with(on, async |app| {
        let ada = app.person("ada").await;
        let group = app.group("agent-system").await;
        let program = Program::new(&app);
        let tokens = program.login("ada").await;
        assert_eq!(tokens["user"]["roles"], json!(["user"]));
        app.doorward.add_member(ada.id, group.id).await.expect("a member");
        let me = program.me(text(&tokens["access_token"])).await.json();
        assert_eq!(me["roles"], json!(["user", "agent-system"]));
        app.administrator("root").await;
        let root = program.login("root").await;
        assert_eq!(
            (&root["user"]["roles"], &root["user"]["is_admin"]),
            (&json!(["user", "admin"]), &json!(true))
        );
        let me = program.introspect(text(&root["access_token"])).await;
        assert_eq!(me["roles"], json!(["user", "admin"]));
    })
    .await;
}

#[tokio::test]
async fn me_tells_no_token_from_a_bad_one() {
    each_app_with(on, async |app| {
        let program = Program::new(&app);
        let got = program.client.raw(Method::GET, "/api/auth/me", "").await;
        assert_eq!(said(&got), (401, json!("Not authenticated")));
        assert_eq!(got.header("www-authenticate"), "Bearer");
        let got = program.me("nonsense").await;
        assert_eq!(said(&got), (401, json!("Invalid or expired token")));
        app.person("ada").await;
        let tokens = program.login("ada").await;
        app.wait_seconds(1800 + 29);
        assert_eq!(
            program.me(text(&tokens["access_token"])).await.status,
            StatusCode::OK,
            "leeway"
        );
        app.wait_seconds(1);
        let got = program.me(text(&tokens["access_token"])).await;
        assert_eq!(got.status, StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn everything_that_ends_a_session_ends_its_tokens() {
    each_app_with(on, async |app| {
        let ada = app.person("ada").await;
        let program = Program::new(&app);
        let active =
            async |tokens: &Value| program.introspect(text(&tokens["access_token"])).await["active"] == true;

        let tokens = program.login("ada").await;
        let sessions = app.doorward.sessions_of(ada.id).await.expect("sessions");
        assert_eq!(
            sessions.len(),
            1,
            "one sign-in is one session, seen in the portal"
        );
        assert!(active(&tokens).await);
        let origin = doorward_core::Origin::default();
        app.doorward
            .end_sessions(ada.id, doorward_core::sessions::Which::All, &origin)
            .await
            .expect("an end");
        assert!(!active(&tokens).await, "sign out everywhere");
        assert_eq!(
            program.refresh(&tokens["refresh_token"]).await.status,
            StatusCode::UNAUTHORIZED
        );

        let tokens = program.login("ada").await;
        let got = program
            .bearing(text(&tokens["access_token"]))
            .client
            .raw(Method::POST, "/api/auth/logout", "")
            .await;
        assert_eq!(got.status, StatusCode::OK);
        assert!(!active(&tokens).await, "log-out with the access token alone");

        let tokens = program.login("ada").await;
        let change = UserChange {
            active: Some(false),
            ..UserChange::default()
        };
        app.doorward.update_user(ada.id, &change).await.expect("a change");
        assert!(!active(&tokens).await, "switched off");
        assert_eq!(
            program.me(text(&tokens["access_token"])).await.status,
            StatusCode::UNAUTHORIZED
        );
        let got = program.refresh(&tokens["refresh_token"]).await;
        assert_eq!(said(&got), (401, json!("Invalid or expired refresh token")));
    })
    .await;
}

#[tokio::test]
async fn logout_wants_one_of_two_tokens() {
    each_app_with(on, async |app| {
        let program = Program::new(&app);
        let got = program.post("logout", &json!({})).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(got.json()["detail"][0]["loc"], json!(["body", "refresh_token"]));
        let got = program
            .post("logout", &json!({ "refresh_token": "unknown" }))
            .await;
        assert_eq!(
            (got.status, got.json()),
            (StatusCode::OK, json!({ "status": "ok" }))
        );
    })
    .await;
}

#[tokio::test]
async fn introspection_asks_who_asks_except_on_a_private_address() {
    each_app_with(on, async |app| {
        app.person("ada").await;
        let program = Program::new(&app);
        let tokens = program.login("ada").await;
        let body = json!({ "token": tokens["access_token"] });
        let got = program.post("introspect", &body).await;
        assert_eq!(said(&got), (401, json!("Not authenticated")));
        let got = program.bearing("a guess").post("introspect", &body).await;
        assert_eq!(got.status, StatusCode::UNAUTHORIZED);
        // The token itself is no credential.
        let own = program.bearing(text(&tokens["access_token"]));
        assert_eq!(
            own.post("introspect", &body).await.status,
            StatusCode::UNAUTHORIZED
        );

        for (private, status) in [(true, StatusCode::OK), (false, StatusCode::UNAUTHORIZED)] {
            let service = router::token_router(app.doorward.clone(), options(), private);
            let program = Program {
                client: Client::on(service),
            };
            assert_eq!(program.post("introspect", &body).await.status, status);
            let wrong = program.bearing("a guess").post("introspect", &body).await;
            assert_eq!(
                wrong.status,
                StatusCode::UNAUTHORIZED,
                "a wrong one is wrong everywhere"
            );
        }
    })
    .await;
    let open = with(|api| {
        api.introspect_open = true;
        api.introspect_token = None;
    });
    each_app_with(open, async |app| {
        let got = Program::new(&app)
            .post("introspect", &json!({ "token": "x" }))
            .await;
        assert_eq!(got.json(), json!({ "active": false }));
        let got = Program::new(&app).post("introspect", &json!({})).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
    })
    .await;
}

#[tokio::test]
async fn an_address_of_its_own_has_nothing_else_and_says_so_as_json() {
    each_app_with(on, async |app| {
        let program = Program {
            client: Client::on(router::token_router(app.doorward.clone(), options(), true)),
        };
        let client = &program.client;
        for path in [
            "/",
            "/api/auth/get-session",
            "/if/flow/sign-in/",
            "/-/metrics",
            "/api/auth/login/",
        ] {
            let got = client.raw(Method::GET, path, "").await;
            assert_eq!(said(&got), (404, json!("Not Found")), "{path}");
        }
        let got = client.raw(Method::GET, "/api/auth/login", "").await;
        assert_eq!(said(&got), (405, json!("Method Not Allowed")));
        let got = client.raw(Method::DELETE, "/api/auth/me", "").await;
        assert_eq!(said(&got), (405, json!("Method Not Allowed")));
        let got = client.raw(Method::GET, "/healthz", "").await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.body);
        let body = json!({ "status": "ok", "service": "auth-service", "version": "0.0.0" });
        assert_eq!(got.json(), body);
        assert_eq!(
            client.raw(Method::GET, "/version", "").await.status,
            StatusCode::OK
        );
        let keys = client.raw(Method::GET, "/application/o/jwks/", "").await;
        assert!(keys.json()["keys"].is_array());
    })
    .await;
}

#[tokio::test]
async fn without_its_database_it_is_unavailable_and_never_500() {
    each_app_with(on, async |app| {
        let replica = app.unopened_replica();
        let program = Program::new(&replica);
        let body = json!({ "email": "ada@example.org", "password": "correct horse" });
        for path in ["register", "login"] {
            let got = program.post(path, &body).await;
            assert_eq!(said(&got), (503, json!("Service unavailable")), "{path}");
            assert!(!got.header("retry-after").is_empty());
        }
        let real = Program::new(&app);
        app.person("ada").await;
        let tokens = real.login("ada").await;
        for got in [
            program.refresh(&tokens["refresh_token"]).await,
            program.me(text(&tokens["access_token"])).await,
            program
                .post("logout", &json!({ "refresh_token": tokens["refresh_token"] }))
                .await,
            program
                .bearing("the credential of services")
                .post("introspect", &json!({ "token": tokens["access_token"] }))
                .await,
        ] {
            assert_eq!(said(&got), (503, json!("Service unavailable")));
        }
        let got = program.client.raw(Method::GET, "/healthz", "").await;
        assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
        let checks =
            json!({ "database": "unavailable", "schema": "unknown", "settings": "ok", "synapse": "off" });
        assert_eq!(got.json(), json!({ "status": "unavailable", "checks": checks }));
    })
    .await;
}

#[tokio::test]
async fn a_fault_of_ours_has_a_number_and_tells_nothing() {
    each_app_with(on, async |app| {
        app.person("ada").await;
        app.spoil("users", "attributes", "'[]'").await;
        let body = json!({ "email": "ada@example.org", "password": PASSWORD });
        let got = Program::new(&app).post("login", &body).await;
        assert_eq!(got.status, StatusCode::INTERNAL_SERVER_ERROR);
        let answer = got.json();
        assert_eq!(answer["detail"], "Internal server error");
        assert!(answer["error_id"].as_str().is_some_and(|id| !id.is_empty()));
        assert!(!got.body.contains("attributes"));
    })
    .await;
}

#[tokio::test]
async fn tokens_of_our_own_keys_are_checked_with_the_key_set() {
    for algorithm in [TokenAlgorithm::EdDsa, TokenAlgorithm::Rs256] {
        let own = with(move |api| {
            api.algorithm = algorithm;
            api.secret = None;
            api.issuer = doorward_testkit::PUBLIC_URL.into();
        });
        each_app_with(own, async |app| {
            app.person("ada").await;
            let program = Program::new(&app);
            let tokens = program.login("ada").await;
            let access = text(&tokens["access_token"]);
            let keys = program
                .client
                .raw(Method::GET, "/application/o/jwks/", "")
                .await
                .json();
            let set = serde_json::from_value(keys).expect("a key set");
            let read = doorward_crypto::jose::parse_compact(access, 8192).expect("a token");
            read.verify_with_set(&set, &[read.header.alg])
                .expect("a good signature");
            assert_eq!(program.me(access).await.status, StatusCode::OK);
            app.wait_seconds(20);
            let next = program.refresh(&tokens["refresh_token"]).await;
            assert_eq!(next.status, StatusCode::OK, "{}", next.body);
            assert!(!next.body.contains("\"EdDSA\""));
            // Nobody who trusts the key set takes a refresh token for an access token.
            assert!(doorward_crypto::jose::parse_compact(text(&next.json()["refresh_token"]), 8192).is_err());
        })
        .await;
    }
}

#[tokio::test]
async fn a_warm_token_costs_no_query() {
    each_app_with(on, async |app| {
        app.person("ada").await;
        let program = Program::new(&app);
        let tokens = program.login("ada").await;
        let access = text(&tokens["access_token"]);
        program.introspect(access).await;
        let before = app.store().queries();
        for _ in 0..10 {
            assert_eq!(program.introspect(access).await["active"], true);
        }
        assert_eq!(app.store().queries(), before);
    })
    .await;
}
