//! Taking over what an app kept in better-auth's own database (contract sections 4.1 to 4.3): people with their passwords, accounts at
//! providers, live sessions, and what the parts of the contract keep. Once, or again and again until the day of the move.
//!
//! Every row is taken at most once, ever: a mark in the same transaction says so, and to what it became. So a run may be broken off and
//! begun again, and nothing comes back that people ended or deleted here meanwhile. Every row that is read is counted as imported,
//! present or skipped with its reason. Nothing secret is in the report.

mod organizations;
mod people;
mod row;
mod ways;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use doorward_crypto::sealed_elsewhere;
use doorward_crypto::token::{SecretText, constant_eq};
use doorward_domain::app_auth::AppAuth;
use doorward_domain::application::Application;
use doorward_domain::{Id, UserId, text};
use doorward_store::{AppRecord, Foreign, Tx};

use crate::Doorward;
use crate::app_auth::{AppError, Door};
use crate::error::{Error, Result};
use crate::token_api::import::{Counted, Remark};
use row::{Row, plain};

/// Kind of the marks.
const IMPORTED: &str = "imported";
/// Most remarks of a sort that a report keeps.
const MOST_REMARKS: usize = 10_000;

/// Tables that are taken over, in this order.
const TABLES: [&str; 11] = [
    USER,
    ORGANIZATION,
    TEAM,
    MEMBER,
    TEAM_MEMBER,
    INVITATION,
    ACCOUNT,
    SESSION,
    TWO_FACTOR,
    PASSKEY,
    API_KEY,
];
const USER: &str = "user";
const ORGANIZATION: &str = "organization";
const TEAM: &str = "team";
const MEMBER: &str = "member";
const TEAM_MEMBER: &str = "teamMember";
const INVITATION: &str = "invitation";
const ACCOUNT: &str = "account";
const SESSION: &str = "session";
const TWO_FACTOR: &str = "twoFactor";
const PASSKEY: &str = "passkey";
const API_KEY: &str = "apikey";

/// Which part of the contract a table is of.
const PARTS: [(&str, &str); 8] = [
    (ORGANIZATION, "organization"),
    (TEAM, "organization"),
    (MEMBER, "organization"),
    (TEAM_MEMBER, "organization"),
    (INVITATION, "organization"),
    (TWO_FACTOR, "two-factor"),
    (PASSKEY, "passkey"),
    (API_KEY, "api-key"),
];

/// Tables that are known and left where they are.
const LEFT: [(&str, &str); 13] = [
    (
        "verification",
        "links and codes that are under way: people ask for new ones",
    ),
    ("rateLimit", "counters of calls begin anew"),
    (
        "jwks",
        "Doorward signs with keys of its own: services read them from /jwks",
    ),
    ("deviceCode", "devices ask for a new code"),
    ("organizationRole", "roles of one's own are not known here"),
    ("ssoProvider", "set them up with `doorward app-auth provider`"),
    ("oauthApplication", "make an application in Doorward for each"),
    ("oauthClient", "make an application in Doorward for each"),
    ("oauthAccessToken", "clients ask for new tokens"),
    ("oauthRefreshToken", "clients ask for new tokens"),
    ("oauthConsent", "people are asked again"),
    ("subscription", "not of signing in"),
    ("walletAddress", "sign-in with a wallet is not known here"),
];

