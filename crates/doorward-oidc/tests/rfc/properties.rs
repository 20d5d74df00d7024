//! What holds for every input.

use doorward_domain::client::{Client, ConsentMode, Pkce};
use doorward_domain::token::RefreshRecord;
use doorward_domain::{FamilyId, Lifetime, Timestamp};
use doorward_oidc::authorize::{Authorize, Prompt, ReadError, Visitor, authorize};
use doorward_oidc::claims_request::ClaimsRequest;
use doorward_oidc::redirect::{self, RedirectPattern};
use doorward_oidc::refresh::{Rotation, decide};
use doorward_oidc::token::{TokenRequest, narrow, narrow_resources, redeem_code};
use doorward_oidc::{Params, Scopes, bearer, client_auth, device, error, scope};
use proptest::prelude::*;
use std::collections::BTreeSet;
use url::Url;

use crate::support::*;

/// Texts that are almost a redirect URI: pieces that attacks are made of, in any order.
fn nearly_a_uri() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "https://",
        "http://",
        "https:",
        "//",
        "/",
        "\\",
        "@",
        ":",
        "?",
        "#",
        ".",
        "..",
        "%2e",
        "%2f",
        "%5c",
        "*",
        "client.example",
        "evil.example",
        "client",
        ".example",
        "127.0.0.1",
        "localhost",
        "[::1]",
        "0x7f.1",
        "/cb",
        "cb",
        ":80",
        ":443",
        "8080",
        "\t",
        "\n",
        "\r",
        " ",
        "\u{0}",
        "\u{3002}",
        "\u{ff0e}",
        "\u{2044}",
        "\u{430}",
        "xn--",
        "a",
        "A",
        "x=1",
        "&",
        ";",
        "javascript:",
        "data:",
        "com.example.app:",
        "-",
        "_",
        "ß",
    ]);
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

fn registered() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "https://client.example/cb",
        "https://client.example/cb?x=1",
        "https://client.example:8443/cb",
        "https://*.client.example/cb",
        "http://127.0.0.1/cb",
        "http://[::1]/cb",
        "http://localhost:3000/cb?x=1",
        "http://nas.lan/cb",
        "com.example.app:/cb",
    ])
    .prop_map(str::to_owned)
}

