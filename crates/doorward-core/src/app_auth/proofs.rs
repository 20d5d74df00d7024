//! What proves something once: links in mails, codes, states of flows. Kept as digests, with sealed content; the database decides
//! who used it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use doorward_domain::{Lifetime, UserId};
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
    /// It ended by itself.
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

    fn open_proof<T: DeserializeOwned>(&self, digest: &[u8; 32], proof: Proof) -> Option<Proved<T>> {
        let bytes = self
            .inner
            .keyring
            .open(&seal_purpose(digest), &proof.content)
            .ok()?;
        Some(Proved {
            user: proof.user,
            content: serde_json::from_slice(&bytes).ok()?,
            tries: proof.tries,
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
        Ok(found.and_then(|proof| self.open_proof(&digest, proof)))
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
        Ok(found.and_then(|proof| self.open_proof(&digest, proof)))
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
