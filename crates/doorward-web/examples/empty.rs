//! A handler that does nothing on the same HTTP stack as the server: the yardstick of `cargo xtask bench`.
//!
//! `cargo run --release -p doorward-web --example empty -- 127.0.0.1:9100`
#![expect(clippy::print_stdout, reason = "says where it listens")]

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9100".to_owned());
    let listener = TcpListener::bind(&address).await?;
    println!("http://{}", listener.local_addr()?);
    let router: Router = Router::new().route("/", get(|| async { StatusCode::OK }));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            // A client that goes away in the middle concerns nobody here.
            let _ = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
