//! Server settings: what the operator says in `doorward.toml`, in the environment and on the command line, read into
//! one typed [`Settings`].
//!
//! Lives here: the one table of settings (`table`), the readers of the three sources, the checks of values and of
//! their combination, and the reference page and sample file that are written from the same table. Everything is pure:
//! file texts and environment come in as [`Sources`].
//!
//! Must not live here: SQL, HTTP, opening sockets or files, and anything that operators change while the server runs
//! (that is in the database).

mod address;
mod assemble;
mod database;
mod environment;
mod file;
mod flags;
mod old_names;
mod problem;
mod proxies;
mod public_url;
mod reader;
mod reference;
mod secret;
mod settings;
mod size;
mod table;
mod token_api;
mod value;
mod words;

pub use assemble::read;
pub use database::DatabaseUrl;
pub use problem::{Place, Problem};
pub use proxies::{Cidr, TrustedProxies};
pub use public_url::PublicUrl;
pub use reader::Sources;
pub use reference::{SettingDoc, SettingInfo, catalogue, reference_page, sample_file};
pub use secret::Secret;
pub use settings::{
    Bootstrap, Database, Hashing, Limits, Log, Mail, MailLogin, Matrix, Metrics, Outbound, Settings, Tls,
    TokenApi,
};
pub use size::ByteSize;
pub use words::{LogFormat, LogLevel, MailSecurity, PrivateNetworks, TokenAlgorithm};

/// Largest accepted `doorward.toml`, in bytes.
pub const LARGEST_FILE: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
