//! Ways in that a person has (contract section 1.8).

use serde_json::{Value, json};

use super::call::{Call, Gate};
use super::check::Check;
use super::{Answer, Answered, wire};

pub(super) async fn list(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Session).await?;
    let user = &caller.visit.person.user;
    let ways = call.doorward.app_ways(&call.door, user).await?;
    let list: Vec<Value> = ways.iter().map(|way| wire::account(way, user)).collect();
    Ok(Answer::Json(Value::Array(list)))
}

pub(super) async fn unlink(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let provider = check.maybe_text("providerId");
    // 1.7 names the row, 1.6 the provider and perhaps the account there.
    let account = if provider.is_some() {
        check.maybe_text("accountId")
    } else {
        Some(check.text("accountId"))
    };
    check.done()?;
    let caller = call.require(Gate::Fresh).await?;
    let wanted = |way: &doorward_core::app_auth::accounts::Way| match provider {
        Some(provider) => {
            way.provider == provider
                && account.is_none_or(|account| way.account == account || way.id == account)
        }
        None => account == Some(way.id.as_str()),
    };
    call.doorward
        .app_unlink(&call.door, &caller.visit.person.user, wanted)
        .await?;
    Ok(Answer::Json(json!({ "status": true })))
}
