//! Doorward inside the test: a clock that moves by hand, seeded randomness, the outside world as a script, people with
//! browsers, and an OpenID client. All of it on the level of core's use cases, on a fresh database of each engine.
//!
//! Lives here: what stories of several crates share. Must not live here: the stories, rules, anything that ships.
//! Everything here panics when something fails that a story did not ask for; only tests use this crate.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "only tests use this crate, and a test ends by panicking"
)]

mod app;
mod authenticator;
mod browser;
mod client;
mod clock;
mod entropy;
mod fetch;

pub use app::{App, PASSWORD, PUBLIC_URL, each_app};
pub use authenticator::Authenticator;
pub use browser::Browser;
pub use client::{Asked, Client, Tokens, back, location, refusal};
pub use clock::{ManualClock, START};
pub use entropy::Seeded;
pub use fetch::{Inbox, Posted, Script, ScriptedFetch};
