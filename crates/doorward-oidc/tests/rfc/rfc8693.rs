//! RFC 8693: token exchange.

use doorward_oidc::token_exchange::{self, ACCESS_TOKEN, ExchangeRequest, JWT};
use doorward_oidc::{ErrorCode, Params};
use serde_json::json;

use crate::support::{and, scopes};

fn form() -> Params {
    Params::from_pairs([
        ("subject_token", "dwa_subject"),
        ("subject_token_type", ACCESS_TOKEN),
        ("audience", "orders"),
    ])
}

fn code(params: &Params) -> ErrorCode {
    ExchangeRequest::read(params).expect_err("a refusal").code
}

#[test]
fn section_2_1_the_form_is_read() {
    let full = and(&form(), "scope", "openid orders")
        .with("requested_token_type", ACCESS_TOKEN)
        .with("actor_token", "dwa_actor")
        .with("actor_token_type", JWT)
        .with("resource", "https://api.example/");
    let request = ExchangeRequest::read(&full).unwrap();
    assert_eq!(request.subject_token, "dwa_subject");
    assert_eq!(request.actor_token.as_deref(), Some("dwa_actor"));
    assert_eq!(request.audience.as_deref(), Some("orders"));
    assert_eq!(request.scopes, Some(scopes("openid orders")));
    assert_eq!(request.resources.len(), 1);
    assert!(!format!("{request:?}").contains("dwa_"), "no tokens in Debug");
    assert!(ExchangeRequest::read(&form().with("subject_token_type", JWT)).is_ok());
}

#[test]
fn section_2_1_what_is_missing_or_of_another_type_is_invalid_request() {
    let id_token = "urn:ietf:params:oauth:token-type:id_token";
    for params in [
        form().without(&["subject_token"]),
        form().without(&["subject_token_type"]),
        form().without(&["audience"]),
        form().with("subject_token_type", id_token),
        form().with("subject_token", &"x".repeat(16 * 1024 + 1)),
        form().with("requested_token_type", id_token),
        form().with(
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:refresh_token",
        ),
        form().with("actor_token_type", ACCESS_TOKEN),
        form().with("actor_token", "dwa_actor"),
        form()
            .with("actor_token", "dwa_actor")
            .with("actor_token_type", id_token),
    ] {
        assert_eq!(code(&params), ErrorCode::InvalidRequest, "{params:?}");
    }
}

#[test]
fn section_2_2_2_more_than_one_target_or_an_impossible_one_is_invalid_target() {
    assert_eq!(
        code(&and(&form(), "audience", "billing")),
        ErrorCode::InvalidTarget
    );
    assert_eq!(
        code(&form().with("audience", &"x".repeat(300))),
        ErrorCode::InvalidTarget
    );
    assert_eq!(
        code(&form().with("resource", "https://api.example/#part")),
        ErrorCode::InvalidTarget
    );
    assert!(ExchangeRequest::read(&and(&form(), "audience", "orders")).is_ok());
}

#[test]
fn scopes_only_become_fewer() {
    let (subject, target) = (
        scopes("openid profile offline_access"),
        scopes("openid email offline_access"),
    );
    let narrow = |asked: Option<&str>| {
        let asked = asked.map(scopes);
        token_exchange::narrow(&subject, &target, asked.as_ref())
    };
    assert_eq!(narrow(None).unwrap(), scopes("openid"));
    assert_eq!(narrow(Some("openid offline_access")).unwrap(), scopes("openid"));
    for wider in ["profile", "email", "openid email", "orders"] {
        assert_eq!(
            narrow(Some(wider)).unwrap_err().code,
            ErrorCode::InvalidScope,
            "{wider}"
        );
    }
}

#[test]
fn section_4_1_actors_are_nested_the_latest_outside_and_three_are_enough() {
    let one = token_exchange::act("a", "a", None).unwrap();
    assert_eq!(one, json!({ "sub": "a" }));
    let two = token_exchange::act("robot", "b", Some(&one)).unwrap();
    assert_eq!(
        two,
        json!({ "sub": "robot", "client_id": "b", "act": { "sub": "a" } })
    );
    let three = token_exchange::act("c", "c", Some(&two)).unwrap();
    let error = token_exchange::act("d", "d", Some(&three)).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidRequest);
}
