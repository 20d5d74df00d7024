//! Applications, scopes, keys, explanations.

use serde_json::{Value, json};

use crate::support::Place;

const REDIRECT: &str = "https://g.example/login/generic_oauth";

fn with_staff() -> Place {
    let place = Place::new();
    place.run(&["group", "create", "staff"]).ok();
    place.run(&["user", "create", "alice", "--group", "staff"]).ok();
    place.run(&["user", "create", "bob"]).ok();
    place
}

fn grafana(place: &Place) -> Value {
    place.json(&[
        "application",
        "create",
        "grafana",
        "--name",
        "Grafana",
        "--redirect-uri",
        REDIRECT,
        "--allow-group",
        "staff",
    ])
}

#[test]
fn an_application_is_made_and_its_secret_is_shown_this_once() {
    let place = with_staff();
    let made = grafana(&place);
    assert_eq!(
        (&made["slug"], &made["name"]),
        (&json!("grafana"), &json!("Grafana"))
    );
    assert_eq!(made["issuer"], "http://localhost:9000/application/o/grafana/");
    assert_eq!(
        made["discovery"],
        "http://localhost:9000/application/o/grafana/.well-known/openid-configuration"
    );
    assert_eq!(made["kind"], "confidential");
    assert_eq!(made["redirect_uris"], json!([REDIRECT]));
    assert_eq!(
        made["audience"],
        json!({ "everyone": false, "groups": ["staff"], "users": [] })
    );
    assert!(made["client_id"].as_str().unwrap().len() >= 20);
    let secret = made["client_secret"].as_str().unwrap().to_owned();
    for arguments in [
        &["application", "show", "grafana"][..],
        &["application", "list"],
        &["application", "update", "grafana", "--name", "G"],
        &["event", "list"],
        &["application", "delete", "grafana"],
        &["application", "restore", "grafana"],
    ] {
        for json in [&[][..], &["--json"]] {
            let ran = place.run(&[arguments, json].concat());
            assert!(!(ran.stdout + &ran.stderr).contains(&secret), "{arguments:?}");
        }
    }
    let shown = place.json(&["application", "show", "grafana"]);
    assert_eq!(shown["client_id"], made["client_id"]);
    assert_eq!(shown.get("client_secret"), None);
    let ends = shown["client_secrets"][0]["ends_with"].as_str().unwrap();
    assert!(secret.ends_with(ends) && ends.len() == 4);
}

#[test]
fn people_get_the_secret_and_who_may_enter_in_words() {
    let place = with_staff();
    let ran = place
        .run(&["application", "create", "wiki", "--redirect-uri", REDIRECT])
        .ok();
    assert!(ran.stdout.contains("shown this once"), "{ran:?}");
    assert!(ran.stdout.contains("nobody"), "{ran:?}");
    assert!(ran.stderr.contains("--allow-group"), "{ran:?}");
    let public = place
        .run(&[
            "application",
            "create",
            "spa",
            "--public",
            "--redirect-uri",
            REDIRECT,
            "--allow-everyone",
        ])
        .ok();
    assert!(!public.stdout.contains("secret"), "{public:?}");
    assert!(public.stdout.contains("everyone"), "{public:?}");
}

/// A command line with every flag of an application.
const ALL_FLAGS: &str = "\
    application create all --confidential --redirect-uri https://a.example/cb --redirect-uri https://b.example/cb
    --post-logout-redirect-uri https://a.example/left --allow-user bob --consent expiring:30d
    --signing-algorithm ES256 --access-token-format opaque --subject uuid --issuer-mode global
    --scope openid --scope department --grant authorization_code --grant device_code --pkce optional
    --auth-method client_secret_post --backchannel-logout-uri https://a.example/back
    --frontchannel-logout-uri https://a.example/front --code-lifetime 30s
    --access-token-lifetime 10m --refresh-token-lifetime 14d --id-token-lifetime 5m
    --id-token-claims off --resource https://api.example/ --client-id my-own-id --icon https://a.example/icon.svg
    --launch-url https://a.example/ --description All-of-it --heading Tools --hidden";

