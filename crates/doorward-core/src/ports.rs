//! What core needs from the outside world. Only the binary and the testkit construct these.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use doorward_domain::Timestamp;

/// A boxed future, for the ports that do I/O.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Wall-clock time.
    fn now(&self) -> Timestamp;
    /// A monotonic reading in microseconds, for measuring only.
    fn monotonic_micros(&self) -> u64;
}

/// Gives random bytes fit for secrets.
pub trait Entropy: Send + Sync {
    /// Fills the whole slice.
    fn fill(&self, bytes: &mut [u8]);
}

/// An answer fetched from elsewhere.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// HTTP status.
    pub status: u16,
    /// Body, already limited in size.
    pub body: Vec<u8>,
}

/// Why nothing was fetched. The text is for operators and holds no secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);

/// Speaks HTTP to addresses that an administrator registered.
pub trait Fetch: Send + Sync {
    /// GET with a body limit in bytes.
    fn get<'a>(&'a self, url: &'a str, limit: usize) -> Boxed<'a, std::result::Result<Fetched, FetchError>>;
    /// POST of a form.
    fn post_form<'a>(
        &'a self,
        url: &'a str,
        form: &'a [(&'a str, &'a str)],
    ) -> Boxed<'a, std::result::Result<Fetched, FetchError>>;
}

/// The ports together.
#[derive(Clone)]
pub struct Ports {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Outgoing HTTP.
    pub fetch: Arc<dyn Fetch>,
}
