//! The doors of applications, side by side with the server whose wire contract they speak: npm better-auth, installed from the lock
//! file of the differential tests (`tests/e2e/better-auth`). The token API, which better-auth does not have, is measured beside it.
//!
//! Must not live here: what the figures are compared with and how they are shown (`app_auth_page`).

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::doorward;
use super::http::Browser;
use super::process::{self, Server};
use super::wrk::{self, CONNECTIONS, Headers, Load, Sample};
use super::{Depth, Scratch, paced};
use crate::workspace::Workspace;

/// What the reference server gives its people too.
const PASSWORD: &str = "quiet-Meadow-12-copper";
/// People who sign in, in turn: attempts of one account would wait for each other.
const PEOPLE: usize = 2 * CONNECTIONS;
/// What callers of introspection show.
const CREDENTIAL: &str = "the credential of the bench";
/// Requests that are sent one by one to count statements.
const COUNTED: usize = 2_000;
/// Shortest time to measure sign-ins for, in seconds: there are few in one.
const SIGN_IN_SECONDS: u32 = 4;
/// After a run of sign-ins, for those that wrk left behind.
const REST: Duration = Duration::from_millis(2_500);
const REFERENCE: &str = "tests/e2e/better-auth";
const VERSION: &str = "v17";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    SessionByCookie,
    SessionByBearer,
    Me,
    Introspect,
    Refresh,
    SignIn,
}

impl Call {
    /// Sign-ins last, so that those left behind disturb nobody.
    pub(crate) const ALL: [Self; 6] = [
        Self::SessionByCookie,
        Self::SessionByBearer,
        Self::Me,
        Self::Introspect,
        Self::Refresh,
        Self::SignIn,
    ];
    /// What is answered from memory.
    pub(crate) const WARM: [Self; 4] = [
        Self::SessionByCookie,
        Self::SessionByBearer,
        Self::Me,
        Self::Introspect,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SessionByCookie => "get-session by cookie",
            Self::SessionByBearer => "get-session by bearer token",
            Self::Me => "token API: `me`",
            Self::Introspect => "token API: introspection",
            Self::Refresh => "token API: refresh",
            Self::SignIn => "sign-in with e-mail and password",
        }
    }

    fn seconds(self, seconds: u32) -> u32 {
        if self == Self::SignIn {
            (3 * seconds).max(SIGN_IN_SECONDS)
        } else {
            seconds
        }
    }
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Doorward,
    BetterAuth,
}

/// Everything that was measured.
pub(crate) struct Figures {
    pub(crate) samples: BTreeMap<(Call, Who), Vec<Sample>>,
    /// Statements per request under load, Doorward's.
    pub(crate) statements: BTreeMap<Call, Vec<f64>>,
    /// The same of [`Call::WARM`], counted while nothing else happens.
    pub(crate) warm_statements: BTreeMap<Call, f64>,
    /// Password hashes per second of the library alone, on `threads` threads, right after the sign-ins of each round.
    pub(crate) hashes: Vec<f64>,
    pub(crate) threads: usize,
    /// Memory in KiB and iterations of one hash.
    pub(crate) argon2: (u32, u32),
    /// Resident memory in MiB before and after all of it.
    pub(crate) memory: BTreeMap<Who, [f64; 2]>,
    /// Versions of better-auth and Node.js, or why they were not measured.
    pub(crate) reference: Result<String, String>,
    /// Version and commit of Doorward.
    pub(crate) version: String,
}

/// A running server with a signed-in person and more people.
struct Subject {
    who: Who,
    server: Server,
    folder: PathBuf,
    cookie: String,
    token: String,
}

