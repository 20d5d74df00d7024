//! What operators say about an app's door.

use doorward_domain::app_auth::{AppAuth, PLUGINS, People, Provider, SameSite, SealedSecret, origin};
use doorward_domain::application::Application;
use doorward_domain::group::GroupTree;
use doorward_domain::user::Realm;
use doorward_domain::{ApplicationId, Lifetime};
use doorward_store::Tx;

use crate::Doorward;
use crate::admin::users::find_group;
use crate::error::{Error, Result};

/// Shortest secret of a door, in characters.
pub const SHORTEST_SECRET: usize = 32;
/// Browsers keep no cookie longer than this.
const LONGEST_COOKIE: Lifetime = Lifetime::from_days(400);
/// So long may somebody who was signed out be in a copy.
const LONGEST_COPY: Lifetime = Lifetime::from_hours(1);
const MOST_ORIGINS: usize = 100;
const MOST_PROVIDERS: usize = 50;
const MOST_ALIASES: usize = 8;

/// What changes of a door; `None` leaves a field.
#[derive(Clone, Default)]
pub struct DoorChange {
    /// Origin and path.
    pub base_url: Option<String>,
    /// Further paths.
    pub aliases: Option<Vec<String>>,
    /// A new secret that signs from now on; the ones before still verify.
    pub secret: Option<String>,
    /// Only the newest secret stays.
    pub drop_old_secrets: bool,
    /// Origins that may call.
    pub trusted_origins: Option<Vec<String>>,
    /// First part of the cookies' names.
    pub cookie_prefix: Option<String>,
    /// Parent domain of the cookies; empty: none.
    pub cookie_domain: Option<String>,
    /// `SameSite`.
    pub same_site: Option<SameSite>,
    /// Whose its people are; only while it has none.
    pub people: Option<People>,
    /// May people make accounts themselves?
    pub sign_up: Option<bool>,
    /// Are they signed in then?
    pub auto_sign_in: Option<bool>,
    /// Must addresses be proved first?
    pub require_verification: Option<bool>,
    /// May people ask for a link to prove their address?
    pub verification: Option<bool>,
    /// Is a link sent at sign-up?
    pub verify_on_sign_up: Option<bool>,
    /// Is a link sent at a refused sign-in?
    pub verify_on_sign_in: Option<bool>,
    /// Does the link sign in?
    pub sign_in_after_verification: Option<bool>,
    /// May passwords be reset by mail?
    pub reset_password: Option<bool>,
    /// Does a reset end sessions?
    pub revoke_on_reset: Option<bool>,
    /// May people change their address?
    pub change_email: Option<bool>,
    /// May people delete their account?
    pub delete_user: Option<bool>,
    /// Is it asked for by mail first?
    pub delete_by_mail: Option<bool>,
    /// Shortest password.
    pub shortest_password: Option<u32>,
    /// Lifetime of sessions.
    pub lifetime: Option<Lifetime>,
    /// When sessions are extended.
    pub update_age: Option<Lifetime>,
    /// How long copies of sessions in cookies count; 0: there are none.
    pub cookie_cache: Option<Lifetime>,
    /// How old a session may be for sensitive calls.
    pub fresh_age: Option<Lifetime>,
    /// Are calls counted?
    pub rate_limit: Option<bool>,
    /// Parts of the contract that are on; replaces the list.
    pub plugins: Option<Vec<String>>,
    /// Groups of newcomers, by name.
    pub groups: Option<Vec<String>>,
    /// Providers that are added or changed, with their secrets in the open.
    pub providers: Vec<(Provider, Option<String>)>,
    /// Providers that go.
    pub without_providers: Vec<String>,
    /// Are accounts linked by address?
    pub link_by_email: Option<bool>,
    /// Only when the address here was proved?
    pub link_verified_only: Option<bool>,
    /// May accounts with other addresses be linked when asked for?
    pub link_different_emails: Option<bool>,
    /// Page for failures; empty: ours.
    pub error_url: Option<String>,
}

impl std::fmt::Debug for DoorChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DoorChange")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

fn invalid<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::Invalid(text.into()))
}

