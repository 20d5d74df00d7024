//! Taking over the people of the token service that was there before, once or again and again until the day of the move: who is
//! there already is left as is. Every row that is read is counted as imported, present or skipped with its reason.

use serde::Serialize;
use serde_json::{Map, Value};

use doorward_domain::session::{Authentication, Session};
use doorward_domain::token_api::matrix::{self as matrix_rules, MatrixAccount, MatrixStatus};
use doorward_domain::token_api::{self as rules, TokenFamily};
use doorward_domain::user::{Realm, User, UserKind};
use doorward_domain::{Attributes, Timestamp, UserId, text};
use doorward_store::Foreign;

use crate::admin::groups::GroupChange;
use crate::error::{Error, Result};
use crate::picture::topic;
use crate::{Doorward, Origin};

/// Rows of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Rows that were there.
    pub read: u64,
    /// Rows that were taken over, or would be.
    pub imported: u64,
    /// Rows that were taken over before.
    pub present: u64,
    /// Rows that were not, each with a reason.
    pub skipped: u64,
}

/// A row that needs a look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// Its table.
    pub table: &'static str,
    /// Its id.
    pub id: String,
    /// What about it.
    pub what: String,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Was nothing written?
    pub dry_run: bool,
    /// `auth_users`.
    pub users: Counted,
    /// `auth_user_roles`.
    pub roles: Counted,
    /// `auth_sessions`.
    pub sessions: Counted,
    /// `auth_matrix_accounts`, and names that stand at the users.
    pub matrix: Counted,
    /// Rows that were skipped, with the reason.
    pub skipped: Vec<Remark>,
    /// Rows that were imported with something left out.
    pub notes: Vec<Remark>,
}

/// Tables, in the order in which they are read.
const USERS: &str = "auth_users";
const ROLES: &str = "auth_user_roles";
const SESSIONS: &str = "auth_sessions";
const MATRIX: &str = "auth_matrix_accounts";

/// One import under way.
pub struct Import<'a> {
    doorward: &'a Doorward,
    report: Report,
    /// People that a dry run would have made.
    would_be: std::collections::BTreeSet<UserId>,
}

/// What became of a row.
enum Outcome {
    Imported,
    Present,
    Skipped(String),
}

type Row = Map<String, Value>;

impl Doorward {
    /// Takes over everything from another database.
    ///
    /// # Errors
    /// `NotFound` when it has no `auth_users`; a `Fault` when a database is away. What was imported by then stays, and the
    /// next run goes on.
    pub async fn import_auth_users(&self, from: &Foreign, dry_run: bool) -> Result<Report> {
        if !from.has_table(USERS).await? {
            return Err(Error::NotFound(format!(
                "the database has no table {USERS}; expected the database of the old service"
            )));
        }
        let mut import = self.begin_import(dry_run);
        from.each_row(USERS, async |row| import.user(&row).await).await?;
        if from.has_table(ROLES).await? {
            from.each_row(ROLES, async |row| import.role(&row).await).await?;
        }
        if from.has_table(SESSIONS).await? {
            from.each_row(SESSIONS, async |row| import.session(&row).await)
                .await?;
        }
        if from.has_table(MATRIX).await? {
            from.each_row(MATRIX, async |row| import.matrix(&row).await)
                .await?;
        }
        Ok(import.report)
    }

    /// An import whose rows the caller brings.
    #[must_use]
    pub fn begin_import(&self, dry_run: bool) -> Import<'_> {
        Import {
            doorward: self,
            report: Report {
                dry_run,
                ..Report::default()
            },
            would_be: std::collections::BTreeSet::new(),
        }
    }
}

