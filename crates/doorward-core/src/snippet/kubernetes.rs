//! Kubernetes: annotations for ingress-nginx, a middleware and a route for Traefik. Not tried by the tests: they have no cluster.

use super::traefik::{entry_point, priority, rule, spellings};
use super::{ASKED_HEADERS, Door, Host, IDENTITY_HEADERS, Snippet, SnippetFile, fill, lines};

pub(super) fn files(snippet: &Snippet<'_>) -> Vec<SnippetFile> {
    let doors = snippet.doors();
    let mut upstreams: Vec<&str> = snippet.sites.iter().map(|site| site.upstream).collect();
    upstreams.sort_unstable();
    upstreams.dedup();
    let text = fill(
        include_str!("kubernetes.yaml"),
        &[
            ("heading", &snippet.heading()),
            ("doorward", snippet.doorward),
            ("upstream", &upstreams.join(", ")),
            ("nginx", &lines(&doors, |door| nginx(snippet, door))),
            ("asked", &lines(ASKED_HEADERS, |header| format!("- {header}"))),
            ("regex", &spellings()),
            (
                "identity",
                &lines(IDENTITY_HEADERS, |header| format!("- {header}")),
            ),
            ("traefik", &lines(&doors, traefik)),
        ],
    );
    vec![SnippetFile {
        path: "doorward.yaml",
        text,
    }]
}

/// The name and the port of a service in the cluster.
fn service(upstream: &str) -> (&str, &str) {
    let (host, port) = upstream.rsplit_once(':').unwrap_or((upstream, "80"));
    (host.split('.').next().unwrap_or(host), port)
}

fn nginx(snippet: &Snippet<'_>, door: &Door<'_>) -> String {
    let host = match door.kind() {
        Host::Exact(host) => host.to_owned(),
        Host::Star(parent) | Host::Parent(parent) => format!("*.{parent}"),
    };
    let paths = lines(&door.places, |place| {
        let (name, port) = service(place.upstream);
        format!(
            "- path: \"{}/\"\n  pathType: Prefix\n  backend: {{ service: {{ name: \"{name}\", port: {{ number: {port} }} }} }}",
            place.stem()
        )
    });
    fill(
        include_str!("kubernetes-nginx.yaml"),
        &[
            ("name", &door.name('-')),
            ("host", &host),
            ("doorward", snippet.doorward),
            ("scheme", door.scheme()),
            ("port_suffix", &door.port_suffix()),
            ("identity", &IDENTITY_HEADERS.join(",")),
            ("paths", &paths),
        ],
    )
}

fn traefik(door: &Door<'_>) -> String {
    let routes = lines(&door.places, |place| {
        let (name, port) = service(place.upstream);
        let below = match place.stem() {
            "" => String::new(),
            stem => format!(" && (Path(`{stem}`) || PathPrefix(`{stem}/`))"),
        };
        format!(
            "- match: {}{below}\n  kind: Rule\n  priority: {}\n  middlewares:\n    - name: doorward-check\n      namespace: doorward\n  services:\n    - name: \"{name}\"\n      port: {port}",
            rule(door),
            priority(door, place)
        )
    });
    fill(
        include_str!("kubernetes-traefik.yaml"),
        &[
            ("name", &door.name('-')),
            ("entry_point", &entry_point(door)),
            ("rule", &rule(door)),
            ("routes", &routes),
        ],
    )
}
