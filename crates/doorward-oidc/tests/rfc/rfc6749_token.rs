//! RFC 6749 sections 4.1.3, 4.4, 5 and 6: the token endpoint.

use doorward_domain::Lifetime;
use doorward_domain::client::GrantType;
use doorward_oidc::token::{
    TokenRequest, TokenResponse, check_grant_type, client_credentials_scopes, narrow, redeem_code,
};
use doorward_oidc::{ErrorCode, Params, TokenError};

use crate::support::*;

fn read(query: &str) -> Result<TokenRequest, TokenError> {
    TokenRequest::read(&Params::parse(query).unwrap())
}

#[test]
fn section_4_1_3_and_6_requests_are_read() {
    let request = read(&format!(
        "grant_type=authorization_code&code=abc&redirect_uri=https%3A%2F%2Fshop.example%2Fcallback&code_verifier={VERIFIER}"
    ));
    let expected = TokenRequest::Code {
        code: "abc".into(),
        redirect_uri: Some(CALLBACK.into()),
        verifier: Some(VERIFIER.into()),
        resources: [].into(),
    };
    assert_eq!(request.unwrap(), expected);
    let request = read("grant_type=refresh_token&refresh_token=r&scope=openid+email").unwrap();
    let expected = TokenRequest::Refresh {
        refresh_token: "r".into(),
        scopes: Some(scopes("openid email")),
        resources: [].into(),
    };
    assert_eq!(
        (request.grant_type(), &request),
        (GrantType::RefreshToken, &expected)
    );
    assert_eq!(
        read("grant_type=client_credentials").unwrap().grant_type(),
        GrantType::ClientCredentials
    );
}

#[test]
fn section_5_2_each_mistake_has_its_code() {
    for (query, code, word) in [
        ("code=abc", ErrorCode::InvalidRequest, "grant_type"),
        ("grant_type=", ErrorCode::InvalidRequest, "grant_type"),
        (
            "grant_type=password&username=a&password=b",
            ErrorCode::UnsupportedGrantType,
            "authorization_code",
        ),
        (
            "grant_type=implicit",
            ErrorCode::UnsupportedGrantType,
            "grant_type",
        ),
        (
            "grant_type=Authorization_Code",
            ErrorCode::UnsupportedGrantType,
            "grant_type",
        ),
        ("grant_type=authorization_code", ErrorCode::InvalidRequest, "code"),
        (
            "grant_type=authorization_code&code=a&code=b",
            ErrorCode::InvalidRequest,
            "code",
        ),
        (
            "grant_type=refresh_token",
            ErrorCode::InvalidRequest,
            "refresh_token",
        ),
        (
            "grant_type=refresh_token&refresh_token=r&scope=%22",
            ErrorCode::InvalidScope,
            "scope",
        ),
        (
            "grant_type=urn:ietf:params:oauth:grant-type:device_code",
            ErrorCode::InvalidRequest,
            "device_code",
        ),
        (
            "grant_type=client_credentials&resource=x%23y",
            ErrorCode::InvalidTarget,
            "resource",
        ),
    ] {
        let error = read(query).unwrap_err();
        assert_eq!(error.code, code, "{query}: {}", error.description);
        assert!(error.description.contains(word), "{}", error.description);
        assert!(is_description(&error.description), "{}", error.description);
        assert_eq!(error.status(), 400);
    }
    let long = read(&format!(
        "grant_type=authorization_code&code={}",
        "x".repeat(5000)
    ))
    .unwrap_err();
    assert_eq!(long.code, ErrorCode::InvalidGrant);
}

#[test]
fn section_5_2_descriptions_never_carry_forbidden_characters() {
    let error = TokenError::new(ErrorCode::InvalidRequest, "a\"b\\c\r\nd\u{20ac}e`f");
    assert_eq!(error.description, "a'b/c??d?e'f");
    assert!(is_description(&error.description));
    assert_eq!(error.body()["error"], "invalid_request");
    let status = |code| TokenError::new(code, "x").status();
    assert_eq!(status(ErrorCode::InvalidClient), 401);
    assert_eq!(status(ErrorCode::TemporarilyUnavailable), 503);
    assert_eq!(status(ErrorCode::InvalidGrant), 400);
}

