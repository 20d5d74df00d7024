//! RFC 9449: proofs of possession.

use doorward_domain::Lifetime;
use doorward_oidc::dpop::{self, Expected, Proof};
use doorward_oidc::{ErrorCode, TokenError};
use serde_json::{Map, Value, json};

use crate::support::{accepted, and, client, good, later, now, returned};

const ENDPOINT: &str = "https://id.example/application/o/token/";

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn header() -> Map<String, Value> {
    map(&json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": { "kty": "EC" } }))
}

fn claims() -> Map<String, Value> {
    map(&json!({ "jti": "p-1", "htm": "POST", "htu": ENDPOINT, "iat": now().seconds() }))
}

fn expected() -> Expected<'static> {
    Expected {
        method: "POST",
        url: ENDPOINT,
        token_hash: None,
        now: now(),
    }
}

fn with(base: Map<String, Value>, name: &str, value: Value) -> Map<String, Value> {
    let mut changed = base;
    if value.is_null() {
        changed.remove(name);
    } else {
        changed.insert(name.into(), value);
    }
    changed
}

fn refused<T: std::fmt::Debug>(result: Result<T, TokenError>, what: &str) {
    match result {
        Err(error) => assert_eq!(
            (error.code, error.status()),
            (ErrorCode::InvalidDpopProof, 400),
            "{what}"
        ),
        Ok(read) => panic!("{what} was accepted: {read:?}"),
    }
}

#[test]
fn section_4_2_the_header_names_type_asymmetric_algorithm_and_public_key() {
    assert_eq!(dpop::key_of(&header()).unwrap(), &map(&json!({ "kty": "EC" })));
    for (name, value) in [
        ("typ", Value::Null),
        ("typ", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("alg", Value::Null),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("es256")),
        ("jwk", Value::Null),
        ("jwk", json!("key")),
        ("jwk", json!([])),
    ] {
        let changed = with(header(), name, value.clone());
        refused(dpop::key_of(&changed), &format!("{name} {value}"));
    }
}

#[test]
fn section_4_3_the_claims_are_about_this_request() {
    let proof = Proof::read(&claims(), &expected()).unwrap();
    assert_eq!((proof.jti.as_str(), proof.issued_at), ("p-1", now()));
    for (name, value) in [
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!(7)),
        ("jti", json!("x".repeat(257))),
        ("htm", Value::Null),
        ("htm", json!("GET")),
        ("htm", json!("post")),
        ("htu", Value::Null),
        ("htu", json!("https://id.example/application/o/userinfo/")),
        ("htu", json!("https://evil.example/application/o/token/")),
        ("htu", json!("http://id.example/application/o/token/")),
        ("htu", json!("https://id.example:8443/application/o/token/")),
        ("htu", json!("https://id.example/application/o/token/more")),
        ("htu", json!("https://id.example/APPLICATION/o/token/")),
        (
            "htu",
            json!("https://id.example@evil.example/application/o/token/"),
        ),
        ("htu", json!("https://user@id.example/application/o/token/")),
        ("htu", json!("https://id.example\\application\\o\\token\\")),
        ("htu", json!("https://id.example/application/o/to\tken/")),
        ("htu", json!("/application/o/token/")),
        ("htu", json!([ENDPOINT])),
        ("iat", Value::Null),
        ("iat", json!("1800000000")),
        ("iat", json!(now().seconds() + 61)),
        ("iat", json!(now().seconds() - 61)),
        ("iat", json!(-1)),
        ("iat", json!(i64::MAX)),
    ] {
        let changed = with(claims(), name, value.clone());
        refused(Proof::read(&changed, &expected()), &format!("{name} {value}"));
    }
}

#[test]
fn section_4_3_query_fragment_and_spelling_of_the_host_do_not_count() {
    for htu in [
        "https://id.example/application/o/token/?a=b",
        "https://id.example/application/o/token/#here",
        "HTTPS://ID.example:443/application/o/token/",
        "https://id.example/application/o/token",
    ] {
        let changed = with(claims(), "htu", json!(htu));
        assert!(Proof::read(&changed, &expected()).is_ok(), "{htu}");
    }
}

#[test]
fn section_11_1_the_clock_may_be_a_minute_off_and_proofs_are_remembered_for_longer() {
    for offset in [-60, -59, 0, 60] {
        let changed = with(claims(), "iat", json!(now().seconds() + offset));
        assert!(Proof::read(&changed, &expected()).is_ok(), "{offset}");
    }
    let late = Expected {
        now: later(61),
        ..expected()
    };
    refused(Proof::read(&claims(), &late), "an old proof");
    assert!(now().plus(dpop::REMEMBERED) > now().plus(dpop::SKEW));
    assert!(dpop::REMEMBERED >= Lifetime::from_seconds(120));
}

#[test]
fn section_7_a_proof_for_a_resource_belongs_to_its_access_token() {
    let expected = Expected {
        token_hash: Some("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"),
        ..expected()
    };
    refused(Proof::read(&claims(), &expected), "no ath");
    let other = with(
        claims(),
        "ath",
        json!("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEp"),
    );
    refused(Proof::read(&other, &expected), "another ath");
    let right = with(
        claims(),
        "ath",
        json!("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"),
    );
    assert!(Proof::read(&right, &expected).is_ok());
}

#[test]
fn section_7_1_a_bound_token_travels_in_its_own_scheme() {
    assert_eq!(
        dpop::read(Some("DPoP abc.def")).unwrap().as_deref(),
        Some("abc.def")
    );
    assert_eq!(dpop::read(Some("dpop  abc")).unwrap().as_deref(), Some("abc"));
    assert_eq!(dpop::read(Some("Bearer abc")).unwrap(), None);
    assert_eq!(dpop::read(None).unwrap(), None);
    for broken in ["DPoP", "DPoP a b", "DPoP a\"b", "DPoP ünder"] {
        assert_eq!(
            dpop::read(Some(broken)).unwrap_err().code,
            ErrorCode::InvalidRequest,
            "{broken}"
        );
    }
    let error = TokenError::new(ErrorCode::InvalidToken, "it is \"bound\"");
    assert_eq!(
        dpop::challenge("door", &error),
        "DPoP realm=\"door\", error=\"invalid_token\", error_description=\"it is 'bound'\", algs=\"RS256 ES256 PS256 EdDSA\""
    );
}

#[test]
fn section_10_the_authorization_request_names_the_key() {
    let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let request = accepted(&and(&good(), "dpop_jkt", jkt), &client());
    assert_eq!(request.dpop_jkt.as_deref(), Some(jkt));
    assert_eq!(accepted(&good(), &client()).dpop_jkt, None);
    for broken in [
        "short",
        &"x".repeat(44),
        "0ZcOCORZNYy+DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
    ] {
        let error = returned(&and(&good(), "dpop_jkt", broken), &client());
        assert_eq!(error.error, "invalid_request", "{broken}");
    }
}
