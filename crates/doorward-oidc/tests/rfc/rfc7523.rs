//! RFC 7523 section 3: client assertions.

use doorward_domain::Lifetime;
use doorward_oidc::ErrorCode;
use doorward_oidc::client_auth::check_assertion;
use serde_json::{Map, Value, json};

use crate::support::*;

const TOKEN: &str = "https://id.example/application/o/token/";

fn claims() -> Map<String, Value> {
    let Value::Object(claims) = json!({ "iss": "shop", "sub": "shop", "aud": TOKEN, "jti": "j-1",
        "iat": now().seconds(), "exp": later(60).seconds() })
    else {
        unreachable!()
    };
    claims
}

fn with(name: &str, value: Value) -> Map<String, Value> {
    let mut claims = claims();
    claims.insert(name.into(), value);
    claims
}

#[test]
fn section_3_a_good_assertion_is_good_once_until_it_expires() {
    let audiences = [ISSUER.to_owned(), TOKEN.to_owned()];
    let good = check_assertion(&claims(), "shop", &audiences, now()).unwrap();
    assert_eq!(good.jti, "j-1");
    assert_eq!(
        good.expires_at,
        later(60).plus(Lifetime::from_seconds(30)),
        "remembered through the skew"
    );
    for aud in [
        json!(ISSUER),
        json!([TOKEN]),
        json!(["https://other.example/", ISSUER]),
    ] {
        assert!(
            check_assertion(&with("aud", aud.clone()), "shop", &audiences, now()).is_ok(),
            "{aud}"
        );
    }
    assert!(
        check_assertion(
            &with("exp", json!(later(60).seconds() as f64 + 0.5)),
            "shop",
            &audiences,
            now()
        )
        .is_ok()
    );
}

#[test]
fn section_3_each_claim_is_checked_and_named() {
    let audiences = [ISSUER.to_owned(), TOKEN.to_owned()];
    let hour = 3600;
    for (name, value) in [
        ("iss", json!("other")),
        ("iss", Value::Null),
        ("sub", json!("other")),
        ("aud", json!("https://evil.example/")),
        ("aud", json!([])),
        ("aud", json!({})),
        ("aud", Value::Null),
        ("exp", Value::Null),
        ("exp", json!("1800000060")),
        ("exp", json!(ago(31).seconds())),
        ("exp", json!(later(hour + 31).seconds())),
        ("exp", json!(1e300)),
        ("nbf", json!(later(31).seconds())),
        ("nbf", json!("soon")),
        ("iat", json!(later(31).seconds())),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!("j".repeat(257))),
        ("jti", json!(7)),
    ] {
        let error = check_assertion(&with(name, value.clone()), "shop", &audiences, now()).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidClient, "{name} = {value}");
        assert!(error.description.contains(name), "{name}: {}", error.description);
    }
}

#[test]
fn clocks_may_differ_by_thirty_seconds() {
    let audiences = [TOKEN.to_owned()];
    for (name, at) in [
        ("exp", ago(29)),
        ("nbf", later(30)),
        ("iat", later(30)),
        ("exp", later(3600)),
    ] {
        let claims = with(name, json!(at.seconds()));
        assert!(
            check_assertion(&claims, "shop", &audiences, now()).is_ok(),
            "{name}"
        );
    }
}
