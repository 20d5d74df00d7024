//! Chores of the repository, run as `cargo xtask <task>`.
//!
//! Here lives what keeps the house in order: the rules that the compiler cannot check (`tidy`), reference pages
//! made from the code (`generate`), and measurements (`bench`, `budgets`). Nothing here ships: no crate may depend
//! on this one.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks on the terminal"
)]

mod bench;
mod generate;
mod scan;
mod tidy;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

const HELP: &str = "\
Chores of the Doorward repository.

Usage: cargo xtask <task>

  tidy                check the rules that the compiler cannot check; lists every problem as file:line
  generate            write the reference pages under docs/reference from the code
  generate --check    only say which of them are out of date
  bench               measure against an empty handler, raw cryptography and npm oidc-provider, a few minutes; prints
  bench --full        the same for longer, and writes docs/performance.md
  bench --no-build    either of them with what target/release holds already
  budgets             hold the release binary to its size, memory and page weight (scripts/test builds it first)
  help                this text

Every task ends with status 0 when all is well, 1 when it found something, 2 when it was called wrongly.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["tidy"] => Workspace::find().and_then(|workspace| tidy::run(&workspace)),
        ["generate"] => Workspace::find().and_then(|workspace| generate::write(&workspace)),
        ["generate", "--check"] => Workspace::find().and_then(|workspace| generate::check(&workspace)),
        ["bench", options @ ..]
            if options
                .iter()
                .all(|option| ["--full", "--no-build"].contains(option)) =>
        {
            let depth = if options.contains(&"--full") {
                bench::Depth::Full
            } else {
                bench::Depth::Short
            };
            let build = if options.contains(&"--no-build") {
                bench::Build::AsItIs
            } else {
                bench::Build::Fresh
            };
            Workspace::find().and_then(|workspace| bench::run(&workspace, depth, build))
        }
        ["budgets"] => Workspace::find().and_then(|workspace| bench::budgets::run(&workspace)),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!("xtask: `{}` is not a task\n\n{HELP}", other.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
