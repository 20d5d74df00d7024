//! Sentences that a handler chooses and a page speaks: a key of the Fluent files with its values.

use std::borrow::Cow;

use doorward_domain::Reason;

use super::Page;
use crate::locale::Value;

/// A sentence by its key, with values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    key: Cow<'static, str>,
    values: Vec<(&'static str, Value<'a>)>,
}

impl<'a> Message<'a> {
    /// A message by its key in `locales/`.
    #[must_use]
    pub const fn new(key: &'static str) -> Self {
        Self {
            key: Cow::Borrowed(key),
            values: Vec::new(),
        }
    }

    /// The same with a value put in.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value<'a>>) -> Self {
        self.values.push((name, value.into()));
        self
    }

    /// The sentence in the page's language.
    pub(crate) fn speak(&self, page: &Page<'_>) -> Cow<'static, str> {
        match self.complaint() {
            Some((_, known)) => page.language.text(&known.key, &known.values),
            None => page.language.text(&self.key, &self.values),
        }
    }

    /// The server's own words (`field-problem`) as one of our messages, when we know the complaint.
    fn complaint(&self) -> Option<(&'static str, Message<'static>)> {
        match self.values.as_slice() {
            [("problem", Value::Text(text))] if self.key == FIELD_PROBLEM => complaint(text),
            _ => None,
        }
    }
}

/// Key of what the server says in its own words, in the value `problem`.
const FIELD_PROBLEM: &str = "field-problem";

/// Fields of our forms that the server's complaints begin with.
const FIELDS: &[&str] = &["username", "name", "email", "password", "locale"];

/// Sorts a complaint that begins with the name of a field ("password is too short; expected at least 8 characters") to
/// that field and to words of ours; `None` when it is about no field of a form or a complaint that we do not know.
fn complaint(text: &str) -> Option<(&'static str, Message<'static>)> {
    let (first, _) = text.split_once(' ')?;
    let field = FIELDS.iter().copied().find(|field| *field == first)?;
    // What was typed stands between backquotes and must not be mistaken for our words.
    let ours: String = text.split('`').step_by(2).collect();
    let count = || number(&ours).unwrap_or_default();
    let message = match field {
        "email" if ours.contains("belongs") => Message::new("problem-email-taken"),
        "email" => Message::new("problem-email-invalid"),
        "username" if ours.contains("is taken") => Message::new("problem-username-taken"),
        "password" if ours.contains("too short") => {
            Message::new("problem-password-short").with("count", count())
        }
        "password" if ours.contains("too long") => {
            Message::new("problem-password-long").with("count", count())
        }
        "password" if ours.contains("something else") => Message::new("problem-password-weak"),
        "name" if ours.contains("is taken") => Message::new("problem-name-taken"),
        _ if ours.contains("is empty") => Message::new("problem-required"),
        _ if ours.contains("at most") => Message::new("problem-too-long").with("count", count()),
        "username" => Message::new("problem-username-invalid"),
        _ => return None,
    };
    Some((field, message))
}

/// The last number of a sentence: the one after "expected at least".
fn number(text: &str) -> Option<u64> {
    text.rsplit(|c: char| !c.is_ascii_digit())
        .find(|digits| !digits.is_empty())?
        .parse()
        .ok()
}

/// Something that went wrong with a form: one sentence above the fields, with what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem<'a> {
    message: Message<'a>,
    advice: Option<Cow<'static, str>>,
    wait_seconds: Option<u64>,
    code: Option<&'a str>,
}

impl<'a> Problem<'a> {
    /// A problem in the words of a message.
    #[must_use]
    pub const fn new(message: Message<'a>) -> Self {
        Self {
            message,
            advice: None,
            wait_seconds: None,
            code: None,
        }
    }

    /// The problem that a rule refused.
    #[must_use]
    pub fn refused(reason: Reason) -> Self {
        let key = format!("refusal-{reason}");
        Self {
            advice: Some(Cow::Owned(format!("{key}.help"))),
            message: Message {
                key: Cow::Owned(key),
                values: Vec::new(),
            },
            wait_seconds: None,
            code: None,
        }
    }

