//! People and services that sign in.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

use crate::app_auth::AppUser;
use crate::{ApplicationId, Attributes, Timestamp, UserId};

/// Which sort of user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserKind {
    /// Member of the organisation.
    Internal,
    /// Guest.
    External,
    /// A program; cannot sign in on pages.
    Service,
}

impl UserKind {
    /// The word used in SQL, API and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::External => "external",
            Self::Service => "service",
        }
    }
}

impl FromStr for UserKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "internal" => Ok(Self::Internal),
            "external" => Ok(Self::External),
            "service" => Ok(Self::Service),
            _ => Err(format!(
                "`{text}` is not a kind of user; expected internal, external or service"
            )),
        }
    }
}

/// Whose person somebody is. User names and addresses are unique within a realm, and nobody is looked up by one without saying in which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Realm {
    /// Everybody's: signs in at Doorward and wherever an audience lets them in.
    #[default]
    Shared,
    /// Of one app that keeps its people to itself: exists for nothing else.
    App(ApplicationId),
}

impl Realm {
    /// Everybody's?
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Shared)
    }
}

impl From<Realm> for String {
    /// As it is stored: empty for everybody's, else the app's id.
    fn from(realm: Realm) -> Self {
        match realm {
            Realm::Shared => Self::new(),
            Realm::App(application) => application.to_string(),
        }
    }
}

impl TryFrom<String> for Realm {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Realm {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Self::Shared);
        }
        text.parse()
            .map(Self::App)
            .map_err(|_| "a realm is empty or the id of an application".to_owned())
    }
}

/// A user as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Identifier; also the subject in mode `uuid`.
    pub id: UserId,
    /// Small number, unique; the subject in mode `id`.
    pub number: i64,
    /// Stable opaque text, unique; the subject in mode `hashed_id`.
    pub uid: String,
    /// Whose person it is.
    #[serde(default, skip_serializing_if = "Realm::is_shared")]
    pub realm: Realm,
    /// Name typed at sign-in; unique within the realm without regard to case.
    pub username: String,
    /// Full name.
    pub name: String,
    /// E-mail address; unique within the realm without regard to case.
    pub email: Option<String>,
    /// When the present address was proved; `None` when it was not.
    pub email_verified_at: Option<Timestamp>,
    /// Internal, external or service.
    pub kind: UserKind,
    /// Operator-defined attributes.
    pub attributes: Attributes,
    /// What apps know beside.
    #[serde(default, skip_serializing_if = "AppUser::is_empty")]
    pub app: AppUser,
    /// A user that is not active cannot sign in and gets no token.
    pub active: bool,
    /// Preferred language (BCP 47).
    pub locale: Option<String>,
    /// When the record was made.
    pub created_at: Timestamp,
    /// When the record last changed.
    pub updated_at: Timestamp,
    /// When the user last signed in.
    pub last_sign_in_at: Option<Timestamp>,
    /// Set while the user is in the bin (30 days), from where it can be restored.
    pub deleted_at: Option<Timestamp>,
}

impl User {
    /// May this user sign in and receive tokens at all?
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        self.active && self.deleted_at.is_none()
    }
}
