//! Views with the table names of the token service that was there before, for programs that read its database.
//!
//! Made on request and not by a migration: the old tables may be in the same database under the same names, and an
//! installation that never had such a service has no use for a view that shows password hashes.

use crate::Store;
use crate::error::{Error, Result};
use crate::sql::{sql, sql_built};

/// The old names, in the order in which their views are made.
pub const OLD_NAMES: [&str; 5] = [
    "auth_users",
    "auth_roles",
    "auth_user_roles",
    "auth_sessions",
    "auth_matrix_accounts",
];

impl Store {
    /// Makes the views, in place of those that are there.
    ///
    /// # Errors
    /// [`Error::Unusable`] naming a table that stands in the way.
    pub async fn make_old_views(&self) -> Result<()> {
        self.drop_old_views().await?;
        let tx = self.begin().await?;
        for statement in statements(self.old_views()) {
            tx.run(sql_built(statement)).await.map_err(in_the_way)?;
        }
        tx.commit().await
    }

    /// Removes the views. Tables with these names are left alone.
    ///
    /// # Errors
    /// [`Error::Unusable`] naming a table that stands in the way.
    pub async fn drop_old_views(&self) -> Result<()> {
        let tx = self.begin().await?;
        for name in OLD_NAMES.iter().rev() {
            let drop = format!("DROP VIEW IF EXISTS {name}");
            tx.run(sql_built(drop)).await.map_err(in_the_way)?;
        }
        tx.commit().await
    }

    /// Do the views stand and can be read? For the doctor and tests.
    ///
    /// # Errors
    /// Any [`Error`] of the engine: they do not.
    pub async fn read_old_views(&self) -> Result<i64> {
        let conn = self.read();
        let row = conn.scan(sql("SELECT count(*) AS n FROM auth_users")).await?;
        row.first().map_or(Ok(0), |row| row.get("n"))
    }
}

/// The statements of a file, without comments.
fn statements(text: &str) -> Vec<String> {
    let bare: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .collect();
    bare.join("\n")
        .split(';')
        .map(|statement| statement.trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

fn in_the_way(error: Error) -> Error {
    match error {
        Error::Engine(text) => Error::unusable(format!(
            "the views cannot be made: {text}; a table of the old service with such a name has to be renamed first, for \
             example ALTER TABLE auth_users RENAME TO auth_users_before"
        )),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_have_all_views() {
        for text in [
            include_str!("../views/auth.sqlite.sql"),
            include_str!("../views/auth.postgres.sql"),
        ] {
            let made = statements(text);
            assert_eq!(made.len(), OLD_NAMES.len());
            for (statement, name) in made.iter().zip(OLD_NAMES) {
                assert!(
                    statement.starts_with(&format!("CREATE VIEW {name}(")),
                    "{statement}"
                );
            }
        }
    }
}
