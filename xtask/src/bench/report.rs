//! The page of figures: method, machine, numbers, and what was aimed at.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::app_auth;
use super::app_auth_page;
use super::growth::{self, Size};
use super::paced::{self, Latency};
use super::wrk::{CONNECTIONS, Sample};
use super::{Depth, Kind, Paced, middle};
use crate::workspace::Workspace;

/// Everything that was measured.
pub(crate) struct Figures {
    pub(crate) samples: BTreeMap<(Kind, &'static str), Vec<Sample>>,
    pub(crate) sign_ins: Vec<Sample>,
    pub(crate) raw: Vec<Raw>,
    pub(crate) paced: Paced,
    /// Statements per check of somebody whose session is in memory.
    pub(crate) queries: f64,
    /// Name and value of the cookie of a guarded site.
    pub(crate) cookie_bytes: usize,
    /// Few and many people.
    pub(crate) growth: Option<[Size; 2]>,
    /// The doors of applications.
    pub(crate) apps: Option<app_auth::Figures>,
    /// Memory in KiB and iterations of one password hash.
    pub(crate) argon2: (u32, u32),
    pub(crate) resources: Resources,
    pub(crate) peer_version: String,
    /// Version and commit, as the program itself says.
    pub(crate) version: String,
}

/// The crypto library alone, on one thread: how often in a second of processor time.
pub(crate) struct Raw {
    pub(crate) rs256_per_second: f64,
    pub(crate) es256_per_second: f64,
    pub(crate) eddsa_per_second: f64,
    pub(crate) argon2_per_second: f64,
}

/// What the program takes.
pub(crate) struct Resources {
    pub(crate) binary_mib: f64,
    pub(crate) start_ms: f64,
    pub(crate) idle_mib: f64,
    pub(crate) under_load_mib: f64,
}

impl Figures {
    fn of(&self, kind: Kind, subject: &'static str) -> Option<Sample> {
        self.samples.get(&(kind, subject)).map(|samples| middle(samples))
    }

    /// Microseconds of processor time of one raw operation, the median of the rounds.
    fn raw_us(&self, rate: fn(&Raw) -> f64) -> f64 {
        1e6 / median(&self.raw.iter().map(rate).collect::<Vec<_>>())
    }
}

/// The middle one of some numbers; of an even count, the lower one. 0 when there are none.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get(sorted.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or_default()
}

/// The whole page in Markdown.
pub(crate) fn page(workspace: &Workspace, depth: Depth, figures: &Figures) -> String {
    let mut text = String::from("# Performance\n\nWritten by `cargo xtask bench --full`. Do not edit.\n");
    text.push_str(&method(depth, figures));
    text.push_str(&machine(workspace, &figures.version));
    text.push_str(&targets(figures));
    text.push_str(&requests(figures));
    text.push_str(&checks(figures));
    if let Some(apps) = &figures.apps {
        text.push('\n');
        text.push_str(&app_auth_page::section(depth, apps));
    }
    text.push_str(&grown(figures));
    text.push_str(&raw(figures));
    text
}

fn method(depth: Depth, figures: &Figures) -> String {
    format!(
        "
## Method

- Release build with the default settings: SQLite in a fresh folder, every commit flushed to the disk, one log line per
  request to a file, tokens of real people in a real session.
- Side by side in one run, taking turns within each round: Doorward; an empty handler on the same HTTP stack
  (`crates/doorward-web/examples/empty.rs`); npm oidc-provider {peer} on Node.js 22 with its in-memory storage, which keeps
  nothing when it ends (`xtask/bench/peer.mjs`); and the crypto library alone on one thread.
- Load by wrk: one thread, {CONNECTIONS} connections, {seconds} s for each kind of request in each of {rounds} rounds after one to
  get warm. Refresh tokens are used once each, in {chains} chains. A run with a single refusal does not count.
- A check is what a proxy asks about each request to a guarded site, with the headers that it sends; the empty handler is asked with the
  same ones. wrk keeps {CONNECTIONS} requests waiting for each other on a machine that it shares, so how long a check takes is measured apart, by a client
  of our own that sends {rate} checks a second on 4 connections at their due times: at rest, and while 16 browsers sign in with
  passwords all the time.
- **The figure to compare is the server's own processor time per request**, from the kernel's account of the process. The load
  generator shares the processors, so requests per second are lower than on a machine of the server's own.
- Shown is the median of the rounds. To repeat it: `cargo xtask bench --full` (needs wrk and npm).
",
        peer = figures.peer_version,
        seconds = depth.seconds(),
        rounds = depth.rounds(),
        chains = 2 * CONNECTIONS,
        rate = paced::RATE,
    )
}

