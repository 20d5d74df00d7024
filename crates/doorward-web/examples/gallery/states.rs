//! Every page in every state, as the gallery shows and the tests walk them: long names, nothing yet, many, wrong, both languages.

use std::error::Error;

use doorward_domain::event::EventKind;
use doorward_domain::{Reason, Timestamp};
use doorward_web::locale::Language;
use doorward_web::pages::{
    Activity, ActivityItem, AppPasswordChoice, AppPasswordItem, AppPasswords, ConnectedApplication, Consent,
    Destination, DeviceConfirm, DeviceDenied, DeviceDone, DeviceEntry, DeviceName, FormPost,
    FrontChannelLogout, Grants, Link, MadeSecret, Message, Page, Password, Person, Portal, Problem, Profile,
    Recover, Refusal, RefusalDetails, Scope, SelectAccount, SessionItem, Sessions, Setup, SetupDone, SignIn,
    SignOut, SignedOut, Tile, TileGroup, Trouble, Where,
};

/// Name and HTML of each page.
pub(crate) type Pages = Vec<(String, String)>;
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// 2026-11-22T22:26:00Z
const NOW: i64 = 1_795_386_360;
const LONG: &str =
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft Intranet & <Archiv>";
const ATTEMPT: &str = "c2VhbGVkLXN0YXRlLW9mLXRoaXMtdGFi";
const ALICE: Person<'static> = Person {
    name: "Alice Example",
    username: "alice",
};
const LINUX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0";
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";
const SCOPES: &[Scope<'static>] = &[
    Scope {
        name: "openid",
        description: "",
    },
    Scope {
        name: "profile",
        description: "",
    },
    Scope {
        name: "email",
        description: "",
    },
    Scope {
        name: "offline_access",
        description: "",
    },
];

/// All pages in all languages.
///
/// # Errors
/// When a page does not render.
pub(crate) fn all() -> Result<Pages, Box<dyn Error>> {
    let mut pages = Pages::new();
    for language in Language::ALL {
        let mut written = Pages::new();
        front(*language, &mut written)?;
        permissions(*language, &mut written)?;
        beginnings(*language, &mut written)?;
        refusals(*language, &mut written)?;
        endings(*language, &mut written)?;
        portal(*language, &mut written)?;
        account(*language, &mut written)?;
        let code = language.code();
        pages.extend(
            written
                .into_iter()
                .map(|(name, html)| (format!("{code}-{name}"), html)),
        );
    }
    Ok(pages)
}

fn page(language: Language) -> Page<'static> {
    Page {
        language,
        brand: "Doorward",
        here: "/if/flow/sign-in/?next=%2F",
        csrf: "",
        signed_in: None,
        now: Timestamp::from_seconds(NOW),
        home: "",
        build: "0.0.0+gallery",
    }
}

fn inside(language: Language) -> Page<'static> {
    Page {
        csrf: "Y3NyZg",
        signed_in: Some(ALICE.name),
        here: "/if/user/",
        ..page(language)
    }
}

fn grafana() -> Destination<'static> {
    Destination {
        name: "Grafana",
        icon: None,
    }
}

fn ago(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(NOW - seconds)
}

fn front(language: Language, pages: &mut Pages) -> Outcome {
    let page = page(language);
    let plain = SignIn {
        attempt: ATTEMPT,
        username: "",
        destination: None,
        problem: None,
        notice: None,
    };
    let to_grafana = SignIn {
        destination: Some(grafana()),
        ..plain.clone()
    };
    let mut add = |name: &str, view: &SignIn<'_>| -> Outcome {
        pages.push((name.to_owned(), view.render(&page)?));
        Ok(())
    };
    add("sign-in", &plain)?;
    add("sign-in-to", &to_grafana)?;
    add(
        "sign-in-hint",
        &SignIn {
            username: "alice@example.org",
            ..to_grafana.clone()
        },
    )?;
    let wrong = Problem::refused(Reason::WrongCredentials);
    add(
        "sign-in-wrong",
        &SignIn {
            username: "alice",
            problem: Some(wrong),
            ..to_grafana.clone()
        },
    )?;
    let wait = Problem::refused(Reason::AccountThrottled)
        .wait(130)
        .code("DW-7K2M-41XQ");
    add(
        "sign-in-wait",
        &SignIn {
            username: "alice",
            problem: Some(wait),
            ..to_grafana.clone()
        },
    )?;
    let changed = Message::new("notice-password-changed-sign-in");
    add(
        "sign-in-notice",
        &SignIn {
            username: "alice",
            notice: Some(changed),
            ..plain.clone()
        },
    )?;
    let far = Destination {
        name: LONG,
        icon: None,
    };
    add(
        "sign-in-long",
        &SignIn {
            username: LONG,
            destination: Some(far),
            ..plain
        },
    )?;
    let select = SelectAccount {
        attempt: ATTEMPT,
        person: ALICE,
        destination: Some(grafana()),
    };
    pages.push(("select-account".into(), select.render(&page)?));
    let long = Person {
        name: LONG,
        username: LONG,
    };
    let select = SelectAccount {
        attempt: ATTEMPT,
        person: long,
        destination: None,
    };
    pages.push(("select-account-long".into(), select.render(&page)?));
    Ok(())
}

