//! Reference pages under `docs/reference`, made from the code and committed, so that a reader needs no build and a
//! stale page fails `cargo xtask tidy`.
//!
//! A page is one line in [`PAGES`]: its file and the function that writes it. The functions only arrange what the
//! code says about itself; knowledge about settings or commands does not belong here.

mod cli;
mod events;
mod metrics;
mod routes;

use crate::workspace::Workspace;

/// One generated page.
struct Page {
    file: &'static str,
    text: fn(&Workspace) -> Result<String, String>,
}

const PAGES: &[Page] = &[
    Page {
        file: "docs/reference/cli.md",
        text: cli::page,
    },
    Page {
        file: "docs/reference/doorward.toml",
        text: |_| Ok(doorward_config::sample_file()),
    },
    Page {
        file: "docs/reference/settings.md",
        text: |_| Ok(doorward_config::reference_page()),
    },
    Page {
        file: "docs/reference/events.md",
        text: events::page,
    },
    Page {
        file: "docs/reference/routes.md",
        text: routes::page,
    },
    Page {
        file: "docs/reference/metrics.md",
        text: metrics::page,
    },
];

/// Writes every page that is not up to date, and goes on when one cannot be made.
pub(crate) fn write(workspace: &Workspace) -> Result<bool, String> {
    let mut all_made = true;
    for page in PAGES {
        match (page.text)(workspace) {
            Err(error) => {
                all_made = false;
                println!("{} cannot be made: {error}", page.file);
            }
            Ok(text) if workspace.read(page.file).ok().as_deref() == Some(text.as_str()) => {
                println!("{} is up to date", page.file);
            }
            Ok(text) => {
                workspace.write(page.file, &text)?;
                println!("{} written", page.file);
            }
        }
    }
    Ok(all_made)
}

/// Says which pages are stale; writes nothing.
pub(crate) fn check(workspace: &Workspace) -> Result<bool, String> {
    let stale = stale(workspace);
    for (page, why) in &stale {
        println!("{page}:1: {why}");
    }
    println!("generate: {} pages, {} stale", PAGES.len(), stale.len());
    Ok(stale.is_empty())
}

/// The pages that differ from what the code says now, or that cannot be made, and which of the two it is.
pub(crate) fn stale(workspace: &Workspace) -> Vec<(&'static str, String)> {
    PAGES
        .iter()
        .filter_map(|page| match (page.text)(workspace) {
            Ok(text) if workspace.read(page.file).ok().as_deref() == Some(text.as_str()) => None,
            Ok(_) => {
                let why = "is not what the code says: run `cargo xtask generate` and commit the result";
                Some((page.file, why.to_owned()))
            }
            Err(error) => Some((page.file, format!("cannot be made: {error}"))),
        })
        .collect()
}
