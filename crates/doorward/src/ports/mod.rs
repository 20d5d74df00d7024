//! The outside world for core: the only place of the program with a real clock, real randomness and outgoing calls.

mod addresses;
mod fetch;
mod smtp;

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use doorward_config::{Mail, PrivateNetworks};
use doorward_core::{Clock, Entropy, Ports};
use doorward_domain::Timestamp;
use doorward_web::Outbound;

use fetch::HttpFetch;

/// The real ports. Nothing is opened or connected here.
pub(crate) fn real(private_networks: PrivateNetworks, mail: Option<&Mail>) -> Ports {
    Ports {
        clock: Arc::new(SystemClock::start()),
        entropy: Arc::new(SystemEntropy),
        fetch: Arc::new(HttpFetch::new(private_networks)),
        mailer: mail.map(|mail| Arc::new(smtp::Smtp::new(mail.clone())) as _),
    }
}

/// Calls to services behind the reverse proxy. They stand in private networks as a rule; metadata services are never called.
pub(crate) fn outbound() -> Outbound {
    Outbound {
        tls: Arc::new(crate::tls::client_config),
        may_call: Arc::new(|address| addresses::check(address, PrivateNetworks::Allow).is_ok()),
    }
}

/// The machine's clocks.
struct SystemClock {
    started: Instant,
}

impl SystemClock {
    fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the Clock port")]
    fn now(&self) -> Timestamp {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        };
        Timestamp::from_millis(millis)
    }

    fn monotonic_micros(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// The operating system's random number generator.
struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        fill(bytes);
    }
}

/// Fills the slice with random bytes. Ends the process when the operating system has none: nothing that this program
/// makes would be secret any more.
pub(crate) fn fill(bytes: &mut [u8]) {
    if let Err(error) = getrandom::fill(bytes) {
        tracing::error!(%error, "the operating system gives no random bytes");
        std::process::abort();
    }
}
