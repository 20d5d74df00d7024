//! What is done once, with the rights of whoever owns the database: the table, its policies, and the role of the service.

use std::error::Error;
use std::fmt::Write as _;

use clap::Args;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use url::Url;

const SCHEMA: &str = include_str!("schema.sql");

/// Sets the database up. Doing it again gives the role a new password and changes nothing else.
#[derive(Args)]
pub(crate) struct Setup {
    /// PostgreSQL, as a role that may make tables and roles
    #[arg(long, env = "ADMIN_DATABASE_URL", hide_env_values = true)]
    admin_url: Url,
    /// The role that the service will connect as
    #[arg(long, default_value = "notes_app")]
    role: String,
}

impl Setup {
    pub(crate) async fn run(&self) -> Result<(), Box<dyn Error>> {
        let named = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        if self.role.is_empty() || !self.role.chars().all(named) {
            return Err("--role: expected lowercase letters, digits and underscores".into());
        }
        let mut connection = PgConnection::connect(self.admin_url.as_str())
            .await
            .map_err(|error| format!("PostgreSQL at --admin-url cannot be used: {error}"))?;
        let role = &self.role;
        let known: bool = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
            .bind(role)
            .fetch_one(&mut connection)
            .await?;
        let verb = if known { "alter" } else { "create" };
        let password = password()?;
        // Names and passwords cannot be parameters of such statements; both consist of letters and digits only.
        let statements = format!(
            "begin;\n{verb} role {role} login nosuperuser nobypassrls nocreatedb nocreaterole password '{password}';\n\
             {SCHEMA}\ngrant select, insert, update, delete on notes to {role};\ncommit;"
        );
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut connection)
            .await?;
        let mut url = self.admin_url.clone();
        if url.set_username(role).is_err() || url.set_password(Some(&password)).is_err() {
            return Err("--admin-url: expected postgres://user@host/database".into());
        }
        println!("The table notes and the role {role} are ready. Now:\n");
        println!("  export DATABASE_URL='{url}'");
        println!("  cargo run --example guarded-service");
        Ok(())
    }
}

/// 128 random bits as letters and digits.
fn password() -> Result<String, Box<dyn Error>> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "no randomness")?;
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}
