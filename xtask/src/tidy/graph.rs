//! What reaches the shipped program through other people's crates: one library for TLS and cryptography, and none
//! of the crates that it replaces (docs/decisions/0005). `cargo deny` says the same with more detail; this needs
//! nothing installed.

use super::Problem;
use crate::workspace::Workspace;

/// Crates that must not be linked, and what is used instead.
const BANNED: &[(&str, &str)] = &[
    ("chrono", "jiff"),
    ("native-tls", "rustls with aws-lc-rs"),
    ("openssl", "rustls with aws-lc-rs"),
    ("openssl-sys", "rustls with aws-lc-rs"),
    ("ring", "aws-lc-rs"),
    ("rsa", "aws-lc-rs"),
];

pub(super) fn problems(workspace: &Workspace) -> Result<Vec<Problem>, String> {
    let edges = [
        "tree",
        "--workspace",
        "--locked",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ];
    let tree = workspace.run("cargo", &edges)?;
    Ok(banned(&tree)
        .map(|(name, instead)| {
            let text = format!(
                "{name} is linked, use {instead}: `cargo tree --workspace -i {name}` shows who brings it"
            );
            Problem::new("Cargo.lock", 0, text)
        })
        .collect())
}

/// The banned crates in a listing of `name version` lines.
pub(super) fn banned(tree: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    BANNED.iter().copied().filter(|(name, _)| {
        tree.lines()
            .any(|line| line.split_whitespace().next() == Some(name))
    })
}
