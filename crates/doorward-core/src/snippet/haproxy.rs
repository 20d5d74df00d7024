//! `HAProxy`: a frontend, and a Lua file that asks.

use std::collections::BTreeMap;

use super::{ASKED_HEADERS, Door, FORWARDED_HEADERS, IDENTITY_HEADERS, Snippet, SnippetFile, fill, lines};

pub(super) fn files(snippet: &Snippet<'_>) -> Vec<SnippetFile> {
    let doors = snippet.doors();
    let mut ports: BTreeMap<(u16, bool), Vec<&Door<'_>>> = BTreeMap::new();
    for door in &doors {
        ports.entry((door.port, door.https)).or_default().push(door);
    }
    let backends = doors.iter().flat_map(|door| {
        door.places.iter().enumerate().map(|(index, place)| {
            format!(
                "# The service. Its address is {0}.\nbackend {1}\n    mode http\n    timeout connect 5s\n    timeout server 1h\n    timeout tunnel 1h\n    server service {0}",
                place.upstream,
                backend(door, index)
            )
        })
    });
    let quoted = |header: &str| format!("\"{}\",", header.to_ascii_lowercase());
    vec![
        SnippetFile {
            path: "/etc/haproxy/haproxy.cfg",
            text: fill(
                include_str!("haproxy.cfg"),
                &[
                    ("heading", &snippet.heading()),
                    ("doorward", snippet.doorward),
                    (
                        "frontends",
                        &lines(ports, |((port, https), doors)| {
                            frontend(snippet, port, https, &doors)
                        }),
                    ),
                    ("backends", &lines(backends, |backend| backend)),
                ],
            ),
        },
        SnippetFile {
            path: "/etc/haproxy/doorward.lua",
            text: fill(
                include_str!("doorward.lua"),
                &[
                    (
                        "asked",
                        &lines(
                            ASKED_HEADERS.into_iter().chain([
                                "Host",
                                "X-Forwarded-For",
                                "X-Forwarded-Proto",
                                "X-Forwarded-Host",
                            ]),
                            quoted,
                        ),
                    ),
                    ("identity", &lines(IDENTITY_HEADERS, quoted)),
                ],
            ),
        },
    ]
}

fn backend(door: &Door<'_>, index: usize) -> String {
    format!("{}_{index}", door.name('_'))
}

fn frontend(snippet: &Snippet<'_>, port: u16, https: bool, doors: &[&Door<'_>]) -> String {
    let listen = snippet.bind.unwrap_or_default();
    // One line per certificate: HAProxy chooses by the name that the browser asks for.
    let mut bind = format!("bind {listen}:{port}");
    if https {
        bind.insert_str(0, "# Each .pem holds the certificate chain and the key.\n");
        bind.push_str(" ssl");
        let mut files: Vec<String> = doors
            .iter()
            .map(|door| match snippet.certificate {
                Some((certificate, _)) => certificate.to_owned(),
                None => format!(
                    "/etc/haproxy/certs/{}.pem",
                    door.host.trim_start_matches(['*', '.'])
                ),
            })
            .collect();
        files.dedup();
        for file in files {
            bind.push_str(" crt ");
            bind.push_str(&file);
        }
        bind.push_str(" alpn h2,http/1.1");
    }
    let sites = lines(doors, |door| {
        format!(
            "http-request set-var(txn.doorward_site) str({}) if !{{ var(txn.doorward_site) -m found }} {{ var(txn.doorward_host) -m reg '{}' }}",
            door.name('_'),
            door.pattern()
        )
    });
    let every = doors.iter().flat_map(|door| {
        door.places
            .iter()
            .enumerate()
            .map(move |(index, place)| (*door, index, place.stem()))
    });
    let used = lines(every.clone(), |(door, index, stem)| {
        let site = format!("{{ var(txn.doorward_site) -m str {} }}", door.name('_'));
        match stem {
            "" => format!("use_backend {} if {site}", backend(door, index)),
            stem => format!(
                "use_backend {0} if {site} {{ path {stem} }}\nuse_backend {0} if {site} {{ path_beg {stem}/ }}",
                backend(door, index)
            ),
        }
    });
    let suffix = doors.first().map(|door| door.port_suffix()).unwrap_or_default();
    fill(
        include_str!("haproxy-frontend.cfg"),
        &[
            ("port", &port.to_string()),
            ("bind", &bind),
            ("sites", &sites),
            ("doorward", snippet.doorward),
            (
                "blank",
                &lines(FORWARDED_HEADERS, |header| {
                    format!("http-request del-header {header}")
                }),
            ),
            ("port_suffix", &suffix),
            ("scheme", if https { "https" } else { "http" }),
            ("use", &used),
        ],
    )
}
