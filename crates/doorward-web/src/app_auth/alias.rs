//! Routes of an older application that stay (contract section 10, rows 10 and 17): the guarded session and profile.

use http::StatusCode;
use serde_json::{Value, json};

use super::call::Call;
use super::{Answer, Answered, session, wire};

fn unauthorized() -> Answer {
    let body = json!({ "message": "Invalid or expired session", "error": "Unauthorized", "statusCode": 401 });
    Answer::Status(StatusCode::UNAUTHORIZED, body)
}

/// Routes that an older application calls; their faults have a shape of their own.
pub(super) const PATHS: [&str; 4] = ["/session", "/profile", "/sign-in", "/sign-up"];

/// What such an application is told of a fault of ours.
pub(super) fn unexpected(status: StatusCode, incident: &str, path: &str) -> Value {
    let message = if status == StatusCode::SERVICE_UNAVAILABLE {
        "Service unavailable"
    } else {
        "An unexpected error occurred"
    };
    json!({ "success": false, "message": message, "errorId": incident, "path": path, "statusCode": status.as_u16() })
}

pub(super) async fn session(call: &mut Call) -> Answered {
    Ok(match call.caller(false).await? {
        None => unauthorized(),
        Some(caller) => session::pair_answer(call, &caller),
    })
}

pub(super) async fn profile(call: &mut Call) -> Answered {
    Ok(match call.caller(false).await? {
        None => unauthorized(),
        Some(caller) => Answer::Json(wire::user(&caller.visit.person.user, &call.door, call.now())),
    })
}
