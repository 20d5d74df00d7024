//! Custom scopes.

use serde_json::json;
use std::collections::BTreeMap;

use doorward_domain::claim::{ClaimSource, CustomScope, PROTECTED};
use doorward_domain::event::EventKind;
use doorward_domain::text;
use doorward_oidc::scope;

use crate::error::{Error, Result};
use crate::events::About;
use crate::picture::topic;
use crate::{Doorward, Origin};

impl Doorward {
    /// All custom scopes, by name.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn list_scopes(&self) -> Result<Vec<CustomScope>> {
        let mut scopes = self.store()?.read().custom_scopes().await?;
        scopes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(scopes)
    }

    /// Makes a scope, or replaces the claims of one.
    ///
    /// # Errors
    /// `Invalid` naming the claim or field.
    pub async fn put_scope(
        &self,
        name: &str,
        description: Option<&str>,
        claims: &[(String, String)],
    ) -> Result<CustomScope> {
        let shape = scope::parse_scope(name).is_ok_and(|parsed| parsed.len() == 1) && name.len() <= 100;
        if !shape {
            return Err(Error::Invalid(format!(
                "scope `{name}` is not usable; expected visible ASCII without spaces, \" and \\"
            )));
        }
        if scope::is_standard(name) {
            return Err(Error::Invalid(format!(
                "scope `{name}` is a standard scope and cannot be replaced"
            )));
        }
        if let Some(description) = description {
            super::check_text("description", description, 500)?;
        }
        let mut sources = BTreeMap::new();
        for (claim, source) in claims {
            text::check_visible("claim name", claim, 100).map_err(Error::Invalid)?;
            if PROTECTED.contains(&claim.as_str()) {
                return Err(Error::Invalid(format!(
                    "claim `{claim}` has a fixed meaning in the protocol and cannot be set"
                )));
            }
            let source: ClaimSource = source
                .parse()
                .map_err(|problem| Error::Invalid(format!("claim `{claim}`: {problem}")))?;
            sources.insert(claim.clone(), source);
        }
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let existing = tx
            .custom_scopes()
            .await?
            .into_iter()
            .find(|scope| scope.name == name);
        let scope = CustomScope {
            id: existing.as_ref().map_or_else(|| self.mint(now), |scope| scope.id),
            name: name.to_owned(),
            description: description.map_or_else(
                || {
                    existing
                        .as_ref()
                        .map_or_else(|| name.to_owned(), |s| s.description.clone())
                },
                str::to_owned,
            ),
            claims: sources,
            created_at: existing.as_ref().map_or(now, |scope| scope.created_at),
            updated_at: now,
        };
        match existing {
            Some(_) => tx.save_scope(&scope).await?,
            None => tx.add_scope(&scope).await?,
        }
        let about = About {
            details: json!({ "what": "set", "scope": name, "claims": scope.claims }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::ScopeChanged, about, &Origin::default(), now))
            .await?;
        tx.changed(topic::DIRECTORY, name, now);
        tx.commit().await?;
        self.refresh_directory_now(now).await?;
        Ok(scope)
    }

    /// Deletes a scope.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` naming the applications that still allow it.
    pub async fn delete_scope(&self, name: &str) -> Result<()> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let Some(scope) = tx
            .custom_scopes()
            .await?
            .into_iter()
            .find(|scope| scope.name == name)
        else {
            return Err(Error::NotFound(format!("there is no custom scope `{name}`")));
        };
        let users: Vec<String> = tx
            .applications(false)
            .await?
            .into_iter()
            .filter(|application| {
                application
                    .client
                    .as_ref()
                    .is_some_and(|client| client.scopes.contains(name))
            })
            .map(|application| application.slug)
            .collect();
        if !users.is_empty() {
            return Err(Error::Invalid(format!(
                "scope `{name}` is still allowed for: {}",
                users.join(", ")
            )));
        }
        tx.delete_scope(scope.id).await?;
        let about = About {
            details: json!({ "what": "deleted", "scope": name }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::ScopeChanged, about, &Origin::default(), now))
            .await?;
        tx.changed(topic::DIRECTORY, name, now);
        tx.commit().await?;
        self.refresh_directory_now(now).await
    }
}
