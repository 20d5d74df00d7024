//! Recording what happened, in the transaction that makes it happen; and a lid on how many refusals strangers can write.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use doorward_domain::event::{Event, EventKind};
use doorward_domain::{ApplicationId, Code, Lifetime, Reason, SessionId, Timestamp, UserId};
use doorward_store::Tx;

use crate::error::{Fault, Refused, Result};
use crate::{Doorward, Origin};

/// What an event concerns; filled in as far as known.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// User.
    pub user: Option<UserId>,
    /// Application.
    pub application: Option<ApplicationId>,
    /// Session.
    pub session: Option<SessionId>,
    /// Inputs or change, without secrets.
    pub details: Value,
}

/// How often strangers may make us write the same sort of refusal: a burst, then one per interval.
const BURST: u32 = 30;
const INTERVAL: Lifetime = Lifetime::from_seconds(1);
const KEYS: usize = 10_000;
/// A refusal does not wait longer than this for its record.
const LONGEST_RECORD: Duration = Duration::from_secs(2);

/// Limits refusals written per key (reason and application, or network). Beyond the limit the latest written code is given
/// again, so that what a person reads out always leads somewhere.
#[derive(Default)]
pub struct Limiter {
    buckets: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    tokens: u32,
    refilled: Timestamp,
    latest: Option<Code>,
}

pub(crate) enum Allowed {
    Write,
    Repeat(Option<Code>),
}

impl Limiter {
    pub(crate) fn ask(&self, key: &str, now: Timestamp) -> Allowed {
        let Ok(mut buckets) = self.buckets.lock() else {
            return Allowed::Write;
        };
        if buckets.len() >= KEYS && !buckets.contains_key(key) {
            buckets.retain(|_, bucket| now.millis_since(bucket.refilled) < 600_000);
            // Still full: somebody owns very many networks. The one that was quiet the longest makes room.
            let oldest = buckets
                .iter()
                .min_by_key(|(_, bucket)| bucket.refilled)
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest.filter(|_| buckets.len() >= KEYS) {
                buckets.remove(&oldest);
            }
        }
        let bucket = buckets.entry(key.to_owned()).or_insert(Bucket {
            tokens: BURST,
            refilled: now,
            latest: None,
        });
        let gained = u32::try_from(now.millis_since(bucket.refilled) / INTERVAL.millis()).unwrap_or(0);
        if gained > 0 {
            bucket.tokens = bucket.tokens.saturating_add(gained).min(BURST);
            bucket.refilled = now;
        }
        if bucket.tokens == 0 {
            return Allowed::Repeat(bucket.latest.clone());
        }
        bucket.tokens -= 1;
        Allowed::Write
    }

    pub(crate) fn wrote(&self, key: &str, code: &Code) {
        if let Ok(mut buckets) = self.buckets.lock()
            && let Some(bucket) = buckets.get_mut(key)
        {
            bucket.latest = Some(code.clone());
        }
    }
}

impl Doorward {
    /// A short random name for one failure of ours: told to the caller, written to the log.
    #[must_use]
    pub fn incident(&self) -> String {
        doorward_crypto::token::short_code(&self.random())
    }

    /// A monotonic reading in microseconds, for measuring only.
    #[must_use]
    pub fn monotonic_micros(&self) -> u64 {
        self.inner.ports.clock.monotonic_micros()
    }

    /// Makes an event; the caller adds it to its transaction.
    #[must_use]
    pub(crate) fn event(&self, kind: EventKind, about: About, origin: &Origin, now: Timestamp) -> Event {
        Event {
            id: self.mint(now),
            at: now,
            kind,
            reason: None,
            code: None,
            user_id: about.user,
            application_id: about.application,
            session_id: about.session,
            ip: origin.ip.map(|ip| ip.to_canonical().to_string()),
            details: if about.details.is_null() {
                json!({})
            } else {
                about.details
            },
        }
    }

    /// A refusal event with a fresh code, inside a transaction that has other things to write.
    pub(crate) async fn refuse_in(
        &self,
        tx: &Tx,
        reason: Reason,
        about: About,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Refused> {
        let code = Code::new(doorward_crypto::token::short_code(&self.random()));
        let mut event = self.event(EventKind::Refused, about, origin, now);
        event.reason = Some(reason);
        event.code = Some(code.clone());
        tx.add_event(&event).await?;
        Ok(Refused {
            code: Some(code),
            ..Refused::bare(reason)
        })
    }

    /// Records a refusal on its own. When the database is away or the lid is on, the refusal stands without a new record.
    pub(crate) async fn refuse(
        &self,
        what: &'static str,
        reason: Reason,
        about: About,
        origin: &Origin,
    ) -> Refused {
        self.inner.metrics.decided(what, reason.as_str());
        let now = self.now();
        let network = origin
            .ip
            .map(|ip| doorward_domain::network::Network::of(ip).to_string())
            .unwrap_or_default();
        let key = format!("{reason}/{:?}/{network}", about.application);
        let directory = self.directory();
        let application = about.application.and_then(|id| directory.application(id));
        let bare = Refused {
            application: application.map(|application| application.name.clone()),
            ..Refused::bare(reason)
        };
        if let Allowed::Repeat(code) = self.inner.refusals.ask(&key, now) {
            return Refused { code, ..bare };
        }
        let writing = self.write_refusal(reason, about, origin, now);
        let written = tokio::time::timeout(LONGEST_RECORD, writing)
            .await
            .unwrap_or_else(|_| Err(Fault::unavailable("the database does not answer").into()));
        match written {
            Ok(refused) => {
                if let Some(code) = &refused.code {
                    self.inner.refusals.wrote(&key, code);
                }
                Refused {
                    code: refused.code,
                    ..bare
                }
            }
            Err(error) => {
                tracing::warn!(%error, %reason, "a refusal could not be recorded");
                bare
            }
        }
    }

    async fn write_refusal(
        &self,
        reason: Reason,
        about: About,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Refused> {
        let tx = self.store()?.begin().await?;
        let refused = self.refuse_in(&tx, reason, about, origin, now).await?;
        tx.commit().await?;
        Ok(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_repeats_the_latest_code_instead_of_writing() {
        let limiter = Limiter::default();
        let now = Timestamp::from_seconds(1_000);
        for n in 0..BURST {
            assert!(matches!(limiter.ask("k", now), Allowed::Write), "{n}");
            limiter.wrote("k", &Code::new(format!("DW-{n}")));
        }
        assert!(matches!(limiter.ask("k", now), Allowed::Repeat(Some(code)) if code.as_str() == "DW-29"));
        assert!(matches!(limiter.ask("other", now), Allowed::Write));
        assert!(matches!(
            limiter.ask("k", Timestamp::from_seconds(1_001)),
            Allowed::Write
        ));
    }
}
