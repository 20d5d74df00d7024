//! Caddy: `forward_auth`, spelled out so that forged headers are removed in every version.

use std::collections::BTreeSet;

use super::{Door, FORWARDED_HEADERS, Host, IDENTITY_HEADERS, Place, Snippet, SnippetFile, fill, lines};

pub(super) fn files(snippet: &Snippet<'_>) -> Vec<SnippetFile> {
    let mut taken = BTreeSet::new();
    let doors: Vec<String> = snippet
        .doors()
        .iter()
        .map(|one| door(snippet, one, &mut taken))
        .collect();
    let text = fill(
        include_str!("caddy.Caddyfile"),
        &[("heading", &snippet.heading()), ("doors", &doors.join("\n"))],
    );
    vec![SnippetFile {
        path: "/etc/caddy/Caddyfile",
        text,
    }]
}

fn door(snippet: &Snippet<'_>, door: &Door<'_>, taken: &mut BTreeSet<String>) -> String {
    // A star stands for exactly one label in Caddy.
    let hosts = match door.kind() {
        Host::Exact(host) => vec![host.to_owned()],
        Host::Star(parent) => vec![format!("*.{parent}")],
        Host::Parent(parent) => ["", "*.", "*.*."]
            .iter()
            .map(|stars| format!("{stars}{parent}"))
            .collect(),
    };
    let address = |host: String| format!("{}://{host}{}", door.scheme(), door.port_suffix());
    // Caddy refuses an address that stands twice; the more special site came first.
    let addresses: Vec<String> = hosts
        .into_iter()
        .map(address)
        .filter(|address| taken.insert(address.clone()))
        .collect();
    let mut places = lines(door.places.iter().enumerate(), |(index, one)| {
        place(snippet, index, one)
    });
    if door.places.iter().all(|place| !place.stem().is_empty()) {
        places.push_str("\n# Other paths of this host are not guarded by this application and not served here.\nhandle {\n\trespond 404\n}");
    }
    let bind = snippet.bind.map(|bind| format!("bind {bind}"));
    fill(
        include_str!("caddy-door.Caddyfile"),
        &[
            ("addresses", &addresses.join(", ")),
            ("bind", &bind.unwrap_or_default()),
            ("tls", &tls(snippet, door)),
            ("doorward", snippet.doorward),
            ("places", &places),
        ],
    )
}

fn tls(snippet: &Snippet<'_>, door: &Door<'_>) -> String {
    match (door.https, snippet.certificate, door.kind()) {
        (false, _, _) => String::new(),
        (true, Some((certificate, key)), _) => format!("tls {certificate} {key}"),
        (true, None, Host::Exact(_)) => String::new(),
        (true, None, _) => {
            "# A certificate for a wildcard needs the DNS challenge (`tls { dns … }`) or files: `tls CERTIFICATE KEY`.".to_owned()
        }
    }
}

fn place(snippet: &Snippet<'_>, index: usize, place: &Place<'_>) -> String {
    let name = format!("@guarded{index}");
    let stem = place.stem();
    let (matcher, name) = if stem.is_empty() {
        (String::new(), String::new())
    } else {
        (format!("{name} path {stem} {stem}/*"), name)
    };
    let text = fill(
        include_str!("caddy-place.Caddyfile"),
        &[
            ("matcher", &matcher),
            ("name", &name),
            ("doorward", snippet.doorward),
            ("upstream", place.upstream),
            (
                "blank",
                &lines(
                    FORWARDED_HEADERS
                        .into_iter()
                        .filter(|header| *header != "X-Forwarded-Host"),
                    |header| format!("request_header -{header}"),
                ),
            ),
            (
                "identity",
                &lines(IDENTITY_HEADERS, |header| {
                    let header = canonical(header);
                    // What is absent is `<nil>` to Caddy 2.6; newer ones write the placeholder itself when it is taken anyway.
                    let told = format!("{{http.reverse_proxy.header.{header}}}");
                    format!(
                        "@told_{header} not vars {told} \"\" \"<nil>\"\nrequest_header @told_{header} {header} {told}"
                    )
                }),
            ),
        ],
    );
    text.replace("handle  {", "handle {")
}

/// The spelling that Go gives a header; Caddy's placeholders know no other.
fn canonical(header: &str) -> String {
    let mut first = true;
    header
        .chars()
        .map(|letter| {
            let shown = if first {
                letter.to_ascii_uppercase()
            } else {
                letter.to_ascii_lowercase()
            };
            first = letter == '-';
            shown
        })
        .collect()
}
