//! Small parts of the contract: signed tokens, one-time tokens, several people in one browser (sections 5.2 and 5.11).

use http::StatusCode;
use serde_json::{Value, json};

use doorward_core::app_auth::people::Remember;
use doorward_core::app_auth::sessions::Ending;
use doorward_domain::Lifetime;

use super::call::{Call, Caller, Gate};
use super::check::Check;
use super::fail::Fail;
use super::{Answer, Answered, session, wire};

const ONE_TIME: &str = "one-time-token";
const ONE_TIME_FOR: Lifetime = Lifetime::from_minutes(3);

pub(super) async fn token(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Session).await?;
    let user = wire::user(&caller.visit.person.user, &call.door, call.now());
    let token = call.doorward.app_jwt(&call.door, &user)?;
    Ok(Answer::Json(json!({ "token": token })))
}

pub(super) fn jwks(call: &Call) -> Answer {
    Answer::Json(call.doorward.app_jwks())
}

pub(super) async fn generate(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Session).await?;
    let token = call.doorward.app_secret_text::<32>();
    // The session's token is sealed in it: only who shows this one gets it.
    let content = json!({ "token": caller.token });
    let user = caller.visit.person.user.id;
    call.doorward
        .keep_proof(&call.door, (ONE_TIME, &token), Some(user), &content, ONE_TIME_FOR)
        .await?;
    Ok(Answer::Json(json!({ "token": token })))
}

pub(super) async fn verify(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let token = check.text("token");
    check.done()?;
    let bad = |text: &str| Fail::plain(StatusCode::BAD_REQUEST, text);
    let Some(proof) = call
        .doorward
        .use_proof::<Value>(&call.door, ONE_TIME, token)
        .await?
    else {
        return Err(bad("Invalid token"));
    };
    if proof.late {
        return Err(bad("Invalid token"));
    }
    let token = proof
        .content
        .get("token")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let Some(visit) = call
        .doorward
        .app_visit_again(&call.door.application, &token)
        .await?
    else {
        return Err(bad("Session not found"));
    };
    call.keep_session(&token, Remember::Yes)?;
    let caller = Caller { visit, token };
    Ok(session::pair_answer(call, &caller))
}

/// All sessions that this browser holds; only cookies with our signature count.
async fn held(call: &Call) -> Result<Vec<Caller>, Fail> {
    let prefix = call.cookie_name("session_token_multi-");
    let mut callers = Vec::new();
    for name in call.cookies_like(&prefix).into_iter().take(20) {
        let Some(token) = call.signed(&name)? else {
            continue;
        };
        if name != format!("{prefix}{}", token.to_ascii_lowercase()) {
            continue;
        }
        if let Some(visit) = call.doorward.app_visit(&call.door.application, &token).await? {
            callers.push(Caller { visit, token });
        }
    }
    Ok(callers)
}

pub(super) async fn device_sessions(call: &mut Call) -> Answered {
    let held = held(call).await?;
    let mut seen = std::collections::HashSet::new();
    let list: Vec<Value> = held
        .iter()
        .filter(|caller| seen.insert(caller.visit.person.user.id))
        .map(|caller| session::pair(call, caller, None))
        .collect();
    Ok(Answer::Json(Value::Array(list)))
}

/// The held session that a call names.
async fn named(call: &Call) -> Result<Caller, Fail> {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let token = check.text("sessionToken");
    check.done()?;
    let held = held(call).await?;
    let found = held.into_iter().find(|caller| caller.token == token);
    found.ok_or_else(|| Fail::with(StatusCode::UNAUTHORIZED, "INVALID_SESSION_TOKEN"))
}

pub(super) async fn set_active(call: &mut Call) -> Answered {
    let caller = named(call).await?;
    call.keep_session(&caller.token, Remember::Yes)?;
    Ok(session::pair_answer(call, &caller))
}

pub(super) async fn revoke(call: &mut Call) -> Answered {
    let caller = named(call).await?;
    let active = call
        .caller(true)
        .await?
        .is_some_and(|active| active.token == caller.token);
    let user = caller.visit.person.user.id;
    let doorward = call.doorward.clone();
    doorward
        .app_end(
            &call.door,
            user,
            Ending::One(caller.visit.session.id),
            &call.origin,
        )
        .await?;
    let cookie = call.cookie_name(&format!(
        "session_token_multi-{}",
        caller.token.to_ascii_lowercase()
    ));
    call.expire_full(&cookie);
    if active {
        let next = held(call)
            .await?
            .into_iter()
            .find(|held| held.token != caller.token);
        match next {
            Some(next) => call.keep_session(&next.token, Remember::Yes)?,
            None => call.clear_session(),
        }
    }
    Ok(Answer::Json(json!({ "status": true })))
}

/// Names of the cookies of all sessions that this browser holds or held, with our signature.
fn held_names(call: &Call) -> Result<Vec<(String, String)>, Fail> {
    let prefix = call.cookie_name("session_token_multi-");
    let mut names = Vec::new();
    for name in call.cookies_like(&prefix).into_iter().take(20) {
        if let Some(token) = call.signed(&name)?
            && name == format!("{prefix}{}", token.to_ascii_lowercase())
        {
            names.push((name, token));
        }
    }
    Ok(names)
}

/// Takes every session that the browser holds, at sign-out.
pub(super) async fn let_go(call: &mut Call) -> Result<(), Fail> {
    for caller in held(call).await? {
        let user = caller.visit.person.user.id;
        let doorward = call.doorward.clone();
        let one = Ending::One(caller.visit.session.id);
        doorward.app_end(&call.door, user, one, &call.origin).await?;
    }
    for (name, _) in held_names(call)? {
        call.expire_full(&name);
    }
    Ok(())
}

/// Keeps the session whose cookie goes back beside the others that the browser holds; another one of the same person gives way.
pub(super) async fn keep_several(call: &mut Call) -> Result<(), Fail> {
    let Some(token) = call.kept.clone() else {
        return Ok(());
    };
    let names = held_names(call)?;
    if !names.iter().any(|(_, held)| *held == token) {
        let seconds = call.door.settings().lifetime.seconds();
        let name = format!("session_token_multi-{}", token.to_ascii_lowercase());
        call.set_signed(&name, &token, Some(seconds))?;
    }
    let Some(user) = call.begun_for else { return Ok(()) };
    for caller in held(call).await? {
        if caller.visit.person.user.id == user && caller.token != token {
            let name = call.cookie_name(&format!(
                "session_token_multi-{}",
                caller.token.to_ascii_lowercase()
            ));
            call.expire_full(&name);
        }
    }
    Ok(())
}