#[test]
fn every_flag_of_an_application_is_kept() {
    let place = with_staff();
    place
        .run(&[
            "scope",
            "create",
            "department",
            "--claim",
            "department=user.attributes.department",
        ])
        .ok();
    let made = place.json(&ALL_FLAGS.split_whitespace().collect::<Vec<_>>());
    let expected = json!({
        "client_id": "my-own-id",
        "redirect_uris": ["https://a.example/cb", "https://b.example/cb"],
        "post_logout_redirect_uris": ["https://a.example/left"],
        "consent": "expiring:4w2d",
        "signing_algorithm": "ES256",
        "access_token_format": "opaque",
        "subject": "uuid",
        "issuer_mode": "global",
        "issuer": "http://localhost:9000/",
        "scopes": ["department", "openid"],
        "grants": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
        "pkce": "optional",
        "auth_methods": ["client_secret_post"],
        "backchannel_logout_uri": "https://a.example/back",
        "frontchannel_logout_uri": "https://a.example/front",
        "code_lifetime": "30s",
        "access_token_lifetime": "10m",
        "refresh_token_lifetime": "2w",
        "id_token_lifetime": "5m",
        "id_token_claims": false,
        "resources": ["https://api.example/"],
        "icon": "https://a.example/icon.svg",
        "launch_url": "https://a.example/",
        "description": "All-of-it",
        "heading": "Tools",
        "hidden": true,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&made[field], value, "{field}");
    }
    assert_eq!(made["audience"]["users"], json!(["bob"]));
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let place = with_staff();
    let made = grafana(&place);
    let changed = place.json(&[
        "application",
        "update",
        "grafana",
        "--redirect-uri",
        "https://new.example/cb",
        "--allow-user",
        "bob",
        "--remove-group",
        "staff",
    ]);
    assert_eq!(changed["redirect_uris"], json!(["https://new.example/cb"]));
    assert_eq!(
        changed["audience"],
        json!({ "everyone": false, "groups": [], "users": ["bob"] })
    );
    for field in ["name", "client_id", "scopes", "grants", "kind", "client_secrets"] {
        assert_eq!(
            changed[field],
            place.json(&["application", "show", "grafana"])[field]
        );
    }
    assert_eq!(changed["client_id"], made["client_id"]);
    let open = place.json(&["application", "update", "grafana", "--allow-everyone", "--hidden"]);
    assert_eq!(
        (&open["audience"]["everyone"], &open["hidden"]),
        (&json!(true), &json!(true))
    );
    let shut = place.json(&[
        "application",
        "update",
        "grafana",
        "--no-everyone",
        "--remove-user",
        "bob",
        "--hidden=false",
        "--redirect-uri",
        "",
    ]);
    assert_eq!(
        shut["audience"],
        json!({ "everyone": false, "groups": [], "users": [] })
    );
    assert_eq!(
        (&shut["hidden"], &shut["redirect_uris"]),
        (&json!(false), &json!([]))
    );
}

#[test]
fn a_tile_becomes_a_client_when_the_client_is_spoken_of() {
    let place = with_staff();
    let tile = place.json(&[
        "application",
        "create",
        "docs",
        "--launch-url",
        "https://docs.example/",
    ]);
    assert_eq!(tile.get("client_id"), None);
    let client = place.json(&["application", "update", "docs", "--scope", "openid"]);
    assert!(client["client_id"].is_string() && client["client_secret"].is_string());
}

#[test]
fn an_own_secret_comes_from_standard_input() {
    let place = with_staff();
    let own = "moved-here-from-another-system";
    let made = place
        .run_with(
            &[
                "application",
                "create",
                "moved",
                "--client-id",
                "old-id",
                "--client-secret-stdin",
                "--redirect-uri",
                REDIRECT,
                "--json",
            ],
            &format!("{own}\n"),
        )
        .ok()
        .json();
    assert_eq!(
        (&made["client_id"], &made["client_secret"]),
        (&json!("old-id"), &json!(own))
    );
    place
        .run_with(
            &[
                "application",
                "create",
                "x",
                "--client-id",
                "y",
                "--client-secret-stdin",
            ],
            "short\n",
        )
        .failed(1, &["16 characters"]);
}

#[test]
fn a_secret_is_rotated_with_an_overlap() {
    let place = with_staff();
    let made = grafana(&place);
    let rotated = place.json(&["application", "secret", "rotate", "grafana", "--overlap", "1h"]);
    assert!(rotated["client_secret"].is_string());
    assert_ne!(rotated["client_secret"], made["client_secret"]);
    assert_eq!(rotated["client_id"], made["client_id"]);
    let secrets = rotated["client_secrets"].as_array().unwrap();
    assert_eq!(secrets.len(), 2);
    assert_eq!(
        secrets
            .iter()
            .filter(|secret| secret["expires_at"].is_string())
            .count(),
        1
    );
    place
        .run(&[
            "application",
            "create",
            "spa",
            "--public",
            "--redirect-uri",
            REDIRECT,
        ])
        .ok();
    place
        .run(&["application", "secret", "rotate", "spa"])
        .failed(1, &["no confidential client"]);
    place
        .run(&["application", "secret", "rotate", "grafana", "--overlap", "soon"])
        .failed(2, &["soon"]);
}

