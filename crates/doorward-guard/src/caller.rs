//! Who calls: a person or a service, where that was learnt from, and what they may.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

/// Longest id, name, role or scope that is believed, in bytes.
pub(crate) const LONGEST_ID: usize = 255;
/// Roles and scopes of one caller that are read.
const MOST_WORDS: usize = 256;

/// Somebody whose credentials were checked. Holds no token, so it can be logged and kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Known>);

#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) who: Who,
    pub(crate) source: Source,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) expires_at: i64,
    pub(crate) claims: Map<String, Value>,
}

/// A person or a service.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    Person(Person),
    Service(Service),
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Person {
    /// The id that never changes: the user's id at the session door and in the token API, the subject in OpenID tokens
    /// (the same, unless the application hides it).
    pub id: String,
    /// The address, when it is known here. Never identify people by it.
    pub email: Option<String>,
    /// Whether the address was proved.
    pub email_verified: bool,
    /// The name to show.
    pub name: Option<String>,
    /// Roles; in OpenID access tokens the names of the person's groups.
    pub roles: BTreeSet<String>,
    /// The workspace that the person works in: the active organization of the session.
    pub workspace: Option<String>,
    /// The session, when it is known here.
    pub session_id: Option<String>,
    /// The administrator who acts as this person.
    pub impersonated_by: Option<String>,
}

/// A service that acts for itself (client credentials).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// Its client id.
    pub id: String,
    /// Its roles.
    pub roles: BTreeSet<String>,
}

/// How a caller was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A session cookie, resolved at the session door.
    SessionCookie,
    /// A session token in the `Authorization` header, resolved at the session door.
    SessionToken,
    /// A signed access token of an OpenID provider, checked here.
    AccessToken,
    /// A signed token of the token API, checked here.
    ApiToken,
    /// A signed token of the session door's `/token`, checked here.
    SessionJwt,
    /// A token that the server was asked about.
    Introspection,
}

impl Caller {
    pub(crate) fn new(known: Known) -> Self {
        Self(Arc::new(known))
    }

    /// The person, when it is one.
    #[must_use]
    pub fn person(&self) -> Option<&Person> {
        match &self.0.who {
            Who::Person(person) => Some(person),
            Who::Service(_) => None,
        }
    }

    /// The service, when it is one.
    #[must_use]
    pub fn service(&self) -> Option<&Service> {
        match &self.0.who {
            Who::Service(service) => Some(service),
            Who::Person(_) => None,
        }
    }

    /// The person's or the service's id. The two are different spaces: ask [`Caller::person`] before looking up people.
    #[must_use]
    pub fn id(&self) -> &str {
        match &self.0.who {
            Who::Person(person) => &person.id,
            Who::Service(service) => &service.id,
        }
    }

    /// How the caller was recognised.
    #[must_use]
    pub fn source(&self) -> Source {
        self.0.source
    }

    /// The application that the token was given to.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.0.client_id.as_deref()
    }

    /// Whether the token carries this scope. Sessions carry none.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.0.scopes.contains(scope)
    }

    /// Whether the person or service has this role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        match &self.0.who {
            Who::Person(person) => person.roles.contains(role),
            Who::Service(service) => service.roles.contains(role),
        }
    }

    /// When the credentials end, in seconds since 1970.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.0.expires_at
    }

    /// Any other claim of the token, any other field of the answer about it, or of the session's user.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.0.claims.get(name)
    }
}

/// An id that can be believed: there, short, without control characters (NUL would not even fit into PostgreSQL).
pub(crate) fn id(text: Option<&str>) -> Option<String> {
    let text = text?;
    let fits = !text.is_empty() && text.len() <= LONGEST_ID && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// Words from an array of strings, or from one string that separates them.
pub(crate) fn words(value: Option<&Value>, separators: &[char]) -> BTreeSet<String> {
    let keep = |word: &str| id(Some(word.trim()));
    match value {
        Some(Value::String(text)) => text.split(separators).filter_map(keep).take(MOST_WORDS).collect(),
        Some(Value::Array(list)) => {
            let texts = list.iter().filter_map(Value::as_str);
            texts.filter_map(keep).take(MOST_WORDS).collect()
        }
        _ => BTreeSet::new(),
    }
}
