//! Two clients deposit 50 each into an account of 100. Every way of depositing runs under the same
//! schedule: both requests read the account before one of them writes it.

use axum::{extract::Request, middleware::from_fn, response::Response};
use lockdep::interleave::{Schedule, at, inside_async};
use reqwest::Client;
use server_race::{Bank, Way, router};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};

/// How often each test runs: the race happens every time.
const TIMES: usize = 20;

fn both_read_before_one_writes(clients: [&str; 2]) -> Schedule {
    let [first, second] = clients;
    Schedule::new()
        .order([at(first, "account read"), at(second, "about to write")])
        .order([at(second, "account read"), at(first, "about to write")])
        // A lock keeps the second request from reading: then the race cannot happen, and both
        // continue.
        .yield_to_locks()
}

/// Brings a request into the schedule, in a role named after the client.
async fn in_role(request: Request, next: axum::middleware::Next) -> Response {
    let client = request.headers().get("x-client").and_then(|name| name.to_str().ok());
    match client.map(ToOwned::to_owned) {
        Some(client) => inside_async(&client, next.run(request)).await,
        None => next.run(request).await,
    }
}

/// Starts the service, makes two deposits, and returns the balance.
async fn balance_after_two_deposits(way: Way, clients: [&str; 2]) -> i64 {
    let bank = Bank::open(way).unwrap();
    bank.add_account("shared", 100).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/accounts/shared", listener.local_addr().unwrap());
    let service = router(bank).layer(from_fn(in_role));
    tokio::spawn(async move { axum::serve(listener, service).await });

    let deposits = clients.map(|client| {
        let request = Client::new().post(format!("{url}/deposits?amount=50"));
        tokio::spawn(request.header("x-client", client).send())
    });
    for deposit in deposits {
        // Each deposit succeeds, as far as its client can tell.
        deposit.await.unwrap().unwrap().error_for_status().unwrap();
    }
    let balance = reqwest::get(url).await.unwrap().text().await.unwrap();
    balance.parse().unwrap()
}

/// Returns the balances after each run, on both kinds of runtime.
fn balances(way: Way) -> Vec<i64> {
    let one_thread = || Builder::new_current_thread().enable_all().build().unwrap();
    let two_threads =
        || Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let runtimes: [&dyn Fn() -> Runtime; 2] = [&one_thread, &two_threads];
    // Concurrent schedules must not share the names of roles.
    let clients = [&*format!("{way:?} 1"), &*format!("{way:?} 2")];
    let runs = runtimes.iter().flat_map(|runtime| (0..TIMES).map(move |_| runtime()));
    let balance = |runtime: Runtime| {
        let deposits = || runtime.block_on(balance_after_two_deposits(way, clients));
        both_read_before_one_writes(clients).run(deposits)
    };
    runs.map(balance).collect()
}

#[test]
fn an_update_is_lost_every_time() {
    assert_eq!(balances(Way::ReadThenWrite), [150; 2 * TIMES]);
}

#[test]
fn a_lock_keeps_both() {
    assert_eq!(balances(Way::Locked), [200; 2 * TIMES]);
}

#[test]
fn a_retry_keeps_both() {
    assert_eq!(balances(Way::Retried), [200; 2 * TIMES]);
}

#[test]
fn one_statement_keeps_both() {
    assert_eq!(balances(Way::OneStatement), [200; 2 * TIMES]);
}
