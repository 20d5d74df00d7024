//! The OpenID provider's endpoints. Each parses, calls core, and answers in the protocol's own form.

use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use std::sync::Arc;

use doorward_core::authorize::{Call, Outcome};
use doorward_core::dpop::Carried;
use doorward_core::error::Error;
use doorward_core::pushed::Pushed;
use doorward_domain::application::Application;
use doorward_domain::client::SigningAlgorithm;
use doorward_oidc::authorize::Response as Answer;
use doorward_oidc::error::{ErrorCode, TokenError};
use doorward_oidc::params::Params;
use doorward_oidc::{bearer, discovery, dpop};

use crate::ask::{self, Ask};
use crate::cookies::Name;
use crate::documents::{self, Prepared};
use crate::flow;
use crate::pages::{FormPost, Link};
use crate::reply::{Failure, Forms, Reply, failure_json, failure_page};
use crate::service::{Glance, Payload};

/// Largest query that a POST to the authorization endpoint is turned into.
pub(crate) const LONGEST_QUERY: usize = 6 * 1024;

/// Longest request, with its path and percent-encoded, that is carried through a page: sealed into a form field it grows by a
/// third, and a field has at most [`doorward_oidc::params::LONGEST_VALUE`].
const LONGEST_CARRIED: usize = 11_000;

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
    ask.wish(params.get("ui_locales"));
    // The languages of a pushed request are looked up when a page is to be shown.
    let pushed = params.get("request_uri").map(|_| params.to_query());
    let browser = ask.browser();
    let reply = match outcome(&ask, params, &browser.value).await {
        Ok(outcome) => {
            let silent = matches!(outcome, Outcome::Return(_) | Outcome::SignIn { .. });
            if let (Some(query), false) = (pushed, silent) {
                ask.wish_of(&format!("{}?{query}", doorward_core::authorize::PATH))
                    .await;
            }
            show(&ask, outcome).await
        }
        Err(failure) => failure_page(&ask, &failure, None).await,
    };
    browser.keep(&ask.app, reply).into_response()
}

async fn outcome(ask: &Ask, params: Params, browser: &str) -> Result<Outcome, Failure> {
    let visit = ask.visit().await?;
    // Only what is long is kept, to answer the client when it does not fit through a page. Encoding triples it at worst.
    let size: usize = params.iter().map(|(name, value)| name.len() + value.len()).sum();
    let kept = (size > LONGEST_CARRIED / 4).then(|| params.clone());
    let call = Call {
        params,
        visit: visit.as_deref(),
        browser,
        origin: ask.origin(),
    };
    let outcome = ask.app.doorward.authorize(call).await?;
    let fits = match &outcome {
        Outcome::SignIn { location } => fits(location),
        Outcome::SelectAccount(question) | Outcome::Consent(question) => {
            question.attempt.next.len() <= LONGEST_CARRIED
        }
        Outcome::Refused(_) | Outcome::Return(_) => true,
    };
    match kept {
        Some(own) if !fits => Ok(ask.app.doorward.refuse_long(&own, ask.origin()).await?),
        _ => Ok(outcome),
    }
}

