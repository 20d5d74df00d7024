//! `cargo xtask bench`: how fast, how small, against what, side by side in one run.
//!
//! The subjects take turns within each round, so that a machine that is busy for a while is busy for all of them. The
//! figure to quote is the server's own processor time per request: the load generator shares the machine, and requests per
//! second are what is left over. What is shown is the median of the rounds.

mod app_auth;
mod app_auth_page;
pub(crate) mod budgets;
mod doorward;
mod growth;
mod http;
mod paced;
mod peer;
mod process;
mod report;
mod site;
mod wrk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use doorward::Doorward;
use paced::Latency;
use peer::Peer;
use process::Server;
use report::{Figures, Raw, Resources};
use wrk::{Load, Sample};

use crate::workspace::Workspace;

/// Where the published figures are.
const PAGE: &str = "docs/performance.md";

/// How long to measure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Prints the figures.
    Short,
    /// The published figures: also writes `docs/performance.md`.
    Full,
}

/// How much of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything.
    All,
    /// The doors of applications alone.
    AppAuth,
}

/// Where the programs come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// Built now from the source.
    Fresh,
    /// What `target/release` holds.
    AsItIs,
}

impl Depth {
    fn rounds(self) -> usize {
        if self == Self::Full { 5 } else { 3 }
    }

    fn seconds(self) -> u32 {
        if self == Self::Full { 3 } else { 1 }
    }
}

/// What is asked for. "Signed" means access tokens that are JWTs, "opaque" ones that only the server can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Empty,
    Discovery,
    Jwks,
    ClientCredentials,
    RefreshOpaque,
    RefreshSigned,
    IntrospectOpaque,
    IntrospectSigned,
    UserinfoOpaque,
    UserinfoSigned,
    CheckNginx,
    CheckTraefik,
    CheckAnonymous,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::Empty,
        Self::Discovery,
        Self::Jwks,
        Self::ClientCredentials,
        Self::RefreshOpaque,
        Self::RefreshSigned,
        Self::IntrospectOpaque,
        Self::IntrospectSigned,
        Self::UserinfoOpaque,
        Self::UserinfoSigned,
        Self::CheckNginx,
        Self::CheckTraefik,
        Self::CheckAnonymous,
    ];
    /// Checks of somebody whose session is in memory.
    const CHECKS: [Self; 2] = [Self::CheckNginx, Self::CheckTraefik];

    fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty handler",
            Self::Discovery => "discovery",
            Self::Jwks => "JWKS",
            Self::ClientCredentials => "token: client credentials, RS256 access token",
            Self::RefreshOpaque => "token: refresh, opaque access token, RS256 ID token",
            Self::RefreshSigned => "token: refresh, RS256 access token, RS256 ID token",
            Self::IntrospectOpaque => "introspection of an opaque token",
            Self::IntrospectSigned => "introspection of a signed token",
            Self::UserinfoOpaque => "userinfo with an opaque token",
            Self::UserinfoSigned => "userinfo with a signed token",
            Self::CheckNginx => "check for nginx, session in memory",
            Self::CheckTraefik => "check for Traefik, session in memory",
            Self::CheckAnonymous => "check of a stranger, who is sent to sign in",
        }
    }

    fn wants_signed_tokens(self) -> bool {
        !matches!(
            self,
            Self::RefreshOpaque | Self::IntrospectOpaque | Self::UserinfoOpaque
        )
    }
}

/// Somebody that is measured.
trait Subject {
    fn server(&self) -> &Server;
    /// What to send for this kind, with fresh tokens; nothing when the subject has no such thing.
    fn load(&mut self, kind: Kind) -> Result<Option<Load>, String>;
}

struct Empty {
    server: Server,
    /// What the checks are sent with: the yardstick reads the same headers.
    checks: BTreeMap<Kind, wrk::Headers>,
}

impl Subject for Empty {
    fn server(&self) -> &Server {
        &self.server
    }

    fn load(&mut self, kind: Kind) -> Result<Option<Load>, String> {
        if kind == Kind::Empty {
            return Ok(Some(Load::page("/")));
        }
        Ok(self.checks.get(&kind).map(|headers| Load::Page {
            path: "/".to_owned(),
            headers: headers.clone(),
        }))
    }
}

