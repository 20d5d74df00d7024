//! Migrations are numbered without gaps, one text for both engines or a pair, and never edited after a release.
//!
//! `crates/doorward-store/migrations/RELEASED` lists what has been released: one line per file, its git blob id and
//! its name. A release adds the lines that `git hash-object crates/doorward-store/migrations/*.sql` gives.

use std::collections::BTreeMap;

use super::Problem;
use crate::workspace::Workspace;

const FOLDER: &str = "crates/doorward-store/migrations/";

pub(super) fn problems(workspace: &Workspace, files: &[String]) -> Result<Vec<Problem>, String> {
    let names: Vec<&str> = files
        .iter()
        .filter_map(|path| path.strip_prefix(FOLDER))
        .filter(|name| name.ends_with(".sql"))
        .collect();
    let mut problems = numbering(&names);
    let list = format!("{FOLDER}RELEASED");
    if files.contains(&list) {
        problems.extend(released(workspace, &workspace.read(&list)?, &names)?);
    }
    Ok(problems)
}

/// What is wrong with the names alone.
pub(super) fn numbering(names: &[&str]) -> Vec<Problem> {
    let mut by_number: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let mut problems = Vec::new();
    for name in names {
        match name
            .split_once('_')
            .filter(|(digits, _)| digits.len() == 4)
            .and_then(|(digits, _)| digits.parse().ok())
        {
            Some(number) => by_number.entry(number).or_default().push(name),
            None => problems.push(problem(name, "is not named NNNN_what.sql")),
        }
    }
    for (expected, (number, group)) in (1..).zip(&by_number) {
        let Some(first) = group.first() else { continue };
        if *number != expected {
            problems.push(problem(
                first,
                &format!("number {number:04} follows {:04}: no gaps", expected - 1),
            ));
            break;
        }
        if !is_one_or_a_pair(group) {
            let text =
                "a number belongs to one file, or to one .sqlite.sql and one .postgres.sql of the same name";
            problems.push(problem(first, text));
        }
    }
    problems
}

fn is_one_or_a_pair(group: &[&str]) -> bool {
    match group {
        [one] => !one.ends_with(".sqlite.sql") && !one.ends_with(".postgres.sql"),
        [postgres, sqlite] => {
            let stem = postgres.strip_suffix(".postgres.sql");
            stem.is_some() && stem == sqlite.strip_suffix(".sqlite.sql")
        }
        _ => false,
    }
}

fn released(workspace: &Workspace, list: &str, names: &[&str]) -> Result<Vec<Problem>, String> {
    let mut problems = Vec::new();
    for (at, line) in list
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let Some((digest, name)) = line
            .split_once(char::is_whitespace)
            .map(|(digest, name)| (digest, name.trim()))
        else {
            problems.push(Problem::new(
                &format!("{FOLDER}RELEASED"),
                at + 1,
                "is not `<blob id> <file name>`",
            ));
            continue;
        };
        if !names.contains(&name) {
            problems.push(problem(name, "was released and is gone: restore it"));
            continue;
        }
        let now = workspace.run(
            "git",
            &["hash-object", "--no-filters", &format!("{FOLDER}{name}")],
        )?;
        if now.trim() != digest {
            problems.push(problem(
                name,
                "was released and has been edited: put the change into a new migration",
            ));
        }
    }
    Ok(problems)
}

fn problem(name: &str, text: &str) -> Problem {
    Problem::new(&format!("{FOLDER}{name}"), 0, text)
}
