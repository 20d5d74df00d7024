//! `doorward import …`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use doorward_core::token_api::import::{Counted, Remark, Report};
use doorward_store::{Foreign, OpenOptions};
use serde_json::json;

use super::Desk;
use crate::failure::{Failure, Result};
use crate::out::clean;

/// Rows with a remark that people are shown; programs get all.
const MOST_SHOWN: usize = 20;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Takes over people, roles, sessions and Matrix names of the token service before
    #[command(
        after_help = "Examples:\n  doorward import auth-users --from postgres://auth@db.example.org/auth --dry-run\n  doorward import \
                      auth-users --from-file /run/secrets/old-database-url --json\n\nThe other database is only read. It may be run \
                      again: who is here already is left as is."
    )]
    AuthUsers(AuthUsers),
}

/// From where.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["from", "from_file"]))]
pub(crate) struct AuthUsers {
    /// Address of the old database
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// File that holds the address, so that its password is on no command line
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// Say what would happen, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Does it.
pub(crate) async fn run(what: Import, desk: &Desk) -> Result<()> {
    match what {
        Import::AuthUsers(wanted) => auth_users(&wanted, desk).await,
    }
}

async fn auth_users(wanted: &AuthUsers, desk: &Desk) -> Result<()> {
    let url = match (&wanted.from, &wanted.from_file) {
        (Some(url), _) => url.clone(),
        (None, Some(path)) => std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", path.display())))?,
        (None, None) => return Err(Failure::Usage("expected --from or --from-file".into())),
    };
    let options = OpenOptions::parse(&plain(url.trim()))?;
    let from = Foreign::open(&options).await?;
    let report = desk.doorward.import_auth_users(&from, wanted.dry_run).await?;
    let value = serde_json::to_value(&report)
        .map_err(|error| Failure::Fault(format!("the report cannot be written as JSON: {error}")))?;
    desk.out.either(&json!({ "import": value }), || lines(&report))
}

/// Without the name of a driver: `postgresql+asyncpg://…`.
fn plain(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.split('+').next().unwrap_or(scheme)),
        None => url.to_owned(),
    }
}

fn lines(report: &Report) -> Vec<String> {
    let done = if report.dry_run {
        "WOULD IMPORT"
    } else {
        "IMPORTED"
    };
    let mut lines = vec![format!(
        "{:<22}{:>8}{:>14}{:>14}{:>10}",
        "TABLE", "ROWS", done, "ALREADY HERE", "SKIPPED"
    )];
    for (name, counted) in [
        ("auth_users", report.users),
        ("auth_user_roles", report.roles),
        ("auth_sessions", report.sessions),
        ("auth_matrix_accounts", report.matrix),
    ] {
        let Counted {
            read,
            imported,
            present,
            skipped,
        } = counted;
        lines.push(format!(
            "{name:<22}{read:>8}{imported:>14}{present:>14}{skipped:>10}"
        ));
    }
    for (title, remarks) in [("Skipped:", &report.skipped), ("To look at:", &report.notes)] {
        if remarks.is_empty() {
            continue;
        }
        lines.push(String::new());
        lines.push(title.to_owned());
        lines.extend(remarks.iter().take(MOST_SHOWN).map(remark));
        let more = remarks.len().saturating_sub(MOST_SHOWN);
        if more > 0 {
            lines.push(format!("  and {more} more; --json lists all"));
        }
    }
    if report.dry_run {
        lines.push(String::new());
        lines.push("Nothing was written.".to_owned());
    }
    lines
}

fn remark(remark: &Remark) -> String {
    format!(
        "  {} {}: {}",
        remark.table,
        clean(&remark.id),
        clean(&remark.what)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_driver_does_not_matter() {
        assert_eq!(plain("postgresql+asyncpg://a@b/c"), "postgresql://a@b/c");
        assert_eq!(plain("postgres://a@b/c"), "postgres://a@b/c");
        assert_eq!(plain("nonsense"), "nonsense");
    }

    #[test]
    fn a_report_counts_and_names_what_was_skipped() {
        let report = Report {
            dry_run: true,
            users: Counted {
                read: 3,
                imported: 1,
                present: 1,
                skipped: 1,
            },
            skipped: vec![Remark {
                table: "auth_users",
                id: "x\u{1b}[2J".into(),
                what: "id is not a uuid".into(),
            }],
            ..Report::default()
        };
        let lines = lines(&report);
        assert!(lines[0].contains("WOULD IMPORT"));
        assert!(lines.iter().any(|line| line.contains("id is not a uuid")));
        assert!(!lines.join("\n").contains('\u{1b}'));
        assert_eq!(lines.last().unwrap(), "Nothing was written.");
    }
}
