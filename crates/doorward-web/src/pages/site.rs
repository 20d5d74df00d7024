//! The page that says no on the host of a guarded site. It stands alone: nothing of ours but the style sheet is reached from there, by
//! its full address.

use std::borrow::Cow;

use super::{Page, Trouble, page};

/// The refusal on a guarded site.
#[derive(Clone, Debug)]
pub struct SiteRefusal<'a> {
    /// What happened.
    pub trouble: Trouble<'a>,
    /// Name of the application it is about.
    pub application: Option<&'a str>,
    /// Short code or incident id.
    pub code: Option<&'a str>,
    /// Where signing in begins, when that helps.
    pub sign_in: Option<&'a str>,
    /// User name of who is signed in.
    pub signed_in: Option<&'a str>,
}

impl SiteRefusal<'_> {
    pub(crate) fn title(&self, page: &Page<'_>) -> Cow<'static, str> {
        self.speak(page, ".title")
    }
    pub(crate) fn sentence(&self, page: &Page<'_>) -> Cow<'static, str> {
        self.speak(page, "")
    }
    pub(crate) fn help(&self, page: &Page<'_>) -> Cow<'static, str> {
        self.speak(page, ".help")
    }

    fn speak(&self, page: &Page<'_>, part: &str) -> Cow<'static, str> {
        let application = match self.application {
            Some(name) => Cow::Borrowed(name),
            None => page.t("this-application"),
        };
        page.language.text(
            &format!("{}{part}", self.trouble.key()),
            &[("application", application.into())],
        )
    }
}
page!(SiteRefusal, "site_refusal.html");
