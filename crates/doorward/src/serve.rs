//! `doorward serve`: listeners first, so that probes are answered while the database is away; then the database; then
//! what the operator has to know; and an end that finishes what was begun.

use std::future::Future;
use std::io::{self, IsTerminal};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use doorward_config::{LogFormat, Problem, Settings};
use doorward_core::start::{Bootstrap, Greeting};
use doorward_core::{Doorward, Error};
use doorward_store::OpenOptions;
use doorward_web::{BuildInfo, Listener, Options, Role};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::failure::{Failure, Result};
use crate::key_file::Origin;
use crate::open::WhenAway;
use crate::out::{Out, Reader};
use crate::settings::{self, Given};
use crate::tls::Certificate;
use crate::{build, log, open, ports};

/// Time beyond the grace period after which the end no longer waits for connections.
const LAST_CALL: Duration = Duration::from_millis(250);
/// Time in which tasks that are left may end.
const TASKS_END: Duration = Duration::from_millis(100);

/// Runs the server until it is told to stop.
///
/// # Errors
/// What keeps it from running: settings, an address that is taken, a database that cannot be used.
pub(crate) fn run(given: &Given) -> Result<ExitCode> {
    let settings = settings::read(given)?;
    log::start(settings.log.format, settings.log.level)
        .map_err(|error| Failure::Fault(format!("threads cannot be started: {error}")))?;
    let ended = run_with(settings);
    log::flush();
    ended
}

fn run_with(settings: Settings) -> Result<ExitCode> {
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Fault(format!("threads cannot be started: {error}")))?;
    let format = settings.log.format;
    let ended = runtime.block_on(serve(settings));
    runtime.shutdown_timeout(TASKS_END);
    match ended {
        // Whoever reads the log as JSON gets the reason as JSON too.
        Err(failure) if format == LogFormat::Json => {
            tracing::error!("{failure}");
            Ok(failure.exit_code())
        }
        ended => ended.map(|()| ExitCode::SUCCESS),
    }
}

async fn serve(settings: Settings) -> Result<()> {
    let stop = Stop::listen()?;
    let certificate = settings.tls.as_ref().map(Certificate::load).transpose()?;
    let listeners = bind(&settings, certificate.as_ref()).await?;
    if let Some(certificate) = certificate {
        tokio::spawn(certificate.follow());
    }
    let database = open::database(&settings)?;
    let (doorward, origin) = open::handle(&settings, &database, WhenAway::GoOn).await?;
    let addresses = addresses(&listeners);
    let mut start = tokio::spawn(start(
        doorward.clone(),
        database,
        bootstrap(&settings),
        addresses,
        settings.public_url.as_str().to_owned(),
    ));
    let web = doorward_web::serve(doorward.clone(), options(&settings), listeners, stop.told());
    let mut web = std::pin::pin!(web);
    let grace = settings.shutdown_grace.duration() + LAST_CALL;
    let served = tokio::select! {
        served = &mut web => served,
        failure = failed(&mut start) => {
            return Err(explain(failure, &origin, &settings));
        }
        () = stop.overdue(grace) => {
            tracing::warn!("connections were still open after the grace period and are cut");
            Ok(())
        }
    };
    start.abort();
    if let Ok(store) = doorward.opened() {
        store.close().await;
    }
    tracing::info!("stopped");
    served.map_err(|error| Failure::Fault(format!("the server stopped: {error}")))
}

