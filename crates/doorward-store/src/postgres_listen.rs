//! Hearing of other replicas' commits: one connection that listens, and a look once a second.

use std::future::poll_fn;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client};

use crate::changes::Signals;
use crate::engine_postgres::{CONNECT_LIMIT, Postgres};
use crate::error::Result;
use crate::options::Pooler;
use crate::postgres_error::Failure;

/// Longest wait for the answer to the look once a second: a server that is frozen, or behind a network that swallows everything,
/// breaks no connection.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

impl Postgres {
    /// Listens on a connection of its own, and looks at the feed's counter once a second. Where it cannot listen
    /// (the database is away, or a transaction pooler is in between), it looks through the pool.
    pub(crate) async fn pulse(&self) {
        loop {
            if self.pooler == Pooler::Direct
                && let Err(error) = self.listen().await
            {
                tracing::debug!(%error, "not listening for changes");
            }
            // At once: when the connection broke, the reader of the feed finds out whether the database is away.
            self.wakes.signal(Signals {
                changes: true,
                jobs: true,
            });
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn listen(&self) -> Result<()> {
        let connecting = self.target.config.connect(self.tls.clone());
        let Ok(connected) = tokio::time::timeout(CONNECT_LIMIT, connecting).await else {
            return Err(self.failed(Failure::Late));
        };
        let (client, mut connection) = connected.map_err(|error| self.connect_fault(&error))?;
        let (heard, mut hearing) = mpsc::channel::<Signals>(64);
        let driver = AbortOnDrop(tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(note) = message {
                    let signals = Signals {
                        changes: note.payload() == "changes",
                        jobs: note.payload() == "jobs",
                    };
                    // A full queue already wakes everybody.
                    let _ = heard.try_send(signals);
                }
            }
        }));
        self.in_time(client.batch_execute("LISTEN doorward")).await?;
        // What happened before the LISTEN was not heard.
        self.wakes.signal(Signals {
            changes: true,
            jobs: true,
        });
        let outcome = self.hear(&client, &mut hearing).await;
        drop(driver);
        outcome
    }

    /// Passes on what is heard until the connection ends. The look once a second finds a dead connection, too.
    async fn hear(&self, client: &Client, hearing: &mut mpsc::Receiver<Signals>) -> Result<()> {
        let mut top = self.feed_top(client).await?;
        loop {
            match tokio::time::timeout(Duration::from_secs(1), hearing.recv()).await {
                Ok(Some(signals)) => self.wakes.signal(signals),
                Ok(None) => return Ok(()),
                Err(_) => {
                    let looking = self.feed_top(client);
                    let Ok(now) = tokio::time::timeout(LOOK_LIMIT, looking).await else {
                        // Until the reader of the feed hears otherwise, which is woken now.
                        self.wakes.mark_away(true);
                        return Err(self.failed(Failure::Late));
                    };
                    let now = now?;
                    if now != top {
                        top = now;
                        self.wakes.signal(Signals {
                            changes: true,
                            jobs: false,
                        });
                    }
                }
            }
        }
    }

    async fn feed_top(&self, client: &Client) -> Result<i64> {
        let look = client.query_typed("SELECT value FROM counters WHERE name = 'changes'", &[]);
        let rows = self.in_time(look).await?;
        Ok(rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or(0))
    }

    pub(crate) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        match tokio::time::timeout(self.statement_limit, work).await {
            Ok(outcome) => outcome.map_err(|error| self.fault(&error)),
            Err(_) => Err(self.failed(Failure::Late)),
        }
    }
}

/// Ends a task together with what started it.
pub(crate) struct AbortOnDrop(pub(crate) tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
