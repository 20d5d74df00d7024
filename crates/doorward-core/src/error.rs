//! Two sorts of failure above the protocols: `Refused` is the caller's, `Fault` is ours.

use doorward_domain::{Code, Reason};
use doorward_oidc::error::TokenError;

/// Result of a use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a use case did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's fault; told to the caller.
    #[error("refused: {}", .0.reason)]
    Refused(Box<Refused>),
    /// A protocol error of the token, revocation, introspection or device endpoint.
    #[error("{}", .0.description)]
    Protocol(Box<TokenError>),
    /// A value that an operator gave is not acceptable; the text names the field and what was expected.
    #[error("{0}")]
    Invalid(String),
    /// Nothing by that name.
    #[error("{0}")]
    NotFound(String),
    /// Ours.
    #[error(transparent)]
    Fault(Fault),
}

/// A refusal as a person or client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The rule.
    pub reason: Reason,
    /// Leads to the event with the inputs, when one was written.
    pub code: Option<Code>,
    /// Seconds until trying again makes sense.
    pub retry_after: Option<u32>,
    /// Name of the application it is about, when known.
    pub application: Option<String>,
    /// For administrators only: what was given and what was expected.
    pub details: Vec<(&'static str, String)>,
}

impl Refused {
    /// A refusal without an event.
    #[must_use]
    pub fn bare(reason: Reason) -> Self {
        Self {
            reason,
            code: None,
            retry_after: None,
            application: None,
            details: Vec::new(),
        }
    }
}

/// A failure of ours: told as an incident id, logged in full.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// Can the caller usefully come back?
    pub unavailable: bool,
    what: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Fault {
    /// The database (or another part) is away for now.
    #[must_use]
    pub fn unavailable(what: &str) -> Self {
        Self {
            unavailable: true,
            what: what.to_owned(),
            source: None,
        }
    }
    /// Something that must not happen.
    #[must_use]
    pub fn internal(what: &str) -> Self {
        Self {
            unavailable: false,
            what: what.to_owned(),
            source: None,
        }
    }
    /// Something that must not happen, with its cause.
    pub fn caused(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            unavailable: false,
            what: what.to_owned(),
            source: Some(Box::new(source)),
        }
    }
    /// The chain of causes in one line, for the log.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.what.clone();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl From<doorward_store::Error> for Error {
    fn from(error: doorward_store::Error) -> Self {
        // No column holds it, so it was given from outside and not checked on the way.
        if let doorward_store::Error::Unstorable { problem, .. } = &error {
            return Self::Invalid((*problem).to_owned());
        }
        // Nobody loses a session because the database is not as it should be: that is like no database at all.
        let (unavailable, what) = match error {
            doorward_store::Error::Unavailable { .. } => (true, "the database is away"),
            doorward_store::Error::Drift(_) => (true, "the database cannot be used as it is"),
            _ => (false, "the database refused a statement"),
        };
        Self::Fault(Fault {
            unavailable,
            what: what.to_owned(),
            source: Some(Box::new(error)),
        })
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Refused(Box::new(refused))
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        Self::Protocol(Box::new(error))
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
