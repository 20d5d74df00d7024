//! Signed-in browsers. The cookie's value is here as a digest only.

use serde_json::Value as Json;
use std::collections::BTreeMap;

use doorward_domain::app_auth::AppSession;
use doorward_domain::session::{Authentication, Session};
use doorward_domain::user::User;
use doorward_domain::{GroupId, SessionId, Timestamp, UserId};

use crate::conn::{Conn, Tx};
use crate::error::{Error, Result};
use crate::fields::{Fields, group_ids_column, texts, user_columns};
use crate::sql::{MAX_LIST, Row, sql};
use crate::users::person_of;

macro_rules! session_columns {
    () => {
        "s.id AS s_id, s.user_id AS s_user_id, s.auth_at AS s_auth_at, s.amr AS s_amr, \
         s.created_at AS s_created_at, s.expires_at AS s_expires_at, s.last_seen_at AS s_last_seen_at, \
         s.ended_at AS s_ended_at, s.ip AS s_ip, s.user_agent AS s_user_agent, s.app AS s_app"
    };
}
pub(crate) use session_columns;

pub(crate) const BY_DIGEST: &str = concat!(
    "SELECT ",
    session_columns!(),
    ", ",
    user_columns!(),
    ", ",
    group_ids_column!(),
    " FROM sessions AS s JOIN users AS u ON u.id = s.user_id WHERE s.digest = $1 LIMIT 1"
);
pub(crate) const WITH_PERSON: &str = concat!(
    "SELECT ",
    session_columns!(),
    ", ",
    user_columns!(),
    ", ",
    group_ids_column!(),
    " FROM sessions AS s JOIN users AS u ON u.id = s.user_id WHERE s.id = $1 LIMIT 1"
);
pub(crate) const BY_ID: &str = concat!(
    "SELECT ",
    session_columns!(),
    " FROM sessions AS s WHERE s.id = $1 LIMIT 1"
);
pub(crate) const OF_USER: &str = concat!(
    "SELECT ",
    session_columns!(),
    " FROM sessions AS s WHERE s.user_id = $1 AND s.ended_at IS NULL AND s.expires_at > $2 \
      ORDER BY s.last_seen_at DESC, s.id LIMIT 1000"
);

/// The session in a row that has the columns of `session_columns!`.
pub(crate) fn session_of(row: &Row) -> Result<Session> {
    let fields = Fields::new(row, "sessions", "s", "s_id");
    Ok(Session {
        id: fields.get("s_id")?,
        user_id: fields.get("s_user_id")?,
        authentication: Authentication {
            at: fields.get("s_auth_at")?,
            methods: fields.list("s_amr")?,
        },
        created_at: fields.get("s_created_at")?,
        expires_at: fields.get("s_expires_at")?,
        last_seen_at: fields.get("s_last_seen_at")?,
        ended_at: fields.get("s_ended_at")?,
        ip: fields.get("s_ip")?,
        user_agent: fields.get("s_user_agent")?,
        app: match fields.get::<Option<Json>>("s_app")? {
            None => None,
            Some(_) => Some(fields.json("s_app", serde_json::from_value)?),
        },
    })
}

fn app_json(app: Option<&AppSession>) -> Result<Option<Json>> {
    app.map(serde_json::to_value).transpose().map_err(|error| {
        Error::Engine(format!(
            "the app's part of a session cannot be written as JSON: {error}"
        ))
    })
}

impl Conn {
    /// The session behind a cookie with its user and the live groups the user is directly in. Ended and expired sessions
    /// and users that may not sign in are returned too: the caller compares at use. 1 query.
    ///
    /// # Errors
    /// Any [`crate::Error`] of the engine, [`crate::Error::Corrupt`] for a row that cannot be read; the same for all
    /// methods here.
    pub async fn session_by_digest(
        &self,
        digest: &[u8; 32],
    ) -> Result<Option<(Session, User, Vec<GroupId>)>> {
        let Some(row) = self.first(sql(BY_DIGEST).bind(digest)).await? else {
            return Ok(None);
        };
        let (user, groups) = person_of(&row)?;
        Ok(Some((session_of(&row)?, user, groups)))
    }

    /// The same by the id of the session. 1 query.
    ///
    /// # Errors
    /// See [`Conn::session_by_digest`].
    pub async fn session_with_person(&self, id: SessionId) -> Result<Option<(Session, User, Vec<GroupId>)>> {
        let Some(row) = self.first(sql(WITH_PERSON).bind(id)).await? else {
            return Ok(None);
        };
        let (user, groups) = person_of(&row)?;
        Ok(Some((session_of(&row)?, user, groups)))
    }

    /// One session by id, also when it ended. 1 query.
    ///
    /// # Errors
    /// See [`Conn::session_by_digest`].
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        self.first(sql(BY_ID).bind(id))
            .await?
            .as_ref()
            .map(session_of)
            .transpose()
    }

    /// The sessions of a user that are live at `now`, the one seen last first; at most 1,000. 1 query.
    ///
    /// # Errors
    /// See [`Conn::session_by_digest`].
    pub async fn sessions_of(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>> {
        self.all(sql(OF_USER).bind(user).bind(now))
            .await?
            .iter()
            .map(session_of)
            .collect()
    }
}

