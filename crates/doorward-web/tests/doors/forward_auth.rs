//! Forward auth over HTTP: what each proxy says and gets, cookies, headers for services, and attacks on all of them.

use axum::body::Body;
use axum::extract::ConnectInfo;
use doorward_core::admin::applications::ApplicationChange;
use doorward_core::admin::sites::{SiteChange, SiteDraft};
use doorward_core::identity::{AUTHENTIK, DOORWARD, REMOTE};
use doorward_core::place::escape;
use doorward_testkit::{App, PUBLIC_URL, each_app};
use doorward_web::Service;
use doorward_web::router;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use std::net::SocketAddr;
use tower::ServiceExt;

use crate::http_client::{Client, Got, options};

const WIKI: &str = "https://wiki.example.org";
const FAR: &str = "https://wiki.faraway.test";
const SECURE_SITE: &str = "__Secure-doorward_site";
const HOST_SITE: &str = "__Host-doorward_site";
const HOST_START: &str = "__Host-doorward_start";

fn put(url: &str, rules: &[&str], change: impl FnOnce(&mut SiteDraft)) -> SiteChange {
    let mut draft = SiteDraft::new(url.parse().expect("an address"));
    draft.rules = Some(rules.iter().map(|rule| (*rule).to_owned()).collect());
    change(&mut draft);
    SiteChange::Put(Box::new(draft))
}

async fn furnish(app: &App) {
    let door = &app.doorward;
    let groups = ["staff", "Grüße|Co, Ltd", "100%"];
    for group in groups {
        app.group(group).await;
    }
    let alice = app
        .person_with("alice", |new| new.name = "Álice \"<b>\" 李".into())
        .await;
    for group in groups {
        let group = door.find_group(group).await.expect("a group");
        door.add_member(alice.id, group.id).await.expect("a member");
    }
    app.person_with("gus", |new| new.name = "<script>alert(1)</script>".into())
        .await;
    let rules = [
        "public /open",
        "deny /shut",
        "public GET /read",
        "application /read",
    ];
    let all = |draft: &mut SiteDraft| {
        draft.authentik = Some(true);
        draft.remote = Some(true);
        draft.jwt = Some(true);
    };
    let change = ApplicationChange {
        name: Some("Wiki & Co <i>".into()),
        allow_groups: vec!["staff".into()],
        sites: vec![
            put(WIKI, &rules, all),
            put(FAR, &rules, |_| {}),
            put("http://plain.local.test", &[], |_| {}),
        ],
        ..ApplicationChange::default()
    };
    door.create_application("wiki", &change)
        .await
        .expect("an application");
}

/// What a proxy, or anybody who pretends to be one, sends.
struct Caller {
    router: Service,
    peer: SocketAddr,
}

