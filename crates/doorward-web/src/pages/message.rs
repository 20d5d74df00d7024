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

    /// Key, or its part as `key.part`, spoken in the page's language.
    pub(crate) fn speak(&self, page: &Page<'_>) -> Cow<'static, str> {
        page.language.text(&self.key, &self.values)
    }
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
