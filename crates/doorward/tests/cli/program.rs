//! The program itself: help, wrong use, versions, completions, output that goes nowhere.

use std::process::Stdio;

use crate::support::Place;

#[test]
fn help_is_everywhere_and_has_examples() {
    let place = Place::new();
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["user", "--help"],
        &["user", "create", "--help"],
        &["application", "create", "--help"],
        &["application", "secret", "rotate", "--help"],
        &["group", "member", "add", "--help"],
    ] {
        let ran = place.run(arguments).ok();
        assert!(ran.stdout.contains("Usage:"), "{arguments:?}");
    }
    let serve = place.run(&["serve", "--help"]).ok().stdout;
    for setting in [
        "--public-url",
        "--trusted-proxies",
        "--tls-certificate",
        "DOORWARD_LISTEN",
    ] {
        assert!(serve.contains(setting), "{setting}");
    }
    assert!(!place.path("doorward-data").exists(), "help makes nothing");
}

#[test]
fn wrong_use_ends_with_2_and_says_what_was_meant() {
    let place = Place::new();
    place
        .run(&["usr", "list"])
        .failed(2, &["unrecognized subcommand", "user"]);
    place.run(&["user", "create"]).failed(2, &["<USERNAME>"]);
    place.run(&["user"]).failed(2, &[]);
    let ran = place
        .run(&["user", "create", "--no-such-flag", "--json"])
        .failed(2, &["--no-such-flag"]);
    let error = &ran.json()["error"];
    assert_eq!(error["kind"], "usage");
    assert!(error["message"].as_str().unwrap().contains("--no-such-flag"));
}

#[test]
fn errors_for_programs_are_on_standard_output_and_the_sentence_on_standard_error() {
    let place = Place::new();
    let ran = place
        .run(&["user", "show", "nobody", "--json"])
        .failed(3, &["nobody"]);
    let error = ran.json();
    assert_eq!(error["error"]["kind"], "not_found");
    assert!(error["error"]["message"].as_str().unwrap().contains("nobody"));
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    let invalid = place
        .run(&["user", "create", "a b", "--json"])
        .failed(1, &["username"]);
    assert_eq!(invalid.json()["error"]["kind"], "invalid");
}

#[test]
fn version_names_the_build_and_the_schema() {
    let place = Place::new();
    let version = place.json(&["version"]);
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(version["commit"].as_str().unwrap().len() >= 7);
    assert!(version["built_at"].as_str().unwrap().ends_with('Z'));
    assert!(version["schema"].as_i64().unwrap() >= 1);
    let short = place.run(&["--version"]).ok().stdout;
    assert!(
        short.starts_with(concat!("doorward ", env!("CARGO_PKG_VERSION"))),
        "{short}"
    );
}

#[test]
fn completions_and_manual_pages_are_made_from_the_grammar() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]).ok().stdout;
        assert!(
            script.contains("doorward") && script.contains("application"),
            "{shell}"
        );
    }
    place.run(&["completions", "dos"]).failed(2, &["bash"]);
    let page = place.run(&["man"]).ok().stdout;
    assert!(page.contains(".TH"), "{page}");
    place.run(&["man", "--out", "pages"]).ok();
    assert!(place.path("pages/doorward.1").exists());
    assert!(place.path("pages/doorward-user-create.1").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    place.run(&["user", "list"]).ok();
    let mut child = place
        .command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "and nothing to be told"
    );
    assert!(output.status.success());
}

