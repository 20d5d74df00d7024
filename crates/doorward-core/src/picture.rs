//! The picture of the configuration in memory, and the watcher that replaces it when the change feed says so.

use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doorward_domain::Timestamp;
use doorward_domain::application::Application;
use doorward_domain::directory::Directory;
use doorward_domain::group::GroupTree;
use doorward_domain::session::SessionPolicy;
use doorward_store::{Change, Changes, Store};

use crate::Doorward;
use crate::error::{Error, Fault, Result};
use crate::keys::KeySet;

/// Topics of the change feed.
pub mod topic {
    /// Groups, applications, scopes.
    pub const DIRECTORY: &str = "directory";
    /// One user; subject is the id.
    pub const USER: &str = "user";
    /// One session ended; subject is the id.
    pub const SESSION: &str = "session";
    /// One app password was revoked; subject is the id.
    pub const APP_PASSWORD: &str = "app_password";
    /// Signing keys.
    pub const KEYS: &str = "keys";
    /// Settings in the database.
    pub const SETTINGS: &str = "settings";
}

/// Settings that live in the database.
pub mod setting {
    /// [`doorward_domain::session::SessionPolicy`] as JSON.
    pub const SESSION_POLICY: &str = "session_policy";
    /// [`doorward_domain::site::BreakGlass`] as JSON.
    pub const BREAK_GLASS: &str = "break_glass";
    /// Argon2 parameters measured at the first start.
    pub const ARGON2: &str = "argon2_params";
    /// Set once the first administrator exists; never unset.
    pub const SETUP_DONE: &str = "setup_done";
    /// Salt of hashed subjects, base64url.
    pub const SUBJECT_SALT: &str = "subject_salt";
}

/// Longest look at the feed.
const SLOWEST_LOOK: Duration = Duration::from_secs(3);
/// Shortest time between two looks at the feed for something unknown, in microseconds.
const CATCH_UP_EVERY: u64 = 100_000;

