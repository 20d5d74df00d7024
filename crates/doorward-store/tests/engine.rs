//! The engine's promises, as stories on SQLite and, when `DOORWARD_TEST_POSTGRES` says where, on PostgreSQL.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use doorward_domain::{JobId, Lifetime, SessionId, Timestamp, UserId};
use doorward_store::testing::{
    POSTGRES, PostgresDatabase, each_engine, each_place, each_postgres, fresh_sqlite, postgres_url,
};
use doorward_store::{
    Change, Changes, Error, JobFilter, JobState, NewJob, OpenOptions, Pooler, Row, Store, count_queries,
    newest_version, sql, sql_built,
};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a statement in a transaction of its own.
async fn run(store: &Store, query: doorward_store::Query) -> Result<u64, Error> {
    let tx = store.begin().await?;
    let count = tx.run(query).await?;
    tx.commit().await?;
    Ok(count)
}

/// A table for the stories, in both engines' words.
async fn table(store: &Store, sqlite: &'static str, postgres: &'static str) {
    let text = if store.engine_name() == "sqlite" {
        sqlite
    } else {
        postgres
    };
    run(store, sql(text)).await.unwrap();
}

/// The PostgreSQL server for tests; says so when there is none.
fn server_for_tests() -> Option<String> {
    let server = postgres_url();
    if server.is_none() {
        eprintln!("skipped: {POSTGRES} is not set");
    }
    server
}

async fn number(store: &Store, query: doorward_store::Query) -> i64 {
    store.read().one(query).await.unwrap().get("n").unwrap()
}

// ---------------------------------------------------------------------------------------------- values and statements

const ALL_TYPES: (&str, &str) = (
    "CREATE TABLE kinds (id BLOB, n INTEGER, t TEXT, b INTEGER, y BLOB, j TEXT) STRICT",
    "CREATE TABLE kinds (id uuid, n bigint, t text, b boolean, y bytea, j jsonb)",
);
const INSERT_KINDS: &str = "INSERT INTO kinds(id, n, t, b, y, j) VALUES ($1, $2, $3, $4, $5, $6)";

#[tokio::test]
async fn every_type_comes_back_as_it_went_in() {
    each_engine(async |store| {
        table(&store, ALL_TYPES.0, ALL_TYPES.1).await;
        let id = UserId::mint(NOW, [7; 10]);
        let document = json!({ "a": [1, -2.5, null, "é\"\\", true], "b": { "c": {} }, "big": i64::MAX });
        for (number, text) in [
            (0, String::new()),
            (i64::MAX, "x".repeat(100_000)),
            (i64::MIN, "a'b\"c$1–\u{1f600}\n".into()),
        ] {
            run(&store, sql("DELETE FROM kinds")).await.unwrap();
            let insert = sql(INSERT_KINDS)
                .bind(id)
                .bind(number)
                .bind(&text)
                .bind(true)
                .bind([9u8; 32])
                .bind(&document);
            assert_eq!(run(&store, insert).await.unwrap(), 1);
            let row = store
                .read()
                .one(sql("SELECT id, n, t, b, y, j FROM kinds"))
                .await
                .unwrap();
            assert_eq!(row.get::<UserId>("id").unwrap(), id);
            assert_eq!(row.get::<Uuid>("id").unwrap(), id.uuid());
            assert_eq!(row.get::<i64>("n").unwrap(), number);
            assert_eq!(row.get::<Timestamp>("n").unwrap(), Timestamp::from_millis(number));
            assert_eq!(row.get::<String>("t").unwrap(), text);
            assert!(row.get::<bool>("b").unwrap());
            assert_eq!(row.get::<[u8; 32]>("y").unwrap(), [9; 32]);
            assert_eq!(row.get::<Vec<u8>>("y").unwrap(), vec![9; 32]);
            assert_eq!(row.get::<serde_json::Value>("j").unwrap(), document);
        }
    })
    .await;
}

#[tokio::test]
async fn a_null_of_every_type_is_stored_and_read_as_none() {
    each_engine(async |store| {
        table(&store, ALL_TYPES.0, ALL_TYPES.1).await;
        let insert = sql(INSERT_KINDS)
            .bind(None::<SessionId>)
            .bind(None::<Timestamp>)
            .bind(None::<&str>)
            .bind(None::<bool>)
            .bind(None::<Vec<u8>>)
            .bind(None::<serde_json::Value>);
        run(&store, insert).await.unwrap();
        let find = sql(
            "SELECT id, n, t, b, y, j FROM kinds WHERE ($1 IS NULL OR id = $1) AND ($2 IS NULL OR n > $2)",
        );
        let row = store
            .read()
            .one(find.bind(None::<Uuid>).bind(None::<i64>))
            .await
            .unwrap();
        assert_eq!(row.get::<Option<SessionId>>("id").unwrap(), None);
        assert_eq!(row.get::<Option<u32>>("n").unwrap(), None);
        assert_eq!(row.get::<Option<String>>("t").unwrap(), None);
        assert_eq!(row.get::<Option<bool>>("b").unwrap(), None);
        assert_eq!(row.get::<Option<[u8; 32]>>("y").unwrap(), None);
        assert_eq!(row.get::<Option<serde_json::Value>>("j").unwrap(), None);
        let error = row.get::<String>("t").unwrap_err();
        assert_eq!(error, Error::corrupt("kinds", "t", "expected text, found NULL"));
    })
    .await;
}

#[tokio::test]
async fn placeholders_may_stand_in_any_order_and_repeat() {
    each_engine(async |store| {
        let text = "SELECT CAST($3 AS bigint) AS c, CAST($1 AS bigint) AS a, CAST($1 AS bigint) + CAST($2 AS bigint) AS ab";
        let row = store.read().one(sql(text).bind(1i64).bind(20i64).bind(300i64)).await.unwrap();
        assert_eq!([row.get::<i64>("c"), row.get("a"), row.get("ab")], [Ok(300), Ok(1), Ok(21)]);
    })
    .await;
}

