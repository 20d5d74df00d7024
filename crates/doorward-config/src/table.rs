//! The one table of settings. Reading, checking, `config show`, the flags, the reference page and the sample file are
//! all made from it: a setting that is not here does not exist.

use std::marker::PhantomData;

use crate::address::{Address, Addresses, Email, HostName, Mailbox};
use crate::database::DatabaseUrl;
use crate::proxies::TrustedProxies;
use crate::public_url::PublicUrl;
use crate::value::{Bytes, Count, FilePath, Form, Line, SecretText, Span, Switch, Username, Value, Wrong};
use crate::words::{LogFormat, LogLevel, MailSecurity, PrivateNetworks, TokenAlgorithm};

/// What holds when nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standard {
    /// This text, read like any other.
    Text(&'static str),
    /// What these words describe, worked out from other settings.
    Computed(&'static str),
    /// Nothing; the words say what that means.
    Unset(&'static str),
}

/// Where a setting may be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// File, environment and command line.
    Everywhere,
    /// Environment only.
    Environment,
}

/// What is known about a setting without its type.
pub(crate) struct Definition {
    /// As in the file, sections with dots.
    pub(crate) key: &'static str,
    /// Name of its type.
    pub(crate) kind: &'static str,
    /// Form in the file.
    pub(crate) form: Form,
    /// Whether its value must not be shown.
    pub(crate) secret: bool,
    /// What is expected.
    pub(crate) expected: fn() -> String,
    /// Reads a text and forgets the value.
    pub(crate) check: fn(&str) -> Result<(), Wrong>,
    /// What holds when nothing is said.
    pub(crate) standard: Standard,
    /// An example, in the file's notation.
    pub(crate) example: &'static str,
    /// What it does; Markdown.
    pub(crate) doc: &'static str,
    /// Where it may be said.
    pub(crate) reach: Reach,
}

impl Definition {
    /// The environment variable: `mail.host` is `DOORWARD_MAIL_HOST`.
    pub(crate) fn variable(&self) -> String {
        format!("DOORWARD_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }

    /// The flag without dashes: `mail.host` is `mail-host`.
    pub(crate) fn flag(&self) -> String {
        self.key.replace(['.', '_'], "-")
    }

    /// The section in the file, empty for the top.
    pub(crate) fn section(&self) -> &'static str {
        self.key.split_once('.').map_or("", |(section, _)| section)
    }

    /// The text in the doc comments, without the space that each line begins with.
    pub(crate) fn doc_lines(&self) -> impl Iterator<Item = &'static str> {
        self.doc.lines().map(str::trim)
    }
}

/// A setting with its type.
pub(crate) struct Setting<T> {
    /// All but the type.
    pub(crate) definition: Definition,
    value: PhantomData<fn() -> T>,
}

/// The definition of a setting's key.
pub(crate) fn find(key: &str) -> Option<&'static Definition> {
    ALL.iter().copied().find(|definition| definition.key == key)
}

/// Whether a section of the file has this name.
pub(crate) fn is_section(name: &str) -> bool {
    !name.is_empty() && ALL.iter().any(|definition| definition.section() == name)
}

/// What stands at the head of a section on the reference page and in the sample file.
pub(crate) fn section_doc(section: &str) -> &'static str {
    match section {
        "" => "Where the server is and what it keeps.",
        "database" => "The connection to PostgreSQL. SQLite needs none of this.",
        "mail" => {
            "The mail server that takes invitations, verification and recovery messages. Without `mail.host` no mail is sent."
        }
        "tls" => {
            "Certificates of the server's own. Behind a reverse proxy that speaks HTTPS they are not needed."
        }
        "log" => "The log, on standard error.",
        "limits" => "Bounds that keep one client from taking everything.",
        "hashing" => {
            "The pool that hashes passwords. The defaults are measured for the machine at the first start."
        }
        "metrics" => "Measurements for Prometheus.",
        "outbound" => "Calls that the server makes itself.",
        "token_api" => {
            "The token API for services with pages of their own: `/api/auth/register`, `login`, `refresh`, `logout`, `me` and \
             `introspect`. The variables of the service that was there before are read too, below every other source; a name \
             that ends in `_FILE` names a file that holds the value. One of those that begin with `AUTH_` puts the token API on."
        }
        "bootstrap" => {
            "The first administrator of an unattended installation. These are read from the environment only, and only \
             while the database has no user; later they are ignored, with a line in the log."
        }
        _ => "",
    }
}

