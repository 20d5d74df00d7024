//! What holds for every page in every state and language: well-formed, accessible in its bones, nothing inline, nothing
//! unescaped, nothing unsaid.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers outside the test functions fail the test too"
)]

#[path = "../examples/gallery/states.rs"]
mod states;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use doorward_web::assets;

/// One start tag with its attributes, in document order.
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
    fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(key, _)| key == name)
    }
}

const VOID: &[&str] = &["meta", "link", "input", "img", "br", "hr"];
/// Elements of SVG that our icons close in place.
const CLOSED_IN_PLACE: &[&str] = &["path", "circle", "rect"];

/// Reads a page strictly: every tag closed in order, every attribute quoted and given once. Panics with the place otherwise.
fn tags(name: &str, html: &str) -> Vec<Tag> {
    let mut rest = html.strip_prefix("<!doctype html>").expect("a doctype");
    let (mut open, mut found) = (Vec::<String>::new(), Vec::new());
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        assert!(!text.contains('>'), "{name}: a stray > in {text:?}");
        let end = rest
            .find('>')
            .unwrap_or_else(|| panic!("{name}: an open tag at the end"));
        let inside = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(closing) = inside.strip_prefix('/') {
            let expected = open.pop();
            assert_eq!(
                expected.as_deref(),
                Some(closing),
                "{name}: closing {closing} while in {open:?}"
            );
            continue;
        }
        let (inside, closed) = inside
            .strip_suffix('/')
            .map_or((inside, false), |inside| (inside, true));
        let tag = tag(name, inside);
        if closed {
            assert!(
                CLOSED_IN_PLACE.contains(&tag.name.as_str()),
                "{name}: <{} />",
                tag.name
            );
        } else if !VOID.contains(&tag.name.as_str()) {
            open.push(tag.name.clone());
        }
        found.push(tag);
    }
    assert!(open.is_empty(), "{name}: not closed: {open:?}");
    found
}

fn tag(page: &str, inside: &str) -> Tag {
    let inside = inside.trim();
    let (name, mut rest) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
    assert!(
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()),
        "{page}: <{inside}>"
    );
    let mut attributes: Vec<(String, String)> = Vec::new();
    rest = rest.trim_start();
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c == '=' || c.is_whitespace())
            .unwrap_or(rest.len());
        let key = rest[..end].to_owned();
        assert!(
            key.chars()
                .all(|c| c.is_ascii_lowercase() || c == '-' || key == "viewBox"),
            "{page}: attribute {key:?} in <{inside}>"
        );
        rest = &rest[end..];
        let value = match rest.strip_prefix("=\"") {
            Some(quoted) => {
                let close = quoted
                    .find('"')
                    .unwrap_or_else(|| panic!("{page}: an open quote in <{inside}>"));
                rest = &quoted[close + 1..];
                quoted[..close].to_owned()
            }
            None => String::new(),
        };
        assert!(
            attributes.iter().all(|(given, _)| *given != key),
            "{page}: {key} twice in <{inside}>"
        );
        attributes.push((key, value));
        rest = rest.trim_start();
    }
    Tag {
        name: name.to_owned(),
        attributes,
    }
}

fn each(mut check: impl FnMut(&str, &str, &[Tag])) {
    let pages = states::all().expect("every page renders");
    assert!(pages.len() > 150, "the gallery shrank to {}", pages.len());
    for (name, html) in &pages {
        check(name, html, &tags(name, html));
    }
}

#[test]
fn nothing_is_inline_so_that_a_policy_of_default_src_none_holds() {
    each(|name, html, tags| {
        for tag in tags {
            assert_ne!(tag.name, "style", "{name}");
            assert!(
                tag.name != "script" || (tag.has("src") && tag.get("type") == Some("module")),
                "{name}"
            );
            for (key, value) in &tag.attributes {
                assert!(
                    key != "style" && !key.starts_with("on"),
                    "{name}: {key} on <{}>",
                    tag.name
                );
                let lower = value.to_lowercase();
                assert!(
                    !lower.trim_start().starts_with("javascript:"),
                    "{name}: {key}={value}"
                );
                assert!(
                    !matches!(key.as_str(), "href" | "src" | "action") || !lower.starts_with("data:"),
                    "{name}"
                );
            }
        }
        assert_eq!(html.matches("<script").count(), 1, "{name}: one module");
    });
}

