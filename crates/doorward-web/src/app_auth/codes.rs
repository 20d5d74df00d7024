//! Codes and links by mail (contract sections 5.8 and 5.9).

use http::StatusCode;
use serde_json::{Value, json};

use doorward_core::app_auth::AppError;
use doorward_core::app_auth::people::{Newcomer, Remember};
use doorward_core::ports::Letter;
use doorward_domain::Lifetime;
use doorward_domain::user::User;

use super::call::{Call, Gate, escape};
use super::check::{Check, is_email};
use super::email::user_json;
use super::fail::Fail;
use super::{Answer, Answered, wire, with_query};

const CODE_FOR: Lifetime = Lifetime::from_minutes(5);
const LINK_FOR: Lifetime = Lifetime::from_minutes(5);
const MOST_TRIES: i64 = 3;
const LINK: &str = "magic-link";
const KINDS: [&str; 4] = ["email-verification", "sign-in", "forget-password", "change-email"];

fn purpose(kind: &str) -> String {
    format!("{kind}-otp")
}

/// Address and kind of a call about codes.
fn read(call: &Call, with_kind: bool) -> Result<(String, &'static str), Fail> {
    let mut check = Check::new("body", call.body.as_deref());
    let email = check.text("email").to_lowercase();
    let mut kind = "sign-in";
    if with_kind {
        let given = check.any("type").and_then(Value::as_str);
        match KINDS.iter().find(|known| Some(**known) == given) {
            Some(known) => kind = known,
            None => check.refuse(
                "type",
                "Invalid option: expected one of \"email-verification\"|\"sign-in\"|\"forget-password\"|\"change-email\"",
            ),
        }
    }
    check.done()?;
    if !is_email(&email) {
        return Err(Fail::code("INVALID_EMAIL"));
    }
    Ok((email, kind))
}

async fn send(call: &Call, email: &str, kind: &str) -> Result<(), Fail> {
    let code = call.doorward.app_digits();
    let content = json!({ "code": code });
    call.doorward
        .keep_proof(&call.door, (&purpose(kind), email), None, &content, CODE_FOR)
        .await?;
    let name = &call.door.application.name;
    let letter = Letter {
        to: email.to_owned(),
        subject: format!("Your code for {name}"),
        text: format!(
            "Code: {code}\n\nIt works for five minutes. If you did not ask {name} for it, do nothing.\n"
        ),
    };
    Ok(call.doorward.send_mail(&letter).await?)
}

/// Compares a code. `uses_up`: it works this once.
async fn compare(call: &Call, email: &str, kind: &str, code: &str, uses_up: bool) -> Result<(), Fail> {
    let purpose = purpose(kind);
    let doorward = &call.doorward;
    let Some(seen) = doorward.see_proof::<Value>(&call.door, &purpose, email).await? else {
        return Err(Fail::code("INVALID_OTP"));
    };
    if seen.late {
        doorward.use_proof::<Value>(&call.door, &purpose, email).await?;
        return Err(Fail::code("OTP_EXPIRED"));
    }
    let right = seen
        .content
        .get("code")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let fits = !right.is_empty() && doorward_core::constant_eq(right.as_bytes(), code.as_bytes());
    if seen.tries >= MOST_TRIES
        || (!fits
            && !doorward
                .count_try(&call.door, &purpose, email, MOST_TRIES)
                .await?)
    {
        doorward.use_proof::<Value>(&call.door, &purpose, email).await?;
        return Err(Fail::with(StatusCode::FORBIDDEN, "TOO_MANY_ATTEMPTS"));
    }
    if !fits {
        return Err(Fail::code("INVALID_OTP"));
    }
    if uses_up
        && doorward
            .use_proof::<Value>(&call.door, &purpose, email)
            .await?
            .is_none()
    {
        return Err(Fail::code("INVALID_OTP"));
    }
    Ok(())
}

pub(super) async fn send_code(call: &mut Call) -> Answered {
    let (email, kind) = read(call, true)?;
    let known = call
        .doorward
        .app_user_by_email(&call.door, &email)
        .await?
        .filter(User::is_usable);
    // A stranger gets a code only where strangers may come in.
    let wanted = match kind {
        "sign-in" => known.is_some() || call.door.settings().sign_up,
        "change-email" => false,
        _ => known.is_some(),
    };
    if wanted {
        send(call, &email, kind).await?;
    }
    Ok(Answer::Json(json!({ "success": true })))
}

pub(super) async fn check_code(call: &mut Call) -> Answered {
    let (email, kind) = read(call, true)?;
    let mut check = Check::new("body", call.body.as_deref());
    let code = check.text("otp").to_owned();
    check.done()?;
    compare(call, &email, kind, &code, false).await?;
    Ok(Answer::Json(json!({ "success": true })))
}

