//! The token API: an account, a sign-in, and a pair of tokens, for services that bring their own pages.
//!
//! People, passwords, throttling and sessions are the ones of everything else: one sign-in is one row of `sessions` that no
//! cookie leads to, made by the same choke point. What is special is here: the tokens and their generations
//! ([`tokens`]), accounts at the Matrix server ([`matrix`]), and taking over from the service that was there before
//! ([`import`]).

pub mod import;
pub mod matrix;
mod refresh;
pub mod tokens;

use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use doorward_crypto::shared::SharedKey;
use doorward_crypto::token::SecretText;
use doorward_domain::access::Person;
use doorward_domain::event::EventKind;
use doorward_domain::network::Network;
use doorward_domain::token_api::matrix::MatrixAccount;
use doorward_domain::token_api::{self as rules, Access, Credentials, Issue, Registration, TokenFamily};
use doorward_domain::user::{Realm, User, UserKind};
use doorward_domain::{Lifetime, SessionId, Timestamp, UserId};

use crate::admin::users::NewUser;
use crate::error::{Error, Fault};
use crate::events::About;
use crate::picture::topic;
use crate::sessions::{Target, Visit};
use crate::{Doorward, Origin};

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAlgorithm {
    /// With the secret that the services share: what services of old expect.
    Hs256,
    /// With our own key, for services that read the key set.
    EdDsa,
    /// The same for services that know RSA only.
    Rs256,
}

/// The token API as it was set up.
#[derive(Clone, Debug)]
pub struct TokenApi {
    /// How access tokens are signed.
    pub algorithm: TokenAlgorithm,
    /// The shared secret; needed for HS256, and to read refresh tokens that were signed with it before.
    pub secret: Option<SharedKey>,
    /// `iss`.
    pub issuer: String,
    /// How long an access token lives.
    pub access_lifetime: Lifetime,
    /// How long a sign-in lives.
    pub refresh_lifetime: Lifetime,
    /// Does each refresh begin that time again?
    pub sliding: bool,
    /// May strangers make accounts?
    pub registration: bool,
    /// Are imported bcrypt hashes left as they are?
    pub keep_bcrypt: bool,
    /// May everybody introspect?
    pub introspect_open: bool,
    /// What callers of introspection show.
    pub introspect_token: Option<SecretText>,
    /// The Matrix server where people get accounts.
    pub matrix: Option<MatrixServer>,
}

/// The Matrix server.
#[derive(Clone, Debug)]
pub struct MatrixServer {
    /// Its address, without a slash at the end.
    pub url: String,
    /// Its `registration_shared_secret`.
    pub secret: SecretText,
    /// Its name; asked from it when not given.
    pub server_name: Option<String>,
    /// Token of an administrator there, to switch accounts off.
    pub admin_token: Option<SecretText>,
}

/// What the token API remembers between requests.
#[derive(Default)]
pub struct State {
    registrations: Mutex<HashMap<Network, (u32, Timestamp)>>,
    matrix_names: Mutex<HashMap<UserId, (Option<String>, u64)>>,
    synapse_trouble: AtomicBool,
    /// Attempts at the Matrix server that are under way.
    attempts: AtomicUsize,
}

/// Why the token API says no.
#[derive(Debug)]
pub enum Refusal {
    /// The body does not fit.
    Body(Vec<Issue>),
    /// Somebody has the address.
    Taken,
    /// Strangers do not make accounts here.
    RegistrationOff,
    /// The refresh token is none, or over.
    Refresh,
    /// The refresh token was replaced before; its session has ended.
    Reused,
    /// No access token was shown.
    NotAuthenticated,
    /// The access token is none, or over.
    Token,
    /// The caller may not ask.
    Caller,
    /// Too many requests; seconds until trying again makes sense.
    TooMany(u32),
    /// As everywhere else.
    Core(Error),
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Core(error.into())
    }
}

/// What the token API answers with.
pub type Answer<T> = std::result::Result<T, Refusal>;

/// Registrations of one network that are taken at once; then one a second.
const BURST: u32 = 150;
/// Networks that are remembered.
const NETWORKS: usize = 10_000;

impl State {
    /// May this network make one more account? Otherwise the seconds to wait.
    fn admit(&self, network: Network, now: Timestamp) -> Option<u32> {
        let Ok(mut known) = self.registrations.lock() else {
            return None;
        };
        if known.len() >= NETWORKS && !known.contains_key(&network) {
            known.retain(|_, (_, at)| now.millis_since(*at) < i64::from(BURST) * 1000);
            if known.len() >= NETWORKS {
                known.clear();
            }
        }
        let (left, at) = known.entry(network).or_insert((BURST, now));
        let gained = u32::try_from(now.millis_since(*at) / 1000).unwrap_or(0);
        if gained > 0 {
            *left = left.saturating_add(gained).min(BURST);
            *at = now;
        }
        if *left == 0 {
            return Some(1);
        }
        *left -= 1;
        None
    }
}