#[test]
fn every_page_has_a_language_a_title_one_main_and_one_first_heading() {
    each(|name, html, tags| {
        let count = |element: &str| tags.iter().filter(|tag| tag.name == element).count();
        let language = tags
            .iter()
            .find(|tag| tag.name == "html")
            .and_then(|tag| tag.get("lang"));
        assert_eq!(language, name.split('-').next(), "{name}");
        assert_eq!((count("main"), count("h1"), count("title")), (1, 1, 1), "{name}");
        assert!(
            !html.contains("<title> ") && html.contains(" · Doorward</title>"),
            "{name}"
        );
        let levels: Vec<&str> = tags
            .iter()
            .map(|tag| tag.name.as_str())
            .filter(|element| matches!(*element, "h1" | "h2" | "h3"))
            .collect();
        assert_eq!(levels.first(), Some(&"h1"), "{name}");
        assert!(!levels.contains(&"h3"), "{name}: two levels are enough");
    });
}

#[test]
fn ids_are_unique_and_every_reference_leads_somewhere() {
    each(|name, _, tags| {
        let mut ids = BTreeSet::new();
        for id in tags.iter().filter_map(|tag| tag.get("id")) {
            assert!(ids.insert(id), "{name}: id {id} twice");
        }
        for tag in tags {
            for key in [
                "for",
                "aria-describedby",
                "aria-labelledby",
                "data-copy",
                "data-reveal",
            ] {
                for id in tag.get(key).unwrap_or_default().split_whitespace() {
                    assert!(ids.contains(id), "{name}: {key}={id} leads nowhere");
                }
            }
            if let Some(id) = tag.get("href").and_then(|href| href.strip_prefix('#')) {
                assert!(ids.contains(id), "{name}: #{id} leads nowhere");
            }
        }
    });
}

#[test]
fn every_field_has_a_label_and_no_password_is_sent_back() {
    each(|name, _, tags| {
        let labels: BTreeSet<&str> = tags
            .iter()
            .filter(|tag| tag.name == "label")
            .filter_map(|tag| tag.get("for"))
            .collect();
        for tag in tags
            .iter()
            .filter(|tag| matches!(tag.name.as_str(), "input" | "select"))
        {
            if tag.get("type") == Some("hidden") || tag.has("hidden") {
                continue;
            }
            let id = tag
                .get("id")
                .unwrap_or_else(|| panic!("{name}: a field without id"));
            assert!(labels.contains(id), "{name}: {id} has no label");
            assert!(
                tag.get("type") != Some("password") || !tag.has("value"),
                "{name}: {id} carries a password"
            );
            assert!(
                tag.has("autocomplete") || tag.name == "select",
                "{name}: {id} leaves autocomplete open"
            );
        }
    });
}

#[test]
fn forms_that_post_carry_their_state_and_can_be_sent_without_script() {
    each(|name, html, _| {
        for form in html
            .split("<form ")
            .skip(1)
            .map(|form| form.split("</form>").next().unwrap_or(form))
        {
            assert!(
                form.contains("type=\"submit\""),
                "{name}: a form that cannot be sent without script"
            );
            if form.contains("method=\"get\"")
                || form.contains("data-submit")
                || form.contains("name=\"user_code\"")
            {
                continue;
            }
            let carries =
                |field: &str| form.contains(&format!("<input type=\"hidden\" name=\"{field}\" value=\""));
            assert!(carries("attempt") || carries("csrf"), "{name}: {form}");
        }
    });
}

#[test]
fn what_only_script_can_use_is_hidden_without_it() {
    each(|name, _, tags| {
        for tag in tags {
            if tag.has("data-copy") || tag.has("data-reveal") {
                assert!(tag.has("hidden"), "{name}: <{}> shows without script", tag.name);
                assert_eq!(tag.get("type"), Some("button"), "{name}");
            }
        }
    });
}

#[test]
fn a_page_with_its_style_and_script_stays_below_60_kilobytes() {
    let shared: usize = assets::all().iter().map(|asset| asset.bytes.len()).sum();
    each(|name, html, _| {
        let total = shared + html.len();
        // The portal with 30 applications is the one page that grows with its content.
        let limit = if name.ends_with("portal-many") {
            80_000
        } else {
            60_000
        };
        assert!(total < limit, "{name}: {total} bytes");
    });
}

#[test]
fn every_asset_that_a_page_names_exists() {
    each(|name, _, tags| {
        let named = tags
            .iter()
            .flat_map(|tag| [tag.get("href"), tag.get("src")])
            .flatten();
        let assets: Vec<&str> = named.filter(|url| url.starts_with("/static/")).collect();
        assert_eq!(assets.len(), 3, "{name}: icon, style, script");
        for url in assets {
            assert!(assets::find(url).is_some(), "{name}: {url}");
        }
        assert!(
            tags.iter().all(|tag| tag.get("src") != Some("")),
            "{name}: an empty src"
        );
    });
}

#[test]
fn texts_from_people_are_escaped_everywhere() {
    each(|name, html, _| {
        for raw in ["<Archiv>", "<thing>", "<script>alert", "& <"] {
            assert!(!html.contains(raw), "{name}: {raw}");
        }
    });
    let pages = states::all().expect("every page renders");
    let long = pages
        .iter()
        .find(|(name, _)| name == "en-consent-long")
        .expect("the page");
    assert!(long.1.contains("&#60;Archiv&#62;"), "the name is shown, escaped");
}

