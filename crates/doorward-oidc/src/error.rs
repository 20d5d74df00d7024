//! Error codes of the token-side endpoints and the error body of RFC 6749 section 5.2.
//!
//! Must not live here: errors that travel in a redirect (see [`crate::authorize`]).

use serde_json::{Value, json};

/// Error codes of the token, device, introspection, revocation and PAR endpoints and of protected resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// RFC 6749 section 5.2.
    InvalidRequest,
    /// RFC 6749 section 5.2.
    InvalidClient,
    /// RFC 6749 section 5.2.
    InvalidGrant,
    /// RFC 6749 section 5.2.
    UnauthorizedClient,
    /// RFC 6749 section 5.2.
    UnsupportedGrantType,
    /// RFC 6749 section 5.2.
    InvalidScope,
    /// RFC 8707 section 2.
    InvalidTarget,
    /// RFC 8628 section 3.5.
    AuthorizationPending,
    /// RFC 8628 section 3.5.
    SlowDown,
    /// RFC 8628 section 3.5.
    AccessDenied,
    /// RFC 8628 section 3.5.
    ExpiredToken,
    /// RFC 6749 section 4.1.2.1.
    ServerError,
    /// RFC 6749 section 4.1.2.1.
    TemporarilyUnavailable,
    /// RFC 9449 section 12.2.
    InvalidDpopProof,
    /// RFC 6750 section 3.1.
    InvalidToken,
    /// RFC 6750 section 3.1.
    InsufficientScope,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: &'static [Self] = &[
        Self::InvalidRequest,
        Self::InvalidClient,
        Self::InvalidGrant,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
        Self::InvalidScope,
        Self::InvalidTarget,
        Self::AuthorizationPending,
        Self::SlowDown,
        Self::AccessDenied,
        Self::ExpiredToken,
        Self::ServerError,
        Self::TemporarilyUnavailable,
        Self::InvalidDpopProof,
        Self::InvalidToken,
        Self::InsufficientScope,
    ];

    /// The word of the protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::AccessDenied => "access_denied",
            Self::ExpiredToken => "expired_token",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error answer of a token-side endpoint. The description names the field and what was expected, never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {description}")]
pub struct TokenError {
    /// The code.
    pub code: ErrorCode,
    /// One sentence in the characters of RFC 6749 section 5.2.
    pub description: String,
    /// Code of the event that was written about this refusal; told to the client behind the sentence.
    pub reference: Option<String>,
}

impl TokenError {
    /// An error with a description; characters that `error_description` may not have are replaced.
    #[must_use]
    pub fn new(code: ErrorCode, description: impl AsRef<str>) -> Self {
        Self {
            code,
            description: describe(description.as_ref()),
            reference: None,
        }
    }

    /// HTTP status of the answer (RFC 6749 section 5.2, RFC 6750 section 3.1).
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self.code {
            ErrorCode::InvalidClient | ErrorCode::InvalidToken => 401,
            ErrorCode::InsufficientScope => 403,
            ErrorCode::ServerError => 500,
            ErrorCode::TemporarilyUnavailable => 503,
            _ => 400,
        }
    }

    /// JSON body of the answer.
    #[must_use]
    pub fn body(&self) -> Value {
        let description = match &self.reference {
            Some(code) => format!("{} ({code})", self.description),
            None => self.description.clone(),
        };
        json!({ "error": self.code.as_str(), "error_description": description })
    }
}

/// Longest description in characters.
const LONGEST: usize = 400;

/// Brings a sentence into the characters that `error_description` allows: %x20-21, %x23-5B, %x5D-7E (RFC 6749 section 5.2).
#[must_use]
pub fn describe(text: &str) -> String {
    text.chars()
        .take(LONGEST)
        .map(|c| match c {
            '"' | '`' => '\'',
            '\\' => '/',
            ' '..='~' => c,
            _ => '?',
        })
        .collect()
}

pub(crate) fn invalid_request(description: impl AsRef<str>) -> TokenError {
    TokenError::new(ErrorCode::InvalidRequest, description)
}

pub(crate) fn invalid_grant(description: impl AsRef<str>) -> TokenError {
    TokenError::new(ErrorCode::InvalidGrant, description)
}

pub(crate) fn invalid_client(description: impl AsRef<str>) -> TokenError {
    TokenError::new(ErrorCode::InvalidClient, description)
}
