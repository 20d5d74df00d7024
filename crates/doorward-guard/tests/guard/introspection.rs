//! Opaque tokens, and signed ones that the server is asked about all the same.

use std::time::Duration;

use doorward_crypto::jose::Algorithm;
use doorward_guard::{Guard, Source};
use serde_json::{Value, json};

use crate::fake::{AUDIENCE, Fake, bearer, hmac_signed, key, now, signed, status};

const ASK: &str = "/application/o/introspect/";

fn active() -> Value {
    json!({ "active": true, "iss": "i", "client_id": "web", "sub": "alice", "username": "alice", "scope": "notes:read", "iat": now(),
        "exp": now() + 60, "aud": AUDIENCE, "token_type": "Bearer", "jti": "1" })
}

fn guard(fake: &Fake) -> Guard {
    fake.openid()
        .introspection("notes:api", "s%cr et")
        .build()
        .expect("a guard")
}

#[tokio::test]
async fn an_opaque_token_is_asked_about_once_in_a_while() {
    let fake = Fake::start().await;
    fake.says(ASK, 200, active());
    let guard = guard(&fake);
    for _ in 0..5 {
        let caller = bearer(&guard, "dwa_abc").await.expect("somebody");
        assert_eq!(caller.source(), Source::Introspection);
        assert_eq!(caller.person().expect("a person").id, "alice");
        assert!(caller.has_scope("notes:read"));
    }
    let asked = fake.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].body, "token=dwa_abc&token_type_hint=access_token");
    // RFC 6749, section 2.3.1: encoded before they are put together. `notes%3Aapi:s%25cr+et`
    assert_eq!(
        asked[0].header("authorization"),
        "Basic bm90ZXMlM0FhcGk6cyUyNWNyK2V0"
    );
}

