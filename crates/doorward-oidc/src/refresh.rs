//! Rotation of refresh tokens (RFC 9700 section 4.14.2): each use gives a new token; a token that comes again ends its family.
//!
//! Must not live here: claiming a token, which the store does in one statement.

use doorward_domain::token::RefreshRecord;
use doorward_domain::{ApplicationId, Lifetime, Timestamp};

/// A token that comes again within this time gets the same answer, because the first one may have been lost on the way.
pub const GRACE: Lifetime = Lifetime::from_seconds(10);

/// What to do with a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Claim it and issue new tokens.
    Rotate,
    /// Answer as before.
    SameAnswer,
    /// Used before: end the family, `invalid_grant`.
    Reuse,
    /// Too old, or its family has ended: `invalid_grant`.
    Expired,
    /// Issued to another client: `invalid_grant`, and the family lives on.
    Foreign,
}

/// Decides over a refresh token that was found.
#[must_use]
pub fn decide(
    record: &RefreshRecord,
    application_id: ApplicationId,
    family_ended: bool,
    now: Timestamp,
) -> Rotation {
    if record.application_id != application_id {
        return Rotation::Foreign;
    }
    if family_ended {
        return Rotation::Expired;
    }
    if let Some(used_at) = record.used_at {
        let in_grace = now.millis_since(used_at) <= GRACE.millis();
        return if in_grace && record.answer_sealed.is_some() {
            Rotation::SameAnswer
        } else {
            Rotation::Reuse
        };
    }
    if now >= record.expires_at {
        Rotation::Expired
    } else {
        Rotation::Rotate
    }
}
