//! Sign-up and sign-in with a password (contract sections 1.3 and 5.10).

use http::StatusCode;
use http::header::LOCATION;
use serde_json::{Value, json};

use doorward_core::app_auth::AppError;
use doorward_core::app_auth::people::{Newcomer, Remember};
use doorward_domain::user::User;

use super::call::Call;
use super::check::{Check, is_email};
use super::fail::Fail;
use super::{Answer, Answered, reset, two_factor, wire};

/// What `rememberMe` says; form bodies have it as text.
fn remember(value: Option<&Value>) -> Remember {
    match value {
        Some(Value::Bool(false)) => Remember::No,
        Some(Value::String(text)) if text == "false" => Remember::No,
        _ => Remember::Yes,
    }
}

/// A user name, folded, and as written (contract section 5.10).
pub(super) fn username(text: &str, status: StatusCode) -> Result<String, Fail> {
    let length = text.chars().count();
    if length < 3 {
        return Err(Fail::said(status, "USERNAME_TOO_SHORT", "Username is too short"));
    }
    if length > 30 {
        return Err(Fail::said(status, "USERNAME_TOO_LONG", "Username is too long"));
    }
    if !text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
    {
        return Err(Fail::said(status, "INVALID_USERNAME", "Username is invalid"));
    }
    Ok(text.to_lowercase())
}

/// The user name that a sign-up or a profile has, with how it is shown.
pub(super) fn given_username(
    name: Option<&str>,
    shown: Option<&str>,
) -> Result<Option<(String, String)>, Fail> {
    let Some(name) = name else { return Ok(None) };
    let folded = username(name, StatusCode::BAD_REQUEST)?;
    if shown.is_some_and(|shown| {
        shown.is_empty() || shown.chars().count() > 100 || shown.chars().any(char::is_control)
    }) {
        return Err(Fail::said(
            StatusCode::BAD_REQUEST,
            "INVALID_DISPLAY_USERNAME",
            "Display username is invalid",
        ));
    }
    Ok(Some((folded, shown.unwrap_or(name).to_owned())))
}

/// Fields that nobody sets on the own account.
pub(super) fn refuse_foreign_fields(body: Option<&Value>) -> Result<(), Fail> {
    for name in ["role", "banned", "banReason", "banExpires", "twoFactorEnabled"] {
        let given = body.and_then(|body| body.get(name));
        // What says no is as good as nothing said.
        let empty = |value: &Value| {
            matches!(value, Value::Null | Value::Bool(false)) || *value == json!("") || *value == json!(0)
        };
        if given.is_some_and(|value| !empty(value)) {
            let text = format!("{name} is not allowed to be set");
            return Err(Fail::said(StatusCode::BAD_REQUEST, "FIELD_NOT_ALLOWED", &text));
        }
    }
    Ok(())
}

fn picture(text: Option<Option<&str>>) -> Result<Option<String>, Fail> {
    let text = text.flatten().filter(|text| !text.is_empty());
    if text.is_some_and(|text| text.len() > 2048 || text.chars().any(char::is_control)) {
        return Err(Fail::said(
            StatusCode::BAD_REQUEST,
            "VALIDATION_ERROR",
            "[body.image] Too big: expected string to have <=2048 characters",
        ));
    }
    Ok(text.map(str::to_owned))
}

pub(super) async fn sign_up(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let name = check.text("name");
    let email = check.email("email");
    let password = check.text("password");
    if body.as_ref().and_then(|body| body.get("password")) == Some(&Value::String(String::new())) {
        check.refuse("password", "Too small: expected string to have >=1 characters");
    }
    let image = check.nullable_text("image");
    let wanted = check.maybe_text("username");
    let shown = check.maybe_text("displayUsername");
    check.done()?;
    let door = call.door.clone();
    let settings = door.settings();
    if !settings.sign_up {
        return Err(Fail::code("EMAIL_PASSWORD_SIGN_UP_DISABLED"));
    }
    refuse_foreign_fields(body.as_deref())?;
    call.door.check_password(password)?;
    let new = Newcomer {
        name: name.to_owned(),
        email: email.clone(),
        placeholder: false,
        verified: false,
        image: picture(image)?,
        username: given_username(wanted, shown)?,
    };
    let remember = remember(body.as_ref().and_then(|body| body.get("rememberMe")));
    let enters = settings.auto_sign_in && !settings.require_verification;
    let result = call
        .doorward
        .app_sign_up(
            &call.door,
            &new,
            password,
            enters.then_some(remember),
            &call.origin,
        )
        .await;
    let hidden = !enters;
    let (user, issued) = match result {
        // Where nobody is signed in at once, the answer does not tell whether the address is taken.
        Err(AppError::Code("USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL")) if hidden => {
            let made_up = json!({
                "name": new.name, "email": email, "emailVerified": false, "image": new.image,
                "createdAt": wire::time(call.now()), "updatedAt": wire::time(call.now()),
                "username": new.username.as_ref().map(|(folded, _)| folded), "displayUsername": new.username.as_ref().map(|(_, shown)| shown),
                "role": "user", "banned": false, "banReason": null, "banExpires": null, "twoFactorEnabled": false,
                "id": call.doorward.app_made_up_id(),
            });
            return Ok(Answer::Json(json!({ "token": null, "user": made_up })));
        }
        other => other?,
    };
    if settings.require_verification || settings.verify_on_sign_up {
        let back = call.field("callbackURL").unwrap_or("/").to_owned();
        reset::mail_verification(call, &user, &back).await?;
    }
    let token = match &issued {
        Some(issued) => {
            call.begin(issued, remember)?;
            Some(issued.token.clone())
        }
        None => None,
    };
    let user = wire::user(&user, &call.door, call.now());
    Ok(Answer::Json(json!({ "token": token, "user": user })))
}

