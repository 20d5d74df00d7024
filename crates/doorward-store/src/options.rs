//! Where the database is and how to reach it: `sqlite:PATH` or `postgres://…`.
//!
//! Lives here: parsing with errors that name the field, and nothing else. No password leaves this module other than
//! inside the driver's own configuration; `Debug` and [`OpenOptions::place`] show none.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};

/// Everything [`crate::Store::open`] needs.
#[derive(Clone)]
pub struct OpenOptions {
    pub(crate) target: Target,
    pub(crate) pool_size: usize,
    pub(crate) pooler: Pooler,
    pub(crate) statement_limit: Duration,
}

/// Which engine, and where.
#[derive(Clone)]
pub(crate) enum Target {
    /// A file.
    Sqlite(PathBuf),
    /// A server.
    Postgres(Box<PostgresTarget>),
}

/// A PostgreSQL server and database.
#[derive(Clone)]
pub(crate) struct PostgresTarget {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) tls: Tls,
    pub(crate) root_certificate: Option<PathBuf>,
}

/// How far the connection to PostgreSQL is protected (libpq's `sslmode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// Never.
    Disable,
    /// When the server offers it; the certificate is not checked.
    Prefer,
    /// Always; the certificate is not checked unless `sslrootcert` is given.
    Require,
    /// Always, with certificate and host name checked.
    VerifyFull,
}

/// Whether something between this program and PostgreSQL hands out another server connection per transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooler {
    /// Connected directly, or through a pooler in session mode.
    Direct,
    /// A pooler in transaction mode: no named prepared statements, no LISTEN (changes are polled once a second).
    Transaction,
}

const FORMS: &str = "expected sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE";

impl OpenOptions {
    /// Reads a `database_url`.
    ///
    /// `sqlite:PATH` names a file, relative to the working directory or absolute. `postgres://` (or `postgresql://`)
    /// is libpq's form with its parameters; in addition `sslmode` takes `disable`, `prefer` (the default), `require`
    /// and `verify-full`, `sslrootcert` a PEM file, `pool` the number of connections (1 to 100, default 8) and
    /// `pooler=transaction` says that a transaction pooler is in between.
    ///
    /// # Errors
    /// [`Error::Unusable`] that names the field and what was expected; never the password.
    pub fn parse(url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Self::parse_sqlite(path);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Self::parse_postgres(url);
        }
        let scheme = url
            .split(':')
            .next()
            .filter(|scheme| scheme.len() < url.len() && scheme.len() < 20);
        Err(match scheme {
            Some(scheme) => Error::unusable(format!("database_url: unknown kind \"{scheme}\": {FORMS}")),
            None => Error::unusable(format!("database_url: {FORMS}")),
        })
    }

    /// An SQLite file.
    #[must_use]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self::new(Target::Sqlite(path.into()))
    }

    fn new(target: Target) -> Self {
        Self {
            target,
            pool_size: 8,
            pooler: Pooler::Direct,
            statement_limit: Duration::from_secs(5),
        }
    }

    /// Number of PostgreSQL connections; at least 1.
    #[must_use]
    pub fn with_pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections.max(1);
        self
    }

    /// What stands between this program and PostgreSQL.
    #[must_use]
    pub fn with_pooler(mut self, pooler: Pooler) -> Self {
        self.pooler = pooler;
        self
    }

    /// Longest time that one statement may take on PostgreSQL before its connection is given up (default 5 s; what
    /// can scan gets six times as long).
    #[must_use]
    pub fn with_statement_limit(mut self, limit: Duration) -> Self {
        self.statement_limit = limit;
        self
    }

    /// Where the database is, for messages: engine and path, or host and database name. No user, no password.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.target {
            Target::Sqlite(path) => format!("SQLite file {}", path.display()),
            Target::Postgres(target) => target.place(),
        }
    }

    /// The SQLite file, when it is one.
    #[must_use]
    pub fn sqlite_path(&self) -> Option<&Path> {
        match &self.target {
            Target::Sqlite(path) => Some(path),
            Target::Postgres(_) => None,
        }
    }

    fn parse_sqlite(path: &str) -> Result<Self> {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(Error::unusable(
                "database_url: sqlite: names no file: expected sqlite:PATH",
            ));
        }
        if path.contains(['?', '#', '\0']) || path.starts_with(":memory:") {
            return Err(Error::unusable(
                "database_url: sqlite: takes only the path of a file, without parameters: expected sqlite:PATH",
            ));
        }
        if path.ends_with('/') {
            return Err(Error::unusable(format!(
                "database_url: {path} is a folder: expected the path of a file, such as {path}doorward.db"
            )));
        }
        Ok(Self::sqlite(path))
    }

    fn parse_postgres(url: &str) -> Result<Self> {
        let (base, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut ours = Parameters::default();
        let mut theirs = Vec::new();
        for pair in parameters.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !ours.take(name, value)? {
                theirs.push(pair);
            }
        }
        let rest = if theirs.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", theirs.join("&"))
        };
        let mut config = tokio_postgres::Config::from_str(&rest).map_err(|error| {
            let source = std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default();
            Error::unusable(format!(
                "database_url: {}",
                hide(url, &format!("{error}: {source}"))
            ))
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(Error::unusable(
                "database_url: names no host: expected postgres://USER:PASSWORD@HOST/DATABASE",
            ));
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(Error::unusable(
                "database_url: names no database: expected postgres://USER:PASSWORD@HOST/DATABASE",
            ));
        }
        if config.get_application_name().is_none() {
            config.application_name("doorward");
        }
        config.ssl_mode(match ours.tls {
            Tls::Disable => tokio_postgres::config::SslMode::Disable,
            Tls::Prefer => tokio_postgres::config::SslMode::Prefer,
            Tls::Require | Tls::VerifyFull => tokio_postgres::config::SslMode::Require,
        });
        config.connect_timeout(Duration::from_secs(1));
        config.tcp_user_timeout(Duration::from_secs(3));
        config.keepalives_idle(Duration::from_secs(10));
        config.keepalives_interval(Duration::from_secs(2));
        config.keepalives_retries(3);
        let target = PostgresTarget {
            config,
            tls: ours.tls,
            root_certificate: ours.root_certificate,
        };
        Ok(Self::new(Target::Postgres(Box::new(target)))
            .with_pool_size(ours.pool_size)
            .with_pooler(ours.pooler))
    }
}

