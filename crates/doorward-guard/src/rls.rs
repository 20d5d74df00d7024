//! Row-level security in PostgreSQL: transactions that tell the database for whom they are.
//!
//! Policies read `current_setting('app.current_user_id', true)` and `app.current_workspace_id`. Both are set with
//! `set_config(…, true)`, which takes parameters and ends with the transaction; nothing is left on the connection when it
//! goes back to the pool. (`SET LOCAL` takes no parameters: with the prepared protocol it is a syntax error, and without it
//! an invitation to put an id into SQL text.)
//!
//! Once a setting was made in a connection, PostgreSQL gives an empty text for it afterwards rather than nothing, so
//! policies say `nullif(current_setting('app.current_user_id', true), '')`.

#[cfg(feature = "sqlx")]
mod on_sqlx;
#[cfg(feature = "tokio-postgres")]
mod on_tokio_postgres;

#[cfg(feature = "sqlx")]
pub use on_sqlx::{begin, check, enter};
#[cfg(feature = "tokio-postgres")]
pub use on_tokio_postgres::begin as begin_tokio_postgres;

use crate::caller::{Caller, LONGEST_ID, Person};
use crate::refusal::{Kind, Refusal};

/// The statement that sets both, in one round trip.
#[cfg(any(feature = "sqlx", feature = "tokio-postgres"))]
const ENTER: &str =
    "select set_config('app.current_user_id', $1, true), set_config('app.current_workspace_id', $2, true)";

/// For whom a transaction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowContext {
    user: String,
    /// Empty: none. Always set, so that no earlier one can be left.
    workspace: String,
}

/// An id that can name nobody: empty, longer than 255 bytes, or with control characters. Nothing was asked of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id for row-level security is empty, longer than {LONGEST_ID} bytes, or has control characters")]
pub struct BadId;

impl RowContext {
    /// For this person, in the workspace of the person's session.
    ///
    /// # Errors
    ///
    /// [`BadId`].
    pub fn of(person: &Person) -> Result<Self, BadId> {
        Self::new(&person.id, person.workspace.as_deref())
    }

    /// For these ids. Services have no rows of their own: decide what a service's id is in your tables before passing it
    /// here, for it may be spelled like a person's.
    ///
    /// # Errors
    ///
    /// [`BadId`].
    pub fn new(user: &str, workspace: Option<&str>) -> Result<Self, BadId> {
        let id = |text: &str| crate::caller::id(Some(text)).ok_or(BadId);
        Ok(Self {
            user: id(user)?,
            workspace: workspace.map(id).transpose()?.unwrap_or_default(),
        })
    }

    /// The same person in another workspace. That the person belongs to it is for the policy to decide.
    ///
    /// # Errors
    ///
    /// [`BadId`].
    pub fn in_workspace(&self, workspace: &str) -> Result<Self, BadId> {
        Self::new(&self.user, Some(workspace))
    }

    /// The person's id.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The workspace's id.
    #[must_use]
    pub fn workspace(&self) -> Option<&str> {
        Some(self.workspace.as_str()).filter(|id| !id.is_empty())
    }
}

impl TryFrom<&Caller> for RowContext {
    type Error = Refusal;

    /// For the person who calls; services are refused.
    fn try_from(caller: &Caller) -> Result<Self, Refusal> {
        let person = caller.person().ok_or_else(|| Refusal::of(Kind::PersonsOnly))?;
        Ok(Self::of(person)?)
    }
}

impl From<BadId> for Refusal {
    /// Ids of callers were checked when they came in, so this one came from the program.
    fn from(bad: BadId) -> Self {
        Self::internal(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::{BadId, RowContext};

    #[test]
    fn hostile_ids_do_not_get_as_far_as_the_database() {
        for id in ["", "a\0b", "\n", &"x".repeat(256), &"x".repeat(10_000)] {
            assert_eq!(RowContext::new(id, None), Err(BadId));
            assert_eq!(RowContext::new("u", Some(id)), Err(BadId));
        }
        let hostile = RowContext::new("'; drop table notes; --", Some("w")).expect("a context");
        assert_eq!(hostile.user(), "'; drop table notes; --");
        assert_eq!(hostile.workspace(), Some("w"));
    }
}