/// Connects, and says what the operator must know.
async fn start(
    doorward: Doorward,
    database: OpenOptions,
    bootstrap: Bootstrap,
    addresses: String,
    public_url: String,
) -> Result<()> {
    let out = Out::new(Reader::Person);
    out.line(&format!("Doorward listens on {public_url}"))?;
    tracing::info!(
        version = build::VERSION,
        address = addresses,
        public_url,
        "listening"
    );
    let greeting = doorward
        .start(&database, &bootstrap)
        .await
        .map_err(|error| match error {
            Error::Invalid(problem) => Failure::Invalid(format!(
                "DOORWARD_BOOTSTRAP_… does not make an administrator: {problem}"
            )),
            error => error.into(),
        })?;
    tracing::info!("the database is ready: {}", database.place());
    // On one terminal the log stands between the lines; a link that is seen twice looks like two links.
    let apart = !(io::stdout().is_terminal() && io::stderr().is_terminal());
    match greeting {
        Greeting::SetUp => {}
        Greeting::SetupLink(link) => {
            out.line(&format!("Make the first administrator: {link}"))?;
            if apart {
                tracing::info!("make the first administrator with this one-time link: {link}");
            }
        }
        Greeting::Bootstrapped(username) => {
            tracing::info!(
                "the first administrator `{username}` was made from DOORWARD_BOOTSTRAP_… variables"
            );
        }
        Greeting::BootstrapIgnored => {
            tracing::warn!(
                "DOORWARD_BOOTSTRAP_… variables are ignored: this installation is set up already; unset them"
            );
        }
    }
    Ok(())
}

/// Waits for the start to fail; a start that succeeds never comes back from here.
async fn failed(start: &mut JoinHandle<Result<()>>) -> Failure {
    match start.await {
        Ok(Ok(())) => std::future::pending().await,
        // The server goes on when nobody reads what it prints.
        Ok(Err(Failure::Output(error))) => {
            tracing::warn!(%error, "standard output cannot be written");
            std::future::pending().await
        }
        Ok(Err(failure)) => failure,
        Err(ended) => Failure::from(Error::Fault(doorward_core::Fault::caused(
            "the start was interrupted",
            ended,
        ))),
    }
}

/// A new key file that does not open the secrets in the database was made in vain. Happens when the database was away
/// while the key file was looked for.
fn explain(failure: Failure, origin: &Origin, settings: &Settings) -> Failure {
    match failure {
        Failure::Fault(text) if text.contains("key file") && *origin != Origin::Found => {
            origin.take_back();
            open::missing_key(settings)
        }
        other => other,
    }
}

fn bootstrap(settings: &Settings) -> Bootstrap {
    settings
        .bootstrap
        .as_ref()
        .map_or_else(Bootstrap::default, |given| Bootstrap {
            username: Some(given.username.clone()),
            email: given.email.clone(),
            password: given.password.as_ref().map(|secret| secret.expose().to_owned()),
            token: given.token.as_ref().map(|secret| secret.expose().to_owned()),
        })
}

fn options(settings: &Settings) -> Options {
    let proxies = settings.trusted_proxies.clone();
    Options {
        trusts: Arc::new(move |address| proxies.trusts(address)),
        metrics_token: settings
            .metrics
            .token
            .as_ref()
            .map(|token| token.expose().to_owned()),
        body_limit: usize::try_from(settings.limits.body.bytes()).unwrap_or(usize::MAX),
        header_read_timeout: settings.limits.header_read_timeout.duration(),
        connections: usize::try_from(settings.limits.connections).unwrap_or(usize::MAX),
        shutdown_grace: settings.shutdown_grace.duration(),
        outbound: ports::outbound(),
        build: BuildInfo {
            version: build::VERSION,
            commit: build::COMMIT,
            built_at: build::BUILT_AT,
            dirty: build::dirty(),
        },
        image_digest: settings.image_digest.clone(),
    }
}

