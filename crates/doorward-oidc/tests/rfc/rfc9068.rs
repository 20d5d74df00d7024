//! RFC 9068: JWT access tokens.

use doorward_domain::Lifetime;
use doorward_oidc::claims::{self, Issue};
use serde_json::{Map, Value, json};

use crate::support::*;

#[test]
fn section_2_2_the_claims() {
    let family = family();
    let issue = Issue {
        issuer: ISSUER,
        subject: "sub-1",
        client_id: "shop",
        family: &family,
        session_id: None,
        now: now(),
        lifetime: Lifetime::from_minutes(30),
        jti: "j-1",
    };
    let mut extra = Map::new();
    extra.insert("groups".into(), json!(["staff"]));
    extra.insert("sub".into(), json!("root"));
    extra.insert("scope".into(), json!("admin"));
    extra.insert("act".into(), json!({ "sub": "x" }));
    let claims = claims::access_token(
        &issue,
        &scopes("openid profile"),
        &["https://api.example/".into()],
        extra,
    );
    let expected = json!({ "iss": ISSUER, "sub": "sub-1", "aud": "https://api.example/", "client_id": "shop",
        "iat": 1_800_000_000, "exp": 1_800_001_800, "jti": "j-1", "scope": "openid profile", "groups": ["staff"],
        "auth_time": 1_799_999_940, "acr": claims::ACR_PASSWORD, "amr": ["pwd"] });
    assert_eq!(Value::Object(claims), expected);
}

#[test]
fn section_3_without_a_resource_the_client_is_the_audience_and_several_make_a_list() {
    let mut family = family();
    family.auth_time = None;
    let issue = Issue {
        issuer: ISSUER,
        subject: "shop",
        client_id: "shop",
        family: &family,
        session_id: None,
        now: now(),
        lifetime: Lifetime::from_minutes(30),
        jti: "j-1",
    };
    let claims = claims::access_token(&issue, &scopes("orders"), &[], Map::new());
    assert_eq!(claims["aud"], "shop");
    assert!(
        claims.get("auth_time").is_none() && claims.get("acr").is_none(),
        "nobody signed in"
    );
    let two = ["a".to_owned(), "b".to_owned()];
    assert_eq!(
        claims::access_token(&issue, &scopes("orders"), &two, Map::new())["aud"],
        json!(["a", "b"])
    );
}
