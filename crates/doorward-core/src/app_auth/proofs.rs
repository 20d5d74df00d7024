//! What proves something once: links in mails, codes, states of flows. Kept as digests, with sealed content; the database decides
//! who used it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use doorward_domain::{Lifetime, Timestamp, UserId};
use doorward_store::{Proof, Tx};

use crate::Doorward;
use crate::app_auth::Door;
use crate::error::{Fault, Result};

/// A proof with its content opened.
#[derive(Clone, Debug)]
pub struct Proved<T> {
    /// Of whom.
    pub user: Option<UserId>,
    /// What it says.
    pub content: T,
    /// Wrong tries so far.
    pub tries: i64,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// It has ended by itself.
    pub late: bool,
}

fn digest(door: &Door, purpose: &str, secret: &str) -> [u8; 32] {
    let id = door.application.id.to_string();
    *doorward_crypto::token::digest_of_parts(&["app proof", &id, purpose, secret]).bytes()
}

fn seal_purpose(digest: &[u8; 32]) -> String {
    format!("app-proof {}", doorward_crypto::token::sha256_hex(digest))
}

impl Doorward {
    /// Keeps a proof: whoever shows `secret` for `purpose` gets the content, until `lifetime` is over.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that decides")]
    pub async fn put_proof(
        &self,
        tx: &Tx,
        door: &Door,
        (purpose, secret): (&str, &str),
        user: Option<UserId>,
        content: &(impl Serialize + Sync),
        lifetime: Lifetime,
    ) -> Result<()> {
        let now = self.now();
        let digest = digest(door, purpose, secret);
        let bytes =
            serde_json::to_vec(content).map_err(|error| Fault::caused("a proof cannot be written", error))?;
        let proof = Proof {
            user,
            content: self
                .inner
                .keyring
                .seal(&seal_purpose(&digest), &self.random(), &bytes),
            tries: 0,
            expires_at: now.plus(lifetime),
        };
        tx.put_proof(door.application.id, &digest, &proof, now).await?;
        Ok(())
    }

    /// Keeps a proof in a transaction of its own.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn keep_proof(
        &self,
        door: &Door,
        what: (&str, &str),
        user: Option<UserId>,
        content: &(impl Serialize + Sync),
        lifetime: Lifetime,
    ) -> Result<()> {
        let tx = self.store()?.begin().await?;
        self.put_proof(&tx, door, what, user, content, lifetime).await?;
        tx.commit().await?;
        Ok(())
    }

    fn open_proof<T: DeserializeOwned>(&self, digest: &[u8; 32], proof: &Proof) -> Option<Proved<T>> {
        let bytes = self
            .inner
            .keyring
            .open(&seal_purpose(digest), &proof.content)
            .ok()?;
        Some(Proved {
            user: proof.user,
            content: serde_json::from_slice(&bytes).ok()?,
            tries: proof.tries,
            expires_at: proof.expires_at,
            late: self.now() >= proof.expires_at,
        })
    }

    /// Looks at a proof without using it up.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn see_proof<T: DeserializeOwned>(
        &self,
        door: &Door,
        purpose: &str,
        secret: &str,
    ) -> Result<Option<Proved<T>>> {
        let digest = digest(door, purpose, secret);
        let found = self.store()?.read().proof(door.application.id, &digest).await?;
        Ok(found.and_then(|proof| self.open_proof(&digest, &proof)))
    }

    /// Uses a proof up: one caller gets it.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn take_proof<T: DeserializeOwned>(
        &self,
        tx: &Tx,
        door: &Door,
        purpose: &str,
        secret: &str,
    ) -> Result<Option<Proved<T>>> {
        let digest = digest(door, purpose, secret);
        let found = tx.take_proof(door.application.id, &digest).await?;
        Ok(found.and_then(|proof| self.open_proof(&digest, &proof)))
    }

    /// The same in a transaction of its own.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn use_proof<T: DeserializeOwned>(
        &self,
        door: &Door,
        purpose: &str,
        secret: &str,
    ) -> Result<Option<Proved<T>>> {
        let tx = self.store()?.begin().await?;
        let found = self.take_proof(&tx, door, purpose, secret).await?;
        tx.commit().await?;
        Ok(found)
    }

    /// Counts a wrong try at a proof; false when `most` were counted already.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn count_try(&self, door: &Door, purpose: &str, secret: &str, most: i64) -> Result<bool> {
        let digest = digest(door, purpose, secret);
        let tx = self.store()?.begin().await?;
        let counted = tx.count_try(door.application.id, &digest, most).await?;
        tx.commit().await?;
        Ok(counted)
    }

    /// Random letters and digits for something that is sent or shown.
    #[must_use]
    pub fn app_secret_text<const N: usize>(&self) -> String {
        self.random_name::<N>()
    }
}

impl Doorward {
    /// Six digits for a mail.
    #[must_use]
    pub fn app_digits(&self) -> String {
        // Far more numbers than codes, so that none is noticeably likelier.
        let number = u64::from_be_bytes(self.random()) % 1_000_000;
        format!("{number:06}")
    }

    /// Eight letters and digits for people to type.
    #[must_use]
    pub fn app_user_code(&self) -> String {
        let code = doorward_crypto::token::user_code(&self.random());
        code.chars().filter(char::is_ascii_alphanumeric).collect()
    }

    /// Changes what is known of a waiting device. `claim`: only when nobody claimed it yet.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn change_device(
        &self,
        door: &Door,
        device: &str,
        user: Option<UserId>,
        fresh: &serde_json::Value,
        claim: bool,
    ) -> Result<()> {
        let what = ("device-code", device);
        let tx = self.store()?.begin().await?;
        // Taking it holds up everybody else until this is committed.
        let Some(taken) = self
            .take_proof::<serde_json::Value>(&tx, door, what.0, what.1)
            .await?
        else {
            return Ok(());
        };
        let mut content = taken.content;
        if let (Some(content), Some(fresh)) = (content.as_object_mut(), fresh.as_object()) {
            for (name, value) in fresh {
                content.insert(name.clone(), value.clone());
            }
        }
        let user = if claim {
            taken.user.or(user)
        } else {
            user.or(taken.user)
        };
        let left = taken.expires_at.millis_since(self.now()).max(0);
        let lifetime = Lifetime::from_millis(u32::try_from(left).unwrap_or(u32::MAX));
        self.put_proof(&tx, door, what, user, &content, lifetime).await?;
        tx.commit().await?;
        Ok(())
    }
}