fn machine(workspace: &Workspace, version: &str) -> String {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, key: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(key))
            .and_then(|line| line.split_once(':'));
        line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let cpuinfo = file("/proc/cpuinfo");
    let processors = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let said = |program: &str, arguments: &[&str]| {
        workspace
            .run(program, arguments)
            .map(|text| text.trim().to_owned())
            .unwrap_or_default()
    };
    format!(
        "
## Machine

{processors} processors ({model}), memory {memory}, Linux {kernel}, {compiler}. Measured: Doorward {version}.
",
        model = after(&cpuinfo, "model name"),
        memory = after(&file("/proc/meminfo"), "MemTotal"),
        kernel = file("/proc/sys/kernel/osrelease").trim(),
        compiler = said("rustc", &["--version"]),
    )
}

/// One line of the table of aims.
pub(super) struct Aim {
    pub(super) what: String,
    pub(super) target: &'static str,
    pub(super) is: String,
    pub(super) reached: bool,
}

/// The table of aims.
pub(super) fn table(aims: &[Aim]) -> String {
    let mut text = String::from("| what | aim | is | |\n|---|---|---|---|\n");
    for aim in aims {
        let verdict = if aim.reached { "reached" } else { "**not reached**" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} | {} | {} | {verdict} |", aim.what, aim.target, aim.is);
    }
    text
}

fn targets(figures: &Figures) -> String {
    let mut aims = vec![
        at_most(
            "resident memory at rest, SQLite",
            "25 MiB",
            figures.resources.idle_mib,
            25.0,
            "MiB",
        ),
        at_most(
            "start to ready, migrated database",
            "200 ms",
            figures.resources.start_ms,
            200.0,
            "ms",
        ),
        at_most(
            "stripped release binary",
            "30 MiB",
            figures.resources.binary_mib,
            30.0,
            "MiB",
        ),
    ];
    if let Some(empty) = figures.of(Kind::Empty, "empty") {
        for kind in [Kind::Discovery, Kind::Jwks] {
            if let Some(sample) = figures.of(kind, "doorward") {
                let rate = sample.per_second / empty.per_second;
                aims.push(share(
                    format!("{}: requests per second of the empty handler's", kind.name()),
                    "90 %",
                    rate,
                    0.9,
                ));
            }
        }
    }
    aims.extend(check_aims(figures));
    if let Some([few, many]) = &figures.growth {
        aims.extend(growth_aims(few, many));
    }
    if let Some(sample) = figures.of(Kind::ClientCredentials, "doorward") {
        let rate = figures.raw_us(|raw| raw.rs256_per_second) / sample.processor_us;
        let what = "token endpoint: share of the processor time that is the RS256 signature itself";
        aims.push(share(what.to_owned(), "85 %", rate, 0.85));
    }
    if !figures.sign_ins.is_empty() {
        let rate = figures.raw_us(|raw| raw.argon2_per_second) / middle(&figures.sign_ins).processor_us;
        let what = "password sign-in: share of the processor time that is argon2id itself";
        aims.push(share(what.to_owned(), "90 %", rate, 0.9));
    }
    let mut text = format!("\n## Against what we aim at\n\n{}", table(&aims));
    let _ = writeln!(
        text,
        "\nMost memory under all of the load below: {:.1} MiB.",
        figures.resources.under_load_mib
    );
    text
}

