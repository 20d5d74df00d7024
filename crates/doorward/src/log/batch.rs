//! Lines on their way to standard error. A thread of its own writes them, many at once when there are many: no request waits
//! for whoever reads the log, and a busy server does not ask the kernel once per line.
//!
//! The first line after a pause is written at once; what comes after it gathers for a moment, except that warnings and errors
//! hurry. Order is kept. What waits is bounded: when the reader is too slow, lines of requests are left out first, and the log
//! says how many lines are missing.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long lines gather.
const GATHER: Duration = Duration::from_millis(10);
/// As much as this is written without waiting for more.
const MUCH: usize = 256 * 1024;
/// Beyond this no line of a request waits.
const MOST_REQUESTS: usize = 4 * 1024 * 1024;
/// Beyond this no line waits.
const MOST: usize = 8 * 1024 * 1024;

/// Takes lines and hands them to the thread that writes.
#[derive(Clone)]
pub(crate) struct Batches {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// For the thread that writes.
    wake: Condvar,
    /// For those who want everything to be written.
    written: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Lines that were left out since the log said so.
    missing: u64,
    /// Nothing waits, and the thread sleeps until something does.
    resting: bool,
    /// Something must not wait for more.
    hurry: bool,
    /// Lines that were taken in, and how many of them are written.
    said: u64,
    done: u64,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Whoever panicked had finished with the lines: appending is one step.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8], sort: Sort) {
        let mut waiting = self.waiting();
        let limit = if sort == Sort::Request {
            MOST_REQUESTS
        } else {
            MOST
        };
        if waiting.lines.len() >= limit {
            waiting.missing += 1;
            return;
        }
        let before = waiting.lines.len();
        waiting.lines.extend_from_slice(line);
        waiting.said += 1;
        let much = before < MUCH && waiting.lines.len() >= MUCH;
        let urgent = sort == Sort::Urgent && !waiting.hurry;
        waiting.hurry |= urgent;
        if much || urgent || std::mem::take(&mut waiting.resting) {
            drop(waiting);
            self.wake.notify_one();
        }
    }

    /// Writes until the program ends.
    fn work(&self, mut sink: impl Write) {
        let mut taken = Vec::new();
        loop {
            let mut waiting = self.waiting();
            while waiting.lines.is_empty() {
                waiting.resting = true;
                waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            waiting.resting = false;
            waiting.hurry = false;
            let said = waiting.said;
            std::mem::swap(&mut taken, &mut waiting.lines);
            let missing = std::mem::take(&mut waiting.missing);
            drop(waiting);
            // A log that cannot be written has nobody to tell.
            let _ = sink.write_all(&taken).and_then(|()| sink.flush());
            taken.clear();
            taken.shrink_to(MUCH);
            if missing > 0 {
                tracing::warn!(missing, "lines of the log were left out: it is read too slowly");
            }
            let mut waiting = self.waiting();
            waiting.done = said;
            self.written.notify_all();
            let gathers = |waiting: &mut Waiting| !waiting.hurry && waiting.lines.len() < MUCH;
            drop(self.wake.wait_timeout_while(waiting, GATHER, gathers));
        }
    }
}

impl Batches {
    /// Starts the thread that writes to standard error.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start() -> io::Result<Self> {
        Self::start_to(io::stderr())
    }

    fn start_to(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let batches = Self {
            shared: Arc::default(),
        };
        let shared = Arc::clone(&batches.shared);
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn(move || shared.work(sink))?;
        Ok(batches)
    }

    /// Waits until everything that was said so far is written, or until the patience ends.
    pub(crate) fn flush(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut waiting = self.shared.waiting();
        let said = waiting.said;
        while waiting.done < said {
            waiting.hurry = true;
            self.shared.wake.notify_one();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (waiting, _) = self
                .shared
                .written
                .wait_timeout(waiting, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Request,
    Usual,
    Urgent,
}

/// Takes one line.
pub(crate) struct Taker<'a> {
    shared: &'a Shared,
    sort: Sort,
}

impl Write for Taker<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.add(line, self.sort);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Batches {
    type Writer = Taker<'a>;

    fn make_writer(&'a self) -> Taker<'a> {
        Taker {
            shared: &self.shared,
            sort: Sort::Usual,
        }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Taker<'a> {
        let sort = if *about.level() <= Level::WARN {
            Sort::Urgent
        } else if about.name() == super::REQUEST {
            Sort::Request
        } else {
            Sort::Usual
        };
        Taker {
            shared: &self.shared,
            sort,
        }
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
