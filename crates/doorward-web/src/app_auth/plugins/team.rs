//! Teams within organizations (contract section 5.6).

use http::StatusCode;
use serde_json::{Value, json};

use doorward_core::app_auth::AppError;
use doorward_core::app_auth::organizations::teams::{Team, TeamMember};

use super::super::Answer;
use super::organization::{NO_MEMBER, active, keep, named};
use super::wire::time;
use super::{Answered, Call, Caller, Check, Fail, Gate, code, told, told_as, with};

pub(super) fn team(one: &Team) -> Value {
    json!({
        "name": one.name, "organizationId": one.organization.to_string(), "createdAt": time(one.created_at),
        "updatedAt": one.updated_at.map(time), "id": one.id.to_string(),
    })
}

fn team_member(one: &TeamMember) -> Value {
    json!({
        "teamId": one.team.to_string(), "userId": one.user.to_string(), "createdAt": time(one.created_at), "id": one.id.to_string(),
    })
}

pub(super) async fn create_team(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let name = check.text("name");
    let id = check.maybe_text("organizationId");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let id = named(id, &caller, "NO_ACTIVE_ORGANIZATION")?;
    let made = call
        .doorward
        .app_create_team(&call.door, &caller.visit, &id, name, &call.origin)
        .await
        .map_err(|error| told_as(error, NO_MEMBER, StatusCode::FORBIDDEN))?;
    Ok(Answer::Json(team(&made)))
}

pub(super) async fn update_team(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut outer = Check::new("body", body.as_deref());
    let which = outer.text("teamId");
    if !outer.any("data").is_some_and(Value::is_object) {
        outer.refuse("data", "Invalid input: expected object, received undefined");
    }
    outer.done()?;
    let data = body.as_ref().and_then(|body| body.get("data"));
    let mut check = Check::new("body.data", data);
    let name = check.maybe_text("name");
    let id = check.maybe_text("organizationId");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let id = named(id, &caller, "NO_ACTIVE_ORGANIZATION")?;
    let changed = call
        .doorward
        .app_rename_team(&call.door, &caller.visit, (&id, which), name, &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(team(&changed)))
}

pub(super) async fn remove_team(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let which = check.text("teamId");
    let id = check.maybe_text("organizationId");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let id = named(id, &caller, "NO_ACTIVE_ORGANIZATION")?;
    call.doorward
        .app_remove_team(&call.door, &caller.visit, &id, which, &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(json!({ "message": "Team removed successfully." })))
}

pub(super) async fn list_teams(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Sensitive).await?;
    let id = named(call.asked("organizationId"), &caller, "NO_ACTIVE_ORGANIZATION")?;
    let found = call
        .doorward
        .app_teams(&call.door, &caller.visit, &id)
        .await
        .map_err(told)?;
    Ok(Answer::Json(found.iter().map(team).collect()))
}

pub(super) async fn set_active_team(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let given = check.nullable_text("teamId");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let current = caller.visit.session.app.as_ref().and_then(|app| app.team.clone());
    let wanted = match (given, &current) {
        (Some(wanted), _) => wanted,
        (None, Some(current)) => Some(current.as_str()),
        (None, None) => return Ok(Answer::Json(Value::Null)),
    };
    let home = active(&caller);
    let found = call
        .doorward
        .app_set_active_team(&call.door, &caller.visit, home.as_deref(), wanted)
        .await
        .map_err(|error| match error {
            AppError::Code("USER_IS_NOT_A_MEMBER_OF_THE_TEAM" | NO_MEMBER) => {
                with(StatusCode::FORBIDDEN, "USER_IS_NOT_A_MEMBER_OF_THE_TEAM")
            }
            error => told(error),
        })?;
    keep(call, &caller)?;
    Ok(Answer::Json(found.as_ref().map_or(Value::Null, team)))
}

pub(super) async fn list_own_teams(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Sensitive).await?;
    let found = call
        .doorward
        .app_own_teams(&call.door, &caller.visit)
        .await
        .map_err(told)?;
    Ok(Answer::Json(found.iter().map(team).collect()))
}

pub(super) async fn list_team_members(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Sensitive).await?;
    let current = caller.visit.session.app.as_ref().and_then(|app| app.team.clone());
    let given = call.asked("teamId").filter(|text| !text.is_empty());
    let wanted = given.map(str::to_owned).or(current);
    let wanted = wanted.ok_or_else(|| code("YOU_DO_NOT_HAVE_AN_ACTIVE_TEAM"))?;
    let found = call
        .doorward
        .app_team_members(&call.door, &caller.visit, &wanted)
        .await
        .map_err(told)?;
    Ok(Answer::Json(found.iter().map(team_member).collect()))
}

/// Team and person of a call about both, and the session's organization.
async fn place(call: &Call) -> Result<(Caller, String, String, String), Fail> {
    let mut check = Check::new("body", call.body.as_deref());
    let team = check.text("teamId").to_owned();
    let user = check.text("userId").to_owned();
    let id = check.maybe_text("organizationId").map(str::to_owned);
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let id = named(id.as_deref(), &caller, "NO_ACTIVE_ORGANIZATION")?;
    Ok((caller, id, team, user))
}

pub(super) async fn add_team_member(call: &mut Call) -> Answered {
    let (caller, id, team, user) = place(call).await?;
    let made = call
        .doorward
        .app_add_team_member(&call.door, &caller.visit, &id, (&team, &user), &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(team_member(&made)))
}

pub(super) async fn remove_team_member(call: &mut Call) -> Answered {
    let (caller, id, team, user) = place(call).await?;
    call.doorward
        .app_remove_team_member(&call.door, &caller.visit, &id, (&team, &user), &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(
        json!({ "message": "Team member removed successfully." }),
    ))
}
