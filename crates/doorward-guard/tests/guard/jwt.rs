//! Signed tokens: what counts, and attacks on that (RFC 8725, RFC 9068).

use doorward_crypto::jose::Algorithm;
use doorward_guard::{Guard, Kind, Source};
use serde_json::{Value, json};

use crate::fake::{AUDIENCE, Fake, KEYS, bearer, encoded, get, hmac_signed, key, now, signed, status};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    let members = claims.as_object_mut().expect("an object");
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    claims
}

#[tokio::test]
async fn a_token_of_each_algorithm_is_a_person() {
    let fake = Fake::start().await;
    let keys: Vec<_> = [
        Algorithm::EdDSA,
        Algorithm::ES256,
        Algorithm::RS256,
        Algorithm::PS256,
    ]
    .map(key)
    .into();
    fake.publish(&keys.iter().collect::<Vec<_>>());
    let guard = fake.openid().build().expect("a guard");
    for key in &keys {
        let caller = bearer(&guard, &signed(key, &fake.claims()))
            .await
            .expect("somebody");
        let person = caller.person().expect("a person");
        assert_eq!(person.id, "alice");
        assert!(caller.has_role("staff") && !caller.has_role("admin"));
        assert!(caller.has_scope("notes:read") && !caller.has_scope("notes"));
        assert_eq!(caller.source(), Source::AccessToken);
        assert_eq!(caller.client_id(), Some("web"));
        assert_eq!(caller.claim("jti"), Some(&json!("1")));
    }
    assert_eq!(fake.asked_for(KEYS), 1);
}

#[tokio::test]
async fn only_allowed_algorithms_count() {
    let fake = Fake::start().await;
    let keys: Vec<_> = [Algorithm::EdDSA, Algorithm::RS256].map(key).into();
    fake.publish(&keys.iter().collect::<Vec<_>>());
    let guard = fake
        .openid()
        .algorithms(&[doorward_guard::Algorithm::EdDSA])
        .build()
        .expect("a guard");
    assert_eq!(status(&guard, &signed(&keys[0], &fake.claims())).await, 200);
    assert_eq!(status(&guard, &signed(&keys[1], &fake.claims())).await, 401);
    let symmetric = fake
        .openid()
        .algorithms(&[doorward_guard::Algorithm::HS256])
        .build();
    assert!(symmetric.is_err());
}

#[tokio::test]
async fn client_credentials_are_a_service_and_nobody_can_be_called_like_one() {
    let fake = Fake::start().await;
    let key = key(Algorithm::EdDSA);
    fake.publish(&[&key]);
    let guard = fake.openid().build().expect("a guard");
    let service = json!({ "iss": fake.issuer(), "sub": "robot", "client_id": "robot", "aud": AUDIENCE, "exp": now() + 60 });
    let caller = bearer(&guard, &signed(&key, &service)).await.expect("somebody");
    assert_eq!(caller.service().expect("a service").id, "robot");
    assert!(caller.person().is_none());
    // Somebody who signed in and is called like the client.
    let person = with(&service, "dw_family", json!("f"));
    let caller = bearer(&guard, &signed(&key, &person)).await.expect("somebody");
    assert!(caller.service().is_none());
}

#[tokio::test]
async fn attacks_on_claims() {
    let fake = Fake::start().await;
    let key = key(Algorithm::EdDSA);
    fake.publish(&[&key]);
    let guard = fake.openid().build().expect("a guard");
    let good = fake.claims();
    let try_with =
        async |name: &str, value: Value| status(&guard, &signed(&key, &with(&good, name, value))).await;
    assert_eq!(status(&guard, &signed(&key, &good)).await, 200);
    assert_eq!(
        try_with("aud", json!(["https://other.example", AUDIENCE])).await,
        200
    );
    // The clock may be 30 seconds off.
    assert_eq!(try_with("exp", json!(now() - 20)).await, 200);
    assert_eq!(try_with("nbf", json!(now() + 20)).await, 200);
    assert_eq!(try_with("exp", json!(now() as f64 + 60.5)).await, 200);
    for (name, value) in [
        ("aud", json!("https://other.example")),
        ("aud", json!([])),
        ("aud", json!({ "https://notes.example.org": 1 })),
        ("aud", json!(format!("{AUDIENCE}/"))),
        ("aud", Value::Null),
        ("iss", json!(fake.issuer().trim_end_matches('/'))),
        ("iss", json!([fake.issuer()])),
        ("iss", json!("https://evil.example")),
        ("iss", Value::Null),
        ("exp", json!(now() - 31)),
        ("exp", json!("9999999999")),
        ("exp", json!(-1)),
        ("exp", Value::Null),
        ("nbf", json!(now() + 3600)),
        ("sub", json!("")),
        ("sub", json!("a\u{0}b")),
        ("sub", json!("x".repeat(256))),
        ("sub", json!(7)),
        ("sub", Value::Null),
        ("cnf", json!({ "jkt": "somebody's key" })),
    ] {
        assert_eq!(try_with(name, value.clone()).await, 401, "{name} {value}");
    }
    let twice = good.to_string().replacen('{', "{\"sub\":\"root\",", 1);
    assert_eq!(
        status(&guard, &key.sign("at+jwt", twice.as_bytes()).expect("a token")).await,
        401
    );
    for typ in ["JWT", "jwt", "dpop+jwt", "logout+jwt", "at+jwt2", ""] {
        let token = key.sign(typ, good.to_string().as_bytes()).expect("a token");
        assert_eq!(status(&guard, &token).await, 401, "{typ}");
    }
    let long = key
        .sign("application/AT+JWT", good.to_string().as_bytes())
        .expect("a token");
    assert_eq!(status(&guard, &long).await, 200);
}

