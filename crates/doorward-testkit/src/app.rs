//! One Doorward on one fresh database, with people, groups and applications made in a line each.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use doorward_core::admin::applications::ApplicationChange;
use doorward_core::admin::groups::GroupChange;
use doorward_core::admin::users::NewUser;
use doorward_core::keys::algorithm;
use doorward_core::links::ADMINISTRATORS;
use doorward_core::start::{Bootstrap, Greeting};
use doorward_core::{Clock as _, Doorward, Options, Ports};
use doorward_crypto::jose::SigningKey;
use doorward_crypto::password::Argon2Params;
use doorward_crypto::seal::Keyring;
use doorward_domain::client::{ClientKind, SigningAlgorithm};
use doorward_domain::event::Event;
use doorward_domain::group::Group;
use doorward_domain::key::KeyRecord;
use doorward_domain::user::User;
use doorward_domain::{Id, Lifetime, Timestamp};
use doorward_store::testing::each_place;
use doorward_store::{EventFilter, OpenOptions, Store, sql, sql_built};

use crate::browser::Browser;
use crate::client::Client;
use crate::clock::{ManualClock, START};
use crate::entropy::Seeded;
use crate::fetch::{Inbox, ScriptedFetch};

/// `public_url` of every story.
pub const PUBLIC_URL: &str = "https://door.example.org";
/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery";

const MASTER: [u8; 32] = [7; 32];
/// The purpose under which core seals signing keys.
const SEAL: &str = "signing-key";

/// Doorward with everything around it. Cloning is cheap.
#[derive(Clone)]
pub struct App {
    /// The handle under test.
    pub doorward: Doorward,
    /// Its clock, shared with all replicas.
    pub clock: Arc<ManualClock>,
    /// Its outside world, shared with all replicas.
    pub fetch: Arc<ScriptedFetch>,
    /// Its mail server, shared with all replicas.
    pub inbox: Arc<Inbox>,
    /// Where the database is.
    pub place: OpenOptions,
    seeds: Arc<AtomicU64>,
    options: Options,
}

/// The options of every story that says nothing else.
fn options() -> Options {
    Options {
        public_url: PUBLIC_URL.to_owned(),
        hashing_threads: 2,
        hashing_queue: 200,
        hashing_memory_kib: 64 * 1024,
        session_cache: 1000,
        token_api: None,
    }
}

/// Runs a story with a prepared installation on a fresh SQLite file and, when the environment says where, on a fresh
/// PostgreSQL database.
pub async fn each_app(story: impl AsyncFn(App)) {
    each_app_with(|_| {}, story).await;
}

/// The same with other options.
pub async fn each_app_with(change: impl Fn(&mut Options), story: impl AsyncFn(App)) {
    each_place(async |place| {
        let mut options = options();
        change(&mut options);
        let app = App::unopened_with(&place, options).await;
        app.doorward.open(&place).await.expect("an open database");
        let store = app.store().clone();
        story(app).await;
        store.close().await;
    })
    .await;
}

/// Signing keys are made once per test program: an RSA key takes a while.
fn signing_keys() -> &'static [KeyRecord] {
    static KEYS: OnceLock<Vec<KeyRecord>> = OnceLock::new();
    KEYS.get_or_init(|| SigningAlgorithm::ALL.iter().map(|of| signing_key(*of)).collect())
}

fn signing_key(of: SigningAlgorithm) -> KeyRecord {
    let key = SigningKey::generate(algorithm(of)).expect("a signing key");
    let pkcs8 = key.to_pkcs8().expect("its private half");
    let number = u8::try_from(
        SigningAlgorithm::ALL
            .iter()
            .position(|known| *known == of)
            .unwrap_or(0),
    );
    let tag = number.unwrap_or(0) + 1;
    KeyRecord {
        id: Id::mint(START, [tag; 10]),
        kid: key.kid().to_owned(),
        algorithm: of,
        public_jwk: serde_json::to_value(key.public_jwk()).expect("a public key as JSON"),
        private_sealed: Keyring::new(MASTER).seal(SEAL, &[tag; 28], &pkcs8),
        created_at: START,
        signs_from: START,
        withdrawn_at: None,
    }
}