impl Import<'_> {
    /// What was done so far.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    fn count(&mut self, table: &'static str, id: String, outcome: Outcome) {
        let counted = match table {
            USERS => &mut self.report.users,
            ROLES => &mut self.report.roles,
            SESSIONS => &mut self.report.sessions,
            _ => &mut self.report.matrix,
        };
        counted.read += 1;
        match outcome {
            Outcome::Imported => counted.imported += 1,
            Outcome::Present => counted.present += 1,
            Outcome::Skipped(what) => {
                counted.skipped += 1;
                self.report.skipped.push(Remark { table, id, what });
            }
        }
    }

    fn note(&mut self, id: UserId, what: impl Into<String>) {
        self.report.notes.push(Remark {
            table: USERS,
            id: id.to_string(),
            what: what.into(),
        });
    }

    /// Takes a row of `auth_users`.
    ///
    /// # Errors
    /// When our database is away.
    pub async fn user(&mut self, row: &Row) -> Result<()> {
        let id = shown_id(row, "id");
        let outcome = self.take_user(row).await?;
        let imported = matches!(outcome, Outcome::Imported);
        let skipped = matches!(outcome, Outcome::Skipped(_));
        self.count(USERS, id, outcome);
        // Older schemas keep the Matrix name and the administrator's mark in this table.
        if !skipped && words(row, "matrix_user_id").is_some() {
            let mut matrix = Row::new();
            for (to, from) in [("user_id", "id"), ("matrix_user_id", "matrix_user_id")] {
                matrix.insert(to.into(), row.get(from).cloned().unwrap_or_default());
            }
            self.matrix(&matrix).await?;
        }
        if imported
            && row.get("is_admin") == Some(&Value::Bool(true))
            && let Some(user) = id_of(row, "id")
            && let Outcome::Skipped(why) = self.join(user, rules::ADMIN).await?
        {
            self.note(user, format!("is_admin was not taken over: {why}"));
        }
        Ok(())
    }

    async fn take_user(&mut self, row: &Row) -> Result<Outcome> {
        let Some(id) = id_of::<doorward_domain::id::kind::User>(row, "id") else {
            return Ok(Outcome::Skipped("id is not a uuid".into()));
        };
        let conn = self.doorward.store()?.read();
        if conn.user(id).await?.is_some() {
            return Ok(Outcome::Present);
        }
        let email = words(row, "email").unwrap_or_default().trim().to_lowercase();
        if text::check_email(&email).is_err() {
            return Ok(Outcome::Skipped("email is not an address".into()));
        }
        let username = super::username_of(&email);
        for name in [&email, &username] {
            let other = conn.user_by_email(Realm::Shared, name).await?;
            if other.is_some() || conn.user_by_username(Realm::Shared, name).await?.is_some() {
                return Ok(Outcome::Skipped("somebody else here has the address".into()));
            }
        }
        let hash = words(row, "password_hash").filter(|hash| doorward_crypto::password::is_readable(hash));
        if hash.is_none() {
            self.note(
                id,
                "without a password: the hash is of no kind that is known here",
            );
        }
        let user = self.drafted(id, row, email, username);
        if self.report.dry_run {
            self.would_be.insert(id);
            return Ok(Outcome::Imported);
        }
        let tx = self.doorward.store()?.begin().await?;
        let made = self
            .doorward
            .store_new_user(&tx, user, hash, &Origin::default())
            .await;
        match made {
            Ok(_) => {
                tx.changed(topic::USER, &id.to_string(), self.doorward.now());
                tx.commit().await?;
                Ok(Outcome::Imported)
            }
            Err(Error::Invalid(why)) => Ok(Outcome::Skipped(why)),
            Err(error) => Err(error),
        }
    }

    fn drafted(&mut self, id: UserId, row: &Row, email: String, username: String) -> User {
        let now = self.doorward.now();
        let local = email.split('@').next().unwrap_or_default().to_owned();
        let name: String = words(row, "display_name")
            .unwrap_or_default()
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        let name = name.trim();
        let mut attributes = match row.get("meta") {
            Some(Value::Object(meta)) => meta.clone(),
            _ => Attributes::new(),
        };
        for name in ["avatar_url", "timezone"] {
            if let Some(value) = words(row, name) {
                attributes.insert(name.to_owned(), Value::from(value));
            }
        }
        if let Err(problem) = crate::admin::users::check_attributes(&attributes) {
            self.note(id, format!("without meta: {problem}"));
            attributes = Attributes::new();
        }
        User {
            id,
            number: 0,
            uid: String::new(),
            realm: Realm::Shared,
            username,
            name: if name.is_empty() { local } else { name.to_owned() },
            email: Some(email),
            email_verified_at: None,
            kind: UserKind::External,
            attributes,
            active: row.get("is_active") != Some(&Value::Bool(false)),
            locale: words(row, "locale")
                .filter(|locale| crate::admin::check_locale(locale).is_ok())
                .map(ToOwned::to_owned),
            created_at: time(row, "created_at").unwrap_or(now),
            updated_at: time(row, "updated_at").unwrap_or(now),
            last_sign_in_at: None,
            deleted_at: None,
            app: doorward_domain::app_auth::AppUser::default(),
        }
    }

    /// Takes a row of `auth_user_roles`.
    ///
    /// # Errors
    /// When our database is away.
    pub async fn role(&mut self, row: &Row) -> Result<()> {
        let role = words(row, "role_id").unwrap_or_default();
        let id = format!("{} {role}", shown_id(row, "user_id"));
        let outcome = match (id_of(row, "user_id"), role) {
            (None, _) => Outcome::Skipped("user_id is not a uuid".into()),
            (Some(user), _) if !self.is_here(user).await? => {
                Outcome::Skipped("the user was not imported".into())
            }
            // Everybody has it.
            (Some(_), rules::USER) => Outcome::Imported,
            (Some(user), rules::ADMIN | rules::AGENT) => self.join(user, role).await?,
            (Some(_), _) => Outcome::Skipped("the role is not known here".into()),
        };
        self.count(ROLES, id, outcome);
        Ok(())
    }

    async fn is_here(&self, user: UserId) -> Result<bool> {
        if self.would_be.contains(&user) {
            return Ok(true);
        }
        let found = self.doorward.store()?.read().user(user).await?;
        Ok(found.is_some_and(|user| user.deleted_at.is_none() && user.realm.is_shared()))
    }

    /// Puts somebody into the group that stands for a role; never into one that administers Doorward itself.
    async fn join(&self, user: UserId, role: &str) -> Result<Outcome> {
        let directory = self.doorward.directory();
        let known = directory.groups.find_by_name(role);
        if let Some(group) = known
            && directory
                .groups
                .is_superuser(&directory.groups.effective([group.id]))
        {
            return Ok(Outcome::Skipped(format!(
                "the group `{role}` here administers Doorward: add the person by hand, if that is meant"
            )));
        }
        if self.report.dry_run {
            return Ok(Outcome::Imported);
        }
        let group = match known {
            Some(group) => group.id,
            None => {
                self.doorward
                    .create_group(role, &GroupChange::default())
                    .await?
                    .id
            }
        };
        let added = self.doorward.add_member(user, group).await?;
        Ok(if added {
            Outcome::Imported
        } else {
            Outcome::Present
        })
    }

    /// Takes a row of `auth_sessions`; those that are over are skipped.
    ///
    /// # Errors
    /// When our database is away.
    pub async fn session(&mut self, row: &Row) -> Result<()> {
        let id = shown_id(row, "id");
        let outcome = self.take_session(row).await?;
        self.count(SESSIONS, id, outcome);
        Ok(())
    }

    async fn take_session(&self, row: &Row) -> Result<Outcome> {
        let skipped = |why: &str| Ok(Outcome::Skipped(why.to_owned()));
        let now = self.doorward.now();
        let Some(id) = id_of::<doorward_domain::id::kind::Session>(row, "id") else {
            return skipped("id is not a uuid");
        };
        let Some(user) = id_of(row, "user_id") else {
            return skipped("user_id is not a uuid");
        };
        if row.get("revoked_at").is_some_and(|at| !at.is_null()) {
            return skipped("revoked");
        }
        let Some(expires_at) = time(row, "expires_at").filter(|at| *at > now) else {
            return skipped("expired");
        };
        if !self.is_here(user).await? {
            return skipped("the user was not imported");
        }
        let created_at = time(row, "created_at").unwrap_or(now).min(now);
        let session = Session {
            id,
            user_id: user,
            authentication: Authentication {
                at: created_at,
                methods: vec!["pwd".to_owned()],
            },
            created_at,
            expires_at,
            last_seen_at: now,
            ended_at: None,
            ip: words(row, "ip_address").map(|ip| ip.chars().take(64).collect()),
            user_agent: words(row, "user_agent").map(|name| {
                let visible = name.chars().filter(|c| !c.is_control());
                visible.take(256).collect()
            }),
            app: None,
        };
        let family = TokenFamily {
            session: id,
            generation: row.get("generation").and_then(Value::as_i64).unwrap_or(0).max(0),
            created_at,
            rotated_at: time(row, "rotated_at"),
        };
        if self.report.dry_run {
            let there = self.doorward.store()?.read().session(id).await?;
            return Ok(if there.is_some() {
                Outcome::Present
            } else {
                Outcome::Imported
            });
        }
        // No cookie leads here: nobody has what this is the digest of.
        let digest: [u8; 32] = self.doorward.random();
        let tx = self.doorward.store()?.begin().await?;
        let added = tx.import_token_session(&session, &digest, &family).await?;
        tx.commit().await?;
        Ok(if added {
            Outcome::Imported
        } else {
            Outcome::Present
        })
    }

    /// Takes a row of `auth_matrix_accounts`: the name that was recorded stays the person's name.
    ///
    /// # Errors
    /// When our database is away.
    pub async fn matrix(&mut self, row: &Row) -> Result<()> {
        let id = shown_id(row, "user_id");
        let outcome = self.take_matrix(row).await?;
        self.count(MATRIX, id, outcome);
        Ok(())
    }

    async fn take_matrix(&self, row: &Row) -> Result<Outcome> {
        let skipped = |why: &str| Ok(Outcome::Skipped(why.to_owned()));
        let now = self.doorward.now();
        let Some(user) = id_of(row, "user_id") else {
            return skipped("user_id is not a uuid");
        };
        if !self.is_here(user).await? {
            return skipped("the user was not imported");
        }
        let full = words(row, "matrix_user_id").filter(|name| matrix_rules::is_full_name(name));
        let local = full
            .and_then(|full| full.strip_prefix('@')?.split(':').next())
            .or_else(|| words(row, "localpart"));
        let Some(localpart) = local.filter(|local| local.len() <= 255) else {
            return skipped("there is no name");
        };
        if self
            .doorward
            .store()?
            .read()
            .matrix_account(user)
            .await?
            .is_some()
        {
            return Ok(Outcome::Present);
        }
        if self.report.dry_run {
            return Ok(Outcome::Imported);
        }
        let account = MatrixAccount {
            localpart: localpart.to_owned(),
            matrix_user_id: full.map(ToOwned::to_owned),
            status: if full.is_some() {
                MatrixStatus::Active
            } else {
                MatrixStatus::Pending
            },
            next_attempt_at: None,
            last_error: words(row, "last_error").map(ToOwned::to_owned),
            ..MatrixAccount::pending(user, now)
        };
        let tx = self.doorward.store()?.begin().await?;
        match tx.add_matrix_account(&account).await {
            Ok(()) => {}
            Err(doorward_store::Error::Conflict { .. }) => {
                return skipped("somebody else has the name");
            }
            Err(error) => return Err(error.into()),
        }
        tx.commit().await?;
        self.doorward.forget_matrix_name(user);
        Ok(Outcome::Imported)
    }
}

