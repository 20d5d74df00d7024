//! sqlx on PostgreSQL.

use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use super::{ENTER, RowContext};
use crate::refusal::{Kind, Refusal};

/// Begins a transaction for this person. Everything that is asked in it is seen through the person's eyes; commit it, or
/// drop it to take everything back.
///
/// # Errors
///
/// What sqlx says; [`Refusal`] is made from it with `?`.
pub async fn begin(
    pool: &PgPool,
    context: &RowContext,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    enter(&mut transaction, context).await?;
    Ok(transaction)
}

/// Tells a connection that is in a transaction for whom it is. Outside a transaction this lasts for one statement, which
/// is this one.
///
/// # Errors
///
/// What sqlx says.
pub async fn enter(connection: &mut PgConnection, context: &RowContext) -> Result<(), sqlx::Error> {
    sqlx::query(ENTER)
        .bind(context.user.as_str())
        .bind(context.workspace.as_str())
        .execute(connection)
        .await
        .map(drop)
}

/// Whether row-level security holds for whoever connects with this pool, for these tables (`notes`, `other.notes`). Ask it
/// at the start: policies that the role may pass by look as if they worked until somebody else's rows are shown.
///
/// Gives one sentence for each problem; none is good.
///
/// # Errors
///
/// What sqlx says.
pub async fn check(pool: &PgPool, tables: &[&str]) -> Result<Vec<String>, sqlx::Error> {
    let mut problems = Vec::new();
    let role: (String, bool, bool) = sqlx::query_as(
        "select rolname::text, rolsuper, rolbypassrls from pg_roles where rolname = current_user",
    )
    .fetch_one(pool)
    .await?;
    let (role, superuser, bypasses) = role;
    if superuser || bypasses {
        problems.push(format!(
            "the role {role} passes by all policies ({}): connect as a role that does not",
            if superuser { "superuser" } else { "bypassrls" }
        ));
    }
    for table in tables {
        let found: Option<(bool, bool, bool, i64)> = sqlx::query_as(
            "select c.relrowsecurity, c.relforcerowsecurity, pg_has_role(c.relowner, 'usage'), \
             (select count(*) from pg_policy p where p.polrelid = c.oid) \
             from pg_class c where c.oid = to_regclass($1)",
        )
        .bind(*table)
        .fetch_optional(pool)
        .await?;
        let Some((enabled, forced, owns, policies)) = found else {
            problems.push(format!(
                "there is no table {table}, or {role} may not see its schema"
            ));
            continue;
        };
        if !enabled {
            problems.push(format!("{table}: alter table {table} enable row level security"));
        }
        if !forced {
            problems.push(format!("{table}: alter table {table} force row level security"));
        }
        if owns {
            problems.push(format!(
                "{table} belongs to {role}, which may switch its policies off: let another role own it"
            ));
        }
        if policies == 0 {
            problems.push(format!("{table} has no policy, so nobody sees any row"));
        }
    }
    Ok(problems)
}

impl From<sqlx::Error> for Refusal {
    /// A row that a policy does not let the caller write is 403. A database that is away, busy or not yet migrated is 503; everything else is a mistake of the program. Neither is
    /// ever 401.
    fn from(error: sqlx::Error) -> Self {
        if is_denied(&error) {
            return Self::of(Kind::RowDenied);
        }
        let away = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(error) => error.code().is_some_and(|code| passes(&code)),
            _ => false,
        };
        if away {
            Self::unavailable(error)
        } else {
            Self::internal(error)
        }
    }
}

/// The code is the same as for a missing grant, which is a mistake; the server's English text tells them apart, and in
/// another language the answer is the safer 500.
fn is_denied(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| {
        error.code().as_deref() == Some("42501") && error.message().contains("row-level security policy")
    })
}

/// Codes of PostgreSQL for what passes without anybody changing the program: connection, resources, shutting down,
/// conflicts between transactions, roles and databases that are not there yet, tables and columns of another version.
fn passes(code: &str) -> bool {
    let class = code.get(..2).unwrap_or_default();
    matches!(class, "08" | "28" | "3D" | "40" | "53" | "57" | "58") || matches!(code, "42P01" | "42703")
}
