//! A clock that moves by hand.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use doorward_core::Clock;
use doorward_domain::{Lifetime, Timestamp};

/// When every story begins.
pub const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Stands still until somebody moves it. The monotonic reading grows by one microsecond per look.
#[derive(Debug)]
pub struct ManualClock {
    millis: AtomicI64,
    micros: AtomicU64,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self {
            millis: AtomicI64::new(START.millis()),
            micros: AtomicU64::new(0),
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
        self.micros.fetch_add(1, Ordering::SeqCst)
    }
}
