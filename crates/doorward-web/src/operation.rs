//! Operation: health, metrics, version, static files.

use axum::extract::{FromRequestParts, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, WWW_AUTHENTICATE};
use serde_json::json;

use crate::App;
use crate::app_auth;
use crate::ask::Ask;
use crate::assets;
use crate::documents;
use crate::reply::{Failure, Reply, failure_page};

/// Alive: the process answers.
pub(crate) async fn live() -> Reply {
    Reply::json(StatusCode::OK, &json!({ "live": true }))
}

/// Ready: sign-ins can happen. Why not is for the operator only: it names hosts, databases and files.
pub(crate) async fn ready(ask: Ask) -> Reply {
    let mut readiness = ask.app.doorward.readiness().await;
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if !ask.is_local() && !holds_token(&ask) {
        readiness.reason = None;
    }
    Reply::json(status, &serde_json::to_value(&readiness).unwrap_or_default())
}

/// Does the caller show the metrics token? Nobody does while none is set.
fn holds_token(ask: &Ask) -> bool {
    let Some(token) = &ask.app.options.metrics_token else {
        return false;
    };
    let given = ask.authorization().unwrap_or_default();
    let given = given.strip_prefix("Bearer ").unwrap_or_default();
    doorward_core::constant_eq(given.as_bytes(), token.as_bytes())
}

/// Which build runs.
pub(crate) async fn version(State(app): State<App>) -> Reply {
    let build = app.options.build;
    let schema = app.doorward.opened().ok().map(doorward_core::schema_version);
    let mut body = json!({
        "name": "doorward", "version": build.version, "commit": build.commit, "built_at": build.built_at, "dirty": build.dirty,
        "schema": schema, "schema_version": schema,
    });
    if let (Some(digest), Some(fields)) = (&app.options.image_digest, body.as_object_mut()) {
        fields.insert("image_digest".to_owned(), digest.as_str().into());
    }
    Reply::json(StatusCode::OK, &body)
}

/// Metrics in the OpenMetrics text form: with the token when one is set, else for this machine and trusted networks only.
pub(crate) async fn metrics(ask: Ask) -> Reply {
    let allowed = match &ask.app.options.metrics_token {
        Some(_) => holds_token(&ask),
        None => ask.is_local(),
    };
    if !allowed {
        return Reply::empty(StatusCode::UNAUTHORIZED).header(WWW_AUTHENTICATE, "Bearer realm=\"metrics\"");
    }
    let text = ask.app.doorward.metrics_text();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Reply::bytes(StatusCode::OK, kind, text).header(CACHE_CONTROL, "no-store")
}

/// A static file under its fingerprinted name.
pub(crate) async fn asset(ask: Ask, Path(_): Path<String>) -> Reply {
    let Some(asset) = assets::find(ask.uri.path()) else {
        return failure_page(&ask, &Failure::NotFound, None).await;
    };
    if documents::is_known(&ask.headers, asset.etag.as_bytes()) {
        return Reply::empty(StatusCode::NOT_MODIFIED)
            .header(CACHE_CONTROL, assets::CACHE_CONTROL)
            .header(ETAG, &asset.etag);
    }
    Reply::bytes(StatusCode::OK, asset.content_type, asset.bytes)
        .header(CACHE_CONTROL, assets::CACHE_CONTROL)
        .header(ETAG, &asset.etag)
}

/// `/`: to the portal.
pub(crate) async fn root() -> Reply {
    Reply::see("/if/user/")
}

/// Everything else: the doors of apps, which stand where their operators put them, and the page that says that nothing is here.
pub(crate) async fn nothing(State(app): State<App>, request: Request) -> Response {
    if let Some((door, path)) = app_auth::find(&app, request.headers(), request.uri().path()) {
        return app_auth::answer(app, request, door, path).await;
    }
    let (mut parts, _) = request.into_parts();
    let Ok(ask) = Ask::from_request_parts(&mut parts, &app).await;
    // Which doors there are is in the database: until it was reached, nobody can say that there is none.
    if let Err(error) = app.doorward.opened() {
        let accept = ask.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
        if accept.is_some_and(|accept| accept.contains("text/html")) {
            return failure_page(&ask, &Failure::Core(error), None)
                .await
                .into_response();
        }
        return app_auth::not_yet(&app, ask.uri.path(), &error);
    }
    failure_page(&ask, &Failure::NotFound, None).await.into_response()
}

/// What browsers ask for beside every page and every answer: the mark, without a fingerprint in its address.
pub(crate) async fn favicon() -> Reply {
    match assets::all().iter().find(|asset| asset.name == "mark.svg") {
        Some(mark) => Reply::bytes(StatusCode::OK, mark.content_type, mark.bytes)
            .header(CACHE_CONTROL, "public, max-age=86400"),
        None => Reply::empty(StatusCode::NOT_FOUND),
    }
}

/// For crawlers: nothing here is for them.
pub(crate) async fn robots() -> Reply {
    Reply::bytes(StatusCode::OK, "text/plain", "User-agent: *\nDisallow: /\n")
}
