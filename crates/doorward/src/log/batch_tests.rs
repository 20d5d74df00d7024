//! Tests of lines in batches.

use super::*;
use std::sync::mpsc;

/// Long enough for any machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reader that takes one write at a time, when it is let.
struct Slow {
    writes: mpsc::Sender<Vec<u8>>,
    let_go: mpsc::Receiver<()>,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes.send(bytes.to_vec()).unwrap();
        // Nobody holds it back once the test is over.
        let _over = self.let_go.recv();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn slow() -> (Batches, mpsc::Receiver<Vec<u8>>, mpsc::Sender<()>) {
    let (writes, written) = mpsc::channel();
    let (go, let_go) = mpsc::channel();
    (Batches::start_to(Slow { writes, let_go }).unwrap(), written, go)
}

fn next(written: &mpsc::Receiver<Vec<u8>>) -> String {
    String::from_utf8(written.recv_timeout(PATIENCE).unwrap()).unwrap()
}

#[test]
fn the_first_line_goes_at_once_and_the_others_together_and_in_order() {
    let (batches, written, go) = slow();
    batches.shared.add(b"one\n", Sort::Request);
    assert_eq!(next(&written), "one\n");
    for line in ["two\n", "three\n", "four\n"] {
        batches.shared.add(line.as_bytes(), Sort::Usual);
    }
    batches.shared.add(b"five\n", Sort::Urgent);
    batches.shared.add(b"six\n", Sort::Request);
    go.send(()).unwrap();
    assert_eq!(next(&written), "two\nthree\nfour\nfive\nsix\n");
}

#[test]
fn a_flush_waits_for_what_was_said_and_not_for_ever() {
    let (batches, written, go) = slow();
    batches.flush(PATIENCE);
    batches.shared.add(b"one\n", Sort::Usual);
    batches.shared.add(b"two\n", Sort::Usual);
    let begun = Instant::now();
    batches.flush(Duration::from_millis(20));
    assert!(begun.elapsed() >= Duration::from_millis(20), "nobody reads");
    drop(go);
    batches.flush(PATIENCE);
    assert_eq!(written.try_iter().flatten().collect::<Vec<_>>(), b"one\ntwo\n");
}

#[test]
fn a_log_that_nobody_reads_is_bounded_and_requests_give_way_first() {
    let (batches, written, go) = slow();
    batches.shared.add(b"stuck\n", Sort::Request);
    assert_eq!(next(&written), "stuck\n");
    let line = [b'x'; 64 * 1024];
    for _ in 0..MOST / line.len() {
        batches.shared.add(&line, Sort::Request);
    }
    let (full, missing) = {
        let waiting = batches.shared.waiting();
        (waiting.lines.len(), waiting.missing)
    };
    assert_eq!(full, MOST_REQUESTS);
    assert_eq!(missing, 64);
    batches.shared.add(b"still heard\n", Sort::Usual);
    for _ in 0..MOST / line.len() {
        batches.shared.add(&line, Sort::Urgent);
    }
    let waiting = batches.shared.waiting().lines.len();
    assert!((MOST..MOST + line.len()).contains(&waiting), "{waiting}");
    drop(go);
    batches.flush(PATIENCE);
    let rest: Vec<u8> = written.try_iter().flatten().collect();
    assert!(rest.ends_with(b"x"), "what was said is written");
    let kept = batches.shared.waiting().lines.capacity();
    assert!(kept <= MOST + MOST_REQUESTS, "{kept}");
}