/// Fast parameters and ready keys, before anybody measures the machine or makes keys.
async fn furnish(store: &Store) {
    let params = Argon2Params {
        memory_kib: 32,
        iterations: 1,
        parallelism: 1,
    };
    let params = serde_json::to_string(&params).expect("parameters as JSON");
    let tx = store.begin().await.expect("a transaction");
    let first = tx
        .put_instance_once(doorward_core::picture::setting::ARGON2, &params)
        .await
        .expect("the parameters");
    if first {
        for key in signing_keys() {
            tx.add_key(key).await.expect("a key");
        }
    }
    tx.commit().await.expect("a commit");
}

impl App {
    /// A prepared installation in this place.
    pub async fn new(place: &OpenOptions) -> Self {
        let app = Self::unopened(place).await;
        app.doorward.open(place).await.expect("an open database");
        app
    }

    /// The same without opening the database; for stories about the start.
    pub async fn unopened(place: &OpenOptions) -> Self {
        Self::unopened_with(place, options()).await
    }

    async fn unopened_with(place: &OpenOptions, options: Options) -> Self {
        let store = Store::open(place.clone()).await.expect("a database");
        furnish(&store).await;
        store.close().await;
        let (clock, fetch, inbox) = (Arc::default(), Arc::default(), Arc::default());
        let seeds = Arc::new(AtomicU64::new(1));
        Self {
            doorward: handle(&options, &clock, &fetch, &inbox, 1),
            clock,
            fetch,
            inbox,
            place: place.clone(),
            seeds,
            options,
        }
    }

    /// Another handle on the same database that has not been opened.
    #[must_use]
    pub fn unopened_replica(&self) -> Self {
        let seed = self.seeds.fetch_add(1, Ordering::SeqCst) + 1;
        Self {
            doorward: handle(&self.options, &self.clock, &self.fetch, &self.inbox, seed),
            ..self.clone()
        }
    }

    /// Another handle that was given another key file by mistake.
    #[must_use]
    pub fn replica_with_another_key_file(&self) -> Self {
        Self {
            doorward: with_keyring(
                &self.options,
                &self.clock,
                &self.fetch,
                &self.inbox,
                99,
                Keyring::new([8; 32]),
            ),
            ..self.clone()
        }
    }

    /// Another process on the same database, with all its watchers running.
    pub async fn replica(&self) -> Self {
        let replica = self.unopened_replica();
        replica.start(&Bootstrap::default()).await;
        replica
    }

    /// Starts as the server does.
    pub async fn start(&self, bootstrap: &Bootstrap) -> Greeting {
        self.doorward
            .start(&self.place, bootstrap)
            .await
            .expect("a start")
    }

    /// The store under it.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.doorward.store().expect("an open database")
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets time pass.
    pub fn wait(&self, by: Lifetime) {
        self.clock.advance(by);
    }

    /// Lets seconds pass.
    pub fn wait_seconds(&self, seconds: u32) {
        self.wait(Lifetime::from_seconds(seconds));
    }

    /// A person with [`PASSWORD`] and a proved address `<username>@example.org`.
    pub async fn person(&self, username: &str) -> User {
        self.person_with(username, |_| {}).await
    }

    /// A person, changed before it is made.
    pub async fn person_with(&self, username: &str, change: impl FnOnce(&mut NewUser)) -> User {
        let mut new = NewUser {
            username: username.to_owned(),
            name: username.to_uppercase(),
            email: Some(format!("{username}@example.org")),
            email_verified: true,
            ..NewUser::default()
        };
        change(&mut new);
        self.doorward
            .create_user(&new, Some(PASSWORD))
            .await
            .expect("a user")
    }

    /// A member of the administrators.
    pub async fn administrator(&self, username: &str) -> User {
        let user = self.person(username).await;
        let group = match self.doorward.find_group(ADMINISTRATORS).await {
            Ok(group) => group,
            Err(_) => {
                let superuser = GroupChange {
                    superuser: Some(true),
                    ..GroupChange::default()
                };
                self.doorward
                    .create_group(ADMINISTRATORS, &superuser)
                    .await
                    .expect("the administrators")
            }
        };
        self.doorward
            .add_member(user.id, group.id)
            .await
            .expect("a member");
        user
    }

