//! From what was typed to a record: by name, address or id; with the nearest name when there is none; also in the bin.

use doorward_core::Error;
use doorward_domain::application::Application;
use doorward_domain::group::Group;
use doorward_domain::text::{fold, nearest};
use doorward_domain::user::User;
use doorward_domain::{GroupId, UserId};
use doorward_store::{MAX_PAGE, UserFilter};

use super::Desk;
use crate::failure::{Failure, Result};

/// Users that are looked through for a similar name, or in the bin.
const MOST_LOOKED_THROUGH: usize = 20_000;

impl Desk {
    /// A live user by user name or e-mail address, or any by id.
    ///
    /// # Errors
    /// `NotFound` with the nearest user name.
    pub(crate) async fn user(&self, wanted: &str) -> Result<User> {
        match self.doorward.find_user(wanted).await {
            Ok(user) => Ok(user),
            Err(Error::NotFound(text)) => {
                let users = self.users(false).await?;
                let near = nearest(&fold(wanted), users.iter().map(|user| user.username.as_str()));
                Err(Failure::NotFound(match near {
                    Some(name) => format!("there is no user `{wanted}`; did you mean `{name}`?"),
                    None => text,
                }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A user in the bin, by id, user name or e-mail address.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when several have been called that.
    pub(crate) async fn deleted_user(&self, wanted: &str) -> Result<User> {
        let id: Option<UserId> = wanted.parse().ok();
        let name = fold(wanted);
        let called_that = |user: &User| {
            Some(user.id) == id
                || fold(&user.username) == name
                || user.email.as_deref().is_some_and(|email| fold(email) == name)
        };
        let mut binned = self.users(true).await?;
        binned.retain(|user| user.deleted_at.is_some());
        let names: Vec<String> = binned.iter().map(|user| user.username.clone()).collect();
        binned.retain(called_that);
        one(binned, "user", wanted, &names, |user| user.id.to_string())
    }

    /// A group in the bin, by id or name.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when several have been called that.
    pub(crate) async fn deleted_group(&self, wanted: &str) -> Result<Group> {
        let id: Option<GroupId> = wanted.parse().ok();
        let mut binned = self.doorward.list_groups(true).await?;
        binned.retain(|group| group.deleted_at.is_some());
        let names: Vec<String> = binned.iter().map(|group| group.name.clone()).collect();
        binned.retain(|group| Some(group.id) == id || fold(&group.name) == fold(wanted));
        one(binned, "group", wanted, &names, |group| group.id.to_string())
    }

    /// An application in the bin, by id or slug.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when several have been called that.
    pub(crate) async fn deleted_application(&self, wanted: &str) -> Result<Application> {
        let mut binned = self.doorward.list_applications(true).await?;
        binned.retain(|application| application.deleted_at.is_some());
        let names: Vec<String> = binned
            .iter()
            .map(|application| application.slug.clone())
            .collect();
        binned.retain(|application| application.slug == wanted || application.id.to_string() == wanted);
        one(binned, "application", wanted, &names, |application| {
            application.id.to_string()
        })
    }

    async fn users(&self, include_deleted: bool) -> Result<Vec<User>> {
        let mut all: Vec<User> = Vec::new();
        loop {
            let filter = UserFilter {
                include_deleted,
                after: all.last().map(|user| user.id),
                limit: MAX_PAGE,
                ..UserFilter::default()
            };
            let page = self.doorward.list_users(&filter).await?;
            let last = page.len() < usize::try_from(MAX_PAGE).unwrap_or(usize::MAX);
            all.extend(page);
            if last || all.len() >= MOST_LOOKED_THROUGH {
                return Ok(all);
            }
        }
    }
}

/// The only one that fits.
fn one<T>(
    mut fitting: Vec<T>,
    what: &str,
    wanted: &str,
    names: &[String],
    id: impl Fn(&T) -> String,
) -> Result<T> {
    if fitting.len() > 1 {
        let ids: Vec<String> = fitting.iter().map(id).collect();
        return Err(Failure::Invalid(format!(
            "several deleted {what}s were called `{wanted}`; give the id instead: {}",
            ids.join(", ")
        )));
    }
    fitting.pop().ok_or_else(|| {
        let hint = nearest(wanted, names.iter().map(String::as_str))
            .map_or(String::new(), |name| format!("; did you mean `{name}`?"));
        Failure::NotFound(format!("there is no deleted {what} `{wanted}`{hint}"))
    })
}
