//! The rules of the house that the compiler cannot check. Each file here holds one group of rules as functions from
//! what was read to a list of problems; this file runs them all and prints the list.
//!
//! A rule names the file and line, what is wrong and what would be right. Exceptions are written into the rule with
//! their reason, never into a list of ignored files.

mod crates;
mod docs;
mod graph;
mod migrations;
mod source;
mod text;

use crate::generate;
use crate::scan::{self, Scan};
use crate::workspace::Workspace;

/// One thing that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    pub(crate) file: String,
    /// From 1; 0 when it concerns the whole file.
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Problem {
    fn new(file: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            text: text.into(),
        }
    }
}

/// A committed Rust file with its text taken apart.
struct RustFile {
    path: String,
    source: String,
    scan: Scan,
}

/// Checks everything, prints the problems sorted by place, and says whether there were none.
pub(crate) fn run(workspace: &Workspace) -> Result<bool, String> {
    let files = workspace.files()?;
    let mut problems = Vec::new();
    let packages = workspace.packages()?;
    problems.extend(crates::problems(&packages));
    problems.extend(graph::problems(workspace)?);
    let rust = read_rust(workspace, &files)?;
    problems.extend(source::problems(&rust));
    problems.extend(migrations::problems(workspace, &files)?);
    problems.extend(text::problems(workspace, &files));
    problems.extend(docs::problems(workspace, &files)?);
    problems.extend(
        generate::stale(workspace)
            .into_iter()
            .map(|(page, why)| Problem::new(page, 0, why)),
    );
    problems.sort();
    for problem in &problems {
        println!("{}:{}: {}", problem.file, problem.line.max(1), problem.text);
    }
    match problems.len() {
        0 => println!("tidy: {} files read, nothing to mend", files.len()),
        1 => println!("tidy: {} files read, 1 problem", files.len()),
        many => println!("tidy: {} files read, {many} problems", files.len()),
    }
    Ok(problems.is_empty())
}

fn read_rust(workspace: &Workspace, files: &[String]) -> Result<Vec<RustFile>, String> {
    files
        .iter()
        .filter(|path| path.ends_with(".rs"))
        .map(|path| {
            let source = workspace.read(path)?;
            Ok(RustFile {
                path: path.clone(),
                scan: scan::scan(&source),
                source,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
