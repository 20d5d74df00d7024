//! Mails: queued in the transaction that makes them necessary, delivered by a job with retries. What is in them is sealed while it
//! waits: it holds links and codes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use doorward_domain::{Timestamp, text};
use doorward_store::{NewJob, Tx};

use crate::Doorward;
use crate::error::{Fault, Result};
use crate::logout::Delivery;
use crate::ports::Letter;

/// Kind of the job.
pub(crate) const JOB: &str = "mail";
const SEAL: &str = "mail";

#[derive(Serialize, Deserialize)]
struct Sealed {
    to: String,
    subject: String,
    text: String,
}

impl Doorward {
    /// Can mails be sent at all?
    #[must_use]
    pub fn sends_mail(&self) -> bool {
        self.inner.ports.mailer.is_some()
    }

    /// Queues a mail in the caller's transaction. Addresses that stand for none get no mail.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn queue_mail(&self, tx: &Tx, letter: &Letter, now: Timestamp) -> Result<()> {
        if text::is_placeholder(&letter.to) {
            tracing::info!("a mail is not sent: its receiver has an address that stands for none");
            return Ok(());
        }
        let sealed = Sealed {
            to: letter.to.clone(),
            subject: letter.subject.clone(),
            text: letter.text.clone(),
        };
        let bytes =
            serde_json::to_vec(&sealed).map_err(|error| Fault::caused("a mail cannot be written", error))?;
        let job = NewJob {
            id: self.mint(now),
            kind: JOB.to_owned(),
            unique_key: None,
            payload: json!({ "sealed": self.inner.keyring.seal_text(SEAL, &self.random(), &bytes) }),
            run_at: now,
            max_attempts: 8,
            created_at: now,
        };
        tx.enqueue(job).await?;
        Ok(())
    }

    /// Queues a mail in a transaction of its own.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn send_mail(&self, letter: &Letter) -> Result<()> {
        let tx = self.store()?.begin().await?;
        self.queue_mail(&tx, letter, self.now()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Delivers one mail.
    pub(crate) async fn deliver_mail(&self, payload: &Value) -> std::result::Result<(), Delivery> {
        let sealed = payload.get("sealed").and_then(Value::as_str).unwrap_or_default();
        let opened = self.inner.keyring.open_text(SEAL, sealed).ok();
        let Some(mail) = opened.and_then(|bytes| serde_json::from_slice::<Sealed>(&bytes).ok()) else {
            return Err(Delivery::Pointless(
                "the mail cannot be opened with the keys at hand".into(),
            ));
        };
        let Some(mailer) = &self.inner.ports.mailer else {
            return Err(Delivery::Failed(
                "no mail server is set: `mail.host` in doorward.toml".into(),
            ));
        };
        let letter = Letter {
            to: mail.to,
            subject: mail.subject,
            text: mail.text,
        };
        mailer
            .send(&letter)
            .await
            .map_err(|error| Delivery::Failed(error.0))
    }
}
