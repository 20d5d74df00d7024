//! Passkeys (contract section 5.5).

use http::StatusCode;
use serde_json::{Value, json};

use doorward_core::app_auth::AppError;
use doorward_core::app_auth::passkeys::{BrowserAnswer, CHALLENGE_LIFE, Ceremony, Passkey};
use doorward_core::app_auth::people::Remember;

use super::super::Answer;
use super::wire::time;
use super::{Answered, Call, Check, Fail, Gate, code, filled, nobody, told, told_as, wire, with};

/// The cookie that a ceremony is bound to the browser by.
const COOKIE: &str = "better-auth-passkey";

/// Routes below `/passkey/`.
pub(super) async fn route(call: &mut Call, get: bool, what: &str) -> Answered {
    match (get, what) {
        (true, "generate-register-options") => register_options(call).await,
        (_, "generate-authenticate-options") => sign_in_options(call).await,
        (false, "verify-registration") => register(call).await,
        (false, "verify-authentication") => sign_in(call).await,
        (true, "list-user-passkeys") => list(call).await,
        (false, "delete-passkey") => delete(call).await,
        (false, "update-passkey") => update(call).await,
        _ => Err(Fail::nothing()),
    }
}

fn passkey(one: &Passkey) -> Value {
    json!({
        "name": one.name, "publicKey": one.public_key, "userId": one.user.to_string(), "credentialID": one.credential,
        "counter": one.counter, "deviceType": if one.eligible { "multiDevice" } else { "singleDevice" },
        "backedUp": one.backed_up, "transports": one.transports, "createdAt": time(one.created_at), "aaguid": one.aaguid,
        "id": one.id.to_string(),
    })
}

/// A known key, as browsers are told of it.
fn descriptor(one: &Passkey) -> Value {
    let transports: Vec<&str> = one
        .transports
        .split(',')
        .filter(|text| !text.is_empty())
        .collect();
    json!({ "id": one.credential, "transports": transports, "type": "public-key" })
}

fn bind(call: &mut Call, secret: &str) -> Result<(), Fail> {
    call.set_signed(COOKIE, secret, Some(CHALLENGE_LIFE.seconds()))?;
    Ok(())
}

/// What the browser's cookie says; without one there is no challenge.
fn bound(call: &Call) -> Result<String, Fail> {
    let kept = call.signed(&call.cookie_name(COOKIE))?;
    kept.ok_or_else(|| code("CHALLENGE_NOT_FOUND"))
}

async fn register_options(call: &mut Call) -> Answered {
    let query = call.query.clone();
    let mut check = Check::new("query", Some(&query));
    let attachment = check.maybe_text("authenticatorAttachment");
    if attachment.is_some_and(|text| !["platform", "cross-platform"].contains(&text)) {
        let text = "Invalid option: expected one of \"platform\"|\"cross-platform\"";
        check.refuse("authenticatorAttachment", text);
    }
    let name = check.maybe_text("name").filter(|name| !name.is_empty());
    check.done()?;
    let caller = call.require(Gate::Fresh).await?;
    let user = &caller.visit.person.user;
    let known = call
        .doorward
        .app_passkeys(&call.door, user.id)
        .await
        .map_err(told)?;
    let (challenge, secret) = call
        .doorward
        .app_challenge(&call.door, Ceremony::Register, Some(user.id), name)
        .await
        .map_err(told)?;
    bind(call, &secret)?;
    let exclude: Vec<Value> = known.iter().map(descriptor).collect();
    let email = user.email.as_deref().unwrap_or(&user.username);
    let mut selection = json!({
        "residentKey": "preferred", "userVerification": "preferred", "requireResidentKey": false,
    });
    if let (Some(attachment), Value::Object(map)) = (attachment, &mut selection) {
        map.insert("authenticatorAttachment".to_owned(), json!(attachment));
    }
    let kinds = [-8, -7, -257].map(|alg| json!({ "alg": alg, "type": "public-key" }));
    let shown: String = name.unwrap_or(email).chars().take(64).collect();
    Ok(Answer::Json(json!({
        "challenge": challenge, "rp": { "name": call.door.application.name, "id": call.door.rp_id() },
        "user": { "id": call.doorward.app_user_handle(), "name": shown, "displayName": email },
        "pubKeyCredParams": kinds, "timeout": 60000, "attestation": "none", "excludeCredentials": exclude,
        "authenticatorSelection": selection, "extensions": { "credProps": true }, "hints": [],
    })))
}

