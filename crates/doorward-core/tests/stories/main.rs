//! The use cases as stories, on SQLite and, when `DOORWARD_TEST_POSTGRES` says where, on PostgreSQL.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod administrators;
mod app_passwords;
mod authorize;
mod better_auth;
mod budgets;
mod device;
mod dpop;
mod inputs;
mod keys;
mod links;
mod logout;
mod races;
mod secrets;
mod sessions;
mod sign_in;
mod sites;
mod token_api;
mod token_exchange;
mod token_use;
mod tokens;

use doorward_core::error::{Error, Refused, Result};
use doorward_domain::Reason;

/// The refusal in a result.
fn refused<T: std::fmt::Debug>(result: Result<T>) -> Refused {
    match result {
        Err(Error::Refused(refused)) => *refused,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// The reason of the refusal in a result.
fn reason<T: std::fmt::Debug>(result: Result<T>) -> Reason {
    refused(result).reason
}

/// The sentence in a result that says what is not acceptable.
fn invalid<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(Error::Invalid(sentence)) => sentence,
        other => panic!("expected a sentence, got {other:?}"),
    }
}
