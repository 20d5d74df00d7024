//! Every rule is shown a text that breaks it and one that keeps it.

use super::source::{engine_match_line, is_sql};
use super::{RustFile, crates, docs, graph, migrations, source, text};
use crate::scan::scan;
use crate::workspace::{Package, Workspace};

fn package(name: &str, dependencies: &str) -> Package {
    let manifest_text = format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{dependencies}");
    let manifest = manifest_text.parse().expect("the test writes TOML");
    Package {
        name: name.to_owned(),
        folder: format!("crates/{name}"),
        manifest,
        manifest_text,
    }
}

fn complaints(packages: &[Package]) -> Vec<String> {
    crates::problems(packages)
        .into_iter()
        .map(|problem| format!("{}: {}", problem.line, problem.text))
        .collect()
}

fn rust(path: &str, source: &str) -> RustFile {
    RustFile {
        path: path.to_owned(),
        source: source.to_owned(),
        scan: scan(source),
    }
}

fn texts(problems: Vec<super::Problem>) -> Vec<String> {
    problems.into_iter().map(|problem| problem.text).collect()
}

#[test]
fn a_crate_uses_only_the_crates_below_it() {
    let upward = package(
        "doorward-domain",
        "[dependencies]\ndoorward-core.workspace = true\n",
    );
    assert_eq!(
        complaints(&[upward]),
        ["6: doorward-domain must not use doorward-core: it may use nothing of ours"]
    );
    let downward = package(
        "doorward-oidc",
        "[dependencies]\ndoorward-domain.workspace = true\n",
    );
    assert!(complaints(&[downward]).is_empty());
}

#[test]
fn rules_know_no_async_no_randomness_no_database_and_no_http() {
    for (name, dependency) in [
        ("doorward-domain", "tokio"),
        ("doorward-oidc", "aws-lc-rs"),
        ("doorward-crypto", "rusqlite"),
        ("doorward-core", "axum"),
        ("doorward-web", "tokio-postgres"),
        ("doorward-store", "argon2"),
    ] {
        let found = complaints(&[package(
            name,
            &format!("[dependencies]\n{dependency}.workspace = true\n"),
        )]);
        assert_eq!(found.len(), 1, "{name} with {dependency}: {found:?}");
    }
}

#[test]
fn a_dependency_hidden_by_renaming_or_under_a_target_is_found() {
    let renamed = package(
        "doorward-domain",
        "[dependencies]\nruntime = { package = \"tokio\", version = \"1\" }\n",
    );
    assert_eq!(complaints(&[renamed]).len(), 1);
    let target = package(
        "doorward-domain",
        "[target.'cfg(unix)'.dependencies]\ntokio = \"1\"\n",
    );
    assert_eq!(complaints(&[target]).len(), 1);
}

#[test]
fn tests_may_know_more_than_the_code() {
    let dev = package("doorward-domain", "[dev-dependencies]\ntokio = \"1\"\n");
    assert!(complaints(&[dev]).is_empty());
}

#[test]
fn a_crate_that_is_not_in_the_table_is_reported() {
    assert_eq!(complaints(&[package("doorward-new", "")]).len(), 1);
}

#[test]
fn a_crate_without_the_lint_table_is_reported() {
    let mut bare = package("doorward-domain", "");
    bare.manifest.remove("lints");
    assert_eq!(complaints(&[bare]), ["0: has no `[lints] workspace = true`"]);
}

#[test]
fn banned_crates_are_found_by_their_whole_name() {
    let names: Vec<&str> = graph::banned("serde v1\nring v0.17.14\nrsa-keys v1\nstring v1\n")
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["ring"]);
}

#[test]
fn statements_are_told_from_sentences() {
    for sql in [
        "SELECT id FROM users WHERE id = $1",
        "  select *\n from users",
        "INSERT INTO users (id) VALUES ($1)",
        "UPDATE users SET active = $1",
        "DELETE FROM users",
        "CREATE TABLE users (id)",
    ] {
        assert!(is_sql(sql), "{sql}");
    }
    for sentence in [
        "Select one from the list",
        "Update",
        "delete this user from the group",
        "Create table",
        "",
        "Set",
    ] {
        assert!(!is_sql(sentence), "{sentence}");
    }
}

