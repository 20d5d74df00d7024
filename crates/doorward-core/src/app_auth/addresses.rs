//! What proving an e-mail address does at an app's door: signing in by it, taking over an account, changing it.

use doorward_domain::UserId;
use doorward_domain::user::User;
use doorward_store::Tx;

use super::people::{Newcomer, Remember};
use crate::app_auth::{AppError, AppResult, Door};
use crate::sessions::Issued;
use crate::{Doorward, Origin};

impl Doorward {
    /// Signs in whoever proved to own an address; makes the account when there is none and `newcomer` is given. Somebody who made the
    /// account without ever proving the address loses password, accounts and sessions: they may be a stranger's (section 4.4, rule 5).
    /// Gives the user, the session and whether the account is new.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`, and those of [`Doorward::app_enter`].
    pub async fn app_enter_by_email(
        &self,
        door: &Door,
        email: &str,
        newcomer: Option<&Newcomer>,
        origin: &Origin,
    ) -> AppResult<(User, Issued, bool)> {
        let tx = self.store()?.begin().await?;
        let (id, new) = match tx
            .user_by_email(door.realm(), email)
            .await?
            .filter(User::is_usable)
        {
            Some(user) => {
                self.own_email_in(&tx, door, &user, origin).await?;
                (user.id, false)
            }
            None => {
                let newcomer = newcomer.ok_or(AppError::Code("USER_NOT_FOUND"))?;
                (
                    self.add_newcomer(&tx, door, newcomer, None, origin)
                        .await?
                        .user
                        .id,
                    true,
                )
            }
        };
        let (user, issued) = self
            .enter_by(&tx, door, id, &["otp"], Remember::Yes, origin)
            .await?;
        tx.commit().await?;
        self.inner.sessions.forget(&id.to_string());
        Ok((user, issued, new))
    }

    /// Marks the address of somebody who just proved it.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    pub async fn app_own_email(&self, door: &Door, email: &str, origin: &Origin) -> AppResult<User> {
        let tx = self.store()?.begin().await?;
        let Some(user) = tx
            .user_by_email(door.realm(), email)
            .await?
            .filter(User::is_usable)
        else {
            return Err(AppError::Code("USER_NOT_FOUND"));
        };
        let user = if user.email_verified_at.is_none() {
            let now = self.now();
            self.change_user_in(&tx, user.id, "email proved", origin, move |user| {
                user.email_verified_at = Some(now);
                Ok(())
            })
            .await?
        } else {
            user
        };
        tx.commit().await?;
        self.inner.sessions.forget(&user.id.to_string());
        Ok(user)
    }

    async fn own_email_in(&self, tx: &Tx, door: &Door, user: &User, origin: &Origin) -> AppResult<()> {
        if user.email_verified_at.is_some() {
            return Ok(());
        }
        let now = self.now();
        tx.lock_user(user.id).await?;
        tx.remove_password(user.id).await?;
        tx.remove_accounts_of(user.id, door.application.id).await?;
        self.close_all(tx, user.id, None, "address proved by another way", now)
            .await?;
        tx.end_families_of_user(user.id, "address proved by another way", now)
            .await?;
        self.revoke_app_passwords(tx, user.id, "address proved by another way", origin, now)
            .await?;
        self.change_user_in(tx, user.id, "email proved", origin, move |user| {
            user.email_verified_at = Some(now);
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// Puts a proved address in the place of the old one.
    ///
    /// # Errors
    /// A code when it is taken.
    pub async fn app_replace_email(&self, user: UserId, email: &str, origin: &Origin) -> AppResult<User> {
        let (email, now) = (email.to_owned(), self.now());
        self.app_change_user(user, "email changed", origin, move |user| {
            user.email = Some(email);
            user.email_verified_at = Some(now);
            Ok(())
        })
        .await
    }
}
