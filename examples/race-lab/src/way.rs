//! The ways to add 1 to the balance, one request at a time.

use rusqlite::{Connection, Error, ErrorCode, Result, TransactionBehavior};

use crate::bank::{self, Isolation};

/// What surrounds the read, the window after it, and the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nothing: each statement is its own transaction.
    NoTransaction,
    /// `BEGIN`, as frameworks do for each request.
    Transaction(Isolation),
    /// `BEGIN IMMEDIATE`: SQLite's `SELECT … FOR UPDATE`, because it locks the whole database.
    Locked,
    /// A single statement that reads and writes, so there is no window.
    OneStatement,
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The database reported success.
    Added,
    /// The database refused with "database is locked" and wrote nothing.
    Refused,
}

impl Way {
    /// Returns the isolation that its connections need.
    pub(crate) fn isolation(self) -> Isolation {
        match self {
            Self::Transaction(isolation) => isolation,
            _ => Isolation::Serializable,
        }
    }

    /// Adds 1 to the balance. `window` is what the program does between its read and its write.
    pub(crate) fn add(self, connection: &mut Connection, window: impl FnOnce()) -> Result<Outcome> {
        let added = match self {
            Self::NoTransaction => read_and_write(connection, window),
            Self::Transaction(_) => {
                in_transaction(connection, TransactionBehavior::Deferred, window)
            }
            Self::Locked => in_transaction(connection, TransactionBehavior::Immediate, window),
            Self::OneStatement => bank::add_in_one_statement(connection),
        };
        match added {
            Ok(()) => Ok(Outcome::Added),
            Err(Error::SqliteFailure(error, _)) if error.code == ErrorCode::DatabaseBusy => {
                Ok(Outcome::Refused)
            }
            Err(error) => Err(error),
        }
    }
}

fn read_and_write(connection: &Connection, window: impl FnOnce()) -> Result<()> {
    let balance = bank::read(connection)?;
    window();
    bank::write(connection, balance + 1)
}

/// Rolls back on failure.
fn in_transaction(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    window: impl FnOnce(),
) -> Result<()> {
    let transaction = connection.transaction_with_behavior(behavior)?;
    read_and_write(&transaction, window)?;
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;
    use crate::bank::Bank;

    /// Runs two requests of which each reads before the other writes. Returns their outcomes and
    /// the balance.
    fn both_read_first(way: Way) -> (Vec<Outcome>, i64) {
        let bank = Bank::open().unwrap();
        let both_have_read = Barrier::new(2);
        let outcomes = thread::scope(|scope| {
            let workers = [(); 2].map(|()| {
                let mut connection = bank.connect(way.isolation()).unwrap();
                let window = || _ = both_have_read.wait();
                scope.spawn(move || way.add(&mut connection, window).unwrap())
            });
            workers.map(|worker| worker.join().unwrap()).to_vec()
        });
        (outcomes, bank.balance().unwrap())
    }

    #[test]
    fn without_a_transaction_one_update_is_lost() {
        assert_eq!(both_read_first(Way::NoTransaction), (vec![Outcome::Added; 2], 1));
    }

    #[test]
    fn a_transaction_as_most_databases_have_it_loses_the_same() {
        let way = Way::Transaction(Isolation::ReadUncommitted);
        assert_eq!(both_read_first(way), (vec![Outcome::Added; 2], 1));
    }

    #[test]
    fn a_transaction_of_sqlite_refuses_what_would_be_lost() {
        let (outcomes, balance) = both_read_first(Way::Transaction(Isolation::Serializable));
        assert!(outcomes.contains(&Outcome::Added) && outcomes.contains(&Outcome::Refused));
        assert_eq!(balance, 1);
    }

    #[test]
    fn nobody_reads_in_the_window_of_a_locked_row() {
        let bank = Bank::open().unwrap();
        let connect = || bank.connect(Way::Locked.isolation()).unwrap();
        let (mut first, mut second) = (connect(), connect());
        // Returns immediately instead of waiting.
        second.busy_handler(None::<fn(i32) -> bool>).unwrap();

        let meanwhile = || {
            let outcome = Way::Locked.add(&mut second, || unreachable!("it has read"));
            assert_eq!(outcome.unwrap(), Outcome::Refused);
        };
        assert_eq!(Way::Locked.add(&mut first, meanwhile).unwrap(), Outcome::Added);
        assert_eq!(Way::Locked.add(&mut second, || ()).unwrap(), Outcome::Added);
        assert_eq!(bank.balance().unwrap(), 2);
    }
}
