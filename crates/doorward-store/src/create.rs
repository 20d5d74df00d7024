//! Making a database that is missing, on request.

use tokio_postgres::error::SqlState;

use crate::engine_postgres::CONNECT_LIMIT;
use crate::error::{Error, Result};
use crate::options::{OpenOptions, PostgresTarget, Target};
use crate::postgres_listen::AbortOnDrop;
use crate::postgres_tls;

/// The database where one asks for another.
const MAINTENANCE: &str = "postgres";

/// Makes the database when it is missing; says whether it was. An SQLite file comes into being when it is opened.
///
/// # Errors
/// [`Error::Unavailable`] when the server cannot be reached, [`Error::Unusable`] when the user may not make databases.
pub async fn create_database(options: &OpenOptions) -> Result<bool> {
    let Target::Postgres(target) = &options.target else {
        return Ok(options.sqlite_path().is_some_and(|path| !path.exists()));
    };
    match run(target, target.config.clone(), "SELECT 1").await {
        Ok(()) => return Ok(false),
        Err(Failed::Server(error)) if error.code() == Some(&SqlState::UNDEFINED_DATABASE) => {}
        Err(failed) => return Err(failed.of(options)),
    }
    let name = target.config.get_dbname().unwrap_or_default().to_owned();
    let mut config = target.config.clone();
    config.dbname(MAINTENANCE);
    let make = format!(
        "CREATE DATABASE \"{}\" ENCODING 'UTF8' TEMPLATE template0",
        name.replace('"', "\"\"")
    );
    match run(target, config, &make).await {
        Ok(()) => Ok(true),
        // Another process was faster.
        Err(Failed::Server(error)) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(false),
        Err(Failed::Server(error)) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            Err(Error::unusable(format!(
                "{}: it does not exist, and the user may not make databases: grant CREATEDB, or make it by hand",
                options.place()
            )))
        }
        Err(failed) => Err(failed.of(options)),
    }
}

enum Failed {
    Server(tokio_postgres::Error),
    Late,
    Tls(Error),
}

impl Failed {
    fn of(self, options: &OpenOptions) -> Error {
        match self {
            Self::Server(error) => {
                let said = error.as_db_error().map(ToString::to_string);
                let said = said.unwrap_or_else(|| error.to_string());
                Error::unavailable(format!("{}: {said}", options.place()))
            }
            Self::Late => Error::unavailable(format!("{}: it does not answer", options.place())),
            Self::Tls(error) => error,
        }
    }
}

async fn run(target: &PostgresTarget, config: tokio_postgres::Config, statement: &str) -> Result<(), Failed> {
    let tls = postgres_tls::connector(target.tls, target.root_certificate.as_deref()).map_err(Failed::Tls)?;
    let connecting = tokio::time::timeout(CONNECT_LIMIT, config.connect(tls));
    let (client, connection) = connecting
        .await
        .map_err(|_| Failed::Late)?
        .map_err(Failed::Server)?;
    let _connection = AbortOnDrop(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection for making a database ended");
        }
    }));
    client.batch_execute(statement).await.map_err(Failed::Server)
}
