//! A clock that moves by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use doorward_core::Clock;
use doorward_domain::{Lifetime, Timestamp};

/// When every story begins.
pub const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Stands still until somebody moves it. The monotonic reading, which is for measuring only, is the real one.
#[derive(Debug)]
pub struct ManualClock {
    millis: AtomicI64,
    began: Instant,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self {
            millis: AtomicI64::new(START.millis()),
            began: Instant::now(),
        }
    }
}

impl ManualClock {
    /// Moves on by `by`.
    pub fn advance(&self, by: Lifetime) {
        self.millis.fetch_add(by.millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn monotonic_micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
