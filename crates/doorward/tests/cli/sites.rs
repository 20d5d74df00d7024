//! Sites of applications, tables of them, break glass, and why a URL is answered as it is.

use serde_json::json;

use crate::support::Place;

const WIKI: &str = "https://wiki.example.org/";

fn with_people() -> Place {
    let place = Place::new();
    for group in ["staff", "ops"] {
        place.run(&["group", "create", group]).ok();
    }
    place.run(&["user", "create", "alice", "--group", "staff"]).ok();
    place
        .run(&["user", "create", "olga", "--group", "staff", "--group", "ops"])
        .ok();
    place.run(&["user", "create", "bob"]).ok();
    place
}

fn wiki(place: &Place) {
    let made = place.json(&[
        "application",
        "create",
        "wiki",
        "--site",
        "https://Wiki.example.org",
        "--allow-group",
        "staff",
        "--rule",
        "public GET /static",
        "--rule",
        "group:ops,user:bob /ops",
        "--rule",
        "deny /shut/**",
        "--jwt-header",
        "on",
    ]);
    let site = made.pointer("/sites/0").unwrap();
    let field = |name: &str| site.get(name).unwrap();
    assert_eq!(field("url"), WIKI);
    let rules = field("rules").as_array().unwrap();
    let [first, second, third] = rules.as_slice() else {
        panic!("{rules:?}")
    };
    assert_eq!(
        (first, third),
        (&json!("public GET /static"), &json!("deny /shut/**"))
    );
    assert!(
        second.as_str().unwrap().starts_with("group:ops,user:"),
        "{rules:?}"
    );
    assert_eq!(
        (field("jwt_header"), field("authentik_headers"), field("isolated")),
        (&json!(true), &json!(false), &json!(false))
    );
    assert_eq!(
        made.get("client_secret"),
        None,
        "a site alone needs no client: {made}"
    );
}