impl PostgresTarget {
    /// `PostgreSQL database NAME at HOST:PORT`.
    pub(crate) fn place(&self) -> String {
        format!(
            "PostgreSQL database {} at {}",
            self.config.get_dbname().unwrap_or_default(),
            self.host()
        )
    }

    /// `HOST:PORT`, or the folder of the socket.
    pub(crate) fn host(&self) -> String {
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        match self.config.get_hosts().first() {
            Some(tokio_postgres::config::Host::Tcp(host)) => format!("{host}:{port}"),
            #[cfg(unix)]
            Some(tokio_postgres::config::Host::Unix(path)) => format!("{} (port {port})", path.display()),
            None => self
                .config
                .get_hostaddrs()
                .first()
                .map_or_else(String::new, |address| format!("{address}:{port}")),
        }
    }
}

/// The parameters of the URL that this program reads itself.
struct Parameters {
    tls: Tls,
    root_certificate: Option<PathBuf>,
    pool_size: usize,
    pooler: Pooler,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            tls: Tls::Prefer,
            root_certificate: None,
            pool_size: 8,
            pooler: Pooler::Direct,
        }
    }
}

impl Parameters {
    /// Whether the parameter is one of ours; then it is taken.
    fn take(&mut self, name: &str, value: &str) -> Result<bool> {
        match name {
            "sslmode" => {
                self.tls = match value {
                    "disable" => Tls::Disable,
                    "prefer" | "allow" => Tls::Prefer,
                    "require" => Tls::Require,
                    "verify-full" => Tls::VerifyFull,
                    other => {
                        return Err(Error::unusable(format!(
                            "database_url: sslmode is \"{other}\": expected disable, prefer, require or verify-full"
                        )));
                    }
                };
            }
            "sslrootcert" if value.is_empty() => {
                return Err(Error::unusable(
                    "database_url: sslrootcert names no file: expected a PEM file",
                ));
            }
            "sslrootcert" => self.root_certificate = Some(PathBuf::from(decode(value))),
            "pool" => {
                self.pool_size = value
                    .parse()
                    .ok()
                    .filter(|size| (1..=100).contains(size))
                    .ok_or_else(|| {
                        Error::unusable(format!(
                            "database_url: pool is \"{value}\": expected a number from 1 to 100"
                        ))
                    })?;
            }
            "pooler" => {
                self.pooler = match value {
                    "transaction" => Pooler::Transaction,
                    "direct" => Pooler::Direct,
                    other => {
                        return Err(Error::unusable(format!(
                            "database_url: pooler is \"{other}\": expected direct or transaction"
                        )));
                    }
                };
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Percent-decoding of one value; what is not a valid escape stays as it is.
fn decode(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        let escape = rest
            .strip_prefix('%')
            .and_then(|after| after.get(..2))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(byte) = escape {
            bytes.push(byte);
            rest = rest.get(3..).unwrap_or_default();
        } else {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `message` without the user information of `url`, should the driver ever quote it.
fn hide(url: &str, message: &str) -> String {
    let user_info = url
        .split_once("://")
        .and_then(|(_, rest)| rest.rsplit_once('@'))
        .map(|(info, _)| info);
    let password = user_info
        .and_then(|info| info.split_once(':'))
        .map(|(_, password)| password);
    match password {
        Some(password) if password.len() >= 4 => {
            message.replace(&decode(password), "…").replace(password, "…")
        }
        _ => message.to_owned(),
    }
}

/// Shows the place, no user and no password.
impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("place", &self.place())
            .field("pool_size", &self.pool_size)
            .field("pooler", &self.pooler)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(url: &str) -> String {
        OpenOptions::parse(url).unwrap_err().to_string()
    }

    #[test]
    fn a_path_is_read_in_all_its_forms() {
        for (url, path) in [
            ("sqlite:a/b.db", "a/b.db"),
            ("sqlite:///a/b.db", "/a/b.db"),
            ("sqlite:/a b.db", "/a b.db"),
        ] {
            assert_eq!(
                OpenOptions::parse(url).unwrap().sqlite_path(),
                Some(Path::new(path))
            );
        }
    }

    #[test]
    fn a_postgres_url_is_read_with_its_parameters() {
        let options = OpenOptions::parse(
            "postgres://u:p@db.example:6432/doorward?sslmode=verify-full&sslrootcert=/a%20b&pool=3&pooler=transaction&application_name=x",
        )
        .unwrap();
        assert_eq!(options.pool_size, 3);
        assert_eq!(options.pooler, Pooler::Transaction);
        assert_eq!(options.place(), "PostgreSQL database doorward at db.example:6432");
        let Target::Postgres(target) = options.target else {
            panic!("an engine")
        };
        assert_eq!(target.tls, Tls::VerifyFull);
        assert_eq!(target.root_certificate, Some(PathBuf::from("/a b")));
        assert_eq!(target.config.get_application_name(), Some("x"));
    }

    #[test]
    fn a_wrong_url_is_refused_with_the_field_and_what_was_expected() {
        for (url, part) in [
            ("", "expected sqlite:PATH or postgres://"),
            ("mysql://x/y", "unknown kind \"mysql\""),
            ("sqlite:", "names no file"),
            ("sqlite:a.db?mode=ro", "without parameters"),
            ("sqlite::memory:", "path of a file"),
            ("sqlite:data/", "is a folder"),
            ("postgres://u:p@/doorward", "host"),
            ("postgres://u:p@localhost", "names no database"),
            ("postgres://u:p@localhost:port/d", "port"),
            (
                "postgres://u:p@localhost/d?sslmode=verify-ca",
                "sslmode is \"verify-ca\"",
            ),
            (
                "postgres://u:p@localhost/d?sslrootcert=",
                "sslrootcert names no file",
            ),
            ("postgres://u:p@localhost/d?pool=0", "pool is \"0\""),
            (
                "postgres://u:p@localhost/d?pooler=session",
                "pooler is \"session\"",
            ),
            ("postgres://u:p@localhost/d?colour=red", "colour"),
        ] {
            assert!(problem(url).contains(part), "{url}: {}", problem(url));
        }
    }

    #[test]
    fn the_password_is_in_no_message_and_no_debug_output() {
        let options = OpenOptions::parse("postgres://u:hunter2@localhost/d").unwrap();
        assert!(!format!("{options:?}{}", options.place()).contains("hunter2"));
        for url in [
            "postgres://u:hunter2@localhost:x/d",
            "postgres://u:hunter2@localhost/d?a=hunter2",
        ] {
            assert!(!problem(url).contains("hunter2"), "{}", problem(url));
        }
    }
}
