//! Tells the program which commit it was built from and when: `DOORWARD_COMMIT` (40 hex digits, or `unknown` outside of a repository;
//! `DOORWARD_BUILD_COMMIT` when that is set, for builds without the repository), `DOORWARD_DIRTY` (`true` or `false` when git is there to
//! say whether the sources differ from the commit, else `unknown`) and `DOORWARD_BUILT_AT` (RFC 3339; `SOURCE_DATE_EPOCH` when set).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-env-changed=DOORWARD_BUILD_COMMIT");
    let given = given_commit();
    let dirty = given.is_none().then(is_dirty).flatten();
    let dirty = dirty.map_or_else(|| "unknown".to_owned(), |dirty| dirty.to_string());
    println!("cargo::rustc-env=DOORWARD_DIRTY={dirty}");
    let commit = given.or_else(commit).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=DOORWARD_COMMIT={commit}");
    println!("cargo::rustc-env=DOORWARD_BUILT_AT={}", rfc3339(built_at()));
}

/// The commit that whoever builds an image says.
#[expect(
    clippy::disallowed_methods,
    reason = "a build script has no settings; the value only ends up in a version text"
)]
fn given_commit() -> Option<String> {
    object_id(std::env::var("DOORWARD_BUILD_COMMIT").ok()?.trim())
}

/// Do the sources that are built differ from the commit? Only git knows; without it nobody does.
fn is_dirty() -> Option<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.parent()?;
    git_folder(root)?;
    for entry in fs::read_dir(root.join("crates")).ok()?.flatten() {
        for built in [
            "src",
            "templates",
            "assets",
            "locales",
            "migrations",
            "Cargo.toml",
        ] {
            let path = entry.path().join(built);
            if path.exists() {
                println!("cargo::rerun-if-changed={}", path.display());
            }
        }
    }
    println!("cargo::rerun-if-changed={}", root.join("Cargo.lock").display());
    let asked = std::process::Command::new("git")
        .args([
            "status",
            "--porcelain",
            "--",
            "crates",
            "Cargo.toml",
            "Cargo.lock",
        ])
        .current_dir(root)
        .output()
        .ok()?;
    asked.status.success().then_some(!asked.stdout.is_empty())
}

/// The commit that HEAD names, read from the repository's files.
fn commit() -> Option<String> {
    let git = git_folder(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let head_file = git.join("HEAD");
    println!("cargo::rerun-if-changed={}", head_file.display());
    let head = fs::read_to_string(&head_file).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else {
        return object_id(head.trim());
    };
    let shared = shared_folder(&git);
    let loose = shared.join(name);
    let packed = shared.join("packed-refs");
    // Only files that exist: a missing one would rerun this at every build.
    for file in [&loose, &packed].into_iter().filter(|file| file.exists()) {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    if let Some(id) = fs::read_to_string(&loose)
        .ok()
        .and_then(|text| object_id(text.trim()))
    {
        return Some(id);
    }
    let packed = fs::read_to_string(packed).ok()?;
    packed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, reference)| *reference == name)
        .and_then(|(id, _)| object_id(id))
}

/// `.git` of the repository that this crate is in; a worktree has a file that names its folder.
fn git_folder(from: &Path) -> Option<PathBuf> {
    let found = from
        .ancestors()
        .map(|folder| folder.join(".git"))
        .find(|git| git.exists())?;
    if found.is_dir() {
        return Some(found);
    }
    let text = fs::read_to_string(&found).ok()?;
    let folder = PathBuf::from(text.trim().strip_prefix("gitdir: ")?);
    Some(found.parent()?.join(folder))
}

/// Where references are: the main repository's folder, for a worktree.
fn shared_folder(git: &Path) -> PathBuf {
    match fs::read_to_string(git.join("commondir")) {
        Ok(folder) => git.join(folder.trim()),
        Err(_) => git.to_owned(),
    }
}

fn object_id(text: &str) -> Option<String> {
    let fits = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| text.to_owned())
}

/// Seconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a build script has neither settings nor a Clock port; both values only end up in a version text"
)]
fn built_at() -> u64 {
    let fixed = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|text| text.parse().ok());
    fixed.unwrap_or_else(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs())
    })
}

/// The civil date of a count of days since 1970 (the usual algorithm over 400-year eras that begin in March).
fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}
