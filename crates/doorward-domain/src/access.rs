//! The one decision "may this person enter this application", with the rule that decided it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use crate::application::{Application, Audience};
use crate::group::GroupTree;
use crate::refusal::Reason;
use crate::user::{Realm, User, UserKind};
use crate::{GroupId, UserId};

/// Who asks: a user with the effective groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// The user record.
    pub user: User,
    /// Direct and inherited groups.
    pub groups: BTreeSet<GroupId>,
    /// Member of a superuser group.
    pub superuser: bool,
}

impl Person {
    /// Resolves the direct memberships of a user against the tree.
    #[must_use]
    pub fn new(user: User, direct: impl IntoIterator<Item = GroupId>, tree: &GroupTree) -> Self {
        let groups = tree.effective(direct);
        let superuser = tree.is_superuser(&groups);
        Self {
            user,
            groups,
            superuser,
        }
    }
}

/// Why somebody is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admitted {
    /// The audience says "everyone".
    Everyone,
    /// Through this group.
    Group(GroupId),
    /// Named in the audience.
    User(UserId),
}

/// Decides whether `person` may enter `application`. Default deny: an empty audience admits nobody, not even superusers.
///
/// # Errors
/// The reason of the refusal.
pub fn admit(person: &Person, application: &Application) -> Result<Admitted, Reason> {
    if application.deleted_at.is_some() {
        return Err(Reason::ApplicationDeleted);
    }
    if person.user.deleted_at.is_some() || !person.user.active {
        return Err(Reason::UserInactive);
    }
    if person.user.kind == UserKind::Service {
        return Err(Reason::ServiceUser);
    }
    // People of one app exist for that app only, whatever an audience says.
    if let Realm::App(home) = person.user.realm
        && home != application.id
    {
        return Err(Reason::NotInAudience);
    }
    audience_admits(person, &application.audience)
}

/// The audience alone, for a person known to be active.
///
/// # Errors
/// `AudienceEmpty` or `NotInAudience`.
pub fn audience_admits(person: &Person, audience: &Audience) -> Result<Admitted, Reason> {
    if audience.is_empty() {
        return Err(Reason::AudienceEmpty);
    }
    if audience.everyone {
        return Ok(Admitted::Everyone);
    }
    if audience.users.contains(&person.user.id) {
        return Ok(Admitted::User(person.user.id));
    }
    audience
        .groups
        .intersection(&person.groups)
        .next()
        .map(|group| Admitted::Group(*group))
        .ok_or(Reason::NotInAudience)
}
