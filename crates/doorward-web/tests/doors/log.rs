//! The log of the whole test program, in memory.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use tracing_subscriber::fmt::MakeWriter;

/// A log in memory.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the lines").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The log; written from the first call on. One for the whole test program: callsites that other tests saw first forget loggers of
/// single threads.
pub(crate) fn lines() -> Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES
        .get_or_init(|| {
            let lines = Lines::default();
            let subscriber = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing::Level::INFO)
                .with_writer(lines.clone())
                .finish();
            tracing::subscriber::set_global_default(subscriber).expect("the first logger");
            lines
        })
        .clone()
}

impl Lines {
    /// Lines that hold all of these words.
    pub(crate) fn with(&self, words: &[&str]) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0.lock().expect("the lines")).into_owned();
        text.lines()
            .filter(|line| words.iter().all(|word| line.contains(word)))
            .map(str::to_owned)
            .collect()
    }

    /// Lines of a route by one caller.
    pub(crate) fn of(&self, route: &str, client: &str) -> Vec<String> {
        let (route, client) = (format!("route=\"{route}\""), format!("client={client}"));
        self.with(&[&route, &client])
    }
}
