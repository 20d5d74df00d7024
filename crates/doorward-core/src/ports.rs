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
    /// The same with `Authorization`, and with a body limit of 256 KiB: calls to providers that people sign in with.
    fn call<'a>(&'a self, call: Call<'a>) -> Boxed<'a, std::result::Result<Fetched, FetchError>>;
    /// POST of JSON, with a bearer token when one is given.
    fn post_json<'a>(
        &'a self,
        url: &'a str,
        bearer: Option<&'a str>,
        body: &'a serde_json::Value,
    ) -> Boxed<'a, std::result::Result<Fetched, FetchError>>;
}

/// A mail in plain text.
#[derive(Clone)]
pub struct Letter {
    /// Address of the receiver.
    pub to: String,
    /// Subject, one line.
    pub subject: String,
    /// Text.
    pub text: String,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The text holds links and codes.
        f.debug_struct("Letter")
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

/// Why a mail was not taken. The text is for operators and holds no secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct MailError(pub String);

/// Hands mails to a mail server.
pub trait Mailer: Send + Sync {
    /// Hands over one mail; done when the server took it.
    fn send<'a>(&'a self, letter: &'a Letter) -> Boxed<'a, std::result::Result<(), MailError>>;
}

/// A request to another server.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// GET without a body, POST with one.
    pub form: Option<&'a [(&'a str, &'a str)]>,
    /// Where to.
    pub url: &'a str,
    /// `Authorization`, when there is one.
    pub authorization: Option<&'a str>,
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
    /// Mail; `None`: no mail server is set.
    pub mailer: Option<Arc<dyn Mailer>>,
}
