//! The signature algorithms, named as in RFC 7518, section 3.1, and RFC 8037, section 3.1.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::JoseError;

/// An asymmetric signature algorithm. The first four sign and verify, the others verify only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256: the one that every client knows.
    RS256,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519 (RFC 8037).
    EdDSA,
    /// RSASSA-PKCS1-v1_5 with SHA-384, verify only.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512, verify only.
    RS512,
    /// RSASSA-PSS with SHA-384, verify only.
    PS384,
    /// RSASSA-PSS with SHA-512, verify only.
    PS512,
    /// ECDSA on P-384 with SHA-384, verify only.
    ES384,
}

/// The key that an algorithm needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// `RSA`, 2048 to 8192 bits.
    Rsa,
    /// `EC` on P-256.
    P256,
    /// `EC` on P-384.
    P384,
    /// `OKP` on Ed25519.
    Ed25519,
}

impl Algorithm {
    /// Those that [`super::SigningKey`] signs with.
    pub const SIGNING: [Self; 4] = [Self::RS256, Self::PS256, Self::ES256, Self::EdDSA];
    /// Those that [`super::Verifier`] verifies.
    pub const ALL: [Self; 9] = [
        Self::RS256,
        Self::PS256,
        Self::ES256,
        Self::EdDSA,
        Self::RS384,
        Self::RS512,
        Self::PS384,
        Self::PS512,
        Self::ES384,
    ];

    /// The name in `alg`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::PS256 => "PS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES384 => "ES384",
        }
    }

    /// The only type of key that this algorithm may be used with.
    #[must_use]
    pub fn key_type(self) -> KeyType {
        match self {
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => KeyType::Rsa,
            Self::ES256 => KeyType::P256,
            Self::ES384 => KeyType::P384,
            Self::EdDSA => KeyType::Ed25519,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = JoseError;

    /// Case-sensitive, as RFC 7515, section 4.1.1 says; `none` and `HS…` are unknown.
    fn from_str(name: &str) -> Result<Self, JoseError> {
        Self::ALL
            .into_iter()
            .find(|known| known.as_str() == name)
            .ok_or(JoseError::UnknownAlgorithm)
    }
}
