//! Setting and checking passwords: parameters measured once per installation, hashing in the pool, never in a transaction.

use doorward_crypto::password::{self, Argon2Params, Verified};
use doorward_domain::user::User;
use doorward_store::Store;

use crate::Doorward;
use crate::error::{Error, Fault, Result};
use crate::picture::setting;

/// Shortest password, in characters (NIST SP 800-63B-4 section 3.1.1.2 for passwords beside no other factor asks for more
/// of new systems' own policies; eight is its floor).
pub const SHORTEST: usize = 8;
/// Longest password, in bytes.
pub const LONGEST: usize = 1024;

/// Checks a new password against the rules.
///
/// # Errors
/// A sentence that says what was expected.
pub fn check_new(password: &str, username: &str, email: Option<&str>) -> std::result::Result<(), String> {
    if password.chars().count() < SHORTEST {
        return Err(format!(
            "password is too short; expected at least {SHORTEST} characters"
        ));
    }
    if password.len() > LONGEST {
        return Err(format!("password is too long; expected at most {LONGEST} bytes"));
    }
    let lower = password.to_lowercase();
    let local = email
        .and_then(|email| email.split('@').next())
        .unwrap_or_default();
    if lower == username.to_lowercase()
        || email.is_some_and(|email| lower == email.to_lowercase())
        || lower == local
    {
        return Err("password is the user name or e-mail address; choose something else".into());
    }
    let mut chars = lower.chars();
    let first = chars.next();
    if chars.all(|c| Some(c) == first)
        || ["password", "12345678", "123456789", "qwertyui", "password1"].contains(&lower.as_str())
    {
        return Err("password is one of the first that anybody would try; choose something else".into());
    }
    Ok(())
}

impl Doorward {
    /// Current parameters.
    pub(crate) fn hash_params(&self) -> Argon2Params {
        self.inner
            .hash_params
            .get()
            .copied()
            .unwrap_or(Argon2Params::FLOOR)
    }

    /// Reads the parameters, or measures them at the first start.
    pub(crate) async fn prepare_hashing(&self, store: &Store) -> Result<()> {
        let params = match self.find_setting::<Argon2Params>(store, setting::ARGON2).await? {
            Some(params) => params,
            None => {
                let measured = self.measure().await?;
                let text = serde_json::to_string(&measured)
                    .map_err(|error| Fault::caused("parameters could not be encoded", error))?;
                let tx = store.begin().await?;
                let first = tx.put_instance_once(setting::ARGON2, &text).await?;
                tx.commit().await?;
                let settled = if first {
                    None
                } else {
                    self.find_setting(store, setting::ARGON2).await?
                };
                settled.unwrap_or(measured)
            }
        };
        // The parameters are the same for the life of the process.
        self.inner.hash_params.get_or_init(|| params);
        self.inner.decoy.get_or_init(|| password::decoy(&params));
        Ok(())
    }

    async fn measure(&self) -> Result<Argon2Params> {
        let clock = std::sync::Arc::clone(&self.inner.ports.clock);
        let memory = self.inner.options.hashing_memory_kib;
        let work = move || {
            let chosen = password::choose_params(
                |params| {
                    let begin = clock.monotonic_micros();
                    let _hash = password::hash("measuring this machine", &[7; 16], params);
                    clock.monotonic_micros().saturating_sub(begin) / 1000
                },
                memory,
                1,
            );
            password::release_memory();
            chosen
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|failed| Error::Fault(Fault::caused("measuring the machine was interrupted", failed)))
    }

    /// Hashes a password in the pool.
    ///
    /// # Errors
    /// `Refused` (busy) when the queue is full.
    pub(crate) async fn hash_password(&self, password: String) -> Result<String> {
        let params = self.hash_params();
        let salt = self.random();
        let hashed = self
            .inner
            .hashing
            .run(move || password::hash(&password, &salt, &params))
            .await?;
        Ok(hashed.map_err(|error| Fault::caused("a password could not be hashed", error))?)
    }

    /// Compares in the pool; with no stored hash a decoy is compared, so that the time tells nothing.
    pub(crate) async fn verify_password(&self, stored: Option<String>, password: String) -> Result<Verified> {
        let params = self.hash_params();
        let known = stored.is_some();
        let stored = stored
            .or_else(|| self.inner.decoy.get().cloned())
            .unwrap_or_default();
        let verified = self
            .inner
            .hashing
            .run(move || password::verify_with(&stored, &password, &params))
            .await?;
        Ok(if known { verified } else { Verified::Mismatch })
    }

    /// Checks a new password for a user and hashes it.
    pub(crate) async fn prepare_password(&self, user: &User, password: &str) -> Result<String> {
        check_new(password, &user.username, user.email.as_deref()).map_err(Error::Invalid)?;
        self.hash_password(password.to_owned()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trivial_passwords_are_refused_with_a_sentence() {
        for bad in [
            "short",
            "aaaaaaaaaa",
            "Password",
            "alice-user",
            "alice@example.org",
        ] {
            assert!(
                check_new(bad, "alice-user", Some("alice@example.org")).is_err(),
                "{bad}"
            );
        }
        assert!(check_new("correct horse", "alice", None).is_ok());
        assert!(check_new(&"ä".repeat(600), "alice", None).is_err());
    }
}
