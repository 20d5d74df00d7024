//! RFC 7662: introspection.

use doorward_oidc::introspect::{self, Active, TokenHint};
use doorward_oidc::{ErrorCode, Params};
use serde_json::json;

use crate::support::*;

#[test]
fn section_2_1_the_token_is_needed() {
    let error = introspect::read(&Params::default()).unwrap_err();
    assert_eq!(
        (error.code, error.description.as_str()),
        (ErrorCode::InvalidRequest, "token is missing")
    );
    let question = introspect::read(&Params::from_pairs([("token", "x".repeat(5000))])).unwrap();
    assert!(!question.fits_opaque());
}

#[test]
fn section_2_2_a_live_token_is_described() {
    let scopes = scopes("openid profile");
    let audience = ["https://api.example/".to_owned()];
    let mut active = Active {
        issuer: ISSUER,
        client_id: "shop",
        subject: "sub-1",
        username: Some("alice"),
        scopes: &scopes,
        audience: &audience,
        issued_at: now(),
        expires_at: later(1800),
        jti: Some("j-1"),
        kind: TokenHint::Access,
        jkt: None,
        act: None,
    };
    let expected = json!({ "active": true, "iss": ISSUER, "client_id": "shop", "sub": "sub-1", "username": "alice",
        "scope": "openid profile", "aud": "https://api.example/", "iat": 1_800_000_000, "exp": 1_800_001_800,
        "jti": "j-1", "token_type": "Bearer" });
    assert_eq!(introspect::response(&active), expected);
    active.kind = TokenHint::Refresh;
    active.audience = &[];
    active.username = None;
    let body = introspect::response(&active);
    assert_eq!(body["aud"], "shop");
    assert!(body.get("token_type").is_none() && body.get("username").is_none());
}

#[test]
fn section_2_2_nothing_is_said_about_any_other_token() {
    assert_eq!(introspect::inactive(), json!({ "active": false }));
}