/// Measures both, taking turns within each round.
pub(crate) fn run(workspace: &Workspace, program: &Path, depth: Depth) -> Result<Figures, String> {
    println!("the doors of applications");
    let scratch = Scratch::new(workspace, "app-auth")?;
    let door = Subject::doorward(program, &scratch.0)?;
    let folder = workspace.path("target/bench");
    let (reference, version) = match Subject::better_auth(workspace, &folder) {
        Ok((subject, version)) => (Some(subject), Ok(version)),
        Err(reason) => {
            println!("better-auth is left out: {reason}");
            (None, Err(reason))
        }
    };
    let subjects: Vec<&Subject> = std::iter::once(&door).chain(&reference).collect();
    let mut figures = Figures {
        samples: BTreeMap::new(),
        statements: BTreeMap::new(),
        warm_statements: BTreeMap::new(),
        hashes: Vec::new(),
        threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        argon2: doorward::argon2(&scratch.0)?,
        memory: BTreeMap::new(),
        reference: version,
        version: super::version(workspace, program)?,
    };
    for call in Call::WARM {
        figures.warm_statements.insert(call, door.statements(call)?);
    }
    for subject in &subjects {
        let rest = subject.server.resident_mib()?;
        figures.memory.insert(subject.who, [rest, rest]);
    }
    for round in 0..=depth.rounds() {
        let warms = if round == 0 { ": to get warm" } else { "" };
        println!("applications, round {round} of {}{warms}", depth.rounds());
        for call in Call::ALL {
            for subject in &subjects {
                // What compiles while it runs needs longer to get warm.
                let seconds = call.seconds(if round == 0 { 2 } else { depth.seconds() });
                let Some((sample, each)) = subject.measure(workspace, call, seconds)? else {
                    continue;
                };
                if round == 0 {
                    continue;
                }
                let taken = (call, subject.who);
                figures.samples.entry(taken).or_default().push(sample);
                if subject.who == Who::Doorward {
                    figures.statements.entry(call).or_default().push(each);
                    if call == Call::SignIn {
                        let rate = hashes(workspace, figures.threads, seconds, figures.argon2)?;
                        figures.hashes.push(rate);
                    }
                }
            }
        }
    }
    for subject in &subjects {
        let after = subject.server.resident_mib()?;
        if let Some([_, loaded]) = figures.memory.get_mut(&subject.who) {
            *loaded = after;
        }
    }
    Ok(figures)
}

impl Subject {
    fn doorward(program: &Path, folder: &Path) -> Result<Self, String> {
        let port = process::free_port()?;
        let mut serve = doorward::command(program, folder, port);
        serve
            .arg("serve")
            .env("DOORWARD_TOKEN_API_ENABLED", "true")
            .env(
                "DOORWARD_TOKEN_API_SECRET",
                "a secret of thirty-two bytes, or more",
            )
            .env("DOORWARD_TOKEN_API_INTROSPECT_TOKEN", CREDENTIAL);
        let ready = "/-/health/ready/";
        let server = Server::start(&mut serve, port, ready, &folder.join("doorward.log"))?;
        let cli = |arguments: &[&str]| doorward::cli(program, folder, port, arguments, "");
        cli(&["application", "create", "shop", "--allow-everyone"])?;
        // As the reference server is set up.
        cli(&[
            "app-auth",
            "set",
            "shop",
            "--sign-up",
            "yes",
            "--rate-limit",
            "no",
        ])?;
        let mut browser = Browser::new(port);
        let mut token = None;
        for number in 0..=PEOPLE {
            let mut newcomer = Browser::new(port);
            let who = if number == 0 { &mut browser } else { &mut newcomer };
            let body = json!({ "name": "Bench", "email": email(number), "password": PASSWORD });
            let made = joined(who, &body)?;
            token = token.or(Some(made));
        }
        Ok(Self {
            who: Who::Doorward,
            server,
            folder: folder.to_owned(),
            cookie: browser.cookie(),
            token: token.unwrap_or_default(),
        })
    }

