//! What the doors of apps keep: accounts at other providers, one-time proofs, records.

use doorward_domain::app_auth::Account;
use doorward_domain::user::User;
use doorward_domain::{AccountId, AppRecordId, ApplicationId, Timestamp, UserId};
use serde_json::Value as Json;

use crate::conn::{Conn, Tx};
use crate::error::{Error, Result};
use crate::fields::{Fields, user_columns};
use crate::sql::{Row, sql};
use crate::users::user_of;

macro_rules! account_columns {
    () => {
        "SELECT a.id AS a_id, a.application_id AS a_application_id, a.user_id AS a_user_id, a.provider_id AS a_provider_id, \
         a.account_id AS a_account_id, a.scope AS a_scope, a.tokens AS a_tokens, a.created_at AS a_created_at, \
         a.updated_at AS a_updated_at FROM accounts AS a "
    };
}

pub(crate) const ACCOUNT: &str = concat!(
    account_columns!(),
    "WHERE a.application_id = $1 AND a.provider_id = $2 AND a.account_id = $3 LIMIT 1"
);
pub(crate) const ACCOUNTS_OF: &str = concat!(
    account_columns!(),
    "WHERE a.user_id = $1 AND a.application_id = $2 ORDER BY a.id LIMIT 100"
);
pub(crate) const PROOF: &str = "SELECT user_id AS p_user_id, content AS p_content, tries AS p_tries, expires_at AS p_expires_at \
    FROM proofs WHERE digest = $1 AND application_id = $2 LIMIT 1";
pub(crate) const TAKE_PROOF: &str = "DELETE FROM proofs WHERE digest = $1 AND application_id = $2 \
    RETURNING user_id AS p_user_id, content AS p_content, tries AS p_tries, expires_at AS p_expires_at";

/// Something that proves something once.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Of whom, when it is somebody's.
    pub user: Option<UserId>,
    /// Sealed content.
    pub content: Vec<u8>,
    /// Wrong tries so far.
    pub tries: i64,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// Something that an app keeps.
#[derive(Clone, Debug)]
pub struct AppRecord {
    /// Identifier.
    pub id: AppRecordId,
    /// The app.
    pub application: ApplicationId,
    /// What it is.
    pub kind: String,
    /// What it is part of.
    pub parent: Option<AppRecordId>,
    /// Whose.
    pub user: Option<UserId>,
    /// Found by this, unique within app and kind.
    pub name: Option<String>,
    /// The rest.
    pub content: Json,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts changes.
    pub version: i64,
}

fn account_of(row: &Row) -> Result<Account> {
    let fields = Fields::new(row, "accounts", "a", "a_id");
    Ok(Account {
        id: fields.get("a_id")?,
        application: fields.get("a_application_id")?,
        user: fields.get("a_user_id")?,
        provider: fields.get("a_provider_id")?,
        account: fields.get("a_account_id")?,
        scope: fields.get("a_scope")?,
        tokens: fields.get("a_tokens")?,
        created_at: fields.get("a_created_at")?,
        updated_at: fields.get("a_updated_at")?,
    })
}

fn proof_of(row: &Row) -> Result<Proof> {
    let fields = Fields::new(row, "proofs", "p", "p_user_id");
    Ok(Proof {
        user: fields.get("p_user_id")?,
        content: fields.get("p_content")?,
        tries: fields.get("p_tries")?,
        expires_at: fields.get("p_expires_at")?,
    })
}

macro_rules! record_columns {
    () => {
        "r.id AS r_id, r.application_id AS r_application_id, r.kind AS r_kind, r.parent_id AS r_parent_id, r.user_id AS r_user_id, \
         r.name_key AS r_name_key, r.content AS r_content, r.created_at AS r_created_at, r.updated_at AS r_updated_at, \
         r.version AS r_version FROM app_records AS r "
    };
}

pub(crate) const RECORD: &str = concat!("SELECT ", record_columns!(), "WHERE r.id = $1 LIMIT 1");
pub(crate) const RECORD_NAMED: &str = concat!(
    "SELECT ",
    record_columns!(),
    "WHERE r.application_id = $1 AND r.kind = $2 AND r.name_key = $3 LIMIT 1"
);
pub(crate) const RECORDS_WITHIN: &str = concat!(
    "SELECT ",
    record_columns!(),
    "WHERE r.parent_id = $1 AND r.kind = $2 ORDER BY r.id LIMIT 1000"
);
pub(crate) const RECORDS_OF: &str = concat!(
    "SELECT ",
    record_columns!(),
    "WHERE r.user_id = $1 AND r.kind = $2 AND r.application_id = $3 ORDER BY r.id LIMIT 1000"
);

