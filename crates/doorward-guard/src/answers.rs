//! What the server said about a token, kept for seconds, and one question at a time for each token.
//!
//! Keys are digests: no token stays in memory. A yes is never kept beyond the end of the token; a no and a fault only for
//! those who asked at the same moment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::time::Instant;

use crate::caller::Caller;
use crate::clock;
use crate::refusal::Refusal;

/// Tokens that are remembered at once. Beyond that, each request asks.
const MOST_ANSWERS: usize = 10_000;
/// How long a no or a fault is passed on to others who ask the same.
const NO: Duration = Duration::from_secs(1);

/// Somebody, nobody, or it could not be found out.
pub(crate) type Outcome = Result<Option<Caller>, Refusal>;

/// The answers of one kind of question.
pub(crate) struct Answers {
    keep: Duration,
    slots: Mutex<HashMap<[u8; 32], Arc<Slot>>>,
}

/// Held by whoever is asking; the others wait for it and read the answer.
type Slot = tokio::sync::Mutex<Option<Kept>>;

struct Kept {
    outcome: Outcome,
    until: Instant,
}

impl Kept {
    fn holds(&self) -> bool {
        let alive = match &self.outcome {
            Ok(Some(caller)) => caller.expires_at() > clock::now(),
            _ => true,
        };
        alive && Instant::now() < self.until
    }
}

impl Answers {
    /// Keeps a yes for so long. Zero: every request asks.
    pub(crate) fn new(keep: Duration) -> Self {
        Self {
            keep,
            slots: Mutex::default(),
        }
    }

    /// The answer at hand, or the one that `ask` brings.
    pub(crate) async fn get(&self, credential: &str, ask: impl Future<Output = Outcome>) -> Outcome {
        if self.keep.is_zero() {
            return ask.await;
        }
        let Some(slot) = self.slot(credential) else {
            return ask.await;
        };
        let mut kept = slot.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.holds()) {
            return kept.outcome.clone();
        }
        let outcome = ask.await;
        let keep = match &outcome {
            Ok(Some(_)) => self.keep,
            _ => NO,
        };
        *kept = Some(Kept {
            outcome: outcome.clone(),
            until: Instant::now() + keep,
        });
        outcome
    }

    fn slot(&self, credential: &str) -> Option<Arc<Slot>> {
        let key: [u8; 32] = digest(&SHA256, credential.as_bytes()).as_ref().try_into().ok()?;
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key) {
            return Some(Arc::clone(slot));
        }
        if slots.len() >= MOST_ANSWERS {
            // Whose slot is locked is being asked about.
            slots.retain(|_, slot| {
                slot.try_lock()
                    .map_or(true, |kept| kept.as_ref().is_some_and(Kept::holds))
            });
        }
        if slots.len() >= MOST_ANSWERS {
            return None;
        }
        let slot = Arc::new(Slot::default());
        slots.insert(key, Arc::clone(&slot));
        Some(slot)
    }
}