/// Who is behind an access token.
pub struct Holder {
    /// The token.
    pub access: Access,
    /// The person.
    pub person: Arc<Person>,
    /// The session; tokens of the service before have none.
    pub visit: Option<Arc<Visit>>,
}

impl Doorward {
    /// The token API, when it is on.
    #[must_use]
    pub fn token_api(&self) -> Option<&Arc<TokenApi>> {
        self.inner.options.token_api.as_ref()
    }

    pub(crate) fn the_token_api(&self) -> Result<&Arc<TokenApi>, Error> {
        self.token_api()
            .ok_or_else(|| Error::Fault(Fault::internal("the token API is off")))
    }

    /// Makes an account, and one at the Matrix server in the background; that one is waited for a moment.
    ///
    /// # Errors
    /// `Taken`, `RegistrationOff`, `TooMany`, `Body` for a password that the rules refuse, or as elsewhere.
    pub async fn token_register(&self, wanted: &Registration, origin: &Origin) -> Answer<Value> {
        let api = self.the_token_api()?;
        if !api.registration {
            return Err(Refusal::RegistrationOff);
        }
        let network = origin.ip.map(Network::of);
        if let Some(wait) = network.and_then(|network| self.inner.token_api.admit(network, self.now())) {
            self.inner.metrics.decided("token_register", "too_many");
            return Err(Refusal::TooMany(wait));
        }
        let username = username_of(&wanted.email);
        crate::passwords::check_new(&wanted.password, &username, Some(&wanted.email))
            .map_err(|problem| Refusal::Body(vec![Issue::password(&problem)]))?;
        if self.is_taken(&wanted.email, &username).await? {
            self.inner.metrics.decided("token_register", "taken");
            return Err(Refusal::Taken);
        }
        let local = wanted.email.split('@').next().unwrap_or_default();
        let new = NewUser {
            username: username.clone(),
            name: wanted.display_name.clone().unwrap_or_else(|| local.to_owned()),
            email: Some(wanted.email.clone()),
            kind: UserKind::External,
            ..NewUser::default()
        };
        let drafted = self.draft_user(&new, Some(&wanted.password)).await;
        let (user, hash) = drafted.map_err(|error| match error {
            Error::Invalid(problem) => Refusal::Body(vec![Issue::value("email", &problem, &wanted.email)]),
            error => error.into(),
        })?;
        let stored = self.store_registered(user, hash.as_deref(), origin).await;
        let user = match stored {
            Ok(user) => user,
            // Somebody was faster with the same address.
            Err(Error::Invalid(_)) if self.is_taken(&wanted.email, &username).await? => {
                return Err(Refusal::Taken);
            }
            Err(error) => return Err(error.into()),
        };
        self.inner.metrics.decided("token_register", "allowed");
        let account = match &api.matrix {
            Some(_) => self.provision_briefly(user.id).await,
            None => None,
        };
        Ok(json!({
            "user_id": user.id, "email": wanted.email, "display_name": user.name, "roles": [rules::USER],
            "matrix_user_id": account.as_ref().and_then(|account| account.matrix_user_id.clone()),
            "matrix_status": MatrixAccount::wire_status(account.as_ref()),
        }))
    }

