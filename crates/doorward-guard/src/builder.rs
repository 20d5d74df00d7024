//! What a guard is told at the start, and the complaints when that makes no sense.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use url::{Host, Url};

use crate::answers::Answers;
use crate::ask::{Asker, ClientSecret};
use crate::credentials::cookie_names;
use crate::guard::{Guard, Inner};
use crate::introspection::{Form, Introspection};
use crate::jose::{Algorithm, KeySet};
use crate::key_cache::{KeyCache, Place, Timing};
use crate::sessions::SessionDoor;
use crate::tokens::{Acceptor, Keys, Profile};

/// Shortest shared secret, in bytes (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;
/// Most that clocks may differ.
const LONGEST_LEEWAY: Duration = Duration::from_secs(300);
/// Longest that a yes of the server is kept.
const LONGEST_KEEP: Duration = Duration::from_secs(60);

/// Everything that is wrong with what a guard was told, one per line.
#[derive(Debug, thiserror::Error)]
#[error("the guard cannot be made:\n- {}", .0.join("\n- "))]
pub struct BuildError(Vec<String>);

/// Addresses that were checked.
struct Places {
    /// Where Doorward is asked.
    server: Url,
    /// Where its session door is asked, in whose name when by another address, and what the door calls itself.
    door: Url,
    door_host: Option<HeaderValue>,
    door_origin: String,
}

/// Collects what a guard has to know. Nothing is let in that was not named here.
#[derive(Clone)]
#[must_use = "a builder does nothing before `build`"]
pub struct Builder {
    public_url: String,
    internal_url: Option<String>,
    issuers: Vec<Issuer>,
    sessions: Option<String>,
    cookie_prefix: String,
    trusted_origins: Vec<String>,
    introspection: Option<ClientSecret>,
    api_introspection: Option<String>,
    always_ask: bool,
    algorithms: Option<Vec<Algorithm>>,
    leeway: Duration,
    keep_answers: Duration,
    timeout: Duration,
    timing: Timing,
    plain_http: bool,
}

#[derive(Clone)]
enum Issuer {
    /// An application at Doorward.
    Application { slug: String, audience: String },
    /// Any OpenID provider, found by discovery.
    Other { issuer: String, audience: String },
    /// Doorward's token API.
    TokenApi {
        issuer: String,
        audience: Option<String>,
    },
    TokenApiSecret {
        issuer: String,
        secret: Vec<u8>,
        audience: Option<String>,
    },
    /// The session door's `/token`.
    SessionJwt,
}

impl Builder {
    pub(crate) fn new(public_url: &str) -> Self {
        Self {
            public_url: public_url.trim_end_matches('/').to_owned(),
            internal_url: None,
            issuers: Vec::new(),
            sessions: None,
            cookie_prefix: "better-auth".to_owned(),
            trusted_origins: Vec::new(),
            introspection: None,
            api_introspection: None,
            always_ask: false,
            algorithms: None,
            leeway: Duration::from_secs(30),
            keep_answers: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            timing: Timing {
                fresh: Duration::from_secs(600),
                usable: Duration::from_secs(24 * 3600),
                floor: Duration::from_secs(30),
            },
            plain_http: false,
        }
    }

    /// Where this service reaches Doorward when that is not the public address, such as `http://doorward:9000` inside a
    /// cluster. Tokens still name the public one.
    pub fn internal_url(mut self, url: &str) -> Self {
        self.internal_url = Some(url.trim_end_matches('/').to_owned());
        self
    }

    /// Lets in access tokens of an application at Doorward that are for this audience: a resource of the application, or
    /// its client id. Checked here; the server is asked for its keys only.
    pub fn openid(mut self, application: &str, audience: &str) -> Self {
        self.issuers.push(Issuer::Application {
            slug: application.to_owned(),
            audience: audience.to_owned(),
        });
        self
    }

    /// Lets in access tokens (RFC 9068) of any OpenID provider. The issuer is compared byte for byte, so a slash at its end
    /// counts.
    pub fn issuer(mut self, issuer: &str, audience: &str) -> Self {
        self.issuers.push(Issuer::Other {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
        });
        self
    }

    /// Lets in tokens of Doorward's token API that are signed with a public key. `issuer` is what they name in `iss`.
    pub fn token_api(mut self, issuer: &str) -> Self {
        self.issuers.push(Issuer::TokenApi {
            issuer: issuer.to_owned(),
            audience: None,
        });
        self
    }

