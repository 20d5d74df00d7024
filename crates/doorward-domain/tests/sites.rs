//! What holds for any set of sites and rules, against models that go through plain lists.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use doorward_domain::access::Person;
use doorward_domain::application::{Application, Audience};

use doorward_domain::site::{
    Access, Authority, BreakGlass, Decision, Decisive, Found, HostPattern, PathRule, Reach, Readings, Site,
    SiteAddress, SiteEntry, SiteIndex, Why, decide, registrable,
};
use doorward_domain::user::{User, UserKind};
use doorward_domain::{Attributes, GroupId, Id, Reason};
use proptest::prelude::*;
use proptest::sample::select;

use common::START;

const GROUPS: u8 = 4;

fn group(number: u8) -> GroupId {
    Id::mint(START, [number + 1; 10])
}

fn user(number: u8) -> User {
    User {
        id: Id::mint(START, [number + 100; 10]),
        number: i64::from(number),
        uid: format!("uid{number}"),
        realm: doorward_domain::user::Realm::Shared,
        username: format!("user{number}"),
        name: String::new(),
        email: None,
        email_verified_at: None,
        kind: UserKind::Internal,
        attributes: Attributes::default(),
        app: doorward_domain::app_auth::AppUser::default(),
        active: true,
        locale: None,
        created_at: START,
        updated_at: START,
        last_sign_in_at: None,
        deleted_at: None,
    }
}

fn application(number: u8, audience: Audience, sites: Vec<Site>) -> Arc<Application> {
    Arc::new(Application {
        audience,
        sites,
        ..common::application(number)
    })
}

fn site(address: &str) -> Site {
    Site::new(address.parse().unwrap_or_else(|problem| panic!("{problem}")))
}

fn audiences() -> impl Strategy<Value = Audience> {
    (
        prop::bool::weighted(0.15),
        prop::collection::btree_set((0..GROUPS).prop_map(group), 0..3),
        prop::collection::btree_set((0..3_u8).prop_map(|number| user(number).id), 0..2),
    )
        .prop_map(|(everyone, groups, users)| Audience {
            everyone,
            groups,
            users,
        })
}

const PATTERNS: [&str; 12] = [
    "/",
    "/a",
    "/a/b",
    "/public",
    "=/a",
    "=/a/b",
    "/*",
    "/a/*",
    "/**/b",
    "/a/**",
    "/?",
    "/public/*/c",
];

fn rules() -> impl Strategy<Value = Vec<PathRule>> {
    let methods = select(vec![vec![], vec!["GET"], vec!["POST"], vec!["GET", "PUT"]]);
    let access = prop_oneof![
        Just(Access::Application),
        audiences().prop_map(Access::Audience),
        Just(Access::Public),
        Just(Access::Deny),
    ];
    let rule = (select(PATTERNS.to_vec()), methods, access).prop_map(|(path, methods, access)| PathRule {
        path: path.parse().unwrap(),
        methods: methods.into_iter().map(str::to_owned).collect(),
        access,
    });
    prop::collection::vec(rule, 0..6)
}

fn people() -> impl Strategy<Value = Option<Person>> {
    let person = (
        0..3_u8,
        prop::collection::btree_set((0..GROUPS).prop_map(group), 0..3),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.1),
        select(vec![UserKind::Internal, UserKind::External, UserKind::Service]),
    )
        .prop_map(|(number, groups, superuser, active, deleted, kind)| {
            let user = User {
                active,
                kind,
                deleted_at: deleted.then_some(START),
                ..user(number)
            };
            Person {
                user,
                groups,
                superuser,
            }
        });
    prop::option::weighted(0.8, person)
}

/// Pieces of which hostile paths are made.
const PIECES: [&str; 24] = [
    "/", "/", "/", "a", "b", "public", ".", "..", "%2e", "%2E%2e", "%2f", "%5c", "\\", ";", ";x=1", "%3b",
    "%25", "%252f", "%252e", "%61", "%3f", "%23", "//", "é",
];

