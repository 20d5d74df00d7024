//! Signing keys in memory: parsed once, published as one prepared document, rotated with overlap.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

use doorward_crypto::jose::{self, Algorithm, Jwk, SigningKey, Verifier};
use doorward_crypto::seal::Keyring;
use doorward_domain::client::SigningAlgorithm;
use doorward_domain::event::EventKind;
use doorward_domain::key::{self, KeyRecord};
use doorward_domain::{Lifetime, Timestamp};
use doorward_store::{Store, Tx};

use crate::error::{Error, Fault, Result};
use crate::events::About;
use crate::picture::topic;
use crate::{Doorward, Origin};

const SEAL: &str = "signing-key";
/// Longest JWT of ours that is looked at.
pub(crate) const LONGEST_JWT: usize = 16 * 1024;

/// All published keys.
#[derive(Default)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
    by_kid: HashMap<String, Arc<Key>>,
}

/// One key with both halves parsed.
pub struct Key {
    /// The record.
    pub record: KeyRecord,
    signing: SigningKey,
    verifier: Verifier,
}

/// The algorithm's name in the cryptography crate.
#[must_use]
pub const fn algorithm(of: SigningAlgorithm) -> Algorithm {
    match of {
        SigningAlgorithm::Rs256 => Algorithm::RS256,
        SigningAlgorithm::Es256 => Algorithm::ES256,
        SigningAlgorithm::Ps256 => Algorithm::PS256,
        SigningAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

impl KeySet {
    /// Opens sealed records; keys already open in `current` are taken over.
    ///
    /// # Errors
    /// `Fault` when a key cannot be unsealed: the key file does not belong to this database.
    pub fn open(records: Vec<KeyRecord>, keyring: &Keyring, current: &Self) -> Result<Self> {
        let mut set = Self::default();
        for record in records {
            let known = current.by_kid.get(&record.kid).filter(|key| key.record == record);
            let key = match known {
                Some(key) => Arc::clone(key),
                None => Arc::new(open_key(record, keyring)?),
            };
            set.by_kid.insert(key.record.kid.clone(), Arc::clone(&key));
            set.keys.push(key);
        }
        Ok(set)
    }

    /// The key that signs now.
    #[must_use]
    pub fn signing(&self, algorithm: SigningAlgorithm, now: Timestamp) -> Option<&Arc<Key>> {
        let record = key::signing(self.keys.iter().map(|key| &key.record), algorithm, now)?;
        self.by_kid.get(&record.kid)
    }

    /// The JWK set (RFC 7517 section 5); keys of `first` lead.
    #[must_use]
    pub fn jwks(&self, first: Option<SigningAlgorithm>, now: Timestamp) -> Value {
        let mut published: Vec<_> = self
            .keys
            .iter()
            .filter(|key| key.record.is_published(now))
            .collect();
        published.sort_by_key(|key| {
            (
                Some(key.record.algorithm) != first,
                std::cmp::Reverse(key.record.signs_from),
            )
        });
        json!({ "keys": published.iter().map(|key| &key.record.public_jwk).collect::<Vec<_>>() })
    }

    /// Records of all keys.
    pub fn records(&self) -> impl Iterator<Item = &KeyRecord> {
        self.keys.iter().map(|key| &key.record)
    }
}

fn open_key(record: KeyRecord, keyring: &Keyring) -> Result<Key> {
    let wrong = |_| {
        Error::Fault(Fault::internal(
            "a signing key could not be opened: the key file does not belong to this database; restore doorward.key",
        ))
    };
    let pkcs8 = keyring.open(SEAL, &record.private_sealed).map_err(wrong)?;
    let signing = SigningKey::from_pkcs8(algorithm(record.algorithm), &pkcs8)
        .map_err(|error| Fault::caused("a stored signing key is damaged", error))?;
    let verifier = Verifier::from_jwk(&signing.public_jwk())
        .map_err(|error| Fault::caused("a stored signing key is damaged", error))?;
    Ok(Key {
        record,
        signing,
        verifier,
    })
}

impl Key {
    /// Signs claims into a compact JWS with the given `typ`.
    ///
    /// # Errors
    /// `Fault` when the library fails.
    pub fn sign(&self, typ: &str, claims: &serde_json::Map<String, Value>) -> Result<String> {
        let bytes = serde_json::to_vec(claims)
            .map_err(|error| Fault::caused("claims could not be encoded", error))?;
        Ok(self
            .signing
            .sign(typ, &bytes)
            .map_err(|error| Fault::caused("a token could not be signed", error))?)
    }

    /// Signs claims under a header of `alg` and `kid` alone, as apps' own tokens have it.
    ///
    /// # Errors
    /// `Fault` when the library fails.
    pub(crate) fn sign_untyped(&self, claims: &serde_json::Map<String, Value>) -> Result<String> {
        let bytes = serde_json::to_vec(claims)
            .map_err(|error| Fault::caused("claims could not be encoded", error))?;
        let header =
            serde_json::json!({ "alg": self.algorithm().as_str(), "kid": self.signing.kid() }).to_string();
        Ok(self
            .signing
            .sign_header_json(&header, &bytes)
            .map_err(|error| Fault::caused("a token could not be signed", error))?)
    }

    /// The algorithm of this key.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        algorithm(self.record.algorithm)
    }
}

/// A JWT of ours whose signature is good; nothing else was checked.
#[derive(Clone, Debug)]
pub struct OwnJwt {
    /// `typ` of the header.
    pub typ: Option<String>,
    /// The claims.
    pub claims: serde_json::Map<String, Value>,
}

impl Doorward {
    /// The key for an algorithm.
    pub(crate) fn signing_key(&self, wanted: SigningAlgorithm, now: Timestamp) -> Result<Arc<Key>> {
        let keys = self.inner.keys.load();
        keys.signing(wanted, now)
            .cloned()
            .ok_or_else(|| Error::Fault(Fault::internal("there is no signing key for this algorithm")))
    }

    /// The JWK set as JSON.
    #[must_use]
    pub fn jwks(&self, first: Option<SigningAlgorithm>) -> Value {
        self.inner.keys.load().jwks(first, self.now())
    }

    /// Checks the signature of a JWT that we may have issued. `None` when we did not.
    #[must_use]
    pub fn open_own_jwt(&self, text: &str) -> Option<OwnJwt> {
        self.open_jwt(text, None)
    }

    /// The same for a JWT that must be signed with this algorithm.
    pub(crate) fn open_jwt_of(&self, text: &str, wanted: Algorithm) -> Option<OwnJwt> {
        self.open_jwt(text, Some(wanted))
    }

    fn open_jwt(&self, text: &str, wanted: Option<Algorithm>) -> Option<OwnJwt> {
        let unverified = jose::parse_compact(text, LONGEST_JWT).ok()?;
        if wanted.is_some_and(|wanted| wanted != unverified.header.alg) {
            return None;
        }
        let keys = self.inner.keys.load();
        let key = keys.by_kid.get(unverified.header.kid.as_deref()?)?;
        // Whoever has a key that was withdrawn because it leaked makes whatever tokens they like.
        if !key.record.is_published(self.now()) {
            return None;
        }
        let typ = unverified.header.typ.clone();
        let payload = unverified.verify(&key.verifier, &[key.algorithm()]).ok()?;
        let claims = serde_json::from_slice(&payload).ok()?;
        Some(OwnJwt { typ, claims })
    }

    /// Makes a key of an algorithm that signs from `signs_from` on.
    async fn make_key(
        &self,
        wanted: SigningAlgorithm,
        signs_from: Timestamp,
        now: Timestamp,
    ) -> Result<KeyRecord> {
        let made = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm(wanted))).await;
        let signing = made
            .map_err(|error| Fault::caused("making a key was interrupted", error))?
            .map_err(|error| Fault::caused("a key could not be made", error))?;
        let jwk: Jwk = signing.public_jwk();
        let public_jwk =
            serde_json::to_value(&jwk).map_err(|error| Fault::caused("a key could not be encoded", error))?;
        let pkcs8 = signing
            .to_pkcs8()
            .map_err(|error| Fault::caused("a key could not be encoded", error))?;
        let private_sealed = self.inner.keyring.seal(SEAL, &self.random(), &pkcs8);
        Ok(KeyRecord {
            id: self.mint(now),
            kid: signing.kid().to_owned(),
            algorithm: wanted,
            public_jwk,
            private_sealed,
            created_at: now,
            signs_from,
            withdrawn_at: None,
        })
    }

    /// Makes sure that each algorithm has a key; called at every start.
    pub(crate) async fn ensure_keys(&self, store: &Store) -> Result<()> {
        let now = self.now();
        let present = store.read().keys().await?;
        for wanted in SigningAlgorithm::ALL {
            if key::signing(&present, *wanted, now).is_none() {
                self.add_key(store, *wanted, now, Origin::default()).await?;
            }
        }
        Ok(())
    }

    async fn add_key(
        &self,
        store: &Store,
        wanted: SigningAlgorithm,
        from: Timestamp,
        origin: Origin,
    ) -> Result<KeyRecord> {
        let now = self.now();
        let record = self.make_key(wanted, from, now).await?;
        let tx = store.begin().await?;
        tx.add_key(&record).await?;
        self.note_key(&tx, "added", &record, &origin).await?;
        tx.commit().await?;
        Ok(record)
    }

    async fn note_key(&self, tx: &Tx, what: &str, record: &KeyRecord, origin: &Origin) -> Result<()> {
        let now = self.now();
        let details = json!({ "what": what, "kid": record.kid, "algorithm": record.algorithm, "signs_from": record.signs_from.to_string() });
        let about = About {
            details,
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::KeyChanged, about, origin, now))
            .await?;
        tx.changed(topic::KEYS, &record.kid, now);
        Ok(())
    }

    /// Rotates one algorithm: the new key is published at once and signs after `announce`; older ones stay published for
    /// the overlap and are then withdrawn.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn rotate_key(&self, wanted: SigningAlgorithm, announce: Lifetime) -> Result<KeyRecord> {
        let now = self.now();
        let store = self.store()?;
        let signs_from = now.plus(announce);
        let record = self.make_key(wanted, signs_from, now).await?;
        let tx = store.begin().await?;
        let withdraw_at = signs_from.plus(key::OVERLAP);
        for old in tx
            .keys()
            .await?
            .iter()
            .filter(|old| old.algorithm == wanted && old.withdrawn_at.is_none())
        {
            tx.withdraw_key(old.id, withdraw_at).await?;
        }
        tx.add_key(&record).await?;
        self.note_key(&tx, "rotated", &record, &Origin::default()).await?;
        tx.commit().await?;
        self.reload_keys(store).await?;
        Ok(record)
    }

    /// Withdraws a key at once (it leaked). Another key that signs already must exist.
    ///
    /// # Errors
    /// `NotFound` for an unknown `kid`, `Invalid` when it is the only one that signs.
    pub async fn withdraw_key(&self, kid: &str) -> Result<()> {
        let now = self.now();
        let store = self.store()?;
        let tx = store.begin().await?;
        let keys = tx.keys().await?;
        let Some(record) = keys.iter().find(|key| key.kid == kid) else {
            return Err(Error::NotFound(format!(
                "there is no key `{kid}`; `doorward key list` shows them"
            )));
        };
        let others = keys.iter().filter(|key| key.kid != kid && key.signs_from <= now);
        if key::signing(others, record.algorithm, now).is_none() {
            return Err(Error::Invalid(format!(
                "`{kid}` is the only {} key that signs; run `doorward key rotate --algorithm {} --now` first",
                record.algorithm, record.algorithm
            )));
        }
        tx.withdraw_key(record.id, now).await?;
        self.note_key(&tx, "withdrawn", record, &Origin::default())
            .await?;
        tx.commit().await?;
        self.reload_keys(store).await
    }

    /// Rotates what is due; run by the schedule.
    pub(crate) async fn rotate_due_keys(&self) -> Result<()> {
        let now = self.now();
        let records = self.store()?.read().keys().await?;
        for wanted in SigningAlgorithm::ALL {
            if key::is_due(&records, *wanted, now) {
                self.rotate_key(*wanted, key::ANNOUNCE).await?;
            }
        }
        Ok(())
    }
}
