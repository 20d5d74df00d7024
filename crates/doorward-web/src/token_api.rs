//! The token API's doors. Bodies are JSON whatever their `Content-Type` says; answers are what services of its kind say, also when
//! they say no.

use axum::extract::Request;
use bytes::Bytes;
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::{Map, Value, json};

use doorward_core::error::Error;
use doorward_core::token_api::Refusal;
use doorward_domain::Reason;
use doorward_domain::token_api::{self as rules, Issue};

use crate::ask::{self, Ask};
use crate::reply::{Failure, Reply};

/// What the old service called itself.
const SERVICE: &str = "auth-service";

/// An account.
pub(crate) async fn register(ask: Ask, request: Request) -> Reply {
    let work = async {
        let body = object(&ask, request).await?;
        let wanted = rules::registration(&body).map_err(Refusal::Body)?;
        Ok(ask.app.doorward.token_register(&wanted, ask.origin()).await?)
    };
    reply(&ask, StatusCode::CREATED, work.await)
}

/// A sign-in.
pub(crate) async fn login(ask: Ask, request: Request) -> Reply {
    let work = async {
        let body = object(&ask, request).await?;
        let credentials = rules::credentials(&body).map_err(Refusal::Body)?;
        Ok(ask.app.doorward.token_login(&credentials, ask.origin()).await?)
    };
    reply(&ask, StatusCode::OK, work.await)
}

/// The next pair of tokens.
pub(crate) async fn refresh(ask: Ask, request: Request) -> Reply {
    let work = async {
        let body = object(&ask, request).await?;
        let token = rules::text(&body, "refresh_token").map_err(Refusal::Body)?;
        Ok(ask.app.doorward.token_refresh(&token, ask.origin()).await?)
    };
    reply(&ask, StatusCode::OK, work.await)
}

/// The end of a sign-in.
pub(crate) async fn logout(ask: Ask, request: Request) -> Reply {
    let work = async {
        let bytes = bytes(&ask, request).await?;
        let access = ask.authorization().and_then(bearer);
        // Whoever shows an access token need not send a body.
        let body = if access.is_some() && bytes.iter().all(u8::is_ascii_whitespace) {
            Map::new()
        } else {
            rules::object(&bytes).map_err(Refusal::Body)?
        };
        let token = match body.get("refresh_token") {
            None | Some(Value::Null) => None,
            Some(_) => Some(rules::text(&body, "refresh_token").map_err(Refusal::Body)?),
        };
        ask.app
            .doorward
            .token_logout(token.as_deref(), access, ask.origin())
            .await?;
        Ok(json!({ "status": "ok" }))
    };
    reply(&ask, StatusCode::OK, work.await)
}

/// Who the bearer of an access token is.
pub(crate) async fn me(ask: Ask) -> Reply {
    let shown = ask.authorization().and_then(bearer);
    let answer = ask.app.doorward.token_me(shown).await;
    reply(&ask, StatusCode::OK, answer.map_err(No::from))
}

/// What is known about a token, for services.
pub(crate) async fn introspect(ask: Ask, request: Request) -> Reply {
    let work = async {
        let shown = ask.authorization().and_then(bearer);
        ask.app.doorward.may_introspect(shown, ask.app.private)?;
        let body = object(&ask, request).await?;
        let token = rules::text(&body, "token").map_err(Refusal::Body)?;
        Ok(ask.app.doorward.token_introspect(&token).await?)
    };
    reply(&ask, StatusCode::OK, work.await)
}

/// Can sign-ins happen?
pub(crate) async fn healthz(ask: Ask) -> Reply {
    let (well, checks) = ask.app.doorward.token_health().await;
    let build = ask.app.options.build;
    if well {
        let body = json!({ "status": "ok", "service": SERVICE, "version": build.version });
        return Reply::json(StatusCode::OK, &body);
    }
    Reply::json(
        StatusCode::SERVICE_UNAVAILABLE,
        &json!({ "status": "unavailable", "checks": checks }),
    )
}