    /// Also gives the versions of the library and of what runs it.
    fn better_auth(workspace: &Workspace, folder: &Path) -> Result<(Self, String), String> {
        for program in ["node", "npm"] {
            if Command::new(program).arg("--version").output().is_err() {
                return Err(format!("{program} is not installed"));
            }
        }
        install(workspace)?;
        let mut command = Command::new("node");
        let script = workspace.path(&format!("{REFERENCE}/bench.mjs"));
        command
            .arg(script)
            .args([VERSION, &PEOPLE.to_string()])
            .env("NODE_ENV", "production");
        let (server, said) = Server::start_told(&mut command, &folder.join("better-auth.log"))?;
        let member = |name: &str| text(&said, name);
        let (cookie, token) = (member("cookie")?, member("token")?);
        let manifest = workspace.read(&format!(
            "{REFERENCE}/{VERSION}/node_modules/better-auth/package.json"
        ))?;
        let manifest: Value = serde_json::from_str(&manifest).map_err(|error| error.to_string())?;
        let node = workspace.run("node", &["--version"])?;
        let node = node.trim().trim_start_matches('v').to_owned();
        let version = format!("better-auth {} on Node.js {node}", text(&manifest, "version")?);
        let subject = Self {
            who: Who::BetterAuth,
            server,
            folder: folder.to_owned(),
            cookie,
            token,
        };
        Ok((subject, version))
    }

    /// One run, with the statements per request; nothing when the subject has no such call.
    fn measure(
        &self,
        workspace: &Workspace,
        call: Call,
        seconds: u32,
    ) -> Result<Option<(Sample, f64)>, String> {
        let Some(load) = self.load(call)? else {
            return Ok(None);
        };
        let before = self.queries()?;
        let sample = wrk::run(workspace, &self.server, &load, seconds)?;
        let asked = self.queries()? - before;
        if call == Call::SignIn {
            process::pause(REST);
        }
        Ok(Some((sample, asked / sample.requests)))
    }

    /// What to send, with fresh tokens where they end; nothing when the subject has no such thing.
    fn load(&self, call: Call) -> Result<Option<Load>, String> {
        // The reference server has none.
        let token_api = self.who == Who::Doorward;
        let session = "/api/auth/get-session".to_owned();
        Ok(match call {
            Call::SessionByCookie => Some(Load::Page {
                path: session,
                headers: vec![("Cookie", self.cookie.clone())],
            }),
            Call::SessionByBearer => Some(Load::with_token(&session, &self.token)),
            Call::SignIn => {
                let bodies =
                    (1..=PEOPLE).map(|number| json!({ "email": email(number), "password": PASSWORD }));
                let origin = format!("http://localhost:{}", self.server.port);
                let headers = vec![("Origin", origin)];
                Some(self.json("/api/auth/sign-in/email", headers, bodies)?)
            }
            Call::Me if token_api => Some(Load::with_token(
                "/api/auth/me",
                &self.login(0)?.member("access_token")?,
            )),
            Call::Introspect if token_api => {
                let token = self.login(0)?.member("access_token")?;
                let headers = vec![("Authorization", format!("Bearer {CREDENTIAL}"))];
                let body = json!({ "token": token });
                Some(self.json("/api/auth/introspect", headers, std::iter::once(body))?)
            }
            Call::Refresh if token_api => {
                // The first line is for forms.
                let mut lines = String::new();
                for number in 1..=PEOPLE {
                    lines.push('\n');
                    lines.push_str(&self.login(number)?.member("refresh_token")?);
                }
                let file = self.folder.join("token-chains");
                super::save(&file, &lines)?;
                Some(Load::RefreshJson {
                    path: "/api/auth/refresh".to_owned(),
                    file,
                })
            }
            Call::Me | Call::Introspect | Call::Refresh => None,
        })
    }

    fn json(
        &self,
        path: &str,
        headers: Headers,
        bodies: impl Iterator<Item = Value>,
    ) -> Result<Load, String> {
        let lines: Vec<String> = bodies.map(|body| body.to_string()).collect();
        let file = self.folder.join("bodies");
        super::save(&file, &format!("{}\n", lines.join("\n")))?;
        Ok(Load::Json {
            path: path.to_owned(),
            headers,
            file,
        })
    }

    fn login(&self, number: usize) -> Result<super::http::Answer, String> {
        let body = json!({ "email": email(number), "password": PASSWORD });
        Browser::new(self.server.port).post_json("/api/auth/login", &body)
    }

