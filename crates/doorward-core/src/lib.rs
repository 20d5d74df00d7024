//! Use cases: load, decide, save. One cheap handle, [`Doorward`], that doors and the command line call.
//!
//! Lives here: wiring of rules, cryptography and storage; the ports `Clock`, `Entropy` and `Fetch`; the picture of the
//! configuration in memory; jobs. Must not live here: HTTP server types, SQL text, HTML.

pub mod admin;
pub mod app_auth;
pub mod app_passwords;
pub mod attempts;
pub mod authorize;
pub mod client_auth;
pub mod device;
pub mod documents;
pub mod dpop;
pub mod error;
pub mod events;
pub mod explain;
pub mod explain_site;
pub mod forward_auth;
pub mod hand_over;
pub mod hashing;
pub mod health;
pub mod identity;
pub mod issue;
pub mod jobs;
pub mod keys;
pub mod links;
pub mod logout;
pub mod machines;
pub mod metrics;
pub mod passwords;
pub mod picture;
pub mod place;
pub mod portal;
pub mod ports;
pub mod pushed;
pub mod sessions;
pub mod sign_in;
pub mod site_cookie;
mod site_visits;
pub mod snippet;
pub mod start;
pub mod token;
pub mod token_api;
pub mod token_exchange;
pub mod token_use;

use arc_swap::ArcSwap;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, OnceLock};

use doorward_crypto::password::Argon2Params;
use doorward_crypto::seal::Keyring;
use doorward_domain::directory::Directory;
use doorward_domain::{Id, Timestamp};
use doorward_store::Store;

pub use error::{Error, Fault, Refused, Result};
pub use ports::{Clock, Entropy, Fetch, Ports};

pub use doorward_crypto::token::constant_eq;

/// Schema version of a store, for `/version`.
#[must_use]
pub fn schema_version(store: &Store) -> i64 {
    store.schema_version()
}

/// Who asks, as far as the network knows; part of every request that is recorded.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Client address, after trusted proxies were taken into account.
    pub ip: Option<IpAddr>,
    /// `User-Agent`, shortened to 256 characters.
    pub user_agent: Option<String>,
}

/// What the server is told once at start.
#[derive(Clone, Debug)]
pub struct Options {
    /// `public_url` without a trailing slash.
    pub public_url: String,
    /// Threads that hash passwords.
    pub hashing_threads: usize,
    /// Sign-ins that may wait for a hashing thread.
    pub hashing_queue: usize,
    /// Memory one hash may take, in KiB.
    pub hashing_memory_kib: u32,
    /// Warm sessions kept in memory.
    pub session_cache: usize,
    /// The token API; `None`: it is off.
    pub token_api: Option<Arc<token_api::TokenApi>>,
}

/// The one handle over all use cases. Cloning is cheap.
#[derive(Clone)]
pub struct Doorward {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    ports: Ports,
    keyring: Keyring,
    store: OnceLock<Store>,
    directory: ArcSwap<Directory>,
    /// Position of the change feed that the directory was loaded at.
    pictured: AtomicI64,
    /// Held while the directory is loaded.
    loading: tokio::sync::Mutex<()>,
    /// When the feed was last looked at for something unknown, in monotonic microseconds.
    caught_up: AtomicU64,
    /// Did that look fail?
    look_failed: AtomicBool,
    keys: ArcSwap<keys::KeySet>,
    hashing: hashing::Pool,
    hash_params: OnceLock<Argon2Params>,
    decoy: OnceLock<String>,
    sessions: sessions::Cache,
    app_passwords: app_passwords::Cache,
    doors: app_auth::Doors,
    /// Documents of providers that people sign in with.
    providers: app_auth::providers::Documents,
    refusals: events::Limiter,
    inflight: sign_in::Inflight,
    fetched_keys: client_auth::JwksCache,
    allowances: client_auth::Allowances,
    metrics: metrics::Metrics,
    status: health::Status,
    /// Where this program itself lives.
    home: place::Home,
    /// Break-glass passes that were recorded lately.
    noticed: forward_auth::Noticed,
    /// Browsers that were sent on to sites lately.
    starts: hand_over::Starts,
    /// Access tokens that programs showed at sites lately.
    tokens: machines::Tokens,
    /// What the token API remembers.
    token_api: token_api::State,
}

