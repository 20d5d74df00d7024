//! Who came, in headers for the service behind a site. Every name of a set is always given, empty when there is nothing to say, so that
//! one that a stranger sent is overwritten.

use serde_json::{Map, Value, json};

use doorward_domain::Timestamp;
use doorward_domain::client::SigningAlgorithm;
use doorward_domain::site::{HeaderSets, SiteEntry};
use doorward_oidc::claims;

use crate::Doorward;
use crate::forward_auth::Visitor;
use crate::machines::Machine;

/// The names that every site gets.
pub const DOORWARD: [&str; 8] = [
    "x-doorward-username",
    "x-doorward-email",
    "x-doorward-name",
    "x-doorward-groups",
    "x-doorward-uid",
    "x-doorward-user-id",
    "x-doorward-application",
    "x-doorward-jwt",
];
/// The names of authentik's proxy.
pub const AUTHENTIK: [&str; 12] = [
    "x-authentik-username",
    "x-authentik-groups",
    "x-authentik-entitlements",
    "x-authentik-email",
    "x-authentik-name",
    "x-authentik-uid",
    "x-authentik-jwt",
    "x-authentik-meta-jwks",
    "x-authentik-meta-outpost",
    "x-authentik-meta-provider",
    "x-authentik-meta-app",
    "x-authentik-meta-version",
];
/// The names of Authelia.
pub const REMOTE: [&str; 4] = ["remote-user", "remote-groups", "remote-email", "remote-name"];

/// `typ` of the signed form: no access token and no ID token, whoever looks at it.
const TYP: &str = "doorward-site+jwt";
/// The signed form is good for this long, in seconds.
const JWT_SECONDS: i64 = 300;

/// Who came, as far as the service may know.
#[derive(Default)]
struct Facts {
    username: String,
    email: String,
    name: String,
    groups: Vec<String>,
    uid: String,
    user_id: String,
}

/// Headers for one visitor of one site.
#[derive(Debug)]
pub struct Identity {
    /// Name in lower case, and value in printable ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// They have to be made anew from then on.
    pub fresh_until: Timestamp,
}

/// Encodes a value for a header: printable ASCII stays, everything else and the percent sign are written as percent-encoded UTF-8
/// (RFC 3986 section 2.1). `also` is encoded too: what separates the members of a list.
#[must_use]
pub fn header_value(text: &str, also: Option<char>) -> String {
    let plain = |c: char| c.is_ascii() && !c.is_ascii_control() && c != '%' && Some(c) != also;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if plain(c) {
            out.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    // White space at the ends does not survive a header.
    let trimmed = out.trim_matches(' ');
    trimmed.to_owned()
}

fn list(values: &[String], separator: char) -> String {
    let encoded: Vec<String> = values
        .iter()
        .map(|value| header_value(value, Some(separator)))
        .collect();
    encoded.join(&separator.to_string())
}

impl Doorward {
    /// The identity headers for a visitor of a site, all names of the sets that are on.
    #[must_use]
    pub fn identity(&self, entry: &SiteEntry, visitor: &Visitor, sets: HeaderSets) -> Identity {
        let facts = self.facts(entry, visitor);
        let now = self.now();
        let known = !matches!(visitor, Visitor::Nobody);
        let jwt = if (sets.jwt || sets.authentik) && known {
            self.site_jwt(entry, &facts, now).unwrap_or_default()
        } else {
            String::new()
        };
        let username = header_value(&facts.username, None);
        let email = header_value(&facts.email, None);
        let name = header_value(&facts.name, None);
        let groups = list(&facts.groups, '|');
        let uid = header_value(&facts.uid, None);
        let slug = if known {
            entry.application.slug.clone()
        } else {
            String::new()
        };
        let own_jwt = if sets.jwt { jwt.clone() } else { String::new() };
        let mut headers: Vec<(&'static str, String)> = DOORWARD
            .into_iter()
            .zip([
                username.clone(),
                email.clone(),
                name.clone(),
                groups.clone(),
                uid.clone(),
                facts.user_id.clone(),
                slug.clone(),
                own_jwt,
            ])
            .collect();
        if sets.authentik {
            let of_known = |text: &str| if known { text.to_owned() } else { String::new() };
            headers.extend(AUTHENTIK.into_iter().zip([
                username.clone(),
                groups,
                String::new(),
                email.clone(),
                name.clone(),
                uid,
                jwt,
                if known {
                    format!("{}/application/o/jwks/", self.public_url())
                } else {
                    String::new()
                },
                of_known("doorward"),
                of_known(&header_value(&entry.application.name, None)),
                slug,
                of_known("doorward"),
            ]));
        }
        if sets.remote {
            let groups = list(&facts.groups, ',');
            headers.extend(REMOTE.into_iter().zip([username, groups, email, name]));
        }
        Identity {
            headers,
            fresh_until: Timestamp::from_millis(now.millis() + JWT_SECONDS * 500),
        }
    }

    fn facts(&self, entry: &SiteEntry, visitor: &Visitor) -> Facts {
        if let Visitor::Machine(machine) = visitor
            && let Machine::Client { client_id, .. } = &**machine
        {
            return Facts {
                username: client_id.clone(),
                uid: client_id.clone(),
                ..Facts::default()
            };
        }
        let Some(person) = visitor.person() else {
            return Facts::default();
        };
        let user = &person.user;
        let subject = entry
            .application
            .client
            .as_ref()
            .and_then(|client| claims::subject_of(client.subject_mode, user).ok());
        Facts {
            username: user.username.clone(),
            email: user.email.clone().unwrap_or_default(),
            name: user.name.clone(),
            groups: self.directory().groups.names(&person.groups),
            uid: subject.unwrap_or_else(|| user.uid.clone()),
            user_id: user.id.to_string(),
        }
    }

    /// The same facts, signed for the service at this site.
    fn site_jwt(&self, entry: &SiteEntry, facts: &Facts, now: Timestamp) -> Option<String> {
        let seconds = now.millis() / 1000;
        let claims: Map<String, Value> = [
            ("iss", json!(self.public_url())),
            ("aud", json!(entry.name.trim_end_matches('/'))),
            ("sub", json!(facts.uid)),
            ("iat", json!(seconds)),
            ("nbf", json!(seconds)),
            ("exp", json!(seconds + JWT_SECONDS)),
            ("preferred_username", json!(facts.username)),
            ("email", json!(facts.email)),
            ("name", json!(facts.name)),
            ("groups", json!(facts.groups)),
            ("application", json!(entry.application.slug)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let algorithm = entry
            .application
            .client
            .as_ref()
            .map_or(SigningAlgorithm::Es256, |client| client.signing_algorithm);
        let key = self.signing_key(algorithm, now).ok()?;
        key.sign(TYP, &claims).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_printable_and_can_be_decoded() {
        assert_eq!(header_value("Jörg 100%", None), "J%C3%B6rg 100%25");
        assert_eq!(header_value("a\r\nSet-Cookie: x", None), "a%0D%0ASet-Cookie: x");
        assert_eq!(list(&["a|b".into(), "c,d".into()], '|'), "a%7Cb|c,d");
        assert_eq!(list(&["a|b".into(), "c,d".into()], ','), "a|b,c%2Cd");
        assert_eq!(header_value("\u{7f}\u{0}", None), "%7F%00");
    }
}