/// Judged by the parser that browsers follow: where would a browser go?
fn leads_elsewhere(registered: &str, given: &str) -> bool {
    let stand_in = registered.replacen("*.", "label.", 1);
    let (Ok(known), Ok(to)) = (Url::parse(&stand_in), Url::parse(given)) else {
        return registered != given;
    };
    let host = |url: &Url| match (
        registered.contains("*."),
        url.host_str().and_then(|host| host.split_once('.')),
    ) {
        (true, Some((_, parent))) => Some(parent.to_owned()),
        _ => url.host_str().map(str::to_owned),
    };
    let loopback =
        known.scheme() == "http" && matches!(known.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    known.scheme() != to.scheme()
        || host(&known) != host(&to)
        || (!loopback && known.port() != to.port())
        || known.path() != to.path()
        || known.query() != to.query()
        || to.fragment().is_some()
        || !to.username().is_empty()
        || to.password().is_some()
}

fn scope_set() -> impl Strategy<Value = Scopes> {
    prop::collection::btree_set("[a-e]{1,2}", 0..6)
}

proptest! {
    #[test]
    fn a_match_never_leads_elsewhere(registered in registered(), given in nearly_a_uri()) {
        let pattern = RedirectPattern::parse(&registered).unwrap();
        if pattern.matches(&given) {
            prop_assert!(!leads_elsewhere(&registered, &given), "{registered} matched {given:?}");
            prop_assert!(redirect::is_well_formed(&given));
        }
    }

    /// The registered URI with one character put in, taken out or changed.
    #[test]
    fn a_slip_never_matches_another_place(
        registered in registered(),
        at in 0_usize..60,
        what in prop::sample::select(vec!['@', '\\', '/', '.', ':', '#', '?', '%', '\t', '\n', ' ', 'a', 'A', '0', '*', '\u{3002}']),
        how in 0_u8..3,
    ) {
        let mut given: Vec<char> = registered.replacen("*.", "label.", 1).chars().collect();
        let at = at.min(given.len() - 1);
        match how {
            0 => given.insert(at, what),
            1 => { given.remove(at); }
            _ => given[at] = what,
        }
        let given: String = given.into_iter().collect();
        let pattern = RedirectPattern::parse(&registered).unwrap();
        if pattern.matches(&given) {
            prop_assert!(!leads_elsewhere(&registered, &given), "{registered} matched {given:?}");
        }
    }

    #[test]
    fn whatever_is_registered_is_well_formed_and_matches_itself(given in nearly_a_uri()) {
        if let Ok(pattern) = RedirectPattern::parse(&given) {
            if let Some(exact) = pattern.exact() {
                prop_assert_eq!(exact, given.as_str());
                prop_assert!(pattern.matches(exact));
                prop_assert!(redirect::is_well_formed(exact));
            } else if !given.contains("*.") {
                prop_assert!(pattern.matches(&given));
            }
        }
    }

    #[test]
    fn an_exact_pattern_matches_exactly_one_text(given in "\\PC{0,40}") {
        let pattern = RedirectPattern::parse(CALLBACK).unwrap();
        prop_assert_eq!(pattern.matches(&given), given == CALLBACK);
    }

    #[test]
    fn parsers_never_panic(text in any::<String>(), other in any::<String>()) {
        let _ = RedirectPattern::parse(&text);
        let _ = redirect::nearest(std::slice::from_ref(&text), &other);
        let _ = scope::parse_scope(&text);
        let _ = ClaimsRequest::parse(&text);
        let _ = bearer::read(Some(&text), None);
        let _ = device::normalise_user_code(&text);
        let params = Params::from_pairs([("grant_type", text.as_str()), ("code", other.as_str()), ("client_id", text.as_str())]);
        let _ = TokenRequest::read(&params);
        let _ = client_auth::Presented::read(Some(&text), &params);
        let _ = read(&params, &client());
    }

    #[test]
    fn the_query_parser_never_panics_and_reads_back_what_it_wrote(
        text in prop_oneof![any::<String>(), "[a-c%=&+0-9A-F]{0,60}"],
    ) {
        if let Ok(params) = Params::parse(&text) {
            prop_assert!(params.iter().all(|(name, value)| !name.contains('\0') && !value.contains('\0')));
            if params.iter().all(|(name, value)| !(name.is_empty() && value.is_empty())) {
                prop_assert_eq!(Params::parse(&params.to_query()).unwrap(), params);
            }
        }
    }

    #[test]
    fn pairs_survive_the_query(pairs in prop::collection::vec(("[^\0]{1,8}", "[^\0]{0,16}"), 0..8)) {
        let params = Params::from_pairs(pairs);
        prop_assert_eq!(Params::parse(&params.to_query()).unwrap(), params);
    }

    #[test]
    fn descriptions_have_only_allowed_characters(text in any::<String>()) {
        let described = error::describe(&text);
        prop_assert!(described.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)));
    }

    #[test]
    fn scopes_never_widen(granted in scope_set(), asked in prop::option::of(scope_set())) {
        match narrow(&granted, asked.as_ref()) {
            Ok(narrowed) => prop_assert!(narrowed.is_subset(&granted)),
            Err(_) => prop_assert!(!asked.unwrap().is_subset(&granted)),
        }
    }

    #[test]
    fn resources_never_widen(granted in scope_set(), asked in scope_set()) {
        if let Ok(narrowed) = narrow_resources(&granted, &asked) {
            prop_assert!(narrowed.is_subset(&granted));
        }
    }

    #[test]
    fn a_request_never_gets_more_than_the_client_may_have(asked in scope_set(), allowed in scope_set()) {
        let known: BTreeSet<String> = allowed.iter().filter(|name| name.starts_with('a')).cloned().collect();
        let client = Client { scopes: allowed.clone(), ..client() };
        let rules = doorward_oidc::authorize::Rules {
            issuer: ISSUER,
            custom_scopes: &|name| known.contains(name),
            known_acr: ACR,
        };
        let params = good().with("scope", &scope::join(&asked));
        match doorward_oidc::authorize::read(&params, &client, &rules) {
            Ok(request) => {
                prop_assert!(request.scopes.is_subset(&known) && request.scopes.is_subset(&client.scopes));
                prop_assert!(request.consent_scopes.is_superset(&request.scopes));
            }
            Err(error) => prop_assert!(matches!(error, ReadError::Return(error) if error.error == "invalid_scope")),
        }
    }

    #[test]
    fn rotation_is_total_and_rotates_only_what_is_fresh(
        used in prop::option::of(-20_000_i64..20_000), lives in -20_000_i64..20_000, kept in any::<bool>(),
        own in any::<bool>(), ended in any::<bool>(),
    ) {
        let at = |offset: i64| Timestamp::from_millis(now().millis() + offset);
        let record = RefreshRecord {
            family_id: FamilyId::mint(now(), [1; 10]),
            application_id: application(if own { 1 } else { 2 }),
            created_at: ago(100),
            expires_at: at(lives),
            used_at: used.map(at),
            answer_sealed: kept.then(|| vec![1]),
            jkt: None,
        };
        let fresh = own && !ended && used.is_none() && lives > 0;
        let decided = decide(&record, application(1), ended, now());
        prop_assert_eq!(decided == Rotation::Rotate, fresh);
        if !own {
            prop_assert_eq!(decided, Rotation::Foreign, "a stranger ends nobody's family");
        }
        if decided == Rotation::SameAnswer {
            prop_assert!(own && !ended && kept && used.is_some_and(|used| used >= -10_000));
        }
    }

    #[test]
    fn a_code_is_redeemed_only_when_everything_agrees(
        own in any::<bool>(), lives in -100_i64..100, given in 0_u8..3, challenge in prop::option::of(0_u8..2),
        verifier in prop::option::of(0_u8..2), optional in any::<bool>(),
    ) {
        let mut record = code_record();
        record.application_id = application(if own { 1 } else { 2 });
        record.expires_at = Timestamp::from_millis(now().millis() + lives);
        record.code_challenge = challenge.map(|n| format!("challenge-{n}"));
        let verifier = verifier.map(|n| format!("challenge-{n}"));
        let mut client = confidential();
        client.pkce = if optional { Pkce::Optional } else { Pkce::Required };
        let uri = [None, Some(CALLBACK), Some("https://evil.example/")][usize::from(given)];
        let redeemed = redeem_code(&record, uri, verifier.as_deref(), &client, application(1), now());
        let pkce = record.code_challenge == verifier && (verifier.is_some() || optional);
        prop_assert_eq!(redeemed.is_ok(), own && lives > 0 && given == 1 && pkce);
    }
}

