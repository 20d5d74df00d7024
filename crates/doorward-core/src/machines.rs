//! Programs at guarded sites: access tokens of ours and app passwords, verified in process.

use quick_cache::sync::Cache as QuickCache;
use std::sync::Arc;

use doorward_crypto::token::{self, TokenKind};
use doorward_domain::access::Person;
use doorward_domain::site::SiteEntry;
use doorward_domain::{ApplicationId, Timestamp};

use crate::Doorward;
use crate::error::{Error, Result};

/// A program that says who it is.
#[derive(Clone, Debug)]
pub enum Machine {
    /// It says nothing that this site listens to.
    Absent,
    /// What it says is not good here.
    Refused,
    /// It acts for a person.
    Person(Arc<Person>),
    /// It is a client by itself (RFC 6749 section 4.4).
    Client {
        /// Whose client.
        application: ApplicationId,
        /// Its name.
        client_id: String,
    },
}

impl Machine {
    /// For whom it acts.
    #[must_use]
    pub fn person(&self) -> Option<&Person> {
        match self {
            Self::Person(person) => Some(person),
            _ => None,
        }
    }

    /// Is it the client of the application that this site belongs to?
    #[must_use]
    pub fn is_client_of(&self, entry: &SiteEntry) -> bool {
        matches!(self, Self::Client { application, .. } if *application == entry.application.id)
    }
}

/// An access token that was looked at a moment ago.
#[derive(Clone)]
struct Known {
    /// When, in monotonic microseconds.
    at: u64,
    machine: Machine,
    /// The application whose own client it is for.
    application: Option<ApplicationId>,
    /// Resources that it is for.
    audience: Vec<String>,
    expires_at: Timestamp,
}

/// An access token is asked about in the database at most this often, in microseconds: so long does it outlive its revocation here.
const FRESH: u64 = 1_000_000;

/// Access tokens that were looked at a moment ago.
pub(crate) struct Tokens(QuickCache<[u8; 32], Arc<Known>>);

impl Default for Tokens {
    fn default() -> Self {
        Self(QuickCache::new(10_000))
    }
}

impl Doorward {
    /// Who a program is, by its `Authorization`, as far as this site listens to it.
    ///
    /// # Errors
    /// `Fault` when the credential is not in memory and the database is away.
    pub(crate) async fn machine_of(&self, entry: &SiteEntry, authorization: Option<&str>) -> Result<Machine> {
        let Some((scheme, credential)) = authorization.and_then(|text| text.trim().split_once(' ')) else {
            return Ok(Machine::Absent);
        };
        let credential = credential.trim_start();
        if scheme.eq_ignore_ascii_case("bearer") && entry.site.machines.bearer {
            return self.bearer_of(entry, credential).await;
        }
        if scheme.eq_ignore_ascii_case("basic") && entry.site.machines.basic {
            let Some((username, password)) = doorward_oidc::client_auth::user_and_password(credential) else {
                return Ok(Machine::Refused);
            };
            return self.app_password_of(entry, &password, Some(&username)).await;
        }
        Ok(Machine::Absent)
    }

    async fn bearer_of(&self, entry: &SiteEntry, text: &str) -> Result<Machine> {
        if TokenKind::of(text) == Some(TokenKind::AppPassword) {
            return self.app_password_of(entry, text, None).await;
        }
        let Some(known) = self.known_token(text).await? else {
            return Ok(Machine::Refused);
        };
        // A token for somewhere else is no key to this door.
        let own = known.application == Some(entry.application.id)
            || known.audience.iter().any(|audience| names(audience, entry));
        if !own || self.now() >= known.expires_at {
            return Ok(Machine::Refused);
        }
        Ok(known.machine.clone())
    }

    async fn known_token(&self, text: &str) -> Result<Option<Arc<Known>>> {
        let key = *token::digest(text).bytes();
        let now = self.monotonic_micros();
        let warm = self.inner.tokens.0.get(&key);
        if let Some(known) = warm.as_ref().filter(|known| now.saturating_sub(known.at) < FRESH) {
            return Ok(Some(Arc::clone(known)));
        }
        let live = match self.live_access(text, self.now()).await {
            Ok(live) => live,
            Err(Error::Fault(fault)) if fault.unavailable && warm.is_some() => {
                self.may_stand_in(self.now())?;
                return Ok(warm);
            }
            Err(error) => return Err(error),
        };
        // A token that is bound to a key is worth nothing without the proof, which no proxy hands on.
        let Some(live) = live.filter(|live| live.found.jkt.is_none()) else {
            self.inner.tokens.0.remove(&key);
            return Ok(None);
        };
        let application = live.found.application_id();
        let machine = match live.person {
            Some(person) => Machine::Person(Arc::new(person)),
            None => Machine::Client {
                application,
                client_id: live.found.holder().unwrap_or_default().to_owned(),
            },
        };
        let known = Arc::new(Known {
            at: now,
            machine,
            application: Some(application).filter(|_| live.found.is_for_own_client()),
            audience: live.found.audience.clone(),
            expires_at: live.found.expires_at,
        });
        self.inner.tokens.0.insert(key, Arc::clone(&known));
        Ok(Some(known))
    }

    /// A person by app password, when it was made for the application of this site.
    async fn app_password_of(
        &self,
        entry: &SiteEntry,
        text: &str,
        username: Option<&str>,
    ) -> Result<Machine> {
        let found = self.app_password(text, username).await?;
        Ok(match found {
            Some(found) if found.covers(entry.application.id) => Machine::Person(Arc::clone(&found.person)),
            _ => Machine::Refused,
        })
    }
}

/// Does a resource that a token is for (RFC 8707) name this site?
fn names(audience: &str, entry: &SiteEntry) -> bool {
    audience.strip_suffix('/').unwrap_or(audience) == entry.name.strip_suffix('/').unwrap_or(&entry.name)
}
