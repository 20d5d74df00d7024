//! Checking signatures with public keys that were parsed once.

use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
};

use super::jwk::Material;
use super::{Algorithm, JoseError, Jwk, KeyType, Result};

/// A public key, ready to check signatures. Cheap to use, not cheap to make: keep it where it is needed often.
pub struct Verifier {
    jwk: Jwk,
    parsed: Parsed,
}

enum Parsed {
    Rsa(Box<RsaVerifiers>),
    /// One key, one algorithm.
    Single(ParsedPublicKey),
}

/// The library binds a parsed RSA key to one algorithm; each is made when it is first asked for.
struct RsaVerifiers {
    components: RsaPublicKeyComponents<Vec<u8>>,
    parsed: [OnceLock<Option<ParsedPublicKey>>; 6],
}

impl Verifier {
    /// Parses a public key.
    ///
    /// # Errors
    ///
    /// [`JoseError::BadKey`] for a point that is not on its curve, or (Ed25519) of small order.
    pub fn from_jwk(jwk: &Jwk) -> Result<Self> {
        let parsed = match jwk.material() {
            Material::Rsa { n, e } => {
                let components = RsaPublicKeyComponents {
                    n: n.clone(),
                    e: e.clone(),
                };
                let key = RsaVerifiers {
                    components,
                    parsed: Default::default(),
                };
                let first = jwk.algorithm().unwrap_or(Algorithm::RS256);
                if first.key_type() == KeyType::Rsa && key.parsed(first).is_none() {
                    return Err(JoseError::BadKey("not an RSA modulus and exponent"));
                }
                Parsed::Rsa(Box::new(key))
            }
            Material::P256 { x, y } => {
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                Parsed::Single(on_curve(ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point))?)
            }
            Material::P384 { x, y } => {
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                Parsed::Single(on_curve(ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point))?)
            }
            Material::Ed25519 { x } => {
                if is_small_order(x) {
                    return Err(JoseError::BadKey(
                        "the Ed25519 point is not canonical or of small order",
                    ));
                }
                Parsed::Single(on_curve(ParsedPublicKey::new(&ED25519, x))?)
            }
        };
        Ok(Self {
            jwk: jwk.clone(),
            parsed,
        })
    }

    /// The key's name.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.jwk.kid()
    }

    /// The key itself.
    #[must_use]
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Checks a signature over `message`.
    ///
    /// # Errors
    ///
    /// [`JoseError::WrongKeyType`] when the algorithm is not for this type of key, [`JoseError::AlgorithmNotAllowed`]
    /// when the key is for another algorithm or use, [`JoseError::BadSignature`].
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<()> {
        if self.jwk.key_type() != algorithm.key_type() {
            return Err(JoseError::WrongKeyType);
        }
        if !self.jwk.fits(algorithm) {
            return Err(JoseError::AlgorithmNotAllowed);
        }
        let key = match &self.parsed {
            Parsed::Rsa(keys) => keys.parsed(algorithm).ok_or(JoseError::WrongKeyType)?,
            Parsed::Single(key) => key,
        };
        key.verify_sig(message, signature)
            .map_err(|_| JoseError::BadSignature)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verifier").field(&self.jwk).finish()
    }
}

impl RsaVerifiers {
    fn parsed(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        let [rs256, rs384, rs512, ps256, ps384, ps512] = &self.parsed;
        let (slot, parameters): (_, &'static RsaParameters) = match algorithm {
            Algorithm::RS256 => (rs256, &RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => (rs384, &RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => (rs512, &RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => (ps256, &RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => (ps384, &RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => (ps512, &RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA => return None,
        };
        slot.get_or_init(|| self.components.to_parsed_public_key(parameters).ok())
            .as_ref()
    }
}

fn on_curve<E>(parsed: std::result::Result<ParsedPublicKey, E>) -> Result<ParsedPublicKey> {
    parsed.map_err(|_| JoseError::BadKey("the point is not on the curve"))
}

/// The y coordinates, little-endian, of the two pairs of points of order eight (the roots of d·y⁴ + 2·y² = 1).
const ORDER_EIGHT: [[u8; 32]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// Whether an encoded Ed25519 point is one of the eight of small order, under which one signature fits many messages, or
/// is not written in its canonical form (y not below 2^255 - 19: RFC 8032, section 5.1.3).
fn is_small_order(point: &[u8; 32]) -> bool {
    let mut y = *point;
    if let Some(last) = y.last_mut() {
        *last &= 0x7f;
    }
    let [first, middle @ .., last] = y;
    let near_prime = *middle.as_slice() == [0xff; 30] && last == 0x7f && first >= 0xec;
    let zero_or_one = *middle.as_slice() == [0; 30] && last == 0 && first <= 1;
    near_prime || zero_or_one || ORDER_EIGHT.contains(&y)
}