#[tokio::test]
async fn attacks_on_signatures() {
    let fake = Fake::start().await;
    let (ours, others, rsa) = (
        key(Algorithm::EdDSA),
        key(Algorithm::EdDSA),
        key(Algorithm::RS256),
    );
    fake.publish(&[&ours, &rsa]);
    let guard = fake.openid().build().expect("a guard");
    let claims = fake.claims();
    let good = signed(&ours, &claims);
    assert_eq!(status(&guard, &good).await, 200);
    let parts: Vec<&str> = good.split('.').collect();

    // alg none, in its spellings, with and without a signature.
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = encoded(json!({ "alg": alg, "typ": "at+jwt", "kid": ours.kid() }).to_string());
        for signature in ["", parts[2]] {
            assert_eq!(
                status(&guard, &format!("{header}.{}.{signature}", parts[1])).await,
                401,
                "{alg}"
            );
        }
    }
    // The public key as the secret of HMAC.
    for secret in [
        serde_json::to_vec(&rsa.public_jwk()).expect("a key"),
        serde_json::to_value(rsa.public_jwk()).expect("a key")["n"]
            .as_str()
            .expect("n")
            .as_bytes()
            .to_vec(),
        serde_json::to_value(ours.public_jwk()).expect("a key")["x"]
            .as_str()
            .expect("x")
            .as_bytes()
            .to_vec(),
    ] {
        for kid in [rsa.kid(), ours.kid()] {
            let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid });
            assert_eq!(status(&guard, &hmac_signed(&secret, &header, &claims)).await, 401);
        }
    }
    // Another key under our key's name, our key under another algorithm's name.
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": ours.kid() }).to_string();
    let forged = others
        .sign_header_json(&header, claims.to_string().as_bytes())
        .expect("a token");
    assert_eq!(status(&guard, &forged).await, 401);
    let header = encoded(json!({ "alg": "ES256", "typ": "at+jwt", "kid": ours.kid() }).to_string());
    assert_eq!(
        status(&guard, &format!("{header}.{}.{}", parts[1], parts[2])).await,
        401
    );
    // Other texts of the same token: padding, a fourth part, another last letter with the same bits.
    for text in [
        format!("{good}="),
        format!("{good}."),
        format!("{good}.{}", parts[2]),
        format!(".{good}"),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
    ] {
        assert_eq!(status(&guard, &text).await, 401, "{text}");
    }
    assert!(
        fake.asked().iter().all(|asked| asked.target == KEYS),
        "{:?}",
        fake.asked()
    );
}

#[tokio::test]
async fn attacks_on_headers() {
    let fake = Fake::start().await;
    let (ours, others) = (key(Algorithm::EdDSA), key(Algorithm::EdDSA));
    fake.publish(&[&ours]);
    let guard = fake.openid().build().expect("a guard");
    let claims = fake.claims();
    // A key that the token brings itself is not looked at.
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": ours.kid(), "jwk": others.public_jwk(),
        "jku": format!("{}/keys", fake.url()), "x5u": format!("{}/keys", fake.url()) });
    let brought = others
        .sign_header_json(&header.to_string(), claims.to_string().as_bytes())
        .expect("a token");
    assert_eq!(status(&guard, &brought).await, 401);
    // Extensions that are not understood.
    for extension in [
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "crit": [] }),
        json!({ "b64": true }),
    ] {
        let mut header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": ours.kid() });
        let members = extension.as_object().expect("members").clone();
        header.as_object_mut().expect("members").extend(members);
        let token = ours
            .sign_header_json(&header.to_string(), claims.to_string().as_bytes())
            .expect("a token");
        assert_eq!(status(&guard, &token).await, 401, "{header}");
    }
    // A header that means two things.
    let header = format!(
        "{{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"{}\",\"alg\":\"none\"}}",
        ours.kid()
    );
    let signed_part = format!("{}.{}", encoded(header), encoded(claims.to_string()));
    let pkcs8 = ours.to_pkcs8().expect("the private half");
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8(&pkcs8).expect("a key pair");
    let twice = format!(
        "{signed_part}.{}",
        encoded(pair.sign(signed_part.as_bytes()).as_ref())
    );
    assert_eq!(status(&guard, &twice).await, 401);
    assert!(
        fake.asked().iter().all(|asked| asked.target == KEYS),
        "{:?}",
        fake.asked()
    );
}

