//! The built program, run as people and scripts run it: exit codes, JSON shapes, sentences, files, signals.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as it should be; clippy knows only functions marked as tests"
)]

mod app_passwords;
mod applications;
mod files;
mod people;
mod program;
mod seeded;
mod server;
mod settings;
mod sites;
mod support;
