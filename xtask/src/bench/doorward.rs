//! Doorward as a subject of measurement: a server with data of its own, one person, two applications, and the requests
//! that are sent to it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::http::{self, Browser, End};
use super::process::{self, Server};
use super::wrk::{CONNECTIONS, Headers, Load, Sample};
use super::{Kind, Subject, site};

const PASSWORD: &str = "quiet-Meadow-12-copper";
const REDIRECT_URI: &str = "http://localhost:1/callback";
/// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// A site on another port of the server's own host.
pub(crate) const OWN_HOST_SITE: &str = "http://localhost:1/";
const SIGN_IN_THREADS: usize = 4;
/// People who sign in all at once, each in two browsers.
const CROWD: [&str; 8] = ["bea", "carl", "dora", "emil", "fay", "gus", "hana", "ivan"];

/// A client with a secret.
struct Client {
    id: String,
    secret: String,
}

/// A running server and what was registered in it.
pub(crate) struct Doorward {
    pub(crate) server: Server,
    program: PathBuf,
    folder: PathBuf,
    signed: Client,
    opaque: Client,
    /// A browser with a session.
    browser: Browser,
    /// What that browser sends to the guarded site.
    site_cookie: String,
}

/// How to start the program on a data folder: everything it needs stands in variables.
pub(crate) fn command(program: &Path, folder: &Path, port: u16) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("DOORWARD_DATA_DIR", folder.join("data"))
        .env("DOORWARD_LISTEN", format!("127.0.0.1:{port}"))
        .env("DOORWARD_PUBLIC_URL", format!("http://localhost:{port}"))
        .env("DOORWARD_TRUSTED_PROXIES", "127.0.0.1")
        .env("DOORWARD_BOOTSTRAP_USERNAME", "admin")
        .env("DOORWARD_BOOTSTRAP_PASSWORD", PASSWORD)
        .current_dir(folder);
    command
}

/// Starts the server with the default settings, on a folder that may hold data already.
pub(crate) fn start(program: &Path, folder: &Path, port: u16) -> Result<Server, String> {
    let mut serve = command(program, folder, port);
    serve.arg("serve");
    Server::start(&mut serve, port, "/-/health/ready/", &folder.join("doorward.log"))
}

/// Statements that a server has sent to its database since the start.
pub(crate) fn queries(port: u16) -> Result<u64, String> {
    let text = Browser::new(port).get("/-/metrics")?.body;
    text.lines()
        .find_map(|line| line.strip_prefix("doorward_database_queries_total "))
        .and_then(|number| number.trim().parse().ok())
        .ok_or_else(|| format!("no doorward_database_queries_total in the metrics:\n{text}"))
}

/// Memory in KiB and iterations that the server on a data folder hashes passwords with, from a hash that it has stored.
pub(crate) fn argon2(folder: &Path) -> Result<(u32, u32), String> {
    let names = ["doorward.db-wal", "doorward.db"];
    let files = names
        .iter()
        .filter_map(|name| std::fs::read(folder.join("data").join(name)).ok());
    let text: String = files
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    let parameters = text
        .split("$argon2id$v=19$")
        .nth(1)
        .and_then(|rest| rest.split('$').next());
    let number = |name: &str| {
        let found = parameters?.split(',').find_map(|pair| pair.strip_prefix(name))?;
        found.strip_prefix('=')?.parse::<u32>().ok()
    };
    number("m")
        .zip(number("t"))
        .ok_or_else(|| "no argon2id hash in the database".to_owned())
}

impl Doorward {
    /// Starts the server and registers everything through its command line, while it runs.
    pub(crate) fn prepare(program: &Path, folder: &Path) -> Result<Self, String> {
        let port = process::free_port()?;
        let server = start(program, folder, port)?;
        let cli = |arguments: &[&str], input: &str| cli(program, folder, port, arguments, input);
        cli(
            &[
                "user",
                "create",
                "alice",
                "--email",
                "alice@example.org",
                "--name",
                "Alice",
                "--password-stdin",
            ],
            PASSWORD,
        )?;
        let client = |slug: &str, format: &str| {
            let options = [
                "application",
                "create",
                slug,
                "--confidential",
                "--redirect-uri",
                REDIRECT_URI,
                "--allow-everyone",
            ];
            let grants = [
                "--grant",
                "authorization_code",
                "--grant",
                "refresh_token",
                "--grant",
                "client_credentials",
                "--access-token-format",
                format,
            ];
            let made = cli(&[options.as_slice(), &grants].concat(), "")?;
            let member = |name: &str| {
                let text = made
                    .get(name)
                    .and_then(serde_json::Value::as_str)
                    .map(str::to_owned);
                text.ok_or_else(|| format!("`application create` printed no {name}: {made}"))
            };
            Ok::<_, String>(Client {
                id: member("client_id")?,
                secret: member("client_secret")?,
            })
        };
        let (signed, opaque) = (client("signed", "jwt")?, client("opaque", "opaque")?);
        for name in CROWD {
            cli(
                &[
                    "user",
                    "create",
                    name,
                    "--email",
                    &format!("{name}@example.org"),
                    "--password-stdin",
                ],
                PASSWORD,
            )?;
        }
        cli(
            &[
                "application",
                "create",
                "wiki",
                "--site",
                site::URL,
                "--allow-everyone",
            ],
            "",
        )?;
        let mut browser = Browser::new(port);
        sign_in(&mut browser, &signed.id, "alice")?;
        let site_cookie = site::enter(port, &mut browser)?;
        Ok(Self {
            server,
            program: program.to_owned(),
            folder: folder.to_owned(),
            signed,
            opaque,
            browser,
            site_cookie,
        })
    }

