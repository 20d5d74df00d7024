//! Fills a database with people for the growth benchmark.
//!
//! ```text
//! cargo run --release -p doorward-store --example seed -- sqlite:/tmp/growth.db 1000000 ['$argon2id$…'] [COOKIES]
//! ```
//!
//! Arguments: `sqlite:PATH` or `postgres://…`, how many users, optionally one password hash for all of them (or an empty text), and
//! optionally a file for cookies. The users
//! are `user0000001`, `user0000002`, …, with `user0000001@example.org` and so on. Each is in one to three groups and has
//! up to two sessions, each with a token family and a refresh token. Run it again to add more: numbering goes on.
//!
//! The data is made up from the number of the user, so that two runs make the same people; digests are not the digests of
//! anything, so nobody can sign in with a seeded session. With a file for cookies, sessions have cookies, and up to 20,000 of them,
//! from all over, are written there: anybody can make those up again, so such a database is for measuring only.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::collections::BTreeSet;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use doorward_crypto::token::{Opaque, TokenKind};
use doorward_domain::application::{Application, Audience};
use doorward_domain::client::{Client, ClientKind};
use doorward_domain::group::Group;
use doorward_domain::session::{Authentication, Session};
use doorward_domain::token::{Family, RefreshRecord};
use doorward_domain::user::{User, UserKind};
use doorward_domain::{ApplicationId, Attributes, FamilyId, GroupId, Id, Lifetime, Timestamp, UserId};
use doorward_store::{OpenOptions, Store, Tx, sql};
use futures_util::future::try_join_all;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Users per transaction. Digests are random, so each transaction writes most pages of their indexes once.
const BATCH: u64 = 50_000;
/// Users made up in memory at a time.
const PART: u64 = 1000;
/// Cookies that are written down.
const MOST_COOKIES: usize = 20_000;
/// Statements on their way to PostgreSQL at once.
const AHEAD: usize = 250;

/// Numbers without pattern from a number: splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }

    fn id<K>(&mut self, at: Timestamp) -> Id<K> {
        let mut random = [0; 10];
        for (cell, byte) in random
            .iter_mut()
            .zip(self.roll().to_be_bytes().into_iter().chain([0, 0]))
        {
            *cell = byte;
        }
        Id::mint(at, random)
    }

    fn digest(&mut self) -> [u8; 32] {
        let mut digest = [0; 32];
        for part in digest.chunks_mut(8) {
            part.copy_from_slice(&self.roll().to_be_bytes());
        }
        digest
    }
}

/// Everything of some people, in the order in which it has to be written.
#[derive(Default)]
struct People {
    users: Vec<User>,
    memberships: Vec<(UserId, GroupId)>,
    sessions: Vec<(Session, [u8; 32])>,
    families: Vec<Family>,
    refresh: Vec<(RefreshRecord, [u8; 32])>,
    cookies: Vec<String>,
}

/// What everybody has in common.
struct Common {
    groups: Vec<GroupId>,
    application: ApplicationId,
    /// Do sessions have cookies?
    cookies: bool,
}

impl People {
    fn add(&mut self, number: u64, common: &Common, now: Timestamp) {
        let Common {
            groups,
            application,
            cookies,
        } = common;
        let mut dice = Dice(number);
        let id = dice.id(now);
        self.users.push(user(id, number, now));
        let joined: BTreeSet<u64> = (0..=dice.below(3))
            .map(|_| dice.below(groups.len() as u64))
            .collect();
        for index in joined {
            let group = usize::try_from(index).ok().and_then(|index| groups.get(index));
            self.memberships.extend(group.map(|group| (id, *group)));
        }
        for _ in 0..dice.below(3) {
            let session = session(&mut dice, id, now);
            let family = family(dice.id(now), &session, *application);
            self.refresh.push((
                RefreshRecord {
                    family_id: family.id,
                    application_id: *application,
                    created_at: now,
                    expires_at: now.plus(Lifetime::from_days(30)),
                    used_at: None,
                    answer_sealed: None,
                    jkt: None,
                },
                dice.digest(),
            ));
            self.families.push(family);
            let mut digest = dice.digest();
            if *cookies {
                let cookie = Opaque::mint(TokenKind::Session, &digest);
                digest = *cookie.digest().bytes();
                self.cookies.push(cookie.text().to_owned());
            }
            self.sessions.push((session, digest));
        }
    }