#[test]
fn sql_outside_the_store_is_reported_with_its_line_and_inside_it_is_not() {
    let text = "//! Doc.\nfn f() {\n    q(\"DELETE FROM users\");\n}\n";
    let found = source::problems(&[rust("crates/doorward-core/src/a.rs", text)]);
    assert_eq!(found.iter().map(|problem| problem.line).collect::<Vec<_>>(), [3]);
    assert!(source::problems(&[rust("crates/doorward-store/src/a.rs", text)]).is_empty());
}

#[test]
fn a_file_says_first_what_lives_in_it() {
    assert_eq!(
        source::problems(&[rust("crates/a/src/b.rs", "use std::fmt;\n")]).len(),
        1
    );
    assert!(source::problems(&[rust("crates/a/src/b.rs", "#![no_std]\n\n//! Doc.\n")]).is_empty());
}

#[test]
fn a_file_over_the_limit_is_reported_unless_it_holds_tests() {
    let long = format!("//! Doc.\n{}", "fn f() {}\n".repeat(601));
    assert_eq!(source::problems(&[rust("crates/a/src/b.rs", &long)]).len(), 1);
    assert!(source::problems(&[rust("crates/a/src/b_tests.rs", &long)]).is_empty());
    assert!(source::problems(&[rust("crates/a/tests/b.rs", &long)]).is_empty());
    let commented = format!(
        "//! Doc.\n{}{}",
        "// why\n\n".repeat(400),
        "fn f() {}\n".repeat(600)
    );
    assert!(source::problems(&[rust("crates/a/src/b.rs", &commented)]).is_empty());
}

#[test]
fn unfinished_work_in_a_comment_is_reported() {
    let text = format!("//! Doc.\n// {}: later\n", concat!("TO", "DO"));
    assert_eq!(source::problems(&[rust("crates/a/src/b.rs", &text)]).len(), 1);
}

#[test]
fn the_engine_is_matched_in_one_file() {
    let arms = "//! Doc.\nfn f() {\n    match self {\n        Engine::Sqlite(a) => a,\n        Engine::Postgres(b) => b,\n    }\n}\n";
    assert_eq!(engine_match_line(arms), Some(4));
    assert_eq!(engine_match_line("Engine::Sqlite(a) => a,\n"), None);
    let one = || rust("crates/doorward-store/src/engine.rs", arms);
    assert!(source::problems(&[one()]).is_empty());
    assert_eq!(
        source::problems(&[one(), rust("crates/doorward-store/src/users.rs", arms)]).len(),
        1
    );
}

#[test]
fn migrations_are_numbered_from_one_without_gaps() {
    assert!(migrations::numbering(&["0001_start.sql", "0002_more.sql"]).is_empty());
    assert_eq!(
        texts(migrations::numbering(&["0001_start.sql", "0003_more.sql"])),
        ["number 0003 follows 0001: no gaps"]
    );
    assert_eq!(migrations::numbering(&["0001_a.sql", "0001_b.sql"]).len(), 1);
    assert_eq!(migrations::numbering(&["1_a.sql"]).len(), 1);
}

#[test]
fn a_migration_for_one_engine_needs_its_counterpart() {
    assert!(migrations::numbering(&["0001_a.postgres.sql", "0001_a.sqlite.sql"]).is_empty());
    assert_eq!(migrations::numbering(&["0001_a.sqlite.sql"]).len(), 1);
    assert_eq!(
        migrations::numbering(&["0001_a.postgres.sql", "0001_b.sqlite.sql"]).len(),
        1
    );
}

