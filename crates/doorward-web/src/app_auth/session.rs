//! Sessions of an app (contract section 1.4).

use http::StatusCode;
use serde_json::{Value, json};

use doorward_core::app_auth::people::Remember;
use doorward_core::app_auth::sessions::Ending;

use super::call::{Call, Caller, Gate};
use super::check::Check;
use super::fail::Fail;
use super::wire::PairOut;
use super::{Answer, Answered, copy, small, wire};

/// Longest `state` that goes along to a provider's sign-out, in bytes.
const LONGEST_STATE: usize = 500;

/// Session and user, ready to be written.
fn pair_out<'a>(
    call: &Call,
    caller: &'a Caller,
    session: Option<&'a doorward_domain::session::Session>,
) -> PairOut<'a> {
    let session = session.unwrap_or(&caller.visit.session);
    PairOut {
        session: wire::session_out(session, &caller.token),
        user: wire::user_out(&caller.visit.person.user, &call.door, call.now()),
    }
}

/// The same as part of another answer.
pub(super) fn pair(
    call: &Call,
    caller: &Caller,
    session: Option<&doorward_domain::session::Session>,
) -> Value {
    wire::value(&pair_out(call, caller, session))
}

/// The same as an answer.
pub(super) fn pair_answer(call: &Call, caller: &Caller) -> Answer {
    Answer::Text(wire::bytes(&pair_out(call, caller, None)))
}

pub(super) async fn get(call: &mut Call) -> Answered {
    copy::clear_rest(call);
    // No token is made of a copy: the session may have ended since.
    if let Some(pair) = copy::read(call)? {
        return Ok(Answer::Json(pair));
    }
    let Some(caller) = call.caller(true).await? else {
        // What was shown is of no more use.
        if !call.shown(true)?.is_empty() {
            call.clear_session();
        }
        return Ok(Answer::Json(Value::Null));
    };
    let wants_rest = call.asked("disableRefresh").is_some_and(|text| !text.is_empty());
    let mut extended = None;
    if !wants_rest && call.door.is_due(&caller.visit.session, call.now()) && !call.was_short()? {
        let doorward = call.doorward.clone();
        let Some(session) = doorward.app_extend(&call.door, &caller.visit.session).await? else {
            call.clear_session();
            return Ok(Answer::Json(Value::Null));
        };
        call.keep_session(&caller.token, Remember::Yes)?;
        extended = Some(session);
    }
    if extended.is_none() && !wants_rest && !call.was_short()? {
        copy::write(call, &caller, &caller.visit.session)?;
    }
    let out = pair_out(call, &caller, extended.as_ref());
    if call.door.settings().has("jwt") {
        let token = call.doorward.app_jwt(&call.door, &wire::value(&out.user))?;
        call.say("set-auth-jwt", &token);
        call.say("access-control-expose-headers", "set-auth-jwt");
    }
    Ok(Answer::Text(wire::bytes(&out)))
}

pub(super) async fn update(call: &mut Call) -> Answered {
    call.require(Gate::Session).await?;
    // No app declares further fields of sessions.
    Err(Fail::plain(StatusCode::BAD_REQUEST, "No fields to update"))
}

pub(super) async fn sign_out(call: &mut Call) -> Answered {
    // Whatever the body holds, it keeps nobody signed in.
    let quiet = call.body.as_ref().and_then(|body| body.get("disableRedirect")) == Some(&Value::Bool(true));
    let back = call.field("callbackURL").filter(|back| !back.is_empty());
    let back = back.map(|back| call.absolute(back));
    let state = call.field("state").filter(|state| state.len() <= LONGEST_STATE);
    let mut answer = json!({ "success": true });
    if let Some(caller) = call.caller(true).await? {
        call.doorward.app_sign_out(&caller.visit, &call.origin).await?;
        let further = call
            .doorward
            .app_end_at_provider(&call.door, &caller.visit.session, back.as_deref(), state)
            .await;
        if let Ok(Some(url)) = further {
            answer = json!({ "success": true, "url": url, "redirect": !quiet });
        }
    }
    call.clear_session();
    if call.door.settings().has("multi-session") {
        small::let_go(call).await?;
    }
    Ok(Answer::Json(answer))
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
    let mut check = Check::new("body", body.as_deref());
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
