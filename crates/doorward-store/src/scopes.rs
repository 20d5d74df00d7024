//! Custom scopes.

use doorward_domain::ScopeId;
use doorward_domain::claim::CustomScope;
use serde_json::Value as Json;

use crate::conn::{Conn, Tx};
use crate::error::{Error, Result};
use crate::fields::{Fields, whole};
use crate::sql::{Row, sql};

/// Most custom scopes that are loaded.
const MAX_SCOPES: usize = 10_000;

fn scope_of(row: &Row) -> Result<CustomScope> {
    let fields = Fields::new(row, "custom_scopes", "sc", "sc_id");
    Ok(CustomScope {
        id: fields.get("sc_id")?,
        name: fields.get("sc_name")?,
        description: fields.get("sc_description")?,
        claims: fields.json("sc_claims", serde_json::from_value)?,
        created_at: fields.get("sc_created_at")?,
        updated_at: fields.get("sc_updated_at")?,
    })
}

fn claims_json(scope: &CustomScope) -> Json {
    let claims = scope.claims.iter();
    Json::Object(
        claims
            .map(|(claim, source)| (claim.clone(), Json::String(source.to_string())))
            .collect(),
    )
}

impl Conn {
    /// All custom scopes in order of name. 1 query.
    ///
    /// # Errors
    /// Any [`Error`] of the engine, [`Error::Corrupt`] for a row that cannot be read; the same for all methods here.
    pub async fn custom_scopes(&self) -> Result<Vec<CustomScope>> {
        let query = sql(
            "SELECT id AS sc_id, name AS sc_name, description AS sc_description, claims AS sc_claims, \
             created_at AS sc_created_at, updated_at AS sc_updated_at FROM custom_scopes ORDER BY name LIMIT $1",
        );
        let rows = self.all(query.bind(MAX_SCOPES + 1)).await?;
        whole(rows, MAX_SCOPES, "custom_scopes")?
            .iter()
            .map(scope_of)
            .collect()
    }
}

impl Tx {
    /// Adds a scope. 1 query.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the name is taken.
    pub async fn add_scope(&self, scope: &CustomScope) -> Result<()> {
        let query = sql(
            "INSERT INTO custom_scopes(id, name, description, claims, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(scope.id)
        .bind(&scope.name)
        .bind(&scope.description)
        .bind(claims_json(scope))
        .bind(scope.created_at)
        .bind(scope.updated_at);
        self.run(query).await?;
        Ok(())
    }

    /// Saves a scope. 1 query.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the name is taken, [`Error::Stale`] when there is no such scope.
    pub async fn save_scope(&self, scope: &CustomScope) -> Result<()> {
        let query = sql(
            "UPDATE custom_scopes SET name = $2, description = $3, claims = $4, updated_at = $5 \
             WHERE id = $1",
        )
        .bind(scope.id)
        .bind(&scope.name)
        .bind(&scope.description)
        .bind(claims_json(scope))
        .bind(scope.updated_at);
        if self.run(query).await? == 0 {
            Err(Error::Stale)
        } else {
            Ok(())
        }
    }

    /// Removes a scope for good; false when there is no such scope. 1 query.
    ///
    /// # Errors
    /// See [`Conn::custom_scopes`].
    pub async fn delete_scope(&self, id: ScopeId) -> Result<bool> {
        Ok(self
            .run(sql("DELETE FROM custom_scopes WHERE id = $1").bind(id))
            .await?
            > 0)
    }
}
