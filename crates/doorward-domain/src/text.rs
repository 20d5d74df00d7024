//! Names that people type: what is accepted and how two spellings are compared.

/// Why a name was refused; the text names what was expected.
pub type TextProblem = String;

/// The comparable form of a user name, e-mail address or group name: trimmed, lower case.
#[must_use]
pub fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}

/// Checks a user name: 1 to 150 characters, no white space at the ends, no control characters, no `<>"'&\` or slash.
///
/// # Errors
/// A sentence that says what was expected.
pub fn check_username(text: &str) -> Result<(), TextProblem> {
    check_visible("username", text, 150)?;
    if text
        .chars()
        .any(|c| c.is_whitespace() || "<>\"'&\\/:|,".contains(c))
    {
        return Err(format!(
            "username `{text}` has a space or one of < > \" ' & \\ / : | , ; expected letters, digits and . _ - @ +"
        ));
    }
    Ok(())
}

/// Domain of addresses that stand for none. Nothing below `.invalid` ever exists (RFC 6761 section 6.4).
pub const PLACEHOLDER_DOMAIN: &str = "placeholder.invalid";

/// Does this address stand for none? Nobody is written to there, and nobody is known by it.
#[must_use]
pub fn is_placeholder(email: &str) -> bool {
    let domain = email.rsplit_once('@').map_or(email, |(_, domain)| domain);
    let domain = domain.trim().trim_end_matches('.').to_ascii_lowercase();
    domain == PLACEHOLDER_DOMAIN || domain.ends_with(&format!(".{PLACEHOLDER_DOMAIN}"))
}

/// Checks an e-mail address in the shape that mail systems really accept (one `@`, a domain with a dot or `localhost`), which stands for
/// somebody: placeholders are made here and never typed.
///
/// # Errors
/// A sentence that says what was expected.
pub fn check_email(text: &str) -> Result<(), TextProblem> {
    let bad = || format!("email `{text}` is not an address; expected for example alice@example.org");
    if text.len() > 254
        || text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "<>\"(),:;\\[]".contains(c))
    {
        return Err(bad());
    }
    let (local, domain) = text.rsplit_once('@').ok_or_else(bad)?;
    let domain_ok = !domain.is_empty()
        && domain.split('.').all(|label| {
            !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.len() <= 63
        });
    if is_placeholder(text)
        || local.is_empty()
        || local.len() > 64
        || local.contains('@')
        || local.starts_with('.')
        || !domain_ok
    {
        return Err(bad());
    }
    Ok(())
}

/// Checks a display name or group name: 1 to `longest` characters without control characters.
///
/// # Errors
/// A sentence that names the field.
pub fn check_visible(field: &str, text: &str, longest: usize) -> Result<(), TextProblem> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        return Err(format!("{field} is empty; expected 1 to {longest} characters"));
    }
    if length > longest {
        return Err(format!(
            "{field} has {length} characters; expected at most {longest}"
        ));
    }
    if text.trim() != text {
        return Err(format!("{field} `{text}` begins or ends with a space"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{field} has a control character"));
    }
    Ok(())
}

/// Path words under `/application/o/` that a slug may not take.
pub const RESERVED_SLUGS: [&str; 12] = [
    "authorize",
    "token",
    "userinfo",
    "introspect",
    "revoke",
    "device",
    "end-session",
    "par",
    "jwks",
    "register",
    "login",
    "callback",
];

/// Checks an application's slug: lower-case letters, digits and hyphens, 1 to 50 characters, not reserved.
///
/// # Errors
/// A sentence that says what was expected.
pub fn check_slug(text: &str) -> Result<(), TextProblem> {
    let shape = !text.is_empty()
        && text.len() <= 50
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if !shape {
        return Err(format!(
            "slug `{text}` is not usable; expected 1 to 50 lower-case letters, digits, `-` and `_`, for example grafana"
        ));
    }
    if RESERVED_SLUGS.contains(&text) {
        return Err(format!(
            "slug `{text}` is the name of an endpoint; choose another"
        ));
    }
    Ok(())
}

/// The closest of `candidates` to `given` by edit distance, when it is close enough to be a slip.
#[must_use]
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (given.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(given, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters.
#[must_use]
pub fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = i;
        let mut previous = i + 1;
        if let Some(first) = row.first_mut() {
            *first = previous;
        }
        for (cell, r) in row.iter_mut().skip(1).zip(&right) {
            let cost = diagonal + usize::from(l != *r);
            diagonal = *cell;
            previous = cost.min(diagonal + 1).min(previous + 1);
            *cell = previous;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_with_a_sentence() {
        assert!(check_username("alice").is_ok());
        assert!(check_username("alice@example.org").is_ok());
        for bad in ["", " alice", "al ice", "a<b", "a/b", "a\u{0}b"] {
            assert!(check_username(bad).is_err(), "{bad:?}");
        }
        assert!(check_email("alice@example.org").is_ok());
        for bad in [
            "alice",
            "@example.org",
            "a@b@c",
            "a b@example.org",
            "a@-x.org",
            "a@x..org",
            "a@placeholder.invalid",
            "a@PLACEHOLDER.invalid.",
            "a@more.placeholder.invalid",
        ] {
            assert!(check_email(bad).is_err(), "{bad}");
        }
        assert!(check_slug("grafana-2").is_ok());
        for bad in ["", "Grafana", "token", "-a", "a/b"] {
            assert!(check_slug(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nearest_finds_slips_only() {
        assert_eq!(nearest("pubic_url", ["public_url", "listen"]), Some("public_url"));
        assert_eq!(nearest("zzz", ["public_url", "listen"]), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