    /// Statements that Doorward sent to its database since the start; 0 for who has none.
    fn queries(&self) -> Result<f64, String> {
        if self.who != Who::Doorward {
            return Ok(0.0);
        }
        let queries = doorward::queries(self.server.port)?;
        Ok(f64::from(u32::try_from(queries).unwrap_or(u32::MAX)))
    }

    /// Statements per request when the session is warm. What the server does beside it may ask something; so the least of a few attempts
    /// counts.
    fn statements(&self, call: Call) -> Result<f64, String> {
        let load = self.load(call)?.ok_or("no such call")?;
        paced::in_turn(self.server.port, std::iter::once(load.clone()))?;
        let mut least = f64::MAX;
        for _ in 0..5 {
            let before = self.queries()?;
            paced::in_turn(self.server.port, std::iter::repeat_n(load.clone(), COUNTED))?;
            let asked = self.queries()? - before;
            least = least.min(asked / f64::from(u32::try_from(COUNTED).unwrap_or(u32::MAX)));
            if asked <= 0.0 {
                break;
            }
        }
        Ok(least)
    }
}

/// As the reference server names its people: the first is the one who is signed in.
fn email(number: usize) -> String {
    match number {
        0 => "bench@example.org".to_owned(),
        number => format!("bench-{number}@example.org"),
    }
}

/// Signs somebody up; the door opens within a moment after the command line made it. Gives the session's token.
fn joined(browser: &mut Browser, body: &Value) -> Result<String, String> {
    let mut last = String::new();
    for _ in 0..100 {
        let answer = browser.post_json("/api/auth/sign-up/email", body)?;
        if answer.status == 200 {
            return answer.member("token");
        }
        last = format!("{}: {}", answer.status, answer.body);
        if answer.status != 404 {
            break;
        }
        process::pause(Duration::from_millis(50));
    }
    Err(format!("a sign-up at the app's door gets {last}"))
}

fn text(value: &Value, name: &str) -> Result<String, String> {
    let found = value.get(name).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| format!("no {name} in {value}"))
}

/// Installs the pinned packages where the end-to-end tests have them, when they are not there yet.
fn install(workspace: &Workspace) -> Result<(), String> {
    let from = workspace.path(&format!("{REFERENCE}/{VERSION}"));
    let to = workspace.path(&format!(".e2e/better-auth/{VERSION}"));
    let told = |error: std::io::Error| format!("cannot install better-auth: {error}");
    let lock = std::fs::read(from.join("package-lock.json")).map_err(told)?;
    if std::fs::read(to.join("installed.json")).ok().as_ref() != Some(&lock) {
        println!("installing the pinned better-auth");
        std::fs::create_dir_all(&to).map_err(told)?;
        for name in ["package.json", "package-lock.json"] {
            std::fs::copy(from.join(name), to.join(name)).map_err(told)?;
        }
        let options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
        let place = to.display().to_string();
        workspace.run("npm", &[["ci", "--prefix", &place].as_slice(), &options].concat())?;
        std::fs::write(to.join("installed.json"), &lock).map_err(told)?;
    }
    let (link, modules) = (from.join("node_modules"), to.join("node_modules"));
    if std::fs::read_link(&link).ok().as_ref() != Some(&modules) {
        // Where there is none there is nothing to remove.
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&modules, &link).map_err(told)?;
    }
    Ok(())
}

/// Hashes per second of the library alone, as many at once as the server makes.
fn hashes(
    workspace: &Workspace,
    threads: usize,
    seconds: u32,
    (memory, iterations): (u32, u32),
) -> Result<f64, String> {
    let program = workspace
        .path("target/release/examples/rates")
        .display()
        .to_string();
    let numbers = [
        threads.to_string(),
        seconds.to_string(),
        memory.to_string(),
        iterations.to_string(),
    ];
    let mut arguments: Vec<&str> = numbers.iter().map(String::as_str).collect();
    arguments.push("hashes");
    let line = workspace.run(&program, &arguments)?;
    let rates: Value = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
    rates
        .get("argon2id_per_second")
        .and_then(Value::as_f64)
        .ok_or_else(|| format!("no argon2id_per_second in {line}"))
}
