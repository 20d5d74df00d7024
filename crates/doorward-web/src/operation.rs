//! Operation: health, metrics, version, static files.

use axum::extract::{Path, State};
use http::StatusCode;
use http::header::{AUTHORIZATION, CACHE_CONTROL, ETAG, IF_NONE_MATCH, WWW_AUTHENTICATE};
use serde_json::json;

use crate::App;
use crate::ask::Ask;
use crate::assets;
use crate::reply::{Failure, Reply, failure_page};

/// Alive: the process answers.
pub(crate) async fn live() -> Reply {
    Reply::json(StatusCode::OK, &json!({ "live": true }))
}

/// Ready: sign-ins can happen.
pub(crate) async fn ready(State(app): State<App>) -> Reply {
    let readiness = app.doorward.readiness().await;
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Reply::json(status, &serde_json::to_value(&readiness).unwrap_or_default())
}

/// Which build runs.
pub(crate) async fn version(State(app): State<App>) -> Reply {
    let build = app.options.build;
    let schema = app.doorward.store().ok().map(doorward_core::schema_version);
    let body = json!({
        "name": "doorward", "version": build.version, "commit": build.commit, "built_at": build.built_at, "schema": schema,
    });
    Reply::json(StatusCode::OK, &body)
}

/// Metrics in the OpenMetrics text form: with the token when one is set, else for this machine and trusted networks only.
pub(crate) async fn metrics(ask: Ask) -> Reply {
    let allowed = match &ask.app.options.metrics_token {
        Some(token) => {
            let given = ask
                .headers
                .get(AUTHORIZATION)
                .and_then(|value| value.to_str().ok());
            let given = given
                .and_then(|value| value.strip_prefix("Bearer "))
                .unwrap_or_default();
            doorward_core::constant_eq(given.as_bytes(), token.as_bytes())
        }
        None => ask
            .origin
            .ip
            .is_some_and(|ip| ip.is_loopback() || (ask.app.options.trusts)(ip)),
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
    if ask
        .headers
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        == Some(asset.etag.as_str())
    {
        return Reply::empty(StatusCode::NOT_MODIFIED).header(ETAG, &asset.etag);
    }
    Reply::bytes(StatusCode::OK, asset.content_type, asset.bytes)
        .header(CACHE_CONTROL, assets::CACHE_CONTROL)
        .header(ETAG, &asset.etag)
}

/// `/`: to the portal.
pub(crate) async fn root() -> Reply {
    Reply::see("/if/user/")
}

/// Everything else.
pub(crate) async fn nothing(ask: Ask) -> Reply {
    failure_page(&ask, &Failure::NotFound, None).await
}

/// For crawlers: nothing here is for them.
pub(crate) async fn robots() -> Reply {
    Reply::bytes(StatusCode::OK, "text/plain", "User-agent: *\nDisallow: /\n")
}
