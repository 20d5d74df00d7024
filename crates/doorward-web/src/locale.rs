//! Languages: which one a visitor gets, and every sentence of the pages in each of them, from the Fluent files in
//! `locales/`, built into the program and read once.
//!
//! Must not live here: sentences (they stand in `locales/`), HTML, what a page shows.

use std::borrow::Cow;
use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

/// The Fluent files of one language; each language has the same ones.
macro_rules! catalogue {
    ($code:literal) => {
        [
            include_str!(concat!("../locales/", $code, "/common.ftl")),
            include_str!(concat!("../locales/", $code, "/door.ftl")),
            include_str!(concat!("../locales/", $code, "/portal.ftl")),
            include_str!(concat!("../locales/", $code, "/refusals.ftl")),
            include_str!(concat!("../locales/", $code, "/setup.ftl")),
        ]
    };
}

/// A language that every page speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Language {
    /// English, what is spoken when nobody asked for anything we know.
    #[default]
    English,
    /// German.
    German,
}

/// Longest wish for a language that is read at all, in bytes.
const LONGEST_WISH: usize = 1000;
/// Most tags of one wish that are considered.
const MOST_TAGS: usize = 32;

impl Language {
    /// Every language, in the order of the switch on the pages.
    pub const ALL: &'static [Self] = &[Self::English, Self::German];

    /// Language tag (RFC 5646), as in the `lang` attribute, the cookie and `ui_locales`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// The language's own name for itself.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    /// Direction of the script, for the `dir` attribute.
    #[must_use]
    pub const fn direction(self) -> &'static str {
        match self {
            Self::English | Self::German => "ltr",
        }
    }

    /// The language of a tag such as `de` or `de-AT`, by its first subtag.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default().trim();
        Self::ALL
            .iter()
            .copied()
            .find(|language| language.code().eq_ignore_ascii_case(primary))
    }

    /// Picks the language of a page. `ui_locales` is the request's list of tags separated by spaces, best first (OpenID
    /// Connect Core 1.0 section 3.1.2.1), also what the switch on the pages sets; `cookie` is the tag that the browser kept;
    /// `accept_language` is the header (RFC 9110 section 12.5.4). The first of the three that names a language we speak wins.
    #[must_use]
    pub fn choose(ui_locales: Option<&str>, cookie: Option<&str>, accept_language: Option<&str>) -> Self {
        let wish = |text: Option<&str>| text.filter(|text| text.len() <= LONGEST_WISH).map(str::to_owned);
        wish(ui_locales)
            .and_then(|tags| tags.split_whitespace().take(MOST_TAGS).find_map(Self::from_tag))
            .or_else(|| wish(cookie).and_then(|tag| Self::from_tag(&tag)))
            .or_else(|| wish(accept_language).and_then(|header| accepted(&header)))
            .unwrap_or_default()
    }

    /// The text of a message, or of one of its attributes as `message.attribute`. A missing message gives its key, so that
    /// a page never fails over a word; the tests prove that none is missing.
    #[must_use]
    pub fn text(self, key: &str, args: &[(&'static str, Value<'_>)]) -> Cow<'static, str> {
        BUNDLES
            .iter()
            .find(|(language, _)| *language == self)
            .and_then(|(_, bundle)| format(bundle, key, args))
            .unwrap_or_else(|| Cow::Owned(key.to_owned()))
    }

    /// Does the language have this message, or attribute as `message.attribute`?
    #[must_use]
    pub fn has(self, key: &str) -> bool {
        BUNDLES
            .iter()
            .find(|(language, _)| *language == self)
            .is_some_and(|(_, bundle)| format(bundle, key, &[]).is_some())
    }

    const fn sources(self) -> [&'static str; 5] {
        match self {
            Self::English => catalogue!("en"),
            Self::German => catalogue!("de"),
        }
    }
}

/// The best language of an `Accept-Language` header: highest weight, first among equals; weight 0 means "not this one".
fn accepted(header: &str) -> Option<Language> {
    let mut best: Option<(u16, Language)> = None;
    for item in header.split(',').take(MOST_TAGS) {
        let (tag, parameters) = item.split_once(';').unwrap_or((item, ""));
        let Some(weight) = weight(parameters) else {
            continue;
        };
        let Some(language) = Language::from_tag(tag.trim()) else {
            continue;
        };
        if weight > 0 && best.is_none_or(|(most, _)| weight > most) {
            best = Some((weight, language));
        }
    }
    best.map(|(_, language)| language)
}

/// The weight in thousandths (RFC 9110 section 12.4.2); 1000 when not given, `None` when malformed.
fn weight(parameters: &str) -> Option<u16> {
    let Some(value) = parameters.trim().strip_prefix("q=") else {
        return parameters.trim().is_empty().then_some(1000);
    };
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match whole {
        "1" => Some(1000),
        "0" => format!("{fraction:0<3}").parse().ok(),
        _ => None,
    }
}

/// A value put into a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A name, address or other text, shown as it is but for control characters.
    Text(Cow<'a, str>),
    /// A count; messages choose their plural by it.
    Count(u64),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}
impl<'a> From<&'a &'a str> for Value<'a> {
    fn from(text: &'a &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}
impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}
impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}
impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}
impl From<u64> for Value<'_> {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}
impl From<usize> for Value<'_> {
    fn from(count: usize) -> Self {
        Self::Count(u64::try_from(count).unwrap_or(u64::MAX))
    }
}

