//! PostgreSQL. Each test has its own table, as the whole process shares the order of rows.

use std::{
    sync::{Arc, Barrier, Mutex},
    thread,
};

use lockdep::FindingKind;
use postgres::{Client, Error, NoTls, error::SqlState};
use resources::{
    postgres::{Advisory, Transaction},
    server::Postgres,
};

use crate::support::{assert_found, assert_silent, in_turn, message, named, postgres};

/// A table with four accounts.
struct Bank {
    server: Arc<Postgres>,
    table: &'static str,
}

impl Bank {
    fn open(table: &'static str) -> Self {
        let server = postgres();
        let create = format!(
            "CREATE TABLE {table} (id bigint PRIMARY KEY, balance bigint NOT NULL);
             INSERT INTO {table} SELECT id, 100 FROM generate_series(1, 4) AS id"
        );
        server.connect().unwrap().batch_execute(&create).unwrap();
        Self { server, table }
    }

    fn connect(&self) -> Client {
        self.server.connect().unwrap()
    }

    fn lock(&self, transaction: &mut Transaction<'_>, id: i64) -> Result<(), Error> {
        transaction.lock_row(self.table, &id).map(|row| assert!(row.is_some()))
    }

    /// Transfers money in the way that deadlocks: the account that pays is locked first, whichever it is.
    fn transfer(&self, from: i64, to: i64, before_second: impl Fn()) -> Result<(), Error> {
        let mut client = self.connect();
        let mut transaction = Transaction::begin(&mut client, "shop")?;
        self.lock(&mut transaction, from)?;
        before_second();
        self.lock(&mut transaction, to)?;
        for (id, amount) in [(from, -10_i64), (to, 10)] {
            let add = format!("UPDATE {} SET balance = balance + $2 WHERE id = $1", self.table);
            transaction.run(|inner| inner.execute(&add, &[&id, &amount]))?;
        }
        transaction.commit()
    }

    /// Locks a row in another session. A server reports an error just before it undoes the transaction.
    fn assert_free(&self, id: i64) {
        let mut client = self.connect();
        client.batch_execute("SET lock_timeout = '30s'").unwrap();
        let select = format!("SELECT 1 FROM {} WHERE id = $1 FOR UPDATE", self.table);
        client.execute(&select, &[&id]).unwrap();
    }
}

#[test]
fn a_row_and_a_mutex_in_both_orders() {
    let (bank, state) = (Bank::open("with_mutex"), named("state"));
    let row_first = || {
        let mut client = bank.connect();
        let mut transaction = Transaction::begin(&mut client, "shop").unwrap();
        bank.lock(&mut transaction, 1).unwrap();
        drop(state.lock());
        transaction.commit().unwrap();
    };
    let state_first = || {
        let mut client = bank.connect();
        let _state = state.lock();
        let mut transaction = Transaction::begin(&mut client, "shop").unwrap();
        bank.lock(&mut transaction, 1).unwrap();
        transaction.commit().unwrap();
    };
    assert_silent(&in_turn(row_first, row_first));
    let found = in_turn(row_first, state_first);
    let title = "`state` and `shop with_mutex:1` are acquired in both orders";
    assert_found(&found, FindingKind::Inversion, &[title, "tests/it/postgres.rs"]);
    bank.assert_free(1);
}

/// The same transfers, one after the other and at once.
#[test]
fn what_postgres_finds_when_it_has_happened_is_predicted() {
    let bank = Bank::open("deadlock");
    let found =
        in_turn(|| bank.transfer(1, 2, || ()).unwrap(), || bank.transfer(2, 1, || ()).unwrap());
    let title = "`shop deadlock:2` and `shop deadlock:1` are acquired in both orders";
    assert_found(&found, FindingKind::Inversion, &[title]);
    bank.assert_free(1);
    bank.assert_free(2);

    let both_have_one = Barrier::new(2);
    let transfer =
        |from, to| lockdep::allow(|| bank.transfer(from, to, || _ = both_have_one.wait()));
    let results = thread::scope(|threads| {
        let transfers =
            [(3, 4), (4, 3)].map(|(from, to)| threads.spawn(move || transfer(from, to)));
        transfers.map(|thread| thread.join().unwrap())
    });
    let errors: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    let [error] = &errors[..] else { panic!("one of them is aborted: {results:?}") };
    assert_eq!(error.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED));
    assert_eq!(error.code().unwrap().code(), "40P01");
}

