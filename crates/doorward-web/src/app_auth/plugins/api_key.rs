//! Keys for programs (contract section 5.11).

use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

use doorward_core::app_auth::api_keys::{ApiKey, ApiKeyChange, AppKeyChange, KeyHand, Permissions};
use doorward_domain::UserId;

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
        "refillInterval": key.refill.map(|(_, interval)| interval), "refillAmount": key.refill.map(|(amount, _)| amount),
        "lastRefillAt": key.last_refill.map(time), "enabled": key.enabled, "rateLimitEnabled": key.rate_limited,
        "rateLimitTimeWindow": key.rate_window, "rateLimitMax": key.rate_max, "requestCount": key.requests,
        "remaining": key.remaining, "lastRequest": key.last_request.map(time), "expiresAt": key.expires_at.map(time),
        "createdAt": time(key.created_at), "updatedAt": time(key.updated_at), "permissions": key.permissions,
        "metadata": key.metadata,
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
        app: AppKeyChange::default(),
    }
}

/// What a body says of what only the app itself sets.
fn app_change_of(check: &mut Check<'_>) -> AppKeyChange {
    let mut whole = |name: &str| {
        let given = check.any(name).filter(|value| !value.is_null());
        if given.is_some_and(|value| value.as_i64().is_none()) {
            check.refuse(name, "Invalid input: expected a whole number");
        }
        given.and_then(Value::as_i64)
    };
    let rate_max = whole("rateLimitMax");
    let rate_window = whole("rateLimitTimeWindow");
    let remaining = whole("remaining");
    let refill_amount = whole("refillAmount");
    let refill_interval = whole("refillInterval");
    AppKeyChange {
        rate_limited: check.maybe_bool("rateLimitEnabled"),
        rate_max,
        rate_window,
        remaining: check.any("remaining").map(|_| remaining),
        refill_amount,
        refill_interval,
        permissions: check.any("permissions").map(|value| permissions_of(check, value)),
        metadata: check
            .any("metadata")
            .map(|value| (!value.is_null()).then(|| value.clone())),
    }
}

/// Resources with lists of actions; null is `None`.
fn permissions_of(check: &mut Check<'_>, value: &Value) -> Option<Permissions> {
    if value.is_null() {
        return None;
    }
    let read = serde_json::from_value(value.clone());
    if read.is_err() {
        check.refuse(
            "permissions",
            "Invalid input: expected lists of texts by resource",
        );
    }
    read.ok()
}

/// Is it the app itself that calls? It says so with its client id and secret.
async fn is_app(call: &Call) -> Result<bool, Fail> {
    let authorization = call.header("authorization").unwrap_or_default();
    let itself = call
        .doorward
        .app_is_itself(&call.door, authorization, &call.origin);
    itself.await.map_err(told)
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
    let by_app = is_app(call).await?;
    if by_app {
        new.app = app_change_of(&mut check);
    }
    check.done()?;
    new.prefix = prefix.map(str::to_owned);
    let user = if by_app {
        named
            .ok_or_else(|| code("UNAUTHORIZED_SESSION"))?
            .parse::<UserId>()
            .map_err(|_| code("USER_NOT_FOUND"))?
    } else {
        let caller = owner(call, named).await?;
        refuse_foreign(body.as_deref())?;
        caller.visit.person.user.id
    };
    let (key, open) = call
        .doorward
        .app_create_key(&call.door, user, &new, &call.origin)
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
    let by_app = is_app(call).await?;
    if by_app {
        change.app = app_change_of(&mut check);
    }
    check.done()?;
    let hand = if by_app {
        KeyHand::App
    } else {
        let caller = owner(call, named).await?;
        refuse_foreign(body.as_deref())?;
        KeyHand::Person(caller.visit.person.user.id)
    };
    let key = call
        .doorward
        .app_change_key(&call.door, hand, id, &change, &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(key_json(&key)))
}

/// differs: the recorded servers check keys within the app's own process. Ours is asked by the app's server, which proves to be the app
/// with its client id and secret; for everybody else there is no such call.
async fn verify(call: &mut Call) -> Answered {
    if !is_app(call).await? {
        return Err(Fail::nothing());
    }
    let mut check = Check::new("body", call.body.as_deref());
    let open = check.text("key");
    let wanted = check
        .any("permissions")
        .and_then(|value| permissions_of(&mut check, value));
    check.done()?;
    let wanted = wanted.unwrap_or_default();
    match call.doorward.app_check_key(&call.door, open, &wanted).await {
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
    let mut check = Check::new("body", call.body.as_deref());
    let id = check.text("keyId");
    check.done()?;
    let hand = if is_app(call).await? {
        KeyHand::App
    } else {
        let caller = call.require(Gate::Sensitive).await?;
        KeyHand::Person(caller.visit.person.user.id)
    };
    call.doorward
        .app_delete_key(&call.door, hand, id, &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(json!({ "success": true })))
}
