//! The one place that decides who calls. Extractors and layers ask here and nowhere else.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Method};

use crate::answers::Outcome;
use crate::ask::Asker;
use crate::builder::Builder;
use crate::caller::Caller;
use crate::credentials::{Presented, cookie_may_count, presented};
use crate::introspection::Introspection;
use crate::key_cache::Away;
use crate::refusal::{Kind, Refusal};
use crate::sessions::SessionDoor;
use crate::tokens::{self, Acceptor, Keys, Profile, Reject};

/// Knows whose credentials count for this service, and checks them. Cheap to clone; make one at the start.
///
/// ```no_run
/// # fn main() -> Result<(), doorward_guard::BuildError> {
/// let guard = doorward_guard::Guard::builder("https://id.example.org")
///     .openid("notes", "https://notes.example.org")
///     .sessions("/api/auth")
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Guard(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) asker: Arc<Asker>,
    pub(crate) cookie_names: Vec<String>,
    pub(crate) trusted_origins: Vec<String>,
    pub(crate) acceptors: Vec<Acceptor>,
    pub(crate) sessions: Option<SessionDoor>,
    pub(crate) introspection: Option<Introspection>,
    pub(crate) api_introspection: Option<Introspection>,
    /// Whether the server is asked about signed tokens as well, so that a revoked one ends at once.
    pub(crate) always_ask: bool,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<&str> = self
            .0
            .acceptors
            .iter()
            .map(|acceptor| acceptor.issuer.as_str())
            .collect();
        f.debug_struct("Guard")
            .field("issuers", &issuers)
            .field("sessions", &self.0.sessions.is_some())
            .finish_non_exhaustive()
    }
}

impl Guard {
    /// Begins with Doorward's public address, as people's browsers see it.
    pub fn builder(public_url: &str) -> Builder {
        Builder::new(public_url)
    }

    /// Says who sends a request with this method and these headers.
    ///
    /// Session cookies count before a bearer token, in the order `__Secure-…`, plain, `__Host-…`; the first that is valid
    /// decides, and what is not valid is passed over. Cookies do not count for a request that changes something and comes
    /// from a page that is not trusted.
    ///
    /// # Errors
    ///
    /// [`Kind::NoCredentials`], [`Kind::SessionEnded`], [`Kind::InvalidToken`], [`Kind::CrossSite`]; and
    /// [`Kind::Unavailable`] when it cannot be found out: nobody is refused because the server is away.
    pub async fn authenticate(&self, method: &Method, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let mut refused = Kind::NoCredentials;
        let mut fault = None;
        let candidates = presented(headers, &self.0.cookie_names);
        let cookies_count = cookie_may_count(method, headers, &self.0.trusted_origins);
        for candidate in candidates {
            let outcome = match &candidate {
                Presented::Cookie(_) if !cookies_count => {
                    refused = Kind::CrossSite;
                    continue;
                }
                Presented::Cookie(pair) => self.0.cookie(pair).await,
                Presented::Bearer(token) => self.0.bearer(token).await,
                Presented::TooLong => Ok(None),
            };
            match outcome {
                Ok(Some(caller)) => return Ok(caller),
                Ok(None) if matches!(candidate, Presented::Cookie(_)) => refused = Kind::SessionEnded,
                Ok(None) if refused != Kind::CrossSite => refused = Kind::InvalidToken,
                Ok(None) => {}
                Err(refusal) => fault = Some(refusal),
            }
        }
        Err(fault.unwrap_or_else(|| Refusal::of(refused)))
    }
}

impl Guard {
    /// Asks the server for everything that this guard will need from it. Gives one sentence for each thing that does not
    /// work; none is good. For the start of a program: the guard itself does not mind who starts first.
    pub async fn check(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for acceptor in &self.0.acceptors {
            if let Keys::Remote(cache) = &acceptor.keys
                && let Err(Away(why)) = cache.keys(|_| true).await
            {
                problems.push(format!("keys of {}: {why}", acceptor.issuer));
            }
        }
        if let Some(door) = &self.0.sessions
            && let Err(why) = door.check(&self.0.asker).await
        {
            problems.push(format!("sessions: {why}"));
        }
        problems
    }
}

impl Inner {
    fn checks_api_tokens(&self) -> bool {
        self.acceptors
            .iter()
            .any(|acceptor| acceptor.profile == Profile::TokenApi)
    }

    async fn cookie(&self, pair: &str) -> Outcome {
        match &self.sessions {
            Some(door) => door.cookie(&self.asker, pair).await,
            None => Ok(None),
        }
    }

    async fn bearer(&self, token: &str) -> Outcome {
        if is_jwt(token) {
            return self.signed(token).await;
        }
        // Doorward's own opaque access tokens begin like this; session tokens never do.
        let opaque = token.starts_with("dwa_") || self.sessions.is_none();
        match (&self.introspection, &self.sessions) {
            (Some(introspection), _) if opaque => introspection.caller(&self.asker, token).await,
            (_, Some(door)) if !opaque => door.bearer(&self.asker, token).await,
            _ => Ok(None),
        }
    }

    async fn signed(&self, token: &str) -> Outcome {
        let (caller, profile) = match tokens::check(&self.acceptors, token).await {
            Ok(checked) => checked,
            Err(reject @ Reject::Away(_)) => return Err(Refusal::unavailable(reject)),
            // Nobody's that is checked here: perhaps the token API's, which is asked when it is not checked here.
            Err(Reject::Issuer(_)) if !self.checks_api_tokens() => {
                return match &self.api_introspection {
                    Some(api) => api.caller(&self.asker, token).await,
                    None => Ok(None),
                };
            }
            Err(reject) => {
                tracing::debug!("a signed token does not count: {reject}");
                return Ok(None);
            }
        };
        let introspection = match profile {
            Profile::OpenId => self.introspection.as_ref(),
            Profile::TokenApi => self.api_introspection.as_ref(),
            Profile::Session => None,
        };
        match introspection.filter(|_| self.always_ask) {
            // What was checked here stays the word on who it is; the server only says whether it still holds.
            Some(introspection) => {
                let said = introspection.caller(&self.asker, token).await?;
                Ok(said.filter(|said| said.id() == caller.id()).map(|_| caller))
            }
            None => Ok(Some(caller)),
        }
    }
}

/// Three parts of which the first can be the Base64 of a JSON object. A signed session token has two.
fn is_jwt(token: &str) -> bool {
    token.starts_with("eyJ") && token.bytes().filter(|byte| *byte == b'.').count() == 2
}
