//! Saying yes or no to what a client asks for.

use std::borrow::Cow;

use super::{Destination, Page, Person, page};

/// One thing that a client asks for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Scope name as the client sent it.
    pub name: &'a str,
    /// The operator's sentence for a scope of their own; empty for the standard ones.
    pub description: &'a str,
}

/// Scopes that every installation can explain; each has a message `scope-<name>`.
const EXPLAINED: &[&str] = &[
    "openid",
    "profile",
    "email",
    "groups",
    "entitlements",
    "offline_access",
    "address",
    "phone",
];

impl Scope<'_> {
    /// What the person reads: the operator's words, ours for the standard scopes, else the bare name in a sentence.
    pub(crate) fn explain(&self, page: &Page<'_>) -> Cow<'_, str> {
        if !self.description.trim().is_empty() {
            Cow::Borrowed(self.description)
        } else if EXPLAINED.contains(&self.name) {
            page.t(&format!("scope-{}", self.name))
        } else {
            page.t1("scope-other", "scope", self.name)
        }
    }
}

/// The consent page. Posts `attempt` and `decision` (`allow` or `deny`) to its own address.
#[derive(Clone, Debug)]
pub struct Consent<'a> {
    /// Sealed state of this tab.
    pub attempt: &'a str,
    /// Who decides.
    pub person: Person<'a>,
    /// Who asks.
    pub application: Destination<'a>,
    /// What they ask for.
    pub scopes: &'a [Scope<'a>],
    /// Where the answer goes: the host of the redirect URI, or the scheme of an application on this device.
    pub returns_to: Option<&'a str>,
}
page!(Consent, "consent.html");

#[cfg(test)]
mod tests {
    use super::EXPLAINED;
    use crate::locale::Language;

    #[test]
    fn every_standard_scope_is_explained_in_every_language() {
        for scope in EXPLAINED {
            for language in Language::ALL {
                assert!(
                    language.has(&format!("scope-{scope}")),
                    "{}: {scope}",
                    language.code()
                );
            }
        }
    }
}
