//! Services that are away, slow, broken or hostile, and requests that are not for them.

use super::*;
use http::Request;

/// The code that the door gave instead of an answer.
async fn code(site: Site) -> String {
    let answer = site.open().await.get("/", "").await;
    answer.rsplit("\r\n").next().unwrap_or_default().to_owned()
}

async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A service that reads a head and says this.
async fn says(answer: &'static str) -> SocketAddr {
    let (address, _) = scripted(move |mut stream, _| async move {
        if read_head(&mut stream).await.is_some() {
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    address
}

#[tokio::test]
async fn services_that_are_not_there() {
    let port = closed_port().await;
    assert_eq!(code(Site::at(format!("http://{port}"))).await, "upstream_connect");
    assert_eq!(
        code(Site::at(format!("https://{port}"))).await,
        "upstream_connect"
    );
    assert_eq!(code(Site::at("http://nowhere.invalid")).await, "upstream_connect");
    assert_eq!(code(Site::at("ftp://127.0.0.1")).await, "upstream_connect");
    let mut forbidden = Site::at(format!("http://{}", says("HTTP/1.1 200 OK\r\n\r\n").await));
    forbidden.may_call = false;
    assert_eq!(code(forbidden).await, "upstream_connect");
}

#[tokio::test]
async fn services_that_do_not_answer_in_time() {
    let (address, _) = scripted(|mut stream, _| async move {
        let _end = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let mut slow = Site::at(format!("http://{address}"));
    slow.head = Duration::from_millis(200);
    assert_eq!(code(slow.clone()).await, "upstream_timeout");
    slow.url = format!("h2c://{address}");
    assert_eq!(code(slow.clone()).await, "upstream_timeout");
    // The handshake never ends.
    slow.url = format!("https://{address}");
    slow.connect = Duration::from_millis(200);
    assert_eq!(code(slow).await, "upstream_timeout");
}

#[tokio::test]
async fn answers_that_are_none() {
    for answer in [
        "",
        "HTTP/1.1 200",
        "hello",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    ] {
        let site = Site::at(format!("http://{}", says(answer).await));
        assert_eq!(code(site).await, "upstream_broken", "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_early_does_not_look_complete() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let answer = Site::at(format!("http://{}", says(chunked).await))
        .open()
        .await
        .get("/", "")
        .await;
    assert!(
        answer.contains("hello") && !answer.ends_with("0\r\n\r\n"),
        "{answer}"
    );
    let counted = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    let door = Site::at(format!("http://{}", says(counted).await)).open().await;
    let answer = door.get("/", "").await;
    assert!(
        answer.contains("ontent-length: 10\r\n") && answer.ends_with("hello"),
        "{answer}"
    );
    let mut sender = door.two().await;
    let request = Request::get("http://a/").body(Body::empty()).unwrap();
    let answer = soon(sender.send_request(request)).await.unwrap();
    soon(answer.into_body().collect()).await.unwrap_err();
}

#[tokio::test]
async fn a_length_that_the_body_does_not_have_is_not_passed_on() {
    let both =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let door = Site::at(format!("http://{}", says(both).await)).open().await;
    let answer = door.get("/", "").await.to_ascii_lowercase();
    assert!(!answer.contains("content-length"), "{answer}");
    assert!(answer.ends_with("5\r\nhello\r\n0\r\n\r\n"), "{answer}");
}

/// A service that closes each kept connection when the second request comes, and counts the requests by method.
async fn forgetful() -> (SocketAddr, Arc<std::sync::Mutex<Vec<String>>>) {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    let (address, _) = scripted(move |mut stream, _| {
        let all = Arc::clone(&all);
        async move {
            for round in 0..2 {
                let Some(head) = read_head(&mut stream).await else {
                    return;
                };
                all.lock()
                    .unwrap()
                    .push(head.split(' ').next().unwrap().to_owned());
                if round == 0 {
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        }
    })
    .await;
    (address, seen)
}

#[tokio::test]
async fn a_request_is_repeated_only_when_that_changes_nothing() {
    let (address, seen) = forgetful().await;
    let door = Site::at(format!("http://{address}")).open().await;
    for _ in 0..4 {
        let answer = door.get("/", "").await;
        assert!(answer.ends_with("ok"), "{answer}");
    }
    seen.lock().unwrap().clear();
    // The kept connection dies under the POST.
    let post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let mut broken = 0;
    for _ in 0..4 {
        if door.raw(post).await.ends_with("upstream_broken") {
            broken += 1;
        }
    }
    assert_eq!(broken, 2);
    assert_eq!(seen.lock().unwrap().len(), 4, "each was sent once");
}

#[tokio::test]
async fn a_connection_that_the_service_closed_meanwhile_is_not_used() {
    let (address, connections) = scripted(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
    })
    .await;
    let door = Site::at(format!("http://{address}")).open().await;
    for round in 1..4 {
        let answer = door
            .raw("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")
            .await;
        assert!(answer.ends_with("ok"), "{answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(connections.load(Ordering::SeqCst), round);
    }
}

#[tokio::test]
async fn a_service_that_hangs_does_not_take_every_place() {
    let (hanging, count) = scripted(|mut stream, _| async move {
        let _end = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let mut site = Site::at(format!("http://{hanging}"));
    site.connections = 4;
    site.connect = Duration::from_millis(300);
    let door = site.open().await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = door.connect().await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        streams.push(stream);
    }
    until(|| count.load(Ordering::SeqCst) == 2).await;
    let answer = door.get("/", "").await;
    assert!(answer.ends_with("upstream_busy"), "{answer}");
    drop(streams);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut again = door.connect().await;
    again
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    until(|| count.load(Ordering::SeqCst) == 3).await;
}

#[tokio::test]
async fn a_circle_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let inner = listener.local_addr().unwrap();
    drop(listener);
    let site = Site::at(format!("http://{inner}"));
    let door = site.clone().open().await;
    // The door behind the first one leads back to it.
    let address = door.address;
    let listener = TcpListener::bind(inner).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut other = TcpStream::connect(address).await.unwrap();
                let _end = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
            });
        }
    });
    let answer = door.get("/", "").await;
    assert!(answer.ends_with("upstream_loop"), "{answer}");
}

#[tokio::test]
async fn methods_that_are_not_forwarded() {
    let (address, connections) = service(Speaks::One, mirror).await;
    let door = Site::at(format!("http://{address}")).open().await;
    for line in [
        "TRACE / HTTP/1.1",
        "CONNECT 10.0.0.1:22 HTTP/1.1",
        "CONNECT app.example.org:443 HTTP/1.1",
    ] {
        let answer = door
            .raw(&format!("{line}\r\nHost: a\r\nConnection: close\r\n\r\n"))
            .await;
        assert!(answer.contains("request_refused"), "{answer}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_a_visitor_may_learn_does_not_name_the_upstream() {
    let port = closed_port().await;
    let answer = Site::at(format!("http://{port}")).open().await.get("/", "").await;
    assert!(!answer.contains(&port.port().to_string()), "{answer}");
    let told = Unreachable::new(Kind::Connect, "10.0.0.1 port 80: refused");
    assert_eq!(told.kind().code(), "upstream_connect");
    assert_eq!(told.to_string(), "upstream_connect: 10.0.0.1 port 80: refused");
}