/// Columns that are read, by table; others are named in the report.
const COLUMNS: [(&str, &str); 11] = [
    (
        USER,
        "id name email emailverified image createdat updatedat username displayusername role banned banreason banexpires \
         twofactorenabled isanonymous",
    ),
    (ORGANIZATION, "id name slug logo metadata createdat updatedat"),
    (TEAM, "id name organizationid createdat updatedat membercount"),
    (MEMBER, "id organizationid userid role createdat"),
    (TEAM_MEMBER, "id teamid userid createdat membershipkey"),
    (
        INVITATION,
        "id organizationid email role teamid status expiresat createdat inviterid",
    ),
    (
        ACCOUNT,
        "id accountid providerid userid accesstoken refreshtoken idtoken accesstokenexpiresat refreshtokenexpiresat scope password \
         createdat updatedat issuer",
    ),
    (
        SESSION,
        "id expiresat token createdat updatedat ipaddress useragent userid activeorganizationid activeteamid impersonatedby",
    ),
    (
        TWO_FACTOR,
        "id secret backupcodes userid verified failedverificationcount lockeduntil",
    ),
    (
        PASSKEY,
        "id name publickey userid credentialid counter devicetype backedup transports createdat aaguid",
    ),
    (
        API_KEY,
        "id configid name start referenceid userid prefix key enabled expiresat createdat updatedat lastrequest requestcount \
         ratelimitenabled ratelimittimewindow ratelimitmax remaining permissions metadata refillinterval refillamount lastrefillat",
    ),
];

/// How an import is done.
#[derive(Debug, Default)]
pub struct ImportWishes {
    /// Write nothing.
    pub dry_run: bool,
    /// Somebody who is here already with the same address, proved on both sides, is the same person.
    pub link_verified: bool,
    /// The secret that the app had.
    pub secret: Option<SecretText>,
    /// Names of tables that have names of their own: what better-auth calls it, and what it is called.
    pub tables: Vec<(String, String)>,
}

/// Does the door sign with the secret that the app had?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SameSecret {
    /// Yes: cookies of imported sessions go on working.
    Yes,
    /// No: they do not.
    No,
    /// The database does not tell.
    #[default]
    Unknown,
}

/// What became of the rows of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableReport {
    /// What better-auth calls it.
    pub table: &'static str,
    /// What it is called there.
    pub name: String,
    /// Rows.
    #[serde(flatten)]
    pub counted: Counted,
    /// Columns that are not taken over.
    pub other_columns: Vec<String>,
}

/// A table that is left where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftTable {
    /// Its name.
    pub name: String,
    /// Rows that it has.
    pub rows: u64,
    /// Why.
    pub why: &'static str,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Was nothing written?
    pub dry_run: bool,
    /// Slug of the app.
    pub application: String,
    /// Is the door's secret the one that the app had?
    pub same_secret: SameSecret,
    /// Tables, in the order in which they were read.
    pub tables: Vec<TableReport>,
    /// Tables that are left where they are.
    pub left: Vec<LeftTable>,
    /// Rows that were skipped, with the reason.
    pub skipped: Vec<Remark>,
    /// Rows that were imported with something left out, or with something to know.
    pub notes: Vec<Remark>,
    /// What to know about the whole.
    pub hints: Vec<String>,
    /// Remarks beyond the most that are kept.
    pub more_remarks: u64,
    /// Table, id there, and id here, of everything that has an id that apps may have written down.
    #[serde(skip)]
    pub ids: Vec<(&'static str, String, String)>,
}

/// What became of a row.
enum Outcome {
    Imported,
    Present,
    Skipped(String),
}

fn skipped(why: &str) -> Result<Outcome> {
    Ok(Outcome::Skipped(why.to_owned()))
}

/// What a row of another table became here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    id: uuid::Uuid,
    /// It was here before.
    linked: bool,
}

/// One import under way.
struct Import<'a> {
    doorward: &'a Doorward,
    door: Door,
    wishes: &'a ImportWishes,
    report: ImportReport,
    /// Secrets that may open what the app encrypted.
    secrets: Vec<Arc<SecretText>>,
    /// Hashes by the id of the person there.
    hashes: HashMap<String, String>,
    /// Whose hash was taken in this run.
    hashed: HashSet<String>,
    /// Addresses that were read in this run.
    addresses: HashSet<String>,
    /// Who is banned of those who were made in this run.
    banned: HashSet<String>,
    /// What a dry run would have made.
    planned: HashMap<String, Known>,
}