/// Opens every listener, or says everything that keeps one from being opened.
async fn bind(settings: &Settings, certificate: Option<&Arc<Certificate>>) -> Result<Vec<Listener>> {
    let tls = certificate.map(Certificate::server_config);
    let own: &[SocketAddr] = settings.tls.as_ref().map_or(&[], |tls| tls.listen.as_slice());
    let plain = if own.is_empty() { tls.clone() } else { None };
    let everything = settings.listen.iter().map(|at| ("listen", *at, plain.clone()));
    let secure = own.iter().map(|at| ("tls.listen", *at, tls.clone()));
    let metrics = settings
        .metrics
        .listen
        .iter()
        .map(|at| ("metrics.listen", *at, None));
    let token_api = settings
        .token_api
        .iter()
        .filter_map(|api| api.listen)
        .map(|at| ("token_api.listen", at, None));
    let mut listeners = Vec::new();
    let mut problems = Vec::new();
    for (setting, address, tls) in everything.chain(secure).chain(metrics).chain(token_api) {
        let role = match setting {
            "metrics.listen" => Role::Metrics,
            "token_api.listen" => Role::TokenApi {
                private: is_private(address.ip()),
            },
            _ => Role::Everything,
        };
        match TcpListener::bind(address).await {
            Ok(socket) => listeners.push(Listener { socket, tls, role }),
            Err(error) => problems.push(bind_problem(setting, address, &error)),
        }
    }
    if problems.is_empty() {
        Ok(listeners)
    } else {
        Err(Failure::Fault(problems.join("\n")))
    }
}

/// Is this an address that only this machine or a private network reaches? One of every network is not.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

fn bind_problem(setting: &str, address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is in use by another program (or another Doorward): stop that one, or change `{setting}`"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "{address} cannot be opened: ports below 1024 need a privilege; change `{setting}`, or grant \
             CAP_NET_BIND_SERVICE"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("{address} is no address of this machine: change `{setting}`")
        }
        _ => format!("{address} cannot be opened: {error}; `{setting}` names it"),
    }
}

fn addresses(listeners: &[Listener]) -> String {
    let shown: Vec<String> = listeners
        .iter()
        .filter_map(|listener| listener.socket.local_addr().ok())
        .map(|address| address.to_string())
        .collect();
    shown.join(", ")
}

/// Settings that hold together but not with this machine; for `doctor`.
pub(crate) fn public_url_problem(settings: &Settings) -> Option<String> {
    let url = &settings.public_url;
    let reachable_here = settings.listen.iter().all(|at| at.ip().is_loopback());
    let behind_proxy = !settings.trusted_proxies.networks().is_empty();
    if url.is_loopback() && !reachable_here {
        return Some(format!(
            "public_url is {url}, which only this machine understands, but the server listens for others: set public_url \
             to what people type"
        ));
    }
    if !url.is_loopback() && reachable_here && !behind_proxy {
        return Some(format!(
            "public_url is {url}, but the server listens on this machine only and trusts no proxy: set trusted_proxies to \
             the proxy's network, or listen on an address that people reach"
        ));
    }
    None
}

/// All warnings of the settings as text.
pub(crate) fn warnings(settings: &Settings) -> Vec<String> {
    settings.warnings.iter().map(Problem::to_string).collect()
}

/// SIGTERM and SIGINT: the first one asks the server to stop, the second one ends the process at once.
struct Stop {
    told: watch::Receiver<bool>,
}

impl Stop {
    fn listen() -> Result<Self> {
        let on = |kind| {
            signal(kind).map_err(|error| Failure::Fault(format!("signals cannot be listened to: {error}")))
        };
        let (terminate, interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
        let (tell, told) = watch::channel(false);
        tokio::spawn(watch_signals(terminate, interrupt, tell));
        Ok(Self { told })
    }

    /// Resolves when the server is to stop.
    fn told(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut told = self.told.clone();
        async move {
            // The sender lives as long as the process.
            let _told = told.wait_for(|told| *told).await;
        }
    }

    /// Resolves when the server should have stopped by now.
    async fn overdue(&self, grace: Duration) {
        self.told().await;
        tokio::time::sleep(grace).await;
    }
}

async fn watch_signals(mut terminate: Signal, mut interrupt: Signal, tell: watch::Sender<bool>) {
    next_signal(&mut terminate, &mut interrupt).await;
    tracing::info!("stopping; once more ends at once");
    let _told = tell.send(true);
    let code = next_signal(&mut terminate, &mut interrupt).await;
    log::flush();
    std::process::exit(code);
}

/// The exit code that a shell would show for the signal.
async fn next_signal(terminate: &mut Signal, interrupt: &mut Signal) -> i32 {
    tokio::select! {
        _ = terminate.recv() => 143,
        _ = interrupt.recv() => 130,
    }
}