#[tokio::test]
async fn only_access_tokens_for_this_service_count() {
    let fake = Fake::start().await;
    for (name, value) in [
        ("active", json!(false)),
        ("token_type", Value::Null),
        ("token_type", json!("DPoP")),
        ("token_type", json!("refresh_token")),
        ("cnf", json!({ "jkt": "k" })),
        ("aud", json!("https://other.example")),
        ("aud", Value::Null),
        ("exp", Value::Null),
        ("exp", json!(now() - 1)),
        ("sub", Value::Null),
        ("sub", json!("")),
    ] {
        let mut answer = active();
        answer[name] = value.clone();
        fake.says(ASK, 200, answer);
        assert_eq!(status(&guard(&fake), "dwa_abc").await, 401, "{name} {value}");
    }
    let mut service = active();
    service["sub"] = json!("web");
    service.as_object_mut().expect("members").remove("username");
    fake.says(ASK, 200, service);
    assert!(
        bearer(&guard(&fake), "dwa_abc")
            .await
            .expect("somebody")
            .service()
            .is_some()
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_no_reason_to_refuse() {
    let fake = Fake::start().await;
    for (code, body) in [
        (401, "{\"error\":\"invalid_client\"}"),
        (500, ""),
        (200, "{}"),
        (200, "null"),
        (200, "{\"active\":\"yes\"}"),
        (302, ""),
    ] {
        fake.says(ASK, code, body);
        assert_eq!(status(&guard(&fake), "dwa_abc").await, 503, "{code} {body}");
    }
}

#[tokio::test]
async fn a_yes_is_not_kept_beyond_the_end_of_the_token() {
    let fake = Fake::start().await;
    let mut answer = active();
    answer["exp"] = json!(now() + 2);
    fake.says(ASK, 200, answer);
    let guard = fake
        .openid()
        .introspection("a", "b")
        .keep_answers(Duration::from_secs(60))
        .build()
        .expect("a guard");
    assert_eq!(status(&guard, "dwa_abc").await, 200);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(status(&guard, "dwa_abc").await, 401);
}

#[tokio::test]
async fn always_asking_ends_a_revoked_token_and_still_checks_it_here_first() {
    let fake = Fake::start().await;
    let ours = key(Algorithm::EdDSA);
    fake.publish(&[&ours]);
    fake.says(ASK, 200, active());
    let guard = fake
        .openid()
        .introspection("a", "b")
        .always_ask()
        .keep_answers(Duration::ZERO)
        .build()
        .expect("a guard");
    let token = signed(&ours, &fake.claims());
    assert_eq!(status(&guard, &token).await, 200);
    assert_eq!(fake.asked_for(ASK), 1);
    let forged = signed(&key(Algorithm::EdDSA), &fake.claims());
    assert_eq!(status(&guard, &forged).await, 401);
    assert_eq!(fake.asked_for(ASK), 1, "a forged token does not reach the server");
    let mut other = active();
    other["sub"] = json!("bob");
    fake.says(ASK, 200, other);
    assert_eq!(
        status(&guard, &token).await,
        401,
        "the server speaks of somebody else"
    );
    fake.says(ASK, 200, "{\"active\":false}");
    assert_eq!(status(&guard, &token).await, 401);
}

#[tokio::test]
async fn the_token_api_is_asked_in_its_own_words() {
    let fake = Fake::start().await;
    let secret = b"0123456789abcdef0123456789abcdef";
    let builder = || {
        Guard::builder(&fake.url())
            .token_api_secret("daarion-auth", secret)
            .always_ask()
            .keep_answers(Duration::ZERO)
    };
    let claims = json!({ "iss": "daarion-auth", "sub": "7e6b", "type": "access", "exp": now() + 60, "roles": ["user"] });
    let token = hmac_signed(secret, &json!({ "alg": "HS256" }), &claims);
    let said = json!({ "active": true, "sub": "7e6b", "email": "a@example.org", "name": "A", "roles": ["user"], "exp": now() + 60,
        "iat": now(), "iss": "daarion-auth", "token_type": "access", "sid": "s" });
    fake.says("/api/auth/introspect", 200, said);
    let guard = builder()
        .token_api_introspection("gateway-credential")
        .build()
        .expect("a guard");
    assert_eq!(
        bearer(&guard, &token).await.expect("somebody").source(),
        Source::ApiToken
    );
    let asked = fake.asked().pop().expect("a question");
    assert_eq!(asked.body, json!({ "token": token }).to_string());
    assert_eq!(asked.header("authorization"), "Bearer gateway-credential");
    let open = builder().build().expect("a guard");
    assert_eq!(status(&open, &token).await, 200);
    assert_eq!(
        fake.asked().pop().expect("a question").header("authorization"),
        ""
    );
    fake.says("/api/auth/introspect", 200, "{\"active\":false}");
    assert_eq!(status(&guard, &token).await, 401);
    fake.says(
        "/api/auth/introspect",
        503,
        "{\"detail\":\"Service unavailable\"}",
    );
    assert_eq!(status(&guard, &token).await, 503);
    // Without the secret and without keys, asking is all that is done.
    fake.says(
        "/api/auth/introspect",
        200,
        json!({ "active": true, "sub": "7e6b", "exp": now() + 60, "token_type": "access" }),
    );
    let asking = Guard::builder(&fake.url()).token_api_introspection("gateway-credential");
    let asking = asking.keep_answers(Duration::ZERO).build().expect("a guard");
    assert_eq!(
        bearer(&asking, &token).await.expect("somebody").source(),
        Source::Introspection
    );
    // An OpenID token that is not for this service is not let in by that way either.
    let ours = key(Algorithm::EdDSA);
    fake.publish(&[&ours]);
    let both = fake
        .openid()
        .token_api_introspection("gateway-credential")
        .build()
        .expect("a guard");
    let mut claims = fake.claims();
    *claims.get_mut("aud").expect("aud") = json!("https://other.example");
    assert_eq!(status(&both, &signed(&ours, &claims)).await, 401);
}
