//! How many transactions a second reach the disk on SQLite, with 1 and with 64 writers, and how long a read by
//! primary key takes.
//!
//! `cargo run --release -p doorward-store --features testing --example commit_rate`, in a folder of the disk in
//! question: the database is made in the folder named as first argument, else in the one for temporary files.
#![expect(clippy::print_stdout, reason = "an example that prints what it measured")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use doorward_store::{OpenOptions, Store, sql};

const TIME: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = match std::env::args().nth(1) {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let store = Store::open(OpenOptions::sqlite(folder.path().join("rate.db"))).await?;
    for writers in [1, 8, 64] {
        let (commits, slowest) = commits(&store, writers).await?;
        println!("{writers:3} writers: {commits:8.0} committed transactions a second, slowest {slowest:?}");
    }
    println!("read by primary key: {:?}", read_time(&store).await?);
    Ok(())
}

async fn commits(store: &Store, writers: u32) -> Result<(f64, Duration), Box<dyn Error>> {
    let count = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut tasks = Vec::new();
    for writer in 0..writers {
        let (store, count) = (store.clone(), Arc::clone(&count));
        tasks.push(tokio::spawn(async move {
            let mut slowest = Duration::ZERO;
            while started.elapsed() < TIME {
                let begun = Instant::now();
                let number = count.fetch_add(1, Ordering::Relaxed);
                let tx = store.begin().await?;
                tx.put_instance(
                    &format!("{writers}-{writer}-{number}"),
                    "a value of a common length",
                )
                .await?;
                tx.put_instance(&format!("{writers}-{writer}"), "a value that changes")
                    .await?;
                tx.commit().await?;
                slowest = slowest.max(begun.elapsed());
            }
            Ok::<_, doorward_store::Error>(slowest)
        }));
    }
    let mut slowest = Duration::ZERO;
    for task in tasks {
        slowest = slowest.max(task.await??);
    }
    Ok((
        per_second(count.load(Ordering::Relaxed), started.elapsed()),
        slowest,
    ))
}

#[expect(clippy::cast_precision_loss, reason = "a rate to be read by people")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

async fn read_time(store: &Store) -> Result<Duration, Box<dyn Error>> {
    const READS: u32 = 200_000;
    let started = Instant::now();
    for _ in 0..READS {
        let query = sql("SELECT value FROM instance WHERE key = $1").bind("64-1");
        store
            .read()
            .first(query)
            .await?
            .ok_or("no row")?
            .get::<String>("value")?;
    }
    Ok(started.elapsed() / READS)
}
