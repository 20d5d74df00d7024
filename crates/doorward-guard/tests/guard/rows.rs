//! Row-level security on a real PostgreSQL, with the schema of the example. Rows 6 and 7 of the chain.

use std::sync::atomic::{AtomicU32, Ordering};

use doorward_guard::rls::{RowContext, begin, begin_tokio_postgres, check, enter};
use doorward_guard::{Kind, Refusal};
use doorward_store::testing::{POSTGRES, PostgresDatabase, postgres_url};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

const SCHEMA: &str = include_str!("../../examples/guarded-service/schema.sql");

/// A database whose tables belong to one role and are used by another.
struct Place {
    database: PostgresDatabase,
    owner: PgPool,
    role: String,
}

#[expect(clippy::print_stderr, reason = "tells who runs the tests what was skipped")]
fn skipped() {
    eprintln!("skipped: {POSTGRES} is not set");
}

/// Runs a story with a pool of this many connections of the role that owns nothing.
async fn with_pool(connections: u32, story: impl AsyncFn(&Place, PgPool)) {
    let Some(server) = postgres_url() else {
        return skipped();
    };
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::SeqCst);
    let database = PostgresDatabase::create(&server).await;
    let owner = PgPool::connect(&database.url()).await.expect("a database");
    let role = format!("notes_app_{}_{number}", std::process::id());
    let statements = format!(
        "create role {role} login password 'notes'; {SCHEMA} grant select, insert, update, delete on notes to {role};"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements))
        .execute(&owner)
        .await
        .expect("a schema");
    let options: PgConnectOptions = database.url().parse().expect("an address");
    let options = options.username(&role).password("notes");
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .connect_with(options)
        .await
        .expect("a pool");
    let place = Place {
        database,
        owner,
        role,
    };
    story(&place, pool.clone()).await;
    pool.close().await;
    let Place {
        database,
        owner,
        role,
    } = place;
    let statements = format!("drop owned by {role}; drop role {role}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements))
        .execute(&owner)
        .await
        .expect("no role");
    owner.close().await;
    database.remove().await;
}

fn person(id: &str) -> RowContext {
    RowContext::new(id, None).expect("an id")
}

async fn write(pool: &PgPool, context: &RowContext, body: &str) {
    let mut tx = begin(pool, context).await.expect("a transaction");
    sqlx::query("insert into notes (body) values ($1)")
        .bind(body)
        .execute(&mut *tx)
        .await
        .expect("a note");
    tx.commit().await.expect("a commit");
}

async fn read(pool: &PgPool, context: &RowContext) -> Vec<String> {
    let mut tx = begin(pool, context).await.expect("a transaction");
    let notes = sqlx::query_scalar("select body from notes order by id")
        .fetch_all(&mut *tx)
        .await
        .expect("notes");
    tx.commit().await.expect("a commit");
    notes
}

/// What a connection of the pool still knows: both settings.
async fn left(pool: &PgPool) -> (Option<String>, Option<String>) {
    let settings = "select nullif(current_setting('app.current_user_id', true), ''), \
        nullif(current_setting('app.current_workspace_id', true), '')";
    sqlx::query_as(settings).fetch_one(pool).await.expect("settings")
}

async fn seen(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from notes")
        .fetch_one(pool)
        .await
        .expect("a count")
}

