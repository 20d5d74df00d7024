//! Refreshing: of any number of callers with one token, one makes the next generation and all get it.

use serde_json::{Value, json};

use doorward_domain::access::Person;
use doorward_domain::token_api::{Late, Refresh, late};
use doorward_domain::user::UserKind;
use doorward_domain::{Reason, Timestamp};
use doorward_store::FamilyRow;

use super::{Answer, Refusal, TokenApi};
use crate::error::Result;
use crate::events::About;
use crate::{Doorward, Origin};

impl Doorward {
    /// Gives the next pair of tokens, or the current one once more when it was made a moment ago.
    ///
    /// # Errors
    /// `Refresh` for a token that is none or over; `Reused` for one that was replaced before: its session has ended then.
    pub async fn token_refresh(&self, token: &str, origin: &Origin) -> Answer<Value> {
        let api = self.the_token_api()?;
        let Some(refresh) = self.open_refresh(api, token) else {
            return Err(self.no_refresh());
        };
        let Some(row) = self.family_of(&refresh).await? else {
            return Err(self.no_refresh());
        };
        let now = self.now();
        if row.family.generation != refresh.generation || !self.is_alive(&row, now) {
            return self.refresh_late(api, &refresh, row, origin).await;
        }
        let store = self.store()?;
        let tx = store.begin().await?;
        let raised = tx
            .raise_generation(refresh.session, refresh.generation, now)
            .await?;
        if !raised {
            // Somebody was faster. What they wrote is seen here; other readers see it once it is committed, with this.
            let row = tx.token_family(refresh.session).await?;
            tx.commit().await?;
            let Some(row) = row.filter(|row| row.session.user_id == refresh.user) else {
                return Err(self.no_refresh());
            };
            return self.refresh_late(api, &refresh, row, origin).await;
        }
        let mut next = row;
        tx.touch_sessions(&[(refresh.session, now)]).await?;
        if api.sliding {
            next.session.expires_at = now.plus(api.refresh_lifetime);
            tx.set_session_end(refresh.session, next.session.expires_at)
                .await?;
        }
        tx.commit().await?;
        next.family.generation += 1;
        next.family.rotated_at = Some(now);
        if api.sliding {
            self.inner.sessions.forget(&refresh.session.to_string());
        }
        self.inner.metrics.decided("token_refresh", "allowed");
        self.pair_of(api, next)
    }

    fn no_refresh(&self) -> Refusal {
        self.inner
            .metrics
            .decided("token_refresh", Reason::InvalidGrant.as_str());
        Refusal::Refresh
    }

    async fn family_of(&self, refresh: &Refresh) -> Result<Option<FamilyRow>> {
        let found = self.store()?.read().token_family(refresh.session).await?;
        Ok(found.filter(|row| row.session.user_id == refresh.user))
    }

    fn is_alive(&self, row: &FamilyRow, now: Timestamp) -> bool {
        let idle = self.directory_now().session_policy.idle;
        row.session.is_live(now)
            && row.user.is_usable()
            && row.user.kind != UserKind::Service
            && idle.is_none_or(|idle| now < row.session.last_seen_at.plus(idle))
    }

    /// A token that is not the current one.
    async fn refresh_late(
        &self,
        api: &TokenApi,
        refresh: &Refresh,
        row: FamilyRow,
        origin: &Origin,
    ) -> Answer<Value> {
        let now = self.now();
        match late(refresh.generation, &row.family, self.is_alive(&row, now), now) {
            Late::Again => {
                self.inner.metrics.decided("token_refresh", "again");
                self.pair_of(api, row)
            }
            Late::Over => Err(self.no_refresh()),
            Late::Stolen => {
                let reason = Reason::TokenReuse;
                self.inner.metrics.decided("token_refresh", reason.as_str());
                let tx = self.store()?.begin().await?;
                let user = row.user.id;
                let closed = self
                    .close_session(&tx, refresh.session, Some(user), "reuse", now)
                    .await?;
                if closed {
                    let about = About {
                        user: Some(user),
                        session: Some(refresh.session),
                        details: json!({ "generation": refresh.generation, "current": row.family.generation }),
                        ..About::default()
                    };
                    self.refuse_in(&tx, reason, about, origin, now).await?;
                }
                tx.commit().await?;
                self.inner.sessions.forget(&refresh.session.to_string());
                Err(Refusal::Reused)
            }
        }
    }

    fn pair_of(&self, api: &TokenApi, row: FamilyRow) -> Answer<Value> {
        let FamilyRow {
            family,
            session,
            user,
            groups,
        } = row;
        let person = Person::new(user, groups, &self.directory().groups);
        let mut answer = self.pair(api, &family, &session, &person)?;
        Ok(Value::Object(std::mem::take(&mut answer)))
    }
}