#[test]
fn rows_in_one_order() {
    let bank = Bank::open("ordered");
    let transfer = |from: i64, to: i64| bank.transfer(from.min(to), from.max(to), || ()).unwrap();
    assert_silent(&in_turn(|| transfer(1, 2), || transfer(2, 1)));
    // A row that the transaction has already is not waited for.
    let twice = || bank.transfer(3, 3, || ()).unwrap();
    assert_silent(&in_turn(twice, twice));
}

#[test]
fn a_row_and_an_advisory_lock_in_both_orders() {
    let bank = Bank::open("with_advisory");
    let row_first = || {
        let mut client = bank.connect();
        let mut transaction = Transaction::begin(&mut client, "shop").unwrap();
        bank.lock(&mut transaction, 1).unwrap();
        transaction.lock_advisory(71).unwrap();
        transaction.commit().unwrap();
    };
    let advisory_first = || {
        let mut client = bank.connect();
        let mut advisory = Advisory::lock(&mut client, "shop", 71).unwrap();
        let mut transaction = Transaction::begin(advisory.client(), "shop").unwrap();
        // The session has it.
        transaction.lock_advisory(71).unwrap();
        bank.lock(&mut transaction, 1).unwrap();
        transaction.commit().unwrap();
    };
    assert_silent(&in_turn(advisory_first, advisory_first));
    let found = in_turn(advisory_first, row_first);
    assert_found(&found, FindingKind::Inversion, &["`shop advisory:71`", "`shop with_advisory:1`"]);
    // Neither has left it locked.
    let try_lock = "SELECT pg_try_advisory_lock(71)";
    assert!(bank.connect().query_one(try_lock, &[]).unwrap().get::<_, bool>(0));
}

#[test]
fn an_advisory_lock_of_a_session_and_a_mutex() {
    let (server, state) = (postgres(), named("state"));
    let advisory_first = || {
        let mut client = server.connect().unwrap();
        let _advisory = Advisory::lock(&mut client, "shop", 72).unwrap();
        drop(state.lock());
    };
    let state_first = || {
        let mut client = server.connect().unwrap();
        let _state = state.lock();
        drop(Advisory::lock(&mut client, "shop", 72).unwrap());
    };
    let title = "`state` and `shop advisory:72` are acquired in both orders";
    assert_found(&in_turn(advisory_first, state_first), FindingKind::Inversion, &[title]);
}