pub(crate) const RECORD_OF: &str = concat!(
    "SELECT ",
    record_columns!(),
    "WHERE r.user_id = $1 AND r.kind = $2 ORDER BY r.id LIMIT 1"
);
pub(crate) const RECORDS_BEGIN: &str = concat!(
    "SELECT ",
    record_columns!(),
    "WHERE r.application_id = $1 AND r.kind = $2 AND r.name_key >= $3 AND r.name_key < $4 ORDER BY r.name_key LIMIT 1000"
);
macro_rules! record_people {
    () => {
        "r.id AS r_id, r.application_id AS r_application_id, r.kind AS r_kind, r.parent_id AS r_parent_id, r.user_id AS r_user_id, \
         r.name_key AS r_name_key, r.content AS r_content, r.created_at AS r_created_at, r.updated_at AS r_updated_at, \
         r.version AS r_version FROM app_records AS r JOIN users AS u ON u.id = r.user_id "
    };
}
pub(crate) const PEOPLE_WITHIN: &str = concat!(
    "SELECT ",
    user_columns!(),
    ", ",
    record_people!(),
    "WHERE r.parent_id = $1 AND r.kind = $2 AND u.deleted_at IS NULL ORDER BY r.id LIMIT 1000"
);
pub(crate) const PEOPLE_NAMED: &str = concat!(
    "SELECT ",
    user_columns!(),
    ", ",
    record_people!(),
    "WHERE r.application_id = $1 AND r.kind = $2 AND r.name_key > $3 AND u.deleted_at IS NULL ORDER BY r.name_key LIMIT 1000"
);

fn record_of(row: &Row) -> Result<AppRecord> {
    let fields = Fields::new(row, "app_records", "r", "r_id");
    Ok(AppRecord {
        id: fields.get("r_id")?,
        application: fields.get("r_application_id")?,
        kind: fields.get("r_kind")?,
        parent: fields.get("r_parent_id")?,
        user: fields.get("r_user_id")?,
        name: fields.get("r_name_key")?,
        content: fields.get("r_content")?,
        created_at: fields.get("r_created_at")?,
        updated_at: fields.get("r_updated_at")?,
        version: fields.get("r_version")?,
    })
}

impl Conn {
    /// The account of this name at a provider. 1 query.
    ///
    /// # Errors
    /// Any [`Error`] of the engine, [`Error::Corrupt`] for a row that cannot be read; the same for all methods here.
    pub async fn account(
        &self,
        application: ApplicationId,
        provider: &str,
        account: &str,
    ) -> Result<Option<Account>> {
        let query = sql(ACCOUNT).bind(application).bind(provider).bind(account);
        self.first(query).await?.as_ref().map(account_of).transpose()
    }

