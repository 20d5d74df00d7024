//! RFC 6749 sections 3.1, 3.2, 3.3 and appendix B: how parameters are written.

use doorward_oidc::scope::{self, ScopeError};
use doorward_oidc::{ParamError, Params};

use crate::support::scopes;

#[test]
fn appendix_b_form_encoding_is_read() {
    let params = Params::parse("a=+%25%26%2B%C2%A3%E2%82%AC&b=x+y&c").unwrap();
    assert_eq!(params.get("a"), Some(" %&+£€"));
    assert_eq!(params.get("b"), Some("x y"));
    assert_eq!(params.get("c"), None);
}

#[test]
fn what_was_written_reads_the_same() {
    let params = Params::from_pairs([("state", "a b+c&d=e%\u{20ac}\n"), ("x", ""), ("x", "2")]);
    assert_eq!(Params::parse(&params.to_query()).unwrap(), params);
    assert!(
        params
            .to_query()
            .starts_with("state=a%20b%2Bc%26d%3De%25%E2%82%AC%0A&")
    );
}

#[test]
fn section_3_1_a_parameter_without_value_counts_as_absent() {
    let params = Params::parse("scope=&scope=openid&state=").unwrap();
    assert_eq!(params.get("scope"), Some("openid"));
    assert_eq!(params.get("state"), None);
    assert_eq!(params.count("state"), 1);
}

#[test]
fn section_3_1_repetition_is_noticed_except_for_resource_and_audience() {
    for (query, repeated) in [
        ("a=1&b=2", None),
        ("a=1&b=2&a=1", Some("a")),
        ("a=&a=1", Some("a")),
        ("resource=x&resource=y&audience=x&audience=y", None),
        ("resource=x&resource=y&Resource=x&Resource=y", Some("Resource")),
    ] {
        assert_eq!(Params::parse(query).unwrap().repeated(), repeated, "{query}");
    }
}

#[test]
fn broken_encoding_is_refused_with_the_name_of_the_field() {
    for (query, expected) in [
        ("a=1&state=%", ParamError::BadPercent("state".into())),
        ("state=%4", ParamError::BadPercent("state".into())),
        ("state=%zz", ParamError::BadPercent("state".into())),
        ("state=%ff", ParamError::BadUtf8("state".into())),
        ("state=%ed%a0%80", ParamError::BadUtf8("state".into())),
        ("state=%c0%af", ParamError::BadUtf8("state".into())),
        ("state=a%00b", ParamError::Nul("state".into())),
        ("a=1&%ff=1", ParamError::BadName(2)),
        ("%00=1", ParamError::BadName(1)),
    ] {
        assert_eq!(Params::parse(query), Err(expected), "{query}");
    }
}

#[test]
fn limits_hold_at_their_edges() {
    assert!(Params::parse(&format!("a={}", "x".repeat(16 * 1024))).is_ok());
    assert_eq!(
        Params::parse(&format!("a={}", "x".repeat(16 * 1024 + 1))),
        Err(ParamError::LongValue("a".into()))
    );
    assert!(Params::parse(&format!("{}=1", "n".repeat(128))).is_ok());
    assert_eq!(
        Params::parse(&format!("{}=1", "n".repeat(129))),
        Err(ParamError::LongName(1))
    );
    assert!(Params::parse(&"a&".repeat(200)).is_ok());
    assert_eq!(Params::parse(&"a&".repeat(201)), Err(ParamError::TooMany));
    assert_eq!(
        Params::parse(&"&".repeat(64 * 1024 + 1)),
        Err(ParamError::TooLong(64 * 1024 + 1))
    );
}

#[test]
fn values_never_show_in_debug() {
    let params = Params::parse("client_secret=hunter2&code=xyzzy").unwrap();
    let shown = format!("{params:?}");
    assert!(shown.contains("client_secret") && !shown.contains("hunter2") && !shown.contains("xyzzy"));
}

#[test]
fn section_3_3_scope_characters_and_limits() {
    assert_eq!(scope::parse_scope("b  a b ").unwrap(), scopes("a b"));
    assert_eq!(scope::parse_scope("https://api.example/read!").unwrap().len(), 1);
    for (text, expected) in [
        ("", ScopeError::Empty),
        ("   ", ScopeError::Empty),
        ("a\"b", ScopeError::Character),
        ("a\\b", ScopeError::Character),
        ("a\tb", ScopeError::Character),
        ("ünder", ScopeError::Character),
        ("a\u{7f}", ScopeError::Character),
    ] {
        assert_eq!(scope::parse_scope(text), Err(expected), "{text:?}");
    }
    let many: Vec<String> = (0..101).map(|n| format!("s{n}")).collect();
    assert_eq!(scope::parse_scope(&many.join(" ")), Err(ScopeError::TooMany));
    assert!(scope::parse_scope(&many[..100].join(" ")).is_ok());
    assert_eq!(scope::parse_scope(&"s".repeat(257)), Err(ScopeError::TooLong));
}
