//! Accounts in SQLite, and four ways to add to a balance.

use std::sync::Arc;

use lockdep::{
    interleave::async_point,
    sync::{Mutex as BlockingMutex, PoisonError},
    tokio::{sync::Mutex, task::spawn_blocking},
};
use rusqlite::{Connection, OptionalExtension, Result, params};

/// How a deposit is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Reads the balance and writes the sum. Loses an update if another request comes in between.
    ReadThenWrite,
    /// As `ReadThenWrite`, under a lock that is held across both.
    Locked,
    /// As `ReadThenWrite`, but writes only if the account has not changed since, and otherwise
    /// retries.
    Retried,
    /// Lets the database compute the sum in one statement.
    OneStatement,
}

/// The accounts of one bank.
#[derive(Clone, Debug)]
pub struct Bank {
    way: Way,
    connection: Arc<BlockingMutex<Connection>>,
    /// Held by a deposit that is [`Way::Locked`].
    deposits: Arc<Mutex<()>>,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
struct Account {
    balance: i64,
    version: i64,
}

impl Bank {
    /// Opens a bank with no accounts.
    ///
    /// # Errors
    ///
    /// Returns an error if SQLite cannot open a database in memory.
    pub fn open(way: Way) -> Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(
            "CREATE TABLE accounts (
                 name TEXT PRIMARY KEY,
                 balance INTEGER NOT NULL,
                 version INTEGER NOT NULL DEFAULT 0
             )",
        )?;
        let connection = Arc::new(BlockingMutex::new(connection));
        Ok(Self { way, connection, deposits: Arc::new(Mutex::new(())) })
    }

    /// Adds an account.
    ///
    /// # Errors
    ///
    /// Returns an error if the account exists.
    pub async fn add_account(&self, name: &str, balance: i64) -> Result<()> {
        let name = name.to_owned();
        self.query(move |connection| {
            let sql = "INSERT INTO accounts (name, balance) VALUES (?1, ?2)";
            connection.execute(sql, params![name, balance]).map(drop)
        })
        .await
    }

    /// Returns the balance of an account, if it exists.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub async fn balance(&self, name: &str) -> Result<Option<i64>> {
        Ok(self.read(name).await?.map(|account| account.balance))
    }

    /// Adds an amount to the balance of an account. Returns `false` if the account does not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub async fn deposit(&self, name: &str, amount: i64) -> Result<bool> {
        // A guard of tokio's mutex may be held across an `.await`.
        let _guard = match self.way {
            Way::Locked => Some(self.deposits.lock().await),
            Way::ReadThenWrite | Way::Retried | Way::OneStatement => None,
        };
        loop {
            let Some(account) = self.read(name).await? else { return Ok(false) };
            async_point!("account read").await;
            async_point!("about to write").await;
            if self.write(name, account, amount).await? {
                return Ok(true);
            }
        }
    }

    async fn read(&self, name: &str) -> Result<Option<Account>> {
        let name = name.to_owned();
        self.query(move |connection| {
            let sql = "SELECT balance, version FROM accounts WHERE name = ?1";
            let account = |row: &rusqlite::Row<'_>| {
                Ok(Account { balance: row.get(0)?, version: row.get(1)? })
            };
            connection.query_row(sql, [name], account).optional()
        })
        .await
    }

    /// Writes the sum. Returns `false`, without writing, if the account has changed since it was
    /// read.
    async fn write(&self, name: &str, read: Account, amount: i64) -> Result<bool> {
        let (way, name) = (self.way, name.to_owned());
        let sum = read.balance + amount;
        self.query(move |connection| {
            let rows = match way {
                Way::ReadThenWrite | Way::Locked => connection.execute(
                    "UPDATE accounts SET balance = ?2 WHERE name = ?1",
                    params![name, sum],
                ),
                Way::Retried => connection.execute(
                    "UPDATE accounts SET balance = ?2, version = version + 1
                     WHERE name = ?1 AND version = ?3",
                    params![name, sum, read.version],
                ),
                Way::OneStatement => connection.execute(
                    "UPDATE accounts SET balance = balance + ?2 WHERE name = ?1",
                    params![name, amount],
                ),
            };
            Ok(rows? == 1)
        })
        .await
    }

    /// Runs a query on a thread that may block.
    async fn query<R: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let connection = Arc::clone(&self.connection);
        let query = move || query(&connection.lock().unwrap_or_else(PoisonError::into_inner));
        spawn_blocking(query).await.expect("a query does not panic")
    }
}
