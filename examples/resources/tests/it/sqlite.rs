//! SQLite.

use std::{path::Path, time::Duration};

use lockdep::FindingKind;
use resources::{files, sqlite::Transaction};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::{assert_found, assert_silent, in_turn, named};

/// A database with two accounts, until it is dropped.
struct Bank(TempDir);

impl Bank {
    fn open() -> Self {
        let bank = Self(tempfile::tempdir().unwrap());
        let table = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
                     INSERT INTO accounts VALUES (1, 100), (2, 100)";
        bank.connect().execute_batch(table).unwrap();
        bank
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn connect(&self) -> Connection {
        let connection = Connection::open(self.path("bank.db")).unwrap();
        connection.pragma_update(None, "synchronous", "off").unwrap();
        connection
    }
}

fn pay(transaction: &mut Transaction<'_>) {
    let update = "UPDATE accounts SET balance = balance - 1 WHERE id = 1";
    transaction.run(|database| database.execute(update, ())).unwrap();
}

#[test]
fn a_database_and_a_mutex_in_both_orders() {
    let (bank, state) = (Bank::open(), named("state"));
    let database_first = || {
        let mut connection = bank.connect();
        let mut transaction = Transaction::immediate(&mut connection).unwrap();
        pay(&mut transaction);
        drop(state.lock());
        transaction.commit().unwrap();
    };
    let state_first = || {
        let mut connection = bank.connect();
        let _state = state.lock();
        let mut transaction = Transaction::immediate(&mut connection).unwrap();
        pay(&mut transaction);
        transaction.commit().unwrap();
    };
    let found = in_turn(database_first, state_first);
    let words =
        ["`state` and `sqlite ", "bank.db` are acquired in both orders", "tests/it/sqlite.rs"];
    assert_found(&found, FindingKind::Inversion, &words);

    // Only the first has paid, and nothing is locked.
    let mut connection = bank.connect();
    let mut transaction = Transaction::immediate(&mut connection).unwrap();
    let balance = "SELECT balance FROM accounts WHERE id = 1";
    let balance: i64 = transaction.run(|it| it.query_row(balance, (), |row| row.get(0))).unwrap();
    assert_eq!(balance, 99);
}

#[test]
fn a_database_and_a_file_in_both_orders() {
    let bank = Bank::open();
    let database_first = || {
        let mut connection = bank.connect();
        let _transaction = Transaction::immediate(&mut connection).unwrap();
        drop(files::lock(&bank.path("export.lock")).unwrap());
    };
    let file_first = || {
        let mut connection = bank.connect();
        let _file = files::lock(&bank.path("export.lock")).unwrap();
        drop(Transaction::immediate(&mut connection).unwrap());
    };
    assert_silent(&in_turn(file_first, file_first));
    let found = in_turn(file_first, database_first);
    assert_found(&found, FindingKind::Inversion, &["export.lock\"`", "bank.db`"]);
}

/// One of two databases, and one that no other connection can open.
#[test]
fn databases_are_told_apart() {
    let [one, other] = [Bank::open(), Bank::open()];
    let nest = |first: &Path, second: &Path| {
        let [mut first, mut second] = [first, second].map(|it| Connection::open(it).unwrap());
        let _first = Transaction::immediate(&mut first).unwrap();
        drop(Transaction::immediate(&mut second).unwrap());
    };
    let [one, other] = [&one, &other].map(|bank| bank.path("bank.db"));
    let memory = Path::new(":memory:");
    assert_silent(&in_turn(|| nest(&one, memory), || nest(memory, &one)));
    assert_silent(&in_turn(|| nest(memory, memory), || nest(memory, memory)));
    let found = in_turn(|| nest(&one, &other), || nest(&other, &one));
    assert_found(&found, FindingKind::Inversion, &["bank.db"]);
}

#[test]
fn a_database_that_stays_locked() {
    let (bank, state) = (Bank::open(), named("state"));
    let (mut holder, mut other) = (bank.connect(), bank.connect());
    other.busy_timeout(Duration::from_millis(20)).unwrap();
    // By a connection without an adapter, as another process would.
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = Transaction::immediate(&mut other).err().unwrap();
    assert_eq!(error.to_string(), "database is locked");
    holder.execute_batch("COMMIT").unwrap();

    // Nothing is held, so nothing is ordered before the mutex.
    drop(state.lock());
    let state_first = || {
        let _state = state.lock();
        drop(Transaction::immediate(&mut bank.connect()).unwrap());
    };
    assert_silent(&in_turn(state_first, state_first));
    drop(Transaction::immediate(&mut holder).unwrap());
}

/// A statement that fails may end its transaction. From then on the database is not locked.
#[test]
fn a_transaction_that_has_ended_elsewhere() {
    let (bank, state) = (Bank::open(), named("state"));
    let ended = || {
        let mut connection = bank.connect();
        let mut transaction = Transaction::immediate(&mut connection).unwrap();
        let insert = "INSERT OR ROLLBACK INTO accounts VALUES (1, 0)";
        let error = transaction.run(|database| database.execute(insert, ())).unwrap_err();
        assert_eq!(error.to_string(), "UNIQUE constraint failed: accounts.id");
        drop(state.lock());
        transaction.commit().unwrap_err();
    };
    let state_first = || {
        let _state = state.lock();
        drop(Transaction::immediate(&mut bank.connect()).unwrap());
    };
    assert_silent(&in_turn(ended, state_first));
}
