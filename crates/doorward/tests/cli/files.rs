//! The data folder, the key file, and databases that cannot be used.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::support::Place;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_command_on_nothing_makes_a_folder_and_a_key_for_the_owner_only() {
    let place = Place::new();
    place.run(&["user", "list"]).ok();
    assert_eq!(mode(&place.path("doorward-data")), 0o700);
    assert_eq!(mode(&place.path("doorward-data/doorward.key")), 0o600);
    assert_eq!(mode(&place.path("doorward-data/doorward.db")), 0o600);
}

#[test]
fn many_commands_at_once_on_a_new_folder_agree_on_one_key() {
    let place = Place::new();
    let running: Vec<_> = (0..8)
        .map(|index| {
            let name = format!("group-{index}");
            place
                .command(&["group", "create", &name, "--json"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let groups = place.json(&["group", "list"]);
    assert_eq!(groups.as_array().unwrap().len(), 8);
    let keys = place.json(&["key", "list"]);
    let signing = keys
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| key["state"] == "signing")
        .count();
    assert_eq!(signing, 4);
    let left: Vec<_> = fs::read_dir(place.path("doorward-data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".doorward-key"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_missing_key_file_of_a_used_database_is_not_made_anew() {
    let place = Place::new();
    place.run(&["user", "create", "alice"]).ok();
    let key = place.path("doorward-data/doorward.key");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    place
        .run(&["user", "list"])
        .failed(1, &["doorward.key", "missing", "restore"]);
    assert!(!key.exists(), "no new key was made");
    let doctor = place.run(&["doctor"]);
    assert_eq!(doctor.code, 1, "{doctor:?}");
    assert!(doctor.stdout.contains("missing"), "{doctor:?}");
    fs::write(&key, kept).unwrap();
    place.run(&["user", "show", "alice"]).ok();
}

#[test]
fn the_key_file_of_another_installation_is_refused_with_a_sentence() {
    let place = Place::new();
    place.run(&["user", "list"]).ok();
    let other = Place::new();
    other.run(&["user", "list"]).ok();
    fs::copy(
        other.path("doorward-data/doorward.key"),
        place.path("doorward-data/doorward.key"),
    )
    .unwrap();
    place
        .run(&["user", "list"])
        .failed(1, &["key file", "does not belong"]);
    assert_eq!(
        fs::read(place.path("doorward-data/doorward.key")).unwrap(),
        fs::read(other.path("doorward-data/doorward.key")).unwrap(),
        "a key file that was there is never removed"
    );
    let doctor = place.run(&["doctor", "--json"]);
    assert_eq!(doctor.code, 1, "{doctor:?}");
    assert_eq!(doctor.json()["ok"], false);
}

#[test]
fn a_damaged_key_file_is_named_and_not_shown() {
    let place = Place::new();
    place.run(&["user", "list"]).ok();
    let key = place.path("doorward-data/doorward.key");
    fs::write(&key, "doorward-key-1:half-of-a-secret\n").unwrap();
    let ran = place.run(&["user", "list"]).failed(1, &["doorward.key"]);
    assert!(!ran.stderr.contains("half-of-a-secret"), "{ran:?}");
}

#[test]
fn a_key_file_that_everybody_can_read_is_warned_about() {
    let place = Place::new();
    place.run(&["user", "list"]).ok();
    let key = place.path("doorward-data/doorward.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = place.run(&["user", "list"]).ok();
    assert!(
        ran.stderr.contains("doorward.key") && ran.stderr.contains("chmod"),
        "{ran:?}"
    );
}

#[test]
fn a_data_folder_that_is_a_file_is_one_sentence() {
    let place = Place::new();
    place.write("doorward-data", "not a folder");
    place
        .run(&["user", "list"])
        .failed(1, &["doorward-data", "data_dir"]);
}

#[test]
fn a_file_that_is_no_database_is_one_sentence_and_stays() {
    let place = Place::new();
    let file = place.write("notes.db", &"these are my notes, not a database\n".repeat(100));
    let before = fs::read(&file).unwrap();
    place
        .run(&["user", "list", "--database-url", "sqlite:notes.db"])
        .failed(1, &["notes.db"]);
    assert_eq!(fs::read(&file).unwrap(), before);
    assert!(
        !place.path("doorward-data/doorward.key").exists(),
        "no key for it"
    );
}

#[test]
fn an_absent_database_ends_with_4_and_tells_no_password() {
    let place = Place::new().with_env(
        "DOORWARD_DATABASE_URL",
        "postgres://doorward:hunter22@127.0.0.1:1/doorward",
    );
    let ran = place.run(&["user", "list", "--json"]).failed(4, &["127.0.0.1:1"]);
    assert_eq!(ran.json()["error"]["kind"], "unavailable");
    assert!(!ran.stdout.contains("hunter22") && !ran.stderr.contains("hunter22"));
    assert!(
        !place.path("doorward-data/doorward.key").exists(),
        "no key for a database that may have keys already"
    );
    let doctor = place.run(&["doctor"]);
    assert_eq!(doctor.code, 4, "{doctor:?}");
    assert!(!doctor.stdout.contains("hunter22"));
}