#[test]
fn a_repeated_name_from_outside_cannot_break_out_of_the_description() {
    let error = read("grant_type=refresh_token&%22%0d%0aX=1&%22%0d%0aX=2").unwrap_err();
    assert!(is_description(&error.description), "{}", error.description);
}

#[test]
fn section_4_1_3_a_code_is_bound_to_client_time_and_redirect_uri() {
    let good = code_record();
    let redeem =
        |record: &_, uri, app, at| redeem_code(record, uri, Some(CHALLENGE), &client(), application(app), at);
    assert!(redeem(&good, Some(CALLBACK), 1, now()).is_ok());
    assert!(redeem(&good, Some(CALLBACK), 1, later(59)).is_ok());
    for (uri, app, at, word) in [
        (Some(CALLBACK), 2, now(), "another client"),
        (Some(CALLBACK), 1, later(60), "expired"),
        (None, 1, now(), "redirect_uri is missing"),
        (
            Some("https://shop.example/callback/"),
            1,
            now(),
            "redirect_uri differs",
        ),
        (
            Some("https://SHOP.example/callback"),
            1,
            now(),
            "redirect_uri differs",
        ),
    ] {
        let error = redeem(&good, uri, app, at).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidGrant);
        assert!(error.description.contains(word), "{}", error.description);
    }
    let mut implied = code_record();
    implied.redirect_uri_given = false;
    assert!(redeem(&implied, None, 1, now()).is_ok());
    assert!(redeem(&implied, Some(CALLBACK), 1, now()).is_ok());
    assert!(redeem(&implied, Some("https://evil.example/"), 1, now()).is_err());
}

#[test]
fn section_6_scopes_narrow_and_never_widen() {
    let granted = scopes("openid profile email");
    assert_eq!(narrow(&granted, None).unwrap(), granted);
    assert_eq!(
        narrow(&granted, Some(&scopes("openid"))).unwrap(),
        scopes("openid")
    );
    let error = narrow(&granted, Some(&scopes("openid admin"))).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidScope);
    assert!(error.description.contains("email openid profile"));
}

#[test]
fn section_4_4_client_credentials_are_for_confidential_clients_and_carry_no_person() {
    let mut machine = confidential();
    machine.grant_types.insert(GrantType::ClientCredentials);
    assert!(check_grant_type(GrantType::ClientCredentials, &machine).is_ok());
    let mut browser = client();
    browser.grant_types.insert(GrantType::ClientCredentials);
    let error = check_grant_type(GrantType::ClientCredentials, &browser).unwrap_err();
    assert_eq!(error.code, ErrorCode::UnauthorizedClient);
    assert!(check_grant_type(GrantType::DeviceCode, &machine).is_err());

    machine.scopes.insert("orders".into());
    machine.scopes.insert("forgotten".into());
    let custom = |name: &str| name == "orders";
    assert_eq!(
        client_credentials_scopes(&machine, None, &custom).unwrap(),
        scopes("email orders profile")
    );
    let asked = |text: &str| client_credentials_scopes(&machine, Some(&scopes(text)), &custom);
    assert_eq!(asked("openid offline_access orders").unwrap(), scopes("orders"));
    for more in ["orders admin", "forgotten"] {
        assert_eq!(asked(more).unwrap_err().code, ErrorCode::InvalidScope, "{more}");
    }
}

#[test]
fn section_5_1_the_answer_has_its_members_and_its_debug_has_no_tokens() {
    let answer = TokenResponse {
        access_token: "tok-a".into(),
        expires_in: Lifetime::from_minutes(30),
        scopes: scopes("openid profile"),
        refresh_token: Some("tok-r".into()),
        id_token: None,
    };
    let expected = serde_json::json!({ "access_token": "tok-a", "token_type": "Bearer", "expires_in": 1800,
        "scope": "openid profile", "refresh_token": "tok-r" });
    assert_eq!(answer.body(), expected);
    assert!(!format!("{answer:?}").contains("tok-"));
    let request = read("grant_type=authorization_code&code=tok-c").unwrap();
    assert!(!format!("{request:?}").contains("tok-"));
}
