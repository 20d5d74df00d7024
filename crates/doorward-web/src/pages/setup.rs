//! First start: making the first administrator, and getting back in by a link from the server itself.

use super::field::{Field, Kind};
use super::{Link, Message, Problem, page};

/// The set-up form. Posts `attempt`, `token` (only when asked for), `username`, `name`, `email`, `password` and
/// `password_confirm` to its own address.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// Sealed state of this tab.
    pub attempt: &'a str,
    /// `Some(what was typed)` at the address without a token, which has to ask for the set-up code.
    pub token: Option<&'a str>,
    /// What was typed.
    pub username: &'a str,
    /// What was typed.
    pub name: &'a str,
    /// What was typed.
    pub email: &'a str,
    /// What is wrong with the whole form.
    pub problem: Option<Problem<'a>>,
    /// What is wrong with single fields, by field name.
    pub field_problems: &'a [(&'a str, Message<'a>)],
}

impl Setup<'_> {
    pub(crate) fn fields(&self) -> Vec<Field<'_>> {
        let mut fields = Vec::with_capacity(6);
        if let Some(token) = self.token {
            let mut field = Field::text("token", "field-setup-code", token);
            field.hint = Some("field-setup-code-hint");
            fields.push(field);
        }
        let mut username = Field::text("username", "field-username", self.username);
        username.autocomplete = "username";
        let mut name = Field::text("name", "field-name", self.name);
        name.autocomplete = "name";
        let mut email = Field::text("email", "field-email", self.email);
        email.kind = Kind::Email;
        email.autocomplete = "email";
        name.required = false;
        email.required = false;
        fields.extend([username, name, email]);
        let [mut password, mut again] = new_passwords();
        password.label = "field-password";
        again.label = "field-password-again";
        fields.extend([password, again]);
        let calm = self.problem.is_none() && self.field_problems.is_empty();
        let mut fields: Vec<Field<'_>> = fields
            .into_iter()
            .map(|field| field.complain(self.field_problems))
            .collect();
        focus(&mut fields, calm);
        fields
    }
}
page!(Setup, "setup.html");

/// The first administrator exists.
#[derive(Clone, Debug)]
pub struct SetupDone<'a> {
    /// Their user name.
    pub username: &'a str,
    /// Where to go next: the sign-in page, or the portal for somebody who is signed in already.
    pub enter: Link<'a>,
    /// The command that registers a first application.
    pub command: &'a str,
}

impl SetupDone<'_> {
    /// Does the next step lead into the house, because the administrator is signed in already?
    pub(crate) fn is_inside(&self) -> bool {
        self.enter.as_str().starts_with("/if/user/")
    }

    /// The command with each option on a line of its own, as a shell reads it.
    pub(crate) fn command_lines(&self) -> String {
        self.command.replace(" --", " \\\n  --")
    }
}
page!(SetupDone, "setup_done.html");

/// A new password by a recovery link. Posts `attempt`, `password` and `password_confirm` to its own address.
#[derive(Clone, Debug)]
pub struct Recover<'a> {
    /// Sealed state of this tab.
    pub attempt: &'a str,
    /// Whose password it is.
    pub username: &'a str,
    /// What is wrong with the whole form.
    pub problem: Option<Problem<'a>>,
    /// What is wrong with single fields, by field name.
    pub field_problems: &'a [(&'a str, Message<'a>)],
}

impl Recover<'_> {
    pub(crate) fn fields(&self) -> Vec<Field<'_>> {
        let calm = self.problem.is_none() && self.field_problems.is_empty();
        let mut fields: Vec<Field<'_>> = new_passwords()
            .into_iter()
            .map(|field| field.complain(self.field_problems))
            .collect();
        focus(&mut fields, calm);
        fields
    }
}
page!(Recover, "recover.html");

/// A new password, twice.
pub(crate) fn new_passwords<'a>() -> [Field<'a>; 2] {
    let mut password = Field::password("password", "field-new-password", "new-password");
    password.hint = Some("field-new-password-hint");
    let confirm = Field::password("password_confirm", "field-password-confirm", "new-password");
    [password, confirm]
}

/// Puts the keyboard on the first field that has a complaint; on the first field of a fresh form.
pub(crate) fn focus(fields: &mut [Field<'_>], fresh: bool) {
    let wanted = if fresh {
        Some(0)
    } else {
        fields.iter().position(|field| field.problem.is_some())
    };
    if let Some(field) = wanted.and_then(|at| fields.get_mut(at)) {
        field.focus = true;
    }
}