    /// The same, saying when to try again, in seconds from now.
    #[must_use]
    pub const fn wait(mut self, seconds: u64) -> Self {
        self.wait_seconds = Some(seconds);
        self
    }

    /// The same with the short code that leads an administrator to the reason.
    #[must_use]
    pub const fn code(mut self, code: &'a str) -> Self {
        self.code = Some(code);
        self
    }

    /// The sentence, then the time to wait or else the advice.
    pub(crate) fn speak(&self, page: &Page<'_>) -> String {
        let mut text = match self.message.values.is_empty() {
            // Refusals may name the application; a form does not know which.
            true => page.t1(&self.message.key, "application", page.t("this-application")),
            false => self.message.speak(page),
        }
        .into_owned();
        let next = match (self.wait_seconds, &self.advice) {
            (Some(seconds), _) => Some(wait(page, seconds)),
            (None, Some(key)) => Some(page.t1(key, "application", page.t("this-application"))),
            (None, None) => None,
        };
        if let Some(next) = next {
            text.push(' ');
            text.push_str(&next);
        }
        text
    }

    /// The short code.
    pub(crate) const fn short_code(&self) -> Option<&'a str> {
        self.code
    }
}

/// "You can try again in 2 minutes."; rounded up, so that the promise holds.
pub(crate) fn wait(page: &Page<'_>, seconds: u64) -> Cow<'static, str> {
    match seconds {
        0..=90 => page.t1("wait-seconds", "count", seconds.max(1)),
        91..=5400 => page.t1("wait-minutes", "count", seconds.div_ceil(60)),
        _ => page.t1("wait-hours", "count", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward_domain::text;

    fn sorted(text: &str) -> (&'static str, Message<'static>) {
        complaint(text).expect("a field")
    }

    #[test]
    fn the_servers_complaints_find_their_field_and_their_words() {
        let short = "password is too short; expected at least 8 characters";
        assert_eq!(
            sorted(short),
            (
                "password",
                Message::new("problem-password-short").with("count", 8_u64)
            )
        );
        let bad = text::check_username("a b").expect_err("a space");
        assert_eq!(
            sorted(&bad),
            ("username", Message::new("problem-username-invalid"))
        );
        let long = text::check_username(&"a".repeat(151)).expect_err("too long");
        assert_eq!(
            sorted(&long),
            (
                "username",
                Message::new("problem-too-long").with("count", 150_u64)
            )
        );
        let empty = text::check_username("").expect_err("empty");
        assert_eq!(sorted(&empty), ("username", Message::new("problem-required")));
        let email = text::check_email("alice").expect_err("no address");
        assert_eq!(sorted(&email), ("email", Message::new("problem-email-invalid")));
        assert_eq!(
            sorted("username `alice` is taken").1,
            Message::new("problem-username-taken")
        );
    }

    #[test]
    fn what_was_typed_is_not_mistaken_for_the_servers_words() {
        assert_eq!(
            sorted("username `x is taken, at most 5` has a space").1,
            Message::new("problem-username-invalid")
        );
    }

    #[test]
    fn a_known_complaint_is_spoken_in_the_visitors_language_and_an_unknown_one_as_it_is() {
        let page = Page {
            language: crate::locale::Language::German,
            brand: "",
            here: "/",
            csrf: "",
            signed_in: None,
            now: doorward_domain::Timestamp::from_seconds(0),
            home: "",
            build: "",
        };
        let speak = |text: &str| {
            Message::new("field-problem")
                .with("problem", text)
                .speak(&page)
                .into_owned()
        };
        let short = "password is too short; expected at least 8 characters";
        assert_eq!(speak(short), "Bitte mindestens 8 Zeichen verwenden.");
        assert_eq!(
            speak("name has a control character"),
            "name has a control character"
        );
    }

    #[test]
    fn other_complaints_are_left_alone() {
        assert_eq!(complaint("slug `x` is taken"), None);
        assert_eq!(complaint("password"), None);
        assert_eq!(complaint("name has a control character"), None);
    }
}