    /// A group.
    pub async fn group(&self, name: &str) -> Group {
        self.doorward
            .create_group(name, &GroupChange::default())
            .await
            .expect("a group")
    }

    /// A confidential client for everyone with the redirect URI `https://<slug>.example.org/callback`, changed before it
    /// is made.
    pub async fn oidc_client(&self, slug: &str, change: impl FnOnce(&mut ApplicationChange)) -> Client {
        let mut wanted = ApplicationChange {
            everyone: Some(true),
            ..ApplicationChange::default()
        };
        wanted.client.kind = Some(ClientKind::Confidential);
        wanted.client.redirect_uris = Some(vec![format!("https://{slug}.example.org/callback")]);
        change(&mut wanted);
        let created = self
            .doorward
            .create_application(slug, &wanted)
            .await
            .expect("an application");
        Client::new(self.clone(), &created)
    }

    /// A browser that nobody signed in with.
    #[must_use]
    pub fn browser(&self) -> Browser {
        Browser::new(self.clone())
    }

    /// A browser in which this person just signed in.
    pub async fn sign_in(&self, username: &str) -> Browser {
        let mut browser = self.browser();
        browser.sign_in(username, PASSWORD).await.expect("a sign-in");
        browser
    }

    /// Every event, oldest first.
    pub async fn events(&self) -> Vec<Event> {
        let mut filter = EventFilter {
            limit: 500,
            ..EventFilter::default()
        };
        let mut events = Vec::new();
        loop {
            let page = self.store().read().events(&filter).await.expect("events");
            let Some(last) = page.last() else { break };
            filter.after = Some(last.id);
            events.extend(page);
        }
        events.reverse();
        events
    }

    /// Puts a table out of reach: whoever asks the database for it gets a fault.
    pub async fn lose(&self, table: &str) {
        let tx = self.store().begin().await.expect("a transaction");
        let rename = format!("ALTER TABLE {table} RENAME TO out_of_reach");
        tx.run(sql_built(rename)).await.expect("another name");
        tx.commit().await.expect("a commit");
    }

    /// Puts a value into every row of a table that no program writes there: whoever reads it meets a fault.
    pub async fn spoil(&self, table: &str, column: &str, literal: &str) {
        let tx = self.store().begin().await.expect("a transaction");
        let update = format!("UPDATE {table} SET {column} = {literal}");
        tx.run(sql_built(update)).await.expect("an update");
        tx.commit().await.expect("a commit");
    }

    /// Puts a column out of reach.
    pub async fn lose_column(&self, table: &str, column: &str) {
        let tx = self.store().begin().await.expect("a transaction");
        let rename = format!("ALTER TABLE {table} RENAME COLUMN {column} TO out_of_reach");
        tx.run(sql_built(rename)).await.expect("another name");
        tx.commit().await.expect("a commit");
    }

    /// Rows per table.
    pub async fn rows(&self) -> BTreeMap<String, i64> {
        let conn = self.store().read();
        let tables = if self.store().engine_name() == "sqlite" {
            sql("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        } else {
            sql("SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema()")
        };
        let mut rows = BTreeMap::new();
        for table in conn.all(tables).await.expect("tables") {
            let table: String = table.get("name").expect("a name");
            let count = sql_built(format!("SELECT count(*) AS n FROM \"{table}\""));
            let count = conn.one(count).await.expect("a count");
            rows.insert(table, count.get("n").expect("a number"));
        }
        rows
    }
}

fn handle(
    options: &Options,
    clock: &Arc<ManualClock>,
    fetch: &Arc<ScriptedFetch>,
    inbox: &Arc<Inbox>,
    seed: u64,
) -> Doorward {
    with_keyring(options, clock, fetch, inbox, seed, Keyring::new(MASTER))
}

fn with_keyring(
    options: &Options,
    clock: &Arc<ManualClock>,
    fetch: &Arc<ScriptedFetch>,
    inbox: &Arc<Inbox>,
    seed: u64,
    keyring: Keyring,
) -> Doorward {
    let ports = Ports {
        clock: Arc::clone(clock) as _,
        entropy: Arc::new(Seeded::new(seed)),
        fetch: Arc::clone(fetch) as _,
        mailer: Some(Arc::clone(inbox) as _),
    };
    Doorward::new(options.clone(), ports, keyring)
}
