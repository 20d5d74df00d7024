//! The calls of a door as an OpenAPI document, and as a page (contract section 5.11).

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::{Answer, CALLS, escape_html, plugin_of, plugins};

/// Calls that are on, with their paths as OpenAPI writes them.
fn calls(call: &Call) -> Vec<(&'static str, String, &'static str)> {
    let settings = call.door.settings();
    let on = |path: &str| plugin_of(path).is_none_or(|plugin| settings.has(plugin));
    CALLS
        .iter()
        .chain(plugins::CALLS)
        .filter(|(_, path)| on(path))
        .map(|(method, path)| {
            let shown = match path.strip_suffix('/') {
                Some(start) if start.ends_with("reset-password") => format!("{start}/{{token}}"),
                Some(start) => format!("{start}/{{providerId}}"),
                None => (*path).to_owned(),
            };
            (*method, shown, plugin_of(path).unwrap_or("core"))
        })
        .collect()
}

pub(super) fn schema(call: &Call) -> Answer {
    let mut paths: Map<String, Value> = Map::new();
    for (method, path, tag) in calls(call) {
        let entry = paths.entry(path.clone()).or_insert_with(|| json!({}));
        let mut operation = json!({
            "tags": [tag],
            "security": [{ "bearerAuth": [] }, { "apiKeyCookie": [] }],
            "responses": { "200": { "description": "Success" }, "400": { "description": "The body says what is wrong: message, code" } },
        });
        if let Some(start) = path.find('{')
            && let (Some(operation), Some(name)) =
                (operation.as_object_mut(), path.get(start + 1..path.len() - 1))
        {
            let parameter =
                json!([{ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }]);
            operation.insert("parameters".to_owned(), parameter);
        }
        if method == "POST"
            && let Some(operation) = operation.as_object_mut()
        {
            let body = json!({ "content": { "application/json": { "schema": { "type": "object" } } } });
            operation.insert("requestBody".to_owned(), body);
        }
        if let Some(entry) = entry.as_object_mut() {
            entry.insert(method.to_ascii_lowercase(), operation);
        }
    }
    let session = call.cookie_name("session_token");
    Answer::Json(json!({
        "openapi": "3.1.1",
        "info": { "title": call.door.application.name, "description": "Calls of this application's door at Doorward", "version": "1.1.0" },
        "components": {
            "schemas": {},
            "securitySchemes": {
                "apiKeyCookie": { "type": "apiKey", "in": "cookie", "name": session, "description": "The session's cookie" },
                "bearerAuth": { "type": "http", "scheme": "bearer", "description": "The session's token" },
            },
        },
        "security": [{ "apiKeyCookie": [], "bearerAuth": [] }],
        "servers": [{ "url": call.door.url() }],
        "tags": [{ "name": "core", "description": "Always on" }],
        "paths": paths,
    }))
}

pub(super) fn page(call: &Call) -> Answer {
    let rows: String = calls(call)
        .iter()
        .map(|(method, path, tag)| {
            let path = escape_html(path);
            format!("<tr><td>{method}</td><td><code>{path}</code></td><td>{tag}</td></tr>")
        })
        .collect();
    let name = escape_html(&call.door.application.name);
    let url = escape_html(&call.door.url());
    Answer::Page(
        StatusCode::OK,
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>Calls of {name}</title></head><body><main><h1>Calls of {name}</h1><p>Under <code>{url}</code>; \
             <a href=\"{url}/open-api/generate-schema\">as OpenAPI</a>.</p>\
             <table><thead><tr><th>Method</th><th>Path</th><th>Part</th></tr></thead><tbody>{rows}</tbody></table></main></body></html>"
        ),
    )
}
