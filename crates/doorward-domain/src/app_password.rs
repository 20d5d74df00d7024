//! App passwords: secrets of a user for programs that cannot sign in on pages. They open sites behind forward auth only.

use std::collections::BTreeSet;

use crate::{AppPasswordId, ApplicationId, Timestamp, UserId};

/// Most app passwords that one user may have.
pub const MOST: usize = 50;
/// Most applications that one app password may name.
pub const MOST_APPLICATIONS: usize = 100;
/// Longest name in characters.
pub const LONGEST_NAME: usize = 100;

/// Where an app password works. The audience of the application has to admit the person all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At every site that the person may enter.
    EverySite,
    /// At the sites of these applications; nowhere when there are none.
    Applications(BTreeSet<ApplicationId>),
}

impl Reach {
    /// Does it reach the sites of this application?
    #[must_use]
    pub fn covers(&self, application: ApplicationId) -> bool {
        match self {
            Self::EverySite => true,
            Self::Applications(named) => named.contains(&application),
        }
    }

    /// The applications that are named.
    #[must_use]
    pub fn named(&self) -> Option<&BTreeSet<ApplicationId>> {
        match self {
            Self::EverySite => None,
            Self::Applications(named) => Some(named),
        }
    }
}

/// An app password as stored; the secret itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPassword {
    /// Identifier.
    pub id: AppPasswordId,
    /// For whom it acts.
    pub user_id: UserId,
    /// What its owner calls it; no two that were not revoked have the same, without regard to case.
    pub name: String,
    /// Where it works.
    pub reach: Reach,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; `None`: not by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute below.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl AppPassword {
    /// Does it work at `now`, as far as it alone decides?
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Id;

    #[test]
    fn a_list_of_no_applications_reaches_nothing() {
        let application = Id::mint(Timestamp::from_seconds(1), [1; 10]);
        let other = Id::mint(Timestamp::from_seconds(1), [2; 10]);
        assert!(Reach::EverySite.covers(application));
        assert!(!Reach::Applications(BTreeSet::new()).covers(application));
        let one = Reach::Applications([application].into());
        assert!(one.covers(application) && !one.covers(other));
    }

    #[test]
    fn it_works_until_it_ends_or_is_revoked() {
        let at = Timestamp::from_seconds;
        let mut password = AppPassword {
            id: Id::mint(at(1), [1; 10]),
            user_id: Id::mint(at(1), [2; 10]),
            name: "calendar".into(),
            reach: Reach::EverySite,
            created_at: at(1),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        assert!(password.is_live(at(1_000_000)));
        password.expires_at = Some(at(10));
        assert!(password.is_live(at(9)) && !password.is_live(at(10)));
        password.revoked_at = Some(at(5));
        assert!(!password.is_live(at(9)));
    }
}