    /// The accounts of a person in an app, at most 100. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn accounts_of(&self, user: UserId, application: ApplicationId) -> Result<Vec<Account>> {
        let rows = self.all(sql(ACCOUNTS_OF).bind(user).bind(application)).await?;
        rows.iter().map(account_of).collect()
    }

    /// A proof that is not used up; perhaps it ended. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn proof(&self, application: ApplicationId, digest: &[u8; 32]) -> Result<Option<Proof>> {
        let query = sql(PROOF).bind(digest).bind(application);
        self.first(query).await?.as_ref().map(proof_of).transpose()
    }

    /// A record by id. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn app_record(&self, id: AppRecordId) -> Result<Option<AppRecord>> {
        self.first(sql(RECORD).bind(id))
            .await?
            .as_ref()
            .map(record_of)
            .transpose()
    }

    /// A record by its name. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn app_record_named(
        &self,
        application: ApplicationId,
        kind: &str,
        name: &str,
    ) -> Result<Option<AppRecord>> {
        let query = sql(RECORD_NAMED).bind(application).bind(kind).bind(name);
        self.first(query).await?.as_ref().map(record_of).transpose()
    }

    /// The first record of a kind of a person, whatever the app. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn app_record_of(&self, user: UserId, kind: &str) -> Result<Option<AppRecord>> {
        let query = sql(RECORD_OF).bind(user).bind(kind);
        self.first(query).await?.as_ref().map(record_of).transpose()
    }

    /// The records of a kind within another, at most 1,000. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn app_records_within(&self, parent: AppRecordId, kind: &str) -> Result<Vec<AppRecord>> {
        let rows = self.all(sql(RECORDS_WITHIN).bind(parent).bind(kind)).await?;
        rows.iter().map(record_of).collect()
    }

    /// The records of a kind whose names begin like this, at most 1,000. The next letter after the beginning has to sort before
    /// `~`. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn app_records_begin(
        &self,
        application: ApplicationId,
        kind: &str,
        beginning: &str,
    ) -> Result<Vec<AppRecord>> {
        let query = sql(RECORDS_BEGIN)
            .bind(application)
            .bind(kind)
            .bind(beginning)
            .bind(format!("{beginning}~").as_str());
        let rows = self.all(query).await?;
        rows.iter().map(record_of).collect()
    }

    /// The records of a kind within another with their living people, at most 1,000. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn app_people_within(&self, parent: AppRecordId, kind: &str) -> Result<Vec<(AppRecord, User)>> {
        let rows = self.all(sql(PEOPLE_WITHIN).bind(parent).bind(kind)).await?;
        rows.iter()
            .map(|row| Ok((record_of(row)?, user_of(row)?)))
            .collect()
    }

    /// The records of a kind in an app with their living people, by name after `after`, at most 1,000. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn app_people_named(
        &self,
        application: ApplicationId,
        kind: &str,
        after: &str,
    ) -> Result<Vec<(AppRecord, User)>> {
        let query = sql(PEOPLE_NAMED).bind(application).bind(kind).bind(after);
        let rows = self.all(query).await?;
        rows.iter()
            .map(|row| Ok((record_of(row)?, user_of(row)?)))
            .collect()
    }

    /// The records of a kind of a person in an app, at most 1,000. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn app_records_of(
        &self,
        application: ApplicationId,
        user: UserId,
        kind: &str,
    ) -> Result<Vec<AppRecord>> {
        let rows = self
            .all(sql(RECORDS_OF).bind(user).bind(kind).bind(application))
            .await?;
        rows.iter().map(record_of).collect()
    }
}

impl Tx {
    /// Adds an account. 1 query.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it belongs to somebody already.
    pub async fn add_account(&self, account: &Account) -> Result<()> {
        let query = sql("INSERT INTO accounts(id, application_id, user_id, provider_id, account_id, scope, tokens, created_at, \
             updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(account.id)
        .bind(account.application)
        .bind(account.user)
        .bind(&account.provider)
        .bind(&account.account)
        .bind(&account.scope)
        .bind(account.tokens.as_slice())
        .bind(account.created_at)
        .bind(account.updated_at);
        self.run(query).await?;
        Ok(())
    }

    /// Saves scope and tokens of an account. False when it is gone. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn save_account(&self, account: &Account) -> Result<bool> {
        let query = sql("UPDATE accounts SET scope = $2, tokens = $3, updated_at = $4 WHERE id = $1")
            .bind(account.id)
            .bind(&account.scope)
            .bind(account.tokens.as_slice())
            .bind(account.updated_at);
        Ok(self.run(query).await? > 0)
    }

