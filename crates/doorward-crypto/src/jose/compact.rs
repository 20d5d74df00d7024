//! Reading a compact JWS (RFC 7515, section 5.2) without believing it, and then checking it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{Algorithm, JoseError, Jwk, JwkSet, Result, Verifier, parse_object};

/// Largest header, decoded.
const MAX_HEADER_LEN: usize = 4096;
/// Longest `kid`, `typ`, `cty`.
const MAX_NAME_LEN: usize = 256;
/// How many keys are tried when the token does not say which one.
const MAX_TRIES: usize = 8;

/// The header of a token that has not been verified: what its sender says.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The algorithm; never `none`, never symmetric.
    pub alg: Algorithm,
    /// The name of the key.
    pub kid: Option<String>,
    /// The token's type.
    pub typ: Option<String>,
    /// All members, those above included (for `jwk` in a DPoP proof, `x5t`, and the like).
    pub members: Map<String, Value>,
}

impl Header {
    /// Whether `typ` is this media type: case does not matter, and `application/` may be left out (RFC 7515, section
    /// 4.1.9).
    #[must_use]
    pub fn is_type(&self, expected: &str) -> bool {
        let Some(typ) = &self.typ else { return false };
        let short = match typ.split_at_checked("application/".len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") && !rest.contains('/') => {
                rest
            }
            _ => typ,
        };
        short.eq_ignore_ascii_case(expected)
    }
}

/// A token taken apart, to find out whose it claims to be. Nothing in it is true until it is verified.
#[derive(Clone, PartialEq)]
pub struct Unverified<'a> {
    /// The header.
    pub header: Header,
    /// The payload, decoded.
    pub payload: Vec<u8>,
    signing_input: &'a str,
    signature: Vec<u8>,
}

impl fmt::Debug for Unverified<'_> {
    /// The payload may name people, so only the header is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unverified")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// Takes a compact JWS apart. `max_len` bounds the whole text, in bytes.
///
/// Strict: exactly three parts of unpadded canonical base64url, a header that is a JSON object without duplicates, a known
/// asymmetric `alg`, no `crit`, a payload and a signature that are not empty.
///
/// # Errors
///
/// [`JoseError::TooLarge`], [`JoseError::Malformed`], [`JoseError::Duplicate`], [`JoseError::Critical`],
/// [`JoseError::UnknownAlgorithm`].
pub fn parse_compact(text: &str, max_len: usize) -> Result<Unverified<'_>> {
    if text.len() > max_len {
        return Err(JoseError::TooLarge);
    }
    let three = || JoseError::Malformed("expected three parts with dots between them");
    let (signing_input, signature) = text.rsplit_once('.').ok_or_else(three)?;
    let (header, payload) = signing_input.split_once('.').ok_or_else(three)?;
    if payload.contains('.') {
        return Err(three());
    }
    if header.len() > MAX_HEADER_LEN.div_ceil(3) * 4 {
        return Err(JoseError::TooLarge);
    }
    let header = read_header(&decoded(header)?)?;
    let (payload, signature) = (decoded(payload)?, decoded(signature)?);
    if payload.is_empty() || signature.is_empty() {
        return Err(JoseError::Malformed("expected a payload and a signature"));
    }
    Ok(Unverified {
        header,
        payload,
        signing_input,
        signature,
    })
}

impl Unverified<'_> {
    /// Checks the signature with one key and gives the payload that was signed.
    ///
    /// # Errors
    ///
    /// [`JoseError::AlgorithmNotAllowed`] when `alg` is not in `allowed` or not what the key is for,
    /// [`JoseError::WrongKeyType`], [`JoseError::BadSignature`].
    pub fn verify(&self, verifier: &Verifier, allowed: &[Algorithm]) -> Result<Vec<u8>> {
        if !allowed.contains(&self.header.alg) {
            return Err(JoseError::AlgorithmNotAllowed);
        }
        verifier.verify(self.header.alg, self.signing_input.as_bytes(), &self.signature)?;
        self.signed_payload()
    }

    /// Checks the signature with the key of `set` that `kid` names and gives the payload that was signed. Keys without
    /// a name are tried when none has that name; without a `kid`, all that fit the algorithm are, up to eight.
    ///
    /// # Errors
    ///
    /// [`JoseError::NoKey`] when no key fits (the set may be stale), else as [`Unverified::verify`].
    pub fn verify_with_set(&self, set: &JwkSet, allowed: &[Algorithm]) -> Result<Vec<u8>> {
        if !allowed.contains(&self.header.alg) {
            return Err(JoseError::AlgorithmNotAllowed);
        }
        let fitting = || set.keys().iter().filter(|key| key.fits(self.header.alg));
        let named: Vec<&Jwk> = match &self.header.kid {
            Some(kid) => fitting().filter(|key| key.kid() == Some(kid)).collect(),
            None => fitting().collect(),
        };
        let candidates = match (&self.header.kid, named.is_empty()) {
            (Some(_), true) => fitting().filter(|key| key.kid().is_none()).collect(),
            _ => named,
        };
        let mut outcome = JoseError::NoKey;
        for key in candidates.into_iter().take(MAX_TRIES) {
            match self.verify(&Verifier::from_jwk(key)?, allowed) {
                Ok(payload) => return Ok(payload),
                Err(error) => outcome = error,
            }
        }
        Err(outcome)
    }

    /// Decoded again from what was signed, so that nothing done to `payload` in between can pass for signed.
    fn signed_payload(&self) -> Result<Vec<u8>> {
        let (_, payload) = self
            .signing_input
            .split_once('.')
            .ok_or(JoseError::BadSignature)?;
        decoded(payload)
    }
}

fn decoded(part: &str) -> Result<Vec<u8>> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| JoseError::Malformed("expected base64url without padding"))
}

fn read_header(bytes: &[u8]) -> Result<Header> {
    let members = parse_object(bytes)?;
    if members.contains_key("crit") {
        return Err(JoseError::Critical);
    }
    let name = |member: &str| match members.get(member) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= MAX_NAME_LEN => Ok(Some(text.clone())),
        Some(_) => Err(JoseError::Malformed("expected short strings in the header")),
    };
    let alg = name("alg")?
        .ok_or(JoseError::Malformed("expected \"alg\" in the header"))?
        .parse()?;
    Ok(Header {
        alg,
        kid: name("kid")?,
        typ: name("typ")?,
        members,
    })
}
