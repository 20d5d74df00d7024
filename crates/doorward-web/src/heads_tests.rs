//! Tests of the deadline for heads.

use super::*;
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_millis(60);
/// Long enough for any machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs both in one task, as a connection does.
async fn watched<T>(heads: &Heads, connection: impl Future<Output = T>) -> T {
    let mut watch = pin!(Aside::new(heads.watch()));
    tokio::select! {
        biased;
        result = connection => result,
        never = &mut watch => match never {},
    }
}

#[tokio::test]
async fn a_head_that_takes_too_long_is_late_and_each_has_its_own_time() {
    let heads = Heads::new(LIMIT);
    let timer = HeadTimer(Arc::clone(&heads));
    let connection = async {
        for _ in 0..6 {
            let head = timer.sleep(LIMIT);
            sleep(LIMIT / 3).await;
            drop(head);
        }
        assert!(heads.since.elapsed() >= LIMIT * 2, "more than one head's time");
        let begun = Instant::now();
        timer.sleep(LIMIT).await;
        begun.elapsed()
    };
    let took = timeout(PATIENCE, watched(&heads, connection)).await.unwrap();
    assert!(took >= LIMIT);
}

#[tokio::test]
async fn a_long_request_between_two_heads_is_not_late() {
    let heads = Heads::new(LIMIT);
    let timer = HeadTimer(Arc::clone(&heads));
    let connection = async {
        drop(timer.sleep(LIMIT));
        sleep(LIMIT * 3).await;
        let mut head = timer.sleep(LIMIT);
        std::future::poll_fn(|context| Poll::Ready(head.as_mut().poll(context).is_pending())).await
    };
    assert!(watched(&heads, connection).await);
}

#[tokio::test]
async fn what_is_aside_is_polled_for_itself_only() {
    let polls = AtomicUsize::new(0);
    let mut nap = pin!(sleep(LIMIT));
    let mut aside = pin!(Aside::new(std::future::poll_fn(|context| {
        polls.fetch_add(1, Ordering::Relaxed);
        nap.as_mut().poll(context)
    })));
    for _ in 0..20 {
        let both = std::future::poll_fn(|context| {
            assert!(aside.as_mut().poll(context).is_pending());
            Poll::Ready(())
        });
        both.await;
    }
    assert_eq!(polls.load(Ordering::Relaxed), 1);
    timeout(PATIENCE, aside).await.unwrap();
    assert_eq!(polls.load(Ordering::Relaxed), 2);
}
