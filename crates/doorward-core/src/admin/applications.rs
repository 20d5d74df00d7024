//! Applications and their clients.

use serde_json::json;
use std::collections::BTreeSet;

use doorward_crypto::token::{self, Opaque, TokenKind};
use doorward_domain::application::{Application, Audience};
use doorward_domain::client::{
    AccessTokenFormat, AuthMethod, Client, ClientKind, ClientSecret, ConsentMode, GrantType, IssuerMode,
    Pkce, SigningAlgorithm, SubjectMode,
};
use doorward_domain::event::EventKind;
use doorward_domain::group::GroupTree;
use doorward_domain::user::Realm;
use doorward_domain::{ApplicationId, Lifetime, text};
use doorward_store::{Tx, conflict_field};

use crate::admin::clients::{apply_client, set_url};
use crate::admin::sites::SiteChange;
use crate::admin::users::find_group;
use crate::error::{Error, Result};
use crate::events::About;
use crate::picture::topic;
use crate::{Doorward, Origin};

/// Most clients that may exchange for one application.
const MOST_EXCHANGERS: usize = 100;

/// What an application is made or changed with; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct ApplicationChange {
    /// Name for people.
    pub name: Option<String>,
    /// A sentence.
    pub description: Option<String>,
    /// Picture.
    pub icon_url: Option<String>,
    /// Where the tile leads.
    pub launch_url: Option<String>,
    /// Heading in the portal.
    pub heading: Option<String>,
    /// Kept out of the portal.
    pub hidden: Option<bool>,
    /// Audience: everyone.
    pub everyone: Option<bool>,
    /// Audience: groups by name, added.
    pub allow_groups: Vec<String>,
    /// Audience: people by name, added.
    pub allow_users: Vec<String>,
    /// Audience: groups by name, removed.
    pub deny_groups: Vec<String>,
    /// Audience: people by name, removed.
    pub deny_users: Vec<String>,
    /// The OAuth 2 side.
    pub client: ClientChange,
    /// Hosts and paths behind a reverse proxy.
    pub sites: Vec<SiteChange>,
}

/// The OAuth 2 side; `None` leaves a field as it is, a given list replaces. `Debug` shows little of it: it may hold a secret.
#[derive(Clone, Default)]
pub struct ClientChange {
    /// Public or confidential; makes a client when there was none.
    pub kind: Option<ClientKind>,
    /// Own choice of client id (imports).
    pub client_id: Option<String>,
    /// Own choice of a secret (imports); at least 16 characters.
    pub client_secret: Option<String>,
    /// Redirect URIs.
    pub redirect_uris: Option<Vec<String>>,
    /// Where to go after sign-out.
    pub post_logout_redirect_uris: Option<Vec<String>>,
    /// Authentication methods.
    pub auth_methods: Option<BTreeSet<AuthMethod>>,
    /// Inline keys.
    pub jwks: Option<serde_json::Value>,
    /// Keys by URL.
    pub jwks_uri: Option<String>,
    /// Grant types.
    pub grant_types: Option<BTreeSet<GrantType>>,
    /// Allowed scopes.
    pub scopes: Option<BTreeSet<String>>,
    /// PKCE rule.
    pub pkce: Option<Pkce>,
    /// Signature algorithm.
    pub signing_algorithm: Option<SigningAlgorithm>,
    /// Form of access tokens.
    pub access_token_format: Option<AccessTokenFormat>,
    /// Subject.
    pub subject_mode: Option<SubjectMode>,
    /// Issuer.
    pub issuer_mode: Option<IssuerMode>,
    /// Claims in the ID token.
    pub id_token_claims: Option<bool>,
    /// Consent.
    pub consent: Option<ConsentMode>,
    /// Lifetime of codes.
    pub code_lifetime: Option<Lifetime>,
    /// Lifetime of access tokens.
    pub access_token_lifetime: Option<Lifetime>,
    /// Lifetime of refresh tokens.
    pub refresh_token_lifetime: Option<Lifetime>,
    /// Lifetime of ID tokens.
    pub id_token_lifetime: Option<Lifetime>,
    /// Back-channel logout.
    pub backchannel_logout_uri: Option<String>,
    /// Front-channel logout.
    pub frontchannel_logout_uri: Option<String>,
    /// Resources.
    pub resources: Option<BTreeSet<String>>,
    /// Who may exchange tokens for ones of this client (RFC 8693): client ids, or slugs of applications that have a client.
    pub exchange_from: Option<BTreeSet<String>>,
}