macro_rules! settings {
    ($( $(#[doc = $doc:literal])+ $name:ident: $type:ty {
        key: $key:literal, standard: $standard:expr, example: $example:literal $(, reach: $reach:expr)? $(,)?
    } )+) => {
        $(
            $(#[doc = $doc])+
            pub(crate) static $name: Setting<$type> = Setting {
                definition: Definition {
                    key: $key,
                    kind: <$type as Value>::KIND,
                    form: <$type as Value>::FORM,
                    secret: <$type as Value>::SECRET,
                    expected: <$type as Value>::expected,
                    check: |text| <$type as Value>::parse(text).map(drop),
                    standard: $standard,
                    example: $example,
                    doc: concat!($($doc, "\n"),+),
                    reach: settings!(@reach $($reach)?),
                },
                value: PhantomData,
            };
        )+

        /// Every setting, in the order of the reference page.
        pub(crate) static ALL: &[&Definition] = &[$(&$name.definition),+];
    };
    (@reach) => { Reach::Everywhere };
    (@reach $reach:expr) => { $reach };
}

use Standard::{Computed, Text, Unset};

settings! {
    /// The address that people and applications use: scheme, host and port, without a path. It stands in every issuer,
    /// link and redirect, so it must be what the browser shows. `https` is needed everywhere but on this machine
    /// itself. Behind a reverse proxy this is the proxy's address; a path prefix is not possible, because cookies and
    /// well-known addresses belong to a whole host.
    PUBLIC_URL: PublicUrl {
        key: "public_url",
        standard: Computed("http://localhost with the port of the first address in `listen`; https when `tls` is set"),
        example: "\"https://id.example.org\"",
    }
    /// Addresses that the server listens on. In a container use `0.0.0.0:9000`.
    LISTEN: Addresses {
        key: "listen", standard: Text("127.0.0.1:9000"), example: "[\"127.0.0.1:9000\", \"[::1]:9000\"]",
    }
    /// Reverse proxies whose `X-Forwarded-*` and `Forwarded` headers are believed, as networks. `private` stands for
    /// 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and fc00::/7, `loopback` for 127.0.0.0/8 and ::1. By default nobody
    /// is believed, not even this machine, and the address of a client is the address of its connection.
    TRUSTED_PROXIES: TrustedProxies {
        key: "trusted_proxies", standard: Text("none"), example: "[\"loopback\", \"172.18.0.0/16\"]",
    }
    /// The folder of what the server keeps in files: the SQLite database, the key file, snapshots. Made at the first
    /// start, readable by its owner only.
    DATA_DIR: FilePath {
        key: "data_dir", standard: Text("./doorward-data"), example: "\"/var/lib/doorward\"",
    }
    /// The key that seals secrets in the database (signing keys, upstream tokens, TOTP seeds). Made at the first start.
    /// It is not in the database on purpose: keep a copy of it apart from the copies of the database.
    KEY_FILE: FilePath {
        key: "key_file", standard: Computed("`doorward.key` in `data_dir`"), example: "\"/etc/doorward/doorward.key\"",
    }
    /// The database: an SQLite file or a PostgreSQL server. Several replicas need PostgreSQL. Counts as a secret because
    /// it may hold a password, which is never shown.
    DATABASE_URL: DatabaseUrl {
        key: "database_url",
        standard: Computed("`sqlite:` and `doorward.db` in `data_dir`"),
        example: "\"postgres://doorward:secret@db.example.org/doorward?sslmode=verify-full\"",
    }
    /// Digest of the container image that this runs in, for `GET /version`: only whoever deploys it knows. Deploy by it, so that a tag that
    /// moved changes nothing by itself.
    IMAGE_DIGEST: Line {
        key: "image_digest", standard: Unset("not told"),
        example: "\"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"",
    }
    /// How long running requests may take to finish after the server was told to stop.
    SHUTDOWN_GRACE: Span<0, 600_000> {
        key: "shutdown_grace", standard: Text("1500ms"), example: "\"10s\"",
    }

    /// Connections to PostgreSQL that one replica opens at most.
    DATABASE_POOL_SIZE: Count<1, 100> {
        key: "database.pool_size", standard: Text("8"), example: "16",
    }
    /// Whether a pooler in transaction mode, such as PgBouncer, stands before PostgreSQL. Prepared statements and LISTEN
    /// are not used then; changes reach other replicas by a poll once a second.
    DATABASE_TRANSACTION_POOLER: Switch {
        key: "database.transaction_pooler", standard: Text("false"), example: "true",
    }

    /// The mail server.
    MAIL_HOST: HostName {
        key: "mail.host", standard: Unset("no mail is sent"), example: "\"smtp.example.org\"",
    }
    /// Its port.
    MAIL_PORT: Count<1, 65535> {
        key: "mail.port", standard: Computed("587 with `starttls`, 465 with `tls`, 25 with `none`"), example: "587",
    }
    /// How the connection is protected: `starttls` must upgrade before anything is sent, `tls` is protected from the
    /// first byte, `none` is for a server on this machine.
    MAIL_SECURITY: MailSecurity {
        key: "mail.security", standard: Text("starttls"), example: "\"tls\"",
    }
    /// The user name at the mail server.
    MAIL_USERNAME: Line {
        key: "mail.username", standard: Unset("the server does not sign in"), example: "\"doorward\"",
    }
    /// The password at the mail server.
    MAIL_PASSWORD: SecretText<1> {
        key: "mail.password", standard: Unset("the server does not sign in"),
        example: "{ file = \"/run/secrets/mail-password\" }",
    }
    /// The sender of all mail.
    MAIL_FROM: Mailbox {
        key: "mail.from", standard: Unset("needed with `mail.host`"), example: "\"Example sign-in <id@example.org>\"",
    }

    /// The certificate chain, as a PEM file, the server's own certificate first.
    TLS_CERTIFICATE: FilePath {
        key: "tls.certificate", standard: Unset("plain HTTP"), example: "\"/etc/doorward/fullchain.pem\"",
    }
    /// The private key of the certificate, as a PEM file.
    TLS_KEY: FilePath {
        key: "tls.key", standard: Unset("plain HTTP"), example: "\"/etc/doorward/privkey.pem\"",
    }
    /// Addresses that speak HTTPS when those in `listen` are to stay plain HTTP.
    TLS_LISTEN: Addresses {
        key: "tls.listen", standard: Unset("with a certificate, the addresses in `listen` speak HTTPS"),
        example: "[\"0.0.0.0:9443\"]",
    }

    /// `human` for people, `json` for programs, one object per line.
    LOG_FORMAT: LogFormat {
        key: "log.format", standard: Text("human"), example: "\"json\"",
    }
    /// The least important lines that are shown.
    LOG_LEVEL: LogLevel {
        key: "log.level", standard: Text("info"), example: "\"debug\"",
    }

    /// The largest body of a request.
    LIMITS_BODY: Bytes<4, 65_536> {
        key: "limits.body", standard: Text("64KiB"), example: "\"256KiB\"",
    }
    /// How long a client may take to send the head of a request.
    LIMITS_HEADER_READ_TIMEOUT: Span<100, 600_000> {
        key: "limits.header_read_timeout", standard: Text("10s"), example: "\"5s\"",
    }
    /// Connections that are open at the same time; more wait until one ends.
    LIMITS_CONNECTIONS: Count<8, 1_000_000> {
        key: "limits.connections", standard: Text("4096"), example: "20000",
    }

    /// Passwords that are hashed at the same time.
    HASHING_THREADS: Count<1, 256> {
        key: "hashing.threads", standard: Unset("from the number of processors"), example: "2",
    }
    /// Sign-ins that may wait for a thread; beyond that the answer is 503 with `Retry-After`.
    HASHING_QUEUE: Count<1, 100_000> {
        key: "hashing.queue", standard: Text("128"), example: "256",
    }
    /// Memory that hashing one password takes.
    HASHING_MEMORY: Bytes<8192, 2_097_152> {
        key: "hashing.memory", standard: Unset("measured at the first start"), example: "\"64MiB\"",
    }

    /// A separate address for `/-/metrics`, without authentication. Without it the measurements are on the ordinary
    /// addresses, for clients on this machine or in the networks of `trusted_proxies`, and those that show
    /// `metrics.token`.
    METRICS_LISTEN: Address {
        key: "metrics.listen", standard: Unset("no separate address"), example: "\"127.0.0.1:9001\"",
    }
    /// The bearer token that opens `/-/metrics` on the ordinary addresses from everywhere.
    METRICS_TOKEN: SecretText<16> {
        key: "metrics.token", standard: Unset("clients on this machine and in trusted networks only"),
        example: "{ file = \"/run/secrets/metrics-token\" }",
    }

    /// Whether the server may call addresses in private networks (back-channel logout, key sets of clients): `allow`
    /// for URLs that an administrator registered, `refuse` for none. URLs that come from anybody else never lead there.
    OUTBOUND_PRIVATE_NETWORKS: PrivateNetworks {
        key: "outbound.private_networks", standard: Text("allow"), example: "\"refuse\"",
    }

    /// Whether the token API is on.
    TOKEN_API_ENABLED: Switch {
        key: "token_api.enabled",
        standard: Computed("true when a variable of the old service that begins with `AUTH_` is set, else false"),
        example: "true",
    }
    /// An address of its own, plain HTTP, where nothing else is: for a network between services. The ordinary addresses serve the
    /// token API too. An address of this machine or of a private network counts as private: whoever reaches it may introspect.
    /// Old names, for the port alone: `AUTH_PORT`, `PORT`, `AUTH_SERVICE_PORT`.
    TOKEN_API_LISTEN: Address {
        key: "token_api.listen",
        standard: Computed("port 7020 on the first address in `listen` when an old variable put the token API on, else none"),
        example: "\"127.0.0.1:7020\"",
    }
    /// How access tokens are signed: `HS256` with the secret that the services share, as of old; `EdDSA` or `RS256` with the
    /// server's own key, which services check with the key set at `/application/o/jwks/` (recommended: no service can make
    /// tokens then). Old names: `AUTH_JWT_ALGORITHM`, `JWT_ALGO`, `JWT_ALGORITHM`.
    TOKEN_API_ALGORITHM: TokenAlgorithm {
        key: "token_api.algorithm", standard: Text("HS256"), example: "\"EdDSA\"",
    }
    /// The secret for `HS256`, 32 bytes or more. Set it beside `EdDSA` for as long as refresh tokens that it signed are about.
    /// Old names: `AUTH_JWT_SECRET`, `JWT_SECRET`.
    TOKEN_API_SECRET: SecretText<1> {
        key: "token_api.secret", standard: Unset("needed with `HS256`"),
        example: "{ file = \"/run/secrets/jwt-secret\" }",
    }
    /// What tokens have as `iss`; tokens with another one are not accepted. Old name: `AUTH_JWT_ISSUER`.
    TOKEN_API_ISSUER: Line {
        key: "token_api.issuer",
        standard: Computed("`daarion-auth` with `HS256`, else `public_url`"),
        example: "\"https://id.example.org\"",
    }
    /// How long an access token lives. Old names, in seconds or as here: `AUTH_ACCESS_TOKEN_TTL`, `ACCESS_TOKEN_TTL`, `JWT_EXPIRATION`.
    TOKEN_API_ACCESS_LIFETIME: Span<1000, 86_400_000> {
        key: "token_api.access_lifetime", standard: Text("30m"), example: "\"10m\"",
    }
    /// How long a sign-in lives. Old names, in seconds: `AUTH_REFRESH_TOKEN_TTL`, `REFRESH_TOKEN_TTL`.
    TOKEN_API_REFRESH_LIFETIME: Span<1000, 4_233_600_000> {
        key: "token_api.refresh_lifetime", standard: Text("7d"), example: "\"30d\"",
    }
    /// Whether each refresh begins that time again. Otherwise a sign-in ends when it is over, however often it was refreshed.
    TOKEN_API_SLIDING: Switch {
        key: "token_api.sliding", standard: Text("false"), example: "true",
    }
    /// Whether strangers may make accounts.
    TOKEN_API_REGISTRATION: Switch {
        key: "token_api.registration", standard: Text("true"), example: "false",
    }
    /// Whether imported bcrypt hashes stay as they are when people sign in, so that the old service can still be put back.
    /// Otherwise they are replaced by argon2id. Old name: `AUTH_KEEP_BCRYPT`.
    TOKEN_API_KEEP_BCRYPT: Switch {
        key: "token_api.keep_bcrypt", standard: Text("false"), example: "true",
    }
    /// Whether everybody may introspect, as of old. Old name: `AUTH_INTROSPECT_OPEN`.
    TOKEN_API_INTROSPECT_OPEN: Switch {
        key: "token_api.introspect_open", standard: Text("false"), example: "true",
    }
    /// The bearer token of services that introspect on the ordinary addresses. Old name: `AUTH_INTROSPECT_TOKEN`.
    TOKEN_API_INTROSPECT_TOKEN: SecretText<16> {
        key: "token_api.introspect_token",
        standard: Unset("introspection on a private address of its own only"),
        example: "{ file = \"/run/secrets/introspect-token\" }",
    }
    /// For development: a secret below 32 bytes is accepted. Old names: `AUTH_DEBUG`, `DEBUG`.
    TOKEN_API_DEBUG: Switch {
        key: "token_api.debug", standard: Text("false"), example: "true",
    }
    /// The address of Synapse's admin API. Old name: `SYNAPSE_ADMIN_URL`.
    TOKEN_API_SYNAPSE_URL: PublicUrl {
        key: "token_api.synapse_url", standard: Text("http://daarion-synapse:8008"),
        example: "\"http://127.0.0.1:8008\"",
    }
    /// Synapse's `registration_shared_secret`. With it, everybody who registers gets an account at the Matrix server.
    /// Old name: `SYNAPSE_REGISTRATION_SECRET`.
    TOKEN_API_SYNAPSE_SECRET: SecretText<1> {
        key: "token_api.synapse_secret", standard: Unset("no accounts at a Matrix server"),
        example: "{ file = \"/run/secrets/synapse-secret\" }",
    }
    /// What Synapse calls itself (`server_name`). Old name: `SYNAPSE_SERVER_NAME`.
    TOKEN_API_SYNAPSE_SERVER_NAME: HostName {
        key: "token_api.synapse_server_name", standard: Unset("asked from Synapse"), example: "\"example.org\"",
    }
    /// Access token of an administrator at Synapse: with it, accounts of people who are switched off here are deactivated there.
    /// Old name: `SYNAPSE_ADMIN_TOKEN`.
    TOKEN_API_SYNAPSE_ADMIN_TOKEN: SecretText<1> {
        key: "token_api.synapse_admin_token", standard: Unset("accounts stay"),
        example: "{ file = \"/run/secrets/synapse-admin-token\" }",
    }

    /// User name of the first administrator.
    BOOTSTRAP_USERNAME: Username {
        key: "bootstrap.username", standard: Unset("`admin`, when another of these is set"), example: "\"admin\"",
        reach: Reach::Environment,
    }
    /// E-mail address of the first administrator.
    BOOTSTRAP_EMAIL: Email {
        key: "bootstrap.email", standard: Unset("none"), example: "\"admin@example.org\"", reach: Reach::Environment,
    }
    /// Password of the first administrator.
    BOOTSTRAP_PASSWORD: SecretText<1> {
        key: "bootstrap.password", standard: Unset("none"), example: "\"correct horse battery staple\"",
        reach: Reach::Environment,
    }
    /// An API token of the first administrator.
    BOOTSTRAP_TOKEN: SecretText<8> {
        key: "bootstrap.token", standard: Unset("none"), example: "\"0f4c1e8e2b9d4d6aa8f1c57b3f2e9d10\"",
        reach: Reach::Environment,
    }
}
