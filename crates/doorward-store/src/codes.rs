//! Authorization codes, under their digests. Each is taken once; the database decides by whom.

use doorward_domain::token::{CodeRecord, Family};
use doorward_domain::{ApplicationId, Timestamp};

use crate::conn::{Conn, Tx};
use crate::error::Result;
use crate::families::{family_columns, family_of};
use crate::fields::Fields;
use crate::sql::{Row, sql};

macro_rules! code_columns {
    () => {
        "family_id AS c_family_id, application_id AS c_application_id, redirect_uri AS c_redirect_uri, \
         redirect_uri_given AS c_redirect_uri_given, code_challenge AS c_code_challenge, \
         created_at AS c_created_at, expires_at AS c_expires_at, used_at AS c_used_at, jkt AS c_jkt"
    };
}

pub(crate) const TAKE: &str = concat!(
    "UPDATE codes SET used_at = $3 WHERE digest = $1 AND application_id = $2 AND used_at IS NULL RETURNING ",
    code_columns!()
);
pub(crate) const USED: &str = concat!(
    "SELECT ",
    code_columns!(),
    " FROM codes WHERE digest = $1 AND application_id = $2 LIMIT 1"
);
pub(crate) const FIND: &str = concat!(
    "SELECT c.family_id AS c_family_id, c.application_id AS c_application_id, c.redirect_uri AS c_redirect_uri, \
     c.redirect_uri_given AS c_redirect_uri_given, c.code_challenge AS c_code_challenge, \
     c.created_at AS c_created_at, c.expires_at AS c_expires_at, c.used_at AS c_used_at, c.jkt AS c_jkt, ",
    family_columns!(),
    " FROM codes AS c JOIN families AS f ON f.id = c.family_id WHERE c.digest = $1 LIMIT 1"
);

/// What came of taking a code.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Taken {
    /// It is yours, nobody else's. `used_at` is now; whether it has expired is the caller's to compare.
    Fresh(CodeRecord),
    /// It was taken before: a replay, or the other of two that came at once.
    Used(CodeRecord),
    /// There is no such code for this application. Another application's code is left as it was.
    Unknown,
}

fn code_of(row: &Row) -> Result<CodeRecord> {
    let fields = Fields::new(row, "codes", "c", "c_family_id");
    Ok(CodeRecord {
        family_id: fields.get("c_family_id")?,
        application_id: fields.get("c_application_id")?,
        redirect_uri: fields.get("c_redirect_uri")?,
        redirect_uri_given: fields.get("c_redirect_uri_given")?,
        code_challenge: fields.get("c_code_challenge")?,
        created_at: fields.get("c_created_at")?,
        expires_at: fields.get("c_expires_at")?,
        used_at: fields.get("c_used_at")?,
        jkt: fields.get("c_jkt")?,
    })
}

impl Conn {
    /// A code with its family, used or not. 1 query.
    ///
    /// # Errors
    /// Any [`crate::Error`] of the engine, [`crate::Error::Corrupt`] for a row that cannot be read; the same for all
    /// methods here.
    pub async fn find_code(&self, digest: &[u8; 32]) -> Result<Option<(CodeRecord, Family)>> {
        match self.first(sql(FIND).bind(digest)).await? {
            None => Ok(None),
            Some(row) => Ok(Some((code_of(&row)?, family_of(&row)?))),
        }
    }
}

impl Tx {
    /// Adds a code. 1 query.
    ///
    /// # Errors
    /// [`crate::Error::Reference`] when there is no such family.
    pub async fn add_code(&self, digest: &[u8; 32], code: &CodeRecord) -> Result<()> {
        let query = sql(
            "INSERT INTO codes(digest, family_id, application_id, redirect_uri, redirect_uri_given, \
             code_challenge, created_at, expires_at, used_at, jkt) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(digest)
        .bind(code.family_id)
        .bind(code.application_id)
        .bind(&code.redirect_uri)
        .bind(code.redirect_uri_given)
        .bind(code.code_challenge.as_deref())
        .bind(code.created_at)
        .bind(code.expires_at)
        .bind(code.used_at)
        .bind(code.jkt.as_deref());
        self.run(query).await?;
        Ok(())
    }

    /// Takes a code for an application, once (RFC 6749 section 4.1.2: a code is not used more than once). 1 query when
    /// it is fresh, else 2.
    ///
    /// # Errors
    /// See [`Conn::find_code`].
    pub async fn take_code(
        &self,
        digest: &[u8; 32],
        application: ApplicationId,
        now: Timestamp,
    ) -> Result<Taken> {
        if let Some(row) = self
            .returning(sql(TAKE).bind(digest).bind(application).bind(now))
            .await?
        {
            return Ok(Taken::Fresh(code_of(&row)?));
        }
        match self.first(sql(USED).bind(digest).bind(application)).await? {
            Some(row) => Ok(Taken::Used(code_of(&row)?)),
            None => Ok(Taken::Unknown),
        }
    }

    /// Removes codes that expired before `before`; at most [`crate::FORGET_BATCH`] per call. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_code`].
    pub async fn forget_codes(&self, before: Timestamp) -> Result<u64> {
        let query = sql("DELETE FROM codes WHERE digest IN \
             (SELECT digest FROM codes WHERE expires_at < $1 ORDER BY expires_at LIMIT 1000)");
        self.run(query.bind(before)).await
    }
}
