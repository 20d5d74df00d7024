//! Signing in at another provider: OpenID Connect or plain OAuth 2, for an app's own pages (contract sections 1.5 and 4.4).
//!
//! Everything about a flow is in one sealed row that is used once; its name travels as `state`, and a signed cookie ties it to the browser.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use doorward_crypto::token;
use doorward_domain::app_auth::{Account, Provider, ProviderTokens};
use doorward_domain::user::User;
use doorward_domain::{Lifetime, Reason, Timestamp, UserId, text};
use doorward_oidc::params::Params;

use crate::app_auth::people::{Newcomer, Remember};
use crate::app_auth::providers::{Profile, profile_of, text_of, tokens_of, with_query};
use crate::app_auth::{AppError, AppResult, Door};
use crate::events::About;
use crate::sessions::Issued;
use crate::{Doorward, Origin};

const FLOW: &str = "auth-state";
/// A flow may take this long.
const LONGEST_FLOW: Lifetime = Lifetime::from_minutes(10);

/// Which routes a flow began at: names of errors and the redirect URI differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dialect {
    /// `/sign-in/social` and `/callback/…` (1.7).
    New,
    /// `/sign-in/oauth2` and `/oauth2/callback/…` (1.6 and older).
    Old,
}

impl Dialect {
    /// The code of an error in this dialect.
    #[must_use]
    pub fn code(self, code: &str) -> &str {
        match (self, code) {
            (Self::Old, "no_code") => "oAuth_code_missing",
            (Self::Old, "invalid_code") => "oauth_code_verification_failed",
            (Self::Old, "unable_to_get_user_info") => "user_info_is_missing",
            (Self::Old, "email_not_found") => "email_is_missing",
            (Self::Old, "email_does_not_match") => "email_doesn't_match",
            (_, other) => other,
        }
    }
}

/// Somebody who links an account to the own person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Link {
    /// Who.
    pub user: UserId,
}

/// What a flow is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flow {
    /// Provider.
    pub provider: String,
    /// Where it began.
    pub dialect: Dialect,
    /// Where the browser goes at the end.
    pub callback: Option<String>,
    /// The same for somebody new.
    pub new_user: Option<String>,
    /// The same when it fails.
    pub error: Option<String>,
    /// The call asks for an account to be made.
    pub request_sign_up: bool,
    /// An account is linked instead of signing in.
    pub link: Option<Link>,
    /// Further scopes.
    pub scopes: Vec<String>,
    /// `login_hint`.
    pub login_hint: Option<String>,
    /// Further parameters for the provider; never one of ours.
    #[serde(default)]
    pub more: Vec<(String, String)>,
    /// Is the session to be kept when the browser is closed?
    pub short: bool,
    #[serde(default)]
    pub(crate) verifier: String,
    #[serde(default)]
    pub(crate) nonce: Option<String>,
    #[serde(default)]
    pub(crate) redirect_uri: String,
}

impl Flow {
    /// A flow at a provider, with nothing else said.
    #[must_use]
    pub fn new(provider: &str, dialect: Dialect) -> Self {
        Self {
            provider: provider.to_owned(),
            dialect,
            callback: None,
            new_user: None,
            error: None,
            request_sign_up: false,
            link: None,
            scopes: Vec::new(),
            login_hint: None,
            more: Vec::new(),
            short: false,
            verifier: String::new(),
            nonce: None,
            redirect_uri: String::new(),
        }
    }
}

/// What a provider sent the browser back with.
#[derive(Clone, Debug, Default)]
pub struct Returned {
    /// `code`.
    pub code: Option<String>,
    /// `state`.
    pub state: Option<String>,
    /// `error`.
    pub error: Option<String>,
    /// `error_description`.
    pub description: Option<String>,
    /// `iss` (RFC 9207).
    pub issuer: Option<String>,
}