#[test]
fn a_released_migration_is_neither_edited_nor_removed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let migrations_folder = folder.path().join("crates/doorward-store/migrations");
    std::fs::create_dir_all(&migrations_folder).expect("folders");
    std::fs::write(migrations_folder.join("0001_a.sql"), "one\n").expect("a file");
    let workspace = Workspace::at(folder.path());
    let check = |list: &str| {
        std::fs::write(migrations_folder.join("RELEASED"), list).expect("the list");
        let files = ["0001_a.sql", "RELEASED"].map(|name| format!("crates/doorward-store/migrations/{name}"));
        texts(migrations::problems(&workspace, &files).expect("git is there"))
    };
    // The blob id of "one\n".
    assert!(check("# released\n5626abf0f72e58d7a153368ba57db4c673c0e171 0001_a.sql\n").is_empty());
    assert_eq!(
        check("0000000000000000000000000000000000000000 0001_a.sql\n"),
        ["was released and has been edited: put the change into a new migration"]
    );
    assert_eq!(
        check("5626abf0f72e58d7a153368ba57db4c673c0e171 0002_b.sql\n"),
        ["was released and is gone: restore it"]
    );
}

#[test]
fn machine_paths_and_registry_hosts_are_found_and_web_addresses_are_not() {
    let home = format!("cd {}alice/doorward", concat!("/ho", "me/"));
    assert_eq!(text::complaints(&home).len(), 1);
    assert_eq!(
        text::complaints(&format!(
            "\"resolved\": \"https://{}/x\"",
            concat!("registry.", "npmjs.org")
        ))
        .len(),
        1
    );
    assert!(text::complaints("https://wiki.example/home/page and ./work/ and $dir/root/x").len() <= 1);
    assert!(text::complaints("GET https://wiki.example/home/page").is_empty());
    assert!(text::complaints("crates.io is a registry").is_empty());
}

#[test]
fn nobody_tells_postgresql_who_asks_without_a_parameter() {
    // In two halves, so that the rule does not find its own test.
    let local = concat!("SET ", "LOCAL");
    for line in [
        format!("{local} app.current_user_id = $1"),
        format!(
            "query(\"{}  app.current_workspace_id = 'w'\")",
            local.to_lowercase()
        ),
        format!("x := '{local} \"app.current_user_id\" TO 1'"),
    ] {
        assert_eq!(text::complaints(&line).len(), 1, "{line}");
    }
    for line in [
        "select set_config('app.current_user_id', $1, true)".to_owned(),
        format!("{local} statement_timeout = 50"),
        format!("`{local}` takes no parameter"),
    ] {
        assert!(text::complaints(&line).is_empty(), "{line}");
    }
}

#[test]
fn links_are_read_outside_code_only() {
    let markdown = "See [a](b.md) and `[c](d.md)`.\n```\n[e](f.md)\n```\n[g](h.md#i \"title\")\n";
    let found: Vec<(usize, String)> = docs::links(markdown)
        .into_iter()
        .map(|link| (link.line, link.target))
        .collect();
    assert_eq!(found, [(1, "b.md".to_owned()), (5, "h.md#i".to_owned())]);
}

#[test]
fn links_resolve_from_the_folder_of_their_file() {
    assert_eq!(
        docs::resolve("docs/guides/a.md", "../b.md").as_deref(),
        Some("docs/b.md")
    );
    assert_eq!(docs::resolve("a.md", "docs/./b.md").as_deref(), Some("docs/b.md"));
    assert_eq!(docs::resolve("a.md", "../b.md"), None);
}

#[test]
fn headings_become_anchors() {
    assert_eq!(
        docs::headings("# What it is\n## `doorward user`, and more\n"),
        ["what-it-is", "doorward-user-and-more"]
    );
}

#[test]
fn a_link_to_nothing_is_a_problem() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(
        folder.path().join("a.md"),
        "# A\n[x](b.md) [y](a.md#a) [z](#b) [w](https://x.example)\n",
    )
    .expect("a file");
    let found = docs::problems(&Workspace::at(folder.path()), &["a.md".to_owned()]).expect("readable");
    assert_eq!(
        texts(found),
        [
            "link to `b.md`: there is no b.md",
            "link to `#b`: a.md has no heading `#b`"
        ]
    );
}
