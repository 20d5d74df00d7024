//! What must not work: other algorithms, other tokens, other issuers, bodies without an end.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_core::token_api::TokenAlgorithm;
use doorward_crypto::jose::{Algorithm, SigningKey};
use doorward_crypto::shared::SharedKey;
use doorward_domain::UserId;
use doorward_testkit::{PUBLIC_URL, each_app_with};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{ISSUER, Program, SECRET, on, said, text, with};

fn claims(user: UserId, now: i64) -> Value {
    json!({
        "sub": user, "email": "ada@example.org", "name": "ADA", "roles": ["user", "admin"], "type": "access", "iss": ISSUER,
        "iat": now, "exp": now + 1800,
    })
}

fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", encode(header), encode(claims))
}

#[tokio::test]
async fn no_other_algorithm_is_taken() {
    each_app_with(on, async |app| {
        let ada = app.person("ada").await;
        let program = Program::new(&app);
        let claims = claims(ada.id, app.now().seconds());
        let good = SharedKey::new(SECRET).sign(claims.to_string().as_bytes());
        assert_eq!(program.me(&good).await.status, StatusCode::OK);
        let tag = good.rsplit('.').next().expect("a signature").to_owned();
        let rsa = SigningKey::generate(Algorithm::RS256).expect("a key");
        let mut tokens = vec![
            SharedKey::new("another secret of at least 32 bytes").sign(claims.to_string().as_bytes()),
            rsa.sign("JWT", claims.to_string().as_bytes()).expect("a token"),
        ];
        for alg in [
            "none", "None", "NONE", "HS384", "HS512", "RS256", "ES256", "EdDSA", "",
        ] {
            for signature in ["", tag.as_str()] {
                tokens.push(unsigned(&json!({ "alg": alg, "typ": "JWT" }), &claims, signature));
            }
        }
        for token in tokens {
            let got = program.me(&token).await;
            assert_eq!(said(&got), (401, json!("Invalid or expired token")), "{token}");
            assert_eq!(program.introspect(&token).await, json!({ "active": false }));
        }
    })
    .await;
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let own = with(|api| {
        api.algorithm = TokenAlgorithm::Rs256;
        api.issuer = ISSUER.into();
    });
    each_app_with(own, async |app| {
        let ada = app.person("ada").await;
        let program = Program::new(&app);
        let tokens = program.login("ada").await;
        let session = program.introspect(text(&tokens["access_token"])).await["sid"].clone();
        let mut claims = claims(ada.id, app.now().seconds());
        claims["sid"] = session;
        let keys = app.doorward.jwks(None)["keys"].clone();
        let set = keys.as_array().expect("keys");
        for key in set {
            for secret in [
                key.to_string(),
                text(&key["kid"]).to_owned(),
                key["n"].to_string(),
            ] {
                let forged = SharedKey::new(secret).sign(claims.to_string().as_bytes());
                assert_eq!(program.me(&forged).await.status, StatusCode::UNAUTHORIZED);
            }
        }
        // Not with the shared secret either, which is set for old refresh tokens: services may still have it.
        let old = SharedKey::new(SECRET).sign(claims.to_string().as_bytes());
        assert_eq!(program.me(&old).await.status, StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn tokens_of_our_openid_provider_are_none_of_the_token_api() {
    let own = with(|api| {
        api.algorithm = TokenAlgorithm::EdDsa;
        api.issuer = PUBLIC_URL.into();
    });
    each_app_with(own, async |app| {
        app.person("ada").await;
        let client = app
            .oidc_client("grafana", |change| {
                change.client.signing_algorithm = Some(doorward_domain::client::SigningAlgorithm::EdDsa);
            })
            .await;
        let browser = app.sign_in("ada").await;
        let tokens = client.tokens(&browser, "openid profile email").await;
        let program = Program::new(&app);
        for token in [tokens.id(), tokens.access()] {
            assert_eq!(program.me(&token).await.status, StatusCode::UNAUTHORIZED);
            assert_eq!(program.introspect(&token).await, json!({ "active": false }));
        }
        // And the other way round.
        let ours = program.login("ada").await;
        for token in [&ours["access_token"], &ours["refresh_token"]] {
            assert!(client.userinfo(text(token)).await.is_err());
            assert!(!client.is_active(text(token)).await);
        }
    })
    .await;
}

#[tokio::test]
async fn one_kind_of_token_is_not_the_other() {
    each_app_with(on, async |app| {
        app.person("ada").await;
        let program = Program::new(&app);
        let tokens = program.login("ada").await;
        let got = program.me(text(&tokens["refresh_token"])).await;
        assert_eq!(said(&got), (401, json!("Invalid or expired token")));
        assert_eq!(
            program.introspect(text(&tokens["refresh_token"])).await,
            json!({ "active": false })
        );
        let got = program.refresh(&tokens["access_token"]).await;
        assert_eq!(said(&got), (401, json!("Invalid or expired refresh token")));
        // The session's cookie is nobody's: neither token is one.
        let got = program.client.raw(Method::GET, "/if/user/", "").await;
        assert_ne!(got.status, StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn claims_that_were_not_made_here_are_not_believed() {
    each_app_with(on, async |app| {
        let ada = app.person("ada").await;
        let bob = app.person("bob").await;
        let program = Program::new(&app);
        let tokens = program.login("ada").await;
        let session = program.introspect(text(&tokens["access_token"])).await["sid"].clone();
        let now = app.now().seconds();
        let sign = |claims: &Value| SharedKey::new(SECRET).sign(claims.to_string().as_bytes());
        let with = |name: &str, value: Value| {
            let mut claims = claims(ada.id, now);
            claims[name] = value;
            sign(&claims)
        };
        for token in [
            with("iss", json!("https://elsewhere.example")),
            with("iss", json!(null)),
            with("type", json!("refresh")),
            with("type", json!(null)),
            with("exp", json!(now - 31)),
            with("exp", json!(null)),
            with("iat", json!(now + 3600)),
            with("sub", json!("019abf5e-7a00-7000-8000-000000000000")),
            with("sub", json!("' OR 1=1")),
            with("sid", json!("019abf5e-7a00-7000-8000-000000000000")),
        ] {
            assert_eq!(program.me(&token).await.status, StatusCode::UNAUTHORIZED, "{token}");
        }
        // Somebody else's session.
        let mut foreign = claims(bob.id, now);
        foreign["sid"] = session.clone();
        assert_eq!(program.me(&sign(&foreign)).await.status, StatusCode::UNAUTHORIZED);
        // A refresh token with a generation needs an id that only we can make, even for who has the shared secret.
        let refresh = json!({
            "sub": ada.id, "session_id": session, "type": "refresh", "iss": ISSUER, "iat": now, "exp": now + 1000,
            "gen": 0, "jti": "0123456789abcdef0123456789abcdef",
        });
        let got = program.refresh(&json!(sign(&refresh))).await;
        assert_eq!(said(&got), (401, json!("Invalid or expired refresh token")));
    })
    .await;
}

#[tokio::test]
async fn bodies_have_an_end() {
    each_app_with(on, async |app| {
        let program = Program::new(&app);
        let long = format!("{{\"email\":\"{}\"}}", "a".repeat(70_000));
        let deep = format!("{{\"a\":{}", "[".repeat(30_000));
        for path in ["register", "login", "refresh", "logout"] {
            let path = format!("/api/auth/{path}");
            let got = program.client.raw(Method::POST, &path, long.clone()).await;
            assert_eq!(said(&got), (413, json!("Request body too large")), "{path}");
            for body in [deep.as_str(), "", "[]", "email=a@example.org&password=b", "\u{0}"] {
                let got = program.client.raw(Method::POST, &path, body.to_owned()).await;
                assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {body:.20}");
            }
        }
        let token = "a".repeat(60_000);
        assert_eq!(
            program.refresh(&json!(token)).await.status,
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(program.me(&token).await.status, StatusCode::UNAUTHORIZED);
        let nul = json!({ "email": "a@example.org", "password": "correct\u{0}horse", "display_name": "A" });
        let got = program.post("register", &nul).await;
        assert!(!got.status.is_server_error(), "{}", got.body);
        let nul = json!({ "email": "a\u{0}@example.org", "password": "correct horse" });
        assert_eq!(
            program.post("register", &nul).await.status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
        let nul = json!({ "email": "c@example.org", "password": "correct horse", "display_name": "a\u{0}b" });
        assert_eq!(
            program.post("register", &nul).await.status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    })
    .await;
}

#[tokio::test]
async fn a_registration_makes_nobody_an_administrator() {
    each_app_with(on, async |app| {
        app.administrator("root").await;
        let program = Program::new(&app);
        let body = json!({
            "email": "eve@example.org", "password": "correct horse", "roles": ["admin"], "is_admin": true,
            "groups": ["authentik Admins"], "id": "019abf5e-7a00-7000-8000-000000000000",
        });
        let got = program.post("register", &body).await;
        assert_eq!(got.json()["roles"], json!(["user"]));
        let credentials = json!({ "email": "eve@example.org", "password": "correct horse" });
        let tokens = program.post("login", &credentials).await.json();
        assert_eq!(tokens["user"]["is_admin"], false);
    })
    .await;
}

#[tokio::test]
async fn answers_hold_no_secret() {
    each_app_with(on, async |app| {
        app.person("ada").await;
        let program = Program::new(&app);
        let body = json!({ "email": "ada", "password": "a password of mine" });
        for path in ["register", "login"] {
            let got = program.post(path, &body).await;
            assert!(!got.body.contains("a password of mine"), "{}", got.body);
        }
        let tokens = program.login("ada").await;
        let me = program.me(text(&tokens["access_token"])).await;
        assert!(!me.body.contains("$argon2") && !me.body.contains(SECRET));
    })
    .await;
}
