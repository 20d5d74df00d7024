//! Sealing attempts into pages and progress into URLs, so that visitors write nothing before they sign in.

use serde::{Deserialize, Serialize};

use doorward_domain::attempt::{self, Attempt, Purpose};
use doorward_domain::{Reason, SessionId, Timestamp};
use doorward_oidc::params::Params;

use crate::Doorward;
use crate::authorize::PROGRESS as PARAMETER;

const ATTEMPT: &str = "attempt";
const PROGRESS: &str = "authorize-progress";
const KNOWN: &str = "known-browser";
/// Longest sealed text that is looked at.
const LONGEST: usize = 32 * 1024;

/// What a person already did for one authorization request; sealed into its URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Digest of the request, hex; set when sealed. What was done for one request counts for no other.
    pub(crate) request: String,
    /// When the sign-in page was asked for; a session proved since then counts as reauthenticated.
    pub asked_at: Option<Timestamp>,
    /// The account was chosen, in this session.
    pub selected_in: Option<SessionId>,
    /// The consent was given, in this session.
    pub consented_in: Option<SessionId>,
    /// To what: digest of the scopes that the page showed, hex.
    #[serde(default)]
    pub consented_to: Option<String>,
}

/// A browser from which accounts signed in before.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct KnownBrowser {
    /// Random name of the browser.
    pub id: String,
    /// Accounts, latest first; at most [`KnownBrowser::MOST`].
    pub users: Vec<doorward_domain::UserId>,
}

impl KnownBrowser {
    /// Accounts remembered per browser.
    pub const MOST: usize = 8;
}

fn request_digest(own: &Params) -> String {
    doorward_crypto::token::digest(&own.to_query()).hex()
}

impl Doorward {
    /// Seals an attempt for a hidden form field.
    #[must_use]
    pub fn seal_attempt(&self, attempt: &Attempt) -> String {
        let bytes = serde_json::to_vec(attempt).unwrap_or_default();
        self.inner.keyring.seal_text(ATTEMPT, &self.random(), &bytes)
    }

    /// Opens a sealed attempt and checks it against the request it came back in.
    ///
    /// # Errors
    /// The reason why the page has to be opened again.
    pub fn open_attempt(
        &self,
        sealed: &str,
        purpose: Purpose,
        browser: Option<&str>,
        session: Option<SessionId>,
    ) -> std::result::Result<Attempt, Reason> {
        if sealed.len() > LONGEST {
            return Err(Reason::AttemptExpired);
        }
        let bytes = self
            .inner
            .keyring
            .open_text(ATTEMPT, sealed)
            .map_err(|_| Reason::AttemptExpired)?;
        let attempt: Attempt = serde_json::from_slice(&bytes).map_err(|_| Reason::AttemptExpired)?;
        let digest = browser.map(|cookie| doorward_crypto::token::digest(cookie).hex());
        attempt::check(&attempt, purpose, digest.as_deref(), session, self.now())?;
        Ok(attempt)
    }

    /// A new attempt for this browser.
    #[must_use]
    pub fn new_attempt(
        &self,
        purpose: Purpose,
        browser: &str,
        session: Option<SessionId>,
        next: String,
    ) -> Attempt {
        Attempt {
            purpose,
            opened_at: self.now(),
            browser: doorward_crypto::token::digest(browser).hex(),
            session,
            next,
            data: serde_json::Value::Null,
        }
    }

    /// A random value for the browser's own cookie.
    #[must_use]
    pub fn new_browser(&self) -> String {
        self.random_hex::<16>()
    }

    /// The request with this progress sealed into it; earlier progress is dropped.
    pub(crate) fn with_progress(&self, own: &Params, progress: &Progress) -> Params {
        let own = own.without(&[PARAMETER]);
        let progress = Progress {
            request: request_digest(&own),
            ..progress.clone()
        };
        let bytes = serde_json::to_vec(&progress).unwrap_or_default();
        let sealed = self.inner.keyring.seal_text(PROGRESS, &self.random(), &bytes);
        own.with(PARAMETER, &sealed)
    }

    /// The progress of exactly this request; none when it is forged, too old, or another request's.
    pub(crate) fn progress_of(&self, own: &Params) -> Progress {
        let sealed = own.get(PARAMETER).filter(|text| text.len() <= 2048);
        let opened = sealed.and_then(|sealed| self.inner.keyring.open_text(PROGRESS, sealed).ok());
        let progress: Option<Progress> = opened.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let fits = |progress: &Progress| {
            let too_old = progress
                .asked_at
                .is_some_and(|asked| self.now().millis_since(asked) > attempt::ATTEMPT_LIFETIME.millis());
            !too_old && progress.request == request_digest(&own.without(&[PARAMETER]))
        };
        progress.filter(fits).unwrap_or_default()
    }

    pub(crate) fn seal_known(&self, known: &KnownBrowser) -> String {
        let bytes = serde_json::to_vec(known).unwrap_or_default();
        self.inner.keyring.seal_text(KNOWN, &self.random(), &bytes)
    }

    pub(crate) fn open_known(&self, sealed: Option<&str>) -> Option<KnownBrowser> {
        let sealed = sealed.filter(|text| text.len() <= 4096)?;
        let bytes = self.inner.keyring.open_text(KNOWN, sealed).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Who sends a page's form back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sender<'a> {
    /// The browser's own cookie.
    pub browser: Option<&'a str>,
    /// The session that the form came with.
    pub session: Option<SessionId>,
    /// The browser itself says that a page of this very server sent the form (`Sec-Fetch-Site: same-origin`), which no script of
    /// another site can make it say.
    pub same_origin: bool,
}

impl Doorward {
    /// Opens a sealed attempt as [`Doorward::open_attempt`] does, with two allowances. Tabs that a new browser opened at once
    /// replaced each other's cookie: when the browser vouches for the form, it need not be the cookie the page was opened with. And
    /// whoever confirms a sign-out in one tab after another tab signed out gets what was asked for.
    ///
    /// # Errors
    /// The reason why the page has to be opened again.
    pub fn open_attempt_of(
        &self,
        sealed: &str,
        purpose: Purpose,
        sender: Sender<'_>,
    ) -> std::result::Result<Attempt, Reason> {
        let attempt = self.unseal_attempt(sealed).ok_or(Reason::AttemptExpired)?;
        let digest = sender
            .browser
            .map(|cookie| doorward_crypto::token::digest(cookie).hex());
        let browser = match &digest {
            Some(_) if sender.same_origin => Some(attempt.browser.as_str()),
            other => other.as_deref(),
        };
        let session = match sender.session {
            None if purpose == Purpose::SignOut => attempt.session,
            session => session,
        };
        attempt::check(&attempt, purpose, browser, session, self.now())?;
        Ok(attempt)
    }

    /// Where a page of the authorization endpoint was going, whoever sends it back and however late: asking again is all that can
    /// be done with it. `None` when it is no such page.
    #[must_use]
    pub fn attempt_next(&self, sealed: &str, purpose: Purpose) -> Option<String> {
        let attempt = self.unseal_attempt(sealed)?;
        let asks = attempt
            .next
            .strip_prefix(crate::authorize::PATH)
            .is_some_and(|rest| rest.starts_with('?'));
        (attempt.purpose == purpose && asks && attempt::is_local(&attempt.next)).then_some(attempt.next)
    }

    fn unseal_attempt(&self, sealed: &str) -> Option<Attempt> {
        if sealed.len() > LONGEST {
            return None;
        }
        let bytes = self.inner.keyring.open_text(ATTEMPT, sealed).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}
