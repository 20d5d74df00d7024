//! RFC 8252 sections 7 and 8: redirect URIs of native apps; and what may be registered at all.

use doorward_oidc::redirect::{self, RedirectPattern};

fn matches(registered: &str, given: &str) -> bool {
    RedirectPattern::parse(registered)
        .expect(registered)
        .matches(given)
}

#[test]
fn section_7_3_a_loopback_address_matches_with_any_port() {
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        for registered in [format!("http://{host}/cb"), format!("http://{host}:3000/cb")] {
            for port in ["", ":1", ":80", ":3000", ":51004", ":65535"] {
                assert!(
                    matches(&registered, &format!("http://{host}{port}/cb")),
                    "{registered} {port}"
                );
            }
            for port in [
                ":",
                ":0",
                ":65536",
                ":080",
                ":-1",
                ":99999999999",
                ":80a",
                ":8 0",
                "80",
                ":80:80",
            ] {
                assert!(
                    !matches(&registered, &format!("http://{host}{port}/cb")),
                    "{registered} {port}"
                );
            }
        }
    }
    assert!(matches("http://127.0.0.1", "http://127.0.0.1:9000"));
    assert!(matches("http://127.0.0.1?x=1", "http://127.0.0.1:9000?x=1"));
}

#[test]
fn section_7_3_only_the_port_is_free() {
    let registered = "http://127.0.0.1/cb?x=1";
    for given in [
        "http://127.0.0.1:80/cb",
        "http://127.0.0.1:80/cb?x=2",
        "http://127.0.0.1:80/cb/?x=1",
        "http://127.0.0.1:80//cb?x=1",
        "https://127.0.0.1:80/cb?x=1",
        "http://127.0.0.2:80/cb?x=1",
        "http://127.0.0.1.evil.example:80/cb?x=1",
        "http://127.0.0.1:80@evil.example/cb?x=1",
        "http://127.0.0.1@evil.example/cb?x=1",
        "http://user@127.0.0.1:80/cb?x=1",
        "http://127.1:80/cb?x=1",
        "http://2130706433:80/cb?x=1",
        "http://0x7f.0.0.1:80/cb?x=1",
        "http://localhost:80/cb?x=1",
        "http://[::1]:80/cb?x=1",
        "http://127.0.0.1:80/cb?x=1#f",
        "http://127.0.0.1:80\\@evil.example/cb?x=1",
    ] {
        assert!(!matches(registered, given), "{given}");
    }
}

#[test]
fn ports_are_free_for_http_on_loopback_only() {
    for (registered, given) in [
        ("https://127.0.0.1/cb", "https://127.0.0.1:8443/cb"),
        ("https://localhost/cb", "https://localhost:8443/cb"),
        ("http://nas.lan/cb", "http://nas.lan:8080/cb"),
        ("http://localhost.lan/cb", "http://localhost.lan:8080/cb"),
        ("https://shop.example/cb", "https://shop.example:443/cb"),
        ("https://shop.example:443/cb", "https://shop.example/cb"),
    ] {
        assert!(!matches(registered, given), "{registered} {given}");
        assert!(matches(registered, registered));
    }
}

