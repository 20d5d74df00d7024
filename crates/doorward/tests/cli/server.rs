//! The server as a process: links, signals, probes, certificates, and the command line beside it.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use crate::support::{PATIENCE, Place, Server, free_port, pause};

const PASSWORD: &str = "first-Password-28-brass";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

#[test]
fn a_first_start_prints_the_link_and_sigterm_ends_it_cleanly() {
    let place = Place::new();
    let mut server = place.serve(&[]).ready();
    let link = server.link();
    assert!(link.starts_with(&server.url("/setup/")), "{link}");
    let printed = server.printed();
    assert!(printed.contains(&format!("Doorward listens on {}", server.url(""))));
    let version: Value = serde_json::from_str(&server.answers("/version", 200)).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0), "{}", server.log());
    assert!(server.log().contains("stopped"), "{}", server.log());
    // Lines are written in batches; at the end all of them are there.
    assert!(
        server.log().contains(&link),
        "the link is in the log too:\n{}",
        server.log()
    );

    let again = place.serve(&[]).ready();
    let fresh = again.link();
    assert_ne!(
        fresh.rsplit('/').next(),
        link.rsplit('/').next(),
        "each start mints its own link"
    );
}

#[test]
fn interrupt_ends_it_too_and_no_command_is_serve() {
    let place = Place::new();
    let port = free_port();
    let place = place.with_env("DOORWARD_LISTEN", &format!("127.0.0.1:{port}"));
    let mut server = Server::spawn(&place, &[], port).ready();
    server.signal("INT");
    assert_eq!(server.end().code(), Some(0), "{}", server.log());
}

/// A request whose body never comes.
fn unfinished_request(port: u16) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "POST /application/o/token/ HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ngrant"
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket
}

#[test]
fn a_request_that_never_ends_does_not_keep_the_server() {
    let place = Place::new();
    let mut server = place.serve(&["--shutdown-grace", "200ms"]).ready();
    let _hanging = unfinished_request(server.port);
    let _idle = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    server.answers("/-/health/live/", 200);
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0), "{}", server.log());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    let mut server = place.serve(&["--shutdown-grace", "10m"]).ready();
    let _hanging = unfinished_request(server.port);
    server.answers("/-/health/live/", 200);
    server.signal("TERM");
    server.eventually(|| server.log().contains("stopping").then_some(()));
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(143), "{}", server.log());
}

