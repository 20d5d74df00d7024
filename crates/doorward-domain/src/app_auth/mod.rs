//! The application's door: accounts, sessions and sign-in of one app, spoken in the better-auth wire contract.
//!
//! Lives here: what is configured for an app, which origins and addresses it trusts, how often it may be asked. Must not live
//! here: cookies' signatures (crypto), HTTP, storage.

pub mod doors;
pub mod origin;
pub mod rate;
pub mod roles;

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::{ApplicationId, GroupId, Lifetime, Timestamp, UserId};

/// `SameSite` of the app's cookies (RFC 6265bis section 5.6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// Sent on navigation from other sites, the default.
    #[default]
    Lax,
    /// Never sent from other sites.
    Strict,
    /// Always sent; needs https.
    None,
}

impl SameSite {
    /// The word as cookies have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lax => "Lax",
            Self::Strict => "Strict",
            Self::None => "None",
        }
    }
}

/// Whose the people of an app are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum People {
    /// Everybody's: one account for all apps and Doorward itself.
    #[default]
    Shared,
    /// The app's own: they exist nowhere else.
    Separate,
}

impl People {
    /// The word of settings and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Separate => "separate",
        }
    }
}

/// A secret that signs cookies, sealed with the keyring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// Number, as in `BETTER_AUTH_SECRETS`.
    pub version: u32,
    /// Sealed text.
    pub sealed: String,
}

/// Somebody else's sign-in: an OpenID provider or plain OAuth 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provider {
    /// Name in the app's calls.
    pub id: String,
    /// Issuer, byte for byte.
    pub issuer: Option<String>,
    /// Where the provider's document is.
    pub discovery_url: Option<String>,
    /// Where browsers are sent.
    pub authorization_url: Option<String>,
    /// Where codes are exchanged.
    pub token_url: Option<String>,
    /// Where claims are.
    pub userinfo_url: Option<String>,
    /// Client id.
    pub client_id: String,
    /// Client secret, sealed.
    pub client_secret: Option<String>,
    /// Sent in the form instead of `Authorization: Basic`.
    pub secret_in_form: bool,
    /// Scopes asked for.
    pub scopes: Vec<String>,
    /// `prompt` asked for.
    pub prompt: Option<String>,
    /// PKCE (RFC 7636).
    pub pkce: bool,
    /// Its addresses are believed, verified or not, when accounts are linked.
    pub trusted: bool,
    /// Nobody new comes in this way.
    pub closed: bool,
    /// Somebody new comes in only when the call asks for it.
    pub explicit_sign_up: bool,
    /// Name and picture follow the provider at each sign-in.
    pub overrides: bool,
    /// Somebody whose address the provider does not tell comes in with one that stands for none.
    pub placeholder_email: bool,
    /// Signing out of the app leads on to the provider's own sign-out, when its document names one.
    pub end_session: bool,
    /// Where the provider sends browsers back to, for flows of both ways; `None`: by the way that a flow began.
    pub redirect_uri: Option<String>,
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            id: String::new(),
            issuer: None,
            discovery_url: None,
            authorization_url: None,
            token_url: None,
            userinfo_url: None,
            client_id: String::new(),
            client_secret: None,
            secret_in_form: false,
            scopes: Vec::new(),
            prompt: None,
            pkce: true,
            trusted: false,
            closed: false,
            explicit_sign_up: false,
            overrides: false,
            placeholder_email: false,
            end_session: false,
            redirect_uri: None,
        }
    }
}

/// How accounts of one person come together (contract section 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Linking {
    /// At all.
    pub enabled: bool,
    /// By equal address, without being asked for.
    pub implicit: bool,
    /// Only when the address here was proved.
    pub local_verified: bool,
    /// Asked for, with another address.
    pub different_emails: bool,
}

impl Default for Linking {
    fn default() -> Self {
        Self {
            enabled: true,
            implicit: true,
            local_verified: true,
            different_emails: false,
        }
    }
}