    async fn is_taken(&self, email: &str, username: &str) -> Result<bool, Error> {
        let conn = self.store()?.read();
        for name in [email, username] {
            if conn.user_by_email(Realm::Shared, name).await?.is_some()
                || conn.user_by_username(Realm::Shared, name).await?.is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// User, Matrix account and the job that makes it, or nothing of it.
    async fn store_registered(&self, user: User, hash: Option<&str>, origin: &Origin) -> Result<User, Error> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let user = self.store_new_user(&tx, user, hash, origin).await?;
        if self.the_token_api()?.matrix.is_some() {
            self.want_matrix_account(&tx, user.id, now).await?;
        }
        tx.changed(topic::USER, &user.id.to_string(), now);
        tx.commit().await?;
        Ok(user)
    }

    /// Checks address and password as every sign-in does, and begins a session with the first pair of tokens.
    ///
    /// # Errors
    /// As [`Doorward::sign_in`].
    pub async fn token_login(&self, credentials: &Credentials, origin: &Origin) -> Answer<Value> {
        let api = self.the_token_api()?;
        let (email, password) = (&credentials.email, &credentials.password);
        let proved = self
            .prove_identity(Realm::Shared, email, password, None, origin)
            .await?;
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let (person, issued) = self
            .admit_proved(&tx, &proved, None, &Target::Doorward, origin)
            .await?;
        let mut session = issued.session;
        let family = TokenFamily {
            session: session.id,
            generation: 0,
            created_at: session.created_at,
            rotated_at: None,
        };
        session.expires_at = now.plus(api.refresh_lifetime);
        tx.add_token_family(&family, session.expires_at).await?;
        tx.commit().await?;
        drop(proved);
        self.inner.metrics.decided("sign_in", "allowed");
        let mut answer = self.pair(api, &family, &session, &person)?;
        let shown = self.shown(&person).await?;
        let user: Map<String, Value> = [
            "id",
            "email",
            "display_name",
            "avatar_url",
            "roles",
            "is_admin",
            "matrix_user_id",
        ]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), shown.get(name)?.clone())))
        .collect();
        answer.insert("user".into(), Value::Object(user));
        Ok(Value::Object(answer))
    }

    /// Who is behind an access token.
    ///
    /// # Errors
    /// `NotAuthenticated` without a token, `Token` for one that is none, is over, or whose session has ended.
    pub async fn token_holder(&self, token: Option<&str>) -> Answer<Holder> {
        let api = self.the_token_api()?;
        let token = token.ok_or(Refusal::NotAuthenticated)?;
        let access = self.open_access(api, token).ok_or(Refusal::Token)?;
        let Some(session) = access.session else {
            return self.old_holder(api, access).await;
        };
        let visit = self.token_visit(session).await?.ok_or(Refusal::Token)?;
        if visit.session.user_id != access.user {
            return Err(Refusal::Token);
        }
        Ok(Holder {
            access,
            person: Arc::clone(&visit.person),
            visit: Some(visit),
        })
    }

    /// A token of the service before knows no session: it is good until it ends, for somebody who may sign in.
    async fn old_holder(&self, api: &TokenApi, access: Access) -> Answer<Holder> {
        if api.algorithm != TokenAlgorithm::Hs256 {
            return Err(Refusal::Token);
        }
        let found = self.store()?.read().user_with_groups(access.user).await?;
        let usable = found.filter(|(user, _)| user.is_usable() && user.kind != UserKind::Service);
        let (user, direct) = usable.ok_or(Refusal::Token)?;
        let person = Person::new(user, direct, &self.directory().groups);
        Ok(Holder {
            access,
            person: Arc::new(person),
            visit: None,
        })
    }

    /// A session of the token API with its person; from memory when it was asked for before.
    async fn token_visit(&self, session: SessionId) -> Result<Option<Arc<Visit>>, Error> {
        let key = *doorward_crypto::token::digest_of_parts(&["token api", &session.to_string()]).bytes();
        self.warm_visit(key, async |store| {
            let found = store.read().token_family(session).await?;
            Ok(found.map(|row| (row.session, row.user, row.groups)))
        })
        .await
    }

    /// What `me` says.
    ///
    /// # Errors
    /// As [`Doorward::token_holder`].
    pub async fn token_me(&self, token: Option<&str>) -> Answer<Value> {
        let holder = self.token_holder(token).await?;
        Ok(Value::Object(self.shown(&holder.person).await?))
    }

    /// A person as programs see them.
    async fn shown(&self, person: &Person) -> Result<Map<String, Value>, Error> {
        let user = &person.user;
        let roles = rules::roles(person, &self.directory_now().groups);
        let avatar = user.attributes.get("avatar_url").and_then(Value::as_str);
        let avatar = avatar.or(user.app.image.as_deref());
        let matrix = self.matrix_name(user.id).await?;
        let shown = json!({
            "id": user.id, "email": email_of(user), "display_name": user.name, "avatar_url": avatar, "roles": roles,
            "is_active": user.is_usable(), "is_admin": roles.contains(&rules::ADMIN), "matrix_user_id": matrix,
            "created_at": user.created_at.to_string(),
        });
        match shown {
            Value::Object(shown) => Ok(shown),
            _ => Ok(Map::new()),
        }
    }

    /// May somebody who shows this introspect? `private` says that the question came in where only services of our own are.
    ///
    /// # Errors
    /// `Caller`.
    pub fn may_introspect(&self, shown: Option<&str>, private: bool) -> Answer<()> {
        let api = self.the_token_api()?;
        if let (Some(wanted), Some(shown)) = (&api.introspect_token, shown) {
            // A credential that is shown must be right, wherever it is shown.
            let right = doorward_crypto::token::constant_eq(shown.as_bytes(), wanted.expose().as_bytes());
            return if right { Ok(()) } else { Err(Refusal::Caller) };
        }
        if private || api.introspect_open {
            Ok(())
        } else {
            Err(Refusal::Caller)
        }
    }

    /// What is known about a token now: its session and its person count, not only its signature.
    ///
    /// # Errors
    /// Only when the database is away.
    pub async fn token_introspect(&self, token: &str) -> Answer<Value> {
        let api = self.the_token_api()?;
        let holder = match self.token_holder(Some(token)).await {
            Ok(holder) => holder,
            Err(Refusal::Core(error)) => return Err(Refusal::Core(error)),
            Err(_) => return Ok(json!({ "active": false })),
        };
        let Holder { access, person, .. } = holder;
        let roles = rules::roles(&person, &self.directory_now().groups);
        let mut answer = json!({
            "active": true, "sub": access.user, "email": email_of(&person.user), "name": person.user.name, "roles": roles,
            "exp": access.expires_at.seconds(), "iat": access.issued_at.seconds(), "iss": api.issuer,
            "token_type": "access",
        });
        if let (Some(session), Some(members)) = (access.session, answer.as_object_mut()) {
            members.insert("sid".into(), json!(session));
        }
        Ok(answer)
    }

    /// Ends the session that a refresh token belongs to, else the one of the access token. Nothing happens for tokens that
    /// are none.
    ///
    /// # Errors
    /// `Body` when neither is given.
    pub async fn token_logout(
        &self,
        refresh: Option<&str>,
        access: Option<&str>,
        origin: &Origin,
    ) -> Answer<()> {
        let api = self.the_token_api()?;
        let session = match (refresh, access) {
            (Some(refresh), _) => self.open_refresh(api, refresh).map(|refresh| refresh.session),
            (None, Some(access)) => self.open_access(api, access).and_then(|access| access.session),
            (None, None) => return Err(Refusal::Body(rules::no_proof())),
        };
        let Some(session) = session else {
            return Ok(());
        };
        let Some(row) = self.store()?.read().token_family(session).await? else {
            return Ok(());
        };
        if row.session.ended_at.is_some() {
            return Ok(());
        }
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let user = row.user.id;
        if self
            .close_session(&tx, session, Some(user), "signed out", now)
            .await?
        {
            let about = About {
                user: Some(user),
                session: Some(session),
                ..About::default()
            };
            tx.add_event(&self.event(EventKind::SignOut, about, origin, now))
                .await?;
        }
        tx.commit().await?;
        self.inner.sessions.forget(&session.to_string());
        Ok(())
    }

    /// Is a stored hash one that is to be left as it is?
    pub(crate) fn keeps_hash(&self, stored: &str) -> bool {
        self.token_api().is_some_and(|api| api.keep_bcrypt) && stored.starts_with("$2")
    }

    /// Is everything there that sign-ins need? With what is wrong by part, in words that hold no secret.
    pub async fn token_health(&self) -> (bool, Value) {
        const BUDGET: std::time::Duration = std::time::Duration::from_millis(500);
        let readiness = tokio::time::timeout(BUDGET, self.readiness()).await.ok();
        let ready = readiness.as_ref().is_some_and(|readiness| readiness.ready);
        let schema = readiness.and_then(|readiness| readiness.schema);
        let as_expected = schema == Some(doorward_store::newest_version());
        let checks = json!({
            "database": if ready { "ok" } else { "unavailable" },
            "schema": if as_expected { "ok" } else if schema.is_some() { "another version" } else { "unknown" },
            "settings": if self.token_api().is_some() { "ok" } else { "off" },
            "synapse": self.synapse_health(),
        });
        (ready && as_expected, checks)
    }
}

