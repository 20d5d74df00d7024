//! OpenID Connect Discovery section 3 and RFC 8414 section 2: metadata.

use doorward_oidc::discovery::document;

const BASE: &str = "https://id.example";

fn none() -> [&'static str; 0] {
    []
}

#[test]
fn section_3_endpoints_of_an_application_and_of_the_global_issuer() {
    let own = document(
        "https://id.example/application/o/shop/",
        BASE,
        Some("shop"),
        none(),
        none(),
    );
    let global = document("https://id.example/", "https://id.example/", None, none(), none());
    for (member, path) in [
        ("authorization_endpoint", "/application/o/authorize/"),
        ("token_endpoint", "/application/o/token/"),
        ("userinfo_endpoint", "/application/o/userinfo/"),
        ("introspection_endpoint", "/application/o/introspect/"),
        ("revocation_endpoint", "/application/o/revoke/"),
        ("device_authorization_endpoint", "/application/o/device/"),
        ("pushed_authorization_request_endpoint", "/application/o/par/"),
    ] {
        assert_eq!(own[member], format!("{BASE}{path}"));
        assert_eq!(global[member], format!("{BASE}{path}"));
    }
    assert_eq!(own["issuer"], "https://id.example/application/o/shop/");
    assert_eq!(own["jwks_uri"], format!("{BASE}/application/o/shop/jwks/"));
    assert_eq!(
        own["end_session_endpoint"],
        format!("{BASE}/application/o/shop/end-session/")
    );
    assert_eq!(global["jwks_uri"], format!("{BASE}/application/o/jwks/"));
    assert_eq!(
        global["end_session_endpoint"],
        format!("{BASE}/application/o/end-session/")
    );
}

#[test]
fn section_3_says_what_is_supported_and_nothing_else() {
    let metadata = document(
        "https://id.example/",
        BASE,
        None,
        ["orders", "openid"],
        ["role", "sub", "name"],
    );
    let list = |member: &str| -> Vec<String> {
        metadata[member]
            .as_array()
            .expect(member)
            .iter()
            .map(|v| v.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        list("scopes_supported"),
        ["openid", "profile", "email", "groups", "offline_access", "orders"]
    );
    let claims = list("claims_supported");
    for claim in ["sub", "role", "name", "email_verified", "groups"] {
        assert_eq!(
            claims.iter().filter(|known| *known == claim).count(),
            1,
            "{claim}"
        );
    }
    assert_eq!(list("response_types_supported"), ["code"]);
    assert_eq!(list("code_challenge_methods_supported"), ["S256"]);
    assert_eq!(
        list("id_token_signing_alg_values_supported"),
        ["RS256", "ES256", "PS256", "EdDSA"]
    );
    assert!(list("token_endpoint_auth_methods_supported").contains(&"private_key_jwt".to_owned()));
    assert!(!list("introspection_endpoint_auth_methods_supported").contains(&"none".to_owned()));
    assert!(
        list("grant_types_supported")
            .iter()
            .all(|grant| grant != "password" && grant != "implicit")
    );
    for (member, expected) in [
        ("authorization_response_iss_parameter_supported", true),
        ("claims_parameter_supported", true),
        ("request_parameter_supported", true),
        ("request_uri_parameter_supported", false),
        ("backchannel_logout_supported", true),
        ("backchannel_logout_session_supported", true),
        ("frontchannel_logout_supported", true),
        ("frontchannel_logout_session_supported", true),
    ] {
        assert_eq!(metadata[member], expected, "{member}");
    }
    assert_eq!(
        list("dpop_signing_alg_values_supported"),
        ["RS256", "ES256", "PS256", "EdDSA"]
    );
    assert!(metadata.get("registration_endpoint").is_none());
    assert_eq!(list("ui_locales_supported"), ["en", "de"]);
    assert!(
        metadata.get("require_request_uri_registration").is_none(),
        "nothing to register where request_uri is not taken"
    );
}

#[test]
fn rfc8414_section_2_no_member_is_null_or_an_empty_list() {
    let metadata = document("https://id.example/", BASE, None, none(), none());
    for (member, value) in metadata.as_object().unwrap() {
        let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        assert!(!empty, "{member}");
    }
}