fn consent_mode() -> impl Strategy<Value = ConsentMode> {
    prop::sample::select(vec![
        ConsentMode::Implicit,
        ConsentMode::Explicit,
        ConsentMode::Expiring(Lifetime::from_days(1)),
        ConsentMode::Skip,
    ])
}

fn prompts() -> impl Strategy<Value = BTreeSet<Prompt>> {
    let some = prop::sample::subsequence(vec![Prompt::Login, Prompt::Consent, Prompt::SelectAccount], 0..=3);
    prop_oneof![
        Just(BTreeSet::from([Prompt::None])),
        some.prop_map(|prompts| prompts.into_iter().collect())
    ]
}

proptest! {
    #[test]
    fn nobody_gets_in_without_having_signed_in(mode in consent_mode(), prompts in prompts(), hint in prop::option::of("a|b")) {
        let client = Client { consent: mode, ..client() };
        let mut request = accepted(&good(), &client);
        request.prompts = prompts.clone();
        let outcome = authorize(&request, &client, Visitor::Anonymous, hint.as_deref(), now());
        if prompts.contains(&Prompt::None) {
            prop_assert!(matches!(outcome, Authorize::Return(error) if error.error == "login_required"));
        } else {
            prop_assert_eq!(outcome, Authorize::SignIn);
        }
    }

    #[test]
    fn a_grant_means_that_every_wish_was_met(
        mode in consent_mode(), prompts in prompts(), granted in prop::option::of(prop::sample::subsequence(vec!["openid", "profile"], 0..=2)),
        age in 0_u32..200, max_age in prop::option::of(0_u32..200), flags in any::<[bool; 3]>(), hint in prop::option::of("alice|bob"),
    ) {
        let [reauthenticated, account_selected, consented] = flags;
        let client = Client { consent: mode, ..client() };
        let mut request = accepted(&good(), &client);
        request.prompts = prompts.clone();
        request.max_age = max_age;
        let granted: Option<Scopes> = granted.map(|names| names.into_iter().map(str::to_owned).collect());
        let visitor = Visitor::SignedIn {
            subject: "alice", auth_time: ago(age), granted: granted.as_ref(), reauthenticated, account_selected, consented,
        };
        let outcome = authorize(&request, &client, visitor, hint.as_deref(), now());
        let remembered = granted.as_ref().is_some_and(|granted| request.scopes.is_subset(granted));
        match &outcome {
            Authorize::Grant => {
                prop_assert_ne!(hint.as_deref(), Some("bob"));
                if matches!(mode, ConsentMode::Explicit | ConsentMode::Expiring(_)) {
                    prop_assert!(consented || remembered, "never without consent");
                }
                if mode != ConsentMode::Skip && prompts.contains(&Prompt::Consent) {
                    prop_assert!(consented);
                }
                prop_assert!(reauthenticated || !prompts.contains(&Prompt::Login));
                prop_assert!(account_selected || !prompts.contains(&Prompt::SelectAccount));
                prop_assert!(reauthenticated || max_age.is_none_or(|max_age| max_age > 0 && age <= max_age));
            }
            Authorize::Return(error) => {
                prop_assert!(prompts.contains(&Prompt::None) || hint.as_deref() == Some("bob"));
                prop_assert!(["login_required", "consent_required"].contains(&error.error));
            }
            _ => prop_assert!(!prompts.contains(&Prompt::None), "prompt=none shows no page"),
        }
        prop_assert!(outcome != Authorize::SignIn);
    }

    #[test]
    fn answering_every_question_ends_the_questions(
        mode in consent_mode(), prompts in prompts(), max_age in prop::option::of(0_u32..200),
    ) {
        let client = Client { consent: mode, ..client() };
        let mut request = accepted(&good(), &client);
        request.prompts = prompts;
        request.max_age = max_age;
        let (mut reauthenticated, mut account_selected, mut consented) = (false, false, false);
        for _ in 0..4 {
            let visitor = Visitor::SignedIn {
                subject: "alice", auth_time: ago(100), granted: None, reauthenticated, account_selected, consented,
            };
            match authorize(&request, &client, visitor, None, now()) {
                Authorize::Reauthenticate => { prop_assert!(!reauthenticated); reauthenticated = true; }
                Authorize::SelectAccount => { prop_assert!(!account_selected); account_selected = true; }
                Authorize::Consent { .. } => { prop_assert!(!consented); consented = true; }
                Authorize::Grant | Authorize::Return(_) => return Ok(()),
                Authorize::SignIn => prop_assert!(false, "already signed in"),
            }
        }
        prop_assert!(false, "a fourth question");
    }
}
