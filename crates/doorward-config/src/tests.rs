//! Every rule of the settings, by what an operator writes and what comes back.

mod token_api;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use proptest::prelude::*;

use crate::table::{ALL, Reach, Standard};
use crate::*;

/// The sources of one test.
#[derive(Default, Clone)]
struct Said {
    file: Option<String>,
    env: Vec<(String, String)>,
    flags: Vec<(String, String)>,
    files: BTreeMap<String, String>,
}

impl Said {
    fn file(text: &str) -> Self {
        Self::default().and_file(text)
    }
    fn env(name: &str, value: &str) -> Self {
        Self::default().and_env(name, value)
    }
    fn flag(name: &str, value: &str) -> Self {
        Self::default().and_flag(name, value)
    }
    fn and_file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }
    fn and_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }
    fn and_flag(mut self, name: &str, value: &str) -> Self {
        self.flags.push((name.to_owned(), value.to_owned()));
        self
    }
    fn and_value_file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }
    /// The files that the examples of secrets name.
    fn and_example_secrets(self) -> Self {
        let names = [
            "mail-password",
            "metrics-token",
            "jwt-secret",
            "introspect-token",
            "synapse-secret",
            "synapse-admin-token",
        ];
        names.into_iter().fold(self, |said, name| {
            said.and_value_file(
                &format!("/run/secrets/{name}"),
                "0123456789abcdef0123456789abcdef",
            )
        })
    }
    fn read(&self) -> Result<Settings, Vec<Problem>> {
        let files = self.files.clone();
        let read_file = move |path: &Path| {
            files
                .get(path.to_str().unwrap())
                .cloned()
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        read(&Sources {
            file: self.file.clone().map(|text| ("doorward.toml".into(), text)),
            env: self.env.clone(),
            flags: self.flags.clone(),
            read_file: &read_file,
        })
    }
    fn good(&self) -> Settings {
        self.read()
            .unwrap_or_else(|problems| panic!("{}", lines(&problems)))
    }
    fn bad(&self) -> String {
        lines(
            &self
                .read()
                .map(|settings| panic!("accepted: {settings:?}"))
                .unwrap_err(),
        )
    }
    /// What a setting is and where it came from.
    fn shown(&self, key: &str) -> (Option<String>, String) {
        let settings = self.good();
        let info = settings
            .describe()
            .iter()
            .find(|info| info.about.key == key)
            .unwrap();
        (info.value.clone(), info.source.clone())
    }
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(Problem::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn nothing_said_gives_the_defaults_without_a_warning() {
    let settings = Said::default().good();
    assert_eq!(settings.listen, ["127.0.0.1:9000".parse().unwrap()]);
    assert_eq!(settings.public_url.as_str(), "http://localhost:9000");
    assert!(settings.trusted_proxies.networks().is_empty());
    assert_eq!(settings.data_dir, Path::new("./doorward-data"));
    assert_eq!(settings.key_file, Path::new("./doorward-data/doorward.key"));
    assert_eq!(
        settings.database.url.expose(),
        "sqlite:./doorward-data/doorward.db"
    );
    assert_eq!(
        settings.database.url.file(),
        Some(Path::new("./doorward-data/doorward.db"))
    );
    assert_eq!(
        (settings.database.pool_size, settings.database.transaction_pooler),
        (8, false)
    );
    assert!(settings.mail.is_none() && settings.tls.is_none() && settings.bootstrap.is_none());
    assert_eq!(
        (settings.log.format, settings.log.level),
        (LogFormat::Human, LogLevel::Info)
    );
    assert_eq!(settings.limits.body.bytes(), 65_536);
    assert_eq!(settings.limits.header_read_timeout.millis(), 10_000);
    assert_eq!(settings.shutdown_grace.millis(), 1_500);
    assert_eq!(settings.outbound.private_networks, PrivateNetworks::Allow);
    assert_eq!((settings.hashing.threads, settings.hashing.memory), (None, None));
    assert!(settings.metrics.listen.is_none() && settings.metrics.token.is_none());
    assert_eq!(settings.warnings, []);
}

#[test]
fn every_setting_of_the_table_is_taken_and_described() {
    let sources = Sources {
        file: None,
        env: Vec::new(),
        flags: Vec::new(),
        read_file: &|_| Ok(String::new()),
    };
    let settings = read(&sources).unwrap();
    let described: Vec<&str> = settings.describe().iter().map(|info| info.about.key).collect();
    assert_eq!(
        described,
        ALL.iter().map(|definition| definition.key).collect::<Vec<_>>()
    );
    let mut reader = crate::reader::Reader::new(&sources);
    crate::assemble::assemble(&mut reader).unwrap();
    for definition in ALL {
        let taken = reader.shown.get(definition.key);
        assert!(
            taken.is_some(),
            "{} is in the table but nobody takes it",
            definition.key
        );
        if matches!(definition.standard, Standard::Text(_)) {
            assert!(taken.unwrap().1.is_some(), "{}", definition.key);
        }
    }
}

#[test]
fn every_value_that_is_wrong_is_a_problem_wherever_it_was_said() {
    for definition in ALL {
        // A NUL is wrong in every type, a list of tables in every form.
        for wrong in ["\u{0}", "-----BEGIN PRIVATE KEY-----\nAAAA\n"] {
            let problems = Said::env(&definition.variable(), wrong).bad();
            assert!(problems.contains(definition.key), "{problems}");
            let problems = Said::env(&format!("{}_FILE", definition.variable()), "/f")
                .and_value_file("/f", wrong)
                .bad();
            assert!(
                problems.contains(definition.key) && !problems.contains("BEGIN"),
                "{problems}"
            );
        }
        let problems = Said::file(&format!("{} = [{{}}]", definition.key)).bad();
        assert!(
            problems.contains(definition.key) && problems.contains("doorward.toml:1:"),
            "{problems}"
        );
    }
}

#[test]
fn every_example_is_right_and_every_default_reads_as_itself() {
    for definition in ALL {
        let said = if definition.reach == Reach::Environment {
            Said::env(&definition.variable(), definition.example.trim_matches('"'))
        } else {
            Said::file(&format!("{} = {}", definition.key, definition.example)).and_example_secrets()
        };
        if let Err(problems) = said.read() {
            // Alone, some are half of a pair: only that may be wrong.
            for problem in problems {
                let half = problem.message.contains("but") || problem.message.contains("neither");
                assert!(half && problem.expected.is_none(), "{problem}");
            }
        }
        if let Standard::Text(text) = definition.standard {
            assert_eq!((definition.check)(text), Ok(()), "{}", definition.key);
        }
    }
}

#[test]
fn variables_and_flags_never_collide() {
    let mut seen = std::collections::BTreeSet::new();
    for definition in ALL {
        assert!(seen.insert(definition.variable()), "{}", definition.key);
        assert!(
            seen.insert(format!("{}_FILE", definition.variable())),
            "{}",
            definition.key
        );
        assert!(seen.insert(definition.flag()), "{}", definition.key);
        assert!(!definition.doc.trim().is_empty() && !(definition.expected)().is_empty());
    }
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let file = Said::file("\nshutdown_grace = '3s'");
    let env = file.clone().and_env("DOORWARD_SHUTDOWN_GRACE", "2s");
    let flag = env.clone().and_flag("--shutdown-grace", "1s");
    let cases = [
        (Said::default(), "1s500ms", "default"),
        (file, "3s", "doorward.toml:2:18"),
        (env, "2s", "env DOORWARD_SHUTDOWN_GRACE"),
        (flag, "1s", "--shutdown-grace"),
    ];
    for (said, value, source) in cases {
        assert_eq!(
            said.shown("shutdown_grace"),
            (Some(value.to_owned()), source.to_owned())
        );
    }
}

#[test]
fn a_value_that_is_overridden_must_be_right_too() {
    let said = Said::file("shutdown_grace = 'soon'").and_flag("shutdown_grace", "1s");
    assert!(
        said.bad()
            .starts_with("`shutdown_grace` has `soon`, which is not a length of time at doorward.toml:1:18;")
    );
}

#[test]
fn nested_keys_read_from_all_sources_and_all_spellings() {
    for said in [
        Said::file("[log]\nlevel = 'debug'"),
        Said::file("log.level = 'debug'"),
        Said::file("log = { level = 'debug' }"),
        Said::env("DOORWARD_LOG_LEVEL", "debug"),
        Said::flag("log.level", "debug"),
        Said::flag("log-level", "debug"),
        Said::flag("--log-level", "debug"),
        Said::env("DOORWARD_LOG_LEVEL_FILE", "/level").and_value_file("/level", "debug\n"),
    ] {
        assert_eq!(said.good().log.level, LogLevel::Debug);
    }
}

#[test]
fn all_problems_come_at_once() {
    let problems = Said::file("pubic_url = 'x'\nlisten = 9000\n[mail]\nhots = 'h'\nport = 'many'\n")
        .and_env("DOORWARD_LOG_FORMAT", "jsn")
        .and_env("DOORWARD_DATABSE_URL", "x")
        .and_flag("shutdown-grace", "10")
        .and_flag("lisen", "x")
        .bad();
    let expected = "\
unknown key `pubic_url` at doorward.toml:1:1; did you mean `public_url`?
`listen` is an integer at doorward.toml:2:10; expected a list of strings, such as listen = [\"127.0.0.1:9000\", \"[::1]:9000\"]
unknown key `mail.hots` at doorward.toml:4:1; did you mean `mail.host`?
`mail.port` is a string at doorward.toml:5:8; expected an integer, such as mail.port = 587
unknown environment variable DOORWARD_DATABSE_URL; did you mean DOORWARD_DATABASE_URL?
unknown flag `--lisen`; did you mean `--listen`?
`log.format` has `jsn`, which is not one of the words in DOORWARD_LOG_FORMAT; expected human or json; did you mean `json`?
`shutdown_grace` has `10`, which is not a length of time in --shutdown-grace; expected a length of time from 0s to 10m, \
such as 1500ms, 30s, 1h30m or minutes=10; add the unit: ms, s, m, h, d or w";
    assert_eq!(problems, expected);
}

#[test]
fn unknown_keys_name_the_nearest_or_the_list() {
    for (text, hint) in [
        ("pubic_url = 1", "did you mean `public_url`?"),
        ("[mails]\nhost = 'x'", "did you mean `mail`?"),
        ("host = 'x'", "did you mean `mail.host`?"),
        ("completely_else = 1", "`doorward config show` lists"),
        ("[mail.host]\nx = 1", "`mail.host` is a table"),
        ("[[mail]]\nhost = 'x'", "expected a section: [mail]"),
        (
            "mail = 'x'",
            "`mail` is a string at doorward.toml:1:8; expected a section: [mail]",
        ),
        ("[mail.deep]\nhost = 'x'", "unknown key `mail.deep`"),
        ("\"\" = 1", "unknown key ``"),
        ("\"a\\nb\" = 1", "unknown key `a\\nb`"),
    ] {
        let problems = Said::file(text).bad();
        assert!(problems.contains(hint), "{text}: {problems}");
        assert_eq!(problems.lines().count(), 1, "{problems}");
    }
}

#[test]
fn files_that_are_no_toml_are_refused_with_line_and_column() {
    let duplicate = Said::file("data_dir = 'a'\ndata_dir = 'b'").bad();
    assert_eq!(duplicate, "not TOML: duplicate key at doorward.toml:2:1");
    let table = Said::file("[log]\nlevel = 'info'\n[log]\nformat = 'json'").bad();
    assert!(table.contains("duplicate key at doorward.toml:3:"), "{table}");
    for (text, place) in [
        ("data_dir = ", ":1:"),
        ("\n\n  = 3", ":3:3"),
        ("a = 'x", ":1:"),
        ("ä = 'x", ":1:1"),
    ] {
        assert!(
            Said::file(text).bad().contains(place),
            "{text}: {}",
            Said::file(text).bad()
        );
    }
    let deep = format!("listen = {}", "[".repeat(100_000));
    assert!(Said::file(&deep).bad().contains("not TOML"));
}

#[test]
fn a_broken_file_hides_nothing_said_elsewhere_and_invents_nothing() {
    let problems = Said::file("[mail]\nfrom = 'id@example.org\nhost = 'h'")
        .and_env("DOORWARD_MAIL_PORT", "x")
        .bad();
    assert!(
        problems.contains("not TOML") && problems.contains("DOORWARD_MAIL_PORT"),
        "{problems}"
    );
    assert!(!problems.contains("mail.host` is not"), "{problems}");
}

#[test]
fn positions_count_characters_and_forgive_a_byte_order_mark() {
    assert!(
        Said::file("\u{feff}pubic_url = 1")
            .bad()
            .contains("doorward.toml:1:1;")
    );
    assert!(
        Said::file("mail = { \"ü\" = 1, hots = 1 }")
            .bad()
            .contains("doorward.toml:1:19;")
    );
    assert!(
        Said::file("\r\n\r\npubic_url = 1\r\n")
            .bad()
            .contains("doorward.toml:3:1;")
    );
}

#[test]
fn huge_files_are_refused() {
    let file = "#".repeat(LARGEST_FILE + 1);
    assert!(Said::file(&file).bad().contains("expected at most 1048576 bytes"));
    Said::file(&file[1..]).good();
    let secret = "s".repeat(64 * 1024 + 1);
    let said = Said::env("DOORWARD_METRICS_TOKEN_FILE", "/t").and_value_file("/t", &secret);
    assert!(said.bad().contains("the file /t is larger than 65536 bytes"));
}

#[test]
fn thousands_of_problems_are_counted_not_listed() {
    let text: String = (0..5000).map(|number| format!("zz{number} = 1\n")).collect();
    let problems = Said::file(&text).read().unwrap_err();
    assert_eq!(problems.len(), 201);
    assert_eq!(problems.last().unwrap().to_string(), "and 4800 more problems");
}

#[test]
fn variables_that_are_no_settings_are_left_alone() {
    Said::env("DOORWARD_CONFIG", "/etc/doorward.toml")
        .and_env("DOORWARD_LOG", "debug")
        .and_env("DOORWARD_TEST_POSTGRES", "postgres://x")
        .and_env("DOORWARDX", "x")
        .and_env("PATH", "/bin")
        .good();
    for name in [
        "DOORWARD_",
        "DOORWARD_CONFIGS",
        "DOORWARD_LOGS",
        "DOORWARD_PUBIC_URL",
        "DOORWARD_LISTEN_FILE_FILE",
    ] {
        assert!(
            Said::env(name, "x")
                .bad()
                .contains("unknown environment variable"),
            "{name}"
        );
    }
    let near = Said::env("DOORWARD_MAIL_PASWORD_FILE", "hunter2").bad();
    assert_eq!(
        near,
        "unknown environment variable DOORWARD_MAIL_PASWORD_FILE; did you mean DOORWARD_MAIL_PASSWORD_FILE?"
    );
}

#[test]
fn service_links_of_kubernetes_are_left_alone() {
    let links = [
        ("DOORWARD_SERVICE_HOST", "10.0.0.1"),
        ("DOORWARD_SERVICE_PORT", "9000"),
        ("DOORWARD_SERVICE_PORT_HTTP", "9000"),
        ("DOORWARD_PORT", "tcp://10.0.0.1:9000"),
        ("DOORWARD_PORT_9000_TCP", "tcp://10.0.0.1:9000"),
        ("DOORWARD_PORT_9000_TCP_PROTO", "tcp"),
        ("DOORWARD_PORT_9000_TCP_PORT", "9000"),
        ("DOORWARD_PORT_9000_TCP_ADDR", "10.0.0.1"),
        ("DOORWARD_DB_SERVICE_HOST", "10.0.0.1"),
        ("DOORWARD_DB_PORT", "tcp://10.0.0.1:5432"),
        ("DOORWARD_DB_PORT_5432_TCP_ADDR", "10.0.0.1"),
    ];
    let mut said = Said::default();
    for (name, value) in links {
        said = said.and_env(name, value);
    }
    said.good();
    for (name, value) in [
        ("DOORWARD_PORT", "9000"),
        ("DOORWARD_PORT_X_TCP", "1"),
        ("DOORWARD_PORT_1_TCP_ADDR_X", "1"),
    ] {
        assert!(Said::env(name, value).bad().contains(name), "{name}");
    }
}

#[test]
fn a_variable_and_its_file_variable_exclude_each_other() {
    let said =
        Said::env("DOORWARD_METRICS_TOKEN", "0123456789abcdef").and_env("DOORWARD_METRICS_TOKEN_FILE", "/t");
    let problems = said.and_value_file("/t", "fedcba9876543210").bad();
    assert_eq!(
        problems,
        "DOORWARD_METRICS_TOKEN and DOORWARD_METRICS_TOKEN_FILE are both set; expected one of the two; unset the other"
    );
}

#[test]
fn an_empty_variable_counts_as_not_set_and_says_so_when_the_file_has_a_value() {
    let said = Said::env("DOORWARD_PUBLIC_URL", "").and_env("DOORWARD_MAIL_HOST_FILE", "");
    assert_eq!(said.good().warnings, []);
    let settings = said.and_file("public_url = 'https://id.example.org'").good();
    assert_eq!(settings.public_url.as_str(), "https://id.example.org");
    assert!(lines(&settings.warnings).contains("DOORWARD_PUBLIC_URL is empty and counts as not set"));
}

#[test]
fn values_come_from_files_without_their_last_line_break() {
    for text in ["0123456789abcdef", "0123456789abcdef\n", "0123456789abcdef\r\n"] {
        let said = Said::env("DOORWARD_METRICS_TOKEN_FILE", "/t").and_value_file("/t", text);
        assert_eq!(said.good().metrics.token.unwrap().expose(), "0123456789abcdef");
    }
    let missing = Said::env("DOORWARD_METRICS_TOKEN_FILE", "/t").bad();
    assert!(
        missing.contains("`metrics.token`: the file /t cannot be read"),
        "{missing}"
    );
    for empty in ["", "\n", "  \n"] {
        let said = Said::env("DOORWARD_METRICS_TOKEN_FILE", "/t").and_value_file("/t", empty);
        assert!(said.bad().contains("the file /t is empty"));
    }
}

#[test]
fn secrets_in_the_file_may_point_elsewhere() {
    let from = |value: &str| Said::file(&format!("metrics.token = {value}"));
    let token = "0123456789abcdef";
    for said in [
        from("'0123456789abcdef'"),
        from("{ file = '/t' }").and_value_file("/t", token),
        from("{ env = 'TOKEN' }").and_env("TOKEN", token),
        from("{ env = 'DOORWARD_MY_TOKEN' }").and_env("DOORWARD_MY_TOKEN", token),
    ] {
        assert_eq!(said.good().metrics.token.unwrap().expose(), token);
    }
    assert!(
        from("{ env = 'TOKEN' }")
            .bad()
            .contains("the environment variable TOKEN is not set")
    );
    assert!(
        from("{ env = 'TOKEN' }")
            .and_env("TOKEN", "")
            .bad()
            .contains("TOKEN is empty")
    );
    for wrong in [
        "{}",
        "{ fil = '/t' }",
        "{ file = '/t', env = 'X' }",
        "{ file = 1 }",
        "{ file = '' }",
        "1",
        "['x']",
    ] {
        let problem = from(wrong).bad();
        assert!(
            problem.contains("expected a string, { file = \"PATH\" } or { env = \"VARIABLE\" }"),
            "{problem}"
        );
    }
    assert!(
        Said::file("data_dir = { file = '/t' }")
            .bad()
            .contains("`data_dir` is a table")
    );
}

#[test]
fn listen_takes_addresses_with_ports_only() {
    let settings = Said::env("DOORWARD_LISTEN", "127.0.0.1:1, [::1]:2").good();
    assert_eq!(settings.listen.len(), 2);
    assert_eq!(Said::file("listen = '127.0.0.1:1'").good().listen.len(), 1);
    assert_eq!(
        Said::file("listen = ['127.0.0.1:1', '[::1]:1']")
            .good()
            .listen
            .len(),
        2
    );
    for (value, problem) in [
        (
            ":9000",
            "write 127.0.0.1:9000 for this machine only, 0.0.0.0:9000 or [::]:9000 for every network",
        ),
        ("9000", "write 127.0.0.1:9000 for this machine only"),
        ("localhost:80", "write 127.0.0.1:80 for this machine only"),
        (
            "127.0.0.1",
            "`listen` has `127.0.0.1`, which is not an IP address with a port",
        ),
        ("id.example.org:80", "not an IP address"),
        ("127.0.0.1:1,", "`listen` has ``, which is not"),
        ("127.0.0.1:1,127.0.0.1:1", "is listed twice"),
        ("127.0.0.1:65536", "not an IP address"),
    ] {
        let problems = Said::env("DOORWARD_LISTEN", value).bad();
        assert!(problems.contains(problem), "{value}: {problems}");
    }
    assert!(Said::file("listen = []").bad().contains("`listen` is empty"));
    let many = vec!["127.0.0.1:0"; 17].join(",");
    assert!(Said::env("DOORWARD_LISTEN", &many).bad().contains("too many"));
}

#[test]
fn the_public_url_is_a_whole_host() {
    for (given, kept) in [
        ("https://id.example.org", "https://id.example.org"),
        ("https://id.example.org/", "https://id.example.org"),
        ("HTTPS://ID.Example.ORG:443", "https://id.example.org"),
        ("https://id.example.org:8443/", "https://id.example.org:8443"),
        ("http://localhost:9000", "http://localhost:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ] {
        assert_eq!(
            Said::env("DOORWARD_PUBLIC_URL", given).good().public_url.as_str(),
            kept
        );
    }
    for (given, problem) in [
        (
            "https://example.org/id",
            "has a path: cookies with the __Host- prefix",
        ),
        ("https://example.org//", "has a path"),
        ("https://example.org?x=1", "has a query or fragment"),
        ("https://example.org#x", "has a query or fragment"),
        (
            "https://alice:hunter2@example.org",
            "has a user name or password before the host",
        ),
        ("https://@example.org", "has a user name"),
        ("ftp://example.org", "is not a URL"),
        ("id.example.org", "does not begin with https:// or http://"),
        ("https:id.example.org", "does not begin with https://"),
        ("https:/\\id.example.org", "does not begin with https://"),
        ("javascript:alert(1)", "does not begin with https://"),
        ("https://", "is not a URL"),
        ("https://*.example.org", "names no host"),
        ("http://0.0.0.0:9000", "names no host that a browser could go to"),
        ("http://[::]:9000", "names no host"),
        ("https://exa mple.org", "is not a URL"),
        ("https://example.org:0", "is not a URL"),
        ("https://example.org:99999", "is not a URL"),
    ] {
        let problems = Said::env("DOORWARD_PUBLIC_URL", given).bad();
        assert!(problems.contains(problem), "{given}: {problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
}

#[test]
fn the_default_public_url_follows_listen_and_tls() {
    let url = |said: Said| said.good().public_url.to_string();
    assert_eq!(
        url(Said::env("DOORWARD_LISTEN", "127.0.0.1:8080")),
        "http://localhost:8080"
    );
    assert_eq!(
        url(Said::env("DOORWARD_LISTEN", "127.0.0.1:80")),
        "http://localhost"
    );
    let tls = Said::file("[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'");
    assert_eq!(url(tls.clone()), "https://localhost:9000");
    assert_eq!(
        url(tls.and_env("DOORWARD_TLS_LISTEN", "127.0.0.1:9443")),
        "https://localhost:9443"
    );
    let free = Said::env("DOORWARD_LISTEN", "127.0.0.1:0");
    assert!(
        free.bad()
            .contains("`public_url` is not set and cannot be guessed")
    );
    free.and_env("DOORWARD_PUBLIC_URL", "http://localhost:1").good();
}

/// Row 13 of the session chain (contract section 10).
#[test]
fn missing_public_url_refuses() {
    for listen in [
        "0.0.0.0:9000",
        "[::]:9000",
        "192.0.2.1:80",
        "127.0.0.1:9000,10.0.0.7:9000",
    ] {
        let said = Said::env("DOORWARD_LISTEN", listen);
        let problems = said.clone().bad();
        assert!(
            problems.contains("`public_url` is not set"),
            "{listen}: {problems}"
        );
        said.and_env("DOORWARD_PUBLIC_URL", "https://id.example.org")
            .good();
    }
    // Who is reached by this machine only is reached by its name.
    let own = Said::env("DOORWARD_LISTEN", "127.0.0.1:9123").good();
    assert_eq!(own.public_url.as_str(), "http://localhost:9123");
}

#[test]
fn unwise_public_urls_are_warned_about() {
    for (said, warning) in [
        (
            Said::env("DOORWARD_PUBLIC_URL", "http://id.example.org"),
            "travel in clear text",
        ),
        (
            Said::file("public_url = 'http://localhost:1'\n[tls]\ncertificate = 'c'\nkey = 'k'"),
            "the server speaks only https",
        ),
    ] {
        let warnings = lines(&said.good().warnings);
        assert!(
            warnings.contains(warning) && warnings.lines().count() == 1,
            "{warnings}"
        );
    }
    for fine in [
        "https://id.example.org",
        "http://localhost",
        "http://id.localhost",
        "http://127.1.2.3",
        "http://[::1]",
    ] {
        assert_eq!(
            Said::env("DOORWARD_PUBLIC_URL", fine).good().warnings,
            [],
            "{fine}"
        );
    }
}

#[test]
fn only_named_proxies_are_trusted() {
    let trusts = |list: &str, peer: &str| {
        let settings = Said::env("DOORWARD_TRUSTED_PROXIES", list).good();
        settings.trusted_proxies.trusts(peer.parse::<IpAddr>().unwrap())
    };
    for (list, peer, expected) in [
        ("none", "127.0.0.1", false),
        ("loopback", "127.9.9.9", true),
        ("loopback", "::1", true),
        ("loopback", "::ffff:127.0.0.1", true),
        ("loopback", "::2", false),
        ("private", "10.255.255.255", true),
        ("private", "172.31.0.1", true),
        ("private", "172.32.0.1", false),
        ("private", "192.168.3.4", true),
        ("private", "::ffff:192.168.3.4", true),
        ("private", "fd00::1", true),
        ("private", "fe80::1", false),
        ("private", "127.0.0.1", false),
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.8", false),
        ("192.0.2.7/32", "::ffff:192.0.2.7", true),
        ("10.0.0.0/8", "11.0.0.0", false),
        ("10.0.0.0/8, 2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/33", "2001:db8:8000::1", false),
        ("::ffff:10.0.0.0/104", "10.1.2.3", true),
        ("128.0.0.0/1", "127.255.255.255", false),
        ("::1", "::1", true),
    ] {
        assert_eq!(trusts(list, peer), expected, "{list} {peer}");
    }
}

#[test]
fn networks_are_checked() {
    for (list, problem) in [
        ("0.0.0.0/0", "is the whole internet"),
        ("::/0", "is the whole internet"),
        ("::ffff:0.0.0.0/96", "is the whole internet"),
        ("10.0.0.1/8", "did you mean 10.0.0.0/8?"),
        ("2001:db8::1/32", "did you mean 2001:db8::/32?"),
        ("10.0.0.0/33", "`10.0.0.0/33`, which is not a network"),
        ("10.0.0.0/", "is not a network"),
        ("10.0.0.0/+8", "is not a network"),
        ("10.0.0.0/8/8", "is not a network"),
        ("10.0.0/8", "is not a network"),
        ("proxy", "is not a network"),
        ("none,10.0.0.0/8", "stands beside other networks"),
        ("loopback,,private", "is not a network"),
    ] {
        let problems = Said::env("DOORWARD_TRUSTED_PROXIES", list).bad();
        assert!(problems.contains(problem), "{list}: {problems}");
    }
    let many: Vec<String> = (0..=256)
        .map(|n| format!("10.0.{}.{}", n / 256, n % 256))
        .collect();
    assert!(
        Said::env("DOORWARD_TRUSTED_PROXIES", &many.join(","))
            .bad()
            .contains("more than 256 networks")
    );
    assert_eq!(
        Said::file("trusted_proxies = []")
            .shown("trusted_proxies")
            .0
            .unwrap(),
        "none"
    );
}

#[test]
fn database_urls_show_no_password() {
    for (given, shown) in [
        ("sqlite:a/b.db", "sqlite:a/b.db"),
        ("sqlite:///var/lib/d.db", "sqlite:/var/lib/d.db"),
        (
            "postgres://u:hunter2@db/doorward",
            "postgres://u:(set)@db/doorward",
        ),
        (
            "postgresql://u:hunter2@db:6432/d?sslmode=require",
            "postgres://u:(set)@db:6432/d?sslmode=require",
        ),
        ("postgres://u@db/d?password=hunter2", "postgres://u@db/d"),
        (
            "postgres://u:h%40hunter2@[2001:db8::1]:5432/d",
            "postgres://u:(set)@[2001:db8::1]:5432/d",
        ),
        ("postgres://db1:5432,db2:5432/d", "postgres://db1:5432,db2:5432/d"),
        (
            "postgres://%2Frun%2Fpostgresql/d",
            "postgres://%2Frun%2Fpostgresql/d",
        ),
        (
            "postgres:///d?host=/run/postgresql",
            "postgres:///d?host=/run/postgresql",
        ),
    ] {
        let said = Said::env("DOORWARD_DATABASE_URL", given);
        assert_eq!(said.shown("database_url").0.unwrap(), shown);
        assert!(!format!("{:?}", said.good()).contains("hunter2"));
    }
    let whole = Said::env("DOORWARD_DATABASE_URL", "postgresql://u:hunter2@db/d").good();
    assert_eq!(whole.database.url.expose(), "postgres://u:hunter2@db/d");
}

#[test]
fn database_urls_are_checked_without_showing_them() {
    for (given, problem) in [
        (
            "mysql://u:hunter2@db/d",
            "begins neither with sqlite: nor with postgres://",
        ),
        ("hunter2", "begins neither"),
        ("postgres://u:hunter2/x@db/d", "percent-encode / ? # @"),
        ("postgres://u:hun?ter2@db/d", "percent-encode / ? # @"),
        ("postgres://u:hunter2@x@db/d", "percent-encode / ? # @"),
        ("postgres://u:a@h/hunter2@db", "percent-encode / ? # @"),
        ("postgres://u:hunter2", "has a host or port that is none"),
        ("postgres://u:hunter2/d", "has a host or port that is none"),
        ("postgres://u:hunter2@db", "names no database"),
        ("postgres://u:hunter2@db/", "names no database"),
        ("postgres://u:hunter2@/d", "names no host"),
        (
            "postgres://u:hunter2@db/d?pool=3",
            "write the setting database.pool_size",
        ),
        (
            "postgres://u:hunter2@db/d?pooler=transaction",
            "write the setting database.transaction_pooler",
        ),
        ("sqlite:", "names no file"),
        ("sqlite::memory:", "would forget everything"),
        ("sqlite:x.db?mode=hunter2", "has parameters"),
        ("sqlite:hunter2/", "names a folder"),
    ] {
        for said in [
            Said::env("DOORWARD_DATABASE_URL", given),
            Said::flag("database-url", given),
        ] {
            let problems = said.bad();
            assert!(problems.contains(problem), "{given}: {problems}");
            assert!(
                !problems.contains("hunter2") && !problems.contains("hun?"),
                "{problems}"
            );
        }
    }
}

#[test]
fn the_key_is_no_file_of_the_database() {
    for key in [
        "data/d.db",
        "./data/./d.db",
        "data/d.db-wal",
        "data//d.db-shm",
        "data/d.db-journal",
    ] {
        let said = Said::env("DOORWARD_DATABASE_URL", "sqlite:data/d.db").and_env("DOORWARD_KEY_FILE", key);
        assert!(
            said.bad()
                .contains("`key_file` is a file of the database in DOORWARD_KEY_FILE"),
            "{key}"
        );
    }
    Said::env("DOORWARD_DATABASE_URL", "sqlite:data/d.db")
        .and_env("DOORWARD_KEY_FILE", "data/d.key")
        .good();
}

#[test]
fn mail_is_whole_or_absent() {
    let mail = Said::file("[mail]\nhost = 'smtp.example.org'\nfrom = 'Example <id@example.org>'")
        .good()
        .mail
        .unwrap();
    assert_eq!(
        (mail.host.as_str(), mail.port, mail.security),
        ("smtp.example.org", 587, MailSecurity::StartTls)
    );
    assert_eq!(mail.from, "Example <id@example.org>");
    assert!(mail.login.is_none());
    for (security, port) in [("tls", 465), ("none", 25), ("starttls", 587)] {
        let text = format!("[mail]\nhost = '::1'\nfrom = 'id@example.org'\nsecurity = '{security}'");
        let settings = Said::file(&text).good();
        assert_eq!(settings.mail.unwrap().port, port);
        assert_eq!(settings.warnings, []);
    }
    for (text, problem) in [
        (
            "host = 'smtp.example.org'",
            "`mail.host` is set but `mail.from` is not",
        ),
        (
            "from = 'id@example.org'",
            "a setting under mail is set but `mail.host` is not",
        ),
        (
            "host = 'h'\nfrom = 'a@b.c'\nusername = 'u'",
            "`mail.username` is set but `mail.password` is not",
        ),
        (
            "host = 'h'\nfrom = 'a@b.c'\npassword = 'hunter2'",
            "`mail.password` is set but `mail.username` is not",
        ),
        (
            "host = 'h:25'\nfrom = 'a@b.c'",
            "the port is a setting of its own, mail.port",
        ),
        (
            "host = 'h'\nfrom = 'nobody'",
            "`mail.from` has `nobody`, which is not a mailbox",
        ),
        ("host = 'h'\nfrom = \"a@b.c\\r\\nBcc: x@y.z\"", "`mail.from` has"),
        ("host = 'h'\nfrom = 'A, B <a@b.c>'", "is not a mailbox"),
        (
            "host = 'h'\nfrom = 'a@b.c'\nport = 0",
            "expected a whole number from 1 to 65535",
        ),
        (
            "host = 'h'\nfrom = 'a@b.c'\nport = 65536",
            "expected a whole number from 1 to 65535",
        ),
        (
            "host = 'h'\nfrom = 'a@b.c'\nsecurity = 'tlss'",
            "expected starttls, tls or none; did you mean `tls`?",
        ),
    ] {
        let problems = Said::file(&format!("[mail]\n{text}")).bad();
        assert!(problems.contains(problem), "{text}: {problems}");
        assert!(!problems.contains("hunter2"));
    }
    let clear = Said::file("[mail]\nhost = 'smtp.example.org'\nfrom = 'a@b.c'\nsecurity = 'none'").good();
    assert!(lines(&clear.warnings).contains("travel in clear text"));
}

#[test]
fn certificate_and_key_go_together() {
    let both = Said::file("[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'")
        .good()
        .tls
        .unwrap();
    assert_eq!(
        (both.certificate.to_str(), both.key.to_str()),
        (Some("c.pem"), Some("k.pem"))
    );
    for (text, problem) in [
        (
            "certificate = 'c'",
            "`tls.certificate` is set but `tls.key` is not",
        ),
        ("key = 'k'", "`tls.key` is set but `tls.certificate` is not"),
        (
            "listen = '127.0.0.1:9443'",
            "`tls.listen` is set but there is no certificate",
        ),
        (
            "certificate = 'c'\nkey = 'k'\nlisten = '0.0.0.0:9000'",
            "which `listen` takes already",
        ),
    ] {
        let problems = Said::file(&format!("[tls]\n{text}")).bad();
        assert!(problems.contains(problem), "{text}: {problems}");
    }
    let pem = Said::env("DOORWARD_TLS_KEY_FILE", "/k")
        .and_value_file("/k", "-----BEGIN PRIVATE KEY-----\nhunter2\n")
        .and_env("DOORWARD_TLS_CERTIFICATE", "c.pem")
        .bad();
    assert!(
        pem.contains("holds the content of a PEM file instead of its path") && !pem.contains("hunter2"),
        "{pem}"
    );
}

#[test]
fn metrics_have_an_address_or_a_token() {
    let settings = Said::file("[metrics]\nlisten = '127.0.0.1:9001'\ntoken = '0123456789abcdef'").good();
    assert_eq!(settings.metrics.listen, Some("127.0.0.1:9001".parse().unwrap()));
    assert!(
        Said::file("metrics.listen = '0.0.0.0:9000'")
            .bad()
            .contains("which the server listens on already")
    );
    let short = Said::file("metrics.token = 'hunter2'").bad();
    assert!(short.contains("`metrics.token` is shorter than 16 characters") && !short.contains("hunter2"));
}

#[test]
fn numbers_and_sizes_have_bounds() {
    for (text, problem) in [
        (
            "database.pool_size = 0",
            "`0`, which is out of range at doorward.toml:1:22; expected a whole number from 1 to 100",
        ),
        ("database.pool_size = -1", "is not a whole number"),
        ("database.pool_size = 99999999999999", "is out of range"),
        (
            "database.pool_size = 1.5",
            "`database.pool_size` is a number with a fraction",
        ),
        (
            "database.transaction_pooler = 'true'",
            "`database.transaction_pooler` is a string",
        ),
        ("limits.body = '1KiB'", "expected a size from 4KiB to 64MiB"),
        ("limits.body = '64 bytes'", "is not a size"),
        ("limits.body = '99999999999999999999GiB'", "is not a size"),
        ("limits.body = '18446744073709551615KiB'", "is not a size"),
        ("hashing.memory = '1MiB'", "expected a size from 8MiB to 2GiB"),
        ("limits.header_read_timeout = '1ms'", "is out of range"),
        ("shutdown_grace = '1y'", "is not a length of time"),
        ("shutdown_grace = 10", "`shutdown_grace` is an integer"),
    ] {
        let problems = Said::file(text).bad();
        assert!(problems.contains(problem), "{text}: {problems}");
    }
    for (text, bytes) in [
        ("65536", 65_536),
        ("'64 kib'", 65_536),
        ("'1MB'", 1_000_000),
        ("0x10000", 65_536),
        ("1_000_000", 1_000_000),
    ] {
        assert_eq!(
            Said::file(&format!("limits.body = {text}"))
                .good()
                .limits
                .body
                .bytes(),
            bytes,
            "{text}"
        );
    }
    for (text, millis) in [
        ("500ms", 500),
        ("1m30s", 90_000),
        ("minutes=9;seconds=1", 541_000),
    ] {
        let settings = Said::flag("limits-header-read-timeout", text).good();
        assert_eq!(settings.limits.header_read_timeout.millis(), millis);
    }
    for (size, shown) in [
        (0, "0B"),
        (1, "1B"),
        (1024, "1KiB"),
        (1536, "1536B"),
        (1 << 20, "1MiB"),
        (3 << 30, "3GiB"),
    ] {
        assert_eq!(ByteSize::new(size).to_string(), shown);
        assert_eq!(shown.parse::<ByteSize>().unwrap().bytes(), size);
    }
}

#[test]
fn switches_read_what_people_write() {
    for (text, on) in [
        ("true", true),
        ("yes", true),
        ("1", true),
        ("ON", true),
        ("false", false),
        ("0", false),
    ] {
        let settings = Said::env("DOORWARD_DATABASE_TRANSACTION_POOLER", text).good();
        assert_eq!(settings.database.transaction_pooler, on);
    }
    assert!(
        Said::env("DOORWARD_DATABASE_TRANSACTION_POOLER", "maybe")
            .bad()
            .contains("neither true nor false")
    );
}

#[test]
fn the_first_administrator_comes_from_the_environment_only() {
    let settings = Said::env("DOORWARD_BOOTSTRAP_PASSWORD_FILE", "/p")
        .and_value_file("/p", "hunter2\n")
        .good();
    let bootstrap = settings.bootstrap.unwrap();
    assert_eq!(bootstrap.username, "admin");
    assert_eq!(bootstrap.password.unwrap().expose(), "hunter2");
    for said in [
        Said::file("bootstrap.password = 'hunter2'"),
        Said::flag("bootstrap-password", "hunter2"),
    ] {
        let problems = said.bad();
        assert!(
            problems.contains("`bootstrap.password` is read from the environment only"),
            "{problems}"
        );
        assert!(
            problems.contains("set DOORWARD_BOOTSTRAP_PASSWORD") && !problems.contains("hunter2"),
            "{problems}"
        );
    }
    let nobody = Said::env("DOORWARD_BOOTSTRAP_USERNAME", "root").bad();
    assert!(
        nobody.contains("neither password nor token in DOORWARD_BOOTSTRAP_USERNAME"),
        "{nobody}"
    );
    assert!(
        Said::env("DOORWARD_BOOTSTRAP_USERNAME", "a b")
            .bad()
            .contains("is not a usable user name")
    );
    assert!(
        Said::env("DOORWARD_BOOTSTRAP_EMAIL", "a")
            .bad()
            .contains("is not an e-mail address")
    );
    assert!(
        Said::env("DOORWARD_BOOTSTRAP_TOKEN", "short")
            .bad()
            .contains("shorter than 8 characters")
    );
    let weak = Said::env("DOORWARD_BOOTSTRAP_TOKEN", "long-enough").good();
    assert!(lines(&weak.warnings).contains("`bootstrap.token` is shorter than 32 characters"));
}

#[test]
fn flags_are_known_single_and_warned_about_when_they_hold_secrets() {
    assert!(
        Said::flag("--public-urll", "x")
            .bad()
            .contains("did you mean `--public-url`?")
    );
    let twice = Said::flag("data-dir", "a").and_flag("--data_dir", "b").bad();
    assert_eq!(twice, "`--data-dir` is given twice");
    let list = Said::flag("listen", "127.0.0.1:1")
        .and_flag("listen", "127.0.0.1:2")
        .bad();
    assert!(
        list.contains("separate the parts of a list with commas"),
        "{list}"
    );
    let warned = Said::flag("metrics-token", "hunter2hunter2hunter2").good();
    let text = lines(&warned.warnings);
    assert!(
        text.contains("other users of this machine can read it") && !text.contains("hunter2"),
        "{text}"
    );
    assert_eq!(Said::flag("database-url", "sqlite:x.db").good().warnings, []);
    assert_eq!(
        Said::flag("database-url", "postgres://u:p@h/d")
            .good()
            .warnings
            .len(),
        1
    );
}

#[test]
fn secrets_appear_nowhere() {
    let said = Said::file("[mail]\nhost = 'h'\nfrom = 'a@b.c'\nusername = 'u'\npassword = 'hunter2-mail'")
        .and_env("DOORWARD_METRICS_TOKEN", "hunter2-metrics-token")
        .and_env("DOORWARD_BOOTSTRAP_PASSWORD", "hunter2-password")
        .and_env("DOORWARD_BOOTSTRAP_TOKEN", "hunter2-token")
        .and_env("DOORWARD_DATABASE_URL", "postgres://u:hunter2-db@h/d");
    let settings = said.good();
    let everything = format!(
        "{settings:?} {:#?} {} {}",
        settings.describe(),
        serde_json::to_string(settings.describe()).unwrap(),
        lines(&settings.warnings)
    );
    assert!(!everything.contains("hunter2"), "{everything}");
    let shown: Vec<_> = settings
        .describe()
        .iter()
        .filter(|info| info.value.as_deref() == Some("(set)"))
        .collect();
    assert_eq!(shown.len(), 4);
    // The same values with something wrong beside them, and wrong themselves.
    let broken = said.and_env("DOORWARD_SHUTDOWN_GRACE", "x").read().unwrap_err();
    assert!(!format!("{broken:?} {}", lines(&broken)).contains("hunter2"));
    for definition in ALL.iter().filter(|definition| definition.secret) {
        let problems = Said::env(&definition.variable(), "hunter2\u{0}")
            .read()
            .unwrap_err();
        assert!(
            !format!("{problems:?} {}", lines(&problems)).contains("hunter2"),
            "{}",
            definition.key
        );
        let typo = Said::file(&format!("{} = hunter2", definition.key))
            .read()
            .unwrap_err();
        assert!(
            !format!("{typo:?} {}", lines(&typo)).contains("hunter2"),
            "{}",
            definition.key
        );
        let list = Said::file(&format!("{} = ['hunter2']", definition.key))
            .read()
            .unwrap_err();
        assert!(
            !format!("{list:?} {}", lines(&list)).contains("hunter2"),
            "{}",
            definition.key
        );
    }
}

#[test]
fn what_is_read_through_a_file_variable_is_never_quoted() {
    for definition in ALL {
        let said = Said::env(&format!("{}_FILE", definition.variable()), "/etc/shadow");
        let Err(problems) = said
            .and_value_file("/etc/shadow", "root:$6$hunter2\n\u{1}")
            .read()
        else {
            panic!("{} accepts a control character", definition.key);
        };
        assert!(
            !format!("{problems:?}").contains("hunter2"),
            "{}: {problems:?}",
            definition.key
        );
    }
}

#[test]
fn problems_are_one_line_whatever_was_written() {
    for value in [
        "a\nb",
        "a\u{1b}[31mred",
        "a\u{2028}b",
        "a\u{202e}b",
        "\r\n\r\nfake log line",
    ] {
        for said in [
            Said::env("DOORWARD_LISTEN", value),
            Said::flag(value, "x"),
            Said::env(&format!("DOORWARD_{value}"), "x"),
            Said::file(&format!("{} = 1", toml::Value::from(value))),
        ] {
            let problem = said.read().unwrap_err()[0].to_string();
            assert!(
                !problem.contains(|c: char| c.is_control() || "\u{2028}\u{202e}".contains(c)),
                "{problem:?}"
            );
        }
    }
    let long = Said::env("DOORWARD_LISTEN", &"x".repeat(100_000)).bad();
    assert!(long.len() < 400, "{}", long.len());
}

#[test]
fn the_reference_page_and_the_sample_name_every_setting() {
    let (page, sample) = (reference_page(), sample_file());
    for definition in ALL {
        assert!(
            page.contains(&format!("### `{}`", definition.key)),
            "{}",
            definition.key
        );
        assert!(
            page.contains(&format!("`{}`", definition.variable())),
            "{}",
            definition.key
        );
        let name = definition.key.rsplit('.').next().unwrap();
        let in_file = definition.reach == Reach::Everywhere;
        let key_line = sample.contains(&format!("\n#{name} = "));
        assert!(key_line || !in_file, "{}", definition.key);
    }
    assert!(!sample.contains("bootstrap"));
    for text in [&page, &sample] {
        assert!(text.ends_with('\n') && !text.contains("  \n") && !text.contains("\n\n\n"));
    }
    assert_eq!(catalogue().len(), ALL.len());
}

#[test]
fn the_sample_file_works_as_it_is_and_with_every_line_uncommented() {
    let sample = sample_file();
    assert_eq!(Said::file(&sample).good().warnings, []);
    let is_setting = |line: &str| line.starts_with('#') && !line.starts_with("# ");
    let live: String = sample
        .lines()
        .map(|line| {
            if is_setting(line) {
                line.trim_start_matches('#')
            } else {
                line
            }
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let settings = Said::file(&live).and_example_secrets().good();
    let unset: Vec<&str> = settings
        .describe()
        .iter()
        .filter(|info| info.value.is_none() && info.about.flag.is_some())
        .map(|info| info.about.key)
        .collect();
    assert_eq!(unset, [""; 0]);
    assert!(
        settings
            .describe()
            .iter()
            .all(|info| info.about.flag.is_none() || info.source.starts_with("doorward.toml:"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_files_never_panic(text in "\\PC{0,300}") {
        let _ = Said::file(&text).read();
    }

    #[test]
    fn arbitrary_toml_like_files_never_panic(
        text in "([a-z_]{1,8}|mail|listen|tls|\\[|\\]|\\{|\\}|=|\\.|,|'|\"|\n|#|1|true|\\\\| ){0,60}",
    ) {
        if let Err(problems) = Said::file(&text).read() {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(!problem.to_string().contains('\n'));
            }
        }
    }

    #[test]
    fn arbitrary_values_never_panic_and_problems_name_the_setting(index in 0..ALL.len(), value in "(\\PC|\n){1,80}") {
        let definition = ALL[index];
        if let Err(problems) = Said::env(&definition.variable(), &value).read() {
            let section = definition.section();
            prop_assert!(problems.iter().all(|p| p.key == definition.key || p.key.starts_with(section) || p.key == "public_url"));
        }
    }

    #[test]
    fn what_is_shown_reads_as_itself(index in 0..ALL.len(), value in "[a-z0-9:/.,=@<> -]{1,40}") {
        let definition = ALL[index];
        let said = |text: &str| Said::env(&definition.variable(), text);
        if let Ok(settings) = said(&value).read() {
            let shown = |settings: &Settings| settings.describe().iter().find(|i| i.about.key == definition.key).unwrap().value.clone();
            let first = shown(&settings).unwrap();
            if !definition.secret {
                let again = said(&first).read().unwrap();
                prop_assert_eq!(shown(&again), Some(first));
            }
        }
    }

    #[test]
    fn networks_contain_exactly_what_shares_their_prefix(a: u128, b: u128, prefix in 1u8..=128) {
        let mask = u128::MAX << (128 - u32::from(prefix));
        let network: IpAddr = std::net::Ipv6Addr::from_bits(a & mask).into();
        let cidr = crate::proxies::Cidr::parse(&format!("{network}/{prefix}")).unwrap();
        if network.to_canonical().is_ipv6() {
            prop_assert!(cidr.contains(std::net::Ipv6Addr::from_bits(a).into()) || std::net::Ipv6Addr::from_bits(a).to_ipv4_mapped().is_some());
            prop_assert_eq!(cidr.contains(std::net::Ipv6Addr::from_bits(b).into()), a & mask == b & mask && std::net::Ipv6Addr::from_bits(b).to_ipv4_mapped().is_none());
        }
    }
}