fn permissions(language: Language, pages: &mut Pages) -> Outcome {
    let page = page(language);
    let consent = Consent {
        attempt: ATTEMPT,
        person: ALICE,
        application: grafana(),
        scopes: SCOPES,
        returns_to: Some("grafana.example.org"),
    };
    pages.push(("consent".into(), consent.render(&page)?));
    let own = [
        Scope {
            name: "openid",
            description: "",
        },
        Scope {
            name: "library",
            description: "See which books you borrowed, and when they are due",
        },
        Scope {
            name: "urn:example:very-long-scope-name-without-any-description:read",
            description: "",
        },
    ];
    let long = Consent {
        person: Person {
            name: "",
            username: LONG,
        },
        application: Destination {
            name: LONG,
            icon: None,
        },
        scopes: &own,
        returns_to: Some("com.example.library"),
        ..consent
    };
    pages.push(("consent-long".into(), long.render(&page)?));
    let entry = DeviceEntry {
        user_code: "",
        problem: None,
    };
    pages.push(("device".into(), entry.render(&page)?));
    let wrong = Problem::refused(Reason::UserCodeUnknown);
    let entry = DeviceEntry {
        user_code: "WDJB-MJHT",
        problem: Some(wrong),
    };
    pages.push(("device-wrong".into(), entry.render(&page)?));
    let application = Destination {
        name: "Television",
        icon: None,
    };
    let confirm = DeviceConfirm {
        attempt: ATTEMPT,
        person: ALICE,
        application,
        user_code: "WDJB-MJHT",
        scopes: SCOPES,
    };
    pages.push(("device-confirm".into(), confirm.render(&page)?));
    pages.push(("device-done".into(), DeviceDone { application }.render(&page)?));
    pages.push((
        "device-denied".into(),
        DeviceDenied { application }.render(&page)?,
    ));
    Ok(())
}

fn beginnings(language: Language, pages: &mut Pages) -> Outcome {
    let page = page(language);
    let fresh = Setup {
        attempt: ATTEMPT,
        token: None,
        username: "",
        name: "",
        email: "",
        problem: None,
        field_problems: &[],
    };
    pages.push(("setup".into(), fresh.render(&page)?));
    let asking = Setup {
        token: Some(""),
        ..fresh.clone()
    };
    pages.push(("setup-code".into(), asking.render(&page)?));
    let wrong = [
        ("token", Message::new("problem-setup-code")),
        ("username", Message::new("problem-username-invalid")),
        (
            "password",
            Message::new("problem-password-short").with("count", 12_usize),
        ),
        ("password_confirm", Message::new("password-differs")),
    ];
    let marked = Setup {
        token: Some("4711"),
        username: "alice example",
        name: ALICE.name,
        email: "alice@example.org",
        problem: Some(Problem::new(Message::new("form-problem"))),
        field_problems: &wrong,
        ..fresh
    };
    pages.push(("setup-wrong".into(), marked.render(&page)?));
    let done = SetupDone {
        username: "alice",
        enter: Link::local("/if/flow/sign-in/").ok_or("a link")?,
        command: "doorward application create grafana --name Grafana --redirect-uri https://grafana.example.org/login/generic_oauth --allow-group staff",
    };
    pages.push(("setup-done".into(), done.render(&page)?));
    let done = SetupDone {
        enter: Link::local("/if/user/").ok_or("a link")?,
        ..done
    };
    pages.push(("setup-done-inside".into(), done.render(&page)?));
    let recover = Recover {
        attempt: ATTEMPT,
        username: "alice",
        problem: None,
        field_problems: &[],
    };
    pages.push(("recover".into(), recover.render(&page)?));
    let weak = [("password", Message::new("problem-password-weak"))];
    let recover = Recover {
        field_problems: &weak,
        ..recover
    };
    pages.push(("recover-wrong".into(), recover.render(&page)?));
    Ok(())
}