fn check_aims(figures: &Figures) -> Vec<Aim> {
    let mut aims = Vec::new();
    for kind in Kind::CHECKS {
        if let (Some(empty), Some(sample)) = (figures.of(kind, "empty"), figures.of(kind, "doorward")) {
            let what = "requests per second of the empty handler's with the same headers";
            let rate = sample.per_second / empty.per_second;
            aims.push(share(format!("{}: {what}", kind.name()), "80 %", rate, 0.8));
        }
    }
    let paced = &figures.paced;
    let rate = paced::RATE;
    let milliseconds = |what: String, target, is: Latency, most| Aim {
        what,
        target,
        is: format!("{:.2} ms", is.p99_ms),
        reached: is.p99_ms < most,
    };
    if !paced.check.is_empty() {
        let what = format!("check, session in memory: p99 at {rate} checks a second");
        aims.push(milliseconds(what, "under 1 ms", middle_of(&paced.check), 1.0));
        let what = "the same while people sign in as fast as the machine hashes".to_owned();
        aims.push(milliseconds(what, "under 10 ms", middle_of(&paced.storm), 10.0));
    }
    aims.push(Aim {
        what: "check, session in memory: statements sent to the database".to_owned(),
        target: "0",
        is: format!("{}", figures.queries),
        reached: figures.queries <= 0.0,
    });
    aims.push(Aim {
        what: "cookie of a guarded site, name and value".to_owned(),
        target: "under 200 B",
        is: format!("{} B", figures.cookie_bytes),
        reached: figures.cookie_bytes < 200,
    });
    aims
}

fn growth_aims(few: &Size, many: &Size) -> Vec<Aim> {
    let grows = |what: String, ratio: f64| Aim {
        what: format!(
            "{what}: with {} people against {}",
            thousands(many.people),
            thousands(few.people)
        ),
        target: "1.3 times",
        is: format!("{ratio:.2} times"),
        reached: ratio <= 1.3,
    };
    let mut aims: Vec<Aim> = growth::HOT
        .into_iter()
        .filter_map(|kind| {
            let ratio = many.hot(kind)?.processor_us / few.hot(kind)?.processor_us;
            Some(grows(kind.name().to_owned(), ratio))
        })
        .collect();
    aims.push(grows(COLD_CHECK.to_owned(), many.cold_ms() / few.cold_ms()));
    aims
}

const COLD_CHECK: &str = "check, session not in memory";

/// A number with commas between its thousands.
fn thousands(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The median of each figure on its own.
fn middle_of(latencies: &[Latency]) -> Latency {
    let of = |figure: fn(&Latency) -> f64| median(&latencies.iter().map(figure).collect::<Vec<_>>());
    Latency {
        per_second: of(|latency| latency.per_second),
        p50_ms: of(|latency| latency.p50_ms),
        p99_ms: of(|latency| latency.p99_ms),
    }
}

fn at_most(what: &str, target: &'static str, is: f64, most: f64, unit: &str) -> Aim {
    Aim {
        what: what.to_owned(),
        target,
        is: format!("{is:.1} {unit}"),
        reached: is <= most,
    }
}

pub(super) fn share(what: String, target: &'static str, is: f64, least: f64) -> Aim {
    Aim {
        what,
        target,
        is: format!("{:.0} %", is * 100.0),
        reached: is >= least,
    }
}

fn requests(figures: &Figures) -> String {
    let mut text = String::from(
        "
## Requests

| request | Doorward, µs of processor | requests/s | p99 ms | MiB after it | oidc-provider, µs of processor | requests/s | p99 ms | MiB after it | Doorward needs |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---|
",
    );
    let dash = || ["–", "–", "–", "–"].map(str::to_owned);
    let cells = |sample: &Sample| {
        [
            format!("{:.0}", sample.processor_us),
            format!("{:.0}", sample.per_second),
            format!("{:.1}", sample.p99_ms),
            format!("{:.0}", sample.resident_mib),
        ]
    };
    if let Some(empty) = figures.of(Kind::Empty, "empty") {
        let row = cells(&empty).join(" | ");
        let _ = writeln!(text, "| (empty handler) | {row} | – | – | – | – | |");
    }
    for kind in Kind::CHECKS {
        if let Some(empty) = figures.of(kind, "empty") {
            let (row, name) = (cells(&empty).join(" | "), kind.name());
            let _ = writeln!(
                text,
                "| (empty handler, headers of: {name}) | {row} | – | – | – | – | |"
            );
        }
    }
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Empty) {
        let Some(ours) = figures.of(kind, "doorward") else {
            continue;
        };
        let theirs = figures.of(kind, "peer");
        let ratio = theirs.map_or_else(String::new, |theirs| {
            format!(
                "1/{:.1} of its processor time",
                theirs.processor_us / ours.processor_us
            )
        });
        let theirs = theirs.as_ref().map_or_else(dash, cells).join(" | ");
        let _ = writeln!(
            text,
            "| {} | {} | {theirs} | {ratio} |",
            kind.name(),
            cells(&ours).join(" | ")
        );
    }
    if !figures.sign_ins.is_empty() {
        let row = cells(&middle(&figures.sign_ins)).join(" | ");
        let _ = writeln!(
            text,
            "| signing in with a password, from the authorization request to the code | {row} | – | – | – | – | |"
        );
    }
    text
}