#[tokio::test]
async fn rls_context_real_pg() {
    with_pool(1, async |_, pool| {
        let alice = RowContext::new("alice", Some("w1")).expect("ids");
        let inside =
            "select current_setting('app.current_user_id'), current_setting('app.current_workspace_id')";
        let ask = async |connection: &mut sqlx::PgConnection| {
            let (user, workspace): (String, String) = sqlx::query_as(inside)
                .fetch_one(connection)
                .await
                .expect("settings");
            (user, workspace)
        };
        // After a commit, after a rollback, and after being dropped half-way.
        let mut tx = begin(&pool, &alice).await.expect("a transaction");
        assert_eq!(ask(&mut tx).await, ("alice".to_owned(), "w1".to_owned()));
        tx.commit().await.expect("a commit");
        assert_eq!(left(&pool).await, (None, None));
        let mut tx = begin(&pool, &alice).await.expect("a transaction");
        assert_eq!(ask(&mut tx).await.0, "alice");
        tx.rollback().await.expect("a rollback");
        assert_eq!(left(&pool).await, (None, None));
        drop(begin(&pool, &alice).await.expect("a transaction"));
        assert_eq!(left(&pool).await, (None, None));
        // After an error inside, which aborts the transaction.
        let mut tx = begin(&pool, &alice).await.expect("a transaction");
        assert!(sqlx::query("select 1 / 0").execute(&mut *tx).await.is_err());
        drop(tx);
        assert_eq!(left(&pool).await, (None, None));
        // After a panic in the middle of a request.
        let panicking = pool.clone();
        let task = tokio::spawn(async move {
            let mut tx = begin(&panicking, &person("alice")).await.expect("a transaction");
            sqlx::query("insert into notes (body) values ('half')")
                .execute(&mut *tx)
                .await
                .expect("a note");
            panic!("in the middle");
        });
        assert!(task.await.is_err_and(|error| error.is_panic()));
        assert_eq!(left(&pool).await, (None, None));
        assert_eq!(read(&pool, &person("alice")).await, Vec::<String>::new());
        // After a request that was given up in the middle.
        let given_up = pool.clone();
        let task = tokio::spawn(async move {
            let mut tx = begin(&given_up, &person("alice")).await.expect("a transaction");
            sqlx::query("select pg_sleep(2)")
                .execute(&mut *tx)
                .await
                .expect("a nap");
        });
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        task.abort();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(left(&pool).await, (None, None));
    })
    .await;
}

#[tokio::test]
async fn rls_denies_without_context() {
    with_pool(2, async |_, pool| {
        write(&pool, &person("alice"), "mine").await;
        assert_eq!(
            check(&pool, &["notes"]).await.expect("an answer"),
            Vec::<String>::new()
        );
        // No rows and no error: in a connection that never had a person, and in one that had.
        assert_eq!(seen(&pool).await, 0);
        let mut tx = pool.begin().await.expect("a transaction");
        let all: i64 = sqlx::query_scalar("select count(*) from notes")
            .fetch_one(&mut *tx)
            .await
            .expect("a count");
        assert_eq!(all, 0);
        tx.rollback().await.expect("a rollback");
        for statement in ["update notes set body = 'taken'", "delete from notes"] {
            assert_eq!(
                sqlx::query(statement)
                    .execute(&pool)
                    .await
                    .expect("an answer")
                    .rows_affected(),
                0
            );
        }
        // Nobody owns what nobody writes.
        let nobody = sqlx::query("insert into notes (body) values ('x')")
            .execute(&pool)
            .await;
        assert!(nobody.is_err());
        // The role can neither leave the policies nor become the owner.
        for statement in [
            "alter table notes disable row level security",
            "alter table notes no force row level security",
            "drop policy own_notes on notes",
            "truncate notes",
        ] {
            assert!(
                sqlx::query(statement).execute(&pool).await.is_err(),
                "{statement}"
            );
        }
        // Who asks to see past the policies gets an error, not the rows.
        let mut connection = pool.acquire().await.expect("a connection");
        assert!(
            sqlx::query("set row_security = off")
                .execute(&mut *connection)
                .await
                .is_ok()
        );
        assert!(
            sqlx::query("select * from notes")
                .execute(&mut *connection)
                .await
                .is_err()
        );
    })
    .await;
}

#[tokio::test]
async fn a_pool_of_one_shows_the_next_person_nothing_of_the_last() {
    with_pool(1, async |_, pool| {
        write(&pool, &person("alice"), "alice's").await;
        write(&pool, &person("bob"), "bob's").await;
        for _ in 0..10 {
            assert_eq!(read(&pool, &person("alice")).await, ["alice's"]);
            assert_eq!(seen(&pool).await, 0);
            assert_eq!(read(&pool, &person("bob")).await, ["bob's"]);
            assert_eq!(read(&pool, &person("carol")).await, Vec::<String>::new());
        }
        // A setting that somebody's code made for the whole connection does not outlive the next transaction's own.
        let careless = "select set_config('app.current_user_id', 'alice', false), set_config('app.current_workspace_id', 'w1', false)";
        sqlx::query(careless).execute(&pool).await.expect("settings");
        assert_eq!(read(&pool, &person("bob")).await, ["bob's"]);
    })
    .await;
}

