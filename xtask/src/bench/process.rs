//! Servers as child processes, and what the kernel says about them: processor time and memory.
//!
//! A child ends with the value that stands for it; nothing is ended by name.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::http;

/// The kernel counts processor time in hundredths of a second for every program (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
const LONGEST_START: Duration = Duration::from_secs(30);

/// A running server on a port of the loopback interface.
pub(crate) struct Server {
    child: Child,
    /// The process that serves, where that is not the child itself.
    serving: u32,
    /// Kept open for as long as the server is wanted, for those that end with their input.
    _input: Option<ChildStdin>,
    pub(crate) port: u16,
    /// From starting the process to its first good answer.
    pub(crate) start: Duration,
}

impl Server {
    /// Starts a command with its output in a log, and waits until `path` answers 200 on `port`.
    pub(crate) fn start(command: &mut Command, port: u16, path: &str, log: &Path) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output =
            std::fs::File::create(log).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let begun = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let mut server = Self {
            serving: child.id(),
            child,
            _input: None,
            port,
            start: Duration::ZERO,
        };
        while !http::is_ok(port, path) {
            let ended = server.child.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || begun.elapsed() > LONGEST_START {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                return Err(format!("{name} did not answer {path} with 200; its log:\n{said}"));
            }
            pause(Duration::from_millis(1));
        }
        server.start = begun.elapsed();
        Ok(server)
    }

    /// Starts a command that says in one line of JSON where it serves: `url`, whose port counts, and `pid`. Gives what it said too.
    pub(crate) fn start_told(command: &mut Command, log: &Path) -> Result<(Self, serde_json::Value), String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let errors =
            std::fs::File::create(log).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let begun = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut server = Self {
            serving: child.id(),
            child,
            _input: input,
            port: 0,
            start: Duration::ZERO,
        };
        let output = output.ok_or("a process without output")?;
        let (tell, told) = mpsc::channel();
        // Ends with its line, or with the child.
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(output).read_line(&mut line).map(|_| line);
            // Nobody listens any more when it took too long.
            let _ = tell.send(read);
        });
        let line = told.recv_timeout(LONGEST_START).ok().and_then(Result::ok);
        let said = line.and_then(|line| serde_json::from_str::<serde_json::Value>(&line).ok());
        let Some(said) = said else {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            return Err(format!("{name} did not say where it serves; its log:\n{log}"));
        };
        let url = said.get("url").and_then(serde_json::Value::as_str);
        let port = url.and_then(port_of).ok_or("no port in what the server said")?;
        let serving = said.get("pid").and_then(serde_json::Value::as_u64);
        (server.port, server.start) = (port, begun.elapsed());
        server.serving = serving
            .and_then(|serving| u32::try_from(serving).ok())
            .unwrap_or(server.serving);
        Ok((server, said))
    }

    /// Asks the process to end (SIGTERM), waits for it, and says how long it took.
    pub(crate) fn stop(mut self) -> Result<Duration, String> {
        let begun = Instant::now();
        let told = Command::new("kill").arg(self.child.id().to_string()).status();
        told.map_err(|error| format!("cannot start kill: {error}"))?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(format!("the server ended with {status} when it was asked to end"));
        }
        Ok(begun.elapsed())
    }

    /// Processor time that the process has used, user and system together.
    pub(crate) fn processor_seconds(&self) -> Result<f64, String> {
        let id = self.serving;
        ticks(&format!("/proc/{id}/stat"), 11).map(|ticks| ticks / TICKS_PER_SECOND)
    }

    /// Memory that is resident now, in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64, String> {
        self.memory("VmRSS:")
    }

    /// Forgets the most memory so far, so that preparing does not count.
    pub(crate) fn forget_peak(&self) -> Result<(), String> {
        let path = format!("/proc/{}/clear_refs", self.serving);
        std::fs::write(&path, "5").map_err(|error| format!("cannot write {path}: {error}"))
    }

    /// The most memory that was resident since [`Server::forget_peak`], in MiB.
    pub(crate) fn peak_mib(&self) -> Result<f64, String> {
        self.memory("VmHWM:")
    }

    fn memory(&self, line: &str) -> Result<f64, String> {
        let status = self.proc_file("status")?;
        let kib = status
            .lines()
            .find_map(|text| text.strip_prefix(line))
            .and_then(|text| text.split_whitespace().next())
            .and_then(|number| number.parse::<f64>().ok())
            .ok_or_else(|| format!("no {line} in /proc/{}/status", self.serving))?;
        Ok(kib / 1024.0)
    }

    fn proc_file(&self, name: &str) -> Result<String, String> {
        let path = format!("/proc/{}/{name}", self.serving);
        std::fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Killing fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port in an address such as `http://localhost:4000/api/auth`.
fn port_of(url: &str) -> Option<u16> {
    let (_, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?;
    host.rsplit_once(':')?.1.parse().ok()
}

/// Processor time of all children that have ended and were waited for, user and system together.
pub(crate) fn children_seconds() -> Result<f64, String> {
    ticks("/proc/self/stat", 13).map(|ticks| ticks / TICKS_PER_SECOND)
}

/// The sum of two numbers that stand side by side, `skip` numbers after the state of the process.
fn ticks(path: &str, skip: usize) -> Result<f64, String> {
    let stat = std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    // The name of the program, which may hold spaces, stands in parentheses before the numbers.
    let numbers = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
    let mut both = numbers
        .split(' ')
        .skip(skip)
        .take(2)
        .filter_map(|number| number.parse::<f64>().ok());
    both.next()
        .zip(both.next())
        .map(|(user, system)| user + system)
        .ok_or_else(|| format!("unexpected form of {path}"))
}

/// A port of the loopback interface that was free a moment ago.
pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| format!("no free port: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    Ok(address.port())
}

/// Waits. There is no async worker here that could be blocked.
pub(crate) fn pause(time: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a chore on a thread of its own, without a runtime"
    )]
    std::thread::sleep(time);
}
