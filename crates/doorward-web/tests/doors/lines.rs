//! One line in the log per request: from where, and where a refusal leads.

use doorward_testkit::each_app;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

use crate::http_client::Client;

/// A log in memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the lines").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Lines {
    /// Lines of a route by one caller.
    fn of(&self, route: &str, client: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0.lock().expect("the lines")).into_owned();
        let (route, client) = (format!("route=\"{route}\""), format!("client={client}"));
        text.lines()
            .filter(|line| line.contains(&route) && line.contains(&client))
            .map(str::to_owned)
            .collect()
    }
}

#[tokio::test]
async fn a_request_leaves_one_line_with_address_and_code() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(lines.clone())
        .finish();
    // For the whole test program: callsites that other tests saw first forget loggers of single threads.
    tracing::subscriber::set_global_default(subscriber).expect("the first logger");
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
