//! The doors of apps: sign-up, sign-in, sessions and accounts for an app's own pages, of the same people, passwords and sessions as
//! everywhere else.
//!
//! Lives here: what such a door does. Must not live here: how it is spoken (status, JSON, cookies: `doorward-web`).

pub mod accounts;
mod addresses;
pub mod administration;
pub mod api_keys;
pub mod cookie_cache;
pub mod import;
pub mod mail;
pub mod organizations;
pub mod passkeys;
pub mod people;
pub mod proofs;
mod provider_end;
pub(crate) mod providers;
pub mod sessions;
pub mod settings;
pub mod social;
pub mod tokens;
pub mod two_factor;

use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use doorward_crypto::signed;
use doorward_crypto::token::SecretText;
use doorward_domain::app_auth::rate::{Rule, Window};
use doorward_domain::app_auth::{AppAuth, Provider};
use doorward_domain::application::Application;
use doorward_domain::user::Realm;

use crate::error::{Error, Fault};
use crate::{Doorward, Origin};

/// Why a call to an app's door did not happen.
#[derive(Debug)]
pub enum AppError {
    /// A code of the wire contract; the door knows status and text.
    Code(&'static str),
    /// The same with a text of its own.
    Said(&'static str, String),
    /// Anything else.
    Core(Error),
}

impl<E: Into<Error>> From<E> for AppError {
    fn from(error: E) -> Self {
        Self::Core(error.into())
    }
}

/// Result of a call to an app's door.
pub type AppResult<T> = std::result::Result<T, AppError>;

/// Most windows of callers that are remembered.
const MOST_WINDOWS: usize = 50_000;

/// What the doors keep in memory.
pub struct Doors {
    /// Opened secrets by their sealed form.
    secrets: Cache<String, Arc<SecretText>>,
    windows: Mutex<HashMap<String, Window>>,
}

impl Default for Doors {
    fn default() -> Self {
        Self {
            secrets: Cache::new(1000),
            windows: Mutex::default(),
        }
    }
}

/// An app with its door, found for a request.
#[derive(Clone, Debug)]
pub struct Door {
    /// The app.
    pub application: Arc<Application>,
    /// The base path that the request came under.
    pub base: Arc<str>,
}

impl Door {
    /// What is configured.
    #[must_use]
    pub fn settings(&self) -> &AppAuth {
        // A door is only made for an application that has one.
        static NONE: std::sync::LazyLock<AppAuth> = std::sync::LazyLock::new(AppAuth::default);
        self.application.app_auth.as_ref().unwrap_or(&NONE)
    }

    /// The realm of its people: nobody outside of it exists here.
    #[must_use]
    pub fn realm(&self) -> Realm {
        self.application.realm()
    }

    /// Where the door is for browsers, under the base path that the request came under.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.settings().origin(), self.base)
    }
}

impl Doorward {
    /// The door behind a request, and the rest of its path: by host and base path, and where only one app has the base path, by that
    /// alone (a proxy in front may rename hosts). The longest base path wins.
    #[must_use]
    pub fn door_at(&self, host: Option<&str>, path: &str) -> Option<(Door, String)> {
        let directory = self.directory_now();
        let found = directory.doors.find(host, path)?;
        let door = Door {
            application: Arc::clone(found.application),
            base: Arc::clone(found.base),
        };
        Some((door, path.get(found.base.len()..).unwrap_or_default().to_owned()))
    }

    /// The secrets of a door; the first signs.
    ///
    /// # Errors
    /// `Fault` when none can be opened.
    pub fn door_secrets(&self, door: &Door) -> crate::Result<Vec<Arc<SecretText>>> {
        let sealed = &door.settings().secrets;
        let opened: Vec<_> = sealed
            .iter()
            .filter_map(|secret| self.open_app_text(&secret.sealed))
            .collect();
        if opened.is_empty() {
            return Err(Fault::internal("the app has no secret that can be opened").into());
        }
        Ok(opened)
    }

    pub(crate) fn open_app_text(&self, sealed: &str) -> Option<Arc<SecretText>> {
        if let Some(known) = self.inner.doors.secrets.get(sealed) {
            return Some(known);
        }
        let bytes = self.inner.keyring.open_text("app-secret", sealed).ok()?;
        let text = Arc::new(SecretText::new(String::from_utf8(bytes).ok()?));
        self.inner
            .doors
            .secrets
            .insert(sealed.to_owned(), Arc::clone(&text));
        Some(text)
    }

    pub(crate) fn seal_app_text(&self, text: &str) -> String {
        self.inner
            .keyring
            .seal_text("app-secret", &self.random(), text.as_bytes())
    }

    /// A provider's client secret.
    pub(crate) fn provider_secret(&self, provider: &Provider) -> Option<Arc<SecretText>> {
        provider
            .client_secret
            .as_deref()
            .and_then(|sealed| self.open_app_text(sealed))
    }

    /// Signs a value for a cookie of a door.
    ///
    /// # Errors
    /// `Fault` when the door has no secret.
    pub fn door_sign(&self, door: &Door, value: &str) -> crate::Result<String> {
        let secrets = self.door_secrets(door)?;
        let first = secrets.first().map_or("", |secret| secret.expose());
        Ok(signed::sign(value, first))
    }

    /// The value of a signed text, when a secret of the door signed it.
    ///
    /// # Errors
    /// `Fault` when the door has no secret.
    pub fn door_verify(&self, door: &Door, text: &str) -> crate::Result<Option<String>> {
        let secrets = self.door_secrets(door)?;
        let secrets: Vec<&str> = secrets.iter().map(|secret| secret.expose()).collect();
        Ok(signed::verify(text, &secrets).map(str::to_owned))
    }

    /// Counts a call of one network to one route. `Err`: seconds until the next is let through.
    ///
    /// # Errors
    /// The seconds to wait.
    pub fn door_allows(
        &self,
        door: &Door,
        path: &str,
        rule: Rule,
        origin: &Origin,
    ) -> std::result::Result<(), u32> {
        let network = origin.ip.map_or_else(
            || "unknown".to_owned(),
            |ip| doorward_domain::network::Network::of(ip).to_string(),
        );
        let key = format!("{} {network} {path}", door.application.id);
        let now = self.now().millis();
        let Ok(mut windows) = self.inner.doors.windows.lock() else {
            return Ok(());
        };
        if windows.len() >= MOST_WINDOWS && !windows.contains_key(&key) {
            windows.retain(|_, window| now - window.began < 60_000);
            if windows.len() >= MOST_WINDOWS {
                windows.clear();
            }
        }
        let window = windows.entry(key).or_insert(Window { began: now, count: 0 });
        window.count(rule, now)
    }
}
