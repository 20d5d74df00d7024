//! One line in the log per request: from where, and where a refusal leads.

use doorward_testkit::each_app;

use crate::http_client::Client;
use crate::log;

#[tokio::test]
async fn a_request_leaves_one_line_with_address_and_code() {
    let lines = log::lines();
    each_app(async |app| {
        let mut stranger = Client::new(&app);
        stranger.peer = std::net::SocketAddr::from(([198, 51, 100, 77], 4000));
        let own = "198.51.100.77";
        // What a stranger claims does not count.
        stranger.headers.push(("x-forwarded-for", "203.0.113.77".into()));
        let before = lines.of("/application/o/authorize/", own).len();
        let refused = stranger
            .get("/application/o/authorize/?client_id=nobody&secret=hush")
            .await;
        let known = lines.of("/application/o/authorize/", own);
        assert_eq!(known.len(), before + 1, "one line");
        let line = known.last().expect("a line");
        let code = line
            .split("code=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap_or_else(|| panic!("no code in {line}"));
        assert!(refused.body.contains(code), "{line}");
        assert!(line.contains("status=400"), "{line}");
        assert!(!line.contains("hush"), "no query: {line}");

        let mut proxied = stranger.clone();
        proxied.peer = std::net::SocketAddr::from(([10, 0, 0, 1], 4000));
        proxied.get("/nothing/here").await;
        let known = lines.of("unknown", "203.0.113.77");
        let line = known.last().expect("a line for what is not there");
        assert!(line.contains("status=404") && !line.contains("nothing"), "{line}");
        stranger.get("/-/health/live/").await;
        assert!(lines.of("/-/health/live/", own).is_empty(), "probes are quiet");
    })
    .await;
}
