//! Keys for programs (contract section 5.11).

use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

use doorward_core::app_auth::api_keys::{ApiKey, ApiKeyChange, MOST_CHECKS, WINDOW};

use super::super::Answer;
use super::wire::{self, time};
use super::{Answered, Call, Caller, Check, Fail, Gate, choose, code, number, page_of, told};

/// What only an app's own server sets.
const SERVER_ONLY: &[&str] = &[
    "refillAmount",
    "refillInterval",
    "rateLimitMax",
    "rateLimitTimeWindow",
    "rateLimitEnabled",
    "remaining",
    "permissions",
];

/// Routes below `/api-key/`.
pub(super) async fn route(call: &mut Call, get: bool, what: &str) -> Answered {
    match (get, what) {
        (false, "create") => create(call).await,
        (true, "get") => get_key(call).await,
        (true, "list") => list(call).await,
        (false, "update") => update(call).await,
        (false, "delete") => delete(call).await,
        (false, "verify") => verify(call).await,
        _ => Err(Fail::nothing()),
    }
}

fn key_json(key: &ApiKey) -> Value {
    json!({
        "configId": "default", "name": key.name, "start": key.start, "referenceId": key.user.to_string(), "prefix": key.prefix,
        "refillInterval": null, "refillAmount": null, "lastRefillAt": null, "enabled": key.enabled, "rateLimitEnabled": true,
        "rateLimitTimeWindow": WINDOW.seconds() * 1000, "rateLimitMax": MOST_CHECKS, "requestCount": key.requests,
        "remaining": null, "lastRequest": key.last_request.map(time), "expiresAt": key.expires_at.map(time),
        "createdAt": time(key.created_at), "updatedAt": time(key.updated_at), "permissions": null, "metadata": null,
        "id": key.id.to_string(),
    })
}

/// Who calls; whoever is named in the body has to be the caller.
async fn owner(call: &Call, named: Option<&str>) -> Result<Caller, Fail> {
    let caller = call.require(Gate::Sensitive).await.map_err(|fail| {
        if fail.status == StatusCode::UNAUTHORIZED {
            code("UNAUTHORIZED_SESSION")
        } else {
            fail
        }
    })?;
    if named.is_some_and(|named| named != caller.visit.person.user.id.to_string()) {
        return Err(code("UNAUTHORIZED_SESSION"));
    }
    Ok(caller)
}

/// What a body says of a key.
fn change_of(check: &mut Check<'_>) -> ApiKeyChange {
    let given = check.any("expiresIn");
    let expires_in = given.map(Value::as_u64);
    if given.is_some_and(|value| !value.is_null()) && expires_in.flatten().is_none_or(|seconds| seconds < 1) {
        check.refuse("expiresIn", "Too small: expected number to be >=1");
    }
    ApiKeyChange {
        name: check.maybe_text("name").map(str::to_owned),
        prefix: None,
        expires_in,
        enabled: None,
    }
}

fn refuse_foreign(body: Option<&Value>) -> Result<(), Fail> {
    let has = |name: &str| {
        body.and_then(|body| body.get(name))
            .is_some_and(|value| !value.is_null())
    };
    if SERVER_ONLY.iter().any(|name| has(name)) {
        return Err(code("SERVER_ONLY_PROPERTY"));
    }
    if has("metadata") {
        return Err(code("METADATA_DISABLED"));
    }
    Ok(())
}

async fn create(call: &mut Call) -> Answered {
    let body = call.body.clone().or_else(|| Some(Arc::new(json!({}))));
    let mut check = Check::new("body", body.as_deref());
    let mut new = change_of(&mut check);
    let prefix = check.maybe_text("prefix");
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if prefix.is_some_and(|prefix| prefix.is_empty() || !prefix.chars().all(plain)) {
        let text = "Invalid prefix format, must be alphanumeric and contain only underscores and hyphens.";
        check.refuse("prefix", text);
    }
    let named = check.maybe_text("userId");
    check.done()?;
    new.prefix = prefix.map(str::to_owned);
    let caller = owner(call, named).await?;
    refuse_foreign(body.as_deref())?;
    let (key, open) = call
        .doorward
        .app_create_key(&call.door, &caller.visit, &new, &call.origin)
        .await
        .map_err(told)?;
    let mut value = key_json(&key);
    if let Value::Object(map) = &mut value {
        map.insert("key".to_owned(), Value::String(open));
    }
    Ok(Answer::Json(value))
}

async fn get_key(call: &mut Call) -> Answered {
    let query = call.query.clone();
    let mut check = Check::new("query", Some(&query));
    let id = check.text("id");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let key = call
        .doorward
        .app_key(&call.door, &caller.visit, id)
        .await
        .map_err(told)?;
    Ok(Answer::Json(key_json(&key)))
}

async fn list(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Sensitive).await?;
    let keys = call
        .doorward
        .app_keys(&call.door, &caller.visit)
        .await
        .map_err(told)?;
    let mut list: Vec<Value> = keys.iter().map(key_json).collect();
    choose(&mut list, call);
    let total = list.len();
    let (limit, offset) = (number(call, "limit"), number(call, "offset"));
    let page: Vec<Value> = list
        .into_iter()
        .skip(offset.unwrap_or(0))
        .take(limit.unwrap_or(usize::MAX))
        .collect();
    Ok(Answer::Json(page_of("apiKeys", &page, total, (limit, offset))))
}

async fn update(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let id = check.text("keyId");
    let mut change = change_of(&mut check);
    change.enabled = check.maybe_bool("enabled");
    let named = check.maybe_text("userId");
    check.done()?;
    let caller = owner(call, named).await?;
    refuse_foreign(body.as_deref())?;
    let key = call
        .doorward
        .app_change_key(&call.door, &caller.visit, id, &change, &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(key_json(&key)))
}

/// differs: the recorded servers check keys within the app's own process. Ours is asked by the app's server, which proves to be the app
/// with its client id and secret; for everybody else there is no such call.
async fn verify(call: &mut Call) -> Answered {
    let authorization = call.header("authorization").unwrap_or_default();
    let itself = call
        .doorward
        .app_is_itself(&call.door, authorization, &call.origin)
        .await
        .map_err(told)?;
    if !itself {
        return Err(Fail::nothing());
    }
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let open = check.text("key");
    check.done()?;
    match call.doorward.app_check_key(&call.door, open).await {
        Ok((key, user)) => Ok(Answer::Json(json!({
            "valid": true, "error": null, "key": key_json(&key), "user": wire::user(&user, &call.door, call.now()),
        }))),
        Err(error) => {
            let fail = told(error);
            if fail.fault.is_some() {
                return Err(fail);
            }
            Ok(Answer::Json(
                json!({ "valid": false, "error": fail.body, "key": null }),
            ))
        }
    }
}

async fn delete(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let id = check.text("keyId");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    call.doorward
        .app_delete_key(&call.door, &caller.visit, id, &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(json!({ "success": true })))
}
