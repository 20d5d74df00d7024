//! Accounts at other providers: listed, linked, taken apart.

use doorward_domain::UserId;
use doorward_domain::app_auth::{Account, ProviderTokens};
use doorward_domain::user::User;
use doorward_domain::{AccountId, Timestamp};

use crate::Doorward;
use crate::app_auth::{AppError, AppResult, Door};
use crate::error::Fault;

/// What stands for the password in the list of accounts.
pub const CREDENTIAL: &str = "credential";

/// A way in that a person has.
#[derive(Clone, Debug)]
pub struct Way {
    /// Identifier of the row; for the password, of the user.
    pub id: String,
    /// Provider, or [`CREDENTIAL`].
    pub provider: String,
    /// Who the person is there.
    pub account: String,
    /// Scopes.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Doorward {
    pub(crate) fn seal_tokens(&self, id: AccountId, tokens: &ProviderTokens) -> AppResult<Vec<u8>> {
        let bytes =
            serde_json::to_vec(tokens).map_err(|error| Fault::caused("tokens cannot be written", error))?;
        let purpose = format!("provider-tokens {id}");
        Ok(self.inner.keyring.seal(&purpose, &self.random(), &bytes))
    }

    /// The provider's tokens of an account.
    #[must_use]
    pub fn account_tokens(&self, account: &Account) -> ProviderTokens {
        let purpose = format!("provider-tokens {}", account.id);
        let opened = self.inner.keyring.open(&purpose, &account.tokens).ok();
        opened
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Accounts of a person at providers.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_accounts(&self, door: &Door, user: UserId) -> AppResult<Vec<Account>> {
        Ok(self
            .store()?
            .read()
            .accounts_of(user, door.application.id)
            .await?)
    }

    /// All ways in that a person has, the password first.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_ways(&self, door: &Door, user: &User) -> AppResult<Vec<Way>> {
        let mut ways = Vec::new();
        if self.app_has_password(user.id).await? {
            ways.push(Way {
                id: user.id.to_string(),
                provider: CREDENTIAL.to_owned(),
                account: user.id.to_string(),
                scopes: Vec::new(),
                created_at: user.created_at,
                updated_at: user.updated_at,
            });
        }
        for account in self.app_accounts(door, user.id).await? {
            let scopes = account.scope.split(',').filter(|scope| !scope.is_empty());
            ways.push(Way {
                id: account.id.to_string(),
                scopes: scopes.map(str::to_owned).collect(),
                provider: account.provider,
                account: account.account,
                created_at: account.created_at,
                updated_at: account.updated_at,
            });
        }
        Ok(ways)
    }

    /// Takes a way in from a person, never the last one.
    ///
    /// # Errors
    /// `ACCOUNT_NOT_FOUND`, `FAILED_TO_UNLINK_LAST_ACCOUNT`.
    pub async fn app_unlink(&self, door: &Door, user: &User, wanted: impl Fn(&Way) -> bool) -> AppResult<()> {
        let tx = self.store()?.begin().await?;
        // Two at once would each see the other's way in.
        tx.lock_user(user.id).await?;
        let ways = self.app_ways(door, user).await?;
        if ways.len() <= 1 {
            return Err(AppError::Code("FAILED_TO_UNLINK_LAST_ACCOUNT"));
        }
        let Some(way) = ways.iter().find(|way| wanted(way)) else {
            return Err(AppError::Code("ACCOUNT_NOT_FOUND"));
        };
        if way.provider == CREDENTIAL {
            tx.remove_password(user.id).await?;
        } else if let Ok(id) = way.id.parse() {
            tx.remove_account(id).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}
