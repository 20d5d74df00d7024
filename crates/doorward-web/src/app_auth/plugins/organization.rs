//! Organizations with members, invitations and teams (contract section 5.6).

use http::StatusCode;
use serde_json::{Value, json};

use doorward_core::app_auth::organizations::invitations::{Invitation, NewInvitation};
use doorward_core::app_auth::organizations::members::Member;
use doorward_core::app_auth::organizations::{Organization, OrganizationChange, Which};
use doorward_core::app_auth::people::Remember;
use doorward_domain::user::User;

use super::super::Answer;
use super::super::check::is_email;
use super::team;
use super::wire::time;
use super::{
    Answered, Call, Caller, Check, Fail, Gate, choose, code, filled, maybe_object, number, require_quietly,
    texts, told, told_as, wanted, with,
};

pub(super) const NO_MEMBER: &str = "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION";

/// Routes below `/organization/`.
pub(super) async fn route(call: &mut Call, get: bool, what: &str) -> Answered {
    match (get, what) {
        (false, "create") => create(call).await,
        (false, "update") => update(call).await,
        (false, "delete") => delete(call).await,
        (false, "set-active") => set_active(call).await,
        (true, "get-organization") => short(call).await,
        (true, "get-full-organization") => whole(call).await,
        (true, "list") => list(call).await,
        (false, "check-slug") => check_slug(call).await,
        (false, "invite-member") => invite(call).await,
        (false, "accept-invitation") => answer(call, true).await,
        (false, "reject-invitation") => answer(call, false).await,
        (false, "cancel-invitation") => cancel(call).await,
        (true, "get-invitation") => get_invitation(call).await,
        (true, "list-invitations") => list_invitations(call).await,
        (true, "list-user-invitations") => list_own_invitations(call).await,
        (true, "list-members") => list_members(call).await,
        (true, "get-active-member") => active_member(call).await,
        (true, "get-active-member-role") => active_role(call).await,
        (false, "update-member-role") => update_role(call).await,
        (false, "remove-member") => remove_member(call).await,
        (false, "leave") => leave(call).await,
        (false, "has-permission") => has_permission(call).await,
        (false, "create-team") => team::create_team(call).await,
        (false, "update-team") => team::update_team(call).await,
        (false, "remove-team") => team::remove_team(call).await,
        (true, "list-teams") => team::list_teams(call).await,
        (false, "set-active-team") => team::set_active_team(call).await,
        (true, "list-user-teams") => team::list_own_teams(call).await,
        (true, "list-team-members") => team::list_team_members(call).await,
        (false, "add-team-member") => team::add_team_member(call).await,
        (false, "remove-team-member") => team::remove_team_member(call).await,
        _ => Err(Fail::nothing()),
    }
}

fn organization(one: &Organization) -> Value {
    json!({
        "name": one.name, "slug": one.slug, "logo": one.logo, "createdAt": time(one.created_at),
        // differs: always an object; the recorded servers sometimes give the text that they keep (contract section 5.6).
        "metadata": one.metadata, "id": one.id.to_string(),
    })
}

fn member(one: &Member) -> Value {
    json!({
        "organizationId": one.organization.to_string(), "userId": one.user.to_string(), "role": one.role,
        "createdAt": time(one.created_at), "id": one.id.to_string(),
    })
}

fn added(mut value: Value, more: Value) -> Value {
    if let (Value::Object(map), Value::Object(more)) = (&mut value, more) {
        map.extend(more);
    }
    value
}

fn member_with(one: &Member, user: &User) -> Value {
    let user = json!({
        "id": user.id.to_string(), "name": user.name, "email": user.email.as_deref().unwrap_or_default(), "image": user.app.image,
    });
    added(member(one), json!({ "user": user }))
}

fn invitation(one: &Invitation) -> Value {
    json!({
        "organizationId": one.organization.to_string(), "email": one.email, "role": one.role, "teamId": one.team,
        "status": one.status, "expiresAt": time(one.expires_at), "createdAt": time(one.created_at), "inviterId": one.inviter,
        "id": one.id.to_string(),
    })
}

/// The organization that the session is about.
pub(super) fn active(caller: &Caller) -> Option<String> {
    caller.visit.session.app.as_ref()?.organization.clone()
}

