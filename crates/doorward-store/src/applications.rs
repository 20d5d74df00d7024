//! Applications with their audience, their client and its secrets.

use std::collections::{BTreeSet, HashMap};

use doorward_domain::app_auth::AppAuth;
use doorward_domain::application::{Application, Audience};
use doorward_domain::client::{Client, ClientSecret};
use doorward_domain::site::Site;
use doorward_domain::{ApplicationId, GroupId, SecretId, Timestamp, UserId};
use serde_json::Value as Json;

use crate::conn::{Conn, Tx};
use crate::error::{Error, Result};
use crate::fields::{Fields, whole};
use crate::sql::{Query, Row, sql};

/// Most applications that are loaded.
const MAX_APPLICATIONS: usize = crate::sql::MAX_LIST;
/// Most groups, people or secrets of all applications together that are loaded.
const MAX_PARTS: usize = 1_000_000;

macro_rules! application_columns {
    () => {
        "SELECT a.id AS a_id, a.slug AS a_slug, a.name AS a_name, a.description AS a_description, \
         a.icon_url AS a_icon_url, a.launch_url AS a_launch_url, a.heading AS a_heading, a.hidden AS a_hidden, \
         a.everyone AS a_everyone, a.client AS a_client, a.sites AS a_sites, a.app_auth AS a_app_auth, a.created_at AS a_created_at, a.updated_at AS a_updated_at, \
         a.deleted_at AS a_deleted_at FROM applications AS a "
    };
}

pub(crate) const BY_ID: &str = concat!(application_columns!(), "WHERE a.id = $1 LIMIT 1");
/// The living one first, then the one deleted last.
pub(crate) const BY_SLUG: &str = concat!(
    application_columns!(),
    "WHERE a.slug = $1 AND ($2 OR a.deleted_at IS NULL) \
     ORDER BY CASE WHEN a.deleted_at IS NULL THEN 0 ELSE 1 END, a.deleted_at DESC LIMIT 1"
);
pub(crate) const AUDIENCE_GROUPS: &str =
    "SELECT application_id, group_id FROM audience_groups WHERE application_id IN $1 LIMIT $2";
pub(crate) const AUDIENCE_USERS: &str =
    "SELECT application_id, user_id FROM audience_users WHERE application_id IN $1 LIMIT $2";
pub(crate) const SECRETS: &str = "SELECT id AS cs_id, application_id, digest AS cs_digest, hint AS cs_hint, \
    created_at AS cs_created_at, expires_at AS cs_expires_at FROM client_secrets WHERE application_id IN $1 \
    ORDER BY created_at, id LIMIT $2";

/// What hangs off applications.
#[derive(Default)]
struct Parts {
    groups: HashMap<ApplicationId, BTreeSet<GroupId>>,
    users: HashMap<ApplicationId, BTreeSet<UserId>>,
    secrets: HashMap<ApplicationId, Vec<ClientSecret>>,
}

fn application_of(row: &Row, parts: &mut Parts) -> Result<Application> {
    let fields = Fields::new(row, "applications", "a", "a_id");
    let id: ApplicationId = fields.get("a_id")?;
    let client = match fields.get::<Option<Json>>("a_client")? {
        None => None,
        Some(_) => Some(fields.json("a_client", serde_json::from_value::<Client>)?),
    };
    let sites = match fields.get::<Option<Json>>("a_sites")? {
        None => Vec::new(),
        Some(_) => fields.json("a_sites", serde_json::from_value::<Vec<Site>>)?,
    };
    let app_auth = match fields.get::<Option<Json>>("a_app_auth")? {
        None => None,
        Some(_) => Some(fields.json("a_app_auth", serde_json::from_value::<AppAuth>)?),
    };
    Ok(Application {
        id,
        slug: fields.get("a_slug")?,
        name: fields.get("a_name")?,
        description: fields.get("a_description")?,
        icon_url: fields.get("a_icon_url")?,
        launch_url: fields.get("a_launch_url")?,
        heading: fields.get("a_heading")?,
        hidden: fields.get("a_hidden")?,
        audience: Audience {
            everyone: fields.get("a_everyone")?,
            groups: parts.groups.remove(&id).unwrap_or_default(),
            users: parts.users.remove(&id).unwrap_or_default(),
        },
        client,
        secrets: parts.secrets.remove(&id).unwrap_or_default(),
        sites,
        app_auth,
        created_at: fields.get("a_created_at")?,
        updated_at: fields.get("a_updated_at")?,
        deleted_at: fields.get("a_deleted_at")?,
    })
}

fn secret_of(row: &Row) -> Result<ClientSecret> {
    let fields = Fields::new(row, "client_secrets", "cs", "cs_id");
    Ok(ClientSecret {
        id: fields.get("cs_id")?,
        digest: fields.get("cs_digest")?,
        hint: fields.get("cs_hint")?,
        created_at: fields.get("cs_created_at")?,
        expires_at: fields.get("cs_expires_at")?,
    })
}

fn client_json(client: Option<&Client>) -> Result<Option<Json>> {
    client
        .map(serde_json::to_value)
        .transpose()
        .map_err(|error| Error::Engine(format!("a client cannot be written as JSON: {error}")))
}

