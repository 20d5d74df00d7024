//! Demonstrating proof of possession, DPoP (RFC 9449): what a proof has to say, and how tokens bound to a key travel.
//!
//! Must not live here: the signature of the proof and the thumbprint of its key, which the caller checks with the key that
//! [`key_of`] gives, and the memory for replays.

use doorward_domain::{Lifetime, Timestamp};
use serde_json::{Map, Value};

use crate::error::{ErrorCode, TokenError, describe, invalid_request};

/// `typ` of a proof (section 4.2).
pub const TYP: &str = "dpop+jwt";
/// Signature algorithms of proofs, as discovery lists them; all asymmetric.
pub const ALGORITHMS: [&str; 4] = ["RS256", "ES256", "PS256", "EdDSA"];
/// How far the clock of a client may be off, either way (section 11.1).
pub const SKEW: Lifetime = Lifetime::from_seconds(60);
/// How long after `iat` a proof is remembered; longer than it can be used.
pub const REMEMBERED: Lifetime = Lifetime::from_minutes(2);
/// Longest proof in bytes.
pub const LONGEST: usize = 8 * 1024;

/// Longest `jti` in bytes.
const LONGEST_JTI: usize = 256;
/// Longest `htu` in bytes.
const LONGEST_HTU: usize = 2048;
/// Longest access token in bytes.
const LONGEST_TOKEN: usize = 16 * 1024;

/// The request that a proof came with.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Method of the request.
    pub method: &'a str,
    /// Address of the endpoint.
    pub url: &'a str,
    /// BASE64URL(SHA256(access token)) when the request carries one.
    pub token_hash: Option<&'a str>,
    /// The time.
    pub now: Timestamp,
}

/// A proof that says the right things. Whether it was seen before is the caller's to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// `jti`.
    pub jti: String,
    /// `iat`.
    pub issued_at: Timestamp,
}

fn invalid(description: &str) -> TokenError {
    TokenError::new(ErrorCode::InvalidDpopProof, description)
}

/// The public key in the header of a proof that is not verified yet, after `typ` and `alg` were looked at (section 4.3, checks 3 to 6).
///
/// # Errors
/// `invalid_dpop_proof`.
pub fn key_of(header: &Map<String, Value>) -> Result<&Map<String, Value>, TokenError> {
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    if !text("typ").is_some_and(|typ| typ.eq_ignore_ascii_case(TYP)) {
        return Err(invalid("typ of the DPoP proof is not dpop+jwt"));
    }
    if !text("alg").is_some_and(|alg| ALGORITHMS.contains(&alg)) {
        return Err(invalid(
            "alg of the DPoP proof is not one of RS256, ES256, PS256, EdDSA",
        ));
    }
    match header.get("jwk") {
        Some(Value::Object(key)) => Ok(key),
        _ => Err(invalid("the DPoP proof has no public key in its header (jwk)")),
    }
}

impl Proof {
    /// Checks what a proof says, after its signature was verified with the key of its own header (section 4.3, checks 3 and 8 to 12).
    /// A `nonce` is not asked for and therefore not looked at.
    ///
    /// # Errors
    /// `invalid_dpop_proof`.
    pub fn read(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<Self, TokenError> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let jti = text("jti").filter(|jti| (1..=LONGEST_JTI).contains(&jti.len()));
        let Some(jti) = jti else {
            return Err(invalid("jti of the DPoP proof is missing or too long"));
        };
        if text("htm") != Some(expected.method) {
            return Err(invalid("htm of the DPoP proof is not the method of this request"));
        }
        if !text("htu").is_some_and(|given| is_same_target(given, expected.url)) {
            return Err(invalid(
                "htu of the DPoP proof is not the address of this endpoint",
            ));
        }
        let seconds = claims.get("iat").and_then(Value::as_i64);
        let issued_at = seconds
            .filter(|seconds| (0..=253_402_300_799).contains(seconds))
            .map(Timestamp::from_seconds);
        let Some(issued_at) = issued_at else {
            return Err(invalid(
                "iat of the DPoP proof is missing or not a number of seconds",
            ));
        };
        if expected.now.millis_since(issued_at).abs() > SKEW.millis() {
            return Err(invalid(
                "iat of the DPoP proof is too far from the time of this server",
            ));
        }
        if let Some(hash) = expected.token_hash
            && text("ath") != Some(hash)
        {
            return Err(invalid(
                "ath of the DPoP proof does not belong to the access token",
            ));
        }
        Ok(Self {
            jti: jti.to_owned(),
            issued_at,
        })
    }
}

/// Do `htu` and the address of the endpoint name the same resource? Scheme, host, port and path count after the normalisation of RFC 3986
/// sections 6.2.2 and 6.2.3; query and fragment do not (section 4.3, check 9). Our endpoints answer with and without a slash at their end.
fn is_same_target(given: &str, endpoint: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && b != b'\\';
    if given.len() > LONGEST_HTU || !given.bytes().all(plain) {
        return false;
    }
    let (Ok(given), Ok(endpoint)) = (url::Url::parse(given), url::Url::parse(endpoint)) else {
        return false;
    };
    let anonymous = given.username().is_empty() && given.password().is_none();
    anonymous
        && given.scheme() == endpoint.scheme()
        && given.host() == endpoint.host()
        && given.port_or_known_default() == endpoint.port_or_known_default()
        && given.path().trim_end_matches('/') == endpoint.path().trim_end_matches('/')
}

/// Is this the form of a SHA-256 thumbprint (RFC 7638), as the parameter `dpop_jkt` carries it (section 10)?
#[must_use]
pub fn is_thumbprint(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    text.len() == 43 && text.bytes().all(plain)
}

/// Takes a bound access token from the `Authorization` header (section 7.1).
///
/// `Ok(None)`: the scheme is another one, or there is no header.
///
/// # Errors
/// `invalid_request` when the token has the wrong form.
pub fn read(authorization: Option<&str>) -> Result<Option<String>, TokenError> {
    let token = authorization.and_then(|value| {
        let (scheme, token) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
        scheme.eq_ignore_ascii_case("dpop").then(|| token.trim())
    });
    let Some(token) = token else { return Ok(None) };
    // token68 of RFC 9110 section 11.2.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if token.is_empty() || token.len() > LONGEST_TOKEN || !token.bytes().all(plain) {
        return Err(invalid_request(
            "the access token has characters that no token of the scheme DPoP has",
        ));
    }
    Ok(Some(token.to_owned()))
}

/// Value of the `WWW-Authenticate` header for requests with a bound token (section 7.1).
#[must_use]
pub fn challenge(realm: &str, error: &TokenError) -> String {
    format!(
        "DPoP realm=\"{}\", error=\"{}\", error_description=\"{}\", algs=\"{}\"",
        describe(realm),
        error.code,
        error.description,
        ALGORITHMS.join(" ")
    )
}
