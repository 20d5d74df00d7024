//! How much a password hash may cost on this machine.
//!
//! What lives here: the pure choice. What must not: a clock. The caller measures.

use super::{Argon2Params, MAX_MEMORY_KIB, MAX_WORK_KIB};

/// What the choice aims at, in milliseconds of one core.
const TARGET_MS: u64 = 80;
/// A measured time above this is too slow.
const SLOWEST_MS: u64 = 100;
/// A measured time below this leaves something to be gained.
const FASTEST_MS: u64 = 60;
/// More memory than this per hash buys little and is hard to plan for (256 MiB).
const LARGEST_KIB: u32 = 256 * 1024;
/// How often a guess is corrected before it is taken as it is.
const CORRECTIONS: u32 = 4;

/// Chooses the strongest argon2id parameters whose hash takes 60 ms to 100 ms here, and never less than
/// [`Argon2Params::FLOOR`].
///
/// `measure` hashes once (better: the fastest of a few) with the parameters it is given and answers with the time in
/// milliseconds; it is asked at most a dozen times. `memory_budget_kib` is what all hashes running at the same time
/// may use together, `cores` is how many run at the same time. Memory is raised before passes, as memory is what
/// makes the attacker's hardware expensive (RFC 9106, section 4). One lane, as the cores are busy with other people's
/// passwords. A machine that needs more than 100 ms for the floor gets the floor.
pub fn choose_params(
    mut measure: impl FnMut(&Argon2Params) -> u64,
    memory_budget_kib: u32,
    cores: u32,
) -> Argon2Params {
    let floor = Argon2Params::FLOOR;
    let cap = (memory_budget_kib / cores.max(1)).clamp(floor.memory_kib, LARGEST_KIB.min(MAX_MEMORY_KIB));
    let base = measure(&floor).max(1);
    if base > FASTEST_MS {
        return floor;
    }

    let mut best = floor;
    let mut best_ms = base;
    let mut memory = scale(floor.memory_kib, TARGET_MS, base).min(cap);
    for _ in 0..CORRECTIONS {
        memory = whole_mebibytes(memory);
        if memory <= best.memory_kib {
            break;
        }
        let candidate = Argon2Params {
            memory_kib: memory,
            ..floor
        };
        let took = measure(&candidate).max(1);
        if took <= SLOWEST_MS {
            (best, best_ms) = (candidate, took);
            if took >= FASTEST_MS || memory >= whole_mebibytes(cap) {
                break;
            }
        }
        memory = scale(memory, TARGET_MS, took).min(cap);
    }

    let mut iterations = scale(best.iterations, TARGET_MS, best_ms);
    for _ in 0..CORRECTIONS {
        let most = u32::try_from(MAX_WORK_KIB / u64::from(best.memory_kib)).unwrap_or(u32::MAX);
        iterations = iterations.min(most);
        if best_ms >= FASTEST_MS || iterations <= best.iterations {
            break;
        }
        let candidate = Argon2Params { iterations, ..best };
        let took = measure(&candidate).max(1);
        if took <= SLOWEST_MS {
            (best, best_ms) = (candidate, took);
        }
        iterations = scale(iterations, TARGET_MS, took);
    }
    best
}

/// `value * wanted / measured`, saturating.
fn scale(value: u32, wanted: u64, measured: u64) -> u32 {
    u32::try_from(u64::from(value).saturating_mul(wanted) / measured.max(1)).unwrap_or(u32::MAX)
}

fn whole_mebibytes(kib: u32) -> u32 {
    kib - kib % 1024
}