fn email_of(user: &User) -> &str {
    user.email.as_deref().unwrap_or_default()
}

/// The address is the user name, where it can be one.
fn username_of(email: &str) -> String {
    if doorward_domain::text::check_username(email).is_ok() {
        return email.to_owned();
    }
    let digest = doorward_crypto::token::digest(email).hex();
    format!("u-{}", digest.get(..24).unwrap_or(&digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_makes_many_accounts_at_once_and_then_one_a_second() {
        let state = State::default();
        let network = Network::of([192, 0, 2, 1].into());
        let now = Timestamp::from_seconds(1000);
        for _ in 0..BURST {
            assert_eq!(state.admit(network, now), None);
        }
        assert_eq!(state.admit(network, now), Some(1));
        assert_eq!(state.admit(Network::of([192, 0, 2, 2].into()), now), None);
        assert_eq!(state.admit(network, Timestamp::from_seconds(1001)), None);
        assert_eq!(state.admit(network, Timestamp::from_seconds(1001)), Some(1));
    }

    #[test]
    fn an_address_that_is_no_user_name_gets_one_that_is() {
        assert_eq!(username_of("a@example.org"), "a@example.org");
        let odd = username_of("o'neil/x@example.org");
        assert!(odd.starts_with("u-") && doorward_domain::text::check_username(&odd).is_ok());
    }
}
