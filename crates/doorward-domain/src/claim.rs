//! Custom scopes: claims that are built from attributes of the user and the groups, by path, not by program.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::access::Person;
use crate::group::GroupTree;
use crate::{ScopeId, Timestamp};

/// A custom scope: a name and the claims it releases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CustomScope {
    /// Identifier.
    pub id: ScopeId,
    /// Scope name as clients send it.
    pub name: String,
    /// Sentence for the consent page.
    pub description: String,
    /// Claim name to source.
    pub claims: BTreeMap<String, ClaimSource>,
    /// When the record was made.
    pub created_at: Timestamp,
    /// When the record last changed.
    pub updated_at: Timestamp,
}

/// Where a claim's value comes from.
///
/// Text forms: `user.username`, `user.attributes.department.name`, `groups` (names), `group.attributes.role` (list over all
/// effective groups), `attributes.quota` (the groups' attributes with the user's own on top), `"text"`, `42`, `true`.
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimSource {
    /// A field of the user record.
    UserField(UserField),
    /// A path into the user's attributes.
    UserAttribute(Vec<String>),
    /// Names of all effective groups.
    GroupNames,
    /// The values at a path in the attributes of every effective group, as a list.
    GroupAttribute(Vec<String>),
    /// The value at a path, from the user or else from the groups in order of name.
    Merged(Vec<String>),
    /// Always the same value.
    Constant(Value),
}

/// Fields that `user.<field>` may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserField {
    /// `user.username`
    Username,
    /// `user.name`
    Name,
    /// `user.email`
    Email,
    /// `user.email_verified`
    EmailVerified,
    /// `user.id`
    Id,
    /// `user.number`
    Number,
    /// `user.uid`
    Uid,
    /// `user.kind`
    Kind,
    /// `user.superuser`
    Superuser,
    /// `user.locale`
    Locale,
}

const FIELDS: [(&str, UserField); 10] = [
    ("username", UserField::Username),
    ("name", UserField::Name),
    ("email", UserField::Email),
    ("email_verified", UserField::EmailVerified),
    ("id", UserField::Id),
    ("number", UserField::Number),
    ("uid", UserField::Uid),
    ("kind", UserField::Kind),
    ("superuser", UserField::Superuser),
    ("locale", UserField::Locale),
];

/// Claims that a custom scope may not set, because the protocol gives them their meaning.
pub const PROTECTED: [&str; 19] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "nonce",
    "auth_time",
    "acr",
    "amr",
    "azp",
    "at_hash",
    "c_hash",
    "sid",
    "client_id",
    "scope",
    "events",
    "act",
];

impl FromStr for ClaimSource {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.len() > 1024 {
            return Err("a claim source has at most 1024 characters".into());
        }
        if text == "groups" {
            return Ok(Self::GroupNames);
        }
        if let Some(path) = text.strip_prefix("user.attributes.") {
            return Ok(Self::UserAttribute(split(path)?));
        }
        if let Some(path) = text.strip_prefix("group.attributes.") {
            return Ok(Self::GroupAttribute(split(path)?));
        }
        if let Some(path) = text.strip_prefix("attributes.") {
            return Ok(Self::Merged(split(path)?));
        }
        if let Some(name) = text.strip_prefix("user.") {
            return FIELDS
                .iter()
                .find(|(field, _)| *field == name)
                .map(|(_, field)| Self::UserField(*field))
                .ok_or_else(|| {
                    let known = FIELDS.map(|(field, _)| field);
                    let hint = crate::text::nearest(name, known)
                        .map_or(String::new(), |n| format!("; did you mean user.{n}?"));
                    format!(
                        "`user.{name}` is not a field; expected user.{{{}}} or user.attributes.…{hint}",
                        known.join(",")
                    )
                });
        }
        match serde_json::from_str::<Value>(text) {
            Ok(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => Ok(Self::Constant(value)),
            _ => Err(format!(
                "`{text}` is not a claim source; expected user.username, user.attributes.department, groups, \
                 group.attributes.role, attributes.quota, or a constant such as \"text\", 42, true"
            )),
        }
    }
}