pub(super) async fn sign_in(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let email = check.text("email");
    let password = check.text("password");
    check.maybe_text("callbackURL");
    // Forms have only texts.
    if !call
        .header("content-type")
        .is_some_and(|kind| kind.contains("form"))
    {
        check.maybe_bool("rememberMe");
    }
    check.done()?;
    if !is_email(email) {
        return Err(Fail::code("INVALID_EMAIL"));
    }
    if password.encode_utf16().count() > call.door.settings().longest_password as usize {
        return Err(Fail::code("PASSWORD_TOO_LONG"));
    }
    enter(call, &email.to_lowercase(), password, "INVALID_EMAIL_OR_PASSWORD").await
}

pub(super) async fn sign_in_by_username(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let name = check.text("username");
    let password = check.text("password");
    check.done()?;
    if name.is_empty() || password.is_empty() {
        return Err(Fail::with(
            StatusCode::UNAUTHORIZED,
            "INVALID_USERNAME_OR_PASSWORD",
        ));
    }
    let folded = username(name, StatusCode::UNPROCESSABLE_ENTITY)?;
    enter(call, &folded, password, "INVALID_USERNAME_OR_PASSWORD").await
}

async fn enter(call: &mut Call, identifier: &str, password: &str, wrong: &'static str) -> Answered {
    let body = call.body.clone();
    let remember = remember(body.as_ref().and_then(|body| body.get("rememberMe")));
    let doorward = call.doorward.clone();
    let proved = match doorward
        .app_prove(&call.door, identifier, password, &call.origin)
        .await
    {
        Ok(proved) => proved,
        Err(error) => {
            let fail = Fail::from(error);
            if fail.code_text() == Some("INVALID_EMAIL_OR_PASSWORD") {
                return Err(Fail::code(wrong));
            }
            return Err(fail);
        }
    };
    let door = call.door.clone();
    let settings = door.settings();
    if settings.require_verification && proved.user().email_verified_at.is_none() {
        if settings.verify_on_sign_in {
            let back = call.field("callbackURL").unwrap_or("/").to_owned();
            reset::mail_verification(call, proved.user(), &back).await?;
        }
        return Err(Fail::code("EMAIL_NOT_VERIFIED"));
    }
    if settings.has("two-factor")
        && let Some(answer) = two_factor::stand_between(call, proved.user(), remember).await?
    {
        return Ok(answer);
    }
    let issued = doorward
        .app_enter(&call.door, &proved, remember, &call.origin)
        .await?;
    call.begin(&issued, remember)?;
    let target = call
        .field("callbackURL")
        .filter(|target| !target.is_empty())
        .map(str::to_owned);
    if let Some(target) = &target {
        call.answer.push((LOCATION, target.clone()));
    }
    let user = wire::user(proved.user(), &call.door, call.now());
    let mut answer = json!({ "redirect": target.is_some(), "token": issued.token, "user": user });
    if let (Some(target), Some(answer)) = (target, answer.as_object_mut()) {
        answer.insert("url".to_owned(), Value::String(target));
    }
    Ok(Answer::Json(answer))
}

pub(super) async fn is_username_available(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let name = check.text("username");
    check.done()?;
    if name.is_empty() {
        return Err(Fail::with(StatusCode::UNPROCESSABLE_ENTITY, "INVALID_USERNAME"));
    }
    let folded = username(name, StatusCode::UNPROCESSABLE_ENTITY)?;
    let taken = call
        .doorward
        .app_user_by_username(&call.door, &folded)
        .await?
        .is_some();
    Ok(Answer::Json(json!({ "available": !taken })))
}

/// The user behind a call, on the wire.
pub(super) fn user_json(call: &Call, user: &User) -> Value {
    wire::user(user, &call.door, call.now())
}
