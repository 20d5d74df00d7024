//! The doors over HTTP, with the router in the test process: the matrix of every route with every kind of caller, the
//! sign-in page and the code flow as a plain HTML client sees them, and attacks on both.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers outside the test functions fail the test too"
)]

mod app_auth;
mod app_auth_admin;
mod app_auth_copy;
mod app_auth_keys;
mod app_auth_plugins;
mod app_auth_realms;
mod app_auth_warm;
mod app_chain;
mod app_passwords;
mod dpop;
mod endings;
mod forward_auth;
mod http_client;
mod lines;
mod log;
mod matrix;
mod pages;
mod protocol;
mod token_api;