/// Can the sign-in page take where it is to lead afterwards?
fn fits(location: &str) -> bool {
    let query = location.split_once('?').map_or("", |(_, query)| query);
    let next = Params::parse(query).ok();
    let next = next.as_ref().and_then(|query| query.get("next"));
    next.is_some_and(|next| next.len() <= LONGEST_CARRIED)
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
async fn json(ask: &Ask, result: Result<Value, Failure>) -> Reply {
    match result {
        Ok(value) => Reply::json(StatusCode::OK, &value).cors(),
        Err(failure) => failure_json(ask, &failure).await,
    }
}

/// The token endpoint.
pub(crate) async fn token(ask: Ask, request: Request) -> Reply {
    let result = async {
        let params = ask::form(&ask, request).await?;
        let answer = ask
            .app
            .doorward
            .token_with_proof(ask.authorization(), ask.proof()?, &params, ask.program())
            .await?;
        Ok(Value::Object(answer))
    };
    let result = result.await;
    json(&ask, result).await
}

/// The introspection endpoint.
pub(crate) async fn introspect(ask: Ask, request: Request) -> Reply {
    let result = async {
        let params = ask::form(&ask, request).await?;
        Ok(ask
            .app
            .doorward
            .introspect(ask.authorization(), &params, ask.program())
            .await?)
    };
    let result = result.await;
    json(&ask, result).await
}

/// The revocation endpoint.
pub(crate) async fn revoke(ask: Ask, request: Request) -> Reply {
    let result = async {
        let params = ask::form(&ask, request).await?;
        Ok::<_, Failure>(
            ask.app
                .doorward
                .revoke(ask.authorization(), &params, ask.program())
                .await?,
        )
    };
    match result.await {
        Ok(()) => Reply::empty(StatusCode::OK)
            .header(CACHE_CONTROL, "no-store")
            .cors(),
        Err(failure) => failure_json(&ask, &failure).await,
    }
}

/// The device authorization endpoint.
pub(crate) async fn device(ask: Ask, request: Request) -> Reply {
    let result = async {
        let params = ask::form(&ask, request).await?;
        Ok(ask
            .app
            .doorward
            .start_device(ask.authorization(), &params, ask.program())
            .await?)
    };
    let result = result.await;
    json(&ask, result).await
}

/// The endpoint for pushed authorization requests.
pub(crate) async fn par(ask: Ask, request: Request) -> Reply {
    let result = async {
        let params = ask::form(&ask, request).await?;
        Ok::<_, Failure>(
            ask.app
                .doorward
                .push_with_proof(ask.authorization(), ask.proof()?, params, ask.program())
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
        Err(failure) => failure_json(&ask, &failure).await,
    }
}

/// The userinfo endpoint: GET, or POST with the token in the form.
pub(crate) async fn userinfo(ask: Ask, request: Request) -> Reply {
    let posted = request.method() == Method::POST;
    let result = async {
        let has_form = ask.headers.contains_key(http::header::CONTENT_TYPE);
        let form = if posted && has_form {
            Some(ask::form(&ask, request).await?)
        } else {
            None
        };
        let token = bearer::read(ask.authorization(), form.as_ref())?;
        let bound = dpop::read(ask.authorization())?;
        let carried = match (&token, &bound) {
            (Some(_), Some(_)) => {
                let problem = "the access token is given twice; expected the Authorization header only";
                return Err(TokenError::new(ErrorCode::InvalidRequest, problem).into());
            }
            (Some(token), None) => Carried::Bearer(token),
            (None, Some(token)) => Carried::Bound {
                token,
                proof: ask.proof()?,
                method: if posted { "POST" } else { "GET" },
            },
            (None, None) => return Ok(None),
        };
        Ok::<_, Failure>(Some(ask.app.doorward.userinfo_carried(carried).await?))
    };
    match result.await {
        Ok(Some(claims)) => Reply::json(StatusCode::OK, &Value::Object(claims)).cors(),
        Ok(None) => Reply::empty(StatusCode::UNAUTHORIZED)
            .challenge(&bearer::challenge("doorward", None, None))
            .cors(),
        Err(Failure::Core(Error::Protocol(error))) => {
            let (status, scope) = match error.code {
                ErrorCode::InvalidToken | ErrorCode::InvalidDpopProof => (StatusCode::UNAUTHORIZED, None),
                ErrorCode::InsufficientScope => (StatusCode::FORBIDDEN, Some("openid")),
                _ => (StatusCode::BAD_REQUEST, None),
            };
            let challenge = match dpop::read(ask.authorization()) {
                Ok(Some(_)) => dpop::challenge("doorward", &error),
                _ => bearer::challenge("doorward", Some(&error), scope),
            };
            Reply::json(status, &error.body()).challenge(&challenge).cors()
        }
        Err(failure) => failure_json(&ask, &failure).await,
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

/// A prepared document, or that the client has it already.
fn document(headers: &HeaderMap, prepared: &Prepared) -> Reply {
    let mut own = prepared.headers.clone();
    if documents::is_known(headers, prepared.etag.as_bytes()) {
        own.remove(CONTENT_TYPE);
        return Reply::ready(StatusCode::NOT_MODIFIED, own, Bytes::new());
    }
    Reply::ready(StatusCode::OK, own, prepared.body.clone())
}

/// Discovery of one application or of the global issuer, when it is written already.
pub(crate) fn discovery_at_hand(glance: &Glance<'_>) -> Option<http::Response<Payload>> {
    let app = glance.app;
    app.doorward.store().ok()?;
    let prepared = app
        .documents
        .discovery(&app.doorward.directory_now(), glance.name.unwrap_or_default())?;
    Some(document(glance.headers, &prepared).into_whole())
}

/// The JWK set of one application or of the global issuer, when the configuration in memory knows whose.
pub(crate) fn jwks_at_hand(glance: &Glance<'_>) -> Option<http::Response<Payload>> {
    let app = glance.app;
    app.doorward.store().ok()?;
    let first = match glance.name {
        None => None,
        Some(slug) => Some(leading(app.doorward.directory_now().by_slug(slug)?)?),
    };
    let prepared = app.documents.jwks(&app.doorward, first);
    Some(document(glance.headers, &prepared).into_whole())
}

/// Discovery of one application.
pub(crate) async fn discovery_of(ask: Ask, Path(slug): Path<String>) -> Reply {
    let app = &ask.app;
    // Under the empty name the global issuer's is kept.
    if !slug.is_empty()
        && let Some(prepared) = app.documents.discovery(&app.doorward.directory(), &slug)
    {
        return document(&ask.headers, &prepared);
    }
    let application = match app.doorward.slug_application(&slug).await {
        Ok(Some(application)) => application,
        Ok(None) => return unknown_issuer(),
        Err(error) => return failure_json(&ask, &error.into()).await,
    };
    // After the look for the slug, which may have brought a newer picture.
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
    let metadata = discovery::document(&issuer, app.doorward.public_url(), Some(&slug), custom, claims);
    // An application of an older picture is answered, and never kept for the newer one.
    let prepared = match directory.by_slug(&slug) {
        Some(current) if Arc::ptr_eq(current, &application) => {
            app.documents.keep_discovery(&directory, &slug, &metadata)
        }
        _ => Prepared::new(&metadata, &app.dress),
    };
    document(&ask.headers, &prepared)
}

/// Discovery of the global issuer.
pub(crate) async fn discovery_global(ask: Ask) -> Reply {
    let app = &ask.app;
    if let Err(error) = app.doorward.opened() {
        return failure_json(&ask, &error.into()).await;
    }
    let directory = app.doorward.directory();
    if let Some(prepared) = app.documents.discovery(&directory, "") {
        return document(&ask.headers, &prepared);
    }
    let issuer = format!("{}/", app.doorward.public_url());
    let mut custom: Vec<&str> = directory.scopes.keys().map(String::as_str).collect();
    custom.sort_unstable();
    let claims: Vec<&str> = directory
        .scopes
        .values()
        .flat_map(|scope| scope.claims.keys().map(String::as_str))
        .collect();
    let metadata = discovery::document(&issuer, app.doorward.public_url(), None, custom, claims);
    document(
        &ask.headers,
        &app.documents.keep_discovery(&directory, "", &metadata),
    )
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
    let first = match ask.app.doorward.directory().by_slug(&slug) {
        Some(application) => Ok(leading(application)),
        // Perhaps another process made it a moment ago.
        None => match ask.app.doorward.slug_application(&slug).await {
            Ok(found) => Ok(found.as_deref().and_then(leading)),
            Err(error) => Err(error),
        },
    };
    match first {
        Ok(Some(first)) => jwks(&ask, Some(first)),
        Ok(None) => unknown_issuer(),
        Err(error) => failure_json(&ask, &error.into()).await,
    }
}

/// The algorithm whose keys lead in an application's set.
fn leading(application: &Application) -> Option<SigningAlgorithm> {
    application.client.as_ref().map(|client| client.signing_algorithm)
}

/// The JWK set of the global issuer.
pub(crate) async fn jwks_global(ask: Ask) -> Reply {
    match ask.app.doorward.opened() {
        Ok(_) => jwks(&ask, None),
        Err(error) => failure_json(&ask, &error.into()).await,
    }
}

fn jwks(ask: &Ask, first: Option<SigningAlgorithm>) -> Reply {
    document(&ask.headers, &ask.app.documents.jwks(&ask.app.doorward, first))
}