fn sites_json(sites: &[Site]) -> Result<Option<Json>> {
    if sites.is_empty() {
        return Ok(None);
    }
    serde_json::to_value(sites)
        .map(Some)
        .map_err(|error| Error::Engine(format!("sites cannot be written as JSON: {error}")))
}

fn app_auth_json(app: Option<&AppAuth>) -> Result<Option<Json>> {
    app.map(serde_json::to_value)
        .transpose()
        .map_err(|error| Error::Engine(format!("an app's door cannot be written as JSON: {error}")))
}

impl Conn {
    /// All applications in order of id, with audience, client and secrets; those in the bin when `include_deleted`.
    /// 4 queries.
    ///
    /// # Errors
    /// Any [`Error`] of the engine, [`Error::Corrupt`] for a row that cannot be read; the same for all methods here.
    pub async fn applications(&self, include_deleted: bool) -> Result<Vec<Application>> {
        let query = sql(concat!(
            application_columns!(),
            "WHERE $1 OR a.deleted_at IS NULL ORDER BY a.id LIMIT $2"
        ));
        let rows = self
            .scan(query.bind(include_deleted).bind(MAX_APPLICATIONS + 1))
            .await?;
        self.with_parts(&whole(rows, MAX_APPLICATIONS, "applications")?)
            .await
    }

    /// One application by id, also from the bin. 4 queries, 1 when there is none.
    ///
    /// # Errors
    /// See [`Conn::applications`].
    pub async fn application(&self, id: ApplicationId) -> Result<Option<Application>> {
        self.one_application(sql(BY_ID).bind(id)).await
    }

    /// The live application with this slug; when there is none and `include_deleted`, the one that went into the bin
    /// last. 4 queries, 1 when there is none.
    ///
    /// # Errors
    /// See [`Conn::applications`].
    pub async fn application_by_slug(
        &self,
        slug: &str,
        include_deleted: bool,
    ) -> Result<Option<Application>> {
        self.one_application(sql(BY_SLUG).bind(slug).bind(include_deleted))
            .await
    }

    async fn one_application(&self, query: Query) -> Result<Option<Application>> {
        match self.first(query).await? {
            None => Ok(None),
            Some(row) => Ok(self.with_parts(&[row]).await?.pop()),
        }
    }

    async fn with_parts(&self, rows: &[Row]) -> Result<Vec<Application>> {
        let ids = rows
            .iter()
            .map(|row| row.get("a_id"))
            .collect::<Result<Vec<ApplicationId>>>()?;
        let mut parts = Parts::default();
        if !ids.is_empty() {
            for row in &self.parts(AUDIENCE_GROUPS, &ids).await? {
                parts
                    .groups
                    .entry(row.get("application_id")?)
                    .or_default()
                    .insert(row.get("group_id")?);
            }
            for row in &self.parts(AUDIENCE_USERS, &ids).await? {
                parts
                    .users
                    .entry(row.get("application_id")?)
                    .or_default()
                    .insert(row.get("user_id")?);
            }
            for row in &self.parts(SECRETS, &ids).await? {
                parts
                    .secrets
                    .entry(row.get("application_id")?)
                    .or_default()
                    .push(secret_of(row)?);
            }
        }
        rows.iter().map(|row| application_of(row, &mut parts)).collect()
    }

    async fn parts(&self, text: &'static str, ids: &[ApplicationId]) -> Result<Vec<Row>> {
        whole(
            self.all(sql(text).bind_list(ids).bind(MAX_PARTS + 1)).await?,
            MAX_PARTS,
            "audience or client_secrets",
        )
    }
}

