//! A copy of session and person that browsers carry in a cookie, in better-auth's compact form (contract section 2.4), so that what runs
//! at the edge reads it without asking. Off unless the operator says how long it counts.
//!
//! It says how things were, not how they are: whoever was signed out, banned or renamed since is still in it. So it answers nothing but
//! `get-session`, and nothing that decides.

use serde_json::{Value, json};

use doorward_crypto::{signed, webauthn};
use doorward_domain::Timestamp;

use crate::Doorward;
use crate::app_auth::Door;

/// What the form of the content is called; another one is as good as none.
const VERSION: &str = "1";
/// Longest text that is looked at.
const LONGEST: usize = 64 * 1024;
/// How long the copy of a session counts that ends with the browser, at most; in seconds.
const SHORT: i64 = 60;

impl Doorward {
    /// The copy as the cookie has it, and for how many seconds it counts; `None` when the door has none.
    ///
    /// # Errors
    /// `Fault` when the door has no secret.
    pub fn door_copy(&self, door: &Door, pair: &Value, short: bool) -> crate::Result<Option<(String, i64)>> {
        let Some(age) = door.settings().cookie_cache else {
            return Ok(None);
        };
        let now = self.now().millis();
        let seconds = if short {
            age.seconds().min(SHORT)
        } else {
            age.seconds()
        };
        let until = now + seconds * 1000;
        let content = json!({
            "session": pair.get("session"), "user": pair.get("user"), "updatedAt": now, "version": VERSION,
            // Apps may have the same secret: a copy of one is nothing in another.
            "audience": door.application.id.to_string(),
        })
        .to_string();
        let secrets = self.door_secrets(door)?;
        let secret = secrets.first().map_or("", |secret| secret.expose());
        let mac = signed::mac(&ending(&content, until), secret);
        let whole = format!("{{\"session\":{content},\"expiresAt\":{until},\"signature\":\"{mac}\"}}");
        Ok(Some((webauthn::encode(whole.as_bytes()), seconds)))
    }

    /// Session and person in a copy, when it is genuine, of this app, of this very token, and still counts.
    ///
    /// # Errors
    /// `Fault` when the door has no secret.
    pub fn door_copy_of(&self, door: &Door, text: &str, token: &str) -> crate::Result<Option<Value>> {
        let secrets = self.door_secrets(door)?;
        let secrets: Vec<&str> = secrets.iter().map(|secret| secret.expose()).collect();
        Ok(self.read_copy(door, text, token, &secrets))
    }

    fn read_copy(&self, door: &Door, text: &str, token: &str, secrets: &[&str]) -> Option<Value> {
        let age = door.settings().cookie_cache?;
        let whole = String::from_utf8(webauthn::decode(text, LONGEST)?).ok()?;
        // The signature is of the very text, so that is what is taken apart.
        let (content, rest) = whole
            .strip_prefix("{\"session\":")?
            .rsplit_once(",\"expiresAt\":")?;
        let (until, rest) = rest.split_once(",\"signature\":\"")?;
        let mac = rest.strip_suffix("\"}")?;
        let until: i64 = until.parse().ok()?;
        if !signed::mac_fits(&ending(content, until), mac, secrets) {
            return None;
        }
        let content: Value = serde_json::from_str(content).ok()?;
        let says = |name: &str, wanted: &str| content.get(name).and_then(Value::as_str) == Some(wanted);
        let (session, user) = (content.get("session")?, content.get("user")?);
        let now = self.now();
        // What was written when copies counted for longer counts no longer than they do now.
        let made = Timestamp::from_millis(content.get("updatedAt")?.as_i64()?);
        let ends: Timestamp = session.get("expiresAt")?.as_str()?.parse().ok()?;
        let counts = now.millis() < until && now < made.plus(age) && now < ends;
        let own = session.get("token").and_then(Value::as_str) == Some(token);
        let here = says("version", VERSION) && says("audience", &door.application.id.to_string());
        (counts && own && here).then(|| json!({ "session": session, "user": user }))
    }
}

/// What is signed: the content with its end at the end.
fn ending(content: &str, until: i64) -> String {
    let open = content.strip_suffix('}').unwrap_or(content);
    format!("{open},\"expiresAt\":{until}}}")
}