/// A base path: a slash and visible characters, none at the end.
fn check_path(path: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./~".contains(c);
    if path.len() < 2
        || path.len() > 100
        || !path.starts_with('/')
        || path.ends_with('/')
        || path.contains("//")
        || !path.chars().all(plain)
    {
        return invalid(format!(
            "`{path}` is not a base path; expected for example /api/auth"
        ));
    }
    let taken = [
        "/application",
        "/if",
        "/-",
        "/.well-known",
        "/.doorward",
        "/outpost.goauthentik.io",
        "/static",
        "/device",
        "/setup",
        "/recover",
        "/version",
    ];
    if taken
        .iter()
        .any(|own| path == *own || path.strip_prefix(own).is_some_and(|rest| rest.starts_with('/')))
    {
        return invalid(format!(
            "base path `{path}` is one of Doorward's own; expected for example /api/auth"
        ));
    }
    Ok(())
}

impl Doorward {
    /// Opens the door of an application or changes it. Gives the secret when one was made.
    ///
    /// # Errors
    /// `Invalid` naming the field, `NotFound`.
    pub async fn change_door(
        &self,
        id: ApplicationId,
        change: &DoorChange,
    ) -> Result<(Application, Option<String>)> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        tx.serialise("administration").await?;
        let Some(mut application) = tx.application(id).await? else {
            return Err(Error::NotFound("there is no such application".into()));
        };
        let before = application.app_auth.is_some().then(|| application.realm());
        let mut door = application.app_auth.take().unwrap_or_else(|| AppAuth {
            base_url: format!("{}/api/auth", self.public_url()),
            aliases: vec!["/auth".to_owned()],
            ..AppAuth::default()
        });
        let made = self.apply_door(&mut door, change)?;
        if let Some(groups) = &change.groups {
            let tree = GroupTree::new(tx.groups(false).await?);
            door.groups = groups
                .iter()
                .map(|name| find_group(&tree, name))
                .collect::<Result<_>>()?;
        }
        self.refuse_shared_door(&tx.applications(false).await?, id, &door)?;
        application.app_auth = Some(door);
        application.updated_at = now;
        if before != Some(application.realm()) {
            self.refuse_other_people(&tx, &application).await?;
        }
        tx.save_application(&application).await?;
        self.note_application(&tx, &application, "app door changed")
            .await?;
        tx.commit().await?;
        self.refresh_directory_now(now).await?;
        Ok((application, made))
    }

    /// Closes the door of an application. Accounts and people stay.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn close_door(&self, id: ApplicationId) -> Result<Application> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        tx.serialise("administration").await?;
        let Some(mut application) = tx.application(id).await? else {
            return Err(Error::NotFound("there is no such application".into()));
        };
        application.app_auth = None;
        application.updated_at = now;
        tx.save_application(&application).await?;
        self.note_application(&tx, &application, "app door closed")
            .await?;
        tx.commit().await?;
        self.refresh_directory_now(now).await?;
        Ok(application)
    }

    /// Whoever belongs to the app stays who they are: people neither leave their realm nor are left behind in it.
    async fn refuse_other_people(&self, tx: &Tx, application: &Application) -> Result<()> {
        let realm = application.realm();
        let mut after = String::new();
        loop {
            let page = tx
                .app_people_named(application.id, super::administration::PERSON, &after)
                .await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = last.name.clone().unwrap_or_default();
            if page.iter().any(|(_, user)| user.realm != realm) {
                let (now, other) = match realm {
                    Realm::Shared => (People::Separate, "shared"),
                    Realm::App(_) => (People::Shared, "separate"),
                };
                return invalid(format!(
                    "`{}` has people, who are {}: they cannot become {other}; make another application, or delete them first",
                    application.slug,
                    now.as_str()
                ));
            }
        }
    }

    /// Two doors at one place would be one too many.
    fn refuse_shared_door(&self, all: &[Application], id: ApplicationId, door: &AppAuth) -> Result<()> {
        for other in all.iter().filter(|other| other.id != id) {
            let Some(theirs) = &other.app_auth else { continue };
            if theirs.host() != door.host() {
                continue;
            }
            let paths = |door: &AppAuth| -> Vec<String> {
                std::iter::once(door.path().to_owned())
                    .chain(door.aliases.iter().cloned())
                    .collect()
            };
            let ours = paths(door);
            if let Some(path) = paths(theirs).iter().find(|path| ours.contains(path)) {
                return invalid(format!(
                    "{}{path} is the door of `{}`; give another --base-url or --alias",
                    door.origin(),
                    other.slug
                ));
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "one step after the other, a field each")]
    fn apply_door(&self, door: &mut AppAuth, change: &DoorChange) -> Result<Option<String>> {
        if let Some(url) = &change.base_url {
            let url = url.trim_end_matches('/');
            let http = url.starts_with("https://") || url.starts_with("http://");
            if !http || origin::origin_of(url).is_none() || url.len() > 300 {
                return invalid(format!(
                    "`{url}` is not a base URL; expected for example https://app.example.com/api/auth"
                ));
            }
            url.clone_into(&mut door.base_url);
        }
        check_path(door.path())?;
        if let Some(aliases) = &change.aliases {
            if aliases.len() > MOST_ALIASES {
                return invalid(format!(
                    "there are {} aliases; expected at most {MOST_ALIASES}",
                    aliases.len()
                ));
            }
            for alias in aliases {
                check_path(alias)?;
            }
            door.aliases.clone_from(aliases);
        }
        let own = door.path().to_owned();
        door.aliases.retain(|alias| *alias != own);
        let made = self.apply_door_secret(door, change)?;
        if let Some(origins) = &change.trusted_origins {
            if origins.len() > MOST_ORIGINS {
                return invalid(format!(
                    "there are {} trusted origins; expected at most {MOST_ORIGINS}",
                    origins.len()
                ));
            }
            for pattern in origins {
                let odd = pattern.is_empty()
                    || pattern.len() > 300
                    || pattern.chars().any(|c| c.is_whitespace() || c.is_control());
                if odd
                    || ["*", "**", "https://*", "http://*", "https://**", "http://**"]
                        .contains(&pattern.as_str())
                {
                    return invalid(format!(
                        "trusted origin `{pattern}` names nobody in particular; expected for example https://app.example.com or https://*.example.com"
                    ));
                }
            }
            door.trusted_origins.clone_from(origins);
        }
        if let Some(prefix) = &change.cookie_prefix {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if prefix.is_empty() || prefix.len() > 50 || !prefix.chars().all(plain) {
                return invalid(format!(
                    "cookie prefix `{prefix}` has other characters than letters, digits, - and _"
                ));
            }
            door.cookie_prefix.clone_from(prefix);
        }
        if let Some(domain) = &change.cookie_domain {
            let domain = domain.trim_start_matches('.').to_ascii_lowercase();
            let host = door.host().split(':').next().unwrap_or_default().to_owned();
            let parent = domain == host || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'));
            if !domain.is_empty() && (!parent || !domain.contains('.')) {
                return invalid(format!("cookie domain `{domain}` is not a parent of {host}"));
            }
            door.cookie_domain = (!domain.is_empty()).then_some(domain);
        }
        if let Some(same_site) = change.same_site {
            if same_site == SameSite::None && !door.secure() {
                return invalid(
                    "SameSite=None needs a door behind https: browsers drop such cookies otherwise",
                );
            }
            door.same_site = same_site;
        }
        door.people = change.people.unwrap_or(door.people);
        let switches = [
            (&mut door.sign_up, change.sign_up),
            (&mut door.auto_sign_in, change.auto_sign_in),
            (&mut door.require_verification, change.require_verification),
            (&mut door.verification, change.verification),
            (&mut door.verify_on_sign_up, change.verify_on_sign_up),
            (&mut door.verify_on_sign_in, change.verify_on_sign_in),
            (
                &mut door.sign_in_after_verification,
                change.sign_in_after_verification,
            ),
            (&mut door.reset_password, change.reset_password),
            (&mut door.revoke_on_reset, change.revoke_on_reset),
            (&mut door.change_email, change.change_email),
            (&mut door.delete_user, change.delete_user),
            (&mut door.delete_by_mail, change.delete_by_mail),
            (&mut door.rate_limit, change.rate_limit),
            (&mut door.linking.implicit, change.link_by_email),
            (&mut door.linking.local_verified, change.link_verified_only),
            (&mut door.linking.different_emails, change.link_different_emails),
        ];
        for (field, wanted) in switches {
            *field = wanted.unwrap_or(*field);
        }
        if let Some(plugins) = &change.plugins {
            if let Some(unknown) = plugins.iter().find(|name| !PLUGINS.contains(&name.as_str())) {
                let near = doorward_domain::text::nearest(unknown, PLUGINS)
                    .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
                return invalid(format!(
                    "there is no plugin `{unknown}`{near}; expected one of {}",
                    PLUGINS.join(", ")
                ));
            }
            door.plugins = plugins.iter().cloned().collect();
        }
        if let Some(shortest) = change.shortest_password {
            if !(8..=64).contains(&shortest) {
                return invalid(format!(
                    "shortest password {shortest} is out of bounds; expected 8 to 64"
                ));
            }
            door.shortest_password = shortest;
        }
        for (field, wanted) in [
            (&mut door.lifetime, change.lifetime),
            (&mut door.update_age, change.update_age),
            (&mut door.fresh_age, change.fresh_age),
        ] {
            *field = wanted.unwrap_or(*field);
        }
        if door.lifetime > LONGEST_COOKIE
            || door.lifetime < Lifetime::from_minutes(1)
            || door.update_age > door.lifetime
        {
            return invalid(
                "sessions live between a minute and 400 days (no browser keeps a cookie longer), and are extended within that",
            );
        }
        if let Some(age) = change.cookie_cache {
            if age > LONGEST_COPY {
                return invalid(
                    "a copy of a session counts for at most an hour: who is signed out in between is still in it",
                );
            }
            door.cookie_cache = Some(age).filter(|age| age.seconds() > 0);
        }
        if let Some(url) = &change.error_url {
            if !url.is_empty() && !origin::may_go(url, door.origin(), &door.trusted_origins) {
                return invalid(format!("error page `{url}` is on no trusted origin"));
            }
            door.error_url = (!url.is_empty()).then(|| url.clone());
        }
        for id in &change.without_providers {
            door.providers.retain(|provider| provider.id != *id);
        }
        for (provider, secret) in &change.providers {
            let provider = self.checked_provider(door, provider, secret.as_deref())?;
            door.providers.retain(|other| other.id != provider.id);
            door.providers.push(provider);
        }
        if door.providers.len() > MOST_PROVIDERS {
            return invalid(format!("there are more than {MOST_PROVIDERS} providers"));
        }
        Ok(made)
    }

    fn apply_door_secret(&self, door: &mut AppAuth, change: &DoorChange) -> Result<Option<String>> {
        let fresh = match &change.secret {
            Some(given) if given.chars().count() < SHORTEST_SECRET => {
                return invalid(format!("the secret has fewer than {SHORTEST_SECRET} characters"));
            }
            Some(given) if given.len() > 1024 => return invalid("the secret has more than 1024 bytes"),
            Some(given) => Some((given.clone(), false)),
            None if door.secrets.is_empty() => Some((self.app_secret_text::<48>(), true)),
            None => None,
        };
        let Some((text, made)) = fresh else {
            if change.drop_old_secrets {
                door.secrets.truncate(1);
            }
            return Ok(None);
        };
        let version = door
            .secrets
            .iter()
            .map(|secret| secret.version)
            .max()
            .unwrap_or(0)
            + 1;
        let secret = SealedSecret {
            version,
            sealed: self.seal_app_text(&text),
        };
        door.secrets.insert(0, secret);
        door.secrets.truncate(if change.drop_old_secrets { 1 } else { 5 });
        Ok(made.then_some(text))
    }

    fn checked_provider(&self, door: &AppAuth, given: &Provider, secret: Option<&str>) -> Result<Provider> {
        let mut provider = given.clone();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if provider.id.is_empty()
            || provider.id.len() > 50
            || !provider.id.chars().all(plain)
            || provider.id == super::accounts::CREDENTIAL
        {
            return invalid(format!(
                "provider `{}` is no name; expected letters, digits, - _ and .",
                provider.id
            ));
        }
        for (what, url) in [
            ("issuer", &provider.issuer),
            ("discovery URL", &provider.discovery_url),
            ("authorization URL", &provider.authorization_url),
            ("token URL", &provider.token_url),
            ("userinfo URL", &provider.userinfo_url),
        ] {
            if let Some(url) = url
                && !(url.starts_with("https://") || url.starts_with("http://"))
            {
                return invalid(format!("{what} `{url}` of provider `{}` is no URL", provider.id));
            }
        }
        let plain_oauth = provider.authorization_url.is_some() && provider.token_url.is_some();
        if provider.issuer.is_none() && provider.discovery_url.is_none() && !plain_oauth {
            return invalid(format!(
                "provider `{}` needs --issuer, --discovery-url, or --authorization-url with --token-url",
                provider.id
            ));
        }
        if let Some(given) = &provider.redirect_uri {
            let served = door.redirect_uris(&provider.id);
            if !served.contains(given) {
                return invalid(format!(
                    "redirect URI `{given}` of provider `{}` is not at this door; expected one of {}",
                    provider.id,
                    served.join(", ")
                ));
            }
        }
        if provider.client_id.is_empty() {
            return invalid(format!("provider `{}` needs --client-id", provider.id));
        }
        provider.client_secret = match secret {
            Some(text) => Some(self.seal_app_text(text)),
            None => door
                .provider(&provider.id)
                .and_then(|known| known.client_secret.clone()),
        };
        Ok(provider)
    }
}
