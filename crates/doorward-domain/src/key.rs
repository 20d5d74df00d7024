//! Signing keys as records and the rule for their rotation with overlap.

use serde::{Deserialize, Serialize};

use crate::client::SigningAlgorithm;
use crate::{KeyId, Lifetime, Timestamp};

/// A signing key as stored; the private half is sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Identifier.
    pub id: KeyId,
    /// `kid` in JWS headers and the JWK set: the RFC 7638 thumbprint.
    pub kid: String,
    /// Algorithm it signs with.
    pub algorithm: SigningAlgorithm,
    /// Public JWK as JSON.
    pub public_jwk: serde_json::Value,
    /// PKCS#8, sealed with the key ring.
    pub private_sealed: Vec<u8>,
    /// When it was made; it is published from then on.
    pub created_at: Timestamp,
    /// From when on it signs.
    pub signs_from: Timestamp,
    /// When it leaves the published set; `None` while it may still sign.
    pub withdrawn_at: Option<Timestamp>,
}

impl std::fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRecord")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .field("signs_from", &self.signs_from)
            .field("withdrawn_at", &self.withdrawn_at)
            .finish_non_exhaustive()
    }
}

/// Keys are replaced by schedule after this time.
pub const ROTATE_AFTER: Lifetime = Lifetime::from_days(90);
/// A new key is published this long before it signs, so that caches have seen it.
pub const ANNOUNCE: Lifetime = Lifetime::from_hours(24);
/// An old key stays published this long after its successor began to sign.
pub const OVERLAP: Lifetime = Lifetime::from_days(31);

impl KeyRecord {
    /// Is the key in the published set at `now`?
    #[must_use]
    pub fn is_published(&self, now: Timestamp) -> bool {
        self.withdrawn_at.is_none_or(|at| now < at)
    }
}

/// The key that signs with `algorithm` at `now`: the published one with the latest start that has come.
pub fn signing<'a>(
    keys: impl IntoIterator<Item = &'a KeyRecord>,
    algorithm: SigningAlgorithm,
    now: Timestamp,
) -> Option<&'a KeyRecord> {
    let mut earliest: Option<&KeyRecord> = None;
    let mut current: Option<&KeyRecord> = None;
    for key in keys
        .into_iter()
        .filter(|key| key.algorithm == algorithm && key.is_published(now))
    {
        let order = |key: &KeyRecord| (key.signs_from, key.created_at);
        if key.signs_from <= now && current.is_none_or(|best| order(key) > order(best)) {
            current = Some(key);
        }
        if earliest.is_none_or(|best| order(key) < order(best)) {
            earliest = Some(key);
        }
    }
    // When the clock went back behind the only key's start, it signs all the same: no token would be worse.
    current.or(earliest)
}

/// Does the schedule ask for a new key? True when the newest key of the algorithm is older than [`ROTATE_AFTER`].
pub fn is_due<'a>(
    keys: impl IntoIterator<Item = &'a KeyRecord>,
    algorithm: SigningAlgorithm,
    now: Timestamp,
) -> bool {
    keys.into_iter()
        .filter(|key| key.algorithm == algorithm && key.withdrawn_at.is_none())
        .map(|key| key.created_at)
        .max()
        .is_none_or(|newest| now.millis_since(newest) > ROTATE_AFTER.millis())
}
