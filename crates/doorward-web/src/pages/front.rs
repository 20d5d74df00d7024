//! The way in: signing in, and choosing between the present user and another one.

use super::field::Field;
use super::{Link, Message, Page, Problem, initial, page, tint};

/// Where somebody is going: the application that asked for the sign-in.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// Name of the application.
    pub name: &'a str,
    /// Its picture.
    pub icon: Option<Link<'a>>,
}

impl Destination<'_> {
    pub(crate) fn initial(&self) -> String {
        initial(self.name)
    }
    pub(crate) fn tint(&self) -> u32 {
        tint(self.name)
    }
}

/// Who is signed in, as shown to themselves.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// Full name.
    pub name: &'a str,
    /// User name.
    pub username: &'a str,
}

impl Person<'_> {
    /// The name, or the user name of somebody who gave none.
    pub(crate) fn display(&self) -> &str {
        if self.name.trim().is_empty() {
            self.username
        } else {
            self.name
        }
    }
    pub(crate) fn initial(&self) -> String {
        initial(self.display())
    }
}

/// The sign-in page. Posts `attempt`, `username` and `password` to its own address.
#[derive(Clone, Debug)]
pub struct SignIn<'a> {
    /// Sealed state of this tab.
    pub attempt: &'a str,
    /// What is in the user name field: typed before, or the request's `login_hint`.
    pub username: &'a str,
    /// Where they are going; `None` for the portal.
    pub destination: Option<Destination<'a>>,
    /// What went wrong with the last try.
    pub problem: Option<Problem<'a>>,
    /// Good or neutral news above the fields, for example that the password was changed.
    pub notice: Option<Message<'a>>,
}

impl SignIn<'_> {
    pub(crate) fn fields(&self) -> [Field<'_>; 2] {
        let calm = self.problem.is_none();
        let mut username = Field::text("username", "field-username-or-email", self.username);
        username.autocomplete = "username webauthn";
        username.focus = calm && self.username.is_empty();
        let mut password = Field::password("password", "field-password", "current-password");
        password.focus = calm && !self.username.is_empty();
        [username, password]
    }
}
page!(SignIn, "sign_in.html");

/// Continue as the present user, or as another one. Posts `attempt` and `choice` (`continue` or `other`).
#[derive(Clone, Debug)]
pub struct SelectAccount<'a> {
    /// Sealed state of this tab.
    pub attempt: &'a str,
    /// Who is signed in.
    pub person: Person<'a>,
    /// Where they are going.
    pub destination: Option<Destination<'a>>,
}
page!(SelectAccount, "select_account.html");

impl Page<'_> {
    /// The problem of a form as one text.
    pub(crate) fn problem(&self, problem: &Problem<'_>) -> String {
        problem.speak(self)
    }
    /// A message that the handler chose.
    pub(crate) fn say(&self, message: &Message<'_>) -> std::borrow::Cow<'static, str> {
        message.speak(self)
    }
}