/// A text that is not empty.
fn words<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    let text = row.get(column)?.as_str()?;
    Some(text).filter(|text| !text.trim().is_empty() && !text.contains('\0'))
}

fn id_of<K>(row: &Row, column: &str) -> Option<doorward_domain::Id<K>> {
    row.get(column)?.as_str()?.parse().ok()
}

fn shown_id(row: &Row, column: &str) -> String {
    let text = row.get(column).and_then(Value::as_str).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// A time as PostgreSQL writes it in JSON; one without a zone is UTC.
fn time(row: &Row, column: &str) -> Option<Timestamp> {
    let text = row.get(column)?.as_str()?;
    let with_zone = || format!("{text}Z");
    text.parse().ok().or_else(|| with_zone().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_of_postgresql_are_read_with_and_without_a_zone() {
        let Value::Object(row) = json!({
            "a": "2026-11-30T10:00:00.123456+00:00", "b": "2026-11-30T12:00:00+02:00", "c": "2026-11-30T10:00:00",
            "d": "yesterday", "e": null, "f": 5,
        }) else {
            return;
        };
        let at: Timestamp = "2026-11-30T10:00:00Z".parse().unwrap();
        assert_eq!(time(&row, "a").unwrap().seconds(), at.seconds());
        assert_eq!(time(&row, "b"), Some(at));
        assert_eq!(time(&row, "c"), Some(at));
        for wrong in ["d", "e", "f", "g"] {
            assert_eq!(time(&row, wrong), None, "{wrong}");
        }
    }
}
