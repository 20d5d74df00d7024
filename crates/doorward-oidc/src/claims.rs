//! Claims about people, and the claims of ID tokens and access tokens (OpenID Connect Core sections 2, 3.1.3.6, 5.1, 5.4; RFC 9068).
//!
//! Must not live here: signing, and the paths that custom claims are built from (`doorward_domain::claim`).

use doorward_domain::access::Person;
use doorward_domain::claim::{CustomScope, PROTECTED};
use doorward_domain::client::SubjectMode;
use doorward_domain::group::GroupTree;
use doorward_domain::token::Family;
use doorward_domain::user::User;
use doorward_domain::{Lifetime, SessionId, Timestamp};
use serde_json::{Map, Value};

use crate::claims_request::ClaimRequests;
use crate::scope::{self, Scopes};

/// `acr` of a sign-in with a password.
pub const ACR_PASSWORD: &str = "urn:doorward:acr:password";
/// Every `acr` that can be attained, weakest first.
pub const ACR_KNOWN: &[&str] = &[ACR_PASSWORD];

/// `typ` header of a JWT access token (RFC 9068 section 2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// Claims of `profile`.
pub const PROFILE_CLAIMS: &[&str] = &[
    "name",
    "given_name",
    "preferred_username",
    "nickname",
    "groups",
    "locale",
    "updated_at",
];
/// Claims of `email`.
pub const EMAIL_CLAIMS: &[&str] = &["email", "email_verified"];

/// The standard scope that releases a claim.
#[must_use]
pub fn scope_of(claim: &str) -> Option<&'static str> {
    if EMAIL_CLAIMS.contains(&claim) {
        Some(scope::EMAIL)
    } else if PROFILE_CLAIMS.contains(&claim) {
        Some(scope::PROFILE)
    } else {
        None
    }
}

/// Why a person has no subject for this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// The client takes the e-mail address as subject and the person has none.
    #[error("the application identifies people by e-mail address and this person has none")]
    NoEmail,
}

/// The `sub` of a person for a client.
///
/// # Errors
/// [`SubjectError::NoEmail`].
pub fn subject_of(mode: SubjectMode, user: &User) -> Result<String, SubjectError> {
    match mode {
        SubjectMode::HashedId => Ok(user.uid.clone()),
        SubjectMode::Id => Ok(user.number.to_string()),
        SubjectMode::Uuid => Ok(user.id.to_string()),
        SubjectMode::Username => Ok(user.username.clone()),
        SubjectMode::Email => user
            .email
            .clone()
            .filter(|email| !email.is_empty())
            .ok_or(SubjectError::NoEmail),
    }
}

/// Claims asked for singly with the `claims` parameter, and what limits them.
#[derive(Clone, Copy, Debug)]
pub struct Requested<'a> {
    /// The part for the place that is being filled: `userinfo` or `id_token`.
    pub claims: &'a ClaimRequests,
    /// Scopes that the client may ask for; a standard claim is released when one of these covers it.
    pub allowed: &'a Scopes,
    /// Scopes that were granted; a custom claim is released when one of these covers it.
    pub granted: &'a Scopes,
}

/// Claims about a person for the given scopes, without `sub`.
///
/// `custom` holds the custom scopes that exist; those not in `scopes` give nothing. A custom scope may replace a standard claim, never one of
/// [`PROTECTED`].
#[must_use]
pub fn user_claims(
    person: &Person,
    tree: &GroupTree,
    scopes: &Scopes,
    custom: &[&CustomScope],
    requested: Option<Requested<'_>>,
) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut add = |claim: &str| {
        if let Some(value) = standard(claim, person, tree) {
            claims.insert(claim.to_owned(), value);
        }
    };
    for (name, released) in [
        (scope::PROFILE, PROFILE_CLAIMS),
        (scope::EMAIL, EMAIL_CLAIMS),
        (scope::GROUPS, &["groups"][..]),
    ] {
        if scopes.contains(name) {
            released.iter().for_each(|claim| add(claim));
        }
    }
    if let Some(requested) = requested {
        requested
            .claims
            .keys()
            .filter(|claim| scope_of(claim).is_some_and(|scope| requested.allowed.contains(scope)))
            .for_each(|claim| add(claim));
    }
    for custom in custom {
        for (claim, source) in &custom.claims {
            let asked = requested.is_some_and(|requested| {
                requested.claims.contains_key(claim) && requested.granted.contains(&custom.name)
            });
            if PROTECTED.contains(&claim.as_str()) || !(asked || scopes.contains(&custom.name)) {
                continue;
            }
            if let Some(value) = source.value(person, tree) {
                claims.insert(claim.clone(), value);
            }
        }
    }
    claims
}

