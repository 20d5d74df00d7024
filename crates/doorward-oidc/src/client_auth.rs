//! How a client proves who it is (RFC 6749 section 2.3, RFC 7523 section 2.2, OpenID Connect Core section 9).
//!
//! Must not live here: comparing secrets and checking signatures.

use base64::Engine as _;
use doorward_domain::client::{AuthMethod, Client};
use doorward_domain::{Lifetime, Timestamp};
use serde_json::{Map, Value};
use std::fmt;

use crate::encode;
use crate::error::{TokenError, invalid_client, invalid_request};
use crate::params::Params;

/// The only assertion type (RFC 7523 section 2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Clocks of clients may differ by this much.
pub const SKEW: Lifetime = Lifetime::from_seconds(30);
/// Longest life of an assertion, counted from now.
pub const LONGEST_ASSERTION_LIFE: Lifetime = Lifetime::from_hours(1);
/// Longest `jti` in bytes.
const LONGEST_JTI: usize = 256;
/// Longest `Authorization` header in bytes.
const LONGEST_HEADER: usize = 16 * 1024;

/// What a request presented. `Debug` leaves secrets and assertions out.
#[derive(Clone, PartialEq, Eq)]
pub enum Presented {
    /// HTTP Basic.
    Basic {
        /// Form-decoded.
        client_id: String,
        /// Form-decoded.
        secret: String,
        /// As given, when that is another text: there are clients that do not encode (against RFC 6749 section 2.3.1).
        raw: Option<String>,
    },
    /// `client_id` and `client_secret` in the form.
    Post {
        /// As given.
        client_id: String,
        /// As given.
        secret: String,
    },
    /// A signed JWT.
    Assertion {
        /// `client_id` of the form, when given; otherwise `sub` of the assertion says who it is.
        client_id: Option<String>,
        /// The JWT, not verified.
        assertion: String,
    },
    /// A name only.
    Public {
        /// As given.
        client_id: String,
    },
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("method", &self.method())
            .field("client_id", &self.client_id())
            .finish_non_exhaustive()
    }
}

impl Presented {
    /// Reads the `Authorization` header and the form of a request to a token-side endpoint.
    ///
    /// # Errors
    /// `invalid_client` when there is nothing usable; `invalid_request` when there is more than one way (RFC 6749 section 2.3).
    pub fn read(authorization: Option<&str>, params: &Params) -> Result<Self, TokenError> {
        for name in [
            "client_id",
            "client_secret",
            "client_assertion",
            "client_assertion_type",
        ] {
            if params.count(name) > 1 {
                return Err(invalid_request(format!("{name} is given more than once")));
            }
        }
        let client_id = params.get("client_id").map(str::to_owned);
        let secret = params.get("client_secret").map(str::to_owned);
        let assertion = params.get("client_assertion").map(str::to_owned);
        let ways = [authorization.is_some(), secret.is_some(), assertion.is_some()]
            .into_iter()
            .filter(|way| *way);
        if ways.count() > 1 {
            return Err(invalid_request(
                "the client authenticates in more than one way; expected one of the Authorization header, client_secret, client_assertion",
            ));
        }
        if let Some(authorization) = authorization {
            return basic(authorization, client_id.as_deref());
        }
        if let Some(assertion) = assertion {
            return match params.get("client_assertion_type") {
                Some(ASSERTION_TYPE) => Ok(Self::Assertion { client_id, assertion }),
                _ => Err(invalid_request(format!(
                    "client_assertion_type is wrong; expected {ASSERTION_TYPE}"
                ))),
            };
        }
        match (client_id, secret) {
            (Some(client_id), Some(secret)) => Ok(Self::Post { client_id, secret }),
            (Some(client_id), None) => Ok(Self::Public { client_id }),
            (None, Some(_)) => Err(invalid_client("client_id is missing beside client_secret")),
            (None, None) => Err(invalid_client(
                "the client did not authenticate; expected HTTP Basic, client_id with client_secret, or client_assertion",
            )),
        }
    }

    /// Who the client says it is; `None` when only the assertion knows.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        match self {
            Self::Basic { client_id, .. } | Self::Post { client_id, .. } | Self::Public { client_id } => {
                Some(client_id)
            }
            Self::Assertion { client_id, .. } => client_id.as_deref(),
        }
    }

    /// The method, in the words of RFC 8414.
    #[must_use]
    pub const fn method(&self) -> AuthMethod {
        match self {
            Self::Basic { .. } => AuthMethod::ClientSecretBasic,
            Self::Post { .. } => AuthMethod::ClientSecretPost,
            Self::Assertion { .. } => AuthMethod::PrivateKeyJwt,
            Self::Public { .. } => AuthMethod::None,
        }
    }
}