type Headers = Vec<(&'static str, String)>;

impl Caller {
    fn trusted(app: &App) -> Self {
        Self {
            router: router::router(app.doorward.clone(), options()),
            peer: SocketAddr::from(([10, 0, 0, 1], 4000)),
        }
    }

    async fn send(&self, method: Method, target: &str, headers: &Headers) -> Got {
        let mut request = Request::builder().method(method).uri(target);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "door.example.org");
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(Body::empty()).expect("a request");
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        Got {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    async fn asks(&self, proxy: &str, url: &str, more: &[(&'static str, &str)]) -> Got {
        self.asks_for(Method::GET, proxy, url, more).await
    }

    /// Asks as this kind of proxy does.
    async fn asks_for(&self, method: Method, proxy: &str, url: &str, more: &[(&'static str, &str)]) -> Got {
        let (target, mut headers) = question(proxy, &method, url);
        headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let own = if proxy.ends_with("envoy") {
            method
        } else {
            Method::GET
        };
        self.send(own, &target, &headers).await
    }
}

/// Path and headers of a proxy's question.
fn question(proxy: &str, method: &Method, url: &str) -> (String, Headers) {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let (host, target) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let method = method.to_string();
    if proxy.ends_with("envoy") {
        return (
            format!("{proxy}{target}"),
            vec![("x-forwarded-proto", scheme.into()), ("host", host.into())],
        );
    }
    if proxy.ends_with("nginx") || proxy.ends_with("haproxy") {
        return (
            proxy.to_owned(),
            vec![("x-original-url", url.to_owned()), ("x-original-method", method)],
        );
    }
    (
        proxy.to_owned(),
        vec![
            ("x-forwarded-proto", scheme.into()),
            ("x-forwarded-host", host.into()),
            ("x-forwarded-uri", target.into()),
            ("x-forwarded-method", method),
        ],
    )
}

const SILENT: [&str; 2] = ["/.doorward/auth/nginx", "/.doorward/auth/haproxy"];
/// Files that were made for authentik do not say the method there.
const OLD_NGINX: &str = "/outpost.goauthentik.io/auth/nginx";
const HANDING_ON: [&str; 6] = [
    "/.doorward/auth/caddy",
    "/.doorward/auth/traefik",
    "/.doorward/auth/envoy",
    "/outpost.goauthentik.io/auth/caddy",
    "/outpost.goauthentik.io/auth/traefik",
    "/outpost.goauthentik.io/auth/envoy",
];
const CADDY: &str = "/.doorward/auth/caddy";
const NGINX: &str = "/.doorward/auth/nginx";

fn all_proxies() -> impl Iterator<Item = &'static str> {
    SILENT.into_iter().chain(HANDING_ON)
}

fn cookie<'a>(got: &'a Got, name: &str) -> Option<&'a str> {
    got.headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find(|text| text.starts_with(&format!("{name}=")))
}

fn value(cookie: &str) -> &str {
    cookie
        .split(';')
        .next()
        .and_then(|pair| pair.split_once('='))
        .map_or("", |(_, value)| value)
}

/// The cookie of the domain, as `name=value`.
async fn domain_cookie(app: &App, username: &str) -> String {
    let mut browser = Client::new(app);
    browser.sign_in(username).await;
    let got = browser.get(&format!("/.doorward/start?rd={WIKI}/page")).await;
    assert_eq!(
        (got.status, got.location()),
        (StatusCode::FOUND, "https://wiki.example.org/page")
    );
    let set = cookie(&got, SECURE_SITE).unwrap_or_else(|| panic!("no cookie: {:?}", got.headers));
    format!("{SECURE_SITE}={}", value(set))
}

fn is_quiet(got: &Got) {
    for name in DOORWARD.iter().chain(&AUTHENTIK).chain(&REMOTE) {
        assert_eq!(got.header(name), "", "{name}");
    }
}

#[tokio::test]
async fn each_proxy_asks_in_its_own_way_and_is_answered_in_a_form_that_it_hands_on() {
    each_app(async |app| {
        furnish(&app).await;
        let proxy = Caller::trusted(&app);
        let alice = domain_cookie(&app, "alice").await;
        let gus = domain_cookie(&app, "gus").await;
        let page = format!("{WIKI}/page?x=1&y=%20z");
        let start = format!("{PUBLIC_URL}/.doorward/start?rd={}", escape(&page));
        for kind in all_proxies() {
            let silent = SILENT.contains(&kind);
            let got = proxy.asks(kind, &page, &[]).await;
            if silent {
                assert_eq!(got.status, StatusCode::UNAUTHORIZED, "{kind}");
                assert!(!got.headers.contains_key("location"), "{kind}");
                assert_eq!(got.header("x-doorward-location"), start, "{kind}");
            } else {
                assert_eq!(
                    (got.status, got.location()),
                    (StatusCode::FOUND, start.as_str()),
                    "{kind}"
                );
            }
            is_quiet(&got);
            assert_eq!(got.header("cache-control"), "no-store", "{kind}");

            let got = proxy.asks(kind, &page, &[("cookie", &alice)]).await;
            assert_eq!(
                (got.status, got.header("x-doorward-username")),
                (StatusCode::OK, "alice"),
                "{kind}"
            );
            assert_eq!(got.header("cache-control"), "no-store", "{kind}");
            assert!(
                got.body.is_empty() && !got.headers.contains_key("set-cookie"),
                "{kind}"
            );

            let got = proxy.asks(kind, &page, &[("cookie", &gus)]).await;
            assert_eq!(
                (got.status, got.header("x-doorward-reason")),
                (StatusCode::FORBIDDEN, "not_in_audience"),
                "{kind}"
            );
            assert!(
                got.header("x-doorward-code").starts_with("DW-"),
                "{kind}: {:?}",
                got.headers
            );
            assert_eq!(got.body.is_empty(), silent, "{kind}");
            is_quiet(&got);

            for (url, reason) in [
                ("https://unknown.example.org/", "host_unlisted"),
                ("https://wiki.example.org/shut", "rule_denies"),
                ("https://wiki.example.org/open/..%2fshut", "rule_denies"),
                ("https://wiki.example.org/%zz", "original_unreadable"),
                ("ftp://wiki.example.org/", "original_unreadable"),
                ("https://wiki.example.org:0/", "original_unreadable"),
                (
                    "https://wiki.example.org,evil.example.net/open",
                    "original_unreadable",
                ),
                ("https://evil@wiki.example.org/open", "original_unreadable"),
            ] {
                // No request with such a host reaches a program over HTTP.
                if kind.ends_with("envoy") && url.contains('@') {
                    continue;
                }
                let got = proxy.asks(kind, url, &[("cookie", &alice)]).await;
                assert_eq!(
                    (got.status, got.header("x-doorward-reason")),
                    (StatusCode::FORBIDDEN, reason),
                    "{kind} {url}"
                );
                is_quiet(&got);
            }
            // HEAD is a navigation too, and stands with GET in rules.
            let got = proxy
                .asks_for(Method::HEAD, kind, &format!("{WIKI}/read"), &[])
                .await;
            assert_eq!(got.status, StatusCode::OK, "{kind}");
            let got = proxy
                .asks_for(Method::POST, kind, &format!("{WIKI}/read"), &[])
                .await;
            assert_eq!(got.status, StatusCode::UNAUTHORIZED, "{kind}");
            let got = proxy.asks_for(Method::HEAD, kind, &page, &[]).await;
            assert_eq!(got.status.is_redirection(), !silent, "{kind}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_is_no_trusted_proxy_decides_nothing() {
    each_app(async |app| {
        furnish(&app).await;
        let alice = domain_cookie(&app, "alice").await;
        let before = app.rows().await;
        for peer in [[192, 0, 2, 9], [127, 0, 0, 1], [10, 0, 0, 2]] {
            let stranger = Caller {
                peer: SocketAddr::from((peer, 4000)),
                ..Caller::trusted(&app)
            };
            for kind in all_proxies() {
                for path in [
                    "/page",
                    "/open",
                    "/.doorward/sign_out",
                    "/.doorward/ping",
                    "/%zz",
                    "/x?X-authentik-logout=true",
                ] {
                    let more = [("cookie", alice.as_str()), ("x-forwarded-for", "10.0.0.1")];
                    let got = stranger.asks(kind, &format!("{WIKI}{path}"), &more).await;
                    assert_eq!(got.status, StatusCode::FORBIDDEN, "{kind} {path}");
                    assert_eq!(
                        got.header("x-doorward-reason"),
                        "untrusted_proxy",
                        "{kind} {path}"
                    );
                    assert!(!got.headers.contains_key("location") && !got.headers.contains_key("set-cookie"));
                    is_quiet(&got);
                }
            }
            let got = stranger
                .send(
                    Method::GET,
                    "/.doorward/denied",
                    &question(NGINX, &Method::GET, WIKI).1,
                )
                .await;
            assert_eq!(got.status, StatusCode::FORBIDDEN);
        }
        assert_eq!(app.rows().await, before);
        let got = Caller::trusted(&app)
            .asks(CADDY, &format!("{WIKI}/page"), &[("cookie", &alice)])
            .await;
        assert_eq!(got.status, StatusCode::OK, "and the session is as it was");
    })
    .await;
}

#[tokio::test]
async fn what_a_proxy_does_not_say_clearly_is_refused() {
    each_app(async |app| {
        furnish(&app).await;
        let proxy = Caller::trusted(&app);
        for kind in all_proxies() {
            let (target, headers) = question(kind, &Method::GET, &format!("{WIKI}/open"));
            assert_eq!(
                proxy.send(Method::GET, &target, &headers).await.status,
                StatusCode::OK,
                "{kind}"
            );
            for (number, (name, value)) in headers.iter().enumerate() {
                let optional = name.ends_with("-method");
                let mut less = headers.clone();
                less.remove(number);
                if !optional && *name != "host" {
                    let got = proxy.send(Method::GET, &target, &less).await;
                    assert_eq!(got.status, StatusCode::FORBIDDEN, "{kind} without {name}");
                    assert_eq!(got.header("x-doorward-reason"), "original_unreadable");
                }
                let mut twice = headers.clone();
                twice.push((name, value.clone()));
                assert_eq!(
                    proxy.send(Method::GET, &target, &twice).await.status,
                    StatusCode::FORBIDDEN,
                    "{kind} twice {name}"
                );
                if *name == "x-forwarded-uri" {
                    continue;
                }
                let odd = if *name == "x-original-url" {
                    format!("{value}#/../shut")
                } else {
                    format!("{value},")
                };
                for bad in [odd, String::new(), format!("{value} x"), "é".to_owned()] {
                    let mut changed = headers.clone();
                    changed.retain(|(other, _)| other != name);
                    changed.push((name, bad.clone()));
                    let got = proxy.send(Method::GET, &target, &changed).await;
                    assert_eq!(got.status, StatusCode::FORBIDDEN, "{kind} {name}: {bad:?}");
                }
            }
            // Rules that name methods cannot be decided on without one.
            if !kind.ends_with("envoy") {
                let (target, mut headers) = question(kind, &Method::GET, &format!("{WIKI}/open"));
                headers.retain(|(name, _)| !name.ends_with("-method"));
                assert_eq!(
                    proxy.send(Method::GET, &target, &headers).await.status,
                    StatusCode::FORBIDDEN,
                    "{kind}"
                );
                headers.push((
                    if kind.contains("nginx") || kind.contains("haproxy") {
                        "x-original-method"
                    } else {
                        "x-forwarded-method"
                    },
                    "get".into(),
                ));
                assert_eq!(
                    proxy.send(Method::GET, &target, &headers).await.status,
                    StatusCode::FORBIDDEN,
                    "{kind}: a method in small letters"
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn every_name_of_every_set_is_on_every_pass_so_that_a_forged_one_is_overwritten() {
    each_app(async |app| {
        furnish(&app).await;
        let proxy = Caller::trusted(&app);
        let alice = domain_cookie(&app, "alice").await;
        let gus = domain_cookie(&app, "gus").await;
        let forged: Vec<(&'static str, &str)> = DOORWARD
            .iter()
            .chain(&AUTHENTIK)
            .chain(&REMOTE)
            .map(|name| (*name, "forged"))
            .collect();
        let with = |cookie: &'static str| {
            forged
                .iter()
                .copied()
                .chain([("cookie", cookie)])
                .collect::<Vec<_>>()
        };
        let (alice, gus): (&'static str, &'static str) = (alice.leak(), gus.leak());
        for kind in all_proxies() {
            for (path, cookie) in [
                ("/open", "x=y"),
                ("/open", gus),
                ("/open", alice),
                ("/page", alice),
            ] {
                let got = proxy.asks(kind, &format!("{WIKI}{path}"), &with(cookie)).await;
                assert_eq!(got.status, StatusCode::OK, "{kind} {path}");
                for name in DOORWARD.iter().chain(&AUTHENTIK).chain(&REMOTE) {
                    let values: Vec<_> = got.headers.get_all(*name).iter().collect();
                    assert_eq!(values.len(), 1, "{kind} {path}: {name}");
                    assert_ne!(values[0], "forged", "{kind} {path}: {name}");
                    // Nobody has entitlements here; they are told all the same.
                    if *name == "x-authentik-entitlements" {
                        assert!(values[0].is_empty());
                        continue;
                    }
                    assert_eq!(
                        cookie != alice,
                        values[0].is_empty(),
                        "{kind} {path}: {name} is {:?}",
                        values[0]
                    );
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn values_are_printable_whatever_names_people_have() {
    each_app(async |app| {
        furnish(&app).await;
        let proxy = Caller::trusted(&app);
        let alice = domain_cookie(&app, "alice").await;
        let got = proxy
            .asks(CADDY, &format!("{WIKI}/page"), &[("cookie", &alice)])
            .await;
        let user = app.doorward.find_user("alice").await.expect("alice");
        let groups = "100%25|Gr%C3%BC%C3%9Fe%7CCo, Ltd|staff";
        for (name, expected) in [
            ("x-doorward-username", "alice"),
            ("x-doorward-email", "alice@example.org"),
            ("x-doorward-name", "%C3%81lice \"<b>\" %E6%9D%8E"),
            ("x-doorward-groups", groups),
            ("x-doorward-user-id", &user.id.to_string()),
            ("x-doorward-uid", &user.uid),
            ("x-doorward-application", "wiki"),
            ("x-authentik-username", "alice"),
            ("x-authentik-groups", groups),
            ("x-authentik-meta-app", "wiki"),
            ("x-authentik-meta-provider", "Wiki & Co <i>"),
            (
                "x-authentik-meta-jwks",
                "https://door.example.org/application/o/jwks/",
            ),
            ("remote-user", "alice"),
            ("remote-groups", "100%25,Gr%C3%BC%C3%9Fe|Co%2C Ltd,staff"),
        ] {
            assert_eq!(got.header(name), expected, "{name}");
        }
        // The signed form says the same, for this site and for nothing else, and can be checked with our keys.
        let token = got.header("x-doorward-jwt").to_owned();
        let parts: Vec<serde_json::Value> = token
            .split('.')
            .take(2)
            .map(|part| {
                let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, part)
                    .expect("base64url");
                serde_json::from_slice(&bytes).expect("JSON")
            })
            .collect();
        let [header, claims] = parts.as_slice() else {
            panic!("{token}")
        };
        assert_eq!(header["typ"], "doorward-site+jwt");
        assert_eq!(
            (&claims["aud"], &claims["preferred_username"], &claims["iss"]),
            (&WIKI.into(), &"alice".into(), &PUBLIC_URL.into())
        );
        let keys = Client::new(&app).get("/application/o/jwks/").await.json();
        let known = keys["keys"]
            .as_array()
            .expect("keys")
            .iter()
            .any(|key| key["kid"] == header["kid"]);
        assert!(known, "{header} is not among {keys}");
        // It is neither an access token nor an ID token here.
        let bearer = format!("Bearer {token}");
        let got = proxy
            .asks(CADDY, &format!("{WIKI}/page"), &[("authorization", &bearer)])
            .await;
        assert_eq!(got.status, StatusCode::UNAUTHORIZED);
        // A site without the sets gets only ours.
        let far = far_cookie(&app).await;
        let got = proxy
            .asks(CADDY, &format!("{FAR}/page"), &[("cookie", &far)])
            .await;
        assert_eq!(got.status, StatusCode::OK);
        assert!(
            got.headers.contains_key("x-doorward-username")
                && !got.headers.contains_key("x-authentik-username")
                && !got.headers.contains_key("remote-user")
        );
        assert_eq!(got.header("x-doorward-jwt"), "");
        let got = proxy
            .asks(
                "/outpost.goauthentik.io/auth/caddy",
                &format!("{FAR}/page"),
                &[("cookie", &far)],
            )
            .await;
        assert_eq!(
            got.header("x-authentik-username"),
            "alice",
            "who asks at that door wants those names"
        );
    })
    .await;
}

/// Goes all the way to a site in another domain, behind Caddy, with nothing routed past the check.
async fn far_cookie(app: &App) -> String {
    let proxy = Caller::trusted(app);
    let page = format!("{FAR}/page?x=1&y=%20z");
    let sent = proxy.asks(CADDY, &page, &[]).await;
    assert_eq!(sent.status, StatusCode::FOUND);
    let start = cookie(&sent, HOST_START)
        .unwrap_or_else(|| panic!("{:?}", sent.headers))
        .to_owned();
    assert!(
        start.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600; Secure"),
        "{start}"
    );
    let mut browser = Client::new(app);
    browser.sign_in("alice").await;
    let home = browser.get(sent.location()).await;
    assert_eq!(home.status, StatusCode::FOUND, "{}", home.body);
    assert!(
        home.location()
            .starts_with(&format!("{FAR}/.doorward/callback?code=")),
        "{}",
        home.location()
    );
    let start = format!("{HOST_START}={}", value(&start));
    let done = proxy.asks(CADDY, home.location(), &[("cookie", &start)]).await;
    assert_eq!(
        (done.status, done.location()),
        (StatusCode::FOUND, page.as_str()),
        "{}",
        done.body
    );
    let set = cookie(&done, HOST_SITE).unwrap_or_else(|| panic!("{:?}", done.headers));
    assert!(
        set.contains("; Path=/; HttpOnly; SameSite=Lax; Max-Age=")
            && set.ends_with("; Secure")
            && !set.contains("Domain"),
        "{set}"
    );
    assert!(
        set.len() < 230 && HOST_SITE.len() + 1 + value(set).len() < 200,
        "{}",
        set.len()
    );
    assert!(cookie(&done, HOST_START).is_some_and(|gone| gone.contains("Max-Age=0")));
    format!("{HOST_SITE}={}", value(set))
}

#[tokio::test]
async fn cookies_have_the_attributes_that_keep_them() {
    each_app(async |app| {
        furnish(&app).await;
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        let got = browser.get(&format!("/.doorward/start?rd={WIKI}/page")).await;
        let set = cookie(&got, SECURE_SITE).expect("a cookie");
        let (pair, attributes) = set.split_once(';').expect("attributes");
        assert!(pair.len() < 200, "{}", pair.len());
        assert_eq!(
            attributes,
            " Path=/; HttpOnly; SameSite=Lax; Max-Age=1209600; Secure; Domain=example.org"
        );
        assert_eq!(got.headers.get_all("set-cookie").iter().count(), 1);
        far_cookie(&app).await;
        // In the open: no prefix that promises more, and no Secure, which would keep it from being kept.
        let proxy = Caller::trusted(&app);
        let sent = proxy.asks(CADDY, "http://plain.local.test/page", &[]).await;
        let start = cookie(&sent, "doorward_start")
            .expect("a start cookie")
            .to_owned();
        assert!(!start.contains("Secure"), "{start}");
        let home = browser.get(sent.location()).await;
        let start = format!("doorward_start={}", value(&start));
        let done = proxy.asks(CADDY, home.location(), &[("cookie", &start)]).await;
        assert_eq!(done.location(), "http://plain.local.test/page");
        let set = cookie(&done, "doorward_site").expect("a cookie");
        assert!(!set.contains("Secure") && !set.contains("Domain"), "{set}");
        let pass = format!("doorward_site={}", value(set));
        assert_eq!(
            proxy
                .asks(CADDY, "http://plain.local.test/page", &[("cookie", &pass)])
                .await
                .status,
            StatusCode::OK
        );
        assert_eq!(
            proxy
                .asks(CADDY, "https://plain.local.test/page", &[("cookie", &pass)])
                .await
                .status,
            StatusCode::FOUND
        );
    })
    .await;
}

#[tokio::test]
async fn only_people_who_look_at_a_page_are_redirected() {
    each_app(async |app| {
        furnish(&app).await;
        let proxy = Caller::trusted(&app);
        let url = format!("{WIKI}/page");
        for kind in HANDING_ON {
            for (what, method, more, expected) in [
                (
                    "a browser",
                    Method::GET,
                    &[("accept", "text/html"), ("sec-fetch-mode", "navigate")][..],
                    StatusCode::FOUND,
                ),
                (
                    "an old browser",
                    Method::GET,
                    &[("accept", "text/html,*/*;q=0.8")],
                    StatusCode::FOUND,
                ),
                ("curl", Method::GET, &[("accept", "*/*")], StatusCode::FOUND),
                (
                    "fetch",
                    Method::GET,
                    &[("accept", "*/*"), ("sec-fetch-mode", "cors")],
                    StatusCode::UNAUTHORIZED,
                ),
                (
                    "an image",
                    Method::GET,
                    &[("accept", "image/avif"), ("sec-fetch-mode", "no-cors")],
                    StatusCode::UNAUTHORIZED,
                ),
                (
                    "XMLHttpRequest",
                    Method::GET,
                    &[("x-requested-with", "XMLHttpRequest")],
                    StatusCode::UNAUTHORIZED,
                ),
                (
                    "JSON",
                    Method::GET,
                    &[("accept", "application/json")],
                    StatusCode::UNAUTHORIZED,
                ),
                (
                    "a socket",
                    Method::GET,
                    &[("upgrade", "websocket"), ("connection", "upgrade")],
                    StatusCode::UNAUTHORIZED,
                ),
                (
                    "a wrong token",
                    Method::GET,
                    &[("authorization", "Bearer nonsense")],
                    StatusCode::UNAUTHORIZED,
                ),
                (
                    "a wrong password",
                    Method::GET,
                    &[("authorization", "Basic eDp5")],
                    StatusCode::UNAUTHORIZED,
                ),
                (
                    "an unknown scheme",
                    Method::GET,
                    &[("authorization", "Digest x")],
                    StatusCode::UNAUTHORIZED,
                ),
                (
                    "a form",
                    Method::POST,
                    &[("accept", "text/html"), ("sec-fetch-mode", "navigate")],
                    StatusCode::UNAUTHORIZED,
                ),
                (
                    "a call",
                    Method::POST,
                    &[("accept", "application/json")],
                    StatusCode::UNAUTHORIZED,
                ),
                ("PUT", Method::PUT, &[], StatusCode::UNAUTHORIZED),
            ] {
                let got = proxy.asks_for(method, kind, &url, more).await;
                assert_eq!(got.status, expected, "{kind} {what}: {}", got.body);
                assert_eq!(
                    got.headers.contains_key("location"),
                    expected == StatusCode::FOUND,
                    "{kind} {what}"
                );
                let shown = more.iter().any(|(name, _)| *name == "authorization");
                assert_eq!(
                    got.headers.contains_key("www-authenticate"),
                    shown,
                    "{kind} {what}"
                );
            }
            let form = proxy
                .asks_for(
                    Method::POST,
                    kind,
                    &url,
                    &[("accept", "text/html"), ("sec-fetch-mode", "navigate")],
                )
                .await;
            assert!(
                form.body.contains("<html") && form.body.contains("/.doorward/start?rd="),
                "{}",
                form.body
            );
        }
        for kind in SILENT {
            for more in [
                &[("accept", "application/json")][..],
                &[("sec-fetch-mode", "cors")],
                &[("authorization", "Bearer x")],
            ] {
                let got = proxy.asks(kind, &url, more).await;
                assert_eq!(
                    (got.status, got.header("x-doorward-location")),
                    (StatusCode::UNAUTHORIZED, ""),
                    "{kind}"
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_tossed_cookie_neither_locks_out_nor_lets_in() {
    each_app(async |app| {
        furnish(&app).await;
        let proxy = Caller::trusted(&app);
        let (alice, far) = (domain_cookie(&app, "alice").await, far_cookie(&app).await);
        let at = async |url: &str, cookies: &str| {
            let got = proxy.asks(CADDY, url, &[("cookie", cookies)]).await;
            (got.status, got.header("x-doorward-username").to_owned())
        };
        let page = format!("{WIKI}/page");
        let ok = (StatusCode::OK, "alice".to_owned());
        for junk in [
            format!("{SECURE_SITE}=junk"),
            format!("{SECURE_SITE}=; {HOST_SITE}=x; doorward_site=y"),
            vec![format!("{SECURE_SITE}={}", "A".repeat(133)); 20].join("; "),
            format!("{SECURE_SITE}={}", value(&far)),
            "; ;=;a; =b".to_owned(),
        ] {
            assert_eq!(at(&page, &format!("{junk}; {alice}")).await, ok, "{junk}");
            assert_eq!(at(&page, &format!("{alice}; {junk}")).await, ok, "{junk}");
        }
        // A value that was made for a stronger name does not count under one that a neighbour can set.
        let far_page = format!("{FAR}/page");
        assert_eq!(at(&far_page, &far).await, ok);
        for weaker in [SECURE_SITE, "doorward_site"] {
            let (status, _) = at(&far_page, &format!("{weaker}={}", value(&far))).await;
            assert_eq!(status, StatusCode::FOUND, "{weaker}");
        }
        // Nor does a start cookie that somebody else could have chosen.
        let sent = proxy.asks(CADDY, &far_page, &[]).await;
        let start = value(cookie(&sent, HOST_START).expect("a cookie")).to_owned();
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        let home = browser.get(sent.location()).await;
        let tossed = format!("doorward_start={start}");
        let done = proxy.asks(CADDY, home.location(), &[("cookie", &tossed)]).await;
        assert!(
            cookie(&done, HOST_SITE).is_none() && done.location().starts_with(PUBLIC_URL),
            "{:?}",
            done.headers
        );
        // Doorward's own session cookie is nothing on other hosts.
        let own = format!(
            "__Host-doorward_session={}",
            browser.cookies["__Host-doorward_session"]
        );
        assert_eq!(at(&page, &own).await.0, StatusCode::FOUND);
        assert_eq!(
            at(&page, &format!("{SECURE_SITE}={}", value(&own))).await.0,
            StatusCode::FOUND
        );
        // And a site's cookie is no session of Doorward.
        let mut thief = Client::new(&app);
        thief
            .cookies
            .insert("__Host-doorward_session".into(), value(&alice).into());
        thief.cookies.insert(SECURE_SITE.into(), value(&alice).into());
        assert_eq!(thief.get("/if/user/").await.status, StatusCode::SEE_OTHER);
    })
    .await;
}

#[tokio::test]
async fn our_own_paths_work_through_proxies_that_hand_on_and_are_nobodys_at_the_others() {
    each_app(async |app| {
        furnish(&app).await;
        let proxy = Caller::trusted(&app);
        for prefix in ["/.doorward", "/outpost.goauthentik.io"] {
            for kind in HANDING_ON {
                for host in [WIKI, FAR] {
                    let got = proxy.asks(kind, &format!("{host}{prefix}/ping"), &[]).await;
                    assert_eq!(got.status, StatusCode::NO_CONTENT, "{kind}");
                    let got = proxy
                        .asks(kind, &format!("{host}{prefix}/start?rd={host}/a?b=c&d"), &[])
                        .await;
                    assert_eq!(got.status, StatusCode::FOUND, "{kind}");
                    let wanted = escape(&format!("{host}/a?b=c&d"));
                    assert!(
                        got.location().starts_with(PUBLIC_URL)
                            && got.location().ends_with(&format!("rd={wanted}")),
                        "{}",
                        got.location()
                    );
                    let got = proxy
                        .asks(kind, &format!("{host}{prefix}/callback?code=lost"), &[])
                        .await;
                    assert_eq!(
                        (got.status, got.location()),
                        (
                            StatusCode::FOUND,
                            &*format!("{PUBLIC_URL}/.doorward/start?rd={}", escape(&format!("{host}/")))
                        ),
                        "{kind}: never a bare 400"
                    );
                    let got = proxy.asks(kind, &format!("{host}{prefix}/nothing"), &[]).await;
                    assert_eq!(got.status, StatusCode::FORBIDDEN, "{kind}");
                    let got = proxy
                        .asks(
                            kind,
                            &format!("{host}{prefix}/start?rd=https://evil.example.net/"),
                            &[],
                        )
                        .await;
                    assert_eq!(
                        (got.status, got.location()),
                        (StatusCode::BAD_REQUEST, ""),
                        "{kind}"
                    );
                }
            }
            for kind in SILENT {
                for path in ["start?rd=/", "callback?code=x", "sign_out", "ping", "nothing"] {
                    let got = proxy.asks(kind, &format!("{WIKI}{prefix}/{path}"), &[]).await;
                    assert_eq!(got.status, StatusCode::FORBIDDEN, "{kind} {path}");
                }
            }
            // Routed past the check: by the proxy that we trust, and straight.
            let straight = Caller {
                peer: SocketAddr::from(([192, 0, 2, 9], 4000)),
                ..Caller::trusted(&app)
            };
            let forwarded: Headers = vec![
                ("x-forwarded-host", "wiki.faraway.test".into()),
                ("x-forwarded-proto", "https".into()),
            ];
            let hosted: Headers = vec![("host", "wiki.faraway.test".into())];
            for (caller, headers) in [(&proxy, &forwarded), (&straight, &hosted), (&proxy, &hosted)] {
                let got = caller
                    .send(Method::GET, &format!("{prefix}/start?rd={FAR}/a?b=c&d"), headers)
                    .await;
                assert_eq!(got.status, StatusCode::FOUND);
                assert!(
                    cookie(&got, HOST_START).is_some() && got.location().contains("/.doorward/start?b="),
                    "{:?}",
                    got.headers
                );
            }
            // A stranger's word about the host is no word.
            let got = straight
                .send(Method::GET, &format!("{prefix}/start?rd=/x"), &forwarded)
                .await;
            assert!(!got.location().contains("faraway"), "{}", got.location());
        }
    })
    .await;
}

#[tokio::test]
async fn nginx_is_led_to_the_start_on_the_host_that_needs_a_cookie() {
    each_app(async |app| {
        furnish(&app).await;
        let proxy = Caller::trusted(&app);
        let page = format!("{FAR}/page?x=1&y=2");
        let got = proxy.asks(NGINX, &page, &[]).await;
        assert_eq!(
            got.header("x-doorward-location"),
            format!("{FAR}/.doorward/start?rd={}", escape(&page))
        );
        assert!(!got.headers.contains_key("set-cookie"), "nobody would hand it on");
        let forwarded: Headers = vec![
            ("x-forwarded-host", "wiki.faraway.test".into()),
            ("x-forwarded-proto", "https".into()),
        ];
        let target = got
            .header("x-doorward-location")
            .strip_prefix(FAR)
            .expect("a path")
            .to_owned();
        let start = proxy.send(Method::GET, &target, &forwarded).await;
        let mark = value(cookie(&start, HOST_START).expect("a cookie")).to_owned();
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        let home = browser.get(start.location()).await;
        let target = home.location().strip_prefix(FAR).expect("a callback").to_owned();
        let mut with_mark = forwarded.clone();
        with_mark.push(("cookie", format!("{HOST_START}={mark}")));
        let done = proxy.send(Method::GET, &target, &with_mark).await;
        assert_eq!(done.location(), page);
        let pass = format!(
            "{HOST_SITE}={}",
            value(cookie(&done, HOST_SITE).expect("a cookie"))
        );
        assert_eq!(
            proxy.asks(NGINX, &page, &[("cookie", &pass)]).await.status,
            StatusCode::OK
        );
    })
    .await;
}

#[tokio::test]
async fn signing_out_at_a_site_ends_it_everywhere_unless_a_foreign_page_asked() {
    each_app(async |app| {
        furnish(&app).await;
        let proxy = Caller::trusted(&app);
        let page = format!("{WIKI}/page");
        for path in [
            "/.doorward/sign_out",
            "/outpost.goauthentik.io/sign_out",
            "/page?X-authentik-logout=true",
        ] {
            let alice = domain_cookie(&app, "alice").await;
            assert_eq!(
                proxy.asks(CADDY, &page, &[("cookie", &alice)]).await.status,
                StatusCode::OK
            );
            let lured = [("cookie", alice.as_str()), ("sec-fetch-site", "cross-site")];
            let got = proxy.asks(CADDY, &format!("{WIKI}{path}"), &lured).await;
            assert_eq!(
                (got.status, got.location()),
                (StatusCode::FOUND, "https://door.example.org/if/flow/sign-out/")
            );
            assert_eq!(
                proxy.asks(CADDY, &page, &[("cookie", &alice)]).await.status,
                StatusCode::OK,
                "{path}: asked by a foreign page"
            );
            let got = proxy
                .asks(
                    CADDY,
                    &format!("{WIKI}{path}"),
                    &[("cookie", &alice), ("sec-fetch-site", "same-origin")],
                )
                .await;
            assert_eq!(
                (got.status, got.location()),
                (StatusCode::FOUND, "https://door.example.org/if/flow/sign-out/")
            );
            let gone = cookie(&got, SECURE_SITE).expect("the cookie taken back");
            assert!(
                gone.contains("Max-Age=0") && gone.contains("Domain=example.org") && gone.contains("Secure"),
                "{gone}"
            );
            for kind in all_proxies() {
                let got = proxy.asks(kind, &page, &[("cookie", &alice)]).await;
                assert_ne!(got.status, StatusCode::OK, "{path} {kind}");
            }
        }
        // Behind nginx a query is the service's own.
        let alice = domain_cookie(&app, "alice").await;
        let got = proxy
            .asks(
                NGINX,
                &format!("{WIKI}/page?X-authentik-logout=true"),
                &[("cookie", &alice)],
            )
            .await;
        assert_eq!(got.status, StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn the_page_that_says_no_is_plain_escaped_and_shows_one_code() {
    each_app(async |app| {
        furnish(&app).await;
        let proxy = Caller::trusted(&app);
        let gus = domain_cookie(&app, "gus").await;
        let page = format!("{WIKI}/page?<script>&\"");
        let page = page.replace(['<', '>', '"'], "%22");
        let got = proxy
            .asks(CADDY, &page, &[("cookie", &gus), ("accept", "text/html")])
            .await;
        assert_eq!(got.status, StatusCode::FORBIDDEN);
        assert!(
            got.header("content-type").starts_with("text/html"),
            "{:?}",
            got.headers
        );
        let code = got.header("x-doorward-code").to_owned();
        assert!(
            got.body.contains(&code) && got.body.contains("gus") && got.body.contains("Wiki &#38; Co")
                || got.body.contains("Wiki &amp; Co"),
            "{}",
            got.body
        );
        for bad in ["<script", "<i>", "<form", "onclick", "javascript:"] {
            assert!(!got.body.contains(bad), "{bad}: {}", got.body);
        }
        let policy = got.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "style-src https://door.example.org",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(
            !policy.contains("script-src") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(
            (got.header("x-content-type-options"), got.header("cache-control")),
            ("nosniff", "no-store")
        );
        assert!(
            got.header("referrer-policy").contains("no-referrer")
                || got.header("referrer-policy").contains("same-origin"),
            "{:?}",
            got.headers
        );
        // The same in JSON for programs.
        let got = proxy
            .asks(CADDY, &page, &[("cookie", &gus), ("accept", "application/json")])
            .await;
        assert_eq!(
            (&got.json()["error"], &got.json()["reason"]),
            (&"access_denied".into(), &"not_in_audience".into())
        );
        // nginx gets the code, and the page for it elsewhere.
        let refused = proxy.asks(NGINX, &page, &[("cookie", &gus)]).await;
        assert_eq!(
            (refused.status, refused.body.as_str()),
            (StatusCode::FORBIDDEN, "")
        );
        let (_, mut headers) = question(NGINX, &Method::GET, &page);
        headers.push(("cookie", gus.clone()));
        headers.push(("x-doorward-code", refused.header("x-doorward-code").to_owned()));
        let shown = proxy.send(Method::GET, "/.doorward/denied", &headers).await;
        assert_eq!(shown.status, StatusCode::FORBIDDEN);
        assert!(
            shown.body.contains(refused.header("x-doorward-code")),
            "{}",
            shown.body
        );
        // What is no code is not shown.
        headers.retain(|(name, _)| *name != "x-doorward-code");
        headers.push(("x-doorward-code", "<b>call 0900-EVIL</b>".into()));
        let shown = proxy.send(Method::GET, "/.doorward/denied", &headers).await;
        assert!(!shown.body.contains("EVIL"), "{}", shown.body);
        // Nobody is known: no name, no code.
        let got = proxy
            .asks(CADDY, "https://unknown.example.org/", &[("accept", "text/html")])
            .await;
        assert_eq!(
            (got.status, got.header("x-doorward-code")),
            (StatusCode::FORBIDDEN, "")
        );
        assert!(
            got.body.contains("<html") && !got.body.contains("unknown.example.org"),
            "{}",
            got.body
        );
    })
    .await;
}

#[tokio::test]
async fn nothing_that_is_said_becomes_a_header_or_leads_away() {
    each_app(async |app| {
        furnish(&app).await;
        let proxy = Caller::trusted(&app);
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        for tail in [
            "%0d%0aSet-Cookie:%20a=b",
            "?%0d%0aLocation:%20https://evil.example.net",
            "\u{7f}",
            "a?rd=https://evil.example.net/",
            "\\evil.example.net",
            "@evil.example.net/",
        ] {
            let rd = format!("{WIKI}/{tail}");
            for rd in [rd.clone(), escape(&rd)] {
                if rd.contains('\u{7f}') || rd.contains('\\') {
                    continue;
                }
                let got = browser.get(&format!("/.doorward/start?rd={rd}")).await;
                let led = got.location().to_owned();
                assert!(
                    led.is_empty() || led.starts_with("https://wiki.example.org/"),
                    "{rd} led to {led}"
                );
                assert!(
                    !got.headers.contains_key("a") && got.headers.get_all("set-cookie").iter().count() <= 1
                );
            }
        }
        for host in [
            "wiki.example.org:443@evil.example.net",
            "evil.example.net",
            "wiki.example.org.evil.example.net",
            "wiki.example.org/..",
            "wiki.example.org?",
            "wiki.example.org#",
            "wiki.example.org\\",
            "wiki.example.org evil",
            "wiki.example.org, wiki.example.org",
            ".wiki.example.org",
            "*.example.org",
            "wiki..example.org",
        ] {
            for kind in [CADDY, "/.doorward/auth/traefik"] {
                let headers: Headers = vec![
                    ("x-forwarded-proto", "https".into()),
                    ("x-forwarded-host", host.into()),
                    ("x-forwarded-uri", "/open".into()),
                    ("x-forwarded-method", "GET".into()),
                ];
                let got = proxy.send(Method::GET, kind, &headers).await;
                assert_eq!(got.status, StatusCode::FORBIDDEN, "{host}");
                assert!(!got.headers.contains_key("location"), "{host}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn at_the_door_of_old_nginx_files_a_visitor_cannot_choose_the_method() {
    each_app(async |app| {
        furnish(&app).await;
        let far = far_cookie(&app).await;
        let proxy = Caller::trusted(&app);
        let wiki = app
            .doorward
            .find_application("wiki")
            .await
            .expect("an application");
        let rules = |rules: &[&str]| ApplicationChange {
            sites: vec![put(FAR, rules, |_| {})],
            ..ApplicationChange::default()
        };
        let page = format!("{FAR}/read");
        // Rules that name methods cannot be decided on, whatever the visitor says.
        for more in [&[][..], &[("cookie", far.as_str())]] {
            for method in [Method::GET, Method::POST] {
                let got = proxy.asks_for(method, OLD_NGINX, &page, more).await;
                assert_eq!(
                    (got.status, got.header("x-doorward-reason")),
                    (StatusCode::FORBIDDEN, "original_unreadable")
                );
            }
        }
        let change = rules(&["public /open", "deny /shut"]);
        app.doorward
            .update_application(wiki.id, &change)
            .await
            .expect("rules");
        let got = proxy.asks(OLD_NGINX, &page, &[]).await;
        assert_eq!(got.status, StatusCode::UNAUTHORIZED);
        assert!(!got.headers.contains_key("location"));
        let got = proxy.asks(OLD_NGINX, &page, &[("cookie", &far)]).await;
        assert_eq!(
            (got.status, got.header("x-authentik-username")),
            (StatusCode::OK, "alice")
        );
        let got = proxy.asks(OLD_NGINX, &format!("{FAR}/open"), &[]).await;
        assert_eq!(got.status, StatusCode::OK);
        for name in DOORWARD.iter().chain(&AUTHENTIK) {
            assert!(
                got.headers.contains_key(*name) && got.header(name).is_empty(),
                "{name}"
            );
        }
    })
    .await;
}

/// HEAD goes through the router, everything else past it, and what lies ready is answered without waiting.
#[tokio::test]
async fn what_is_answered_at_hand_is_what_the_long_way_answers() {
    each_app(async |app| {
        furnish(&app).await;
        let proxy = Caller::trusted(&app);
        let alice = domain_cookie(&app, "alice").await;
        let gus = domain_cookie(&app, "gus").await;
        // Asked about once, everybody is in memory.
        proxy.asks(NGINX, WIKI, &[("cookie", &alice)]).await;
        proxy.asks(NGINX, WIKI, &[("cookie", &gus)]).await;
        let nobody = String::new();
        let broken = alice.replace(|c: char| c.is_ascii_uppercase(), "x");
        // One that names a session which may not enter counts before one of a weaker name that may.
        let both = format!("{gus}; {alice}");
        for kind in all_proxies() {
            for cookie in [&alice, &gus, &nobody, &broken, &both] {
                for path in ["/page?x=1", "/open/x", "/shut", "/read", "/a/%2e%2e/page"] {
                    let url = format!("{WIKI}{path}");
                    let (target, mut headers) = question(kind, &Method::GET, &url);
                    headers.push(("cookie", cookie.clone()));
                    // A script, so that nobody is redirected: answers to navigations hold random marks.
                    headers.push(("sec-fetch-mode", "cors".into()));
                    headers.push(("accept", "application/json".into()));
                    let direct = proxy.send(Method::GET, &target, &headers).await;
                    let routed = proxy.send(Method::HEAD, &target, &headers).await;
                    let what = format!("{kind} {path} {cookie}");
                    assert_eq!(direct.status, routed.status, "{what}");
                    let mut expected = routed.headers.clone();
                    for (name, value) in &direct.headers {
                        // Each refusal has a code of its own.
                        if *name != "x-doorward-code" && *name != "content-length" {
                            assert_eq!(expected.get(name), Some(value), "{what}");
                        }
                        expected.remove(name);
                    }
                    expected.remove("content-length");
                    assert!(expected.is_empty(), "{what}: {expected:?}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_known_against_a_session_counts_at_once_also_for_answers_that_lie_ready() {
    each_app(async |app| {
        furnish(&app).await;
        let proxy = Caller::trusted(&app);
        let alice = domain_cookie(&app, "alice").await;
        let asks = async || proxy.asks(NGINX, WIKI, &[("cookie", &alice)]).await;
        let passes = async || {
            for _ in 0..3 {
                assert_eq!(asks().await.status, StatusCode::OK);
            }
        };
        passes().await;
        let door = &app.doorward;
        let user = door.find_user("alice").await.expect("alice");
        let staff = door.find_group("staff").await.expect("a group");
        door.remove_member(user.id, staff.id).await.expect("no member");
        assert_eq!(asks().await.status, StatusCode::FORBIDDEN);
        door.add_member(user.id, staff.id).await.expect("a member");
        passes().await;
        let rules = put(WIKI, &["deny /"], |_| {});
        let change = ApplicationChange {
            sites: vec![rules],
            ..ApplicationChange::default()
        };
        let wiki = door.directory().by_slug("wiki").expect("the application").id;
        door.update_application(wiki, &change).await.expect("a change");
        assert_eq!(asks().await.status, StatusCode::FORBIDDEN);
    })
    .await;
}