    /// Headers of a check of somebody whose session is in memory.
    pub(crate) fn check_headers(&self, kind: Kind) -> Headers {
        site::headers(kind, &self.site_cookie).unwrap_or_default()
    }

    /// Guards a site at the server's own host too, where the session cookie itself counts.
    pub(crate) fn guard_own_host(&self) -> Result<(), String> {
        let arguments = [
            "application",
            "create",
            "own",
            "--site",
            OWN_HOST_SITE,
            "--allow-everyone",
        ];
        cli(&self.program, &self.folder, self.server.port, &arguments, "")?;
        site::refused(self.server.port, OWN_HOST_SITE).map(|_| ())
    }

    /// What the browser sends to the guarded site.
    pub(crate) fn site_cookie(&self) -> &str {
        &self.site_cookie
    }

    /// Statements that were sent to the database since the start.
    pub(crate) fn queries(&self) -> Result<u64, String> {
        queries(self.server.port)
    }

    /// Memory in KiB and iterations that the server hashes passwords with.
    pub(crate) fn argon2(&self) -> Result<(u32, u32), String> {
        argon2(&self.folder)
    }

    /// A code for the person who is signed in, exchanged for tokens.
    fn tokens(&mut self, kind: Kind) -> Result<http::Answer, String> {
        let client = if kind.wants_signed_tokens() {
            &self.signed
        } else {
            &self.opaque
        };
        let answer = self.browser.get(&authorize(&client.id))?;
        let code = code_of(self.browser.follow(answer)?)?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", VERIFIER),
            ("client_id", &client.id),
            ("client_secret", &client.secret),
        ];
        Browser::new(self.server.port).post("/application/o/token/", &form)
    }

    fn form(&self, kind: Kind, rest: &str) -> String {
        let client = if kind.wants_signed_tokens() {
            &self.signed
        } else {
            &self.opaque
        };
        format!(
            "client_id={}&client_secret={}&{rest}",
            http::encode(&client.id),
            http::encode(&client.secret)
        )
    }

    /// Signs people in for some seconds, each in a browser of their own, from the page with the form to the code.
    pub(crate) fn sign_ins(&self, seconds: u32) -> Result<Sample, String> {
        let one = ["alice"; SIGN_IN_THREADS];
        self.sign_in_all(&one, seconds)
    }

    /// A crowd that signs in at once, as fast as it can: the hashing threads have no pause.
    pub(crate) fn storm(&self, seconds: u32) -> Result<Sample, String> {
        self.sign_in_all(&[CROWD, CROWD].concat(), seconds)
    }

    fn sign_in_all(&self, people: &[&str], seconds: u32) -> Result<Sample, String> {
        let (port, client) = (self.server.port, self.signed.id.as_str());
        let time = Duration::from_secs(seconds.into());
        let before = self.server.processor_seconds()?;
        let begun = Instant::now();
        let run = |person: &str| -> Result<Vec<f64>, String> {
            let mut took = Vec::new();
            while begun.elapsed() < time {
                let one = Instant::now();
                sign_in(&mut Browser::new(port), client, person)?;
                took.push(one.elapsed().as_secs_f64() * 1000.0);
            }
            Ok(took)
        };
        let mut took = Vec::new();
        std::thread::scope(|scope| {
            let run = &run;
            let threads: Vec<_> = people
                .iter()
                .map(|person| scope.spawn(move || run(person)))
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
        let used = self.server.processor_seconds()? - before;
        took.sort_by(f64::total_cmp);
        let count = f64::from(u32::try_from(took.len()).unwrap_or(u32::MAX));
        let last_hundredth = took.len() - 1 - took.len() / 100;
        Ok(Sample {
            per_second: count / elapsed,
            p50_ms: took.get(took.len() / 2).copied().unwrap_or_default(),
            requests: count,
            p99_ms: took.get(last_hundredth).copied().unwrap_or_default(),
            processor_us: used * 1e6 / count,
            resident_mib: self.server.resident_mib()?,
        })
    }
}

impl Subject for Doorward {
    fn server(&self) -> &Server {
        &self.server
    }

    fn load(&mut self, kind: Kind) -> Result<Option<Load>, String> {
        Ok(match kind {
            Kind::Empty => None,
            Kind::Discovery => Some(Load::page(
                "/application/o/signed/.well-known/openid-configuration",
            )),
            Kind::Jwks => Some(Load::page("/application/o/signed/jwks/")),
            Kind::ClientCredentials => {
                let file = self.folder.join("form");
                super::save(&file, &self.form(kind, "grant_type=client_credentials"))?;
                Some(Load::Form {
                    path: "/application/o/token/".to_owned(),
                    file,
                })
            }
            Kind::RefreshOpaque | Kind::RefreshSigned => {
                let mut lines = self.form(kind, "grant_type=refresh_token");
                for _ in 0..2 * CONNECTIONS {
                    lines.push('\n');
                    lines.push_str(&self.tokens(kind)?.member("refresh_token")?);
                }
                let file = self.folder.join("chains");
                super::save(&file, &lines)?;
                Some(Load::Refresh {
                    path: "/application/o/token/".to_owned(),
                    file,
                })
            }
            Kind::IntrospectOpaque | Kind::IntrospectSigned => {
                let token = self.tokens(kind)?.member("access_token")?;
                let file = self.folder.join("form");
                super::save(
                    &file,
                    &self.form(kind, &format!("token={}", http::encode(&token))),
                )?;
                Some(Load::Form {
                    path: "/application/o/introspect/".to_owned(),
                    file,
                })
            }
            Kind::UserinfoOpaque | Kind::UserinfoSigned => {
                let token = self.tokens(kind)?.member("access_token")?;
                Some(Load::with_token("/application/o/userinfo/", &token))
            }
            Kind::CheckNginx | Kind::CheckTraefik | Kind::CheckAnonymous => {
                site::headers(kind, &self.site_cookie).map(|headers| Load::Page {
                    path: site::path(kind).to_owned(),
                    headers,
                })
            }
        })
    }
}

fn authorize(client_id: &str) -> String {
    let parameters = [
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", REDIRECT_URI),
        ("scope", "openid profile email offline_access"),
        ("state", "s"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let pairs: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", http::encode(value)))
        .collect();
    format!("/application/o/authorize/?{}", pairs.join("&"))
}

/// From the authorization request of somebody without a session to the code; returns nothing but success.
fn sign_in(browser: &mut Browser, client_id: &str, person: &str) -> Result<(), String> {
    let first = browser.get(&authorize(client_id))?;
    let page = browser.follow(first)?.page()?;
    let form = http::form(&page.body)?;
    let fields: Vec<(&str, &str)> = form
        .fields
        .iter()
        .map(|(name, value)| match name.as_str() {
            "username" => ("username", person),
            "password" => ("password", PASSWORD),
            name => (name, value.as_str()),
        })
        .collect();
    let action = if form.action.is_empty() {
        &page.path
    } else {
        &form.action
    };
    let answer = browser.post(action, &fields)?;
    code_of(browser.follow(answer)?).map(|_| ())
}

fn code_of(end: End) -> Result<String, String> {
    let address = end.away()?;
    address
        .split(['?', '&'])
        .find_map(|pair| pair.strip_prefix("code="))
        .map(str::to_owned)
        .ok_or_else(|| format!("expected a code, was sent to {address}"))
}

/// Runs a command on the data folder of a server; gives the JSON that it prints.
pub(crate) fn cli(
    program: &Path,
    folder: &Path,
    port: u16,
    arguments: &[&str],
    input: &str,
) -> Result<serde_json::Value, String> {
    let mut child = command(program, folder, port)
        .args(arguments)
        .arg("--json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start doorward: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        writeln!(stdin, "{input}").map_err(|error| format!("doorward does not read its input: {error}"))?;
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "`doorward {}` failed: {said}{errors}",
            arguments.join(" ")
        ));
    }
    serde_json::from_str(&said).map_err(|error| {
        format!(
            "`doorward {}` printed no JSON ({error}): {said}",
            arguments.join(" ")
        )
    })
}
