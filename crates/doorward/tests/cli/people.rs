//! Users, groups, sessions, recovery.

use serde_json::json;

use crate::support::Place;

const PASSWORD: &str = "plain-Harbour-52-violet";

fn with_alice() -> Place {
    let place = Place::new();
    place.run(&["group", "create", "staff"]).ok();
    let arguments = [
        "user",
        "create",
        "alice",
        "--email",
        "alice@example.org",
        "--name",
        "Alice",
        "--password-stdin",
        "--group",
        "staff",
    ];
    place.run_with(&arguments, &format!("{PASSWORD}\n")).ok();
    place
}

#[test]
fn a_user_is_made_with_everything_and_printed() {
    let place = Place::new();
    place.run(&["group", "create", "staff"]).ok();
    let ran = place
        .run_with(
            &[
                "user",
                "create",
                "alice",
                "--email",
                "alice@example.org",
                "--email-verified",
                "--name",
                "Alice Example",
                "--password-stdin",
                "--group",
                "staff",
                "--kind",
                "external",
                "--attribute",
                "quota=10",
                "--attribute",
                "team=sales",
                "--locale",
                "de",
                "--json",
            ],
            &format!("{PASSWORD}\r\n"),
        )
        .ok();
    let user = ran.json();
    assert_eq!(user["username"], "alice");
    assert_eq!(user["name"], "Alice Example");
    assert_eq!(user["email"], "alice@example.org");
    assert_eq!(user["email_verified"], true);
    assert_eq!(user["kind"], "external");
    assert_eq!(user["active"], true);
    assert_eq!(user["groups"], json!(["staff"]));
    assert_eq!(user["attributes"], json!({ "quota": 10, "team": "sales" }));
    assert_eq!(user["locale"], "de");
    assert_eq!(user["has_password"], true);
    assert_eq!(user["superuser"], false);
    assert!(user["id"].is_string() && user["created_at"].as_str().unwrap().ends_with('Z'));
    assert!(!ran.stdout.contains(PASSWORD) && !ran.stdout.contains("argon2"));
    assert_eq!(place.json(&["user", "show", "ALICE@example.org"]), user);
}

#[test]
fn a_user_is_changed_switched_off_deleted_and_restored() {
    let place = with_alice();
    let changed = place.json(&[
        "user",
        "update",
        "alice",
        "--name",
        "A. Example",
        "--attribute",
        "a={\"b\":1}",
        "--email",
        "",
    ]);
    assert_eq!(changed["name"], "A. Example");
    assert_eq!(changed["attributes"], json!({ "a": { "b": 1 } }));
    assert_eq!(changed["email"], serde_json::Value::Null);
    let changed = place.json(&["user", "update", "alice", "--attribute", "a=null"]);
    assert_eq!(changed["attributes"], json!({}));
    assert_eq!(place.json(&["user", "deactivate", "alice"])["active"], false);
    assert_eq!(place.json(&["user", "activate", "alice"])["active"], true);
    assert_eq!(
        place.json(&["user", "update", "alice", "--active", "false"])["active"],
        false
    );
    place.json(&["user", "activate", "alice"]);

    let gone = place.json(&["user", "delete", "alice"]);
    assert_eq!(gone["deleted"], "alice");
    place.run(&["user", "show", "alice"]).failed(3, &["alice"]);
    assert_eq!(place.json(&["user", "list"]), json!([]));
    let bin = place.json(&["user", "list", "--deleted"]);
    assert_eq!(bin[0]["username"], "alice");
    assert!(bin[0]["deleted_at"].is_string());
    let back = place.json(&["user", "restore", "alice"]);
    assert_eq!(
        back["groups"],
        json!(["staff"]),
        "memberships come back with the user"
    );
    place
        .run(&["user", "restore", "alice"])
        .failed(3, &["no deleted user"]);
}

#[test]
fn two_deleted_users_of_one_name_are_told_apart_by_id() {
    let place = Place::new();
    for _ in 0..2 {
        place.run(&["user", "create", "bob"]).ok();
        place.run(&["user", "delete", "bob", "--yes"]).ok();
    }
    let ran = place.run(&["user", "restore", "bob"]).failed(1, &["give the id"]);
    let id = ran.stderr.trim().rsplit(", ").next().unwrap().to_owned();
    let back = place.json(&["user", "restore", &id]);
    assert_eq!(back["id"], id.as_str());
}

#[test]
fn a_password_is_set_from_standard_input_and_never_shown() {
    let place = with_alice();
    let ran = place
        .run_with(
            &["user", "password", "alice", "--password-stdin"],
            "another-Lantern-63-oak\n",
        )
        .ok();
    assert!(!ran.stdout.contains("another-Lantern"));
    place
        .run_with(&["user", "password", "alice", "--password-stdin"], "short\n")
        .failed(1, &["password"]);
    place
        .run_with(&["user", "password", "alice", "--password-stdin"], "\n")
        .failed(1, &["standard input", "password"]);
    place
        .run_with(
            &["user", "password", "alice", "--password-stdin"],
            &"x".repeat(10_000),
        )
        .failed(1, &["longer than"]);
    place
        .run(&["user", "password", "alice"])
        .failed(2, &["--password-stdin"]);
}

