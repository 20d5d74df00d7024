//! Every page as a plain struct of what it shows, rendered by a compile-time template in the visitor's language.
//!
//! Lives here: the structs, how values become text (times, devices, addresses), and what all pages share ([`Page`]).
//! Must not live here: rules, requests, cookies, headers, sentences (those stand in `locales/`).
//!
//! A handler fills a struct and calls `render(&page)`. Texts from people (names, addresses, headers) are escaped by the
//! templates; addresses that become links only enter as a [`Link`].

mod account;
mod app_passwords;
mod consent;
mod device;
mod device_name;
mod difference;
mod field;
mod front;
mod link;
mod message;
mod moment;
mod portal;
mod refusal;
mod setup;
mod sign_out;
mod site;

pub use account::{
    Activity, ActivityItem, ConnectedApplication, Grants, Password, Profile, SessionItem, Sessions,
};
pub use app_passwords::{AppPasswordChoice, AppPasswordItem, AppPasswords, EXPIRES_DAYS, MadeSecret, Where};
pub use consent::{Consent, Scope};
pub use device::{DeviceConfirm, DeviceDenied, DeviceDone, DeviceEntry};
pub use device_name::DeviceName;
pub use front::{Destination, Person, SelectAccount, SignIn};
pub use link::Link;
pub use message::{Message, Problem};
pub use portal::{Portal, Tile, TileGroup};
pub use refusal::{Refusal, RefusalDetails, Trouble};
pub use setup::{Recover, Setup, SetupDone};
pub use sign_out::{FormPost, FrontChannelLogout, SignOut, SignedOut};
pub use site::SiteRefusal;

use std::borrow::Cow;

use doorward_domain::Timestamp;

use crate::assets;
use crate::locale::{Language, Value};
use moment::Moment;

/// What every page needs around its own content.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The visitor's language.
    pub language: Language,
    /// Name of the installation, for example `Doorward`.
    pub brand: &'a str,
    /// Path and query of this page, for the language switch.
    pub here: &'a str,
    /// Token that forms of a signed-in visitor carry in the field `csrf`; empty before sign-in.
    pub csrf: &'a str,
    /// Name of the signed-in visitor, as shown in the header of the portal.
    pub signed_in: Option<&'a str>,
    /// Now, for "3 minutes ago".
    pub now: Timestamp,
    /// Where this program lives, in front of paths on pages that are shown on other hosts; empty on its own.
    pub home: &'a str,
    /// Which build made the page, as `x-doorward-version` says it: an open page finds out that the server is another one by now. Empty on
    /// pages without scripts.
    pub build: &'a str,
}

/// One entry of the language switch.
pub(crate) struct LanguageLink {
    code: &'static str,
    name: &'static str,
    href: String,
    current: bool,
}

impl Page<'_> {
    /// A message without arguments.
    fn t(&self, key: &str) -> Cow<'static, str> {
        self.language.text(key, &[])
    }

    /// A message with one argument.
    fn t1<'v>(&self, key: &str, name: &'static str, value: impl Into<Value<'v>>) -> Cow<'static, str> {
        self.language.text(key, &[(name, value.into())])
    }

    /// A message with two arguments.
    fn t2<'v>(
        &self,
        key: &str,
        first: &'static str,
        first_value: impl Into<Value<'v>>,
        second: &'static str,
        second_value: impl Into<Value<'v>>,
    ) -> Cow<'static, str> {
        self.language
            .text(key, &[(first, first_value.into()), (second, second_value.into())])
    }

    /// A point in time as readable text.
    fn moment(&self, at: &Timestamp) -> Moment {
        Moment::new(self.language, *at, self.now)
    }

    /// A browser as readable text: "Firefox on Linux".
    fn device(&self, name: &DeviceName) -> Cow<'static, str> {
        match (name.browser, name.system) {
            (Some(browser), Some(system)) => self.t2("device-on", "browser", browser, "system", system),
            (Some(one), None) | (None, Some(one)) => Cow::Borrowed(one),
            (None, None) => self.t("device-unknown"),
        }
    }

    /// The address of an asset.
    #[expect(clippy::unused_self, reason = "templates reach helpers through the page")]
    fn asset(&self, name: &str) -> &'static str {
        assets::url(name)
    }

    /// The languages with a link to this very page in each of them.
    fn languages(&self) -> Vec<LanguageLink> {
        let here = Link::local(self.here).map_or("/", Link::as_str);
        let (path, query) = here.split_once('?').unwrap_or((here, ""));
        let kept: Vec<&str> = query
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.starts_with("ui_locales="))
            .collect();
        Language::ALL
            .iter()
            .map(|language| {
                let own = format!("ui_locales={}", language.code());
                let mut query = kept.clone();
                query.push(&own);
                LanguageLink {
                    code: language.code(),
                    name: language.name(),
                    href: format!("{path}?{}", query.join("&")),
                    current: *language == self.language,
                }
            })
            .collect()
    }
}

/// Gives a view struct its `render`: the template sees the struct as `view` and what all pages share as `page`.
macro_rules! page {
    ($view:ident, $template:literal) => {
        impl $view<'_> {
            /// The page as HTML.
            ///
            /// # Errors
            /// When the template cannot write into memory.
            pub fn render(&self, page: &$crate::pages::Page<'_>) -> Result<String, askama::Error> {
                #[derive(askama::Template)]
                #[template(path = $template, whitespace = "minimize")]
                struct Html<'a> {
                    page: &'a $crate::pages::Page<'a>,
                    view: &'a $view<'a>,
                }
                askama::Template::render(&Html { page, view: self })
            }
        }
    };
}
pub(crate) use page;

/// The letter that stands for something without a picture: the first letter or digit of its name.
fn initial(name: &str) -> String {
    name.chars()
        .find(|c| c.is_alphanumeric())
        .map_or_else(|| "?".to_owned(), |c| c.to_uppercase().collect())
}

/// One of six quiet tints, always the same for the same name.
fn tint(name: &str) -> u32 {
    name.chars()
        .fold(7_u32, |sum, c| sum.wrapping_mul(31).wrapping_add(u32::from(c)))
        % 6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(here: &str) -> Page<'_> {
        Page {
            language: Language::English,
            brand: "Doorward",
            here,
            csrf: "",
            signed_in: None,
            now: Timestamp::from_seconds(0),
            home: "",
            build: "",
        }
    }

    #[test]
    fn the_language_switch_keeps_the_page_and_its_query() {
        let hrefs = |here: &str| -> Vec<String> {
            page(here).languages().into_iter().map(|link| link.href).collect()
        };
        assert_eq!(
            hrefs("/device"),
            ["/device?ui_locales=en", "/device?ui_locales=de"]
        );
        assert_eq!(
            hrefs("/if/flow/sign-in/?next=%2Fa%26b&ui_locales=de&x=1")
                .first()
                .unwrap(),
            "/if/flow/sign-in/?next=%2Fa%26b&x=1&ui_locales=en"
        );
        assert_eq!(hrefs("//evil.example/").first().unwrap(), "/?ui_locales=en");
    }

    #[test]
    fn an_initial_is_the_first_letter_or_digit() {
        for (name, letter) in [
            ("grafana", "G"),
            ("  «ß» ", "SS"),
            ("3D", "3"),
            ("…", "?"),
            ("", "?"),
            ("Öl", "Ö"),
        ] {
            assert_eq!(initial(name), letter);
        }
    }
}
