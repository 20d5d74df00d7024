//! Bearer tokens at protected resources: where they are found and how a refusal reads (RFC 6750).
//!
//! Must not live here: whether a token is good.

use crate::error::{ErrorCode, TokenError, invalid_request};
use crate::params::Params;

/// Longest token in bytes.
const LONGEST: usize = 16 * 1024;

/// Takes the token from the `Authorization` header or the form body (sections 2.1, 2.2). A token in the query is never read (RFC 9700 section
/// 4.3.2).
///
/// `Ok(None)`: there is none.
///
/// # Errors
/// `invalid_request` when there are two or it has the wrong form.
pub fn read(authorization: Option<&str>, form: Option<&Params>) -> Result<Option<String>, TokenError> {
    let header = authorization.and_then(|value| {
        let (scheme, token) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    if form.is_some_and(|form| form.count("access_token") > 1) {
        return Err(invalid_request("access_token is given more than once"));
    }
    let body = form.and_then(|form| form.get("access_token"));
    let token = match (header, body) {
        (Some(_), Some(_)) => {
            return Err(invalid_request(
                "the access token is given twice; expected the Authorization header only",
            ));
        }
        (Some(token), None) | (None, Some(token)) => token,
        (None, None) => return Ok(None),
    };
    // b64token of section 2.1.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if token.is_empty() || token.len() > LONGEST || !token.bytes().all(plain) {
        return Err(invalid_request(
            "the access token has characters that no bearer token has",
        ));
    }
    Ok(Some(token.to_owned()))
}

/// Value of the `WWW-Authenticate` header (section 3). `error` is `None` when the request had no token at all; `scope` names what would be
/// needed.
#[must_use]
pub fn challenge(realm: &str, error: Option<&TokenError>, scope: Option<&str>) -> String {
    let mut header = format!("Bearer realm=\"{}\"", crate::error::describe(realm));
    if let Some(error) = error {
        header.push_str(&format!(
            ", error=\"{}\", error_description=\"{}\"",
            error.code, error.description
        ));
    }
    if let Some(scope) = scope {
        header.push_str(&format!(", scope=\"{}\"", crate::error::describe(scope)));
    }
    header
}

/// The error for a token that is unknown, expired, revoked or malformed (section 3.1).
#[must_use]
pub fn invalid_token() -> TokenError {
    TokenError::new(
        ErrorCode::InvalidToken,
        "the access token is unknown, expired or revoked",
    )
}

/// The error for a token that lacks a scope (section 3.1).
#[must_use]
pub fn insufficient_scope(needed: &str) -> TokenError {
    TokenError::new(
        ErrorCode::InsufficientScope,
        format!("the access token lacks the scope {needed}"),
    )
}
