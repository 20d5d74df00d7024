//! Memory that password hashes are computed in, kept from one hash to the next.
//!
//! Memory fresh from the system costs a fault for each page, about a fifth of a hash. So a hash leaves its memory behind for
//! the next one, in a store of few pieces; who runs the hashes gives it back with [`release`] when there have been none for a while.

use std::sync::{Mutex, PoisonError};

use argon2::Block;

use super::PasswordError;

/// Most pieces that are kept: more hashes at once find no processor to run on.
const MOST: usize = 4;
/// Largest piece that is kept, in blocks of 1 KiB (256 MiB). Imported hashes may ask for more; they are few.
const LARGEST: usize = 256 * 1024;
/// A piece is asked for in at least this size, in bytes. The allocator of glibc keeps what is smaller than 32 MiB for later, for each
/// of its arenas, and threads take turns among many; what is larger it maps, and gives back at once. What is asked for and not
/// touched costs nothing.
const LEAST_RESERVED: usize = 33 * 1024 * 1024;

static SPARE: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());

/// Room for one hash; goes back to the store when it is dropped.
pub(super) struct Room {
    memory: Vec<Block>,
    blocks: usize,
}

impl Room {
    /// Room for so many blocks. What it holds is left from an earlier hash: argon2 writes each block before it reads it.
    pub(super) fn of(blocks: usize) -> Result<Self, PasswordError> {
        let spare = {
            let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = spare.iter().position(|memory| memory.len() >= blocks);
            // One that is too small makes room for the new one.
            fits.map(|at| spare.swap_remove(at)).or_else(|| {
                spare.pop();
                None
            })
        };
        if let Some(memory) = spare {
            return Ok(Self { memory, blocks });
        }
        let mut memory = Vec::new();
        memory
            .try_reserve_exact(blocks.max(LEAST_RESERVED / Block::SIZE))
            .map_err(|_| PasswordError::OutOfMemory)?;
        memory.resize(blocks, Block::new());
        Ok(Self { memory, blocks })
    }

    /// The blocks asked for.
    pub(super) fn blocks(&mut self) -> &mut [Block] {
        self.memory.get_mut(..self.blocks).unwrap_or_default()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        if memory.len() > LARGEST {
            return;
        }
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MOST {
            spare.push(memory);
        }
    }
}

/// Gives the memory that hashes left behind back to the system.
pub fn release() {
    let spare = std::mem::take(&mut *SPARE.lock().unwrap_or_else(PoisonError::into_inner));
    drop(spare);
}

#[cfg(test)]
mod tests {
    use crate::password::{Argon2Params, hash, verify};

    #[test]
    fn what_an_earlier_hash_left_behind_changes_nothing() {
        let small = Argon2Params {
            memory_kib: 64,
            iterations: 2,
            parallelism: 1,
        };
        let large = Argon2Params {
            memory_kib: 256,
            iterations: 1,
            parallelism: 2,
        };
        super::release();
        let (first, second) = (
            hash("one", &[1; 16], &small).unwrap(),
            hash("two", &[2; 16], &large).unwrap(),
        );
        for _ in 0..3 {
            // In memory of the other, of its own, and in fresh one.
            assert_eq!(hash("two", &[2; 16], &large).unwrap(), second);
            assert_eq!(hash("one", &[1; 16], &small).unwrap(), first);
            assert!(!verify("one", &second).is_match());
            super::release();
        }
    }

    #[test]
    fn many_at_once_do_not_share_memory() {
        let params = Argon2Params {
            memory_kib: 512,
            iterations: 2,
            parallelism: 1,
        };
        let expected: Vec<String> = (0..12u8).map(|n| hash("x", &[n; 16], &params).unwrap()).collect();
        std::thread::scope(|scope| {
            for (n, expected) in (0..12u8).zip(&expected) {
                scope.spawn(move || {
                    for _ in 0..20 {
                        assert_eq!(&hash("x", &[n; 16], &params).unwrap(), expected);
                    }
                });
            }
        });
    }
}
