//! WebSockets and other changes of protocol: bytes pass both ways until somebody ends it.

use super::*;
use http::{Method, Request};
use hyper::ext::Protocol;

const ASK: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: app.example.org\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Protocol: chat\r\nCookie: doorward_site=secret; sid=1\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\
                     Set-Cookie: doorward_site=evil\r\n\r\n";
/// "Hello" and a close, as a browser masks them (RFC 6455 section 5.7).
const HELLO: &[u8] = &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
const CLOSE: &[u8] = &[0x88, 0x82, 0x37, 0xfa, 0x21, 0x3d, 0x34, 0x12];

/// A service that agrees to WebSockets, greets in the same breath, and echoes until a close.
async fn chat() -> (SocketAddr, Arc<AtomicUsize>) {
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    let (address, _) = scripted(move |mut stream, _| {
        let count = Arc::clone(&count);
        async move {
            let head = read_head(&mut stream).await.unwrap().to_ascii_lowercase();
            for line in [
                "get /chat?room=1 http/1.1\r\n",
                "\r\nupgrade: websocket\r\n",
                "\r\nconnection: upgrade\r\n",
                "\r\nsec-websocket-version: 13\r\n",
                "\r\nsec-websocket-key: ",
                "\r\nx-doorward-user: alice\r\n",
                "\r\ncookie: sid=1\r\n",
                "\r\nhost: app.example.org\r\n",
            ] {
                assert!(head.contains(line), "{line}: {head}");
            }
            stream
                .write_all(format!("{AGREE}welcome").as_bytes())
                .await
                .unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                stream.write_all(&buffer[..length]).await.unwrap();
                if buffer[..length].ends_with(CLOSE) {
                    break;
                }
            }
            count.fetch_sub(1, Ordering::SeqCst);
        }
    })
    .await;
    (address, open)
}

async fn expect(stream: &mut (impl tokio::io::AsyncRead + Unpin), bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    soon(stream.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, bytes);
}

async fn open_chat(door: &Door) -> TcpStream {
    let mut stream = door.connect().await;
    // The first frame comes with the request.
    stream.write_all(format!("{ASK}\r\n").as_bytes()).await.unwrap();
    stream.write_all(HELLO).await.unwrap();
    let head = soon(read_head(&mut stream)).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    expect(&mut stream, b"welcome").await;
    expect(&mut stream, HELLO).await;
    stream
}

