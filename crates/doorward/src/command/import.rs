//! `doorward import …`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use doorward_core::app_auth::import::{ImportReport, ImportWishes};
use doorward_core::token_api::import::{Counted, Remark, Report};
use doorward_crypto::token::SecretText;
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
    /// Takes over what an app kept in better-auth's own database: people with passwords, accounts, live sessions, and more
    #[command(
        after_help = "Examples:\n  doorward import better-auth --app shop --from postgres://shop@db.example.org/shop --dry-run\n  doorward \
                      import better-auth --app shop --from ./shop.sqlite --secret-file better-auth-secret.txt\n  doorward import \
                      better-auth --app shop --from-file /run/secrets/old-database-url --ids ids.csv --json\n\nThe other database is \
                      only read. It may be run again: what was taken over before is left as is. Names of tables and columns may be in \
                      camelCase or snake_case, tables in the plural. See docs/guides/app-auth.md."
    )]
    BetterAuth(BetterAuth),
}

/// From where.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Source {
    /// Address of the old database: postgres://…, sqlite:PATH or the path of an SQLite file
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// File that holds the address, so that its password is on no command line
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
}

/// Which people of the token service.
#[derive(Debug, Args)]
pub(crate) struct AuthUsers {
    #[command(flatten)]
    source: Source,
    /// Say what would happen, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Which app's database, and how.
#[derive(Debug, Args)]
pub(crate) struct BetterAuth {
    #[command(flatten)]
    source: Source,
    /// Slug or id of the application whose door takes it over
    #[arg(long, value_name = "APPLICATION")]
    app: String,
    /// Say what would happen, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// File with the app's BETTER_AUTH_SECRET: opens second factors, and tells whether cookies go on working
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Somebody who is here already with the same address, proved on both sides, is the same person
    #[arg(long)]
    link_verified: bool,
    /// A table with a name of its own, for example user=app_user (may be repeated)
    #[arg(long, value_name = "TABLE=NAME")]
    table: Vec<String>,
    /// Writes table, id there and id here of everything as CSV into this file
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    ids: Option<PathBuf>,
}

/// Does it.
pub(crate) async fn run(what: Import, desk: &Desk) -> Result<()> {
    match what {
        Import::AuthUsers(wanted) => auth_users(&wanted, desk).await,
        Import::BetterAuth(wanted) => better_auth(wanted, desk).await,
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", path.display())))
}

async fn open(source: &Source) -> Result<Foreign> {
    let url = match (&source.from, &source.from_file) {
        (Some(url), _) => url.clone(),
        (None, Some(path)) => read(path)?,
        (None, None) => return Err(Failure::Usage("expected --from or --from-file".into())),
    };
    let url = url.trim();
    let options = if !url.contains("://") && !url.starts_with("sqlite:") && Path::new(url).is_file() {
        OpenOptions::sqlite(url)
    } else {
        OpenOptions::parse(&plain(url))?
    };
    Ok(Foreign::open(&options).await?)
}

async fn better_auth(wanted: BetterAuth, desk: &Desk) -> Result<()> {
    let application = desk.doorward.find_application(&wanted.app).await?;
    let secret = wanted.secret_file.as_deref().map(read).transpose()?;
    let named = |text: &String| {
        text.split_once('=')
            .map(|(table, name)| (table.to_owned(), name.to_owned()))
            .ok_or_else(|| {
                Failure::Usage(format!(
                    "--table {text}: expected TABLE=NAME, for example user=app_user"
                ))
            })
    };
    let wishes = ImportWishes {
        dry_run: wanted.dry_run,
        link_verified: wanted.link_verified,
        secret: secret.map(|text| SecretText::new(text.trim_end_matches(['\n', '\r']))),
        tables: wanted.table.iter().map(named).collect::<Result<_>>()?,
    };
    let from = open(&wanted.source).await?;
    let report = desk
        .doorward
        .import_better_auth(&application, &from, &wishes)
        .await?;
    if let Some(path) = &wanted.ids {
        write_ids(path, &report)?;
    }
    let value = serde_json::to_value(&report)
        .map_err(|error| Failure::Fault(format!("the report cannot be written as JSON: {error}")))?;
    desk.out
        .either(&json!({ "import": value }), || better_auth_lines(&report))
}

/// Comma-separated, ids of the other database in quotes.
fn write_ids(path: &Path, report: &ImportReport) -> Result<()> {
    let mut text = String::from("table,there,here\n");
    for (table, there, here) in &report.ids {
        let there = there.replace('"', "\"\"");
        text.push_str(&format!("{table},\"{there}\",{here}\n"));
    }
    std::fs::write(path, text)
        .map_err(|error| Failure::Fault(format!("{} cannot be written: {error}", path.display())))
}

fn better_auth_lines(report: &ImportReport) -> Vec<String> {
    let mut lines = vec![heading(report.dry_run)];
    for table in &report.tables {
        lines.push(counted_line(&table.name, table.counted));
    }
    if !report.left.is_empty() {
        lines.push(String::new());
        lines.push("Left where it is:".to_owned());
        for left in &report.left {
            lines.push(format!(
                "  {} ({} rows): {}",
                clean(&left.name),
                left.rows,
                left.why
            ));
        }
    }
    for table in report
        .tables
        .iter()
        .filter(|table| !table.other_columns.is_empty())
    {
        lines.push(format!(
            "  columns of {}: {}",
            clean(&table.name),
            clean(&table.other_columns.join(", "))
        ));
    }
    remarks(
        &mut lines,
        [("Skipped:", &report.skipped), ("To look at:", &report.notes)],
    );
    if report.more_remarks > 0 {
        lines.push(format!("  and {} more that are not kept", report.more_remarks));
    }
    if !report.hints.is_empty() {
        lines.push(String::new());
        lines.extend(report.hints.iter().map(|hint| format!("- {hint}")));
    }
    if report.dry_run {
        lines.push(String::new());
        lines.push("Nothing was written.".to_owned());
    }
    lines
}

async fn auth_users(wanted: &AuthUsers, desk: &Desk) -> Result<()> {
    let from = open(&wanted.source).await?;
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

fn heading(dry_run: bool) -> String {
    let done = if dry_run { "WOULD IMPORT" } else { "IMPORTED" };
    format!(
        "{:<22}{:>8}{:>14}{:>14}{:>10}",
        "TABLE", "ROWS", done, "ALREADY HERE", "SKIPPED"
    )
}

fn counted_line(name: &str, counted: Counted) -> String {
    let Counted {
        read,
        imported,
        present,
        skipped,
    } = counted;
    let name = clean(name);
    format!("{name:<22}{read:>8}{imported:>14}{present:>14}{skipped:>10}")
}

fn remarks(lines: &mut Vec<String>, sorts: [(&str, &Vec<Remark>); 2]) {
    for (title, remarks) in sorts {
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
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![heading(report.dry_run)];
    for (name, counted) in [
        ("auth_users", report.users),
        ("auth_user_roles", report.roles),
        ("auth_sessions", report.sessions),
        ("auth_matrix_accounts", report.matrix),
    ] {
        lines.push(counted_line(name, counted));
    }
    remarks(
        &mut lines,
        [("Skipped:", &report.skipped), ("To look at:", &report.notes)],
    );
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
