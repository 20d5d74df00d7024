//! What people come in with: accounts at providers, live sessions, second factors, passkeys, keys for programs.

use serde_json::Value;

use doorward_crypto::webauthn;
use doorward_domain::app_auth::{Account, AppSession, ProviderTokens};
use doorward_domain::session::{Authentication, Session};
use doorward_domain::user::User;
use doorward_domain::{Lifetime, UserId};

use super::people::Who;
use super::row::Row;
use super::{
    ACCOUNT, API_KEY, Import, Known, Outcome, PASSKEY, SESSION, TWO_FACTOR, core, skipped, unless_present,
};
use crate::app_auth::accounts::CREDENTIAL;
use crate::app_auth::organizations::clean;
use crate::app_auth::{api_keys, passkeys};
use crate::error::Result;

/// Most accounts of one person that the door shows.
const MOST_ACCOUNTS: usize = 100;
/// No session lives longer than a browser keeps its cookie.
const LONGEST_SESSION: Lifetime = Lifetime::from_days(400);
/// Most backup codes that are taken.
const MOST_CODES: usize = 100;

/// Somebody who is here.
struct Somebody {
    id: UserId,
    /// Not in a dry run, when the person would only be made.
    record: Option<Box<User>>,
    linked: bool,
}

/// A row whose person is here, or why nothing comes of it.
enum Owned {
    By(Somebody),
    Not(Outcome),
}