fn split(path: &str) -> Result<Vec<String>, String> {
    let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
    if parts.len() > 16 || parts.iter().any(|part| part.is_empty() || part.len() > 200) {
        return Err(format!(
            "`{path}` is not a path of 1 to 16 names separated by dots"
        ));
    }
    Ok(parts)
}

impl fmt::Display for ClaimSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserField(field) => {
                let name = FIELDS
                    .iter()
                    .find(|(_, known)| known == field)
                    .map_or("", |(name, _)| name);
                write!(f, "user.{name}")
            }
            Self::UserAttribute(path) => write!(f, "user.attributes.{}", path.join(".")),
            Self::GroupNames => f.write_str("groups"),
            Self::GroupAttribute(path) => write!(f, "group.attributes.{}", path.join(".")),
            Self::Merged(path) => write!(f, "attributes.{}", path.join(".")),
            Self::Constant(value) => write!(f, "{value}"),
        }
    }
}

impl Serialize for ClaimSource {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for ClaimSource {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl ClaimSource {
    /// The claim's value for a person; `None` leaves the claim out.
    #[must_use]
    pub fn value(&self, person: &Person, tree: &GroupTree) -> Option<Value> {
        match self {
            Self::UserField(field) => field_value(*field, person),
            Self::UserAttribute(path) => lookup(&person.user.attributes, path).cloned(),
            Self::GroupNames => Some(tree.names(&person.groups).into()),
            Self::GroupAttribute(path) => {
                let mut values: Vec<Value> = Vec::new();
                for value in group_values(person, tree, path) {
                    if !values.contains(value) {
                        values.push(value.clone());
                    }
                }
                Some(Value::Array(values))
            }
            Self::Merged(path) => lookup(&person.user.attributes, path)
                .or_else(|| group_values(person, tree, path).next())
                .cloned(),
            Self::Constant(value) => Some(value.clone()),
        }
    }
}

fn group_values<'a>(
    person: &Person,
    tree: &'a GroupTree,
    path: &'a [String],
) -> impl Iterator<Item = &'a Value> {
    let mut groups: Vec<_> = person.groups.iter().filter_map(|id| tree.find(*id)).collect();
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    groups
        .into_iter()
        .filter_map(move |group| lookup(&group.attributes, path))
}

fn field_value(field: UserField, person: &Person) -> Option<Value> {
    let user = &person.user;
    Some(match field {
        UserField::Username => user.username.as_str().into(),
        UserField::Name => user.name.as_str().into(),
        UserField::Email => user.email.as_deref()?.into(),
        UserField::EmailVerified => user.email_verified_at.is_some().into(),
        UserField::Id => user.id.to_string().into(),
        UserField::Number => user.number.into(),
        UserField::Uid => user.uid.as_str().into(),
        UserField::Kind => user.kind.as_str().into(),
        UserField::Superuser => person.superuser.into(),
        UserField::Locale => user.locale.as_deref()?.into(),
    })
}

fn lookup<'a>(attributes: &'a crate::Attributes, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(attributes.get(first)?, |value, name| value.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_round_trip_and_errors_suggest() {
        for text in [
            "user.username",
            "user.attributes.a.b",
            "groups",
            "group.attributes.role",
            "attributes.q",
            "\"x\"",
            "42",
        ] {
            assert_eq!(text.parse::<ClaimSource>().unwrap().to_string(), text);
        }
        assert!(
            "user.usernam"
                .parse::<ClaimSource>()
                .unwrap_err()
                .contains("did you mean user.username")
        );
        for bad in ["", "user.attributes.", "null", "[1]", "system('x')"] {
            assert!(bad.parse::<ClaimSource>().is_err(), "{bad}");
        }
    }
}
