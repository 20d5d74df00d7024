//! The settings as the program uses them: typed, checked, complete.

use doorward_domain::Lifetime;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::problem::Problem;
use crate::reference::SettingInfo;
use crate::{
    ByteSize, DatabaseUrl, LogFormat, LogLevel, MailSecurity, PrivateNetworks, PublicUrl, Secret,
    TokenAlgorithm, TrustedProxies,
};

/// All settings of one process. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses to listen on: plain HTTP, or HTTPS when `tls` is there and has no addresses of its own. Never empty.
    pub listen: Vec<SocketAddr>,
    /// What people and applications call this server.
    pub public_url: PublicUrl,
    /// Whose forwarded headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// Folder of everything that is kept in files.
    pub data_dir: PathBuf,
    /// File of the key that seals secrets in the database.
    pub key_file: PathBuf,
    /// The database.
    pub database: Database,
    /// Digest of the container image, as whoever deploys it says.
    pub image_digest: Option<String>,
    /// The mail server; `None`: no mail is sent.
    pub mail: Option<Mail>,
    /// Own certificate; `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// The log.
    pub log: Log,
    /// Bounds of the HTTP server.
    pub limits: Limits,
    /// The password hashing pool.
    pub hashing: Hashing,
    /// Measurements.
    pub metrics: Metrics,
    /// Calls that the server makes.
    pub outbound: Outbound,
    /// The token API; `None`: it is off.
    pub token_api: Option<TokenApi>,
    /// How long running requests may take after the server was told to stop.
    pub shutdown_grace: Lifetime,
    /// The first administrator of an unattended installation.
    pub bootstrap: Option<Bootstrap>,
    /// What is allowed but unwise; to be logged at start and shown by `config check`.
    pub warnings: Vec<Problem>,
    pub(crate) described: Vec<SettingInfo>,
}

impl Settings {
    /// Every setting with its value and where the value came from, in the order of the reference page. Secrets are
    /// shown as `(set)`.
    #[must_use]
    pub fn describe(&self) -> &[SettingInfo] {
        &self.described
    }
}

/// The database.
#[derive(Clone, Debug)]
pub struct Database {
    /// Where it is.
    pub url: DatabaseUrl,
    /// Most connections to PostgreSQL.
    pub pool_size: u32,
    /// Whether a pooler in transaction mode stands before PostgreSQL.
    pub transaction_pooler: bool,
}

/// The mail server.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Protection of the connection.
    pub security: MailSecurity,
    /// How to sign in there; `None`: not at all.
    pub login: Option<MailLogin>,
    /// The sender: `id@example.org` or `Name <id@example.org>`.
    pub from: String,
}

/// User name and password at the mail server.
#[derive(Clone, Debug)]
pub struct MailLogin {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// The server's own certificate.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM file with the chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// Addresses that speak HTTPS beside plain `listen`; empty: those of `listen` do.
    pub listen: Vec<SocketAddr>,
}

/// The log.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// What lines look like.
    pub format: LogFormat,
    /// The least important ones shown.
    pub level: LogLevel,
}

/// Bounds of the HTTP server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest request body.
    pub body: ByteSize,
    /// Longest time for the head of a request.
    pub header_read_timeout: Lifetime,
    /// Most connections at a time.
    pub connections: u32,
}

/// The password hashing pool.
#[derive(Clone, Copy, Debug)]
pub struct Hashing {
    /// Passwords hashed at a time; `None`: from the number of processors.
    pub threads: Option<u32>,
    /// Most that wait.
    pub queue: u32,
    /// Memory for one; `None`: measured.
    pub memory: Option<ByteSize>,
}

/// Measurements.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Separate address without authentication.
    pub listen: Option<SocketAddr>,
    /// Bearer token for the ordinary addresses.
    pub token: Option<Secret>,
}

/// Calls that the server makes.
#[derive(Clone, Copy, Debug)]
pub struct Outbound {
    /// Whether they may go to private networks.
    pub private_networks: PrivateNetworks,
}

/// The token API.
#[derive(Clone, Debug)]
pub struct TokenApi {
    /// Its own address.
    pub listen: Option<SocketAddr>,
    /// How access tokens are signed.
    pub algorithm: TokenAlgorithm,
    /// The shared secret; there with HS256.
    pub secret: Option<Secret>,
    /// `iss`.
    pub issuer: String,
    /// How long an access token lives.
    pub access_lifetime: Lifetime,
    /// How long a sign-in lives.
    pub refresh_lifetime: Lifetime,
    /// Whether a refresh begins that time again.
    pub sliding: bool,
    /// Whether strangers may make accounts.
    pub registration: bool,
    /// Whether imported bcrypt hashes stay.
    pub keep_bcrypt: bool,
    /// Whether everybody may introspect.
    pub introspect_open: bool,
    /// What callers of introspection show.
    pub introspect_token: Option<Secret>,
    /// The Matrix server; `None`: nobody gets an account there.
    pub matrix: Option<Matrix>,
}

/// The Matrix server.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Its address, without a slash at the end.
    pub url: String,
    /// Its `registration_shared_secret`.
    pub secret: Secret,
    /// What it calls itself; `None`: it is asked.
    pub server_name: Option<String>,
    /// Token of an administrator there.
    pub admin_token: Option<Secret>,
}

/// The first administrator; used only while the database has no user. At least one of password and token is there.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// User name.
    pub username: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// API token.
    pub token: Option<Secret>,
}
