//! Bodies stream: at once, both ways, as fast as the slower side, and as long as they like.

use super::*;
use http::{Method, Request};

const MEGABYTE: usize = 1024 * 1024;
const PIECE: usize = 64 * 1024;
/// More than sockets and windows hold, less than anybody would call bounded by luck.
const HELD_AT_MOST: usize = 48 * MEGABYTE;

/// A hundred megabytes up and down at the same time, every byte compared.
async fn there_and_back<S, R>(send: S)
where
    S: FnOnce(Request<Body>) -> R,
    R: Future<Output = http::Response<Incoming>>,
{
    const TOTAL: usize = 100 * MEGABYTE;
    let (writer, body) = pieces();
    let request = Request::post("http://app.example.org/")
        .header("host", "a")
        .body(body)
        .unwrap();
    let sending = tokio::spawn(async move {
        for number in 0..TOTAL / PIECE {
            let bytes = vec![u8::try_from(number % 251).unwrap(); PIECE];
            writer.send(piece(bytes)).await.unwrap();
        }
    });
    let mut body = soon(send(request)).await.into_body();
    let mut at = 0;
    while let Some(frame) = soon(body.frame()).await {
        let data = frame.unwrap().into_data().unwrap();
        for byte in data
            .chunks(512)
            .filter_map(|chunk| chunk.first())
            .copied()
            .enumerate()
        {
            let (index, byte) = byte;
            assert_eq!(usize::from(byte), (at + index * 512) / PIECE % 251);
        }
        at += data.len();
    }
    assert_eq!(at, TOTAL);
    sending.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_pass_both_ways_over_http_1() {
    let (address, _) = service(Speaks::One, echo).await;
    let door = Site::at(format!("http://{address}")).open().await;
    let mut sender = door.one().await;
    there_and_back(|mut request| async move {
        *request.uri_mut() = "/".parse().unwrap();
        sender.send_request(request).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_pass_both_ways_over_http_2() {
    let (address, _) = service(Speaks::Two, echo).await;
    let door = Site::at(format!("h2c://{address}")).open().await;
    let mut sender = door.two().await;
    there_and_back(|request| async move { sender.send_request(request).await.unwrap() }).await;
}

/// A service whose answer never ends; counts what it could hand over, and says when it is called off.
async fn fountain(speaks: Speaks) -> (SocketAddr, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (sent, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, end) = (Arc::clone(&sent), Arc::clone(&ended));
    let (address, _) = service(speaks, move |_| {
        let (writer, body) = pieces();
        let (count, end) = (Arc::clone(&count), Arc::clone(&end));
        tokio::spawn(async move {
            while writer.send(piece(vec![7; PIECE])).await.is_ok() {
                count.fetch_add(PIECE, Ordering::SeqCst);
            }
            end.fetch_add(1, Ordering::SeqCst);
        });
        async move { http::Response::new(body) }
    })
    .await;
    (address, sent, ended)
}

/// Waits until a count no longer grows.
async fn settled(count: &AtomicUsize) -> usize {
    let mut before = usize::MAX;
    loop {
        let now = count.load(Ordering::SeqCst);
        if now == before && now > 0 {
            return now;
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn a_visitor_who_does_not_read_stops_the_service_and_one_who_leaves_calls_it_off() {
    for speaks in [Speaks::One, Speaks::Two] {
        let (address, sent, ended) = fountain(speaks).await;
        let scheme = if speaks == Speaks::One { "http" } else { "h2c" };
        let door = Site::at(format!("{scheme}://{address}")).open().await;
        let mut stream = door.connect().await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        read_head(&mut stream).await.unwrap();
        let held = soon(settled(&sent)).await;
        assert!(held < HELD_AT_MOST, "{held}");
        let mut some = vec![0; 4 * MEGABYTE];
        soon(stream.read_exact(&mut some)).await.unwrap();
        until(|| sent.load(Ordering::SeqCst) > held).await;
        drop(stream);
        until(|| ended.load(Ordering::SeqCst) == 1).await;
    }
}

#[tokio::test]
async fn visitors_who_do_not_read_do_not_stop_others_on_a_shared_connection() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let (address, connections) = service(Speaks::Two, move |request: http::Request<Incoming>| {
        let count = Arc::clone(&count);
        async move {
            if request.uri().path() == "/quick" {
                return http::Response::new(Body::from("quick"));
            }
            let (writer, body) = pieces();
            tokio::spawn(async move {
                while writer.send(piece(vec![7; PIECE])).await.is_ok() {
                    count.fetch_add(PIECE, Ordering::SeqCst);
                }
            });
            http::Response::new(body)
        }
    })
    .await;
    let door = Site::at(format!("h2c://{address}")).open().await;
    let mut silent = Vec::new();
    for _ in 0..6 {
        let mut stream = door.connect().await;
        stream
            .write_all(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        read_head(&mut stream).await.unwrap();
        silent.push(stream);
    }
    // Until everything between the service and those who do not read is full.
    soon(settled(&sent)).await;
    let answer = door.get("/quick", "").await;
    assert!(answer.ends_with("quick"), "{answer}");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_service_that_does_not_read_stops_the_visitor() {
    let (address, _) = scripted(|stream, _| async move {
        tokio::time::sleep(Duration::from_secs(600)).await;
        drop(stream);
    })
    .await;
    let door = Site::at(format!("http://{address}")).open().await;
    let mut sender = door.one().await;
    let (writer, body) = pieces();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    tokio::spawn(async move {
        while writer.send(piece(vec![7; PIECE])).await.is_ok() {
            count.fetch_add(PIECE, Ordering::SeqCst);
        }
    });
    let request = Request::post("/").header("host", "a").body(body).unwrap();
    let asking = tokio::spawn(async move { sender.send_request(request).await });
    let held = soon(settled(&sent)).await;
    assert!(held < HELD_AT_MOST, "{held}");
    asking.abort();
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let (go, went) = tokio::sync::mpsc::channel::<&'static str>(1);
    let went = Arc::new(tokio::sync::Mutex::new(went));
    let (address, _) = service(Speaks::One, move |_| {
        let went = Arc::clone(&went);
        let (writer, body) = pieces();
        tokio::spawn(async move {
            let mut went = went.lock().await;
            while let Some(event) = went.recv().await {
                writer.send(piece(event)).await.unwrap();
            }
        });
        async move {
            http::Response::builder()
                .header("content-type", "text/event-stream")
                .body(body)
                .unwrap()
        }
    })
    .await;
    let door = Site::at(format!("http://{address}")).open().await;
    let request = || {
        Request::get("http://app.example.org/")
            .header("host", "a")
            .body(Body::empty())
            .unwrap()
    };
    let mut two = door.two().await;
    let mut body = soon(two.send_request(request())).await.unwrap().into_body();
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        // The next one is sent only when this one is here.
        go.send(event).await.unwrap();
        assert_eq!(next(&mut body).await, event);
    }
    drop(go);
    assert!(soon(body.collect()).await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn trailers_pass_and_forged_ones_do_not() {
    let (address, _) = service(Speaks::Two, echo).await;
    let door = Site::at(format!("h2c://{address}")).open().await;
    let (writer, body) = pieces();
    let request = Request::post("http://app.example.org/")
        .header("te", "trailers")
        .header("trailer", "grpc-status")
        .body(body)
        .unwrap();
    let mut sender = door.two().await;
    let sending = sender.send_request(request);
    writer.send(piece("x")).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    for forged in [
        "x-doorward-user",
        "x_doorward_groups",
        "x-forwarded-for",
        "cookie",
        "content-length",
    ] {
        trailers.insert(HeaderName::from_static(forged), HeaderValue::from_static("1"));
    }
    writer.send(http_body::Frame::trailers(trailers)).await.unwrap();
    drop(writer);
    let collected = soon(soon(sending).await.unwrap().into_body().collect())
        .await
        .unwrap();
    let got = collected.trailers().unwrap();
    assert_eq!(got.len(), 1, "{got:?}");
    assert_eq!(got["grpc-status"], "0");
}

#[tokio::test]
async fn trailers_pass_over_http_1() {
    let (address, _) = service(Speaks::One, echo).await;
    let door = Site::at(format!("http://{address}")).open().await;
    let answer = door
        .raw(
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close, te\r\nTE: trailers\r\nTrailer: x-sum\r\n\
             Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Doorward-User: root\r\n\r\n",
        )
        .await;
    assert!(answer.contains("abc"), "{answer}");
    assert!(!answer.contains("root"), "{answer}");
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_it() {
    let (address, _) = service(Speaks::One, mirror).await;
    let door = Site::at(format!("http://{address}")).open().await;
    let mut stream = door.connect().await;
    stream
        .write_all(b"PUT /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .await
        .unwrap();
    let head = soon(read_head(&mut stream)).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 100"), "{head}");
    stream.write_all(b"hello").await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.contains("\n\nhello"), "{answer}");
}

#[tokio::test]
async fn hanging_up_while_waiting_calls_the_request_off() {
    let (closed, was_closed) = oneshot::channel();
    let closed = Arc::new(std::sync::Mutex::new(Some(closed)));
    let (address, _) = scripted(move |mut stream, _| {
        let closed = Arc::clone(&closed);
        async move {
            read_head(&mut stream).await.unwrap();
            let _end = stream.read(&mut [0; 1]).await;
            let told = closed.lock().unwrap().take();
            told.unwrap().send(()).unwrap();
        }
    })
    .await;
    let door = Site::at(format!("http://{address}")).open().await;
    let mut stream = door.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(stream);
    soon(was_closed).await.unwrap();
}

#[tokio::test]
async fn a_body_that_gets_on_is_never_cut_and_a_reader_who_does_not_read_is() {
    let (address, _) = service(Speaks::One, |_| async {
        let (writer, body) = pieces();
        tokio::spawn(async move {
            // Silence, then drops, longer than the door waits for a connection that does nothing.
            for _ in 0..2 {
                tokio::time::sleep(Duration::from_millis(700)).await;
                if writer.send(piece("drop ")).await.is_err() {
                    return;
                }
            }
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(60)).await;
                if writer.send(piece("drop ")).await.is_err() {
                    return;
                }
            }
            writer.send(piece("end")).await.unwrap();
        });
        http::Response::new(body)
    })
    .await;
    let mut site = Site::at(format!("http://{address}"));
    site.door_idle = Duration::from_millis(150);
    let door = site.clone().open().await;
    let answer = door.get("/", "").await;
    assert!(answer.contains("end"), "{answer}");
    let mut two = door.two().await;
    let request = Request::get("http://a/").body(Body::empty()).unwrap();
    let body = soon(two.send_request(request)).await.unwrap().into_body();
    assert!(soon(body.collect()).await.unwrap().to_bytes().ends_with(b"end"));

    let (address, _, ended) = fountain(Speaks::One).await;
    site.url = format!("http://{address}");
    let door = site.open().await;
    let mut stream = door.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    until(|| ended.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_service_that_falls_silent_is_given_up_after_its_own_limit() {
    let (address, _) = service(Speaks::One, |_| async {
        let (writer, body) = pieces();
        tokio::spawn(async move {
            writer.send(piece("begin")).await.unwrap();
            writer.closed().await;
        });
        http::Response::new(body)
    })
    .await;
    let mut site = Site::at(format!("http://{address}"));
    site.idle = Duration::from_millis(200);
    let answer = site.open().await.get("/", "").await;
    assert!(answer.contains("begin"), "{answer}");
    assert!(
        !answer.ends_with("0\r\n\r\n"),
        "an answer that was cut must not look complete: {answer}"
    );
}

#[tokio::test]
async fn a_slow_upload_is_not_a_slow_service() {
    let (address, _) = service(Speaks::One, mirror).await;
    let mut site = Site::at(format!("http://{address}"));
    site.head = Duration::from_millis(400);
    let door = site.open().await;
    for (pause, pieces_sent, expected) in [(100, 10, "200"), (1000, 2, "502")] {
        let (writer, body) = pieces();
        let mut sender = door.one().await;
        let request = Request::builder()
            .method(Method::PUT)
            .uri("/")
            .header("host", "a")
            .body(body)
            .unwrap();
        let asking = tokio::spawn(async move { sender.send_request(request).await });
        for _ in 0..pieces_sent {
            if writer.send(piece("x")).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        drop(writer);
        let answer = soon(asking).await.unwrap().unwrap();
        assert_eq!(answer.status().as_str(), expected);
        let text = soon(answer.into_body().collect()).await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&text);
        let said = if expected == "200" {
            "xxxxxxxxxx"
        } else {
            "request_stalled"
        };
        assert!(text.ends_with(said), "{text}");
    }
}