/// The door of one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppAuth {
    /// Where the door is: origin and path, without a slash at the end.
    pub base_url: String,
    /// Further paths on the same origin.
    pub aliases: Vec<String>,
    /// Secrets of signatures; the first signs.
    pub secrets: Vec<SealedSecret>,
    /// Patterns of origins that may call and be redirected to, besides the door's own.
    pub trusted_origins: Vec<String>,
    /// First part of the cookies' names.
    pub cookie_prefix: String,
    /// Parent domain that shares the cookies.
    pub cookie_domain: Option<String>,
    /// `SameSite` of the cookies.
    pub same_site: SameSite,
    /// Whose its people are.
    pub people: People,
    /// May people make accounts themselves?
    pub sign_up: bool,
    /// Are they signed in then?
    pub auto_sign_in: bool,
    /// Must the address be proved before anybody signs in?
    pub require_verification: bool,
    /// May people ask for a link to prove it?
    pub verification: bool,
    /// Is a link to prove it sent at sign-up?
    pub verify_on_sign_up: bool,
    /// Is one sent at a sign-in that is refused for it?
    pub verify_on_sign_in: bool,
    /// Does following the link sign in?
    pub sign_in_after_verification: bool,
    /// May forgotten passwords be reset by mail?
    pub reset_password: bool,
    /// Does a reset end all sessions?
    pub revoke_on_reset: bool,
    /// May people change their address?
    pub change_email: bool,
    /// May people delete their account?
    pub delete_user: bool,
    /// Is it asked for by mail first?
    pub delete_by_mail: bool,
    /// Shortest password, in UTF-16 units.
    pub shortest_password: u32,
    /// Longest password, in UTF-16 units.
    pub longest_password: u32,
    /// How long a session lives without being used.
    pub lifetime: Lifetime,
    /// A session is extended when it was last extended this long ago.
    pub update_age: Lifetime,
    /// How long a copy of session and person in a cookie counts for `get-session`; `None`: there is none.
    pub cookie_cache: Option<Lifetime>,
    /// Sensitive calls want a session that is younger than this; 0: any.
    pub fresh_age: Lifetime,
    /// Are calls counted?
    pub rate_limit: bool,
    /// Groups that people are put into at sign-up.
    pub groups: BTreeSet<GroupId>,
    /// Other sign-ins.
    pub providers: Vec<Provider>,
    /// How accounts come together.
    pub linking: Linking,
    /// Where people land when a flow fails and names no page of its own.
    pub error_url: Option<String>,
    /// Parts of the contract that are on, by their names in [`PLUGINS`].
    pub plugins: BTreeSet<String>,
    /// Name that authenticator programs show; `None`: the application's.
    pub totp_issuer: Option<String>,
    /// Roles that may call the admin routes.
    pub admin_roles: BTreeSet<String>,
}

impl Default for AppAuth {
    fn default() -> Self {
        Self {
            base_url: String::new(),
            aliases: Vec::new(),
            secrets: Vec::new(),
            trusted_origins: Vec::new(),
            cookie_prefix: "better-auth".to_owned(),
            cookie_domain: None,
            same_site: SameSite::Lax,
            people: People::Shared,
            sign_up: false,
            auto_sign_in: true,
            require_verification: false,
            verification: true,
            verify_on_sign_up: false,
            verify_on_sign_in: false,
            sign_in_after_verification: false,
            reset_password: true,
            revoke_on_reset: true,
            change_email: false,
            delete_user: false,
            delete_by_mail: false,
            shortest_password: 8,
            longest_password: 128,
            lifetime: Lifetime::from_days(7),
            update_age: Lifetime::from_days(1),
            cookie_cache: None,
            fresh_age: Lifetime::from_days(1),
            rate_limit: true,
            groups: BTreeSet::new(),
            providers: Vec::new(),
            linking: Linking::default(),
            error_url: None,
            plugins: BTreeSet::new(),
            totp_issuer: None,
            admin_roles: BTreeSet::from(["admin".to_owned()]),
        }
    }
}

