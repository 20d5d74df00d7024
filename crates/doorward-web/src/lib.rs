//! HTTP: routes, cookies, pages, the protocol doors. Thin: parses, calls core, renders the outcome.
//!
//! Must not live here: SQL, hashing, rules.

mod app_auth;
mod ask;
pub mod assets;
mod cookies;
mod documents;
mod flow;
mod forward_auth;
mod forwarded;
mod forwarding;
mod heads;
pub mod locale;
mod oidc;
mod operation;
mod original;
pub mod pages;
mod portal;
mod pulse;
mod reply;
pub mod router;
mod server;
mod service;
mod token_api;
mod upstream;

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use doorward_core::Doorward;

use documents::Documents;
use upstream::Upstreams;

pub use router::REQUEST_EVENT;
pub use server::{Listener, Role, serve};
pub use service::{Payload, Service};
pub use upstream::Outbound;

/// What the doors are told once at start.
#[derive(Clone)]
pub struct Options {
    /// Is this address a reverse proxy of ours, whose forwarded headers count?
    pub trusts: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// Token for `/-/metrics`; without one only this machine and trusted proxies' networks may read it.
    pub metrics_token: Option<String>,
    /// Largest request body in bytes.
    pub body_limit: usize,
    /// How long a client may take to send its headers.
    pub header_read_timeout: Duration,
    /// Open connections at once.
    pub connections: usize,
    /// How long running requests may take after the signal to stop.
    pub shutdown_grace: Duration,
    /// Calls to services behind the reverse proxy.
    pub outbound: Outbound,
    /// Which build this is.
    pub build: BuildInfo,
    /// Digest of the container image that this runs in, when the operator says it.
    pub image_digest: Option<String>,
}

/// Which build this is.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo {
    /// Version of the package.
    pub version: &'static str,
    /// Commit, or `unknown`.
    pub commit: &'static str,
    /// When it was built, RFC 3339, or `unknown`.
    pub built_at: &'static str,
    /// Were there changes beside the commit? `None`: unknown.
    pub dirty: Option<bool>,
}

impl BuildInfo {
    /// The build in one word, as `x-doorward-version` and every page say it: the version, and what is known of the commit.
    #[must_use]
    pub fn word(&self) -> String {
        let commit = self.commit.get(..12).unwrap_or(self.commit);
        let dirty = if self.dirty == Some(true) { ".dirty" } else { "" };
        format!("{}+{commit}{dirty}", self.version)
    }
}

/// Shared by all handlers. One pointer: every request counts it up and down.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

/// What handlers share.
pub(crate) struct Shared {
    pub(crate) doorward: Doorward,
    pub(crate) options: Options,
    /// Is `public_url` https? Then cookies are `__Host-` and `Secure`.
    pub(crate) secure: bool,
    /// What every answer says of us.
    pub(crate) dress: router::Dress,
    /// Connections to the services behind the reverse proxy.
    pub(crate) upstreams: Upstreams,
    /// Prepared documents.
    pub(crate) documents: Documents,
    /// Identity headers of guarded sites that were made before.
    pub(crate) prepared: forward_auth::Prepared,
    /// Is this the private address of the token API?
    pub(crate) private: bool,
    /// Was the operator told about a proxy that is not declared?
    warned: AtomicBool,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    pub(crate) fn new(doorward: Doorward, options: Options) -> Self {
        Self::at(doorward, options, false)
    }

    /// The same for an address that is private or not.
    pub(crate) fn at(doorward: Doorward, options: Options, private: bool) -> Self {
        let secure = doorward.public_url().starts_with("https://");
        let dress = router::Dress::new(secure, &options.build);
        let upstreams = Upstreams::new(options.outbound.clone(), options.connections);
        Self(Arc::new(Shared {
            doorward,
            upstreams,
            options,
            secure,
            documents: Documents::new(dress.clone()),
            dress,
            prepared: forward_auth::Prepared::default(),
            private,
            warned: AtomicBool::default(),
        }))
    }

    /// Tells the operator once that a proxy on this machine is not declared: sign-ins from everywhere then count as one network.
    pub(crate) fn warn_of_proxy(&self, peer: IpAddr, headers: &http::HeaderMap) {
        if !self.warned.load(Ordering::Relaxed)
            && forwarded::is_undeclared_proxy(peer, headers, &*self.options.trusts)
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                %peer,
                "requests come through a proxy on this machine that is not in trusted_proxies; all of its callers count as one address"
            );
        }
    }
}
