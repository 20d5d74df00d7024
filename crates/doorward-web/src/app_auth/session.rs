//! Sessions of an app (contract section 1.4).

use http::StatusCode;
use serde_json::{Value, json};

use doorward_core::app_auth::people::Remember;
use doorward_core::app_auth::sessions::Ending;

use super::call::{Call, Caller, Gate};
use super::check::Check;
use super::fail::Fail;
use super::{Answer, Answered, copy, small, wire};

pub(super) fn pair(
    call: &Call,
    caller: &Caller,
    session: Option<&doorward_domain::session::Session>,
) -> Value {
    let session = session.unwrap_or(&caller.visit.session);
    json!({
        "session": wire::session(session, &caller.token),
        "user": wire::user(&caller.visit.person.user, &call.door, call.now()),
    })
}

pub(super) async fn get(call: &mut Call) -> Answered {
    copy::clear_rest(call);
    // No token is made of a copy: the session may have ended since.
    if let Some(pair) = copy::read(call)? {
        return Ok(Answer::Json(pair));
    }
    let answer = read(call).await?;
    if let Answer::Json(value) = &answer
        && call.door.settings().has("jwt")
        && let Some(user) = value.get("user")
    {
        let token = call.doorward.app_jwt(&call.door, user)?;
        call.say("set-auth-jwt", &token);
        call.say("access-control-expose-headers", "set-auth-jwt");
    }
    Ok(answer)
}

async fn read(call: &mut Call) -> Answered {
    let Some(caller) = call.caller(true).await? else {
        // What was shown is of no more use.
        if !call.shown(true)?.is_empty() {
            call.clear_session();
        }
        return Ok(Answer::Json(Value::Null));
    };
    let wants_rest = call.asked("disableRefresh").is_some_and(|text| !text.is_empty());
    if !wants_rest && call.door.is_due(&caller.visit.session, call.now()) && !call.was_short()? {
        let doorward = call.doorward.clone();
        let Some(session) = doorward.app_extend(&call.door, &caller.visit.session).await? else {
            call.clear_session();
            return Ok(Answer::Json(Value::Null));
        };
        call.keep_session(&caller.token, Remember::Yes)?;
        return Ok(Answer::Json(pair(call, &caller, Some(&session))));
    }
    if !wants_rest && !call.was_short()? {
        copy::write(call, &caller, &caller.visit.session)?;
    }
    Ok(Answer::Json(pair(call, &caller, None)))
}

pub(super) async fn update(call: &mut Call) -> Answered {
    call.require(Gate::Session).await?;
    // No app declares further fields of sessions.
    Err(Fail::plain(StatusCode::BAD_REQUEST, "No fields to update"))
}

pub(super) async fn sign_out(call: &mut Call) -> Answered {
    if let Some(caller) = call.caller(true).await? {
        call.doorward.app_sign_out(&caller.visit, &call.origin).await?;
    }
    call.clear_session();
    if call.door.settings().has("multi-session") {
        small::let_go(call).await?;
    }
    Ok(Answer::Json(json!({ "success": true })))
}

pub(super) async fn list(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Fresh).await?;
    let user = caller.visit.person.user.id;
    let mut sessions = call.doorward.app_sessions(&call.door, user).await?;
    // Who acts as the person is seen by administrators, not here.
    let own = caller.visit.session.id;
    sessions.retain(|session| {
        session.id == own
            || session
                .app
                .as_ref()
                .is_none_or(|app| app.impersonated_by.is_none())
    });
    sessions.sort_by_key(|session| (session.created_at, session.id));
    let list: Vec<Value> = sessions
        .iter()
        .map(|session| {
            let handle = session.app.as_ref().map_or("", |app| app.handle.as_str());
            let own = session.id == caller.visit.session.id;
            wire::session(session, if own { &caller.token } else { handle })
        })
        .collect();
    Ok(Answer::Json(Value::Array(list)))
}

pub(super) async fn revoke(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_ref());
    let token = check.text("token");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let user = caller.visit.person.user.id;
    let ended = call
        .doorward
        .app_end(&call.door, user, Ending::Named(token), &call.origin)
        .await?;
    if ended.contains(&caller.visit.session.id) {
        call.clear_session();
    }
    Ok(Answer::Json(json!({ "status": true })))
}

pub(super) async fn revoke_all(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Sensitive).await?;
    let user = caller.visit.person.user.id;
    call.doorward
        .app_end(&call.door, user, Ending::All, &call.origin)
        .await?;
    call.clear_session();
    Ok(Answer::Json(json!({ "status": true })))
}

pub(super) async fn revoke_others(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Sensitive).await?;
    let user = caller.visit.person.user.id;
    let others = Ending::Others(caller.visit.session.id);
    call.doorward
        .app_end(&call.door, user, others, &call.origin)
        .await?;
    Ok(Answer::Json(json!({ "status": true })))
}
