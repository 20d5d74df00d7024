//! The OpenID provider's endpoints. Each parses, calls core, and answers in the protocol's own form.

use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use serde_json::Value;

use doorward_core::authorize::{Call, Outcome};
use doorward_core::error::Error;
use doorward_core::pushed::Pushed;
use doorward_domain::client::SigningAlgorithm;
use doorward_oidc::authorize::Response as Answer;
use doorward_oidc::error::ErrorCode;
use doorward_oidc::{bearer, discovery};

use crate::ask::{self, Ask};
use crate::cookies::Name;
use crate::flow;
use crate::pages::{FormPost, Link};
use crate::reply::{Failure, Forms, Reply, failure_json, failure_page};

/// Largest query that a POST to the authorization endpoint is turned into.
pub(crate) const LONGEST_QUERY: usize = 6 * 1024;

/// GET and POST of the authorization endpoint (OpenID Connect Core section 3.1.2.1).
pub(crate) async fn authorize(ask: Ask, request: Request) -> Response {
    let posted = request.method() == Method::POST;
    let params = if posted {
        ask::form(&ask, request).await
    } else {
        ask.query()
    };
    let params = match params {
        Ok(params) => params,
        Err(failure) => return failure_page(&ask, &failure, None).await.into_response(),
    };
    // A form from another site comes without our SameSite cookies; as a GET it comes with them.
    if posted && ask.cookie(Name::Session).is_none() {
        let query = params.to_query();
        if query.len() <= LONGEST_QUERY {
            return Reply::see(&format!("{}?{query}", doorward_core::authorize::PATH)).into_response();
        }
    }
    let browser = ask.browser();
    let result = async {
        let visit = ask.visit().await?;
        let call = Call {
            params,
            visit: visit.as_deref(),
            browser: &browser.value,
            origin: &ask.origin,
        };
        Ok::<_, Failure>(ask.app.doorward.authorize(call).await?)
    }
    .await;
    let reply = match result {
        Ok(outcome) => show(&ask, outcome).await,
        Err(failure) => failure_page(&ask, &failure, None).await,
    };
    browser.keep(&ask.app, reply).into_response()
}

/// Renders what the authorization endpoint decided; also used after its pages were answered.
pub(crate) async fn show(ask: &Ask, outcome: Outcome) -> Reply {
    match outcome {
        Outcome::Refused(refused) => failure_page(ask, &Failure::Core(Error::Refused(refused)), None).await,
        Outcome::Return(answer) => send(ask, answer).await,
        Outcome::SignIn { location } => Reply::see(&location),
        Outcome::SelectAccount(question) => flow::select_account::page(ask, &question).await,
        Outcome::Consent(question) => flow::consent::page(ask, &question).await,
    }
}

async fn send(ask: &Ask, answer: Answer) -> Reply {
    match answer {
        Answer::Location(location) => Reply::see(&location),
        Answer::FormPost { action, fields } => {
            let Some(action) = Link::client(&action) else {
                return failure_page(ask, &Failure::NotFound, None).await;
            };
            let fields: Vec<(&str, &str)> = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let view = FormPost {
                action,
                application: action.host(),
                fields: &fields,
            };
            match view.render(&ask.page(ask.language(None), "", None)) {
                Ok(html) => Reply::page(StatusCode::OK, html, Forms::Onwards),
                Err(error) => failure_page(ask, &Failure::Render(error), None).await,
            }
        }
    }
}

/// Turns the result of an endpoint that speaks JSON into an answer.
fn json(ask: &Ask, result: Result<Value, Failure>) -> Reply {
    match result {
        Ok(value) => Reply::json(StatusCode::OK, &value).cors(),
        Err(failure) => failure_json(ask, &failure),
    }
}

/// The token endpoint.
pub(crate) async fn token(ask: Ask, request: Request) -> Reply {
    let result = async {
        let params = ask::form(&ask, request).await?;
        let answer = ask
            .app
            .doorward
            .token(ask.authorization(), &params, &ask.origin)
            .await?;
        Ok(Value::Object(answer))
    };
    let result = result.await;
    json(&ask, result)
}

