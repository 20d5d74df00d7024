//! Organizations of an app: people who belong together in it, with roles, invitations and teams.
//!
//! Every call reads the caller's membership again, in the transaction that it decides in; nothing is believed of the session but who
//! calls. Transactions about one organization wait for each other, so that limits and the last owner hold.

pub mod invitations;
pub mod members;
pub mod teams;

use serde_json::{Value, json};

use doorward_domain::app_auth::roles;
use doorward_domain::event::EventKind;
use doorward_domain::user::User;
use doorward_domain::{AppRecordId, Timestamp, UserId};
use doorward_store::{AppRecord, Conn, Tx};

use crate::app_auth::{AppError, AppResult, Door};
use crate::events::About;
use crate::sessions::Visit;
use crate::{Doorward, Origin};
use members::Member;

pub(crate) const ORGANIZATION: &str = "organization";
/// Most organizations that one person is in.
const MOST: usize = 100;
/// Longest slug, in bytes.
const LONGEST_SLUG: usize = 100;
/// Longest picture address.
const LONGEST_LOGO: usize = 2048;
/// Largest metadata, in bytes of JSON.
const LARGEST_METADATA: usize = 8 * 1024;

/// Not among an organization's people.
pub(crate) const NO_MEMBER: AppError = AppError::Code("USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION");
/// Nothing under this name.
pub(crate) const NO_ORGANIZATION: AppError = AppError::Code("ORGANIZATION_NOT_FOUND");

