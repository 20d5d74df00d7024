//! nginx: `auth_request`.

use super::{
    CONTROL_HEADERS, Door, FORWARDED_HEADERS, Host, IDENTITY_HEADERS, Place, Snippet, SnippetFile, fill,
    lines,
};

pub(super) fn files(snippet: &Snippet<'_>) -> Vec<SnippetFile> {
    let servers = lines(snippet.doors(), |door| server(snippet, &door));
    let text = fill(
        include_str!("nginx.conf"),
        &[("heading", &snippet.heading()), ("servers", &servers)],
    );
    vec![SnippetFile {
        path: "/etc/nginx/conf.d/doorward.conf",
        text,
    }]
}

fn server(snippet: &Snippet<'_>, door: &Door<'_>) -> String {
    let name = door.name('_');
    let listen = format!(
        "{}{}",
        snippet.listen(door.port),
        if door.https { " ssl http2" } else { "" }
    );
    let server_name = match door.kind() {
        Host::Exact(host) => host.to_owned(),
        // In order of appearance, which is from the special to the general.
        Host::Star(_) | Host::Parent(_) => format!("\"~{}\"", door.pattern()),
    };
    let certificate = if door.https {
        let (certificate, key) = door.certificate(snippet.certificate);
        format!("ssl_certificate {certificate};\nssl_certificate_key {key};")
    } else {
        String::new()
    };
    // nginx takes `$host` from the request line before the header, as it does to choose the server: the two cannot differ.
    let authority = format!("$host{}", door.port_suffix());
    let mut locations = lines(&door.places, |place| location(door, place, &authority));
    if door.places.iter().all(|place| !place.stem().is_empty()) {
        locations.push_str("\n\n# Other paths of this host are not guarded by this application and not served here.\nlocation / {\n    return 404;\n}");
    }
    let to_doorward = fill(
        TO_DOORWARD,
        &[("authority", &authority), ("scheme", door.scheme())],
    );
    fill(
        include_str!("nginx-server.conf"),
        &[
            ("name", &name),
            ("doorward", snippet.doorward),
            ("listen", &listen),
            ("server_name", &server_name),
            ("certificate", &certificate),
            ("pattern", &door.pattern()),
            ("locations", &locations),
            ("to_doorward", &to_doorward),
        ],
    )
}

/// What every call of Doorward is told, from the proxy's own knowledge.
const TO_DOORWARD: &str = "proxy_set_header Host <<authority>>;
proxy_set_header Connection \"\";
proxy_set_header X-Original-URL <<scheme>>://<<authority>>$request_uri;
proxy_set_header X-Original-Method $request_method;
proxy_set_header X-Forwarded-Host <<authority>>;
proxy_set_header X-Forwarded-Proto <<scheme>>;
proxy_set_header X-Forwarded-Uri $request_uri;
proxy_set_header X-Forwarded-For $remote_addr;
";

fn location(door: &Door<'_>, place: &Place<'_>, authority: &str) -> String {
    let known = ["X-Forwarded-Host", "X-Real-IP"];
    let blank = FORWARDED_HEADERS
        .into_iter()
        .filter(|header| !known.contains(header))
        .chain(CONTROL_HEADERS);
    // `/wiki` as a prefix would match `/wikipedia`; a bare `/wiki` is served as well.
    let one = |matching: &str| {
        fill(
            include_str!("nginx-location.conf"),
            &[
                ("match", matching),
                ("name", &door.name('_')),
                ("upstream", place.upstream),
                ("authority", authority),
                ("scheme", door.scheme()),
                (
                    "set",
                    &lines(IDENTITY_HEADERS, |header| {
                        format!(
                            "auth_request_set ${} $upstream_http_{};",
                            variable(header),
                            snake(header)
                        )
                    }),
                ),
                (
                    "blank",
                    &lines(blank.clone(), |header| format!("proxy_set_header {header} \"\";")),
                ),
                (
                    "identity",
                    &lines(IDENTITY_HEADERS, |header| {
                        format!("proxy_set_header {header} ${};", variable(header))
                    }),
                ),
            ],
        )
    };
    match place.stem() {
        "" => one("/"),
        stem => format!("{}\n{}", one(&format!("= {stem}")), one(&format!("{stem}/"))),
    }
}

fn snake(header: &str) -> String {
    header.to_ascii_lowercase().replace('-', "_")
}

fn variable(header: &str) -> String {
    format!("doorward_{}", snake(header).trim_start_matches("x_doorward_"))
}
