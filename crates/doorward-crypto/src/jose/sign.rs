//! Private keys, parsed once, and signing with them.

use std::fmt;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::jwk::Material;
use super::{Algorithm, JoseError, Jwk, Result, Verifier, parse_object};

/// The types that tokens are usually of: their headers are encoded once per key.
const USUAL_TYPES: [&str; 3] = ["JWT", "at+jwt", "logout+jwt"];
/// The longest signature: RSA with 8192 bits.
const MAX_SIGNATURE_LEN: usize = 1024;
const MAX_HEADER_LEN: usize = 4096;

/// A private key with the one algorithm that it signs with. `Debug` shows the algorithm and the public key's name.
pub struct SigningKey {
    algorithm: Algorithm,
    pair: Pair,
    jwk: Jwk,
    kid: String,
    /// `base64url(header).` for each of [`USUAL_TYPES`].
    headers: [String; USUAL_TYPES.len()],
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Makes a new key, with the crypto library's own randomness; RSA keys have 2048 bits and take about 100 ms.
    ///
    /// # Errors
    ///
    /// [`JoseError::VerifyOnly`] for an algorithm that nothing here signs with, [`JoseError::Crypto`].
    pub fn generate(algorithm: Algorithm) -> Result<Self> {
        let pair = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 => {
                Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?)
            }
            Algorithm::ES256 => {
                Pair::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?)
            }
            Algorithm::EdDSA => Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
            _ => return Err(JoseError::VerifyOnly),
        };
        Self::new(algorithm, pair)
    }

    /// Reads a private key in PKCS #8 (RFC 5208, RFC 5958), DER, unencrypted.
    ///
    /// # Errors
    ///
    /// [`JoseError::BadKey`] when it is not a key for this algorithm, or RSA below 2048 bits;
    /// [`JoseError::VerifyOnly`].
    pub fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self> {
        const WRONG: JoseError = JoseError::BadKey("expected a PKCS #8 private key that fits the algorithm");
        let pair = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 => Pair::Rsa(RsaKeyPair::from_pkcs8(der).map_err(|_| WRONG)?),
            Algorithm::ES256 => Pair::P256(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map_err(|_| WRONG)?,
            ),
            Algorithm::EdDSA => Pair::Ed25519(Ed25519KeyPair::from_pkcs8(der).map_err(|_| WRONG)?),
            _ => return Err(JoseError::VerifyOnly),
        };
        Self::new(algorithm, pair)
    }

    fn new(algorithm: Algorithm, pair: Pair) -> Result<Self> {
        let jwk = Jwk::ours(pair.public()?, algorithm);
        let kid = jwk.thumbprint();
        let headers = USUAL_TYPES.map(|typ| encoded_header(algorithm, typ, &kid));
        Ok(Self {
            algorithm,
            pair,
            jwk,
            kid,
            headers,
        })
    }

    /// The private key in PKCS #8, DER, to be sealed and stored.
    ///
    /// # Errors
    ///
    /// [`JoseError::Crypto`].
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>> {
        let bytes = match &self.pair {
            Pair::Rsa(pair) => pair.as_der().map_err(failed)?.as_ref().to_vec(),
            Pair::P256(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
        };
        Ok(Zeroizing::new(bytes))
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key, to be published.
    #[must_use]
    pub fn public_jwk(&self) -> Jwk {
        self.jwk.clone()
    }

    /// The key's name: the thumbprint of its public half (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, ready to check what this key signed.
    ///
    /// # Errors
    ///
    /// [`JoseError::BadKey`], which a key that signs does not lead to.
    pub fn verifier(&self) -> Result<Verifier> {
        Verifier::from_jwk(&self.jwk)
    }

    /// Signs `claims` (the bytes of a JSON object) into a compact JWS whose header is `alg`, `typ`, `kid` (RFC 7515,
    /// section 7.1). `typ` is for example `JWT` or `at+jwt` (RFC 9068, section 2.1).
    ///
    /// # Errors
    ///
    /// [`JoseError::Crypto`].
    pub fn sign(&self, typ: &str, claims: &[u8]) -> Result<String> {
        let usual = USUAL_TYPES
            .iter()
            .zip(&self.headers)
            .find(|(usual, _)| **usual == typ);
        match usual {
            Some((_, header)) => self.finish(header, claims),
            None => self.finish(&encoded_header(self.algorithm, typ, &self.kid), claims),
        }
    }

    /// Signs `claims` under a header of the caller's, given as the text of a JSON object; for the few token types whose
    /// header has members of its own.
    ///
    /// # Errors
    ///
    /// [`JoseError::AlgorithmNotAllowed`] when the header's `alg` is not this key's, [`JoseError::Malformed`],
    /// [`JoseError::Duplicate`], [`JoseError::TooLarge`], [`JoseError::Crypto`].
    pub fn sign_header_json(&self, header: &str, claims: &[u8]) -> Result<String> {
        if header.len() > MAX_HEADER_LEN {
            return Err(JoseError::TooLarge);
        }
        let members = parse_object(header.as_bytes())?;
        if members.get("alg").and_then(serde_json::Value::as_str) != Some(self.algorithm.as_str()) {
            return Err(JoseError::AlgorithmNotAllowed);
        }
        let mut encoded = URL_SAFE_NO_PAD.encode(header);
        encoded.push('.');
        self.finish(&encoded, claims)
    }

    /// One allocation for the whole token: it is signed in place.
    fn finish(&self, header: &str, claims: &[u8]) -> Result<String> {
        let signature_len = self.pair.signature_len();
        let payload_len = claims.len().div_ceil(3) * 4;
        let mut token = String::with_capacity(header.len() + payload_len + 1 + signature_len.div_ceil(3) * 4);
        token.push_str(header);
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let mut buffer = [0u8; MAX_SIGNATURE_LEN];
        let signature = buffer.get_mut(..signature_len).ok_or(JoseError::Crypto)?;
        self.pair.sign(self.algorithm, token.as_bytes(), signature)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

impl Pair {
    fn public(&self) -> Result<Material> {
        match self {
            Self::Rsa(pair) => {
                let key = pair.public_key();
                let n = key.modulus().big_endian_without_leading_zero().to_vec();
                let e = key.exponent().big_endian_without_leading_zero().to_vec();
                Material::rsa(n, e)
            }
            Self::P256(pair) => match pair.public_key().as_ref().split_first() {
                Some((4, point)) if point.len() == 64 => {
                    let (x, y) = point.split_at(32);
                    let [x, y] = [x, y].map(|half| <[u8; 32]>::try_from(half).map_err(|_| JoseError::Crypto));
                    Ok(Material::P256 { x: x?, y: y? })
                }
                _ => Err(JoseError::Crypto),
            },
            Self::Ed25519(pair) => {
                let x = pair
                    .public_key()
                    .as_ref()
                    .try_into()
                    .map_err(|_| JoseError::Crypto)?;
                Ok(Material::Ed25519 { x })
            }
        }
    }

    fn signature_len(&self) -> usize {
        match self {
            Self::Rsa(pair) => pair.public_modulus_len(),
            Self::P256(_) | Self::Ed25519(_) => 64,
        }
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8], out: &mut [u8]) -> Result<()> {
        let signature = match self {
            Self::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding = match algorithm {
                    Algorithm::PS256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                return pair
                    .sign(padding, &SystemRandom::new(), message, out)
                    .map_err(failed);
            }
            Self::P256(pair) => pair.sign(&SystemRandom::new(), message).map_err(failed)?,
            Self::Ed25519(pair) => pair.try_sign(message).map_err(failed)?,
        };
        if signature.as_ref().len() != out.len() {
            return Err(JoseError::Crypto);
        }
        out.copy_from_slice(signature.as_ref());
        Ok(())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SigningKey");
        shown
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// `base64url({"alg":…,"typ":…,"kid":…}).`
fn encoded_header(algorithm: Algorithm, typ: &str, kid: &str) -> String {
    let typ = serde_json::Value::from(typ);
    let header = format!(r#"{{"alg":"{algorithm}","typ":{typ},"kid":"{kid}"}}"#);
    let mut encoded = URL_SAFE_NO_PAD.encode(header);
    encoded.push('.');
    encoded
}

fn failed(_: aws_lc_rs::error::Unspecified) -> JoseError {
    JoseError::Crypto
}
