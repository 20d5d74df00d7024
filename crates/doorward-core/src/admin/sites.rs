//! Sites of applications, their path rules, and whole tables of them.

use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

use doorward_domain::Lifetime;
use doorward_domain::application::{Application, Audience};
use doorward_domain::event::EventKind;
use doorward_domain::group::GroupTree;
use doorward_domain::site::{
    Access, AuthorizationRule, BreakGlass, HostPattern, MOST_RULES, PathPattern, PathRule, Site, SiteAddress,
    Upstream,
};
use doorward_domain::user::Realm;
use doorward_store::Tx;

use crate::admin::users::find_group;
use crate::error::{Error, Fault, Result};
use crate::events::About;
use crate::picture::{setting, topic};
use crate::place::split_scheme;
use crate::{Doorward, Origin};

/// Most sites of one application.
const MOST_SITES: usize = 200;

/// What becomes of one site of an application.
#[derive(Clone, Debug)]
pub enum SiteChange {
    /// Made when there is none at this address, changed when there is.
    Put(Box<SiteDraft>),
    /// The same, where the caller knows in this transaction that nobody else has the address.
    PutFree(Box<SiteDraft>),
    /// Taken away.
    Remove(SiteAddress),
}

/// A site to be made or changed; `None` leaves a field as it is.
#[derive(Clone, Debug)]
pub struct SiteDraft {
    /// Where.
    pub address: SiteAddress,
    /// All rules, as they are written: access, methods, path.
    pub rules: Option<Vec<String>>,
    /// Rules to be added after the others.
    pub more_rules: Vec<String>,
    /// `X-authentik-*`.
    pub authentik: Option<bool>,
    /// `Remote-*`.
    pub remote: Option<bool>,
    /// `X-Doorward-Jwt`.
    pub jwt: Option<bool>,
    /// `Authorization: Bearer`.
    pub bearer: Option<bool>,
    /// `Authorization: Basic`.
    pub basic: Option<bool>,
    /// What becomes of `Authorization`.
    pub authorization: Option<AuthorizationRule>,
    /// The cookie is for this host alone.
    pub isolated: Option<bool>,
    /// Where requests are forwarded to; empty: nowhere.
    pub upstream: Option<String>,
    /// Does the service see the host that the visitor typed?
    pub pass_host: Option<bool>,
    /// Is any certificate of the service good enough?
    pub insecure: Option<bool>,
    /// The one certificate that the service may show, DER in base64; empty: any that an authority vouches for.
    pub certificate: Option<String>,
    /// How long the service may take to begin its answer.
    pub timeout: Option<Lifetime>,
}

impl SiteDraft {
    /// A site at an address, with nothing said about it.
    #[must_use]
    pub fn new(address: SiteAddress) -> Self {
        Self {
            address,
            rules: None,
            more_rules: Vec::new(),
            authentik: None,
            remote: None,
            jwt: None,
            bearer: None,
            basic: None,
            authorization: None,
            isolated: None,
            upstream: None,
            pass_host: None,
            insecure: None,
            certificate: None,
            timeout: None,
        }
    }
}

pub(super) fn invalid(problem: impl Into<String>) -> Error {
    Error::Invalid(problem.into())
}

/// Methods as they may stand in a rule, and as requests may have them.
pub(crate) fn is_method(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
}

/// A rule as it is written, taken apart: who, which methods, which path.
fn split_rule(text: &str) -> Result<(String, BTreeSet<String>, PathPattern)> {
    let bad = |what: &str| {
        invalid(format!(
            "rule `{text}` {what}; expected ACCESS [METHODS] PATH, for example `public GET /health`, `deny /admin`, \
             `group:ops,user:alice /ops`, `everyone /docs/**` or `application /`"
        ))
    };
    let text_trimmed = text.trim();
    let (rest, path) = text_trimmed
        .rsplit_once(char::is_whitespace)
        .ok_or_else(|| bad("has no path"))?;
    let path = path.parse::<PathPattern>().map_err(|problem| bad(&problem))?;
    let rest = rest.trim_end();
    let (access, methods) = match rest.rsplit_once(char::is_whitespace) {
        Some((access, methods)) if methods.split(',').all(is_method) => {
            (access.trim_end(), methods.split(',').map(str::to_owned).collect())
        }
        _ => (rest, BTreeSet::new()),
    };
    if access.is_empty() || access.split(',').all(is_method) {
        return Err(bad("does not say who"));
    }
    Ok((access.to_owned(), methods, path))
}

