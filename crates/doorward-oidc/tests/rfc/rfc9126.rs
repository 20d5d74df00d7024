//! RFC 9126: pushed authorization requests.

use doorward_oidc::authorize::ReadError;
use doorward_oidc::{ErrorCode, par};

use crate::support::*;

#[test]
fn section_2_1_the_pushed_request_loses_the_authentication() {
    let pushed = good()
        .with("client_secret", "hunter2")
        .with("client_assertion", "x")
        .with("client_assertion_type", "y");
    let stored = par::read(&pushed, &client()).unwrap();
    assert!(!stored.to_query().contains("hunter2") && !stored.to_query().contains("client_assertion"));
    assert!(read(&stored, &client()).is_ok());
    let implied = par::read(&good().without(&["client_id"]), &client()).unwrap();
    assert_eq!(implied.get("client_id"), Some("shop"));
}

#[test]
fn section_2_1_what_may_not_be_pushed() {
    for bad in [
        good().with("request_uri", "urn:ietf:params:oauth:request_uri:x"),
        good().with("client_id", "other"),
        and(&good(), "scope", "openid"),
    ] {
        assert_eq!(
            par::read(&bad, &client()).unwrap_err().code,
            ErrorCode::InvalidRequest
        );
    }
}

#[test]
fn section_2_2_the_reference_comes_back_out_of_the_uri() {
    let body = par::response("abc-_9");
    assert_eq!(body["request_uri"], "urn:ietf:params:oauth:request_uri:abc-_9");
    assert!(body["expires_in"].as_i64().unwrap() > 0);
    assert_eq!(
        par::reference(body["request_uri"].as_str().unwrap()),
        Some("abc-_9")
    );
    for foreign in [
        "https://evil.example/object",
        "urn:ietf:params:oauth:request_uri:",
        "urn:ietf:params:oauth:request_uri:a/b",
    ] {
        assert_eq!(par::reference(foreign), None, "{foreign}");
    }
}

#[test]
fn section_2_3_errors_come_as_json() {
    let error = read(&good().with("response_type", "token"), &client()).unwrap_err();
    let (status, body) = par::refusal(&error);
    assert_eq!(
        (status, body["error"].as_str()),
        (400, Some("unsupported_response_type"))
    );
    let error = read(&good().with("redirect_uri", "https://evil.example/"), &client()).unwrap_err();
    assert!(matches!(error, ReadError::Page(_)));
    let (status, body) = par::refusal(&error);
    assert_eq!((status, body["error"].as_str()), (400, Some("invalid_request")));
    assert!(is_description(body["error_description"].as_str().unwrap()));
}
