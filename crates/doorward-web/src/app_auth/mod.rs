//! The door of an app, on the better-auth wire contract: transport rules, origins, limits, and the map of its calls.
//!
//! One function reads who calls ([`call::Call::caller`]); no call reads cookies or `Authorization` by itself.

mod accounts;
mod alias;
mod call;
mod check;
mod codes;
mod copy;
mod device;
mod email;
mod error_page;
mod fail;
mod open_api;
mod plugins;
mod reset;
mod session;
mod small;
mod social;
mod two_factor;
mod user;
mod wire;

use axum::extract::{FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL,
    CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue, LOCATION, ORIGIN, PRAGMA, REFERER, RETRY_AFTER,
    VARY,
};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

use doorward_core::app_auth::Door;
use doorward_core::app_auth::social::Dialect;
use doorward_domain::app_auth::origin::{is_trusted, origin_of};
use doorward_domain::app_auth::rate::rule_of;
use doorward_oidc::params::Params;

use crate::App;
use crate::ask::Ask;
use call::Call;
use error_page::{error_page, escape_html};
use fail::Fail;

/// Longest time that a body may take to arrive.
const SLOWEST_BODY: Duration = Duration::from_secs(15);
/// What scripts of trusted origins may read.
const EXPOSED: &str = "set-auth-token, set-auth-jwt, set-ott, x-retry-after";

/// What a call answers.
enum Answer {
    /// JSON; `null` is a body too.
    Json(Value),
    /// JSON that is written already.
    Text(Bytes),
    /// The browser is sent on, with 302.
    Go(String),
    /// A page.
    Page(StatusCode, String),
    /// JSON with another status.
    Status(StatusCode, Value),
}

type Answered = Result<Answer, Fail>;

/// Is there a door at this place? Then it answers, whatever the path.
pub(crate) fn find(app: &App, headers: &HeaderMap, path: &str) -> Option<(Door, String)> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    app.doorward.door_at(host, path)
}

