//! A bank: one account in its own SQLite database.

use std::{thread, time::Duration};

use rusqlite::{Connection, OpenFlags, Result};
use tempfile::TempDir;

/// The isolation of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// SQLite's default: a transaction sees one state of the database from its first read to its
    /// end.
    Serializable,
    /// A transaction sees what others have written since, as at READ COMMITTED, the default of most
    /// other databases. SQLite supports it for connections that share a cache.
    ReadUncommitted,
}

/// The account to which all requests add.
pub(crate) struct Bank {
    folder: TempDir,
    /// Stays open, so that the database is not closed in between.
    own: Connection,
}

impl Bank {
    /// Opens a bank with a balance of 0.
    pub(crate) fn open() -> Result<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let own = Connection::open(folder.path().join("bank.db"))?;
        // As in servers: readers and a writer do not wait for each other.
        own.pragma_update(None, "journal_mode", "wal")?;
        own.execute_batch(
            "CREATE TABLE account (number INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
             INSERT INTO account VALUES (1, 0);",
        )?;
        Ok(Self { folder, own })
    }

    /// Opens a connection, as each worker of a server has one.
    pub(crate) fn connect(&self, isolation: Isolation) -> Result<Connection> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if isolation == Isolation::ReadUncommitted {
            flags |= OpenFlags::SQLITE_OPEN_SHARED_CACHE;
        }
        let mut connection =
            Connection::open_with_flags(self.folder.path().join("bank.db"), flags)?;
        connection.pragma_update(
            None,
            "read_uncommitted",
            isolation == Isolation::ReadUncommitted,
        )?;
        // Syncing to disk would hide the measured effect, and nothing here must survive a power failure.
        connection.pragma_update(None, "synchronous", "off")?;
        // Wait until the lock is acquired. SQLite's own handler backs off for up to 100 ms, which
        // would stall the queue.
        connection.busy_handler(Some(|_| {
            thread::sleep(Duration::from_micros(200));
            true
        }))?;
        Ok(connection)
    }

    /// Returns the balance.
    pub(crate) fn balance(&self) -> Result<i64> {
        read(&self.own)
    }
}

/// Reads the balance, as `SELECT` in an ORM's `find`.
pub(crate) fn read(connection: &Connection) -> Result<i64> {
    connection
        .prepare_cached("SELECT balance FROM account WHERE number = 1")?
        .query_one([], |row| row.get(0))
}

/// Writes a balance computed by the program, as an ORM's `save`.
pub(crate) fn write(connection: &Connection, balance: i64) -> Result<()> {
    connection
        .prepare_cached("UPDATE account SET balance = ?1 WHERE number = 1")?
        .execute([balance])
        .map(drop)
}

/// Lets the database compute the balance: no time passes between its read and its write.
pub(crate) fn add_in_one_statement(connection: &Connection) -> Result<()> {
    connection
        .prepare_cached("UPDATE account SET balance = balance + 1 WHERE number = 1")?
        .execute([])
        .map(drop)
}