/// Row 11 of the session chain (contract section 10): whoever deploys learns that the old program still runs.
#[test]
fn version_endpoint_tells_the_build_and_doctor_expects_it() {
    let place = Place::new();
    let own = place.json(&["version"]);
    let commit = own["commit"].as_str().unwrap().to_owned();
    let nobody = place.run(&["doctor", "--expect-commit", &commit]);
    assert_eq!(nobody.code, 1, "nobody answers: {nobody:?}");
    let server = place.serve(&[]).ready();
    let told: serde_json::Value = serde_json::from_str(&server.answers("/version", 200)).unwrap();
    for field in ["version", "commit", "built_at", "dirty"] {
        assert_eq!(told[field], own[field], "{field}");
    }
    assert_eq!(told["schema_version"], own["schema"]);
    let url = server.url("");
    let doctor = |expected: &str| {
        place.run(&[
            "doctor",
            "--public-url",
            url.trim_end_matches('/'),
            "--expect-commit",
            expected,
        ])
    };
    let clean = own["dirty"] != true;
    assert_eq!(doctor(&commit).code, i32::from(!clean), "{:?}", doctor(&commit));
    let wrong = doctor("0000000");
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.stdout.contains("expected 0000000"), "{wrong:?}");
    assert_eq!(doctor("main").code, 2);
}

#[test]
fn a_provider_is_read_from_the_names_of_older_applications() {
    let place = Place::new()
        .with_env("OIDC_ISSUER", "https://auth.example.net/application/o/shop/")
        .with_env("OIDC_CLIENT_ID", "shop")
        .with_env("OIDC_CLIENT_SECRET", "very-hush-hush")
        .with_env(
            "OIDC_REDIRECT_URI",
            "https://api.example.org/auth/callback/authentik",
        );
    place.run(&["application", "create", "shop"]).ok();
    place
        .run(&[
            "app-auth",
            "set",
            "shop",
            "--base-url",
            "https://api.example.org/auth",
            "--no-alias",
        ])
        .ok();
    let door = place.json(&[
        "app-auth",
        "provider",
        "shop",
        "authentik",
        "--from-env",
        "--placeholder-email",
    ]);
    let provider = &door["providers"][0];
    assert_eq!(provider["issuer"], "https://auth.example.net/application/o/shop/");
    assert_eq!(provider["client_id"], "shop");
    assert_eq!(provider["placeholder_email"], true);
    let fixed = serde_json::json!(["https://api.example.org/auth/callback/authentik"]);
    assert_eq!(provider["redirect_uris"], fixed);
    assert!(!door.to_string().contains("hush"));
    // A flag wins; what is not set is named; an address that the door does not serve is refused; nothing is read unasked.
    let flag = [
        "app-auth",
        "provider",
        "shop",
        "authentik",
        "--from-env",
        "--client-id",
        "other",
    ];
    assert_eq!(place.json(&flag)["providers"][0]["client_id"], "other");
    place
        .run(&["app-auth", "provider", "shop", "keycloak", "--from-env"])
        .failed(1, &["keycloak", "not at this door"]);
    place
        .run(&["app-auth", "provider", "shop", "plain"])
        .failed(1, &["--issuer"]);
    let doctor = place.run(&["doctor"]).ok().stdout;
    assert!(
        doctor.contains("__Secure-better-auth.session_token goes to api.example.org and no other host"),
        "{doctor}"
    );
    let mut bare = place;
    bare.env.clear();
    bare.run(&["app-auth", "provider", "shop", "authentik", "--from-env"])
        .failed(2, &["OIDC_ISSUER and OIDC_CLIENT_ID"]);
}

#[test]
fn doctor_finds_nothing_wrong_with_a_new_installation_and_makes_nothing() {
    let place = Place::new();
    let doctor = place.run(&["doctor", "--json"]).ok().json();
    assert_eq!(doctor["ok"], true);
    assert!(!place.path("doorward-data").exists());
    place.run(&["user", "list"]).ok();
    let doctor = place.run(&["doctor", "--json"]).ok().json();
    let checks: Vec<&str> = doctor["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["check"].as_str().unwrap())
        .collect();
    for check in [
        "settings",
        "public_url",
        "data folder",
        "key file",
        "free disk",
        "server",
        "database",
        "clock",
    ] {
        assert!(checks.contains(&check), "{check} in {checks:?}");
    }
    let odd = place
        .run(&["doctor", "--public-url", "https://id.example.org"])
        .ok();
    assert!(
        odd.stdout.contains("warning") && odd.stdout.contains("trusted_proxies"),
        "{odd:?}"
    );
    let wrong = place.run(&["doctor", "--listen", "nonsense"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.stdout.contains("nonsense"));
}
