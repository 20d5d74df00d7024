//! From the columns of a row to the fields of a record, and back, for the resource files.
//!
//! Lives here: reading with errors that name table, column and row; lists as JSON; the columns of a user, which several
//! resources join. Does not live here: statements of a single resource.

use std::collections::BTreeSet;
use std::str::FromStr;

use doorward_domain::Id;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::sql::{FromValue, Row};

/// Most rows that one call of a `forget_*` or `purge_*` method removes: call again, in a new transaction, until it
/// gives 0. Keep in step with the `LIMIT 1000` of the statements.
pub const FORGET_BATCH: u64 = 1000;

/// Most rows that one page of a listing holds; a larger `limit` is cut.
pub const MAX_PAGE: u32 = 1000;

/// The limit of a page, within bounds.
pub(crate) fn page(limit: u32) -> u32 {
    limit.clamp(1, MAX_PAGE)
}

/// Refuses a result that its `LIMIT` (`most + 1`) may have cut: configuration is never loaded in part.
pub(crate) fn whole(rows: Vec<Row>, most: usize, table: &str) -> Result<Vec<Row>> {
    if rows.len() > most {
        return Err(Error::Engine(format!(
            "{table} has more than {most} rows, which is more than this program loads"
        )));
    }
    Ok(rows)
}

/// Which field of the record is taken already, for an [`Error::Conflict`] on a natural key: `username`, `email`,
/// `name`, `slug`, `client_id`, `kid`, `number`, `uid`, `user_code` or `app_password_name`.
#[must_use]
pub fn conflict_field(error: &Error) -> Option<&'static str> {
    let Error::Conflict { constraint } = error else {
        return None;
    };
    Some(match constraint.as_str() {
        "users_realm_username_key_key" => "username",
        "users_realm_email_key_key" => "email",
        "users_number_key" => "number",
        "users_uid_key" => "uid",
        "groups_name_key_key" | "custom_scopes_name_key" => "name",
        "applications_slug_key" => "slug",
        "applications_client_id_key" => "client_id",
        "signing_keys_kid_key" => "kid",
        "device_codes_user_code_key" => "user_code",
        "app_passwords_user_id_name_key_key" => "app_password_name",
        _ => return None,
    })
}

/// Strings as a JSON list.
pub(crate) fn texts<'a>(items: impl IntoIterator<Item = &'a String>) -> Json {
    Json::Array(items.into_iter().map(|item| Json::String(item.clone())).collect())
}

/// One record's part of a row. Columns are named `<alias>_<column>` in the result, so that joined tables do not clash.
pub(crate) struct Fields<'r> {
    row: &'r Row,
    table: &'static str,
    alias: &'static str,
    key: &'static str,
}

impl<'r> Fields<'r> {
    /// The part of `row` that came from `table`; `key` is the result's column with the row's id, for error messages.
    pub(crate) fn new(row: &'r Row, table: &'static str, alias: &'static str, key: &'static str) -> Self {
        Self {
            row,
            table,
            alias,
            key,
        }
    }

    /// One value.
    pub(crate) fn get<T: FromValue>(&self, column: &str) -> Result<T> {
        self.row.get(column).map_err(|error| match error {
            Error::Corrupt { problem, .. } => self.corrupt(column, &problem),
            other => other,
        })
    }

    /// A word that the domain knows.
    pub(crate) fn word<T: FromStr>(&self, column: &str) -> Result<T> {
        let text: String = self.get(column)?;
        text.parse()
            .map_err(|_| self.corrupt(column, "the word is not one that this program knows"))
    }

    /// A word that the domain knows, or NULL.
    pub(crate) fn word_or_none<T: FromStr>(&self, column: &str) -> Result<Option<T>> {
        match self.get::<Option<String>>(column)? {
            None => Ok(None),
            Some(_) => self.word(column).map(Some),
        }
    }

    /// A value read from JSON by `read` (`serde_json::from_value` of the wanted type).
    pub(crate) fn json<T>(
        &self,
        column: &str,
        read: impl FnOnce(Json) -> serde_json::Result<T>,
    ) -> Result<T> {
        read(self.get(column)?).map_err(|_| self.corrupt(column, "the JSON does not have the expected shape"))
    }

    /// A JSON list of texts as a set.
    pub(crate) fn set(&self, column: &str) -> Result<BTreeSet<String>> {
        self.json(column, serde_json::from_value)
    }

    /// A JSON list of texts.
    pub(crate) fn list(&self, column: &str) -> Result<Vec<String>> {
        self.json(column, serde_json::from_value)
    }

    /// Ids written one after the other with commas (`string_agg`); NULL is none.
    pub(crate) fn ids<K>(&self, column: &str) -> Result<Vec<Id<K>>> {
        let text: Option<String> = self.get(column)?;
        text.iter()
            .flat_map(|text| text.split(','))
            .map(|id| {
                id.parse()
                    .map_err(|_| self.corrupt(column, "expected ids separated by commas"))
            })
            .collect()
    }

    /// The error for a value that the program cannot use. Names table, column and row, never the value.
    pub(crate) fn corrupt(&self, column: &str, problem: &str) -> Error {
        let column = column
            .strip_prefix(self.alias)
            .and_then(|c| c.strip_prefix('_'))
            .unwrap_or(column);
        let row = self
            .row
            .get::<Uuid>(self.key)
            .map(|id| id.to_string())
            .or_else(|_| self.row.get::<String>(self.key))
            .unwrap_or_else(|_| "unknown".to_owned());
        Error::corrupt(self.table, column, format!("{problem} (row {row})"))
    }
}

/// The columns of a user, from `users AS u`.
macro_rules! user_columns {
    () => {
        "u.id AS u_id, u.number AS u_number, u.uid AS u_uid, u.realm AS u_realm, u.username AS u_username, u.name AS u_name, \
         u.email AS u_email, u.email_verified_at AS u_email_verified_at, u.kind AS u_kind, \
         u.attributes AS u_attributes, u.app AS u_app, u.active AS u_active, u.locale AS u_locale, u.created_at AS u_created_at, \
         u.updated_at AS u_updated_at, u.last_sign_in_at AS u_last_sign_in_at, u.deleted_at AS u_deleted_at"
    };
}
pub(crate) use user_columns;

/// The live groups that the user `u` is directly in, in one column, so that a person comes with one query.
macro_rules! group_ids_column {
    () => {
        "(SELECT string_agg(g.id_text, ',') FROM (\
           SELECT groups.id_text FROM memberships JOIN groups ON groups.id = memberships.group_id \
           WHERE memberships.user_id = u.id AND groups.deleted_at IS NULL \
           ORDER BY groups.id LIMIT 10000) AS g) AS u_group_ids"
    };
}
pub(crate) use group_ids_column;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_neither_empty_nor_endless() {
        assert_eq!((page(0), page(7), page(u32::MAX)), (1, 7, MAX_PAGE));
    }

    #[test]
    fn conflicts_name_the_field_of_the_record() {
        let conflict = |name: &str| {
            conflict_field(&Error::Conflict {
                constraint: name.to_owned(),
            })
        };
        assert_eq!(conflict("users_realm_username_key_key"), Some("username"));
        assert_eq!(conflict("users_pkey"), None);
        assert_eq!(conflict_field(&Error::Stale), None);
    }
}
