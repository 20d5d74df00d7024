//! Teams within an organization.

use serde_json::json;

use doorward_domain::app_auth::roles;
use doorward_domain::{AppRecordId, Timestamp, UserId};
use doorward_store::{AppRecord, Conn, Tx};

use super::members::{caller_in, member_in};
use super::{NO_MEMBER, Which, clean, record_in, text};
use crate::app_auth::{AppError, AppResult, Door};
use crate::sessions::Visit;
use crate::{Doorward, Origin};

pub(crate) const TEAM: &str = "team";
pub(crate) const TEAM_MEMBER: &str = "team_member";
/// Most teams in an organization.
const MOST: usize = 100;

const NOT_FOUND: AppError = AppError::Code("TEAM_NOT_FOUND");
const NOT_IN_TEAM: AppError = AppError::Code("USER_IS_NOT_A_MEMBER_OF_THE_TEAM");

/// A team.
#[derive(Clone, Debug)]
pub struct Team {
    /// Identifier.
    pub id: AppRecordId,
    /// Of which organization.
    pub organization: AppRecordId,
    /// Name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed; the first team of an organization has none until then.
    pub updated_at: Option<Timestamp>,
}

/// Somebody in a team.
#[derive(Clone, Debug)]
pub struct TeamMember {
    /// Identifier.
    pub id: AppRecordId,
    /// Which team.
    pub team: AppRecordId,
    /// Who.
    pub user: UserId,
    /// Since when.
    pub created_at: Timestamp,
}

fn team_of(record: &AppRecord) -> Option<Team> {
    let first = record.content.get("first") == Some(&json!(true));
    Some(Team {
        id: record.id,
        organization: record.parent?,
        name: text(&record.content, "name"),
        created_at: record.created_at,
        updated_at: (!first).then_some(record.updated_at),
    })
}

fn team_member_of(record: &AppRecord) -> Option<TeamMember> {
    Some(TeamMember {
        id: record.id,
        team: record.parent?,
        user: record.user?,
        created_at: record.created_at,
    })
}

/// The teams of an organization.
pub(crate) async fn all_in(conn: &Conn, organization: AppRecordId) -> AppResult<Vec<Team>> {
    let records = conn.app_records_within(organization, TEAM).await?;
    Ok(records.iter().filter_map(team_of).collect())
}

/// A team of this organization.
pub(crate) async fn team_in(
    conn: &Conn,
    door: &Door,
    organization: AppRecordId,
    id: &str,
) -> AppResult<Option<Team>> {
    let found = record_in(conn, door, TEAM, id).await?;
    Ok(found
        .as_ref()
        .and_then(team_of)
        .filter(|team| team.organization == organization))
}

async fn place_in(conn: &Conn, door: &Door, team: AppRecordId, user: UserId) -> AppResult<Option<AppRecord>> {
    let name = format!("{team} {user}");
    Ok(conn
        .app_record_named(door.application.id, TEAM_MEMBER, &name)
        .await?)
}

impl Doorward {
    pub(crate) async fn put_team(
        &self,
        tx: &Tx,
        door: &Door,
        organization: AppRecordId,
        name: &str,
        first: bool,
    ) -> AppResult<Team> {
        let mut record = self.app_record(door, TEAM, self.now());
        record.parent = Some(organization);
        record.content = json!({ "name": name, "first": first });
        tx.add_app_record(&record).await?;
        team_of(&record).ok_or(NOT_FOUND)
    }

    pub(crate) async fn put_team_member(
        &self,
        tx: &Tx,
        door: &Door,
        team: AppRecordId,
        user: UserId,
        now: Timestamp,
    ) -> AppResult<TeamMember> {
        let mut record = self.app_record(door, TEAM_MEMBER, now);
        record.parent = Some(team);
        record.user = Some(user);
        record.name = Some(format!("{team} {user}"));
        record.content = json!({});
        if !tx.add_app_record_once(&record).await?
            && let Some(known) = place_in(tx, door, team, user).await?
        {
            record = known;
        }
        team_member_of(&record).ok_or(NOT_IN_TEAM)
    }