/// The organization that is named, or the session's.
pub(super) fn named(given: Option<&str>, caller: &Caller, none: &str) -> Result<String, Fail> {
    let given = given.filter(|text| !text.is_empty()).map(str::to_owned);
    given.or_else(|| active(caller)).ok_or_else(|| code(none))
}

/// The organization that a query names, or the session's.
fn asked(call: &Call, caller: &Caller) -> Option<(bool, String)> {
    let of = |name: &str| {
        call.asked(name)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    if let Some(slug) = of("organizationSlug") {
        return Some((true, slug));
    }
    of("organizationId")
        .or_else(|| active(caller))
        .map(|id| (false, id))
}

fn which(asked: &(bool, String)) -> Which<'_> {
    if asked.0 {
        Which::Slug(&asked.1)
    } else {
        Which::Id(&asked.1)
    }
}

/// The session's cookie once more, as the recorded servers send it when the session's organization or team changed.
pub(super) fn keep(call: &mut Call, caller: &Caller) -> Result<(), Fail> {
    let remember = if call.was_short()? {
        Remember::No
    } else {
        Remember::Yes
    };
    call.keep_session(&caller.token, remember)
}

fn change_of(check: &mut Check<'_>) -> OrganizationChange {
    OrganizationChange {
        logo: check
            .nullable_text("logo")
            .map(|logo| logo.filter(|text| !text.is_empty()).map(str::to_owned)),
        metadata: maybe_object(check, "metadata").map(|map| map.cloned().map(Value::Object)),
        ..OrganizationChange::default()
    }
}

async fn create(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let name = filled(&mut check, "name");
    let slug = filled(&mut check, "slug");
    let keep_active = check.maybe_bool("keepCurrentActiveOrganization") == Some(true);
    let new = OrganizationChange {
        name: Some(name.to_owned()),
        slug: Some(slug.to_owned()),
        ..change_of(&mut check)
    };
    check.done()?;
    let caller = require_quietly(call).await?;
    let (made, owner) = call
        .doorward
        .app_create_organization(&call.door, &caller.visit, &new, keep_active, &call.origin)
        .await
        .map_err(told)?;
    let members = json!([member(&owner)]);
    Ok(Answer::Json(added(
        organization(&made),
        json!({ "members": members }),
    )))
}

async fn update(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut outer = Check::new("body", body.as_deref());
    let id = outer.maybe_text("organizationId");
    if !outer.any("data").is_some_and(Value::is_object) {
        outer.refuse("data", "Invalid input: expected object, received undefined");
    }
    outer.done()?;
    let data = body.as_ref().and_then(|body| body.get("data"));
    let mut check = Check::new("body.data", data);
    let some = |check: &mut Check<'_>, name: &str| check.any(name).map(|_| filled(check, name).to_owned());
    let change = OrganizationChange {
        name: some(&mut check, "name"),
        slug: some(&mut check, "slug"),
        ..change_of(&mut check)
    };
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let id = named(id, &caller, "ORGANIZATION_NOT_FOUND")?;
    let changed = call
        .doorward
        .app_change_organization(&call.door, &caller.visit, &id, &change, &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(organization(&changed)))
}

async fn delete(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let id = check.text("organizationId");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let gone = call
        .doorward
        .app_delete_organization(&call.door, &caller.visit, id, &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(organization(&gone)))
}

async fn set_active(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let id = check.nullable_text("organizationId");
    let slug = check.maybe_text("organizationSlug");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let current = active(&caller);
    let chosen = match (id, slug, current.as_deref()) {
        (Some(None), ..) => None,
        (Some(Some(id)), ..) => Some(Which::Id(id)),
        (None, Some(slug), _) => Some(Which::Slug(slug)),
        (None, None, Some(current)) => Some(Which::Id(current)),
        (None, None, None) => return Ok(Answer::Json(Value::Null)),
    };
    let found = call
        .doorward
        .app_set_active_organization(&call.door, &caller.visit, chosen)
        .await;
    let found = match found {
        Err(error) if matches!(chosen, Some(Which::Id(_))) => {
            // Whether there is one of this id is nobody's business who is not in it.
            let fail = told(error);
            let unknown = matches!(fail.code_text(), Some("ORGANIZATION_NOT_FOUND" | NO_MEMBER));
            return Err(if unknown {
                with(StatusCode::FORBIDDEN, NO_MEMBER)
            } else {
                fail
            });
        }
        other => other.map_err(|error| told_as(error, NO_MEMBER, StatusCode::FORBIDDEN))?,
    };
    let Some(found) = found else {
        return Ok(Answer::Json(Value::Null));
    };
    keep(call, &caller)?;
    Ok(Answer::Json(organization(&found)))
}

