//! The section about the doors of applications: method, figures, and what was aimed at.

use std::fmt::Write as _;

use super::app_auth::{Call, Figures, Who};
use super::report::{self, Aim, median, share};
use super::wrk::{CONNECTIONS, Sample};
use super::{Depth, middle};

const HEADING: &str = "## The doors of applications";
/// What our own get-session may cost, of what better-auth's costs.
const TENTH: f64 = 0.1;
/// Statements of a refresh: reading the session with its person, the next generation, and the time of use.
const REFRESH_STATEMENTS: f64 = 3.0;

impl Figures {
    fn of(&self, call: Call, who: Who) -> Option<Sample> {
        self.samples.get(&(call, who)).map(|samples| middle(samples))
    }

    fn statements_of(&self, call: Call) -> f64 {
        self.statements.get(&call).map_or(0.0, |each| median(each))
    }

    /// What a call is compared with: better-auth has no token API, so that its own question "who is this?" stands for `me`.
    fn other(&self, call: Call) -> Option<Sample> {
        let like = if call == Call::Me {
            Call::SessionByBearer
        } else {
            call
        };
        self.of(like, Who::BetterAuth)
    }

    /// Sign-ins per second, of as many hashes as the library alone makes.
    fn hash_share(&self) -> Option<f64> {
        let sign_ins = self.of(Call::SignIn, Who::Doorward)?;
        let hashes = median(&self.hashes);
        (hashes > 0.0).then(|| sign_ins.per_second / hashes)
    }
}

/// The section in Markdown, from its heading on.
pub(crate) fn section(depth: Depth, figures: &Figures) -> String {
    let mut text = format!("{HEADING}\n\n{}\n", method(depth, figures));
    text.push_str(&report::table(&aims(figures)));
    text.push('\n');
    text.push_str(&calls(figures));
    text.push('\n');
    text.push_str(&memory(figures));
    text
}

/// A page with this section in the place of the one that it had, or before the one about growth, or at the end.
pub(crate) fn put(page: &str, section: &str) -> String {
    let start_of = |heading: &str| {
        let at = format!("\n{heading}\n");
        page.find(&at).map(|found| found + 1)
    };
    let (before, after) = if let Some(start) = start_of(HEADING) {
        let rest = page.get(start..).unwrap_or_default();
        let end = rest.find("\n## ").map_or(page.len(), |end| start + end + 1);
        page.get(..start).zip(page.get(end..)).unwrap_or((page, ""))
    } else {
        let start = start_of("## Growth").unwrap_or(page.len());
        page.split_at_checked(start).unwrap_or((page, ""))
    };
    let parts = [before, section, after].map(str::trim_end);
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n\n") + "\n"
}

fn method(depth: Depth, figures: &Figures) -> String {
    let (memory, iterations) = figures.argon2;
    let reference = match &figures.reference {
        Ok(version) => format!(
            "npm {version}, its core and the bearer plugin, with its storage in memory, which keeps nothing when it ends \
             (`tests/e2e/better-auth/bench.mjs`)"
        ),
        Err(reason) => format!("npm better-auth was left out: {reason}"),
    };
    format!(
        "Doorward {version} on SQLite, every commit flushed to the disk; beside it {reference}. Both take turns within each of {rounds} \
         rounds after one to get warm: wrk with one thread and {CONNECTIONS} connections, {seconds} s for each kind of request, longer for \
         sign-ins. Calls are not limited by number on either side. Sign-ins are of {people} people in turn; Doorward hashes with argon2id \
         ({memory} MiB, {iterations} iterations) on {threads} threads, better-auth with scrypt. The rate of the library alone is that of \
         argon2id with the same parameters on as many threads, measured right after the sign-ins of each round. Statements are those sent \
         to the database; those of warm calls are counted while nothing else happens.\n\n\
         better-auth has no token API: `me` stands beside its get-session by bearer token; introspection and refresh stand alone, and what \
         they are held to is the number of statements.\n",
        version = figures.version,
        rounds = depth.rounds(),
        seconds = depth.seconds(),
        people = 2 * CONNECTIONS,
        memory = memory / 1024,
        threads = figures.threads,
    )
}