fn checks(figures: &Figures) -> String {
    let paced = &figures.paced;
    if paced.check.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "
## Checks at a fixed rate

{rate} a second on 4 connections. The client shares the machine, so its own waits for a processor count too.

| what | per second | p50 ms | p99 ms |
|---|---:|---:|---:|
",
        rate = paced::RATE
    );
    let rows = [
        ("(empty handler)", &paced.empty),
        ("check for nginx, session in memory", &paced.check),
        ("the same, while people sign in", &paced.storm),
    ];
    for (what, latencies) in rows {
        let Latency {
            per_second,
            p50_ms,
            p99_ms,
        } = middle_of(latencies);
        let _ = writeln!(text, "| {what} | {per_second:.0} | {p50_ms:.2} | {p99_ms:.2} |");
    }
    let crowd = middle(&paced.crowd);
    let _ = writeln!(
        text,
        "\nMeanwhile {:.0} people a second got in, each of them within {:.0} ms (p99) of opening the page.",
        crowd.per_second, crowd.p99_ms
    );
    text
}

fn grown(figures: &Figures) -> String {
    let Some([few, many]) = &figures.growth else {
        return String::new();
    };
    let (less, more) = (thousands(few.people), thousands(many.people));
    let mut text = format!(
        "
## Growth

Two servers side by side, one with {less} people, the other with {more}, with about as many sessions and refresh tokens, on
databases that the system has in its memory. Processor time per request; for checks of sessions that are not in memory the median of
single requests, one after the other.

| request | {less} people, µs | {more} people, µs | ratio |
|---|---:|---:|---:|
"
    );
    let mut row = |what: &str, few: f64, many: f64| {
        let _ = writeln!(text, "| {what} | {few:.0} | {many:.0} | {:.2} |", many / few);
    };
    for kind in growth::HOT {
        if let (Some(few), Some(many)) = (few.hot(kind), many.hot(kind)) {
            row(kind.name(), few.processor_us, many.processor_us);
        }
    }
    row(COLD_CHECK, few.cold_ms() * 1000.0, many.cold_ms() * 1000.0);
    let _ = writeln!(
        text,
        "\nResident memory: {:.1} MiB with {less} people and {:.1} MiB with {more}; after {} and {} different sessions were asked about, of which \
         the server keeps at most 16,384 in memory, {:.1} MiB and {:.1} MiB.",
        few.rest_mib,
        many.rest_mib,
        thousands(u32::try_from(few.asked).unwrap_or(u32::MAX)),
        thousands(u32::try_from(many.asked).unwrap_or(u32::MAX)),
        few.full_mib,
        many.full_mib
    );
    text
}

fn raw(figures: &Figures) -> String {
    let (memory, iterations) = figures.argon2;
    let rows = [
        (
            "RS256 signature, 2048 bits".to_owned(),
            figures.raw_us(|raw| raw.rs256_per_second),
        ),
        (
            "ES256 signature".to_owned(),
            figures.raw_us(|raw| raw.es256_per_second),
        ),
        (
            "EdDSA signature".to_owned(),
            figures.raw_us(|raw| raw.eddsa_per_second),
        ),
        (
            format!("argon2id, {} MiB, {iterations} iterations", memory / 1024),
            figures.raw_us(|raw| raw.argon2_per_second),
        ),
    ];
    let mut text = String::from(
        "
## The crypto library alone, one thread

| what | µs of processor | per second |
|---|---:|---:|
",
    );
    for (what, micros) in rows {
        let _ = writeln!(text, "| {what} | {micros:.0} | {:.1} |", 1e6 / micros);
    }
    text
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
