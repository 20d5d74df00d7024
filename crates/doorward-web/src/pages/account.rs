//! The account area: one page per concern, each showing and changing only what is the visitor's own.

use std::borrow::Cow;

use doorward_domain::event::EventKind;
use doorward_domain::{Reason, Timestamp};

use super::field::Field;
use super::setup::{focus, new_passwords};
use super::{Destination, DeviceName, Link, Message, Page, Person, Problem, Scope, page};
use crate::locale::{Language, Value};

/// Facts about the visitor. Posts `csrf`, `name` and `locale` to its own address.
#[derive(Clone, Debug)]
pub struct Profile<'a> {
    /// Who.
    pub person: Person<'a>,
    /// E-mail address.
    pub email: Option<&'a str>,
    /// Whether the address was proved.
    pub email_verified: bool,
    /// Preferred language tag; empty for "as the browser asks".
    pub locale: &'a str,
    /// What was wrong with the last change.
    pub problem: Option<Problem<'a>>,
    /// That the last change was saved.
    pub notice: Option<Message<'a>>,
}

impl Profile<'_> {
    pub(crate) fn fields(&self) -> [Field<'_>; 1] {
        let mut name = Field::text("name", "field-name", self.person.name);
        name.autocomplete = "name";
        [name]
    }
    /// Tag, name, and whether it is the chosen one.
    pub(crate) fn locales(&self) -> Vec<(&'static str, &'static str, bool)> {
        let chosen = Language::from_tag(self.locale);
        Language::ALL
            .iter()
            .map(|language| (language.code(), language.name(), chosen == Some(*language)))
            .collect()
    }
}
page!(Profile, "profile.html");

/// Changing the password. Posts `csrf`, `current_password`, `password` and `password_confirm` to its own address.
#[derive(Clone, Debug)]
pub struct Password<'a> {
    /// Whose, for password managers.
    pub username: &'a str,
    /// What is wrong with the whole form.
    pub problem: Option<Problem<'a>>,
    /// What is wrong with single fields, by field name.
    pub field_problems: &'a [(&'a str, Message<'a>)],
    /// That the password was changed.
    pub notice: Option<Message<'a>>,
}

impl Password<'_> {
    pub(crate) fn fields(&self) -> Vec<Field<'_>> {
        let current = Field::password("current_password", "field-current-password", "current-password");
        let mut fields: Vec<Field<'_>> = std::iter::once(current)
            .chain(new_passwords())
            .map(|field| field.complain(self.field_problems))
            .collect();
        if !self.field_problems.is_empty() {
            focus(&mut fields, false);
        }
        fields
    }
}
page!(Password, "password.html");

/// One signed-in browser.
#[derive(Clone, Copy, Debug)]
pub struct SessionItem<'a> {
    /// Identifier, as posted in the field `session`.
    pub id: &'a str,
    /// The browser.
    pub device: DeviceName,
    /// Network address at sign-in.
    pub address: Option<&'a str>,
    /// When it began.
    pub since: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// Whether it is the one that looks at this page.
    pub current: bool,
}

/// The visitor's sessions. Posts `csrf` and `session` (an id, or `all`) to its own address.
#[derive(Clone, Debug)]
pub struct Sessions<'a> {
    /// The sessions, this one first.
    pub sessions: &'a [SessionItem<'a>],
    /// That something was ended.
    pub notice: Option<Message<'a>>,
}
page!(Sessions, "sessions.html");

/// What one client was allowed.
#[derive(Clone, Debug)]
pub struct ConnectedApplication<'a> {
    /// Identifier, as posted in the field `grant`.
    pub id: &'a str,
    /// The application.
    pub application: Destination<'a>,
    /// What was allowed.
    pub scopes: &'a [Scope<'a>],
    /// When.
    pub since: Timestamp,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
}

/// Connected applications. Posts `csrf` and `grant` to its own address.
#[derive(Clone, Debug)]
pub struct Grants<'a> {
    /// What was allowed, newest first.
    pub grants: &'a [ConnectedApplication<'a>],
    /// That something was taken back.
    pub notice: Option<Message<'a>>,
}
page!(Grants, "grants.html");

/// One of the visitor's own events.
#[derive(Clone, Copy, Debug)]
pub struct ActivityItem<'a> {
    /// What happened.
    pub kind: EventKind,
    /// Which rule refused.
    pub reason: Option<Reason>,
    /// Short code of a refusal.
    pub code: Option<&'a str>,
    /// Which application it was about.
    pub application: Option<&'a str>,
    /// When.
    pub at: Timestamp,
    /// From which browser.
    pub device: Option<DeviceName>,
    /// From which network address.
    pub address: Option<&'a str>,
}

impl ActivityItem<'_> {
    /// "Signed in to Grafana"
    pub(crate) fn what(&self, page: &Page<'_>) -> Cow<'static, str> {
        if self.kind == EventKind::Refused && self.application.is_none() {
            return page.t("event-refused-plain");
        }
        page.t1(
            &format!("event-{}", self.kind),
            "application",
            self.application(page),
        )
    }
    /// Why it was refused.
    pub(crate) fn why(&self, page: &Page<'_>) -> Option<Cow<'static, str>> {
        let reason = self.reason?;
        let application = Value::from(self.application(page));
        Some(
            page.language
                .text(&format!("refusal-{reason}"), &[("application", application)]),
        )
    }
    fn application(&self, page: &Page<'_>) -> Cow<'_, str> {
        match self.application {
            Some(name) => Cow::Borrowed(name),
            None => page.t("an-application"),
        }
    }
}

/// The visitor's own events, newest first.
#[derive(Clone, Debug)]
pub struct Activity<'a> {
    /// The events of this page.
    pub items: &'a [ActivityItem<'a>],
    /// The next page (older events).
    pub older: Option<Link<'a>>,
    /// Back to the newest, when this is not the first page.
    pub newest: Option<Link<'a>>,
}
page!(Activity, "activity.html");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_event_has_words_in_every_language() {
        for kind in EventKind::ALL {
            for language in Language::ALL {
                assert!(
                    language.has(&format!("event-{kind}")),
                    "{}: {kind}",
                    language.code()
                );
            }
        }
    }
}
