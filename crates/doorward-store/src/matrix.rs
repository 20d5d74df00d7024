//! Accounts at the Matrix server that belong to people.

use doorward_domain::token_api::matrix::{MatrixAccount, MatrixStatus};
use doorward_domain::{Timestamp, UserId};

use crate::conn::{Conn, Tx};
use crate::error::Result;
use crate::fields::{Fields, page};
use crate::sql::{Row, sql};

macro_rules! matrix_columns {
    () => {
        "m.user_id AS m_user_id, m.localpart AS m_localpart, m.matrix_user_id AS m_matrix_user_id, \
         m.status AS m_status, m.attempts AS m_attempts, m.next_attempt_at AS m_next_attempt_at, \
         m.in_flight_at AS m_in_flight_at, m.last_error AS m_last_error, m.created_at AS m_created_at, \
         m.updated_at AS m_updated_at"
    };
}

pub(crate) const OF_USER: &str = concat!(
    "SELECT ",
    matrix_columns!(),
    " FROM matrix_accounts AS m WHERE m.user_id = $1 LIMIT 1"
);
pub(crate) const BY_STATUS: &str = concat!(
    "SELECT ",
    matrix_columns!(),
    " FROM matrix_accounts AS m WHERE m.status = $1 AND m.user_id > $2 ORDER BY m.user_id LIMIT $3"
);
pub(crate) const ALL: &str = concat!(
    "SELECT ",
    matrix_columns!(),
    " FROM matrix_accounts AS m WHERE m.user_id > $1 ORDER BY m.user_id LIMIT $2"
);

fn account_of(row: &Row) -> Result<MatrixAccount> {
    let fields = Fields::new(row, "matrix_accounts", "m", "m_user_id");
    Ok(MatrixAccount {
        user_id: fields.get("m_user_id")?,
        localpart: fields.get("m_localpart")?,
        matrix_user_id: fields.get("m_matrix_user_id")?,
        status: fields.word("m_status")?,
        attempts: fields.get("m_attempts")?,
        next_attempt_at: fields.get("m_next_attempt_at")?,
        in_flight_at: fields.get("m_in_flight_at")?,
        last_error: fields.get("m_last_error")?,
        created_at: fields.get("m_created_at")?,
        updated_at: fields.get("m_updated_at")?,
    })
}

impl Conn {
    /// The account of a person. 1 query.
    ///
    /// # Errors
    /// Any [`crate::Error`] of the engine, [`crate::Error::Corrupt`] for a row that cannot be read; the same for all
    /// methods here.
    pub async fn matrix_account(&self, user: UserId) -> Result<Option<MatrixAccount>> {
        self.first(sql(OF_USER).bind(user))
            .await?
            .as_ref()
            .map(account_of)
            .transpose()
    }

    /// One page of accounts in order of their people. 1 query.
    ///
    /// # Errors
    /// See [`Conn::matrix_account`].
    pub async fn matrix_accounts(
        &self,
        status: Option<MatrixStatus>,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<MatrixAccount>> {
        let after = after.unwrap_or(UserId::from_uuid(uuid::Uuid::nil()));
        let query = match status {
            Some(status) => sql(BY_STATUS).bind(status.as_str()).bind(after),
            None => sql(ALL).bind(after),
        };
        let rows = self.all(query.bind(page(limit))).await?;
        rows.iter().map(account_of).collect()
    }
}

impl Tx {
    /// Adds an account. 1 query.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] when the person has one or the name is taken.
    pub async fn add_matrix_account(&self, account: &MatrixAccount) -> Result<()> {
        let insert = sql(
            "INSERT INTO matrix_accounts(user_id, localpart, matrix_user_id, status, attempts, next_attempt_at, \
             in_flight_at, last_error, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(account.user_id)
        .bind(&account.localpart)
        .bind(account.matrix_user_id.as_deref())
        .bind(account.status.as_str())
        .bind(account.attempts)
        .bind(account.next_attempt_at)
        .bind(account.in_flight_at)
        .bind(account.last_error.as_deref())
        .bind(account.created_at)
        .bind(account.updated_at);
        self.run(insert).await?;
        Ok(())
    }

    /// Saves where an account stands, when it is still as it was at `seen` (its `updated_at`); false when somebody else was
    /// faster. 1 query.
    ///
    /// # Errors
    /// See [`Conn::matrix_account`].
    pub async fn save_matrix_account(&self, account: &MatrixAccount, seen: Timestamp) -> Result<bool> {
        let update = sql(
            "UPDATE matrix_accounts SET matrix_user_id = $2, status = $3, attempts = $4, next_attempt_at = $5, \
             in_flight_at = $6, last_error = $7, updated_at = $8 WHERE user_id = $1 AND updated_at = $9",
        )
        .bind(account.user_id)
        .bind(account.matrix_user_id.as_deref())
        .bind(account.status.as_str())
        .bind(account.attempts)
        .bind(account.next_attempt_at)
        .bind(account.in_flight_at)
        .bind(account.last_error.as_deref())
        .bind(account.updated_at)
        .bind(seen);
        Ok(self.run(update).await? > 0)
    }
}
