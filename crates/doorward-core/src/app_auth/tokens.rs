//! Signed tokens about app people, for services that verify them without asking (contract section 5.2).

use serde_json::{Map, Value, json};

use doorward_domain::client::SigningAlgorithm;

use crate::Doorward;
use crate::app_auth::{AppResult, Door};

/// How long a token lives, in seconds.
const SECONDS: i64 = 900;

impl Doorward {
    /// A token with the user's fields as claims, `iss` and `aud` the door's origin.
    ///
    /// # Errors
    /// `Fault` when there is no key.
    pub fn app_jwt(&self, door: &Door, user: &Value) -> AppResult<String> {
        let now = self.now();
        let mut claims: Map<String, Value> = user.as_object().cloned().unwrap_or_default();
        let origin = door.settings().origin();
        let subject = claims.get("id").cloned().unwrap_or(Value::Null);
        claims.insert("iat".to_owned(), json!(now.seconds()));
        claims.insert("exp".to_owned(), json!(now.seconds() + SECONDS));
        claims.insert("sub".to_owned(), subject);
        claims.insert("iss".to_owned(), json!(origin));
        claims.insert("aud".to_owned(), json!(origin));
        Ok(self
            .signing_key(SigningAlgorithm::EdDsa, now)?
            .sign_untyped(&claims)?)
    }

    /// The keys that verify them.
    #[must_use]
    pub fn app_jwks(&self) -> Value {
        let all = self.jwks(Some(SigningAlgorithm::EdDsa));
        let keys = all
            .get("keys")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let own: Vec<Value> = keys
            .into_iter()
            .filter(|key| key.get("kty").and_then(Value::as_str) == Some("OKP"))
            .map(|mut key| {
                if let Some(key) = key.as_object_mut() {
                    key.remove("use");
                }
                key
            })
            .collect();
        json!({ "keys": own })
    }
}