    /// Lets in tokens of the token API in its compatibility mode, HS256 with a shared secret of at least 32 bytes. Whoever
    /// holds this secret can make tokens for anybody: prefer [`Builder::token_api`].
    pub fn token_api_secret(mut self, issuer: &str, secret: impl AsRef<[u8]>) -> Self {
        self.issuers.push(Issuer::TokenApiSecret {
            issuer: issuer.to_owned(),
            secret: secret.as_ref().to_vec(),
            audience: None,
        });
        self
    }

    /// Who this service is for the token API, when its tokens name an audience.
    pub fn token_api_audience(mut self, own: &str) -> Self {
        for issuer in &mut self.issuers {
            if let Issuer::TokenApi { audience, .. } | Issuer::TokenApiSecret { audience, .. } = issuer {
                *audience = Some(own.to_owned());
            }
        }
        self
    }

    /// Lets in tokens of the token API by asking the server about them, with the credential that it has for that
    /// (`token_api.introspect_token`). Together with [`Builder::token_api`] they are checked here first, and the server is only asked
    /// when the guard is told to [`Builder::always_ask`].
    pub fn token_api_introspection(mut self, credential: &str) -> Self {
        self.api_introspection = Some(credential.to_owned());
        self
    }

    /// Lets in sessions of an app's better-auth door: its cookie, and its token as bearer. The door is named by its path
    /// (`/api/auth`), or by its whole address when that is not below the public one.
    pub fn sessions(mut self, base: &str) -> Self {
        self.sessions = Some(base.trim_end_matches('/').to_owned());
        self
    }

    /// Lets in the signed tokens that the session door gives at `/token`.
    pub fn session_jwts(mut self) -> Self {
        self.issuers.push(Issuer::SessionJwt);
        self
    }

