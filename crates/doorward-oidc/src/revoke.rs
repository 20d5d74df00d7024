//! Token revocation (RFC 7009). An unknown token is answered like a revoked one: with 200 and no body.
//!
//! Must not live here: finding and ending the token.

use crate::error::TokenError;
pub use crate::introspect::{TokenHint, TokenQuestion};
use crate::params::Params;

/// Reads the form of a revocation request. An unknown `token_type_hint` is ignored (section 2.1).
///
/// # Errors
/// `invalid_request`.
pub fn read(params: &Params) -> Result<TokenQuestion, TokenError> {
    crate::introspect::read(params)
}
