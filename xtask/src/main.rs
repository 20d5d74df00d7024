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
  bench               measure against an empty handler, raw cryptography, npm oidc-provider and npm better-auth, a few
                      minutes; prints
  bench --full        the same for longer, and writes docs/performance.md
  bench --only app-auth
                      only the doors of applications and the token API, against npm better-auth; with --full it writes
                      that section of docs/performance.md and leaves the rest as it is
  bench --no-build    any of them with what target/release holds already
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
        ["bench", options @ ..] => match bench_options(options) {
            Some((depth, part, build)) => {
                Workspace::find().and_then(|workspace| bench::run(&workspace, depth, part, build))
            }
            None => return unknown(&arguments),
        },
        ["budgets"] => Workspace::find().and_then(|workspace| bench::budgets::run(&workspace)),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => return unknown(other),
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

fn unknown(arguments: &[&str]) -> ExitCode {
    eprintln!("xtask: `{}` is not a task\n\n{HELP}", arguments.join(" "));
    ExitCode::from(2)
}

/// What `bench` is to do; nothing when an option is none of its own.
fn bench_options(options: &[&str]) -> Option<(bench::Depth, bench::Part, bench::Build)> {
    let (mut depth, mut part, mut build) = (bench::Depth::Short, bench::Part::All, bench::Build::Fresh);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match *option {
            "--full" => depth = bench::Depth::Full,
            "--no-build" => build = bench::Build::AsItIs,
            "--only" if options.next() == Some(&"app-auth") => part = bench::Part::AppAuth,
            _ => return None,
        }
    }
    Some((depth, part, build))
}

#[cfg(test)]
mod tests {
    use super::{bench, bench_options};

    #[test]
    fn options_of_the_bench_are_read_in_any_order_and_unknown_ones_refused() {
        let all = bench_options(&[]);
        assert!(all == Some((bench::Depth::Short, bench::Part::All, bench::Build::Fresh)));
        let one = bench_options(&["--no-build", "--only", "app-auth", "--full"]);
        assert!(one == Some((bench::Depth::Full, bench::Part::AppAuth, bench::Build::AsItIs)));
        for wrong in [&["--only"][..], &["--only", "oidc"], &["--fast"], &["app-auth"]] {
            assert!(bench_options(wrong).is_none(), "{wrong:?}");
        }
    }
}
