//! The page that says no, or that something is missing: one sentence what happened, what the person can do, and the
//! short code that leads an administrator to the reason.

use std::borrow::Cow;

use doorward_domain::Reason;

use super::difference::{Marked, difference};
use super::{Link, Page, message, page};
use crate::locale::Value;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble<'a> {
    /// A rule refused.
    Refused(Reason),
    /// Nothing lives at this address (404).
    NotFound,
    /// The form or address is used in a way that it is not made for (405).
    WrongMethod,
    /// More was sent than is read (413).
    TooLarge,
    /// Our own mistake (500); the code is the incident id.
    Fault,
    /// The database or the like is away (503).
    Unavailable,
    /// The service behind a guarded site gives no answer (502, 504).
    Service,
    /// The first administrator exists already.
    SetupClosed,
    /// The request came under another address than the one that is configured.
    Misconfigured {
        /// `public_url` as configured.
        public_url: &'a str,
        /// Scheme and host as the request came.
        requested: &'a str,
    },
}

impl<'a> Trouble<'a> {
    /// Key of the message; it has the attributes `title` and `help`.
    pub(crate) fn key(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Refused(reason) => return Cow::Owned(format!("refusal-{reason}")),
            Self::NotFound => "trouble-not-found",
            Self::WrongMethod => "trouble-wrong-method",
            Self::TooLarge => "trouble-too-large",
            Self::Fault => "trouble-fault",
            Self::Unavailable => "trouble-unavailable",
            Self::Service => "trouble-service",
            Self::SetupClosed => "trouble-setup-closed",
            Self::Misconfigured { .. } => "trouble-misconfigured",
        })
    }

    fn values(self) -> Vec<(&'static str, Value<'a>)> {
        match self {
            Self::Misconfigured {
                public_url,
                requested,
            } => {
                vec![("public_url", public_url.into()), ("requested", requested.into())]
            }
            _ => Vec::new(),
        }
    }
}

/// The refusal page.
#[derive(Clone, Debug)]
pub struct Refusal<'a> {
    /// What happened.
    pub trouble: Trouble<'a>,
    /// Name of the application it is about.
    pub application: Option<&'a str>,
    /// Short code or incident id.
    pub code: Option<&'a str>,
    /// Seconds until another try makes sense.
    pub wait_seconds: Option<u64>,
    /// Where "Try again" leads.
    pub retry: Option<Link<'a>>,
    /// What only administrators see.
    pub details: Option<RefusalDetails<'a>>,
}

/// What an administrator sees below a refusal.
#[derive(Clone, Debug, Default)]
pub struct RefusalDetails<'a> {
    /// The rule that decided and what it looked at, in one line.
    pub rule: &'a str,
    /// The redirect URI that the client sent.
    pub given: Option<&'a str>,
    /// The registered redirect URI nearest to it.
    pub nearest: Option<&'a str>,
    /// More inputs: label as the administrator knows it, and value.
    pub inputs: &'a [(&'a str, &'a str)],
}

impl RefusalDetails<'_> {
    /// Given and nearest URI, cut where they differ.
    pub(crate) fn comparison(&self) -> Option<(Marked<'_>, Marked<'_>)> {
        Some(difference(self.given?, self.nearest?))
    }
}

impl Refusal<'_> {
    pub(crate) fn title(&self, page: &Page<'_>) -> Cow<'static, str> {
        self.speak(page, ".title")
    }
    pub(crate) fn sentence(&self, page: &Page<'_>) -> Cow<'static, str> {
        self.speak(page, "")
    }
    pub(crate) fn help(&self, page: &Page<'_>) -> Cow<'static, str> {
        self.speak(page, ".help")
    }
    pub(crate) fn wait(&self, page: &Page<'_>) -> Option<Cow<'static, str>> {
        self.wait_seconds.map(|seconds| message::wait(page, seconds))
    }

    /// Is this the visitor's everyday life (wait, retry, another page) rather than a closed door?
    pub(crate) const fn is_mild(&self) -> bool {
        matches!(
            self.trouble,
            Trouble::NotFound
                | Trouble::SetupClosed
                | Trouble::Unavailable
                | Trouble::Refused(
                    Reason::AttemptExpired
                        | Reason::Busy
                        | Reason::SessionEnded
                        | Reason::ConsentDenied
                        | Reason::LinkSpent
                        | Reason::CookiesMissing
                )
        )
    }

    fn speak(&self, page: &Page<'_>, part: &str) -> Cow<'static, str> {
        let mut values = self.trouble.values();
        let application = match self.application {
            Some(name) => Cow::Borrowed(name),
            None => page.t("this-application"),
        };
        values.push(("application", application.into()));
        page.language
            .text(&format!("{}{part}", self.trouble.key()), &values)
    }
}
page!(Refusal, "refusal.html");

impl From<Reason> for Trouble<'_> {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locale::Language;

    #[test]
    fn every_refusal_has_title_sentence_and_help_in_every_language() {
        let own = [
            Trouble::NotFound,
            Trouble::WrongMethod,
            Trouble::TooLarge,
            Trouble::Fault,
            Trouble::Unavailable,
            Trouble::Service,
            Trouble::SetupClosed,
            Trouble::Misconfigured {
                public_url: "",
                requested: "",
            },
        ];
        let troubles = own
            .into_iter()
            .chain(Reason::ALL.iter().copied().map(Trouble::Refused));
        for trouble in troubles {
            for language in Language::ALL {
                for part in ["", ".title", ".help"] {
                    let key = format!("{}{part}", trouble.key());
                    assert!(language.has(&key), "{}: {key}", language.code());
                }
            }
        }
    }
}