async fn short(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Sensitive).await?;
    let Some(asked) = asked(call, &caller) else {
        return Ok(Answer::Json(Value::Null));
    };
    let (found, _) = call
        .doorward
        .app_organization(&call.door, &caller.visit, which(&asked))
        .await
        .map_err(|error| told_as(error, NO_MEMBER, StatusCode::FORBIDDEN))?;
    Ok(Answer::Json(organization(&found)))
}

async fn whole(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Sensitive).await?;
    let Some(asked) = asked(call, &caller) else {
        return Ok(Answer::Json(Value::Null));
    };
    let limit = number(call, "membersLimit").unwrap_or(100);
    let found = call
        .doorward
        .app_whole_organization(&call.door, &caller.visit, which(&asked))
        .await
        .map_err(|error| told_as(error, NO_MEMBER, StatusCode::FORBIDDEN))?;
    let invitations: Vec<Value> = found.invitations.iter().map(invitation).collect();
    let people = found.people.iter().take(limit);
    let members: Vec<Value> = people.map(|(one, user)| member_with(one, user)).collect();
    let teams = found
        .teams
        .iter()
        .map(|(one, count)| added(team::team(one), json!({ "memberCount": count })));
    let teams: Vec<Value> = teams.collect();
    let more = json!({ "invitations": invitations, "members": members, "teams": teams });
    Ok(Answer::Json(added(organization(&found.organization), more)))
}

async fn list(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Sensitive).await?;
    let found = call
        .doorward
        .app_organizations(&call.door, &caller.visit)
        .await
        .map_err(told)?;
    Ok(Answer::Json(found.iter().map(organization).collect()))
}

async fn check_slug(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let slug = check.text("slug");
    check.done()?;
    call.require(Gate::Sensitive).await?;
    let taken = call.doorward.app_slug_is_taken(&call.door, slug).await;
    if taken.map_err(told)? {
        return Err(code("ORGANIZATION_SLUG_ALREADY_TAKEN"));
    }
    Ok(Answer::Json(json!({ "status": true })))
}

async fn invite(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let email = check.text("email").to_lowercase();
    let roles = texts(&mut check, "role");
    let id = check.maybe_text("organizationId");
    let resend = check.maybe_bool("resend") == Some(true);
    let teams = match check.any("teamId") {
        None | Some(Value::Null) => Vec::new(),
        Some(_) => texts(&mut check, "teamId"),
    };
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let id = named(id, &caller, "ORGANIZATION_NOT_FOUND")?;
    if !is_email(&email) {
        return Err(code("INVALID_EMAIL"));
    }
    let new = NewInvitation {
        email: &email,
        roles: &roles,
        // differs: into one team.
        team: teams.first().map(String::as_str),
        resend,
    };
    let made = call
        .doorward
        .app_invite(&call.door, &caller.visit, &id, &new, &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(invitation(&made)))
}

async fn answer(call: &mut Call, accept: bool) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let id = check.text("invitationId");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let (answered, joined) = call
        .doorward
        .app_answer_invitation(&call.door, &caller.visit, id, accept, &call.origin)
        .await
        .map_err(told)?;
    if accept && answered.team.is_some() {
        keep(call, &caller)?;
    }
    let joined = joined.as_ref().map(member);
    Ok(Answer::Json(
        json!({ "invitation": invitation(&answered), "member": joined }),
    ))
}

async fn cancel(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let id = check.text("invitationId");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let canceled = call
        .doorward
        .app_cancel_invitation(&call.door, &caller.visit, id, &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(invitation(&canceled)))
}

async fn get_invitation(call: &mut Call) -> Answered {
    let query = call.query.clone();
    let mut check = Check::new("query", Some(&query));
    let id = check.text("id");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let (found, home, inviter) = call
        .doorward
        .app_invitation(&call.door, &caller.visit, id)
        .await
        .map_err(told)?;
    let more =
        json!({ "organizationName": home.name, "organizationSlug": home.slug, "inviterEmail": inviter });
    Ok(Answer::Json(added(invitation(&found), more)))
}

