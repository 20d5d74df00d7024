//! From the three sources to [`Settings`]: takes every value, then checks what only shows when values are seen
//! together. Nothing stops at the first problem.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::address::Addresses;
use crate::problem::{Place, Problem};
use crate::reader::{Reader, Sources};
use crate::settings::{
    Bootstrap, Database, Hashing, Limits, Log, Mail, MailLogin, Metrics, Outbound, Settings, Tls,
};
use crate::table::{self, Setting};
use crate::value::{Count, FilePath, Line};
use crate::words::MailSecurity;
use crate::{DatabaseUrl, PublicUrl, TrustedProxies, reference};

/// Reads all settings.
///
/// # Errors
/// Everything that is wrong, in the order file, environment, flags, values, combinations; never empty.
pub fn read(sources: &Sources<'_>) -> Result<Settings, Vec<Problem>> {
    let mut reader = Reader::new(sources);
    let settings = assemble(&mut reader);
    match settings {
        Some(settings) if reader.problems.is_empty() => Ok(Settings {
            described: reference::describe(&reader.shown),
            warnings: reader.warnings,
            ..settings
        }),
        _ => Err(reader.into_problems()),
    }
}

pub(crate) fn assemble(reader: &mut Reader<'_>) -> Option<Settings> {
    let listen = reader.take(&table::LISTEN).map(|Addresses(addresses)| addresses);
    let tls = take_tls(reader, listen.as_deref());
    let public_url = take_public_url(reader, listen.as_deref(), tls.as_ref());
    let trusted_proxies: Option<TrustedProxies> = reader.take(&table::TRUSTED_PROXIES);
    let data_dir = reader.take(&table::DATA_DIR).map(|FilePath(path)| path);
    let in_data_dir = |name: &str| data_dir.as_deref().unwrap_or(Path::new("")).join(name);
    let key_file = reader.take_or(&table::KEY_FILE, || FilePath(in_data_dir("doorward.key")));
    let database = take_database(reader, in_data_dir("doorward.db"));
    if let (Some(FilePath(key)), Some(database)) = (&key_file, &database) {
        check_key_file(reader, key, database.url.file());
    }
    let image_digest = reader.take(&table::IMAGE_DIGEST).map(|Line(text)| text);
    let mail = take_mail(reader);
    let log = take_log(reader);
    let limits = take_limits(reader);
    let hashing = take_hashing(reader);
    let metrics = take_metrics(reader, listen.as_deref(), tls.as_ref());
    let others: Vec<SocketAddr> = metrics
        .listen
        .into_iter()
        .chain(tls.iter().flat_map(|tls| tls.listen.iter().copied()))
        .collect();
    let token_api = crate::token_api::take(reader, listen.as_deref(), &others, public_url.as_ref());
    let private_networks = reader.take(&table::OUTBOUND_PRIVATE_NETWORKS);
    let shutdown_grace = reader.take(&table::SHUTDOWN_GRACE).map(|span| span.0);
    let bootstrap = take_bootstrap(reader);
    Some(Settings {
        listen: listen?,
        public_url: public_url?,
        trusted_proxies: trusted_proxies?,
        data_dir: data_dir?,
        key_file: key_file?.0,
        database: database?,
        image_digest,
        mail,
        tls,
        log: log?,
        limits: limits?,
        hashing: hashing?,
        metrics,
        outbound: Outbound {
            private_networks: private_networks?,
        },
        token_api,
        shutdown_grace: shutdown_grace?,
        bootstrap,
        warnings: Vec::new(),
        described: Vec::new(),
    })
}

pub(crate) fn problem<T>(reader: &mut Reader<'_>, setting: &Setting<T>, message: String, hint: &str) {
    let problem = Problem::new(setting.definition.key, reader.place(setting), message).hint(hint);
    reader.problems.push(problem);
}

pub(crate) fn warning<T>(reader: &mut Reader<'_>, setting: &Setting<T>, message: &str, hint: &str) {
    let problem = Problem::new(setting.definition.key, reader.place(setting), message).hint(hint);
    reader.warnings.push(problem);
}

