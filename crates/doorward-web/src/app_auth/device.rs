//! Devices without a keyboard (contract section 5.11, RFC 8628): the code that a person typed counts for that person only.

use http::StatusCode;
use serde_json::{Value, json};

use doorward_core::app_auth::people::Remember;
use doorward_domain::Lifetime;

use super::call::{Call, Gate};
use super::check::Check;
use super::fail::Fail;
use super::{Answer, Answered};

const DEVICE: &str = "device-code";
const USER: &str = "device-user-code";
const LIFETIME: Lifetime = Lifetime::from_minutes(30);
const INTERVAL: i64 = 5;
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// An OAuth error.
fn oauth(status: StatusCode, error: &str, description: &str) -> Fail {
    Fail {
        status,
        body: Some(json!({ "error": error, "error_description": description })),
        retry_after: None,
        fault: None,
    }
}

fn bad(error: &str, description: &str) -> Fail {
    oauth(StatusCode::BAD_REQUEST, error, description)
}

fn plain(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_uppercase()
}

pub(super) async fn code(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let client = check.text("client_id");
    let scope = check.maybe_text("scope").unwrap_or_default();
    check.done().map_err(|fail| {
        let text = fail
            .body
            .as_ref()
            .and_then(|body| body.get("message"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        bad("invalid_request", text)
    })?;
    if client.is_empty() || client.len() > 200 || scope.len() > 1000 {
        return Err(bad("invalid_client", "Invalid client ID"));
    }
    let device = call.doorward.app_secret_text::<40>();
    let user = call.doorward.app_user_code();
    let content = json!({ "user_code": user, "client_id": client, "scope": scope, "status": "pending" });
    call.doorward
        .keep_proof(&call.door, (DEVICE, &device), None, &content, LIFETIME)
        .await?;
    let pointer = json!({ "device": device });
    call.doorward
        .keep_proof(&call.door, (USER, &user), None, &pointer, LIFETIME)
        .await?;
    let page = format!("{}/device", call.door.settings().origin());
    Ok(Answer::Json(json!({
        "device_code": device, "user_code": user, "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user}"), "expires_in": LIFETIME.seconds(), "interval": INTERVAL,
    })))
}

fn said<'a>(content: &'a Value, name: &str) -> &'a str {
    content.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) async fn token(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    if check.any("grant_type").and_then(Value::as_str) != Some(GRANT) {
        check.refuse("grant_type", &format!("Invalid input: expected \"{GRANT}\""));
    }
    let device = check.text("device_code");
    let client = check.text("client_id");
    check.done()?;
    let doorward = call.doorward.clone();
    let Some(seen) = doorward.see_proof::<Value>(&call.door, DEVICE, device).await? else {
        return Err(bad("invalid_grant", "Invalid device code"));
    };
    if said(&seen.content, "client_id") != client {
        return Err(bad("invalid_grant", "Client ID mismatch"));
    }
    if seen.late {
        return Err(bad("expired_token", "Device code has expired"));
    }
    let now = call.now().seconds();
    let polled = seen.content.get("polled").and_then(Value::as_i64);
    match said(&seen.content, "status") {
        "approved" => {}
        "denied" => {
            doorward.use_proof::<Value>(&call.door, DEVICE, device).await?;
            return Err(bad("access_denied", "Access denied"));
        }
        _ => {
            if polled.is_some_and(|at| now - at < INTERVAL) {
                return Err(bad("slow_down", "Polling too frequently"));
            }
            let fresh = json!({ "polled": now });
            doorward
                .change_device(&call.door, device, seen.user, &fresh, false)
                .await?;
            return Err(bad("authorization_pending", "Authorization pending"));
        }
    }
    let taken = doorward.use_proof::<Value>(&call.door, DEVICE, device).await?;
    let Some(user) = taken.and_then(|taken| taken.user) else {
        return Err(bad("invalid_grant", "Invalid device code"));
    };
    doorward
        .use_proof::<Value>(&call.door, USER, said(&seen.content, "user_code"))
        .await?;
    let (_, issued) = doorward
        .app_enter_by(&call.door, user, &["device"], Remember::Yes, &call.origin)
        .await?;
    let left = issued.session.expires_at.seconds() - now - 1;
    Ok(Answer::Json(json!({
        "access_token": issued.token, "token_type": "Bearer", "expires_in": left, "scope": said(&seen.content, "scope"),
    })))
}

/// The device behind a code that a person typed.
async fn typed(
    call: &Call,
    code: &str,
) -> Result<(String, doorward_core::app_auth::proofs::Proved<Value>), Fail> {
    let invalid = || bad("invalid_request", "Invalid user code");
    let pointer = call
        .doorward
        .see_proof::<Value>(&call.door, USER, &plain(code))
        .await?;
    let device = pointer
        .filter(|pointer| !pointer.late)
        .map(|pointer| said(&pointer.content, "device").to_owned());
    let device = device.filter(|device| !device.is_empty()).ok_or_else(invalid)?;
    let seen = call
        .doorward
        .see_proof::<Value>(&call.door, DEVICE, &device)
        .await?;
    let seen = seen.filter(|seen| !seen.late).ok_or_else(invalid)?;
    Ok((device, seen))
}

pub(super) async fn look(call: &mut Call) -> Answered {
    let query = call.query.clone();
    let mut check = Check::new("query", Some(&query));
    let code = check.text("user_code");
    check.done()?;
    let (device, seen) = typed(call, code).await?;
    let mut answer = json!({ "user_code": code, "status": said(&seen.content, "status") });
    let Some(caller) = call.caller(true).await? else {
        return Ok(Answer::Json(answer));
    };
    let user = caller.visit.person.user.id;
    // Whoever looks first has claimed it: nobody else can be talked into approving it.
    if seen.user.is_none() {
        call.doorward
            .change_device(&call.door, &device, Some(user), &json!({}), true)
            .await?;
    }
    if seen.user.is_none_or(|claimed| claimed == user)
        && let Some(answer) = answer.as_object_mut()
    {
        answer.insert("client_id".to_owned(), json!(said(&seen.content, "client_id")));
        let scope = said(&seen.content, "scope");
        if !scope.is_empty() {
            answer.insert("scope".to_owned(), json!(scope));
        }
    }
    Ok(Answer::Json(answer))
}

pub(super) async fn decide(call: &mut Call, status: &str) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let code = check.text("userCode");
    check.done()?;
    let Ok(caller) = call.require(Gate::Sensitive).await else {
        return Err(oauth(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Authentication required",
        ));
    };
    let user = caller.visit.person.user.id;
    let (device, seen) = typed(call, code).await?;
    if said(&seen.content, "status") != "pending" {
        return Err(bad("invalid_request", "Device code already processed"));
    }
    if seen.user != Some(user) {
        let what = if status == "approved" { "approve" } else { "deny" };
        let text = format!("You are not authorized to {what} this device authorization");
        return Err(oauth(StatusCode::FORBIDDEN, "access_denied", &text));
    }
    let fresh = json!({ "status": status });
    call.doorward
        .change_device(&call.door, &device, Some(user), &fresh, false)
        .await?;
    Ok(Answer::Json(json!({ "success": true })))
}
