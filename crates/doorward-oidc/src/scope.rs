//! Scopes (RFC 6749 section 3.3).
//!
//! Must not live here: which claims a scope releases (see [`crate::claims`]).

use std::collections::BTreeSet;

/// A set of scopes.
pub type Scopes = BTreeSet<String>;

/// Asks for an ID token (OpenID Connect Core section 3.1.2.1).
pub const OPENID: &str = "openid";
/// Name, user name, groups, language.
pub const PROFILE: &str = "profile";
/// E-mail address and whether it was proved.
pub const EMAIL: &str = "email";
/// Names of the groups alone, for clients that do not want the rest of `profile`.
pub const GROUPS: &str = "groups";
/// Asks for a refresh token (OpenID Connect Core section 11).
pub const OFFLINE_ACCESS: &str = "offline_access";

/// A scope that every installation knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandardScope {
    /// Name in requests.
    pub name: &'static str,
    /// Key of the sentence on the consent page.
    pub description_key: &'static str,
}

/// The scopes that every installation knows.
pub const STANDARD: [StandardScope; 5] = [
    StandardScope {
        name: OPENID,
        description_key: "scope-openid",
    },
    StandardScope {
        name: PROFILE,
        description_key: "scope-profile",
    },
    StandardScope {
        name: EMAIL,
        description_key: "scope-email",
    },
    StandardScope {
        name: GROUPS,
        description_key: "scope-groups",
    },
    StandardScope {
        name: OFFLINE_ACCESS,
        description_key: "scope-offline-access",
    },
];

/// Most scopes in one request.
pub const MOST_SCOPES: usize = 100;
/// Longest scope in bytes.
pub const LONGEST_SCOPE: usize = 256;

/// Why a scope text was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A character outside %x21 / %x23-5B / %x5D-7E.
    #[error(
        "scope has a character that is not allowed; expected printable ASCII without quote and backslash"
    )]
    Character,
    /// Too many.
    #[error("scope names more than 100 scopes")]
    TooMany,
    /// One is too long.
    #[error("scope has a name longer than 256 characters")]
    TooLong,
    /// Nothing but spaces.
    #[error("scope is empty; expected names separated by spaces")]
    Empty,
}

/// Is this one of [`STANDARD`]?
#[must_use]
pub fn is_standard(name: &str) -> bool {
    STANDARD.iter().any(|scope| scope.name == name)
}

/// Reads a `scope` parameter: names separated by single or several spaces, order without meaning.
///
/// # Errors
/// [`ScopeError`].
pub fn parse_scope(text: &str) -> Result<Scopes, ScopeError> {
    let mut scopes = Scopes::new();
    for name in text.split(' ').filter(|name| !name.is_empty()) {
        if name.len() > LONGEST_SCOPE {
            return Err(ScopeError::TooLong);
        }
        if !name
            .bytes()
            .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
        {
            return Err(ScopeError::Character);
        }
        scopes.insert(name.to_owned());
        if scopes.len() > MOST_SCOPES {
            return Err(ScopeError::TooMany);
        }
    }
    if scopes.is_empty() {
        Err(ScopeError::Empty)
    } else {
        Ok(scopes)
    }
}

/// The `scope` text of a set.
#[must_use]
pub fn join(scopes: &Scopes) -> String {
    scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}
