//! Organizations, their people and teams, and invitations that stand.

use serde_json::json;

use doorward_domain::AppRecordId;
use doorward_domain::app_auth::roles;
use doorward_domain::text;
use doorward_store::AppRecord;

use super::people::Who;
use super::row::Row;
use super::{
    INVITATION, Import, Known, MEMBER, ORGANIZATION, Outcome, TEAM, TEAM_MEMBER, skipped, unless_present,
};
use crate::app_auth::AppError;
use crate::app_auth::organizations::{self, OrganizationChange, check, clean, invitations, members, teams};
use crate::error::Result;

impl Import<'_> {
    /// What a row of the old database became; skipped when it was not imported.
    async fn part_of(&self, table: &str, row: &Row, column: &str) -> Result<Option<AppRecordId>> {
        let Some(old) = row.id(column) else {
            return Ok(None);
        };
        let known = self.known(table, &old).await?;
        Ok(known.map(|known| AppRecordId::from_uuid(known.id)))
    }

    fn record(&self, kind: &str, id: AppRecordId, row: &Row) -> AppRecord {
        let now = self.doorward.now();
        AppRecord {
            id,
            created_at: row.created(now),
            updated_at: row.updated(now),
            ..self.doorward.app_record(&self.door, kind, now)
        }
    }

    /// Adds a record with its mark.
    async fn put(&mut self, table: &'static str, old: &str, record: &AppRecord) -> Result<Outcome> {
        let known = Known {
            id: record.id.uuid(),
            linked: false,
        };
        if !self.wishes.dry_run {
            let tx = self.doorward.store()?.begin().await?;
            if let Err(error) = tx.add_app_record(record).await {
                return unless_present(error);
            }
            self.mark(&tx, table, old, known).await?;
            tx.commit().await?;
        }
        self.remember_id(table, old, known.id);
        self.plan(table, old, known);
        Ok(Outcome::Imported)
    }

    /// The id of a row that was not taken over yet; `Err` has what it is otherwise.
    async fn unknown(
        &mut self,
        table: &'static str,
        row: &Row,
    ) -> Result<std::result::Result<String, Outcome>> {
        let Some(old) = row.id("id") else {
            return Ok(Err(Outcome::Skipped("there is no id".into())));
        };
        if let Some(known) = self.known(table, &old).await? {
            self.remember_id(table, &old, known.id);
            return Ok(Err(Outcome::Present));
        }
        Ok(Ok(old))
    }

    pub(super) async fn organization(&mut self, row: &Row) -> Result<Outcome> {
        let old = match self.unknown(ORGANIZATION, row).await? {
            Ok(old) => old,
            Err(outcome) => return Ok(outcome),
        };
        let slug = row.text("slug").unwrap_or_default().to_owned();
        let name = row.text("name").unwrap_or(&slug);
        let mut wanted = OrganizationChange {
            name: Some(clean(name, 200)),
            slug: Some(slug.clone()),
            logo: row.text("logo").map(|logo| Some(logo.to_owned())),
            metadata: row.json("metadata").map(Some),
        };
        if let Err(AppError::Said(..)) = check(&wanted) {
            self.note(
                ORGANIZATION,
                row,
                "without picture and metadata: one of them is too large",
            );
            (wanted.logo, wanted.metadata) = (None, None);
        }
        if check(&wanted).is_err() {
            return skipped("name or slug is empty or too long");
        }
        let application = self.door.application.id;
        let conn = self.doorward.store()?.read();
        if conn
            .app_record_named(application, organizations::ORGANIZATION, &slug)
            .await?
            .is_some()
        {
            return skipped("an organization here has the slug");
        }
        let id = self.fresh_id(ORGANIZATION, &old).await?;
        let mut record = self.record(organizations::ORGANIZATION, id, row);
        record.name = Some(slug);
        record.content = json!({
            "name": wanted.name, "logo": wanted.logo.flatten(), "metadata": wanted.metadata.flatten(),
        });
        self.put(ORGANIZATION, &old, &record).await
    }

    pub(super) async fn team(&mut self, row: &Row) -> Result<Outcome> {
        let old = match self.unknown(TEAM, row).await? {
            Ok(old) => old,
            Err(outcome) => return Ok(outcome),
        };
        let Some(organization) = self.part_of(ORGANIZATION, row, "organizationid").await? else {
            return skipped("the organization was not imported");
        };
        let id = self.fresh_id(TEAM, &old).await?;
        let mut record = self.record(teams::TEAM, id, row);
        record.parent = Some(organization);
        let name = clean(row.text("name").unwrap_or_default(), 200);
        record.content = json!({ "name": name, "first": !row.has("updatedat") });
        self.put(TEAM, &old, &record).await
    }

    /// Roles of an organization that are known here; the least when none is.
    fn roles(&mut self, table: &'static str, row: &Row) -> String {
        let given = row.text("role").unwrap_or(roles::MEMBER);
        let known = |role: &str| roles::of_organization(role).is_some();
        if !roles::each(given).all(known) {
            self.note(
                table,
                row,
                "a role of the organization's own is not known here and was left out",
            );
        }
        let kept = roles::each(given).filter(|role| known(role));
        roles::joined(kept, known).unwrap_or_else(|_| roles::MEMBER.to_owned())
    }

    pub(super) async fn member(&mut self, row: &Row) -> Result<Outcome> {
        let old = match self.unknown(MEMBER, row).await? {
            Ok(old) => old,
            Err(outcome) => return Ok(outcome),
        };
        let Some(organization) = self.part_of(ORGANIZATION, row, "organizationid").await? else {
            return skipped("the organization was not imported");
        };
        let Who::Here(user, ..) = self.who(row.id("userid").as_deref()).await? else {
            return skipped("the user was not imported");
        };
        let conn = self.doorward.store()?.read();
        if conn
            .app_records_within(organization, members::MEMBER)
            .await?
            .len()
            >= members::MOST
        {
            return skipped("the organization is full");
        }
        let id = self.fresh_id(MEMBER, &old).await?;
        let mut record = self.record(members::MEMBER, id, row);
        record.parent = Some(organization);
        record.user = Some(user);
        record.name = Some(members::name_key(organization, user));
        record.content = json!({ "role": self.roles(MEMBER, row) });
        self.put(MEMBER, &old, &record).await
    }

    pub(super) async fn team_member(&mut self, row: &Row) -> Result<Outcome> {
        let old = match self.unknown(TEAM_MEMBER, row).await? {
            Ok(old) => old,
            Err(outcome) => return Ok(outcome),
        };
        let Some(team) = self.part_of(TEAM, row, "teamid").await? else {
            return skipped("the team was not imported");
        };
        let Who::Here(user, ..) = self.who(row.id("userid").as_deref()).await? else {
            return skipped("the user was not imported");
        };
        let id = self.fresh_id(TEAM_MEMBER, &old).await?;
        let mut record = self.record(teams::TEAM_MEMBER, id, row);
        record.parent = Some(team);
        record.user = Some(user);
        record.name = Some(format!("{team} {user}"));
        record.content = json!({});
        self.put(TEAM_MEMBER, &old, &record).await
    }

    pub(super) async fn invitation(&mut self, row: &Row) -> Result<Outcome> {
        let old = match self.unknown(INVITATION, row).await? {
            Ok(old) => old,
            Err(outcome) => return Ok(outcome),
        };
        let now = self.doorward.now();
        let expires_at = row.time("expiresat").filter(|at| *at > now);
        let (Some(expires_at), Some(invitations::PENDING)) = (expires_at, row.text("status")) else {
            return skipped("it was answered, or ran out");
        };
        let Some(organization) = self.part_of(ORGANIZATION, row, "organizationid").await? else {
            return skipped("the organization was not imported");
        };
        let Who::Here(inviter, ..) = self.who(row.id("inviterid").as_deref()).await? else {
            return skipped("who invited was not imported");
        };
        let email = row.text("email").unwrap_or_default().trim().to_lowercase();
        if text::check_email(&email).is_err() {
            return skipped("email is not an address");
        }
        let conn = self.doorward.store()?.read();
        let standing = conn
            .app_records_within(organization, invitations::INVITATION)
            .await?;
        if standing.len() >= invitations::MOST_PENDING {
            return skipped("the organization has too many invitations");
        }
        let team = self.part_of(TEAM, row, "teamid").await?;
        let id = self.fresh_id(INVITATION, &old).await?;
        let mut record = self.record(invitations::INVITATION, id, row);
        record.parent = Some(organization);
        record.name = Some(invitations::name_key(&email, organization));
        record.content = json!({
            "email": email, "role": self.roles(INVITATION, row), "team": team.map(|team| team.to_string()),
            "status": invitations::PENDING, "expires": expires_at.millis(), "inviter": inviter.to_string(),
        });
        self.put(INVITATION, &old, &record).await
    }
}
