//! The orders in SQLite, behind a pool of connections.

use std::error::Error;

use deadpool_sqlite::{
    Config, Hook, HookError, Pool, Runtime,
    rusqlite::{self, Connection, OptionalExtension, params},
};
use tempfile::TempDir;

use crate::Order;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A table of orders in a temporary file.
#[derive(Debug)]
pub struct Database {
    pool: Pool,
    /// Deletes the file at the end.
    _folder: TempDir,
}

impl Database {
    /// Creates a database with no orders.
    ///
    /// # Errors
    ///
    /// Returns an error if SQLite cannot open the file.
    pub async fn open() -> Result<Self> {
        let folder = TempDir::new()?;
        // Otherwise a measurement of this service would measure the disk.
        let set_up = Hook::sync_fn(|connection, _| {
            let connection = connection.lock().map_err(|_| HookError::message("poisoned"))?;
            connection.execute_batch("PRAGMA synchronous = OFF").map_err(HookError::Backend)
        });
        let config = Config::new(folder.path().join("shop.sqlite"));
        let pool = config.builder(Runtime::Tokio1)?.max_size(4).post_create(set_up).build()?;
        let database = Self { pool, _folder: folder };
        let schema = "PRAGMA journal_mode = WAL;
            CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL, quantity INTEGER NOT NULL)";
        database.query(|connection| connection.execute_batch(schema)).await?;
        Ok(database)
    }

    /// Returns the order with this number, if it exists.
    pub(crate) async fn order(&self, id: i64) -> Result<Option<Order>> {
        self.query(move |connection| {
            let sql = "SELECT item, quantity FROM orders WHERE id = ?1";
            let order =
                |row: &rusqlite::Row<'_>| Ok(Order { item: row.get(0)?, quantity: row.get(1)? });
            connection.prepare_cached(sql)?.query_row([id], order).optional()
        })
        .await
    }

    /// Inserts an order, and returns its number.
    pub(crate) async fn insert(&self, order: Order) -> Result<i64> {
        self.query(move |connection| {
            let sql = "INSERT INTO orders (item, quantity) VALUES (?1, ?2)";
            connection.prepare_cached(sql)?.insert(params![order.item, order.quantity])
        })
        .await
    }

    /// Deletes the order with this number.
    pub(crate) async fn delete(&self, id: i64) -> Result<()> {
        self.query(move |connection| {
            connection.prepare_cached("DELETE FROM orders WHERE id = ?1")?.execute([id]).map(drop)
        })
        .await
    }

    /// Runs a query on one of the connections, on a thread that may block.
    async fn query<R: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R> {
        let connection = self.pool.get().await?;
        let answer = connection.interact(|connection| query(connection)).await;
        Ok(answer.map_err(|error| error.to_string())??)
    }
}
