//! RFC 7009: revocation.

use doorward_oidc::revoke::{self, TokenHint};
use doorward_oidc::{ErrorCode, Params};

#[test]
fn section_2_1_the_token_is_needed_and_the_hint_is_a_hint() {
    let read = |query: &str| revoke::read(&Params::parse(query).unwrap());
    let question = read("token=t-1&token_type_hint=refresh_token").unwrap();
    assert_eq!(
        (question.token.as_str(), question.hint),
        ("t-1", Some(TokenHint::Refresh))
    );
    assert_eq!(
        read("token=t&token_type_hint=access_token").unwrap().hint,
        Some(TokenHint::Access)
    );
    assert_eq!(read("token=t&token_type_hint=saml").unwrap().hint, None);
    assert_eq!(
        read("token_type_hint=access_token").unwrap_err().code,
        ErrorCode::InvalidRequest
    );
    assert_eq!(
        read("token=a&token=b").unwrap_err().code,
        ErrorCode::InvalidRequest
    );
    assert!(!format!("{question:?}").contains("t-1"));
}
