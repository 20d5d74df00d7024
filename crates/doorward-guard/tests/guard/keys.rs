//! Keys: cached, fetched again when one is not known, but never because a stranger wants it.

use std::time::Duration;

use doorward_crypto::jose::Algorithm;
use doorward_guard::Guard;
use serde_json::json;

use crate::fake::{AUDIENCE, Fake, KEYS, key, signed, status};

fn with_kid(fake: &Fake, key: &doorward_crypto::jose::SigningKey, kid: &str) -> String {
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid }).to_string();
    key.sign_header_json(&header, fake.claims().to_string().as_bytes())
        .expect("a token")
}

#[tokio::test]
async fn unknown_key_ids_do_not_flood_the_server() {
    let fake = Fake::start().await;
    let (ours, others) = (key(Algorithm::EdDSA), key(Algorithm::EdDSA));
    fake.publish(&[&ours]);
    let guard = fake.openid().build().expect("a guard");
    assert_eq!(status(&guard, &signed(&ours, &fake.claims())).await, 200);
    let flood = (0..500).map(|number| {
        let (guard, token) = (
            guard.clone(),
            with_kid(&fake, &others, &format!("made-up-{number}")),
        );
        tokio::spawn(async move { status(&guard, &token).await })
    });
    for request in flood.collect::<Vec<_>>() {
        assert_eq!(request.await.expect("a status"), 401);
    }
    assert_eq!(fake.asked_for(KEYS), 1);
    // A flood at the very start is one fetch too, and good tokens pass in the middle of it.
    let fresh = fake.openid().build().expect("a guard");
    let flood = (0..200).map(|number| {
        let kid = format!("made-up-{number}");
        let good = number % 2 == 0;
        let token = if good {
            signed(&ours, &fake.claims())
        } else {
            with_kid(&fake, &others, &kid)
        };
        let guard = fresh.clone();
        tokio::spawn(async move { (good, status(&guard, &token).await) })
    });
    for request in flood.collect::<Vec<_>>() {
        let (good, status) = request.await.expect("a status");
        assert_eq!(status, if good { 200 } else { 401 });
    }
    assert_eq!(fake.asked_for(KEYS), 2);
}

#[tokio::test]
async fn a_new_key_is_found_after_the_floor() {
    let fake = Fake::start().await;
    let (old, new) = (key(Algorithm::EdDSA), key(Algorithm::ES256));
    fake.publish(&[&old]);
    let guard = fake
        .openid()
        .keys_at_most_every(Duration::from_millis(300))
        .build()
        .expect("a guard");
    assert_eq!(status(&guard, &signed(&old, &fake.claims())).await, 200);
    fake.publish(&[&new]);
    // Too soon: the token waits for the floor like everybody's.
    assert_eq!(status(&guard, &signed(&new, &fake.claims())).await, 401);
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(status(&guard, &signed(&new, &fake.claims())).await, 200);
    // The old one was withdrawn, and is gone with the fetch.
    assert_eq!(status(&guard, &signed(&old, &fake.claims())).await, 401);
    assert_eq!(fake.asked_for(KEYS), 2);
}

#[tokio::test]
async fn key_ids_are_names_and_never_paths() {
    let fake = Fake::start().await;
    let (ours, others) = (key(Algorithm::EdDSA), key(Algorithm::EdDSA));
    fake.publish(&[&ours]);
    let guard = fake
        .openid()
        .keys_at_most_every(Duration::ZERO)
        .build()
        .expect("a guard");
    for kid in [
        "../../../etc/passwd",
        "/dev/null",
        "http://127.0.0.1:1/keys",
        "..%2f..",
        "a\u{0}b",
        "'; drop table keys; --",
        "",
        "?x=y#z",
    ] {
        assert_eq!(status(&guard, &with_kid(&fake, &others, kid)).await, 401, "{kid}");
    }
    assert!(
        fake.asked().iter().all(|asked| asked.target == KEYS),
        "{:?}",
        fake.asked()
    );
}

#[tokio::test]
async fn known_keys_outlast_an_absence_within_the_limit() {
    let fake = Fake::start().await;
    let (ours, new) = (key(Algorithm::EdDSA), key(Algorithm::EdDSA));
    fake.publish(&[&ours]);
    let keep = Duration::from_millis(900);
    let guard = fake
        .openid()
        .keep_keys(Duration::from_millis(100), keep)
        .keys_at_most_every(Duration::ZERO)
        .build()
        .expect("a guard");
    let token = signed(&ours, &fake.claims());
    assert_eq!(status(&guard, &token).await, 200);
    fake.go_away(true);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(status(&guard, &token).await, 200, "stale, and good enough");
    // Whose key is not known may well be right: that is our fault and not theirs.
    assert_eq!(status(&guard, &signed(&new, &fake.claims())).await, 503);
    tokio::time::sleep(keep).await;
    assert_eq!(status(&guard, &token).await, 503, "too old");
    fake.go_away(false);
    assert_eq!(status(&guard, &token).await, 200);
}

