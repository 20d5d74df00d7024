//! Passkeys of an app's people (contract section 5.5): a challenge for each ceremony, used once, bound to the browser by a signed
//! cookie; keys that are known by their credential id; a counter that only advances.

use serde::{Deserialize, Serialize};
use serde_json::json;

use doorward_crypto::webauthn::{self, Expected, WebauthnError};
use doorward_domain::app_auth::origin::is_trusted;
use doorward_domain::user::User;
use doorward_domain::{AppRecordId, Lifetime, Timestamp, UserId};
use doorward_store::AppRecord;

use super::organizations::{clean, maybe_text, record_in, text};
use super::people::Remember;
use crate::app_auth::{AppError, AppResult, Door};
use crate::sessions::{Issued, Visit};
use crate::{Doorward, Origin};

pub(crate) const KIND: &str = "passkey";
/// Most passkeys of one person in an app.
pub(crate) const MOST: usize = 50;
/// How long a challenge stands.
pub const CHALLENGE_LIFE: Lifetime = Lifetime::from_seconds(300);
const PROOF: &str = "passkey";
/// Longest text of an answer's part, in base64.
const LONGEST_PART: usize = 48 * 1024;

const NOT_FOUND: AppError = AppError::Code("PASSKEY_NOT_FOUND");
const NO_CHALLENGE: AppError = AppError::Code("CHALLENGE_NOT_FOUND");
const NOT_REGISTERED: AppError = AppError::Code("FAILED_TO_VERIFY_REGISTRATION");
const NOT_YOURS: AppError = AppError::Code("YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY");

/// What a challenge is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ceremony {
    /// A new key.
    Register,
    /// A sign-in.
    SignIn,
}

#[derive(Serialize, Deserialize)]
struct Challenge {
    ceremony: Ceremony,
    challenge: String,
    name: Option<String>,
}

/// A passkey.
#[derive(Clone, Debug)]
pub struct Passkey {
    /// Identifier.
    pub id: AppRecordId,
    /// Whose.
    pub user: UserId,
    /// Name.
    pub name: Option<String>,
    /// Public key (COSE, base64).
    pub public_key: String,
    /// Credential id (base64url).
    pub credential: String,
    /// Signature counter.
    pub counter: u32,
    /// May it be on several devices?
    pub eligible: bool,
    /// Is it?
    pub backed_up: bool,
    /// How the authenticator is reached, with commas.
    pub transports: String,
    /// Model of the authenticator.
    pub aaguid: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a browser answers to a challenge; each part in base64url.
#[derive(Clone, Copy, Debug)]
pub struct BrowserAnswer<'a> {
    /// Credential id.
    pub id: &'a str,
    /// Client data.
    pub client_data: &'a str,
    /// Attestation object, of a new key.
    pub attestation: &'a str,
    /// Authenticator data, of a sign-in.
    pub data: &'a str,
    /// Signature, of a sign-in.
    pub signature: &'a str,
    /// What the person calls a new key.
    pub name: Option<&'a str>,
    /// How the authenticator of a new key is reached.
    pub transports: &'a [String],
}

fn passkey_of(record: &AppRecord) -> Option<Passkey> {
    let content = &record.content;
    let number = content
        .get("counter")
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(0);
    let yes = |name: &str| content.get(name) == Some(&json!(true));
    Some(Passkey {
        id: record.id,
        user: record.user?,
        name: maybe_text(content, "name"),
        public_key: text(content, "key"),
        credential: record.name.clone()?,
        counter: u32::try_from(number).ok()?,
        eligible: yes("eligible"),
        backed_up: yes("backed_up"),
        transports: text(content, "transports"),
        aaguid: text(content, "aaguid"),
        created_at: record.created_at,
    })
}

pub(crate) fn write(key: &Passkey, record: &mut AppRecord) {
    record.content = json!({
        "name": key.name, "key": key.public_key, "counter": key.counter, "eligible": key.eligible, "backed_up": key.backed_up,
        "transports": key.transports, "aaguid": key.aaguid,
    });
}

pub(crate) fn part(text: &str) -> Option<Vec<u8>> {
    webauthn::decode(text, LONGEST_PART)
}

impl Door {
    /// The relying party's id: the door's host.
    #[must_use]
    pub fn rp_id(&self) -> &str {
        let host = self.settings().host();
        match host.strip_prefix('[') {
            Some(_) => host,
            None => host.split(':').next().unwrap_or_default(),
        }
    }
}