impl Tx {
    /// Adds a session under the digest of its cookie. 1 query.
    ///
    /// # Errors
    /// [`crate::Error::Reference`] when there is no such user.
    pub async fn add_session(&self, session: &Session, digest: &[u8; 32]) -> Result<()> {
        let query = sql(
            "INSERT INTO sessions(id, digest, user_id, auth_at, amr, created_at, expires_at, \
             last_seen_at, ended_at, ip, user_agent, app) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(session.id)
        .bind(digest)
        .bind(session.user_id)
        .bind(session.authentication.at)
        .bind(texts(&session.authentication.methods))
        .bind(session.created_at)
        .bind(session.expires_at)
        .bind(session.last_seen_at)
        .bind(session.ended_at)
        .bind(session.ip.as_deref())
        .bind(session.user_agent.as_deref())
        .bind(app_json(session.app.as_ref())?);
        self.run(query).await?;
        Ok(())
    }

    /// Saves what a session knows of its app and when it ends, while it has not ended. False when it has. 1 query.
    ///
    /// # Errors
    /// See [`Conn::session_by_digest`].
    pub async fn save_app_session(&self, session: &Session) -> Result<bool> {
        let query = sql("UPDATE sessions SET app = $2, expires_at = $3 WHERE id = $1 AND ended_at IS NULL")
            .bind(session.id)
            .bind(app_json(session.app.as_ref())?)
            .bind(session.expires_at);
        Ok(self.run(query).await? > 0)
    }

    /// Keeps a session from being ended until this transaction ends; false when it is not live at `now`. 1 query.
    ///
    /// # Errors
    /// See [`Conn::session_by_digest`].
    pub async fn lock_session(&self, id: SessionId, now: Timestamp) -> Result<bool> {
        let query = sql(
            "UPDATE sessions SET last_seen_at = last_seen_at WHERE id = $1 AND ended_at IS NULL AND expires_at > $2",
        );
        Ok(self.run(query.bind(id).bind(now)).await? > 0)
    }

    /// Ends a session; false when it had ended or is unknown. 1 query.
    ///
    /// # Errors
    /// See [`Conn::session_by_digest`].
    pub async fn end_session(&self, id: SessionId, reason: &str, now: Timestamp) -> Result<bool> {
        let query =
            sql("UPDATE sessions SET ended_at = $2, ended_reason = $3 WHERE id = $1 AND ended_at IS NULL");
        Ok(self.run(query.bind(id).bind(now).bind(reason)).await? > 0)
    }

    /// Ends all sessions of a user that are live at `now`, other than `except`; gives which. 1 query.
    ///
    /// # Errors
    /// See [`Conn::session_by_digest`].
    pub async fn end_sessions_of(
        &self,
        user: UserId,
        except: Option<SessionId>,
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<SessionId>> {
        let query = sql("UPDATE sessions SET ended_at = $2, ended_reason = $3 \
             WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 AND id <> $4 RETURNING id")
        .bind(user)
        .bind(now)
        .bind(reason)
        .bind(except.unwrap_or(SessionId::from_uuid(uuid::Uuid::nil())));
        self.all(query).await?.iter().map(|row| row.get("id")).collect()
    }

    /// Records a new proof in a session that has not ended, under a new cookie; the old cookie stops working. False when
    /// the session has ended. 1 query.
    ///
    /// # Errors
    /// See [`Conn::session_by_digest`].
    pub async fn reauthenticate(
        &self,
        id: SessionId,
        new_digest: &[u8; 32],
        authentication: &Authentication,
        expires_at: Timestamp,
    ) -> Result<bool> {
        let query = sql(
            "UPDATE sessions SET digest = $2, auth_at = $3, amr = $4, expires_at = $5, last_seen_at = $3 \
             WHERE id = $1 AND ended_at IS NULL",
        )
        .bind(id)
        .bind(new_digest)
        .bind(authentication.at)
        .bind(texts(&authentication.methods))
        .bind(expires_at);
        Ok(self.run(query).await? > 0)
    }

    /// Records when sessions were last seen, to the second below; never moves backwards. Sessions seen in the same
    /// second share 1 query.
    ///
    /// # Errors
    /// See [`Conn::session_by_digest`].
    pub async fn touch_sessions(&self, seen: &[(SessionId, Timestamp)]) -> Result<()> {
        let mut seconds: BTreeMap<i64, Vec<SessionId>> = BTreeMap::new();
        for (session, at) in seen {
            seconds.entry(at.seconds()).or_default().push(*session);
        }
        for (second, mut sessions) in seconds {
            sessions.sort_unstable();
            for sessions in sessions.chunks(MAX_LIST) {
                let query = sql("UPDATE sessions SET last_seen_at = $1 WHERE id IN $2 AND last_seen_at < $1");
                self.run(query.bind(Timestamp::from_seconds(second)).bind_list(sessions))
                    .await?;
            }
        }
        Ok(())
    }

    /// Removes sessions that ended or expired before `before`; at most [`crate::FORGET_BATCH`] per call. 1 query.
    ///
    /// # Errors
    /// See [`Conn::session_by_digest`].
    pub async fn forget_sessions(&self, before: Timestamp) -> Result<u64> {
        let query = sql("DELETE FROM sessions WHERE id IN (SELECT id FROM ( \
                SELECT id FROM sessions WHERE expires_at < $1 \
                UNION ALL SELECT id FROM sessions WHERE ended_at < $1 AND expires_at >= $1 \
             ) AS gone LIMIT 1000)");
        self.run(query.bind(before)).await
    }
}
