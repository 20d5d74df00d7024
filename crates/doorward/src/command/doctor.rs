//! `doorward doctor`: everything that can be wrong with an installation, in one list. Changes nothing that a start of the
//! server would not change; makes neither folder nor key.

mod reach;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use doorward_config::Settings;
use doorward_crypto::seal::Keyring;
use doorward_domain::{Lifetime, Timestamp};
use doorward_store::{EventFilter, Store};
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::out::{Out, clean};
use crate::settings::{self, Given};
use crate::{build, key_file, open, ports, serve, tls};

pub(crate) use reach::Expected;

/// Less free space than this is a problem, in bytes.
const TOO_LITTLE: u64 = 64 << 20;
/// Less free space than this is worth a word, in bytes.
const LITTLE: u64 = 1 << 30;
/// An event this far in the future means that a clock is or was wrong.
const SKEW: Lifetime = Lifetime::from_minutes(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Good,
    Unwise,
    Wrong,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Unwise => "warning",
            Self::Wrong => "problem",
        }
    }
}

/// What was looked at and what was found.
struct Finding {
    about: &'static str,
    state: State,
    text: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, about: &'static str, state: State, text: impl Into<String>) {
        self.0.push(Finding {
            about,
            state,
            text: text.into(),
        });
    }

    fn print(&self, out: Out) -> Result<()> {
        let ok = self.0.iter().all(|finding| finding.state != State::Wrong);
        let checks: Vec<Value> = self
            .0
            .iter()
            .map(|finding| json!({ "check": finding.about, "state": finding.state.word(), "message": finding.text }))
            .collect();
        out.either(&json!({ "ok": ok, "checks": checks }), || {
            self.0
                .iter()
                .map(|finding| {
                    format!(
                        "{:<8} {:<12} {}",
                        finding.state.word(),
                        finding.about,
                        clean(&finding.text)
                    )
                })
                .collect()
        })
    }
}

/// Looks at everything. Ends with 1 when something is wrong, 2 when it is the settings, 4 when the database is away.
pub(super) async fn run(expected: &Expected, given: &Given, out: Out) -> Result<ExitCode> {
    let commit = expected.commit()?;
    let mut findings = Findings::default();
    let settings = match settings::read_or_problems(given)? {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in &problems {
                findings.add("settings", State::Wrong, problem.to_string());
            }
            findings.print(out)?;
            return Ok(ExitCode::from(2));
        }
    };
    look_at_settings(&settings, given, &mut findings);
    look_at_files(&settings, &mut findings);
    look_at_disk(&settings.data_dir, &mut findings);
    reach::look_at_server(&settings, commit.as_deref(), &mut findings).await;
    let code = match look_at_database(&settings, &mut findings).await {
        Err(Failure::Unavailable(text)) => {
            findings.add("database", State::Wrong, text);
            ExitCode::from(4)
        }
        Err(failure) => {
            findings.add("database", State::Wrong, failure.to_string());
            ExitCode::from(1)
        }
        Ok(()) if findings.0.iter().any(|finding| finding.state == State::Wrong) => ExitCode::from(1),
        Ok(()) => ExitCode::SUCCESS,
    };
    findings.print(out)?;
    Ok(code)
}

fn look_at_settings(settings: &Settings, given: &Given, findings: &mut Findings) {
    let from = settings::file_in_use(given).map_or_else(
        || "no settings file; flags, environment and defaults".to_owned(),
        |file| format!("{} is read", file.display()),
    );
    findings.add("settings", State::Good, from);
    for warning in serve::warnings(settings) {
        findings.add("settings", State::Unwise, warning);
    }
    match serve::public_url_problem(settings) {
        Some(problem) => findings.add("public_url", State::Unwise, problem),
        None => findings.add("public_url", State::Good, settings.public_url.to_string()),
    }
    if let Some(own) = &settings.tls {
        match tls::Certificate::load(own) {
            Ok(_) => findings.add("certificate", State::Good, own.certificate.display().to_string()),
            Err(failure) => findings.add("certificate", State::Wrong, failure.to_string()),
        }
    }
}