/// User name and password of HTTP Basic (RFC 7617 section 2), as they are.
#[must_use]
pub fn user_and_password(encoded: &str) -> Option<(String, String)> {
    if encoded.len() > LONGEST_HEADER {
        return None;
    }
    let octets = base64::engine::general_purpose::STANDARD
        .decode(encoded.trim())
        .ok()?;
    let text = String::from_utf8(octets).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn basic(header: &str, form_client_id: Option<&str>) -> Result<Presented, TokenError> {
    let expected = || {
        invalid_client("the Authorization header is not HTTP Basic with form-encoded client_id and secret")
    };
    if header.len() > LONGEST_HEADER {
        return Err(expected());
    }
    let (scheme, encoded) = header.trim().split_once(' ').ok_or_else(expected)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(expected());
    }
    let octets = base64::engine::general_purpose::STANDARD
        .decode(encoded.trim())
        .map_err(|_| expected())?;
    let text = String::from_utf8(octets).map_err(|_| expected())?;
    let (client_id, secret) = text.split_once(':').ok_or_else(expected)?;
    let client_id = encode::form_decode(client_id).map_err(|_| expected())?;
    let given = secret;
    let secret = encode::form_decode(given).unwrap_or_else(|_| given.to_owned());
    let raw = (secret != given).then(|| given.to_owned());
    if client_id.is_empty() {
        return Err(expected());
    }
    if form_client_id.is_some_and(|form| form != client_id) {
        return Err(invalid_request(
            "client_id differs between the Authorization header and the form",
        ));
    }
    // An empty secret is no secret (RFC 6749 section 2.3.1).
    if secret.is_empty() {
        Ok(Presented::Public { client_id })
    } else {
        Ok(Presented::Basic {
            client_id,
            secret,
            raw,
        })
    }
}

/// Checks that the client may authenticate in the way it did.
///
/// # Errors
/// `invalid_client` naming the ways that are registered.
pub fn check_method(presented: &Presented, client: &Client) -> Result<(), TokenError> {
    let method = presented.method();
    if client.auth_methods.contains(&method) {
        return Ok(());
    }
    let expected: Vec<&str> = client.auth_methods.iter().map(|method| method.as_str()).collect();
    Err(invalid_client(format!(
        "the client may not authenticate with {method}; expected {}",
        expected.join(" or ")
    )))
}

/// What is left of a good assertion: `jti` must not be seen again until `expires_at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Identifier chosen by the client.
    pub jti: String,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// Checks the claims of a client assertion whose signature was verified (RFC 7523 section 3).
///
/// `audiences`: issuer and endpoint URLs that the assertion may be meant for. The caller refuses a `jti` that was seen before.
///
/// # Errors
/// `invalid_client` naming the claim.
pub fn check_assertion(
    claims: &Map<String, Value>,
    client_id: &str,
    audiences: &[String],
    now: Timestamp,
) -> Result<Assertion, TokenError> {
    let bad = |text: &str| Err(invalid_client(format!("client_assertion: {text}")));
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let time = |name: &str| claims.get(name).map(|value| numeric_date(value).ok_or(()));
    if text("iss") != Some(client_id) || text("sub") != Some(client_id) {
        return bad("iss and sub are not the client_id");
    }
    if !names_audience(claims.get("aud"), audiences) {
        return bad("aud does not name this issuer or the token endpoint");
    }
    let Some(Ok(expires_at)) = time("exp") else {
        return bad("exp is missing or not a number");
    };
    if expires_at.plus(SKEW) <= now {
        return bad("exp has passed");
    }
    if expires_at.millis_since(now) > LONGEST_ASSERTION_LIFE.millis() + SKEW.millis() {
        return bad("exp is more than one hour ahead");
    }
    for name in ["nbf", "iat"] {
        match time(name) {
            None => {}
            Some(Ok(at)) if at <= now.plus(SKEW) => {}
            Some(_) => return bad(&format!("{name} is in the future or not a number")),
        }
    }
    match text("jti") {
        Some(jti) if !jti.is_empty() && jti.len() <= LONGEST_JTI => {
            // Remembered beyond the skew, so that the last seconds cannot be replayed either.
            Ok(Assertion {
                jti: jti.to_owned(),
                expires_at: expires_at.plus(SKEW),
            })
        }
        _ => bad("jti is missing, empty or longer than 256 bytes"),
    }
}

/// Reads a `NumericDate` (RFC 7519 section 2); fractions are cut off.
pub(crate) fn numeric_date(value: &Value) -> Option<Timestamp> {
    if let Some(seconds) = value.as_i64() {
        return Some(Timestamp::from_seconds(seconds));
    }
    let seconds = value
        .as_f64()
        .filter(|seconds| seconds.is_finite() && seconds.abs() < 1e15)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "bounded above; the fraction is meant to go"
    )]
    let whole = seconds as i64;
    Some(Timestamp::from_seconds(whole))
}

/// Does `aud` (a text or a list of texts) name one of `audiences`?
pub(crate) fn names_audience(aud: Option<&Value>, audiences: &[String]) -> bool {
    let known = |value: &Value| {
        value
            .as_str()
            .is_some_and(|aud| audiences.iter().any(|known| known == aud))
    };
    match aud {
        Some(Value::Array(list)) => list.iter().any(known),
        Some(value) => known(value),
        None => false,
    }
}
