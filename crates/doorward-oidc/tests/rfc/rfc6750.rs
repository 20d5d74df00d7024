//! RFC 6750: bearer tokens.

use doorward_oidc::{ErrorCode, Params, bearer};

#[test]
fn section_2_the_token_is_taken_from_header_or_form() {
    let form = Params::from_pairs([("access_token", "abc.def")]);
    assert_eq!(
        bearer::read(Some("Bearer abc.def"), None).unwrap().as_deref(),
        Some("abc.def")
    );
    assert_eq!(
        bearer::read(Some("bearer  abc"), None).unwrap().as_deref(),
        Some("abc")
    );
    assert_eq!(
        bearer::read(None, Some(&form)).unwrap().as_deref(),
        Some("abc.def")
    );
    assert_eq!(bearer::read(None, None).unwrap(), None);
    assert_eq!(bearer::read(Some("Basic YTpi"), None).unwrap(), None);
}

#[test]
fn section_2_two_tokens_or_broken_ones_are_invalid_request() {
    let form = Params::from_pairs([("access_token", "abc")]);
    let twice = Params::from_pairs([("access_token", "abc"), ("access_token", "abc")]);
    for (header, form) in [
        (Some("Bearer abc"), Some(&form)),
        (None, Some(&twice)),
        (Some("Bearer"), None),
        (Some("Bearer a b"), None),
        (Some("Bearer a\"b"), None),
        (Some("Bearer ünder"), None),
    ] {
        let error = bearer::read(header, form).unwrap_err();
        assert_eq!(
            (error.code, error.status()),
            (ErrorCode::InvalidRequest, 400),
            "{header:?}"
        );
    }
    assert!(bearer::read(Some(&format!("Bearer {}", "a".repeat(17_000))), None).is_err());
}

#[test]
fn section_3_the_challenge_names_error_and_scope_only_when_there_was_a_token() {
    assert_eq!(
        bearer::challenge("Doorward", None, None),
        "Bearer realm=\"Doorward\""
    );
    let error = bearer::invalid_token();
    assert_eq!(error.status(), 401);
    assert_eq!(
        bearer::challenge("Doorward", Some(&error), None),
        "Bearer realm=\"Doorward\", error=\"invalid_token\", error_description=\"the access token is unknown, expired or revoked\""
    );
    let error = bearer::insufficient_scope("openid");
    assert_eq!(error.status(), 403);
    assert!(bearer::challenge("Doorward", Some(&error), Some("openid")).ends_with(", scope=\"openid\""));
}

#[test]
fn section_3_nothing_breaks_out_of_the_quotes() {
    let header = bearer::challenge("a\"b\\\r\nc", None, Some("x\", error=\"y"));
    assert_eq!(header.matches('"').count(), 4, "{header}");
    assert!(!header.contains(['\r', '\n', '\\']));
}