#[tokio::test]
async fn nobody_writes_for_somebody_else() {
    with_pool(2, async |_, pool| {
        write(&pool, &person("alice"), "alice's").await;
        let mut tx = begin(&pool, &person("bob")).await.expect("a transaction");
        let forged = sqlx::query("insert into notes (owner, body) values ('alice', 'forged')")
            .execute(&mut *tx)
            .await;
        let refusal = Refusal::from(forged.expect_err("a refusal"));
        assert_eq!(
            (refusal.status().as_u16(), refusal.kind()),
            (403, &Kind::RowDenied)
        );
        drop(tx);
        let mut tx = begin(&pool, &person("bob")).await.expect("a transaction");
        for statement in [
            "update notes set body = 'taken'",
            "delete from notes where owner = 'alice'",
        ] {
            assert_eq!(
                sqlx::query(statement)
                    .execute(&mut *tx)
                    .await
                    .expect("an answer")
                    .rows_affected(),
                0
            );
        }
        tx.commit().await.expect("a commit");
        assert_eq!(read(&pool, &person("alice")).await, ["alice's"]);
        // The workspace is read by those who work in it, and written by the note's owner only.
        let alice = RowContext::new("alice", Some("w1")).expect("ids");
        write(&pool, &alice, "for all").await;
        let bob = person("bob").in_workspace("w1").expect("ids");
        assert_eq!(read(&pool, &bob).await, ["for all"]);
        assert_eq!(
            read(&pool, &person("bob").in_workspace("w2").expect("ids")).await,
            Vec::<String>::new()
        );
        let mut tx = begin(&pool, &bob).await.expect("a transaction");
        assert_eq!(
            sqlx::query("update notes set body = 'x'")
                .execute(&mut *tx)
                .await
                .expect("an answer")
                .rows_affected(),
            0
        );
        let elsewhere = sqlx::query("insert into notes (workspace, body) values ('w2', 'x')")
            .execute(&mut *tx)
            .await;
        assert_eq!(
            Refusal::from(elsewhere.expect_err("a refusal")).kind(),
            &Kind::RowDenied
        );
    })
    .await;
}

#[tokio::test]
async fn hostile_ids_are_names_and_nothing_else() {
    with_pool(1, async |place, pool| {
        write(&pool, &person("alice"), "alice's").await;
        let ids = [
            "'; drop table notes; --",
            "alice'; set role postgres; select '",
            "' or '1'='1",
            "$1",
            "%",
            "_lice",
            "ALICE",
            "alice ",
            "\\",
            "\"",
            "áé\u{202e}",
        ];
        for id in ids {
            assert_eq!(read(&pool, &person(id)).await, Vec::<String>::new(), "{id}");
            write(&pool, &person(id), id).await;
            assert_eq!(read(&pool, &person(id)).await, [id]);
            assert_eq!(left(&pool).await, (None, None));
        }
        assert_eq!(read(&pool, &person("alice")).await, ["alice's"]);
        // Too long or with NUL: refused before the database hears of it (also tested beside the code). And the database itself takes
        // ten thousand characters as a name that nobody has.
        assert!(RowContext::new(&"x".repeat(10_000), None).is_err() && RowContext::new("a\0", None).is_err());
        let mut tx = pool.begin().await.expect("a transaction");
        sqlx::query("select set_config('app.current_user_id', $1, true)")
            .bind("x".repeat(10_000))
            .execute(&mut *tx)
            .await
            .expect("a setting");
        let all: i64 = sqlx::query_scalar("select count(*) from notes")
            .fetch_one(&mut *tx)
            .await
            .expect("a count");
        assert_eq!(all, 0);
        drop(tx);
        let all: i64 = sqlx::query_scalar("select count(*) from notes")
            .fetch_one(&place.owner)
            .await
            .expect("a count");
        assert_eq!(all, 12);
    })
    .await;
}

