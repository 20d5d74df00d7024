//! Envoy: `ext_authz` over HTTP.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ASKED_HEADERS, CONTROL_HEADERS, Door, FORWARDED_HEADERS, Host, IDENTITY_HEADERS, Place, Snippet,
    SnippetFile, fill, lines,
};

pub(super) fn files(snippet: &Snippet<'_>) -> Vec<SnippetFile> {
    let doors = snippet.doors();
    let mut ports: BTreeMap<u16, Vec<&Door<'_>>> = BTreeMap::new();
    for door in &doors {
        ports.entry(door.port).or_default().push(door);
    }
    let services = doors.iter().flat_map(|door| {
        door.places.iter().enumerate().map(|(index, place)| {
            format!(
                "# The service. Its address is {}.\n- name: {}\n  type: STRICT_DNS\n  connect_timeout: 5s\n  {}",
                place.upstream,
                cluster(door, index),
                endpoint(place.upstream).replace('\n', "\n  ")
            )
        })
    });
    let text = fill(
        include_str!("envoy.yaml"),
        &[
            ("heading", &snippet.heading()),
            (
                "listeners",
                &lines(ports, |(port, doors)| listener(snippet, port, &doors)),
            ),
            ("doorward_endpoint", &endpoint(snippet.doorward)),
            ("services", &lines(services, |service| service)),
        ],
    );
    vec![SnippetFile {
        path: "/etc/envoy/envoy.yaml",
        text,
    }]
}

fn cluster(door: &Door<'_>, index: usize) -> String {
    format!("{}_{index}", door.name('_'))
}

fn endpoint(address: &str) -> String {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "80"));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    format!(
        "load_assignment:\n  cluster_name: \"{address}\"\n  endpoints:\n    - lb_endpoints:\n        - endpoint:\n            address:\n              socket_address: {{ address: \"{host}\", port_value: {port} }}"
    )
}

fn listener(snippet: &Snippet<'_>, port: u16, doors: &[&Door<'_>]) -> String {
    let secure: Vec<&Door<'_>> = doors.iter().copied().filter(|door| door.https).collect();
    let plain: Vec<&Door<'_>> = doors.iter().copied().filter(|door| !door.https).collect();
    // With TLS each host has a certificate and therefore a chain of its own; Envoy refuses a name that stands in two of them.
    let mut taken = BTreeSet::new();
    let mut chains = Vec::new();
    for door in &secure {
        let mut names = domains(door);
        names.retain(|name| taken.insert(name.clone()));
        if !names.is_empty() {
            chains.push(chain(snippet, port, &secure, &tls(snippet, door, &names)));
        }
    }
    if !plain.is_empty() {
        chains.push(chain(snippet, port, &plain, ""));
    }
    let inspector = if secure.is_empty() {
        ""
    } else {
        "listener_filters:\n  - name: envoy.filters.listener.tls_inspector\n    typed_config:\n      \"@type\": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
    };
    fill(
        include_str!("envoy-listener.yaml"),
        &[
            ("port", &port.to_string()),
            ("bind", snippet.bind.unwrap_or("0.0.0.0")),
            ("inspector", inspector),
            ("chains", &chains.join("\n")),
        ],
    )
}

fn tls(snippet: &Snippet<'_>, door: &Door<'_>, names: &[String]) -> String {
    let (certificate, key) = door.certificate(snippet.certificate);
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    fill(
        include_str!("envoy-tls.yaml"),
        &[
            ("server_names", &names.join(", ")),
            ("certificate", &certificate),
            ("key", &key),
        ],
    )
}

fn chain(snippet: &Snippet<'_>, port: u16, doors: &[&Door<'_>], tls: &str) -> String {
    let exact = |header: &str| format!("- exact: {}", header.to_ascii_lowercase());
    let forwarded = ["X-Forwarded-For", "X-Forwarded-Proto"];
    let forged = IDENTITY_HEADERS.into_iter().chain(CONTROL_HEADERS);
    fill(
        include_str!("envoy-chain.yaml"),
        &[
            ("port", &port.to_string()),
            (
                "forged",
                &lines(forged.chain(FORWARDED_HEADERS), |header| {
                    format!("- remove: {}", header.to_ascii_lowercase())
                }),
            ),
            ("asked", &lines(ASKED_HEADERS.into_iter().chain(forwarded), exact)),
            ("doorward", snippet.doorward),
            ("identity", &lines(IDENTITY_HEADERS, exact)),
            ("hosts", &hosts(doors)),
            ("tls", tls),
        ],
    )
}

/// How Envoy writes the hosts of a door; its star stands for several labels too.
fn domains(door: &Door<'_>) -> Vec<String> {
    match door.kind() {
        Host::Exact(host) => vec![host.to_owned()],
        Host::Star(parent) => vec![format!("*.{parent}")],
        Host::Parent(parent) => vec![parent.to_owned(), format!("*.{parent}")],
    }
}

/// Virtual hosts. Several doors may share a domain of Envoy's: the most specific one comes first, and each looks at the host.
fn hosts(doors: &[&Door<'_>]) -> String {
    let mut found: Vec<(String, Vec<&Door<'_>>)> = Vec::new();
    for door in doors {
        for domain in domains(door) {
            match found.iter_mut().find(|(known, _)| *known == domain) {
                Some((_, sharing)) => sharing.push(door),
                None => found.push((domain, vec![door])),
            }
        }
    }
    lines(&found, |(domain, doors)| {
        let routes = lines(doors, |door| {
            lines(door.places.iter().enumerate(), |(index, place)| {
                route(door, index, place)
            })
        });
        format!(
            "- name: \"{domain}\"\n  domains: [\"{domain}\"]\n  routes:\n    # Signing in and out: the check itself answers these paths.\n    - match: {{ prefix: /.doorward/ }}\n      route: {{ cluster: doorward }}\n    - match: {{ prefix: /outpost.goauthentik.io/ }}\n      route: {{ cluster: doorward }}\n    {}",
            routes.replace('\n', "\n    ")
        )
    })
}

fn route(door: &Door<'_>, index: usize, place: &Place<'_>) -> String {
    let path = match place.stem() {
        "" => "prefix: /".to_owned(),
        stem => format!("path_separated_prefix: \"{stem}\""),
    };
    let host = match door.kind() {
        Host::Exact(_) => String::new(),
        Host::Star(_) | Host::Parent(_) => {
            let pattern = door.pattern().replace('$', "(:[0-9]+)?$");
            format!(
                "\n    headers:\n      - name: \":authority\"\n        string_match: {{ safe_regex: {{ regex: '(?i){pattern}' }} }}"
            )
        }
    };
    format!(
        "- match:\n    {path}{host}\n  route: {{ cluster: {}, timeout: 0s }}",
        cluster(door, index)
    )
}
