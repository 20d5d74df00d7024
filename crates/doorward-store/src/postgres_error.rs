//! What goes wrong with PostgreSQL, in the store's words: each is one line that says what to do, without the password
//! and without values.

use std::fmt::Display;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::SqlState;

use crate::engine_postgres::Postgres;
use crate::error::Error;
use crate::options::PostgresTarget;

/// Why a statement did not give a result.
pub(crate) enum Failure {
    /// The server, or the connection to it.
    Driver(tokio_postgres::Error),
    /// It took longer than it may; the connection must not be used any more.
    Late,
    /// The statement's own text.
    Text(Error),
}

/// Whether the connection is gone, rather than the statement refused.
pub(crate) fn is_lost(error: &tokio_postgres::Error) -> bool {
    error.is_closed()
        || match error.code() {
            None => {
                std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
            }
            Some(code) => {
                *code == SqlState::ADMIN_SHUTDOWN
                    || *code == SqlState::CRASH_SHUTDOWN
                    || code.code().starts_with("08")
            }
        }
}

pub(crate) fn asks_to_retry(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
    })
}

impl Postgres {
    pub(crate) fn failed(&self, failure: Failure) -> Error {
        match failure {
            Failure::Driver(error) => self.fault(&error),
            Failure::Late => Error::unavailable(format!("{} did not answer in time", self.target.place())),
            Failure::Text(error) => error,
        }
    }

    pub(crate) fn pool_fault(&self, error: &PoolError) -> Error {
        match error {
            PoolError::Backend(error) => self.connect_fault(error),
            PoolError::Timeout(TimeoutType::Wait) => Error::busy(),
            PoolError::Timeout(_) => Error::unavailable(format!(
                "cannot connect to {}: no answer in time: is the server running, and is the address right?",
                self.target.place()
            )),
            PoolError::Closed => Error::unavailable("the program is stopping"),
            other => Error::Engine(other.to_string()),
        }
    }

    /// Why there is no connection.
    pub(crate) fn connect_fault(&self, error: &tokio_postgres::Error) -> Error {
        match error.as_db_error() {
            Some(refused) => fault_of_server(refused, &self.target),
            None => Error::unavailable(format!(
                "cannot connect to {}: {}: is the server running, and are address, password and sslmode right?",
                self.target.place(),
                chain(error)
            )),
        }
    }

    /// Why a statement did not run, in the store's words.
    pub(crate) fn fault(&self, error: &tokio_postgres::Error) -> Error {
        match error.as_db_error() {
            Some(refused) => fault_of_server(refused, &self.target),
            None if is_lost(error) => Error::unavailable(format!(
                "the connection to {} is gone: {}",
                self.target.place(),
                chain(error)
            )),
            None => Error::Engine(chain(error)),
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}

/// The server's refusal in the store's words. Its `DETAIL` is left out: it quotes values.
fn fault_of_server(refused: &tokio_postgres::error::DbError, target: &PostgresTarget) -> Error {
    let constraint = || refused.constraint().unwrap_or("unnamed").to_owned();
    let say = |what: &dyn Display| Error::unavailable(format!("{}: {what}", target.place()));
    let user = target.config.get_user().unwrap_or_default();
    let code = refused.code();
    if *code == SqlState::UNIQUE_VIOLATION {
        return Error::Conflict {
            constraint: constraint(),
        };
    }
    if *code == SqlState::FOREIGN_KEY_VIOLATION {
        return Error::Reference {
            constraint: constraint(),
        };
    }
    if *code == SqlState::UNDEFINED_DATABASE || *code == SqlState::INVALID_CATALOG_NAME {
        let name = target.config.get_dbname().unwrap_or_default();
        return say(&format!(
            "the database does not exist: create it with: createdb --owner={user} --encoding=UTF8 {name}"
        ));
    }
    if *code == SqlState::INVALID_PASSWORD {
        return say(&format!(
            "the password of {user} is wrong: correct it in database_url"
        ));
    }
    if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        return say(&format!(
            "the server refuses {user}: {}: check the role and pg_hba.conf",
            refused.message()
        ));
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return say(&format!(
            "{}: give {user} the right, or make it the owner of the database",
            refused.message()
        ));
    }
    if *code == SqlState::INVALID_SQL_STATEMENT_NAME || *code == SqlState::DUPLICATE_PSTATEMENT {
        return say(
            &"prepared statements get lost, as behind a pooler in transaction mode: add pooler=transaction to database_url",
        );
    }
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return say(&"the server takes no writes: point database_url to the primary");
    }
    if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::UNDEFINED_COLUMN {
        return Error::Drift(format!("{} ({})", refused.message(), code.code()));
    }
    let passing = ["40", "53", "57", "58", "08", "55P03"]
        .iter()
        .any(|class| code.code().starts_with(class));
    if passing {
        say(&refused.message())
    } else {
        Error::Engine(format!("{} ({})", refused.message(), code.code()))
    }
}