#[test]
fn an_application_has_sites_with_rules_that_are_changed_and_taken_away() {
    let place = with_people();
    wiki(&place);
    let changed = place.json(&[
        "application",
        "update",
        "wiki",
        "--add-rule",
        "everyone /lobby",
        "--isolated",
        "on",
    ]);
    assert_eq!(changed["sites"][0]["rules"].as_array().unwrap().len(), 4);
    assert_eq!(
        (
            &changed["sites"][0]["isolated"],
            &changed["sites"][0]["jwt_header"]
        ),
        (&json!(true), &json!(true))
    );
    let changed = place.json(&[
        "application",
        "update",
        "wiki",
        "--site",
        "https://*.example.org/app",
        "--no-rules",
    ]);
    assert_eq!(changed["sites"].as_array().unwrap().len(), 2);
    assert_eq!(
        changed["sites"][0]["rules"].as_array().unwrap().len(),
        4,
        "the other site's rules stay"
    );
    let listed = place.json(&["site", "list"]);
    let listed: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|site| (&site["url"], &site["application"]))
        .collect();
    assert!(
        listed.contains(&(&json!(WIKI), &json!("wiki")))
            && listed.contains(&(&json!("https://*.example.org/app"), &json!("wiki"))),
        "{listed:?}"
    );
    let shown = place.run(&["site", "list"]).ok();
    assert!(
        shown.stdout.contains("public GET /static; group:ops")
            && shown.stdout.contains("the application's audience"),
        "{shown:?}"
    );

    place
        .run(&[
            "application",
            "create",
            "other",
            "--site",
            "http://wiki.example.org",
        ])
        .failed(1, &["belongs to", "`wiki`", "--remove-site"]);
    place
        .run(&[
            "application",
            "update",
            "wiki",
            "--remove-site",
            "https://nothing.example.org",
        ])
        .failed(3, &["no site", WIKI]);
    place
        .run(&["application", "update", "wiki", "--remove-site", WIKI])
        .ok();
    assert_eq!(place.json(&["site", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_meant_is_said_in_a_sentence() {
    let place = with_people();
    for (arguments, code, words) in [
        (
            &["--site", "wiki.example.org"][..],
            2,
            &["no scheme", "https://"][..],
        ),
        (&["--site", "https://u@wiki.example.org"], 2, &["user name"]),
        (&["--site", "https://127.1"], 2, &["no host"]),
        (
            &["--site", WIKI, "--rule", "public"],
            1,
            &["has no path", "public GET /health"],
        ),
        (&["--site", WIKI, "--rule", "/x"], 1, &["expected"]),
        (&["--site", WIKI, "--rule", "staff /x"], 1, &["group:NAME"]),
        (&["--site", WIKI, "--rule", "group:nobody /x"], 3, &["nobody"]),
        (&["--site", WIKI, "--rule", "public /a/../b"], 1, &["`..`"]),
        (&["--rule", "public /"], 2, &["--site"]),
        (
            &["--site", WIKI, "--upstream", "ftp://x"],
            1,
            &["http://127.0.0.1:3000"],
        ),
        (
            &["--site", WIKI, "--upstream-insecure", "on"],
            1,
            &["no upstream"],
        ),
    ] {
        let mut all = vec!["application", "create", "wiki"];
        all.extend_from_slice(arguments);
        place.run(&all).failed(code, words);
    }
    assert_eq!(place.json(&["application", "list"]), json!([]));
}

#[test]
fn explain_says_which_rule_decides_about_a_url() {
    let place = with_people();
    wiki(&place);
    for (user, path, method, outcome, rule, reason) in [
        (
            Some("alice"),
            "page",
            "GET",
            "allowed",
            "application wiki",
            json!(null),
        ),
        (
            Some("bob"),
            "page",
            "GET",
            "refused",
            "application wiki",
            json!("not_in_audience"),
        ),
        (
            Some("bob"),
            "ops/x",
            "GET",
            "allowed",
            "group:ops,user:",
            json!(null),
        ),
        (
            Some("alice"),
            "ops",
            "GET",
            "refused",
            "(rule 2)",
            json!("not_in_audience"),
        ),
        (
            Some("alice"),
            "shut/x",
            "GET",
            "refused",
            "deny /shut/** (rule 3)",
            json!("rule_denies"),
        ),
        (
            Some("alice"),
            "static/..%2fshut/x",
            "GET",
            "refused",
            "deny /shut/** (rule 3)",
            json!("rule_denies"),
        ),
        (
            None,
            "static/a",
            "get",
            "allowed",
            "public GET /static (rule 1)",
            json!(null),
        ),
        (
            None,
            "static/a",
            "POST",
            "sign_in",
            "application wiki",
            json!(null),
        ),
        (None, "", "GET", "sign_in", "application wiki", json!(null)),
    ] {
        let url = format!("{WIKI}{path}");
        let mut arguments = vec!["explain", "--url", &url, "--method", method];
        if let Some(user) = user {
            arguments.extend(["--user", user]);
        }
        let said = place.json(&arguments);
        assert_eq!(
            (&said["outcome"], &said["reason"]),
            (&json!(outcome), &reason),
            "{user:?} {method} {path}: {said}"
        );
        assert!(said["rule"].as_str().unwrap().contains(rule), "{said}");
        let words = place.run(&arguments).ok();
        assert!(words.stdout.contains(rule), "{words:?}");
    }
    let unlisted = place.json(&[
        "explain",
        "--user",
        "alice",
        "--url",
        "https://other.example.org/",
    ]);
    assert_eq!(
        (&unlisted["outcome"], &unlisted["reason"], &unlisted["site"]),
        (&json!("refused"), &json!("host_unlisted"), &json!(null))
    );
    assert_ne!(
        place
            .run(&["explain", "--user", "alice", "--url", "nonsense"])
            .code,
        0
    );
    assert_ne!(place.run(&["explain", "--user", "nobody", "--url", WIKI]).code, 0);
}

#[test]
fn a_table_is_taken_in_whole_or_not_at_all() {
    let place = with_people();
    let before = place.json(&["application", "list"]);
    place.write("table.csv", "url,groups,rules\nhttps://a.example.org,staff,\nhttps://b.example.org,staff|ops,public GET =/health|deny /x\n");
    let dry = place.json(&["site", "import", "table.csv", "--dry-run"]);
    assert_eq!(
        (&dry["dry_run"], dry["created"].as_array().unwrap().len()),
        (&json!(true), 2)
    );
    assert_eq!(place.json(&["application", "list"]), before);
    let done = place.json(&["site", "import", "table.csv"]);
    assert_eq!(done["created"], json!(["a-example-org", "b-example-org"]));
    let again = place.json(&["site", "import", "table.csv"]);
    assert_eq!(
        (
            &again["created"],
            &again["changed"],
            again["unchanged"].as_array().unwrap().len()
        ),
        (&json!([]), &json!([]), 2)
    );
    let after = place.json(&["application", "list"]);

    place.write("bad.toml", "[[site]]\nurl = \"https://a.example.org\"\ngroups = [\"ops\"]\n[[site]]\nurl = \"https://c.example.org\"\n");
    let ran = place.run(&["site", "import", "bad.toml"]);
    ran.failed(1, &["row 2", "c.example.org", "admits nobody"]);
    place.write("empty.json", "[]");
    let ran = place.run(&["site", "import", "empty.json"]);
    ran.failed(1, &["empty", "nothing was changed"]);
    for (name, text) in [
        ("odd.toml", "[[sites]]\n"),
        ("odd.json", "{}"),
        ("odd.csv", "url,who\nx,y\n"),
        ("odd.txt", ""),
    ] {
        place.write(name, text);
        let ran = place.run(&["site", "import", name]);
        assert!(ran.code != 0 && ran.stderr.contains(name), "{ran:?}");
    }
    assert_ne!(place.run(&["site", "import", "not-there.csv"]).code, 0);
    assert_eq!(place.json(&["application", "list"]), after);

    place.write(
        "more.json",
        r#"[{"url": "https://c.example.org", "groups": ["guests"], "name": "C"}]"#,
    );
    let ran = place.run(&["site", "import", "more.json"]);
    assert!(ran.code != 0 && ran.stderr.contains("guests"), "{ran:?}");
    let made = place
        .run(&["site", "import", "more.json", "--create-groups"])
        .ok();
    assert!(
        made.stdout.contains("+ c-example-org") && made.stdout.contains("+ group guests"),
        "{made:?}"
    );
    let said = place.json(&["explain", "--user", "alice", "--url", "https://c.example.org/"]);
    assert_eq!(said["reason"], "not_in_audience");
}

#[test]
fn break_glass_is_shown_and_switched() {
    let place = with_people();
    wiki(&place);
    place.run(&["group", "create", "admins", "--superuser"]).ok();
    place.run(&["user", "create", "root", "--group", "admins"]).ok();
    let asks = || place.json(&["explain", "--user", "root", "--url", WIKI]);
    assert_eq!(
        place.json(&["site", "break-glass"]),
        json!({ "break_glass": "on" })
    );
    let said = asks();
    assert_eq!(said["outcome"], "allowed");
    assert!(said["why"].as_str().unwrap().contains("break glass"), "{said}");
    assert_eq!(
        place.json(&["site", "break-glass", "off"]),
        json!({ "break_glass": "off" })
    );
    assert_eq!(asks()["reason"], "not_in_audience");
    assert_ne!(place.run(&["site", "break-glass", "maybe"]).code, 0);
    place.run(&["site", "break-glass", "on"]).ok();
    assert_eq!(asks()["outcome"], "allowed");
    let events = place.json(&["event", "list"]);
    let switched = events
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["kind"] == "setting_changed")
        .count();
    assert!(switched >= 2, "{events}");
}
