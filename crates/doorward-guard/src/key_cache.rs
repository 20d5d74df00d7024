//! Public keys of an issuer, kept for a while.
//!
//! A key that is known is used from memory. One that is not leads to a fetch, but never more often than the floor allows,
//! and never twice at once: whoever sends tokens with made-up key ids cannot make the server answer for each. While the
//! server is away, known keys stay usable within a limit.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::ask::{Asker, place};
use crate::jose::KeySet;

/// How long keys are believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Used without asking.
    pub(crate) fresh: Duration,
    /// Used while new ones are being fetched, or cannot be.
    pub(crate) usable: Duration,
    /// Between two fetches because of a key that is not known.
    pub(crate) floor: Duration,
}

/// Between two fetches after one that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// Where keys are found.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// The set itself.
    Set(Url),
    /// A discovery document of this issuer that names the set.
    Discovery { document: Url, issuer: String },
}

/// The keys of one issuer.
pub(crate) struct KeyCache {
    asker: Arc<Asker>,
    place: Place,
    timing: Timing,
    current: RwLock<Option<Arc<Loaded>>>,
    /// Held while fetching; says how the last fetch ended.
    last: Mutex<Option<Attempt>>,
}

/// Keys and their age.
pub(crate) struct Loaded {
    pub(crate) keys: KeySet,
    at: Instant,
}

#[derive(Clone, Copy)]
struct Attempt {
    at: Instant,
    failed: bool,
}

/// The server did not give its keys, and the reason is in the log.
#[derive(Debug)]
pub(crate) struct Away(pub(crate) String);

impl KeyCache {
    pub(crate) fn new(asker: Arc<Asker>, place: Place, timing: Timing) -> Arc<Self> {
        Arc::new(Self {
            asker,
            place,
            timing,
            current: RwLock::new(None),
            last: Mutex::new(None),
        })
    }

    /// Keys among which there is one that `fits`, or the newest that may be had.
    pub(crate) async fn keys(self: &Arc<Self>, fits: impl Fn(&KeySet) -> bool) -> Result<Arc<Loaded>, Away> {
        if let Some(loaded) = self.current() {
            let age = loaded.at.elapsed();
            if fits(&loaded.keys) && age < self.timing.usable {
                if age >= self.timing.fresh {
                    let cache = Arc::clone(self);
                    tokio::spawn(async move { cache.refresh_in_passing().await });
                }
                return Ok(loaded);
            }
        }
        // In a task of its own: a caller that goes away must not take the fetch with it, for others wait on it too.
        let cache = Arc::clone(self);
        let fetched = tokio::spawn(async move { cache.refresh().await });
        fetched.await.unwrap_or_else(|error| Err(Away(error.to_string())))
    }

    fn current(&self) -> Option<Arc<Loaded>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// For keys that are good enough: nobody waits, and one at a time tries.
    async fn refresh_in_passing(&self) {
        if let Ok(mut last) = self.last.try_lock()
            && last.is_none_or(|last| last.at.elapsed() >= self.pause(last))
        {
            // Failures are in the log, and the keys at hand stay in use.
            let _ = self.fetch(&mut last).await;
        }
    }

    /// For keys that are needed: waits for the fetch that is running, or makes one unless it is too soon.
    async fn refresh(&self) -> Result<Arc<Loaded>, Away> {
        let mut last = self.last.lock().await;
        match *last {
            Some(attempt) if attempt.at.elapsed() < self.pause(attempt) => {
                let usable = self
                    .current()
                    .filter(|loaded| loaded.at.elapsed() < self.timing.usable);
                match usable {
                    Some(loaded) if !attempt.failed => Ok(loaded),
                    _ => Err(Away("the keys could not be fetched a moment ago".to_owned())),
                }
            }
            _ => self.fetch(&mut last).await,
        }
    }

    fn pause(&self, attempt: Attempt) -> Duration {
        if attempt.failed {
            AFTER_FAILURE.min(self.timing.floor)
        } else {
            self.timing.floor
        }
    }

    async fn fetch(&self, last: &mut Option<Attempt>) -> Result<Arc<Loaded>, Away> {
        let fetched = self.fetch_set().await;
        let at = Instant::now();
        *last = Some(Attempt {
            at,
            failed: fetched.is_err(),
        });
        match fetched {
            Ok(keys) => {
                let loaded = Arc::new(Loaded { keys, at });
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&loaded));
                Ok(loaded)
            }
            Err(why) => {
                tracing::warn!("the issuer's keys could not be fetched: {why}");
                Err(Away(why))
            }
        }
    }

    async fn fetch_set(&self) -> Result<KeySet, String> {
        let url = match &self.place {
            Place::Set(url) => url.clone(),
            Place::Discovery { document, issuer } => self.discover(document, issuer).await?,
        };
        let body = self.document(&url).await?;
        KeySet::parse(&body)
            .ok_or_else(|| format!("{}: no key set, or none of its keys can be used", place(&url)))
    }

    /// OpenID Connect Discovery, section 4.3: the document must name the very issuer that was asked, byte for byte.
    async fn discover(&self, document: &Url, issuer: &str) -> Result<Url, String> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            jwks_uri: Url,
        }
        let place = place(document);
        let body = self.document(document).await?;
        let found: Document = serde_json::from_slice(&body)
            .map_err(|_| format!("{place}: no discovery document with issuer and jwks_uri"))?;
        if found.issuer != issuer {
            return Err(format!(
                "{place}: is about the issuer {}, expected {issuer}",
                found.issuer
            ));
        }
        if !crate::builder::may_call(&found.jwks_uri) && found.jwks_uri.origin() != document.origin() {
            return Err(format!("{place}: jwks_uri is {}, expected https", found.jwks_uri));
        }
        Ok(found.jwks_uri)
    }

    async fn document(&self, url: &Url) -> Result<Vec<u8>, String> {
        let answer = self.asker.get(url).await.map_err(|silence| silence.to_string())?;
        if answer.status != http::StatusCode::OK {
            return Err(format!(
                "{}: answered {}, expected 200",
                place(url),
                answer.status
            ));
        }
        Ok(answer.body)
    }
}
