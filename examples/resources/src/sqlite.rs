//! SQLite: transactions that write, which lock the whole database.

use lockdep::external::{Held, Mode, Resource};
use rusqlite::{Connection, Result, TransactionBehavior::Immediate};

/// A transaction that has locked its database by `BEGIN IMMEDIATE`. Rolled back unless it is committed.
pub struct Transaction<'a> {
    /// Dropped first: what is released cannot be held by two.
    held: Option<Held<()>>,
    inner: rusqlite::Transaction<'a>,
}

impl<'a> Transaction<'a> {
    /// Locks the database, and waits until no other connection has it locked, or for as long as
    /// [`Connection::busy_timeout`] says.
    ///
    /// # Errors
    ///
    /// If the transaction cannot begin.
    #[track_caller]
    pub fn immediate(connection: &'a mut Connection) -> Result<Self> {
        // One in memory has no path, and no other connections.
        let database = connection.path().filter(|path| !path.is_empty());
        let database = database.map(|path| Resource::new("sqlite", path));
        let Some(database) = database else {
            return Ok(Self {
                held: None,
                inner: connection.transaction_with_behavior(Immediate)?,
            });
        };
        let acquired = database
            .acquire(Mode::Exclusive, || connection.transaction_with_behavior(Immediate))?;
        let (held, inner) = acquired.split();
        Ok(Self { held: Some(held), inner })
    }

    /// Runs statements. Some end the transaction when they fail: those with `OR ROLLBACK`, and any if the disk is full.
    ///
    /// # Errors
    ///
    /// Those of the statements.
    pub fn run<R>(&mut self, statements: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        let result = statements(&self.inner);
        if self.inner.is_autocommit() {
            self.held = None;
        }
        result
    }

    /// Makes the changes permanent.
    ///
    /// # Errors
    ///
    /// If they cannot be. Then they are undone.
    pub fn commit(self) -> Result<()> {
        let Self { held, inner } = self;
        drop(held);
        inner.commit()
    }
}