/// The introspection endpoint.
pub(crate) async fn introspect(ask: Ask, request: Request) -> Reply {
    let result = async {
        let params = ask::form(&ask, request).await?;
        Ok(ask
            .app
            .doorward
            .introspect(ask.authorization(), &params, &ask.origin)
            .await?)
    };
    let result = result.await;
    json(&ask, result)
}

/// The revocation endpoint.
pub(crate) async fn revoke(ask: Ask, request: Request) -> Reply {
    let result = async {
        let params = ask::form(&ask, request).await?;
        Ok::<_, Failure>(
            ask.app
                .doorward
                .revoke(ask.authorization(), &params, &ask.origin)
                .await?,
        )
    };
    match result.await {
        Ok(()) => Reply::empty(StatusCode::OK)
            .header(CACHE_CONTROL, "no-store")
            .cors(),
        Err(failure) => failure_json(&ask, &failure),
    }
}

/// The device authorization endpoint.
pub(crate) async fn device(ask: Ask, request: Request) -> Reply {
    let result = async {
        let params = ask::form(&ask, request).await?;
        Ok(ask
            .app
            .doorward
            .start_device(ask.authorization(), &params, &ask.origin)
            .await?)
    };
    let result = result.await;
    json(&ask, result)
}

/// The endpoint for pushed authorization requests.
pub(crate) async fn par(ask: Ask, request: Request) -> Reply {
    let result = async {
        let params = ask::form(&ask, request).await?;
        Ok::<_, Failure>(
            ask.app
                .doorward
                .push(ask.authorization(), params, &ask.origin)
                .await?,
        )
    };
    match result.await {
        Ok(Pushed::Accepted(body)) => Reply::json(StatusCode::CREATED, &body).cors(),
        Ok(Pushed::Refused(status, body)) => Reply::json(
            StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
            &body,
        )
        .cors(),
        Err(failure) => failure_json(&ask, &failure),
    }
}

/// The userinfo endpoint: GET, or POST with the token in the form.
pub(crate) async fn userinfo(ask: Ask, request: Request) -> Reply {
    let result = async {
        let posted = request.method() == Method::POST;
        let has_form = ask.headers.contains_key(http::header::CONTENT_TYPE);
        let form = if posted && has_form {
            Some(ask::form(&ask, request).await?)
        } else {
            None
        };
        let Some(token) = bearer::read(ask.authorization(), form.as_ref())? else {
            return Ok(None);
        };
        Ok::<_, Failure>(Some(ask.app.doorward.userinfo(&token).await?))
    };
    match result.await {
        Ok(Some(claims)) => Reply::json(StatusCode::OK, &Value::Object(claims)).cors(),
        Ok(None) => Reply::empty(StatusCode::UNAUTHORIZED)
            .header(WWW_AUTHENTICATE, &bearer::challenge("doorward", None, None))
            .cors(),
        Err(Failure::Core(Error::Protocol(error))) => {
            let status = match error.code {
                ErrorCode::InvalidToken => StatusCode::UNAUTHORIZED,
                ErrorCode::InsufficientScope => StatusCode::FORBIDDEN,
                _ => StatusCode::BAD_REQUEST,
            };
            let challenge = bearer::challenge("doorward", Some(&error), None);
            Reply::json(status, &error.body())
                .header(WWW_AUTHENTICATE, &challenge)
                .cors()
        }
        Err(failure) => failure_json(&ask, &failure),
    }
}