/// What programs are told at a place that may be a door, while the database was not reached yet.
pub(crate) fn not_yet(app: &App, path: &str, error: &doorward_core::Error) -> Response {
    let incident = app.doorward.incident();
    tracing::error!(incident, fault = %error, path, "nobody knows yet whether there is a door");
    let fail = Fail::code("SERVICE_UNAVAILABLE");
    let mut body = fail.body.unwrap_or_default();
    if let Some(fields) = body.as_object_mut() {
        fields.insert("errorId".to_owned(), Value::String(incident));
    }
    let mut response = Response::default();
    *response.status_mut() = fail.status;
    json_body(&mut response, &body);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

/// Answers a call.
pub(crate) async fn answer(app: App, request: Request, door: Door, path: String) -> Response {
    let (mut parts, body) = request.into_parts();
    let method = parts.method.clone();
    let Ok(ask) = Ask::from_request_parts(&mut parts, &app).await;
    let origin = ask.origin().clone();
    let doorward = app.doorward.clone();
    let mut call = Call::new(doorward, door, path, method, ask.headers, origin);
    let cors = cross_origin(&call);
    if call.method == Method::OPTIONS {
        return preflight(&call, cors.as_deref());
    }
    if let Some(query) = ask.uri.query() {
        call.query = pairs(query).unwrap_or(Value::Object(Map::new()));
    }
    let mut result = run(&mut call, &app, Request::from_parts(parts, body)).await;
    if call.door.settings().has("multi-session")
        && let Err(fail) = small::keep_several(&mut call).await
    {
        result = Err(fail);
    }
    if result.is_ok()
        && let Err(fail) = copy::follow(&mut call).await
    {
        result = Err(fail);
    }
    respond(&call, result, cors.as_deref())
}

/// The trusted origin that a script calls from.
fn cross_origin(call: &Call) -> Option<String> {
    let origin = call.headers.get(ORIGIN)?.to_str().ok()?;
    let settings = call.door.settings();
    is_trusted(origin, settings.origin(), &settings.trusted_origins).then(|| origin.to_owned())
}

fn share(headers: &mut HeaderMap, cors: Option<&str>) {
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = cors.and_then(|origin| HeaderValue::from_str(origin).ok()) else {
        return;
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}

fn preflight(call: &Call, cors: Option<&str>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    share(headers, cors);
    if cors.is_some() {
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST"),
        );
        let wanted = call.headers.get("access-control-request-headers").cloned();
        let allowed = wanted.unwrap_or_else(|| HeaderValue::from_static("content-type, authorization"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response
}

/// Pairs of a query or form as an object; the first of a name counts. `None` when it is too much or unreadable.
fn pairs(text: &str) -> Option<Value> {
    let params = Params::parse(text).ok()?;
    let mut map = Map::new();
    for (name, value) in params.iter() {
        map.entry(name.to_owned())
            .or_insert_with(|| Value::String(value.to_owned()));
    }
    Some(Value::Object(map))
}

/// Rules of transport, origin and number; then the call itself.
async fn run(call: &mut Call, app: &App, request: Request) -> Answered {
    let settings = call.door.settings();
    let on = plugin_of(&call.path).is_none_or(|plugin| settings.has(plugin));
    if !on || !is_known(&call.method, &call.path) {
        return Err(Fail::nothing());
    }
    if settings.rate_limit
        && let Err(seconds) =
            call.doorward
                .door_allows(&call.door, &call.path, rule_of(&call.path), &call.origin)
    {
        return Err(Fail::too_often(seconds));
    }
    if call.method != Method::GET && !call.path.starts_with("/callback/") {
        check_origin(call)?;
    }
    read_body(call, app, request).await?;
    call.check_places()?;
    plugins::refuse_keys_for_others(call).await?;
    route(call).await
}

/// Refuses scripts and forms of origins that are not trusted (contract section 3.1).
fn check_origin(call: &Call) -> Result<(), Fail> {
    let site = call.header("sec-fetch-site");
    let own = call.door.settings().origin();
    let validate = || {
        let given = match call.header("origin") {
            Some("null") if site == Some("same-origin") => Some(own.to_owned()),
            Some("null" | "") => None,
            Some(origin) => Some(origin.to_owned()),
            None => call.header("referer").and_then(origin_of).map(str::to_owned),
        };
        let Some(given) = given else {
            return Err(Fail::code("MISSING_OR_NULL_ORIGIN"));
        };
        let patterns = &call.door.settings().trusted_origins;
        if is_trusted(&given, own, patterns) {
            return Ok(());
        }
        let shown: String = given.chars().take(200).collect();
        tracing::info!(origin = shown, own, trusted = ?patterns, "a call came from an origin that the app does not trust");
        Err(Fail::code("INVALID_ORIGIN"))
    };
    if call.headers.contains_key(COOKIE) {
        return validate();
    }
    let guarded = [
        "/sign-in/email",
        "/sign-up/email",
        "/sign-in/username",
        "/sign-in/magic-link",
        "/email-otp/send-verification-otp",
        "/sign-in",
        "/sign-up",
    ];
    if !guarded.contains(&call.path.as_str()) {
        return Ok(());
    }
    if site == Some("cross-site") && call.header("sec-fetch-mode") == Some("navigate") {
        return Err(Fail::code("CROSS_SITE_NAVIGATION_LOGIN_BLOCKED"));
    }
    let told = site.is_some() || call.headers.contains_key(ORIGIN) || call.headers.contains_key(REFERER);
    if told { validate() } else { Ok(()) }
}

/// Reads the body within the limits of size, time and kind.
async fn read_body(call: &mut Call, app: &App, request: Request) -> Result<(), Fail> {
    if call.method == Method::GET {
        return Ok(());
    }
    let kind = call.header("content-type").unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let limited = Limited::new(request.into_body(), app.options.body_limit);
    let Ok(collected) = tokio::time::timeout(SLOWEST_BODY, limited.collect()).await else {
        return Err(Fail::said(
            StatusCode::REQUEST_TIMEOUT,
            "BAD_REQUEST",
            "The body did not arrive in time",
        ));
    };
    let bytes = match collected {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Fail::said(
                StatusCode::PAYLOAD_TOO_LARGE,
                "PAYLOAD_TOO_LARGE",
                "Payload too large",
            ));
        }
        Err(_) => {
            return Err(Fail::said(
                StatusCode::BAD_REQUEST,
                "BAD_REQUEST",
                "The body ended early",
            ));
        }
    };
    // Without a kind it is as if there were none.
    if kind.is_empty() {
        return Ok(());
    }
    let takes_forms = matches!(call.path.as_str(), "/sign-up/email" | "/sign-in/email")
        || call.path.starts_with("/callback/");
    let invalid = || {
        Fail::said(
            StatusCode::BAD_REQUEST,
            "BAD_REQUEST",
            "Invalid JSON in request body",
        )
    };
    let body = match kind.as_str() {
        "application/json" if bytes.is_empty() => None,
        "application/json" => Some(serde_json::from_slice(&bytes).map_err(|_| invalid())?),
        "application/x-www-form-urlencoded" if takes_forms => {
            let text = std::str::from_utf8(&bytes).map_err(|_| invalid())?;
            Some(pairs(text).ok_or_else(invalid)?)
        }
        _ => {
            let allowed = if takes_forms {
                "application/x-www-form-urlencoded, application/json"
            } else {
                "application/json"
            };
            let shown: String = kind.chars().filter(char::is_ascii_graphic).take(100).collect();
            let text = format!("Content-Type \"{shown}\" is not allowed. Allowed types: {allowed}");
            return Err(Fail::said(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UNSUPPORTED_MEDIA_TYPE",
                &text,
            ));
        }
    };
    call.body = body.map(Arc::new);
    Ok(())
}

/// Calls by method and path. Paths with a parameter are named by their beginning.
const CALLS: &[(&str, &str)] = &[
    ("GET", "/ok"),
    ("GET", "/error"),
    ("POST", "/sign-up/email"),
    ("POST", "/sign-in/email"),
    ("POST", "/sign-in/username"),
    ("POST", "/is-username-available"),
    ("POST", "/sign-out"),
    ("GET", "/get-session"),
    ("POST", "/get-session"),
    ("POST", "/update-session"),
    ("GET", "/list-sessions"),
    ("POST", "/revoke-session"),
    ("POST", "/revoke-sessions"),
    ("POST", "/revoke-other-sessions"),
    ("POST", "/update-user"),
    ("POST", "/change-password"),
    ("POST", "/verify-password"),
    ("POST", "/request-password-reset"),
    ("POST", "/forget-password"),
    ("POST", "/reset-password"),
    ("GET", "/reset-password/"),
    ("GET", "/verify-email"),
    ("POST", "/send-verification-email"),
    ("POST", "/change-email"),
    ("POST", "/delete-user"),
    ("GET", "/delete-user/callback"),
    ("GET", "/list-accounts"),
    ("POST", "/unlink-account"),
    ("POST", "/sign-in/social"),
    ("POST", "/sign-in/oauth2"),
    ("GET", "/callback/"),
    ("POST", "/callback/"),
    ("GET", "/oauth2/callback/"),
    ("POST", "/link-social"),
    ("POST", "/oauth2/link"),
    ("POST", "/get-access-token"),
    ("POST", "/refresh-token"),
    ("GET", "/account-info"),
    ("POST", "/two-factor/enable"),
    ("POST", "/two-factor/disable"),
    ("POST", "/two-factor/get-totp-uri"),
    ("POST", "/two-factor/verify-totp"),
    ("POST", "/two-factor/send-otp"),
    ("POST", "/two-factor/verify-otp"),
    ("POST", "/two-factor/verify-backup-code"),
    ("POST", "/two-factor/generate-backup-codes"),
    ("POST", "/email-otp/send-verification-otp"),
    ("POST", "/email-otp/check-verification-otp"),
    ("POST", "/email-otp/verify-email"),
    ("POST", "/sign-in/email-otp"),
    ("POST", "/email-otp/request-password-reset"),
    ("POST", "/forget-password/email-otp"),
    ("POST", "/email-otp/reset-password"),
    ("POST", "/email-otp/request-email-change"),
    ("POST", "/email-otp/change-email"),
    ("POST", "/sign-in/magic-link"),
    ("GET", "/magic-link/verify"),
    ("GET", "/token"),
    ("GET", "/jwks"),
    ("GET", "/one-time-token/generate"),
    ("POST", "/one-time-token/verify"),
    ("GET", "/multi-session/list-device-sessions"),
    ("POST", "/multi-session/set-active"),
    ("POST", "/multi-session/revoke"),
    ("POST", "/device/code"),
    ("POST", "/device/token"),
    ("GET", "/device"),
    ("POST", "/device/approve"),
    ("POST", "/device/deny"),
    ("GET", "/reference"),
    ("GET", "/open-api/generate-schema"),
    ("GET", "/session"),
    ("GET", "/profile"),
    ("POST", "/sign-in"),
    ("POST", "/sign-up"),
];

/// The part of the contract that a path belongs to, when it is one that is switched on by itself.
fn plugin_of(path: &str) -> Option<&'static str> {
    Some(match path {
        "/sign-in/username" | "/is-username-available" => "username",
        "/sign-in/email-otp" | "/forget-password/email-otp" => "email-otp",
        "/sign-in/magic-link" | "/magic-link/verify" => "magic-link",
        "/token" | "/jwks" => "jwt",
        "/device" => "device-authorization",
        "/reference" => "open-api",
        "/sign-in/oauth2" | "/oauth2/link" => "generic-oauth",
        _ => [
            ("/two-factor/", "two-factor"),
            ("/email-otp/", "email-otp"),
            ("/one-time-token/", "one-time-token"),
            ("/multi-session/", "multi-session"),
            ("/device/", "device-authorization"),
            ("/open-api/", "open-api"),
            ("/organization/", "organization"),
            ("/admin/", "admin"),
            ("/api-key/", "api-key"),
            ("/passkey/", "passkey"),
            ("/oauth2/callback/", "generic-oauth"),
        ]
        .iter()
        .find(|(prefix, _)| path.starts_with(prefix))
        .map(|(_, plugin)| *plugin)?,
    })
}

fn is_known(method: &Method, path: &str) -> bool {
    let fits = |pattern: &str| match pattern.strip_suffix('/') {
        Some(_) => path
            .strip_prefix(pattern)
            .is_some_and(|rest| !rest.is_empty() && !rest.contains('/')),
        None => path == pattern,
    };
    CALLS
        .iter()
        .chain(plugins::CALLS)
        .any(|(of, pattern)| *of == method.as_str() && fits(pattern))
}

fn is_plugin(path: &str) -> bool {
    ["/organization/", "/admin/", "/api-key/", "/passkey/"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
}

async fn route(call: &mut Call) -> Answered {
    let path = call.path.clone();
    let get = call.method == Method::GET;
    match (get, path.as_str()) {
        _ if is_plugin(&path) => plugins::route(call, &path).await,
        (true, "/ok") => Ok(Answer::Json(json!({ "ok": true }))),
        (true, "/error") => Ok(error_page(call)),
        (false, "/sign-up/email" | "/sign-up") => email::sign_up(call).await,
        (false, "/sign-in/email" | "/sign-in") => email::sign_in(call).await,
        (false, "/sign-in/username") => email::sign_in_by_username(call).await,
        (false, "/is-username-available") => email::is_username_available(call).await,
        (false, "/sign-out") => session::sign_out(call).await,
        (true, "/get-session") => session::get(call).await,
        (false, "/get-session") => Err(Fail::code("METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED")),
        (false, "/update-session") => session::update(call).await,
        (true, "/list-sessions") => session::list(call).await,
        (false, "/revoke-session") => session::revoke(call).await,
        (false, "/revoke-sessions") => session::revoke_all(call).await,
        (false, "/revoke-other-sessions") => session::revoke_others(call).await,
        (false, "/update-user") => user::update(call).await,
        (false, "/change-password") => user::change_password(call).await,
        (false, "/verify-password") => user::verify_password(call).await,
        (false, "/change-email") => user::change_email(call).await,
        (false, "/delete-user") => user::delete(call).await,
        (true, "/delete-user/callback") => user::delete_callback(call).await,
        (false, "/request-password-reset" | "/forget-password") => reset::request(call).await,
        (false, "/reset-password") => reset::reset(call).await,
        (true, "/verify-email") => reset::verify_email(call).await,
        (false, "/send-verification-email") => reset::send_verification(call).await,
        (true, "/list-accounts") => accounts::list(call).await,
        (false, "/unlink-account") => accounts::unlink(call).await,
        (false, "/sign-in/social") => social::sign_in(call).await,
        (false, "/sign-in/oauth2") => social::sign_in_old(call).await,
        (false, "/link-social") => social::link(call).await,
        (false, "/oauth2/link") => social::link_old(call).await,
        (false, "/get-access-token") => social::access_token(call).await,
        (false, "/refresh-token") => social::refresh_token(call).await,
        (true, "/account-info") => social::account_info(call).await,
        (false, "/two-factor/enable") => two_factor::enable(call).await,
        (false, "/two-factor/disable") => two_factor::disable(call).await,
        (false, "/two-factor/get-totp-uri") => two_factor::totp_uri(call).await,
        (false, "/two-factor/verify-totp") => two_factor::verify_totp(call).await,
        (false, "/two-factor/send-otp") => two_factor::send_otp(call).await,
        (false, "/two-factor/verify-otp") => two_factor::verify_otp(call).await,
        (false, "/two-factor/verify-backup-code") => two_factor::verify_backup_code(call).await,
        (false, "/two-factor/generate-backup-codes") => two_factor::backup_codes(call).await,
        (false, "/email-otp/send-verification-otp") => codes::send_code(call).await,
        (false, "/email-otp/check-verification-otp") => codes::check_code(call).await,
        (false, "/email-otp/verify-email") => codes::verify_email(call).await,
        (false, "/sign-in/email-otp") => codes::sign_in(call).await,
        (false, "/email-otp/request-password-reset" | "/forget-password/email-otp") => {
            codes::request_reset(call).await
        }
        (false, "/email-otp/reset-password") => codes::reset(call).await,
        (false, "/email-otp/request-email-change") => codes::request_change(call).await,
        (false, "/email-otp/change-email") => codes::change(call).await,
        (false, "/sign-in/magic-link") => codes::send_link(call).await,
        (true, "/magic-link/verify") => codes::follow_link(call).await,
        (true, "/token") => small::token(call).await,
        (true, "/jwks") => Ok(small::jwks(call)),
        (true, "/one-time-token/generate") => small::generate(call).await,
        (false, "/one-time-token/verify") => small::verify(call).await,
        (true, "/multi-session/list-device-sessions") => small::device_sessions(call).await,
        (false, "/multi-session/set-active") => small::set_active(call).await,
        (false, "/multi-session/revoke") => small::revoke(call).await,
        (false, "/device/code") => device::code(call).await,
        (false, "/device/token") => device::token(call).await,
        (true, "/device") => device::look(call).await,
        (false, "/device/approve") => device::decide(call, "approved").await,
        (false, "/device/deny") => device::decide(call, "denied").await,
        (true, "/reference") => Ok(open_api::page(call)),
        (true, "/open-api/generate-schema") => Ok(open_api::schema(call)),
        (true, "/session") => alias::session(call).await,
        (true, "/profile") => alias::profile(call).await,
        (get, path) => {
            if let Some(provider) = path.strip_prefix("/oauth2/callback/") {
                return social::callback(call, provider, Dialect::Old).await;
            }
            if let Some(provider) = path.strip_prefix("/callback/") {
                return social::callback(call, provider, Dialect::New).await;
            }
            match path.strip_prefix("/reset-password/") {
                Some(token) if get => reset::follow(call, token).await,
                _ => Err(Fail::nothing()),
            }
        }
    }
}

/// A place with more in its query; what it had stays.
fn with_query(place: &str, pairs: &[(&str, &str)]) -> String {
    let (rest, fragment) = place
        .split_once('#')
        .map_or((place, None), |(rest, fragment)| (rest, Some(fragment)));
    let mut text = rest.to_owned();
    for (name, value) in pairs {
        text.push(if text.contains('?') { '&' } else { '?' });
        text.push_str(&format!("{name}={}", call::escape(value).replace("%20", "+")));
    }
    if let Some(fragment) = fragment {
        text.push('#');
        text.push_str(fragment);
    }
    text
}

fn json_body(response: &mut Response, value: &Value) {
    let body = if value.is_null() {
        Bytes::from_static(b"null")
    } else {
        Bytes::from(value.to_string())
    };
    json_text(response, body);
}

fn json_text(response: &mut Response, body: Bytes) {
    *response.body_mut() = body.into();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

fn respond(call: &Call, result: Answered, cors: Option<&str>) -> Response {
    let mut response = Response::default();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    match result {
        Ok(Answer::Json(value)) => json_body(&mut response, &value),
        Ok(Answer::Text(text)) => json_text(&mut response, text),
        Ok(Answer::Status(status, value)) => {
            *response.status_mut() = status;
            json_body(&mut response, &value);
        }
        Ok(Answer::Go(place)) => {
            *response.status_mut() = StatusCode::FOUND;
            if let Ok(place) = HeaderValue::from_str(&call::ascii(&place)) {
                response.headers_mut().insert(LOCATION, place);
            }
        }
        Ok(Answer::Page(status, html)) => {
            response = crate::reply::Reply::page(status, html, crate::reply::Forms::Here).into_response();
        }
        Err(fail) => failed(&mut response, fail, call),
    }
    call.write(response.headers_mut());
    share(response.headers_mut(), cors);
    response
}

fn failed(response: &mut Response, fail: Fail, call: &Call) {
    *response.status_mut() = fail.status;
    let mut body = fail.body;
    if let Some(fault) = fail.fault {
        let incident = call.doorward.incident();
        tracing::error!(
            incident,
            fault,
            path = call.path,
            "a call to an app's door failed"
        );
        if alias::PATHS.contains(&call.path.as_str()) {
            let path = format!("{}{}", call.door.base, call.path);
            body = Some(alias::unexpected(fail.status, &incident, &path));
        } else if let Some(Value::Object(fields)) = &mut body {
            fields.insert("errorId".to_owned(), Value::String(incident));
        }
    }
    if let Some(seconds) = fail
        .retry_after
        .and_then(|seconds| HeaderValue::from_str(&seconds.to_string()).ok())
    {
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static("x-retry-after"), seconds.clone());
        headers.insert(RETRY_AFTER, seconds);
    }
    if let Some(body) = body {
        json_body(response, &body);
    }
}