/// Whether somebody who listens on one of them keeps the other from listening.
pub(crate) fn collides(left: SocketAddr, right: SocketAddr) -> bool {
    let any = left.ip().is_unspecified() || right.ip().is_unspecified();
    left.port() == right.port() && left.port() != 0 && (left.ip() == right.ip() || any)
}

fn take_tls(reader: &mut Reader<'_>, listen: Option<&[SocketAddr]>) -> Option<Tls> {
    let certificate = reader.take(&table::TLS_CERTIFICATE);
    let key = reader.take(&table::TLS_KEY);
    let own: Vec<SocketAddr> = reader
        .take(&table::TLS_LISTEN)
        .map(|list| list.0)
        .unwrap_or_default();
    let (has_certificate, has_key) = (
        reader.is_given(&table::TLS_CERTIFICATE),
        reader.is_given(&table::TLS_KEY),
    );
    if reader.complete {
        let both = "a certificate and its key are set together, or neither";
        if has_certificate && !has_key {
            let message = "`tls.certificate` is set but `tls.key` is not".to_owned();
            problem(reader, &table::TLS_CERTIFICATE, message, both);
        }
        if has_key && !has_certificate {
            let message = "`tls.key` is set but `tls.certificate` is not".to_owned();
            problem(reader, &table::TLS_KEY, message, both);
        }
        if reader.is_given(&table::TLS_LISTEN) && !has_certificate && !has_key {
            let message = "`tls.listen` is set but there is no certificate".to_owned();
            problem(
                reader,
                &table::TLS_LISTEN,
                message,
                "set tls.certificate and tls.key",
            );
        }
    }
    for address in &own {
        if listen.is_some_and(|plain| plain.iter().any(|other| collides(*other, *address))) {
            let message = format!("`tls.listen` has `{address}`, which `listen` takes already");
            problem(
                reader,
                &table::TLS_LISTEN,
                message,
                "without tls.listen, the addresses in listen speak HTTPS",
            );
        }
    }
    Some(Tls {
        certificate: certificate?.0,
        key: key?.0,
        listen: own,
    })
}

