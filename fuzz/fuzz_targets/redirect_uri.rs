//! Redirect URIs: one that an operator registers (first line) against one that a request gives (second line).
//!
//! Holds, judged by another URL parser than the matcher's: a match never leads to another scheme, host, path or query than
//! the registered ones, except for the port of a loopback address and one host label of a wildcard; no credentials, no
//! fragment; what is exact matches itself.
#![no_main]

use doorward_oidc::redirect::{RedirectPattern, find_match, is_well_formed, nearest};
use libfuzzer_sys::fuzz_target;
use url::Url;

fuzz_target!(|text: &str| {
    let _ = is_well_formed(text);
    let (registered, given) = text.split_once('\n').unwrap_or((text, text));
    let Ok(pattern) = RedirectPattern::parse(registered) else { return };
    if let Some(exact) = pattern.exact() {
        assert!(pattern.matches(exact), "an exact pattern does not match itself");
    }
    let matched = pattern.matches(given);
    assert_eq!(matched, find_match(&[registered.to_owned()], given));
    assert_eq!(nearest(&[registered.to_owned()], given), Some(registered));
    if matched {
        judge(registered, given);
    }
});

fn judge(registered: &str, given: &str) {
    assert!(is_well_formed(given), "a match that is not well-formed: {given}");
    let Ok(to) = Url::parse(given) else {
        // Private-use schemes may carry what this parser refuses; then the texts are the same.
        assert_eq!(registered, given);
        return;
    };
    assert!(to.fragment().is_none() && to.username().is_empty() && to.password().is_none(), "{given}");
    let host = to.host_str().unwrap_or_default();
    if let Some(behind) = registered.strip_prefix("https://*.") {
        let parent = behind.split(['/', '?', ':']).next().unwrap_or_default();
        let label = host.strip_suffix(&format!(".{}", parent.to_ascii_lowercase()));
        assert!(label.is_some_and(|label| !label.is_empty() && !label.contains('.')), "{registered} led to {host}");
        assert_eq!(to.scheme(), "https");
        return;
    }
    let from = Url::parse(registered).expect("a registered URI that matched parses");
    assert_eq!(from.scheme(), to.scheme());
    assert_eq!(from.host_str(), to.host_str(), "{registered} led to {given}");
    assert_eq!((from.path(), from.query()), (to.path(), to.query()), "{registered} led to {given}");
    let loopback = matches!(host, "127.0.0.1" | "[::1]" | "localhost") && to.scheme() == "http";
    assert!(loopback || from.port() == to.port(), "{registered} led to {given}");
}
