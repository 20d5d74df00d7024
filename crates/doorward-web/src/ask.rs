//! One request as the handlers see it: who, from where, with which cookies, in which language.

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, HOST, ORIGIN, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Uri};
use http_body_util::{BodyExt, Limited};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use doorward_core::Origin;
use doorward_core::sessions::Visit;
use doorward_domain::Reason;
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
    pub(crate) origin: Origin,
}

impl FromRequestParts<App> for Ask {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip());
        let headers = std::mem::take(&mut parts.headers);
        let ip = forwarded::client_ip(peer, &headers, &*app.options.trusts);
        let user_agent = headers.get(USER_AGENT).map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.chars().filter(|c| !c.is_control()).take(256).collect()
        });
        Ok(Self {
            app: app.clone(),
            headers,
            uri: parts.uri.clone(),
            origin: Origin {
                ip: Some(ip),
                user_agent,
            },
        })
    }
}

impl Ask {
    /// `Authorization`, when it is text.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
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
    let limited = Limited::new(request.into_body(), ask.app.options.body_limit);
    let Ok(collected) = tokio::time::timeout(SLOWEST_BODY, limited.collect()).await else {
        return Err(Failure::Parameters("the body did not arrive in time".into()));
    };
    let bytes = match collected {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => return Err(Failure::TooLarge),
        Err(_) => return Err(Failure::Parameters("the body ended early".into())),
    };
    let text =
        std::str::from_utf8(&bytes).map_err(|_| Failure::Parameters("the body is not UTF-8".into()))?;
    Params::parse(text).map_err(|problem| Failure::Parameters(problem.to_string()))
}