fn refusals(language: Language, pages: &mut Pages) -> Outcome {
    let own = [
        Trouble::NotFound,
        Trouble::WrongMethod,
        Trouble::TooLarge,
        Trouble::Fault,
        Trouble::Unavailable,
        Trouble::SetupClosed,
        Trouble::Misconfigured {
            public_url: "http://localhost:9000",
            requested: "https://id.example.org",
        },
    ];
    let all = own
        .into_iter()
        .chain(Reason::ALL.iter().copied().map(Trouble::Refused));
    for (at, trouble) in all.enumerate() {
        let view = Refusal {
            trouble,
            application: Some("Grafana"),
            code: (trouble != Trouble::NotFound).then_some("DW-7K2M-41XQ"),
            wait_seconds: matches!(trouble, Trouble::Refused(Reason::Busy | Reason::NetworkThrottled))
                .then_some(25),
            retry: Link::local("/if/user/").filter(|_| at % 2 == 0),
            details: None,
        };
        pages.push((format!("refusal-{at:02}"), view.render(&page(language))?));
    }
    let details = RefusalDetails {
        rule: "redirect_uri equals none of the 2 registered ones, component by component",
        given: Some("https://grafana.example.org/login/generic_oauth/"),
        nearest: Some("https://grafana.example.org/login/generic_oauth"),
        inputs: &[
            ("client_id", "9f8b4c5e-1d2a-4b3c-8e7f-0a1b2c3d4e5f"),
            ("response_type", "code"),
        ],
    };
    let view = Refusal {
        trouble: Trouble::Refused(Reason::RedirectUriMismatch),
        application: Some("Grafana"),
        code: Some("DW-7K2M-41XQ"),
        wait_seconds: None,
        retry: None,
        details: Some(details.clone()),
    };
    pages.push(("refusal-details".into(), view.render(&inside(language))?));
    let view = Refusal {
        application: Some(LONG),
        details: Some(RefusalDetails {
            given: Some("javascript:alert(1)//<script>"),
            nearest: None,
            ..details
        }),
        ..view
    };
    pages.push(("refusal-details-long".into(), view.render(&inside(language))?));
    Ok(())
}

fn endings(language: Language, pages: &mut Pages) -> Outcome {
    let page = page(language);
    let stay = Link::local("/if/user/");
    let ask = SignOut {
        application: Some(grafana()),
        hidden: &[("attempt", ATTEMPT)],
        stay,
    };
    pages.push(("sign-out".into(), ask.render(&page)?));
    pages.push((
        "sign-out-own".into(),
        SignOut {
            application: None,
            ..ask
        }
        .render(&page)?,
    ));
    let out = SignedOut {
        back: None,
        application: None,
        sign_in: Link::local("/if/flow/sign-in/"),
    };
    pages.push(("signed-out".into(), out.render(&page)?));
    let back = Link::client("https://grafana.example.org/");
    let out = SignedOut {
        back,
        application: Some("Grafana"),
        ..out
    };
    pages.push(("signed-out-back".into(), out.render(&page)?));
    let frame = |address| Link::web(address).ok_or("a link");
    let frames = [
        frame("http://127.0.0.1:1/logout?sid=1")?,
        frame("http://wiki.example.org/out?iss=x&sid=1")?,
    ];
    let next = Link::local("/en-signed-out.html").ok_or("a link")?;
    pages.push((
        "front-channel".into(),
        FrontChannelLogout {
            frames: &frames,
            next,
        }
        .render(&page)?,
    ));
    let post = FormPost {
        action: Link::client("http://127.0.0.1:1/callback").ok_or("a link")?,
        application: "Grafana",
        fields: &[
            ("code", "abc"),
            ("state", "\"><script>alert(1)</script>"),
            ("iss", "https://id.example.org/"),
        ],
    };
    pages.push(("form-post".into(), post.render(&page)?));
    Ok(())
}

const APPLICATIONS: &[(&str, &str)] = &[
    ("Grafana", "Dashboards"),
    ("Forgejo", "Code and reviews"),
    ("Nextcloud", "Files, calendar, contacts"),
    ("Jellyfin", "Films and music"),
    ("Home Assistant", "The house"),
    ("Vaultwarden", "Passwords"),
    ("Paperless", "Documents"),
    ("Immich", "Photos"),
    ("Miniflux", ""),
    ("Wiki.js", "What we know"),
    ("Open WebUI", ""),
    ("Ärztekalender", "Termine"),
    ("3D printer", "Queue and camera"),
    ("Mealie", "Recipes"),
    (LONG, LONG),
];