fn targets() -> impl Strategy<Value = String> {
    let plain =
        select(vec!["/", "/a", "/a/b", "/public", "/public/x/c", "/c", "/a/"]).prop_map(str::to_owned);
    let hostile = prop::collection::vec(select(PIECES.to_vec()), 1..9)
        .prop_map(|pieces| format!("/{}", pieces.concat()));
    prop_oneof![1 => plain, 3 => hostile, 1 => any::<String>()]
}

/// The same words as the rule says, written down once more.
fn model_fits(rule: &PathRule, method: &str, path: &str) -> bool {
    let methods = &rule.methods;
    let method =
        methods.is_empty() || methods.contains(method) || (method == "HEAD" && methods.contains("GET"));
    let pattern = rule.path.to_string();
    let path_fits = if let Some(exact) = pattern.strip_prefix('=') {
        path == exact
    } else if pattern.contains(['*', '?']) {
        model_glob(&pattern, path)
    } else {
        pattern == "/" || path == pattern || path.starts_with(&format!("{pattern}/"))
    };
    method && path_fits
}

fn model_glob(pattern: &str, path: &str) -> bool {
    if let Some(rest) = pattern.strip_prefix("**") {
        return (0..=path.len())
            .filter(|at| path.is_char_boundary(*at))
            .any(|at| model_glob(rest, &path[at..]));
    }
    let Some(wanted) = pattern.chars().next() else {
        return path.is_empty();
    };
    let rest = &pattern[1..];
    match wanted {
        '*' => (0..=path.len())
            .filter(|at| path.is_char_boundary(*at))
            .take_while(|at| !path[..*at].contains('/'))
            .any(|at| model_glob(rest, &path[at..])),
        // A character of a path is a byte: outside ASCII it takes several question marks.
        '?' => {
            path.bytes()
                .next()
                .is_some_and(|byte| byte != b'/' && byte < 0x80)
                && model_glob(rest, &path[1..])
        }
        _ => path
            .strip_prefix(wanted)
            .is_some_and(|path| model_glob(rest, path)),
    }
}

fn model_admits(person: &Person, audience: &Audience) -> bool {
    audience.everyone
        || audience.users.contains(&person.user.id)
        || audience.groups.iter().any(|group| person.groups.contains(group))
}

#[derive(Debug, PartialEq)]
enum Model {
    Public,
    In,
    SignIn,
    Out,
}

/// One reading, decided by the first rule of the list that fits.
fn model_reading(entry: &SiteEntry, person: Option<&Person>, method: &str, path: &str) -> Model {
    let mut audience = &entry.application.audience;
    for rule in &entry.site.rules {
        if model_fits(rule, method, path) {
            match &rule.access {
                Access::Public => return Model::Public,
                Access::Deny => return Model::Out,
                Access::Application => {}
                Access::Audience(own) => audience = own,
            }
            break;
        }
    }
    match person {
        None => Model::SignIn,
        Some(person) if person.user.is_usable() && model_admits(person, audience) => Model::In,
        Some(_) => Model::Out,
    }
}