    /// Writes all of it; on PostgreSQL statements travel together.
    async fn write(&self, tx: &Tx, hash: Option<&str>, now: Timestamp) -> Outcome<()> {
        // The highest number first, so that the counter moves once.
        if let Some((last, others)) = self.users.split_last() {
            tx.add_user(last).await?;
            for users in others.chunks(AHEAD) {
                try_join_all(users.iter().map(|user| tx.add_user(user))).await?;
            }
        }
        if let Some(hash) = hash {
            for users in self.users.chunks(AHEAD) {
                try_join_all(users.iter().map(|user| tx.set_password(user.id, hash, now))).await?;
            }
        }
        for memberships in self.memberships.chunks(AHEAD) {
            try_join_all(
                memberships
                    .iter()
                    .map(|(user, group)| tx.add_member(*user, *group, now)),
            )
            .await?;
        }
        for sessions in self.sessions.chunks(AHEAD) {
            try_join_all(
                sessions
                    .iter()
                    .map(|(session, digest)| tx.add_session(session, digest)),
            )
            .await?;
        }
        for families in self.families.chunks(AHEAD) {
            try_join_all(families.iter().map(|family| tx.add_family(family))).await?;
        }
        for tokens in self.refresh.chunks(AHEAD) {
            try_join_all(tokens.iter().map(|(token, digest)| tx.add_refresh(digest, token))).await?;
        }
        Ok(())
    }
}

fn user(id: UserId, number: u64, now: Timestamp) -> User {
    let username = format!("user{number:07}");
    User {
        app: doorward_domain::app_auth::AppUser::default(),
        id,
        number: i64::try_from(number).unwrap_or(i64::MAX),
        uid: format!("seed-{number:016x}"),
        realm: doorward_domain::user::Realm::Shared,
        name: format!("Person Number {number}"),
        email: Some(format!("{username}@example.org")),
        username,
        email_verified_at: Some(now),
        kind: UserKind::Internal,
        attributes: [("floor".to_owned(), (number % 20).into())].into_iter().collect(),
        active: true,
        locale: None,
        created_at: now,
        updated_at: now,
        last_sign_in_at: Some(now),
        deleted_at: None,
    }
}

fn session(dice: &mut Dice, user: UserId, now: Timestamp) -> Session {
    Session {
        app: None,
        id: dice.id(now),
        user_id: user,
        authentication: Authentication {
            at: now,
            methods: vec!["pwd".to_owned()],
        },
        created_at: now,
        expires_at: now.plus(Lifetime::from_days(14)),
        last_seen_at: now,
        ended_at: None,
        ip: Some("192.0.2.1".to_owned()),
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned()),
    }
}

fn family(id: FamilyId, session: &Session, application: ApplicationId) -> Family {
    Family {
        id,
        application_id: application,
        user_id: Some(session.user_id),
        session_id: Some(session.id),
        scopes: ["openid", "profile", "email", "offline_access"]
            .map(str::to_owned)
            .into(),
        resources: BTreeSet::new(),
        claims: None,
        nonce: None,
        auth_time: Some(session.authentication.at),
        amr: session.authentication.methods.clone(),
        acr: None,
        created_at: session.created_at,
        ended_at: None,
    }
}

/// The application that everybody has tokens of; made by the first run.
async fn application(store: &Store, dice: &mut Dice, now: Timestamp) -> Outcome<ApplicationId> {
    if let Some(application) = store.read().application_by_slug("seed", false).await? {
        return Ok(application.id);
    }
    let application = Application {
        app_auth: None,
        id: dice.id(now),
        slug: "seed".to_owned(),
        name: "Seed".to_owned(),
        description: "Holds the seeded tokens".to_owned(),
        icon_url: None,
        launch_url: None,
        heading: None,
        hidden: true,
        audience: Audience {
            everyone: true,
            ..Audience::default()
        },
        client: Some(Client::new("seed".to_owned(), ClientKind::Public)),
        secrets: Vec::new(),
        sites: Vec::new(),
        created_at: now,
        updated_at: now,
        deleted_at: None,
    };
    let tx = store.begin().await?;
    tx.add_application(&application).await?;
    tx.changed("directory", "seed", now);
    tx.commit().await?;
    Ok(application.id)
}