async fn sign_in_options(call: &mut Call) -> Answered {
    let caller = call.caller(true).await?;
    let known = match &caller {
        Some(caller) => {
            let user = caller.visit.person.user.id;
            call.doorward.app_passkeys(&call.door, user).await.map_err(told)?
        }
        None => Vec::new(),
    };
    let user = caller.as_ref().map(|caller| caller.visit.person.user.id);
    let (challenge, secret) = call
        .doorward
        .app_challenge(&call.door, Ceremony::SignIn, user, None)
        .await
        .map_err(told)?;
    bind(call, &secret)?;
    let mut options = json!({
        "rpId": call.door.rp_id(), "challenge": challenge, "timeout": 60000, "userVerification": "preferred",
    });
    if let (false, Value::Object(map)) = (known.is_empty(), &mut options) {
        map.insert(
            "allowCredentials".to_owned(),
            known.iter().map(descriptor).collect(),
        );
    }
    Ok(Answer::Json(options))
}

/// The browser's answer in a body.
fn answer(body: Option<&Value>) -> BrowserAnswer<'_> {
    let response = body.and_then(|body| body.get("response"));
    let inner = response.and_then(|response| response.get("response"));
    let text = |name: &str| {
        inner
            .and_then(|inner| inner.get(name))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    BrowserAnswer {
        id: response
            .and_then(|response| response.get("id"))
            .and_then(Value::as_str)
            .unwrap_or_default(),
        client_data: text("clientDataJSON"),
        attestation: text("attestationObject"),
        data: text("authenticatorData"),
        signature: text("signature"),
        name: None,
        transports: &[],
    }
}

async fn register(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    if check.any("response").is_none() {
        check.refuse(
            "response",
            "Invalid input: expected nonoptional, received undefined",
        );
    }
    let name = check.maybe_text("name");
    check.done()?;
    let caller = call.require(Gate::Fresh).await?;
    let secret = bound(call)?;
    let transports = body
        .as_ref()
        .and_then(|body| body.pointer("/response/response/transports"))
        .and_then(Value::as_array);
    let transports: Vec<String> = transports
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let made = call
        .doorward
        .app_add_passkey(
            &call.door,
            &caller.visit,
            &secret,
            BrowserAnswer {
                name,
                transports: &transports,
                ..answer(body.as_deref())
            },
            &call.origin,
        )
        .await
        // differs: 400 where the recorded servers answer 500: it is not our fault.
        .map_err(told)?;
    call.expire(COOKIE);
    Ok(Answer::Json(passkey(&made)))
}

async fn sign_in(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    if !check.any("response").is_some_and(Value::is_object) {
        check.refuse("response", "Invalid input: expected record, received undefined");
    }
    check.done()?;
    let secret = bound(call)?;
    let (user, issued) = call
        .doorward
        .app_enter_by_passkey(&call.door, &secret, answer(body.as_deref()), &call.origin)
        .await
        .map_err(|error| match error {
            AppError::Code("AUTHENTICATION_REFUSED") => {
                with(StatusCode::BAD_REQUEST, "AUTHENTICATION_FAILED")
            }
            error => told_as(error, "PASSKEY_NOT_FOUND", StatusCode::UNAUTHORIZED),
        })?;
    call.expire(COOKIE);
    call.begin(&issued, Remember::Yes)?;
    Ok(Answer::Json(json!({
        "session": wire::session(&issued.session, &issued.token), "user": wire::user(&user, &call.door, call.now()),
    })))
}

async fn list(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Sensitive).await?;
    let known = call
        .doorward
        .app_passkeys(&call.door, caller.visit.person.user.id)
        .await
        .map_err(told)?;
    Ok(Answer::Json(known.iter().map(passkey).collect()))
}

async fn delete(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let id = check.text("id");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    call.doorward
        .app_delete_passkey(&call.door, &caller.visit, id, &call.origin)
        .await
        .map_err(|error| match error {
            AppError::Code("YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY") => nobody(),
            error => told(error),
        })?;
    Ok(Answer::Json(json!({ "status": true })))
}

async fn update(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let id = check.text("id");
    let name = filled(&mut check, "name");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let changed = call
        .doorward
        .app_rename_passkey(&call.door, &caller.visit, id, name)
        .await
        .map_err(told)?;
    Ok(Answer::Json(json!({ "passkey": passkey(&changed) })))
}
