//! Which fields reach the service, and which come back.

use super::*;

async fn seen(site: impl FnOnce(&mut Site), lines: &str) -> String {
    let (address, _) = service(Speaks::One, mirror).await;
    let mut given = Site::at(format!("http://{address}"));
    site(&mut given);
    let answer = given.open().await.get("/", lines).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.to_ascii_lowercase()
}

/// Lines of one field in what the service saw.
fn lines_of<'a>(seen: &'a str, name: &str) -> Vec<&'a str> {
    let mark = format!("{name}: ");
    seen.lines().filter_map(|line| line.strip_prefix(&mark)).collect()
}

#[tokio::test]
async fn no_spelling_of_an_identity_header_gets_in() {
    for forged in [
        "X-Doorward-User: root",
        "x-doorward-user: root\r\nX-DOORWARD-USER: root\r\nX-Doorward-User: root",
        "X_Doorward_User: root",
        "X-Doorward_User: root",
        "X.Doorward.User: root",
        "X!Doorward~User: root",
        "X-Doorward-Groups: root",
        "X_DOORWARD_GROUPS: root",
        "Remote-User: root",
        "REMOTE_USER: root",
        "Remote.User: root",
        "Connection: x-doorward-user\r\nX-Doorward-User: root",
    ] {
        let seen = seen(|_| {}, &format!("{forged}\r\nX-Other: kept\r\n")).await;
        assert!(!seen.contains("root"), "{forged}: {seen}");
        assert_eq!(lines_of(&seen, "x-doorward-user"), ["alice"], "{forged}");
        assert_eq!(lines_of(&seen, "x-other"), ["kept"], "{forged}");
    }
}

#[tokio::test]
async fn what_is_set_may_have_several_values() {
    let set = |site: &mut Site| {
        site.set
            .append("x-doorward-groups", HeaderValue::from_static("a"));
        site.set
            .append("x-doorward-groups", HeaderValue::from_static("b"));
    };
    let seen = seen(set, "X-Doorward-Groups: root\r\n").await;
    assert_eq!(lines_of(&seen, "x-doorward-groups"), ["a", "b"]);
}