fn model(
    entry: &SiteEntry,
    person: Option<&Person>,
    method: &str,
    readings: &Readings<'_>,
    glass: BreakGlass,
) -> Model {
    let all: Vec<Model> = readings
        .iter()
        .map(|path| model_reading(entry, person, method, path))
        .collect();
    assert!(!all.is_empty(), "a path without a reading");
    let any = |model: &Model| all.contains(model);
    if any(&Model::Out) {
        let breaks = glass == BreakGlass::On
            && person.is_some_and(|person| {
                person.superuser
                    && person.user.active
                    && person.user.deleted_at.is_none()
                    && person.user.kind != UserKind::Service
            });
        return if breaks { Model::In } else { Model::Out };
    }
    if any(&Model::SignIn) {
        Model::SignIn
    } else if any(&Model::In) {
        Model::In
    } else {
        Model::Public
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Total, and as the model says: the first fitting rule of each reading, and of all readings the strictest.
    #[test]
    fn the_decision_is_total_and_as_a_plain_list_would_say(
        rules in rules(),
        audience in audiences(),
        person in people(),
        method in select(vec!["GET", "HEAD", "POST", "PUT", "PROPFIND", ""]),
        target in targets(),
        glass in select(vec![BreakGlass::On, BreakGlass::Off]),
    ) {
        let Some(readings) = Readings::of(&target) else { return Ok(()); };
        let entry = SiteEntry {
            application: application(1, audience, Vec::new()),
            site: Site { rules, ..site("https://wiki.example.org") },
            name: "https://wiki.example.org/".into(),
        };
        let decision = decide(&entry, person.as_ref(), method, &readings, glass);
        let expected = model(&entry, person.as_ref(), method, &readings, glass);
        let got = match decision {
            Decision::Public { .. } => Model::Public,
            Decision::Allow { .. } => Model::In,
            Decision::SignIn { .. } => Model::SignIn,
            Decision::Deny { .. } => Model::Out,
        };
        prop_assert_eq!(got, expected);

        // And once more in so many words, without the model.
        match decision {
            Decision::Public { rule, known } => {
                prop_assert_eq!(&entry.site.rules[rule].access, &Access::Public);
                for path in readings.iter() {
                    let first = entry.site.rules.iter().find(|rule| model_fits(rule, method, path));
                    prop_assert_eq!(first.map(|rule| &rule.access), Some(&Access::Public), "{}", path);
                }
                let admitted = person.as_ref().is_some_and(|person| {
                    person.user.is_usable() && model_admits(person, &entry.application.audience)
                });
                prop_assert_eq!(known, admitted);
            }
            Decision::Allow { why: Why::BreakGlass(_), .. } => {
                let person = person.unwrap();
                prop_assert!(person.superuser && person.user.is_usable() && person.user.kind != UserKind::Service);
                prop_assert_eq!(glass, BreakGlass::On);
            }
            Decision::Allow { why: Why::Admitted(_), by } => {
                let person = person.unwrap();
                let audience = match by {
                    Decisive::Application => &entry.application.audience,
                    Decisive::Rule(number) => match &entry.site.rules[number].access {
                        Access::Audience(audience) => audience,
                        Access::Application => &entry.application.audience,
                        other => panic!("admitted by {other:?}"),
                    },
                };
                prop_assert!(person.user.is_usable() && model_admits(&person, audience));
            }
            Decision::SignIn { .. } => prop_assert!(person.is_none()),
            Decision::Deny { .. } => {}
        }
    }
}

// ------------------------------------------------------------------------------------------------- Which site it is

const ADDRESSES: [&str; 18] = [
    "https://example.org",
    "https://.example.org",
    "https://*.example.org",
    "https://wiki.example.org",
    "https://wiki.example.org/a",
    "https://wiki.example.org/a/b",
    "https://wiki.example.org:8443",
    "https://wiki.example.org:8443/a",
    "http://wiki.example.org:8080",
    "https://*.example.org/a",
    "https://*.example.org:8443",
    "https://.corp.example.org",
    "https://*.corp.example.org/b",
    "https://git.corp.example.org",
    "https://.org",
    "https://*.org",
    "http://localhost:3000",
    "https://192.0.2.7",
];
const HOSTS: [&str; 12] = [
    "example.org",
    "wiki.example.org",
    "git.example.org",
    "corp.example.org",
    "git.corp.example.org",
    "x.corp.example.org",
    "a.b.c.example.org",
    "badexample.org",
    "localhost",
    "192.0.2.7",
    "org",
    "example.com",
];

fn index_of(addresses: &[&str]) -> SiteIndex {
    let applications: Vec<Arc<Application>> = addresses
        .iter()
        .zip(1..)
        .map(|(address, number)| application(number, Audience::default(), vec![site(address)]))
        .collect();
    SiteIndex::new(&applications, Some("id.example.org"))
}

fn precedence(address: &SiteAddress) -> (u8, usize) {
    match &address.host {
        HostPattern::Exact(_) => (2, 0),
        HostPattern::Label(_) => (1, 0),
        HostPattern::Domain(base) => (0, base.len()),
    }
}

fn below(path: &str, base: &str) -> bool {
    base == "/" || path == base || path.starts_with(&format!("{base}/"))
}

#[derive(Debug, PartialEq)]
enum Where {
    Site(String),
    NoHost,
    NoPath,
}

/// Through the whole list: those of the host, of them the most specific kind, of them the port, of them the longest path.
fn model_find(
    addresses: &[&str],
    host: &str,
    port: Option<u16>,
    https: bool,
    readings: &Readings<'_>,
) -> Where {
    let all: Vec<SiteAddress> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let of_host: Vec<&SiteAddress> = all.iter().filter(|address| address.host.covers(host)).collect();
    let best = of_host.iter().map(|address| precedence(address)).max();
    let odd = port.filter(|port| *port != if https { 443 } else { 80 });
    let kind: Vec<&SiteAddress> = of_host
        .into_iter()
        .filter(|address| Some(precedence(address)) == best)
        .collect();
    let named: Vec<&&SiteAddress> = kind
        .iter()
        .filter(|address| odd.is_some() && address.port == odd)
        .collect();
    let candidates: Vec<&SiteAddress> = if named.is_empty() {
        kind.iter()
            .copied()
            .filter(|address| address.port.is_none())
            .collect()
    } else {
        named.into_iter().copied().collect()
    };
    if candidates.is_empty() {
        return Where::NoHost;
    }
    let mut found: BTreeSet<Option<String>> = BTreeSet::new();
    for path in readings.iter() {
        let best = candidates
            .iter()
            .filter(|address| below(path, &address.path))
            .max_by_key(|address| address.path.len());
        found.insert(best.map(ToString::to_string));
    }
    match (found.len(), found.pop_first()) {
        (1, Some(Some(address))) => Where::Site(address),
        _ => Where::NoPath,
    }
}

fn find(index: &SiteIndex, host: &str, port: Option<u16>, https: bool, readings: &Readings<'_>) -> Where {
    match index.find(Authority { host, port }, https, readings) {
        Found::Site(entry) => Where::Site(entry.name.to_string()),
        Found::HostUnlisted => Where::NoHost,
        Found::PathUnlisted => Where::NoPath,
    }
}

fn ports() -> impl Strategy<Value = Option<u16>> {
    select(vec![
        None,
        Some(80),
        Some(443),
        Some(8443),
        Some(8080),
        Some(3000),
        Some(1),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_most_specific_site_is_found(
        addresses in prop::collection::btree_set(select(ADDRESSES.to_vec()), 0..10),
        host in select(HOSTS.to_vec()),
        port in ports(),
        https in any::<bool>(),
        target in targets(),
    ) {
        let Some(readings) = Readings::of(&target) else { return Ok(()); };
        let addresses: Vec<&str> = addresses.into_iter().collect();
        let index = index_of(&addresses);
        prop_assert_eq!(index.len(), addresses.len());
        prop_assert_eq!(
            find(&index, host, port, https, &readings),
            model_find(&addresses, host, port, https, &readings)
        );
    }

    /// A wildcard that is added later changes nothing for hosts that were spoken of by name: what they left out stays shut.
    #[test]
    fn a_wildcard_never_opens_what_an_exact_site_left_out(
        addresses in prop::collection::btree_set(select(ADDRESSES.to_vec()), 0..10),
        wildcard in select(vec!["https://.example.org", "https://*.example.org", "https://.org", "https://*.example.org:8443"]),
        exact in select(ADDRESSES.into_iter().filter(|text| matches!(site(text).address.host, HostPattern::Exact(_))).collect::<Vec<_>>()),
        port in ports(),
        https in any::<bool>(),
        target in targets(),
    ) {
        let Some(readings) = Readings::of(&target) else { return Ok(()); };
        let mut addresses = addresses;
        addresses.insert(exact);
        addresses.remove(wildcard);
        let without: Vec<&str> = addresses.iter().copied().collect();
        let with: Vec<&str> = without.iter().copied().chain([wildcard]).collect();
        let address = site(exact).address;
        let host = address.host.base();
        prop_assert_eq!(
            find(&index_of(&with), host, port, https, &readings),
            find(&index_of(&without), host, port, https, &readings)
        );
    }

    /// However the host of a request is written, it is found as the one that it is, or not at all.
    #[test]
    fn any_authority_is_read_or_refused(text in "[a-zA-Z0-9.:\\[\\]_*@%/-]{0,40}") {
        let mut buffer = String::new();
        if let Some(read) = Authority::parse(&text, &mut buffer) {
            prop_assert!(!read.host.bytes().any(|byte| byte.is_ascii_uppercase()));
            prop_assert!(!read.host.starts_with('.') && !read.host.ends_with('.'));
            prop_assert!(!read.host.contains(['*', '@', '%', '/', '[', ']']));
            let again = if read.host.contains(':') { format!("[{}]", read.host) } else { read.host.to_owned() };
            let mut buffer = String::new();
            prop_assert_eq!(Authority::parse(&again, &mut buffer).map(|again| again.host.to_owned()), Some(read.host.to_owned()));
        }
    }

    /// What is written down is read back as the same.
    #[test]
    fn addresses_and_patterns_survive_their_text(text in "(https?://)?[a-z*.:0-9/_\\[\\]-]{0,30}") {
        if let Ok(address) = text.parse::<SiteAddress>() {
            prop_assert_eq!(address.to_string().parse::<SiteAddress>(), Ok(address));
        }
        let path = text.trim_start_matches("https:/");
        if let Ok(pattern) = path.parse::<doorward_domain::site::PathPattern>() {
            prop_assert_eq!(pattern.to_string().parse::<doorward_domain::site::PathPattern>(), Ok(pattern));
        }
    }
}

// ------------------------------------------------------------------------------------------------- Readings of paths

/// What a service does with a path, in an order of its own.
#[derive(Clone, Copy, Debug)]
enum Habit {
    Unescape,
    Parameters,
    Backslashes,
    Merge,
    Dots,
    Query,
}

fn unescape(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes
            .get(at + 1..at + 3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(value) if bytes[at] == b'%' => {
                out.push(value);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn serve(path: &str, habit: Habit) -> String {
    match habit {
        Habit::Unescape => unescape(path),
        Habit::Parameters => path
            .split('/')
            .map(|segment| segment.split(';').next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join("/"),
        Habit::Backslashes => path.replace('\\', "/"),
        Habit::Merge => {
            let mut path = path.to_owned();
            while path.contains("//") {
                path = path.replace("//", "/");
            }
            path
        }
        Habit::Dots => {
            let mut segments: Vec<&str> = Vec::new();
            let all: Vec<&str> = path[1..].split('/').collect();
            for (number, segment) in all.iter().enumerate() {
                match *segment {
                    "." | ".." => {
                        if *segment == ".." {
                            segments.pop();
                        }
                        if number + 1 == all.len() {
                            segments.push("");
                        }
                    }
                    other => segments.push(other),
                }
            }
            format!("/{}", segments.join("/"))
        }
        Habit::Query => path.split(['?', '#']).next().unwrap_or_default().to_owned(),
    }
}

fn habits() -> impl Strategy<Value = Vec<Habit>> {
    let habit = select(vec![
        Habit::Unescape,
        Habit::Unescape,
        Habit::Parameters,
        Habit::Backslashes,
        Habit::Merge,
        Habit::Dots,
        Habit::Query,
    ]);
    prop::collection::vec(habit, 0..7)
}

/// Escapes of unreserved characters mean the characters (RFC 3986 section 6.2.2.2), and the digits are of either case.
fn equivalent(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(c) = rest.chars().next() {
        let digits = rest
            .get(1..3)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        if let (true, Some(digits)) = (c == '%', digits) {
            let value = char::from(u8::from_str_radix(digits, 16).unwrap());
            if value.is_ascii_alphanumeric() || matches!(value, '-' | '_' | '~') {
                out.push(value);
            } else {
                out.push_str(&format!("%{}", digits.to_ascii_uppercase()));
            }
            rest = &rest[3..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a service makes of a path was decided on, or the path was refused.
    #[test]
    fn what_a_service_reads_was_decided_on(target in targets(), habits in habits()) {
        let Some(readings) = Readings::of(&target) else { return Ok(()); };
        let mut path = equivalent(target.split('?').next().unwrap());
        for habit in &habits {
            path = serve(&path, *habit);
            let read: Vec<&str> = readings.iter().collect();
            prop_assert!(read.contains(&path.as_str()), "{habits:?} of {target:?} read {path:?}: {read:?}");
        }
    }

    /// Nothing that is refused later can be opened by the way in which it is written.
    #[test]
    fn a_closed_path_stays_closed_however_it_is_written(target in targets(), habits in habits()) {
        let Some(readings) = Readings::of(&target) else { return Ok(()); };
        let closed = PathRule { path: "/a".parse().unwrap(), methods: BTreeSet::new(), access: Access::Deny };
        let open = PathRule { path: "/".parse().unwrap(), methods: BTreeSet::new(), access: Access::Public };
        let entry = SiteEntry {
            application: application(1, Audience::default(), Vec::new()),
            site: Site { rules: vec![closed, open], ..site("https://wiki.example.org") },
            name: "x".into(),
        };
        let served = habits.iter().fold(equivalent(target.split('?').next().unwrap()), |path, habit| serve(&path, *habit));
        if below(&served, "/a") {
            let decision = decide(&entry, None, "GET", &readings, BreakGlass::On);
            prop_assert_eq!(decision, Decision::Deny { by: Decisive::Rule(0), reason: Reason::RuleDenies });
        }
    }
}

// ------------------------------------------------------------------------------------------------- Reach of cookies

fn names() -> impl Strategy<Value = String> {
    let label = select(vec!["a", "b", "wiki", "git", "corp"]);
    let ends = select(vec![
        "example.org",
        "example.com",
        "co.uk",
        "example.co.uk",
        "github.io",
        "me.github.io",
        "org",
        "com",
        "localhost",
        "lan",
        "ck",
        "www.ck",
        "home.arpa",
        "xn--p1ai",
        "192.0.2.7",
        "7.org",
    ]);
    (prop::collection::vec(label, 0..3), ends).prop_map(|(labels, end)| {
        let mut all = labels;
        all.push(end);
        all.join(".")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cookie_never_reaches_a_public_suffix_nor_past_its_domain(
        sites in prop::collection::vec((names(), 0..3_u8, prop::bool::weighted(0.2)), 0..8),
        home in prop::option::of(names()),
        hosts in prop::collection::vec(names(), 1..6),
    ) {
        let mut all = Vec::new();
        for (name, kind, isolated) in &sites {
            let mark = ["", "*.", "."][usize::from(*kind)];
            if let Ok(address) = format!("https://{mark}{name}").parse() {
                all.push(Site { isolated: *isolated, ..Site::new(address) });
            }
        }
        let applications = [application(1, Audience::default(), all.clone())];
        let index = SiteIndex::new(&applications, home.as_deref());
        let asked = hosts.iter().chain(sites.iter().map(|(name, ..)| name));
        for host in asked.filter(|host| Authority::parse(host, &mut String::new()).is_some()) {
            let reach = index.reach(host);
            prop_assert!(reach.covers(host), "{reach:?} does not cover {host}");
            if let Reach::Domain(domain) = reach {
                let below = host.ends_with(&[".", domain].concat());
                prop_assert!(host == domain || below);
                let own = registrable(domain);
                prop_assert!(own.is_some(), "{domain} is a public suffix");
                prop_assert_eq!(own, registrable(host), "past the registrable domain");
                prop_assert!(!index.is_isolated(host), "an isolated host shares");
                prop_assert!(host.parse::<std::net::IpAddr>().is_err());
                // As small as it can be: all that share lie in it, and it is named by them.
                let sharing = all.iter().filter(|site| !site.isolated).map(|site| site.address.host.base());
                let sharing: Vec<&str> = sharing.chain(home.as_deref()).filter(|name| registrable(name) == own).collect();
                for name in &sharing {
                    prop_assert!(Reach::Domain(domain).covers(name), "{name} is outside of {domain}");
                }
                let children: BTreeSet<&str> = sharing
                    .iter()
                    .filter_map(|name| name.strip_suffix(domain)?.strip_suffix('.')?.rsplit('.').next())
                    .collect();
                prop_assert!(children.len() != 1 || sharing.contains(&domain), "{domain} could be smaller: {sharing:?}");
            }
        }
    }
}