/// Takes out what could make a name rewrite the sentence around it: control characters and the marks that turn the
/// direction of text (Unicode Standard Annex 9, section 2).
fn plain(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if text.contains(hidden) {
        Cow::Owned(text.chars().filter(|c| !hidden(*c)).collect())
    } else {
        Cow::Borrowed(text)
    }
}

type Bundle = FluentBundle<FluentResource>;

static BUNDLES: LazyLock<Vec<(Language, Bundle)>> = LazyLock::new(|| {
    Language::ALL
        .iter()
        .map(|language| (*language, bundle(*language)))
        .collect()
});

/// Reads the files of a language. What does not parse is left out; a test parses every file strictly.
fn bundle(language: Language) -> Bundle {
    let tag: LanguageIdentifier = language.code().parse().unwrap_or_default();
    let mut bundle = FluentBundle::new_concurrent(vec![tag]);
    // The isolating marks would end up in copied text; names are cleaned by `plain` instead.
    bundle.set_use_isolating(false);
    for source in language.sources() {
        let resource = match FluentResource::try_new(source.to_owned()) {
            Ok(resource) => resource,
            Err((resource, _)) => resource,
        };
        bundle.add_resource_overriding(resource);
    }
    bundle
}

fn format(
    bundle: &'static Bundle,
    key: &str,
    args: &[(&'static str, Value<'_>)],
) -> Option<Cow<'static, str>> {
    let pattern = match key.split_once('.') {
        None => bundle.get_message(key)?.value()?,
        Some((message, attribute)) => bundle.get_message(message)?.get_attribute(attribute)?.value(),
    };
    let mut errors = Vec::new();
    if args.is_empty() {
        return Some(bundle.format_pattern(pattern, None, &mut errors));
    }
    let mut given = FluentArgs::with_capacity(args.len());
    for (name, value) in args {
        match value {
            Value::Text(text) => given.set(*name, FluentValue::String(plain(text))),
            Value::Count(count) => given.set(*name, FluentValue::from(*count)),
        }
    }
    Some(Cow::Owned(
        bundle
            .format_pattern(pattern, Some(&given), &mut errors)
            .into_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(ui_locales: &str, cookie: &str, header: &str) -> Language {
        let given = [ui_locales, cookie, header].map(|text| Some(text).filter(|text| !text.is_empty()));
        Language::choose(given[0], given[1], given[2])
    }

    #[test]
    fn the_first_wish_that_names_a_known_language_wins() {
        use Language::{English, German};
        for (ui_locales, cookie, header, expected) in [
            ("", "", "", English),
            ("de", "en", "en", German),
            ("fr-CA de-AT en", "", "en", German),
            ("fr tlh", "de", "en", German),
            ("", "de", "en", German),
            ("", "xx", "de", German),
            ("", "", "de-CH,de;q=0.9,en;q=0.8", German),
            ("", "", "en;q=0.5, de;q=0.7", German),
            ("", "", "fr, en;q=0.2, de;q=0.2", English),
            ("", "", "de;q=0, en;q=0.1", English),
            ("", "", "de;q=0", English),
            ("", "", "de;q=2, de;q=x, de;q=0.1234, *;q=1", English),
            ("DE", "", "", German),
        ] {
            assert_eq!(
                choose(ui_locales, cookie, header),
                expected,
                "{ui_locales} / {cookie} / {header}"
            );
        }
    }

    #[test]
    fn endless_wishes_are_not_read() {
        let long = "xx,".repeat(5000) + "de";
        assert_eq!(
            Language::choose(Some(&long), Some(&long), Some(&long)),
            Language::English
        );
        let many = "xx,".repeat(MOST_TAGS) + "de";
        assert_eq!(Language::choose(None, None, Some(&many)), Language::English);
    }

    #[test]
    fn every_file_parses_without_a_complaint_and_is_embedded() {
        for language in Language::ALL {
            let mut bundle: Bundle =
                FluentBundle::new_concurrent(vec![language.code().parse().expect("a language tag")]);
            for source in language.sources() {
                let resource = FluentResource::try_new(source.to_owned())
                    .map_err(|(_, errors)| errors)
                    .expect("a clean Fluent file");
                bundle.add_resource(resource).expect("no key stands twice");
            }
            let folder = format!("{}/locales/{}", env!("CARGO_MANIFEST_DIR"), language.code());
            assert_eq!(
                std::fs::read_dir(folder).unwrap().count(),
                language.sources().len()
            );
        }
    }

    #[test]
    fn a_missing_message_gives_its_key() {
        assert_eq!(Language::German.text("no-such-message", &[]), "no-such-message");
        assert!(!Language::English.has("no-such-message"));
    }

    #[test]
    fn values_cannot_turn_the_direction_of_the_sentence() {
        let name = Value::from("Graf\u{202e}ana\u{2066}\u{0}\n");
        assert_eq!(
            Language::English.text("going-to", &[("application", name)]),
            "to continue to Grafana"
        );
    }

    #[test]
    fn counts_choose_the_plural() {
        let wait =
            |language: Language, count: u64| language.text("wait-seconds", &[("count", Value::Count(count))]);
        assert_eq!(wait(Language::English, 1), "You can try again in 1 second.");
        assert_eq!(wait(Language::English, 30), "You can try again in 30 seconds.");
        assert_eq!(
            wait(Language::German, 1),
            "In 1 Sekunde können Sie es noch einmal versuchen."
        );
    }
}