/// The value of a standard claim; `None` leaves it out.
fn standard(claim: &str, person: &Person, tree: &GroupTree) -> Option<Value> {
    let user = &person.user;
    Some(match claim {
        // One full name is all that is known, so that it stands in both places, as authentik's clients expect.
        "name" | "given_name" => user.name.as_str().into(),
        "preferred_username" | "nickname" => user.username.as_str().into(),
        "groups" => tree.names(&person.groups).into(),
        "locale" => user.locale.as_deref()?.into(),
        "updated_at" => user.updated_at.seconds().into(),
        "email" => user.email.as_deref()?.into(),
        "email_verified" => (user.email.as_deref()?, user.email_verified_at.is_some())
            .1
            .into(),
        _ => return None,
    })
}

/// The body of a userinfo answer (OpenID Connect Core section 5.3.2): the claims with `sub`.
#[must_use]
pub fn userinfo(subject: &str, mut claims: Map<String, Value>) -> Map<String, Value> {
    claims.insert("sub".into(), subject.into());
    claims
}

/// What ID tokens and access tokens of one answer have in common.
#[derive(Clone, Copy, Debug)]
pub struct Issue<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `sub`; the client id when there is no person.
    pub subject: &'a str,
    /// Whom the tokens are for.
    pub client_id: &'a str,
    /// The authorization they hang off.
    pub family: &'a Family,
    /// `sid`.
    pub session_id: Option<SessionId>,
    /// `iat`.
    pub now: Timestamp,
    /// How long the token lives.
    pub lifetime: Lifetime,
    /// `jti`, minted.
    pub jti: &'a str,
}

impl Issue<'_> {
    fn base(&self, extra: Map<String, Value>) -> Map<String, Value> {
        let mut claims = extra;
        claims.retain(|name, _| !PROTECTED.contains(&name.as_str()));
        claims.insert("iss".into(), self.issuer.into());
        claims.insert("sub".into(), self.subject.into());
        claims.insert("iat".into(), self.now.seconds().into());
        claims.insert("exp".into(), self.now.plus(self.lifetime).seconds().into());
        claims.insert("jti".into(), self.jti.into());
        if let Some(auth_time) = self.family.auth_time {
            claims.insert("auth_time".into(), auth_time.seconds().into());
            claims.insert(
                "acr".into(),
                self.family.acr.as_deref().unwrap_or(ACR_PASSWORD).into(),
            );
            claims.insert("amr".into(), self.family.amr.clone().into());
        }
        claims
    }
}

/// The claims of an ID token. `extra` holds claims about the person; protocol claims in it are dropped.
///
/// `at_hash` and `c_hash` are the left halves of the digests of access token and code (section 3.1.3.6), when wanted.
#[must_use]
pub fn id_token(
    issue: &Issue<'_>,
    at_hash: Option<&str>,
    c_hash: Option<&str>,
    extra: Map<String, Value>,
) -> Map<String, Value> {
    let mut claims = issue.base(extra);
    claims.insert("aud".into(), issue.client_id.into());
    claims.insert("azp".into(), issue.client_id.into());
    let optional = [
        ("nonce", issue.family.nonce.clone()),
        ("sid", issue.session_id.map(|id| id.to_string())),
        ("at_hash", at_hash.map(str::to_owned)),
        ("c_hash", c_hash.map(str::to_owned)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            claims.insert(name.into(), value.into());
        }
    }
    claims
}

/// The claims of a JWT access token (RFC 9068 section 2.2). `audience`: the resources; empty stands for the client itself.
#[must_use]
pub fn access_token(
    issue: &Issue<'_>,
    scopes: &Scopes,
    audience: &[String],
    extra: Map<String, Value>,
) -> Map<String, Value> {
    let mut claims = issue.base(extra);
    let aud: Value = match audience {
        [] => issue.client_id.into(),
        [one] => one.as_str().into(),
        many => many.to_vec().into(),
    };
    claims.insert("aud".into(), aud);
    claims.insert("client_id".into(), issue.client_id.into());
    claims.insert("scope".into(), scope::join(scopes).into());
    claims
}
