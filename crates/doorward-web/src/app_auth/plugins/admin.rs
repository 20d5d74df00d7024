//! What an app's administrators do with its people (contract section 5.7).

use http::StatusCode;
use serde_json::{Value, json};

use doorward_core::app_auth::administration::PersonChange;
use doorward_core::app_auth::people::{Newcomer, Remember};
use doorward_core::app_auth::sessions::Ending;
use doorward_domain::app_auth::{Ban, roles};
use doorward_domain::session::Session;
use doorward_domain::user::User;
use doorward_domain::{Lifetime, UserId};

use super::super::Answer;
use super::super::check::is_email;
use super::super::email::given_username;
use super::{
    Answered, Call, Caller, Check, Fail, choose, code, number, page_of, require_quietly, texts, told, wanted,
    wire, with,
};

/// The cookie with the administrator's own session.
const OWN: &str = "admin_session";

/// Routes below `/admin/`.
pub(super) async fn route(call: &mut Call, get: bool, what: &str) -> Answered {
    match (get, what) {
        (true, "list-users") => list(call).await,
        (true, "get-user") => get_user(call).await,
        (false, "create-user") => create(call).await,
        (false, "update-user") => update(call).await,
        (false, "set-role") => set_role(call).await,
        (false, "ban-user") => ban(call).await,
        (false, "unban-user") => unban(call).await,
        (false, "list-user-sessions") => list_sessions(call).await,
        (false, "revoke-user-session") => revoke_session(call).await,
        (false, "revoke-user-sessions") => revoke_sessions(call).await,
        (false, "impersonate-user") => impersonate(call).await,
        (false, "stop-impersonating") => stop(call).await,
        (false, "set-user-password") => set_password(call).await,
        (false, "remove-user") => remove(call).await,
        (false, "has-permission") => has_permission(call).await,
        _ => Err(Fail::nothing()),
    }
}

/// Who calls, as the database has it now; `refused` for whoever does not administer the app.
async fn admin(call: &Call, refused: &str) -> Result<Caller, Fail> {
    let caller = require_quietly(call).await?;
    if !call.door.administers(&caller.visit) {
        return Err(code(refused));
    }
    Ok(caller)
}

fn user_json(call: &Call, user: &User) -> Value {
    wire::user(user, &call.door, call.now())
}

/// differs: administrators get no tokens, but names of sessions that say whose they are.
fn session_json(session: &Session) -> Value {
    let handle = session.app.as_ref().map_or("", |app| app.handle.as_str());
    wire::session(session, &format!("{handle}.{}", session.user_id))
}

async fn list(call: &mut Call) -> Answered {
    admin(call, "YOU_ARE_NOT_ALLOWED_TO_LIST_USERS").await?;
    let people = call.doorward.app_people(&call.door).await.map_err(told)?;
    let mut list: Vec<Value> = people.iter().map(|user| user_json(call, user)).collect();
    if let Some(text) = call.asked("searchValue").filter(|text| !text.is_empty()) {
        let field = if call.asked("searchField") == Some("name") {
            "name"
        } else {
            "email"
        };
        let text = text.to_lowercase();
        let operator = call.asked("searchOperator").unwrap_or("contains");
        list.retain(|one| {
            let found = one
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_lowercase();
            match operator {
                "starts_with" => found.starts_with(&text),
                "ends_with" => found.ends_with(&text),
                _ => found.contains(&text),
            }
        });
    }
    choose(&mut list, call);
    let total = list.len();
    let (limit, offset) = (number(call, "limit"), number(call, "offset"));
    let page: Vec<Value> = list
        .into_iter()
        .skip(offset.unwrap_or(0))
        .take(limit.filter(|limit| *limit > 0).unwrap_or(1000).min(1000))
        .collect();
    Ok(Answer::Json(page_of("users", &page, total, (limit, offset))))
}

async fn get_user(call: &mut Call) -> Answered {
    let query = call.query.clone();
    let mut check = Check::new("query", Some(&query));
    let id = check.text("id");
    check.done()?;
    admin(call, "YOU_ARE_NOT_ALLOWED_TO_GET_USER").await?;
    let user = call.doorward.app_person(&call.door, id).await.map_err(missing)?;
    Ok(Answer::Json(user_json(call, &user)))
}

