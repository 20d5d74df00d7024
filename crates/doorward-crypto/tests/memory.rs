//! The memory of password hashes is bounded, and goes back to the system, however many threads took turns. A program of its own: it looks at the
//! memory of the whole process.
#![cfg(target_os = "linux")]

use doorward_crypto::password::{Argon2Params, hash, release_memory};

/// Resident memory of this process, in MiB.
fn resident_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

#[test]
fn threads_that_hashed_keep_nothing() {
    let round = |memory_kib: u32| {
        let params = Argon2Params {
            memory_kib,
            iterations: 1,
            parallelism: 1,
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..12)
                .map(|_| scope.spawn(move || hash("quiet meadow", &[7; 16], &params).is_ok()))
                .collect();
            assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        });
    };
    let before = resident_mib().unwrap();
    // Sizes below what glibc always maps, and one above it.
    for memory_kib in [512, 8 * 1024, 19 * 1024, 31 * 1024, 40 * 1024] {
        for _ in 0..2 {
            round(memory_kib);
        }
    }
    let spare = resident_mib().unwrap().saturating_sub(before);
    assert!(
        spare < 4 * 40 + 16,
        "{spare} MiB were kept for later hashes: four pieces at most"
    );
    release_memory();
    let kept = resident_mib().unwrap().saturating_sub(before);
    assert!(kept < 16, "{kept} MiB were kept");
}
