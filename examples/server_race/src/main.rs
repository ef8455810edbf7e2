//! Serves an account `shared` at `127.0.0.1:3000`, in the way that the first argument names.

use server_race::{Bank, Way, router};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() {
    let way = match std::env::args().nth(1).as_deref() {
        Some("read-then-write") => Way::ReadThenWrite,
        Some("locked") => Way::Locked,
        Some("retried") => Way::Retried,
        Some("one-statement") => Way::OneStatement,
        _ => {
            eprintln!("usage: server-race read-then-write|locked|retried|one-statement");
            std::process::exit(2);
        }
    };
    let bank = Bank::open(way).expect("a database in memory can be opened");
    bank.add_account("shared", 100).await.expect("the account is new");
    let listener = TcpListener::bind("127.0.0.1:3000").await.expect("the port is free");
    axum::serve(listener, router(bank)).await.expect("the service runs until it is stopped");
}
