//! The `claims` request parameter (OpenID Connect Core section 5.5).
//!
//! Must not live here: values of claims (see [`crate::claims`]).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

use crate::claims;
use crate::scope::Scopes;

/// Longest text in bytes.
pub const LONGEST: usize = 8 * 1024;
/// Deepest nesting of objects and arrays.
pub const DEEPEST: usize = 8;
/// Most claims in one member.
pub const MOST_CLAIMS: usize = 100;

/// One requested claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// Needed for the task at hand; without effect on the answer but for `acr`.
    #[serde(default)]
    pub essential: bool,
    /// The one value asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Values in order of preference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
}

/// Requested claims by name.
pub type ClaimRequests = BTreeMap<String, ClaimRequest>;

/// The parameter as read. Its JSON form is what a family stores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClaimsRequest {
    /// For the userinfo endpoint.
    #[serde(default)]
    pub userinfo: ClaimRequests,
    /// For the ID token.
    #[serde(default)]
    pub id_token: ClaimRequests,
}

impl ClaimsRequest {
    /// Reads the parameter. Unknown top-level members are ignored (section 5.5).
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("claims is longer than {LONGEST} bytes"));
        }
        if text.contains("\\u0000") {
            return Err("claims has a NUL character".into());
        }
        if depth(text) > DEEPEST {
            return Err(format!("claims is nested deeper than {DEEPEST} levels"));
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Ok(Self {
                userinfo: member(&object, "userinfo")?,
                id_token: member(&object, "id_token")?,
            }),
            _ => Err("claims is not a JSON object; expected members userinfo and id_token".into()),
        }
    }

    /// The form that a family stores.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// From the stored form; something unreadable counts as nothing asked.
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        serde_json::from_value(value.clone()).unwrap_or_default()
    }

    /// The subject that the answer must be about (section 5.5.1), when one is named.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        [&self.id_token, &self.userinfo]
            .into_iter()
            .find_map(|part| part.get("sub")?.value.as_ref()?.as_str())
    }

    /// The `acr` values that must be met when `acr` is essential (section 5.5.1.1); `None` when any will do.
    #[must_use]
    pub fn essential_acr(&self) -> Option<Vec<&str>> {
        let acr = self.id_token.get("acr").filter(|acr| acr.essential)?;
        let values: Vec<&str> = acr
            .value
            .iter()
            .chain(&acr.values)
            .filter_map(Value::as_str)
            .collect();
        if values.is_empty() { None } else { Some(values) }
    }

    /// The standard scopes among `allowed` that cover the claims asked for singly; a person has to agree to them as to the
    /// scopes themselves.
    #[must_use]
    pub fn covering(&self, allowed: &Scopes) -> Scopes {
        self.userinfo
            .keys()
            .chain(self.id_token.keys())
            .filter_map(|name| claims::scope_of(name))
            .filter(|scope| allowed.contains(*scope))
            .map(str::to_owned)
            .collect()
    }
}

fn member(object: &Map<String, Value>, name: &str) -> Result<ClaimRequests, String> {
    let expected = || format!("claims.{name} is not an object of claim names with null or an object each");
    let claims = match object.get(name) {
        None | Some(Value::Null) => return Ok(ClaimRequests::new()),
        Some(Value::Object(claims)) => claims,
        Some(_) => return Err(expected()),
    };
    if claims.len() > MOST_CLAIMS {
        return Err(format!("claims.{name} names more than {MOST_CLAIMS} claims"));
    }
    let one = |(claim, value): (&String, &Value)| {
        let request = match value {
            Value::Null => ClaimRequest::default(),
            Value::Object(_) => serde_json::from_value(value.clone()).map_err(|_| {
                format!("claims.{name} has a claim whose essential is no boolean or whose values is no list")
            })?,
            _ => return Err(expected()),
        };
        Ok((claim.clone(), request))
    };
    claims.iter().map(one).collect()
}

/// Deepest nesting of brackets outside strings; counted before the text is parsed.
fn depth(text: &str) -> usize {
    let (mut deepest, mut now, mut quoted, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