/// An organization.
#[derive(Clone, Debug)]
pub struct Organization {
    /// Identifier.
    pub id: AppRecordId,
    /// Name.
    pub name: String,
    /// Unique within the app.
    pub slug: String,
    /// Address of a picture.
    pub logo: Option<String>,
    /// What the app keeps with it.
    pub metadata: Option<Value>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What is changed of an organization, or what a new one is; `None` leaves a field.
#[derive(Clone, Debug, Default)]
pub struct OrganizationChange {
    /// Name.
    pub name: Option<String>,
    /// Slug.
    pub slug: Option<String>,
    /// Picture; `Some(None)` removes it.
    pub logo: Option<Option<String>>,
    /// What the app keeps with it.
    pub metadata: Option<Option<Value>>,
}

/// Which organization a call is about.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// By id.
    Id(&'a str),
    /// By slug.
    Slug(&'a str),
}

pub(crate) fn text(content: &Value, name: &str) -> String {
    maybe_text(content, name).unwrap_or_default()
}

pub(crate) fn maybe_text(content: &Value, name: &str) -> Option<String> {
    content.get(name).and_then(Value::as_str).map(str::to_owned)
}

pub(crate) fn time(content: &Value, name: &str) -> Option<Timestamp> {
    content
        .get(name)
        .and_then(Value::as_i64)
        .map(Timestamp::from_millis)
}

fn organization_of(record: &AppRecord) -> Organization {
    Organization {
        id: record.id,
        name: text(&record.content, "name"),
        slug: record.name.clone().unwrap_or_default(),
        logo: maybe_text(&record.content, "logo"),
        metadata: record
            .content
            .get("metadata")
            .filter(|value| !value.is_null())
            .cloned(),
        created_at: record.created_at,
    }
}

/// A name as it may stand; may be empty.
pub(crate) fn clean(name: &str, most: usize) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(most).collect();
    name.trim().to_owned()
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(list) => list.iter().any(has_nul),
        Value::Object(map) => map
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

pub(crate) fn check(change: &OrganizationChange) -> AppResult<()> {
    let refuse = |text: &str| Err(AppError::Said("VALIDATION_ERROR", text.to_owned()));
    if let Some(slug) = &change.slug
        && (slug.is_empty() || slug.len() > LONGEST_SLUG || slug.chars().any(char::is_control))
    {
        return refuse("[body.slug] Invalid input: expected 1 to 100 visible characters");
    }
    if let Some(name) = &change.name
        && clean(name, 200).is_empty()
    {
        return refuse("[body.name] Too small: expected string to have >=1 characters");
    }
    if let Some(Some(logo)) = &change.logo
        && (logo.len() > LONGEST_LOGO || logo.chars().any(char::is_control))
    {
        return refuse("[body.logo] Too big: expected string to have <=2048 characters");
    }
    if let Some(Some(metadata)) = &change.metadata
        && (metadata.to_string().len() > LARGEST_METADATA || has_nul(metadata))
    {
        return refuse("[body.metadata] Too big: expected at most 8192 bytes of JSON");
    }
    Ok(())
}

/// The record of this kind in this app, by the id that a caller gave.
pub(crate) async fn record_in(
    conn: &Conn,
    door: &Door,
    kind: &str,
    id: &str,
) -> AppResult<Option<AppRecord>> {
    let Ok(id) = id.parse() else { return Ok(None) };
    let found = conn.app_record(id).await?;
    Ok(found.filter(|record| record.application == door.application.id && record.kind == kind))
}

impl Doorward {
    pub(crate) fn app_record(&self, door: &Door, kind: &str, now: Timestamp) -> AppRecord {
        AppRecord {
            id: self.mint(now),
            application: door.application.id,
            kind: kind.to_owned(),
            parent: None,
            user: None,
            name: None,
            content: Value::Null,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    pub(crate) async fn note_in_app(
        &self,
        tx: &Tx,
        door: &Door,
        actor: UserId,
        mut details: Value,
        origin: &Origin,
    ) -> AppResult<()> {
        if let Some(map) = details.as_object_mut() {
            map.insert("by".to_owned(), json!("app"));
        }
        let about = About {
            user: Some(actor),
            application: Some(door.application.id),
            details,
            ..About::default()
        };
        let event = self.event(EventKind::ApplicationChanged, about, origin, self.now());
        tx.add_event(&event).await?;
        Ok(())
    }

    /// Makes an organization of which the caller is the owner, with a first team, and makes it the session's unless it is to keep
    /// the one it has.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_create_organization(
        &self,
        door: &Door,
        visit: &Visit,
        new: &OrganizationChange,
        keep_active: bool,
        origin: &Origin,
    ) -> AppResult<(Organization, Member)> {
        check(new)?;
        let now = self.now();
        let user = visit.person.user.id;
        let tx = self.store()?.begin().await?;
        tx.lock_user(user).await?;
        let mine = tx
            .app_records_of(door.application.id, user, members::MEMBER)
            .await?;
        if mine.len() >= MOST {
            return Err(AppError::Code(
                "YOU_HAVE_REACHED_THE_MAXIMUM_NUMBER_OF_ORGANIZATIONS",
            ));
        }
        let mut record = self.app_record(door, ORGANIZATION, now);
        let name = clean(new.name.as_deref().unwrap_or_default(), 200);
        record.name.clone_from(&new.slug);
        record.content = json!({
            "name": name, "logo": new.logo.clone().flatten(), "metadata": new.metadata.clone().flatten(),
        });
        tx.add_app_record(&record).await.map_err(|error| match error {
            doorward_store::Error::Conflict { .. } => AppError::Code("ORGANIZATION_ALREADY_EXISTS"),
            error => error.into(),
        })?;
        let member = self.put_member(&tx, door, record.id, user, roles::OWNER).await?;
        let team = self.put_team(&tx, door, record.id, &name, true).await?;
        self.put_team_member(&tx, door, team.id, user, now).await?;
        let details = json!({ "what": "organization created", "organization": record.id.to_string() });
        self.note_in_app(&tx, door, user, details, origin).await?;
        tx.commit().await?;
        if !keep_active {
            self.app_enter_organization(visit, Some(record.id), Some(team.id))
                .await?;
        }
        Ok((organization_of(&record), member))
    }

    /// Makes an organization and a team the session's.
    pub(crate) async fn app_enter_organization(
        &self,
        visit: &Visit,
        organization: Option<AppRecordId>,
        team: Option<AppRecordId>,
    ) -> AppResult<()> {
        self.app_change_session(visit.session.id, |session| {
            if let Some(app) = &mut session.app {
                app.organization = organization.map(|id| id.to_string());
                app.team = team.map(|id| id.to_string());
            }
        })
        .await?;
        Ok(())
    }

    /// Takes an organization, or only a team of it, out of the sessions of somebody who is no longer in it.
    pub(crate) async fn app_leave_sessions(
        &self,
        door: &Door,
        user: UserId,
        organization: Option<AppRecordId>,
        team: Option<AppRecordId>,
    ) -> AppResult<()> {
        let (organization, team) = (
            organization.map(|id| id.to_string()),
            team.map(|id| id.to_string()),
        );
        for session in self.app_sessions(door, user).await? {
            let Some(app) = &session.app else { continue };
            let leaves = organization.is_some() && app.organization == organization;
            let leaves_team = team.is_some() && app.team == team;
            if !leaves && !leaves_team {
                continue;
            }
            self.app_change_session(session.id, |session| {
                if let Some(app) = &mut session.app {
                    app.team = None;
                    if leaves {
                        app.organization = None;
                    }
                }
            })
            .await?;
        }
        Ok(())
    }

    /// An organization of the app.
    pub(crate) async fn find_organization(
        &self,
        conn: &Conn,
        door: &Door,
        which: Which<'_>,
    ) -> AppResult<Option<Organization>> {
        let found = match which {
            Which::Id(id) => record_in(conn, door, ORGANIZATION, id).await?,
            Which::Slug(slug) if slug.len() > LONGEST_SLUG || slug.contains('\0') => None,
            Which::Slug(slug) => {
                conn.app_record_named(door.application.id, ORGANIZATION, slug)
                    .await?
            }
        };
        Ok(found.as_ref().map(organization_of))
    }

    /// An organization that the caller is in, and as what.
    ///
    /// # Errors
    /// `ORGANIZATION_NOT_FOUND`, `USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION`.
    pub async fn app_organization(
        &self,
        door: &Door,
        visit: &Visit,
        which: Which<'_>,
    ) -> AppResult<(Organization, Member)> {
        let conn = self.store()?.read();
        let found = self.find_organization(&conn, door, which).await?;
        let organization = found.ok_or(NO_ORGANIZATION)?;
        let member = members::member_in(&conn, door, organization.id, visit.person.user.id).await?;
        Ok((organization, member.ok_or(NO_MEMBER)?))
    }

    /// The organizations that the caller is in.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_organizations(&self, door: &Door, visit: &Visit) -> AppResult<Vec<Organization>> {
        let conn = self.store()?.read();
        let mine = conn
            .app_records_of(door.application.id, visit.person.user.id, members::MEMBER)
            .await?;
        let mut found = Vec::new();
        for parent in mine.iter().filter_map(|member| member.parent).take(MOST) {
            found.extend(conn.app_record(parent).await?.as_ref().map(organization_of));
        }
        Ok(found)
    }

    /// Is a slug taken?
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_slug_is_taken(&self, door: &Door, slug: &str) -> AppResult<bool> {
        let conn = self.store()?.read();
        Ok(self
            .find_organization(&conn, door, Which::Slug(slug))
            .await?
            .is_some())
    }

    /// Changes an organization.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_change_organization(
        &self,
        door: &Door,
        visit: &Visit,
        id: &str,
        change: &OrganizationChange,
        origin: &Origin,
    ) -> AppResult<Organization> {
        check(change)?;
        let tx = self.store()?.begin().await?;
        let (id, member) = members::caller_in(&tx, door, visit, id, NO_MEMBER).await?;
        if !roles::may(&member.role, "organization", "update") {
            return Err(AppError::Code("YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_ORGANIZATION"));
        }
        let Some(mut record) = tx.app_record(id).await? else {
            return Err(NO_ORGANIZATION);
        };
        let before = organization_of(&record);
        record.name = Some(change.slug.clone().unwrap_or(before.slug));
        record.content = json!({
            "name": change.name.as_deref().map_or(before.name, |name| clean(name, 200)),
            "logo": change.logo.clone().unwrap_or(before.logo),
            "metadata": change.metadata.clone().unwrap_or(before.metadata),
        });
        record.updated_at = self.now();
        tx.save_app_record(&record).await.map_err(|error| match error {
            doorward_store::Error::Conflict { .. } => AppError::Code("ORGANIZATION_SLUG_ALREADY_TAKEN"),
            error => error.into(),
        })?;
        let details = json!({ "what": "organization changed", "organization": id.to_string() });
        self.note_in_app(&tx, door, member.user, details, origin).await?;
        tx.commit().await?;
        Ok(organization_of(&record))
    }

    /// Deletes an organization with members, invitations and teams; gives what it was.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_delete_organization(
        &self,
        door: &Door,
        visit: &Visit,
        id: &str,
        origin: &Origin,
    ) -> AppResult<Organization> {
        let tx = self.store()?.begin().await?;
        let (id, member) = members::caller_in(&tx, door, visit, id, NO_MEMBER).await?;
        if !roles::may(&member.role, "organization", "delete") {
            return Err(AppError::Code("YOU_ARE_NOT_ALLOWED_TO_DELETE_THIS_ORGANIZATION"));
        }
        let Some(record) = tx.app_record(id).await? else {
            return Err(NO_ORGANIZATION);
        };
        let people = tx.app_records_within(id, members::MEMBER).await?;
        tx.remove_app_record(id).await?;
        let details = json!({ "what": "organization deleted", "organization": id.to_string() });
        self.note_in_app(&tx, door, member.user, details, origin).await?;
        tx.commit().await?;
        for user in people.iter().filter_map(|member| member.user) {
            self.app_leave_sessions(door, user, Some(id), None).await?;
        }
        Ok(organization_of(&record))
    }

