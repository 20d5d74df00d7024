//! Load at a fixed rate from a client of our own: how long an answer takes when the processors are not the limit.
//!
//! wrk keeps 16 requests under way all the time, so that each waits for the others; its latencies tell of the queue. Here a
//! few connections send at their due times. A request that could not be sent in time, because the answer before it was late, counts
//! from when it was due.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use super::process;
use super::wrk::Load;

/// Connections, each on a thread of its own.
const CONNECTIONS: u32 = 4;
/// Requests per second, over all connections.
pub(crate) const RATE: u32 = 2_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// Latencies of a paced run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Latency {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Sends a page at [`RATE`] for some seconds. An answer outside 2xx and 3xx is an error.
pub(crate) fn run(port: u16, load: &Load, seconds: u32) -> Result<Latency, String> {
    let request = request(port, load)?;
    let begun = Instant::now();
    let time = Duration::from_secs(seconds.into());
    let mut took = Vec::new();
    std::thread::scope(|scope| {
        let request = &request;
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|number| scope.spawn(move || one_connection(port, request, number, time)))
            .collect();
        for thread in threads {
            took.extend(
                thread
                    .join()
                    .map_err(|_| "a thread of the load ended badly".to_owned())??,
            );
        }
        Ok::<_, String>(())
    })?;
    let elapsed = begun.elapsed().as_secs_f64();
    Ok(latency(took, elapsed))
}

/// Sends one page after the other on one connection; gives the milliseconds that each took.
pub(crate) fn in_turn(port: u16, requests: impl Iterator<Item = Load>) -> Result<Vec<f64>, String> {
    let mut connection = Connection::open(port)?;
    requests
        .map(|load| {
            let request = request(port, &load)?;
            let begun = Instant::now();
            connection.ask(&request)?;
            Ok(milliseconds(begun))
        })
        .collect()
}

fn one_connection(port: u16, request: &str, number: u32, time: Duration) -> Result<Vec<f64>, String> {
    let mut connection = Connection::open(port)?;
    let pace = Duration::from_secs(1) * CONNECTIONS / RATE;
    let begun = Instant::now() + pace * number / CONNECTIONS;
    let mut took = Vec::new();
    let mut due = begun;
    while due < begun + time {
        let early = due.saturating_duration_since(Instant::now());
        let from = if early.is_zero() {
            due
        } else {
            process::pause(early);
            Instant::now()
        };
        connection.ask(request)?;
        took.push(milliseconds(from));
        due += pace;
    }
    Ok(took)
}

fn milliseconds(from: Instant) -> f64 {
    from.elapsed().as_secs_f64() * 1000.0
}

fn latency(mut took: Vec<f64>, elapsed: f64) -> Latency {
    took.sort_by(f64::total_cmp);
    let count = took.len();
    let at = |index: usize| took.get(index).copied().unwrap_or_default();
    Latency {
        per_second: f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / elapsed,
        p50_ms: at(count / 2),
        p99_ms: at(count.saturating_sub(1 + count / 100)),
    }
}

fn request(port: u16, load: &Load) -> Result<String, String> {
    let (method, path, headers, body) = match load {
        Load::Page { path, headers } => ("GET", path, headers, None),
        Load::Json { path, headers, file } => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            let first = text.lines().next().unwrap_or_default().to_owned();
            ("POST", path, headers, Some(first))
        }
        _ => return Err("only pages and JSON are sent one by one".to_owned()),
    };
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = &body {
        let length = body.len();
        head.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {length}\r\n"
        ));
    }
    head.push_str("\r\n");
    head.push_str(body.as_deref().unwrap_or_default());
    Ok(head)
}

/// One connection that stays open.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(port: u16) -> Result<Self, String> {
        let open = || {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream = open().map_err(|error| format!("cannot connect: {error}"))?;
        Ok(Self {
            stream,
            buffer: vec![0; 16_384],
        })
    }

    /// Sends a request and reads its answer to the end.
    fn ask(&mut self, request: &str) -> Result<(), String> {
        let told = |error: std::io::Error| format!("the connection broke: {error}");
        self.stream.write_all(request.as_bytes()).map_err(told)?;
        let mut length = 0;
        loop {
            let rest = self.buffer.get_mut(length..).filter(|rest| !rest.is_empty());
            let rest = rest.ok_or("the answer is too long")?;
            let read = self.stream.read(rest).map_err(told)?;
            if read == 0 {
                return Err("the connection was closed in the answer".to_owned());
            }
            length += read;
            if is_whole(self.buffer.get(..length).unwrap_or_default())? {
                return Ok(());
            }
        }
    }
}

/// Is a successful answer there to its end?
fn is_whole(bytes: &[u8]) -> Result<bool, String> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(false);
    };
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') && !status.starts_with('3') {
        return Err(format!("an answer was a refusal: {head}"));
    }
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse::<usize>().ok())
        .unwrap_or(0);
    Ok(bytes.len() >= end + 4 + length)
}

#[cfg(test)]
#[path = "paced_tests.rs"]
mod tests;