#[tokio::test]
async fn stale_keys_are_renewed_without_anybody_waiting() {
    let fake = Fake::start().await;
    let ours = key(Algorithm::EdDSA);
    fake.publish(&[&ours]);
    let fresh = Duration::from_millis(50);
    let guard = fake
        .openid()
        .keep_keys(fresh, Duration::from_secs(60))
        .keys_at_most_every(Duration::ZERO)
        .build()
        .expect("a guard");
    let token = signed(&ours, &fake.claims());
    assert_eq!(status(&guard, &token).await, 200);
    tokio::time::sleep(fresh * 2).await;
    fake.take_time(Duration::from_secs(3));
    let answer = tokio::time::timeout(Duration::from_secs(2), status(&guard, &token)).await;
    assert_eq!(answer.expect("nobody waits"), 200);
    while fake.asked_for(KEYS) < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_the_fetch_along() {
    let fake = Fake::start().await;
    let ours = key(Algorithm::EdDSA);
    fake.publish(&[&ours]);
    fake.take_time(Duration::from_millis(300));
    let guard = fake.openid().build().expect("a guard");
    let token = signed(&ours, &fake.claims());
    let hasty = tokio::time::timeout(Duration::from_millis(50), status(&guard, &token)).await;
    assert!(hasty.is_err());
    assert_eq!(status(&guard, &token).await, 200);
    assert_eq!(fake.asked_for(KEYS), 1);
}

#[tokio::test]
async fn what_is_no_key_set_is_a_fault_of_ours() {
    let fake = Fake::start().await;
    let (ours, others) = (key(Algorithm::EdDSA), key(Algorithm::EdDSA));
    let token = signed(&ours, &fake.claims());
    let big = json!({ "keys": [ours.public_jwk()], "padding": "x".repeat(70_000) }).to_string();
    let oct = json!({ "keys": [{ "kty": "oct", "k": "AAAA", "kid": ours.kid() }] }).to_string();
    for (code, body) in [
        (200, "{}"),
        (200, "no JSON"),
        (200, "{\"keys\":[]}"),
        (500, ""),
        (302, "{}"),
        (404, ""),
        (200, &big),
        (200, &oct),
    ] {
        fake.says(KEYS, code, body);
        let guard = fake.openid().build().expect("a guard");
        assert_eq!(status(&guard, &token).await, 503, "{code} {}", body.len());
        assert_eq!(guard.check().await.len(), 1);
    }
    assert_eq!(fake.asked_for("/elsewhere"), 0);
    // Entries that cannot be read are left out, and the others count.
    let mixed = json!({ "keys": [1, {}, { "kty": "RSA", "n": "AQAB", "e": "AQAB" }, { "kty": "oct", "k": "AAAA" }, ours.public_jwk()] });
    fake.says(KEYS, 200, mixed);
    let guard = fake.openid().build().expect("a guard");
    assert_eq!(status(&guard, &token).await, 200);
    assert_eq!(status(&guard, &signed(&others, &fake.claims())).await, 401);
    assert!(guard.check().await.is_empty());
}

#[tokio::test]
async fn other_issuers_are_found_by_discovery() {
    let fake = Fake::start().await;
    let ours = key(Algorithm::ES256);
    fake.publish(&[&ours]);
    let issuer = fake.issuer();
    let document = "/application/o/notes/.well-known/openid-configuration";
    fake.says(
        document,
        200,
        json!({ "issuer": issuer, "jwks_uri": format!("{}{KEYS}", fake.url()) }),
    );
    let guard = || {
        Guard::builder(&fake.url())
            .issuer(&issuer, AUDIENCE)
            .build()
            .expect("a guard")
    };
    let token = signed(&ours, &fake.claims());
    assert_eq!(status(&guard(), &token).await, 200);
    for (name, keys) in [
        (issuer.trim_end_matches('/'), format!("{}{KEYS}", fake.url())),
        ("https://evil.example/", format!("{}{KEYS}", fake.url())),
        (&issuer, "http://192.0.2.1/keys".to_owned()),
        (&issuer, "file:///etc/passwd".to_owned()),
    ] {
        fake.says(document, 200, json!({ "issuer": name, "jwks_uri": keys }));
        assert_eq!(status(&guard(), &token).await, 503, "{name} {keys}");
    }
}