fn code_of(call: &Call) -> Result<String, Fail> {
    let mut check = Check::new("body", call.body.as_deref());
    check.text("email");
    let code = check.text("otp").to_owned();
    check.done()?;
    Ok(code)
}

pub(super) async fn verify_email(call: &mut Call) -> Answered {
    let code = code_of(call)?;
    let (email, _) = read(call, false)?;
    compare(call, &email, "email-verification", &code, true).await?;
    let user = call
        .doorward
        .app_own_email(&call.door, &email, &call.origin)
        .await?;
    let mut token = None;
    if call.door.settings().sign_in_after_verification {
        let doorward = call.doorward.clone();
        let (_, issued) = doorward
            .app_enter_by(&call.door, user.id, &["otp"], Remember::Yes, &call.origin)
            .await?;
        call.begin(&issued, Remember::Yes)?;
        token = Some(issued.token);
    }
    let user = user_json(call, &user);
    Ok(Answer::Json(
        json!({ "status": true, "token": token, "user": user }),
    ))
}

fn newcomer(email: &str, name: Option<&str>, image: Option<&str>) -> Newcomer {
    Newcomer {
        name: name.unwrap_or_default().to_owned(),
        email: email.to_owned(),
        placeholder: false,
        verified: true,
        image: image.map(str::to_owned),
        username: None,
    }
}

pub(super) async fn sign_in(call: &mut Call) -> Answered {
    let code = code_of(call)?;
    let (email, _) = read(call, false)?;
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let name = check.maybe_text("name");
    let image = check.maybe_text("image");
    check.done()?;
    compare(call, &email, "sign-in", &code, true).await?;
    let doorward = call.doorward.clone();
    let new = newcomer(&email, name, image);
    let allowed = call.door.settings().sign_up.then_some(&new);
    let entered = doorward
        .app_enter_by_email(&call.door, &email, allowed, &call.origin)
        .await;
    let (user, issued, _) = entered.map_err(|error| match error {
        AppError::Code("USER_NOT_FOUND") => Fail::code("INVALID_OTP"),
        other => other.into(),
    })?;
    call.begin(&issued, Remember::Yes)?;
    let user = user_json(call, &user);
    Ok(Answer::Json(json!({ "token": issued.token, "user": user })))
}

pub(super) async fn request_reset(call: &mut Call) -> Answered {
    let (email, _) = read(call, false)?;
    if call
        .doorward
        .app_user_by_email(&call.door, &email)
        .await?
        .is_some_and(|user| user.is_usable())
    {
        send(call, &email, "forget-password").await?;
    }
    Ok(Answer::Json(json!({ "success": true })))
}

pub(super) async fn reset(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    check.text("email");
    let code = check.text("otp");
    let password = check.text("password");
    check.done()?;
    let (email, _) = read(call, false)?;
    compare(call, &email, "forget-password", code, false).await?;
    call.door.check_password(password)?;
    compare(call, &email, "forget-password", code, true).await?;
    let doorward = call.doorward.clone();
    let user = doorward.app_own_email(&call.door, &email, &call.origin).await?;
    doorward
        .app_set_password(&call.door, user.id, password, "mail", &call.origin)
        .await?;
    if call.door.settings().revoke_on_reset {
        let all = doorward_core::app_auth::sessions::Ending::All;
        doorward.app_end(&call.door, user.id, all, &call.origin).await?;
    }
    Ok(Answer::Json(json!({ "success": true })))
}

fn new_email(call: &Call) -> Result<String, Fail> {
    let mut check = Check::new("body", call.body.as_deref());
    let email = check.text("newEmail").to_lowercase();
    check.done()?;
    if is_email(&email) {
        Ok(email)
    } else {
        Err(Fail::code("INVALID_EMAIL"))
    }
}

pub(super) async fn request_change(call: &mut Call) -> Answered {
    let email = new_email(call)?;
    let caller = call.require(Gate::Sensitive).await?;
    if !call.door.settings().change_email {
        return Err(Fail::code("CHANGE_EMAIL_DISABLED"));
    }
    let user = &caller.visit.person.user;
    if user.email.as_deref() == Some(email.as_str()) {
        return Err(Fail::plain(StatusCode::BAD_REQUEST, "Email is the same"));
    }
    if call
        .doorward
        .app_user_by_email(&call.door, &email)
        .await?
        .is_none()
    {
        // Only who asked for it can use the code.
        let kind = format!("change-email-{}", user.id);
        send(call, &email, &kind).await?;
    }
    Ok(Answer::Json(json!({ "success": true })))
}

