//! `doorward scope …`

use clap::{Args, Subcommand};
use doorward_domain::claim::CustomScope;
use serde_json::{Value, json};

use super::Desk;
use crate::arguments::Yes;
use crate::failure::{Failure, Result};
use crate::out::{cells, facts};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Scope {
    /// Makes a scope, or replaces the claims of one
    #[command(
        after_help = "Examples:\n  doorward scope create department --description \"Your department\" \\\n      --claim department=user.attributes.department\n  \
                      doorward scope create roles --claim roles=group.attributes.role --claim quota=attributes.quota\n\nSources: \
                      user.FIELD, user.attributes.PATH, groups, group.attributes.PATH, attributes.PATH (groups, then the user on \
                      top), or a constant as JSON. Allow the scope with `doorward application update … --scope`."
    )]
    Create(Create),
    /// Lists custom scopes
    #[command(after_help = "Examples:\n  doorward scope list --json")]
    List,
    /// Deletes a scope that no application allows any more
    #[command(after_help = "Examples:\n  doorward scope delete department")]
    Delete(Gone),
}

/// A scope to be made.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Name as clients send it
    name: String,
    /// Claim and where its value comes from (may be repeated)
    #[arg(long, value_name = "NAME=SOURCE", value_parser = claim)]
    claim: Vec<(String, String)>,
    /// Sentence on the consent page [default: the name]
    #[arg(long)]
    description: Option<String>,
}

/// Which scope to delete.
#[derive(Debug, Args)]
pub(crate) struct Gone {
    /// Name
    name: String,
    #[command(flatten)]
    yes: Yes,
}

fn claim(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, source)| !name.is_empty() && !source.is_empty())
        .map(|(name, source)| (name.to_owned(), source.to_owned()))
        .ok_or_else(|| "expected NAME=SOURCE, for example department=user.attributes.department".to_owned())
}

/// Does it.
pub(crate) async fn run(what: Scope, desk: &Desk) -> Result<()> {
    match what {
        Scope::Create(new) => {
            let description = new.description.as_deref();
            let scope = desk
                .doorward
                .put_scope(&new.name, description, &new.claim)
                .await?;
            let value = view(&scope);
            desk.out.either(&value, || {
                facts(
                    &format!("Scope {} is set.", scope.name),
                    &[
                        ("description", scope.description.clone()),
                        ("claims", claims(&value)),
                    ],
                )
            })
        }
        Scope::List => {
            let scopes = desk.doorward.list_scopes().await?;
            desk.out.list(
                scopes.iter().map(view).collect(),
                &["NAME", "DESCRIPTION", "CLAIMS"],
                |scope| {
                    let mut row = cells(scope, &["name", "description"]);
                    row.push(claims(scope));
                    row
                },
                "There are no custom scopes.",
            )
        }
        Scope::Delete(gone) => delete(&gone, desk).await,
    }
}

async fn delete(gone: &Gone, desk: &Desk) -> Result<()> {
    let known = desk.doorward.list_scopes().await?;
    if !known.iter().any(|scope| scope.name == gone.name) {
        let names = known.iter().map(|scope| scope.name.as_str());
        let hint = doorward_domain::text::nearest(&gone.name, names)
            .map_or(String::new(), |name| format!("; did you mean `{name}`?"));
        return Err(Failure::NotFound(format!(
            "there is no custom scope `{}`{hint}",
            gone.name
        )));
    }
    let question = format!("Delete the scope `{}`? This cannot be undone.", gone.name);
    desk.out.confirm(&question, gone.yes.assent())?;
    desk.doorward.delete_scope(&gone.name).await?;
    desk.out.either(&json!({ "deleted": gone.name }), || {
        vec![format!("Scope {} was deleted.", gone.name)]
    })
}

fn view(scope: &CustomScope) -> Value {
    json!({
        "id": scope.id,
        "name": scope.name,
        "description": scope.description,
        "claims": scope.claims,
        "created_at": scope.created_at.to_string(),
        "updated_at": scope.updated_at.to_string(),
    })
}

fn claims(scope: &Value) -> String {
    let claims = scope.get("claims").and_then(Value::as_object);
    let pairs = claims.into_iter().flatten().map(|(name, source)| {
        let source = source.as_str().map_or_else(|| source.to_string(), str::to_owned);
        format!("{name}={source}")
    });
    pairs.collect::<Vec<_>>().join(", ")
}