impl Doorward {
    /// Begins a ceremony: gives the challenge, and the secret for the browser's cookie.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_challenge(
        &self,
        door: &Door,
        ceremony: Ceremony,
        user: Option<UserId>,
        name: Option<&str>,
    ) -> AppResult<(String, String)> {
        let challenge = webauthn::encode(&self.random::<32>());
        let secret = self.app_secret_text::<32>();
        let content = Challenge {
            ceremony,
            challenge: challenge.clone(),
            name: name.map(|name| clean(name, 100)),
        };
        self.keep_proof(door, (PROOF, &secret), user, &content, CHALLENGE_LIFE)
            .await?;
        Ok((challenge, secret))
    }

    /// Random bytes as a browser's handle of a person, so that authenticators learn no id.
    #[must_use]
    pub fn app_user_handle(&self) -> String {
        webauthn::encode(&self.random::<32>())
    }

    /// Uses a challenge up; `None` when there is none for this.
    async fn use_challenge(
        &self,
        door: &Door,
        secret: &str,
        ceremony: Ceremony,
    ) -> AppResult<(Challenge, Option<UserId>)> {
        let found = self.use_proof::<Challenge>(door, PROOF, secret).await?;
        let proof = found.filter(|proof| !proof.late).ok_or(NO_CHALLENGE)?;
        if proof.content.ceremony != ceremony {
            return Err(NO_CHALLENGE);
        }
        Ok((proof.content, proof.user))
    }

    /// The passkeys of somebody, oldest first.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_passkeys(&self, door: &Door, user: UserId) -> AppResult<Vec<Passkey>> {
        let records = self
            .store()?
            .read()
            .app_records_of(door.application.id, user, KIND)
            .await?;
        Ok(records.iter().filter_map(passkey_of).collect())
    }

    /// Takes a new passkey of the caller.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_add_passkey(
        &self,
        door: &Door,
        visit: &Visit,
        secret: &str,
        answer: BrowserAnswer<'_>,
        origin: &Origin,
    ) -> AppResult<Passkey> {
        let (challenge, begun_by) = self.use_challenge(door, secret, Ceremony::Register).await?;
        let user = visit.person.user.id;
        if begun_by != Some(user) {
            return Err(NOT_YOURS);
        }
        let (Some(attestation), Some(client_data)) = (part(answer.attestation), part(answer.client_data))
        else {
            return Err(NOT_REGISTERED);
        };
        let made = self
            .expecting(door, &challenge.challenge, |expected| {
                webauthn::register(&attestation, &client_data, expected)
            })
            .map_err(|_| NOT_REGISTERED)?;
        let credential = webauthn::encode(&made.id);
        if answer.id != credential {
            return Err(NOT_REGISTERED);
        }
        let now = self.now();
        let tx = self.store()?.begin().await?;
        tx.lock_user(user).await?;
        let mine = tx.app_records_of(door.application.id, user, KIND).await?;
        if mine.len() >= MOST {
            return Err(NOT_REGISTERED);
        }
        let mut record = self.app_record(door, KIND, now);
        record.user = Some(user);
        record.name = Some(credential.clone());
        let plain = |text: &&String| {
            text.len() <= 20
                && text
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let transports: Vec<&str> = answer
            .transports
            .iter()
            .filter(plain)
            .take(8)
            .map(String::as_str)
            .collect();
        let name = answer.name.map(|name| clean(name, 100)).or(challenge.name);
        let key = Passkey {
            id: record.id,
            user,
            name: name.filter(|name| !name.is_empty()),
            public_key: webauthn::encode_key(&made.public_key),
            credential,
            counter: made.counter,
            eligible: made.eligible,
            backed_up: made.backed_up,
            transports: transports.join(","),
            aaguid: webauthn::aaguid_text(made.aaguid),
            created_at: now,
        };
        write(&key, &mut record);
        if !tx.add_app_record_once(&record).await? {
            return Err(NOT_REGISTERED);
        }
        let details = json!({ "what": "passkey made", "passkey": key.id.to_string() });
        self.note_in_app(&tx, door, user, details, origin).await?;
        tx.commit().await?;
        Ok(key)
    }

    fn expecting<T>(
        &self,
        door: &Door,
        challenge: &str,
        check: impl FnOnce(&Expected<'_>) -> Result<T, WebauthnError>,
    ) -> Result<T, WebauthnError> {
        let settings = door.settings();
        let trusted = |origin: &str| is_trusted(origin, settings.origin(), &settings.trusted_origins);
        let expected = Expected {
            challenge,
            rp_id: door.rp_id(),
            origin: &trusted,
        };
        let checked = check(&expected);
        if let Err(error) = &checked {
            tracing::info!(%error, application = %door.application.id, "what an authenticator said was refused");
        }
        checked
    }

    /// Signs somebody in with a passkey.
    ///
    /// # Errors
    /// Codes of the wire contract: `AUTHENTICATION_FAILED` for a signature that does not fit, `AUTHENTICATION_REFUSED` for an answer
    /// to something else.
    pub async fn app_enter_by_passkey(
        &self,
        door: &Door,
        secret: &str,
        answer: BrowserAnswer<'_>,
        origin: &Origin,
    ) -> AppResult<(User, Issued)> {
        let (challenge, _) = self.use_challenge(door, secret, Ceremony::SignIn).await?;
        let failed = AppError::Code("AUTHENTICATION_FAILED");
        let refused = || AppError::Code("AUTHENTICATION_REFUSED");
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if answer.id.is_empty() || answer.id.len() > 600 || !answer.id.bytes().all(plain) {
            return Err(NOT_FOUND);
        }
        let (Some(data), Some(client_data), Some(signature)) = (
            part(answer.data),
            part(answer.client_data),
            part(answer.signature),
        ) else {
            return Err(refused());
        };
        let tx = self.store()?.begin().await?;
        let found = tx.app_record_named(door.application.id, KIND, answer.id).await?;
        let Some(known) = found else { return Err(NOT_FOUND) };
        // One after the other, so that the counter counts.
        tx.lock_app_record(known.id).await?;
        let Some(mut record) = tx.app_record(known.id).await? else {
            return Err(NOT_FOUND);
        };
        let mut key = passkey_of(&record).ok_or(NOT_FOUND)?;
        let public_key = webauthn::decode_key(&key.public_key).ok_or_else(refused)?;
        let signed = self.expecting(door, &challenge.challenge, |expected| {
            let parts = (data.as_slice(), client_data.as_slice(), signature.as_slice());
            webauthn::sign_in(&public_key, key.counter, parts, expected)
        });
        let signed = match signed {
            Ok(signed) => signed,
            Err(WebauthnError::Signature) => return Err(failed),
            Err(_) => return Err(refused()),
        };
        let two_factor = tx.user(key.user).await?.is_some_and(|user| user.app.two_factor);
        // differs: whoever asked for a second factor does not get in by having a device alone.
        if two_factor && door.settings().has("two-factor") && !signed.verified {
            return Err(failed);
        }
        key.counter = signed.counter;
        key.backed_up = signed.backed_up;
        write(&key, &mut record);
        record.updated_at = self.now();
        tx.save_app_record(&record).await?;
        let kind = if key.eligible { "swk" } else { "hwk" };
        let methods: &[&str] = if signed.verified { &[kind, "user"] } else { &[kind] };
        let entered = self
            .enter_by(&tx, door, key.user, methods, Remember::Yes, origin)
            .await?;
        tx.commit().await?;
        Ok(entered)
    }

    /// Deletes one of the caller's passkeys.
    ///
    /// # Errors
    /// `PASSKEY_NOT_FOUND`, and for somebody else's `YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY`.
    pub async fn app_delete_passkey(
        &self,
        door: &Door,
        visit: &Visit,
        id: &str,
        origin: &Origin,
    ) -> AppResult<()> {
        let user = visit.person.user.id;
        let tx = self.store()?.begin().await?;
        let record = record_in(&tx, door, KIND, id).await?.ok_or(NOT_FOUND)?;
        if record.user != Some(user) {
            return Err(NOT_YOURS);
        }
        if !tx.remove_app_record(record.id).await? {
            return Err(NOT_FOUND);
        }
        let details = json!({ "what": "passkey deleted", "passkey": record.id.to_string() });
        self.note_in_app(&tx, door, user, details, origin).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Renames one of the caller's passkeys.
    ///
    /// # Errors
    /// As for deleting.
    pub async fn app_rename_passkey(
        &self,
        door: &Door,
        visit: &Visit,
        id: &str,
        name: &str,
    ) -> AppResult<Passkey> {
        let tx = self.store()?.begin().await?;
        let known = record_in(&tx, door, KIND, id).await?.ok_or(NOT_FOUND)?;
        if known.user != Some(visit.person.user.id) {
            return Err(NOT_YOURS);
        }
        tx.lock_app_record(known.id).await?;
        let mut record = tx.app_record(known.id).await?.ok_or(NOT_FOUND)?;
        let mut key = passkey_of(&record).ok_or(NOT_FOUND)?;
        key.name = Some(clean(name, 100));
        write(&key, &mut record);
        record.updated_at = self.now();
        tx.save_app_record(&record).await?;
        tx.commit().await?;
        Ok(key)
    }
}
