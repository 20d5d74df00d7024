//! Settings that live in the database and take effect at once on every replica.

use serde_json::json;

use doorward_domain::Lifetime;
use doorward_domain::event::EventKind;
use doorward_domain::session::SessionPolicy;

use crate::error::{Error, Fault, Result};
use crate::events::About;
use crate::picture::{setting, topic};
use crate::{Doorward, Origin};

impl Doorward {
    /// The lifetime rule of sessions.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn session_policy(&self) -> Result<SessionPolicy> {
        Ok(self
            .find_setting(self.store()?, setting::SESSION_POLICY)
            .await?
            .unwrap_or_default())
    }

    /// Changes the lifetime rule; sessions that exist keep their end.
    ///
    /// # Errors
    /// `Invalid` naming the field.
    pub async fn set_session_policy(&self, policy: SessionPolicy) -> Result<()> {
        let longest = Lifetime::from_days(366);
        if policy.lifetime < Lifetime::from_minutes(1) || policy.lifetime > longest {
            return Err(Error::Invalid(format!(
                "session lifetime is {}; expected 1m to {longest}",
                policy.lifetime
            )));
        }
        if policy
            .idle
            .is_some_and(|idle| idle < Lifetime::from_minutes(5) || idle > policy.lifetime)
        {
            return Err(Error::Invalid(
                "session idle time must be at least 5m and no longer than the lifetime".into(),
            ));
        }
        if policy.away > Lifetime::from_days(30) {
            return Err(Error::Invalid(
                "sessions can count without the database for 30d at most".into(),
            ));
        }
        let now = self.now();
        let text = serde_json::to_string(&policy)
            .map_err(|error| Fault::caused("a setting could not be encoded", error))?;
        let tx = self.store()?.begin().await?;
        tx.put_instance(setting::SESSION_POLICY, &text).await?;
        let about = About {
            details: json!({ "setting": setting::SESSION_POLICY, "value": policy }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::SettingChanged, about, &Origin::default(), now))
            .await?;
        tx.changed(topic::SETTINGS, setting::SESSION_POLICY, now);
        tx.commit().await?;
        self.refresh_directory_now(now).await
    }
}
