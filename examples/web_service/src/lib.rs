//! A shop as an HTTP service: see `README.md`.

mod database;

use std::{collections::HashMap, fmt::Display, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{delete, get, post},
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, RwLock};

pub use self::database::Database;

/// The state that all requests share.
#[derive(Debug)]
pub struct Shop {
    /// The number of items left, by name.
    inventory: RwLock<HashMap<String, u32>>,
    /// The orders that are open, by number.
    orders: Mutex<HashMap<i64, Order>>,
    database: Database,
}

/// A quantity of an item.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Order {
    /// The item's name.
    pub item: String,
    /// The quantity.
    pub quantity: u32,
}

/// The answer to `GET /stock/{item}`.
#[derive(Debug, Deserialize, Serialize)]
pub struct Stock {
    /// How many are left.
    pub left: u32,
    /// How many orders are open, for all items together.
    pub open_orders: usize,
}

impl Shop {
    /// Creates a shop with a million chairs and no orders.
    #[must_use]
    pub fn new(database: Database) -> Self {
        let inventory = HashMap::from([("chair".to_owned(), 1_000_000)]);
        Self { inventory: RwLock::new(inventory), orders: Mutex::default(), database }
    }
}

/// Creates the service, with the deadlock or without it.
pub fn router(shop: Shop, fixed: bool) -> Router {
    let cancel = if fixed { delete(cancel_order_fixed) } else { delete(cancel_order) };
    Router::new()
        .route("/stock/{item}", get(show_stock))
        .route("/orders", post(place_order))
        .route("/orders/{id}", get(show_order).merge(cancel))
        .with_state(Arc::new(shop))
}

async fn show_stock(
    State(shop): State<Arc<Shop>>,
    Path(item): Path<String>,
) -> Result<Json<Stock>, StatusCode> {
    let inventory = shop.inventory.read().await;
    let left = *inventory.get(&item).ok_or(StatusCode::NOT_FOUND)?;
    let open_orders = shop.orders.lock().await.len();
    Ok(Json(Stock { left, open_orders }))
}

async fn show_order(
    State(shop): State<Arc<Shop>>,
    Path(id): Path<i64>,
) -> Result<Json<Order>, StatusCode> {
    let order = shop.database.order(id).await.map_err(internal)?;
    order.map(Json).ok_or(StatusCode::NOT_FOUND)
}

/// Takes the goods out of the inventory, then opens the order.
async fn place_order(
    State(shop): State<Arc<Shop>>,
    Json(order): Json<Order>,
) -> Result<(StatusCode, Json<i64>), StatusCode> {
    let mut inventory = shop.inventory.write().await;
    let left = inventory.get_mut(&order.item).ok_or(StatusCode::NOT_FOUND)?;
    let rest = left.checked_sub(order.quantity).ok_or(StatusCode::CONFLICT)?;
    let id = shop.database.insert(order.clone()).await.map_err(internal)?;
    *left = rest;
    shop.orders.lock().await.insert(id, order);
    Ok((StatusCode::CREATED, Json(id)))
}

/// Closes the order, then puts the goods back into the inventory: this is the bug.
async fn cancel_order(
    State(shop): State<Arc<Shop>>,
    Path(id): Path<i64>,
) -> Result<StatusCode, StatusCode> {
    let mut orders = shop.orders.lock().await;
    let order = orders.get(&id).ok_or(StatusCode::NOT_FOUND)?;
    shop.database.delete(id).await.map_err(internal)?;
    *shop.inventory.write().await.entry(order.item.clone()).or_default() += order.quantity;
    orders.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}

/// Does the same, but locks the inventory first, as [`place_order`] does.
async fn cancel_order_fixed(
    State(shop): State<Arc<Shop>>,
    Path(id): Path<i64>,
) -> Result<StatusCode, StatusCode> {
    let mut inventory = shop.inventory.write().await;
    let mut orders = shop.orders.lock().await;
    let order = orders.get(&id).ok_or(StatusCode::NOT_FOUND)?;
    shop.database.delete(id).await.map_err(internal)?;
    *inventory.entry(order.item.clone()).or_default() += order.quantity;
    orders.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}

#[allow(clippy::needless_pass_by_value, reason = "`map_err` passes it by value")]
fn internal(error: impl Display) -> StatusCode {
    eprintln!("{error}");
    StatusCode::INTERNAL_SERVER_ERROR
}
