//! Keys that people make for their programs (contract section 5.11): shown once, kept as digests, each with a name and perhaps an end.
//!
//! A key is no session: it opens none of the door's calls. The app asks what a key stands for with [`Doorward::app_check_key`]. The app
//! itself also makes keys for its people and sets what a person may not set: what a key may do, how often, and what goes with it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use doorward_domain::access::Person;
use doorward_domain::user::User;
use doorward_domain::{AppRecordId, Lifetime, Timestamp, UserId};
use doorward_oidc::params::Params;
use doorward_store::{AppRecord, Tx};

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
/// Checks of one key in a window that begins anew after a pause of its length, unless the app says otherwise.
const MOST_CHECKS: i64 = 10;
/// That window, in milliseconds.
const WINDOW: i64 = 86_400_000;
/// Most that any count of a key may be.
const MOST_COUNT: i64 = 1_000_000_000;
/// Longest window and pause between refills, in milliseconds: a year.
const LONGEST_WINDOW: i64 = 365 * WINDOW;
/// Most resources in the permissions of a key, and most actions on each.
const MOST_PERMISSIONS: usize = 64;
/// Longest name of a resource or an action.
const LONGEST_PERMISSION: usize = 64;
/// Most bytes of the metadata as JSON.
const LONGEST_METADATA: usize = 4096;

const NOT_FOUND: AppError = AppError::Code("KEY_NOT_FOUND");

/// What may be done to which resource: names of resources, each with names of actions.
pub type Permissions = BTreeMap<String, Vec<String>>;

/// Who makes or changes a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyHand {
    /// A person their own.
    Person(UserId),
    /// The app itself, which proved to be it: any key of its people, and every field.
    App,
}

impl KeyHand {
    fn may_hold(self, record: &AppRecord) -> bool {
        match self {
            Self::Person(user) => record.user == Some(user),
            Self::App => true,
        }
    }
}

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
    /// Is the number of checks in a window limited?
    pub rate_limited: bool,
    /// To how many.
    pub rate_max: i64,
    /// The window, in milliseconds.
    pub rate_window: i64,
    /// How many checks are left before the key is used up; `None`: no end.
    pub remaining: Option<i64>,
    /// To how many `remaining` is filled up again, and after how many milliseconds each.
    pub refill: Option<(i64, i64)>,
    /// When it last was.
    pub last_refill: Option<Timestamp>,
    /// What it may do; `None`: the app did not say.
    pub permissions: Option<Permissions>,
    /// What the app keeps with it: an object.
    pub metadata: Option<Value>,
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
    /// What only the app itself sets.
    pub app: AppKeyChange,
}

/// What only the app itself sets of a key; `None` leaves a field, `Some(None)` empties it.
#[derive(Clone, Debug, Default)]
pub struct AppKeyChange {
    /// Is the number of checks in a window limited?
    pub rate_limited: Option<bool>,
    /// To how many.
    pub rate_max: Option<i64>,
    /// The window, in milliseconds.
    pub rate_window: Option<i64>,
    /// How many checks are left.
    pub remaining: Option<Option<i64>>,
    /// To how many `remaining` is filled up again; only together with the next.
    pub refill_amount: Option<i64>,
    /// After how many milliseconds each time.
    pub refill_interval: Option<i64>,
    /// What the key may do.
    pub permissions: Option<Option<Permissions>>,
    /// An object that goes with it.
    pub metadata: Option<Option<Value>>,
}

impl ApiKey {
    /// A new key of somebody, as it is when nobody says otherwise.
    pub(in crate::app_auth) fn new(id: AppRecordId, user: UserId, now: Timestamp) -> Self {
        Self {
            id,
            user,
            name: None,
            start: String::new(),
            prefix: None,
            enabled: true,
            expires_at: None,
            requests: 0,
            last_request: None,
            rate_limited: true,
            rate_max: MOST_CHECKS,
            rate_window: WINDOW,
            remaining: None,
            refill: None,
            last_refill: None,
            permissions: None,
            metadata: None,
            created_at: now,
            updated_at: now,
        }
    }
}

