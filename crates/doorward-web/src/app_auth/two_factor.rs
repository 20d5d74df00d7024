//! Second factors (contract section 5.4).

use http::StatusCode;
use serde_json::{Value, json};

use doorward_core::app_auth::people::Remember;
use doorward_core::app_auth::sessions::Ending;
use doorward_core::ports::Letter;
use doorward_domain::user::User;
use doorward_domain::{Lifetime, UserId};

use super::call::{Call, Caller, Gate};
use super::check::Check;
use super::email::user_json;
use super::fail::Fail;
use super::user::with_password;
use super::{Answer, Answered};

/// Somebody whose password was right and whose factor is asked for.
const PENDING: &str = "two-factor";
const CODE: &str = "two-factor-code";
const TRUST: &str = "trust-device";
const PENDING_FOR: Lifetime = Lifetime::from_minutes(10);
const CODE_FOR: Lifetime = Lifetime::from_minutes(3);
const TRUSTED_FOR: Lifetime = Lifetime::from_days(30);
const MOST_TRIES: i64 = 5;

fn status(code: &str) -> StatusCode {
    match code {
        "INVALID_CODE" | "INVALID_BACKUP_CODE" | "INVALID_TWO_FACTOR_COOKIE" => StatusCode::UNAUTHORIZED,
        "ACCOUNT_TEMPORARILY_LOCKED" => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn told(code: &'static str) -> Fail {
    let text = match code {
        "TOTP_NOT_ENABLED" => "TOTP not enabled".to_owned(),
        "TOTP_ALREADY_ENABLED" => "TOTP is already enabled".to_owned(),
        "TWO_FACTOR_NOT_ENABLED" => "Two factor isn't enabled".to_owned(),
        "OTP_HAS_EXPIRED" => "OTP has expired".to_owned(),
        "OTP_NOT_CONFIGURED" => "OTP not configured".to_owned(),
        "ACCOUNT_TEMPORARILY_LOCKED" => {
            "Too many failed verification attempts. Your account is temporarily locked. Please try again later.".to_owned()
        }
        "TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE" => "Too many attempts. Please request a new code.".to_owned(),
        other => super::fail::text_of(other),
    };
    Fail::said(status(code), code, &text)
}

fn retold(error: doorward_core::app_auth::AppError) -> Fail {
    match error {
        doorward_core::app_auth::AppError::Code(
            code @ ("INVALID_CODE"
            | "INVALID_BACKUP_CODE"
            | "TOTP_NOT_ENABLED"
            | "TOTP_ALREADY_ENABLED"
            | "TWO_FACTOR_NOT_ENABLED"
            | "ACCOUNT_TEMPORARILY_LOCKED"),
        ) => told(code),
        other => other.into(),
    }
}

/// Who is asked for a factor: the person of a session, or the one whose password was right.
enum Asked {
    Session(Caller),
    Pending { user: UserId, name: String, short: bool },
}

impl Asked {
    fn user(&self) -> UserId {
        match self {
            Self::Session(caller) => caller.visit.person.user.id,
            Self::Pending { user, .. } => *user,
        }
    }
}

/// The person behind a call about a factor.
async fn asked(call: &Call) -> Result<Asked, Fail> {
    if call.caller(true).await?.is_some() {
        return Ok(Asked::Session(call.require(Gate::Sensitive).await?));
    }
    let invalid = || told("INVALID_TWO_FACTOR_COOKIE");
    let Some(name) = call.signed(&call.cookie_name("two_factor"))? else {
        return Err(invalid());
    };
    let proof = call
        .doorward
        .see_proof::<Value>(&call.door, PENDING, &name)
        .await?;
    let Some(proof) = proof.filter(|proof| !proof.late) else {
        return Err(invalid());
    };
    let user = proof.user.ok_or_else(invalid)?;
    let short = proof.content.get("short") == Some(&Value::Bool(true));
    Ok(Asked::Pending { user, name, short })
}

/// Stands between a right password and a session: true when a factor is asked for, and the answer is ready.
pub(super) async fn stand_between(
    call: &mut Call,
    user: &User,
    remember: Remember,
) -> Result<Option<Answer>, Fail> {
    if !user.app.two_factor {
        return Ok(None);
    }
    if let Some(trusted) = call.signed(&call.cookie_name("trust_device"))? {
        let proof = call
            .doorward
            .use_proof::<Value>(&call.door, TRUST, &trusted)
            .await?;
        if proof.is_some_and(|proof| !proof.late && proof.user == Some(user.id)) {
            trust(call, user.id).await?;
            return Ok(None);
        }
    }
    let name = call.doorward.app_secret_text::<32>();
    let content = json!({ "short": remember == Remember::No });
    call.doorward
        .keep_proof(&call.door, (PENDING, &name), Some(user.id), &content, PENDING_FOR)
        .await?;
    call.expire("session_token");
    super::copy::clear(call);
    if remember == Remember::No {
        call.set_signed("dont_remember", "true", None)?;
    }
    call.set_signed("two_factor", &name, Some(PENDING_FOR.seconds()))?;
    let mut methods = vec!["totp"];
    if call.doorward.sends_mail() {
        methods.push("otp");
    }
    Ok(Some(Answer::Json(
        json!({ "twoFactorRedirect": true, "twoFactorMethods": methods }),
    )))
}

async fn trust(call: &mut Call, user: UserId) -> Result<(), Fail> {
    let name = call.doorward.app_secret_text::<32>();
    call.doorward
        .keep_proof(&call.door, (TRUST, &name), Some(user), &Value::Null, TRUSTED_FOR)
        .await?;
    call.set_signed("trust_device", &name, Some(TRUSTED_FOR.seconds()))?;
    Ok(())
}

/// The factor was right: a session begins, or the one there is rotated.
async fn passed(call: &mut Call, asked: Asked, trusts: bool) -> Answered {
    let user = asked.user();
    let doorward = call.doorward.clone();
    let remember = match &asked {
        Asked::Session(caller) => {
            // The old token is worth less than the new one from now on.
            doorward
                .app_end(
                    &call.door,
                    user,
                    Ending::One(caller.visit.session.id),
                    &call.origin,
                )
                .await?;
            if call.was_short()? {
                Remember::No
            } else {
                Remember::Yes
            }
        }
        Asked::Pending { name, short, .. } => {
            if doorward
                .use_proof::<Value>(&call.door, PENDING, name)
                .await?
                .is_none()
            {
                return Err(told("INVALID_TWO_FACTOR_COOKIE"));
            }
            call.expire("two_factor");
            if *short { Remember::No } else { Remember::Yes }
        }
    };
    let (user, issued) = doorward
        .app_enter_by(&call.door, user, &["pwd", "otp", "mfa"], remember, &call.origin)
        .await?;
    call.begin(&issued, remember)?;
    if trusts {
        trust(call, user.id).await?;
        if remember == Remember::Yes {
            call.expire("dont_remember");
        }
    }
    let user = user_json(call, &user);
    Ok(Answer::Json(json!({ "token": issued.token, "user": user })))
}

pub(super) async fn enable(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let password = check.text("password");
    let issuer = check.maybe_text("issuer");
    let method = check.maybe_text("method");
    check.done()?;
    let caller = with_password(call, password, "second factor").await?;
    let user = &caller.visit.person.user;
    if method == Some("otp") {
        if !call.doorward.sends_mail() {
            return Err(told("OTP_NOT_CONFIGURED"));
        }
        call.doorward.factor_on(user.id, &call.origin).await?;
        return Ok(Answer::Json(json!({ "method": "otp" })));
    }
    let configured = call.door.settings().totp_issuer.clone();
    let issuer = issuer.or(configured.as_deref());
    let made = call
        .doorward
        .factor_make(&call.door, user, issuer)
        .await
        .map_err(retold)?;
    Ok(Answer::Json(
        json!({ "method": "totp", "totpURI": made.uri, "backupCodes": made.backup_codes }),
    ))
}

pub(super) async fn disable(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let password = check.text("password");
    check.done()?;
    let caller = with_password(call, password, "second factor").await?;
    let user = caller.visit.person.user.id;
    call.doorward.factor_remove(user, &call.origin).await?;
    passed(call, Asked::Session(caller), false).await?;
    Ok(Answer::Json(json!({ "status": true })))
}

pub(super) async fn totp_uri(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let password = check.text("password");
    check.done()?;
    let caller = with_password(call, password, "second factor").await?;
    let uri = call
        .doorward
        .factor_uri(&call.door, &caller.visit.person.user)
        .await
        .map_err(retold)?;
    Ok(Answer::Json(json!({ "totpURI": uri })))
}

pub(super) async fn backup_codes(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let password = check.text("password");
    check.done()?;
    let caller = with_password(call, password, "second factor").await?;
    let codes = call
        .doorward
        .factor_backup(&caller.visit.person.user)
        .await
        .map_err(retold)?;
    Ok(Answer::Json(json!({ "status": true, "backupCodes": codes })))
}

fn read_code(call: &Call) -> Result<(String, bool, bool), Fail> {
    let mut check = Check::new("body", call.body.as_deref());
    let code = check.text("code").to_owned();
    let trusts = check.maybe_bool("trustDevice").unwrap_or(false);
    let quiet = check.maybe_bool("disableSession").unwrap_or(false);
    check.done()?;
    Ok((code, trusts, quiet))
}

pub(super) async fn verify_totp(call: &mut Call) -> Answered {
    let (code, trusts, _) = read_code(call)?;
    let asked = asked(call).await?;
    let doorward = call.doorward.clone();
    doorward.factor_totp(asked.user(), &code).await.map_err(retold)?;
    if let Asked::Session(caller) = &asked {
        if caller.visit.person.user.app.two_factor {
            let user = user_json(call, &caller.visit.person.user);
            return Ok(Answer::Json(json!({ "token": caller.token, "user": user })));
        }
        doorward.factor_on(asked.user(), &call.origin).await?;
    }
    passed(call, asked, trusts).await
}

pub(super) async fn send_otp(call: &mut Call) -> Answered {
    let asked = asked(call).await?;
    if !call.doorward.sends_mail() {
        return Err(told("OTP_NOT_CONFIGURED"));
    }
    let Some(user) = call.doorward.app_user(asked.user()).await? else {
        return Err(told("INVALID_TWO_FACTOR_COOKIE"));
    };
    let code = call.doorward.app_digits();
    let key = user.id.to_string();
    call.doorward
        .keep_proof(
            &call.door,
            (CODE, &key),
            Some(user.id),
            &json!({ "code": code }),
            CODE_FOR,
        )
        .await?;
    let name = &call.door.application.name;
    let letter = Letter {
        to: user.email.clone().unwrap_or_default(),
        subject: format!("Your code for {name}"),
        text: format!(
            "Code: {code}\n\nIt works for three minutes. If you are not signing in to {name}, change your password.\n"
        ),
    };
    call.doorward.send_mail(&letter).await?;
    Ok(Answer::Json(json!({ "status": true })))
}

pub(super) async fn verify_otp(call: &mut Call) -> Answered {
    let (code, trusts, _) = read_code(call)?;
    let asked = asked(call).await?;
    let key = asked.user().to_string();
    let doorward = call.doorward.clone();
    let seen = doorward.see_proof::<Value>(&call.door, CODE, &key).await?;
    let Some(seen) = seen.filter(|seen| !seen.late) else {
        return Err(told("OTP_HAS_EXPIRED"));
    };
    if !doorward.count_try(&call.door, CODE, &key, MOST_TRIES).await? {
        doorward.use_proof::<Value>(&call.door, CODE, &key).await?;
        return Err(told("TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE"));
    }
    let right = seen
        .content
        .get("code")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if right.is_empty() || !doorward_core::constant_eq(right.as_bytes(), code.as_bytes()) {
        return Err(told("INVALID_CODE"));
    }
    if doorward
        .use_proof::<Value>(&call.door, CODE, &key)
        .await?
        .is_none()
    {
        return Err(told("INVALID_CODE"));
    }
    if let Asked::Session(caller) = &asked
        && !caller.visit.person.user.app.two_factor
    {
        doorward.factor_on(asked.user(), &call.origin).await?;
    }
    passed(call, asked, trusts).await
}

pub(super) async fn verify_backup_code(call: &mut Call) -> Answered {
    let (code, trusts, quiet) = read_code(call)?;
    let asked = asked(call).await?;
    let doorward = call.doorward.clone();
    doorward
        .factor_backup_code(asked.user(), &code)
        .await
        .map_err(retold)?;
    if quiet {
        let user = doorward.app_user(asked.user()).await?;
        let user = user.map_or(Value::Null, |user| user_json(call, &user));
        return Ok(Answer::Json(json!({ "user": user })));
    }
    if let Asked::Session(caller) = &asked {
        let user = user_json(call, &caller.visit.person.user);
        return Ok(Answer::Json(json!({ "token": caller.token, "user": user })));
    }
    passed(call, asked, trusts).await
}