impl Doorward {
    /// A rule as it is written, with the names in it looked up.
    async fn rule(&self, tx: &Tx, tree: &GroupTree, text: &str) -> Result<PathRule> {
        let (access, methods, path) = split_rule(text)?;
        let access = match access.as_str() {
            "public" => Access::Public,
            "deny" => Access::Deny,
            "application" => Access::Application,
            "everyone" => Access::Audience(Audience {
                everyone: true,
                ..Audience::default()
            }),
            named => {
                let mut audience = Audience::default();
                for part in named.split(',') {
                    match part.trim().split_once(':') {
                        Some(("group", name)) => {
                            audience.groups.insert(find_group(tree, name)?);
                        }
                        Some(("user", name)) => {
                            audience.users.insert(self.user_in(tx, name).await?);
                        }
                        _ => {
                            return Err(invalid(format!(
                                "rule `{text}` says `{part}`; expected public, deny, application, everyone, group:NAME or user:NAME"
                            )));
                        }
                    }
                }
                Access::Audience(audience)
            }
        };
        Ok(PathRule {
            path,
            methods,
            access,
        })
    }

    async fn user_in(&self, tx: &Tx, name: &str) -> Result<doorward_domain::UserId> {
        if let Ok(id) = name.parse()
            && let Some(user) = tx.user(id).await?
        {
            return Ok(user.id);
        }
        let by_name = tx.user_by_username(Realm::Shared, name).await?;
        let user = match by_name {
            Some(user) => Some(user),
            None => tx.user_by_email(Realm::Shared, name).await?,
        };
        user.map(|user| user.id)
            .ok_or_else(|| Error::NotFound(format!("there is no user `{name}`")))
    }

    pub(crate) async fn apply_sites(
        &self,
        tx: &Tx,
        application: &mut Application,
        changes: &[SiteChange],
    ) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let tree = GroupTree::new(tx.groups(false).await?);
        for change in changes {
            match change {
                SiteChange::Remove(address) => {
                    let before = application.sites.len();
                    application.sites.retain(|site| site.address != *address);
                    if application.sites.len() == before {
                        let known: Vec<String> = application
                            .sites
                            .iter()
                            .map(|site| site.address.to_string())
                            .collect();
                        return Err(Error::NotFound(format!(
                            "application `{}` has no site {address}; it has: {}",
                            application.slug,
                            if known.is_empty() {
                                "none".to_owned()
                            } else {
                                known.join(", ")
                            }
                        )));
                    }
                }
                SiteChange::Put(draft) | SiteChange::PutFree(draft) => {
                    self.put_site(tx, &tree, application, draft).await?;
                }
            }
        }
        if application.sites.len() > MOST_SITES {
            return Err(invalid(format!("an application has {MOST_SITES} sites at most")));
        }
        let known = changes
            .iter()
            .all(|change| matches!(change, SiteChange::PutFree(_)));
        if known {
            return Ok(());
        }
        self.check_addresses(tx, application).await
    }

    async fn put_site(
        &self,
        tx: &Tx,
        tree: &GroupTree,
        application: &mut Application,
        draft: &SiteDraft,
    ) -> Result<()> {
        let found = application
            .sites
            .iter()
            .position(|site| site.address == draft.address);
        let mut site = match found.and_then(|at| application.sites.get(at)) {
            Some(site) => site.clone(),
            None => Site::new(draft.address.clone()),
        };
        if let Some(rules) = &draft.rules {
            site.rules.clear();
            for text in rules {
                site.rules.push(self.rule(tx, tree, text).await?);
            }
        }
        for text in &draft.more_rules {
            site.rules.push(self.rule(tx, tree, text).await?);
        }
        if site.rules.len() > MOST_RULES {
            return Err(invalid(format!("a site has {MOST_RULES} rules at most")));
        }
        let set = |field: &mut bool, value: Option<bool>| *field = value.unwrap_or(*field);
        set(&mut site.headers.authentik, draft.authentik);
        set(&mut site.headers.remote, draft.remote);
        set(&mut site.headers.jwt, draft.jwt);
        set(&mut site.machines.bearer, draft.bearer);
        set(&mut site.machines.basic, draft.basic);
        set(&mut site.isolated, draft.isolated);
        site.authorization = draft.authorization.unwrap_or(site.authorization);
        match draft.upstream.as_deref() {
            None => {}
            Some("") => site.upstream = None,
            Some(url) => {
                check_upstream(url)?;
                let before = site.upstream.take();
                site.upstream = Some(Upstream {
                    url: url.to_owned(),
                    pass_host: before.as_ref().is_none_or(|before| before.pass_host),
                    insecure: before.as_ref().is_some_and(|before| before.insecure),
                    certificate: before.as_ref().and_then(|before| before.certificate.clone()),
                    timeout: before.map_or(Lifetime::from_seconds(60), |before| before.timeout),
                });
            }
        }
        let wants_upstream = draft.pass_host.is_some()
            || draft.insecure.is_some()
            || draft.certificate.is_some()
            || draft.timeout.is_some();
        match &mut site.upstream {
            Some(upstream) => {
                set(&mut upstream.pass_host, draft.pass_host);
                set(&mut upstream.insecure, draft.insecure);
                if let Some(certificate) = &draft.certificate {
                    if certificate.len() > 20_000 {
                        return Err(invalid(
                            "the upstream's certificate has more than 20000 characters",
                        ));
                    }
                    upstream.certificate = Some(certificate.clone()).filter(|text| !text.is_empty());
                }
                if let Some(timeout) = draft.timeout {
                    if timeout < Lifetime::from_seconds(1) || timeout > Lifetime::from_hours(1) {
                        return Err(invalid("upstream timeout must be 1s to 1h"));
                    }
                    upstream.timeout = timeout;
                }
            }
            None if wants_upstream => {
                return Err(invalid(format!(
                    "site {} has no upstream to be told how to reach",
                    site.address
                )));
            }
            None => {}
        }
        match found.and_then(|at| application.sites.get_mut(at)) {
            Some(place) => *place = site,
            None => application.sites.push(site),
        }
        Ok(())
    }

    /// No two sites are the same place: nobody could tell whose rules count.
    async fn check_addresses(&self, tx: &Tx, application: &Application) -> Result<()> {
        let others = tx.applications(false).await?;
        let mut taken: BTreeMap<Key, &str> = BTreeMap::new();
        for other in others.iter().filter(|other| other.id != application.id) {
            for site in &other.sites {
                taken.insert(key_of(&site.address), &other.slug);
            }
        }
        for site in &application.sites {
            if let Some(other) = taken.insert(key_of(&site.address), &application.slug) {
                return Err(belongs_to(&site.address, other));
            }
        }
        Ok(())
    }

    /// The same for an application that comes back out of the bin.
    pub(crate) async fn check_sites_free(&self, tx: &Tx, application: &Application) -> Result<()> {
        if application.sites.is_empty() {
            return Ok(());
        }
        self.check_addresses(tx, application).await
    }

    /// Do administrators enter every site?
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn break_glass(&self) -> Result<BreakGlass> {
        Ok(self
            .find_setting(self.store()?, setting::BREAK_GLASS)
            .await?
            .unwrap_or_default())
    }

    /// Switches break glass on or off.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn set_break_glass(&self, wanted: BreakGlass) -> Result<()> {
        let now = self.now();
        let text = serde_json::to_string(&wanted)
            .map_err(|error| Fault::caused("a setting could not be encoded", error))?;
        let tx = self.store()?.begin().await?;
        tx.put_instance(setting::BREAK_GLASS, &text).await?;
        let about = About {
            details: json!({ "setting": setting::BREAK_GLASS, "value": wanted }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::SettingChanged, about, &Origin::default(), now))
            .await?;
        tx.changed(topic::SETTINGS, setting::BREAK_GLASS, now);
        tx.commit().await?;
        self.refresh_directory_now(now).await
    }
}

