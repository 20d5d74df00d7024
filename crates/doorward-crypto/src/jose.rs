//! Signed tokens: compact JWS with asymmetric keys only (RFC 7515, 7517, 7518, 7519, 7638, 8037, 8725).
//!
//! What lives here: signing keys, public keys as JSON Web Keys, strict parsing and verification. What must not: what
//! claims mean, who may sign, fetching of key sets, the clock (expiry is the caller's to judge).
//!
//! There is no `none` and no HMAC in the vocabulary ([`Algorithm`] has no such value), so no key can be taken for
//! a secret of another kind.

mod algorithm;
mod compact;
mod jwk;
mod sign;
mod strict;
mod verify;

pub use algorithm::{Algorithm, KeyType};
pub use compact::{Header, Unverified, parse_compact};
pub use jwk::{Jwk, JwkSet};
pub use sign::SigningKey;
pub use strict::parse_object;
pub use verify::Verifier;

/// Most keys in a set.
pub const MAX_KEYS: usize = 50;
/// Largest key set, in bytes of JSON.
pub const MAX_SET_LEN: usize = 64 * 1024;

/// Why a token or a key was refused, or not made. Never contains what was in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoseError {
    /// Longer than the caller or this module allows.
    #[error("the token or key set is too large")]
    TooLarge,
    /// Not what it should be; says what was expected.
    #[error("malformed token or key: {0}")]
    Malformed(&'static str),
    /// A JSON object has the same member twice (RFC 7515, section 4; RFC 8725, section 2.4).
    #[error("a JSON object has the same member twice")]
    Duplicate,
    /// `alg` is unknown, `none`, or symmetric.
    #[error("the algorithm is unknown or not an asymmetric signature")]
    UnknownAlgorithm,
    /// The algorithm is known, but not allowed here, or not the one that the key is for.
    #[error("the algorithm is not allowed here")]
    AlgorithmNotAllowed,
    /// The algorithm does not fit the type of the key.
    #[error("the algorithm does not fit the key")]
    WrongKeyType,
    /// The algorithm can be verified, but nothing signs with it here.
    #[error("the algorithm is for verification only")]
    VerifyOnly,
    /// The header has `crit`, and no extension is understood (RFC 7515, section 4.1.11).
    #[error("the token asks for critical extensions, and none is supported")]
    Critical,
    /// The key is too small, not on its curve, or otherwise unusable; says which.
    #[error("unusable key: {0}")]
    BadKey(&'static str),
    /// A JSON Web Key with private members (or a symmetric one) where a public key belongs.
    #[error("the key has private members; only the public key belongs here")]
    PrivateKey,
    /// The set has no key that the token could have been signed with.
    #[error("no key in the set fits the token")]
    NoKey,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    BadSignature,
    /// The crypto library failed to make a key or a signature.
    #[error("the crypto library failed")]
    Crypto,
}

/// What this module answers with.
pub(crate) type Result<T, E = JoseError> = std::result::Result<T, E>;