#[test]
fn the_log_can_be_json_lines() {
    let place = Place::new();
    let mut server = place.serve(&["--log-format", "json"]).ready();
    server.link();
    server.answers("/version", 200);
    server.signal("TERM");
    server.end();
    let log = server.log();
    assert!(log.lines().count() > 3, "{log}");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            line["level"].is_string() && line["timestamp"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn bootstrap_variables_make_the_administrator_once() {
    let place = Place::new()
        .with_env("DOORWARD_BOOTSTRAP_USERNAME", "root")
        .with_env("DOORWARD_BOOTSTRAP_EMAIL", "root@example.org")
        .with_env("DOORWARD_BOOTSTRAP_PASSWORD", PASSWORD);
    let mut server = place.serve(&[]).ready();
    server.eventually(|| server.log().contains("administrator `root`").then_some(()));
    assert!(!server.printed().contains("/setup/"), "{}", server.printed());
    let root = place.json(&["user", "show", "root"]);
    assert_eq!(root["superuser"], true);
    assert_eq!(root["email"], "root@example.org");
    server.signal("TERM");
    server.end();
    assert!(!server.log().contains(PASSWORD));

    let mut place = place;
    place.env.retain(|(name, _)| !name.contains("PASSWORD"));
    let place = place.with_env("DOORWARD_BOOTSTRAP_PASSWORD", "another-Password-19-entirely");
    let again = place.serve(&[]).ready();
    again.eventually(|| {
        let log = again.log();
        (log.contains("DOORWARD_BOOTSTRAP") && log.contains("ignored")).then_some(())
    });
    assert!(!again.printed().contains("/setup/"));
    assert!(!again.log().contains("another-Password"));
}

#[test]
fn servers_that_start_together_on_a_new_folder_make_one_administrator() {
    let place = Place::new()
        .with_env("DOORWARD_BOOTSTRAP_USERNAME", "root")
        .with_env("DOORWARD_BOOTSTRAP_PASSWORD", PASSWORD);
    let mut servers = [place.serve(&[]), place.serve(&[]), place.serve(&[])];
    for server in &servers {
        server.eventually(|| server.log().contains("database is ready").then_some(()));
    }
    let ended = servers.iter_mut().map(|server| {
        server.signal("TERM");
        assert_eq!(server.end().code(), Some(0), "{}", server.log());
        server.log()
    });
    let made = ended.filter(|log| log.contains("administrator `root`")).count();
    assert_eq!(made, 1);
    assert_eq!(place.json(&["user", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_bootstrap_password_that_is_no_good_is_one_sentence_that_names_the_variables() {
    let place = Place::new().with_env("DOORWARD_BOOTSTRAP_PASSWORD", "password");
    let listen = format!("127.0.0.1:{}", free_port());
    place
        .run(&["serve", "--listen", &listen])
        .failed(1, &["DOORWARD_BOOTSTRAP", "password"]);
    assert_eq!(place.json(&["user", "list"]), Value::Array(Vec::new()));
}

#[test]
fn an_address_that_is_taken_is_one_sentence() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let other = format!("127.0.0.1:{}", free_port());
    place
        .run(&["serve", "--listen", &format!("{other},{address}")])
        .failed(1, &[&address, "in use", "`listen`"]);
    assert!(!place.path("doorward-data").exists(), "nothing was made");
    place
        .run(&["serve", "--listen", &other, "--metrics-listen", &address])
        .failed(1, &[&address, "`metrics.listen`"]);
}

#[test]
fn while_the_database_is_away_the_server_lives_and_says_that_it_is_not_ready() {
    let url = format!("postgres://doorward:hunter22@127.0.0.1:{}/doorward", free_port());
    let place = Place::new().with_env("DOORWARD_DATABASE_URL", &url);
    let mut server = place.serve(&[]);
    server.answers("/-/health/live/", 200);
    let body = server.answers("/-/health/ready/", 503);
    server.eventually(|| server.log().contains("trying again").then_some(()));
    assert!(!server.log().contains("hunter22") && !body.contains("hunter22"));
    assert!(!server.printed().contains("/setup/"));
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0), "{}", server.log());
}

#[test]
fn a_database_that_cannot_be_used_ends_it_with_1() {
    let place = Place::new();
    place.write("notes.db", &"not a database\n".repeat(200));
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    place
        .run(&["serve", "--listen", &listen, "--database-url", "sqlite:notes.db"])
        .failed(1, &["notes.db"]);
    let json = place
        .run(&[
            "serve",
            "--listen",
            &listen,
            "--database-url",
            "sqlite:notes.db",
            "--log-format",
            "json",
        ])
        .failed(1, &["notes.db"]);
    for line in json.stderr.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}

#[test]
fn the_command_line_works_beside_the_server_which_sees_its_changes() {
    let place = Place::new();
    let server = place.serve(&[]).ready();
    let public = server.url("");
    place
        .run(&[
            "application",
            "create",
            "late",
            "--public",
            "--redirect-uri",
            "https://l.example/cb",
            "--public-url",
            &public,
        ])
        .ok();
    server.answers("/application/o/late/.well-known/openid-configuration", 200);
    place.run(&["application", "delete", "late"]).ok();
    server.answers("/application/o/late/.well-known/openid-configuration", 404);
}

#[test]
fn the_link_makes_an_administrator_whose_session_the_command_line_ends() {
    let place = Place::new();
    let server = place.serve(&[]).ready();
    let link = server.link();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(set_up(&link));
    let root = place.json(&["user", "show", "root"]);
    assert_eq!(
        (root["superuser"] == true, root["has_password"] == true),
        (true, true)
    );
    let sessions = place.json(&["session", "list", "--user", "root"]);
    let id = sessions[0]["id"].as_str().unwrap();
    place.run(&["user", "create", "other"]).ok();
    place
        .run(&["session", "end", "--user", "other", "--id", id])
        .failed(3, &["other"]);
    let ended = place.json(&["session", "end", "--user", "root", "--id", id]);
    assert_eq!(ended["ended"], 1);
    assert_eq!(
        place.json(&["session", "list", "--user", "root"]),
        Value::Array(Vec::new())
    );
    let again = place.serve(&[]).ready();
    again.eventually(|| again.log().contains("database is ready").then_some(()));
    assert!(!again.printed().contains("/setup/"), "the door is shut for good");
}

/// Answers the set-up page as a browser does.
async fn set_up(link: &str) {
    let _again = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = client.get(link).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let cookies: Vec<String> = page
        .headers()
        .get_all("set-cookie")
        .iter()
        .map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned())
        .collect();
    let html = page.text().await.unwrap();
    let (_, after) = html.split_once("name=\"attempt\" value=\"").unwrap();
    let attempt = after.split('"').next().unwrap();
    let form = [
        ("attempt", attempt),
        ("username", "root"),
        ("name", "Root"),
        ("email", "root@example.org"),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
    ];
    let answer = client
        .post(link)
        .header("cookie", cookies.join("; "))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

#[test]
fn it_speaks_https_with_its_own_certificate_and_takes_a_new_one_without_a_restart() {
    let place = Place::new();
    let (certificate, key) = (place.path("cert.pem"), place.path("key.pem"));
    let install = |name: &str| {
        std::fs::copy(data(&format!("{name}.key.pem")), &key).unwrap();
        std::fs::copy(data(&format!("{name}.cert.pem")), &certificate).unwrap();
    };
    install("first");
    let server = place.serve(&["--tls-certificate", "cert.pem", "--tls-key", "key.pem"]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let live = |name: &str| runtime.block_on(https_status(server.port, name));
    server.eventually(|| (live("first") == Some(200)).then_some(()));
    assert_eq!(live("second"), None, "the other certificate is not shown");

    std::fs::write(&certificate, "nonsense").unwrap();
    server.signal("HUP");
    server.eventually(|| server.log().contains("certificate in use stays").then_some(()));
    assert_eq!(live("first"), Some(200));

    install("second");
    server.signal("HUP");
    let begin = Instant::now();
    while live("second") != Some(200) {
        assert!(begin.elapsed() < PATIENCE, "{}", server.log());
        pause();
    }
}

/// The status of the liveness probe over a connection that trusts this certificate alone.
async fn https_status(port: u16, trusted: &str) -> Option<u16> {
    let _again = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let pem = std::fs::read(data(&format!("{trusted}.cert.pem"))).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .build()
        .unwrap();
    let url = format!("https://localhost:{port}/-/health/live/");
    let answer = client.get(url).send().await.ok()?;
    Some(answer.status().as_u16())
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let place = Place::new();
    place.write("nonsense.pem", "nonsense");
    let first = data("first.cert.pem").display().to_string();
    let serve = |certificate: &str, key: &str| {
        let listen = format!("127.0.0.1:{}", free_port());
        place.run(&[
            "serve",
            "--listen",
            &listen,
            "--tls-certificate",
            certificate,
            "--tls-key",
            key,
        ])
    };
    let key = |name: &str| data(name).display().to_string();
    serve("missing.pem", &key("first.key.pem")).failed(1, &["missing.pem"]);
    serve("nonsense.pem", &key("first.key.pem")).failed(1, &["nonsense.pem"]);
    serve(&first, "nonsense.pem").failed(1, &["private key", "nonsense.pem"]);
    serve(&first, &key("second.key.pem")).failed(1, &["does not belong"]);
}
