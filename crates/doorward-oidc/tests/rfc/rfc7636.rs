//! RFC 7636: PKCE, with S256 only.

use doorward_domain::client::Pkce;
use doorward_oidc::token::{TokenRequest, is_pkce_text, redeem_code};
use doorward_oidc::{ErrorCode, Params};

use crate::support::*;

#[test]
fn section_4_1_verifier_form() {
    assert!(is_pkce_text(VERIFIER));
    assert!(is_pkce_text(&"~".repeat(128)));
    for bad in [
        String::new(),
        "a".repeat(42),
        "a".repeat(129),
        format!("{}=", "a".repeat(43)),
        "ä".repeat(43),
    ] {
        assert!(!is_pkce_text(&bad), "{bad}");
        let params = Params::from_pairs([("grant_type", "authorization_code"), ("code", "c")])
            .with("code_verifier", &bad);
        match TokenRequest::read(&params) {
            Ok(request) => assert!(bad.is_empty(), "{request:?}"),
            Err(error) => {
                assert_eq!(error.code, ErrorCode::InvalidGrant);
                assert!(
                    error.description.contains("code_verifier") && error.description.contains("43 to 128")
                );
            }
        }
    }
}

#[test]
fn section_4_3_the_challenge_is_needed_and_has_to_be_s256() {
    let base = good();
    let without = base.without(&["code_challenge", "code_challenge_method"]);
    for (params, word) in [
        (without.clone(), "code_challenge is required"),
        (base.without(&["code_challenge"]), "code_challenge is required"),
        (base.without(&["code_challenge_method"]), "S256"),
        (base.with("code_challenge_method", "plain"), "plain"),
        (base.with("code_challenge_method", "s256"), "S256"),
        (base.with("code_challenge", "short"), "43 to 128"),
        (base.with("code_challenge", &format!("{CHALLENGE}=")), "43 to 128"),
        (base.with("code_challenge", &"a".repeat(129)), "43 to 128"),
    ] {
        let error = returned(&params, &client());
        assert_eq!(error.error, "invalid_request", "section 4.4.1");
        assert!(error.description.contains(word), "{}", error.description);
    }
    let mut old = confidential();
    assert_eq!(
        returned(&without, &old).error,
        "invalid_request",
        "on by default for confidential clients too"
    );
    old.pkce = Pkce::Optional;
    assert_eq!(accepted(&without, &old).code_challenge, None);
    assert_eq!(
        returned(&base.with("code_challenge_method", "plain"), &old).error,
        "invalid_request"
    );
    assert_eq!(
        returned(&without.with("code_challenge_method", "S256"), &old).error,
        "invalid_request"
    );
}

#[test]
fn section_4_6_the_verifier_has_to_belong_to_the_challenge() {
    let record = code_record();
    let redeem = |s256| redeem_code(&record, Some(CALLBACK), s256, &client(), application(1), now());
    assert!(redeem(Some(CHALLENGE)).is_ok());
    for (s256, word) in [
        (None, "missing"),
        (Some(VERIFIER), "does not belong"),
        (Some(""), "does not belong"),
    ] {
        let error = redeem(s256).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidGrant);
        assert!(error.description.contains(word), "{}", error.description);
        assert!(!error.description.contains(CHALLENGE));
    }
}

#[test]
fn a_client_that_must_send_a_challenge_cannot_redeem_a_code_without_one() {
    let mut record = code_record();
    record.code_challenge = None;
    let mut old = confidential();
    assert!(redeem_code(&record, Some(CALLBACK), None, &old, application(1), now()).is_err());
    old.pkce = Pkce::Optional;
    assert!(redeem_code(&record, Some(CALLBACK), None, &old, application(1), now()).is_ok());
}