impl Doorward {
    /// Takes over an app's own better-auth database into its door.
    ///
    /// # Errors
    /// `NotFound` when the application has no door or the database no table of users, `Invalid` for a table name that fits nothing, a
    /// `Fault` when a database is away. What was imported by then stays, and the next run goes on.
    pub async fn import_better_auth(
        &self,
        application: &Application,
        from: &Foreign,
        wishes: &ImportWishes,
    ) -> Result<ImportReport> {
        let Some(settings) = &application.app_auth else {
            return Err(Error::NotFound(format!(
                "`{}` has no door; `doorward app-auth set {}` opens one",
                application.slug, application.slug
            )));
        };
        let door = Door {
            base: settings.path().into(),
            application: Arc::new(application.clone()),
        };
        let names = from.tables().await?;
        let found = find_tables(&names, &wishes.tables)?;
        if !found.contains_key(USER) {
            return Err(Error::NotFound(
                "the database has no table `user` or `users`; name it with --table user=NAME".into(),
            ));
        }
        let mut secrets = self.door_secrets(&door)?;
        let mut same_secret = SameSecret::Unknown;
        if let Some(secret) = &wishes.secret {
            let fits =
                |known: &Arc<SecretText>| constant_eq(known.expose().as_bytes(), secret.expose().as_bytes());
            same_secret = if secrets.iter().any(fits) {
                SameSecret::Yes
            } else {
                SameSecret::No
            };
            secrets.insert(0, Arc::new(SecretText::new(secret.expose())));
        }
        let mut import = Import {
            doorward: self,
            door,
            wishes,
            report: ImportReport {
                dry_run: wishes.dry_run,
                application: application.slug.clone(),
                same_secret,
                ..ImportReport::default()
            },
            secrets,
            hashes: HashMap::new(),
            hashed: HashSet::new(),
            addresses: HashSet::new(),
            banned: HashSet::new(),
            planned: HashMap::new(),
        };
        import.look_for_the_secret(from, &names, &found).await?;
        if let Some(accounts) = found.get(ACCOUNT) {
            from.each_row(accounts, async |row| {
                import.remember_hash(&Row::new(row));
                Ok::<_, Error>(())
            })
            .await?;
        }
        for table in TABLES {
            if let Some(name) = found.get(table) {
                import.table(from, table, name).await?;
            }
        }
        for (table, why) in LEFT {
            if let Some(name) = find_table(&names, table) {
                let rows = from.count(&name).await?;
                if rows > 0 {
                    import.report.left.push(LeftTable { name, rows, why });
                }
            }
        }
        import.hint();
        Ok(import.report)
    }
}

fn find_table(names: &[String], table: &str) -> Option<String> {
    let wanted = plain(table);
    let same = |name: &&String| plain(name) == wanted;
    let plural = |name: &&String| {
        let name = plain(name);
        name.strip_suffix('s') == Some(&wanted)
    };
    names
        .iter()
        .find(same)
        .or_else(|| names.iter().find(plural))
        .cloned()
}

fn find_tables(names: &[String], given: &[(String, String)]) -> Result<BTreeMap<&'static str, String>> {
    let mut found = BTreeMap::new();
    for table in TABLES {
        if let Some(name) = find_table(names, table) {
            found.insert(table, name);
        }
    }
    for (table, name) in given {
        let Some(known) = TABLES.into_iter().find(|known| plain(known) == plain(table)) else {
            let near = text::nearest(table, TABLES)
                .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(Error::Invalid(format!(
                "--table: there is no table `{table}` to take over{near}; expected one of {}",
                TABLES.join(", ")
            )));
        };
        if !names.contains(name) {
            return Err(Error::Invalid(format!(
                "--table: the database has no table `{name}` for `{known}`"
            )));
        }
        found.insert(known, name.clone());
    }
    Ok(found)
}