#[test]
fn no_message_is_missing_or_lacks_a_value() {
    let keys: BTreeSet<String> = messages("en").into_keys().collect();
    each(|name, html, _| {
        assert!(
            !html.contains("{$") && !html.contains("{ $"),
            "{name}: a value is missing"
        );
        for text in html
            .split('>')
            .filter_map(|part| part.split('<').next())
            .map(str::trim)
        {
            assert!(
                !text.contains('-') || !keys.contains(text),
                "{name}: says its key {text}"
            );
        }
    });
}

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every file below a folder as text.
fn texts(path: &Path, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(texts(&path, extension));
        } else if path.extension().is_some_and(|given| given == extension) {
            found.push(std::fs::read_to_string(&path).expect("a text"));
        }
    }
    found
}

/// Keys of a language (attributes as `key.attribute`) with the variables that each uses.
fn messages(language: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for text in texts(&folder("locales").join(language), "ftl") {
        let (mut message, mut current) = (String::new(), String::new());
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((key, _)) = line
                .split_once(" =")
                .filter(|_| line.starts_with(|c: char| c.is_alphabetic()))
            {
                message = key.to_owned();
                current = message.clone();
                found.entry(current.clone()).or_default();
            } else if let Some((key, _)) = line
                .trim_start()
                .strip_prefix('.')
                .and_then(|rest| rest.split_once(" ="))
            {
                current = format!("{message}.{key}");
                found.entry(current.clone()).or_default();
            }
            for variable in line.split('$').skip(1) {
                let end = variable
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(variable.len());
                found
                    .get_mut(&current)
                    .expect("a key first")
                    .insert(variable[..end].to_owned());
            }
        }
    }
    assert!(found.len() > 200, "{language}: {} keys", found.len());
    found
}

#[test]
fn every_language_says_everything_with_the_same_values() {
    let english = messages("en");
    for entry in std::fs::read_dir(folder("locales")).expect("a folder") {
        let language = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("a name");
        let other = messages(&language);
        let missing: Vec<&String> = english.keys().filter(|key| !other.contains_key(*key)).collect();
        let foreign: Vec<&String> = other.keys().filter(|key| !english.contains_key(*key)).collect();
        assert!(
            missing.is_empty() && foreign.is_empty(),
            "{language}: missing {missing:?}, foreign {foreign:?}"
        );
        for (key, variables) in &english {
            assert_eq!(Some(variables), other.get(key), "{language}: values of {key}");
        }
    }
}

/// Words in quotes that look like keys and are none.
const NOT_KEYS: &[&str] = &["new-password", "current-password", "one-time-code", "view-source"];

#[test]
fn every_key_that_code_and_templates_use_exists_and_every_key_is_used() {
    let keys = messages("en");
    let code: Vec<String> = texts(&folder("src/pages"), "rs")
        .into_iter()
        .map(|text| text.split("#[cfg(test)]").next().unwrap_or_default().to_owned())
        .collect();
    let templates = texts(&folder("templates"), "html");
    let mut used = BTreeSet::new();
    for text in &templates {
        for call in ["page.t(\"", "page.t1(\"", "page.t2(\""] {
            for rest in text.split(call).skip(1) {
                used.insert(rest.split('"').next().unwrap_or_default().to_owned());
            }
        }
    }
    for text in &code {
        for literal in text.split('"').skip(1).step_by(2) {
            let shaped = literal
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            if shaped
                && literal.contains('-')
                && !literal.ends_with('-')
                && !literal.starts_with('-')
                && !NOT_KEYS.contains(&literal)
            {
                used.insert(literal.to_owned());
            }
        }
    }
    // Handlers choose messages too, anywhere in the crate.
    for text in texts(&folder("src"), "rs") {
        for rest in text.split("Message::new(\"").skip(1) {
            used.insert(rest.split('"').next().unwrap_or_default().to_owned());
        }
    }
    let missing: Vec<&String> = used.iter().filter(|key| !keys.contains_key(*key)).collect();
    assert!(missing.is_empty(), "used, but said nowhere: {missing:?}");
    // Chosen by handlers, or by the word of a rule, an event, a scope, a month.
    let by_word = ["problem-", "notice-", "refusal-", "event-", "scope-", "month-"];
    let idle: Vec<&String> = keys
        .keys()
        .filter(|key| !key.contains('.') && !used.contains(*key))
        .filter(|key| !by_word.iter().any(|prefix| key.starts_with(prefix)))
        .collect();
    assert!(idle.is_empty(), "said, but used nowhere: {idle:?}");
}