/// Parts of the contract that are switched on one by one.
pub const PLUGINS: [&str; 15] = [
    "admin",
    "api-key",
    "bearer",
    "device-authorization",
    "email-otp",
    "generic-oauth",
    "jwt",
    "magic-link",
    "multi-session",
    "one-time-token",
    "open-api",
    "organization",
    "passkey",
    "two-factor",
    "username",
];

impl AppAuth {
    /// Is a part of the contract on?
    #[must_use]
    pub fn has(&self, plugin: &str) -> bool {
        self.plugins.contains(plugin)
    }

    /// Scheme and host of the door, as browsers write an origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        origin::origin_of(&self.base_url).unwrap_or_default()
    }

    /// Host and port, as browsers send it.
    #[must_use]
    pub fn host(&self) -> &str {
        self.origin().split_once("://").map_or("", |(_, host)| host)
    }

    /// Path of the door, without a slash at the end.
    #[must_use]
    pub fn path(&self) -> &str {
        self.base_url.get(self.origin().len()..).unwrap_or_default()
    }

    /// Is the door behind TLS? Decides names and attributes of cookies.
    #[must_use]
    pub fn secure(&self) -> bool {
        self.base_url.starts_with("https://")
    }

    /// Where a provider may send browsers back to: below every base path, in both ways (contract section 1.5).
    #[must_use]
    pub fn redirect_uris(&self, provider: &str) -> Vec<String> {
        let bases = std::iter::once(self.path()).chain(self.aliases.iter().map(String::as_str));
        let origin = self.origin();
        bases
            .flat_map(|base| {
                ["callback", "oauth2/callback"].map(|way| format!("{origin}{base}/{way}/{provider}"))
            })
            .collect()
    }

    /// The provider of this name.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }
}

/// What a session knows of the app that it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSession {
    /// The app.
    pub application: ApplicationId,
    /// Stands for the token in answers to other sessions; useless as a token.
    pub handle: String,
    /// When it was last extended or changed.
    pub updated_at: Timestamp,
    /// Gone when the browser is closed.
    #[serde(default)]
    pub short: bool,
    /// Who acts as the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonated_by: Option<UserId>,
    /// The organization that calls are about when they name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// The team likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The provider that the person came in through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// What apps know of a person beside what everybody knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppUser {
    /// The app that the account was made in; only there may it be taken over or deleted through an app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<ApplicationId>,
    /// Picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// User name as the person writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_username: Option<String>,
    /// Role by app.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<ApplicationId, String>,
    /// Ban by app.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bans: BTreeMap<ApplicationId, Ban>,
    /// A second factor is on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub two_factor: bool,
}

impl AppUser {
    /// Nothing known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The ban that holds in an app at `now`.
    #[must_use]
    pub fn ban(&self, application: ApplicationId, now: Timestamp) -> Option<&Ban> {
        self.bans
            .get(&application)
            .filter(|ban| ban.until.is_none_or(|until| now < until))
    }
}

/// Somebody who may not enter an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Why, for the person.
    pub reason: Option<String>,
    /// Until when; `None`: for good.
    pub until: Option<Timestamp>,
}

/// Tokens of a provider, kept sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderTokens {
    /// Access token.
    pub access: Option<String>,
    /// Refresh token.
    pub refresh: Option<String>,
    /// ID token.
    pub id: Option<String>,
    /// When the access token ends.
    pub access_until: Option<Timestamp>,
    /// When the refresh token ends.
    pub refresh_until: Option<Timestamp>,
}

/// An account at a provider that belongs to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Identifier.
    pub id: crate::AccountId,
    /// The app.
    pub application: ApplicationId,
    /// Whose.
    pub user: UserId,
    /// Provider.
    pub provider: String,
    /// Who the person is there.
    pub account: String,
    /// Scopes, with commas.
    pub scope: String,
    /// Sealed [`ProviderTokens`].
    pub tokens: Vec<u8>,
    /// When it was linked.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
