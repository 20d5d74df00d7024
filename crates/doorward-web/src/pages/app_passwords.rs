//! App passwords: what the visitor's programs show instead of signing in.

use doorward_domain::Timestamp;

use super::field::Field;
use super::{Message, Problem, page};

/// One app password.
#[derive(Clone, Copy, Debug)]
pub struct AppPasswordItem<'a> {
    /// Identifier, as posted in the field `revoke`.
    pub id: &'a str,
    /// What its owner calls it.
    pub name: &'a str,
    /// Names of the applications that it was made for; `None`: every site.
    pub applications: Option<&'a str>,
    /// When it was made.
    pub since: Timestamp,
    /// When it was last used.
    pub used: Option<Timestamp>,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// Whether that is over.
    pub over: bool,
}

/// An application that an app password may be made for.
#[derive(Clone, Copy, Debug)]
pub struct AppPasswordChoice<'a> {
    /// Identifier, as posted in the field `application`.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Whether it was ticked.
    pub chosen: bool,
}

/// One that was made just now; its secret is on no other page.
#[derive(Clone, Copy)]
pub struct MadeSecret<'a> {
    /// What its owner calls it.
    pub name: &'a str,
    /// The secret.
    pub secret: &'a str,
}

impl std::fmt::Debug for MadeSecret<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeSecret")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Where a new one is to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// Not said yet.
    Open,
    /// `every`: every site that the person may enter.
    Every,
    /// `some`: the ticked applications.
    Some,
}

/// For how long a new one works: the values of the field `expires` that are days, besides `never`.
pub const EXPIRES_DAYS: [u32; 3] = [30, 90, 365];

/// The visitor's app passwords. Posts `csrf` and either `revoke` (an id), or `name`, `where`, `application` (repeated),
/// `expires` and `current_password`, to its own address.
#[derive(Clone, Debug)]
pub struct AppPasswords<'a> {
    /// Whose, for what is typed into programs, and for password managers.
    pub username: &'a str,
    /// All there are, oldest first.
    pub items: &'a [AppPasswordItem<'a>],
    /// Applications to choose from.
    pub choices: &'a [AppPasswordChoice<'a>],
    /// One that was made just now.
    pub made: Option<MadeSecret<'a>>,
    /// What was typed.
    pub name: &'a str,
    /// What was chosen.
    pub place: Where,
    /// What was chosen; `None` for never.
    pub days: Option<u32>,
    /// What is wrong with the whole form.
    pub problem: Option<Problem<'a>>,
    /// What is wrong with single fields, by field name.
    pub field_problems: &'a [(&'a str, Message<'a>)],
    /// That one was revoked.
    pub notice: Option<Message<'a>>,
}

impl AppPasswords<'_> {
    pub(crate) fn name_field(&self) -> Field<'_> {
        let mut field = Field::text("name", "app-password-name", self.name).complain(self.field_problems);
        field.hint = Some("app-password-name-hint");
        field.focus = field.problem.is_some();
        field
    }

    pub(crate) fn password_field(&self) -> Field<'_> {
        let mut field = Field::password("current_password", "field-current-password", "current-password")
            .complain(self.field_problems);
        field.hint = Some("app-password-proof");
        field
    }

    /// What is wrong with the choice of places.
    pub(crate) fn place_problem(&self) -> Option<&Message<'_>> {
        let problem = self.field_problems.iter().find(|(name, _)| *name == "where");
        problem.map(|(_, message)| message)
    }

    pub(crate) fn is_every(&self) -> bool {
        self.place == Where::Every
    }

    pub(crate) fn is_some(&self) -> bool {
        self.place == Where::Some
    }

    /// Days, and whether they are the chosen ones.
    pub(crate) fn spans(&self) -> [(u64, bool); 3] {
        EXPIRES_DAYS.map(|days| (u64::from(days), self.days == Some(days)))
    }
}
page!(AppPasswords, "app_passwords.html");