fn tiles(count: usize) -> Result<Vec<Tile<'static>>, Box<dyn Error>> {
    let launch = Link::web("https://app.example.org/").ok_or("a link")?;
    Ok(APPLICATIONS
        .iter()
        .cycle()
        .take(count)
        .map(|(name, description)| Tile {
            name,
            description,
            icon: None,
            launch,
        })
        .collect())
}

fn portal(language: Language, pages: &mut Pages) -> Outcome {
    let page = inside(language);
    let few = vec![TileGroup {
        heading: "",
        tiles: tiles(6)?,
    }];
    pages.push((
        "portal".into(),
        Portal {
            groups: few,
            query: "",
            total: 6,
        }
        .render(&page)?,
    ));
    let many = vec![
        TileGroup {
            heading: "",
            tiles: tiles(8)?,
        },
        TileGroup {
            heading: "Media",
            tiles: tiles(15)?,
        },
        TileGroup {
            heading: "Administration",
            tiles: tiles(7)?,
        },
    ];
    let shown = Page {
        signed_in: Some(LONG),
        ..page
    };
    pages.push((
        "portal-many".into(),
        Portal {
            groups: many,
            query: "",
            total: 30,
        }
        .render(&shown)?,
    ));
    let found = vec![TileGroup {
        heading: "",
        tiles: tiles(2)?,
    }];
    pages.push((
        "portal-found".into(),
        Portal {
            groups: found,
            query: "gr",
            total: 30,
        }
        .render(&page)?,
    ));
    let none = Portal {
        groups: Vec::new(),
        query: "no such <thing>",
        total: 30,
    };
    pages.push(("portal-nothing-found".into(), none.render(&page)?));
    pages.push((
        "portal-empty".into(),
        Portal {
            groups: Vec::new(),
            query: "",
            total: 0,
        }
        .render(&page)?,
    ));
    Ok(())
}

fn account(language: Language, pages: &mut Pages) -> Outcome {
    let page = inside(language);
    let profile = Profile {
        person: ALICE,
        email: Some("alice@example.org"),
        email_verified: true,
        locale: "",
        problem: None,
        notice: None,
    };
    pages.push(("profile".into(), profile.render(&page)?));
    let saved = Profile {
        person: Person {
            name: "",
            username: LONG,
        },
        email: Some("a.very.long.address.that.does.not.want.to.end@subdomain.of.a.long.domain.example.org"),
        email_verified: false,
        locale: "de",
        notice: Some(Message::new("profile-saved")),
        ..profile
    };
    pages.push(("profile-saved".into(), saved.render(&page)?));
    let password = Password {
        username: "alice",
        problem: None,
        field_problems: &[],
        notice: None,
    };
    pages.push(("password".into(), password.render(&page)?));
    let wrong = [
        ("current_password", Message::new("password-current-wrong")),
        ("password_confirm", Message::new("password-differs")),
    ];
    pages.push((
        "password-wrong".into(),
        Password {
            field_problems: &wrong,
            ..password
        }
        .render(&page)?,
    ));
    app_passwords(&page, pages)?;
    sessions(&page, pages)?;
    grants(&page, pages)?;
    activity(&page, pages)
}

