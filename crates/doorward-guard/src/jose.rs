//! Signed tokens (RFC 7515, RFC 7519): taken apart, and checked with keys that were parsed once.
//!
//! Lives here: the pinned algorithms, the keys of a set, the compact form. Must not live here: where keys come from, and
//! what the claims mean.

mod keys;

pub(crate) use keys::KeySet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Longest token that is looked at, in bytes.
pub(crate) const LONGEST_TOKEN: usize = 8 * 1024;
/// Longest header, encoded.
const LONGEST_HEADER: usize = 4 * 1024;
/// Longest `kid` and `typ`.
const LONGEST_NAME: usize = 256;

/// The algorithms that can be allowed. There is no `none`, and the symmetric one is only ever used with a shared secret
/// that was given for it, never with a key of a set (RFC 8725, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    EdDSA,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// HMAC with SHA-256 and a shared secret.
    HS256,
}

impl Algorithm {
    /// What is allowed with the keys of a set.
    pub(crate) const ASYMMETRIC: [Self; 4] = [Self::EdDSA, Self::ES256, Self::RS256, Self::PS256];

    /// By its name in `alg`; case counts.
    fn of(name: &str) -> Option<Self> {
        match name {
            "EdDSA" => Some(Self::EdDSA),
            "ES256" => Some(Self::ES256),
            "RS256" => Some(Self::RS256),
            "PS256" => Some(Self::PS256),
            "HS256" => Some(Self::HS256),
            _ => None,
        }
    }
}

/// What is wrong with a token. For the log; callers of the service are told less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("it is longer than {LONGEST_TOKEN} bytes")]
    TooLong,
    #[error("it is no signed token in the compact form")]
    Malformed,
    #[error("its header asks for an extension that is not known here")]
    Critical,
    #[error("its algorithm is not allowed here")]
    Algorithm,
    #[error("no key of the issuer has its key id")]
    NoKey,
    #[error("its signature does not fit")]
    Signature,
}

/// The header, as its sender says. A member that occurs twice refuses the token, because two readers might disagree.
#[derive(Deserialize)]
struct RawHeader {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde_json::Value>,
    /// RFC 7797: a payload that is not encoded. Only together with `crit`, but better refused twice.
    b64: Option<serde_json::Value>,
}

/// A token taken apart. Nothing in it is true before [`Compact::verify`].
pub(crate) struct Compact<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    typ: Option<String>,
    pub(crate) payload: Vec<u8>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Compact<'a> {
    /// Takes a text apart: three parts of canonical base64url without padding, a known algorithm, no `crit`.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Flaw> {
        if text.len() > LONGEST_TOKEN {
            return Err(Flaw::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Flaw::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Flaw::Malformed)?;
        if header.len() > LONGEST_HEADER || payload.contains('.') {
            return Err(Flaw::Malformed);
        }
        let header: RawHeader = serde_json::from_slice(&decoded(header)?).map_err(|_| Flaw::Malformed)?;
        if header.crit.is_some() || header.b64.is_some() {
            return Err(Flaw::Critical);
        }
        let short = |name: &Option<String>| name.as_ref().is_none_or(|name| name.len() <= LONGEST_NAME);
        if !short(&header.kid) || !short(&header.typ) {
            return Err(Flaw::Malformed);
        }
        Ok(Self {
            algorithm: Algorithm::of(&header.alg).ok_or(Flaw::Algorithm)?,
            kid: header.kid,
            typ: header.typ,
            payload: decoded(payload)?,
            signed,
            signature: decoded(signature)?,
        })
    }

    /// Whether `typ` is this media type; `application/` may be left out and case does not count (RFC 7515, section 4.1.9).
    pub(crate) fn is_type(&self, expected: &str) -> bool {
        let Some(typ) = &self.typ else { return false };
        let typ = typ.to_ascii_lowercase();
        typ.strip_prefix("application/").unwrap_or(&typ) == expected
    }

    /// Whether the token names no type, or only says that it is a token.
    pub(crate) fn is_untyped(&self) -> bool {
        self.typ.is_none() || self.is_type("jwt")
    }

    /// Checks the signature. Only after this, `payload` is what the owner of the keys said.
    pub(crate) fn verify(&self, keys: &KeySet, allowed: &[Algorithm]) -> Result<(), Flaw> {
        if !allowed.contains(&self.algorithm) {
            return Err(Flaw::Algorithm);
        }
        let mut flaw = Flaw::NoKey;
        for key in keys.candidates(self.algorithm, self.kid.as_deref()) {
            if key.verify(self.algorithm, self.signed.as_bytes(), &self.signature) {
                return Ok(());
            }
            flaw = Flaw::Signature;
        }
        Err(flaw)
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, Flaw> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Malformed)
}
