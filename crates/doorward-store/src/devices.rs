//! Device authorizations (RFC 8628), under the digest of the device code.

use doorward_domain::token::{DeviceRecord, DeviceState};
use doorward_domain::{FamilyId, Timestamp};

use crate::conn::{Conn, Tx};
use crate::error::Result;
use crate::fields::{Fields, texts};
use crate::sql::{Row, sql};

macro_rules! device_columns {
    () => {
        "SELECT user_code AS d_user_code, application_id AS d_application_id, scopes AS d_scopes, \
         resources AS d_resources, created_at AS d_created_at, expires_at AS d_expires_at, \
         poll_interval AS d_poll_interval, last_polled_at AS d_last_polled_at, state AS d_state, \
         family_id AS d_family_id FROM device_codes "
    };
}

pub(crate) const BY_DIGEST: &str = concat!(device_columns!(), "WHERE digest = $1 LIMIT 1");
pub(crate) const BY_USER_CODE: &str = concat!(
    device_columns!(),
    "WHERE user_code = $1 AND state = 'pending' AND expires_at > $2 LIMIT 1"
);
pub(crate) const DECIDE: &str = "UPDATE device_codes SET state = $2, family_id = $3 \
    WHERE user_code = $1 AND state = 'pending' AND expires_at > $4 RETURNING expires_at";
pub(crate) const TAKE: &str = "UPDATE device_codes SET state = 'used' \
    WHERE digest = $1 AND state = 'approved' AND expires_at > $2 RETURNING expires_at";

fn device_of(row: &Row) -> Result<DeviceRecord> {
    let fields = Fields::new(row, "device_codes", "d", "d_application_id");
    Ok(DeviceRecord {
        user_code: fields.get("d_user_code")?,
        application_id: fields.get("d_application_id")?,
        scopes: fields.set("d_scopes")?,
        resources: fields.set("d_resources")?,
        created_at: fields.get("d_created_at")?,
        expires_at: fields.get("d_expires_at")?,
        interval: fields.get("d_poll_interval")?,
        last_polled_at: fields.get("d_last_polled_at")?,
        state: fields.word("d_state")?,
        family_id: fields.get("d_family_id")?,
    })
}

impl Conn {
    /// The authorization that a device polls for, in any state. 1 query.
    ///
    /// # Errors
    /// Any [`crate::Error`] of the engine, [`crate::Error::Corrupt`] for a row that cannot be read; the same for all
    /// methods here.
    pub async fn find_device(&self, digest: &[u8; 32]) -> Result<Option<DeviceRecord>> {
        self.first(sql(BY_DIGEST).bind(digest))
            .await?
            .as_ref()
            .map(device_of)
            .transpose()
    }

    /// The authorization that waits for an answer under a (normalised) user code and has not expired. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_device`].
    pub async fn device_by_user_code(&self, user_code: &str, now: Timestamp) -> Result<Option<DeviceRecord>> {
        self.first(sql(BY_USER_CODE).bind(user_code).bind(now))
            .await?
            .as_ref()
            .map(device_of)
            .transpose()
    }
}

impl Tx {
    /// Adds a device authorization. 1 query.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] when the user code waits for an answer already: mint another.
    pub async fn add_device(&self, digest: &[u8; 32], device: &DeviceRecord) -> Result<()> {
        let query = sql(
            "INSERT INTO device_codes(digest, user_code, application_id, scopes, resources, created_at, \
             expires_at, poll_interval, last_polled_at, state, family_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(digest)
        .bind(&device.user_code)
        .bind(device.application_id)
        .bind(texts(&device.scopes))
        .bind(texts(&device.resources))
        .bind(device.created_at)
        .bind(device.expires_at)
        .bind(device.interval)
        .bind(device.last_polled_at)
        .bind(device.state.as_str())
        .bind(device.family_id);
        self.run(query).await?;
        Ok(())
    }

    /// Records the person's answer: approved with the family made for it, or refused. False when nothing waits under
    /// this code, it has expired, or somebody answered before. 1 query.
    ///
    /// # Errors
    /// [`crate::Error::Reference`] when there is no such family.
    pub async fn decide_device(
        &self,
        user_code: &str,
        approve: Option<FamilyId>,
        now: Timestamp,
    ) -> Result<bool> {
        let state = if approve.is_some() {
            DeviceState::Approved
        } else {
            DeviceState::Denied
        };
        let query = sql(DECIDE)
            .bind(user_code)
            .bind(state.as_str())
            .bind(approve)
            .bind(now);
        Ok(self.returning(query).await?.is_some())
    }

    /// Records a poll and the interval (seconds) from now on. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_device`].
    pub async fn poll_device(&self, digest: &[u8; 32], now: Timestamp, new_interval: u32) -> Result<()> {
        let query = sql("UPDATE device_codes SET last_polled_at = $2, poll_interval = $3 WHERE digest = $1");
        self.run(query.bind(digest).bind(now).bind(new_interval)).await?;
        Ok(())
    }

    /// Takes an approved authorization that has not expired, once. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_device`].
    pub async fn take_device(&self, digest: &[u8; 32], now: Timestamp) -> Result<bool> {
        Ok(self.returning(sql(TAKE).bind(digest).bind(now)).await?.is_some())
    }

    /// Removes authorizations that expired before `before`; at most [`crate::FORGET_BATCH`] per call. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_device`].
    pub async fn forget_devices(&self, before: Timestamp) -> Result<u64> {
        let query = sql("DELETE FROM device_codes WHERE digest IN \
             (SELECT digest FROM device_codes WHERE expires_at < $1 ORDER BY expires_at LIMIT 1000)");
        self.run(query.bind(before)).await
    }
}
