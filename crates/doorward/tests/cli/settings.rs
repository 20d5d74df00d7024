//! Settings from file, environment and flags, as the commands see them.

use crate::support::Place;

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_name() {
    let place = Place::new();
    place.write(
        "doorward.toml",
        "# settings\npublik_url = \"http://localhost:9000\"\n",
    );
    for arguments in [
        &["config", "check"][..],
        &["config", "show"],
        &["user", "list"],
        &["serve"],
    ] {
        place
            .run(arguments)
            .failed(2, &["publik_url", "public_url", "doorward.toml:2"]);
    }
    let ran = place.run(&["config", "check", "--json"]).failed(2, &[]);
    let error = &ran.json()["error"];
    assert_eq!(error["kind"], "settings");
    assert_eq!(error["problems"][0]["key"], "publik_url");
    assert!(!place.path("doorward-data").exists(), "nothing was made");
}

#[test]
fn all_problems_are_told_at_once() {
    let place = Place::new().with_env("DOORWARD_LOG_LEVEL", "loud");
    place.write("doorward.toml", "listen = \"nowhere\"\nfoo = 1\n");
    place
        .run(&["serve", "--shutdown-grace", "soon"])
        .failed(2, &["loud", "nowhere", "foo", "soon"]);
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let place = Place::new();
    place.write("doorward.toml", "data_dir = \"from-file\"\n");
    let value = |place: &Place, arguments: &[&str]| {
        let all = place.json(&[&["config", "show"], arguments].concat());
        let info = all
            .as_array()
            .unwrap()
            .iter()
            .find(|info| info["key"] == "data_dir")
            .cloned()
            .unwrap();
        (
            info["value"].as_str().unwrap().to_owned(),
            info["source"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(
        value(&place, &[]),
        ("from-file".into(), "doorward.toml:1:12".into())
    );
    let place = place.with_env("DOORWARD_DATA_DIR", "from-env");
    assert_eq!(
        value(&place, &[]),
        ("from-env".into(), "env DOORWARD_DATA_DIR".into())
    );
    assert_eq!(
        value(&place, &["--data-dir", "from-flag"]),
        ("from-flag".into(), "--data-dir".into())
    );
}

#[test]
fn the_settings_file_is_named_by_flag_or_variable() {
    let place = Place::new();
    place.write("a.toml", "data_dir = \"a\"\n");
    place.write("b.toml", "data_dir = \"b\"\n");
    let place = place.with_env("DOORWARD_CONFIG", "a.toml");
    let shown = place.run(&["config", "show"]).ok().stdout;
    assert!(shown.contains("a.toml:1:12"), "{shown}");
    let shown = place.run(&["config", "show", "--config", "b.toml"]).ok().stdout;
    assert!(shown.contains("b.toml:1:12"), "{shown}");
    place
        .run(&["config", "show", "--config", "missing.toml"])
        .failed(2, &["missing.toml"]);
}

#[test]
fn settings_show_no_secret() {
    let place = Place::new()
        .with_env(
            "DOORWARD_DATABASE_URL",
            "postgres://door:hunter22@127.0.0.1:1/doorward",
        )
        .with_env("DOORWARD_BOOTSTRAP_PASSWORD", "first-Password-28-brass")
        .with_env("DOORWARD_METRICS_TOKEN", "a-token-of-the-metrics");
    for arguments in [
        &["config", "show"][..],
        &["config", "show", "--json"],
        &["config", "check"],
        &["doctor"],
    ] {
        let ran = place.run(arguments);
        for secret in ["hunter22", "first-Password", "a-token-of"] {
            assert!(
                !ran.stdout.contains(secret) && !ran.stderr.contains(secret),
                "{ran:?}"
            );
        }
    }
}

#[test]
fn a_secret_on_the_command_line_is_warned_about() {
    let place = Place::new();
    let ran = place
        .run(&["config", "check", "--metrics-token", "a-token-of-the-metrics"])
        .ok();
    assert!(
        ran.stdout.contains("warning") && ran.stdout.contains("metrics.token"),
        "{ran:?}"
    );
    assert!(!ran.stdout.contains("a-token-of"));
}

#[test]
fn the_sample_file_is_a_settings_file() {
    let place = Place::new();
    let sample = place.run(&["config", "sample"]).ok().stdout;
    assert!(sample.contains("public_url"));
    place.write("doorward.toml", &sample);
    place.run(&["config", "check"]).ok();
}

#[test]
fn the_same_installation_is_found_by_flag_variable_and_file() {
    let place = Place::new();
    place.run(&["user", "create", "alice", "--data-dir", "here"]).ok();
    place.run(&["--data-dir", "here", "user", "show", "alice"]).ok();
    place
        .run(&[
            "user",
            "show",
            "alice",
            "--database-url",
            "sqlite:here/doorward.db",
            "--key-file",
            "here/doorward.key",
        ])
        .ok();
    place.write("doorward.toml", "data_dir = \"here\"\n");
    place.run(&["user", "show", "alice"]).ok();
}
