//! The own account (contract sections 1.6 and 1.7).

use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

use doorward_core::app_auth::people::{Profile, Remember};
use doorward_core::app_auth::sessions::Ending;
use doorward_core::ports::Letter;
use doorward_domain::{Lifetime, text};

use super::call::{Call, Caller, Gate, escape};
use super::check::Check;
use super::email::{given_username, refuse_foreign_fields, user_json};
use super::fail::Fail;
use super::{Answer, Answered, reset, with_query};

pub(super) const DELETE: &str = "delete-account";

pub(super) async fn update(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Session).await?;
    let body = call.body.clone();
    let Some(Value::Object(fields)) = body.as_deref() else {
        let got = super::check::kind(body.as_deref());
        let text = format!("[body] Invalid input: expected record, received {got}");
        return Err(Fail::said(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", &text));
    };
    if fields.contains_key("email") {
        return Err(Fail::code("EMAIL_CAN_NOT_BE_UPDATED"));
    }
    refuse_foreign_fields(body.as_deref())?;
    let mut check = Check::new("body", body.as_deref());
    let name = check.maybe_text("name");
    let image = check.nullable_text("image");
    let wanted = check.maybe_text("username");
    let shown = check.maybe_text("displayUsername");
    check.done()?;
    let profile = Profile {
        name: name.map(str::to_owned),
        image: image.map(|image| {
            image
                .filter(|text| !text.is_empty() && text.len() <= 2048)
                .map(str::to_owned)
        }),
        username: given_username(wanted, shown)?,
        display_username: shown.map(str::to_owned),
    };
    if profile.name.is_none()
        && profile.image.is_none()
        && profile.username.is_none()
        && profile.display_username.is_none()
    {
        return Err(Fail::plain(StatusCode::BAD_REQUEST, "No fields to update"));
    }
    call.doorward
        .app_change_profile(&caller.visit, &profile, &call.origin)
        .await?;
    let remember = if call.was_short()? {
        Remember::No
    } else {
        Remember::Yes
    };
    call.keep_session(&caller.token, remember)?;
    Ok(Answer::Json(json!({ "status": true })))
}

pub(super) async fn change_password(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let new = check.text("newPassword");
    let current = check.text("currentPassword");
    let revoke = check.maybe_bool("revokeOtherSessions");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let user = &caller.visit.person.user;
    call.door.check_password(new)?;
    let doorward = call.doorward.clone();
    doorward
        .app_verify_password(user, current, "change password", &call.origin)
        .await?;
    doorward
        .app_set_password(&call.door, user.id, new, "self", &call.origin)
        .await?;
    let mut token = None;
    if revoke == Some(true) {
        doorward
            .app_end(&call.door, user.id, Ending::All, &call.origin)
            .await?;
        let remember = if call.was_short()? {
            Remember::No
        } else {
            Remember::Yes
        };
        let (_, issued) = doorward
            .app_enter_by(&call.door, user.id, &["pwd"], remember, &call.origin)
            .await?;
        call.begin(&issued, remember)?;
        token = Some(issued.token);
    }
    let user = doorward.app_user(user.id).await?.unwrap_or_else(|| user.clone());
    Ok(Answer::Json(
        json!({ "token": token, "user": user_json(call, &user) }),
    ))
}

pub(super) async fn verify_password(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let password = check.text("password");
    check.done()?;
    with_password(call, password, "verify password").await?;
    Ok(Answer::Json(json!({ "status": true })))
}

/// The caller, whose password is asked for once more.
pub(super) async fn with_password(call: &Call, password: &str, what: &str) -> Result<Caller, Fail> {
    let caller = call.require(Gate::Sensitive).await?;
    let user = &caller.visit.person.user;
    match call
        .doorward
        .app_verify_password(user, password, what, &call.origin)
        .await
    {
        Ok(()) => Ok(caller),
        Err(error) => {
            let fail = Fail::from(error);
            Err(if fail.code_text() == Some("CREDENTIAL_ACCOUNT_NOT_FOUND") {
                Fail::code("INVALID_PASSWORD")
            } else {
                fail
            })
        }
    }
}

pub(super) async fn change_email(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let email = check.email("newEmail");
    let back = check.maybe_text("callbackURL");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    if !call.door.settings().change_email {
        return Err(Fail::code("CHANGE_EMAIL_DISABLED"));
    }
    let user = caller.visit.person.user.clone();
    if user.email.as_deref() == Some(email.as_str()) {
        return Err(Fail::plain(StatusCode::BAD_REQUEST, "Email is the same"));
    }
    if !call.doorward.sends_mail() {
        return Err(Fail::plain(
            StatusCode::BAD_REQUEST,
            "Verification email isn't enabled",
        ));
    }
    // Whether the address is taken is not told; its owner is not written to.
    if call
        .doorward
        .app_user_by_email(&call.door, &email)
        .await?
        .is_none()
    {
        reset::mail_change(call, &user, &email, back.unwrap_or("/")).await?;
    }
    Ok(Answer::Json(json!({ "status": true })))
}

pub(super) async fn delete(call: &mut Call) -> Answered {
    if !call.door.settings().delete_user {
        call.require(Gate::Sensitive).await?;
        return Err(Fail::with(StatusCode::NOT_FOUND, "NOT_FOUND"));
    }
    let body = call.body.clone().or_else(|| Some(Arc::new(json!({}))));
    let mut check = Check::new("body", body.as_deref());
    let back = check.maybe_text("callbackURL");
    let password = check.maybe_text("password");
    let token = check.maybe_text("token");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let user = caller.visit.person.user.clone();
    if let Some(password) = password {
        call.doorward
            .app_verify_password(&user, password, "delete account", &call.origin)
            .await?;
    }
    if let Some(token) = token {
        return finish_deletion(call, token, None).await;
    }
    let has_mail = user
        .email
        .as_deref()
        .is_some_and(|email| !text::is_placeholder(email));
    if call.door.settings().delete_by_mail && call.doorward.sends_mail() && has_mail && password.is_none() {
        let token = call.doorward.app_secret_text::<32>();
        call.doorward
            .keep_proof(
                &call.door,
                (DELETE, &token),
                Some(user.id),
                &Value::Null,
                Lifetime::from_days(1),
            )
            .await?;
        let link = format!(
            "{}/delete-user/callback?token={token}&callbackURL={}",
            call.door.url(),
            escape(back.unwrap_or("/"))
        );
        let name = &call.door.application.name;
        let letter = Letter {
            to: user.email.clone().unwrap_or_default(),
            subject: format!("Delete your {name} account?"),
            text: format!(
                "Somebody asked to delete your account at {name}. If that was you, open this link within a day, in the browser in which \
                 you are signed in:\n\n{link}\n\nIf it was not you, do nothing, and change your password.\n"
            ),
        };
        call.doorward.send_mail(&letter).await?;
        return Ok(Answer::Json(
            json!({ "success": true, "message": "Verification email sent" }),
        ));
    }
    if password.is_none() && !call.door.is_fresh(&caller.visit.session, call.now()) {
        return Err(Fail::code("SESSION_EXPIRED"));
    }
    call.doorward.app_delete_user(&call.door, user.id).await?;
    call.clear_session();
    Ok(Answer::Json(
        json!({ "success": true, "message": "User deleted" }),
    ))
}

pub(super) async fn delete_callback(call: &mut Call) -> Answered {
    if !call.door.settings().delete_user {
        return Err(Fail::with(StatusCode::NOT_FOUND, "NOT_FOUND"));
    }
    let query = call.query.clone();
    let mut check = Check::new("query", Some(&query));
    let token = check.text("token");
    let back = check.maybe_text("callbackURL");
    check.done()?;
    finish_deletion(call, token, back).await
}

async fn finish_deletion(call: &mut Call, token: &str, back: Option<&str>) -> Answered {
    let not_found = |code| Fail::with(StatusCode::NOT_FOUND, code);
    let Some(caller) = call.caller(true).await? else {
        return Err(not_found("FAILED_TO_GET_USER_INFO"));
    };
    let seen = call
        .doorward
        .see_proof::<Value>(&call.door, DELETE, token)
        .await?;
    if seen.is_none_or(|proof| proof.late || proof.user != Some(caller.visit.person.user.id)) {
        return Err(not_found("INVALID_TOKEN"));
    }
    if call
        .doorward
        .use_proof::<Value>(&call.door, DELETE, token)
        .await?
        .is_none()
    {
        return Err(not_found("INVALID_TOKEN"));
    }
    call.doorward
        .app_delete_user(&call.door, caller.visit.person.user.id)
        .await?;
    call.clear_session();
    match back.filter(|back| !back.is_empty()) {
        Some(back) => Ok(Answer::Go(with_query(back, &[]))),
        None => Ok(Answer::Json(
            json!({ "success": true, "message": "User deleted" }),
        )),
    }
}
