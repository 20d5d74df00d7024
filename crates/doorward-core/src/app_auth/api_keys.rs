//! Keys that people make for their programs (contract section 5.11): shown once, kept as digests, each with a name and perhaps an end.
//!
//! A key is no session: it opens none of the door's calls. The app asks what a key stands for with [`Doorward::app_check_key`].

use serde_json::json;

use doorward_domain::access::Person;
use doorward_domain::user::User;
use doorward_domain::{AppRecordId, Lifetime, Timestamp, UserId};
use doorward_oidc::params::Params;
use doorward_store::AppRecord;

use super::organizations::{maybe_text, record_in, text, time};
use crate::app_auth::{AppError, AppResult, Door};
use crate::error::Error;
use crate::sessions::Visit;
use crate::{Doorward, Origin};

pub(crate) const KIND: &str = "api_key";
/// Most keys of one person in an app.
pub(crate) const MOST: usize = 100;
/// Letters of a key.
const LETTERS: usize = 64;
/// How many letters a list shows.
const SHOWN: usize = 6;
/// Longest name and prefix.
const LONGEST_NAME: usize = 32;
/// Shortest and longest life of a key that ends.
const SHORTEST_LIFE: Lifetime = Lifetime::from_days(1);
const LONGEST_LIFE: Lifetime = Lifetime::from_days(365);
/// Checks of one key in a window that begins anew after a pause of its length.
pub const MOST_CHECKS: i64 = 10;
/// That window.
pub const WINDOW: Lifetime = Lifetime::from_days(1);

const NOT_FOUND: AppError = AppError::Code("KEY_NOT_FOUND");

/// A key without the key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Identifier.
    pub id: AppRecordId,
    /// Whose.
    pub user: UserId,
    /// Name.
    pub name: Option<String>,
    /// First letters.
    pub start: String,
    /// What it begins with by wish.
    pub prefix: Option<String>,
    /// Does it count?
    pub enabled: bool,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Checks in the window.
    pub requests: i64,
    /// The last one.
    pub last_request: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What is asked of a new key, or changed of one; `None` leaves a field.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyChange {
    /// Name.
    pub name: Option<String>,
    /// What a new key begins with.
    pub prefix: Option<String>,
    /// Seconds that it lives from now; `Some(None)`: for good.
    pub expires_in: Option<Option<u64>>,
    /// Does it count?
    pub enabled: Option<bool>,
}

fn key_of(record: &AppRecord) -> Option<ApiKey> {
    let content = &record.content;
    Some(ApiKey {
        id: record.id,
        user: record.user?,
        name: maybe_text(content, "name"),
        start: text(content, "start"),
        prefix: maybe_text(content, "prefix"),
        enabled: content.get("enabled") == Some(&json!(true)),
        expires_at: time(content, "expires"),
        requests: content
            .get("requests")
            .and_then(serde_json::Value::as_i64)
            .unwrap_or(0),
        last_request: time(content, "last"),
        created_at: record.created_at,
        updated_at: record.updated_at,
    })
}

pub(crate) fn write(key: &ApiKey, record: &mut AppRecord) {
    record.content = json!({
        "name": key.name, "start": key.start, "prefix": key.prefix, "enabled": key.enabled,
        "expires": key.expires_at.map(Timestamp::millis), "requests": key.requests,
        "last": key.last_request.map(Timestamp::millis),
    });
}

/// Under what a key is kept.
fn digest(key: &str) -> String {
    doorward_crypto::token::sha256_hex(key.as_bytes())
}

fn check(change: &ApiKeyChange) -> AppResult<()> {
    let fits = |text: &String| {
        !text.is_empty() && text.chars().count() <= LONGEST_NAME && !text.chars().any(char::is_control)
    };
    if change.name.as_ref().is_some_and(|name| !fits(name)) {
        return Err(AppError::Code("INVALID_NAME_LENGTH"));
    }
    if change.prefix.as_ref().is_some_and(|prefix| !fits(prefix)) {
        return Err(AppError::Code("INVALID_PREFIX_LENGTH"));
    }
    if let Some(Some(seconds)) = change.expires_in {
        if seconds < u64::try_from(SHORTEST_LIFE.seconds()).unwrap_or(0) {
            return Err(AppError::Code("EXPIRES_IN_IS_TOO_SMALL"));
        }
        if seconds > u64::try_from(LONGEST_LIFE.seconds()).unwrap_or(0) {
            return Err(AppError::Code("EXPIRES_IN_IS_TOO_LARGE"));
        }
    }
    Ok(())
}