#[test]
fn section_7_1_private_use_schemes_belong_to_the_app() {
    for good in [
        "com.example.app:/oauth2redirect",
        "app.immich:///oauth-callback",
        "org.example.App://cb?x=1",
        "audiobookshelf://oauth",
    ] {
        assert!(matches(good, good), "{good}");
    }
    assert!(!matches("com.example.app:/cb", "com.example.apq:/cb"));
    assert!(!matches("com.example.app:/cb", "com.example.app://cb"));
    assert!(!matches("com.example.app:/cb", "COM.example.app:/cb"));
    for bad in [
        "c://callback",
        "intent://cb",
        ".app:/cb",
        "app.:/cb",
        "1.app:/cb",
        "com.example.app:",
        "com.example.app://user@host/cb",
    ] {
        assert!(RedirectPattern::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn schemes_that_run_code_are_refused() {
    for scheme in [
        "javascript",
        "JavaScript",
        "data",
        "vbscript",
        "file",
        "blob",
        "about",
        "view-source",
        "ftp",
        "ws",
    ] {
        for rest in [":alert(1)", "://x/y"] {
            let error = RedirectPattern::parse(&format!("{scheme}{rest}")).unwrap_err();
            assert!(error.contains("never"), "{error}");
        }
    }
}

#[test]
fn what_may_be_registered() {
    for good in [
        "https://shop.example/cb",
        "https://shop.example",
        "https://shop.example:8443/a/b;c=d?x=1&y=%2F",
        "http://nas.lan/cb",
        "http://nas/cb",
        "http://192.168.1.10:3000/cb",
        "http://[fd00::1]:3000/cb",
        "https://xn--bcher-kva.example/cb",
        "https://my_host.example/cb",
        "https://*.shop.example/cb",
        "https://*.home.lan:8443/cb?x=1",
    ] {
        assert!(
            RedirectPattern::parse(good).is_ok(),
            "{good}: {:?}",
            RedirectPattern::parse(good)
        );
    }
    for (bad, word) in [
        ("", "empty"),
        ("/cb", "scheme"),
        ("shop.example/cb", "scheme"),
        ("https:/shop.example/cb", "no host"),
        ("https:shop.example", "no host"),
        ("https:///cb", "host"),
        ("https://?x", "host"),
        ("https://shop.example/cb#f", "fragment"),
        ("https://shop.example/cb#", "fragment"),
        ("https://user@shop.example/cb", "user name"),
        ("https://user:pw@shop.example/cb", "user name"),
        ("https://shop.example:/cb", "port"),
        ("https://shop.example:0/cb", "port"),
        ("https://shop.example:70000/cb", "port"),
        ("https://shop.example:1:2/cb", "port"),
        ("https://shop.example./cb", "dot at the end"),
        ("https://shop..example/cb", "host"),
        ("https://[::1/cb", "IPv6"),
        ("https://[::g]/cb", "IPv6"),
        ("https://[::1]x/cb", "port"),
        ("https://1.2.3/cb", "IPv4"),
        ("https://0x7f.1/cb", "IPv4"),
        ("https://256.1.1.1/cb", "IPv4"),
        ("https://shop.example/a/../b", "segment"),
        ("https://shop.example/a/%2e%2E/b", "segment"),
        ("https://shop.example/./b", "segment"),
        ("https://shop.example/%zz", "hexadecimal"),
        ("https://shop.example/%", "hexadecimal"),
        ("https://shop.example/a b", "character"),
        ("https://shop.example/a\tb", "character"),
        ("https://shop.example\\@evil.example/", "character"),
        ("https://shop.example/{x}", "character"),
        ("https://bücher.example/cb", "xn--bcher-kva"),
        ("https://shop\u{3002}example/cb", "character"),
        ("HTTPS://shop.example/cb", "upper case"),
        ("https://shop.example/*", "first host label"),
        ("https://shop.example/cb?x=*", "first host label"),
        ("https://shop.*.example/cb", "host"),
        ("https://a*.shop.example/cb", "host"),
        ("https://*shop.example/cb", "host"),
        ("https://*.*.shop.example/cb", "host"),
        ("http://*.shop.example/cb", "https only"),
        ("https://*.com/cb", "different people"),
        ("https://*.lan/cb", "different people"),
        ("https://*.co.uk/cb", "different people"),
        ("https://*.com.au/cb", "different people"),
        ("https://*.github.io/cb", "different people"),
        ("https://*.GitHub.io/cb", "different people"),
        ("https://*.1.2.3.4/cb", "different people"),
        ("https://*.[::1]/cb", "different people"),
    ] {
        let error = RedirectPattern::parse(bad).expect_err(bad);
        assert!(error.contains(word), "{bad}: {error}");
    }
    assert!(RedirectPattern::parse(&format!("https://shop.example/{}", "a".repeat(2048))).is_err());
}

#[test]
fn a_wildcard_stands_for_exactly_one_host_label() {
    let registered = "https://*.shop.example/cb?x=1";
    for good in [
        "https://a.shop.example/cb?x=1",
        "https://pr-17.shop.example/cb?x=1",
        "https://7.shop.example/cb?x=1",
    ] {
        assert!(matches(registered, good), "{good}");
    }
    for bad in [
        "https://shop.example/cb?x=1",
        "https://.shop.example/cb?x=1",
        "https://a.b.shop.example/cb?x=1",
        "https://*.shop.example/cb?x=1",
        "http://a.shop.example/cb?x=1",
        "https://a.shop.example:443/cb?x=1",
        "https://a.shop.example/cb",
        "https://a.shop.example/cb?x=1&y=2",
        "https://a.shop.example./cb?x=1",
        "https://a.shop.example.evil.example/cb?x=1",
        "https://evil.example/.shop.example/cb?x=1",
        "https://evil.example?.shop.example/cb?x=1",
        "https://evil.example#.shop.example/cb?x=1",
        "https://evil.example\\.shop.example/cb?x=1",
        "https://user@a.shop.example/cb?x=1",
        "https://evil:80@a.shop.example/cb?x=1",
        "https://-a.shop.example/cb?x=1",
        "https://a-.shop.example/cb?x=1",
        "https://A.shop.example/cb?x=1",
        "https://a_b.shop.example/cb?x=1",
        "https://a%2eb.shop.example/cb?x=1",
        "https://a\u{3002}b.shop.example/cb?x=1",
        "https://a\u{ff0e}shop.example/cb?x=1",
        "https://a\t.shop.example/cb?x=1",
        "https:// a.shop.example/cb?x=1",
        "https:///a.shop.example/cb?x=1",
        "https:a.shop.example/cb?x=1",
        "HTTPS://a.shop.example/cb?x=1",
    ] {
        assert!(!matches(registered, bad), "{bad}");
    }
    assert!(!matches(
        registered,
        &format!("https://{}.shop.example/cb?x=1", "a".repeat(64))
    ));
}

#[test]
fn broken_registrations_match_nothing() {
    let patterns = [
        "not a uri".to_owned(),
        "https://evil.example/#".to_owned(),
        String::new(),
    ];
    for pattern in &patterns {
        assert!(!redirect::find_match(&patterns, pattern), "{pattern}");
    }
    assert!(!redirect::find_match(&[], "https://shop.example/"));
}

#[test]
fn the_nearest_registered_uri_is_found_for_the_error_page() {
    let patterns: Vec<String> = ["https://a.example/cb", "https://shop.example/callback"]
        .map(str::to_owned)
        .into();
    assert_eq!(
        redirect::nearest(&patterns, "https://shop.example/callbak"),
        Some("https://shop.example/callback")
    );
    assert_eq!(redirect::nearest(&[], "https://shop.example/"), None);
    let huge = format!("https://shop.example/{}", "ü".repeat(8000));
    assert!(redirect::nearest(&patterns, &huge).is_some());
}
