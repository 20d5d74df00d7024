//! Applications: what people enter. An application has an audience and ways in.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use crate::app_auth::{AppAuth, People};
use crate::client::{Client, ClientSecret};
use crate::site::Site;
use crate::user::Realm;
use crate::{ApplicationId, GroupId, Timestamp, UserId};

/// Who may enter. The empty audience admits nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    /// Said in so many words: every active user.
    pub everyone: bool,
    /// Members of these groups, also through parents.
    pub groups: BTreeSet<GroupId>,
    /// These people.
    pub users: BTreeSet<UserId>,
}

impl Audience {
    /// Does it admit nobody at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.everyone && self.groups.is_empty() && self.users.is_empty()
    }
}

/// An application as stored, with its client side when it has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Application {
    /// Identifier.
    pub id: ApplicationId,
    /// Name in URLs, unique.
    pub slug: String,
    /// Name for people.
    pub name: String,
    /// A sentence for the portal.
    pub description: String,
    /// Picture (https, http or a path on this server).
    pub icon_url: Option<String>,
    /// Where the tile leads.
    pub launch_url: Option<String>,
    /// Heading under which the portal shows it.
    pub heading: Option<String>,
    /// Kept out of the portal.
    pub hidden: bool,
    /// Who may enter.
    pub audience: Audience,
    /// Its OAuth 2 side.
    pub client: Option<Client>,
    /// Secrets of the client.
    pub secrets: Vec<ClientSecret>,
    /// Its hosts and paths behind a reverse proxy.
    #[serde(default)]
    pub sites: Vec<Site>,
    /// The door for its own sign-in.
    #[serde(default)]
    pub app_auth: Option<AppAuth>,
    /// When the record was made.
    pub created_at: Timestamp,
    /// When the record last changed.
    pub updated_at: Timestamp,
    /// Set while the application is in the bin.
    pub deleted_at: Option<Timestamp>,
}

impl Application {
    /// The realm of the people of its door.
    #[must_use]
    pub fn realm(&self) -> Realm {
        match &self.app_auth {
            Some(door) if door.people == People::Separate => Realm::App(self.id),
            _ => Realm::Shared,
        }
    }
}