/// A folder under `target/bench` that goes away with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(workspace: &Workspace, name: &str) -> Result<Self, String> {
        let folder = workspace.path(&format!("target/bench/{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is under target/.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Measures everything and prints it; [`Depth::Full`] also writes the page. For one part that is its section of the page.
pub(crate) fn run(workspace: &Workspace, depth: Depth, part: Part, programs: Build) -> Result<bool, String> {
    // The doors of applications say by themselves what they miss without npm.
    let needed = [("wrk", "wrk"), ("npm", "npm")];
    let needed = needed
        .get(..if part == Part::All { 2 } else { 1 })
        .unwrap_or(&needed);
    for (program, package) in needed {
        let found = Command::new(program).arg("--version").output().is_ok();
        if !found {
            return Err(format!("{program} is not installed: apt-get install {package}"));
        }
    }
    if programs == Build::Fresh {
        build(workspace, part)?;
    }
    let program = workspace.path("target/release/doorward");
    if part == Part::AppAuth {
        return app_auth_only(workspace, &program, depth);
    }
    println!("starting and resting");
    let resources = resources(workspace, &program, depth)?;
    let scratch = Scratch::new(workspace, "doorward")?;
    let mut door = Doorward::prepare(&program, &scratch.0)?;
    let peer_folder = workspace.path("target/bench/peer");
    std::fs::create_dir_all(&peer_folder).map_err(|error| error.to_string())?;
    let mut peer = Peer::prepare(workspace, &peer_folder)?;
    let mut empty = empty_server(workspace, &door)?;
    let mut figures = Figures {
        samples: BTreeMap::new(),
        sign_ins: Vec::new(),
        raw: Vec::new(),
        paced: Paced::default(),
        queries: queries_per_check(&door)?,
        cookie_bytes: door.site_cookie().len(),
        growth: None,
        apps: None,
        argon2: door.argon2()?,
        resources,
        peer_version: peer.version.clone(),
        version: version(workspace, &program)?,
    };
    door.server.forget_peak()?;
    for round in 0..=depth.rounds() {
        println!(
            "round {round} of {}{}",
            depth.rounds(),
            if round == 0 { ": to get warm" } else { "" }
        );
        let seconds = if round == 0 { 1 } else { depth.seconds() };
        let mut subjects: [(&'static str, &mut dyn Subject); 3] = [
            ("empty", &mut empty),
            ("doorward", &mut door),
            ("peer", &mut peer),
        ];
        for kind in Kind::ALL {
            for (name, subject) in &mut subjects {
                if let Some(load) = subject.load(kind)? {
                    let sample = wrk::run(workspace, subject.server(), &load, seconds)?;
                    if round > 0 {
                        figures.samples.entry((kind, *name)).or_default().push(sample);
                    }
                }
            }
        }
        let sample = door.sign_ins(seconds)?;
        if round > 0 {
            figures.sign_ins.push(sample);
            figures.raw.push(raw_rates(workspace, figures.argon2)?);
            figures.paced.round(&mut door, &mut empty, seconds)?;
        }
    }
    figures.resources.under_load_mib = door.server.peak_mib()?;
    // What follows has the machine for itself.
    drop((door, peer, empty));
    figures.apps = Some(app_auth::run(workspace, &program, depth)?);
    figures.growth = Some(growth::run(workspace, &program, depth)?);
    let page = report::page(workspace, depth, &figures);
    println!("\n{page}");
    if depth == Depth::Full {
        workspace.write(PAGE, &page)?;
        println!("{PAGE} written");
    }
    Ok(true)
}

/// The doors of applications alone; [`Depth::Full`] writes their section of the page.
fn app_auth_only(workspace: &Workspace, program: &Path, depth: Depth) -> Result<bool, String> {
    let figures = app_auth::run(workspace, program, depth)?;
    let section = app_auth_page::section(depth, &figures);
    println!("\n{section}");
    if depth == Depth::Full {
        if let Err(reason) = &figures.reference {
            return Err(format!(
                "docs/performance.md stays as it is, because better-auth was left out: {reason}"
            ));
        }
        let page = workspace.read(PAGE)?;
        workspace.write(PAGE, &app_auth_page::put(&page, &section))?;
        println!("the section in {PAGE} written");
    }
    Ok(true)
}

fn build(workspace: &Workspace, part: Part) -> Result<(), String> {
    println!("building");
    workspace.run(
        "cargo",
        &[
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--package",
            "doorward",
        ],
    )?;
    let examples = [
        ("doorward-crypto", "rates"),
        ("doorward-web", "empty"),
        ("doorward-store", "seed"),
    ];
    // The doors of applications alone need the rates alone.
    let needed = if part == Part::All { examples.len() } else { 1 };
    for (package, example) in examples.into_iter().take(needed) {
        workspace.run(
            "cargo",
            &[
                "build",
                "--quiet",
                "--locked",
                "--release",
                "--package",
                package,
                "--example",
                example,
            ],
        )?;
    }
    Ok(())
}

fn empty_server(workspace: &Workspace, door: &Doorward) -> Result<Empty, String> {
    let port = process::free_port()?;
    let mut command = Command::new(workspace.path("target/release/examples/empty"));
    command.arg(format!("127.0.0.1:{port}"));
    let log = workspace.path("target/bench/empty.log");
    Ok(Empty {
        server: Server::start(&mut command, port, "/", &log)?,
        checks: Kind::CHECKS.map(|kind| (kind, door.check_headers(kind))).into(),
    })
}

/// What the program says of itself: version, commit.
fn version(workspace: &Workspace, program: &Path) -> Result<String, String> {
    let said = workspace.run(&program.display().to_string(), &["--version"])?;
    Ok(said.trim().trim_start_matches("doorward ").to_owned())
}

/// One thread of the library alone, with the parameters that the server hashes with.
fn raw_rates(workspace: &Workspace, (memory, iterations): (u32, u32)) -> Result<Raw, String> {
    let program = workspace
        .path("target/release/examples/rates")
        .display()
        .to_string();
    let begun = Instant::now();
    let before = process::children_seconds()?;
    let line = workspace.run(
        &program,
        &["1", "1", &memory.to_string(), &iterations.to_string()],
    )?;
    // On a busy machine the thread ran only a part of the time; what counts is its rate while it ran.
    let running = (process::children_seconds()? - before) / begun.elapsed().as_secs_f64();
    let rates: serde_json::Value = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
    let number = |pointer: &str| {
        let rate = rates.pointer(pointer).and_then(serde_json::Value::as_f64);
        rate.map(|rate| rate / running)
            .ok_or_else(|| format!("no {pointer} in {line}"))
    };
    Ok(Raw {
        rs256_per_second: number("/raw_sign_per_second/RS256")?,
        es256_per_second: number("/raw_sign_per_second/ES256")?,
        eddsa_per_second: number("/raw_sign_per_second/EdDSA")?,
        argon2_per_second: number("/argon2id_per_second")?,
    })
}

/// Starts and memory at rest, on a database that is migrated.
fn resources(workspace: &Workspace, program: &Path, depth: Depth) -> Result<Resources, String> {
    let size = std::fs::metadata(program)
        .map_err(|error| format!("{}: {error}", program.display()))?
        .len();
    let scratch = Scratch::new(workspace, "start")?;
    let port = process::free_port()?;
    doorward::start(program, &scratch.0, port)?.stop()?;
    let mut starts = Vec::new();
    let mut idle = 0.0;
    for _ in 0..depth.rounds() {
        let server = doorward::start(program, &scratch.0, port)?;
        starts.push(server.start.as_secs_f64() * 1000.0);
        process::pause(Duration::from_secs(2));
        idle = server.resident_mib()?;
        server.stop()?;
    }
    Ok(Resources {
        binary_mib: f64::from(u32::try_from(size / 1024).unwrap_or(u32::MAX)) / 1024.0,
        start_ms: report::median(&starts),
        idle_mib: idle,
        under_load_mib: 0.0,
    })
}

/// Checks at a fixed rate, at rest and while people sign in.
#[derive(Default)]
struct Paced {
    check: Vec<Latency>,
    empty: Vec<Latency>,
    /// While a crowd signs in at once.
    storm: Vec<Latency>,
    /// What the crowd got.
    crowd: Vec<Sample>,
}

impl Paced {
    fn round(&mut self, door: &mut Doorward, empty: &mut Empty, seconds: u32) -> Result<(), String> {
        let kind = Kind::CheckNginx;
        let check = door.load(kind)?.ok_or("no check")?;
        let nothing = empty.load(kind)?.ok_or("no check")?;
        self.empty.push(paced::run(empty.server.port, &nothing, seconds)?);
        let port = door.server.port;
        self.check.push(paced::run(port, &check, seconds)?);
        let door = &*door;
        let (crowd, latency) = std::thread::scope(|scope| {
            let crowd = scope.spawn(|| door.storm(seconds + 1));
            // The crowd has begun.
            process::pause(Duration::from_millis(500));
            let latency = paced::run(port, &check, seconds);
            let crowd = crowd
                .join()
                .map_err(|_| "a thread of the load ended badly".to_owned());
            Ok::<_, String>((crowd??, latency?))
        })?;
        self.storm.push(latency);
        self.crowd.push(crowd);
        Ok(())
    }
}

/// Statements per check of somebody whose session is in memory. What the server does beside it may ask something; so the least of a few
/// attempts counts.
fn queries_per_check(door: &Doorward) -> Result<f64, String> {
    const CHECKS: u32 = 2_000;
    let mut least = f64::MAX;
    for _ in 0..5 {
        let before = door.queries()?;
        let checks = (0..CHECKS).map(|number| {
            let kind = if number % 2 == 0 {
                Kind::CheckNginx
            } else {
                Kind::CheckTraefik
            };
            Load::Page {
                path: site::path(kind).to_owned(),
                headers: door.check_headers(kind),
            }
        });
        paced::in_turn(door.server.port, checks)?;
        let asked = u32::try_from(door.queries()? - before).unwrap_or(u32::MAX);
        least = least.min(f64::from(asked) / f64::from(CHECKS));
        if asked == 0 {
            break;
        }
    }
    Ok(least)
}

/// Writes a file that only this run reads.
fn save(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// For one subject and kind: the median of each figure on its own.
fn middle(samples: &[Sample]) -> Sample {
    let of = |figure: fn(&Sample) -> f64| report::median(&samples.iter().map(figure).collect::<Vec<_>>());
    Sample {
        per_second: of(|sample| sample.per_second),
        p50_ms: of(|sample| sample.p50_ms),
        requests: of(|sample| sample.requests),
        p99_ms: of(|sample| sample.p99_ms),
        processor_us: of(|sample| sample.processor_us),
        resident_mib: of(|sample| sample.resident_mib),
    }
}
