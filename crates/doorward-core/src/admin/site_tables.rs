//! Tables of sites: all rows in one transaction, or none.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use doorward_domain::application::{Application, Audience};
use doorward_domain::group::GroupTree;
use doorward_domain::site::SiteAddress;
use doorward_domain::text;
use doorward_store::Tx;

use crate::Doorward;
use crate::admin::applications::ApplicationChange;
use crate::admin::groups::GroupChange;
use crate::admin::sites::{Key, SiteChange, SiteDraft, belongs_to, invalid, key_of};
use crate::admin::users::find_group;
use crate::error::{Error, Result};

/// Most rows of one table.
const MOST_ROWS: usize = 10_000;

/// One row of a table of sites.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteRow {
    /// Address.
    pub url: String,
    /// Slug of the application; made from the host when it is not given.
    #[serde(default)]
    pub application: Option<String>,
    /// Name of the application.
    #[serde(default)]
    pub name: Option<String>,
    /// Audience: groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Audience: people.
    #[serde(default)]
    pub users: Vec<String>,
    /// Audience: everyone.
    #[serde(default)]
    pub everyone: bool,
    /// Path rules as they are written.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Where this program forwards to.
    #[serde(default)]
    pub upstream: Option<String>,
    /// `X-authentik-*` too?
    #[serde(default)]
    pub authentik_headers: Option<bool>,
    /// `Remote-*` too?
    #[serde(default)]
    pub remote_headers: Option<bool>,
}

/// How a table is taken in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Import {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Make groups that do not exist, without members.
    pub create_groups: bool,
}

/// What a table did, or would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Imported {
    /// Applications that were made.
    pub created: Vec<String>,
    /// Applications that were changed.
    pub changed: Vec<String>,
    /// Applications that are as the table says already.
    pub unchanged: Vec<String>,
    /// Groups that were made.
    pub groups: Vec<String>,
    /// Was nothing written?
    pub dry_run: bool,
}

impl Doorward {
    /// Takes a table of sites in, in one transaction: all of it or nothing. Each row's application gets exactly the audience and the rules
    /// that the row says; what the table does not speak of stays.
    ///
    /// # Errors
    /// `Invalid` naming the row and what was expected.
    pub async fn import_sites(&self, rows: &[SiteRow], how: Import) -> Result<Imported> {
        if rows.is_empty() {
            return Err(invalid("the table is empty: nothing was changed"));
        }
        if rows.len() > MOST_ROWS {
            return Err(invalid(format!("the table has more than {MOST_ROWS} rows")));
        }
        let now = self.now();
        let tx = self.store()?.begin().await?;
        tx.serialise("administration").await?;
        let mut done = Imported {
            dry_run: how.dry_run,
            ..Imported::default()
        };
        self.import_groups(&tx, rows, how, &mut done).await?;
        let mut table = Taken::new(&tx.applications(false).await?);
        for (number, row) in rows.iter().enumerate() {
            self.import_row(&tx, row, number + 1, &mut table, &mut done)
                .await
                .map_err(|error| match error {
                    Error::Invalid(problem) | Error::NotFound(problem) => {
                        invalid(format!("row {} ({}): {problem}", number + 1, row.url))
                    }
                    other => other,
                })?;
        }
        if how.dry_run {
            return Ok(done);
        }
        tx.commit().await?;
        self.refresh_directory_now(now).await?;
        Ok(done)
    }

