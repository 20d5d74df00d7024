//! OAuth 2 and OpenID Connect as pure functions: parse, decide, encode. One file per endpoint or extension.
//!
//! Lives here: the meaning of requests and answers of the authorization server, in the words of the RFCs.
//!
//! Must not live here: async code, a clock, randomness, I/O, HTTP types, SQL, signatures and digests. `now`, minted values
//! and verified JWT claims come in as arguments; outcomes go out as enums that other crates render.

pub mod authorize;
pub mod bearer;
pub mod claims;
pub mod claims_request;
pub mod client_auth;
pub mod device;
pub mod discovery;
pub mod dpop;
mod encode;
pub mod error;
pub mod introspect;
pub mod logout;
pub mod par;
pub mod params;
pub mod redirect;
pub mod refresh;
pub mod request_object;
pub mod resource;
pub mod revoke;
pub mod scope;
pub mod token;
pub mod token_exchange;

pub use error::{ErrorCode, TokenError};
pub use params::{ParamError, Params};
pub use scope::Scopes;