fn aims(figures: &Figures) -> Vec<Aim> {
    let mut aims = Vec::new();
    for call in [Call::SessionByCookie, Call::SessionByBearer, Call::Me] {
        if let (Some(ours), Some(theirs)) = (figures.of(call, Who::Doorward), figures.other(call)) {
            let ratio = ours.processor_us / theirs.processor_us;
            aims.push(Aim {
                what: format!("{}: processor time of better-auth's get-session", call.name()),
                target: "at most 1/10",
                is: format!("1/{:.0}", 1.0 / ratio),
                reached: ratio <= TENTH,
            });
        }
    }
    for call in Call::WARM {
        if let Some(each) = figures.warm_statements.get(&call) {
            aims.push(Aim {
                what: format!(
                    "{}, session in memory: statements sent to the database",
                    call.name()
                ),
                target: "0",
                is: format!("{each}"),
                reached: *each <= 0.0,
            });
        }
    }
    if figures.of(Call::Refresh, Who::Doorward).is_some() {
        let each = figures.statements_of(Call::Refresh);
        aims.push(Aim {
            what: "token API: refresh: statements sent to the database".to_owned(),
            target: "at most 3",
            is: format!("{each:.1}"),
            // What the server does beside it asks something too.
            reached: each < REFRESH_STATEMENTS + 0.5,
        });
    }
    if let Some(rate) = figures.hash_share() {
        let what = "sign-in: per second, of as many password hashes as the library alone makes";
        aims.push(share(what.to_owned(), "90 %", rate, 0.9));
    }
    aims
}

fn calls(figures: &Figures) -> String {
    let mut text = String::from(
        "| request | Doorward, µs of processor | requests/s | p50 ms | p99 ms | statements | better-auth, µs of processor | requests/s | \
         p50 ms | p99 ms | Doorward needs |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n",
    );
    let cells = |sample: &Sample| {
        [
            format!("{:.0}", sample.processor_us),
            format!("{:.0}", sample.per_second),
            format!("{:.2}", sample.p50_ms),
            format!("{:.2}", sample.p99_ms),
        ]
        .join(" | ")
    };
    for call in Call::ALL {
        let Some(ours) = figures.of(call, Who::Doorward) else {
            continue;
        };
        let theirs = figures.other(call);
        let statements = if let Some(each) = figures.warm_statements.get(&call) {
            format!("{each}")
        } else {
            format!("{:.1}", figures.statements_of(call))
        };
        let needs = theirs.map_or_else(String::new, |theirs| {
            let factor = theirs.processor_us / ours.processor_us;
            format!("1/{factor:.1} of its processor time")
        });
        let beside = theirs.map_or_else(|| ["–"; 4].join(" | "), |theirs| cells(&theirs));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {statements} | {beside} | {needs} |",
            call.name(),
            cells(&ours)
        );
    }
    text
}

fn memory(figures: &Figures) -> String {
    let said = |who: Who, name: &str| {
        let [rest, loaded] = figures.memory.get(&who)?;
        Some(format!(
            "{name} {rest:.1} MiB before and {loaded:.1} MiB after it"
        ))
    };
    let both: Vec<String> = [(Who::Doorward, "Doorward"), (Who::BetterAuth, "better-auth")]
        .into_iter()
        .filter_map(|(who, name)| said(who, name))
        .collect();
    let mut text = format!("Resident memory: {}.", both.join(", "));
    if !figures.hashes.is_empty() {
        let (hashes, threads) = (median(&figures.hashes), figures.threads);
        let _ = write!(
            text,
            " The library alone makes {hashes:.1} hashes a second on {threads} threads."
        );
    }
    text.push('\n');
    text
}

#[cfg(test)]
#[path = "app_auth_tests.rs"]
mod tests;