#[tokio::test]
async fn oversized_tokens_cost_nothing() {
    let fake = Fake::start().await;
    let key = key(Algorithm::EdDSA);
    fake.publish(&[&key]);
    let guard = fake
        .openid()
        .sessions("/api/auth")
        .introspection("a", "b")
        .build()
        .expect("a guard");
    let big = signed(&key, &with(&fake.claims(), "padding", json!("x".repeat(8000))));
    assert!(big.len() > 8192);
    assert_eq!(status(&guard, &big).await, 401);
    assert_eq!(status(&guard, &"x".repeat(100_000)).await, 401);
    let kid = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "k".repeat(300) }).to_string();
    let token = key
        .sign_header_json(&kid, fake.claims().to_string().as_bytes())
        .expect("a token");
    assert_eq!(status(&guard, &token).await, 401);
    assert_eq!(fake.asked().len(), 0);
}

#[tokio::test]
async fn shared_secrets_are_for_the_token_api_only() {
    let fake = Fake::start().await;
    let ours = key(Algorithm::EdDSA);
    fake.publish(&[&ours]);
    let guard = fake
        .openid()
        .token_api_secret("daarion-auth", SECRET)
        .build()
        .expect("a guard");
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let claims = json!({ "iss": "daarion-auth", "sub": "7e6b", "email": "a@example.org", "name": "A", "roles": ["user", "admin"],
        "type": "access", "exp": now() + 60, "sid": "s" });
    let caller = bearer(&guard, &hmac_signed(SECRET, &header, &claims))
        .await
        .expect("somebody");
    assert_eq!(caller.source(), Source::ApiToken);
    assert!(caller.has_role("admin"));
    let person = caller.person().expect("a person");
    assert_eq!(
        (person.email.as_deref(), person.session_id.as_deref()),
        (Some("a@example.org"), Some("s"))
    );

    let refused =
        async |header: &Value, claims: &Value| status(&guard, &hmac_signed(SECRET, header, claims)).await;
    for (name, value) in [
        ("type", json!("refresh")),
        ("type", Value::Null),
        ("type", json!(["access"])),
        ("iss", json!(fake.issuer())),
        ("aud", json!(AUDIENCE)),
        ("exp", Value::Null),
    ] {
        assert_eq!(
            refused(&header, &with(&claims, name, value.clone())).await,
            401,
            "{name} {value}"
        );
    }
    // The secret does not sign what another issuer's keys sign, whatever the token calls itself.
    for typ in ["at+jwt", "JWT"] {
        let header = json!({ "alg": "HS256", "typ": typ, "kid": ours.kid() });
        assert_eq!(refused(&header, &fake.claims()).await, 401);
    }
    // And the keys do not sign what the secret signs.
    let token = ours.sign("JWT", claims.to_string().as_bytes()).expect("a token");
    assert_eq!(status(&guard, &token).await, 401);
    assert_eq!(
        status(
            &guard,
            &hmac_signed(b"another secret, also 32 bytes....", &header, &claims)
        )
        .await,
        401
    );
    assert!(
        Guard::builder(&fake.url())
            .token_api_secret("i", "short")
            .build()
            .is_err()
    );
}