/// How a flow ended.
#[derive(Debug)]
pub enum Finished {
    /// Somebody is signed in.
    Entered {
        /// The session.
        issued: Box<Issued>,
        /// How long it is kept.
        remember: Remember,
        /// Where the browser goes.
        place: Option<String>,
    },
    /// An account was linked.
    Linked {
        /// Where the browser goes.
        place: Option<String>,
    },
    /// It failed.
    Failed {
        /// The app's page for it.
        place: Option<String>,
        /// Code.
        code: String,
        /// What the provider said.
        description: Option<String>,
    },
}

impl Doorward {
    /// A provider of a door.
    ///
    /// # Errors
    /// `PROVIDER_NOT_FOUND`.
    fn provider<'d>(&self, door: &'d Door, id: &str) -> AppResult<&'d Provider> {
        door.settings()
            .provider(id)
            .ok_or(AppError::Code("PROVIDER_NOT_FOUND"))
    }

    /// Begins a flow: gives the URL that the browser goes to, and the `state` that its cookie holds.
    ///
    /// # Errors
    /// `PROVIDER_NOT_FOUND`, `INVALID_OAUTH_CONFIGURATION`.
    pub async fn app_begin(&self, door: &Door, mut flow: Flow) -> AppResult<(String, String)> {
        let provider = self.provider(door, &flow.provider)?.clone();
        let document = self.document(&provider).await?;
        let state = self.random_name::<32>();
        flow.verifier = self.random_name::<128>();
        let callback = match flow.dialect {
            Dialect::New => "callback",
            Dialect::Old => "oauth2/callback",
        };
        flow.redirect_uri = provider
            .redirect_uri
            .clone()
            .unwrap_or_else(|| format!("{}/{callback}/{}", door.url(), provider.id));
        let mut scopes = flow.scopes.clone();
        let openid = document.jwks.is_some() && !provider.scopes.iter().any(|scope| scope == "openid");
        let configured = provider.scopes.iter().cloned();
        scopes.extend(openid.then(|| "openid".to_owned()).into_iter().chain(configured));
        let mut seen = std::collections::HashSet::new();
        scopes.retain(|scope| seen.insert(scope.clone()));
        let scope = scopes.join(" ");
        let challenge = token::pkce_s256(&flow.verifier);
        let mut pairs = vec![
            ("response_type", "code".to_owned()),
            ("client_id", provider.client_id.clone()),
            ("state", state.clone()),
            ("scope", scope),
            ("redirect_uri", flow.redirect_uri.clone()),
        ];
        if document.jwks.is_some() {
            let nonce = self.random_name::<32>();
            pairs.push(("nonce", nonce.clone()));
            flow.nonce = Some(nonce);
        }
        if provider.pkce {
            pairs.push(("code_challenge_method", "S256".to_owned()));
            pairs.push(("code_challenge", challenge));
        } else {
            flow.verifier.clear();
        }
        if let Some(prompt) = &provider.prompt {
            pairs.push(("prompt", prompt.clone()));
        }
        if let Some(hint) = &flow.login_hint {
            pairs.push(("login_hint", hint.clone()));
        }
        let own: Vec<&str> = pairs.iter().map(|(name, _)| *name).collect();
        let more: Vec<(String, String)> = flow
            .more
            .iter()
            .filter(|(name, _)| !own.contains(&name.as_str()))
            .cloned()
            .collect();
        let pairs = pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .chain(more);
        let query = Params::from_pairs(pairs).to_query().replace("%20", "+");
        let url = with_query(&document.authorization, &query);
        tracing::info!(
            app = door.application.slug,
            provider = provider.id,
            callback = flow.callback,
            "a sign-in at a provider begins"
        );
        self.keep_proof(door, (FLOW, &state), None, &flow, LONGEST_FLOW)
            .await?;
        Ok((url, state))
    }

    /// Ends a flow. `cookie` is what the browser's signed state cookie holds.
    ///
    /// # Errors
    /// `Fault` when the database is away; everything else is told as [`Finished::Failed`].
    #[expect(clippy::too_many_arguments, reason = "each is one thing that decides")]
    #[expect(
        clippy::too_many_lines,
        reason = "one step after the other, in the order of the contract"
    )]
    pub async fn app_finish(
        &self,
        door: &Door,
        provider: &str,
        dialect: Dialect,
        returned: &Returned,
        cookie: Option<&str>,
        origin: &Origin,
    ) -> AppResult<Finished> {
        let failed = |flow: Option<&Flow>, code: &str, description: Option<String>| {
            let spoken = flow.map_or(dialect, |flow| flow.dialect);
            tracing::info!(
                app = door.application.slug,
                provider,
                code,
                "a sign-in at a provider failed"
            );
            Finished::Failed {
                place: flow.and_then(|flow| flow.error.clone()),
                code: spoken.code(code).to_owned(),
                description,
            }
        };
        let Some(state) = returned.state.as_deref().filter(|state| !state.is_empty()) else {
            return Ok(failed(None, "state_not_found", None));
        };
        let Some(seen) = self.see_proof::<Flow>(door, FLOW, state).await? else {
            return Ok(failed(None, "state_mismatch", None));
        };
        let flow = seen.content;
        // Another browser cannot use the flow up either.
        if cookie != Some(state) || flow.provider != provider {
            let why = if cookie.is_none() {
                "the browser sent no state cookie"
            } else {
                "the browser's state is another flow's"
            };
            tracing::info!(
                app = door.application.slug,
                provider,
                why,
                "a flow does not fit the browser"
            );
            return Ok(failed(Some(&flow), "state_mismatch", None));
        }
        let taken = self.use_proof::<Flow>(door, FLOW, state).await?;
        if taken.is_none_or(|taken| taken.late) {
            return Ok(failed(Some(&flow), "state_mismatch", None));
        }
        if let Some(error) = returned.error.as_deref().filter(|error| !error.is_empty()) {
            let error: String = error.chars().take(200).collect();
            let description = returned
                .description
                .as_ref()
                .map(|text| text.chars().take(500).collect());
            return Ok(failed(Some(&flow), &error, description));
        }
        let Some(code) = returned.code.as_deref().filter(|code| !code.is_empty()) else {
            return Ok(failed(Some(&flow), "no_code", None));
        };
        let Some(settings) = door.settings().provider(provider) else {
            return Ok(failed(Some(&flow), "oauth_provider_not_found", None));
        };
        let document = match self.document(settings).await {
            Ok(document) => document,
            Err(AppError::Code(_)) => return Ok(failed(Some(&flow), "invalid_code", None)),
            Err(other) => return Err(other),
        };
        // RFC 9207: a code that another issuer made is not taken to this one.
        match (&returned.issuer, &document.issuer) {
            (Some(given), Some(wanted)) if given != wanted => {
                return Ok(failed(Some(&flow), "issuer_mismatch", None));
            }
            (None, Some(_)) if document.says_issuer => {
                return Ok(failed(Some(&flow), "issuer_missing", None));
            }
            _ => {}
        }
        let Some(answer) = self.exchange_code(settings, &document, &flow, code).await else {
            return Ok(failed(Some(&flow), "invalid_code", None));
        };
        let Some(profile) = self.profile_at(settings, &document, &flow, &answer).await else {
            return Ok(failed(Some(&flow), "unable_to_get_user_info", None));
        };
        let now = self.now();
        let tokens = tokens_of(&answer, now);
        let scope = text_of(&answer, "scope").map_or_else(
            || settings.scopes.join(","),
            |scope| scope.split(' ').collect::<Vec<_>>().join(","),
        );
        if profile.email.is_none() && flow.link.is_none() && !settings.placeholder_email {
            let about = About {
                application: Some(door.application.id),
                details: serde_json::json!({ "provider": provider, "subject": profile.account, "problem": "the provider gave no e-mail address" }),
                ..About::default()
            };
            self.refuse("app_sign_in", Reason::CredentialRefused, about, origin)
                .await;
            return Ok(failed(Some(&flow), "email_not_found", None));
        }
        let entered = match &flow.link {
            Some(link) => self
                .link_account(door, settings, link.user, &profile, &scope, &tokens)
                .await
                .map(|()| None),
            None => self
                .enter_with(door, settings, &flow, &profile, &scope, &tokens, origin)
                .await
                .map(Some),
        };
        match entered {
            Ok(None) => Ok(Finished::Linked { place: flow.callback }),
            Ok(Some((issued, new))) => {
                let place = if new {
                    flow.new_user.or(flow.callback)
                } else {
                    flow.callback
                };
                let remember = if flow.short { Remember::No } else { Remember::Yes };
                Ok(Finished::Entered {
                    issued: Box::new(issued),
                    remember,
                    place,
                })
            }
            Err(AppError::Code(code)) => {
                let code = match code {
                    "BANNED_USER" => "banned",
                    "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL" => "unable_to_create_user",
                    "INVALID_EMAIL" => "email_not_found",
                    other => other,
                };
                Ok(failed(Some(&flow), code, None))
            }
            Err(AppError::Core(crate::Error::Refused(_))) => {
                Ok(failed(Some(&flow), "unable_to_create_session", None))
            }
            Err(other) => Err(other),
        }
    }

    /// Signs in with an ID token that the app got from a provider itself. Gives the user and the session.
    ///
    /// # Errors
    /// `INVALID_TOKEN`, `FAILED_TO_GET_USER_INFO`, `OAUTH_LINK_ERROR` and those of signing in.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that decides")]
    pub async fn app_enter_with_id_token(
        &self,
        door: &Door,
        flow: &Flow,
        id_token: &str,
        nonce: Option<&str>,
        access: Option<&str>,
        origin: &Origin,
    ) -> AppResult<(User, Issued)> {
        let provider = self.provider(door, &flow.provider)?.clone();
        let document = self.document(&provider).await?;
        if document.jwks.is_none() {
            return Err(AppError::Code("ID_TOKEN_NOT_SUPPORTED"));
        }
        let claims = self.id_claims(&provider, &document, nonce, id_token).await;
        let profile = claims
            .and_then(profile_of)
            .ok_or(AppError::Code("INVALID_TOKEN"))?;
        if profile.email.is_none() && !provider.placeholder_email {
            return Err(AppError::Code("FAILED_TO_GET_USER_INFO"));
        }
        let tokens = ProviderTokens {
            access: access.map(str::to_owned),
            id: Some(id_token.to_owned()),
            ..ProviderTokens::default()
        };
        let scope = provider.scopes.join(",");
        let entered = self
            .enter_with(door, &provider, flow, &profile, &scope, &tokens, origin)
            .await;
        let (issued, _) = entered.map_err(|error| match error {
            AppError::Code(
                "account_not_linked" | "signup_disabled" | "account_already_linked_to_different_user",
            ) => AppError::Code("OAUTH_LINK_ERROR"),
            other => other,
        })?;
        let user = self
            .app_user(issued.session.user_id)
            .await?
            .ok_or(AppError::Code("USER_NOT_FOUND"))?;
        Ok((user, issued))
    }

    /// Signs in who an account at a provider belongs to, or makes somebody (section 4.4). Gives the session and whether somebody was made.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that decides")]
    async fn enter_with(
        &self,
        door: &Door,
        provider: &Provider,
        flow: &Flow,
        profile: &Profile,
        scope: &str,
        tokens: &ProviderTokens,
        origin: &Origin,
    ) -> AppResult<(Issued, bool)> {
        let now = self.now();
        let settings = door.settings();
        let remember = if flow.short { Remember::No } else { Remember::Yes };
        let tx = self.store()?.begin().await?;
        let known = tx
            .account(door.application.id, &provider.id, &profile.account)
            .await?;
        let (user, new) = match known {
            Some(mut account) => {
                account.tokens = self.seal_tokens(account.id, tokens)?;
                scope.clone_into(&mut account.scope);
                account.updated_at = now;
                tx.save_account(&account).await?;
                (account.user, false)
            }
            None => {
                let same = match &profile.email {
                    Some(email) => tx
                        .user_by_email(door.realm(), email)
                        .await?
                        .filter(User::is_usable),
                    None => None,
                };
                let (user, new) = match same {
                    Some(user) => {
                        let linking = settings.linking;
                        let believed = provider.trusted || profile.verified;
                        let local = !linking.local_verified || user.email_verified_at.is_some();
                        if !linking.enabled || !linking.implicit || !believed || !local {
                            return Err(AppError::Code("account_not_linked"));
                        }
                        (user.id, false)
                    }
                    None => {
                        if provider.closed || (provider.explicit_sign_up && !flow.request_sign_up) {
                            return Err(AppError::Code("signup_disabled"));
                        }
                        let email = profile.email.clone();
                        let placeholder = email.is_none();
                        let made_up = || format!("{}@{}", self.random_name::<32>(), text::PLACEHOLDER_DOMAIN);
                        let newcomer = Newcomer {
                            name: profile.name.clone(),
                            email: email.unwrap_or_else(made_up).to_lowercase(),
                            placeholder,
                            verified: profile.verified && !placeholder,
                            image: profile.image.clone(),
                            username: None,
                        };
                        let person = self.add_newcomer(&tx, door, &newcomer, None, origin).await?;
                        (person.user.id, true)
                    }
                };
                self.add_account(&tx, door, &provider.id, user, profile, scope, tokens, now)
                    .await?;
                (user, new)
            }
        };
        if provider.overrides && !new {
            let (name, image) = (profile.name.clone(), profile.image.clone());
            self.change_user_in(&tx, user, "profile of a provider", origin, move |user| {
                if let Some(name) = crate::app_auth::people::clean_name(&name) {
                    user.name = name;
                }
                user.app.image = image.or(user.app.image.take());
                Ok(())
            })
            .await?;
        }
        let target = door.entry_through(Some(&provider.id), remember);
        let (_, issued) = self.enter_at(&tx, door, user, &["fed"], &target, origin).await?;
        tx.commit().await?;
        if provider.overrides {
            self.inner.sessions.forget(&user.to_string());
        }
        Ok((issued, new))
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of a row")]
    async fn add_account(
        &self,
        tx: &doorward_store::Tx,
        door: &Door,
        provider: &str,
        user: UserId,
        profile: &Profile,
        scope: &str,
        tokens: &ProviderTokens,
        now: Timestamp,
    ) -> AppResult<()> {
        let id = self.mint(now);
        let account = Account {
            id,
            application: door.application.id,
            user,
            provider: provider.to_owned(),
            account: profile.account.clone(),
            scope: scope.to_owned(),
            tokens: self.seal_tokens(id, tokens)?,
            created_at: now,
            updated_at: now,
        };
        match tx.add_account(&account).await {
            Ok(()) => Ok(()),
            Err(doorward_store::Error::Conflict { .. }) => {
                Err(AppError::Code("account_already_linked_to_different_user"))
            }
            Err(error) => Err(error.into()),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is one thing that decides")]
    async fn link_account(
        &self,
        door: &Door,
        provider: &Provider,
        user: UserId,
        profile: &Profile,
        scope: &str,
        tokens: &ProviderTokens,
    ) -> AppResult<()> {
        let now = self.now();
        let linking = door.settings().linking;
        let tx = self.store()?.begin().await?;
        tx.lock_user(user).await?;
        let Some(record) = tx.user(user).await?.filter(User::is_usable) else {
            return Err(AppError::Code("unable_to_link_account"));
        };
        if !linking.enabled || !(provider.trusted || profile.verified) {
            return Err(AppError::Code("unable_to_link_account"));
        }
        let same = profile.email.is_some() && profile.email == record.email.as_deref().map(str::to_lowercase);
        if !same && !linking.different_emails {
            return Err(AppError::Code("email_does_not_match"));
        }
        match tx
            .account(door.application.id, &provider.id, &profile.account)
            .await?
        {
            Some(account) if account.user != user => {
                return Err(AppError::Code("account_already_linked_to_different_user"));
            }
            Some(mut account) => {
                account.tokens = self.seal_tokens(account.id, tokens)?;
                scope.clone_into(&mut account.scope);
                account.updated_at = now;
                tx.save_account(&account).await?;
            }
            None => {
                self.add_account(&tx, door, &provider.id, user, profile, scope, tokens, now)
                    .await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// The tokens of an account, renewed when the access token is about to end or `always`.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_provider_tokens(
        &self,
        door: &Door,
        account: &Account,
        always: bool,
    ) -> AppResult<ProviderTokens> {
        let tokens = self.account_tokens(account);
        let now = self.now();
        let soon = tokens
            .access_until
            .is_some_and(|until| now >= until.minus(Lifetime::from_seconds(5)));
        if !always && !soon {
            return Ok(tokens);
        }
        let Some(provider) = door.settings().provider(&account.provider) else {
            return Err(AppError::Code("PROVIDER_NOT_SUPPORTED"));
        };
        let Some(refresh) = tokens.refresh.clone() else {
            if always {
                return Err(AppError::Code("REFRESH_TOKEN_NOT_FOUND"));
            }
            return Ok(tokens);
        };
        let document = self.document(provider).await?;
        let form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.as_str()),
        ];
        let Some(answer) = self.ask_token(provider, &document.token, form).await else {
            let code = if always {
                "FAILED_TO_REFRESH_ACCESS_TOKEN"
            } else {
                "FAILED_TO_GET_ACCESS_TOKEN"
            };
            return Err(AppError::Code(code));
        };
        let mut fresh = tokens_of(&answer, now);
        fresh.refresh = fresh.refresh.or(Some(refresh));
        fresh.refresh_until = fresh.refresh_until.or(tokens.refresh_until);
        fresh.id = fresh.id.or(tokens.id);
        let mut account = account.clone();
        account.tokens = self.seal_tokens(account.id, &fresh)?;
        account.updated_at = now;
        let tx = self.store()?.begin().await?;
        tx.save_account(&account).await?;
        tx.commit().await?;
        Ok(fresh)
    }

    /// What the provider says of an account now: name, address and all claims.
    ///
    /// # Errors
    /// `ACCESS_TOKEN_NOT_FOUND`, `FAILED_TO_GET_USER_INFO`, `PROVIDER_NOT_CONFIGURED`.
    pub async fn app_account_info(&self, door: &Door, account: &Account) -> AppResult<Value> {
        let Some(provider) = door.settings().provider(&account.provider) else {
            return Err(AppError::Code("PROVIDER_NOT_CONFIGURED"));
        };
        let tokens = self.app_provider_tokens(door, account, false).await?;
        let access = tokens.access.ok_or(AppError::Code("ACCESS_TOKEN_NOT_FOUND"))?;
        let document = self.document(provider).await?;
        let claims = self.claims_at(&document, &access).await;
        let profile = claims
            .and_then(profile_of)
            .ok_or(AppError::Code("FAILED_TO_GET_USER_INFO"))?;
        Ok(serde_json::json!({
            "user": { "id": profile.account, "name": profile.name, "email": profile.email, "image": profile.image, "emailVerified": profile.verified },
            "data": profile.claims,
            "account": { "id": account.id.to_string(), "providerId": account.provider, "accountId": account.account },
        }))
    }
}