impl Doorward {
    /// Makes the handle; [`Doorward::start`] then connects it to its database.
    #[must_use]
    pub fn new(options: Options, ports: Ports, keyring: Keyring) -> Self {
        let metrics = metrics::Metrics::new();
        let hashing = hashing::Pool::new(
            options.hashing_threads,
            options.hashing_queue,
            metrics.hashing.clone(),
        );
        let sessions = sessions::Cache::new(options.session_cache);
        let home = place::Home::new(&options.public_url);
        Self {
            inner: Arc::new(Inner {
                options,
                ports,
                keyring,
                store: OnceLock::new(),
                directory: ArcSwap::default(),
                pictured: AtomicI64::new(-1),
                loading: tokio::sync::Mutex::default(),
                caught_up: AtomicU64::new(0),
                look_failed: AtomicBool::new(false),
                keys: ArcSwap::default(),
                hashing,
                hash_params: OnceLock::new(),
                decoy: OnceLock::new(),
                sessions,
                app_passwords: app_passwords::Cache::default(),
                doors: app_auth::Doors::default(),
                providers: app_auth::providers::Documents::default(),
                refusals: events::Limiter::default(),
                inflight: sign_in::Inflight::default(),
                fetched_keys: client_auth::JwksCache::default(),
                allowances: client_auth::Allowances::default(),
                metrics,
                status: health::Status::default(),
                home,
                noticed: forward_auth::Noticed::default(),
                starts: hand_over::Starts::default(),
                tokens: machines::Tokens::default(),
                token_api: token_api::State::default(),
            }),
        }
    }

    /// The time, from the clock port.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.ports.clock.now()
    }

    /// The configuration as it is now.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        self.inner.directory.load_full()
    }

    /// The configuration as it is now, for a look that does not last: it holds up nobody and is not counted.
    pub fn directory_now(&self) -> impl Deref<Target = Arc<Directory>> {
        self.inner.directory.load()
    }

    /// `public_url` without a trailing slash.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.inner.options.public_url
    }

    /// Counters and histograms.
    #[must_use]
    pub fn metrics(&self) -> &metrics::Metrics {
        &self.inner.metrics
    }

    /// The store, to ask something of it.
    ///
    /// # Errors
    /// `Fault` of kind unavailable while the database has not been reached since the start, and while it is known to be away: who is
    /// waited for by many is not waited for by each.
    pub fn store(&self) -> Result<&Store> {
        let store = self.opened()?;
        if store.is_away() {
            return Err(Fault::unavailable("the database is away").into());
        }
        Ok(store)
    }

    /// The store, once connected; perhaps it is away now.
    ///
    /// # Errors
    /// `Fault` of kind unavailable while the database has not been reached since the start.
    pub fn opened(&self) -> Result<&Store> {
        let connected = self.inner.store.get().filter(|_| self.is_prepared());
        connected.ok_or_else(|| Error::Fault(Fault::unavailable("the database has not been reached yet")))
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0_u8; N];
        self.inner.ports.entropy.fill(&mut bytes);
        bytes
    }

    /// `N` random bytes in hexadecimal.
    pub(crate) fn random_hex<const N: usize>(&self) -> String {
        let bytes: [u8; N] = self.random();
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        bytes
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
            .collect()
    }

    /// `N` random letters and digits.
    pub(crate) fn random_name<const N: usize>(&self) -> String {
        const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = String::with_capacity(N);
        while text.len() < N {
            let bytes: [u8; 64] = self.random();
            // Bytes from 248 on would make some letters likelier than others.
            let letters = bytes.iter().filter(|byte| **byte < 248);
            let letters = letters.filter_map(|byte| LETTERS.get(usize::from(byte % 62)));
            text.extend(letters.take(N - text.len()).map(|letter| char::from(*letter)));
        }
        text
    }

    pub(crate) fn mint<K>(&self, now: Timestamp) -> Id<K> {
        Id::mint(now, self.random())
    }
}

impl std::fmt::Debug for Doorward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doorward")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}
