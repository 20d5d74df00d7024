//! Forgotten passwords and proving an address (contract section 1.6).

use http::StatusCode;
use serde_json::{Value, json};

use doorward_core::app_auth::people::Remember;
use doorward_core::ports::Letter;
use doorward_domain::user::User;
use doorward_domain::{Lifetime, Timestamp};

use super::call::{Call, escape};
use super::check::Check;
use super::email::user_json;
use super::fail::Fail;
use super::{Answer, Answered, with_query};

const RESET: &str = "reset-password";
const VERIFY: &str = "verify-email";
/// How long links in mails work.
const LINK: Lifetime = Lifetime::from_hours(1);

pub(super) async fn request(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let email = check.email("email");
    let back = check.maybe_text("redirectTo");
    check.done()?;
    if !call.door.settings().reset_password || !call.doorward.sends_mail() {
        return Err(Fail::code("RESET_PASSWORD_DISABLED"));
    }
    if let Some(user) = call
        .doorward
        .app_user_by_email(&call.door, &email)
        .await?
        .filter(User::is_usable)
    {
        let token = call.doorward.app_secret_text::<24>();
        let link = format!(
            "{}/reset-password/{token}?callbackURL={}",
            call.door.url(),
            escape(back.unwrap_or_default())
        );
        let name = &call.door.application.name;
        let letter = Letter {
            to: email.clone(),
            subject: format!("Set a new password for {name}"),
            text: format!(
                "Somebody asked for a new password for your account at {name}. Open this link within an hour:\n\n{link}\n\n\
                 If it was not you, do nothing: your password stays as it is.\n"
            ),
        };
        call.doorward
            .keep_proof(&call.door, (RESET, &token), Some(user.id), &Value::Null, LINK)
            .await?;
        call.doorward.send_mail(&letter).await?;
    }
    Ok(Answer::Json(json!({
        "status": true,
        "message": "If this email exists in our system, check your email for the reset link",
    })))
}

pub(super) async fn follow(call: &mut Call, token: &str) -> Answered {
    let query = call.query.clone();
    let mut check = Check::new("query", Some(&query));
    let back = check.text("callbackURL");
    check.done()?;
    let fallback = call
        .door
        .settings()
        .error_url
        .clone()
        .unwrap_or_else(|| format!("{}/error", call.door.url()));
    let seen = call.doorward.see_proof::<Value>(&call.door, RESET, token).await?;
    if back.is_empty() || seen.is_none_or(|proof| proof.late) {
        let back = if back.is_empty() { fallback.as_str() } else { back };
        return Ok(Answer::Go(with_query(
            &call.absolute(back),
            &[("error", "INVALID_TOKEN")],
        )));
    }
    Ok(Answer::Go(with_query(&call.absolute(back), &[("token", token)])))
}

pub(super) async fn reset(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let new = check.text("newPassword");
    let token = check.maybe_text("token");
    check.done()?;
    let Some(token) = token.or(call.asked("token")).map(str::to_owned) else {
        return Err(Fail::code("INVALID_TOKEN"));
    };
    call.door.check_password(new)?;
    let revoke = call.door.settings().revoke_on_reset;
    call.doorward
        .app_reset_password::<Value>(&call.door, (RESET, &token), new, revoke, &call.origin)
        .await?;
    Ok(Answer::Json(json!({ "status": true })))
}

/// Sends a link that proves the address of a user.
pub(super) async fn mail_verification(call: &Call, user: &User, back: &str) -> Result<(), Fail> {
    let Some(email) = user.email.clone() else {
        return Ok(());
    };
    if !call.doorward.sends_mail() {
        return Ok(());
    }
    mail_link(call, user, &email, None, back).await
}

/// Begins a change of address. Who proved the old one is asked there first: a stolen session alone takes no account away. Else the link
/// goes to the new address at once.
pub(super) async fn mail_change(call: &Call, user: &User, new: &str, back: &str) -> Result<(), Fail> {
    let Some(old) = user.email.clone().filter(|_| user.email_verified_at.is_some()) else {
        return mail_link(call, user, new, Some(new), back).await;
    };
    let token = call.doorward.app_secret_text::<43>();
    let content = json!({ "email": old, "updateTo": new, "ask": true });
    call.doorward
        .keep_proof(&call.door, (VERIFY, &token), Some(user.id), &content, LINK)
        .await?;
    let link = format!(
        "{}/verify-email?token={token}&callbackURL={}",
        call.door.url(),
        escape(back)
    );
    let name = &call.door.application.name;
    let letter = Letter {
        to: old,
        subject: format!("Change your address at {name}?"),
        text: format!(
            "Somebody asked to change the address of your account at {name} to {new}. If that was you, open this link within an hour; a \
             second link then goes to the new address:\n\n{link}\n\nIf it was not you, do nothing here, sign in and change your password.\n"
        ),
    };
    call.doorward.send_mail(&letter).await?;
    Ok(())
}

