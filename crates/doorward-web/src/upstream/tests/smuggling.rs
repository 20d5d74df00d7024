//! Messages that two readers might read differently. Either they are refused, or the service gets one request that has only
//! one reading.

use super::*;
use std::sync::Mutex;

/// A service that writes down everything that it is sent, and answers each head.
async fn recorder() -> (SocketAddr, Arc<Mutex<String>>) {
    let heard = Arc::new(Mutex::new(String::new()));
    let all = Arc::clone(&heard);
    let (address, _) = scripted(move |mut stream, _| {
        let all = Arc::clone(&all);
        async move {
            let mut buffer = vec![0; 65536];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                all.lock().unwrap().push_str(&text);
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                let _gone = stream.write_all(answer.as_bytes()).await;
            }
        }
    })
    .await;
    (address, heard)
}

#[tokio::test]
async fn messages_with_two_readings_are_refused() {
    let (address, heard) = recorder().await;
    let door = Site::at(format!("http://{address}")).open().await;
    for lines in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "X-Folded: a\r\n b\r\n",
        "X-Null: a\0b\r\n",
        "X Space: a\r\n",
        ": nameless\r\n",
        "X-Return: a\rb\r\n",
    ] {
        let bytes = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let answer = door.raw(&bytes).await;
        let refused = answer.starts_with("HTTP/1.1 400") || answer.ends_with("request_refused");
        assert!(refused, "{lines:?}: {answer}");
        assert_eq!(*heard.lock().unwrap(), "", "{lines:?}");
    }
    let old = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!(door.raw(old).await.starts_with("HTTP/1.1 400"));
    assert_eq!(*heard.lock().unwrap(), "");
}

#[tokio::test]
async fn a_length_beside_a_coding_does_not_count_and_does_not_pass() {
    for lines in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nContent_Length: 4\r\n",
    ] {
        let (address, heard) = recorder().await;
        let door = Site::at(format!("http://{address}")).open().await;
        let bytes =
            format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n3\r\nabc\r\n0\r\n\r\n");
        let answer = door.raw(&bytes).await;
        assert!(answer.ends_with("ok"), "{lines:?}: {answer}");
        let heard = heard.lock().unwrap().to_ascii_lowercase();
        assert!(!heard.contains("content"), "{heard}");
        assert!(heard.contains("transfer-encoding: chunked\r\n"), "{heard}");
        assert!(heard.ends_with("3\r\nabc\r\n0\r\n\r\n"), "{heard}");
    }
}

#[tokio::test]
async fn what_comes_behind_a_body_is_not_part_of_it() {
    let (address, heard) = recorder().await;
    let door = Site::at(format!("http://{address}")).open().await;
    let bytes = "GET /first HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabcGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    door.raw(bytes).await;
    let heard = heard.lock().unwrap().clone();
    assert!(heard.contains("GET /first") && heard.ends_with("abc"), "{heard}");
    assert!(!heard.contains("smuggled"), "{heard}");
}

#[tokio::test]
async fn chunks_are_written_anew() {
    let (address, heard) = recorder().await;
    let door = Site::at(format!("http://{address}")).open().await;
    let odd = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n003;x=\"y\"\r\nabc\r\n0\r\n\r\n";
    assert!(door.raw(odd).await.ends_with("ok"));
    assert!(heard.lock().unwrap().ends_with("\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
    for chunks in [
        "3\nabc\n0\n\n",
        "-1\r\nabc\r\n0\r\n\r\n",
        "3 \tx\r\nabc\r\n0\r\n\r\n",
        "ffffffffffffffff1\r\nabc",
        "3\r\nabcX\r\n0\r\n\r\n",
    ] {
        let (address, heard) = recorder().await;
        let door = Site::at(format!("http://{address}")).open().await;
        let bytes = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}GET /smuggled HTTP/1.1\r\n\r\n"
        );
        door.raw(&bytes).await;
        let heard = heard.lock().unwrap().clone();
        assert!(!heard.contains("smuggled"), "{chunks:?}: {heard}");
        assert!(
            !heard.ends_with("\r\n0\r\n\r\n"),
            "a broken body must not look complete: {heard}"
        );
    }
}

/// Sends one HTTP/2 request whose fields are written by hand; gives what the door sent back until it is quiet.
async fn frames(door: &Door, fields: &[(&str, &str)], data: &[u8]) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    };
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes.extend(frame(1, 4, 1, &block));
    bytes.extend(frame(0, 1, 1, data));
    let mut stream = door.connect().await;
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(length @ 1..)) =
        tokio::time::timeout(Duration::from_millis(700), stream.read(&mut buffer)).await
    {
        answer.extend(&buffer[..length]);
    }
    answer
}

#[tokio::test]
async fn http_2_does_not_carry_the_framing_of_http_1() {
    let base = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/"),
    ];
    let (address, heard) = recorder().await;
    let door = Site::at(format!("http://{address}")).open().await;
    // To be sure that frames written by hand get through at all.
    frames(&door, &base, b"abc").await;
    assert!(heard.lock().unwrap().contains("abc"));
    for (extra, data) in [
        (
            ("transfer-encoding", "chunked"),
            &b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"[..],
        ),
        (("connection", "x"), b"smuggled"),
        (("upgrade", "websocket"), b"smuggled"),
        (("content-length", "3"), b"abcGET /smuggled HTTP/1.1\r\n\r\n"),
        (("x", "a\r\ntransfer-encoding: chunked"), b"smuggled"),
        (("x: a\r\nhost", "b"), b"smuggled"),
        (("X-Upper", "b"), b"smuggled"),
        ((":path", "/smuggled"), b"smuggled"),
    ] {
        let (address, heard) = recorder().await;
        let door = Site::at(format!("http://{address}")).open().await;
        let mut fields = base.to_vec();
        fields.push(extra);
        frames(&door, &fields, data).await;
        let heard = heard.lock().unwrap().clone();
        assert!(!heard.contains("smuggled"), "{extra:?}: {heard}");
    }
    let (address, heard) = recorder().await;
    let door = Site::at(format!("http://{address}")).open().await;
    for path in ["/ HTTP/1.1\r\nX: y", "/a b", "no-slash"] {
        let mut fields = base.to_vec();
        fields[3].1 = path;
        frames(&door, &fields, b"smuggled").await;
        assert_eq!(*heard.lock().unwrap(), "", "{path}");
    }
}
