//! Budgets that do not depend on how busy the machine is, held in CI: size of the program, memory at rest, weight of the
//! sign-in page, what a check by a proxy asks the database (nothing), and its cookie. Start and end are timed and shown, and bounded so generously that only a hang breaks the bound.

use std::path::Path;
use std::time::Duration;

use super::doorward::Doorward;
use super::http::{self, Browser};
use super::{Scratch, doorward, process};
use crate::workspace::Workspace;

const BINARY_MIB: f64 = 30.0;
/// The aim is 25 MiB, and the program is at its edge (24.9 to 25.4 MiB in runs of one build); most of it are pages of the program
/// file, of which the kernel maps more or fewer. Beyond this it has really grown.
const IDLE_MIB: f64 = 27.0;
const PAGE_BYTES: usize = 60_000;
/// "Under 200 bytes", name and value.
const COOKIE_BYTES: f64 = 199.0;
const START_MS: f64 = 5_000.0;
const STOP_MS: f64 = 5_000.0;

/// One figure and the most that it may be.
struct Budget {
    what: &'static str,
    is: f64,
    at_most: f64,
    unit: &'static str,
}

/// Measures `target/release/doorward` on SQLite and says whether every budget is kept.
pub(crate) fn run(workspace: &Workspace) -> Result<bool, String> {
    let program = workspace.path("target/release/doorward");
    let size = std::fs::metadata(&program)
        .map_err(|error| format!("{}: {error}; build it: cargo build --release", program.display()))?
        .len();
    let scratch = Scratch::new(workspace, "budgets")?;
    let port = process::free_port()?;
    doorward::start(&program, &scratch.0, port)?.stop()?;
    let server = doorward::start(&program, &scratch.0, port)?;
    let start = server.start;
    process::pause(Duration::from_secs(2));
    let idle = server.resident_mib()?;
    let page = page_bytes(port)?;
    let stop = server.stop()?;
    let (queries, cookie) = check(workspace, &program)?;
    let kib = |bytes: u64| f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX));
    let budgets = [
        Budget {
            what: "release binary",
            is: kib(size) / 1024.0,
            at_most: BINARY_MIB,
            unit: "MiB",
        },
        Budget {
            what: "memory at rest, SQLite",
            is: idle,
            at_most: IDLE_MIB,
            unit: "MiB",
        },
        Budget {
            what: "sign-in page with style sheet and scripts",
            is: f64::from(u32::try_from(page).unwrap_or(u32::MAX)) / 1000.0,
            at_most: f64::from(u32::try_from(PAGE_BYTES).unwrap_or(u32::MAX)) / 1000.0,
            unit: "kB",
        },
        Budget {
            what: "queries per check, session in memory",
            is: queries,
            at_most: 0.0,
            unit: "",
        },
        Budget {
            what: "cookie of a guarded site",
            is: cookie,
            at_most: COOKIE_BYTES,
            unit: "B",
        },
        Budget {
            what: "start to ready",
            is: start.as_secs_f64() * 1000.0,
            at_most: START_MS,
            unit: "ms",
        },
        Budget {
            what: "asked to end until ended",
            is: stop.as_secs_f64() * 1000.0,
            at_most: STOP_MS,
            unit: "ms",
        },
    ];
    let mut broken = 0_usize;
    for budget in &budgets {
        let kept = budget.is <= budget.at_most;
        broken += usize::from(!kept);
        let verdict = if kept { "kept" } else { "BROKEN" };
        println!(
            "{:<42} {:>8.1} of {:>6.0} {:<4} {verdict}",
            budget.what, budget.is, budget.at_most, budget.unit
        );
    }
    println!("{} passed, {broken} failed", budgets.len() - broken);
    Ok(broken == 0)
}

/// Of a check by a proxy: statements sent to the database, and bytes of the cookie that it is made with.
fn check(workspace: &Workspace, program: &Path) -> Result<(f64, f64), String> {
    let scratch = Scratch::new(workspace, "check")?;
    let door = Doorward::prepare(program, &scratch.0)?;
    let cookie = u32::try_from(door.site_cookie().len()).unwrap_or(u32::MAX);
    Ok((super::queries_per_check(&door)?, f64::from(cookie)))
}

/// Bytes of the sign-in page and of every style sheet and script that it names, as they travel without compression.
fn page_bytes(port: u16) -> Result<usize, String> {
    let mut browser = Browser::new(port);
    let first = browser.get("/if/user/")?;
    let page = browser.follow(first)?.page()?;
    http::form(&page.body)?;
    let mut bytes = page.body.len();
    for (before, after) in [("<link ", "href=\""), ("<script ", "src=\"")] {
        for tag in page
            .body
            .split(before)
            .skip(1)
            .filter_map(|rest| rest.split('>').next())
        {
            let address = tag.split_once(after).and_then(|(_, rest)| rest.split('"').next());
            let wanted = before == "<script " || tag.contains("stylesheet");
            if let Some(path) = address.filter(|path| wanted && path.starts_with('/')) {
                let answer = browser.get(path)?;
                if answer.status != 200 {
                    return Err(format!("{path} answered {}", answer.status));
                }
                bytes += answer.body.len();
            }
        }
    }
    Ok(bytes)
}