#[tokio::test]
async fn an_account_of_the_visitor_comes_from_us_and_not_from_outside() {
    let forged = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.7\r\nX-Forwarded-Proto: http\r\n\
                  X-Forwarded-Host: evil.example\r\nX-Forwarded-Port: 666\r\nX-Forwarded-Uri: /666\r\n\
                  Forwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n\
                  X.Forwarded.For: 6.6.6.6\r\nTrue-Client-IP: 6.6.6.6\r\nClient-IP: 6.6.6.6\r\n\
                  CF-Connecting-IP: 6.6.6.6\r\nX-Original-URL: /666\r\nX-Rewrite-URL: /666\r\nProxy: http://6.6.6.6\r\n";
    let seen = seen(|_| {}, forged).await;
    assert!(
        !seen.contains("6.6.6") && !seen.contains("666") && !seen.contains("evil"),
        "{seen}"
    );
    assert_eq!(lines_of(&seen, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(lines_of(&seen, "x-forwarded-proto"), ["https"]);
    assert_eq!(lines_of(&seen, "x-forwarded-host"), ["app.example.org"]);
    assert_eq!(lines_of(&seen, "x-real-ip"), ["127.0.0.1"]);
    assert_eq!(
        lines_of(&seen, "forwarded"),
        ["for=127.0.0.1;host=\"app.example.org\";proto=https"]
    );
}

#[tokio::test]
async fn a_proxy_of_ours_is_continued() {
    let lines = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 10.0.0.7\r\nX-Forwarded-Port: 8443\r\n\
                 X-Forwarded-Host: other.example\r\nX-Original-URL: /666\r\nConnection: x-forwarded-for\r\n";
    let seen = seen(|site| site.trusted = true, lines).await;
    assert_eq!(
        lines_of(&seen, "x-forwarded-for"),
        ["203.0.113.9, 10.0.0.7, 127.0.0.1"]
    );
    assert_eq!(lines_of(&seen, "x-real-ip"), ["203.0.113.9"]);
    assert_eq!(lines_of(&seen, "x-forwarded-port"), ["8443"]);
    assert_eq!(lines_of(&seen, "x-forwarded-host"), ["app.example.org"]);
    assert!(!seen.contains("666"), "{seen}");
}

#[tokio::test]
async fn fields_of_one_connection_end_here() {
    let lines = "Connection: x-mine, Close\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authorization: Basic eA==\r\n\
                 Proxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\
                 Expect: 100-continue\r\nTrailer: x-sum\r\nAuthorization: Bearer b\r\n";
    let seen = seen(|_| {}, lines).await;
    for name in [
        "x-mine",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "upgrade",
        "http2-settings",
        "expect",
    ] {
        assert!(lines_of(&seen, name).is_empty(), "{name}: {seen}");
    }
    assert_eq!(lines_of(&seen, "trailer"), ["x-sum"]);
    assert_eq!(lines_of(&seen, "authorization"), ["bearer b"]);
    assert_eq!(lines_of(&seen, "via"), ["1.1 doorward"]);
}

#[tokio::test]
async fn credentials_for_us_stay_with_us() {
    let lines = "Authorization: Basic secret\r\nCookie: a=1; doorward_site=secret\r\nCookie: b=2; __Host-doorward_session=secret\r\n";
    let seen = seen(|site| site.authorization = Authorization::Strip, lines).await;
    assert!(!seen.contains("secret"), "{seen}");
    assert_eq!(lines_of(&seen, "cookie"), ["a=1; b=2"]);
}

#[tokio::test]
async fn the_path_and_the_host_pass_as_typed() {
    let (address, _) = service(Speaks::One, mirror).await;
    let door = Site::at(format!("http://{address}")).open().await;
    let path = "/a//b/%2e%2E/%2F;x=1/{}?q=%00&r=a+b??&ü=1";
    let answer = door.get(path, "").await;
    assert!(answer.contains(&format!("GET {path}\n")), "{answer}");
    assert!(answer.contains("host: app.example.org\n"), "{answer}");
    let absolute = door
        .raw("GET http://other.example:81/x?y HTTP/1.1\r\nHost: app.example.org\r\nConnection: close\r\n\r\n")
        .await;
    assert!(absolute.contains("GET /x?y\n"), "{absolute}");
    assert!(absolute.contains("host: other.example:81\n"), "{absolute}");

    let mut own = Site::at(format!("http://{address}/base/"));
    own.host_header = HostHeader::Upstream;
    let answer = own.open().await.get("/x/?y=/", "").await;
    assert!(answer.contains("GET /base/x/?y=/\n"), "{answer}");
    assert!(answer.contains(&format!("host: {address}\n")), "{answer}");
    assert!(answer.contains("x-forwarded-host: app.example.org\n"), "{answer}");
}

#[tokio::test]
async fn an_answer_keeps_what_is_the_services_own() {
    let (address, _) = service(Speaks::One, |_| async {
        http::Response::builder()
            .status(203)
            .header("set-cookie", "sid=1; Path=/; HttpOnly; SameSite=None")
            .header("set-cookie", "doorward_site=evil; Path=/")
            .header("set-cookie", "=__Host-doorward_session=evil; Path=/")
            .header("set-cookie", "Doorward_Site=evil")
            .header("set-cookie", "other=doorward_site=1")
            .header("x-frame-options", "SAMEORIGIN")
            .header("alt-svc", "h3=\":443\"")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("proxy-authenticate", "Basic")
            .header("server", "service/1")
            .body(Body::from("hello"))
            .unwrap()
    })
    .await;
    let answer = Site::at(format!("http://{address}"))
        .open()
        .await
        .get("/", "")
        .await;
    let lower = answer.to_ascii_lowercase();
    assert!(lower.starts_with("http/1.1 203"), "{answer}");
    assert_eq!(
        lines_of(&lower, "set-cookie"),
        ["sid=1; path=/; httponly; samesite=none", "other=doorward_site=1"]
    );
    assert_eq!(lines_of(&lower, "x-frame-options"), ["sameorigin"]);
    assert_eq!(lines_of(&lower, "server"), ["service/1"]);
    assert_eq!(lines_of(&lower, "content-length"), ["5"]);
    for name in ["alt-svc", "x-hop", "proxy-authenticate"] {
        assert!(lines_of(&lower, name).is_empty(), "{name}: {answer}");
    }
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[tokio::test]
async fn redirects_of_a_service_that_sees_its_own_host_are_turned_back() {
    let (address, _) = scripted(|mut stream, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let to = path
                .rsplit_once("to=")
                .map(|(_, to)| to.to_owned())
                .unwrap_or_default();
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let mut site = Site::at(format!("http://{address}/base"));
    site.host_header = HostHeader::Upstream;
    let own = site.open().await;
    let visitor = Site::at(format!("http://{address}/base")).open().await;
    for (to, turned) in [
        (
            format!("http://{address}/base/in?x"),
            "https://app.example.org/in?x",
        ),
        (format!("http://{address}/base"), "https://app.example.org"),
        (
            format!("http://{address}/basement"),
            "https://app.example.org/basement",
        ),
        ("/relative".to_owned(), "/relative"),
        (
            "https://elsewhere.example/".to_owned(),
            "https://elsewhere.example/",
        ),
    ] {
        let answer = own.get(&format!("/?to={to}"), "").await;
        assert!(
            answer.contains(&format!("ocation: {turned}\r\n")),
            "{to}: {answer}"
        );
        let answer = visitor.get(&format!("/?to={to}"), "").await;
        assert!(answer.contains(&format!("ocation: {to}\r\n")), "{to}: {answer}");
    }
    let longer = format!("http://{address}0/base/in");
    let answer = own.get(&format!("/?to={longer}"), "").await;
    assert!(answer.contains(&format!("ocation: {longer}\r\n")), "{answer}");
}

#[tokio::test]
async fn answers_without_a_body_say_how_long_it_would_be() {
    let (address, _) = scripted(|mut stream, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            let status = if head.starts_with("HEAD") {
                "200 OK"
            } else {
                "304 Not Modified"
            };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 1234\r\nETag: \"e\"\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let door = Site::at(format!("http://{address}")).open().await;
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = door.raw(head).await.to_ascii_lowercase();
    assert!(
        answer.contains("content-length: 1234\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    let answer = door.get("/", "").await;
    assert!(
        answer.starts_with("HTTP/1.1 304") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
}
