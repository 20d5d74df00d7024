//! Who is in an organization, and as what.

use serde_json::json;

use doorward_domain::app_auth::roles;
use doorward_domain::user::User;
use doorward_domain::{AppRecordId, Timestamp, UserId};
use doorward_store::{AppRecord, Conn, Tx};

use super::{NO_MEMBER, Which, text};
use crate::app_auth::{AppError, AppResult, Door};
use crate::sessions::Visit;
use crate::{Doorward, Origin};

pub(crate) const MEMBER: &str = "member";
/// Most people in an organization.
pub(crate) const MOST: usize = 100;

const NOT_FOUND: AppError = AppError::Code("MEMBER_NOT_FOUND");
const NOT_ALLOWED: AppError = AppError::Code("YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_MEMBER");
const ONLY_OWNER: AppError = AppError::Code("YOU_CANNOT_LEAVE_THE_ORGANIZATION_AS_THE_ONLY_OWNER");

/// Somebody in an organization.
#[derive(Clone, Debug)]
pub struct Member {
    /// Identifier.
    pub id: AppRecordId,
    /// Where.
    pub organization: AppRecordId,
    /// Who.
    pub user: UserId,
    /// As what; several with commas.
    pub role: String,
    /// Since when.
    pub created_at: Timestamp,
}

impl Member {
    fn is_owner(&self) -> bool {
        roles::has(&self.role, roles::OWNER)
    }
}

fn member_of(record: &AppRecord) -> Option<Member> {
    Some(Member {
        id: record.id,
        organization: record.parent?,
        user: record.user?,
        role: text(&record.content, "role"),
        created_at: record.created_at,
    })
}

pub(crate) fn name_key(organization: AppRecordId, user: UserId) -> String {
    format!("{organization} {user}")
}

/// Somebody's membership.
pub(crate) async fn member_in(
    conn: &Conn,
    door: &Door,
    organization: AppRecordId,
    user: UserId,
) -> AppResult<Option<Member>> {
    let name = name_key(organization, user);
    let found = conn.app_record_named(door.application.id, MEMBER, &name).await?;
    Ok(found.as_ref().and_then(member_of))
}

/// The caller's membership, in a transaction that has the organization for itself. `otherwise`: not a member.
pub(crate) async fn caller_in(
    tx: &Tx,
    door: &Door,
    visit: &Visit,
    organization: &str,
    otherwise: AppError,
) -> AppResult<(AppRecordId, Member)> {
    let Ok(id) = organization.parse() else {
        return Err(otherwise);
    };
    tx.lock_app_record(id).await?;
    match member_in(tx, door, id, visit.person.user.id).await? {
        Some(member) => Ok((id, member)),
        None => Err(otherwise),
    }
}

/// The people of an organization, the first first.
pub(crate) async fn people_in(conn: &Conn, organization: AppRecordId) -> AppResult<Vec<(Member, User)>> {
    let people = conn.app_people_within(organization, MEMBER).await?;
    Ok(people
        .into_iter()
        .filter_map(|(record, user)| Some((member_of(&record)?, user)))
        .collect())
}

impl Doorward {
    pub(crate) async fn put_member(
        &self,
        tx: &Tx,
        door: &Door,
        organization: AppRecordId,
        user: UserId,
        role: &str,
    ) -> AppResult<Member> {
        let mut record = self.app_record(door, MEMBER, self.now());
        record.parent = Some(organization);
        record.user = Some(user);
        record.name = Some(name_key(organization, user));
        record.content = json!({ "role": role });
        if !tx.add_app_record_once(&record).await? {
            return Err(AppError::Code("USER_IS_ALREADY_A_MEMBER_OF_THIS_ORGANIZATION"));
        }
        member_of(&record).ok_or(NOT_FOUND)
    }

    /// The people of an organization that the caller is in.
    ///
    /// # Errors
    /// `ORGANIZATION_NOT_FOUND`, `YOU_ARE_NOT_A_MEMBER_OF_THIS_ORGANIZATION`.
    pub async fn app_members(
        &self,
        door: &Door,
        visit: &Visit,
        which: Which<'_>,
    ) -> AppResult<Vec<(Member, User)>> {
        let (organization, _) =
            self.app_organization(door, visit, which)
                .await
                .map_err(|error| match error {
                    // Whether there is such an organization is nobody's business who is not in it.
                    AppError::Code(_) => AppError::Code("YOU_ARE_NOT_A_MEMBER_OF_THIS_ORGANIZATION"),
                    error => error,
                })?;
        people_in(&self.store()?.read(), organization.id).await
    }

    /// Somebody's membership in an organization that the caller is in.
    ///
    /// # Errors
    /// `YOU_ARE_NOT_A_MEMBER_OF_THIS_ORGANIZATION` for the caller, `MEMBER_NOT_FOUND` for the other.
    pub async fn app_member(
        &self,
        door: &Door,
        visit: &Visit,
        which: Which<'_>,
        user: Option<&str>,
    ) -> AppResult<(Member, User)> {
        let people = self.app_members(door, visit, which).await?;
        let own = visit.person.user.id.to_string();
        let wanted = user.unwrap_or(&own);
        people
            .into_iter()
            .find(|(member, _)| member.user.to_string() == wanted)
            .ok_or(NOT_FOUND)
    }

