//! From settings to a working [`Doorward`]: data folder, key file, options. Shared by `serve` and every other command.

use std::num::NonZeroUsize;
use std::sync::Arc;

use doorward_config::Settings;
use doorward_core::token_api::{MatrixServer, TokenAlgorithm, TokenApi};
use doorward_core::{Doorward, Options};
use doorward_crypto::shared::SharedKey;
use doorward_crypto::token::SecretText;
use doorward_store::{OpenOptions, Pooler, Store};

use crate::failure::{Failure, Result};
use crate::key_file::{self, KeyFile, Origin};
use crate::ports;

/// Memory that one password hash may take when the settings say nothing: strong, and still small beside the rest.
const HASHING_MEMORY_KIB: u32 = 64 * 1024;
/// Warm sessions kept in memory.
const SESSION_CACHE: usize = 16_384;

/// How the database is opened.
///
/// # Errors
/// `Fault` naming `database_url`.
pub(crate) fn database(settings: &Settings) -> Result<OpenOptions> {
    let pooler = if settings.database.transaction_pooler {
        Pooler::Transaction
    } else {
        Pooler::Direct
    };
    let connections = usize::try_from(settings.database.pool_size).unwrap_or(usize::MAX);
    Ok(OpenOptions::parse(settings.database.url.expose())?
        .with_pool_size(connections)
        .with_pooler(pooler))
}

/// What to do without a key file while the database, which may have keys already, is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenAway {
    /// Say so.
    Fail,
    /// Make a key file and look again when the database is there: the server has to answer probes meanwhile.
    GoOn,
}

/// The handle over everything, not connected yet, and where its key came from. Makes data folder and key file when they
/// are missing, but no new key for a database that has keys already.
///
/// # Errors
/// A sentence that says what to do.
pub(crate) async fn handle(
    settings: &Settings,
    database: &OpenOptions,
    when_away: WhenAway,
) -> Result<(Doorward, Origin)> {
    key_file::prepare_folder(&settings.data_dir)?;
    let KeyFile { keyring, origin } = match key_file::find(&settings.key_file)? {
        Some(keyring) => KeyFile {
            keyring,
            origin: Origin::Found,
        },
        None => {
            refuse_new_key(settings, database, when_away).await?;
            key_file::make(&settings.key_file)?
        }
    };
    if let Some(complaint) = key_file::complaint_about_mode(&settings.key_file) {
        tracing::warn!("{complaint}");
    }
    let ports = ports::real(settings.outbound.private_networks, settings.mail.as_ref());
    Ok((Doorward::new(options(settings), ports, keyring), origin))
}

/// A database with signing keys cannot be opened with a new key file.
async fn refuse_new_key(settings: &Settings, database: &OpenOptions, when_away: WhenAway) -> Result<()> {
    if database.sqlite_path().is_some_and(|file| !file.exists()) {
        return Ok(());
    }
    let store = match Store::open(database.clone()).await {
        Ok(store) => store,
        // A new database is busy while another process makes it; that one has made the key file before.
        Err(error)
            if error.is_unavailable() && (when_away == WhenAway::GoOn || settings.key_file.exists()) =>
        {
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let keys = store.read().keys().await;
    store.close().await;
    if keys?.is_empty() {
        return Ok(());
    }
    // Another process may have started on a new folder a moment ago: it makes the key file before the first key.
    if settings.key_file.exists() {
        return Ok(());
    }
    Err(missing_key(settings))
}

/// What is said when the key file is missing and the database is not new.
pub(crate) fn missing_key(settings: &Settings) -> Failure {
    Failure::Fault(format!(
        "the key file {} is missing, but the database {} has secrets that were sealed with it; restore the file from \
         its copy, or point `key_file` at it",
        settings.key_file.display(),
        settings.database.url
    ))
}

fn options(settings: &Settings) -> Options {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = settings.hashing.threads.map_or(processors, |threads| {
        usize::try_from(threads).unwrap_or(processors)
    });
    let memory = settings.hashing.memory.map_or(HASHING_MEMORY_KIB, |memory| {
        u32::try_from(memory.bytes() / 1024).unwrap_or(u32::MAX)
    });
    Options {
        public_url: settings.public_url.as_str().to_owned(),
        hashing_threads: threads,
        hashing_queue: usize::try_from(settings.hashing.queue).unwrap_or(usize::MAX),
        hashing_memory_kib: memory,
        session_cache: SESSION_CACHE,
        token_api: settings.token_api.as_ref().map(|api| Arc::new(token_api(api))),
    }
}

fn token_api(given: &doorward_config::TokenApi) -> TokenApi {
    TokenApi {
        algorithm: match given.algorithm {
            doorward_config::TokenAlgorithm::Hs256 => TokenAlgorithm::Hs256,
            doorward_config::TokenAlgorithm::EdDsa => TokenAlgorithm::EdDsa,
            doorward_config::TokenAlgorithm::Rs256 => TokenAlgorithm::Rs256,
        },
        secret: given
            .secret
            .as_ref()
            .map(|secret| SharedKey::new(secret.expose())),
        issuer: given.issuer.clone(),
        access_lifetime: given.access_lifetime,
        refresh_lifetime: given.refresh_lifetime,
        sliding: given.sliding,
        registration: given.registration,
        keep_bcrypt: given.keep_bcrypt,
        introspect_open: given.introspect_open,
        introspect_token: given.introspect_token.as_ref().map(secret),
        matrix: given.matrix.as_ref().map(|matrix| MatrixServer {
            url: matrix.url.clone(),
            secret: secret(&matrix.secret),
            server_name: matrix.server_name.clone(),
            admin_token: matrix.admin_token.as_ref().map(secret),
        }),
    }
}

fn secret(given: &doorward_config::Secret) -> SecretText {
    SecretText::new(given.expose())
}