impl Tx {
    /// Adds an application with audience, client and secrets. 1 query, and 1 per group, user and secret.
    ///
    /// # Errors
    /// [`Error::Conflict`] when slug or client id is taken, [`Error::Reference`] for a group or user that does not exist.
    pub async fn add_application(&self, application: &Application) -> Result<()> {
        let query = sql(
            "INSERT INTO applications(id, slug, name, description, icon_url, launch_url, heading, hidden, \
             everyone, client_id, client, sites, created_at, updated_at, deleted_at, app_auth) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        )
        .bind(application.id)
        .bind(&application.slug)
        .bind(&application.name)
        .bind(&application.description)
        .bind(application.icon_url.as_deref())
        .bind(application.launch_url.as_deref())
        .bind(application.heading.as_deref())
        .bind(application.hidden)
        .bind(application.audience.everyone)
        .bind(
            application
                .client
                .as_ref()
                .map(|client| client.client_id.as_str()),
        )
        .bind(client_json(application.client.as_ref())?)
        .bind(sites_json(&application.sites)?)
        .bind(application.created_at)
        .bind(application.updated_at)
        .bind(application.deleted_at)
        .bind(app_auth_json(application.app_auth.as_ref())?);
        self.run(query).await?;
        self.add_audience(application).await?;
        for secret in &application.secrets {
            self.add_secret(application.id, secret).await?;
        }
        Ok(())
    }

    /// Saves everything of an application but its secrets and whether it is in the bin; the audience is replaced.
    /// 3 queries, and 1 per group and user.
    ///
    /// # Errors
    /// [`Error::Conflict`] when slug or client id is taken, [`Error::Reference`] for a group or user that does not
    /// exist, [`Error::Stale`] when there is no such application.
    pub async fn save_application(&self, application: &Application) -> Result<()> {
        let query = sql(
            "UPDATE applications SET slug = $2, name = $3, description = $4, icon_url = $5, \
             launch_url = $6, heading = $7, hidden = $8, everyone = $9, client_id = $10, client = $11, \
             sites = $12, updated_at = $13, app_auth = $14 WHERE id = $1",
        )
        .bind(application.id)
        .bind(&application.slug)
        .bind(&application.name)
        .bind(&application.description)
        .bind(application.icon_url.as_deref())
        .bind(application.launch_url.as_deref())
        .bind(application.heading.as_deref())
        .bind(application.hidden)
        .bind(application.audience.everyone)
        .bind(
            application
                .client
                .as_ref()
                .map(|client| client.client_id.as_str()),
        )
        .bind(client_json(application.client.as_ref())?)
        .bind(sites_json(&application.sites)?)
        .bind(application.updated_at)
        .bind(app_auth_json(application.app_auth.as_ref())?);
        if self.run(query).await? == 0 {
            return Err(Error::Stale);
        }
        self.run(sql("DELETE FROM audience_groups WHERE application_id = $1").bind(application.id))
            .await?;
        self.run(sql("DELETE FROM audience_users WHERE application_id = $1").bind(application.id))
            .await?;
        self.add_audience(application).await
    }

    async fn add_audience(&self, application: &Application) -> Result<()> {
        for group in &application.audience.groups {
            let query = sql("INSERT INTO audience_groups(application_id, group_id) VALUES ($1, $2)");
            self.run(query.bind(application.id).bind(group)).await?;
        }
        for user in &application.audience.users {
            let query = sql("INSERT INTO audience_users(application_id, user_id) VALUES ($1, $2)");
            self.run(query.bind(application.id).bind(user)).await?;
        }
        Ok(())
    }

    /// Puts an application into the bin; false when it is there already or unknown. 1 query.
    ///
    /// # Errors
    /// See [`Conn::applications`].
    pub async fn delete_application(&self, id: ApplicationId, now: Timestamp) -> Result<bool> {
        let query = sql(
            "UPDATE applications SET deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL",
        );
        Ok(self.run(query.bind(id).bind(now)).await? > 0)
    }

    /// Takes an application out of the bin; false when it is not in there. 1 query.
    ///
    /// # Errors
    /// [`Error::Conflict`] when another application has the slug by now.
    pub async fn restore_application(&self, id: ApplicationId, now: Timestamp) -> Result<bool> {
        let query = sql(
            "UPDATE applications SET deleted_at = NULL, updated_at = $2 WHERE id = $1 AND deleted_at IS NOT NULL",
        );
        Ok(self.run(query.bind(id).bind(now)).await? > 0)
    }

    /// Removes applications that went into the bin before `before` for good, with their tokens; at most 10 per call.
    /// Gives how many; call again until it gives 0. 1 query.
    ///
    /// # Errors
    /// See [`Conn::applications`].
    pub async fn purge_applications(&self, before: Timestamp) -> Result<u64> {
        let query = sql("DELETE FROM applications WHERE id IN \
             (SELECT id FROM applications WHERE deleted_at < $1 ORDER BY deleted_at LIMIT 10)");
        self.run(query.bind(before)).await
    }

    /// Adds a secret to an application's client. 1 query.
    ///
    /// # Errors
    /// [`Error::Reference`] when there is no such application.
    pub async fn add_secret(&self, application: ApplicationId, secret: &ClientSecret) -> Result<()> {
        let query = sql(
            "INSERT INTO client_secrets(id, application_id, digest, hint, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(secret.id)
        .bind(application)
        .bind(secret.digest)
        .bind(&secret.hint)
        .bind(secret.created_at)
        .bind(secret.expires_at);
        self.run(query).await?;
        Ok(())
    }

    /// Makes a secret stop working at `at`; never later than it would have stopped anyway. False when there is no such
    /// secret or it stops earlier. 1 query.
    ///
    /// # Errors
    /// See [`Conn::applications`].
    pub async fn expire_secret(&self, id: SecretId, at: Timestamp) -> Result<bool> {
        let query = sql(
            "UPDATE client_secrets SET expires_at = $2 WHERE id = $1 AND (expires_at IS NULL OR expires_at > $2)",
        );
        Ok(self.run(query.bind(id).bind(at)).await? > 0)
    }

    /// Removes secrets that stopped working before `before`; at most [`crate::FORGET_BATCH`] per call. 1 query.
    ///
    /// # Errors
    /// See [`Conn::applications`].
    pub async fn forget_secrets(&self, before: Timestamp) -> Result<u64> {
        let query = sql("DELETE FROM client_secrets WHERE id IN \
             (SELECT id FROM client_secrets WHERE expires_at < $1 ORDER BY expires_at LIMIT 1000)");
        self.run(query.bind(before)).await
    }
}
