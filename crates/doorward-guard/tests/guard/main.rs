//! The guard against a server that misbehaves on demand, against the real Doorward in the test process, and against a real
//! PostgreSQL where the environment names one.

#![expect(
    clippy::expect_used,
    reason = "helpers outside the test functions fail the test too"
)]

mod doors;
mod doorward;
mod fake;
mod introspection;
mod jwt;
mod keys;
mod rows;
mod sessions;
