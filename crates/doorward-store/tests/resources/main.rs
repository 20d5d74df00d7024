//! The resources' promises, as stories on SQLite and, when `DOORWARD_TEST_POSTGRES` says where, on PostgreSQL.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod app_passwords;
mod applications;
mod attacks;
mod events;
mod people;
mod sessions;
mod tokens;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use doorward_domain::application::{Application, Audience};
use doorward_domain::client::{Client, ClientKind};
use doorward_domain::group::Group;
use doorward_domain::session::{Authentication, Session};
use doorward_domain::token::{CodeRecord, Family, RefreshRecord};
use doorward_domain::user::{User, UserKind};
use doorward_domain::{ApplicationId, FamilyId, Id, Lifetime, SessionId, Timestamp, UserId};
use doorward_store::{Result, Store, Tx};
use serde_json::json;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

static COUNTER: AtomicU64 = AtomicU64::new(1);

/// A number that no other record of this run has.
pub(crate) fn unique() -> u64 {
    COUNTER.fetch_add(1, Ordering::Relaxed)
}

/// This many seconds after `NOW`.
pub(crate) fn later(seconds: u32) -> Timestamp {
    NOW.plus(Lifetime::from_seconds(seconds))
}

/// A fresh id; later ones sort after earlier ones.
pub(crate) fn id<K>() -> Id<K> {
    let n = unique();
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    Id::mint(
        Timestamp::from_millis(NOW.millis() + i64::try_from(n).unwrap()),
        random,
    )
}

pub(crate) fn digest() -> [u8; 32] {
    let mut digest = [7; 32];
    digest[..8].copy_from_slice(&unique().to_be_bytes());
    digest
}

pub(crate) fn texts<const N: usize>(items: [&str; N]) -> BTreeSet<String> {
    items.map(str::to_owned).into()
}

pub(crate) fn user(username: &str) -> User {
    let id: UserId = id();
    User {
        id,
        number: 0,
        uid: format!("uid-{id}"),
        realm: doorward_domain::user::Realm::Shared,
        username: username.to_owned(),
        name: format!("{username} Example"),
        email: Some(format!("{username}@example.org")),
        email_verified_at: Some(NOW),
        kind: UserKind::Internal,
        attributes: json!({ "team": { "name": "blue" }, "floor": 3 })
            .as_object()
            .unwrap()
            .clone(),
        app: doorward_domain::app_auth::AppUser::default(),
        active: true,
        locale: Some("de-CH".to_owned()),
        created_at: NOW,
        updated_at: NOW,
        last_sign_in_at: None,
        deleted_at: None,
    }
}

pub(crate) fn group(name: &str) -> Group {
    Group {
        id: id(),
        name: name.to_owned(),
        superuser: false,
        attributes: json!({ "quota": 5 }).as_object().unwrap().clone(),
        parents: Vec::new(),
        created_at: NOW,
        updated_at: NOW,
        deleted_at: None,
    }
}

pub(crate) fn application(slug: &str) -> Application {
    Application {
        id: id(),
        slug: slug.to_owned(),
        name: format!("The {slug}"),
        description: "Charts".to_owned(),
        icon_url: Some("/static/icon.svg".to_owned()),
        launch_url: Some("https://app.example.org/".to_owned()),
        heading: None,
        hidden: false,
        audience: Audience::default(),
        client: Some(Client::new(
            format!("client-{}", unique()),
            ClientKind::Confidential,
        )),
        secrets: Vec::new(),
        sites: Vec::new(),
        app_auth: None,
        created_at: NOW,
        updated_at: NOW,
        deleted_at: None,
    }
}

pub(crate) fn session(user: UserId) -> Session {
    Session {
        id: id(),
        user_id: user,
        authentication: Authentication {
            at: NOW,
            methods: vec!["pwd".to_owned(), "otp".to_owned()],
        },
        created_at: NOW,
        expires_at: later(1000),
        last_seen_at: NOW,
        ended_at: None,
        ip: Some("2001:db8::1".to_owned()),
        app: None,
        user_agent: Some("Browser \"1\"".to_owned()),
    }
}

pub(crate) fn family(application: ApplicationId, user: Option<UserId>, session: Option<SessionId>) -> Family {
    Family {
        id: id(),
        application_id: application,
        user_id: user,
        session_id: session,
        scopes: texts(["openid", "profile"]),
        resources: texts(["https://api.example.org/"]),
        claims: Some(json!({ "id_token": { "email": null } })),
        nonce: Some("n-0S6_WzA2Mj".to_owned()),
        auth_time: Some(NOW),
        amr: vec!["pwd".to_owned()],
        acr: Some("1".to_owned()),
        created_at: NOW,
        ended_at: None,
    }
}

pub(crate) fn code(family: FamilyId, application: ApplicationId) -> CodeRecord {
    CodeRecord {
        family_id: family,
        application_id: application,
        redirect_uri: "https://app.example.org/callback?x=1&y='".to_owned(),
        redirect_uri_given: true,
        code_challenge: Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned()),
        created_at: NOW,
        expires_at: later(60),
        used_at: None,
        jkt: Some("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".to_owned()),
    }
}

pub(crate) fn refresh(family: FamilyId, application: ApplicationId) -> RefreshRecord {
    RefreshRecord {
        family_id: family,
        application_id: application,
        created_at: NOW,
        expires_at: later(1000),
        used_at: None,
        answer_sealed: None,
        jkt: Some("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".to_owned()),
    }
}

/// Runs `work` in a transaction and commits it.
pub(crate) async fn write<T>(store: &Store, work: impl AsyncFnOnce(&Tx) -> Result<T>) -> Result<T> {
    let tx = store.begin().await?;
    let outcome = work(&tx).await?;
    tx.commit().await?;
    Ok(outcome)
}

/// Adds a user and gives it as it is stored.
pub(crate) async fn add_user(store: &Store, username: &str) -> User {
    let mut user = user(username);
    user.number = write(store, async |tx| tx.add_user(&user).await).await.unwrap();
    user
}

pub(crate) async fn add_group(store: &Store, name: &str) -> Group {
    let group = group(name);
    write(store, async |tx| tx.add_group(&group).await).await.unwrap();
    group
}

pub(crate) async fn add_application(store: &Store, slug: &str) -> Application {
    let application = application(slug);
    write(store, async |tx| tx.add_application(&application).await)
        .await
        .unwrap();
    application
}

pub(crate) async fn add_session(store: &Store, user: UserId) -> (Session, [u8; 32]) {
    let (session, digest) = (session(user), digest());
    write(store, async |tx| tx.add_session(&session, &digest).await)
        .await
        .unwrap();
    (session, digest)
}

pub(crate) async fn add_family(store: &Store, family: Family) -> Family {
    write(store, async |tx| tx.add_family(&family).await)
        .await
        .unwrap();
    family
}

/// 50 attempts at once, each on a task of its own.
pub(crate) async fn race<T, F, Fut>(attempt: F) -> Vec<T>
where
    T: Send + 'static,
    F: Fn() -> Fut,
    Fut: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..50).map(|_| tokio::spawn(attempt())).collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}
