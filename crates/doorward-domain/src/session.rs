//! Signed-in browsers and the one lifetime rule.

use serde::{Deserialize, Serialize};

use crate::app_auth::AppSession;
use crate::{Lifetime, SessionId, Timestamp, UserId};

/// The one rule for how long sessions live, whichever way they began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionPolicy {
    /// A session ends this long after sign-in.
    pub lifetime: Lifetime,
    /// A session ends when unused for this long; `None`: no idle limit.
    pub idle: Option<Lifetime>,
    /// Sessions that are in memory count for this long while the database is away.
    pub away: Lifetime,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self {
            lifetime: Lifetime::from_days(14),
            idle: None,
            away: Lifetime::from_days(1),
        }
    }
}

/// How somebody proved who they are (RFC 8176 method names).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    /// When the proof was given.
    pub at: Timestamp,
    /// `amr` values, for example `pwd`.
    pub methods: Vec<String>,
}

/// A session as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Identifier; the `sid` claim.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// Latest authentication.
    pub authentication: Authentication,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was last seen (written at most once a minute).
    pub last_seen_at: Timestamp,
    /// When it was ended, if it was.
    pub ended_at: Option<Timestamp>,
    /// Address at sign-in.
    pub ip: Option<String>,
    /// `User-Agent` at sign-in, shortened to 256 characters.
    pub user_agent: Option<String>,
    /// The app that it is for; `None`: Doorward itself.
    #[serde(default)]
    pub app: Option<AppSession>,
}

impl Session {
    /// Is the session usable at `now`?
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }
}
