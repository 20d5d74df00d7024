//! Tests of the texts for proxies.

use super::*;

const SITES: &[SnippetSite<'_>] = &[
    SnippetSite {
        host: "wiki.example.org",
        port: None,
        https: true,
        path: "/",
        upstream: "10.0.0.7:8080",
    },
    SnippetSite {
        host: ".example.org",
        port: None,
        https: true,
        path: "/",
        upstream: "10.0.0.8:8081",
    },
    SnippetSite {
        host: "*.example.org",
        port: None,
        https: true,
        path: "/",
        upstream: "10.0.0.9:8082",
    },
    SnippetSite {
        host: "tools.example.net",
        port: Some(8443),
        https: true,
        path: "/grafana/",
        upstream: "10.0.0.1:3000",
    },
    SnippetSite {
        host: "tools.example.net",
        port: Some(8443),
        https: true,
        path: "/grafana/admin",
        upstream: "10.0.0.2:3001",
    },
    SnippetSite {
        host: "plain.example.net",
        port: Some(8080),
        https: false,
        path: "",
        upstream: "[::1]:3000",
    },
];

fn snippet(proxy: Proxy) -> Snippet<'static> {
    Snippet {
        proxy,
        doorward: "127.0.0.1:9000",
        public_url: "https://id.example.org",
        sites: SITES,
        bind: None,
        certificate: None,
    }
}

#[test]
fn every_word_names_its_proxy() {
    for proxy in Proxy::ALL {
        assert_eq!(proxy.as_str().parse(), Ok(*proxy));
    }
    assert!("apache".parse::<Proxy>().is_err());
}

#[test]
fn every_template_is_filled() {
    for proxy in Proxy::ALL {
        let text = snippet(*proxy).text();
        assert!(!text.contains("<<"), "{proxy:?}\n{text}");
        for site in SITES {
            assert!(
                text.contains(site.upstream) || text.contains("\"::1\""),
                "{proxy:?} {}",
                site.upstream
            );
            assert!(
                text.contains(site.host.trim_start_matches(['*', '.'])),
                "{proxy:?} {}",
                site.host
            );
        }
        assert!(text.contains("127.0.0.1:9000") && text.contains("https://id.example.org"));
        assert!(text.contains("DOORWARD_TRUSTED_PROXIES"));
        assert!(text.contains("/.doorward/auth/"));
    }
}

/// What overwrites one header, per proxy; counted once per guarded place where the proxy has it per place.
#[test]
fn every_identity_header_is_overwritten_everywhere() {
    for header in IDENTITY_HEADERS {
        let low = header.to_ascii_lowercase();
        let nginx = snippet(Proxy::Nginx).text();
        // Three sites of a whole host; two of a path, each with and without the slash at its end; one of a whole host.
        assert_eq!(
            nginx
                .matches(&format!("    proxy_set_header {header} $doorward_"))
                .count(),
            8,
            "{header}"
        );
        let caddy = snippet(Proxy::Caddy).text();
        let set = format!("request_header @told_{low} {low} {{http.reverse_proxy.header.{low}}}");
        assert_eq!(caddy.to_ascii_lowercase().matches(&set).count(), 6, "{header}");
        let traefik = snippet(Proxy::Traefik).text();
        assert_eq!(
            traefik.matches(&format!("          - {header}\n")).count(),
            1,
            "{header}"
        );
        let envoy = snippet(Proxy::Envoy).text();
        // One chain per host with TLS, one for the plain port.
        assert_eq!(
            envoy.matches(&format!("- remove: {low}\n")).count(),
            5,
            "{header}"
        );
        assert_eq!(envoy.matches(&format!("- exact: {low}\n")).count(), 5, "{header}");
        let haproxy = snippet(Proxy::Haproxy).text();
        assert_eq!(
            haproxy.matches(&format!("    \"{low}\",\n")).count(),
            1,
            "{header}"
        );
        let kubernetes = snippet(Proxy::Kubernetes).text();
        assert!(kubernetes.contains(&format!("      - {header}\n")), "{header}");
        assert!(kubernetes.contains(&format!("auth-response-headers: {}", IDENTITY_HEADERS.join(","))));
    }
}

#[test]
fn special_hosts_come_before_general_ones() {
    for proxy in [Proxy::Nginx, Proxy::Haproxy, Proxy::Envoy] {
        let text = snippet(proxy).text();
        let at = |upstream: &str| text.find(&format!("Its address is {upstream}")).unwrap();
        assert!(at("10.0.0.7:8080") < at("10.0.0.9:8082"), "{proxy:?}");
        assert!(at("10.0.0.9:8082") < at("10.0.0.8:8081"), "{proxy:?}");
        assert!(
            at("10.0.0.2:3001") < at("10.0.0.1:3000"),
            "the longer path first, {proxy:?}"
        );
    }
    let priority = |host: &str| {
        let text = snippet(Proxy::Traefik).text();
        let from = text.find(&format!("  rule: {host}\n")).unwrap();
        let line = text[from..].lines().nth(1).unwrap().trim().to_owned();
        line.strip_prefix("priority: ").unwrap().parse::<u32>().unwrap()
    };
    assert!(priority("Host(`wiki.example.org`)") > priority(r"HostRegexp(`^[^.]+\.example\.org$`)"));
    assert!(
        priority(r"HostRegexp(`^[^.]+\.example\.org$`)") > priority(r"HostRegexp(`^(.+\.)?example\.org$`)")
    );
}

#[test]
fn a_host_is_never_taken_from_a_look_alike() {
    let text = snippet(Proxy::Haproxy).text();
    assert!(text.contains(r"-m reg '^wiki\.example\.org$'"), "{text}");
    let text = snippet(Proxy::Nginx).text();
    assert!(
        text.contains(r#"if ($host !~ "^[^.]+\.example\.org$")"#),
        "{text}"
    );
}

#[test]
fn the_lua_file_stands_apart() {
    let files = snippet(Proxy::Haproxy).files();
    assert_eq!(files.len(), 2);
    let text = snippet(Proxy::Haproxy).text();
    assert!(text.contains("-- ======== /etc/haproxy/doorward.lua ========"));
}