#[tokio::test]
async fn a_websocket_passes_until_it_is_closed() {
    let (address, open) = chat().await;
    let door = Site::at(format!("http://{address}")).open().await;
    let mut stream = door.connect().await;
    stream.write_all(format!("{ASK}\r\n").as_bytes()).await.unwrap();
    let head = soon(read_head(&mut stream)).await.unwrap().to_ascii_lowercase();
    for line in [
        "http/1.1 101 switching protocols\r\n",
        "\r\nupgrade: websocket\r\n",
        "\r\nconnection: upgrade\r\n",
        "\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n",
        "\r\nsec-websocket-protocol: chat\r\n",
    ] {
        assert!(head.contains(line), "{line}: {head}");
    }
    assert!(!head.contains("doorward_site"), "{head}");
    expect(&mut stream, b"welcome").await;
    let long = vec![9; 300_000];
    let (mut reader, mut writer) = stream.split();
    let both = async { tokio::join!(writer.write_all(&long), expect(&mut reader, &long)) };
    soon(both).await.0.unwrap();
    stream.write_all(CLOSE).await.unwrap();
    expect(&mut stream, CLOSE).await;
    assert_eq!(
        soon(stream.read(&mut [0; 1])).await.unwrap(),
        0,
        "the service hung up"
    );
    until(|| open.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn a_visitor_who_leaves_closes_the_tunnel() {
    let (address, open) = chat().await;
    let door = Site::at(format!("http://{address}")).open().await;
    let stream = open_chat(&door).await;
    until(|| open.load(Ordering::SeqCst) == 1).await;
    drop(stream);
    until(|| open.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn a_websocket_over_http_2_reaches_a_service_that_knows_http_1() {
    let (address, open) = chat().await;
    let mut site = Site::at(format!("http://{address}"));
    site.door_idle = Duration::from_millis(150);
    let door = site.open().await;
    let mut sender = door.two().await;
    // The setting that allows it arrives with the door's first frames.
    let first = Request::builder()
        .method(Method::TRACE)
        .uri("http://a/")
        .body(Body::empty())
        .unwrap();
    soon(sender.send_request(first)).await.unwrap();
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri("http://app.example.org/chat?room=1")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .header("cookie", "doorward_site=secret")
        .header("cookie", "sid=1")
        .body(Body::empty())
        .unwrap();
    request
        .extensions_mut()
        .insert(Protocol::from_static("websocket"));
    let answer = soon(sender.send_request(request)).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    for absent in ["sec-websocket-accept", "upgrade", "connection", "set-cookie"] {
        assert!(!answer.headers().contains_key(absent), "{absent}");
    }
    let mut tunnel = TokioIo::new(soon(hyper::upgrade::on(answer)).await.unwrap());
    expect(&mut tunnel, b"welcome").await;
    // Longer than a connection may do nothing.
    tokio::time::sleep(Duration::from_millis(700)).await;
    tunnel.write_all(HELLO).await.unwrap();
    expect(&mut tunnel, HELLO).await;
    tunnel.write_all(CLOSE).await.unwrap();
    expect(&mut tunnel, CLOSE).await;
    until(|| open.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn a_service_may_say_no() {
    let (address, connections) = service(Speaks::One, |request: Request<Incoming>| async move {
        let status = if request.uri().path() == "/fine" { 200 } else { 403 };
        http::Response::builder()
            .status(status)
            .body(Body::from("no"))
            .unwrap()
    })
    .await;
    let door = Site::at(format!("http://{address}")).open().await;
    let asked = ASK.replace("keep-alive, Upgrade", "close, Upgrade");
    for _ in 0..2 {
        let answer = door.raw(&format!("{asked}\r\n")).await;
        assert!(
            answer.starts_with("HTTP/1.1 403") && answer.ends_with("no"),
            "{answer}"
        );
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    // Over HTTP/2, anything that succeeds would be taken for a tunnel.
    let mut sender = door.two().await;
    let first = Request::builder()
        .method(Method::TRACE)
        .uri("http://a/")
        .body(Body::empty())
        .unwrap();
    soon(sender.send_request(first)).await.unwrap();
    for (path, status) in [("/fine", 502), ("/chat", 403)] {
        let mut request = Request::connect(format!("http://a{path}"))
            .body(Body::empty())
            .unwrap();
        request
            .extensions_mut()
            .insert(Protocol::from_static("websocket"));
        let answer = soon(sender.send_request(request)).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[tokio::test]
async fn only_the_protocol_that_was_asked_for_is_agreed_to() {
    for (asked, agreed) in [
        ("websocket", "h2c"),
        ("websocket", "websocket, x"),
        ("x/1", "websocket"),
    ] {
        let (address, _) = scripted(move |mut stream, _| async move {
            read_head(&mut stream).await.unwrap();
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: {agreed}\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _end = stream.read(&mut [0; 1]).await;
        })
        .await;
        let door = Site::at(format!("http://{address}")).open().await;
        let answer = door
            .get("/", &format!("Connection: upgrade\r\nUpgrade: {asked}\r\n"))
            .await;
        assert!(answer.ends_with("upstream_broken"), "{asked} {agreed}: {answer}");
    }
}

#[tokio::test]
async fn no_tunnel_for_another_http() {
    let (address, _) = service(Speaks::One, mirror).await;
    let door = Site::at(format!("http://{address}")).open().await;
    for asked in [
        "h2c",
        "H2C",
        "HTTP/2.0",
        "TLS/1.0",
        "websocket, h2c",
        "websocket\r\nUpgrade: h2c",
        "h2",
    ] {
        let lines = format!(
            "Connection: upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: {asked}\r\n"
        );
        let answer = door.get("/", &lines).await.to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 200"), "{asked}: {answer}");
        assert!(
            !answer.contains("upgrade:") && !answer.contains("settings"),
            "{asked}: {answer}"
        );
    }
    // A request with a body keeps it and changes nothing.
    let bytes = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc";
    let answer = door.raw(bytes).await;
    assert!(
        answer.ends_with("\n\nabc") && !answer.contains("upgrade:"),
        "{answer}"
    );
}

#[tokio::test]
async fn other_protocols_pass_too() {
    let (address, _) = scripted(|mut stream, _| async move {
        let head = read_head(&mut stream).await.unwrap();
        assert!(head.contains("upgrade: SPDY/3.1\r\n"), "{head}");
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        // The visitor ends its half; the service still answers.
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(&all).await.unwrap();
    })
    .await;
    let door = Site::at(format!("http://{address}")).open().await;
    let mut stream = door.connect().await;
    stream
        .write_all(b"POST /exec HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    soon(read_head(&mut stream)).await.unwrap();
    stream.write_all(b"half").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut all = Vec::new();
    soon(stream.read_to_end(&mut all)).await.unwrap();
    assert_eq!(all, b"half");
}

#[tokio::test]
async fn a_silent_tunnel_ends_and_one_that_talks_does_not() {
    let (address, open) = chat().await;
    let mut site = Site::at(format!("http://{address}"));
    site.idle = Duration::from_millis(400);
    site.door_idle = Duration::from_millis(100);
    let door = site.open().await;
    let mut stream = open_chat(&door).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(HELLO).await.unwrap();
        expect(&mut stream, HELLO).await;
    }
    assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap_or(0), 0);
    until(|| open.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn a_tunnel_keeps_the_place_of_its_connection() {
    let (address, _) = chat().await;
    let mut site = Site::at(format!("http://{address}"));
    site.connections = 1;
    site.door_idle = Duration::from_millis(100);
    let door = site.open().await;
    let tunnel = open_chat(&door).await;
    let mut second = door.connect().await;
    second
        .write_all(b"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut byte = [0; 1];
    let waits = tokio::time::timeout(Duration::from_millis(500), second.read(&mut byte)).await;
    assert!(waits.is_err(), "there is one place, and the tunnel has it");
    drop(tunnel);
    assert_eq!(soon(second.read(&mut byte)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_server_that_stops_closes_silent_tunnels_within_its_grace() {
    let (address, open) = chat().await;
    let mut site = Site::at(format!("http://{address}"));
    site.grace = Duration::from_secs(50);
    let mut door = site.open().await;
    let mut stream = open_chat(&door).await;
    door.stop();
    // One that talks may go on for a while.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        stream.write_all(HELLO).await.unwrap();
        expect(&mut stream, HELLO).await;
    }
    assert!(!door.served.is_finished());
    soon(&mut door.served).await.unwrap();
    until(|| open.load(Ordering::SeqCst) == 0).await;
}