    async fn import_groups(&self, tx: &Tx, rows: &[SiteRow], how: Import, done: &mut Imported) -> Result<()> {
        let mut tree = GroupTree::new(tx.groups(false).await?);
        for row in rows {
            for name in &row.groups {
                match find_group(&tree, name) {
                    Ok(_) => {}
                    Err(_) if how.create_groups => {
                        let group = self.add_group_in(tx, name, &GroupChange::default()).await?;
                        done.groups.push(group.name);
                        tree = GroupTree::new(tx.groups(false).await?);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn import_row(
        &self,
        tx: &Tx,
        row: &SiteRow,
        number: usize,
        table: &mut Taken,
        done: &mut Imported,
    ) -> Result<()> {
        let address: SiteAddress = row.url.parse().map_err(invalid)?;
        if !row.everyone && row.groups.is_empty() && row.users.is_empty() && row.rules.is_empty() {
            return Err(invalid(
                "admits nobody: name groups, users, everyone or rules (a rule `deny /` if nobody is meant)",
            ));
        }
        let slug = table.application_of(row, number, &address)?;
        let known = tx.application_by_slug(&slug, false).await?;
        let mut draft = SiteDraft::new(address);
        draft.rules = Some(row.rules.clone());
        draft.upstream.clone_from(&row.upstream);
        draft.authentik = row.authentik_headers;
        draft.remote = row.remote_headers;
        let change = ApplicationChange {
            name: row.name.clone(),
            everyone: Some(row.everyone),
            allow_groups: row.groups.clone(),
            allow_users: row.users.clone(),
            sites: vec![SiteChange::PutFree(Box::new(draft))],
            ..ApplicationChange::default()
        };
        let Some(before) = known else {
            let change = ApplicationChange {
                name: change.name.or_else(|| Some(slug.clone())),
                ..change
            };
            self.create_in(tx, &slug, &change).await?;
            done.created.push(slug);
            return Ok(());
        };
        let mut after = before.clone();
        after.audience = Audience::default();
        self.apply_change(tx, &mut after, &change).await?;
        if after == before {
            done.note(slug, false);
            return Ok(());
        }
        after.updated_at = self.now();
        tx.save_application(&after).await?;
        self.note_application(tx, &after, "changed").await?;
        done.note(slug, true);
        Ok(())
    }
}

impl Imported {
    /// An application is in one list only, however many rows are about it.
    fn note(&mut self, slug: String, changed: bool) {
        if self.created.contains(&slug) || self.changed.contains(&slug) {
            return;
        }
        let before = self.unchanged.iter().position(|other| *other == slug);
        match (changed, before) {
            (true, Some(at)) => {
                self.unchanged.remove(at);
                self.changed.push(slug);
            }
            (true, None) => self.changed.push(slug),
            (false, Some(_)) => {}
            (false, None) => self.unchanged.push(slug),
        }
    }
}

/// Whom an application admits, as a row says it: everyone, groups, people.
type Admits = (bool, BTreeSet<String>, BTreeSet<String>);

/// Which application each row of a table is about.
struct Taken {
    /// Of all sites that there are.
    owners: BTreeMap<Key, String>,
    /// Of all applications that there are.
    slugs: BTreeSet<String>,
    /// Addresses in the table, with their row.
    rows: BTreeMap<Key, usize>,
    /// Applications in the table, with their first row and whom it admits.
    audiences: BTreeMap<String, (usize, Admits)>,
}

impl Taken {
    fn new(applications: &[Application]) -> Self {
        let sites = |application: &Application| {
            let sites: Vec<(Key, String)> = application
                .sites
                .iter()
                .map(|site| (key_of(&site.address), application.slug.clone()))
                .collect();
            sites
        };
        Self {
            owners: applications.iter().flat_map(sites).collect(),
            slugs: applications
                .iter()
                .map(|application| application.slug.clone())
                .collect(),
            rows: BTreeMap::new(),
            audiences: BTreeMap::new(),
        }
    }

    /// The slug of a row's application: the one that it names; else the one that has its site already; else a new one of its own, so
    /// that no row gives or takes another host's audience unasked.
    fn application_of(&mut self, row: &SiteRow, number: usize, address: &SiteAddress) -> Result<String> {
        let key = key_of(address);
        if let Some(before) = self.rows.insert(key.clone(), number) {
            return Err(invalid(format!("row {before} is for the same address")));
        }
        let slug = match (&row.application, self.owners.get(&key)) {
            (Some(named), Some(owner)) if named != owner => return Err(belongs_to(address, owner)),
            (Some(named), _) => named.clone(),
            (None, Some(owner)) => owner.clone(),
            (None, None) => self.free_slug(&slug_of(address))?,
        };
        let names = |list: &[String]| list.iter().cloned().collect();
        let admits = (row.everyone, names(&row.groups), names(&row.users));
        match self.audiences.get(&slug) {
            Some((before, others)) if *others != admits => {
                return Err(invalid(format!(
                    "application `{slug}` has one audience, and row {before} says another; name the same groups and users in both, give \
                     each row an application of its own, or use rules"
                )));
            }
            Some(_) => {}
            None => {
                self.audiences.insert(slug.clone(), (number, admits));
            }
        }
        self.slugs.insert(slug.clone());
        self.owners.insert(key, slug.clone());
        Ok(slug)
    }

    fn free_slug(&self, wanted: &str) -> Result<String> {
        if !self.slugs.contains(wanted) {
            return Ok(wanted.to_owned());
        }
        (2..=MOST_ROWS + 1)
            .map(|number| {
                let end = format!("-{number}");
                let kept: String = wanted.chars().take(50 - end.len()).collect();
                format!("{}{end}", kept.trim_end_matches('-'))
            })
            .find(|slug| !self.slugs.contains(slug))
            .ok_or_else(|| invalid(format!("no slug is left for `{wanted}`; name an application")))
    }
}

/// The slug for a site's application: host, and port and path if any, with hyphens.
fn slug_of(address: &SiteAddress) -> String {
    let port = address.port.map_or_else(String::new, |port| format!("-{port}"));
    let base: String = format!("{}{port}{}", address.host.base(), address.path)
        .chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let trimmed: String = base.trim_matches('-').chars().take(50).collect();
    let slug = trimmed.trim_matches('-').to_owned();
    if text::check_slug(&slug).is_ok() {
        slug
    } else {
        format!("site-{slug}").chars().take(50).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_come_from_hosts() {
        let slug = |text: &str| slug_of(&text.parse().unwrap());
        assert_eq!(slug("https://wiki.example.org"), "wiki-example-org");
        assert_eq!(slug("https://*.example.org"), "example-org");
        assert_eq!(slug("https://example.org:8443/App/x"), "example-org-8443-app-x");
        assert_eq!(slug("https://token/"), "site-token");
    }
}
