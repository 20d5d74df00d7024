//! Typed identifiers. One generic `Id<Kind>` over a UUID, so that a session id never stands in for a user id.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;
use uuid::Uuid;

use crate::time::Timestamp;

/// Identifier of one kind of record; UUIDv7 when minted by Doorward.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id<K> {
    uuid: Uuid,
    #[serde(skip)]
    kind: PhantomData<fn() -> K>,
}

impl<K> Id<K> {
    /// Wraps a UUID read from storage or the wire.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self {
            uuid,
            kind: PhantomData,
        }
    }

    /// The UUID inside.
    #[must_use]
    pub const fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// Builds a UUIDv7 from a time stamp and ten random bytes (RFC 9562 section 5.7).
    #[must_use]
    pub fn mint(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        Self::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uuid, f)
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uuid, f)
    }
}
impl<K> FromStr for Id<K> {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self::from_uuid)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $alias:ident),* $(,)?) => {
        /// Marker types for [`Id`].
        pub mod kind {
            $($(#[$doc])* pub enum $kind {})*
        }
        $($(#[$doc])* pub type $alias = Id<kind::$kind>;)*
    };
}

kinds! {
    /// A person or service.
    User => UserId,
    /// A group of users.
    Group => GroupId,
    /// An application that people enter.
    Application => ApplicationId,
    /// A signed-in browser.
    Session => SessionId,
    /// What a user allowed a client.
    Grant => GrantId,
    /// The chain of tokens that hangs off one authorization.
    Family => FamilyId,
    /// A signing key.
    Key => KeyId,
    /// A custom scope.
    Scope => ScopeId,
    /// A client secret or API token.
    Secret => SecretId,
    /// An account at another provider.
    Account => AccountId,
    /// Something that an app keeps.
    AppRecord => AppRecordId,
    /// An app password.
    AppPassword => AppPasswordId,
    /// An audit event.
    Event => EventId,
    /// A queued job.
    Job => JobId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_ids_sort_by_time() {
        let early = UserId::mint(Timestamp::from_millis(1_000), [255; 10]);
        let late = UserId::mint(Timestamp::from_millis(2_000), [0; 10]);
        assert!(early < late);
        assert_eq!(early.uuid().get_version_num(), 7);
        assert_eq!(early.to_string().parse::<UserId>().unwrap(), early);
    }
}
