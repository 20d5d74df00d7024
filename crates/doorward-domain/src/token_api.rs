//! The token API: roles, what its tokens say, and when a refresh token is taken, taken again, or taken as stolen.
//!
//! Lives here: the claims as a JSON object and back, the roles of a person, the decision over a refresh token that was not
//! the current one. Must not live here: signatures, the clock.

mod body;
pub mod matrix;

pub use body::{Credentials, Issue, LONGEST_NAME, LONGEST_PASSWORD, Registration, SHORTEST_PASSWORD};
pub use body::{credentials, no_proof, object, registration, text};

use serde_json::{Map, Value, json};

use crate::access::Person;
use crate::group::GroupTree;
use crate::{Lifetime, SessionId, Timestamp, UserId};

/// Everybody has it.
pub const USER: &str = "user";
/// Members of a superuser group, and of a group with this name.
pub const ADMIN: &str = "admin";
/// Members of the group with this name.
pub const AGENT: &str = "agent-system";
/// Every role, with what it means.
pub const ROLES: [(&str, &str); 3] = [
    (USER, "Everybody"),
    (ADMIN, "Administrators"),
    (AGENT, "Agents of the system"),
];

/// A refresh token that was just replaced is answered with the same pair for this long: the answer may have been lost.
pub const GRACE: Lifetime = Lifetime::from_seconds(10);
/// Clocks of the services that read tokens may be this far apart, in seconds.
const LEEWAY: i64 = 30;

/// The roles of a person, each once, in the order of [`ROLES`].
#[must_use]
pub fn roles(person: &Person, tree: &GroupTree) -> Vec<&'static str> {
    let is_in = |name: &str| {
        let mut names = person.groups.iter().filter_map(|id| tree.find(*id));
        names.any(|group| crate::text::fold(&group.name) == name)
    };
    let mut roles = vec![USER];
    if person.superuser || is_in(ADMIN) {
        roles.push(ADMIN);
    }
    if is_in(AGENT) {
        roles.push(AGENT);
    }
    roles
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who.
    pub user: UserId,
    /// In which session; tokens of the service before this one have none.
    pub session: Option<SessionId>,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Its id; tokens of the service before have none.
    pub jti: Option<String>,
}

/// What a refresh token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// Who.
    pub user: UserId,
    /// In which session.
    pub session: SessionId,
    /// Which generation of the session it is. Tokens of the service before have none and count as the first.
    pub generation: i64,
    /// Its id; `None` for tokens of the service before only.
    pub jti: Option<String>,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What tokens say about a person, beside the person's id.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// E-mail address.
    pub email: &'a str,
    /// Name.
    pub name: &'a str,
    /// Roles.
    pub roles: &'a [&'static str],
}

impl Access {
    /// The claims.
    #[must_use]
    pub fn claims(&self, issuer: &str, about: &About<'_>) -> Map<String, Value> {
        let mut claims = object_of(json!({
            "sub": self.user, "email": about.email, "name": about.name, "roles": about.roles, "type": "access",
            "iss": issuer, "iat": self.issued_at.seconds(), "exp": self.expires_at.seconds(),
        }));
        if let Some(jti) = &self.jti {
            claims.insert("jti".into(), json!(jti));
        }
        if let Some(session) = self.session {
            claims.insert("sid".into(), json!(session));
        }
        claims
    }

    /// Reads claims whose signature was good. `None` when they are of another kind, of another issuer, or over.
    #[must_use]
    pub fn read(claims: &Map<String, Value>, issuer: &str, now: Timestamp) -> Option<Self> {
        let common = Common::read(claims, "access", issuer, now)?;
        let session = match claims.get("sid") {
            None => None,
            Some(sid) => Some(sid.as_str()?.parse().ok()?),
        };
        Some(Self {
            user: common.user,
            session,
            issued_at: common.issued_at,
            expires_at: common.expires_at,
            jti: claims.get("jti").and_then(Value::as_str).map(ToOwned::to_owned),
        })
    }
}

impl Refresh {
    /// The claims.
    #[must_use]
    pub fn claims(&self, issuer: &str) -> Map<String, Value> {
        object_of(json!({
            "sub": self.user, "session_id": self.session, "type": "refresh", "iss": issuer,
            "iat": self.issued_at.seconds(), "exp": self.expires_at.seconds(), "jti": self.jti, "gen": self.generation,
        }))
    }

