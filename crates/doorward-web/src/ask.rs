//! One request as the handlers see it: who, from where, with which cookies, in which language.

use axum::extract::{FromRequestParts, Request};
use bytes::Bytes;
use http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, HOST, ORIGIN, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Uri};
use http_body_util::{BodyExt, Limited};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use doorward_core::attempts::Sender;
use doorward_core::sessions::Visit;
use doorward_core::{Origin, Refused};
use doorward_domain::attempt::{Attempt, Purpose};
use doorward_domain::{Reason, SessionId};
use doorward_oidc::error::{ErrorCode, TokenError};
use doorward_oidc::params::Params;

use crate::App;
use crate::cookies::{self, Name};
use crate::forwarded;
use crate::locale::Language;
use crate::pages;
use crate::reply::{Failure, Reply};

/// One request.
pub(crate) struct Ask {
    pub(crate) app: App,
    pub(crate) headers: HeaderMap,
    pub(crate) uri: Uri,
    peer: IpAddr,
    origin: OnceLock<Origin>,
    wished: OnceLock<String>,
}

impl FromRequestParts<App> for Ask {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        let headers = std::mem::take(&mut parts.headers);
        Ok(Self {
            app: app.clone(),
            headers,
            uri: parts.uri.clone(),
            peer: forwarded::peer(&parts.extensions),
            origin: OnceLock::new(),
            wished: OnceLock::new(),
        })
    }
}

impl Ask {
    /// Where the request came from; read from the headers when somebody asks for the first time.
    pub(crate) fn origin(&self) -> &Origin {
        self.origin.get_or_init(|| {
            let user_agent = self.headers.get(USER_AGENT).map(|value| {
                let text = String::from_utf8_lossy(value.as_bytes());
                text.chars().filter(|c| !c.is_control()).take(256).collect()
            });
            Origin {
                ip: Some(self.address()),
                user_agent,
            }
        })
    }

    /// The same for endpoints that programs call: nobody lists their names.
    pub(crate) fn program(&self) -> &Origin {
        self.origin.get_or_init(|| Origin {
            ip: Some(self.address()),
            user_agent: None,
        })
    }

    fn address(&self) -> IpAddr {
        self.app.warn_of_proxy(self.peer, &self.headers);
        forwarded::client_ip(self.peer, &self.headers, &*self.app.options.trusts)
    }

    /// Does the caller sit on this machine, or in a network that the operator trusts? A proxy on this machine that nobody
    /// declared speaks for the whole world and does not count.
    pub(crate) fn is_local(&self) -> bool {
        let trusts = &*self.app.options.trusts;
        if forwarded::is_undeclared_proxy(self.peer, &self.headers, trusts) {
            return false;
        }
        let ip = forwarded::client_ip(self.peer, &self.headers, trusts);
        ip.is_loopback() || trusts(ip)
    }

    /// Remembers the languages that the client wishes for its person (`ui_locales`), wherever the request held them.
    pub(crate) fn wish(&self, ui_locales: Option<&str>) {
        if let Some(wished) = ui_locales.filter(|wished| !wished.is_empty()) {
            // The first one counts.
            let _ = self.wished.set(wished.to_owned());
        }
    }

    /// The same for the authorization request that a page belongs to.
    pub(crate) async fn wish_of(&self, next: &str) {
        if self.wished.get().is_none() {
            let destination = self.app.doorward.destination(next).await;
            self.wish(Some(&destination.ui_locales.join(" ")));
        }
    }

    /// Opens the sealed attempt of a form.
    pub(crate) fn open(
        &self,
        sealed: Option<&str>,
        purpose: Purpose,
        session: Option<SessionId>,
    ) -> Result<Attempt, Reason> {
        let browser = self.cookie(Name::Browser);
        let site = self
            .headers
            .get("sec-fetch-site")
            .and_then(|value| value.to_str().ok());
        let sender = Sender {
            browser: browser.as_deref(),
            session,
            same_origin: site == Some("same-origin"),
        };
        self.app
            .doorward
            .open_attempt_of(sealed.unwrap_or_default(), purpose, sender)
    }

    /// A refusal that a page shows: one without a code is recorded now and gets one.
    pub(crate) async fn coded(&self, refused: Refused) -> Refused {
        if refused.code.is_some() {
            return refused;
        }
        let problem = refused
            .details
            .iter()
            .find(|(name, _)| *name == "problem")
            .map(|(_, problem)| problem.as_str());
        let recorded = self
            .app
            .doorward
            .refuse_shown(refused.reason, problem, self.origin())
            .await;
        Refused {
            code: recorded.code,
            ..refused
        }
    }

