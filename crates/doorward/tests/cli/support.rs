//! A folder of its own with the program run in it, and the program as a server.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The longest that anything here may take before a test gives up; nothing depends on how fast it really is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The answer as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The run succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// The run failed with this exit code and a sentence that holds all of these words.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in {self:?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }
}

/// An installation in a folder of its own.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) env: Vec<(String, String)>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            env: Vec::new(),
        }
    }

    pub(crate) fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program with nothing of the environment that the tests run in.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    /// Runs with a text on standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The program may end without reading.
        let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs with `--json`, expects success, gives the answer.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        self.run(&arguments).ok().json()
    }

    /// Starts the server on a free port.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Server {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let mut all = vec!["serve", "--listen", &listen];
        all.extend_from_slice(arguments);
        Server::spawn(self, &all, port)
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A running server; ended with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Server {
    pub(crate) fn spawn(place: &Place, arguments: &[&str], port: u16) -> Self {
        let stdout = place.path(&format!("stdout-{port}"));
        let stderr = place.path(&format!("stderr-{port}"));
        let child = place
            .command(arguments)
            .stdout(std::fs::File::create(&stdout).unwrap())
            .stderr(std::fs::File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            port,
            stdout,
            stderr,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    pub(crate) fn printed(&self) -> String {
        read(&self.stdout)
    }

    pub(crate) fn log(&self) -> String {
        read(&self.stderr)
    }

    /// Waits until the server answers readiness with this status.
    pub(crate) fn answers(&self, path: &str, status: u16) -> String {
        let begin = Instant::now();
        loop {
            let answer = get(self.port, path);
            if let Some((given, body)) = &answer
                && *given == status
            {
                return body.clone();
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "{path} gave {answer:?}, expected {status}\n{}",
                self.log()
            );
            pause();
        }
    }

    pub(crate) fn ready(self) -> Self {
        self.answers("/-/health/ready/", 200);
        self
    }

    /// Waits for the one-time link on standard output.
    pub(crate) fn link(&self) -> String {
        self.eventually(|| {
            let printed = self.printed();
            let at = printed.find("http://localhost:").into_iter();
            at.flat_map(|_| printed.split_whitespace())
                .find(|word| word.contains("/setup/"))
                .map(str::to_owned)
        })
    }

    /// Asks again until there is an answer.
    pub(crate) fn eventually<T>(&self, ask: impl Fn() -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "printed:\n{}\nlog:\n{}",
                self.printed(),
                self.log()
            );
            pause();
        }
    }

    /// Sends a signal to this very process.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([&format!("-{signal}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end\n{}", self.log());
            pause();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "these tests run on threads of their own"
)]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(25));
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// GET over a fresh connection; `None` when nobody answers.
pub(crate) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    use std::io::Read;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut socket = std::net::TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let status = answer.split_whitespace().nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n")?.1.to_owned();
    Some((status, body))
}
