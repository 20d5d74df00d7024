//! Raw rates of the crypto library, as the yardstick of `cargo xtask bench`: signatures per second for each algorithm, and
//! password hashes per second at given parameters, with N threads. Prints one line of JSON.
//!
//! `raw_sign_per_second` is the library alone, over bytes that are ready; `sign_per_second` is a whole token through this
//! crate (header, base64url, signature); `argon2id_per_second` is a whole PHC string.
//!
//! `cargo run --release -p doorward-crypto --example rates -- [threads] [seconds] [memory KiB] [iterations] [hashes]`
//!
//! With the word `hashes` at the end the signatures are left out.
#![expect(clippy::print_stdout, reason = "the line of JSON is what this program is for")]

use std::error::Error;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use doorward_crypto::jose::{Algorithm, SigningKey};
use doorward_crypto::password::{Argon2Params, hash};
use serde_json::{Map, Value, json};

/// About the size of an access token's claims.
const CLAIMS: &[u8] = br#"{"iss":"https://id.example.com/application/o/grafana/","sub":"0190f0f0-1111-7222-8333-444455556666","aud":"grafana","exp":1793448000,"iat":1793446200,"jti":"0190f0f0-1111-7222-8333-777788889999","client_id":"grafana","scope":"openid email profile"}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let hashes_only = words.last().is_some_and(|word| word == "hashes");
    if hashes_only {
        words.pop();
    }
    let mut arguments = words.iter().map(|argument| argument.parse::<u32>());
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
    let (mut raw, mut signatures) = (Map::new(), Map::new());
    let algorithms = Algorithm::SIGNING.into_iter().filter(|_| !hashes_only);
    for algorithm in algorithms {
        let key = SigningKey::generate(algorithm)?;
        let rate = per_second(threads, time, || key.sign("at+jwt", CLAIMS).is_ok())?;
        signatures.insert(algorithm.to_string(), rate);
        let sign = raw_signer(&key)?;
        raw.insert(algorithm.to_string(), per_second(threads, time, sign)?);
    }
    line.insert("raw_sign_per_second".to_owned(), raw.into());
    line.insert("sign_per_second".to_owned(), signatures.into());
    line.insert("argon2id".to_owned(), serde_json::to_value(argon2)?);
    let rate = per_second(threads, time, || {
        hash("correct horse battery staple", &[7; 16], &argon2).is_ok()
    })?;
    line.insert("argon2id_per_second".to_owned(), rate);
    println!("{}", json!(line));
    Ok(())
}

/// The library's own signing with the same private key, over as many bytes as a token has before its signature.
fn raw_signer(key: &SigningKey) -> Result<Box<dyn Fn() -> bool + Sync>, Box<dyn Error>> {
    let token = key.sign("at+jwt", CLAIMS)?;
    let message = token
        .rsplit_once('.')
        .map(|(input, _)| input.to_owned())
        .ok_or("not a token")?;
    let der = key.to_pkcs8()?;
    let rsa = |padding: &'static dyn RsaEncoding, message: String| -> Result<_, Box<dyn Error>> {
        let pair = RsaKeyPair::from_pkcs8(&der)?;
        let sign = move || {
            let mut signature = [0; 256];
            pair.sign(padding, &SystemRandom::new(), message.as_bytes(), &mut signature)
                .is_ok()
        };
        Ok(Box::new(sign))
    };
    Ok(match key.algorithm() {
        Algorithm::RS256 => rsa(&RSA_PKCS1_SHA256, message)?,
        Algorithm::PS256 => rsa(&RSA_PSS_SHA256, message)?,
        Algorithm::ES256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)?;
            Box::new(move || pair.sign(&SystemRandom::new(), message.as_bytes()).is_ok())
        }
        Algorithm::EdDSA => {
            let pair = Ed25519KeyPair::from_pkcs8(&der)?;
            Box::new(move || pair.try_sign(message.as_bytes()).is_ok())
        }
        _ => return Err("verify only".into()),
    })
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