/// The server undoes a transaction in which a statement fails. Its rows are free before the program has noticed, and
/// what the program locks then is not ordered after them.
#[test]
fn a_transaction_that_has_ended_elsewhere() {
    let (bank, state) = (Bank::open("ended"), named("state"));
    let mut holder = bank.connect();
    let mut held = holder.transaction().unwrap();
    held.execute("SELECT * FROM ended WHERE id = 2 FOR UPDATE", &[]).unwrap();

    let insert = "INSERT INTO ended VALUES (1, 0)";
    let fails: [&(dyn Fn(&mut Transaction<'_>) -> Error + Sync); 3] = [
        &|transaction| transaction.run(|inner| inner.execute(insert, &[])).unwrap_err(),
        &|transaction| {
            transaction.run(|inner| inner.execute("SET lock_timeout = '20ms'", &[])).unwrap();
            bank.lock(transaction, 2).unwrap_err()
        },
        &|transaction| {
            let pid = "SELECT pg_backend_pid()";
            let pid: i32 = transaction.run(|it| it.query_one(pid, &[])).unwrap().get(0);
            bank.connect().execute("SELECT pg_terminate_backend($1)", &[&pid]).unwrap();
            transaction.run(|inner| inner.execute("SELECT 1", &[])).unwrap_err()
        },
    ];
    let said: [&[&str]; 3] = [
        &["duplicate key value violates unique constraint \"ended_pkey\""],
        &["canceling statement due to lock timeout"],
        // The server may have gone before it is asked.
        &["terminating connection due to administrator command", "error communicating", "closed"],
    ];
    for (fail, said) in fails.into_iter().zip(said) {
        let ended = || {
            let mut client = bank.connect();
            let mut transaction = Transaction::begin(&mut client, "shop").unwrap();
            bank.lock(&mut transaction, 1).unwrap();
            let error = message(&fail(&mut transaction));
            assert!(said.iter().any(|words| error.contains(words)), "{error}");
            drop(state.lock());
            bank.assert_free(1);
        };
        let state_first = || {
            let mut client = bank.connect();
            let _state = state.lock();
            let mut transaction = Transaction::begin(&mut client, "shop").unwrap();
            bank.lock(&mut transaction, 1).unwrap();
        };
        assert_silent(&in_turn(ended, state_first));
    }
}

/// Connections go from thread to thread. What one has locked is released by then.
#[test]
fn connections_of_a_pool() {
    let (bank, state) = (Bank::open("pooled"), named("state"));
    let pool = Mutex::new(vec![bank.connect(), bank.connect()]);
    let work = |round: i64| {
        let mut client = pool.lock().unwrap().pop().unwrap();
        let mut transaction = Transaction::begin(&mut client, "shop").unwrap();
        bank.lock(&mut transaction, 1 + round % 2).unwrap();
        transaction.commit().unwrap();
        drop(state.lock());
        let _state = state.lock();
        let mut advisory = Advisory::lock(&mut client, "shop", 73).unwrap();
        let mut transaction = Transaction::begin(advisory.client(), "shop").unwrap();
        bank.lock(&mut transaction, 1 + (round + 1) % 2).unwrap();
        drop(transaction);
        drop(advisory);
        pool.lock().unwrap().push(client);
    };
    for round in 0..4 {
        assert_silent(&in_turn(|| work(round), || work(round + 1)));
    }
    let scope = lockdep::testing::Scope::new();
    thread::scope(|threads| {
        for round in 0..2 {
            threads.spawn(scope.inside(move || (0..8).for_each(|it| work(it + round))));
        }
    });
    scope.assert_no_findings();
}

/// A row that does not exist is not locked.
#[test]
fn no_such_row() {
    let (bank, state) = (Bank::open("missing"), named("state"));
    let row_first = || {
        let mut client = bank.connect();
        let mut transaction = Transaction::begin(&mut client, "shop").unwrap();
        assert!(transaction.lock_row("missing", &9_i64).unwrap().is_none());
        drop(state.lock());
    };
    let state_first = || {
        let mut client = bank.connect();
        let _state = state.lock();
        let mut transaction = Transaction::begin(&mut client, "shop").unwrap();
        assert!(transaction.lock_row("missing", &9_i64).unwrap().is_none());
    };
    assert_silent(&in_turn(row_first, state_first));
}

#[test]
fn keys_with_odd_characters() {
    let server = postgres();
    let keys = ["new\nline", "'quotes' \"and\" `others`", "🔒", &"long ".repeat(2000)];
    let mut client = server.connect().unwrap();
    client.batch_execute("CREATE TABLE odd (id text)").unwrap();
    for key in keys {
        client.execute("INSERT INTO odd VALUES ($1)", &[&key]).unwrap();
        let nest = |first: &str, second: &str| {
            let mut client = server.connect().unwrap();
            let mut transaction = Transaction::begin(&mut client, "shop").unwrap();
            for id in [first, second] {
                assert!(transaction.lock_row("odd", &id).unwrap().is_some(), "{id}");
            }
        };
        let plain = format!("plain {}", key.len());
        client.execute("INSERT INTO odd VALUES ($1)", &[&plain]).unwrap();
        let found = in_turn(|| nest(key, &plain), || nest(&plain, key));
        let end = key.replace('\n', "\\n");
        let end = format!("{}`", end.get(end.len().saturating_sub(20)..).unwrap_or(&end));
        assert_found(&found, FindingKind::Inversion, &["`shop odd:", &end]);
        assert!(found[0].to_string().len() < 20_000);
    }
}

#[test]
fn a_server_that_is_down_and_a_wrong_password() {
    let server = postgres();
    let empty = tempfile::tempdir().unwrap();
    let mut config = postgres::Config::new();
    let error = config.host_path(empty.path()).user("app").connect(NoTls).err().unwrap();
    assert_eq!(
        message(&error),
        "error connecting to server: No such file or directory (os error 2)"
    );

    let mut client = server.connect().unwrap();
    client.batch_execute("CREATE USER guarded PASSWORD 'right'").unwrap();
    let connect =
        |password: &str| server.config().user("guarded").password(password).connect(NoTls);
    assert!(connect("right").is_ok());
    let error = connect("wrong").err().unwrap();
    assert_eq!(
        message(&error),
        "db error: FATAL: password authentication failed for user \"guarded\""
    );
}