    /// Reads claims whose signature was good. `None` when they are of another kind, of another issuer, or over. Whether
    /// `jti` is right is the caller's to judge.
    #[must_use]
    pub fn read(claims: &Map<String, Value>, issuer: &str, now: Timestamp) -> Option<Self> {
        let common = Common::read(claims, "refresh", issuer, now)?;
        let (generation, jti) = match claims.get("gen") {
            None => (0, None),
            Some(generation) => {
                let generation = generation.as_i64().filter(|number| *number >= 0)?;
                (generation, Some(claims.get("jti")?.as_str()?.to_owned()))
            }
        };
        Some(Self {
            user: common.user,
            session: claims.get("session_id")?.as_str()?.parse().ok()?,
            generation,
            jti,
            issued_at: common.issued_at,
            expires_at: common.expires_at,
        })
    }
}

/// What both kinds say.
struct Common {
    user: UserId,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

impl Common {
    fn read(claims: &Map<String, Value>, kind: &str, issuer: &str, now: Timestamp) -> Option<Self> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("type") != Some(kind) || text("iss") != Some(issuer) {
            return None;
        }
        let user = text("sub")?.parse().ok()?;
        let expires_at = numeric_date(claims.get("exp")?)?;
        let issued_at = numeric_date(claims.get("iat")?)?;
        let not_before = match claims.get("nbf") {
            None => issued_at,
            Some(from) => numeric_date(from)?,
        };
        let begun = not_before.seconds() <= now.seconds().saturating_add(LEEWAY);
        let over = now.seconds() >= expires_at.seconds().saturating_add(LEEWAY);
        (begun && !over).then_some(Self {
            user,
            issued_at,
            expires_at,
        })
    }
}

/// Seconds since 1970; some libraries write a fraction, which is dropped.
fn numeric_date(value: &Value) -> Option<Timestamp> {
    if let Some(seconds) = value.as_i64() {
        return Some(Timestamp::from_seconds(seconds));
    }
    let seconds = value.as_f64().filter(|seconds| seconds.abs() < 1e12)?;
    #[expect(clippy::cast_possible_truncation, reason = "far below the limits of i64")]
    let whole = seconds.trunc() as i64;
    Some(Timestamp::from_seconds(whole))
}

fn object_of(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// All refresh tokens of one sign-in: a session and how often they were replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenFamily {
    /// The session.
    pub session: SessionId,
    /// Which generation is the current one.
    pub generation: i64,
    /// When the session began: the first generation was made then.
    pub created_at: Timestamp,
    /// When the current generation was made, when it is not the first.
    pub rotated_at: Option<Timestamp>,
}

impl TokenFamily {
    /// When the current generation was made.
    #[must_use]
    pub fn made_at(&self) -> Timestamp {
        self.rotated_at.unwrap_or(self.created_at)
    }
}

/// What becomes of a refresh token that is not the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// It was replaced a moment ago: the current generation is given again, unchanged.
    Again,
    /// It was replaced before: somebody else may have it, so the session ends.
    Stolen,
    /// There is nothing to refresh.
    Over,
}

