//! Serves the shop on loopback until Ctrl-C.

use pico_args::Arguments;
use tokio::{net::TcpListener, signal::ctrl_c};
use web_service::{Database, Shop, router};

const USAGE: &str = "usage: web-service [--fixed] [--port PORT]";

#[tokio::main]
async fn main() {
    let mut arguments = Arguments::from_env();
    let fixed = arguments.contains("--fixed");
    let port = arguments.opt_value_from_str("--port").expect(USAGE).unwrap_or(3000);
    assert!(arguments.finish().is_empty(), "{USAGE}");

    let database = Database::open().await.expect("SQLite can open a new file");
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    println!("listening on {}", listener.local_addr().expect("the listener is bound"));
    axum::serve(listener, router(Shop::new(database), fixed))
        .with_graceful_shutdown(async { ctrl_c().await.expect("signals can be awaited") })
        .await
        .expect("the service runs until it is stopped");
}