#[tokio::test]
async fn a_statement_with_a_value_too_few_is_refused() {
    each_engine(async |store| {
        let error = store
            .read()
            .all(sql("SELECT CAST($1 AS bigint) AS a, CAST($2 AS bigint) AS b").bind(1i64))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Engine(_)), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_list_matches_its_items_and_an_empty_one_nothing() {
    each_engine(async |store| {
        table(&store, ALL_TYPES.0, ALL_TYPES.1).await;
        let ids: Vec<UserId> = (0..5).map(|n| UserId::mint(NOW, [n; 10])).collect();
        for (n, id) in (0i64..).zip(&ids) {
            let insert = sql("INSERT INTO kinds(id, n, t, y) VALUES ($1, $2, $3, $4)");
            run(
                &store,
                insert.bind(id).bind(n).bind(format!("t'{n}")).bind([n as u8; 3]),
            )
            .await
            .unwrap();
        }
        let numbers = async |query| -> Vec<i64> {
            let rows: Vec<Row> = store.read().all(query).await.unwrap();
            rows.iter().map(|row| row.get("n").unwrap()).collect()
        };
        let by_id = "SELECT n FROM kinds WHERE n >= $1 AND id IN $2 ORDER BY n";
        assert_eq!(
            numbers(sql(by_id).bind(0i64).bind_list([ids[1], ids[3]])).await,
            [1, 3]
        );
        assert_eq!(
            numbers(sql(by_id).bind(0i64).bind_list(Vec::<UserId>::new())).await,
            [0i64; 0]
        );
        let by_text = "SELECT n FROM kinds WHERE t IN $1 ORDER BY n";
        assert_eq!(numbers(sql(by_text).bind_list(["t'0", "t'4", "x"])).await, [0, 4]);
        assert_eq!(
            numbers(sql("SELECT n FROM kinds WHERE n IN $1 ORDER BY n").bind_list([2i64, 9])).await,
            [2]
        );
        assert_eq!(
            numbers(sql("SELECT n FROM kinds WHERE y IN $1").bind_list([[2u8; 3]])).await,
            [2]
        );
        let others = "SELECT n FROM kinds WHERE id NOT IN $1 AND n < $2 ORDER BY n";
        assert_eq!(numbers(sql(others).bind_list(&ids[..2]).bind(4i64)).await, [2, 3]);
        let none_excluded = sql(others).bind_list(Vec::<Uuid>::new()).bind(2i64);
        assert_eq!(numbers(none_excluded).await, [0, 1]);
        let built = sql_built("SELECT n FROM kinds WHERE 1 = 1".into())
            .push(" AND id IN $1")
            .bind_list(ids);
        assert_eq!(numbers(built).await.len(), 5);
    })
    .await;
}

#[tokio::test]
async fn what_one_engine_cannot_store_neither_does() {
    each_engine(async |store| {
        let put = |value: &str| {
            sql("INSERT INTO instance(key, value) VALUES ($1, $2)")
                .bind("k")
                .bind(value)
        };
        let error = run(&store, put("a\0b")).await.unwrap_err();
        assert!(matches!(error, Error::Unstorable { position: 2, .. }), "{error}");
        assert_eq!(store.read().find_instance("k").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn text_sorts_by_bytes_on_both_engines() {
    each_engine(async |store| {
        let tx = store.begin().await.unwrap();
        for key in ["b", "B", "a", "é", "Z", "_"] {
            tx.put_instance(key, "").await.unwrap();
        }
        tx.commit().await.unwrap();
        let rows = store
            .read()
            .scan(sql("SELECT key FROM instance ORDER BY key"))
            .await
            .unwrap();
        let keys: Vec<String> = rows.iter().map(|row| row.get("key").unwrap()).collect();
        assert_eq!(keys, ["B", "Z", "_", "a", "b", "é"]);
    })
    .await;
}

#[tokio::test]
async fn a_conflict_names_its_key_alike_on_both_engines() {
    each_engine(async |store| {
        table(
            &store,
            "CREATE TABLE things (id INTEGER NOT NULL PRIMARY KEY, a TEXT, b TEXT, owner INTEGER REFERENCES things(id)) STRICT",
            "CREATE TABLE things (id bigint NOT NULL PRIMARY KEY, a text, b text, owner bigint REFERENCES things(id))",
        )
        .await;
        run(&store, sql("CREATE UNIQUE INDEX things_a_key ON things(a) WHERE b IS NULL")).await.unwrap();
        run(&store, sql("CREATE UNIQUE INDEX things_a_b_key ON things(a, b)")).await.unwrap();
        run(&store, sql("CREATE UNIQUE INDEX things_lower_key ON things(lower(b))")).await.unwrap();
        let insert = |id: i64, a: &str, b: Option<&str>, owner: Option<i64>| {
            sql("INSERT INTO things(id, a, b, owner) VALUES ($1, $2, $3, $4)").bind(id).bind(a).bind(b).bind(owner)
        };
        run(&store, insert(1, "x", None, None)).await.unwrap();
        run(&store, insert(2, "y", Some("z"), None)).await.unwrap();
        for (query, key) in [
            (insert(1, "new", None, None), "pkey"),
            (insert(3, "x", None, None), "a_key"),
            (insert(3, "new", Some("Z"), None), "lower_key"),
        ] {
            let error = run(&store, query).await.unwrap_err();
            assert!(error.is_conflict_on("things", key), "{error}");
            assert!(!error.is_conflict_on("things", "b_key") && !error.is_conflict_on("thing", key), "{error}");
        }
        let error = run(&store, sql("INSERT INTO things(id, a, b) SELECT 3, a, b FROM things WHERE id = 2")).await.unwrap_err();
        assert!(error.is_conflict_on("things", "a_b_key") || error.is_conflict_on("things", "lower_key"), "{error}");
        let error = run(&store, insert(4, "w", None, Some(99))).await.unwrap_err();
        assert!(matches!(error, Error::Reference { .. }), "{error}");
        assert_eq!(number(&store, sql("SELECT count(*) AS n FROM things")).await, 2);
    })
    .await;
}

#[tokio::test]
async fn statements_are_counted_for_a_task_and_for_the_store() {
    each_engine(async |store| {
        let before = store.queries();
        let ((), count) = count_queries(async {
            store.read().find_instance("a").await.unwrap();
            let tx = store.begin().await.unwrap();
            tx.put_instance("a", "b").await.unwrap();
            tx.find_instance("a").await.unwrap();
            tx.commit().await.unwrap();
        })
        .await;
        store.read().find_instance("a").await.unwrap();
        assert_eq!((count, store.queries() - before), (3, 4));
    })
    .await;
}

// ------------------------------------------------------------------------------------------------------- transactions

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing() {
    each_engine(async |store| {
        let tx = store.begin().await.unwrap();
        tx.put_instance("a", "1").await.unwrap();
        assert_eq!(
            tx.find_instance("a").await.unwrap().as_deref(),
            Some("1"),
            "a transaction sees its own writes"
        );
        assert_eq!(
            store.read().find_instance("a").await.unwrap(),
            None,
            "others do not"
        );
        drop(tx);
        let tx = store.begin().await.unwrap();
        assert_eq!(tx.find_instance("a").await.unwrap(), None);
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_failed_statement_fails_the_whole_transaction() {
    each_engine(async |store| {
        let tx = store.begin().await.unwrap();
        tx.put_instance("a", "1").await.unwrap();
        let again = sql("INSERT INTO instance(key, value) VALUES ('a', '2')");
        assert!(
            tx.run(again)
                .await
                .unwrap_err()
                .is_conflict_on("instance", "pkey")
        );
        assert!(tx.put_instance("b", "1").await.is_err());
        assert!(tx.find_instance("a").await.is_err());
        assert!(tx.commit().await.is_err());
        assert_eq!(store.read().find_instance("a").await.unwrap(), None);
        run(&store, sql("INSERT INTO instance(key, value) VALUES ('a', '3')"))
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_one_of_fifty_parallel_tasks_claims_a_single_use_row() {
    each_engine(async |store| {
        for round in 0..5 {
            let key = format!("code{round}");
            run(
                &store,
                sql("INSERT INTO instance(key, value) VALUES ($1, 'fresh')").bind(&key),
            )
            .await
            .unwrap();
            let claims: Vec<_> = (0..50)
                .map(|n| {
                    let (store, key) = (store.clone(), key.clone());
                    tokio::spawn(async move {
                        let tx = store.begin().await.unwrap();
                        let claim = sql(
                            "UPDATE instance SET value = $1 WHERE key = $2 AND value = 'fresh' RETURNING key",
                        );
                        let won = tx
                            .returning(claim.bind(format!("used by {n}")).bind(key))
                            .await
                            .unwrap()
                            .is_some();
                        tx.commit().await.unwrap();
                        won
                    })
                })
                .collect();
            let mut won = 0;
            for claim in claims {
                won += u32::from(claim.await.unwrap());
            }
            assert_eq!(won, 1);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counters_have_no_gaps_and_latches_latch_once_under_contention() {
    each_engine(async |store| {
        let tasks: Vec<_> = (0..40)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let tx = store.begin().await.unwrap();
                    let number = tx.next_number("user").await.unwrap();
                    if n % 4 == 0 {
                        return (None, false);
                    }
                    let first = tx.put_instance_once("latch", &n.to_string()).await.unwrap();
                    tx.commit().await.unwrap();
                    (Some(number), first)
                })
            })
            .collect();
        let mut numbers = BTreeSet::new();
        let mut latched = 0;
        for task in tasks {
            let (number, first) = task.await.unwrap();
            numbers.extend(number);
            latched += u32::from(first);
        }
        assert_eq!(numbers, (1..=30).collect(), "rolled-back numbers are given again");
        assert_eq!(latched, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transactions_that_deadlock_are_run_again() {
    each_engine(async |store| {
        let tx = store.begin().await.unwrap();
        tx.put_instance("a", "0").await.unwrap();
        tx.put_instance("b", "0").await.unwrap();
        tx.commit().await.unwrap();
        let cross = |first: &'static str, second: &'static str| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    store
                        .retry::<_, Error, _>(|tx| {
                            Box::pin(async move {
                                for key in [first, second] {
                                    let add = "UPDATE instance SET value = CAST(CAST(value AS integer) + 1 AS text) WHERE key = $1";
                                    tx.run(sql(add).bind(key)).await?;
                                    tokio::time::sleep(Duration::from_millis(5)).await;
                                }
                                Ok(())
                            })
                        })
                        .await
                        .unwrap();
                }
            })
        };
        let (one, two) = (cross("a", "b"), cross("b", "a"));
        one.await.unwrap();
        two.await.unwrap();
        for key in ["a", "b"] {
            assert_eq!(store.read().find_instance(key).await.unwrap().as_deref(), Some("20"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_give_up_at_any_moment_leave_no_transaction_open() {
    each_engine(async |store| {
        for round in 0..40u64 {
            let tasks: Vec<_> = (0..10u64)
                .map(|n| {
                    let store = store.clone();
                    let work = async move {
                        let tx = store.begin().await.unwrap();
                        tx.next_number("given up").await.unwrap();
                        tx.put_instance(&format!("{round}-{n}"), "").await.unwrap();
                        tx.commit().await.unwrap();
                    };
                    tokio::spawn(tokio::time::timeout(Duration::from_micros(round * 97 + n * 331), work))
                })
                .collect();
            for task in tasks {
                let _ = task.await.unwrap();
            }
        }
        // Each number was given exactly once, or rolled back together with its row.
        let settled = async {
            let count = "SELECT (SELECT count(*) FROM instance) - (SELECT coalesce(sum(value), 0) FROM counters WHERE name = 'given up') AS n";
            let count = if store.engine_name() == "sqlite" {
                count.to_owned()
            } else {
                format!("SELECT CAST(n AS bigint) AS n FROM ({count}) AS c")
            };
            number(&store, sql_built(count)).await
        };
        assert_eq!(settled.await, 0);
        tokio::time::timeout(PATIENCE, run(&store, sql("DELETE FROM instance"))).await.expect("nobody holds a lock").unwrap();
        if store.engine_name() == "postgres" {
            let open = "SELECT count(*) AS n FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
            while number(&store, sql(open)).await > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    })
    .await;
}

// ------------------------------------------------------------------------------------------------------- group commit

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn members_of_a_batch_that_roll_back_or_fail_do_not_harm_the_others() {
    each_engine(async |store| {
        let tasks: Vec<_> = (0..300u32)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let tx = store.begin().await.unwrap();
                    tx.put_instance(&format!("k{n}"), "v").await.unwrap();
                    match n % 3 {
                        0 => tx.commit().await.unwrap(),
                        1 => drop(tx),
                        _ => {
                            let twice =
                                sql("INSERT INTO instance(key, value) VALUES ($1, '')").bind(format!("k{n}"));
                            tx.run(twice).await.unwrap_err();
                            tx.commit().await.unwrap_err();
                        }
                    }
                    // What was acknowledged is there at once, what was not is not.
                    let there = store
                        .read()
                        .find_instance(&format!("k{n}"))
                        .await
                        .unwrap()
                        .is_some();
                    assert_eq!(there, n % 3 == 0);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(
            number(&store, sql("SELECT count(*) AS n FROM instance")).await,
            100
        );
    })
    .await;
}

/// A batch of ten in which one member brings the physical commit down; tells how many commits failed.
async fn failing_batch(store: &Store, round: i64) -> usize {
    let holder = store.begin().await.unwrap();
    let members: Vec<_> = (0..10)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let tx = store.begin().await.unwrap();
                tx.put_instance(&format!("{round}-{n}"), "").await.unwrap();
                if n == 4 {
                    tx.run(sql("INSERT INTO late(id, other) VALUES ($1, -1)").bind(round))
                        .await
                        .unwrap();
                }
                (n, tx.commit().await)
            })
        })
        .collect();
    // All of them queue for the writer before the first one gets it.
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(holder);
    let mut failed = 0;
    for member in members {
        let (n, outcome) = member.await.unwrap();
        let there = store
            .read()
            .find_instance(&format!("{round}-{n}"))
            .await
            .unwrap()
            .is_some();
        assert_eq!(there, outcome.is_ok(), "acknowledged and there, or neither");
        failed += usize::from(outcome.is_err());
        assert!(n != 4 || !there);
    }
    failed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failed_physical_commit_fails_every_member_and_leaves_nothing() {
    let (_folder, store) = fresh_sqlite().await;
    // What migrations must not have: a constraint that is checked at the physical commit only.
    let table = "CREATE TABLE late (id INTEGER PRIMARY KEY, other INTEGER REFERENCES late(id) DEFERRABLE INITIALLY DEFERRED)";
    run(&store, sql(table)).await.unwrap();
    // How many share a batch is up to the scheduler; in some round more than one does.
    let mut most = 0;
    for round in 0..50 {
        most = most.max(failing_batch(&store, round).await);
        if most > 1 {
            break;
        }
    }
    assert!(most > 1, "members shared a commit and failed together");
    assert_eq!(number(&store, sql("SELECT count(*) AS n FROM late")).await, 0);
    run(
        &store,
        sql("INSERT INTO instance(key, value) VALUES ('after', '')"),
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_that_give_up_waiting_do_not_stall_a_batch() {
    let (_folder, store) = fresh_sqlite().await;
    for round in 0..50 {
        let holder = store.begin().await.unwrap();
        holder.put_instance(&format!("k{round}"), "").await.unwrap();
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.begin().await.map(drop) })
            })
            .collect();
        tokio::task::yield_now().await;
        for task in &waiting {
            task.abort();
        }
        tokio::time::timeout(PATIENCE, holder.commit())
            .await
            .expect("the commit is answered")
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_fails_who_waits_for_it_and_heals() {
    let (_folder, store) = fresh_sqlite().await;
    run(
        &store,
        sql("CREATE TABLE heap (n INTEGER PRIMARY KEY, bytes BLOB)"),
    )
    .await
    .unwrap();
    let pages: i64 = store
        .read()
        .one(sql("PRAGMA page_count"))
        .await
        .unwrap()
        .get("page_count")
        .unwrap();
    let tx = store.begin().await.unwrap();
    tx.first(sql_built(format!("PRAGMA max_page_count = {}", pages + 50)))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let tasks: Vec<_> = (0..40i64)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                run(
                    &store,
                    sql("INSERT INTO heap(n, bytes) VALUES ($1, $2)")
                        .bind(n)
                        .bind(vec![1u8; 20_000]),
                )
                .await
            })
        })
        .collect();
    let mut stored = 0;
    let mut refused = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => stored += 1,
            Err(error) => {
                assert!(error.is_unavailable(), "{error}");
                refused += 1;
            }
        }
    }
    assert!(stored > 0 && refused > 0, "{stored} stored, {refused} refused");
    assert_eq!(
        number(&store, sql("SELECT count(*) AS n FROM heap")).await,
        stored
    );
    let tx = store.begin().await.unwrap();
    tx.first(sql("PRAGMA max_page_count = 1000000")).await.unwrap();
    tx.commit().await.unwrap();
    run(
        &store,
        sql("INSERT INTO heap(n, bytes) VALUES (100, $1)").bind(vec![1u8; 20_000]),
    )
    .await
    .unwrap();
}

// ---------------------------------------------------------------------------------------------------- other processes

/// Starts this test binary as another process that runs `child_process` with an order.
fn child(order: &str, path: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "child_process",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("DOORWARD_CHILD_ORDER", order)
        .env("DOORWARD_CHILD_FILE", path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other process of other tests"]
async fn child_process() {
    #[expect(
        clippy::disallowed_methods,
        reason = "how the parent tells its child what to do"
    )]
    let (Ok(order), Ok(path)) = (
        std::env::var("DOORWARD_CHILD_ORDER"),
        std::env::var("DOORWARD_CHILD_FILE"),
    ) else {
        return;
    };
    let store = Store::open(OpenOptions::sqlite(path)).await.unwrap();
    match order.as_str() {
        "commit for ever" => {
            let tasks: Vec<_> = (0..8)
                .map(|worker| {
                    let store = store.clone();
                    tokio::spawn(async move {
                        for n in 0u32.. {
                            let key = format!("{worker}-{n}");
                            let tx = store.begin().await.unwrap();
                            tx.put_instance(&key, "committed").await.unwrap();
                            tx.commit().await.unwrap();
                            println!("acknowledged {key}");
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
        "count" => {
            println!("ready");
            for _ in 0..100 {
                let tx = store.begin().await.unwrap();
                tx.next_number("shared").await.unwrap();
                tx.commit().await.unwrap();
            }
        }
        "change" => {
            let tx = store.begin().await.unwrap();
            tx.changed("session", "from another process", NOW);
            tx.enqueue(job(1, "mail")).await.unwrap();
            tx.commit().await.unwrap();
        }
        other => panic!("unknown order {other}"),
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_during_commits() {
    for round in 0..5u64 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doorward.db");
        let mut writer = child("commit for ever", &path);
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let mut acknowledged = Vec::new();
        for line in lines {
            let Ok(line) = line else { break };
            // The first line may stand behind the test harness's own words.
            if let Some((_, key)) = line.split_once("acknowledged ") {
                acknowledged.push(key.to_owned());
            }
            if acknowledged.len() as u64 == 40 + round * 37 {
                writer.kill().unwrap();
            }
        }
        writer.wait().unwrap();
        assert!(acknowledged.len() >= 40);
        let store = Store::open(OpenOptions::sqlite(&path)).await.unwrap();
        for key in &acknowledged {
            assert!(
                store.read().find_instance(key).await.unwrap().is_some(),
                "{key} is lost"
            );
        }
        let check = store.read().scan(sql("PRAGMA integrity_check")).await.unwrap();
        assert_eq!(check[0].get::<String>("integrity_check").unwrap(), "ok");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_write_one_sqlite_file() {
    let (folder, store) = fresh_sqlite().await;
    let mut other = child("count", &folder.path().join("doorward.db"));
    let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
    while !lines
        .next()
        .expect("the other process starts")
        .unwrap()
        .contains("ready")
    {}
    for _ in 0..100 {
        let tx = store.begin().await.unwrap();
        tx.next_number("shared").await.unwrap();
        tx.commit().await.unwrap();
    }
    for _ in lines {}
    assert!(other.wait().unwrap().success());
    assert_eq!(
        number(
            &store,
            sql("SELECT value AS n FROM counters WHERE name = 'shared'")
        )
        .await,
        200
    );
}

// -------------------------------------------------------------------------------------------------------- change feed

async fn next(changes: &mut Changes) -> Vec<(String, String)> {
    let found = tokio::time::timeout(PATIENCE, changes.next())
        .await
        .expect("a change comes");
    found
        .into_iter()
        .map(|change| match change {
            Change::Changed { topic, subject, .. } => (topic, subject),
            Change::Resync => ("resync".to_owned(), String::new()),
        })
        .collect()
}

fn pair(topic: &str, subject: &str) -> (String, String) {
    (topic.to_owned(), subject.to_owned())
}

async fn change(store: &Store, topic: &str, subject: &str) {
    let tx = store.begin().await.unwrap();
    tx.changed(topic, subject, NOW);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn the_feed_tells_committed_changes_in_order_from_where_it_starts() {
    each_engine(async |store| {
        change(&store, "before", "1").await;
        let mut changes = store.watch().await;
        let dropped = store.begin().await.unwrap();
        dropped.changed("user", "dropped", NOW);
        drop(dropped);
        let tx = store.begin().await.unwrap();
        for subject in ["1", "2", "1"] {
            tx.changed("user", subject, NOW);
        }
        tx.commit().await.unwrap();
        change(&store, "session", "3").await;
        let mut heard = next(&mut changes).await;
        while heard.len() < 3 {
            heard.extend(next(&mut changes).await);
        }
        assert_eq!(
            heard,
            [pair("user", "1"), pair("user", "2"), pair("session", "3")]
        );
        let silence = tokio::time::timeout(Duration::from_millis(200), changes.next()).await;
        assert!(silence.is_err(), "nothing more");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_feed_has_no_gaps_under_parallel_writers() {
    each_engine(async |store| {
        let mut changes = store.watch().await;
        let writers: Vec<_> = (0..8)
            .map(|worker| {
                let store = store.clone();
                tokio::spawn(async move {
                    for n in 0..20 {
                        let tx = store.begin().await.unwrap();
                        tx.changed("user", &format!("{worker}-{n}"), NOW);
                        if n % 5 == 4 {
                            drop(tx);
                        } else {
                            tx.commit().await.unwrap();
                        }
                    }
                })
            })
            .collect();
        let mut last = None;
        let mut heard = BTreeSet::new();
        while heard.len() < 8 * 16 {
            for change in tokio::time::timeout(PATIENCE, changes.next())
                .await
                .expect("a change comes")
            {
                let Change::Changed { seq, subject, .. } = change else {
                    panic!("a gap after {last:?}")
                };
                assert!(
                    last.is_none_or(|last: i64| seq == last + 1),
                    "{seq} after {last:?}"
                );
                last = Some(seq);
                heard.insert(subject);
            }
        }
        for writer in writers {
            writer.await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_reader_behind_a_trimmed_feed_is_told_to_load_everything_afresh() {
    each_engine(async |store| {
        let mut changes = store.watch().await;
        change(&store, "user", "1").await;
        change(&store, "user", "2").await;
        let tx = store.begin().await.unwrap();
        assert_eq!(tx.forget_changes(NOW).await.unwrap(), 0);
        assert_eq!(
            tx.forget_changes(NOW.plus(Lifetime::from_seconds(1)))
                .await
                .unwrap(),
            2
        );
        tx.commit().await.unwrap();
        assert_eq!(next(&mut changes).await, [pair("resync", "")]);
        change(&store, "user", "3").await;
        assert_eq!(next(&mut changes).await, [pair("user", "3")]);
    })
    .await;
}

#[tokio::test]
async fn changes_and_jobs_of_another_process_are_heard() {
    let (folder, store) = fresh_sqlite().await;
    let mut changes = store.watch().await;
    let mut jobs = store.job_wake();
    let mut other = child("change", &folder.path().join("doorward.db"));
    assert_eq!(
        next(&mut changes).await,
        [pair("session", "from another process")]
    );
    tokio::time::timeout(PATIENCE, jobs.woken())
        .await
        .expect("the job is heard");
    assert_eq!(store.read().next_job_at().await.unwrap(), Some(NOW));
    assert!(other.wait().unwrap().success());
}

#[tokio::test]
async fn a_replica_hears_changes_and_jobs_directly_and_behind_a_pooler() {
    each_postgres(&async |options: OpenOptions| {
        for (n, pooler) in [(1, Pooler::Direct), (2, Pooler::Transaction)] {
            let writer = Store::open(options.clone()).await.unwrap();
            let replica = Store::open(options.clone().with_pooler(pooler)).await.unwrap();
            let mut changes = replica.watch().await;
            let mut jobs = replica.job_wake();
            for round in 0..3 {
                change(&writer, "user", &round.to_string()).await;
                assert_eq!(next(&mut changes).await, [pair("user", &round.to_string())]);
            }
            let tx = writer.begin().await.unwrap();
            tx.enqueue(job(n, "mail")).await.unwrap();
            tx.commit().await.unwrap();
            tokio::time::timeout(PATIENCE, jobs.woken())
                .await
                .expect("the job is heard");
        }
    })
    .await;
}

#[tokio::test]
async fn an_idle_store_runs_no_statement() {
    each_engine(async |store| {
        let mut changes = store.watch().await;
        let mut jobs = store.job_wake();
        // The start of the pulse wakes everybody once or twice.
        let settle = async {
            loop {
                tokio::select! {
                    _ = changes.next() => {}
                    () = jobs.woken() => {}
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(2500), settle).await;
        let before = store.queries();
        let heard = tokio::time::timeout(Duration::from_secs(3), changes.next()).await;
        assert!(heard.is_err());
        // Asking for the next change looks once by itself.
        assert_eq!(store.queries() - before, 1);
    })
    .await;
}

// --------------------------------------------------------------------------------------------------------------- jobs

fn job(n: u8, kind: &str) -> NewJob {
    NewJob {
        id: JobId::mint(NOW, [n; 10]),
        kind: kind.to_owned(),
        unique_key: None,
        payload: json!({ "n": n }),
        run_at: NOW,
        max_attempts: 3,
        created_at: NOW,
    }
}

const LEASE: Lifetime = Lifetime::from_seconds(60);

fn later(seconds: u32) -> Timestamp {
    NOW.plus(Lifetime::from_seconds(seconds))
}

async fn enqueue(store: &Store, job: NewJob) -> bool {
    let tx = store.begin().await.unwrap();
    let added = tx.enqueue(job).await.unwrap();
    tx.commit().await.unwrap();
    added
}

async fn take(store: &Store, worker: &str, now: Timestamp) -> Option<doorward_store::Job> {
    let tx = store.begin().await.unwrap();
    let job = tx
        .take_job(worker, &["mail", "webhook"], LEASE, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    job
}

#[tokio::test]
async fn a_job_goes_its_way_from_the_queue_to_done() {
    each_engine(async |store| {
        assert_eq!(store.read().next_job_at().await.unwrap(), None);
        let mut wake = store.job_wake();
        assert!(
            enqueue(
                &store,
                NewJob {
                    run_at: later(10),
                    ..job(1, "mail")
                }
            )
            .await
        );
        tokio::time::timeout(PATIENCE, wake.woken())
            .await
            .expect("the worker is woken");
        assert!(enqueue(&store, job(2, "another kind")).await);
        assert_eq!(take(&store, "a", later(9)).await, None, "not before its time");
        let taken = take(&store, "a", later(10)).await.expect("it is due");
        assert_eq!(
            (taken.id, taken.attempt, taken.payload.clone()),
            (job(1, "").id, 1, json!({ "n": 1 }))
        );
        assert_eq!(take(&store, "b", later(11)).await, None, "somebody has it");
        let tx = store.begin().await.unwrap();
        tx.retry_job(&taken, "mail server away\0", later(30))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(take(&store, "b", later(29)).await, None);
        let taken = take(&store, "b", later(30)).await.expect("it is due again");
        assert_eq!((taken.attempt, taken.is_last_attempt()), (2, false));
        let tx = store.begin().await.unwrap();
        tx.finish_job(&taken, later(31)).await.unwrap();
        assert_eq!(tx.finish_job(&taken, later(31)).await, Err(Error::Stale));
        tx.commit().await.unwrap();
        let record = store
            .read()
            .find_job(taken.id)
            .await
            .unwrap()
            .expect("it is kept");
        assert_eq!(
            (record.state(), record.last_error.as_deref()),
            (JobState::Done, Some("mail server away"))
        );
        let list = async |filter: JobFilter| store.read().list_jobs(&filter).await.unwrap().len();
        assert_eq!(list(JobFilter::default()).await, 2);
        assert_eq!(
            list(JobFilter {
                state: Some(JobState::Open),
                ..JobFilter::default()
            })
            .await,
            1
        );
        assert_eq!(
            list(JobFilter {
                kind: Some("mail".into()),
                limit: 5,
                ..JobFilter::default()
            })
            .await,
            1
        );
        assert_eq!(
            list(JobFilter {
                before: Some(job(2, "").id),
                ..JobFilter::default()
            })
            .await,
            1
        );
        let tx = store.begin().await.unwrap();
        assert_eq!(tx.forget_jobs(later(31)).await.unwrap(), 0);
        assert_eq!(tx.forget_jobs(later(32)).await.unwrap(), 1);
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_lost_lease_gives_the_job_to_another_worker_and_fences_the_first() {
    each_engine(async |store| {
        enqueue(&store, job(1, "mail")).await;
        let first = take(&store, "a", NOW).await.unwrap();
        assert_eq!(store.read().next_job_at().await.unwrap(), Some(later(60)));
        assert_eq!(take(&store, "b", later(59)).await, None);
        let second = take(&store, "b", later(60)).await.expect("the lease is over");
        let tx = store.begin().await.unwrap();
        assert_eq!(tx.finish_job(&first, later(61)).await, Err(Error::Stale));
        assert_eq!(tx.retry_job(&first, "x", later(61)).await, Err(Error::Stale));
        assert_eq!(tx.bury_job(&first, "x", later(61)).await, Err(Error::Stale));
        tx.commit().await.unwrap();
        // The same worker again is another attempt, and fenced alike.
        let third = take(&store, "b", later(120)).await.unwrap();
        let tx = store.begin().await.unwrap();
        assert_eq!(tx.finish_job(&second, later(121)).await, Err(Error::Stale));
        tx.commit().await.unwrap();
        assert!(third.is_last_attempt());
        assert_eq!(
            take(&store, "c", later(500)).await,
            None,
            "buried: no attempt is left"
        );
        let record = store.read().find_job(third.id).await.unwrap().unwrap();
        assert_eq!(record.state(), JobState::Dead);
        assert!(record.last_error.unwrap().contains("disappeared"));
        let tx = store.begin().await.unwrap();
        assert!(tx.revive_job(third.id, later(600)).await.unwrap());
        assert!(!tx.revive_job(third.id, later(600)).await.unwrap());
        tx.commit().await.unwrap();
        let revived = take(&store, "c", later(600)).await.unwrap();
        assert_eq!(revived.attempt, 1);
        let tx = store.begin().await.unwrap();
        tx.bury_job(&revived, &"x".repeat(10_000), later(601))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let record = store.read().find_job(third.id).await.unwrap().unwrap();
        assert_eq!(
            (record.state(), record.last_error.unwrap().len()),
            (JobState::Dead, 2000)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_natural_key_is_enqueued_once_and_every_job_is_claimed_once_under_contention() {
    each_engine(async |store| {
        let tasks: Vec<_> = (0..40u8)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    enqueue(
                        &store,
                        NewJob {
                            unique_key: Some(format!("purge:{}", n % 20)),
                            ..job(n, "mail")
                        },
                    )
                    .await
                })
            })
            .collect();
        let mut added = 0;
        for task in tasks {
            added += u32::from(task.await.unwrap());
        }
        assert_eq!(added, 20);
        let workers: Vec<_> = (0..8)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut taken = Vec::new();
                    while let Some(job) = take(&store, &format!("worker {n}"), NOW).await {
                        taken.push(job.id);
                    }
                    taken
                })
            })
            .collect();
        let mut taken = Vec::new();
        for worker in workers {
            taken.extend(worker.await.unwrap());
        }
        assert_eq!(taken.len(), 20);
        assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 20);
    })
    .await;
}

// ------------------------------------------------------------------------------------------------ opening, migrating

#[tokio::test]
async fn a_schema_newer_than_the_program_is_refused_and_nothing_is_touched() {
    each_place(async |options| {
        let store = Store::open(options.clone()).await.unwrap();
        let newer = sql(
            "INSERT INTO schema_migrations(version, name, checksum, applied_at) VALUES ($1, 'x', 'y', 0)",
        );
        run(&store, newer.bind(newest_version() + 5)).await.unwrap();
        store.close().await;
        drop(store);
        let before = options.sqlite_path().map(|path| std::fs::read(path).unwrap());
        let error = Store::open(options.clone()).await.err().expect("refused");
        assert_eq!(
            error,
            Error::TooNew {
                database: newest_version() + 5,
                program: newest_version()
            }
        );
        assert_eq!(
            options.sqlite_path().map(|path| std::fs::read(path).unwrap()),
            before
        );
    })
    .await;
}

/// Tables, columns with their type word and nullability, and indexes, as lines.
async fn schema(store: &Store) -> BTreeSet<String> {
    let (columns, indexes) = if store.engine_name() == "sqlite" {
        (
            "SELECT t.name AS tab, c.name AS col, c.type AS kind, c.\"notnull\" AS needed
             FROM sqlite_schema AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'",
            "SELECT name AS n, tbl_name AS tab, sql LIKE 'CREATE UNIQUE%' AS uniq, sql LIKE '% WHERE %' AS part
             FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL",
        )
    } else {
        (
            "SELECT table_name::text AS tab, column_name::text AS col, data_type::text AS kind,
                is_nullable = 'NO' AS needed FROM information_schema.columns WHERE table_schema = 'public'",
            "SELECT c.relname::text AS n, t.relname::text AS tab, i.indisunique AS uniq, i.indpred IS NOT NULL AS part
             FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_class AS t ON t.oid = i.indrelid
             JOIN pg_namespace AS s ON s.oid = c.relnamespace WHERE s.nspname = 'public' AND NOT i.indisprimary",
        )
    };
    let mut lines = BTreeSet::new();
    for row in store.read().scan(sql(columns)).await.unwrap() {
        let kind = match row.get::<String>("kind").unwrap().as_str() {
            "BLOB" | "uuid" | "bytea" => "bytes or id",
            "TEXT" | "text" | "jsonb" => "text or json",
            "INTEGER" | "bigint" | "boolean" => "number or bool",
            other => panic!("a type that is no type word: {other}"),
        };
        let name = |column: &str| row.get::<String>(column).unwrap();
        lines.insert(format!(
            "{}.{} {kind} {}",
            name("tab"),
            name("col"),
            row.get::<bool>("needed").unwrap()
        ));
    }
    for row in store.read().scan(sql(indexes)).await.unwrap() {
        let name = |column: &str| row.get::<String>(column).unwrap();
        let flag = |column: &str| row.get::<bool>(column).unwrap();
        lines.insert(format!(
            "index {} on {} {} {}",
            name("n"),
            name("tab"),
            flag("uniq"),
            flag("part")
        ));
    }
    lines
}

#[tokio::test]
async fn both_engines_have_the_same_schema() {
    let (_folder, sqlite) = fresh_sqlite().await;
    let expected = schema(&sqlite).await;
    assert!(
        expected.len() > 20 && expected.contains("instance.key text or json true"),
        "{expected:?}"
    );
    each_postgres(&async |options| {
        let found = schema(&Store::open(options).await.unwrap()).await;
        let differences: Vec<_> = expected.symmetric_difference(&found).collect();
        assert!(differences.is_empty(), "{differences:#?}");
    })
    .await;
}

#[tokio::test]
async fn an_edited_migration_is_detected() {
    each_place(async |options| {
        let store = Store::open(options.clone()).await.unwrap();
        run(
            &store,
            sql("UPDATE schema_migrations SET checksum = 'x' WHERE version = 1"),
        )
        .await
        .unwrap();
        let error = Store::open(options).await.err().expect("refused");
        assert!(
            error.to_string().contains("a released migration was edited"),
            "{error}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_starts_at_once_migrate_once() {
    each_place(async |options| {
        let starts: Vec<_> = (0..6)
            .map(|_| tokio::spawn(Store::open(options.clone())))
            .collect();
        for start in starts {
            let store = start.await.unwrap().unwrap();
            assert_eq!(store.schema_version(), newest_version());
            store.ping().await.unwrap();
            assert_eq!(
                number(&store, sql("SELECT count(*) AS n FROM schema_migrations")).await,
                newest_version()
            );
        }
    })
    .await;
}

#[tokio::test]
async fn an_sqlite_database_is_copied_before_it_is_migrated() {
    let (folder, store) = fresh_sqlite().await;
    let path = folder.path().join("doorward.db");
    run(&store, sql("INSERT INTO instance(key, value) VALUES ('old', '')"))
        .await
        .unwrap();
    store.close().await;
    drop(store);
    // As if the program that wrote it had known only the first migration.
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM schema_migrations WHERE version > 1")
        .unwrap();
    let tables: Vec<String> = file
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT IN
             ('schema_migrations', 'instance', 'counters', 'changes', 'jobs')",
        )
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for table in tables {
        file.execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    drop(file);
    let store = Store::open(OpenOptions::sqlite(&path)).await.unwrap();
    assert_eq!(store.schema_version(), newest_version());
    assert_eq!(
        store.read().find_instance("old").await.unwrap().as_deref(),
        Some("")
    );
    let copy = folder.path().join("doorward.db.before-0002");
    let copied = rusqlite::Connection::open(&copy).unwrap();
    let read = |text: &str| copied.query_row(text, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(read("SELECT count(*) FROM instance WHERE key = 'old'"), 1);
    assert_eq!(read("SELECT max(version) FROM schema_migrations"), 1);
    assert!(
        !folder
            .path()
            .read_dir()
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().ends_with(".partial") })
    );
}

#[tokio::test]
async fn a_snapshot_of_a_database_in_use_can_be_opened() {
    let (folder, store) = fresh_sqlite().await;
    run(&store, sql("INSERT INTO instance(key, value) VALUES ('a', 'b')"))
        .await
        .unwrap();
    let to = folder.path().join("copy.db");
    store.snapshot(&to).await.unwrap();
    let copy = Store::open(OpenOptions::sqlite(to)).await.unwrap();
    assert_eq!(
        copy.read().find_instance("a").await.unwrap().as_deref(),
        Some("b")
    );
}

#[cfg(unix)]
#[tokio::test]
async fn folder_and_file_are_made_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/deep/doorward.db");
    let store = Store::open(OpenOptions::sqlite(&path)).await.unwrap();
    run(&store, sql("INSERT INTO instance(key, value) VALUES ('a', 'b')"))
        .await
        .unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&path.with_extension("db-wal")), 0o600);
}

#[tokio::test]
async fn what_cannot_be_opened_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |path: &std::path::Path| {
        Store::open(OpenOptions::sqlite(path))
            .await
            .err()
            .expect("refused")
            .to_string()
    };
    let text = folder.path().join("text");
    std::fs::write(
        &text,
        "this is not a database, though it is long enough to have a header, and more than that",
    )
    .unwrap();
    assert!(open(&text).await.contains("is not an SQLite database"));
    let foreign = folder.path().join("foreign.db");
    let other = Store::open(OpenOptions::sqlite(folder.path().join("ours.db")))
        .await
        .unwrap();
    other.snapshot(&foreign).await.unwrap();
    let renamed = Store::open(OpenOptions::sqlite(&foreign)).await.unwrap();
    run(&renamed, sql("ALTER TABLE schema_migrations RENAME TO other"))
        .await
        .unwrap();
    drop(renamed);
    assert!(open(&foreign).await.contains("database of another program"));
    assert!(open(folder.path()).await.contains("is a folder"));
    assert!(
        open(&text.join("below/doorward.db"))
            .await
            .contains("cannot create the folder")
    );
}

#[tokio::test]
async fn a_server_that_refuses_says_what_to_do_without_the_password() {
    let Some(server) = server_for_tests() else { return };
    let database = PostgresDatabase::create(&server).await;
    let url = database.url();
    let open = async |url: &str| {
        let error = Store::open(OpenOptions::parse(url).unwrap())
            .await
            .err()
            .expect("refused");
        assert!(error.is_unavailable(), "{error}");
        let text = error.to_string();
        assert!(!text.contains("hunter2") && !text.contains('\n'), "{text}");
        text
    };
    let (base, name) = url.rsplit_once('/').unwrap();
    let missing = open(&format!("{base}/doorward_does_not_exist")).await;
    assert!(
        missing.contains("does not exist: create it with: createdb"),
        "{missing}"
    );
    // A port where nobody listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let started = Instant::now();
    let away = open(&format!("postgres://u:hunter2@127.0.0.1:{free}/{name}")).await;
    assert!(
        away.contains("cannot connect to PostgreSQL database") && away.contains("is the server running"),
        "{away}"
    );
    assert!(started.elapsed() < PATIENCE);
    // A role that may not log in stands for a wrong password where the server trusts everybody.
    let nobody = open(&format!(
        "postgres://doorward_nobody:hunter2@{}",
        base.rsplit_once('@').unwrap().1.to_owned() + "/" + name
    ))
    .await;
    assert!(nobody.contains("doorward_nobody"), "{nobody}");
    database.remove().await;
}

// ------------------------------------------------------------------------------------------- PostgreSQL that is away

/// Stands between the store and the server, and can be cut or made silent.
struct Cable {
    port: u16,
    plugged: Arc<AtomicBool>,
    silent: Arc<AtomicBool>,
    cut: tokio::sync::watch::Sender<()>,
}

impl Cable {
    async fn new(server: &str) -> Self {
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cable = Self {
            port: listener.local_addr().unwrap().port(),
            plugged: Arc::new(AtomicBool::new(true)),
            silent: Arc::new(AtomicBool::new(false)),
            cut: tokio::sync::watch::Sender::new(()),
        };
        let (plugged, silent, cut) = (cable.plugged.clone(), cable.silent.clone(), cable.cut.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if !plugged.load(Ordering::SeqCst) {
                    continue;
                }
                let (server, silent, mut cut) = (server.clone(), silent.clone(), cut.subscribe());
                tokio::spawn(async move {
                    tokio::select! {
                        () = carry(near, &server, silent) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        cable
    }

    fn unplug(&self) {
        self.plugged.store(false, Ordering::SeqCst);
        self.cut.send_replace(());
    }

    fn plug(&self) {
        self.plugged.store(true, Ordering::SeqCst);
    }
}

async fn carry(near: TcpStream, server: &str, silent: Arc<AtomicBool>) {
    let Ok(far) = TcpStream::connect(server).await else {
        return;
    };
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let back = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let Ok(count) = tokio::io::AsyncReadExt::read(&mut far_read, &mut buffer).await else {
                return;
            };
            while silent.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if count == 0 || near_write.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = tokio::io::copy(&mut near_read, &mut far_write) => {}
        () = back => {}
    }
}

/// A fresh database behind a cable, and its store.
async fn behind_a_cable(story: impl AsyncFn(&Cable, OpenOptions, Store)) {
    let Some(server) = server_for_tests() else { return };
    let database = PostgresDatabase::create(&server).await;
    let url = database.url();
    let (scheme_and_user, rest) = url.split_once('@').expect("a URL with a user");
    let (host, name) = rest.split_once('/').unwrap();
    let cable = Cable::new(host).await;
    let options = OpenOptions::parse(&format!("{scheme_and_user}@127.0.0.1:{}/{name}", cable.port))
        .unwrap()
        .with_statement_limit(Duration::from_secs(1));
    let store = Store::open(options.clone()).await.unwrap();
    story(&cable, options, store).await;
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_and_starts_again_is_found_again_and_no_change_is_missed() {
    behind_a_cable(async |cable, options, store| {
        let direct = {
            let server = postgres_url().unwrap();
            let name = options.place().split(' ').nth(2).unwrap().to_owned();
            let base = server.split_once('?').map_or(server.as_str(), |(base, _)| base);
            let at = base.find("://").unwrap() + 3;
            let host = base[at..].find('/').map_or(base, |end| &base[..at + end]);
            Store::open(OpenOptions::parse(&format!("{host}/{name}")).unwrap())
                .await
                .unwrap()
        };
        let mut changes = store.watch().await;
        change(&store, "user", "1").await;
        assert_eq!(next(&mut changes).await, [pair("user", "1")]);
        let half = store.begin().await.unwrap();
        half.put_instance("half", "").await.unwrap();
        for round in 0..3 {
            cable.unplug();
            let started = Instant::now();
            for _ in 0..10 {
                let error = store.read().find_instance("a").await.unwrap_err();
                assert!(error.is_unavailable(), "{error}");
                assert!(
                    store
                        .begin()
                        .await
                        .err()
                        .is_some_and(|error| error.is_unavailable())
                );
                assert!(store.ping().await.unwrap_err().is_unavailable());
            }
            assert!(started.elapsed() < PATIENCE);
            // The database lives on, and others change it meanwhile.
            change(&direct, "user", &format!("while away {round}")).await;
            cable.plug();
            assert_eq!(
                next(&mut changes).await,
                [pair("user", &format!("while away {round}"))]
            );
            store.ping().await.unwrap();
            change(&store, "user", &format!("again {round}")).await;
            assert_eq!(
                next(&mut changes).await,
                [pair("user", &format!("again {round}"))]
            );
        }
        assert!(half.commit().await.is_err(), "its connection is gone");
        assert_eq!(store.read().find_instance("half").await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_fails_calls_within_their_limit() {
    behind_a_cable(async |cable, options, store| {
        let tx = store.begin().await.unwrap();
        tx.put_instance("a", "b").await.unwrap();
        cable.silent.store(true, Ordering::SeqCst);
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(
                    async move { tokio::time::timeout(PATIENCE, store.read().find_instance("a")).await },
                )
            })
            .collect();
        let commit = tokio::time::timeout(PATIENCE, tx.commit())
            .await
            .expect("the commit does not hang");
        assert!(commit.unwrap_err().is_unavailable());
        for call in calls {
            let error = call.await.unwrap().expect("the call does not hang").unwrap_err();
            assert!(error.is_unavailable(), "{error}");
        }
        let opened = tokio::time::timeout(PATIENCE, Store::open(options))
            .await
            .expect("opening does not hang");
        assert!(opened.err().is_some_and(|error| error.is_unavailable()));
        cable.silent.store(false, Ordering::SeqCst);
        store.ping().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_ended_are_replaced_without_an_error() {
    each_postgres(&async |options: OpenOptions| {
        let store = Store::open(options.clone()).await.unwrap();
        let other = Store::open(options).await.unwrap();
        for _ in 0..10 {
            let reads: Vec<_> = (0..8)
                .map(|_| {
                    let store = store.clone();
                    tokio::spawn(async move { store.read().find_instance("a").await })
                })
                .collect();
            for read in reads {
                read.await.unwrap().unwrap();
            }
            let end = sql(
                "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()",
            );
            other.read().one(end).await.unwrap();
            store.read().find_instance("a").await.unwrap();
            let tx = store.begin().await.unwrap();
            tx.put_instance("a", "b").await.unwrap();
            tx.commit().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn everything_works_behind_a_transaction_pooler() {
    each_postgres(&async |options: OpenOptions| {
        let store = Store::open(options.with_pooler(Pooler::Transaction))
            .await
            .unwrap();
        let tx = store.begin().await.unwrap();
        tx.put_instance("a", "b").await.unwrap();
        assert!(!tx.put_instance_once("a", "c").await.unwrap());
        assert_eq!(tx.next_number("n").await.unwrap(), 1);
        tx.commit().await.unwrap();
        enqueue(&store, job(1, "mail")).await;
        assert!(take(&store, "a", NOW).await.is_some());
        let prepared = sql("SELECT count(*) AS n FROM pg_prepared_statements");
        assert_eq!(
            number(&store, prepared).await,
            0,
            "nothing is prepared on the server"
        );
    })
    .await;
}