    /// `Authorization`, when it is text.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
    }

    /// The proof of possession in the `DPoP` header (RFC 9449 section 4.3, check 1).
    pub(crate) fn proof(&self) -> Result<Option<&str>, TokenError> {
        let mut given = self.headers.get_all("dpop").iter();
        match (given.next(), given.next()) {
            (None, _) => Ok(None),
            (Some(one), None) => one
                .to_str()
                .map(Some)
                .map_err(|_| TokenError::new(ErrorCode::InvalidDpopProof, "the DPoP header is not a JWT")),
            (Some(_), Some(_)) => Err(TokenError::new(
                ErrorCode::InvalidDpopProof,
                "the DPoP header is given more than once",
            )),
        }
    }

    /// The query as parameters.
    pub(crate) fn query(&self) -> Result<Params, Failure> {
        Params::parse(self.uri.query().unwrap_or_default())
            .map_err(|problem| Failure::Parameters(problem.to_string()))
    }

    /// Path and query.
    pub(crate) fn here(&self) -> &str {
        self.uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str)
    }

    pub(crate) fn cookie(&self, name: Name) -> Option<String> {
        cookies::read(&self.headers, name.text(self.app.secure))
    }

    /// The signed-in visitor.
    pub(crate) async fn visit(&self) -> Result<Option<Arc<Visit>>, Failure> {
        let cookie = self.cookie(Name::Session);
        Ok(self.app.doorward.visit(cookie.as_deref()).await?)
    }

    /// The browser's own name; minted when it has none yet.
    pub(crate) fn browser(&self) -> Browser {
        match self
            .cookie(Name::Browser)
            .filter(|text| (16..=64).contains(&text.len()))
        {
            Some(value) => Browser { value, new: false },
            None => Browser {
                value: self.app.doorward.new_browser(),
                new: true,
            },
        }
    }

    /// The visitor's language: asked for in the address, chosen before, or the browser's.
    pub(crate) fn language(&self, wished: Option<&str>) -> Language {
        let asked = Params::parse(self.uri.query().unwrap_or_default()).ok();
        let asked = asked
            .as_ref()
            .and_then(|query| query.get("ui_locales"))
            .or(self.wished.get().map(String::as_str))
            .or(wished);
        let cookie = self.cookie(Name::Language);
        let accept = self
            .headers
            .get(ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok());
        Language::choose(asked, cookie.as_deref(), accept)
    }

    /// Refuses forms that another site sent. The browser tells where a form comes from; a client without a browser may stay
    /// silent, its forms are still bound to its cookies.
    pub(crate) fn same_site(&self) -> Result<(), Failure> {
        let site = self
            .headers
            .get("sec-fetch-site")
            .and_then(|value| value.to_str().ok());
        if matches!(site, Some("cross-site" | "same-site")) {
            return Err(Failure::reason(Reason::ForeignOrigin));
        }
        let Some(origin) = self.headers.get(ORIGIN) else {
            return Ok(());
        };
        let origin = origin.to_str().unwrap_or("null");
        let host = self
            .headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default();
        let of_host = origin
            .split_once("://")
            .is_some_and(|(_, of_host)| of_host == host && !host.is_empty());
        if of_host || origin == self.app.doorward.public_url() {
            return Ok(());
        }
        if origin == "null" {
            return Err(Failure::reason(Reason::ForeignOrigin));
        }
        Err(Failure::Misconfigured {
            requested: origin.chars().take(200).collect(),
        })
    }

    /// What every page needs; borrowed parts are given by the caller.
    pub(crate) fn page<'a>(
        &'a self,
        language: Language,
        csrf: &'a str,
        signed_in: Option<&'a str>,
    ) -> pages::Page<'a> {
        pages::Page {
            language,
            brand: "Doorward",
            here: self.here(),
            csrf,
            signed_in,
            now: self.app.doorward.now(),
            home: "",
            build: self.app.dress.version(),
        }
    }

    /// Keeps a language that was chosen in the address.
    pub(crate) fn keep_language(&self, reply: Reply) -> Reply {
        let asked = Params::parse(self.uri.query().unwrap_or_default()).ok();
        match asked
            .as_ref()
            .and_then(|query| query.get("ui_locales"))
            .and_then(Language::from_tag)
        {
            Some(language) => reply.cookie(&self.app, Name::Language, language.code(), 31_536_000),
            None => reply,
        }
    }
}

/// The browser's own name.
pub(crate) struct Browser {
    pub(crate) value: String,
    new: bool,
}

impl Browser {
    /// Sets the cookie when the name is new.
    pub(crate) fn keep(&self, app: &App, reply: Reply) -> Reply {
        if self.new {
            reply.cookie(app, Name::Browser, &self.value, 31_536_000)
        } else {
            reply
        }
    }
}

/// Longest time that a body may take to arrive.
const SLOWEST_BODY: Duration = Duration::from_secs(15);

/// Reads a form body within the limits of size and time.
pub(crate) async fn form(ask: &Ask, request: Request) -> Result<Params, Failure> {
    let kind = ask
        .headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let empty = axum::body::HttpBody::is_end_stream(request.body());
    if kind != "application/x-www-form-urlencoded" && !(empty && kind.is_empty()) {
        return Err(Failure::Parameters(
            "the body is not a form; expected application/x-www-form-urlencoded".into(),
        ));
    }
    let bytes = body(ask, request).await?;
    let text =
        std::str::from_utf8(&bytes).map_err(|_| Failure::Parameters("the body is not UTF-8".into()))?;
    Params::parse(text).map_err(|problem| Failure::Parameters(problem.to_string()))
}

/// Reads a body within the limits of size and time, whatever it is.
pub(crate) async fn body(ask: &Ask, request: Request) -> Result<Bytes, Failure> {
    let limited = Limited::new(request.into_body(), ask.app.options.body_limit);
    let Ok(collected) = tokio::time::timeout(SLOWEST_BODY, limited.collect()).await else {
        return Err(Failure::Parameters("the body did not arrive in time".into()));
    };
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Failure::TooLarge),
        Err(_) => Err(Failure::Parameters("the body ended early".into())),
    }
}
