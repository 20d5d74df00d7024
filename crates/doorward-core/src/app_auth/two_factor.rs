//! Second factors of app people: one-time passwords by time (RFC 6238), codes by mail, backup codes, trusted browsers.
//!
//! They belong to the person, not to one app: who turned them on in one app is asked in every app.

use serde::{Deserialize, Serialize};
use serde_json::json;

use doorward_crypto::signed::{base32, totp};
use doorward_crypto::token::{constant_eq, digest};
use doorward_domain::user::User;
use doorward_domain::{Lifetime, Timestamp, UserId};
use doorward_store::{AppRecord, Error as StoreError, Tx};

use crate::app_auth::{AppError, AppResult, Door};
use crate::error::Fault;
use crate::place::escape;
use crate::{Doorward, Origin};

const KIND: &str = "two_factor";
/// Seconds of one step.
const STEP: i64 = 30;
/// So many wrong codes lock the factor for a while.
const MOST_FAILURES: u32 = 10;
const LOCKED: Lifetime = Lifetime::from_minutes(15);
/// Backup codes that are made at once.
const BACKUP_CODES: usize = 10;

/// What is kept of a person's factor; sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Factor {
    secret: String,
    /// Digests of backup codes that were not used.
    backup: Vec<String>,
    verified: bool,
    failures: u32,
    locked_until: Option<Timestamp>,
    /// Latest step whose code was used: none works twice.
    last_step: i64,
}

/// What a person is shown when a factor is made.
#[derive(Clone, Debug)]
pub struct Made {
    /// For authenticator programs.
    pub uri: String,
    /// Shown once.
    pub backup_codes: Vec<String>,
}

fn uri(user: &User, issuer: &str, secret: &str) -> String {
    let (issuer, account) = (
        escape(issuer),
        escape(user.email.as_deref().unwrap_or(&user.username)),
    );
    format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&digits=6&period=30",
        base32(secret.as_bytes())
    )
}

impl Doorward {
    fn open_factor(&self, record: &AppRecord) -> AppResult<Factor> {
        let sealed = record
            .content
            .get("sealed")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default();
        let purpose = format!("two-factor {}", record.id);
        let opened = self.inner.keyring.open_text(&purpose, sealed).ok();
        let factor = opened.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(
            factor
                .ok_or_else(|| Fault::internal("a second factor cannot be opened with the keys at hand"))?,
        )
    }

    fn seal_factor(&self, record: &mut AppRecord, factor: &Factor) -> AppResult<()> {
        let bytes = serde_json::to_vec(factor)
            .map_err(|error| Fault::caused("a second factor cannot be written", error))?;
        let purpose = format!("two-factor {}", record.id);
        record.content = json!({ "sealed": self.inner.keyring.seal_text(&purpose, &self.random(), &bytes) });
        record.updated_at = self.now();
        Ok(())
    }

    /// Puts a factor that somebody had elsewhere, which counts at once; false when there is one.
    pub(crate) async fn factor_put(
        &self,
        tx: &Tx,
        door: &Door,
        user: UserId,
        secret: String,
        backup_codes: &[String],
    ) -> AppResult<bool> {
        tx.lock_user(user).await?;
        if tx.app_record_of(user, KIND).await?.is_some() {
            return Ok(false);
        }
        let factor = Factor {
            secret,
            backup: backup_codes.iter().map(|code| digest(code).hex()).collect(),
            verified: true,
            failures: 0,
            locked_until: None,
            last_step: 0,
        };
        let mut record = self.app_record(door, KIND, self.now());
        record.user = Some(user);
        record.name = Some(user.to_string());
        self.seal_factor(&mut record, &factor)?;
        tx.add_app_record(&record).await?;
        Ok(true)
    }

    async fn factor(&self, user: UserId) -> AppResult<Option<(AppRecord, Factor)>> {
        let record = self.store()?.read().app_record_of(user, KIND).await?;
        record
            .map(|record| {
                let factor = self.open_factor(&record)?;
                Ok((record, factor))
            })
            .transpose()
    }

    /// Saves a factor that nobody changed since it was read; who was slower is told that the code was wrong.
    async fn save_factor(&self, mut record: AppRecord, factor: &Factor) -> AppResult<()> {
        self.seal_factor(&mut record, factor)?;
        let tx = self.store()?.begin().await?;
        match tx.save_app_record(&record).await {
            Ok(()) => {}
            Err(StoreError::Stale) => return Err(AppError::Code("INVALID_CODE")),
            Err(error) => return Err(error.into()),
        }
        tx.commit().await?;
        Ok(())
    }

    fn backup_codes(&self) -> (Vec<String>, Vec<String>) {
        let codes: Vec<String> = (0..BACKUP_CODES)
            .map(|_| format!("{}-{}", self.random_name::<5>(), self.random_name::<5>()))
            .collect();
        let digests = codes.iter().map(|code| digest(code).hex()).collect();
        (codes, digests)
    }

    /// Makes a factor that counts once its first code was right.
    ///
    /// # Errors
    /// `TOTP_ALREADY_ENABLED`.
    pub async fn factor_make(&self, door: &Door, user: &User, issuer: Option<&str>) -> AppResult<Made> {
        let now = self.now();
        let old = self.factor(user.id).await?;
        if old.as_ref().is_some_and(|(_, factor)| factor.verified) && user.app.two_factor {
            return Err(AppError::Code("TOTP_ALREADY_ENABLED"));
        }
        let secret = self.random_name::<32>();
        let (backup_codes, digests) = self.backup_codes();
        let factor = Factor {
            secret: secret.clone(),
            backup: digests,
            verified: false,
            failures: 0,
            locked_until: None,
            last_step: 0,
        };
        let mut record = AppRecord {
            id: self.mint(now),
            application: door.application.id,
            kind: KIND.to_owned(),
            parent: None,
            user: Some(user.id),
            name: Some(user.id.to_string()),
            content: json!({}),
            created_at: now,
            updated_at: now,
            version: 0,
        };
        self.seal_factor(&mut record, &factor)?;
        let tx = self.store()?.begin().await?;
        tx.lock_user(user.id).await?;
        if let Some((old, _)) = old {
            tx.remove_app_record(old.id).await?;
        }
        tx.add_app_record(&record).await?;
        tx.commit().await?;
        Ok(Made {
            uri: uri(user, issuer.unwrap_or(&door.application.name), &secret),
            backup_codes,
        })
    }

