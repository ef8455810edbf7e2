//! PostgreSQL: rows that a transaction has locked, and advisory locks of transactions and sessions.

use std::fmt::Display;

use lockdep::external::{Held, Mode, Resource};
use postgres::{Client, Error, Row, types::ToSql};

/// A transaction whose rows and advisory locks are released at its end. Rolled back unless it is committed.
pub struct Transaction<'a> {
    /// What it has locked, by key. Dropped first: what is released cannot be held by two.
    locked: Vec<(String, Held<()>)>,
    inner: postgres::Transaction<'a>,
    database: &'static str,
}

impl<'a> Transaction<'a> {
    /// Begins a transaction in a database, under a name that no other database has.
    ///
    /// # Errors
    ///
    /// If the transaction cannot begin.
    pub fn begin(client: &'a mut Client, database: &'static str) -> Result<Self, Error> {
        Ok(Self { locked: Vec::new(), inner: client.transaction()?, database })
    }

    /// Locks a row by `SELECT ... FOR UPDATE`. Returns `None` if there is no such row.
    ///
    /// # Errors
    ///
    /// Those of the statement.
    #[track_caller]
    pub fn lock_row<K>(&mut self, table: &'static str, id: &K) -> Result<Option<Row>, Error>
    where
        K: ToSql + Sync + Display,
    {
        let select = format!("SELECT * FROM {table} WHERE id = $1 FOR UPDATE");
        let key = format!("{table}:{id}");
        let row = Resource::new(self.database, &key);
        let row = self.acquire(&row, &key, |inner| inner.query_opt(&select, &[id]))?;
        if row.is_none() {
            self.locked.retain(|(locked, _)| *locked != key);
        }
        Ok(row)
    }

    /// Acquires an advisory lock until the transaction's end.
    ///
    /// # Errors
    ///
    /// Those of the statement.
    #[track_caller]
    pub fn lock_advisory(&mut self, key: i64) -> Result<(), Error> {
        let lock = "SELECT pg_advisory_xact_lock($1)";
        let advisory = advisory(self.database, key);
        self.acquire(&advisory, &format!("advisory:{key}"), |inner| inner.execute(lock, &[&key]))?;
        Ok(())
    }

    /// Runs a statement that locks. What the transaction has locked already, it does not wait for.
    #[track_caller]
    fn acquire<R>(
        &mut self,
        resource: &Resource,
        key: &str,
        statement: impl FnOnce(&mut postgres::Transaction<'a>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        if self.locked.iter().any(|(locked, _)| locked == key) {
            return self.run(statement);
        }
        let (held, value) = resource.acquire(Mode::Exclusive, || self.run(statement))?.split();
        self.locked.push((key.to_owned(), held));
        Ok(value)
    }

    /// Runs a statement. If it fails, the server undoes the transaction and releases all that is locked in it.
    ///
    /// # Errors
    ///
    /// Those of the statement.
    pub fn run<R>(
        &mut self,
        statement: impl FnOnce(&mut postgres::Transaction<'a>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        statement(&mut self.inner).inspect_err(|_| self.locked.clear())
    }

    /// Makes the changes permanent.
    ///
    /// # Errors
    ///
    /// If they cannot be. Then they are undone.
    pub fn commit(self) -> Result<(), Error> {
        drop(self.locked);
        self.inner.commit()
    }
}

/// An advisory lock of a session, until it is dropped. A connection that goes back to a pool with it would keep it.
pub struct Advisory<'a> {
    held: Option<Held<()>>,
    client: &'a mut Client,
    key: i64,
}

impl<'a> Advisory<'a> {
    /// Acquires an advisory lock in a database, under a name that no other database has.
    ///
    /// # Errors
    ///
    /// Those of the statement.
    #[track_caller]
    pub fn lock(client: &'a mut Client, database: &'static str, key: i64) -> Result<Self, Error> {
        let advisory = advisory(database, key);
        let lock = || client.execute("SELECT pg_advisory_lock($1)", &[&key]);
        let (held, _) = advisory.acquire(Mode::Exclusive, lock)?.split();
        Ok(Self { held: Some(held), client, key })
    }

    /// The session that has the lock.
    pub fn client(&mut self) -> &mut Client {
        self.client
    }
}

impl Drop for Advisory<'_> {
    fn drop(&mut self) {
        drop(self.held.take());
        // If this fails, the session has ended, and its locks with it.
        let _ = self.client.execute("SELECT pg_advisory_unlock($1)", &[&self.key]);
    }
}

/// A session may acquire an advisory lock again, also in a transaction.
#[track_caller]
fn advisory(database: &'static str, key: i64) -> Resource {
    Resource::new(database, format_args!("advisory:{key}")).reentrant()
}
