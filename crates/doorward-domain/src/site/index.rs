//! Finding the site of a request: the most specific one, in a few look-ups whatever their number.

use std::collections::HashMap;
use std::sync::Arc;

use super::address::{Authority, HostPattern};
use super::path::Readings;
use super::reach::{Reach, Reaches};
use super::{Site, SiteAddress};
use crate::application::Application;

/// A site with its application.
#[derive(Debug)]
pub struct SiteEntry {
    /// Whose.
    pub application: Arc<Application>,
    /// What.
    pub site: Site,
    /// Its address as text, for logs and measurements.
    pub name: Arc<str>,
}

/// What the index knows of a request's place.
#[derive(Clone, Debug)]
pub enum Found<'a> {
    /// This site.
    Site(&'a Arc<SiteEntry>),
    /// No site is for this host.
    HostUnlisted,
    /// The host is known, but no site covers the path in every way of reading it.
    PathUnlisted,
}

/// All sites.
#[derive(Debug, Default)]
pub struct SiteIndex {
    exact: HashMap<String, Vec<Arc<SiteEntry>>>,
    label: HashMap<String, Vec<Arc<SiteEntry>>>,
    domain: HashMap<String, Vec<Arc<SiteEntry>>>,
    reaches: Reaches,
    count: usize,
    forwards: bool,
    isolates: bool,
}

impl SiteIndex {
    /// Builds the index. `home` is the host of this program itself.
    #[must_use]
    pub fn new<'a>(applications: impl IntoIterator<Item = &'a Arc<Application>>, home: Option<&str>) -> Self {
        let mut index = Self::default();
        for application in applications {
            for site in &application.sites {
                index.add(Arc::new(SiteEntry {
                    application: Arc::clone(application),
                    name: site.address.to_string().into(),
                    site: site.clone(),
                }));
            }
        }
        for list in [&mut index.exact, &mut index.label, &mut index.domain] {
            for entries in list.values_mut() {
                // The longest path first; the rest only makes the order the same on every replica.
                entries.sort_by(|a, b| {
                    let key =
                        |address: &SiteAddress| (std::cmp::Reverse(address.path.len()), address.path.clone());
                    key(&a.site.address)
                        .cmp(&key(&b.site.address))
                        .then_with(|| a.application.id.cmp(&b.application.id))
                });
            }
        }
        let sites: Vec<Arc<SiteEntry>> = index.iter().cloned().collect();
        index.reaches = Reaches::new(sites.iter().map(|entry| &entry.site), home);
        index
    }

    fn add(&mut self, entry: Arc<SiteEntry>) {
        let (list, base) = match &entry.site.address.host {
            HostPattern::Exact(base) => (&mut self.exact, base),
            HostPattern::Label(base) => (&mut self.label, base),
            HostPattern::Domain(base) => (&mut self.domain, base),
        };
        self.forwards |= entry.site.upstream.is_some();
        self.isolates |= entry.site.isolated;
        self.count += 1;
        list.entry(base.clone()).or_default().push(entry);
    }

    /// All sites, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<SiteEntry>> {
        [&self.exact, &self.label, &self.domain]
            .into_iter()
            .flat_map(HashMap::values)
            .flatten()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Does this program itself forward to any of them?
    #[must_use]
    pub fn forwards(&self) -> bool {
        self.forwards
    }

    /// Does this program itself forward to a site of this host?
    #[must_use]
    pub fn forwards_host(&self, host: &str) -> bool {
        self.forwards
            && self
                .of_host(host)
                .is_some_and(|entries| entries.iter().any(|entry| entry.site.upstream.is_some()))
    }

    /// The most specific site of a place: the exact host before `*.host` before `.domain`, a longer domain before a shorter one; a
    /// named port before any port; then the longest path. Once a host is spoken of, what is less specific no longer counts for it, so
    /// that a wildcard never opens what an exact site left out.
    #[must_use]
    pub fn find(&self, authority: Authority<'_>, https: bool, readings: &Readings<'_>) -> Found<'_> {
        let Some(entries) = self.of_host(authority.host) else {
            return Found::HostUnlisted;
        };
        let port = authority.odd_port(https);
        let named = port.filter(|port| entries.iter().any(|entry| entry.site.address.port == Some(*port)));
        let mut known = false;
        let mut found: Option<&Arc<SiteEntry>> = None;
        for reading in readings.iter() {
            let here = entries
                .iter()
                .filter(|entry| entry.site.address.port == named)
                .inspect(|_| known = true)
                .find(|entry| entry.site.address.covers_path(reading));
            match (here, found) {
                (None, _) => {
                    found = None;
                    break;
                }
                (Some(here), None) => found = Some(here),
                // Two readings lead to two sites: nobody can tell which service will answer.
                (Some(here), Some(before)) if !Arc::ptr_eq(here, before) => return Found::PathUnlisted,
                (Some(_), Some(_)) => {}
            }
        }
        match found {
            Some(entry) => Found::Site(entry),
            None if known => Found::PathUnlisted,
            None => Found::HostUnlisted,
        }
    }

    fn of_host(&self, host: &str) -> Option<&Vec<Arc<SiteEntry>>> {
        if let Some(entries) = self.exact.get(host) {
            return Some(entries);
        }
        if self.label.is_empty() && self.domain.is_empty() {
            return None;
        }
        let parent = host.split_once('.').map(|(_, parent)| parent);
        if let Some(entries) = parent.and_then(|parent| self.label.get(parent)) {
            return Some(entries);
        }
        let mut name = Some(host);
        while let Some(current) = name {
            if let Some(entries) = self.domain.get(current) {
                return Some(entries);
            }
            name = current.split_once('.').map(|(_, parent)| parent);
        }
        None
    }

    /// How far the cookie of a host reaches.
    #[must_use]
    pub fn reach<'a>(&'a self, host: &'a str) -> Reach<'a> {
        if self.is_isolated(host) {
            Reach::Host(host)
        } else {
            self.reaches.of(host)
        }
    }

    /// Does a host take no part in what its neighbours share? Then it neither sets nor accepts a cookie that they see.
    #[must_use]
    pub fn is_isolated(&self, host: &str) -> bool {
        self.isolates
            && self
                .of_host(host)
                .is_some_and(|entries| entries.iter().any(|entry| entry.site.isolated))
    }
}
