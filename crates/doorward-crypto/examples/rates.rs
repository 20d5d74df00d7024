//! Raw rates of the crypto library under this crate, as the yardstick of `cargo xtask bench`: signatures per second for
//! each algorithm, and password hashes per second at given parameters, with N threads. Prints one line of JSON.
//!
//! `cargo run --release -p doorward-crypto --example rates -- [threads] [seconds] [memory KiB] [iterations]`
#![expect(clippy::print_stdout, reason = "the line of JSON is what this program is for")]

use std::error::Error;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use doorward_crypto::jose::{Algorithm, SigningKey};
use doorward_crypto::password::{Argon2Params, hash};
use serde_json::{Map, Value, json};

/// About the size of an access token's claims.
const CLAIMS: &[u8] = br#"{"iss":"https://id.example.com/application/o/grafana/","sub":"0190f0f0-1111-7222-8333-444455556666","aud":"grafana","exp":1793448000,"iat":1793446200,"jti":"0190f0f0-1111-7222-8333-777788889999","client_id":"grafana","scope":"openid email profile"}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u32>());
    let threads = arguments.next().transpose()?.unwrap_or(1).max(1);
    let seconds = arguments.next().transpose()?.unwrap_or(2).max(1);
    let memory_kib = arguments
        .next()
        .transpose()?
        .unwrap_or(Argon2Params::FLOOR.memory_kib);
    let iterations = arguments
        .next()
        .transpose()?
        .unwrap_or(Argon2Params::FLOOR.iterations);
    let argon2 = Argon2Params {
        memory_kib,
        iterations,
        parallelism: 1,
    };
    let time = Duration::from_secs(seconds.into());

    let mut line = Map::new();
    line.insert("threads".to_owned(), threads.into());
    line.insert("seconds".to_owned(), seconds.into());
    let mut signatures = Map::new();
    for algorithm in Algorithm::SIGNING {
        let key = SigningKey::generate(algorithm)?;
        let rate = per_second(threads, time, || key.sign("at+jwt", CLAIMS).is_ok())?;
        signatures.insert(algorithm.to_string(), rate);
    }
    line.insert("sign_per_second".to_owned(), signatures.into());
    line.insert("argon2id".to_owned(), serde_json::to_value(argon2)?);
    let rate = per_second(threads, time, || {
        hash("correct horse battery staple", &[7; 16], &argon2).is_ok()
    })?;
    line.insert("argon2id_per_second".to_owned(), rate);
    println!("{}", json!(line));
    Ok(())
}

/// Runs `work` on that many threads for that long and answers with how often it ran per second, all threads together.
fn per_second(threads: u32, time: Duration, work: impl Fn() -> bool + Sync) -> Result<Value, Box<dyn Error>> {
    if !work() {
        return Err("the work fails".into());
    }
    let runs = AtomicU64::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while start.elapsed() < time {
                    black_box(work());
                    runs.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let rate = f64::from(u32::try_from(runs.into_inner())?) / start.elapsed().as_secs_f64();
    Ok(json!((rate * 10.0).round() / 10.0))
}