/// Here an unknown person is 404.
fn missing(error: doorward_core::app_auth::AppError) -> Fail {
    super::told_as(error, "USER_NOT_FOUND", StatusCode::NOT_FOUND)
}

fn forbidden_field(name: &str) -> Fail {
    let text = format!("{name} is not allowed to be set");
    Fail::said(StatusCode::BAD_REQUEST, "FIELD_NOT_ALLOWED", &text)
}

/// differs: fields that other applications rely on, or that have a call of their own, are not set as data. An address that nobody
/// proved would otherwise count as proved everywhere.
fn refuse_fields(data: Option<&Value>) -> Result<(), Fail> {
    for name in [
        "emailVerified",
        "banned",
        "banReason",
        "banExpires",
        "twoFactorEnabled",
        "createdAt",
        "updatedAt",
    ] {
        if data.and_then(|data| data.get(name)).is_some() {
            return Err(forbidden_field(name));
        }
    }
    Ok(())
}

fn picture(text: Option<Option<&str>>) -> Result<Option<Option<String>>, Fail> {
    let Some(text) = text else { return Ok(None) };
    let text = text.filter(|text| !text.is_empty());
    if text.is_some_and(|text| text.len() > 2048 || text.chars().any(char::is_control)) {
        return Err(forbidden_field("image"));
    }
    Ok(Some(text.map(str::to_owned)))
}

