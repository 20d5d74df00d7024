//! From nothing to ready: connect, migrate, keys, parameters, first administrator. Keeps trying while the database is away.

use serde_json::json;
use std::time::Duration;

use doorward_domain::event::EventKind;
use doorward_store::{ApiToken, OpenOptions, Store};

use crate::admin::users::NewUser;
use crate::error::{Error, Fault, Result};
use crate::events::About;
use crate::picture::setting;
use crate::{Doorward, Origin};

/// The first administrator of an unattended installation.
#[derive(Clone, Default)]
pub struct Bootstrap {
    /// User name; `admin` when only a password is given.
    pub username: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// API token.
    pub token: Option<String>,
}

impl std::fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bootstrap")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Bootstrap {
    /// Was anything given?
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.username.is_some() || self.email.is_some() || self.password.is_some() || self.token.is_some()
    }
}

/// What the first start has to tell the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// Nothing: the installation is set up.
    SetUp,
    /// The one-time set-up link.
    SetupLink(String),
    /// The first administrator was made from the environment.
    Bootstrapped(String),
    /// Bootstrap variables were given but the database is not empty.
    BootstrapIgnored,
}

impl Doorward {
    /// Opens the database once. For the command line.
    ///
    /// # Errors
    /// `Fault` with what to do.
    pub async fn open(&self, options: &OpenOptions) -> Result<()> {
        let store = Store::open(options.clone()).await?;
        let store = self.inner.store.get_or_init(|| store);
        self.prepare(store).await?;
        self.mark_started();
        Ok(())
    }

    /// Connects, trying again until the database is there; then starts the watchers and says what the operator must know.
    pub async fn start(&self, options: &OpenOptions, bootstrap: &Bootstrap) -> Result<Greeting> {
        let store = self.connect(options).await?;
        // The feed is read from before the picture is loaded, so that nothing falls between the two.
        let changes = store.watch().await;
        let greeting = loop {
            match self.prepare(&store).await {
                Ok(()) => match self.greet(bootstrap).await {
                    Ok(greeting) => break greeting,
                    Err(error) if is_unavailable(&error) => self.trouble(&error_text(&error)).await,
                    Err(error) => return Err(error),
                },
                Err(error) if is_unavailable(&error) => self.trouble(&error_text(&error)).await,
                Err(error) => return Err(error),
            }
        };
        self.report_trouble(None);
        self.mark_started();
        tokio::spawn(self.clone().follow_changes(store.clone(), changes));
        tokio::spawn(self.clone().work(store));
        tokio::spawn(self.clone().note_sessions());
        tokio::spawn(self.clone().keep_house());
        Ok(greeting)
    }

    async fn connect(&self, options: &OpenOptions) -> Result<Store> {
        loop {
            match Store::open(options.clone()).await {
                Ok(store) => return Ok(self.inner.store.get_or_init(|| store).clone()),
                Err(
                    error @ (doorward_store::Error::TooNew { .. } | doorward_store::Error::Unusable { .. }),
                ) => {
                    return Err(Fault::caused("the database cannot be used", error).into());
                }
                Err(error) => self.trouble(&error.to_string()).await,
            }
        }
    }

    async fn trouble(&self, what: &str) {
        let text = format!("{what}; trying again every 2 seconds");
        // One line when it begins or changes, not one per attempt.
        let known = self.inner_trouble();
        if known.as_deref() != Some(text.as_str()) {
            tracing::error!("{text}");
        }
        self.report_trouble(Some(text));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    async fn prepare(&self, store: &Store) -> Result<()> {
        self.ensure_salt(store).await?;
        self.ensure_keys(store).await?;
        self.reload_keys(store).await?;
        self.reload_directory(store).await?;
        self.prepare_hashing(store).await?;
        self.mark_prepared();
        Ok(())
    }

    async fn ensure_salt(&self, store: &Store) -> Result<()> {
        if store.read().find_instance(setting::SUBJECT_SALT).await?.is_some() {
            return Ok(());
        }
        let salt = self.random_hex::<32>();
        let tx = store.begin().await?;
        tx.put_instance_once(setting::SUBJECT_SALT, &salt).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn greet(&self, bootstrap: &Bootstrap) -> Result<Greeting> {
        let open = self.setup_is_open().await?;
        let empty = self.store()?.read().count_users().await? == 0;
        if open && !empty {
            let tx = self.store()?.begin().await?;
            if self.has_administrator(&tx).await? {
                tx.put_instance_once(setting::SETUP_DONE, "true").await?;
                tx.commit().await?;
                return Ok(if bootstrap.is_given() {
                    Greeting::BootstrapIgnored
                } else {
                    Greeting::SetUp
                });
            }
        }
        if bootstrap.is_given() {
            if !open || !empty {
                return Ok(Greeting::BootstrapIgnored);
            }
            let made = self.bootstrap(bootstrap).await?;
            return Ok(made.map_or(Greeting::SetUp, Greeting::Bootstrapped));
        }
        if !open {
            return Ok(Greeting::SetUp);
        }
        Ok(Greeting::SetupLink(self.new_setup_link().await?))
    }

    async fn bootstrap(&self, bootstrap: &Bootstrap) -> Result<Option<String>> {
        let username = bootstrap.username.clone().unwrap_or_else(|| "admin".into());
        let new = NewUser {
            name: username.clone(),
            username,
            email: bootstrap.email.clone(),
            email_verified: bootstrap.email.is_some(),
            ..NewUser::default()
        };
        let (user, hash) = self.draft_user(&new, bootstrap.password.as_deref()).await?;
        let now = self.now();
        let tx = self.store()?.begin().await?;
        if !tx.put_instance_once(setting::SETUP_DONE, "true").await? {
            // Another replica was faster; this one has nothing left to do.
            return Ok(None);
        }
        let user = self.add_administrator(&tx, user, hash.as_deref()).await?;
        if let Some(token) = &bootstrap.token {
            if token.chars().count() < 20 {
                return Err(Error::Invalid(
                    "DOORWARD_BOOTSTRAP_TOKEN has fewer than 20 characters".into(),
                ));
            }
            let digest = doorward_crypto::token::digest(token);
            let token = ApiToken {
                id: self.mint(now),
                user_id: user.id,
                name: "bootstrap".into(),
                scopes: ["*".to_owned()].into(),
                created_at: now,
                expires_at: None,
                revoked_at: None,
            };
            tx.add_api_token(&token, digest.bytes()).await?;
        }
        let about = About {
            user: Some(user.id),
            details: json!({ "by": "environment" }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::SetupDone, about, &Origin::default(), now))
            .await?;
        tx.commit().await?;
        self.refresh_directory_now(now).await?;
        Ok(Some(user.username))
    }
}

fn is_unavailable(error: &Error) -> bool {
    matches!(error, Error::Fault(fault) if fault.unavailable)
}

fn error_text(error: &Error) -> String {
    match error {
        Error::Fault(fault) => fault.chain(),
        other => other.to_string(),
    }
}
