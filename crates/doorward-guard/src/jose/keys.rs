//! Public keys from a JSON Web Key Set (RFC 7517), and a shared secret.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaParameters, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::Algorithm;

/// Keys of one set that are kept. Real sets have two to six.
const MOST_KEYS: usize = 32;
/// Keys that are tried when a token does not say which one signed it.
const MOST_TRIES: usize = 8;
/// Longest number in a key, encoded: RSA with 8192 bits.
const LONGEST_NUMBER: usize = 1400;

/// The keys of one issuer. A set that was fetched holds public keys only: what is symmetric, too small, for encryption or
/// of an unknown type is left out, as RFC 7517, section 5 says.
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

/// One key, parsed.
pub(crate) struct Key {
    kid: Option<String>,
    parsed: Parsed,
}

enum Parsed {
    /// One key, one algorithm.
    One(Algorithm, ParsedPublicKey),
    /// An RSA key that does not say which of the two it is for.
    Rsa {
        rs256: ParsedPublicKey,
        ps256: ParsedPublicKey,
    },
    Secret(Box<hmac::Key>),
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set. `None` when it is none, or none of its keys can be used here: an issuer without keys is a fault, not
    /// a reason to refuse everybody.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let set: Set = serde_json::from_slice(json).ok()?;
        let keys: Vec<Key> = set
            .keys
            .into_iter()
            .take(MOST_KEYS)
            .filter_map(|key| serde_json::from_value::<Jwk>(key).ok())
            .filter_map(Key::of)
            .collect();
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// The set of one shared secret, for HS256 and nothing else.
    pub(crate) fn secret(secret: &[u8]) -> Self {
        let key = Key {
            kid: None,
            parsed: Parsed::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret))),
        };
        Self { keys: vec![key] }
    }

    /// The keys that may have signed: those of that name; without a name all that fit, up to eight. Keys that have no
    /// name themselves fit every name.
    pub(crate) fn candidates(&self, algorithm: Algorithm, kid: Option<&str>) -> impl Iterator<Item = &Key> {
        let fitting = move |key: &&Key| key.fits(algorithm);
        let named = move |key: &&Key| match (kid, &key.kid) {
            (Some(wanted), Some(kid)) => wanted == kid,
            _ => true,
        };
        self.keys.iter().filter(fitting).filter(named).take(MOST_TRIES)
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        let signs = jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
        let verifies = jwk
            .key_ops
            .as_ref()
            .is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        let short = jwk
            .kid
            .as_ref()
            .is_none_or(|kid| kid.len() <= super::LONGEST_NAME);
        if !signs || !verifies || !short {
            return None;
        }
        let only = match jwk.alg.as_deref() {
            // A key for an algorithm that is not known here is for nothing here.
            Some(name) => Some(Algorithm::of(name)?),
            None => None,
        };
        let parsed = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("OKP", Some("Ed25519")) if only.is_none_or(|only| only == Algorithm::EdDSA) => {
                let point = number(jwk.x.as_deref()?)?;
                Parsed::One(Algorithm::EdDSA, ParsedPublicKey::new(&ED25519, point).ok()?)
            }
            ("EC", Some("P-256")) if only.is_none_or(|only| only == Algorithm::ES256) => {
                let (x, y) = (number(jwk.x.as_deref()?)?, number(jwk.y.as_deref()?)?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()?;
                Parsed::One(Algorithm::ES256, key)
            }
            ("RSA", _) => rsa(number(jwk.n.as_deref()?)?, number(jwk.e.as_deref()?)?, only)?,
            _ => return None,
        };
        Some(Self { kid: jwk.kid, parsed })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        match &self.parsed {
            Parsed::One(only, _) => *only == algorithm,
            Parsed::Rsa { .. } => matches!(algorithm, Algorithm::RS256 | Algorithm::PS256),
            Parsed::Secret(_) => algorithm == Algorithm::HS256,
        }
    }

    /// Whether this key made the signature with exactly this algorithm.
    pub(crate) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let key = match (&self.parsed, algorithm) {
            (Parsed::Secret(key), Algorithm::HS256) => return hmac::verify(key, message, signature).is_ok(),
            (Parsed::One(only, key), asked) if *only == asked => key,
            (Parsed::Rsa { rs256, .. }, Algorithm::RS256) => rs256,
            (Parsed::Rsa { ps256, .. }, Algorithm::PS256) => ps256,
            _ => return false,
        };
        key.verify_sig(message, signature).is_ok()
    }
}

fn rsa(n: Vec<u8>, e: Vec<u8>, only: Option<Algorithm>) -> Option<Parsed> {
    let components = RsaPublicKeyComponents { n, e };
    let parsed = |parameters: &'static RsaParameters| components.to_parsed_public_key(parameters).ok();
    match only {
        None => Some(Parsed::Rsa {
            rs256: parsed(&RSA_PKCS1_2048_8192_SHA256)?,
            ps256: parsed(&RSA_PSS_2048_8192_SHA256)?,
        }),
        Some(Algorithm::RS256) => Some(Parsed::One(
            Algorithm::RS256,
            parsed(&RSA_PKCS1_2048_8192_SHA256)?,
        )),
        Some(Algorithm::PS256) => Some(Parsed::One(Algorithm::PS256, parsed(&RSA_PSS_2048_8192_SHA256)?)),
        Some(_) => None,
    }
}

fn number(text: &str) -> Option<Vec<u8>> {
    if text.len() > LONGEST_NUMBER {
        return None;
    }
    URL_SAFE_NO_PAD.decode(text).ok()
}