    /// Makes a team.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_create_team(
        &self,
        door: &Door,
        visit: &Visit,
        organization: &str,
        name: &str,
        origin: &Origin,
    ) -> AppResult<Team> {
        let tx = self.store()?.begin().await?;
        let (id, caller) = caller_in(&tx, door, visit, organization, NO_MEMBER).await?;
        if !roles::may(&caller.role, "team", "create") {
            return Err(AppError::Code(
                "YOU_ARE_NOT_ALLOWED_TO_CREATE_TEAMS_IN_THIS_ORGANIZATION",
            ));
        }
        if all_in(&tx, id).await?.len() >= MOST {
            return Err(AppError::Code("YOU_HAVE_REACHED_THE_MAXIMUM_NUMBER_OF_TEAMS"));
        }
        let team = self.put_team(&tx, door, id, &clean(name, 200), false).await?;
        let details =
            json!({ "what": "team created", "organization": id.to_string(), "team": team.id.to_string() });
        self.note_in_app(&tx, door, caller.user, details, origin).await?;
        tx.commit().await?;
        Ok(team)
    }

    /// Renames a team of an organization.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_rename_team(
        &self,
        door: &Door,
        visit: &Visit,
        (organization, team): (&str, &str),
        name: Option<&str>,
        origin: &Origin,
    ) -> AppResult<Team> {
        let tx = self.store()?.begin().await?;
        let (id, caller) = caller_in(&tx, door, visit, organization, NO_MEMBER).await?;
        if !roles::may(&caller.role, "team", "update") {
            return Err(AppError::Code("YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_TEAM"));
        }
        let found = record_in(&tx, door, TEAM, team).await?;
        let Some(mut record) = found.filter(|record| record.parent == Some(id)) else {
            return Err(NOT_FOUND);
        };
        let name = name.map_or_else(|| text(&record.content, "name"), |name| clean(name, 200));
        record.content = json!({ "name": name });
        record.updated_at = self.now();
        tx.save_app_record(&record).await?;
        let details =
            json!({ "what": "team changed", "organization": id.to_string(), "team": record.id.to_string() });
        self.note_in_app(&tx, door, caller.user, details, origin).await?;
        tx.commit().await?;
        team_of(&record).ok_or(NOT_FOUND)
    }

    /// Removes a team, never the last one.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_remove_team(
        &self,
        door: &Door,
        visit: &Visit,
        organization: &str,
        team: &str,
        origin: &Origin,
    ) -> AppResult<()> {
        let tx = self.store()?.begin().await?;
        let not_allowed = || AppError::Code("YOU_ARE_NOT_ALLOWED_TO_DELETE_TEAMS_IN_THIS_ORGANIZATION");
        let (id, caller) = caller_in(&tx, door, visit, organization, not_allowed()).await?;
        if !roles::may(&caller.role, "team", "delete") {
            return Err(not_allowed());
        }
        let team = team_in(&tx, door, id, team).await?.ok_or(NOT_FOUND)?;
        if all_in(&tx, id).await?.len() <= 1 {
            return Err(AppError::Code("UNABLE_TO_REMOVE_LAST_TEAM"));
        }
        let people = tx.app_records_within(team.id, TEAM_MEMBER).await?;
        tx.remove_app_record(team.id).await?;
        let details =
            json!({ "what": "team removed", "organization": id.to_string(), "team": team.id.to_string() });
        self.note_in_app(&tx, door, caller.user, details, origin).await?;
        tx.commit().await?;
        for user in people.iter().filter_map(|place| place.user) {
            self.app_leave_sessions(door, user, None, Some(team.id)).await?;
        }
        Ok(())
    }

    /// The teams of an organization that the caller is in.
    ///
    /// # Errors
    /// `YOU_ARE_NOT_ALLOWED_TO_ACCESS_THIS_ORGANIZATION`.
    pub async fn app_teams(&self, door: &Door, visit: &Visit, organization: &str) -> AppResult<Vec<Team>> {
        let (organization, _) = self
            .app_organization(door, visit, Which::Id(organization))
            .await
            .map_err(|error| match error {
                AppError::Code(_) => AppError::Code("YOU_ARE_NOT_ALLOWED_TO_ACCESS_THIS_ORGANIZATION"),
                error => error,
            })?;
        all_in(&self.store()?.read(), organization.id).await
    }

    /// The teams that the caller is in.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_own_teams(&self, door: &Door, visit: &Visit) -> AppResult<Vec<Team>> {
        let conn = self.store()?.read();
        let mine = conn
            .app_records_of(door.application.id, visit.person.user.id, TEAM_MEMBER)
            .await?;
        let mut found = Vec::new();
        for team in mine.iter().filter_map(|place| place.parent) {
            found.extend(conn.app_record(team).await?.as_ref().and_then(team_of));
        }
        Ok(found)
    }

    /// Makes a team of the session's organization the session's; `None`: none.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_set_active_team(
        &self,
        door: &Door,
        visit: &Visit,
        organization: Option<&str>,
        team: Option<&str>,
    ) -> AppResult<Option<Team>> {
        let home = organization.and_then(|id| id.parse().ok());
        let Some(team) = team else {
            self.app_enter_organization(visit, home, None).await?;
            return Ok(None);
        };
        let home = home.ok_or(AppError::Code("NO_ACTIVE_ORGANIZATION"))?;
        let conn = self.store()?.read();
        let user = visit.person.user.id;
        member_in(&conn, door, home, user).await?.ok_or(NO_MEMBER)?;
        let team = team_in(&conn, door, home, team).await?.ok_or(NOT_FOUND)?;
        place_in(&conn, door, team.id, user).await?.ok_or(NOT_IN_TEAM)?;
        self.app_enter_organization(visit, Some(home), Some(team.id))
            .await?;
        Ok(Some(team))
    }

    /// Who is in a team that the caller is in.
    ///
    /// # Errors
    /// `USER_IS_NOT_A_MEMBER_OF_THE_TEAM`.
    pub async fn app_team_members(
        &self,
        door: &Door,
        visit: &Visit,
        team: &str,
    ) -> AppResult<Vec<TeamMember>> {
        let conn = self.store()?.read();
        let team = record_in(&conn, door, TEAM, team).await?.ok_or(NOT_IN_TEAM)?;
        place_in(&conn, door, team.id, visit.person.user.id)
            .await?
            .ok_or(NOT_IN_TEAM)?;
        let records = conn.app_records_within(team.id, TEAM_MEMBER).await?;
        Ok(records.iter().filter_map(team_member_of).collect())
    }

    /// Puts a member of the organization into a team; once is enough.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_add_team_member(
        &self,
        door: &Door,
        visit: &Visit,
        organization: &str,
        (team, user): (&str, &str),
        origin: &Origin,
    ) -> AppResult<TeamMember> {
        let tx = self.store()?.begin().await?;
        let (id, caller) = caller_in(&tx, door, visit, organization, NO_MEMBER).await?;
        if !roles::may(&caller.role, "member", "update") {
            return Err(AppError::Code("YOU_ARE_NOT_ALLOWED_TO_CREATE_A_NEW_TEAM_MEMBER"));
        }
        let user: UserId = user.parse().map_err(|_| NO_MEMBER)?;
        member_in(&tx, door, id, user).await?.ok_or(NO_MEMBER)?;
        let team = team_in(&tx, door, id, team).await?.ok_or(NOT_FOUND)?;
        let place = self.put_team_member(&tx, door, team.id, user, self.now()).await?;
        let details = json!({
            "what": "team member added", "organization": id.to_string(), "team": team.id.to_string(), "member": user.to_string(),
        });
        self.note_in_app(&tx, door, caller.user, details, origin).await?;
        tx.commit().await?;
        Ok(place)
    }

    /// Takes somebody out of a team.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_remove_team_member(
        &self,
        door: &Door,
        visit: &Visit,
        organization: &str,
        (team, user): (&str, &str),
        origin: &Origin,
    ) -> AppResult<()> {
        let tx = self.store()?.begin().await?;
        let (id, caller) = caller_in(&tx, door, visit, organization, NO_MEMBER).await?;
        if !roles::may(&caller.role, "member", "delete") {
            return Err(AppError::Code("YOU_ARE_NOT_ALLOWED_TO_REMOVE_A_TEAM_MEMBER"));
        }
        let user: UserId = user.parse().map_err(|_| NO_MEMBER)?;
        member_in(&tx, door, id, user).await?.ok_or(NO_MEMBER)?;
        let team = team_in(&tx, door, id, team).await?.ok_or(NOT_FOUND)?;
        let place = place_in(&tx, door, team.id, user).await?.ok_or(NOT_IN_TEAM)?;
        tx.remove_app_record(place.id).await?;
        let details = json!({
            "what": "team member removed", "organization": id.to_string(), "team": team.id.to_string(), "member": user.to_string(),
        });
        self.note_in_app(&tx, door, caller.user, details, origin).await?;
        tx.commit().await?;
        self.app_leave_sessions(door, user, None, Some(team.id)).await
    }
}
