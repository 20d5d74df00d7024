//! Sign-ins through the token API: a session and the generation of its refresh tokens.

use doorward_domain::session::Session;
use doorward_domain::token_api::TokenFamily;
use doorward_domain::user::User;
use doorward_domain::{GroupId, SessionId, Timestamp};

use crate::conn::{Conn, Tx};
use crate::error::Result;
use crate::fields::{Fields, group_ids_column, user_columns};
use crate::sessions::{session_columns, session_of};
use crate::sql::sql;
use crate::users::person_of;

pub(crate) const WITH_PERSON: &str = concat!(
    "SELECT t.session_id AS t_session_id, t.generation AS t_generation, t.created_at AS t_created_at, \
     t.rotated_at AS t_rotated_at, ",
    session_columns!(),
    ", ",
    user_columns!(),
    ", ",
    group_ids_column!(),
    " FROM token_families AS t JOIN sessions AS s ON s.id = t.session_id JOIN users AS u ON u.id = s.user_id \
      WHERE t.session_id = $1 LIMIT 1"
);

/// One statement: whoever comes second finds another generation.
pub(crate) const RAISE: &str = "UPDATE token_families SET generation = generation + 1, rotated_at = $3 \
    WHERE session_id = $1 AND generation = $2 AND EXISTS ( \
        SELECT 1 FROM sessions AS s JOIN users AS u ON u.id = s.user_id WHERE s.id = $1 AND s.ended_at IS NULL \
        AND s.expires_at > $3 AND u.active AND u.deleted_at IS NULL AND u.kind <> 'service') \
    RETURNING generation";

/// A sign-in through the token API with its person.
#[derive(Clone, Debug)]
pub struct FamilyRow {
    /// The generations.
    pub family: TokenFamily,
    /// The session.
    pub session: Session,
    /// Whose.
    pub user: User,
    /// Groups that the user is directly in.
    pub groups: Vec<GroupId>,
}

impl Conn {
    /// One sign-in through the token API with its session, its user and the live groups the user is directly in. Ended
    /// sessions and users that may not sign in are returned too: the caller compares at use. 1 query.
    ///
    /// # Errors
    /// Any [`crate::Error`] of the engine, [`crate::Error::Corrupt`] for a row that cannot be read; the same for all
    /// methods here.
    pub async fn token_family(&self, session: SessionId) -> Result<Option<FamilyRow>> {
        let Some(row) = self.first(sql(WITH_PERSON).bind(session)).await? else {
            return Ok(None);
        };
        let fields = Fields::new(&row, "token_families", "t", "t_session_id");
        let family = TokenFamily {
            session: fields.get("t_session_id")?,
            generation: fields.get("t_generation")?,
            created_at: fields.get("t_created_at")?,
            rotated_at: fields.get("t_rotated_at")?,
        };
        let (user, groups) = person_of(&row)?;
        Ok(Some(FamilyRow {
            family,
            session: session_of(&row)?,
            user,
            groups,
        }))
    }
}

impl Tx {
    /// Makes a session one of the token API, which ends at `expires_at` whatever the policy for browsers says. 2 queries.
    ///
    /// # Errors
    /// [`crate::Error::Reference`] when there is no such session.
    pub async fn add_token_family(&self, family: &TokenFamily, expires_at: Timestamp) -> Result<()> {
        let insert = sql(
            "INSERT INTO token_families(session_id, generation, created_at, rotated_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(family.session)
        .bind(family.generation)
        .bind(family.created_at)
        .bind(family.rotated_at);
        self.run(insert).await?;
        self.set_session_end(family.session, expires_at).await
    }

    /// Sets when a session ends by itself. 1 query.
    ///
    /// # Errors
    /// See [`Conn::token_family`].
    pub async fn set_session_end(&self, session: SessionId, expires_at: Timestamp) -> Result<()> {
        let update = sql("UPDATE sessions SET expires_at = $2 WHERE id = $1");
        self.run(update.bind(session).bind(expires_at)).await?;
        Ok(())
    }

    /// Raises the generation by one when `generation` is the current one, the session is live at `now`, and its user may
    /// sign in. Of any number of callers, one gets `true`. 1 query.
    ///
    /// # Errors
    /// See [`Conn::token_family`].
    pub async fn raise_generation(
        &self,
        session: SessionId,
        generation: i64,
        now: Timestamp,
    ) -> Result<bool> {
        let raised = sql(RAISE).bind(session).bind(generation).bind(now);
        Ok(self.returning(raised).await?.is_some())
    }

    /// Makes one session that another service began, under a digest that no cookie leads to. Gives false when it is there
    /// already. 2 queries.
    ///
    /// # Errors
    /// [`crate::Error::Reference`] when there is no such user.
    pub async fn import_token_session(
        &self,
        session: &Session,
        digest: &[u8; 32],
        family: &TokenFamily,
    ) -> Result<bool> {
        if self.session(session.id).await?.is_some() {
            return Ok(false);
        }
        self.add_session(session, digest).await?;
        self.add_token_family(family, session.expires_at).await?;
        Ok(true)
    }
}