/// A path of the token API with another method.
pub(crate) async fn wrong_method() -> Reply {
    detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}

/// Everything else on an address of its own.
pub(crate) async fn nothing() -> Reply {
    detail(StatusCode::NOT_FOUND, "Not Found")
}

/// Why there is no answer.
enum No {
    Said(Refusal),
    Read(Failure),
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Said(refusal)
    }
}

/// The token of `Authorization: Bearer …`.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

async fn bytes(ask: &Ask, request: Request) -> Result<Bytes, No> {
    ask::body(ask, request).await.map_err(No::Read)
}

async fn object(ask: &Ask, request: Request) -> Result<Map<String, Value>, No> {
    let bytes = bytes(ask, request).await?;
    Ok(rules::object(&bytes).map_err(Refusal::Body)?)
}

fn detail(status: StatusCode, text: &str) -> Reply {
    Reply::json(status, &json!({ "detail": text }))
}

fn reply(ask: &Ask, status: StatusCode, answer: Result<Value, No>) -> Reply {
    match answer {
        Ok(value) => Reply::json(status, &value),
        Err(No::Said(refusal)) => refused(ask, refusal),
        Err(No::Read(Failure::TooLarge)) => detail(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large"),
        Err(No::Read(_)) => issues(&rules::object(b"x").err().unwrap_or_default()),
    }
}

fn issues(issues: &[Issue]) -> Reply {
    let list: Vec<Value> = issues.iter().map(Issue::to_json).collect();
    Reply::json(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "detail": list }))
}

fn refused(ask: &Ask, refusal: Refusal) -> Reply {
    let unauthorised = |text| detail(StatusCode::UNAUTHORIZED, text).challenge("Bearer");
    let later = |reply: Reply, seconds: u32| reply.header(RETRY_AFTER, &seconds.to_string());
    let too_many = || detail(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
    match refusal {
        Refusal::Body(list) => issues(&list),
        Refusal::Taken => detail(StatusCode::CONFLICT, "Email already registered"),
        Refusal::RegistrationOff => detail(StatusCode::FORBIDDEN, "Registration is disabled"),
        Refusal::Refresh => unauthorised("Invalid or expired refresh token"),
        Refusal::Reused => unauthorised("Refresh token reuse detected"),
        Refusal::NotAuthenticated | Refusal::Caller => unauthorised("Not authenticated"),
        Refusal::Token => unauthorised("Invalid or expired token"),
        Refusal::TooMany(seconds) => later(too_many(), seconds),
        Refusal::Core(Error::Refused(refused)) => {
            let wait = refused.retry_after.unwrap_or(1);
            match refused.reason {
                Reason::AccountThrottled => {
                    later(detail(StatusCode::LOCKED, "Account temporarily locked"), wait)
                }
                Reason::NetworkThrottled => later(too_many(), wait),
                Reason::Busy => later(unavailable(), wait),
                // Unknown, wrong, switched off: one answer.
                _ => unauthorised("Invalid email or password"),
            }
        }
        Refusal::Core(Error::Fault(fault)) => {
            let incident = ask.app.doorward.incident();
            tracing::error!(incident, cause = fault.chain(), "a request failed");
            if fault.unavailable {
                later(unavailable(), 5)
            } else {
                failed(&incident)
            }
        }
        // Texts with a character that no column holds.
        Refusal::Core(Error::Invalid(_)) => issues(&[Issue::value("email", "the text cannot be stored", "")]),
        Refusal::Core(error) => {
            let incident = ask.app.doorward.incident();
            tracing::error!(incident, %error, "a request failed");
            failed(&incident)
        }
    }
}

fn unavailable() -> Reply {
    detail(StatusCode::SERVICE_UNAVAILABLE, "Service unavailable")
}

fn failed(incident: &str) -> Reply {
    Reply::json(
        StatusCode::INTERNAL_SERVER_ERROR,
        &json!({ "detail": "Internal server error", "error_id": incident }),
    )
}
