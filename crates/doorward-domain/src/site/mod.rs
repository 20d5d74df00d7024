//! Sites: hosts and paths of an application behind a reverse proxy, and the decision who may enter them.
//!
//! Lives here: addresses and their order of precedence, path rules, the decision, the reach of cookies. A decision is total:
//! every request gets one, and what nothing speaks of is refused.

mod address;
mod decide;
mod index;
mod path;
mod reach;
mod rule;

pub use address::{Authority, HostPattern, SiteAddress};
pub use decide::{BreakGlass, Decision, Decisive, Why, asks_application, decide};
pub use index::{Found, SiteEntry, SiteIndex};
pub use path::{Readings, is_printable_target};
pub use reach::{Reach, registrable};
pub use rule::{Access, MOST_RULES, PathPattern, PathRule};

use serde::{Deserialize, Serialize};

use crate::Lifetime;
use crate::client::words;

words! {
    /// What becomes of an `Authorization` header on its way to the service.
    AuthorizationRule {
        /// Removed when it was a credential of ours that let the request in, passed on otherwise.
        Auto = "auto",
        /// Always passed on.
        Pass = "pass",
        /// Always removed.
        Strip = "strip",
    }
}

/// Sets of identity headers besides `X-Doorward-*`, which every site gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeaderSets {
    /// `X-authentik-*`, for services that were set up for authentik.
    pub authentik: bool,
    /// `Remote-User` and its kin, for services that were set up for Authelia.
    pub remote: bool,
    /// `X-Doorward-Jwt`: the same facts, signed.
    pub jwt: bool,
}

/// How programs may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machines {
    /// `Authorization: Bearer` with an access token of ours or an app password.
    pub bearer: bool,
    /// `Authorization: Basic` with a user name and an app password.
    pub basic: bool,
}

impl Default for Machines {
    fn default() -> Self {
        Self {
            bearer: true,
            basic: true,
        }
    }
}

/// Where the reverse-proxy mode sends requests to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// `http://`, `https://` or `h2c://`, with host, port and perhaps a base path.
    pub url: String,
    /// Does the service see the host that the visitor typed, or the one in `url`?
    #[serde(default = "yes")]
    pub pass_host: bool,
    /// Accept any certificate of an `https` upstream; said in so many words only.
    #[serde(default)]
    pub insecure: bool,
    /// The one certificate that an `https` upstream may show, DER in base64; `None`: any that an authority vouches for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// How long the service may take to begin its answer.
    #[serde(default = "a_minute")]
    pub timeout: Lifetime,
}

fn yes() -> bool {
    true
}

fn a_minute() -> Lifetime {
    Lifetime::from_seconds(60)
}

/// One site of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// Which hosts and which paths.
    pub address: SiteAddress,
    /// In order; the first that fits decides. What none fits asks for the application's audience.
    #[serde(default)]
    pub rules: Vec<PathRule>,
    /// Which headers tell the service who came.
    #[serde(default)]
    pub headers: HeaderSets,
    /// How programs may come in.
    #[serde(default)]
    pub machines: Machines,
    /// What becomes of `Authorization`.
    #[serde(default = "automatic")]
    pub authorization: AuthorizationRule,
    /// The cookie is good for this one host only, not for its neighbours.
    #[serde(default)]
    pub isolated: bool,
    /// Forwarded to by this program itself.
    #[serde(default)]
    pub upstream: Option<Upstream>,
}

fn automatic() -> AuthorizationRule {
    AuthorizationRule::Auto
}

impl Site {
    /// A site at an address, with what holds when nothing is said.
    #[must_use]
    pub fn new(address: SiteAddress) -> Self {
        Self {
            address,
            rules: Vec::new(),
            headers: HeaderSets::default(),
            machines: Machines::default(),
            authorization: AuthorizationRule::Auto,
            isolated: false,
            upstream: None,
        }
    }
}