    /// Removes an account; false when it is gone. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn remove_account(&self, id: AccountId) -> Result<bool> {
        Ok(self
            .run(sql("DELETE FROM accounts WHERE id = $1").bind(id))
            .await?
            > 0)
    }

    /// Removes all accounts of a person in an app. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn remove_accounts_of(&self, user: UserId, application: ApplicationId) -> Result<u64> {
        let query = sql("DELETE FROM accounts WHERE user_id = $1 AND application_id = $2");
        self.run(query.bind(user).bind(application)).await
    }

    /// Removes the password of a user; false when there is none. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn remove_password(&self, user: UserId) -> Result<bool> {
        Ok(self
            .run(sql("DELETE FROM passwords WHERE user_id = $1").bind(user))
            .await?
            > 0)
    }

    /// Keeps a proof; one under the same digest gives way. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn put_proof(
        &self,
        application: ApplicationId,
        digest: &[u8; 32],
        proof: &Proof,
        now: Timestamp,
    ) -> Result<()> {
        let query = sql("INSERT INTO proofs(digest, application_id, user_id, content, tries, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (digest) DO UPDATE SET user_id = excluded.user_id, \
             content = excluded.content, tries = excluded.tries, created_at = excluded.created_at, expires_at = excluded.expires_at")
        .bind(digest)
        .bind(application)
        .bind(proof.user)
        .bind(proof.content.as_slice())
        .bind(proof.tries)
        .bind(now)
        .bind(proof.expires_at);
        self.run(query).await?;
        Ok(())
    }

    /// Uses a proof up: only one caller gets it. Perhaps it ended. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn take_proof(&self, application: ApplicationId, digest: &[u8; 32]) -> Result<Option<Proof>> {
        let query = sql(TAKE_PROOF).bind(digest).bind(application);
        self.first(query).await?.as_ref().map(proof_of).transpose()
    }

    /// Counts a wrong try while fewer than `most` were counted; false when there is no such proof or they are used up. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn count_try(&self, application: ApplicationId, digest: &[u8; 32], most: i64) -> Result<bool> {
        let query = sql(
            "UPDATE proofs SET tries = tries + 1 WHERE digest = $1 AND application_id = $2 AND tries < $3",
        );
        Ok(self.run(query.bind(digest).bind(application).bind(most)).await? > 0)
    }

    /// Removes proofs that ended before `before`; at most [`crate::FORGET_BATCH`] per call. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn forget_proofs(&self, before: Timestamp) -> Result<u64> {
        let query = sql("DELETE FROM proofs WHERE digest IN \
             (SELECT digest FROM proofs WHERE expires_at < $1 ORDER BY expires_at LIMIT 1000)");
        self.run(query.bind(before)).await
    }

    /// Adds a record. 1 query.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the name is taken.
    pub async fn add_app_record(&self, record: &AppRecord) -> Result<()> {
        let query = sql("INSERT INTO app_records(id, application_id, kind, parent_id, user_id, name_key, content, created_at, \
             updated_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
        .bind(record.id)
        .bind(record.application)
        .bind(&record.kind)
        .bind(record.parent)
        .bind(record.user)
        .bind(record.name.as_deref())
        .bind(record.content.clone())
        .bind(record.created_at)
        .bind(record.updated_at)
        .bind(record.version);
        self.run(query).await?;
        Ok(())
    }

    /// Adds a record unless its name is taken; false when it is. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn add_app_record_once(&self, record: &AppRecord) -> Result<bool> {
        let query = sql("INSERT INTO app_records(id, application_id, kind, parent_id, user_id, name_key, content, created_at, \
             updated_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING")
        .bind(record.id)
        .bind(record.application)
        .bind(&record.kind)
        .bind(record.parent)
        .bind(record.user)
        .bind(record.name.as_deref())
        .bind(record.content.clone())
        .bind(record.created_at)
        .bind(record.updated_at)
        .bind(record.version);
        Ok(self.run(query).await? > 0)
    }

    /// Makes transactions about one record wait for each other; false when it is gone. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn lock_app_record(&self, id: AppRecordId) -> Result<bool> {
        let query = sql("UPDATE app_records SET version = version WHERE id = $1");
        Ok(self.run(query.bind(id)).await? > 0)
    }

    /// Saves content and name of a record that nobody changed since it was read. 1 query.
    ///
    /// # Errors
    /// [`Error::Stale`] when somebody did, [`Error::Conflict`] when the name is taken.
    pub async fn save_app_record(&self, record: &AppRecord) -> Result<()> {
        let query = sql(
            "UPDATE app_records SET name_key = $2, content = $3, updated_at = $4, version = version + 1 \
             WHERE id = $1 AND version = $5",
        )
        .bind(record.id)
        .bind(record.name.as_deref())
        .bind(record.content.clone())
        .bind(record.updated_at)
        .bind(record.version);
        if self.run(query).await? == 0 {
            return Err(Error::Stale);
        }
        Ok(())
    }

    /// Removes a record with what is part of it; false when it is gone. 1 query.
    ///
    /// # Errors
    /// See [`Conn::account`].
    pub async fn remove_app_record(&self, id: AppRecordId) -> Result<bool> {
        Ok(self
            .run(sql("DELETE FROM app_records WHERE id = $1").bind(id))
            .await?
            > 0)
    }
}