impl std::fmt::Debug for ClientChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientChange")
            .field("kind", &self.kind)
            .field("client_id", &self.client_id)
            .field("redirect_uris", &self.redirect_uris)
            .field("grant_types", &self.grant_types)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl ClientChange {
    fn wants_client(&self) -> bool {
        self.kind.is_some()
            || self.redirect_uris.is_some()
            || self.grant_types.is_some()
            || self.client_id.is_some()
    }
}

/// An application right after it was made: the only moment at which the secret is known. `Debug` leaves it out.
#[derive(Clone)]
pub struct Created {
    /// The record.
    pub application: Application,
    /// The client secret, shown once; `None` for public clients and applications without a client.
    pub client_secret: Option<String>,
}

impl std::fmt::Debug for Created {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Created")
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}

impl Doorward {
    /// All applications; with `deleted` also those in the bin.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn list_applications(&self, deleted: bool) -> Result<Vec<Application>> {
        let mut list = self.store()?.read().applications(deleted).await?;
        list.sort_by(|a, b| a.slug.cmp(&b.slug));
        Ok(list)
    }

    /// An application by slug or id.
    ///
    /// # Errors
    /// `NotFound` with the nearest slug.
    pub async fn find_application(&self, wanted: &str) -> Result<Application> {
        let conn = self.store()?.read();
        if let Ok(id) = wanted.parse::<ApplicationId>()
            && let Some(application) = conn.application(id).await?
        {
            return Ok(application);
        }
        if let Some(application) = conn.application_by_slug(wanted, false).await? {
            return Ok(application);
        }
        let all = conn.applications(false).await?;
        let hint = text::nearest(wanted, all.iter().map(|application| application.slug.as_str()))
            .map_or(String::new(), |slug| format!("; did you mean `{slug}`?"));
        Err(Error::NotFound(format!(
            "there is no application `{wanted}`{hint}"
        )))
    }

    /// Makes an application; with a client when the change speaks of one.
    ///
    /// # Errors
    /// `Invalid` naming the field.
    pub async fn create_application(&self, slug: &str, change: &ApplicationChange) -> Result<Created> {
        let tx = self.store()?.begin().await?;
        if !change.sites.is_empty() {
            tx.serialise("administration").await?;
        }
        let created = self.create_in(&tx, slug, change).await?;
        tx.commit().await?;
        self.refresh_directory_now(self.now()).await?;
        Ok(created)
    }

    /// Makes an application in a transaction of the caller's.
    pub(crate) async fn create_in(&self, tx: &Tx, slug: &str, change: &ApplicationChange) -> Result<Created> {
        text::check_slug(slug).map_err(Error::Invalid)?;
        let now = self.now();
        let mut application = Application {
            id: self.mint(now),
            slug: slug.to_owned(),
            name: slug.to_owned(),
            description: String::new(),
            icon_url: None,
            launch_url: None,
            heading: None,
            hidden: false,
            audience: Audience::default(),
            client: None,
            secrets: Vec::new(),
            sites: Vec::new(),
            app_auth: None,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        self.apply_change(tx, &mut application, change).await?;
        let client_secret = self.first_secret(&mut application, &change.client)?;
        tx.add_application(&application)
            .await
            .map_err(|error| conflict(error, &application))?;
        self.note_application(tx, &application, "created").await?;
        Ok(Created {
            application,
            client_secret,
        })
    }

    fn first_secret(&self, application: &mut Application, change: &ClientChange) -> Result<Option<String>> {
        let Some(client) = &application.client else {
            return Ok(None);
        };
        let uses_secret = client.auth_methods.iter().any(|method| {
            matches!(
                method,
                AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost
            )
        });
        if client.kind == ClientKind::Public || !uses_secret {
            return Ok(None);
        }
        let text = match &change.client_secret {
            Some(own) if own.chars().count() < 16 => {
                return Err(Error::Invalid(
                    "client secret has fewer than 16 characters".into(),
                ));
            }
            Some(own) => own.clone(),
            None => Opaque::mint(TokenKind::ClientSecret, &self.random())
                .text()
                .to_owned(),
        };
        application.secrets.push(self.secret(&text, None));
        Ok(Some(text))
    }

    fn secret(&self, text: &str, expires_at: Option<doorward_domain::Timestamp>) -> ClientSecret {
        let now = self.now();
        let count = text.chars().count();
        ClientSecret {
            id: self.mint(now),
            digest: *token::digest(text).bytes(),
            hint: text.chars().skip(count.saturating_sub(4)).collect(),
            created_at: now,
            expires_at,
        }
    }

    /// Changes an application.
    ///
    /// # Errors
    /// `Invalid` naming the field.
    pub async fn update_application(&self, id: ApplicationId, change: &ApplicationChange) -> Result<Created> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        tx.serialise("administration").await?;
        let Some(mut application) = tx.application(id).await? else {
            return Err(Error::NotFound("there is no such application".into()));
        };
        let had_client = application.client.is_some();
        self.apply_change(&tx, &mut application, change).await?;
        application.updated_at = now;
        let needs_secret = application.secrets.is_empty() || change.client.client_secret.is_some();
        let client_secret = if needs_secret || !had_client {
            self.first_secret(&mut application, &change.client)?
        } else {
            None
        };
        tx.save_application(&application)
            .await
            .map_err(|error| conflict(error, &application))?;
        if client_secret.is_some()
            && let Some(secret) = application.secrets.last()
        {
            tx.add_secret(id, secret).await?;
        }
        self.note_application(&tx, &application, "changed").await?;
        tx.commit().await?;
        self.refresh_directory_now(now).await?;
        Ok(Created {
            application,
            client_secret,
        })
    }

    pub(crate) async fn apply_change(
        &self,
        tx: &Tx,
        application: &mut Application,
        change: &ApplicationChange,
    ) -> Result<()> {
        if let Some(name) = &change.name {
            application.name.clone_from(name);
        }
        text::check_visible("name", &application.name, 100).map_err(Error::Invalid)?;
        if let Some(description) = &change.description {
            super::check_text("description", description, 500)?;
            application.description.clone_from(description);
        }
        set_url(&mut application.icon_url, "icon", change.icon_url.as_deref())?;
        set_url(
            &mut application.launch_url,
            "launch URL",
            change.launch_url.as_deref(),
        )?;
        if let Some(heading) = &change.heading {
            super::check_text("heading", heading, 100)?;
            application.heading = Some(heading.clone()).filter(|heading| !heading.is_empty());
        }
        if let Some(hidden) = change.hidden {
            application.hidden = hidden;
        }
        self.apply_audience(tx, &mut application.audience, change).await?;
        self.apply_sites(tx, application, &change.sites).await?;
        if application.client.is_none() && change.client.wants_client() {
            let kind = change.client.kind.unwrap_or(ClientKind::Confidential);
            application.client = Some(Client::new(self.random_hex::<20>(), kind));
        }
        if let Some(client) = &mut application.client {
            let custom: Vec<String> = tx
                .custom_scopes()
                .await?
                .into_iter()
                .map(|scope| scope.name)
                .collect();
            apply_client(client, &change.client, &custom)?;
            if let Some(wanted) = &change.client.exchange_from {
                client.exchange_from = self.exchangers(tx, wanted).await?;
            }
        }
        Ok(())
    }

    /// The client ids of those who may exchange.
    async fn exchangers(&self, tx: &Tx, wanted: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        if wanted.len() > MOST_EXCHANGERS {
            return Err(Error::Invalid(format!(
                "there are {} clients to exchange from; expected at most {MOST_EXCHANGERS}",
                wanted.len()
            )));
        }
        let directory = self.directory();
        let mut found = BTreeSet::new();
        for name in wanted {
            let by_slug = tx.application_by_slug(name, false).await?;
            let client_id = by_slug
                .and_then(|application| application.client)
                .map(|client| client.client_id)
                .or_else(|| directory.by_client_id(name).map(|_| name.clone()));
            let Some(client_id) = client_id else {
                return Err(Error::Invalid(format!(
                    "there is no application or client `{name}` to exchange from"
                )));
            };
            found.insert(client_id);
        }
        Ok(found)
    }

    async fn apply_audience(
        &self,
        tx: &Tx,
        audience: &mut Audience,
        change: &ApplicationChange,
    ) -> Result<()> {
        if let Some(everyone) = change.everyone {
            audience.everyone = everyone;
        }
        let tree = GroupTree::new(tx.groups(false).await?);
        for name in &change.allow_groups {
            audience.groups.insert(find_group(&tree, name)?);
        }
        for name in &change.deny_groups {
            audience.groups.remove(&find_group(&tree, name)?);
        }
        for (name, allow) in change
            .allow_users
            .iter()
            .map(|n| (n, true))
            .chain(change.deny_users.iter().map(|n| (n, false)))
        {
            let by_name = tx.user_by_username(Realm::Shared, name).await?;
            let user = match by_name {
                Some(user) => Some(user),
                None => tx.user_by_email(Realm::Shared, name).await?,
            };
            let Some(user) = user else {
                return Err(Error::NotFound(format!("there is no user `{name}`")));
            };
            if allow {
                audience.users.insert(user.id);
            } else {
                audience.users.remove(&user.id);
            }
        }
        Ok(())
    }

    /// Adds a secret; the older ones keep working for `overlap` (RFC-less practice: clients switch in their own time).
    ///
    /// # Errors
    /// `Invalid` when the application has no confidential client.
    pub async fn rotate_secret(&self, id: ApplicationId, overlap: Lifetime) -> Result<Created> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        tx.serialise("administration").await?;
        let Some(mut application) = tx.application(id).await? else {
            return Err(Error::NotFound("there is no such application".into()));
        };
        if application
            .client
            .as_ref()
            .is_none_or(|client| client.kind == ClientKind::Public)
        {
            return Err(Error::Invalid(format!(
                "`{}` has no confidential client, so it has no secret",
                application.slug
            )));
        }
        let until = now.plus(overlap);
        // Two at once: the new one, and of the others the latest for a while.
        let latest = application
            .secrets
            .iter()
            .filter(|secret| secret.is_live(now))
            .max_by_key(|secret| (secret.created_at, secret.id))
            .map(|secret| secret.id);
        for old in &mut application.secrets {
            let until = if Some(old.id) == latest { until } else { now };
            if old.expires_at.is_none_or(|at| until < at) {
                tx.expire_secret(old.id, until).await?;
                old.expires_at = Some(until);
            }
        }
        let text = Opaque::mint(TokenKind::ClientSecret, &self.random())
            .text()
            .to_owned();
        let secret = self.secret(&text, None);
        tx.add_secret(id, &secret).await?;
        application.secrets.push(secret);
        let details = json!({ "what": "rotated", "old_until": until.to_string() });
        let about = About {
            application: Some(id),
            details,
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::SecretChanged, about, &Origin::default(), now))
            .await?;
        tx.changed(topic::DIRECTORY, &id.to_string(), now);
        tx.commit().await?;
        self.refresh_directory_now(now).await?;
        Ok(Created {
            application,
            client_secret: Some(text),
        })
    }

    /// Puts an application into the bin; its tokens end.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn delete_application(&self, id: ApplicationId) -> Result<()> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let Some(application) = tx.application(id).await? else {
            return Err(Error::NotFound("there is no such application".into()));
        };
        tx.delete_application(id, now).await?;
        tx.end_families_of_application(id, "application deleted", now)
            .await?;
        self.note_application(&tx, &application, "deleted").await?;
        tx.commit().await?;
        self.refresh_directory_now(now).await
    }

    /// Takes an application out of the bin.
    ///
    /// # Errors
    /// `Invalid` when the slug was taken meanwhile.
    pub async fn restore_application(&self, id: ApplicationId) -> Result<()> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        tx.serialise("administration").await?;
        let Some(application) = tx.application(id).await? else {
            return Err(Error::NotFound("there is no such application".into()));
        };
        self.check_sites_free(&tx, &application).await?;
        tx.restore_application(id, now)
            .await
            .map_err(|error| conflict(error, &application))?;
        self.note_application(&tx, &application, "restored").await?;
        tx.commit().await?;
        self.refresh_directory_now(now).await
    }

    pub(crate) async fn note_application(
        &self,
        tx: &Tx,
        application: &Application,
        what: &str,
    ) -> Result<()> {
        let now = self.now();
        let details = json!({ "what": what, "slug": application.slug });
        let about = About {
            application: Some(application.id),
            details,
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::ApplicationChanged, about, &Origin::default(), now))
            .await?;
        tx.changed(topic::DIRECTORY, &application.id.to_string(), now);
        Ok(())
    }
}

fn conflict(error: doorward_store::Error, application: &Application) -> Error {
    match conflict_field(&error) {
        Some("slug") => Error::Invalid(format!("slug `{}` is taken", application.slug)),
        Some("client_id") => {
            let client = application.client.as_ref();
            let client_id = client.map_or("", |client| client.client_id.as_str());
            Error::Invalid(format!("client_id `{client_id}` is taken"))
        }
        _ => error.into(),
    }
}

impl Doorward {
    /// Issuer of an application that has a client.
    #[must_use]
    pub fn issuer_of(&self, application: &Application) -> Option<String> {
        application
            .client
            .as_ref()
            .map(|client| self.issuer(&application.slug, client))
    }
}