async fn create(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let email = check.text("email").to_lowercase();
    let name = check.text("name");
    let password = check.maybe_text("password").filter(|text| !text.is_empty());
    let wanted = match check.any("role") {
        None => vec![roles::USER.to_owned()],
        Some(_) => texts(&mut check, "role"),
    };
    if check.any("data").is_some_and(|data| !data.is_object()) {
        check.refuse("data", "Invalid input: expected record");
    }
    check.done()?;
    let caller = admin(call, "YOU_ARE_NOT_ALLOWED_TO_CREATE_USERS").await?;
    if !is_email(&email) {
        return Err(code("INVALID_EMAIL"));
    }
    let empty = json!({});
    let data = body.as_ref().and_then(|body| body.get("data")).unwrap_or(&empty);
    refuse_fields(Some(data))?;
    let mut check = Check::new("body.data", Some(data));
    let image = check.nullable_text("image");
    let username = check.maybe_text("username");
    let shown = check.maybe_text("displayUsername");
    check.done()?;
    let role = call.door.roles(&wanted).map_err(told)?;
    let new = Newcomer {
        name: name.to_owned(),
        email,
        placeholder: false,
        verified: false,
        image: picture(image)?.flatten(),
        username: given_username(username, shown)?,
    };
    let made = call
        .doorward
        .app_make_person(&call.door, &caller.visit, &new, (password, &role), &call.origin)
        .await;
    let made = made.map_err(|error| match told(error) {
        fail if fail.code_text() == Some("USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL") => {
            with(StatusCode::BAD_REQUEST, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL")
        }
        fail => fail,
    })?;
    Ok(Answer::Json(json!({ "user": user_json(call, &made) })))
}

async fn update(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let id = check.text("userId");
    if !check.any("data").is_some_and(Value::is_object) {
        check.refuse("data", "Invalid input: expected record, received undefined");
    }
    check.done()?;
    let caller = admin(call, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_USERS").await?;
    let data = body.as_ref().and_then(|body| body.get("data"));
    let has = |name: &str| data.and_then(|data| data.get(name)).is_some();
    if has("password") {
        return Err(code("PASSWORD_CANNOT_BE_UPDATED_VIA_UPDATE_USER"));
    }
    if has("id") {
        return Err(code("USER_ID_CANNOT_BE_UPDATED"));
    }
    refuse_fields(data)?;
    let mut check = Check::new("body.data", data);
    let name = check.maybe_text("name");
    let image = check.nullable_text("image");
    let email = check
        .any("email")
        .is_some()
        .then(|| check.text("email").to_lowercase());
    let username = check.maybe_text("username");
    let shown = check.maybe_text("displayUsername");
    let wanted = check.any("role").is_some().then(|| texts(&mut check, "role"));
    check.done()?;
    if email.as_deref().is_some_and(|email| !is_email(email)) {
        return Err(code("INVALID_EMAIL"));
    }
    let change = PersonChange {
        name: name.map(str::to_owned),
        image: picture(image)?,
        email,
        username: given_username(username, shown)?,
        role: match wanted {
            Some(wanted) => Some(call.door.roles(&wanted).map_err(told)?),
            None => None,
        },
    };
    let nothing = change.name.is_none()
        && change.image.is_none()
        && change.email.is_none()
        && change.username.is_none()
        && change.role.is_none();
    if nothing {
        return Err(code("NO_DATA_TO_UPDATE"));
    }
    let user = call
        .doorward
        .app_change_person(&call.door, &caller.visit, id, change, &call.origin)
        .await
        .map_err(missing)?;
    Ok(Answer::Json(user_json(call, &user)))
}

async fn set_role(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let id = check.text("userId");
    let wanted = texts(&mut check, "role");
    check.done()?;
    let caller = admin(call, "YOU_ARE_NOT_ALLOWED_TO_CHANGE_USERS_ROLE").await?;
    // differs: only roles that the app has (contract section 5.7).
    let change = PersonChange {
        role: Some(call.door.roles(&wanted).map_err(told)?),
        ..PersonChange::default()
    };
    let user = call
        .doorward
        .app_change_person(&call.door, &caller.visit, id, change, &call.origin)
        .await
        .map_err(missing)?;
    Ok(Answer::Json(json!({ "user": user_json(call, &user) })))
}

/// The person that a body is about.
fn whom(call: &Call) -> Result<String, Fail> {
    let mut check = Check::new("body", call.body.as_deref());
    let id = check.text("userId").to_owned();
    check.done()?;
    Ok(id)
}

async fn ban(call: &mut Call) -> Answered {
    let id = whom(call)?;
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let reason = check.maybe_text("banReason");
    let seconds = check.any("banExpiresIn").filter(|value| !value.is_null());
    let seconds = seconds.map(Value::as_u64);
    if seconds == Some(None) {
        check.refuse("banExpiresIn", "Invalid input: expected number");
    }
    check.done()?;
    let caller = admin(call, "YOU_ARE_NOT_ALLOWED_TO_BAN_USERS").await?;
    let reason: String = reason
        .filter(|text| !text.is_empty())
        .unwrap_or("No reason")
        .chars()
        .filter(|c| !c.is_control())
        .take(500)
        .collect();
    // Longer than a hundred years is for good.
    let seconds = seconds
        .flatten()
        .and_then(|seconds| u32::try_from(seconds).ok())
        .filter(|seconds| *seconds > 0);
    let ban = Ban {
        reason: Some(reason),
        until: seconds.map(|seconds| call.now().plus(Lifetime::from_seconds(seconds))),
    };
    let user = call
        .doorward
        .app_ban(&call.door, &caller.visit, &id, Some(ban), &call.origin)
        .await
        .map_err(missing)?;
    Ok(Answer::Json(json!({ "user": user_json(call, &user) })))
}

async fn unban(call: &mut Call) -> Answered {
    let id = whom(call)?;
    let caller = admin(call, "YOU_ARE_NOT_ALLOWED_TO_BAN_USERS").await?;
    let user = call
        .doorward
        .app_ban(&call.door, &caller.visit, &id, None, &call.origin)
        .await
        .map_err(missing)?;
    Ok(Answer::Json(json!({ "user": user_json(call, &user) })))
}

async fn list_sessions(call: &mut Call) -> Answered {
    let id = whom(call)?;
    admin(call, "YOU_ARE_NOT_ALLOWED_TO_LIST_USERS_SESSIONS").await?;
    let sessions = call
        .doorward
        .app_sessions_of_person(&call.door, &id)
        .await
        .map_err(told)?;
    let list: Vec<Value> = sessions.iter().map(session_json).collect();
    Ok(Answer::Json(json!({ "sessions": list })))
}

async fn revoke_session(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let token = check.text("sessionToken");
    check.done()?;
    admin(call, "YOU_ARE_NOT_ALLOWED_TO_REVOKE_USERS_SESSIONS").await?;
    let named = token
        .rsplit_once('.')
        .and_then(|(handle, user)| Some((handle, user.parse::<UserId>().ok()?)));
    let (which, user) = match named {
        Some((handle, user)) => (handle, Some(user)),
        None => {
            let visit = call.doorward.app_visit(&call.door.application, token).await?;
            (token, visit.map(|visit| visit.person.user.id))
        }
    };
    if let Some(user) = user {
        call.doorward
            .app_end(&call.door, user, Ending::Named(which), &call.origin)
            .await?;
    }
    Ok(Answer::Json(json!({ "success": true })))
}

async fn revoke_sessions(call: &mut Call) -> Answered {
    let id = whom(call)?;
    admin(call, "YOU_ARE_NOT_ALLOWED_TO_REVOKE_USERS_SESSIONS").await?;
    if let Ok(user) = id.parse() {
        call.doorward
            .app_end(&call.door, user, Ending::All, &call.origin)
            .await?;
    }
    Ok(Answer::Json(json!({ "success": true })))
}

async fn impersonate(call: &mut Call) -> Answered {
    let id = whom(call)?;
    let caller = admin(call, "YOU_ARE_NOT_ALLOWED_TO_IMPERSONATE_USERS").await?;
    let short = if call.was_short()? { "true" } else { "" };
    let (user, issued) = call
        .doorward
        .app_impersonate(&call.door, &caller.visit, &id, &call.origin)
        .await
        .map_err(missing)?;
    call.clear_session();
    call.begin(&issued, Remember::No)?;
    let seconds = call.door.settings().lifetime.seconds();
    call.set_signed(OWN, &format!("{}:{short}", caller.token), Some(seconds))?;
    Ok(Answer::Json(json!({
        "session": wire::session(&issued.session, &issued.token), "user": user_json(call, &user),
    })))
}

async fn stop(call: &mut Call) -> Answered {
    let caller = require_quietly(call).await?;
    let acts = caller
        .visit
        .session
        .app
        .as_ref()
        .and_then(|app| app.impersonated_by);
    let Some(admin) = acts else {
        return Err(Fail::plain(
            StatusCode::BAD_REQUEST,
            "You are not impersonating anyone",
        ));
    };
    let kept = call.signed(&call.cookie_name(OWN))?;
    let (token, short) = match kept.as_deref().and_then(|kept| kept.split_once(':')) {
        Some((token, short)) => (Some(token.to_owned()), !short.is_empty()),
        None => (None, false),
    };
    let own = call
        .doorward
        .app_stop_impersonating(&call.door, &caller.visit, admin, token.as_deref(), &call.origin)
        .await
        .map_err(told)?;
    call.expire(OWN);
    let (Some(own), Some(token)) = (own, token) else {
        // The administrator's own session has ended meanwhile.
        call.clear_session();
        return Err(Fail::code("UNAUTHORIZED"));
    };
    let remember = if short { Remember::No } else { Remember::Yes };
    call.keep_session(&token, remember)?;
    Ok(Answer::Json(json!({
        "session": wire::session(&own.session, &token), "user": user_json(call, &own.person.user),
    })))
}

async fn set_password(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    for name in ["newPassword", "userId"] {
        if check.any(name).and_then(Value::as_str) == Some("") {
            check.refuse(name, &format!("{name} cannot be empty"));
        }
    }
    let password = check.text("newPassword");
    let id = check.text("userId");
    check.done()?;
    let caller = admin(call, "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_PASSWORD").await?;
    call.doorward
        .app_set_persons_password(&call.door, &caller.visit, id, password, &call.origin)
        .await
        .map_err(missing)?;
    Ok(Answer::Json(json!({ "status": true })))
}

async fn remove(call: &mut Call) -> Answered {
    let id = whom(call)?;
    let caller = admin(call, "YOU_ARE_NOT_ALLOWED_TO_DELETE_USERS").await?;
    call.doorward
        .app_remove_person(&call.door, &caller.visit, &id, &call.origin)
        .await
        .map_err(missing)?;
    Ok(Answer::Json(json!({ "success": true })))
}

async fn has_permission(call: &mut Call) -> Answered {
    let wanted = wanted(call.body.as_deref())?;
    // Whoever else the body names: it is about the caller.
    let caller = require_quietly(call).await?;
    let allowed = roles::of_app(call.door.administers(&caller.visit));
    let success = roles::allows([allowed], &wanted);
    Ok(Answer::Json(json!({ "error": null, "success": success })))
}