#[tokio::test]
async fn the_check_finds_what_makes_policies_useless() {
    with_pool(1, async |place, pool| {
        let as_owner = check(&place.owner, &["notes"]).await.expect("an answer");
        assert!(
            as_owner.iter().any(|problem| problem.contains("superuser")),
            "{as_owner:?}"
        );
        assert!(
            as_owner
                .iter()
                .any(|problem| problem.contains("let another role own it")),
            "{as_owner:?}"
        );
        let run = async |statement: &'static str| {
            let changed = sqlx::raw_sql(statement).execute(&place.owner).await;
            assert!(changed.is_ok(), "{statement}");
        };
        run("create table bare (id int)").await;
        let bare = check(&pool, &["bare", "missing", "notes"])
            .await
            .expect("an answer");
        for part in [
            "bare enable",
            "bare force",
            "bare has no policy",
            "no table missing",
        ] {
            assert!(
                bare.iter().any(|problem| problem.contains(part)),
                "{part}: {bare:?}"
            );
        }
        assert_eq!(bare.len(), 4, "{bare:?}");
        run("alter table notes no force row level security").await;
        assert_eq!(check(&pool, &["notes"]).await.expect("an answer").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn faults_of_the_database_are_never_401() {
    with_pool(1, async |place, pool| {
        let fault = async |statement: &'static str| {
            let error = sqlx::query(statement).execute(&pool).await.expect_err("an error");
            Refusal::from(error).status().as_u16()
        };
        assert_eq!(
            fault("select * from not_there").await,
            503,
            "a schema of another version"
        );
        assert_eq!(fault("select not_there from notes").await, 503);
        assert_eq!(fault("selec 1").await, 500);
        assert_eq!(fault("select 1 / 0").await, 500);
        assert_eq!(
            fault("create table mine (id int)").await,
            500,
            "a missing grant is not the caller's"
        );
        sqlx::raw_sql("set statement_timeout = 50")
            .execute(&pool)
            .await
            .expect("a setting");
        assert_eq!(fault("select pg_sleep(5)").await, 503);
        // Connections that the server cut, and a pool that is closed.
        let cut = format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = '{}'",
            place.role
        );
        let mut tx = pool.begin().await.expect("a transaction");
        sqlx::raw_sql(sqlx::AssertSqlSafe(cut))
            .execute(&place.owner)
            .await
            .expect("a cut");
        let error = sqlx::query("select 1")
            .execute(&mut *tx)
            .await
            .expect_err("an error");
        assert_eq!(Refusal::from(error).status().as_u16(), 503);
        drop(tx);
        assert_eq!(
            read(&pool, &person("alice")).await,
            Vec::<String>::new(),
            "the pool recovers"
        );
        pool.close().await;
        let closed = begin(&pool, &person("alice")).await.expect_err("an error");
        assert_eq!(Refusal::from(closed).status().as_u16(), 503);
    })
    .await;
    let nowhere = PgPool::connect_lazy("postgres://a:b@127.0.0.1:9/c").expect("a pool");
    let error = begin(&nowhere, &person("alice")).await.expect_err("an error");
    assert_eq!(Refusal::from(error).status().as_u16(), 503);
}

#[tokio::test]
async fn a_connection_that_is_in_a_transaction_already() {
    with_pool(1, async |_, pool| {
        let mut tx = pool.begin().await.expect("a transaction");
        enter(&mut tx, &person("alice")).await.expect("a context");
        sqlx::query("insert into notes (body) values ('a')")
            .execute(&mut *tx)
            .await
            .expect("a note");
        tx.commit().await.expect("a commit");
        // Outside a transaction it holds for no other statement.
        let mut connection = pool.acquire().await.expect("a connection");
        enter(&mut connection, &person("alice")).await.expect("a context");
        let all: i64 = sqlx::query_scalar("select count(*) from notes")
            .fetch_one(&mut *connection)
            .await
            .expect("a count");
        assert_eq!(all, 0);
    })
    .await;
}

#[tokio::test]
async fn the_same_on_tokio_postgres() {
    with_pool(1, async |place, pool| {
        write(&pool, &person("alice"), "alice's").await;
        let mut config: tokio_postgres::Config = place.database.url().parse().expect("an address");
        config.user(&place.role).password("notes");
        let (mut client, connection) = config.connect(tokio_postgres::NoTls).await.expect("a connection");
        let connection = tokio::spawn(connection);
        let tx = begin_tokio_postgres(&mut client, &person("alice"))
            .await
            .expect("a transaction");
        assert_eq!(
            tx.query("select body from notes", &[])
                .await
                .expect("notes")
                .len(),
            1
        );
        drop(tx);
        assert_eq!(
            client
                .query("select body from notes", &[])
                .await
                .expect("notes")
                .len(),
            0
        );
        let tx = begin_tokio_postgres(&mut client, &person("'; drop table notes; --"))
            .await
            .expect("a transaction");
        assert_eq!(
            tx.query("select body from notes", &[])
                .await
                .expect("notes")
                .len(),
            0
        );
        tx.commit().await.expect("a commit");
        assert_eq!(
            client
                .query("select body from notes", &[])
                .await
                .expect("notes")
                .len(),
            0
        );
        connection.abort();
    })
    .await;
}