impl Import<'_> {
    fn settings(&self) -> &AppAuth {
        self.door.settings()
    }

    async fn table(&mut self, from: &Foreign, table: &'static str, name: &str) -> Result<()> {
        let mut counted = Counted::default();
        let mut others: Vec<String> = Vec::new();
        let known = COLUMNS
            .iter()
            .find(|(of, _)| *of == table)
            .map_or("", |(_, columns)| columns);
        from.each_row(name, async |columns| {
            if counted.read == 0 {
                let other = |column: &&String| !known.split_whitespace().any(|known| known == plain(column));
                others = columns.keys().filter(other).cloned().collect();
            }
            counted.read += 1;
            let row = Row::new(columns);
            let outcome = match table {
                USER => self.user(&row).await,
                ORGANIZATION => self.organization(&row).await,
                TEAM => self.team(&row).await,
                MEMBER => self.member(&row).await,
                TEAM_MEMBER => self.team_member(&row).await,
                INVITATION => self.invitation(&row).await,
                ACCOUNT => self.account(&row).await,
                SESSION => self.session(&row).await,
                TWO_FACTOR => self.two_factor(&row).await,
                PASSKEY => self.passkey(&row).await,
                _ => self.api_key(&row).await,
            }?;
            match outcome {
                Outcome::Imported => counted.imported += 1,
                Outcome::Present => counted.present += 1,
                Outcome::Skipped(what) => {
                    counted.skipped += 1;
                    if self.report.skipped.len() < MOST_REMARKS {
                        let id = row.shown();
                        self.report.skipped.push(Remark { table, id, what });
                    } else {
                        self.report.more_remarks += 1;
                    }
                }
            }
            Ok::<_, Error>(())
        })
        .await?;
        others.sort();
        let part = PARTS.iter().find(|(of, _)| *of == table).map(|(_, part)| *part);
        if let Some(part) = part
            && counted.imported > 0
            && !self.settings().has(part)
        {
            let hint =
                format!("the door's part `{part}` is off: what was taken from `{name}` rests until it is on");
            self.hint_once(hint);
        }
        self.report.tables.push(TableReport {
            table,
            name: name.to_owned(),
            counted,
            other_columns: others,
        });
        Ok(())
    }

    fn note(&mut self, table: &'static str, row: &Row, what: impl Into<String>) {
        if self.report.notes.len() < MOST_REMARKS {
            self.report.notes.push(Remark {
                table,
                id: row.shown(),
                what: what.into(),
            });
        } else {
            self.report.more_remarks += 1;
        }
    }

    fn hint_once(&mut self, hint: String) {
        if !self.report.hints.contains(&hint) {
            self.report.hints.push(hint);
        }
    }

    fn imported(&self, table: &str) -> u64 {
        let found = self.report.tables.iter().find(|report| report.table == table);
        found.map_or(0, |report| report.counted.imported + report.counted.present)
    }

    fn hint(&mut self) {
        if self.imported(SESSION) > 0 {
            let hint = match self.report.same_secret {
                SameSecret::Yes => "the door has the app's secret: cookies of the sessions go on working",
                SameSecret::No => {
                    "the door's secret is not the app's: cookies of the sessions do not work until \
                     `doorward app-auth set … --secret-stdin` gives it the app's"
                }
                SameSecret::Unknown => {
                    "whether the door has the app's secret cannot be told from the database: without it, cookies of the sessions do \
                     not work (compare with --secret-file)"
                }
            };
            self.hint_once(hint.to_owned());
        }
        if self.imported(PASSKEY) > 0 {
            let hint = format!(
                "passkeys work only when the app's relying party was `{}`, the host of the door",
                self.door.rp_id()
            );
            self.hint_once(hint);
        }
        if self.report.ids.iter().any(|(_, there, here)| there != here) {
            let hint = "ids that are no UUID become one: an app that wrote ids down needs the list of --ids";
            self.hint_once(hint.to_owned());
        }
        if !self.door.application.audience.everyone
            && self.settings().groups.is_empty()
            && self.imported(USER) > 0
        {
            let hint = "the application lets nobody in by itself: imported people need a group that it allows, see `app-auth set --group`";
            self.hint_once(hint.to_owned());
        }
    }

    /// Where something is encrypted with the app's secret, one row tells whether the door has the same.
    async fn look_for_the_secret(
        &mut self,
        from: &Foreign,
        names: &[String],
        found: &BTreeMap<&'static str, String>,
    ) -> Result<()> {
        if self.report.same_secret != SameSecret::Unknown {
            return Ok(());
        }
        let jwks = find_table(names, "jwks").map(|name| (name, "privatekey"));
        let factors = found.get(TWO_FACTOR).map(|name| (name.clone(), "secret"));
        for (name, column) in jwks.into_iter().chain(factors) {
            let mut read = 0_u32;
            let mut opened = false;
            from.each_row(&name, async |columns| {
                let row = Row::new(columns);
                if let Some(text) = row.text(column) {
                    // Keys stand there as JSON texts.
                    let text = text.trim_matches('"');
                    read += 1;
                    opened |= read <= 100 && self.open(text).is_some();
                }
                Ok::<_, Error>(())
            })
            .await?;
            if opened {
                self.report.same_secret = SameSecret::Yes;
                return Ok(());
            }
            if read > 0 {
                self.report.same_secret = SameSecret::No;
            }
        }
        Ok(())
    }

    /// What the app encrypted.
    fn open(&self, sealed: &str) -> Option<String> {
        let secrets: Vec<&str> = self.secrets.iter().map(|secret| secret.expose()).collect();
        sealed_elsewhere::open(sealed, &secrets)
    }

    /// What a row became in an earlier run, or in this one.
    async fn known(&self, table: &str, id: &str) -> Result<Option<Known>> {
        let name = format!("{table} {id}");
        if let Some(known) = self.planned.get(&name) {
            return Ok(Some(*known));
        }
        let conn = self.doorward.store()?.read();
        let mark = conn
            .app_record_named(self.door.application.id, IMPORTED, &name)
            .await?;
        Ok(mark.and_then(|mark| {
            let id = mark.content.get("id")?.as_str()?.parse().ok()?;
            let linked = mark.content.get("linked") == Some(&json!(true));
            Some(Known { id, linked })
        }))
    }

    /// Marks a row as taken over, in the transaction that takes it.
    async fn mark(&self, tx: &Tx, table: &str, id: &str, known: Known) -> Result<()> {
        let now = self.doorward.now();
        let mut record: AppRecord = self.doorward.app_record(&self.door, IMPORTED, now);
        record.name = Some(format!("{table} {id}"));
        record.content = json!({ "id": known.id.to_string(), "linked": known.linked });
        tx.add_app_record(&record).await?;
        Ok(())
    }

    fn plan(&mut self, table: &str, id: &str, known: Known) {
        self.planned.insert(format!("{table} {id}"), known);
    }

    fn remember_id(&mut self, table: &'static str, there: &str, here: uuid::Uuid) {
        self.report.ids.push((table, there.to_owned(), here.to_string()));
    }

    /// The id that stays, when it is a UUID that nobody has; else a fresh one.
    async fn fresh_id<K>(&self, table: &str, id: &str) -> Result<Id<K>> {
        if let Ok(same) = uuid::Uuid::try_parse(id)
            && same.get_version_num() > 0
        {
            let conn = self.doorward.store()?.read();
            let taken = if table == USER {
                conn.user(UserId::from_uuid(same)).await?.is_some()
            } else {
                conn.app_record(Id::from_uuid(same)).await?.is_some()
            };
            if !taken {
                return Ok(Id::from_uuid(same));
            }
        }
        Ok(self.doorward.mint(self.doorward.now()))
    }
}

/// The error of a call of the door, in an import.
fn core(error: AppError) -> Error {
    match error {
        AppError::Core(error) => error,
        AppError::Code(code) => Error::Invalid(code.to_owned()),
        AppError::Said(_, said) => Error::Invalid(said),
    }
}

/// Somebody else was faster: the row is here.
fn unless_present(error: doorward_store::Error) -> Result<Outcome> {
    match error {
        doorward_store::Error::Conflict { .. } => Ok(Outcome::Present),
        error => Err(error.into()),
    }
}