#[tokio::test]
async fn one_issuer_may_be_named_several_times() {
    let fake = Fake::start().await;
    let ours = key(Algorithm::EdDSA);
    fake.publish(&[&ours]);
    let guard = fake.openid().openid("notes", "second").build().expect("a guard");
    for (audience, expected) in [(AUDIENCE, 200), ("second", 200), ("third", 401)] {
        let token = signed(&ours, &with(&fake.claims(), "aud", json!(audience)));
        assert_eq!(status(&guard, &token).await, expected, "{audience}");
    }
    // From a shared secret to another one, and to keys.
    fake.says(
        "/application/o/jwks/",
        200,
        json!({ "keys": [ours.public_jwk()] }),
    );
    let other = b"fedcba9876543210fedcba9876543210";
    let guard = Guard::builder(&fake.url())
        .token_api("door")
        .token_api_secret("door", SECRET)
        .token_api_secret("door", other);
    let guard = guard.build().expect("a guard");
    let claims = json!({ "iss": "door", "sub": "u", "type": "access", "exp": now() + 60 });
    let header = json!({ "alg": "HS256" });
    for secret in [SECRET, other] {
        assert_eq!(status(&guard, &hmac_signed(secret, &header, &claims)).await, 200);
    }
    assert_eq!(
        status(
            &guard,
            &hmac_signed(b"00000000000000000000000000000000", &header, &claims)
        )
        .await,
        401
    );
    let signed = ours.sign("JWT", claims.to_string().as_bytes()).expect("a token");
    assert_eq!(status(&guard, &signed).await, 200);
    // The keys of one that is away may be the right ones: that is no reason to refuse.
    fake.go_away(true);
    let stranger = key(Algorithm::EdDSA)
        .sign("JWT", claims.to_string().as_bytes())
        .expect("a token");
    let fresh = Guard::builder(&fake.url())
        .token_api("door")
        .token_api_secret("door", SECRET)
        .build()
        .expect("a guard");
    assert_eq!(status(&fresh, &stranger).await, 503);
    assert_eq!(status(&fresh, &hmac_signed(SECRET, &header, &claims)).await, 200);
}

#[tokio::test]
async fn session_jwts_are_for_this_origin() {
    let fake = Fake::start().await;
    let ours = key(Algorithm::EdDSA);
    fake.says("/api/auth/jwks", 200, json!({ "keys": [ours.public_jwk()] }));
    let guard = Guard::builder(&fake.url())
        .sessions("/api/auth")
        .session_jwts()
        .build()
        .expect("a guard");
    let claims = json!({ "iss": fake.url(), "aud": fake.url(), "sub": "u", "email": "u@example.org", "role": "admin,user",
        "exp": now() + 60, "createdAt": "2026-01-01T00:00:00.000Z" });
    let header = json!({ "alg": "EdDSA", "kid": ours.kid() }).to_string();
    let sign = |claims: &Value| {
        ours.sign_header_json(&header, claims.to_string().as_bytes())
            .expect("a token")
    };
    let caller = bearer(&guard, &sign(&claims)).await.expect("somebody");
    assert_eq!(caller.source(), Source::SessionJwt);
    assert!(caller.has_role("admin"));
    // An app may let people set fields of their own, and these stand beside the others.
    let mut own = claims.clone();
    for (name, value) in [
        ("roles", "owner"),
        ("scope", "notes:write"),
        ("client_id", "u"),
        ("groups", "ops"),
        ("activeOrganizationId", "w"),
    ] {
        own = with(&own, name, json!(value));
    }
    let caller = bearer(&guard, &sign(&own)).await.expect("somebody");
    assert!(!caller.has_role("owner") && !caller.has_role("ops") && !caller.has_scope("notes:write"));
    assert_eq!(
        (
            caller.client_id(),
            caller.person().expect("a person").workspace.as_deref()
        ),
        (None, None)
    );
    // With the same keys and the same issuer, the token API's tokens are still others.
    fake.says(
        "/application/o/jwks/",
        200,
        json!({ "keys": [ours.public_jwk()] }),
    );
    let both = Guard::builder(&fake.url())
        .session_jwts()
        .token_api(&fake.url())
        .build()
        .expect("a guard");
    let pretends = with(&with(&claims, "type", json!("access")), "roles", json!(["admin"]));
    assert_eq!(status(&both, &sign(&pretends)).await, 401);
    assert_eq!(
        status(&both, &sign(&with(&pretends, "aud", Value::Null))).await,
        200
    );
    assert_eq!(
        status(
            &guard,
            &sign(&with(&claims, "aud", json!("https://other.example")))
        )
        .await,
        401
    );
    assert_eq!(
        status(&guard, &sign(&with(&claims, "type", json!("access")))).await,
        401
    );
}

#[tokio::test]
async fn what_is_not_presented_is_not_an_error_of_the_token() {
    let fake = Fake::start().await;
    let guard = fake.openid().build().expect("a guard");
    for headers in [
        &[][..],
        &[("authorization", "Basic YTpi")],
        &[("authorization", "Bearer")],
    ] {
        let refusal = get(&guard, headers).await.expect_err("a refusal");
        assert_eq!(refusal.kind(), &Kind::NoCredentials);
        assert_eq!(
            refusal.headers().get("www-authenticate").expect("a challenge"),
            "Bearer"
        );
    }
    let refusal = bearer(&guard, "made-up").await.expect_err("a refusal");
    assert_eq!(refusal.kind(), &Kind::InvalidToken);
    let challenge = refusal
        .headers()
        .get("www-authenticate")
        .cloned()
        .expect("a challenge");
    assert!(
        challenge
            .to_str()
            .expect("text")
            .starts_with("Bearer error=\"invalid_token\"")
    );
    assert_eq!(fake.asked().len(), 0);
}