    /// Makes an organization the session's that the caller is in; `None`: none. Gives the organization.
    ///
    /// # Errors
    /// Codes of the wire contract. Whoever asks for one that they are not in has none afterwards.
    pub async fn app_set_active_organization(
        &self,
        door: &Door,
        visit: &Visit,
        which: Option<Which<'_>>,
    ) -> AppResult<Option<Organization>> {
        let Some(which) = which else {
            self.app_enter_organization(visit, None, None).await?;
            return Ok(None);
        };
        match self.app_organization(door, visit, which).await {
            Ok((organization, _)) => {
                let app = visit.session.app.as_ref();
                let same =
                    app.and_then(|app| app.organization.as_deref()) == Some(&organization.id.to_string());
                // differs: the team of another organization does not stay.
                let team = app.filter(|_| same).and_then(|app| app.team.as_deref());
                let team = team.and_then(|team| team.parse().ok());
                self.app_enter_organization(visit, Some(organization.id), team)
                    .await?;
                Ok(Some(organization))
            }
            Err(AppError::Code(code)) => {
                self.app_enter_organization(visit, None, None).await?;
                Err(AppError::Code(code))
            }
            Err(error) => Err(error),
        }
    }

    /// Everything of an organization that the caller is in: people, invitations, and teams with how many are in them.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_whole_organization(
        &self,
        door: &Door,
        visit: &Visit,
        which: Which<'_>,
    ) -> AppResult<Whole> {
        let (organization, _) = self.app_organization(door, visit, which).await?;
        let conn = self.store()?.read();
        let people = members::people_in(&conn, organization.id).await?;
        let invitations = invitations::all_in(&conn, organization.id).await?;
        let mut teams = Vec::new();
        for team in teams::all_in(&conn, organization.id).await? {
            let count = conn.app_records_within(team.id, teams::TEAM_MEMBER).await?.len();
            teams.push((team, count));
        }
        Ok(Whole {
            organization,
            people,
            invitations,
            teams,
        })
    }
}

/// An organization with everything in it.
#[derive(Clone, Debug)]
pub struct Whole {
    /// The organization.
    pub organization: Organization,
    /// Members.
    pub people: Vec<(Member, User)>,
    /// Invitations, whatever became of them.
    pub invitations: Vec<invitations::Invitation>,
    /// Teams, with the number of people.
    pub teams: Vec<(teams::Team, usize)>,
}
