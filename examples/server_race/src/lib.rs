//! A bank as an HTTP service, which loses an update between two requests: see `README.md`.

mod bank;

use axum::{
    Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;

pub use self::bank::{Bank, Way};

/// Returns the service: `GET /accounts/{name}` returns the balance, and `POST
/// /accounts/{name}/deposits?amount=50` adds to it.
pub fn router(bank: Bank) -> Router {
    Router::new()
        .route("/accounts/{name}", get(balance))
        .route("/accounts/{name}/deposits", post(deposit))
        .with_state(bank)
}

#[derive(Deserialize)]
struct Deposit {
    amount: i64,
}

async fn balance(State(bank): State<Bank>, Path(name): Path<String>) -> Result<String, StatusCode> {
    let balance = bank.balance(&name).await.map_err(internal)?;
    balance.map(|balance| balance.to_string()).ok_or(StatusCode::NOT_FOUND)
}

async fn deposit(
    State(bank): State<Bank>,
    Path(name): Path<String>,
    Query(Deposit { amount }): Query<Deposit>,
) -> Result<StatusCode, StatusCode> {
    let is_known = bank.deposit(&name, amount).await.map_err(internal)?;
    if is_known { Ok(StatusCode::NO_CONTENT) } else { Err(StatusCode::NOT_FOUND) }
}

#[allow(clippy::needless_pass_by_value, reason = "`map_err` passes it by value")]
fn internal(error: rusqlite::Error) -> StatusCode {
    eprintln!("{error}");
    StatusCode::INTERNAL_SERVER_ERROR
}