fn app_passwords(page: &Page<'_>, pages: &mut Pages) -> Outcome {
    let phone = AppPasswordItem {
        id: "a1",
        name: "Calendar on my phone",
        applications: None,
        since: ago(9_000_000),
        used: Some(ago(120)),
        expires: Some(Timestamp::from_seconds(NOW + 2_000_000)),
        over: false,
    };
    let items = [
        phone,
        AppPasswordItem {
            id: "a2",
            name: LONG,
            applications: Some("Grafana, Television, Wiki of the <Archiv>"),
            used: None,
            expires: None,
            ..phone
        },
        AppPasswordItem {
            id: "a3",
            name: "Old backup",
            used: Some(ago(9_000_000)),
            expires: Some(ago(500_000)),
            over: true,
            ..phone
        },
    ];
    let choice = |id, name, chosen| AppPasswordChoice { id, name, chosen };
    let choices = [
        choice("g1", "Grafana", true),
        choice("g2", "Television", false),
        choice("g3", LONG, false),
    ];
    let fresh = AppPasswords {
        username: ALICE.username,
        items: &[],
        choices: &choices,
        made: None,
        name: "",
        place: Where::Open,
        days: Some(90),
        problem: None,
        field_problems: &[],
        notice: None,
    };
    let made = MadeSecret {
        name: phone.name,
        secret: "dwk_3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    };
    let wrong = [
        ("name", Message::new("problem-name-taken")),
        ("where", Message::new("app-password-where-missing")),
    ];
    let views = [
        ("app-passwords-empty", fresh.clone()),
        (
            "app-passwords",
            AppPasswords {
                items: &items,
                notice: Some(Message::new("app-password-revoked")),
                ..fresh.clone()
            },
        ),
        (
            "app-passwords-made",
            AppPasswords {
                items: &items[..1],
                made: Some(made),
                choices: &[],
                ..fresh.clone()
            },
        ),
        (
            "app-passwords-wrong",
            AppPasswords {
                items: &items[..1],
                name: phone.name,
                place: Where::Some,
                days: None,
                problem: Some(Problem::new(Message::new("form-problem"))),
                field_problems: &wrong,
                ..fresh
            },
        ),
    ];
    for (name, view) in views {
        pages.push((name.into(), view.render(page)?));
    }
    Ok(())
}

fn sessions(page: &Page<'_>, pages: &mut Pages) -> Outcome {
    let this = SessionItem {
        id: "s1",
        device: DeviceName::read(LINUX),
        address: Some("192.0.2.17"),
        since: ago(7200),
        last_seen: ago(10),
        current: true,
    };
    let phone = SessionItem {
        id: "s2",
        device: DeviceName::read(PHONE),
        address: Some("2001:db8:1234:5678:9abc:def0:1234:5678"),
        since: ago(900_000),
        last_seen: ago(200_000),
        current: false,
    };
    let strange = SessionItem {
        id: "s3",
        device: DeviceName::read("x"),
        address: None,
        last_seen: ago(2000),
        ..phone
    };
    let view = Sessions {
        sessions: &[this, phone, strange],
        notice: None,
    };
    pages.push(("sessions".into(), view.render(page)?));
    let view = Sessions {
        sessions: &[this],
        notice: Some(Message::new("session-ended")),
    };
    pages.push(("sessions-one".into(), view.render(page)?));
    Ok(())
}

fn grants(page: &Page<'_>, pages: &mut Pages) -> Outcome {
    let connected = |id, name, expires| ConnectedApplication {
        id,
        application: Destination { name, icon: None },
        scopes: SCOPES,
        since: ago(5_000_000),
        expires,
    };
    let soon = Timestamp::from_seconds(NOW + 2_000_000);
    let all = [
        connected("g1", "Grafana", None),
        connected("g2", "Television", Some(soon)),
        connected("g3", LONG, Some(soon)),
    ];
    pages.push((
        "grants".into(),
        Grants {
            grants: &all,
            notice: None,
        }
        .render(page)?,
    ));
    let gone = Message::new("grant-revoked");
    pages.push((
        "grants-empty".into(),
        Grants {
            grants: &[],
            notice: Some(gone),
        }
        .render(page)?,
    ));
    Ok(())
}

fn activity(page: &Page<'_>, pages: &mut Pages) -> Outcome {
    let signed_in = ActivityItem {
        kind: EventKind::SignIn,
        reason: None,
        code: None,
        application: Some("Grafana"),
        at: ago(30),
        device: Some(DeviceName::read(LINUX)),
        address: Some("192.0.2.17"),
    };
    let refused = ActivityItem {
        kind: EventKind::Refused,
        reason: Some(Reason::NotInAudience),
        code: Some("DW-7K2M-41XQ"),
        at: ago(4000),
        ..signed_in
    };
    let mut items = vec![signed_in, refused];
    for (at, kind) in (1_i64..).zip(EventKind::ALL) {
        items.push(ActivityItem {
            kind: *kind,
            at: ago(at * 50_000),
            device: None,
            ..signed_in
        });
    }
    let older = Link::local("/if/user/activity/?before=0192f0c4");
    let view = Activity {
        items: &items,
        older,
        newest: Link::local("/if/user/activity/"),
    };
    pages.push(("activity".into(), view.render(page)?));
    pages.push((
        "activity-empty".into(),
        Activity {
            items: &[],
            older: None,
            newest: None,
        }
        .render(page)?,
    ));
    Ok(())
}
