//! Traefik: `forwardAuth`.

use std::collections::BTreeMap;

use super::{
    ASKED_HEADERS, CONTROL_HEADERS, Door, FORWARDED_HEADERS, Host, IDENTITY_HEADERS, Place, Snippet,
    SnippetFile, fill, lines,
};

/// The identity headers in every spelling that some service reads as the same name. Nothing else: what fits is also taken over from
/// Doorward's answer.
pub(super) fn spellings() -> String {
    let names: Vec<String> = IDENTITY_HEADERS
        .iter()
        .map(|header| header.to_ascii_lowercase().replace('-', "[^a-z0-9]"))
        .collect();
    format!("(?i)^({})$", names.join("|"))
}

pub(super) fn files(snippet: &Snippet<'_>) -> Vec<SnippetFile> {
    let doors = snippet.doors();
    let mut entry_points: BTreeMap<String, String> = BTreeMap::new();
    for door in &doors {
        let listen = snippet.bind.unwrap_or_default();
        entry_points.insert(entry_point(door), format!("{listen}:{}", door.port));
    }
    let services = doors.iter().flat_map(|door| {
        door.places.iter().enumerate().map(|(index, place)| {
            format!(
                "# The service. Its address is {0}.\n{1}:\n  loadBalancer:\n    servers:\n      - url: http://{0}",
                place.upstream,
                service(door, index)
            )
        })
    });
    // Traefik itself sets these from its own knowledge, before its middlewares.
    let known = [
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Real-IP",
    ];
    let blank = FORWARDED_HEADERS
        .into_iter()
        .filter(|header| !known.contains(header))
        .chain(CONTROL_HEADERS);
    let text = fill(
        include_str!("traefik.yml"),
        &[
            ("heading", &snippet.heading()),
            (
                "entry_points",
                &lines(entry_points, |(name, address)| {
                    format!("#     {name}:\n#       address: \"{address}\"")
                }),
            ),
            ("routers", &lines(&doors, |one| door(snippet, one))),
            ("doorward", snippet.doorward),
            ("asked", &lines(ASKED_HEADERS, |header| format!("- {header}"))),
            (
                "identity",
                &lines(IDENTITY_HEADERS, |header| format!("- {header}")),
            ),
            ("certificates", &certificates(snippet)),
            ("regex", &spellings()),
            ("blank", &lines(blank, |header| format!("{header}: \"\""))),
            ("services", &lines(services, |service| service)),
        ],
    );
    vec![SnippetFile {
        path: "/etc/traefik/dynamic/doorward.yml",
        text,
    }]
}

fn certificates(snippet: &Snippet<'_>) -> String {
    match snippet.certificate {
        Some((certificate, key)) if snippet.sites.iter().any(|site| site.https) => {
            format!("\ntls:\n  certificates:\n    - certFile: {certificate}\n      keyFile: {key}")
        }
        _ => String::new(),
    }
}

/// Traefik's usual names for the usual ports.
pub(super) fn entry_point(door: &Door<'_>) -> String {
    match (door.https, door.port) {
        (false, 80) => "web".to_owned(),
        (true, 443) => "websecure".to_owned(),
        (_, port) => format!("port{port}"),
    }
}

fn service(door: &Door<'_>, index: usize) -> String {
    match index {
        0 => door.name('-'),
        _ => format!("{}-{index}", door.name('-')),
    }
}

/// The rule for the host of a door.
pub(super) fn rule(door: &Door<'_>) -> String {
    match door.kind() {
        Host::Exact(host) => format!("Host(`{host}`)"),
        Host::Star(_) | Host::Parent(_) => format!("HostRegexp(`{}`)", door.pattern()),
    }
}

/// The most specific host wins, then the longer path; by itself Traefik would take the longer rule.
pub(super) fn priority(door: &Door<'_>, place: &Place<'_>) -> usize {
    let kind = match door.kind() {
        Host::Exact(_) => 30_000,
        Host::Star(_) => 20_000,
        Host::Parent(_) => 10_000,
    };
    kind + door.host.len().min(90) * 100 + place.stem().len().min(99)
}

fn door(snippet: &Snippet<'_>, door: &Door<'_>) -> String {
    let tls = match (door.https, snippet.certificate) {
        (false, _) => "",
        (true, Some(_)) => "tls: {}    # the certificate is named in `tls.certificates`",
        (true, None) => "tls: {}    # or `tls: { certResolver: … }`",
    };
    let places = lines(door.places.iter().enumerate(), |(index, place)| {
        let below = match place.stem() {
            "" => String::new(),
            stem => format!(" && (Path(`{stem}`) || PathPrefix(`{stem}/`))"),
        };
        format!(
            "# The guarded site.\n{name}:\n  rule: {rule}{below}\n  priority: {priority}\n  entryPoints:\n    - {entry}\n  middlewares:\n    - doorward-clean\n    - doorward-check\n  service: {name}\n  {tls}",
            name = service(door, index),
            rule = rule(door),
            priority = priority(door, place),
            entry = entry_point(door),
        )
        .trim_end()
        .to_owned()
    });
    fill(
        include_str!("traefik-door.yml"),
        &[
            ("name", &door.name('-')),
            ("rule", &rule(door)),
            ("entry_point", &entry_point(door)),
            ("tls", tls),
            ("places", &places),
        ],
    )
}