#[test]
fn mistakes_with_users_name_the_field_and_change_nothing() {
    let place = with_alice();
    let other = |arguments: &[&str]| place.run(arguments);
    other(&["user", "create", "alice"]).failed(1, &["alice", "taken"]);
    other(&["user", "create", "bob", "--email", "ALICE@example.org"]).failed(1, &["email"]);
    other(&["user", "create", "bob", "--email", "nonsense"]).failed(1, &["email", "nonsense"]);
    other(&["user", "create", "bo b"]).failed(1, &["username"]);
    other(&["user", "create", "bob", "--group", "stuff"])
        .failed(3, &["no group `stuff`", "did you mean `staff`?"]);
    other(&["user", "create", "bob", "--kind", "robot"]).failed(2, &["robot", "internal"]);
    other(&["user", "create", "bob", "--attribute", "novalue"]).failed(2, &["NAME=VALUE"]);
    other(&["user", "create", "bob", "--email-verified"]).failed(2, &["--email"]);
    other(&["user", "show", "alicia"]).failed(3, &["did you mean `alice`?"]);
    other(&["user", "delete", "nobody-here"]).failed(3, &["nobody-here"]);
    other(&["user", "show", "bob"]).failed(3, &["bob"]);
    assert_eq!(place.json(&["user", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_name_cannot_move_the_cursor_of_the_terminal() {
    let place = Place::new();
    place
        .run(&["user", "create", "mallory", "--attribute", "note=\u{1b}[2Jboo"])
        .ok();
    let ran = place.run(&["user", "show", "mallory"]).ok();
    assert!(!ran.stdout.contains('\u{1b}'), "{ran:?}");
}

#[test]
fn users_are_listed_by_page_and_found_by_text() {
    let place = Place::new();
    for name in ["ann", "ben", "cid"] {
        place
            .run(&["user", "create", name, "--email", &format!("{name}@example.org")])
            .ok();
    }
    let first = place.json(&["user", "list", "--limit", "2"]);
    assert_eq!(first.as_array().unwrap().len(), 2);
    let last = first[1]["id"].as_str().unwrap();
    let second = place.json(&["user", "list", "--limit", "2", "--after", last]);
    assert_eq!(second[0]["username"], "cid");
    assert_eq!(
        place.json(&["user", "list", "--search", "BEN@"])[0]["username"],
        "ben"
    );
    let people = place.run(&["user", "list", "--limit", "2"]).ok();
    assert!(people.stdout.starts_with("USERNAME"), "{people:?}");
    assert!(people.stderr.contains("--after"), "{people:?}");
    let none = place.run(&["user", "list", "--search", "nobody"]).ok();
    assert_eq!(none.stdout, "There are no such users.\n");
}

#[test]
fn groups_have_parents_members_and_come_back_from_the_bin() {
    let place = with_alice();
    place.run(&["user", "create", "bob"]).ok();
    let made = place.json(&[
        "group",
        "create",
        "developers",
        "--parent",
        "staff",
        "--attribute",
        "role=dev",
    ]);
    assert_eq!(made["parents"], json!(["staff"]));
    assert_eq!(made["superuser"], false);
    assert_eq!(made["attributes"], json!({ "role": "dev" }));
    let added = place.json(&["group", "member", "add", "developers", "alice", "bob"]);
    assert_eq!(added, json!({ "group": "developers", "added": ["alice", "bob"] }));
    let again = place.run(&["group", "member", "add", "developers", "bob"]).ok();
    assert!(again.stdout.contains("already"), "{again:?}");
    let bob = place.json(&["user", "show", "bob"]);
    assert_eq!(bob["groups"], json!(["developers"]));
    assert_eq!(bob["effective_groups"], json!(["developers", "staff"]));
    let members = place.json(&["group", "member", "list", "developers"]);
    assert_eq!(members.as_array().unwrap().len(), 2);
    place
        .run(&["group", "member", "add", "developers", "alice", "nobdy"])
        .failed(3, &["nobdy"]);

    place.run(&["group", "delete", "developers"]).ok();
    assert_eq!(place.json(&["user", "show", "bob"])["groups"], json!([]));
    assert_eq!(
        place.json(&["group", "list", "--deleted"])[0]["name"],
        "developers"
    );
    place.run(&["group", "restore", "developers"]).ok();
    assert_eq!(
        place.json(&["user", "show", "bob"])["groups"],
        json!(["developers"])
    );
    let removed = place.json(&["group", "member", "remove", "developers", "bob", "alice"]);
    assert_eq!(removed["removed"], json!(["bob", "alice"]));

    let renamed = place.json(&[
        "group",
        "update",
        "developers",
        "--name",
        "makers",
        "--no-parents",
    ]);
    assert_eq!(
        (&renamed["name"], &renamed["parents"]),
        (&json!("makers"), &json!([]))
    );
    place
        .run(&["group", "update", "staff", "--parent", "staff"])
        .failed(1, &["parent"]);
    place
        .run(&["group", "create", "Staff"])
        .failed(1, &["Staff", "exists"]);
    place
        .run(&["group", "show", "maker"])
        .failed(3, &["did you mean `makers`?"]);
}

#[test]
fn the_last_administrator_stays() {
    let place = Place::new();
    place.run(&["group", "create", "admins", "--superuser"]).ok();
    place
        .run_with(
            &["user", "create", "root", "--password-stdin", "--group", "admins"],
            &format!("{PASSWORD}\n"),
        )
        .ok();
    for arguments in [
        &["user", "delete", "root"][..],
        &["user", "deactivate", "root"],
        &["group", "delete", "admins"],
        &["group", "update", "admins", "--superuser=false"],
        &["group", "member", "remove", "admins", "root"],
        &["user", "update", "root", "--kind", "service"],
    ] {
        let ran = place.run(arguments).failed(1, &["administrator"]);
        assert_eq!(ran.stdout, "");
    }
    let root = place.json(&["user", "show", "root"]);
    assert_eq!(
        (&root["superuser"], &root["active"]),
        (&json!(true), &json!(true))
    );
}

#[test]
fn a_lost_administrator_gets_a_link() {
    let place = Place::new();
    place
        .run(&["recover"])
        .failed(3, &["no administrator", "--make-administrator"]);
    place.run(&["user", "create", "bob"]).ok();
    place
        .run(&["recover", "--user", "bob"])
        .failed(1, &["--make-administrator"]);
    let made = place.json(&["recover", "--user", "bob", "--make-administrator"]);
    assert_eq!(made["user"], "bob");
    assert!(
        made["link"]
            .as_str()
            .unwrap()
            .starts_with("http://localhost:9000/recover/")
    );
    let only = place.json(&["recover"]);
    assert_eq!(only["user"], "bob", "the only administrator needs no name");
    assert_ne!(only["link"], made["link"]);
    assert_eq!(place.json(&["user", "show", "bob"])["superuser"], true);
    let plain = place.run(&["recover", "bob"]).ok();
    assert!(plain.stdout.contains("/recover/"), "{plain:?}");
    let events = place.json(&["event", "list", "--kind", "link_issued"]);
    assert_eq!(events.as_array().unwrap().len(), 3);
    let token = made["link"].as_str().unwrap().rsplit('/').next().unwrap();
    assert!(!events.to_string().contains(token), "events hold no link");
}

#[test]
fn the_session_rule_is_shown_and_changed() {
    let place = with_alice();
    assert_eq!(
        place.json(&["session", "policy"]),
        json!({ "lifetime": "2w", "idle": null, "away": "1d" })
    );
    let changed = place.json(&["session", "policy", "--lifetime", "7d", "--idle", "2h"]);
    assert_eq!(changed, json!({ "lifetime": "1w", "idle": "2h", "away": "1d" }));
    let changed = place.json(&["session", "policy", "--idle", "none"]);
    assert_eq!(changed, json!({ "lifetime": "1w", "idle": null, "away": "1d" }));
    place
        .run(&["session", "policy", "--lifetime", "10s"])
        .failed(1, &["lifetime"]);
    place
        .run(&["session", "policy", "--idle", "soon"])
        .failed(2, &["--idle", "none"]);
    assert_eq!(place.json(&["session", "list", "--user", "alice"]), json!([]));
    let none = "01900000-0000-7000-8000-000000000000";
    place.run(&["session", "end", none]).failed(3, &[none]);
    place.run(&["session", "end"]).failed(2, &[]);
    place.run(&["session", "end", "--all"]).failed(2, &["--user"]);
    place
        .run(&["session", "end", "--user", "alice", "--id", "x"])
        .failed(2, &["id"]);
    assert_eq!(
        place.json(&["session", "end", "--user", "alice", "--all"]),
        json!({ "ended": 0 })
    );
}

#[test]
fn grants_events_and_jobs_have_their_empty_states() {
    let place = with_alice();
    place
        .run(&[
            "application",
            "create",
            "wiki",
            "--public",
            "--redirect-uri",
            "https://w.example/cb",
        ])
        .ok();
    assert_eq!(place.json(&["grant", "list", "--user", "alice"]), json!([]));
    place
        .run(&["grant", "revoke", "--user", "alice", "--application", "wiki"])
        .failed(3, &["allowed `wiki` nothing"]);
    assert_eq!(place.json(&["job", "list"]), json!([]));
    place
        .run(&["job", "retry", "01900000-0000-7000-8000-000000000000"])
        .failed(3, &["given up"]);
    let events = place.json(&["event", "list", "--user", "alice"]);
    assert_eq!(events[0]["kind"], "user_changed");
    assert_eq!(events[0]["user"], "alice");
    let one = place.json(&["event", "list", "--limit", "1"]);
    assert_eq!(one[0]["application"], "wiki");
    let next = place.json(&["event", "list", "--after", one[0]["id"].as_str().unwrap()]);
    assert!(
        next.as_array()
            .unwrap()
            .iter()
            .all(|event| event["id"] != one[0]["id"])
    );
    place
        .run(&["event", "list", "--kind", "nonsense"])
        .failed(2, &["nonsense"]);
}