/// Answers a preflight of any endpoint that scripts may call.
pub(crate) async fn preflight() -> Reply {
    Reply::empty(StatusCode::NO_CONTENT)
        .header(http::header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST")
        .header(
            http::header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, dpop",
        )
        .header(http::header::ACCESS_CONTROL_MAX_AGE, "86400")
        .cors()
}

/// Discovery of one application.
pub(crate) async fn discovery_of(ask: Ask, Path(slug): Path<String>) -> Reply {
    let app = &ask.app;
    let application = match app.doorward.slug_application(&slug).await {
        Ok(Some(application)) => application,
        Ok(None) => return unknown_issuer(),
        Err(error) => return failure_json(&ask, &error.into()),
    };
    let directory = app.doorward.directory();
    let Some(client) = application.client.as_ref() else {
        return unknown_issuer();
    };
    let issuer = app.doorward.issuer(&slug, client);
    let custom: Vec<&str> = client
        .scopes
        .iter()
        .filter(|scope| directory.scopes.contains_key(*scope))
        .map(String::as_str)
        .collect();
    let claims: Vec<&str> = custom
        .iter()
        .filter_map(|scope| directory.scopes.get(*scope))
        .flat_map(|scope| scope.claims.keys().map(String::as_str))
        .collect();
    let document = discovery::document(&issuer, app.doorward.public_url(), Some(&slug), custom, claims);
    Reply::public_json(&document, 300).cors()
}

/// Discovery of the global issuer.
pub(crate) async fn discovery_global(ask: Ask) -> Reply {
    let app = &ask.app;
    if let Err(error) = app.doorward.store() {
        return failure_json(&ask, &error.into());
    }
    let directory = app.doorward.directory();
    let issuer = format!("{}/", app.doorward.public_url());
    let mut custom: Vec<&str> = directory.scopes.keys().map(String::as_str).collect();
    custom.sort_unstable();
    let claims: Vec<&str> = directory
        .scopes
        .values()
        .flat_map(|scope| scope.claims.keys().map(String::as_str))
        .collect();
    let document = discovery::document(&issuer, app.doorward.public_url(), None, custom, claims);
    Reply::public_json(&document, 300).cors()
}

fn unknown_issuer() -> Reply {
    let body = serde_json::json!({ "error": "not_found", "error_description": "no application with an OpenID client has this slug" });
    Reply::json(StatusCode::NOT_FOUND, &body).cors()
}

/// `/application/o/<slug>/` leads to discovery.
pub(crate) async fn to_discovery(Path(slug): Path<String>) -> Reply {
    let slug: String = slug
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .collect();
    Reply::see(&format!("/application/o/{slug}/.well-known/openid-configuration"))
}

/// The JWK set of one application.
pub(crate) async fn jwks_of(ask: Ask, Path(slug): Path<String>) -> Reply {
    match ask.app.doorward.slug_application(&slug).await {
        Ok(Some(application)) => match &application.client {
            Some(client) => jwks(&ask, Some(client.signing_algorithm)),
            None => unknown_issuer(),
        },
        Ok(None) => unknown_issuer(),
        Err(error) => failure_json(&ask, &error.into()),
    }
}

/// The JWK set of the global issuer.
pub(crate) async fn jwks_global(ask: Ask) -> Reply {
    match ask.app.doorward.store() {
        Ok(_) => jwks(&ask, None),
        Err(error) => failure_json(&ask, &error.into()),
    }
}

fn jwks(ask: &Ask, first: Option<SigningAlgorithm>) -> Reply {
    let set = ask.app.doorward.jwks(first);
    let etag = format!("\"{}\"", kids(&set));
    let known = ask
        .headers
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    if known == Some(etag.as_str()) {
        return Reply::empty(StatusCode::NOT_MODIFIED).header(ETAG, &etag).cors();
    }
    Reply::public_json(&set, 300).header(ETAG, &etag).cors()
}

/// The set is the set of its key ids: they are thumbprints.
fn kids(set: &Value) -> String {
    let keys = set.get("keys").and_then(Value::as_array);
    let short = |key: &Value| {
        key.get("kid")
            .and_then(Value::as_str)
            .map(|kid| kid.chars().take(8).collect::<String>())
    };
    keys.map(|keys| keys.iter().filter_map(short).collect::<Vec<_>>().join("."))
        .unwrap_or_default()
}
