//! What no committed file may contain, whatever its kind: paths of one machine, hosts of package registries, and the way of
//! telling PostgreSQL who asks that does not work.

use super::Problem;
use crate::workspace::Workspace;

/// Folders that exist on one machine only.
const MACHINE_FOLDERS: &[&str] = &["/home/", "/root/", "/work/", "/Users/"];

/// In two halves, so that this list does not find itself.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("registry.", "yarnpkg.com"),
    concat!("pypi", ".org"),
    concat!("files.", "pythonhosted.org"),
    concat!("deb.", "debian.org"),
];

const THIS_FILE: &str = "xtask/src/tidy/text.rs";

pub(super) fn problems(workspace: &Workspace, files: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for path in files.iter().filter(|path| path.as_str() != THIS_FILE) {
        // What is not UTF-8 is a picture or a fuzz seed; it has no lines to complain about.
        let Ok(text) = workspace.read(path) else { continue };
        for (at, line) in text.lines().enumerate() {
            problems.extend(
                complaints(line)
                    .into_iter()
                    .map(|text| Problem::new(path, at + 1, text)),
            );
        }
    }
    problems
}

/// What is wrong with one line.
pub(super) fn complaints(line: &str) -> Vec<String> {
    let folders = MACHINE_FOLDERS
        .iter()
        .filter(|folder| names_machine_folder(line, folder))
        .map(|folder| format!("a path of one machine ({folder}…)"));
    let hosts = REGISTRY_HOSTS
        .iter()
        .filter(|host| line.contains(*host))
        .map(|host| {
            format!("the host of a package registry ({host}): let the client's own settings name it")
        });
    let settings = sets_locally(line).then(|| {
        "`set local` takes no parameter: use `select set_config('app.…', $1, true)` in the same transaction \
         (doorward_guard::rls)"
            .to_owned()
    });
    folders.chain(hosts).chain(settings).collect()
}

/// Whether a line sets one of the settings that row-level security reads by a statement that takes no parameters: with the
/// prepared protocol it fails, and without it an id ends up in the text of a statement.
fn sets_locally(line: &str) -> bool {
    let words: Vec<String> = line.split_whitespace().map(str::to_ascii_lowercase).collect();
    words.windows(3).any(|three| {
        matches!(three, [set, local, name] if set.ends_with("set") && local == "local"
            && name.trim_start_matches(['"', '\\']).starts_with("app."))
    })
}

/// Whether the folder stands at the start of a path rather than inside one (`https://x.example/work/` is fine).
fn names_machine_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|letter| letter.is_alphanumeric() || ".}-_~>*".contains(letter))
    })
}