    /// Gives a member other roles.
    ///
    /// # Errors
    /// Codes of the wire contract; `ROLE_NOT_FOUND` with the role.
    pub async fn app_change_member(
        &self,
        door: &Door,
        visit: &Visit,
        (organization, member): (&str, &str),
        wanted: &[String],
        origin: &Origin,
    ) -> AppResult<Member> {
        let tx = self.store()?.begin().await?;
        let (id, caller) = caller_in(&tx, door, visit, organization, NOT_FOUND).await?;
        let found = super::record_in(&tx, door, MEMBER, member).await?;
        let Some(mut record) = found.filter(|record| record.parent == Some(id)) else {
            return Err(NOT_FOUND);
        };
        let target = member_of(&record).ok_or(NOT_FOUND)?;
        let known = |role: &str| roles::of_organization(role).is_some();
        let given = roles::joined(wanted.iter().map(String::as_str), known);
        let makes_owner = given.as_ref().is_ok_and(|role| roles::has(role, roles::OWNER));
        if (target.is_owner() || makes_owner) && !caller.is_owner() {
            return Err(NOT_ALLOWED);
        }
        if !roles::may(&caller.role, "member", "update") {
            return Err(NOT_ALLOWED);
        }
        let role =
            given.map_err(|role| AppError::Said("ROLE_NOT_FOUND", format!("ROLE_NOT_FOUND: {role}")))?;
        if target.is_owner() && !makes_owner && owners(&tx, id).await? <= 1 {
            return Err(AppError::Code(
                "YOU_CANNOT_LEAVE_THE_ORGANIZATION_WITHOUT_AN_OWNER",
            ));
        }
        record.content = json!({ "role": role });
        record.updated_at = self.now();
        tx.save_app_record(&record).await?;
        let details = json!({
            "what": "member changed", "organization": id.to_string(), "member": target.user.to_string(), "role": role,
        });
        self.note_in_app(&tx, door, caller.user, details, origin).await?;
        tx.commit().await?;
        member_of(&record).ok_or(NOT_FOUND)
    }

    /// Removes a member, by the membership's id or the person's address. Gives who it was.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_remove_member(
        &self,
        door: &Door,
        visit: &Visit,
        organization: &str,
        whom: &str,
        origin: &Origin,
    ) -> AppResult<(Member, User)> {
        let tx = self.store()?.begin().await?;
        let (id, caller) = caller_in(&tx, door, visit, organization, NOT_FOUND).await?;
        let address = whom.contains('@').then(|| whom.to_lowercase());
        let people = people_in(&tx, id).await?;
        let wanted = |(member, user): &(Member, User)| match &address {
            Some(address) => user.email.as_ref() == Some(address),
            None => member.id.to_string() == whom,
        };
        let Some((target, user)) = people.iter().find(|pair| wanted(pair)).cloned() else {
            return Err(NOT_FOUND);
        };
        let owners = people.iter().filter(|(member, _)| member.is_owner()).count();
        if target.is_owner() && (!caller.is_owner() || owners <= 1) {
            return Err(ONLY_OWNER);
        }
        if !roles::may(&caller.role, "member", "delete") {
            return Err(AppError::Code("YOU_ARE_NOT_ALLOWED_TO_DELETE_THIS_MEMBER"));
        }
        self.drop_member(&tx, door, (&caller, &target), "member removed", origin)
            .await?;
        tx.commit().await?;
        self.app_leave_sessions(door, target.user, Some(id), None).await?;
        Ok((target, user))
    }

    /// The caller leaves.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_leave_organization(
        &self,
        door: &Door,
        visit: &Visit,
        organization: &str,
        origin: &Origin,
    ) -> AppResult<(Member, User)> {
        let tx = self.store()?.begin().await?;
        let (id, caller) = caller_in(&tx, door, visit, organization, NOT_FOUND).await?;
        if caller.is_owner() && owners(&tx, id).await? <= 1 {
            return Err(ONLY_OWNER);
        }
        self.drop_member(&tx, door, (&caller, &caller), "member left", origin)
            .await?;
        tx.commit().await?;
        self.app_leave_sessions(door, caller.user, Some(id), None).await?;
        Ok((caller, visit.person.user.clone()))
    }

    /// Takes a member out, also of the teams.
    async fn drop_member(
        &self,
        tx: &Tx,
        door: &Door,
        (caller, target): (&Member, &Member),
        what: &str,
        origin: &Origin,
    ) -> AppResult<()> {
        let teams = super::teams::all_in(tx, target.organization).await?;
        let mine = tx
            .app_records_of(door.application.id, target.user, super::teams::TEAM_MEMBER)
            .await?;
        for place in mine
            .iter()
            .filter(|place| teams.iter().any(|team| Some(team.id) == place.parent))
        {
            tx.remove_app_record(place.id).await?;
        }
        tx.remove_app_record(target.id).await?;
        let details = json!({
            "what": what, "organization": target.organization.to_string(), "member": target.user.to_string(),
        });
        self.note_in_app(tx, door, caller.user, details, origin).await
    }

    /// May the caller do all of this in an organization?
    ///
    /// # Errors
    /// `USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION`.
    pub async fn app_organization_allows(
        &self,
        door: &Door,
        visit: &Visit,
        organization: &str,
        wanted: &roles::Wanted,
    ) -> AppResult<bool> {
        let (_, member) = self
            .app_organization(door, visit, Which::Id(organization))
            .await
            .map_err(|error| match error {
                AppError::Code(_) => NO_MEMBER,
                error => error,
            })?;
        Ok(roles::organization_allows(&member.role, wanted))
    }
}

async fn owners(tx: &Tx, organization: AppRecordId) -> AppResult<usize> {
    let people = people_in(tx, organization).await?;
    Ok(people.iter().filter(|(member, _)| member.is_owner()).count())
}
