//! Forms as the token, introspection, revocation, device, pushed-request and sign-out endpoints get them. A first line, when
//! there is one, is the `Authorization` header.
//!
//! Holds: a client is read from one place only; what is read stays within the limits; every error keeps to the characters
//! that its RFC allows; no secret shows in `Debug`.
#![no_main]

use std::sync::LazyLock;

use doorward_domain::client::{Client, ClientKind};
use doorward_oidc::client_auth::{self, Presented};
use doorward_oidc::device::{self, DeviceRequest};
use doorward_oidc::error::TokenError;
use doorward_oidc::logout::LogoutRequest;
use doorward_oidc::params::Params;
use doorward_oidc::token::{self, TokenRequest};
use doorward_oidc::{bearer, introspect, par, revoke};
use libfuzzer_sys::fuzz_target;

static CLIENT: LazyLock<Client> = LazyLock::new(|| Client::new("shop".to_owned(), ClientKind::Confidential));

fuzz_target!(|text: &str| {
    let (authorization, form) = match text.split_once('\n') {
        Some((header, form)) => (Some(header), form),
        None => (None, text),
    };
    if let Some(code) = device::normalise_user_code(form) {
        assert_eq!(device::normalise_user_code(&device::show_user_code(&code)), Some(code));
    }
    let Ok(params) = Params::parse(form) else { return };
    who_asks(authorization, &params);
    what_is_asked(&params);
    with_which_token(authorization, &params);
});

fn who_asks(authorization: Option<&str>, params: &Params) {
    match Presented::read(authorization, params) {
        Ok(presented) => {
            let shown = format!("{presented:?}");
            if let Presented::Basic { secret, .. } | Presented::Post { secret, .. } = &presented {
                let named = presented.client_id().is_some_and(|name| name.contains(secret.as_str()));
                assert!(secret.len() < 16 || named || !shown.contains(secret.as_str()), "a secret in Debug");
                let both = authorization.is_some() && params.get("client_secret").is_some();
                assert!(!both, "a client was read from two places");
            }
            let _ = presented.client_id();
            let _ = client_auth::check_method(&presented, &CLIENT).map_err(|error| clean(&error));
        }
        Err(error) => clean(&error),
    }
}

fn what_is_asked(params: &Params) {
    match TokenRequest::read(params) {
        Ok(TokenRequest::Code { verifier: Some(verifier), .. }) => {
            assert!(token::is_pkce_text(&verifier), "RFC 7636 section 4.1");
        }
        Ok(request) => {
            let _ = token::check_grant_type(request.grant_type(), &CLIENT).map_err(|error| clean(&error));
        }
        Err(error) => clean(&error),
    }
    let _ = introspect::read(params).map_err(|error| clean(&error));
    let _ = revoke::read(params).map_err(|error| clean(&error));
    let _ = DeviceRequest::read(params).map_err(|error| clean(&error));
    match par::read(params, &CLIENT) {
        Ok(stored) => {
            assert_eq!(stored.get("client_id"), Some("shop"));
            assert_eq!(stored.count("client_secret") + stored.count("client_assertion"), 0, "a secret would be stored");
        }
        Err(error) => clean(&error),
    }
    let _ = LogoutRequest::read(params);
}

fn with_which_token(authorization: Option<&str>, params: &Params) {
    match bearer::read(authorization, Some(params)) {
        Ok(Some(token)) => assert!(token.bytes().all(|byte| byte.is_ascii_graphic()), "RFC 6750 section 2.1"),
        Ok(None) => {}
        Err(error) => {
            clean(&error);
            let challenge = bearer::challenge("doorward", Some(&error), None);
            assert!(challenge.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "a header that cannot be sent");
        }
    }
}

/// RFC 6749 section 5.2: %x20-21 / %x23-5B / %x5D-7E.
fn clean(error: &TokenError) {
    let allowed = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    assert!(error.description.bytes().all(allowed), "{:?}", error.description);
    assert!((400..600).contains(&error.status()));
}
