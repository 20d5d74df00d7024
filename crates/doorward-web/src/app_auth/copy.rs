//! The cookie with a copy of session and person: in one piece or several, written, read and taken away (contract section 2.4).

use http::header::COOKIE;
use serde_json::Value;

use doorward_domain::session::Session;

use super::call::{Call, Caller, Keep};
use super::fail::Fail;
use super::session::pair;

const NAME: &str = "session_data";
/// Longest piece: below what browsers take of a cookie with its attributes.
const LONGEST_PIECE: usize = 3500;
/// Most pieces.
const MOST_PIECES: usize = 20;

/// Names of further pieces that were sent.
fn pieces(call: &Call) -> Vec<String> {
    let prefix = format!("{}.", call.cookie_name(NAME));
    let numbered = |name: &String| {
        name.strip_prefix(&prefix)
            .is_some_and(|rest| rest.parse::<usize>().is_ok_and(|number| number < 100))
    };
    call.cookies_like(&prefix).into_iter().filter(numbered).collect()
}

/// Takes the copy away.
pub(super) fn clear(call: &mut Call) {
    call.expire(NAME);
    for piece in pieces(call) {
        call.expire_full(&piece);
    }
}

/// Takes away what is there from when the door had copies.
pub(super) fn clear_rest(call: &mut Call) {
    let mentioned = |call: &Call| {
        let cookies = call.headers.get_all(COOKIE);
        cookies
            .iter()
            .any(|value| value.to_str().is_ok_and(|text| text.contains(NAME)))
    };
    if call.door.settings().cookie_cache.is_some() || !mentioned(call) {
        return;
    }
    if !call.sent(&call.cookie_name(NAME)).is_empty() || !pieces(call).is_empty() {
        clear(call);
    }
}

/// Writes the copy of a session, when the door has copies.
pub(super) fn write(call: &mut Call, caller: &Caller, session: &Session) -> Result<(), Fail> {
    if call.door.settings().cookie_cache.is_none() {
        return Ok(());
    }
    let short = session.app.as_ref().is_some_and(|app| app.short);
    let pair = pair(call, caller, Some(session));
    let Some((text, seconds)) = call.doorward.door_copy(&call.door, &pair, short)? else {
        return Ok(());
    };
    clear(call);
    let keep = Keep {
        seconds: (!short).then_some(seconds),
        http_only: true,
    };
    let name = call.cookie_name(NAME);
    if text.len() <= LONGEST_PIECE {
        call.set(&name, &text, keep);
    } else if text.len() <= LONGEST_PIECE * MOST_PIECES {
        let mut rest = text.as_str();
        for number in 0..MOST_PIECES {
            let (piece, after) = rest.split_at_checked(LONGEST_PIECE).unwrap_or((rest, ""));
            call.set(&format!("{name}.{number}"), piece, keep);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    Ok(())
}

/// Writes the copy for a session whose cookie goes back in this call.
pub(super) async fn follow(call: &mut Call) -> Result<(), Fail> {
    if call.door.settings().cookie_cache.is_none() || !call.goes_back("session_token") {
        return Ok(());
    }
    let Some(token) = call.kept.clone() else {
        return Ok(());
    };
    if let Some(visit) = call.doorward.app_visit(&call.door.application, &token).await? {
        let session = visit.session.clone();
        write(call, &Caller { visit, token }, &session)?;
    }
    Ok(())
}

/// Session and person as the copy has them that came along, when the session's cookie came too and nothing else says who calls.
pub(super) fn read(call: &Call) -> Result<Option<Value>, Fail> {
    let now_wanted = call
        .asked("disableCookieCache")
        .is_some_and(|text| !text.is_empty());
    if call.door.settings().cookie_cache.is_none() || now_wanted || call.header("authorization").is_some() {
        return Ok(None);
    }
    let Some(token) = call.signed(&call.cookie_name("session_token"))? else {
        return Ok(None);
    };
    let name = call.cookie_name(NAME);
    let text = call.sent(&name).into_iter().find(|text| !text.is_empty());
    let text = text.unwrap_or_else(|| {
        let piece = |number: usize| call.sent(&format!("{name}.{number}")).into_iter().next();
        (0..MOST_PIECES).map_while(piece).collect()
    });
    if text.is_empty() {
        return Ok(None);
    }
    Ok(call.doorward.door_copy_of(&call.door, &text, &token)?)
}
