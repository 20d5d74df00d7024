//! Signed request objects (RFC 9101).
//!
//! Must not live here: verifying the signature; that happened before.

use doorward_domain::Timestamp;
use serde_json::{Map, Value};

use crate::client_auth::{SKEW, names_audience, numeric_date};
use crate::params::{LONGEST_NAME, LONGEST_VALUE, MOST_PAIRS, ParamError, Params};

/// Claims about the object itself; they are no request parameters.
const ABOUT_ITSELF: [&str; 7] = ["iss", "aud", "exp", "iat", "nbf", "jti", "sub"];

fn rule<T>(text: impl Into<String>) -> Result<T, ParamError> {
    Err(ParamError::Rule(text.into()))
}

/// Checks the claims of a verified request object that are about itself (RFC 9101 section 4, 10.8).
///
/// # Errors
/// A sentence for `invalid_request_object`.
pub fn check(
    claims: &Map<String, Value>,
    client_id: &str,
    audiences: &[String],
    now: Timestamp,
) -> Result<(), ParamError> {
    if claims
        .get("iss")
        .is_some_and(|iss| iss.as_str() != Some(client_id))
    {
        return rule("request: iss is not the client_id");
    }
    // Section 10.8: an object that could pass for a client assertion is none.
    if claims.contains_key("sub") {
        return rule("request: sub is present; a request object has none");
    }
    if claims.contains_key("aud") && !names_audience(claims.get("aud"), audiences) {
        return rule("request: aud does not name this issuer");
    }
    match claims.get("exp").map(numeric_date) {
        None => {}
        Some(Some(at)) if now < at.plus(SKEW) => {}
        Some(_) => return rule("request: exp has passed or is not a number"),
    }
    for name in ["nbf", "iat"] {
        match claims.get(name).map(numeric_date) {
            None => {}
            Some(Some(at)) if at <= now.plus(SKEW) => {}
            Some(_) => return rule(format!("request: {name} is in the future or not a number")),
        }
    }
    Ok(())
}

impl Params {
    /// The parameters of a request object. Only its values count, also where the query has others (RFC 9101 section 6.3); `client_id` must agree
    /// (section 5).
    ///
    /// # Errors
    /// A sentence for `invalid_request_object`.
    pub fn from_request_object(outer: &Self, claims: &Map<String, Value>) -> Result<Self, ParamError> {
        let Some(client_id) = outer.get("client_id") else {
            return rule("client_id is missing beside request");
        };
        if claims.get("client_id").and_then(Value::as_str) != Some(client_id) {
            return rule("request: client_id is not the client_id of the query");
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in claims {
            if name == "request" || name == "request_uri" {
                return rule(format!("request: {name} is inside a request object"));
            }
            if ABOUT_ITSELF.contains(&name.as_str()) {
                continue;
            }
            if name.len() > LONGEST_NAME {
                return rule("request: a name is longer than 128 bytes");
            }
            for text in texts(name, value)? {
                if text.len() > LONGEST_VALUE {
                    return Err(ParamError::LongValue(name.clone()));
                }
                if text.contains('\0') {
                    return Err(ParamError::Nul(name.clone()));
                }
                pairs.push((name.clone(), text));
            }
            if pairs.len() > MOST_PAIRS {
                return Err(ParamError::TooMany);
            }
        }
        Ok(Self::from_pairs(pairs))
    }
}

/// A member of the object as the text values that a query would carry (section 4).
fn texts(name: &str, value: &Value) -> Result<Vec<String>, ParamError> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Number(_) | Value::Bool(_) | Value::Object(_) => Ok(vec![value.to_string()]),
        Value::Array(list) if name == "resource" => list
            .iter()
            .map(|one| match one {
                Value::String(text) => Ok(text.clone()),
                _ => rule("request: resource is not a list of texts"),
            })
            .collect(),
        Value::Array(_) => rule(format!("request: {name} is a list; expected a text")),
    }
}