    /// What the session cookie's name begins with (`better-auth`).
    pub fn cookie_prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.cookie_prefix);
        self
    }

    /// A page's origin (`https://app.example.org`) that may send requests which change something with a session cookie.
    /// The service's own origin always may.
    pub fn trusted_origin(mut self, origin: &str) -> Self {
        self.trusted_origins.push(origin.trim_end_matches('/').to_owned());
        self
    }

    /// Lets in opaque access tokens, by asking the server as this client (RFC 7662).
    pub fn introspection(mut self, client_id: &str, client_secret: &str) -> Self {
        self.introspection = Some(ClientSecret {
            id: client_id.to_owned(),
            secret: client_secret.to_owned(),
        });
        self
    }

    /// Asks the server about signed tokens as well, so that a revoked one ends within [`Builder::keep_answers`].
    pub fn always_ask(mut self) -> Self {
        self.always_ask = true;
        self
    }

    /// The only algorithms that count with public keys (all four).
    pub fn algorithms(mut self, allowed: &[Algorithm]) -> Self {
        self.algorithms = Some(allowed.to_vec());
        self
    }

    /// How much clocks may differ (30 s, at most 5 minutes).
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// How long a yes of the server is kept (5 s, at most a minute): so long may a session or token that was just ended
    /// still count. Zero asks for every request.
    pub fn keep_answers(mut self, keep: Duration) -> Self {
        self.keep_answers = keep;
        self
    }

    /// How long the server may take to answer (5 s).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long public keys are used without asking (10 minutes), and how long while the server is away (a day).
    pub fn keep_keys(mut self, fresh: Duration, while_away: Duration) -> Self {
        self.timing.fresh = fresh;
        self.timing.usable = while_away.max(fresh);
        self
    }

    /// The shortest time between two fetches of keys because of a key id that is not known (30 s).
    pub fn keys_at_most_every(mut self, floor: Duration) -> Self {
        self.timing.floor = floor;
        self
    }

    /// Allows `http` to other machines, for networks where something else keeps others out.
    pub fn allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// Makes the guard. Nothing is fetched yet, so it does not matter who starts first.
    ///
    /// # Errors
    ///
    /// [`BuildError`] with everything that makes no sense.
    pub fn build(self) -> Result<Guard, BuildError> {
        let mut problems = Vec::new();
        let asker = match Asker::new(self.timeout) {
            Ok(asker) => Arc::new(asker),
            Err(why) => return Err(BuildError(vec![format!("no HTTP client: {why}")])),
        };
        self.check_numbers(&mut problems);
        let Some(places) = self.places(&mut problems) else {
            return Err(BuildError(problems));
        };
        let mut acceptors = Vec::new();
        for issuer in &self.issuers {
            match self.acceptor(issuer, &places, &asker) {
                Ok(acceptor) => acceptors.push(acceptor),
                Err(problem) => problems.push(problem),
            }
        }
        let audiences = openid_audiences(&acceptors);
        let lets_in = !self.issuers.is_empty()
            || self.sessions.is_some()
            || self.introspection.is_some()
            || self.api_introspection.is_some();
        if !lets_in {
            let ways = "openid, issuer, token_api, token_api_introspection, sessions";
            problems.push(format!("it lets nobody in: name at least one of {ways}"));
        }
        if self.introspection.is_some() && audiences.is_empty() {
            problems.push(
                "introspection needs to know who this service is: name openid or issuer as well".to_owned(),
            );
        }
        if !problems.is_empty() {
            return Err(BuildError(problems));
        }
        let answers = || Answers::new(self.keep_answers);
        let ask_api = self.api_introspection.is_some() || self.always_ask;
        Ok(Guard(Arc::new(Inner {
            cookie_names: match &self.sessions {
                Some(_) => cookie_names(&self.cookie_prefix).to_vec(),
                None => Vec::new(),
            },
            trusted_origins: self.trusted_origins.clone(),
            sessions: self
                .sessions
                .as_ref()
                .map(|_| SessionDoor::new(below(&places.door, "/get-session"), places.door_host, answers())),
            introspection: self.introspection.clone().map(|client| Introspection {
                url: below(&places.server, "/application/o/introspect/"),
                form: Form::Standard(client),
                audiences,
                answers: answers(),
            }),
            api_introspection: ask_api.then(|| Introspection {
                url: below(&places.server, "/api/auth/introspect"),
                form: Form::TokenApi(self.api_introspection.clone()),
                audiences: Vec::new(),
                answers: answers(),
            }),
            always_ask: self.always_ask,
            acceptors,
            asker,
        })))
    }

    /// Where everything is. `None` with the reasons when an address makes no sense.
    fn places(&self, problems: &mut Vec<String>) -> Option<Places> {
        let server = self.server(self.internal_url.as_deref().unwrap_or(&self.public_url), problems);
        let public = self.server(&self.public_url, problems);
        let base = self.sessions.as_deref().unwrap_or("/api/auth");
        let elsewhere = base.contains("://").then(|| self.server(base, problems));
        let (server, public) = (server?, public?);
        let named = match elsewhere {
            Some(door) => door?,
            None => below(&public, &format!("/{}", base.trim_start_matches('/'))),
        };
        let mut door = named.clone();
        let mut door_host = None;
        if self.internal_url.is_some() {
            // The path below the public address; as it is when the door has an address of its own.
            let path = named
                .path()
                .strip_prefix(public.path().trim_end_matches('/'))
                .filter(|_| named.origin() == public.origin())
                .unwrap_or(named.path());
            door = below(&server, path);
            door_host = HeaderValue::try_from(named.authority()).ok();
        }
        Some(Places {
            door_origin: named.origin().ascii_serialization(),
            server,
            door,
            door_host,
        })
    }

    fn check_numbers(&self, problems: &mut Vec<String>) {
        if self.leeway > LONGEST_LEEWAY {
            problems.push(format!(
                "leeway is {:?}, expected at most {LONGEST_LEEWAY:?}",
                self.leeway
            ));
        }
        if self.keep_answers > LONGEST_KEEP {
            problems.push(format!(
                "keep_answers is {:?}, expected at most {LONGEST_KEEP:?}",
                self.keep_answers
            ));
        }
        for origin in &self.trusted_origins {
            let is_origin = Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
            if !is_origin {
                problems.push(format!(
                    "trusted origin {origin:?}: expected scheme and host, like https://app.example.org"
                ));
            }
        }
        let letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        if self.cookie_prefix.is_empty() || !self.cookie_prefix.chars().all(letter) {
            problems.push(format!(
                "cookie prefix {:?}: expected letters, digits, dots and dashes",
                self.cookie_prefix
            ));
        }
        if self
            .algorithms
            .as_ref()
            .is_some_and(|allowed| allowed.contains(&Algorithm::HS256))
        {
            problems.push("HS256 never counts with public keys: use token_api_secret".to_owned());
        }
    }

    fn server(&self, address: &str, problems: &mut Vec<String>) -> Option<Url> {
        let problem = match Url::parse(address) {
            Ok(url)
                if !matches!(url.scheme(), "http" | "https")
                    || url.query().is_some()
                    || url.fragment().is_some() =>
            {
                "expected https:// and a host"
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                "expected no credentials in it"
            }
            Ok(url) if may_call(&url) || self.plain_http => return Some(url),
            Ok(_) => "expected https (http is for this machine; allow_plain_http lifts that)",
            Err(_) => "no URL",
        };
        problems.push(format!("address {address:?}: {problem}"));
        None
    }

    fn acceptor(&self, issuer: &Issuer, places: &Places, asker: &Arc<Asker>) -> Result<Acceptor, String> {
        let remote = |place| Keys::Remote(KeyCache::new(Arc::clone(asker), place, self.timing));
        let server = &places.server;
        let (profile, name, audiences, keys) = match issuer {
            Issuer::Application { slug, audience } => {
                let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
                if slug.is_empty() || !slug.chars().all(fits) {
                    return Err(format!("application {slug:?}: expected its slug, like notes"));
                }
                let keys = below(server, &format!("/application/o/{slug}/jwks/"));
                let name = format!("{}/application/o/{slug}/", self.public_url);
                (
                    Profile::OpenId,
                    name,
                    vec![audience.clone()],
                    remote(Place::Set(keys)),
                )
            }
            Issuer::Other { issuer, audience } => {
                let mut problems = Vec::new();
                let document = self
                    .server(issuer, &mut problems)
                    .map(|url| below(&url, "/.well-known/openid-configuration"))
                    .ok_or_else(|| problems.join("; "))?;
                let place = Place::Discovery {
                    document,
                    issuer: issuer.clone(),
                };
                (
                    Profile::OpenId,
                    issuer.clone(),
                    vec![audience.clone()],
                    remote(place),
                )
            }
            Issuer::TokenApi { issuer, audience } => {
                let keys = remote(Place::Set(below(server, "/application/o/jwks/")));
                (
                    Profile::TokenApi,
                    issuer.clone(),
                    audience.iter().cloned().collect(),
                    keys,
                )
            }
            Issuer::TokenApiSecret {
                issuer,
                secret,
                audience,
            } => {
                if secret.len() < SHORTEST_SECRET {
                    return Err(format!(
                        "the shared secret of {issuer:?} has {} bytes, expected at least {SHORTEST_SECRET}",
                        secret.len()
                    ));
                }
                let keys = Keys::Secret(KeySet::secret(secret));
                (
                    Profile::TokenApi,
                    issuer.clone(),
                    audience.iter().cloned().collect(),
                    keys,
                )
            }
            Issuer::SessionJwt => {
                let keys = remote(Place::Set(below(&places.door, "/jwks")));
                let origin = places.door_origin.clone();
                (Profile::Session, origin.clone(), vec![origin], keys)
            }
        };
        if name.is_empty() || audiences.iter().any(String::is_empty) {
            return Err(format!(
                "issuer {name:?}: neither it nor its audience may be empty"
            ));
        }
        let algorithms = match keys {
            Keys::Secret(_) => vec![Algorithm::HS256],
            Keys::Remote(_) => self
                .algorithms
                .clone()
                .unwrap_or_else(|| Algorithm::ASYMMETRIC.to_vec()),
        };
        Ok(Acceptor {
            profile,
            issuer: name,
            audiences,
            keys,
            algorithms,
            leeway: i64::try_from(self.leeway.as_secs()).unwrap_or(0),
        })
    }
}

fn openid_audiences(acceptors: &[Acceptor]) -> Vec<String> {
    acceptors
        .iter()
        .filter(|acceptor| acceptor.profile == Profile::OpenId)
        .flat_map(|acceptor| acceptor.audiences.iter().cloned())
        .collect()
}

/// Whether credentials may be sent there: over TLS, or without leaving this machine.
pub(crate) fn may_call(url: &Url) -> bool {
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && here)
}

/// An address below another, whether or not that one ends in a slash.
fn below(server: &Url, path: &str) -> Url {
    let mut url = server.clone();
    url.set_path(&format!("{}{path}", server.path().trim_end_matches('/')));
    url
}
