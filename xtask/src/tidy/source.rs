//! What Rust files may say: their size, their module doc, where SQL and where the choice of engine stands.

use super::{Problem, RustFile};

/// Lines of code in one file; beyond that it is cut along what its parts know.
const LONGEST_FILE: usize = 600;

const STORE: &str = "crates/doorward-store/";

/// Where else SQL may stand: the store, its own rules here, the test kit, which asks the catalogue how many rows each
/// table has, to prove that nothing was written, and the guard, which speaks to its user's database and never to ours.
const MAY_HOLD_SQL: [&str; 4] = [
    STORE,
    "xtask/",
    "crates/doorward-testkit/",
    "crates/doorward-guard/",
];

/// The one file that matches on the engine, and the three places that have to know that there are two.
const KNOW_BOTH_ENGINES: [(&str, &str); 4] = [
    ("crates/doorward-store/src/engine.rs", "the match"),
    (
        "crates/doorward-store/src/foreign.rs",
        "databases of other programs, read for an import",
    ),
    (
        "crates/doorward-store/src/options.rs",
        "the two forms of address, read before there is an engine",
    ),
    ("crates/doorward-store/src/sql.rs", "how each engine takes a list"),
];

pub(super) fn problems(files: &[RustFile]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = files.iter().flat_map(file_problems).collect();
    problems.extend(engine_problems(files));
    problems
}

fn file_problems(file: &RustFile) -> Vec<Problem> {
    let mut problems = Vec::new();
    let lines = file.scan.code_lines();
    if lines > LONGEST_FILE && !is_test(&file.path) {
        let text = format!("{lines} lines of code, at most {LONGEST_FILE}: cut it along what its parts know");
        problems.push(Problem::new(&file.path, 0, text));
    }
    if !has_module_doc(&file.source) {
        problems.push(Problem::new(
            &file.path,
            0,
            "has no `//!` doc that says what lives here",
        ));
    }
    if !MAY_HOLD_SQL.iter().any(|folder| file.path.starts_with(folder)) {
        for literal in file.scan.literals.iter().filter(|literal| is_sql(&literal.text)) {
            problems.push(Problem::new(
                &file.path,
                literal.line,
                "SQL stands in doorward-store only",
            ));
        }
    }
    for comment in &file.scan.comments {
        if let Some(word) = unfinished(&comment.text) {
            problems.push(Problem::new(
                &file.path,
                comment.line,
                format!("`{word}`: finish it or file an issue"),
            ));
        }
    }
    problems
}

/// Tests stand in `tests/`, in `tests.rs` or in `<module>_tests.rs`; examples show things and do not ship either.
pub(super) fn is_test(path: &str) -> bool {
    path.contains("/tests/")
        || path.contains("/examples/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

fn has_module_doc(source: &str) -> bool {
    source
        .lines()
        .map(str::trim)
        .find(|line| {
            !line.is_empty() && !line.starts_with("#![") && !line.starts_with("//") || line.starts_with("//!")
        })
        .is_some_and(|line| line.starts_with("//!"))
}

/// Whether a string literal is a statement for a database rather than a sentence.
pub(super) fn is_sql(literal: &str) -> bool {
    let words: Vec<&str> = literal.split_whitespace().collect();
    let Some(first) = words.first() else { return false };
    let has = |wanted: &str| words.iter().any(|word| word.eq_ignore_ascii_case(wanted));
    let second = words.get(1).copied().unwrap_or_default();
    let shape = match first.to_ascii_uppercase().as_str() {
        "SELECT" | "DELETE" => has("FROM"),
        "INSERT" => second.eq_ignore_ascii_case("INTO"),
        "UPDATE" => has("SET"),
        "CREATE" | "ALTER" | "DROP" => ["TABLE", "INDEX"]
            .into_iter()
            .any(|what| second.eq_ignore_ascii_case(what)),
        _ => return false,
    };
    let shouted = first.chars().all(|letter| letter.is_ascii_uppercase());
    let symbols = literal.contains(['$', '*', '?', '=', '(']);
    shape && (shouted || symbols)
}

fn unfinished(comment: &str) -> Option<&'static str> {
    // Written in two halves so that this file does not complain about itself.
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")]
        .into_iter()
        .find(|word| {
            comment
                .split(|letter: char| !letter.is_alphanumeric())
                .any(|part| part == *word)
        })
}

/// Invariant 2: exactly one file of the store matches on the engine.
fn engine_problems(files: &[RustFile]) -> Vec<Problem> {
    files
        .iter()
        .filter(|file| file.path.starts_with("crates/doorward-store/src/") && !is_test(&file.path))
        .filter(|file| !KNOW_BOTH_ENGINES.iter().any(|(path, _)| file.path == *path))
        .filter_map(|file| {
            let line = engine_match_line(&file.scan.code)?;
            let known = KNOW_BOTH_ENGINES
                .map(|(path, why)| format!("{path} ({why})"))
                .join(", ");
            Some(Problem::new(
                &file.path,
                line,
                format!("matches on the engine, which only these may: {known}"),
            ))
        })
        .collect()
}

/// The first line of a `match` with an arm for each engine: arms whose patterns end in the names of the engines.
pub(super) fn engine_match_line(code: &str) -> Option<usize> {
    let arms = |engine: &str| {
        code.lines().position(|line| {
            line.split_once("=>")
                .is_some_and(|(pattern, _)| pattern.to_ascii_lowercase().contains(engine))
        })
    };
    let (sqlite, postgres) = (arms("sqlite")?, arms("postgres")?);
    Some(sqlite.min(postgres) + 1)
}
