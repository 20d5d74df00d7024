//! Does it stay fast when there are many? The same requests to two servers, one of which has few people with sessions and tokens and
//! the other very many (`crates/doorward-store/examples/seed.rs`), taking turns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::doorward::{self, Doorward};
use super::wrk::{self, Load, Sample};
use super::{Depth, Kind, Scratch, Subject as _, paced, report, site};
use crate::workspace::Workspace;

/// Few.
const FEW: u32 = 1_000;
/// Requests that grow with nothing, hopefully.
pub(crate) const HOT: [Kind; 6] = [
    Kind::Discovery,
    Kind::ClientCredentials,
    Kind::RefreshOpaque,
    Kind::IntrospectOpaque,
    Kind::UserinfoOpaque,
    Kind::CheckNginx,
];
/// Sessions that are asked about for the first time, in each round.
const COLD: usize = 300;
/// Sessions end after two weeks; what was seeded is used for one.
const FRESH: Duration = Duration::from_hours(7 * 24);

/// What one server took.
pub(crate) struct Size {
    /// How many people; about as many sessions and refresh tokens.
    pub(crate) people: u32,
    pub(crate) hot: BTreeMap<Kind, Vec<Sample>>,
    /// Milliseconds of checks of somebody whose session is not in memory, one after the other.
    pub(crate) cold: Vec<f64>,
    /// Resident memory before any session was asked about, in MiB.
    pub(crate) rest_mib: f64,
    /// With as many sessions in memory as there are, or fit.
    pub(crate) full_mib: f64,
    /// How many sessions were asked about by then.
    pub(crate) asked: usize,
}

impl Size {
    pub(crate) fn hot(&self, kind: Kind) -> Option<Sample> {
        self.hot.get(&kind).map(|samples| super::middle(samples))
    }

    pub(crate) fn cold_ms(&self) -> f64 {
        report::median(&self.cold)
    }
}

/// One of the two.
struct Subject {
    door: Doorward,
    cookies: Vec<String>,
    size: Size,
    // Goes away last.
    _scratch: Scratch,
}

/// Measures both; the smaller one first.
pub(crate) fn run(workspace: &Workspace, program: &Path, depth: Depth) -> Result<[Size; 2], String> {
    let many = if depth == Depth::Full { 1_000_000 } else { 100_000 };
    let rounds = if depth == Depth::Full { 3 } else { 2 };
    println!("growth: from {FEW} to {many} people");
    let mut subjects = [
        Subject::prepare(workspace, program, FEW)?,
        Subject::prepare(workspace, program, many)?,
    ];
    for round in 0..=rounds {
        println!("growth, round {round} of {rounds}");
        for subject in &mut subjects {
            subject.cold(round)?;
        }
        for kind in HOT {
            for subject in &mut subjects {
                subject.hot(workspace, kind, round > 0)?;
            }
        }
    }
    for subject in &mut subjects {
        subject.fill()?;
    }
    Ok(subjects.map(|subject| subject.size))
}

impl Subject {
    fn prepare(workspace: &Workspace, program: &Path, people: u32) -> Result<Self, String> {
        let seed = seed(workspace, people)?;
        let scratch = Scratch::new(workspace, &format!("growth-{people}"))?;
        let data = scratch.0.join("data");
        let copied = std::fs::create_dir_all(&data)
            .and_then(|()| std::fs::copy(seed.join("doorward.db"), data.join("doorward.db")));
        copied.map_err(|error| format!("cannot copy {}: {error}", seed.display()))?;
        let cookies = std::fs::read_to_string(seed.join("cookies"))
            .map_err(|error| format!("cannot read the cookies in {}: {error}", seed.display()))?;
        let door = Doorward::prepare(program, &scratch.0)?;
        door.guard_own_host()?;
        Ok(Self {
            size: Size {
                people,
                hot: BTreeMap::new(),
                cold: Vec::new(),
                rest_mib: door.server.resident_mib()?,
                full_mib: 0.0,
                asked: 0,
            },
            door,
            cookies: cookies.lines().map(str::to_owned).collect(),
            _scratch: scratch,
        })
    }

    fn hot(&mut self, workspace: &Workspace, kind: Kind, counts: bool) -> Result<(), String> {
        let Some(load) = self.door.load(kind)? else {
            return Ok(());
        };
        let sample = wrk::run(workspace, &self.door.server, &load, if counts { 2 } else { 1 })?;
        if counts {
            self.size.hot.entry(kind).or_default().push(sample);
        }
        Ok(())
    }

    /// The first round gets the connection and the code warm.
    fn cold(&mut self, round: usize) -> Result<(), String> {
        // Spread over all that there are.
        let stride = (self.cookies.len() / (4 * COLD)).max(1);
        let some = self.cookies.iter().skip(round).step_by(stride);
        let some = some.skip(round * COLD).take(COLD);
        let took = paced::in_turn(self.door.server.port, some.map(|cookie| check(cookie)))?;
        if round > 0 {
            self.size.cold.extend(took);
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), String> {
        let all = self.cookies.iter().map(|cookie| check(cookie));
        self.size.asked = paced::in_turn(self.door.server.port, all)?.len();
        self.size.full_mib = self.door.server.resident_mib()?;
        Ok(())
    }
}

/// A check with the session cookie of Doorward itself, which counts on every port of its own host.
fn check(cookie: &str) -> Load {
    Load::Page {
        path: site::NGINX.to_owned(),
        headers: site::nginx(doorward::OWN_HOST_SITE, &format!("doorward_session={cookie}")),
    }
}

/// A folder with a database of so many people, made once and kept under `target/bench`.
fn seed(workspace: &Workspace, people: u32) -> Result<PathBuf, String> {
    let migrations = std::fs::read_dir(workspace.path("crates/doorward-store/migrations"))
        .map_err(|error| format!("no migrations: {error}"))?
        .count();
    let folder = workspace.path(&format!("target/bench/seed-{people}-{migrations}"));
    let cookies = folder.join("cookies");
    let age = std::fs::metadata(&cookies)
        .and_then(|found| found.modified())
        .map(|made| made.elapsed().unwrap_or_default());
    if age.is_ok_and(|age| age < FRESH) {
        return Ok(folder);
    }
    println!("seeding {people} people");
    // What is left of an attempt that was broken off.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let program = workspace
        .path("target/release/examples/seed")
        .display()
        .to_string();
    let place = format!("sqlite:{}", folder.join("doorward.db").display());
    // Nobody signs in with a password here.
    let (count, file) = (people.to_string(), cookies.display().to_string());
    workspace.run(&program, &[&place, &count, "", &file])?;
    Ok(folder)
}
