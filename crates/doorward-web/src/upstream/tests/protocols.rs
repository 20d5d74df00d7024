//! HTTP/1.0, 1.1 and 2 on either side, TLS and what proves a service, connections that are used again.

use super::*;
use http::Request;

async fn tls_answer(speaks: Speaks, trust: Proof) -> (String, usize) {
    let (address, connections) = service(speaks, mirror).await;
    let mut site = Site::at(format!("https://{address}"));
    site.trust = trust;
    let door = site.open().await;
    let mut answer = String::new();
    for _ in 0..3 {
        answer = door.get("/", "").await;
    }
    (answer, connections.load(Ordering::SeqCst))
}

#[tokio::test]
async fn tls_speaks_what_the_service_prefers_and_keeps_the_connection() {
    for (speaks, version) in [(Speaks::TlsTwo, "HTTP/2.0"), (Speaks::TlsOne, "HTTP/1.1")] {
        let (answer, connections) = tls_answer(speaks, Proof::Authorities).await;
        assert!(answer.contains(&format!("{version} GET ")), "{answer}");
        assert!(answer.contains("app.example.org"), "{answer}");
        assert_eq!(connections, 1);
    }
}

#[tokio::test]
async fn only_the_expected_certificate_is_taken() {
    let (answer, _) = tls_answer(Speaks::TlsTwo, Proof::Pinned(certificate(CERTIFICATE))).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (answer, _) = tls_answer(Speaks::TlsTwo, Proof::Pinned(certificate(OTHER_CERTIFICATE))).await;
    assert!(answer.ends_with("upstream_tls"), "{answer}");
    let (answer, _) = tls_answer(Speaks::TlsOther, Proof::Authorities).await;
    assert!(answer.ends_with("upstream_tls"), "{answer}");
    let (answer, _) = tls_answer(Speaks::TlsOther, Proof::Pinned(certificate(OTHER_CERTIFICATE))).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (answer, _) = tls_answer(Speaks::TlsOther, Proof::Anything).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (answer, _) = tls_answer(Speaks::One, Proof::Anything).await;
    assert!(answer.ends_with("upstream_tls"), "{answer}");
}

#[tokio::test]
async fn h2c_shares_one_connection_among_requests_that_come_at_once() {
    let (address, connections) = service(Speaks::Two, |request| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        mirror(request).await
    })
    .await;
    let door = Arc::new(Site::at(format!("h2c://{address}/base")).open().await);
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..20 {
        let door = Arc::clone(&door);
        asked.spawn(async move {
            door.get(&format!("/{number}?x"), "X_Doorward_User: root\r\n")
                .await
        });
    }
    while let Some(answer) = soon(asked.join_next()).await {
        let answer = answer.unwrap();
        assert!(
            answer.contains("HTTP/2.0 GET http://app.example.org/base/"),
            "{answer}"
        );
        assert!(!answer.contains("root"), "{answer}");
        assert!(!answer.contains("\nhost:"), "{answer}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn http_1_connections_are_used_again_one_request_at_a_time() {
    let (address, connections) = service(Speaks::One, |request| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        mirror(request).await
    })
    .await;
    let door = Arc::new(Site::at(format!("http://{address}")).open().await);
    for _ in 0..5 {
        door.get("/", "").await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let door = Arc::clone(&door);
        asked.spawn(async move { door.get("/", "").await });
    }
    while let Some(answer) = soon(asked.join_next()).await {
        assert!(
            answer.unwrap().contains("HTTP/1.1 GET /\n"),
            "one connection each"
        );
    }
    assert!(connections.load(Ordering::SeqCst) <= 5);
}

#[tokio::test]
async fn http_2_visitors_reach_http_1_services() {
    let (address, _) = service(Speaks::One, mirror).await;
    let door = Site::at(format!("http://{address}")).open().await;
    let mut sender = door.two().await;
    let request = Request::post("http://app.example.org:8443/p?q")
        .header("cookie", "a=1")
        .header("cookie", "doorward_site=secret")
        .header("cookie", "b=2")
        .body(Body::from("body"))
        .unwrap();
    let answer = soon(sender.send_request(request)).await.unwrap();
    let text = soon(answer.into_body().collect()).await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&text);
    assert!(text.starts_with("HTTP/1.1 POST /p?q\n"), "{text}");
    assert!(text.contains("host: app.example.org:8443\n"), "{text}");
    assert!(text.contains("cookie: a=1; b=2\n"), "{text}");
    assert!(text.contains("content-length: 4\n"), "{text}");
    assert!(text.contains("via: 2 doorward\n"), "{text}");
    assert!(text.ends_with("\n\nbody"), "{text}");
}

#[tokio::test]
async fn a_body_without_a_length_reaches_the_service_whatever_the_method() {
    let (address, _) = service(Speaks::One, mirror).await;
    let door = Site::at(format!("http://{address}")).open().await;
    let mut sender = door.two().await;
    for method in ["GET", "POST", "DELETE", "QUERY"] {
        let (writer, body) = pieces();
        let request = Request::builder()
            .method(method)
            .uri("http://a/")
            .body(body)
            .unwrap();
        let sending = sender.send_request(request);
        writer.send(piece("inside")).await.unwrap();
        drop(writer);
        let answer = soon(sending).await.unwrap();
        let text = soon(answer.into_body().collect()).await.unwrap().to_bytes();
        assert!(
            text.ends_with(b"\n\ninside"),
            "{method}: {}",
            String::from_utf8_lossy(&text)
        );
    }
}

#[tokio::test]
async fn http_1_0_on_either_side() {
    let (address, connections) = scripted(|mut stream, _| async move {
        let head = read_head(&mut stream).await.unwrap();
        let answer = format!("HTTP/1.0 200 OK\r\n\r\n{}", head.lines().next().unwrap());
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let door = Site::at(format!("http://{address}")).open().await;
    for _ in 0..2 {
        let answer = door.get("/x", "").await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("GET /x HTTP/1.1"),
            "{answer}"
        );
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    let answer = door.raw("GET /y HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.0 200") && answer.ends_with("GET /y HTTP/1.1"),
        "{answer}"
    );
}

#[tokio::test]
async fn the_door_speaks_http_2_over_tls_and_the_reason_of_a_status_stays() {
    let (address, _) = scripted(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        let answer = "HTTP/1.1 418 Short And Stout\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let site = Site::at(format!("http://{address}"));
    let answer = site.clone().open().await.get("/", "").await;
    assert!(answer.starts_with("HTTP/1.1 418 Short And Stout\r\n"), "{answer}");

    let door = site.listen(Some(Arc::new(server_tls()))).await;
    let mut outer = Site::at(format!("https://{}", door.address));
    outer.trust = Proof::Pinned(certificate(CERTIFICATE));
    let answer = outer.open().await.get("/", "").await;
    assert!(answer.starts_with("HTTP/1.1 418"), "{answer}");
}
