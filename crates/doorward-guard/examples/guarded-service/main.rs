//! A notes API behind Doorward, with row-level security in PostgreSQL.
//!
//! `cargo run --example guarded-service -- setup --admin-url postgres://…` makes the table and the role of the service;
//! `cargo run --example guarded-service` runs it. The guide is docs/guides/guard-a-rust-service.md.
#![expect(clippy::print_stdout, reason = "tells who tries it what to do next")]

mod cors;
mod notes;
mod setup;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use doorward_guard::{Guard, rls};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// A notes API behind Doorward, with row-level security in PostgreSQL.
#[derive(Parser)]
#[command(name = "guarded-service")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Command {
    /// Makes the table, its policies and the role that the service connects as; prints DATABASE_URL.
    Setup(setup::Setup),
}

#[derive(Args)]
struct Run {
    /// PostgreSQL, as the role that `setup` made
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Doorward's public address
    #[arg(long, env = "DOORWARD_URL", default_value = "http://localhost:9000")]
    doorward_url: String,
    /// The application's slug at Doorward
    #[arg(long, env = "NOTES_APPLICATION", default_value = "notes")]
    application: String,
    /// Who this service is in access tokens: the client id, or a resource of the application
    #[arg(long, env = "NOTES_AUDIENCE", default_value = "notes-api")]
    audience: String,
    /// The client secret; with it, opaque tokens are asked about and revoked ones end at once
    #[arg(long, env = "NOTES_CLIENT_SECRET", hide_env_values = true)]
    client_secret: Option<String>,
    /// Path of the session door; empty when it is switched off
    #[arg(long, env = "NOTES_SESSIONS", default_value = "/api/auth")]
    sessions: String,
    /// What tokens of Doorward's token API name in `iss`; without it they are not let in
    #[arg(long, env = "NOTES_TOKEN_API_ISSUER")]
    token_api_issuer: Option<String>,
    /// A page's origin that may write with a session cookie (may be repeated)
    #[arg(long, env = "NOTES_TRUSTED_ORIGIN", value_delimiter = ',')]
    trusted_origin: Vec<String>,
    /// Where to listen
    #[arg(long, env = "NOTES_LISTEN", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    // RUST_LOG=doorward_guard=debug says why a token does not count.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).init();
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Some(Command::Setup(setup)) => setup.run().await,
        None => cli.run.run().await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("{problem}");
            ExitCode::FAILURE
        }
    }
}

impl Run {
    async fn run(&self) -> Result<(), Box<dyn Error>> {
        let pool = self.pool().await?;
        let guard = self.guard()?;
        // The guard does not mind who starts first, so this is advice and no failure.
        for problem in guard.check().await {
            println!(
                "Doorward does not answer as expected yet (requests get 503 until it does):\n  {problem}"
            );
        }
        let listener = TcpListener::bind(self.listen).await?;
        let address = listener.local_addr()?;
        println!(
            "Notes at http://{address}, for tokens of {} with audience {}",
            self.doorward_url, self.audience
        );
        println!("  curl -i http://{address}/notes                     # 401: nobody");
        println!("  curl -i http://{address}/notes -H \"Authorization: Bearer $TOKEN\"");
        axum::serve(listener, notes::router(pool, guard, &self.trusted_origin)).await?;
        Ok(())
    }

    fn guard(&self) -> Result<Guard, Box<dyn Error>> {
        let mut guard = Guard::builder(&self.doorward_url).openid(&self.application, &self.audience);
        if let Some(secret) = &self.client_secret {
            guard = guard.introspection(&self.audience, secret).always_ask();
        }
        if let Some(issuer) = &self.token_api_issuer {
            guard = guard.token_api(issuer);
        }
        if !self.sessions.is_empty() {
            guard = guard.sessions(&self.sessions);
        }
        for origin in &self.trusted_origin {
            guard = guard.trusted_origin(origin);
        }
        Ok(guard.build()?)
    }

    /// Connects, and refuses to run when the policies would not hold.
    async fn pool(&self) -> Result<PgPool, Box<dyn Error>> {
        let Some(url) = &self.database_url else {
            return Err("DATABASE_URL is not set. Make the table and the role first; this prints what to set:\n  \
                 cargo run --example guarded-service -- setup --admin-url postgres://postgres@localhost/postgres"
                .into());
        };
        let options = PgPoolOptions::new()
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(3));
        let pool = options
            .connect(url)
            .await
            .map_err(|error| format!("PostgreSQL at DATABASE_URL cannot be used: {error}"))?;
        let problems = rls::check(&pool, &["notes"]).await?;
        if problems.is_empty() {
            return Ok(pool);
        }
        Err(format!(
            "Row-level security does not hold, so the service does not start:\n  {}\nDATABASE_URL must be the one that \
             `guarded-service setup` printed.",
            problems.join("\n  ")
        )
        .into())
    }
}
