//! Signing out at the provider that somebody came in through (OpenID Connect RP-Initiated Logout 1.0).

use doorward_domain::session::Session;
use doorward_oidc::params::Params;

use crate::Doorward;
use crate::app_auth::providers::with_query;
use crate::app_auth::{AppResult, Door};

/// Longest ID token that goes along in an address.
const LONGEST_HINT: usize = 4096;

impl Doorward {
    /// Where signing out of the provider goes on, for a session that somebody came in with through one whose sign-out is wanted
    /// (OpenID Connect RP-Initiated Logout 1.0 section 2). `back`: where the provider is to send the browser afterwards, absolute; it
    /// must be registered there. `None` when there is no such place.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_end_at_provider(
        &self,
        door: &Door,
        session: &Session,
        back: Option<&str>,
        state: Option<&str>,
    ) -> AppResult<Option<String>> {
        let through = session.app.as_ref().and_then(|app| app.provider.as_deref());
        let provider = through.and_then(|id| door.settings().provider(id));
        let Some(provider) = provider.filter(|provider| provider.end_session) else {
            return Ok(None);
        };
        // A provider that does not answer keeps nobody signed in here.
        let Ok(document) = self.document(provider).await else {
            return Ok(None);
        };
        let place = document.end_session.as_deref();
        let Some(place) = place.filter(|url| url.starts_with("https://") || url.starts_with("http://"))
        else {
            return Ok(None);
        };
        let accounts = self.app_accounts(door, session.user_id).await?;
        let account = accounts
            .iter()
            .filter(|account| account.provider == provider.id)
            .max_by_key(|account| account.updated_at);
        let hint = account
            .and_then(|account| self.account_tokens(account).id)
            .filter(|token| token.len() <= LONGEST_HINT);
        let pairs = [
            ("id_token_hint", hint),
            ("client_id", Some(provider.client_id.clone())),
            ("post_logout_redirect_uri", back.map(str::to_owned)),
            ("state", state.filter(|_| back.is_some()).map(str::to_owned)),
        ];
        let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Ok(Some(with_query(place, &Params::from_pairs(pairs).to_query())))
    }
}