impl Doorward {
    /// A JSON setting from the database.
    pub(crate) async fn find_setting<T: DeserializeOwned>(
        &self,
        store: &Store,
        key: &str,
    ) -> Result<Option<T>> {
        let text = store.read().find_instance(key).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Loads the whole picture. One at a time, with the position read inside, so that the last one stored is the newest.
    pub(crate) async fn reload_directory(&self, store: &Store) -> Result<()> {
        let _one = self.inner.loading.lock().await;
        self.load_directory(store).await
    }

    async fn load_directory(&self, store: &Store) -> Result<()> {
        let conn = store.read();
        // Read first: what changes while the picture is loaded makes it outdated again, never silently current.
        let top = conn.feed_top().await?;
        let groups = GroupTree::new(conn.groups(false).await?);
        let applications = conn.applications(false).await?;
        let scopes = conn.custom_scopes().await?;
        let policy = self
            .find_setting::<SessionPolicy>(store, setting::SESSION_POLICY)
            .await?
            .unwrap_or_default();
        let break_glass = self
            .find_setting(store, setting::BREAK_GLASS)
            .await?
            .unwrap_or_default();
        let mut directory = Directory::new(groups, applications, scopes, policy, self.inner.home.host());
        directory.break_glass = break_glass;
        self.inner.directory.store(Arc::new(directory));
        self.inner.pictured.store(top, Ordering::Release);
        Ok(())
    }

    /// Loads the signing keys.
    pub(crate) async fn reload_keys(&self, store: &Store) -> Result<()> {
        let records = store.read().keys().await?;
        let current = self.inner.keys.load();
        let set = KeySet::open(records, &self.inner.keyring, &current)?;
        self.inner.keys.store(Arc::new(set));
        Ok(())
    }

    /// Follows the change feed for ever.
    pub(crate) async fn follow_changes(self, store: Store, mut changes: Changes) {
        loop {
            let batch = changes.next().await;
            while let Err(error) = self.apply_changes(&store, &batch).await {
                // Until the picture is as the feed says, memory stands in for a database that is away, and no longer than that may.
                if matches!(&error, Error::Fault(fault) if fault.unavailable) {
                    store.note_away();
                }
                tracing::warn!(%error, "changes could not be read; trying again");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }

    async fn apply_changes(&self, store: &Store, batch: &[Change]) -> Result<()> {
        let (mut directory, mut keys) = (false, false);
        for change in batch {
            match change {
                Change::Resync => {
                    (directory, keys) = (true, true);
                    self.inner.sessions.forget_all();
                }
                Change::Changed { topic, subject, .. } => match topic.as_str() {
                    topic::DIRECTORY | topic::SETTINGS => directory = true,
                    topic::KEYS => keys = true,
                    topic::USER | topic::SESSION | topic::APP_PASSWORD => {
                        self.inner.sessions.forget(subject);
                    }
                    _ => {}
                },
            }
        }
        if directory {
            self.reload_directory(store).await?;
            self.inner.sessions.forget_all();
        }
        if keys {
            self.reload_keys(store).await?;
        }
        Ok(())
    }

    /// The application behind a client id. One that is not in the picture may have been made a moment ago by another
    /// process: the feed is looked at before it counts as unknown.
    ///
    /// # Errors
    /// `Fault` when it is not in the picture and the database is away, so that nobody can tell.
    pub async fn client_application(&self, client_id: &str) -> Result<Option<Arc<Application>>> {
        if let Some(found) = self.directory().by_client_id(client_id) {
            return Ok(Some(Arc::clone(found)));
        }
        self.catch_up().await?;
        Ok(self.directory().by_client_id(client_id).cloned())
    }

    /// The application with a slug, with the same care.
    ///
    /// # Errors
    /// As [`Doorward::client_application`].
    pub async fn slug_application(&self, slug: &str) -> Result<Option<Arc<Application>>> {
        if let Some(found) = self.directory().by_slug(slug) {
            return Ok(Some(Arc::clone(found)));
        }
        self.catch_up().await?;
        Ok(self.directory().by_slug(slug).cloned())
    }

    /// Loads the picture afresh when the feed tells of a change to it. Looks at most once per [`CATCH_UP_EVERY`], and those who
    /// ask meanwhile share one look, so that nobody keeps the server busy by asking for what does not exist.
    async fn catch_up(&self) -> Result<()> {
        let store = self.store()?;
        let asked = self.monotonic_micros();
        let _one = self.inner.loading.lock().await;
        let last = self.inner.caught_up.load(Ordering::Acquire);
        if last > asked {
            // Somebody looked after this was asked.
            if self.inner.look_failed.load(Ordering::Acquire) {
                return Err(Fault::unavailable("the database is away").into());
            }
            return Ok(());
        }
        let early = last
            .saturating_add(CATCH_UP_EVERY)
            .saturating_sub(self.monotonic_micros());
        if last != 0 && early > 0 {
            tokio::time::sleep(Duration::from_micros(early.min(CATCH_UP_EVERY))).await;
        }
        let began = self.monotonic_micros();
        let looked = tokio::time::timeout(SLOWEST_LOOK, self.look_at_feed(store)).await;
        // Those who wait share this look, also when it failed.
        self.inner.caught_up.store(began, Ordering::Release);
        let result =
            looked.unwrap_or_else(|_| Err(Fault::unavailable("the database does not answer").into()));
        self.inner.look_failed.store(result.is_err(), Ordering::Release);
        result
    }

    async fn look_at_feed(&self, store: &Store) -> Result<()> {
        let position = self.inner.pictured.load(Ordering::Acquire);
        let conn = store.read();
        let top = conn.feed_top().await?;
        if top == position {
            return Ok(());
        }
        if conn
            .changed_since(position, &[topic::DIRECTORY, topic::SETTINGS])
            .await?
        {
            self.load_directory(store).await?;
            self.inner.sessions.forget_all();
        } else {
            self.inner.pictured.store(top, Ordering::Release);
        }
        Ok(())
    }

    /// Applies what this process itself just committed, without waiting for the feed.
    pub(crate) async fn refresh_directory_now(&self, _now: Timestamp) -> Result<()> {
        let store = self.store()?;
        self.reload_directory(store).await?;
        self.inner.sessions.forget_all();
        Ok(())
    }
}
