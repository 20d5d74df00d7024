//! The specifications as tests: one file per document, each test named after the section it holds us to.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod oidc_core_authorize;
mod oidc_core_claims;
mod oidc_discovery;
mod oidc_logout;
mod properties;
mod rfc6749_authorize;
mod rfc6749_client_authentication;
mod rfc6749_parameters;
mod rfc6749_token;
mod rfc6750;
mod rfc7009;
mod rfc7523;
mod rfc7636;
mod rfc7662;
mod rfc8252_redirects;
mod rfc8628;
mod rfc8693;
mod rfc8707;
mod rfc9068;
mod rfc9101;
mod rfc9126;
mod rfc9207;
mod rfc9449;
mod rfc9700;
mod support;
