//! The program: the server and the command line.
//!
//! Lives here: the real clock, randomness, sockets, signals and files; reading what was typed; printing what came of it.
//! Must not live here: rules, SQL, HTML. A command loads, asks core, prints.

mod arguments;
mod build;
mod command;
mod failure;
mod key_file;
mod log;
mod open;
mod out;
mod ports;
mod serve;
mod settings;
mod tls;

use std::process::ExitCode;

use out::{Out, Reader};

fn main() -> ExitCode {
    let typed = match arguments::read(std::env::args_os()) {
        Ok(typed) => typed,
        Err(code) => return code,
    };
    tls::install_provider();
    let reader = if typed.arguments.json {
        Reader::Program
    } else {
        Reader::Person
    };
    let out = Out::new(reader);
    match command::run(typed, out) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.is_silent() {
                out::complain(&format!("doorward: {failure}"));
                if out.is_json() {
                    // The exit code tells the same to whoever cannot be written to.
                    let _unwritable = out.value(&failure.to_json());
                }
            }
            failure.exit_code()
        }
    }
}