fn take_public_url(
    reader: &mut Reader<'_>,
    listen: Option<&[SocketAddr]>,
    tls: Option<&Tls>,
) -> Option<PublicUrl> {
    if reader.is_given(&table::PUBLIC_URL) {
        let url: PublicUrl = reader.take(&table::PUBLIC_URL)?;
        if !url.is_https() && !url.is_loopback() {
            let message = "`public_url` is http and not on this machine: passwords and cookies travel in clear text, \
                           and browsers offer no passkeys";
            warning(
                reader,
                &table::PUBLIC_URL,
                message,
                "use https, by a reverse proxy or the settings under tls",
            );
        }
        if !url.is_https() && tls.is_some_and(|tls| tls.listen.is_empty()) {
            let message = "`public_url` is http, but the server speaks only https";
            warning(
                reader,
                &table::PUBLIC_URL,
                message,
                "write https:// in public_url",
            );
        }
        return Some(url);
    }
    let addresses = tls
        .map(|tls| tls.listen.as_slice())
        .filter(|own| !own.is_empty())
        .or(listen)?;
    let port = addresses.first()?.port();
    if port == 0 {
        let message =
            "`public_url` is not set and cannot be guessed: the first address to listen on has port 0"
                .to_owned();
        problem(reader, &table::PUBLIC_URL, message, "set public_url or a port");
        return None;
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let guess = PublicUrl::parse(&format!("{scheme}://localhost:{port}")).ok()?;
    if addresses
        .iter()
        .any(|address| !address.ip().to_canonical().is_loopback())
    {
        // It is never taken from a request's `Host`: whoever sends one would decide where cookies, links and codes go.
        let message =
            "other machines can reach the server, but `public_url` is not set, and it is never taken from requests"
                .to_owned();
        problem(
            reader,
            &table::PUBLIC_URL,
            message,
            "set public_url to the address that people use",
        );
        return None;
    }
    reader.take_or(&table::PUBLIC_URL, || guess)
}

fn take_database(reader: &mut Reader<'_>, standard: PathBuf) -> Option<Database> {
    let url: Option<DatabaseUrl> = reader.take_or(&table::DATABASE_URL, || DatabaseUrl::sqlite(standard));
    let pool_size = reader.take(&table::DATABASE_POOL_SIZE);
    let transaction_pooler = reader.take(&table::DATABASE_TRANSACTION_POOLER);
    Some(Database {
        url: url?,
        pool_size: pool_size?.0,
        transaction_pooler: transaction_pooler?.0,
    })
}

/// The key must not be a file of the database: it would be overwritten, or copied with what it protects.
fn check_key_file(reader: &mut Reader<'_>, key: &Path, database: Option<&Path>) {
    let Some(database) = database else { return };
    let tidy = |path: &Path| -> PathBuf {
        path.components()
            .filter(|part| *part != std::path::Component::CurDir)
            .collect()
    };
    let taken = ["", "-wal", "-shm", "-journal"].iter().any(|ending| {
        let mut file = database.as_os_str().to_owned();
        file.push(ending);
        tidy(Path::new(&file)) == tidy(key)
    });
    if taken {
        let message = "`key_file` is a file of the database".to_owned();
        problem(
            reader,
            &table::KEY_FILE,
            message,
            "name another file, such as doorward.key",
        );
    }
}

fn take_mail(reader: &mut Reader<'_>) -> Option<Mail> {
    let host = reader.take(&table::MAIL_HOST);
    let security = reader.take(&table::MAIL_SECURITY);
    let port = reader.take_or(&table::MAIL_PORT, || {
        Count(match security {
            Some(MailSecurity::Tls) => 465,
            Some(MailSecurity::Plain) => 25,
            Some(MailSecurity::StartTls) | None => 587,
        })
    });
    let username = reader.take(&table::MAIL_USERNAME);
    let password = reader.take(&table::MAIL_PASSWORD);
    let from = reader.take(&table::MAIL_FROM);
    if reader.complete {
        check_mail(reader, host.as_ref().map(|host| host.0.as_str()), security);
    }
    let login = username.zip(password).map(|(username, password)| MailLogin {
        username: username.0,
        password: password.0,
    });
    let port = u16::try_from(port?.0).ok()?;
    Some(Mail {
        host: host?.0,
        port,
        security: security?,
        login,
        from: from?.0,
    })
}

fn check_mail(reader: &mut Reader<'_>, host: Option<&str>, security: Option<MailSecurity>) {
    let has_username = reader.is_given(&table::MAIL_USERNAME);
    let has_password = reader.is_given(&table::MAIL_PASSWORD);
    if has_username && !has_password {
        let message = "`mail.username` is set but `mail.password` is not".to_owned();
        problem(reader, &table::MAIL_USERNAME, message, "set both or neither");
    }
    if has_password && !has_username {
        let message = "`mail.password` is set but `mail.username` is not".to_owned();
        problem(reader, &table::MAIL_PASSWORD, message, "set both or neither");
    }
    if !reader.is_given(&table::MAIL_HOST) {
        if has_username || has_password || reader.is_given(&table::MAIL_FROM) {
            let message = "a setting under mail is set but `mail.host` is not".to_owned();
            problem(
                reader,
                &table::MAIL_HOST,
                message,
                "set mail.host, or remove the others",
            );
        }
        return;
    }
    if !reader.is_given(&table::MAIL_FROM) {
        let message = "`mail.host` is set but `mail.from` is not".to_owned();
        problem(
            reader,
            &table::MAIL_HOST,
            message,
            "set mail.from to the sender, such as id@example.org",
        );
    }
    let here = host.is_some_and(|host| {
        host == "localhost"
            || host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.to_canonical().is_loopback())
    });
    if security == Some(MailSecurity::Plain) && !here {
        let message = "`mail.security` is none: recovery links and passwords travel in clear text";
        warning(reader, &table::MAIL_SECURITY, message, "use starttls or tls");
    }
}

fn take_log(reader: &mut Reader<'_>) -> Option<Log> {
    let format = reader.take(&table::LOG_FORMAT);
    let level = reader.take(&table::LOG_LEVEL);
    Some(Log {
        format: format?,
        level: level?,
    })
}

