//! The commands, one file per noun. Each reads its arguments, asks core and prints; none decides.

pub(crate) mod app_auth;
pub(crate) mod app_password;
pub(crate) mod application;
pub(crate) mod config;
pub(crate) mod db;
pub(crate) mod doctor;
pub(crate) mod event;
pub(crate) mod explain;
pub(crate) mod grant;
pub(crate) mod group;
pub(crate) mod import;
pub(crate) mod job;
pub(crate) mod key;
mod look_up;
pub(crate) mod matrix;
pub(crate) mod recover;
pub(crate) mod scope;
pub(crate) mod session;
pub(crate) mod shell;
pub(crate) mod site;
mod snippet;
pub(crate) mod token_api;
pub(crate) mod user;
mod version;
mod view;

use std::future::Future;
use std::process::ExitCode;

use doorward_config::Settings;
use doorward_core::Doorward;

use crate::arguments::{Command, Typed};
use crate::failure::{Failure, Result};
use crate::key_file::Origin;
use crate::open::WhenAway;
use crate::out::Out;
use crate::settings::{self, Given};
use crate::{log, open, serve};

/// What a command works with.
pub(crate) struct Desk {
    /// The use cases, connected.
    pub(crate) doorward: Doorward,
    /// Where answers go.
    pub(crate) out: Out,
}

/// Does what was typed.
///
/// # Errors
/// Why it was not done.
pub(crate) fn run(typed: Typed, out: Out) -> Result<ExitCode> {
    let given = typed.given;
    let command = match typed.arguments.command {
        None | Some(Command::Serve) => return serve::run(&given),
        Some(command) => command,
    };
    let done = |()| ExitCode::SUCCESS;
    match command {
        Command::Config(what) => return config::run(&what, &given, out),
        Command::Completions(what) => return shell::completions(&what, out).map(done),
        Command::Man(what) => return shell::man(&what, out).map(done),
        Command::Version => return version::run(out).map(done),
        Command::Db(what) => {
            log::start_quiet();
            return in_runtime(db::run(&what, &given, out))?.map(done);
        }
        Command::Doctor(expected) => {
            log::start_quiet();
            return in_runtime(doctor::run(&expected, &given, out))?;
        }
        _ => {}
    }
    log::start_quiet();
    in_runtime(at_desk(&given, out, async |desk: &Desk| match command {
        Command::User(what) => user::run(what, desk).await,
        Command::Group(what) => group::run(what, desk).await,
        Command::Application(what) => application::run(*what, desk).await,
        Command::AppAuth(what) => app_auth::run(what, desk).await,
        Command::Site(what) => site::run(what, desk).await,
        Command::Scope(what) => scope::run(what, desk).await,
        Command::Key(what) => key::run(what, desk).await,
        Command::Session(what) => session::run(what, desk).await,
        Command::Grant(what) => grant::run(what, desk).await,
        Command::Event(what) => event::run(what, desk).await,
        Command::Job(what) => job::run(what, desk).await,
        Command::Matrix(what) => matrix::run(what, desk).await,
        Command::TokenApi(what) => token_api::run(what, desk).await,
        Command::Import(what) => import::run(what, desk).await,
        Command::Explain(what) => explain::run(what, desk).await,
        Command::Recover(what) => recover::run(what, desk).await,
        other => Err(Failure::Fault(format!("{other:?} was not taken up"))),
    }))?
    .map(done)
}

fn in_runtime<T>(work: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Fault(format!("the program cannot be started: {error}")))?;
    Ok(runtime.block_on(work))
}

/// Opens the installation, works on it, closes it.
async fn at_desk(given: &Given, out: Out, work: impl AsyncFnOnce(&Desk) -> Result<()>) -> Result<()> {
    let settings = settings::read(given)?;
    let doorward = connect(&settings).await?;
    let desk = Desk { doorward, out };
    let worked = work(&desk).await;
    if let Ok(store) = desk.doorward.store() {
        store.close().await;
    }
    worked
}

/// Connects to the database, once.
async fn connect(settings: &Settings) -> Result<Doorward> {
    let database = open::database(settings)?;
    let (doorward, origin) = open::handle(settings, &database, WhenAway::Fail).await?;
    match doorward.open(&database).await {
        Ok(()) => Ok(doorward),
        Err(error) => {
            let failure = Failure::from(error);
            let in_vain = matches!(&failure, Failure::Fault(text) if text.contains("key file"));
            if in_vain && origin != Origin::Found {
                origin.take_back();
                return Err(open::missing_key(settings));
            }
            Err(failure)
        }
    }
}

/// A parser of ids that says what was expected.
pub(crate) fn id<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| "expected an id such as 019abf5e-7a00-7000-8000-000000000000".to_owned())
}