async fn mail_link(
    call: &Call,
    user: &User,
    to: &str,
    update_to: Option<&str>,
    back: &str,
) -> Result<(), Fail> {
    let token = call.doorward.app_secret_text::<43>();
    // The address as it was when the mail was sent, and the one that takes its place.
    let content = json!({ "email": user.email, "updateTo": update_to });
    call.doorward
        .keep_proof(&call.door, (VERIFY, &token), Some(user.id), &content, LINK)
        .await?;
    let link = format!(
        "{}/verify-email?token={token}&callbackURL={}",
        call.door.url(),
        escape(back)
    );
    let name = &call.door.application.name;
    let letter = Letter {
        to: to.to_owned(),
        subject: format!("Confirm your address for {name}"),
        text: format!(
            "Open this link within an hour to confirm that {to} is your address at {name}:\n\n{link}\n\nIf you did not ask for this, do nothing.\n"
        ),
    };
    call.doorward.send_mail(&letter).await?;
    Ok(())
}

pub(super) async fn verify_email(call: &mut Call) -> Answered {
    let query = call.query.clone();
    let mut check = Check::new("query", Some(&query));
    let token = check.text("token");
    let back = check.maybe_text("callbackURL").filter(|back| !back.is_empty());
    check.done()?;
    let fail = |code: &'static str| match back {
        Some(back) => Ok(Answer::Go(with_query(back, &[("error", code)]))),
        None => Err(Fail::with(StatusCode::UNAUTHORIZED, code)),
    };
    let Some(proof) = call
        .doorward
        .use_proof::<Value>(&call.door, VERIFY, token)
        .await?
    else {
        return fail("INVALID_TOKEN");
    };
    let Some(id) = proof.user.filter(|_| !proof.late) else {
        return fail("TOKEN_EXPIRED");
    };
    if proof.content.get("ask") == Some(&Value::Bool(true)) {
        let (Some(user), Some(new)) = (
            call.doorward.app_user(id).await?,
            proof.content.get("updateTo").and_then(Value::as_str),
        ) else {
            return fail("USER_NOT_FOUND");
        };
        mail_link(call, &user, new, Some(new), back.unwrap_or("/")).await?;
        return Ok(match back {
            Some(back) => Answer::Go(back.to_owned()),
            None => Answer::Json(json!({ "status": true })),
        });
    }
    let now: Timestamp = call.now();
    let said = |name: &str| proof.content.get(name).and_then(Value::as_str);
    let (was, update_to) = (said("email").unwrap_or_default(), said("updateTo"));
    let changed = call
        .doorward
        .app_prove_email(id, was, update_to, now, &call.origin)
        .await;
    let user = match changed {
        Ok(user) => user,
        Err(error) => {
            return match Fail::from(error).code_text() {
                Some("USER_NOT_FOUND") => fail("USER_NOT_FOUND"),
                Some("USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL") => fail("USER_ALREADY_EXISTS"),
                _ => fail("INVALID_USER"),
            };
        }
    };
    if call.door.settings().sign_in_after_verification && call.caller(true).await?.is_none() {
        let doorward = call.doorward.clone();
        let entered = doorward
            .app_enter_by(&call.door, user.id, &["email"], Remember::Yes, &call.origin)
            .await;
        if let Ok((_, issued)) = entered {
            call.begin(&issued, Remember::Yes)?;
        }
    }
    if let Some(back) = back {
        return Ok(Answer::Go(back.to_owned()));
    }
    let shown = if update_to.is_some() {
        user_json(call, &user)
    } else {
        Value::Null
    };
    Ok(Answer::Json(json!({ "status": true, "user": shown })))
}

pub(super) async fn send_verification(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let email = check.email("email");
    let back = check.maybe_text("callbackURL").unwrap_or("/");
    check.done()?;
    if !call.door.settings().verification || !call.doorward.sends_mail() {
        return Err(Fail::code("VERIFICATION_EMAIL_NOT_ENABLED"));
    }
    if let Some(caller) = call.caller(true).await? {
        let user = &caller.visit.person.user;
        if user.email.as_deref() != Some(email.as_str()) {
            return Err(Fail::code("EMAIL_MISMATCH"));
        }
        if user.email_verified_at.is_some() {
            return Err(Fail::code("EMAIL_ALREADY_VERIFIED"));
        }
        mail_verification(call, user, back).await?;
        return Ok(Answer::Json(json!({ "status": true })));
    }
    let user = call.doorward.app_user_by_email(&call.door, &email).await?;
    if let Some(user) = user.filter(|user| user.is_usable() && user.email_verified_at.is_none()) {
        mail_verification(call, &user, back).await?;
    }
    Ok(Answer::Json(json!({ "status": true })))
}