    /// What authenticator programs read, once more.
    ///
    /// # Errors
    /// `TOTP_NOT_ENABLED`.
    pub async fn factor_uri(&self, door: &Door, user: &User) -> AppResult<String> {
        let Some((_, factor)) = self.factor(user.id).await? else {
            return Err(AppError::Code("TOTP_NOT_ENABLED"));
        };
        Ok(uri(user, &door.application.name, &factor.secret))
    }

    /// Fresh backup codes; the old ones stop working.
    ///
    /// # Errors
    /// `TWO_FACTOR_NOT_ENABLED`.
    pub async fn factor_backup(&self, user: &User) -> AppResult<Vec<String>> {
        let found = self.factor(user.id).await?.filter(|_| user.app.two_factor);
        let Some((record, mut factor)) = found else {
            return Err(AppError::Code("TWO_FACTOR_NOT_ENABLED"));
        };
        let (codes, digests) = self.backup_codes();
        factor.backup = digests;
        self.save_factor(record, &factor).await?;
        Ok(codes)
    }

    /// Takes the factor away.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn factor_remove(&self, user: UserId, origin: &Origin) -> AppResult<User> {
        let tx = self.store()?.begin().await?;
        let changed = self.factor_switch(&tx, user, false, origin).await?;
        if let Some(record) = tx.app_record_of(user, KIND).await? {
            tx.remove_app_record(record.id).await?;
        }
        tx.commit().await?;
        self.inner.sessions.forget(&user.to_string());
        Ok(changed)
    }

    async fn factor_switch(&self, tx: &Tx, user: UserId, on: bool, origin: &Origin) -> AppResult<User> {
        let what = if on {
            "second factor on"
        } else {
            "second factor off"
        };
        self.change_user_in(tx, user, what, origin, move |user| {
            user.app.two_factor = on;
            Ok(())
        })
        .await
    }

    /// The factor takes effect.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn factor_on(&self, user: UserId, origin: &Origin) -> AppResult<User> {
        let tx = self.store()?.begin().await?;
        let changed = self.factor_switch(&tx, user, true, origin).await?;
        tx.commit().await?;
        self.inner.sessions.forget(&user.to_string());
        Ok(changed)
    }

    /// Looks whether the factor may be tried at all.
    fn not_locked(&self, factor: &Factor) -> AppResult<()> {
        if factor.locked_until.is_some_and(|until| self.now() < until) {
            return Err(AppError::Code("ACCOUNT_TEMPORARILY_LOCKED"));
        }
        Ok(())
    }

    async fn wrong_code(&self, record: AppRecord, mut factor: Factor, code: &'static str) -> AppError {
        factor.failures += 1;
        if factor.failures >= MOST_FAILURES {
            factor.failures = 0;
            factor.locked_until = Some(self.now().plus(LOCKED));
        }
        // Another try at the same moment counted; both were wrong.
        match self.save_factor(record, &factor).await {
            Ok(()) | Err(AppError::Code(_)) => AppError::Code(code),
            Err(error) => error,
        }
    }

    /// Compares a one-time password: of this step or a neighbour, and of none that was used.
    ///
    /// # Errors
    /// `INVALID_CODE`, `TOTP_NOT_ENABLED`, `ACCOUNT_TEMPORARILY_LOCKED`.
    pub async fn factor_totp(&self, user: UserId, code: &str) -> AppResult<()> {
        let Some((record, mut factor)) = self.factor(user).await? else {
            return Err(AppError::Code("TOTP_NOT_ENABLED"));
        };
        self.not_locked(&factor)?;
        let step = self.now().seconds() / STEP;
        let fits = [step, step - 1, step + 1].into_iter().find(|step| {
            let right = totp(factor.secret.as_bytes(), u64::try_from(*step).unwrap_or(0));
            *step > factor.last_step && constant_eq(right.as_bytes(), code.as_bytes())
        });
        let Some(step) = fits else {
            return Err(self.wrong_code(record, factor, "INVALID_CODE").await);
        };
        factor.last_step = step;
        factor.verified = true;
        factor.failures = 0;
        self.save_factor(record, &factor).await
    }

    /// Uses a backup code up.
    ///
    /// # Errors
    /// `INVALID_BACKUP_CODE`, `ACCOUNT_TEMPORARILY_LOCKED`.
    pub async fn factor_backup_code(&self, user: UserId, code: &str) -> AppResult<()> {
        let Some((record, mut factor)) = self.factor(user).await? else {
            return Err(AppError::Code("INVALID_BACKUP_CODE"));
        };
        self.not_locked(&factor)?;
        let wanted = digest(code).hex();
        let before = factor.backup.len();
        factor
            .backup
            .retain(|known| !constant_eq(known.as_bytes(), wanted.as_bytes()));
        if factor.backup.len() == before {
            return Err(self.wrong_code(record, factor, "INVALID_BACKUP_CODE").await);
        }
        factor.failures = 0;
        self.save_factor(record, &factor)
            .await
            .map_err(|error| match error {
                AppError::Code(_) => AppError::Code("INVALID_BACKUP_CODE"),
                other => other,
            })
    }
}