/// Which host, port and paths an address means; the scheme does not tell two sites apart.
pub(super) type Key = (HostPattern, Option<u16>, String);

/// An address that another application has.
pub(super) fn belongs_to(address: &SiteAddress, other: &str) -> Error {
    invalid(format!(
        "site {address} belongs to application `{other}`; `doorward application update {other} --remove-site {address}` frees it"
    ))
}

pub(super) fn key_of(address: &SiteAddress) -> Key {
    (address.host.clone(), address.port, address.path.clone())
}

/// Checks where requests are forwarded to.
fn check_upstream(url: &str) -> Result<()> {
    let bad = || {
        invalid(format!(
            "upstream `{url}` cannot be used; expected for example http://127.0.0.1:3000, https://service.internal or h2c://127.0.0.1:50051"
        ))
    };
    let plain = match url.strip_prefix("h2c://") {
        Some(rest) => format!("http://{rest}"),
        None => url.to_owned(),
    };
    if plain.len() > 500 || split_scheme(&plain).is_none() || plain.contains(['?', '#', '@', ' ', '\\']) {
        return Err(bad());
    }
    crate::place::Place::parse(&plain).map(|_| ()).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_taken_apart() {
        let split = |text: &str| {
            let (access, methods, path) = split_rule(text).unwrap();
            (
                access,
                methods.into_iter().collect::<Vec<_>>().join("+"),
                path.to_string(),
            )
        };
        let is = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(split("public GET /health"), is("public", "GET", "/health"));
        assert_eq!(split("deny POST,PUT /api/**"), is("deny", "POST+PUT", "/api/**"));
        assert_eq!(
            split("group:authentik Admins,user:bob  /x"),
            is("group:authentik Admins,user:bob", "", "/x")
        );
        assert_eq!(
            split("group:staff OPS GET /x"),
            is("group:staff OPS", "GET", "/x")
        );
        for bad in [
            "",
            "public",
            "/x",
            "GET /x",
            "public x",
            "public GET",
            "public /a/../b",
        ] {
            assert!(split_rule(bad).is_err(), "{bad}");
        }
    }
}
