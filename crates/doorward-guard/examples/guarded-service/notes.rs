//! The API. Who calls is an argument; whose rows are seen is the transaction's business.

use axum::extract::{FromRef, Path, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Json, Router};
use doorward_guard::rls::{self, RowContext};
use doorward_guard::{Caller, Guard, Refusal, RequirePerson};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgPool, Row as _};

use crate::cors::{Cors, cors};

/// What handlers share.
#[derive(Clone)]
struct App {
    pool: PgPool,
    guard: Guard,
}

/// By this, extractors find the guard.
impl FromRef<App> for Guard {
    fn from_ref(app: &App) -> Self {
        app.guard.clone()
    }
}

#[derive(Serialize)]
struct Note {
    id: i64,
    owner: String,
    workspace: Option<String>,
    body: String,
}

impl FromRow<'_, PgRow> for Note {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            owner: row.try_get("owner")?,
            workspace: row.try_get("workspace")?,
            body: row.try_get("body")?,
        })
    }
}

#[derive(Deserialize)]
struct NewNote {
    body: String,
}

impl NewNote {
    /// What the column takes. Said here, so that a note that is too long is not a fault of the database.
    fn fits(&self) -> bool {
        (1..=10_000).contains(&self.body.chars().count()) && !self.body.contains('\0')
    }
}

/// `origins` may call from a page, and write with a session cookie.
pub(crate) fn router(pool: PgPool, guard: Guard, origins: &[String]) -> Router {
    let administration = Router::new()
        .route("/admin/whoami", get(whoami))
        .route_layer(guard.require().person().role("admin"));
    Router::new()
        .route("/", get(greet))
        .route("/whoami", get(whoami))
        .route("/notes", get(list).post(write))
        .route("/notes/{id}", get(read).delete(remove))
        .merge(administration)
        .layer(from_fn_with_state(Cors::new(origins), cors))
        .with_state(App { pool, guard })
}

/// Anybody may come, and is greeted by name when there is one.
async fn greet(caller: Option<Caller>) -> String {
    match caller.as_ref().and_then(Caller::person) {
        Some(person) => format!("Hello {}\n", person.name.as_deref().unwrap_or(&person.id)),
        None => "Hello. Sign in to see your notes.\n".to_owned(),
    }
}

async fn whoami(caller: Caller) -> Json<Value> {
    Json(json!({
        "id": caller.id(),
        "kind": if caller.person().is_some() { "person" } else { "service" },
        "source": format!("{:?}", caller.source()),
        "roles": caller.person().map(|person| &person.roles),
        "workspace": caller.person().and_then(|person| person.workspace.as_deref()),
        "expires_at": caller.expires_at(),
    }))
}

/// No `where owner = …`: the policy decides what there is to see.
async fn list(State(app): State<App>, person: RequirePerson) -> Result<Json<Vec<Note>>, Refusal> {
    let mut tx = rls::begin(&app.pool, &RowContext::of(&person)?).await?;
    let notes = sqlx::query_as("select id, owner, workspace, body from notes order by id desc limit 100")
        .fetch_all(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Json(notes))
}

/// The owner is the column's default, which the policy checks.
async fn write(
    State(app): State<App>,
    person: RequirePerson,
    Json(new): Json<NewNote>,
) -> Result<Result<(StatusCode, Json<Note>), StatusCode>, Refusal> {
    if !new.fits() {
        return Ok(Err(StatusCode::UNPROCESSABLE_ENTITY));
    }
    let mut tx = rls::begin(&app.pool, &RowContext::of(&person)?).await?;
    let note = sqlx::query_as("insert into notes (body) values ($1) returning id, owner, workspace, body")
        .bind(new.body)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Ok((StatusCode::CREATED, Json(note))))
}

/// Somebody else's note and one that does not exist are the same: not found.
async fn read(
    State(app): State<App>,
    person: RequirePerson,
    Path(id): Path<i64>,
) -> Result<Result<Json<Note>, StatusCode>, Refusal> {
    let mut tx = rls::begin(&app.pool, &RowContext::of(&person)?).await?;
    let note: Option<Note> = sqlx::query_as("select id, owner, workspace, body from notes where id = $1")
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(note.map(Json).ok_or(StatusCode::NOT_FOUND))
}

async fn remove(
    State(app): State<App>,
    person: RequirePerson,
    Path(id): Path<i64>,
) -> Result<StatusCode, Refusal> {
    let mut tx = rls::begin(&app.pool, &RowContext::of(&person)?).await?;
    let removed = sqlx::query("delete from notes where id = $1")
        .bind(id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(match removed.rows_affected() {
        0 => StatusCode::NOT_FOUND,
        _ => StatusCode::NO_CONTENT,
    })
}
