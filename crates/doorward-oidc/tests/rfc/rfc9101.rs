//! RFC 9101: signed request objects.

use doorward_oidc::{Params, request_object};
use serde_json::{Map, Value, json};

use crate::support::*;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => panic!("not an object"),
    }
}

#[test]
fn section_6_3_only_the_values_of_the_object_count() {
    let outer = good().with("scope", "openid email").with("prompt", "none");
    let inner = object(
        json!({ "iss": "shop", "aud": ISSUER, "client_id": "shop", "redirect_uri": CALLBACK,
        "response_type": "code", "scope": "openid", "max_age": 60, "claims": { "userinfo": { "email": null } },
        "resource": ["https://a.example/", "https://b.example/"], "state": "inner",
        "code_challenge": CHALLENGE, "code_challenge_method": "S256" }),
    );
    let params = Params::from_request_object(&outer, &inner).unwrap();
    assert_eq!(params.get("scope"), Some("openid"));
    assert_eq!(params.get("prompt"), None, "what stands outside is ignored");
    assert_eq!(params.get("nonce"), None);
    assert_eq!(params.get("max_age"), Some("60"));
    assert_eq!(params.get("claims"), Some(r#"{"userinfo":{"email":null}}"#));
    assert_eq!(params.all("resource").count(), 2);
    assert_eq!(
        params.get("iss"),
        None,
        "claims about the object are no parameters"
    );
    let mut client = client();
    client.resources = ["https://a.example/", "https://b.example/"]
        .map(str::to_owned)
        .into();
    let request = accepted(&params, &client);
    assert_eq!(
        (request.max_age, request.state.as_deref()),
        (Some(60), Some("inner"))
    );
}

#[test]
fn section_5_the_client_id_has_to_agree() {
    for (outer, inner) in [
        (good(), json!({ "client_id": "other" })),
        (good(), json!({})),
        (good(), json!({ "client_id": ["shop"] })),
        (good().without(&["client_id"]), json!({ "client_id": "shop" })),
    ] {
        let error = Params::from_request_object(&outer, &object(inner)).unwrap_err();
        assert!(error.to_string().contains("client_id"), "{error}");
    }
}

#[test]
fn section_4_what_an_object_may_not_hold() {
    for (name, value) in [
        ("request", json!("x.y.z")),
        ("request_uri", json!("https://shop.example/object")),
        ("scope", json!(["openid"])),
        ("resource", json!([1])),
        ("state", json!("a\u{0}b")),
        ("state", json!("s".repeat(20_000))),
    ] {
        let mut inner = object(json!({ "client_id": "shop" }));
        inner.insert(name.into(), value);
        assert!(Params::from_request_object(&good(), &inner).is_err(), "{name}");
    }
    let mut wide = object(json!({ "client_id": "shop" }));
    wide.extend((0..201).map(|n| (format!("x{n}"), json!("1"))));
    assert!(Params::from_request_object(&good(), &wide).is_err());
}

#[test]
fn section_4_and_10_8_claims_about_the_object_are_checked() {
    let audiences = [ISSUER.to_owned()];
    let check = |value: Value| request_object::check(&object(value), "shop", &audiences, now());
    assert!(check(json!({})).is_ok());
    let exp = later(60).seconds();
    assert!(check(json!({ "iss": "shop", "aud": [ISSUER], "exp": exp, "iat": now().seconds() })).is_ok());
    for (bad, word) in [
        (json!({ "iss": "other" }), "iss"),
        (json!({ "aud": "https://evil.example/" }), "aud"),
        (json!({ "aud": null }), "aud"),
        (json!({ "exp": ago(31).seconds() }), "exp"),
        (json!({ "exp": "soon" }), "exp"),
        (json!({ "nbf": later(31).seconds() }), "nbf"),
        (json!({ "iat": later(31).seconds() }), "iat"),
        (json!({ "sub": "shop" }), "sub"),
    ] {
        let error = check(bad).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}
