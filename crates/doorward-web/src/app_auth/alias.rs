//! Routes of an older application that stay (contract section 10, rows 10 and 17): the guarded session and profile.

use http::StatusCode;
use serde_json::json;

use super::call::Call;
use super::{Answer, Answered, session, wire};

fn unauthorized() -> Answer {
    let body = json!({ "message": "Invalid or expired session", "error": "Unauthorized", "statusCode": 401 });
    Answer::Status(StatusCode::UNAUTHORIZED, body)
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