/// 10 groups and one more for every thousand users, at most 1,000; those of an earlier run count.
async fn groups(store: &Store, dice: &mut Dice, users: u64, now: Timestamp) -> Outcome<Vec<GroupId>> {
    let wanted = usize::try_from((10 + users / 1000).min(1000))?;
    let existing = store.read().groups(false).await?;
    let mut ids: Vec<GroupId> = existing
        .iter()
        .filter(|g| g.name.starts_with("seed-"))
        .map(|g| g.id)
        .collect();
    let tx = store.begin().await?;
    for n in ids.len()..wanted {
        let group = Group {
            id: dice.id(now),
            name: format!("seed-{n:04}"),
            superuser: false,
            attributes: Attributes::new(),
            parents: ids.get(n / 10).copied().into_iter().collect(),
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        tx.add_group(&group).await?;
        ids.push(group.id);
    }
    tx.changed("directory", "seed", now);
    tx.commit().await?;
    Ok(ids)
}

/// The number of the first user to add.
async fn first_number(store: &Store) -> Outcome<u64> {
    let tx = store.begin().await?;
    let next = tx.next_number("user").await?;
    tx.commit().await?;
    Ok(u64::try_from(next)?)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program of its own: sessions are seeded to be live now"
)]
fn now() -> Outcome<Timestamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Timestamp::from_millis(i64::try_from(since.as_millis())?))
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let (Some(place), Some(count)) = (args.next(), args.next()) else {
        return Err("usage: seed sqlite:PATH|postgres://… USERS [PASSWORD_HASH] [COOKIES]".into());
    };
    let count: u64 = count
        .replace('_', "")
        .parse()
        .map_err(|_| "USERS is a number, for example 1000000")?;
    let hash = args.next().filter(|hash| !hash.is_empty());
    let file = args.next();
    let (started, now) = (Instant::now(), now()?);
    let store = Store::open(OpenOptions::parse(&place)?).await?;
    let first = first_number(&store).await?;
    if store.engine_name() == "sqlite" {
        // What a transaction has changed stays in memory until its commit.
        let tx = store.begin().await?;
        tx.run(sql("PRAGMA cache_size = -600000")).await?;
        tx.commit().await?;
    }
    let mut dice = Dice(first ^ 0x5eed_0000_0000_0000);
    let application = application(&store, &mut dice, now).await?;
    let common = Common {
        groups: groups(&store, &mut dice, count, now).await?,
        application,
        cookies: file.is_some(),
    };
    let (mut sessions, end) = (0, first + count);
    let mut cookies = Vec::new();
    for start in (first..end).step_by(usize::try_from(BATCH)?) {
        let tx = store.begin().await?;
        let stop = (start + BATCH).min(end);
        for part in (start..stop).step_by(usize::try_from(PART)?) {
            let mut people = People::default();
            for number in part..(part + PART).min(stop) {
                // A millisecond apart, as ids that follow the clock are in real life.
                let at = Timestamp::from_millis(now.millis() - i64::try_from(end - number)?);
                people.add(number, &common, at);
            }
            people.write(&tx, hash.as_deref(), now).await?;
            sessions += people.sessions.len();
            cookies.append(&mut people.cookies);
        }
        tx.commit().await?;
        println!(
            "{} users after {:.1} s",
            stop - first,
            started.elapsed().as_secs_f64()
        );
    }
    println!(
        "{}: added {count} users from user{first:07} on, in {} groups, with {sessions} sessions and refresh tokens, \
         in {:.1} s; {} users in all",
        store.place(),
        common.groups.len(),
        started.elapsed().as_secs_f64(),
        store.read().count_users().await?,
    );
    store.close().await;
    if let Some(file) = file {
        let stride = cookies.len().div_ceil(MOST_COOKIES).max(1);
        let some: Vec<String> = cookies.into_iter().step_by(stride).collect();
        std::fs::write(file, some.join("\n"))?;
    }
    Ok(())
}