pub(super) async fn change(call: &mut Call) -> Answered {
    let email = new_email(call)?;
    let mut check = Check::new("body", call.body.as_deref());
    let code = check.text("otp").to_owned();
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    if !call.door.settings().change_email {
        return Err(Fail::code("CHANGE_EMAIL_DISABLED"));
    }
    let user = caller.visit.person.user.id;
    compare(call, &email, &format!("change-email-{user}"), &code, true).await?;
    call.doorward
        .app_replace_email(user, &email, &call.origin)
        .await?;
    let remember = if call.was_short()? {
        Remember::No
    } else {
        Remember::Yes
    };
    call.keep_session(&caller.token, remember)?;
    Ok(Answer::Json(json!({ "success": true })))
}

pub(super) async fn send_link(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let email = check.email("email");
    let name = check.maybe_text("name");
    let back = check.maybe_text("callbackURL").filter(|text| !text.is_empty());
    let new_user = check
        .maybe_text("newUserCallbackURL")
        .filter(|text| !text.is_empty());
    let error = check
        .maybe_text("errorCallbackURL")
        .filter(|text| !text.is_empty());
    check.done()?;
    let known = call
        .doorward
        .app_user_by_email(&call.door, &email)
        .await?
        .is_some_and(|user| user.is_usable());
    if known || call.door.settings().sign_up {
        let token = call.doorward.app_secret_text::<32>();
        let content = json!({ "email": email, "name": name });
        call.doorward
            .keep_proof(&call.door, (LINK, &token), None, &content, LINK_FOR)
            .await?;
        let mut link = format!(
            "{}/magic-link/verify?token={token}&callbackURL={}",
            call.door.url(),
            escape(back.unwrap_or("/"))
        );
        for (field, target) in [("newUserCallbackURL", new_user), ("errorCallbackURL", error)] {
            if let Some(target) = target {
                link.push_str(&format!("&{field}={}", escape(target)));
            }
        }
        let app = &call.door.application.name;
        let letter = Letter {
            to: email,
            subject: format!("Sign in to {app}"),
            text: format!(
                "Open this link within five minutes to sign in to {app}:\n\n{link}\n\nIf you did not ask for it, do nothing.\n"
            ),
        };
        call.doorward.send_mail(&letter).await?;
    }
    Ok(Answer::Json(json!({ "status": true })))
}

pub(super) async fn follow_link(call: &mut Call) -> Answered {
    let query = call.query.clone();
    let mut check = Check::new("query", Some(&query));
    let token = check.text("token");
    let own = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let back = own(check.maybe_text("callbackURL"));
    let new_user = own(check.maybe_text("newUserCallbackURL"));
    let error = own(check.maybe_text("errorCallbackURL"));
    check.done()?;
    let failed = |call: &Call, code: &str| {
        let place = error.as_deref().or(back.as_deref()).unwrap_or("/");
        Ok(Answer::Go(with_query(&call.absolute(place), &[("error", code)])))
    };
    let Some(proof) = call.doorward.use_proof::<Value>(&call.door, LINK, token).await? else {
        return failed(call, "INVALID_TOKEN");
    };
    if proof.late {
        return failed(call, "INVALID_TOKEN");
    }
    let said = |name: &str| proof.content.get(name).and_then(Value::as_str);
    let email = said("email").unwrap_or_default().to_owned();
    let new = newcomer(&email, said("name"), None);
    let allowed = call.door.settings().sign_up.then_some(&new);
    let doorward = call.doorward.clone();
    let entered = doorward
        .app_enter_by_email(&call.door, &email, allowed, &call.origin)
        .await;
    let (user, issued, fresh) = match entered {
        Ok(entered) => entered,
        Err(AppError::Code("USER_NOT_FOUND")) => return failed(call, "new_user_signup_disabled"),
        Err(AppError::Code(_)) => return failed(call, "failed_to_create_session"),
        Err(AppError::Core(doorward_core::Error::Refused(_))) => {
            return failed(call, "failed_to_create_session");
        }
        Err(error) => return Err(error.into()),
    };
    call.begin(&issued, Remember::Yes)?;
    let place = if fresh { new_user.or(back) } else { back };
    match place {
        Some(place) => Ok(Answer::Go(call.absolute(&place))),
        None => {
            let session = wire::session(&issued.session, &issued.token);
            let user = user_json(call, &user);
            Ok(Answer::Json(
                json!({ "token": issued.token, "user": user, "session": session }),
            ))
        }
    }
}
