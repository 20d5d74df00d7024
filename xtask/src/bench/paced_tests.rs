//! Reading answers, and the arithmetic of latencies.

use super::super::wrk::Load;
use super::{is_whole, latency, request};

#[test]
fn an_answer_is_whole_when_its_body_is_there() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(is_whole(b"HTTP/1.1 200 OK\r\nContent"), Ok(false));
    assert_eq!(is_whole(format!("{head}a").as_bytes()), Ok(false));
    assert_eq!(is_whole(format!("{head}ab").as_bytes()), Ok(true));
    assert_eq!(is_whole(b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n"), Ok(true));
    assert!(is_whole(b"HTTP/1.1 401 Unauthorized\r\n\r\n").is_err());
}

#[test]
fn the_last_hundredth_is_left_out() {
    let took = (1..=200).rev().map(f64::from).collect();
    let latency = latency(took, 2.0);
    assert!((latency.per_second - 100.0).abs() < f64::EPSILON);
    assert!((latency.p50_ms - 101.0).abs() < f64::EPSILON);
    assert!((latency.p99_ms - 198.0).abs() < f64::EPSILON);
}

#[test]
fn headers_are_sent_as_given() {
    let load = Load::with_token("/x", "t");
    let expected = "GET /x HTTP/1.1\r\nHost: localhost:1\r\nAuthorization: Bearer t\r\n\r\n";
    assert_eq!(request(1, &load).as_deref(), Ok(expected));
}