#[test]
fn a_deleted_application_comes_back_as_it_was() {
    let place = with_staff();
    let made = grafana(&place);
    place.run(&["application", "delete", "grafana"]).ok();
    place
        .run(&["application", "show", "grafana"])
        .failed(3, &["grafana"]);
    assert_eq!(place.json(&["application", "list"]), json!([]));
    assert_eq!(
        place.json(&["application", "list", "--deleted"])[0]["slug"],
        "grafana"
    );
    let back = place.json(&["application", "restore", "grafana"]);
    assert_eq!(back["client_id"], made["client_id"]);
    assert_eq!(back["audience"], made["audience"]);
    assert_eq!(back["deleted_at"], Value::Null);
}

#[test]
fn mistakes_with_applications_name_the_field() {
    let place = with_staff();
    grafana(&place);
    let create = |arguments: &[&str]| place.run(&[&["application", "create"], arguments].concat());
    create(&["wiki", "--site", "wiki.example"]).failed(2, &["--site", "https://wiki.example.org"]);
    create(&["wiki", "--rule", "public /"]).failed(2, &["--site"]);
    create(&["wiki", "--site", "https://wiki.example", "--rule", "all /"]).failed(1, &["all", "group:NAME"]);
    create(&["bad one"]).failed(1, &["slug", "bad one"]);
    create(&["token"]).failed(1, &["token"]);
    create(&["grafana"]).failed(1, &["grafana", "taken"]);
    create(&["x", "--redirect-uri", "javascript:alert(1)"]).failed(1, &["redirect URI"]);
    create(&["x", "--redirect-uri", "https://a.example/#x"]).failed(1, &["redirect URI"]);
    create(&["x", "--redirect-uri", REDIRECT, "--allow-group", "stuff"])
        .failed(3, &["did you mean `staff`?"]);
    create(&["x", "--redirect-uri", REDIRECT, "--allow-user", "nobody"]).failed(3, &["nobody"]);
    create(&["x", "--redirect-uri", REDIRECT, "--scope", "opnid"]).failed(1, &["did you mean `openid`?"]);
    create(&["x", "--public", "--redirect-uri", REDIRECT, "--pkce", "optional"]).failed(1, &["PKCE"]);
    create(&["x", "--public", "--confidential"]).failed(2, &["--confidential"]);
    create(&["x", "--grant", "password"]).failed(2, &["client_credentials"]);
    create(&["x", "--signing-algorithm", "none"]).failed(2, &["RS256"]);
    create(&["x", "--consent", "never"]).failed(2, &["never"]);
    create(&["x", "--code-lifetime", "1h", "--public"]).failed(1, &["code lifetime"]);
    create(&["x", "--auth-method", "private_key_jwt"]).failed(1, &["--jwks-file"]);
    create(&["x", "--jwks-file", "missing.json"]).failed(1, &["missing.json"]);
    place.write("broken.json", "{\"keys\": [{\"d\": \"private-part\" ");
    let ran = create(&["x", "--jwks-file", "broken.json"]).failed(1, &["not JSON", "line 1"]);
    assert!(!ran.stderr.contains("private-part"), "{ran:?}");
    place
        .run(&["application", "update", "grafanna", "--name", "x"])
        .failed(3, &["did you mean `grafana`?"]);
    assert_eq!(place.json(&["application", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn custom_scopes_are_made_listed_and_deleted() {
    let place = with_staff();
    let made = place.json(&[
        "scope",
        "create",
        "department",
        "--claim",
        "department=user.attributes.department",
        "--claim",
        "tier=\"gold\"",
        "--description",
        "Your department",
    ]);
    assert_eq!(made["name"], "department");
    assert_eq!(made["description"], "Your department");
    assert_eq!(made["claims"]["department"], "user.attributes.department");
    assert_eq!(place.json(&["scope", "list"]).as_array().unwrap().len(), 1);
    place
        .run(&["scope", "create", "bad", "--claim", "sub=user.id"])
        .failed(1, &["sub"]);
    place
        .run(&["scope", "create", "bad", "--claim", "x=user.nam"])
        .failed(1, &["did you mean user.name?"]);
    place.run(&["scope", "create", "openid"]).failed(1, &["standard"]);
    place
        .run(&["scope", "create", "x", "--claim", "x"])
        .failed(2, &["NAME=SOURCE"]);
    place
        .run(&[
            "application",
            "create",
            "a",
            "--public",
            "--scope",
            "openid",
            "--scope",
            "department",
        ])
        .ok();
    place
        .run(&["scope", "delete", "department"])
        .failed(1, &["still allowed", "a"]);
    place
        .run(&["application", "update", "a", "--scope", "openid"])
        .ok();
    place
        .run(&["scope", "delete", "departmant"])
        .failed(3, &["did you mean `department`?"]);
    place.run(&["scope", "delete", "department"]).ok();
    assert_eq!(place.json(&["scope", "list"]), json!([]));
}

#[test]
fn keys_are_announced_rotated_at_once_and_withdrawn() {
    let place = with_staff();
    let keys = |place: &Place, state: &str| -> Vec<Value> {
        let list = place.json(&["key", "list"]);
        let list = list.as_array().unwrap();
        list.iter().filter(|key| key["state"] == state).cloned().collect()
    };
    let first = keys(&place, "signing");
    assert_eq!(first.len(), 4, "one key of each algorithm signs");
    let announced = place.json(&["key", "rotate", "--algorithm", "ES256"]);
    assert_eq!(announced[0]["state"], "announced");
    assert_eq!(
        keys(&place, "signing"),
        first
            .iter()
            .map(|key| {
                let now = place.json(&["key", "list"]);
                let now = now
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|other| other["kid"] == key["kid"])
                    .cloned();
                now.unwrap()
            })
            .collect::<Vec<_>>()
    );
    let at_once = place.json(&["key", "rotate", "--algorithm", "EdDSA", "--now"]);
    assert_eq!(at_once[0]["state"], "signing");
    let old = first.iter().find(|key| key["algorithm"] == "EdDSA").unwrap();
    let old = old["kid"].as_str().unwrap();
    assert!(keys(&place, "published").iter().any(|key| key["kid"] == old));
    place.run(&["key", "withdraw", old]).ok();
    assert!(keys(&place, "withdrawn").iter().any(|key| key["kid"] == old));
    let only = at_once[0]["kid"].as_str().unwrap();
    place
        .run(&["key", "withdraw", only])
        .failed(1, &["only EdDSA key"]);
    place
        .run(&["key", "withdraw", "nonsense"])
        .failed(3, &["nonsense"]);
    place
        .run(&["key", "rotate", "--algorithm", "HS256"])
        .failed(2, &["RS256"]);
    let list = place.run(&["key", "list", "--json"]).ok();
    assert!(
        !list.stdout.contains("sealed") && !list.stdout.contains("\"d\""),
        "{list:?}"
    );
}

#[test]
fn explain_tells_both_outcomes_before_anybody_tries() {
    let place = with_staff();
    grafana(&place);
    let yes = place.json(&["explain", "--user", "alice", "--application", "grafana"]);
    assert_eq!(
        (&yes["outcome"], &yes["reason"]),
        (&json!("allowed"), &Value::Null)
    );
    assert!(yes["rule"].as_str().unwrap().contains("staff"));
    let no = place.json(&["explain", "--user", "bob", "--application", "grafana"]);
    assert_eq!(
        (&no["outcome"], &no["reason"]),
        (&json!("refused"), &json!("not_in_audience"))
    );
    let plain = place
        .run(&["explain", "--user", "bob", "--application", "grafana"])
        .ok();
    assert!(
        plain.stdout.contains("refused") && plain.stdout.contains("staff"),
        "{plain:?}"
    );
    place
        .run(&["explain", "--user", "bo", "--application", "grafana"])
        .failed(3, &["did you mean `bob`?"]);
    place
        .run(&["explain", "--user", "bob", "--application", "grafena"])
        .failed(3, &["did you mean `grafana`?"]);
    place.run(&["explain", "DW-AAAA-AAAA"]).failed(3, &["DW-"]);
    place.run(&["explain", "nonsense"]).failed(3, &["nonsense"]);
    place.run(&["explain"]).failed(2, &[]);
    place
        .run(&["explain", "--user", "bob"])
        .failed(2, &["--application"]);
}