async fn list_invitations(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Sensitive).await?;
    let id = named(call.asked("organizationId"), &caller, "ORGANIZATION_NOT_FOUND")?;
    let found = call
        .doorward
        .app_invitations(&call.door, &caller.visit, &id)
        .await
        .map_err(told)?;
    Ok(Answer::Json(found.iter().map(invitation).collect()))
}

async fn list_own_invitations(call: &mut Call) -> Answered {
    if call.asked("email").is_some() {
        let text = "User email cannot be passed for client side API calls.";
        return Err(Fail::plain(StatusCode::BAD_REQUEST, text));
    }
    let caller = call.require(Gate::Sensitive).await?;
    let found = call
        .doorward
        .app_own_invitations(&call.door, &caller.visit)
        .await
        .map_err(told)?;
    let list = found
        .iter()
        .map(|(one, name)| added(invitation(one), json!({ "organizationName": name })));
    Ok(Answer::Json(list.collect()))
}

async fn list_members(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Sensitive).await?;
    let asked = asked(call, &caller).ok_or_else(|| code("NO_ACTIVE_ORGANIZATION"))?;
    let people = call
        .doorward
        .app_members(&call.door, &caller.visit, which(&asked))
        .await
        .map_err(told)?;
    let mut list: Vec<Value> = people.iter().map(|(one, user)| member_with(one, user)).collect();
    choose(&mut list, call);
    let total = list.len();
    let (offset, limit) = (number(call, "offset"), number(call, "limit"));
    let page: Vec<Value> = list
        .into_iter()
        .skip(offset.unwrap_or(0))
        .take(limit.unwrap_or(100))
        .collect();
    Ok(Answer::Json(json!({ "members": page, "total": total })))
}

async fn active_member(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Sensitive).await?;
    let id = named(None, &caller, "NO_ACTIVE_ORGANIZATION")?;
    let found = call
        .doorward
        .app_member(&call.door, &caller.visit, Which::Id(&id), None)
        .await;
    let (one, user) = found.map_err(|error| match told(error) {
        fail if fail.code_text() == Some("YOU_ARE_NOT_A_MEMBER_OF_THIS_ORGANIZATION") => {
            code("MEMBER_NOT_FOUND")
        }
        fail => fail,
    })?;
    Ok(Answer::Json(member_with(&one, &user)))
}

async fn active_role(call: &mut Call) -> Answered {
    let caller = call.require(Gate::Sensitive).await?;
    let asked = asked(call, &caller).ok_or_else(|| code("NO_ACTIVE_ORGANIZATION"))?;
    let user = call.asked("userId").filter(|text| !text.is_empty());
    let (one, _) = call
        .doorward
        .app_member(&call.door, &caller.visit, which(&asked), user)
        .await
        .map_err(told)?;
    Ok(Answer::Json(json!({ "role": one.role })))
}

async fn update_role(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let whom = check.text("memberId");
    let roles = texts(&mut check, "role");
    let id = check.maybe_text("organizationId");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let id = named(id, &caller, "NO_ACTIVE_ORGANIZATION")?;
    let changed = call
        .doorward
        .app_change_member(&call.door, &caller.visit, (&id, whom), &roles, &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(member(&changed)))
}

async fn remove_member(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let whom = check.text("memberIdOrEmail");
    let id = check.maybe_text("organizationId");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let id = named(id, &caller, "ORGANIZATION_NOT_FOUND")?;
    let (one, user) = call
        .doorward
        .app_remove_member(&call.door, &caller.visit, &id, whom, &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(json!({ "member": member_with(&one, &user) })))
}

async fn leave(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let id = check.text("organizationId");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let (one, user) = call
        .doorward
        .app_leave_organization(&call.door, &caller.visit, id, &call.origin)
        .await
        .map_err(told)?;
    Ok(Answer::Json(member_with(&one, &user)))
}

async fn has_permission(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let wanted = wanted(body.as_deref())?;
    let mut check = Check::new("body", body.as_deref());
    let id = check.maybe_text("organizationId");
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    let id = named(id, &caller, "NO_ACTIVE_ORGANIZATION")?;
    let allowed = call
        .doorward
        .app_organization_allows(&call.door, &caller.visit, &id, &wanted)
        .await
        .map_err(|error| told_as(error, NO_MEMBER, StatusCode::UNAUTHORIZED))?;
    Ok(Answer::Json(json!({ "error": null, "success": allowed })))
}