fn look_at_files(settings: &Settings, findings: &mut Findings) {
    let folder = &settings.data_dir;
    match fs::metadata(folder) {
        Err(_) => findings.add(
            "data folder",
            State::Good,
            format!("{} is made at the first start", folder.display()),
        ),
        Ok(about) if !about.is_dir() => findings.add(
            "data folder",
            State::Wrong,
            format!("{} is not a folder; change data_dir", folder.display()),
        ),
        Ok(_) => match key_file::complaint_about_mode(folder) {
            Some(complaint) => findings.add("data folder", State::Unwise, complaint),
            None => findings.add("data folder", State::Good, folder.display().to_string()),
        },
    }
    match key_file::find(&settings.key_file) {
        Err(failure) => findings.add("key file", State::Wrong, failure.to_string()),
        Ok(None) => findings.add(
            "key file",
            State::Good,
            format!("{} is made at the first start", settings.key_file.display()),
        ),
        Ok(Some(keyring)) => match key_file::complaint_about_mode(&settings.key_file) {
            Some(complaint) => findings.add("key file", State::Unwise, complaint),
            None => findings.add(
                "key file",
                State::Good,
                format!("{} (key {})", settings.key_file.display(), keyring.primary_id()),
            ),
        },
    }
}

fn look_at_disk(folder: &Path, findings: &mut Findings) {
    let place = folder
        .ancestors()
        .chain([Path::new(".")])
        .find(|path| !path.as_os_str().is_empty() && path.exists())
        .unwrap_or(Path::new("."));
    match rustix::fs::statvfs(place) {
        Err(error) => findings.add(
            "free disk",
            State::Unwise,
            format!("{} does not tell: {error}", place.display()),
        ),
        Ok(about) => {
            let free = about.f_bavail.saturating_mul(about.f_frsize);
            let state = match free {
                free if free < TOO_LITTLE => State::Wrong,
                free if free < LITTLE => State::Unwise,
                _ => State::Good,
            };
            findings.add(
                "free disk",
                state,
                format!("{} MiB free at {}", free >> 20, place.display()),
            );
        }
    }
}

async fn look_at_database(settings: &Settings, findings: &mut Findings) -> Result<()> {
    let clock = ports::real(settings.outbound.private_networks, None).clock;
    let now = clock.now();
    let database = open::database(settings)?;
    if let Some(file) = database.sqlite_path()
        && !file.exists()
    {
        findings.add(
            "database",
            State::Good,
            format!("{} is made at the first start", database.place()),
        );
        look_at_clock(now, None, findings);
        return Ok(());
    }
    let store = Store::open(database).await?;
    store.ping().await?;
    findings.add(
        "database",
        State::Good,
        format!("{}, schema {}", store.place(), store.schema_version()),
    );
    let keyring = key_file::find(&settings.key_file).ok().flatten();
    look_at_keys(&store, keyring.as_ref(), settings, findings).await?;
    reach::look_at_doors(&store.read().applications(false).await?, findings);
    let newest = EventFilter {
        limit: 1,
        ..EventFilter::default()
    };
    let newest = store.read().events(&newest).await?;
    look_at_clock(now, newest.first().map(|event| event.at), findings);
    store.close().await;
    Ok(())
}

/// Does the key file belong to the database?
async fn look_at_keys(
    store: &Store,
    keyring: Option<&Keyring>,
    settings: &Settings,
    findings: &mut Findings,
) -> Result<()> {
    let keys = store.read().keys().await?;
    if keys.is_empty() {
        return Ok(());
    }
    let Some(keyring) = keyring else {
        findings.add("key file", State::Wrong, open::missing_key(settings).to_string());
        return Ok(());
    };
    let known: Vec<_> = keyring.ids().collect();
    let foreign = keys
        .iter()
        .filter(|key| Keyring::sealed_by(&key.private_sealed).is_none_or(|id| !known.contains(&id)))
        .count();
    if foreign > 0 {
        let text = format!(
            "{} does not open {foreign} of {} signing keys in the database: restore the right key file",
            settings.key_file.display(),
            keys.len()
        );
        findings.add("key file", State::Wrong, text);
    }
    Ok(())
}

fn look_at_clock(now: Timestamp, newest: Option<Timestamp>, findings: &mut Findings) {
    let built: Option<Timestamp> = build::BUILT_AT.parse().ok();
    if built.is_some_and(|built| now < built.minus(Lifetime::from_days(1))) {
        findings.add(
            "clock",
            State::Wrong,
            format!("it is {now} here, before this program was built: set the clock"),
        );
    } else if newest.is_some_and(|newest| now.plus(SKEW) < newest) {
        findings.add(
            "clock",
            State::Wrong,
            format!("it is {now} here, but an event in the database is from later: set the clock"),
        );
    } else {
        findings.add("clock", State::Good, now.to_string());
    }
}
