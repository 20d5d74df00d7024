//! Fresh databases for tests, on every engine at hand. Behind the feature `testing`.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tempfile::TempDir;
use tokio_postgres::NoTls;

use crate::{OpenOptions, Store};

/// Name of the environment variable with the `postgres://` URL of a server where the user may create databases.
pub const POSTGRES: &str = "DOORWARD_TEST_POSTGRES";

/// Runs `story` on a fresh SQLite file and, when the environment says where, on a fresh PostgreSQL database. What is
/// skipped is said on standard error.
///
/// # Panics
/// When the story does, or a database cannot be made.
pub async fn each_engine<F, Fut>(story: F)
where
    F: Fn(Store) -> Fut,
    Fut: Future<Output = ()>,
{
    each_place(async |options| {
        let store = open(options).await;
        story(store.clone()).await;
        store.close().await;
    })
    .await;
}

/// Like [`each_engine`], for stories that open the database themselves.
///
/// # Panics
/// When the story does, or a database cannot be made.
pub async fn each_place(story: impl AsyncFn(OpenOptions)) {
    let folder = folder();
    eprint_line("on SQLite");
    story(OpenOptions::sqlite(folder.path().join("doorward.db"))).await;
    each_postgres(&story).await;
}

/// Runs `story` on a fresh PostgreSQL database, when the environment says where.
///
/// # Panics
/// When the story does, or a database cannot be made.
pub async fn each_postgres(story: &impl AsyncFn(OpenOptions)) {
    let Some(server) = postgres_url() else {
        eprint_line(&format!("skipped on PostgreSQL: {POSTGRES} is not set"));
        return;
    };
    eprint_line("on PostgreSQL");
    let database = PostgresDatabase::create(&server).await;
    let outcome = AssertUnwindSafe(story(database.options())).catch_unwind().await;
    database.remove().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A fresh SQLite store; lives as long as the folder.
///
/// # Panics
/// When it cannot be made.
pub async fn fresh_sqlite() -> (TempDir, Store) {
    let folder = folder();
    let store = open(OpenOptions::sqlite(folder.path().join("doorward.db"))).await;
    (folder, store)
}

/// The server for tests, when the environment names one.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment which server they may use"
)]
pub fn postgres_url() -> Option<String> {
    std::env::var(POSTGRES).ok().filter(|url| !url.is_empty())
}

/// A database of its own on the server for tests.
pub struct PostgresDatabase {
    server: String,
    name: String,
}

impl PostgresDatabase {
    /// Creates it, empty.
    ///
    /// # Panics
    /// When the server is away or refuses.
    pub async fn create(server: &str) -> Self {
        let name = format!(
            "doorward_test_{:016x}",
            RandomState::new().build_hasher().finish()
        );
        let database = Self {
            server: server.to_owned(),
            name,
        };
        database
            .administer(&format!(
                "CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0",
                database.name
            ))
            .await;
        database
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        let (base, parameters) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let slash = base.find("://").map_or(0, |at| at + 3);
        let host = base
            .get(slash..)
            .and_then(|rest| rest.find('/'))
            .map_or(base, |at| base.split_at(slash + at).0);
        let mark = if parameters.is_empty() { "" } else { "?" };
        format!("{host}/{}{mark}{parameters}", self.name)
    }

    /// How to open it.
    ///
    /// # Panics
    /// When the URL of the server is not one.
    #[must_use]
    pub fn options(&self) -> OpenOptions {
        must(OpenOptions::parse(&self.url()))
    }

    /// Removes it, whoever is still connected.
    ///
    /// # Panics
    /// When the server is away or refuses.
    pub async fn remove(self) {
        self.administer(&format!("DROP DATABASE {} WITH (FORCE)", self.name))
            .await;
    }

    async fn administer(&self, statement: &str) {
        let (client, connection) = must(tokio_postgres::connect(&self.server, NoTls).await);
        let connection = tokio::spawn(connection);
        must(client.batch_execute(statement).await);
        connection.abort();
    }
}

async fn open(options: OpenOptions) -> Store {
    must(Store::open(options).await)
}

fn folder() -> TempDir {
    must(tempfile::tempdir())
}

#[expect(clippy::panic, reason = "only tests call this")]
fn must<T, E: std::fmt::Display>(outcome: std::result::Result<T, E>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "tells who runs the tests what was run and what was skipped"
)]
fn eprint_line(text: &str) {
    eprintln!("{text}");
}