fn end(change: &ApiKeyChange, now: Timestamp) -> Option<Timestamp> {
    let seconds = u32::try_from(change.expires_in.flatten()?).ok()?;
    Some(now.plus(Lifetime::from_seconds(seconds)))
}

impl Doorward {
    /// Makes a key for the caller; gives it in the open, this once.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_create_key(
        &self,
        door: &Door,
        visit: &Visit,
        new: &ApiKeyChange,
        origin: &Origin,
    ) -> AppResult<(ApiKey, String)> {
        check(new)?;
        let now = self.now();
        let user = visit.person.user.id;
        let letters: String = self.key_letters();
        let open = format!("{}{letters}", new.prefix.as_deref().unwrap_or_default());
        let tx = self.store()?.begin().await?;
        tx.lock_user(user).await?;
        if tx.app_records_of(door.application.id, user, KIND).await?.len() >= MOST {
            return Err(AppError::Said(
                "TOO_MANY_API_KEYS",
                format!("There are {MOST} keys already."),
            ));
        }
        let mut record = self.app_record(door, KIND, now);
        record.user = Some(user);
        record.name = Some(digest(&open));
        let key = ApiKey {
            id: record.id,
            user,
            name: new.name.clone(),
            start: open.chars().take(SHOWN).collect(),
            prefix: new.prefix.clone(),
            enabled: true,
            expires_at: end(new, now),
            requests: 0,
            last_request: None,
            created_at: now,
            updated_at: now,
        };
        write(&key, &mut record);
        tx.add_app_record(&record).await?;
        let details = json!({ "what": "api key made", "key": key.id.to_string() });
        self.note_in_app(&tx, door, user, details, origin).await?;
        tx.commit().await?;
        Ok((key, open))
    }

    /// Letters without digits, as keys of the recorded servers have.
    fn key_letters(&self) -> String {
        const ALPHABET: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let mut text = String::with_capacity(LETTERS);
        while text.len() < LETTERS {
            for byte in self.random::<64>() {
                // Four times the alphabet: each letter as likely as the next.
                if byte < 208
                    && text.len() < LETTERS
                    && let Some(letter) = ALPHABET.get(usize::from(byte % 52))
                {
                    text.push(char::from(*letter));
                }
            }
        }
        text
    }

    /// The caller's keys, oldest first.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_keys(&self, door: &Door, visit: &Visit) -> AppResult<Vec<ApiKey>> {
        let user = visit.person.user.id;
        let records = self
            .store()?
            .read()
            .app_records_of(door.application.id, user, KIND)
            .await?;
        Ok(records.iter().filter_map(key_of).collect())
    }

    /// One of the caller's keys.
    ///
    /// # Errors
    /// `KEY_NOT_FOUND`, also for somebody else's.
    pub async fn app_key(&self, door: &Door, visit: &Visit, id: &str) -> AppResult<ApiKey> {
        let found = record_in(&self.store()?.read(), door, KIND, id).await?;
        found
            .as_ref()
            .and_then(key_of)
            .filter(|key| key.user == visit.person.user.id)
            .ok_or(NOT_FOUND)
    }

    /// Changes one of the caller's keys.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_change_key(
        &self,
        door: &Door,
        visit: &Visit,
        id: &str,
        change: &ApiKeyChange,
        origin: &Origin,
    ) -> AppResult<ApiKey> {
        let user = visit.person.user.id;
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let found = record_in(&tx, door, KIND, id).await?;
        let Some(known) = found.filter(|record| record.user == Some(user)) else {
            return Err(NOT_FOUND);
        };
        tx.lock_app_record(known.id).await?;
        let Some(mut record) = tx.app_record(known.id).await? else {
            return Err(NOT_FOUND);
        };
        let mut key = key_of(&record).ok_or(NOT_FOUND)?;
        if change.name.is_none() && change.expires_in.is_none() && change.enabled.is_none() {
            return Err(AppError::Code("NO_VALUES_TO_UPDATE"));
        }
        check(change)?;
        if let Some(name) = &change.name {
            key.name = Some(name.clone());
        }
        if change.expires_in.is_some() {
            key.expires_at = end(change, now);
        }
        key.enabled = change.enabled.unwrap_or(key.enabled);
        key.updated_at = now;
        write(&key, &mut record);
        record.updated_at = now;
        tx.save_app_record(&record).await?;
        let details = json!({ "what": "api key changed", "key": key.id.to_string(), "enabled": key.enabled });
        self.note_in_app(&tx, door, user, details, origin).await?;
        tx.commit().await?;
        Ok(key)
    }

    /// Deletes one of the caller's keys.
    ///
    /// # Errors
    /// `KEY_NOT_FOUND`.
    pub async fn app_delete_key(
        &self,
        door: &Door,
        visit: &Visit,
        id: &str,
        origin: &Origin,
    ) -> AppResult<()> {
        let user = visit.person.user.id;
        let tx = self.store()?.begin().await?;
        let found = record_in(&tx, door, KIND, id).await?;
        let Some(record) = found.filter(|record| record.user == Some(user)) else {
            return Err(NOT_FOUND);
        };
        if !tx.remove_app_record(record.id).await? {
            return Err(NOT_FOUND);
        }
        let details = json!({ "what": "api key deleted", "key": record.id.to_string() });
        self.note_in_app(&tx, door, user, details, origin).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Does a caller prove to be the app itself, with its client id and secret (RFC 6749 section 2.3.1)?
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_is_itself(&self, door: &Door, authorization: &str, origin: &Origin) -> AppResult<bool> {
        let basic = authorization
            .split_once(' ')
            .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        if !basic {
            return Ok(false);
        }
        let nothing = Params::from_pairs(std::iter::empty::<(&str, &str)>());
        match self
            .authenticate_client(Some(authorization), &nothing, origin)
            .await
        {
            Ok(application) => Ok(application.id == door.application.id),
            Err(Error::Fault(fault)) => Err(Error::Fault(fault).into()),
            Err(_) => Ok(false),
        }
    }

    /// What a key stands for, when it counts and its person may enter the app; counts the check.
    ///
    /// # Errors
    /// `KEY_NOT_FOUND`, `KEY_DISABLED`, `KEY_EXPIRED`, `RATE_LIMIT_EXCEEDED`.
    pub async fn app_check_key(&self, door: &Door, open: &str) -> AppResult<(ApiKey, User)> {
        if open.is_empty() || open.len() > 256 {
            return Err(NOT_FOUND);
        }
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let found = tx
            .app_record_named(door.application.id, KIND, &digest(open))
            .await?;
        let Some(known) = found else { return Err(NOT_FOUND) };
        tx.lock_app_record(known.id).await?;
        let Some(mut record) = tx.app_record(known.id).await? else {
            return Err(NOT_FOUND);
        };
        let mut key = key_of(&record).ok_or(NOT_FOUND)?;
        if !key.enabled {
            return Err(AppError::Code("KEY_DISABLED"));
        }
        if key.expires_at.is_some_and(|end| end <= now) {
            return Err(AppError::Code("KEY_EXPIRED"));
        }
        let Some((user, direct)) = tx.user_with_groups(key.user).await? else {
            return Err(NOT_FOUND);
        };
        let person = Person::new(user, direct, &self.directory().groups);
        if !person.user.is_usable() || self.may_enter_app(&person, &door.application, now).is_err() {
            return Err(AppError::Code("USER_BANNED"));
        }
        let anew = key.last_request.is_none_or(|last| last.plus(WINDOW) <= now);
        if !anew && key.requests >= MOST_CHECKS {
            return Err(AppError::Code("RATE_LIMIT_EXCEEDED"));
        }
        key.requests = if anew { 1 } else { key.requests.saturating_add(1) };
        key.last_request = Some(now);
        write(&key, &mut record);
        tx.save_app_record(&record).await?;
        tx.commit().await?;
        Ok((key, person.user))
    }
}
