//! `doorward user app-password`.

use serde_json::json;

use crate::support::Place;

const PASSWORD: &str = "plain-Harbour-52-violet";

fn with_alice_and_wiki() -> Place {
    let place = Place::new();
    place
        .run_with(
            &["user", "create", "alice", "--password-stdin"],
            &format!("{PASSWORD}\n"),
        )
        .ok();
    let wiki = [
        "application",
        "create",
        "wiki",
        "--allow-everyone",
        "--redirect-uri",
        "https://wiki.example/callback",
    ];
    place.run(&wiki).ok();
    place
}

#[test]
fn one_is_made_shown_once_listed_and_revoked() {
    let place = with_alice_and_wiki();
    let create = [
        "user",
        "app-password",
        "create",
        "alice",
        "--name",
        "Phone calendar",
        "--application",
        "wiki",
        "--expires",
        "90d",
    ];
    let made = place.json(&create);
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("dwk_") && secret.len() == 47, "{secret}");
    assert_eq!(made["name"], "Phone calendar");
    assert_eq!(made["user"], "alice");
    assert_eq!(made["every_site"], false);
    assert_eq!(made["applications"], json!(["wiki"]));
    assert_eq!(made["last_used_at"], json!(null));
    assert!(made["expires_at"].is_string() && made["live"] == true);

    let spoken = place
        .run(&["user", "app-password", "create", "alice", "--name", "Backup"])
        .ok();
    assert!(spoken.stdout.contains("dwk_") && spoken.stdout.contains("shown this once"));
    assert!(spoken.stdout.contains("every site") && spoken.stdout.contains("never"));

    let listed = place.json(&["user", "app-password", "list", "alice"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(listed[0]["id"], made["id"]);
    let table = place.run(&["user", "app-password", "list", "ALICE"]).ok();
    for word in ["Phone calendar", "Backup", "wiki", "every site", "never"] {
        assert!(table.stdout.contains(word), "{word} in {}", table.stdout);
    }
    assert!(!table.stdout.contains("dwk_") && !listed.to_string().contains("dwk_"));

    let revoked = place.json(&["user", "app-password", "revoke", "alice", "phone CALENDAR"]);
    assert_eq!(revoked["revoked"], "Phone calendar");
    assert_eq!(revoked["id"], made["id"]);
    let id = listed[1]["id"].as_str().unwrap();
    place.run(&["user", "app-password", "revoke", "alice", id]).ok();
    assert_eq!(place.json(&["user", "app-password", "list", "alice"]), json!([]));
    let empty = place.run(&["user", "app-password", "list", "alice"]).ok();
    assert!(empty.stdout.contains("no app passwords"));
    let events = place.json(&["event", "list"]).to_string();
    assert!(events.contains("app_password_made") && events.contains("app_password_revoked"));
    assert!(!events.contains(&secret) && !events.contains("dwk_"));
}

#[test]
fn a_new_password_revokes_them_and_a_service_may_have_one() {
    let place = with_alice_and_wiki();
    place
        .run(&["user", "create", "backup-job", "--kind", "service"])
        .ok();
    for user in ["alice", "backup-job"] {
        place.json(&["user", "app-password", "create", user, "--name", "nightly"]);
    }
    place
        .run_with(
            &["user", "password", "alice", "--password-stdin"],
            "other-Harbour-52-violet\n",
        )
        .ok();
    let left = |user| {
        let listed = place.json(&["user", "app-password", "list", user]);
        listed.as_array().unwrap().len()
    };
    assert_eq!((left("alice"), left("backup-job")), (0, 1));
}

#[test]
fn mistakes_name_what_is_wrong_and_make_nothing() {
    let place = with_alice_and_wiki();
    let create = |more: &[&str]| {
        let mut arguments = vec!["user", "app-password", "create"];
        arguments.extend(more);
        place.run(&arguments)
    };
    create(&["alise", "--name", "a"]).failed(3, &["did you mean `alice`"]);
    create(&["alice"]).failed(2, &["--name"]);
    create(&["alice", "--name", ""]).failed(1, &["name"]);
    create(&["alice", "--name", "a", "--application", "wikki"]).failed(3, &["wikki"]);
    create(&["alice", "--name", "a", "--expires", "soon"]).failed(2, &["soon", "14d"]);
    create(&["alice", "--name", "a", "--expires", "0s"]).failed(1, &["expires"]);
    assert_eq!(place.json(&["user", "app-password", "list", "alice"]), json!([]));
    create(&["alice", "--name", "Backup"]).ok();
    create(&["alice", "--name", "backup"]).failed(1, &["taken"]);
    place
        .run(&["user", "app-password", "revoke", "alice", "Backap"])
        .failed(3, &["did you mean `Backup`"]);
    place.run(&["user", "delete", "alice"]).ok();
    create(&["alice", "--name", "late"]).failed(3, &["alice"]);
}