impl AppKeyChange {
    fn is_nothing(&self) -> bool {
        let Self {
            rate_limited,
            rate_max,
            rate_window,
            remaining,
            refill_amount,
            refill_interval,
            permissions,
            metadata,
        } = self;
        rate_limited.is_none()
            && rate_max.is_none()
            && rate_window.is_none()
            && remaining.is_none()
            && refill_amount.is_none()
            && refill_interval.is_none()
            && permissions.is_none()
            && metadata.is_none()
    }

    /// Are these within bounds?
    pub(in crate::app_auth) fn check(&self) -> AppResult<()> {
        let within = |value: Option<i64>, most: i64| value.is_none_or(|value| (1..=most).contains(&value));
        let not = |text: &str| Err(AppError::Said("VALIDATION_ERROR", text.to_owned()));
        if self.refill_amount.is_some() && self.refill_interval.is_none() {
            return Err(AppError::Code("REFILL_AMOUNT_AND_INTERVAL_REQUIRED"));
        }
        if self.refill_interval.is_some() && self.refill_amount.is_none() {
            return Err(AppError::Code("REFILL_INTERVAL_AND_AMOUNT_REQUIRED"));
        }
        if !self
            .remaining
            .flatten()
            .is_none_or(|left| (0..=MOST_COUNT).contains(&left))
            || !within(self.rate_max, MOST_COUNT)
            || !within(self.refill_amount, MOST_COUNT)
        {
            return not("Counts of a key are at most a billion, and at least 1 but for remaining.");
        }
        if !within(self.rate_window, LONGEST_WINDOW) || !within(self.refill_interval, LONGEST_WINDOW) {
            return not("Windows of a key are milliseconds, at most a year.");
        }
        let name = |name: &String| {
            !name.is_empty() && name.len() <= LONGEST_PERMISSION && !name.chars().any(char::is_control)
        };
        if let Some(Some(permissions)) = &self.permissions
            && (permissions.len() > MOST_PERMISSIONS
                || !permissions.iter().all(|(resource, actions)| {
                    name(resource) && actions.len() <= MOST_PERMISSIONS && actions.iter().all(name)
                }))
        {
            return not(
                "Permissions are at most 64 resources with at most 64 actions each, in names of at most 64 bytes.",
            );
        }
        if let Some(Some(metadata)) = &self.metadata {
            if !metadata.is_object() {
                return Err(AppError::Code("INVALID_METADATA_TYPE"));
            }
            if metadata.to_string().len() > LONGEST_METADATA {
                return not("Metadata of a key is at most 4096 bytes of JSON.");
            }
        }
        Ok(())
    }

    /// Sets them.
    pub(in crate::app_auth) fn onto(&self, key: &mut ApiKey) {
        key.rate_limited = self.rate_limited.unwrap_or(key.rate_limited);
        key.rate_max = self.rate_max.unwrap_or(key.rate_max);
        key.rate_window = self.rate_window.unwrap_or(key.rate_window);
        key.remaining = self.remaining.unwrap_or(key.remaining);
        key.refill = self.refill_amount.zip(self.refill_interval).or(key.refill);
        if let Some(permissions) = &self.permissions {
            key.permissions.clone_from(permissions);
        }
        if let Some(metadata) = &self.metadata {
            key.metadata.clone_from(metadata);
        }
    }
}

fn key_of(record: &AppRecord) -> Option<ApiKey> {
    let content = &record.content;
    let number = |name: &str| content.get(name).and_then(Value::as_i64);
    Some(ApiKey {
        id: record.id,
        user: record.user?,
        name: maybe_text(content, "name"),
        start: text(content, "start"),
        prefix: maybe_text(content, "prefix"),
        enabled: content.get("enabled") == Some(&json!(true)),
        expires_at: time(content, "expires"),
        requests: number("requests").unwrap_or(0),
        last_request: time(content, "last"),
        rate_limited: content.get("rate_limited") != Some(&json!(false)),
        rate_max: number("rate_max").unwrap_or(MOST_CHECKS),
        rate_window: number("rate_window").unwrap_or(WINDOW),
        remaining: number("remaining"),
        refill: number("refill_amount").zip(number("refill_interval")),
        last_refill: time(content, "refilled"),
        // What cannot be read permits nothing.
        permissions: content
            .get("permissions")
            .filter(|value| !value.is_null())
            .map(|value| serde_json::from_value(value.clone()).unwrap_or_default()),
        metadata: content.get("metadata").filter(|value| !value.is_null()).cloned(),
        created_at: record.created_at,
        updated_at: record.updated_at,
    })
}

