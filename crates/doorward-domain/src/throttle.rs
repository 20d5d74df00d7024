//! Brute-force protection: back-off per account and per network that can slow everybody but deny nobody.
//!
//! Three buckets count failures. *Account at a place* (account + network, or account + known browser) backs off
//! exponentially. *Account* over all unknown places backs off later and more gently; a browser or network from which the
//! account signed in before is exempt, so that a stranger cannot lock the owner out. *Network* turns into a slow trickle:
//! beyond its allowance one attempt per interval is still let through, so that a shared address never closes.

use serde::{Deserialize, Serialize};

use crate::refusal::Reason;
use crate::{Lifetime, Timestamp};

/// Failures counted under one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// How many since the count was last forgiven.
    pub count: u32,
    /// Time of the latest one, in milliseconds since the epoch.
    pub last_millis: i64,
}

impl Failures {
    /// The count after one more failure at `now`; old failures are forgiven first.
    #[must_use]
    pub const fn and_one(self, now: Timestamp) -> Self {
        Self {
            count: self.fresh(now).saturating_add(1),
            last_millis: now.millis(),
        }
    }

    /// Failures that still count at `now`: all are forgiven after an hour without a further one.
    #[must_use]
    pub const fn fresh(self, now: Timestamp) -> u32 {
        let age = now.millis().saturating_sub(self.last_millis);
        // A stamp far in the future is from a clock that was wrong; it must not keep anybody out.
        if age > FORGIVE_AFTER.millis() || age < -FORGIVE_AFTER.millis() {
            0
        } else {
            self.count
        }
    }
}

/// An hour without failures clears a count.
pub const FORGIVE_AFTER: Lifetime = Lifetime::from_hours(1);
/// Free failures for an account at one place.
pub const FREE_AT_PLACE: u32 = 5;
/// Free failures for an account over all unknown places.
pub const FREE_FOR_ACCOUNT: u32 = 20;
/// Free failures for a network.
pub const FREE_FOR_NETWORK: u32 = 100;
/// Longest wait for an account at one place.
pub const LONGEST_AT_PLACE: Lifetime = Lifetime::from_minutes(15);
/// Longest wait for an account over unknown places.
pub const LONGEST_FOR_ACCOUNT: Lifetime = Lifetime::from_minutes(5);
/// Interval of the trickle for a network beyond its allowance.
pub const NETWORK_INTERVAL: Lifetime = Lifetime::from_seconds(1);

/// What is known when somebody tries to sign in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Failures of this account at this place (network, or known browser).
    pub at_place: Failures,
    /// Failures of this account over all unknown places.
    pub account: Failures,
    /// Failures of this network over all accounts.
    pub network: Failures,
    /// The account signed in from this browser before (proved by a sealed cookie).
    pub known_browser: bool,
}

/// May the attempt be made?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Check the password.
    Proceed,
    /// Do not look at the password; say when to come back.
    Wait {
        /// Which count made the person wait.
        reason: Reason,
        /// Earliest next attempt.
        until: Timestamp,
    },
}

/// Decides before the password is looked at. The answer does not depend on whether the account exists.
#[must_use]
pub fn judge(counts: &Counts, now: Timestamp) -> Verdict {
    let place = wait(counts.at_place, FREE_AT_PLACE, LONGEST_AT_PLACE, now);
    if let Some(until) = place {
        return Verdict::Wait {
            reason: Reason::AccountThrottled,
            until,
        };
    }
    if counts.known_browser {
        return Verdict::Proceed;
    }
    if let Some(until) = wait(counts.account, FREE_FOR_ACCOUNT, LONGEST_FOR_ACCOUNT, now) {
        return Verdict::Wait {
            reason: Reason::AccountThrottled,
            until,
        };
    }
    let ahead = counts.network.last_millis > now.plus(NETWORK_INTERVAL).millis();
    if counts.network.fresh(now) >= FREE_FOR_NETWORK && !ahead {
        let until =
            Timestamp::from_millis(counts.network.last_millis.min(now.millis())).plus(NETWORK_INTERVAL);
        if now < until {
            return Verdict::Wait {
                reason: Reason::NetworkThrottled,
                until,
            };
        }
    }
    Verdict::Proceed
}

/// Exponential back-off from the first failure beyond `free`: 1 s, 2 s, 4 s … up to `longest`.
fn wait(failures: Failures, free: u32, longest: Lifetime, now: Timestamp) -> Option<Timestamp> {
    // Counted by a clock that was further ahead than the longest wait: such a stamp keeps nobody out.
    if failures.last_millis > now.plus(longest).millis() {
        return None;
    }
    let beyond = failures.fresh(now).checked_sub(free)?;
    let millis = 1000_i64
        .checked_shl(beyond.min(20))
        .map_or(longest.millis(), |ms| ms.min(longest.millis()));
    let until = Timestamp::from_millis(failures.last_millis.min(now.millis()).saturating_add(millis));
    (now < until).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + seconds)
    }
    fn failed(count: u32, seconds: i64) -> Failures {
        Failures {
            count,
            last_millis: at(seconds).millis(),
        }
    }

    #[test]
    fn the_first_failures_cost_nothing_then_the_wait_doubles() {
        let counts = |n| Counts {
            at_place: failed(n, 0),
            ..Counts::default()
        };
        assert_eq!(judge(&counts(4), at(0)), Verdict::Proceed);
        assert!(matches!(judge(&counts(5), at(0)), Verdict::Wait { until, .. } if until == at(1)));
        assert!(matches!(judge(&counts(8), at(0)), Verdict::Wait { until, .. } if until == at(8)));
        assert_eq!(judge(&counts(8), at(8)), Verdict::Proceed);
        assert!(matches!(judge(&counts(4_000_000), at(0)), Verdict::Wait { until, .. } if until == at(900)));
    }

    #[test]
    fn strangers_cannot_lock_the_owner_out_of_a_known_browser() {
        let stormed = Counts {
            account: failed(10_000, 0),
            network: failed(10_000, 0),
            known_browser: true,
            ..Counts::default()
        };
        assert_eq!(judge(&stormed, at(0)), Verdict::Proceed);
        assert!(matches!(
            judge(
                &Counts {
                    known_browser: false,
                    ..stormed
                },
                at(0)
            ),
            Verdict::Wait { .. }
        ));
    }

    #[test]
    fn a_network_never_closes_it_trickles() {
        let counts = Counts {
            network: failed(u32::MAX, 0),
            ..Counts::default()
        };
        assert!(matches!(judge(&counts, at(0)), Verdict::Wait { until, .. } if until == at(1)));
        assert_eq!(judge(&counts, at(1)), Verdict::Proceed);
    }

    #[test]
    fn a_clock_that_was_ahead_keeps_nobody_out() {
        let ahead = Counts {
            at_place: failed(50, 86_400),
            network: failed(500, 86_400),
            ..Counts::default()
        };
        assert_eq!(judge(&ahead, at(0)), Verdict::Proceed);
        let slightly = Counts {
            at_place: failed(5, 600),
            ..Counts::default()
        };
        assert!(matches!(judge(&slightly, at(0)), Verdict::Wait { until, .. } if until == at(1)));
    }

    #[test]
    fn an_hour_of_quiet_forgives() {
        assert_eq!(failed(50, 0).fresh(at(3601)), 0);
        assert_eq!(failed(50, 0).and_one(at(3601)).count, 1);
        assert_eq!(failed(u32::MAX, 0).and_one(at(1)).count, u32::MAX);
    }
}
