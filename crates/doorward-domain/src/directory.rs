//! The configuration as one immutable picture in memory: groups, applications by slug and client id, scopes, policies.
//! Requests read this picture; the change feed replaces it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::ApplicationId;
use crate::app_auth::doors::DoorIndex;
use crate::application::Application;
use crate::claim::CustomScope;
use crate::group::GroupTree;
use crate::session::SessionPolicy;
use crate::site::{BreakGlass, SiteIndex};

/// Everything configured, at one point of the change feed.
#[derive(Debug, Default)]
pub struct Directory {
    /// All live groups.
    pub groups: GroupTree,
    /// Custom scopes by name.
    pub scopes: HashMap<String, CustomScope>,
    /// The lifetime rule of sessions.
    pub session_policy: SessionPolicy,
    /// Sites behind reverse proxies.
    pub sites: SiteIndex,
    /// Doors of apps.
    pub doors: DoorIndex,
    /// Do administrators enter every site?
    pub break_glass: BreakGlass,
    by_id: HashMap<ApplicationId, Arc<Application>>,
    by_slug: HashMap<String, Arc<Application>>,
    by_client_id: HashMap<String, Arc<Application>>,
}

impl Directory {
    /// Builds the picture; applications in the bin are left out. `home` is the host of this program itself.
    #[must_use]
    pub fn new(
        groups: GroupTree,
        applications: Vec<Application>,
        scopes: Vec<CustomScope>,
        session_policy: SessionPolicy,
        home: Option<&str>,
    ) -> Self {
        let mut picture = Self {
            groups,
            session_policy,
            ..Self::default()
        };
        picture.scopes = scopes
            .into_iter()
            .map(|scope| (scope.name.clone(), scope))
            .collect();
        for application in applications.into_iter().filter(|a| a.deleted_at.is_none()) {
            let application = Arc::new(application);
            if let Some(client) = &application.client {
                picture
                    .by_client_id
                    .insert(client.client_id.clone(), Arc::clone(&application));
            }
            picture
                .by_slug
                .insert(application.slug.clone(), Arc::clone(&application));
            picture.by_id.insert(application.id, application);
        }
        picture.doors = DoorIndex::new(picture.by_id.values());
        picture.sites = SiteIndex::new(picture.by_id.values(), home);
        picture
    }

    /// One application by id.
    #[must_use]
    pub fn application(&self, id: ApplicationId) -> Option<&Arc<Application>> {
        self.by_id.get(&id)
    }
    /// One application by slug.
    #[must_use]
    pub fn by_slug(&self, slug: &str) -> Option<&Arc<Application>> {
        self.by_slug.get(slug)
    }
    /// One application by its client id.
    #[must_use]
    pub fn by_client_id(&self, client_id: &str) -> Option<&Arc<Application>> {
        self.by_client_id.get(client_id)
    }
    /// All applications, in no order.
    pub fn applications(&self) -> impl Iterator<Item = &Arc<Application>> {
        self.by_id.values()
    }
}