pub(crate) fn write(key: &ApiKey, record: &mut AppRecord) {
    record.content = json!({
        "name": key.name, "start": key.start, "prefix": key.prefix, "enabled": key.enabled,
        "expires": key.expires_at.map(Timestamp::millis), "requests": key.requests,
        "last": key.last_request.map(Timestamp::millis),
        "rate_limited": key.rate_limited, "rate_max": key.rate_max, "rate_window": key.rate_window,
        "remaining": key.remaining, "refill_amount": key.refill.map(|(amount, _)| amount),
        "refill_interval": key.refill.map(|(_, interval)| interval), "refilled": key.last_refill.map(Timestamp::millis),
        "permissions": key.permissions, "metadata": key.metadata,
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
    /// Makes a key for somebody; gives it in the open, this once. Who may ask for whom is the caller's to know: a person for themselves,
    /// the app itself for its people.
    ///
    /// # Errors
    /// Codes of the wire contract; `USER_NOT_FOUND` for somebody who may not enter the app.
    pub async fn app_create_key(
        &self,
        door: &Door,
        user: UserId,
        new: &ApiKeyChange,
        origin: &Origin,
    ) -> AppResult<(ApiKey, String)> {
        check(new)?;
        new.app.check()?;
        let now = self.now();
        let letters: String = self.key_letters();
        let open = format!("{}{letters}", new.prefix.as_deref().unwrap_or_default());
        let tx = self.store()?.begin().await?;
        tx.lock_user(user).await?;
        let holder = self.key_holder(&tx, door, user, now).await?;
        if !holder.is_some_and(|(_, enters)| enters) {
            return Err(AppError::Code("USER_NOT_FOUND"));
        }
        if tx.app_records_of(door.application.id, user, KIND).await?.len() >= MOST {
            return Err(AppError::Said(
                "TOO_MANY_API_KEYS",
                format!("There are {MOST} keys already."),
            ));
        }
        let mut record = self.app_record(door, KIND, now);
        record.user = Some(user);
        record.name = Some(digest(&open));
        let mut key = ApiKey {
            name: new.name.clone(),
            start: open.chars().take(SHOWN).collect(),
            prefix: new.prefix.clone(),
            expires_at: end(new, now),
            ..ApiKey::new(record.id, user, now)
        };
        new.app.onto(&mut key);
        write(&key, &mut record);
        tx.add_app_record(&record).await?;
        let details = json!({ "what": "api key made", "key": key.id.to_string() });
        self.note_in_app(&tx, door, user, details, origin).await?;
        tx.commit().await?;
        Ok((key, open))
    }

    /// Somebody whose a key is or is to be, and whether they may enter the app.
    async fn key_holder(
        &self,
        tx: &Tx,
        door: &Door,
        user: UserId,
        now: Timestamp,
    ) -> AppResult<Option<(User, bool)>> {
        let Some((user, direct)) = tx.user_with_groups(user).await? else {
            return Ok(None);
        };
        let person = Person::new(user, direct, &self.directory().groups);
        let enters = person.user.is_usable() && self.may_enter_app(&person, &door.application, now).is_ok();
        Ok(Some((person.user, enters)))
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

    /// Changes a key: a person one of their own, the app itself any of its people's.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_change_key(
        &self,
        door: &Door,
        hand: KeyHand,
        id: &str,
        change: &ApiKeyChange,
        origin: &Origin,
    ) -> AppResult<ApiKey> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let found = record_in(&tx, door, KIND, id).await?;
        let Some(known) = found.filter(|record| hand.may_hold(record)) else {
            return Err(NOT_FOUND);
        };
        tx.lock_app_record(known.id).await?;
        let Some(mut record) = tx.app_record(known.id).await? else {
            return Err(NOT_FOUND);
        };
        let mut key = key_of(&record).ok_or(NOT_FOUND)?;
        let plain = change.name.is_none() && change.expires_in.is_none() && change.enabled.is_none();
        if plain && change.app.is_nothing() {
            return Err(AppError::Code("NO_VALUES_TO_UPDATE"));
        }
        check(change)?;
        change.app.check()?;
        if let Some(name) = &change.name {
            key.name = Some(name.clone());
        }
        if change.expires_in.is_some() {
            key.expires_at = end(change, now);
        }
        key.enabled = change.enabled.unwrap_or(key.enabled);
        change.app.onto(&mut key);
        key.updated_at = now;
        write(&key, &mut record);
        record.updated_at = now;
        tx.save_app_record(&record).await?;
        let details = json!({ "what": "api key changed", "key": key.id.to_string(), "enabled": key.enabled });
        self.note_in_app(&tx, door, key.user, details, origin).await?;
        tx.commit().await?;
        Ok(key)
    }

    /// Deletes a key: a person one of their own, the app itself any of its people's.
    ///
    /// # Errors
    /// `KEY_NOT_FOUND`.
    pub async fn app_delete_key(
        &self,
        door: &Door,
        hand: KeyHand,
        id: &str,
        origin: &Origin,
    ) -> AppResult<()> {
        let tx = self.store()?.begin().await?;
        let found = record_in(&tx, door, KIND, id).await?;
        let Some((record, user)) = found
            .filter(|record| hand.may_hold(record))
            .and_then(|record| record.user.map(|user| (record, user)))
        else {
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

    /// What a key stands for, when it counts, its person may enter the app, and it may do all of `wanted`; counts the check.
    ///
    /// # Errors
    /// `KEY_NOT_FOUND` (also when it may not do what is wanted), `KEY_DISABLED`, `KEY_EXPIRED`, `USAGE_EXCEEDED`, `RATE_LIMIT_EXCEEDED`.
    pub async fn app_check_key(
        &self,
        door: &Door,
        open: &str,
        wanted: &Permissions,
    ) -> AppResult<(ApiKey, User)> {
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
        let Some((user, enters)) = self.key_holder(&tx, door, key.user, now).await? else {
            return Err(NOT_FOUND);
        };
        if !enters {
            return Err(AppError::Code("USER_BANNED"));
        }
        let may = |resource: &String, action: &String| {
            let held = key.permissions.as_ref().and_then(|held| held.get(resource));
            held.is_some_and(|held| held.contains(action))
        };
        if !wanted
            .iter()
            .all(|(resource, actions)| actions.iter().all(|action| may(resource, action)))
        {
            return Err(NOT_FOUND);
        }
        let past = |since: Timestamp, millis: i64| now.millis().saturating_sub(since.millis()) >= millis;
        if let (Some(_), Some((amount, interval))) = (key.remaining, key.refill)
            && past(key.last_refill.unwrap_or(key.created_at), interval)
        {
            key.remaining = Some(amount);
            key.last_refill = Some(now);
        }
        if key.remaining.is_some_and(|left| left < 1) {
            return Err(AppError::Code("USAGE_EXCEEDED"));
        }
        let anew = key.last_request.is_none_or(|last| past(last, key.rate_window));
        if key.rate_limited && !anew && key.requests >= key.rate_max {
            return Err(AppError::Code("RATE_LIMIT_EXCEEDED"));
        }
        key.remaining = key.remaining.map(|left| left.saturating_sub(1));
        key.requests = if anew { 1 } else { key.requests.saturating_add(1) };
        key.last_request = Some(now);
        write(&key, &mut record);
        tx.save_app_record(&record).await?;
        tx.commit().await?;
        Ok((key, user))
    }
}