fn take_limits(reader: &mut Reader<'_>) -> Option<Limits> {
    let body = reader.take(&table::LIMITS_BODY);
    let header_read_timeout = reader.take(&table::LIMITS_HEADER_READ_TIMEOUT);
    let connections = reader.take(&table::LIMITS_CONNECTIONS);
    Some(Limits {
        body: body?.0,
        header_read_timeout: header_read_timeout?.0,
        connections: connections?.0,
    })
}

fn take_hashing(reader: &mut Reader<'_>) -> Option<Hashing> {
    let threads = reader.take(&table::HASHING_THREADS).map(|count| count.0);
    let queue = reader.take(&table::HASHING_QUEUE);
    let memory = reader.take(&table::HASHING_MEMORY).map(|bytes| bytes.0);
    Some(Hashing {
        threads,
        queue: queue?.0,
        memory,
    })
}

fn take_metrics(reader: &mut Reader<'_>, listen: Option<&[SocketAddr]>, tls: Option<&Tls>) -> Metrics {
    let own = reader.take(&table::METRICS_LISTEN).map(|address| address.0);
    let token = reader.take(&table::METRICS_TOKEN).map(|token| token.0);
    if let Some(address) = own {
        let mut others = listen
            .unwrap_or_default()
            .iter()
            .chain(tls.map(|tls| &tls.listen).into_iter().flatten());
        if others.any(|other| collides(*other, address)) {
            let message = format!("`metrics.listen` has `{address}`, which the server listens on already");
            problem(reader, &table::METRICS_LISTEN, message, "choose another port");
        }
    }
    Metrics { listen: own, token }
}

/// Shorter tokens are accepted, but can be guessed sooner than is comfortable.
const COMFORTABLE_TOKEN: usize = 32;

fn take_bootstrap(reader: &mut Reader<'_>) -> Option<Bootstrap> {
    let username = reader.take(&table::BOOTSTRAP_USERNAME);
    let email = reader.take(&table::BOOTSTRAP_EMAIL).map(|email| email.0);
    let password = reader.take(&table::BOOTSTRAP_PASSWORD).map(|password| password.0);
    let token = reader.take(&table::BOOTSTRAP_TOKEN).map(|token| token.0);
    let names = reader.is_given(&table::BOOTSTRAP_USERNAME) || reader.is_given(&table::BOOTSTRAP_EMAIL);
    let proofs = reader.is_given(&table::BOOTSTRAP_PASSWORD) || reader.is_given(&table::BOOTSTRAP_TOKEN);
    if !names && !proofs {
        return None;
    }
    if !proofs {
        let message = "the first administrator has neither password nor token".to_owned();
        let place = if reader.is_given(&table::BOOTSTRAP_USERNAME) {
            reader.place(&table::BOOTSTRAP_USERNAME)
        } else {
            reader.place(&table::BOOTSTRAP_EMAIL)
        };
        let hint = "set DOORWARD_BOOTSTRAP_PASSWORD or DOORWARD_BOOTSTRAP_TOKEN";
        reader
            .problems
            .push(Problem::new("bootstrap.password", place, message).hint(hint));
    }
    if token
        .as_ref()
        .is_some_and(|token| token.expose().chars().count() < COMFORTABLE_TOKEN)
    {
        let message = format!("`bootstrap.token` is shorter than {COMFORTABLE_TOKEN} characters");
        warning(
            reader,
            &table::BOOTSTRAP_TOKEN,
            &message,
            "use a random one, such as from openssl rand -hex 32",
        );
    }
    let username = match username {
        Some(username) => username.0,
        None => {
            if !reader.is_given(&table::BOOTSTRAP_USERNAME) {
                let shown = (Place::Default, Some("admin".to_owned()));
                reader
                    .shown
                    .insert(table::BOOTSTRAP_USERNAME.definition.key, shown);
            }
            "admin".to_owned()
        }
    };
    Some(Bootstrap {
        username,
        email,
        password,
        token,
    })
}
