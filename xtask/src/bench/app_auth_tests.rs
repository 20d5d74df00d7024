//! Where the section stands on the page, and which aims count as reached.

use std::collections::BTreeMap;

use super::super::app_auth::{Call, Figures, Who};
use super::super::wrk::Sample;
use super::{aims, put, section};
use crate::bench::Depth;

fn sample(processor_us: f64, per_second: f64) -> Vec<Sample> {
    vec![Sample {
        per_second,
        p50_ms: 0.5,
        p99_ms: 1.5,
        requests: per_second,
        processor_us,
        resident_mib: 30.0,
    }]
}

fn figures(reference: Result<String, String>) -> Figures {
    let mut samples = BTreeMap::from([
        ((Call::SessionByCookie, Who::Doorward), sample(20.0, 40_000.0)),
        ((Call::SessionByBearer, Who::Doorward), sample(30.0, 40_000.0)),
        ((Call::Me, Who::Doorward), sample(20.0, 40_000.0)),
        ((Call::Refresh, Who::Doorward), sample(200.0, 3_000.0)),
        ((Call::SignIn, Who::Doorward), sample(50_000.0, 18.0)),
    ]);
    if reference.is_ok() {
        samples.insert((Call::SessionByCookie, Who::BetterAuth), sample(200.0, 4_000.0));
        samples.insert((Call::SessionByBearer, Who::BetterAuth), sample(290.0, 4_000.0));
        samples.insert((Call::SignIn, Who::BetterAuth), sample(90_000.0, 10.0));
    }
    Figures {
        samples,
        statements: BTreeMap::from([(Call::Refresh, vec![3.1]), (Call::SignIn, vec![9.0])]),
        warm_statements: BTreeMap::from([(Call::SessionByCookie, 0.0), (Call::Introspect, 0.001)]),
        hashes: vec![20.0],
        threads: 2,
        argon2: (47_104, 2),
        memory: BTreeMap::from([(Who::Doorward, [20.0, 30.0])]),
        reference,
        version: "0.1.0".to_owned(),
    }
}

fn verdicts(figures: &Figures) -> Vec<(String, bool)> {
    let short = |what: &str| what.chars().take(30).collect();
    aims(figures)
        .iter()
        .map(|aim| (short(&aim.what), aim.reached))
        .collect()
}

#[test]
fn an_aim_is_reached_at_a_tenth_at_no_statement_and_at_nine_tenths_of_the_hashes() {
    let wanted = [
        ("get-session by cookie: process", true),
        ("get-session by bearer token: p", false),
        ("token API: `me`: processor tim", true),
        ("get-session by cookie, session", true),
        ("token API: introspection, sess", false),
        ("token API: refresh: statements", true),
        ("sign-in: per second, of as man", true),
    ];
    let is = verdicts(&figures(Ok("better-auth 1".to_owned())));
    assert_eq!(is, wanted.map(|(what, reached)| (what.to_owned(), reached)));
    let mut slow = figures(Ok("better-auth 1".to_owned()));
    slow.hashes = vec![20.5];
    slow.statements.insert(Call::Refresh, vec![4.0]);
    let is = verdicts(&slow);
    assert_eq!(
        is.get(5..)
            .map(|last| last.iter().map(|(_, reached)| *reached).collect()),
        Some(vec![false, false])
    );
}

#[test]
fn without_the_other_server_the_section_says_why_and_compares_nothing() {
    let alone = section(Depth::Short, &figures(Err("npm is not installed".to_owned())));
    assert!(
        alone.contains("better-auth was left out: npm is not installed"),
        "{alone}"
    );
    assert!(!alone.contains("1/10"), "{alone}");
    assert!(!alone.contains("of its processor time"), "{alone}");
    let both = section(Depth::Short, &figures(Ok("better-auth 1".to_owned())));
    assert!(both.contains("| get-session by cookie | 20 | 40000 | 0.50 | 1.50 | 0 | 200 | 4000 | 0.50 | 1.50 | 1/10.0 of its processor time |"), "{both}");
    assert!(
        both.contains("| token API: `me` | 20 | 40000 | 0.50 | 1.50 | 0.0 | 290 |"),
        "{both}"
    );
    assert!(
        both.contains("| token API: refresh | 200 | 3000 | 0.50 | 1.50 | 3.1 | – | – | – | – |  |"),
        "{both}"
    );
}

#[test]
fn the_section_takes_its_own_place_and_leaves_the_rest_alone() {
    let section = "## The doors of applications\n\nnew\n";
    let page = "# Performance\n\n## Requests\n\nold\n\n## Growth\n\nmore\n";
    let first = put(page, section);
    assert_eq!(
        first,
        "# Performance\n\n## Requests\n\nold\n\n## The doors of applications\n\nnew\n\n## Growth\n\nmore\n"
    );
    let newer = "## The doors of applications\n\nnewer\n\n| a |\n";
    let second = put(&first, newer);
    assert_eq!(second, first.replace("new\n", "newer\n\n| a |\n"));
    assert_eq!(put(&second, section), first);
    assert_eq!(
        put("# Performance\n", section),
        "# Performance\n\n## The doors of applications\n\nnew\n"
    );
    let last = put("# Performance\n\n## The doors of applications\n\nold\n", section);
    assert_eq!(last, "# Performance\n\n## The doors of applications\n\nnew\n");
}