/// Decides over a refresh token of this generation that did not raise the generation.
#[must_use]
pub fn late(shown: i64, family: &TokenFamily, live: bool, now: Timestamp) -> Late {
    // A generation that does not exist yet was never given out: the database is older than the token.
    if !live || shown >= family.generation {
        return Late::Over;
    }
    let recent = family
        .rotated_at
        .is_some_and(|at| now.millis_since(at) <= GRACE.millis());
    if shown == family.generation - 1 && recent {
        Late::Again
    } else {
        Late::Stolen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Attributes;
    use crate::group::Group;
    use crate::user::{User, UserKind};
    use crate::{GroupId, Id};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + seconds)
    }

    fn access() -> Access {
        Access {
            user: Id::mint(at(0), [1; 10]),
            session: Some(Id::mint(at(0), [2; 10])),
            issued_at: at(0),
            expires_at: at(1800),
            jti: Some("j".into()),
        }
    }

    fn about() -> About<'static> {
        About {
            email: "a@example.org",
            name: "A",
            roles: &[USER],
        }
    }

    #[test]
    fn an_access_token_is_read_as_it_was_written_and_for_30_seconds_after_its_end() {
        let claims = access().claims("door", &about());
        assert_eq!(Access::read(&claims, "door", at(1)).as_ref(), Some(&access()));
        assert!(Access::read(&claims, "door", at(1829)).is_some());
        assert!(Access::read(&claims, "door", at(1830)).is_none());
        assert!(Access::read(&claims, "another", at(1)).is_none());
        assert!(
            Access::read(&claims, "door", at(-31)).is_none(),
            "from the future"
        );
        assert!(Refresh::read(&claims, "door", at(1)).is_none());
    }

    #[test]
    fn a_refresh_token_is_no_access_token_and_one_without_a_generation_is_the_first() {
        let refresh = Refresh {
            user: access().user,
            session: Id::mint(at(0), [2; 10]),
            generation: 7,
            jti: Some("j".into()),
            issued_at: at(0),
            expires_at: at(1000),
        };
        let mut claims = refresh.claims("door");
        assert_eq!(Refresh::read(&claims, "door", at(1)).as_ref(), Some(&refresh));
        assert!(Access::read(&claims, "door", at(1)).is_none());
        claims.insert("gen".into(), json!(-1));
        assert!(Refresh::read(&claims, "door", at(1)).is_none());
        claims.insert("gen".into(), json!(0));
        claims.remove("jti");
        assert!(
            Refresh::read(&claims, "door", at(1)).is_none(),
            "a generation has an id"
        );
        claims.remove("gen");
        let old = Refresh::read(&claims, "door", at(1)).unwrap();
        assert_eq!((old.generation, old.jti), (0, None));
    }

    #[test]
    fn claims_of_the_wrong_type_are_no_claims() {
        for (name, wrong) in [
            ("sub", json!("not-a-uuid")),
            ("exp", json!("soon")),
            ("exp", json!(1e300)),
            ("iat", json!(null)),
            ("iss", json!(["door"])),
            ("sid", json!(5)),
            ("type", json!("refresh")),
            ("nbf", json!("never")),
        ] {
            let mut claims = access().claims("door", &about());
            claims.insert(name.into(), wrong);
            assert!(Access::read(&claims, "door", at(1)).is_none(), "{name}");
        }
        let mut claims = access().claims("door", &about());
        claims.insert("exp".into(), json!(1_800_001_800.9));
        assert_eq!(Access::read(&claims, "door", at(1)).unwrap().expires_at, at(1800));
    }

    #[test]
    fn a_replaced_refresh_token_counts_for_ten_seconds_and_is_stolen_after() {
        let family = TokenFamily {
            session: Id::mint(at(0), [2; 10]),
            generation: 3,
            created_at: at(0),
            rotated_at: Some(at(100)),
        };
        assert_eq!(late(2, &family, true, at(110)), Late::Again);
        assert_eq!(late(2, &family, true, at(111)), Late::Stolen);
        assert_eq!(late(1, &family, true, at(101)), Late::Stolen);
        assert_eq!(late(2, &family, false, at(101)), Late::Over);
        assert_eq!(late(4, &family, true, at(101)), Late::Over);
        assert_eq!(late(3, &family, true, at(101)), Late::Over);
    }

    #[test]
    fn roles_come_from_groups_and_from_the_superuser_flag_each_once() {
        let group = |n: u8, name: &str, superuser| Group {
            id: GroupId::mint(at(0), [n; 10]),
            name: name.into(),
            superuser,
            attributes: Attributes::new(),
            parents: Vec::new(),
            created_at: at(0),
            updated_at: at(0),
            deleted_at: None,
        };
        let groups = [
            group(1, "Admin", false),
            group(2, "agent-system", false),
            group(3, "authentik Admins", true),
            group(4, "staff", false),
        ];
        let ids = groups.clone().map(|group| group.id);
        let tree = GroupTree::new(groups);
        let user = User {
            id: Id::mint(at(0), [9; 10]),
            number: 1,
            uid: String::new(),
            realm: crate::user::Realm::Shared,
            username: "a".into(),
            name: "A".into(),
            email: None,
            email_verified_at: None,
            kind: UserKind::Internal,
            attributes: Attributes::new(),
            active: true,
            locale: None,
            created_at: at(0),
            updated_at: at(0),
            last_sign_in_at: None,
            deleted_at: None,
            app: crate::app_auth::AppUser::default(),
        };
        let of = |members: &[usize]| {
            let direct = members.iter().map(|n| ids[*n]);
            roles(&Person::new(user.clone(), direct, &tree), &tree)
        };
        assert_eq!(of(&[3]), [USER]);
        assert_eq!(of(&[0]), [USER, ADMIN]);
        assert_eq!(of(&[2]), [USER, ADMIN]);
        assert_eq!(of(&[0, 1, 2]), [USER, ADMIN, AGENT]);
    }
}