impl Import<'_> {
    async fn owner(&self, row: &Row, table: &str, column: &str) -> Result<(Option<String>, Owned)> {
        let old = row.id("id");
        let not = |why: &str| Owned::Not(Outcome::Skipped(why.to_owned()));
        let Some(id) = &old else {
            return Ok((old, not("there is no id")));
        };
        if self.known(table, id).await?.is_some() {
            return Ok((old, Owned::Not(Outcome::Present)));
        }
        let owned = match self.who(row.id(column).as_deref()).await? {
            Who::Nobody => not("the user was not imported"),
            Who::Gone => not("the user was deleted or switched off here"),
            Who::Here(id, record, linked) => Owned::By(Somebody { id, record, linked }),
        };
        Ok((old, owned))
    }

    pub(super) async fn account(&mut self, row: &Row) -> Result<Outcome> {
        let provider = row.text("providerid").unwrap_or_default().to_owned();
        if provider == CREDENTIAL {
            return self.credential(row).await;
        }
        let (old, owned) = self.owner(row, ACCOUNT, "userid").await?;
        let somebody = match owned {
            Owned::By(somebody) => somebody,
            Owned::Not(outcome) => return Ok(outcome),
        };
        let Some(account) = row.id("accountid") else {
            return skipped("there is no accountId");
        };
        if self.settings().provider(&provider).is_none() {
            let shown: String = provider.chars().filter(|c| !c.is_control()).take(50).collect();
            return Ok(Outcome::Skipped(format!(
                "the door has no provider `{shown}`: add it with `doorward app-auth provider` and run again"
            )));
        }
        let application = self.door.application.id;
        let conn = self.doorward.store()?.read();
        if let Some(known) = conn.account(application, &provider, &account).await? {
            if known.user == somebody.id {
                return Ok(Outcome::Present);
            }
            return skipped("the account at the provider belongs to somebody else here");
        }
        if conn.accounts_of(somebody.id, application).await?.len() >= MOST_ACCOUNTS {
            return skipped("the person has too many accounts");
        }
        if self.wishes.dry_run {
            return Ok(Outcome::Imported);
        }
        let now = self.doorward.now();
        let id = self.doorward.mint(now);
        let sealed = self.doorward.seal_tokens(id, &self.tokens(row)).map_err(core)?;
        let account = Account {
            id,
            application,
            user: somebody.id,
            provider,
            account,
            scope: row
                .text("scope")
                .map(|scope| clean(scope, 2000))
                .unwrap_or_default(),
            tokens: sealed,
            created_at: row.created(now),
            updated_at: row.updated(now),
        };
        let tx = self.doorward.store()?.begin().await?;
        if let Err(error) = tx.add_account(&account).await {
            return unless_present(error);
        }
        self.commit_marked(tx, ACCOUNT, old, id.uuid()).await
    }

    async fn commit_marked(
        &self,
        tx: doorward_store::Tx,
        table: &str,
        old: Option<String>,
        id: uuid::Uuid,
    ) -> Result<Outcome> {
        let known = Known { id, linked: false };
        self.mark(&tx, table, &old.unwrap_or_default(), known).await?;
        tx.commit().await?;
        Ok(Outcome::Imported)
    }

    /// The row of a password, which was taken with its person.
    async fn credential(&self, row: &Row) -> Result<Outcome> {
        let old = row.id("userid");
        if old.as_ref().is_some_and(|old| self.hashed.contains(old)) {
            return Ok(Outcome::Imported);
        }
        match self.who(old.as_deref()).await? {
            Who::Nobody => skipped("the user was not imported"),
            Who::Gone => skipped("the user was deleted or switched off here"),
            Who::Here(_, _, true) => skipped("the person was here before and keeps the password"),
            Who::Here(_, _, false) => {
                let readable = row
                    .text("password")
                    .is_some_and(doorward_crypto::password::is_readable);
                if readable {
                    Ok(Outcome::Present)
                } else {
                    skipped("there is no hash, or one of no kind that is known here")
                }
            }
        }
    }

    fn tokens(&self, row: &Row) -> ProviderTokens {
        // Perhaps the app encrypted them.
        let token = |column: &str| {
            let text = row.text(column)?;
            Some(self.open(text).unwrap_or_else(|| text.to_owned()))
        };
        ProviderTokens {
            access: token("accesstoken"),
            refresh: token("refreshtoken"),
            id: token("idtoken"),
            access_until: row.time("accesstokenexpiresat"),
            refresh_until: row.time("refreshtokenexpiresat"),
        }
    }

    pub(super) async fn session(&mut self, row: &Row) -> Result<Outcome> {
        let now = self.doorward.now();
        let Some(expires_at) = row.time("expiresat").filter(|at| *at > now) else {
            return skipped("expired");
        };
        if row.has("impersonatedby") {
            return skipped("somebody is somebody else in it");
        }
        let token = row.text("token").unwrap_or_default();
        if token.is_empty() || token.len() > 256 || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return skipped("there is no token");
        }
        let (old, owned) = self.owner(row, SESSION, "userid").await?;
        let somebody = match owned {
            Owned::By(somebody) => somebody,
            Owned::Not(outcome) => return Ok(outcome),
        };
        let application = self.door.application.id;
        let banned = |user: &User| user.app.ban(application, now).is_some();
        let by_run = row.id("userid").is_some_and(|old| self.banned.contains(&old));
        if by_run || somebody.record.as_deref().is_some_and(banned) {
            return skipped("the user is banned");
        }
        let digest = crate::sessions::app_digest(application, token);
        let conn = self.doorward.store()?.read();
        if conn.session_by_digest(&digest).await?.is_some() {
            return Ok(Outcome::Present);
        }
        if self.wishes.dry_run {
            return Ok(Outcome::Imported);
        }
        let created_at = row.created(now);
        let organization = self
            .place(super::ORGANIZATION, row, "activeorganizationid")
            .await?;
        let team = match organization {
            Some(_) => self.place(super::TEAM, row, "activeteamid").await?,
            None => None,
        };
        let session = Session {
            id: self.doorward.mint(now),
            user_id: somebody.id,
            authentication: Authentication {
                at: created_at,
                // How it began is not written down there.
                methods: Vec::new(),
            },
            created_at,
            expires_at: expires_at.min(now.plus(LONGEST_SESSION)),
            last_seen_at: now,
            ended_at: None,
            ip: row.text("ipaddress").map(|ip| clean(ip, 64)),
            user_agent: row.text("useragent").map(|name| clean(name, 256)),
            app: Some(AppSession {
                application,
                handle: format!("handle-{}", self.doorward.random_name::<25>()),
                updated_at: row.updated(now),
                short: false,
                impersonated_by: None,
                organization,
                team,
                provider: None,
            }),
        };
        let id = session.id.uuid();
        let tx = self.doorward.store()?.begin().await?;
        if let Err(error) = tx.add_session(&session, &digest).await {
            return unless_present(error);
        }
        self.commit_marked(tx, SESSION, old, id).await
    }

    /// The organization or team that a session was in.
    async fn place(&self, table: &str, row: &Row, column: &str) -> Result<Option<String>> {
        let Some(old) = row.id(column) else {
            return Ok(None);
        };
        Ok(self.known(table, &old).await?.map(|known| known.id.to_string()))
    }

    pub(super) async fn two_factor(&mut self, row: &Row) -> Result<Outcome> {
        let (old, owned) = self.owner(row, TWO_FACTOR, "userid").await?;
        let somebody = match owned {
            Owned::By(somebody) => somebody,
            Owned::Not(outcome) => return Ok(outcome),
        };
        if somebody.linked {
            return skipped("a second factor counts in every app: the person keeps what is set here");
        }
        // Rows of older versions say nothing: there the person's own mark says it.
        let asked = somebody.record.as_ref().is_none_or(|user| user.app.two_factor);
        if row.flag("verified") == Some(false) || !asked {
            return skipped("it was begun and never confirmed");
        }
        let secret = row.text("secret").and_then(|text| self.open(text));
        let Some(secret) = secret.filter(|secret| (8..=256).contains(&secret.len())) else {
            return skipped(
                "encrypted with a secret that is not at hand: give the app's with --secret-file and run again; until then the person \
                 is asked for a factor that there is not",
            );
        };
        let codes = row.text("backupcodes").and_then(|text| self.open(text));
        let codes: Option<Vec<String>> = codes.and_then(|text| serde_json::from_str(&text).ok());
        let codes: Vec<String> = codes.unwrap_or_default().into_iter().take(MOST_CODES).collect();
        if codes.is_empty() {
            self.note(
                TWO_FACTOR,
                row,
                "without backup codes: there are none, or they cannot be read",
            );
        }
        if self.wishes.dry_run {
            return Ok(Outcome::Imported);
        }
        let tx = self.doorward.store()?.begin().await?;
        let put = self
            .doorward
            .factor_put(&tx, &self.door, somebody.id, secret, &codes)
            .await
            .map_err(core)?;
        if !put {
            return Ok(Outcome::Present);
        }
        self.commit_marked(tx, TWO_FACTOR, old, somebody.id.uuid()).await
    }

    pub(super) async fn passkey(&mut self, row: &Row) -> Result<Outcome> {
        let (old, owned) = self.owner(row, PASSKEY, "userid").await?;
        let somebody = match owned {
            Owned::By(somebody) => somebody,
            Owned::Not(outcome) => return Ok(outcome),
        };
        let credential = row.text("credentialid").and_then(passkeys::part);
        let key = row.text("publickey").and_then(webauthn::decode_key);
        let (Some(credential), Some(public_key)) = (credential, key) else {
            return skipped("credential id or public key cannot be read");
        };
        let credential = webauthn::encode(&credential);
        if credential.len() > 600 || public_key.len() > 4096 {
            return skipped("credential id or public key is too long");
        }
        let application = self.door.application.id;
        let conn = self.doorward.store()?.read();
        if conn
            .app_record_named(application, passkeys::KIND, &credential)
            .await?
            .is_some()
        {
            return Ok(Outcome::Present);
        }
        let mine = conn
            .app_records_of(application, somebody.id, passkeys::KIND)
            .await?;
        if mine.len() >= passkeys::MOST {
            return skipped("the person has too many passkeys");
        }
        if self.wishes.dry_run {
            return Ok(Outcome::Imported);
        }
        let now = self.doorward.now();
        let mut record = self.doorward.app_record(&self.door, passkeys::KIND, now);
        record.user = Some(somebody.id);
        record.name = Some(credential.clone());
        record.created_at = row.created(now);
        let passkey = passkeys::Passkey {
            id: record.id,
            user: somebody.id,
            name: row.text("name").map(|name| clean(name, 100)),
            public_key: webauthn::encode_key(&public_key),
            credential,
            // Nobody knows how far a counter came that cannot be read: none is below the highest.
            counter: u32::try_from(row.number("counter").unwrap_or(0)).unwrap_or(u32::MAX),
            eligible: row.text("devicetype") == Some("multiDevice"),
            backed_up: row.flag("backedup") == Some(true),
            transports: row
                .text("transports")
                .map(|text| clean(text, 200))
                .unwrap_or_default(),
            aaguid: row.text("aaguid").map(|text| clean(text, 36)).unwrap_or_default(),
            created_at: record.created_at,
        };
        passkeys::write(&passkey, &mut record);
        let id = record.id.uuid();
        let tx = self.doorward.store()?.begin().await?;
        if !tx.add_app_record_once(&record).await? {
            return Ok(Outcome::Present);
        }
        self.commit_marked(tx, PASSKEY, old, id).await
    }

    pub(super) async fn api_key(&mut self, row: &Row) -> Result<Outcome> {
        let column = if row.has("referenceid") {
            "referenceid"
        } else {
            "userid"
        };
        let (old, owned) = self.owner(row, API_KEY, column).await?;
        let somebody = match owned {
            Owned::By(somebody) => somebody,
            Owned::Not(outcome) => return Ok(outcome),
        };
        let now = self.doorward.now();
        let expires_at = row.time("expiresat");
        if expires_at.is_some_and(|at| at <= now) {
            return skipped("expired");
        }
        // A key that opened little, or only so often, must not open more here.
        let limits = match limits_of(row) {
            Ok(limits) => limits,
            Err(why) => return skipped(why),
        };
        if row.text("configid").is_some_and(|config| config != "default") {
            return skipped("it is of a configuration of its own");
        }
        // SHA-256 in base64url is what a key is kept as there, unless hashing was switched off.
        let hash = row
            .text("key")
            .filter(|text| text.len() == 43)
            .and_then(passkeys::part);
        let Some(hash) = hash.and_then(|bytes| doorward_crypto::token::Digest::from_slice(&bytes)) else {
            return skipped("it is not kept as a hash that is known here");
        };
        let application = self.door.application.id;
        let conn = self.doorward.store()?.read();
        let mine = conn
            .app_records_of(application, somebody.id, api_keys::KIND)
            .await?;
        if mine.len() >= api_keys::MOST {
            return skipped("the person has too many keys");
        }
        if self.wishes.dry_run {
            return Ok(Outcome::Imported);
        }
        let mut record = self.doorward.app_record(&self.door, api_keys::KIND, now);
        record.user = Some(somebody.id);
        record.name = Some(hash.hex());
        record.created_at = row.created(now);
        let mut key = api_keys::ApiKey {
            name: row.text("name").map(|name| clean(name, 32)),
            start: row.text("start").map(|text| clean(text, 6)).unwrap_or_default(),
            prefix: row.text("prefix").map(|text| clean(text, 32)),
            enabled: row.flag("enabled") != Some(false),
            expires_at,
            last_refill: row.time("lastrefillat").map(|at| at.min(now)),
            updated_at: row.time("updatedat").unwrap_or(now).min(now),
            ..api_keys::ApiKey::new(record.id, somebody.id, record.created_at)
        };
        limits.onto(&mut key);
        api_keys::write(&key, &mut record);
        let id = record.id.uuid();
        let tx = self.doorward.store()?.begin().await?;
        if !tx.add_app_record_once(&record).await? {
            return Ok(Outcome::Present);
        }
        self.commit_marked(tx, API_KEY, old, id).await
    }
}

/// What a key may do and how often, as the row says it; `Err` says why it cannot be kept.
fn limits_of(row: &Row) -> Result<api_keys::AppKeyChange, &'static str> {
    let whole = |column: &str| match row.number(column) {
        None if row.has(column) => Err("its limits cannot be read"),
        number => Ok(number),
    };
    let permissions = match row.json("permissions") {
        None if row.has("permissions") => return Err("its permissions cannot be read"),
        None => None,
        Some(granted) => Some(serde_json::from_value(granted).map_err(|_| "its permissions cannot be read")?),
    };
    let limits = api_keys::AppKeyChange {
        rate_limited: row.flag("ratelimitenabled"),
        rate_max: whole("ratelimitmax")?,
        rate_window: whole("ratelimittimewindow")?,
        remaining: whole("remaining")?.map(Some),
        refill_amount: whole("refillamount")?,
        refill_interval: whole("refillinterval")?,
        permissions: Some(permissions),
        metadata: row.json("metadata").filter(Value::is_object).map(Some),
    };
    limits.check().map_err(|_| "its limits are out of bounds")?;
    Ok(limits)
}
