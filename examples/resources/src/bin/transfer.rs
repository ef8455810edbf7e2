//! Two transfers between two accounts, in PostgreSQL, in four ways: without locks, with the rows locked, with the rows
//! locked at the same time, and in one order.
//!
//! ```sh
//! cargo run --bin transfer
//! ```

use std::{
    error::Error,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use lockdep::{FindingKind, Level};
use postgres::{Client, error::SqlState};
use resources::{postgres::Transaction, server::Postgres};

type Result<T = (), E = postgres::Error> = std::result::Result<T, E>;

/// A transfer of money from one account to another.
struct Transfer {
    payer: &'static str,
    from: i64,
    to: i64,
    amount: i64,
}

const TRANSFERS: [Transfer; 2] = [
    Transfer { payer: "alice", from: 1, to: 2, amount: 10 },
    Transfer { payer: "bob", from: 2, to: 1, amount: 30 },
];

/// The order in which a transfer locks its accounts.
type Order = fn(&Transfer) -> [i64; 2];

/// The account that pays: another one in each direction.
const PAYER_FIRST: Order = |it| [it.from, it.to];

/// The account with the smaller number, in both directions.
const SMALLER_FIRST: Order = |it| [it.from.min(it.to), it.from.max(it.to)];

const UPDATE: &str = "UPDATE accounts SET balance = $2 WHERE id = $1";

impl Transfer {
    /// Reads both balances, then `meanwhile`, then writes both.
    fn unlocked(&self, client: &mut Client, meanwhile: impl FnOnce() -> Result) -> Result {
        let mut transaction = client.transaction()?;
        let mut read = |id: i64| -> Result<i64> {
            let select = "SELECT balance FROM accounts WHERE id = $1";
            transaction.query_one(select, &[&id]).map(|row| row.get(0))
        };
        let [from, to] = [read(self.from)?, read(self.to)?];
        meanwhile()?;
        transaction.execute(UPDATE, &[&self.from, &(from - self.amount)])?;
        transaction.execute(UPDATE, &[&self.to, &(to + self.amount)])?;
        transaction.commit()
    }

    /// Locks both rows, reads their balances, and writes them. Runs `meanwhile` with one of them locked.
    fn locked(&self, client: &mut Client, order: Order, meanwhile: impl FnOnce()) -> Result {
        let mut transaction = Transaction::begin(client, "bank")?;
        let [first, second] = order(self);
        let first = transaction.lock_row("accounts", &first)?;
        meanwhile();
        let second = transaction.lock_row("accounts", &second)?;
        for row in [first, second].into_iter().flatten() {
            let (id, balance): (i64, i64) = (row.get("id"), row.get("balance"));
            let amount = if id == self.from { -self.amount } else { self.amount };
            transaction.run(|inner| inner.execute(UPDATE, &[&id, &(balance + amount)]))?;
        }
        transaction.commit()
    }
}

/// A bank, with a connection for each transfer.
struct Bank {
    clients: [Client; 2],
}

impl Bank {
    fn open(server: &Postgres) -> Result<Self> {
        let mut clients = [server.connect()?, server.connect()?];
        clients[0].batch_execute(
            "CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL);
             INSERT INTO accounts VALUES (1, 100), (2, 100)",
        )?;
        Ok(Self { clients })
    }

    /// Both transfers read before one of them writes.
    fn without_locks(&mut self) -> Result {
        let [of_alice, of_bob] = &mut self.clients;
        let [alice, bob] = &TRANSFERS;
        bob.unlocked(of_bob, || alice.unlocked(of_alice, || Ok(())))
    }

    /// The second transfer begins when the first one has ended.
    fn in_turn(&mut self, order: Order) -> Result {
        for (client, transfer) in self.clients.iter_mut().zip(&TRANSFERS) {
            thread::scope(|threads| {
                let payer = thread::Builder::new().name(transfer.payer.to_owned());
                let body = || transfer.locked(client, order, || ());
                payer.spawn_scoped(threads, body).expect("there are threads").join()
            })
            .expect("a transfer does not panic")?;
        }
        Ok(())
    }

    /// Both begin at the same time. Each runs its `meanwhile` with one row locked.
    fn at_once(&mut self, order: Order, meanwhile: [&(dyn Fn() + Sync); 2]) -> [Result; 2] {
        let [alice, bob] = &TRANSFERS;
        let [of_alice, of_bob] = &mut self.clients;
        let work = [(alice, of_alice, meanwhile[0]), (bob, of_bob, meanwhile[1])];
        thread::scope(|threads| {
            let started = work.map(|(transfer, client, meanwhile)| {
                let payer = thread::Builder::new().name(transfer.payer.to_owned());
                let body = move || transfer.locked(client, order, meanwhile);
                payer.spawn_scoped(threads, body).expect("there are threads")
            });
            started.map(|thread| thread.join().expect("a transfer does not panic"))
        })
    }

    /// Returns the balances of Alice and Bob, and sets both to 100.
    fn balances(&mut self) -> Result<[i64; 2]> {
        let rows = self.clients[0].query("SELECT balance FROM accounts ORDER BY id", &[])?;
        self.clients[0].execute("UPDATE accounts SET balance = 100", &[])?;
        Ok([rows[0].get(0), rows[1].get(0)])
    }
}

/// Waits for a condition, but not for ever.
fn until(mut is_met: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_met() && begin.elapsed() < Duration::from_secs(30) {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Prints how one way has ended, and what lockdep has found.
fn print(way: &str, colour: &str, database: &str) {
    println!("{way}: {colour}\n   PostgreSQL: {database}");
    let found = lockdep::take_findings();
    let found: Vec<_> = found.iter().filter(|it| it.level() != Level::Allow).collect();
    for finding in &found {
        let report = finding.to_string();
        let title = report.lines().next().and_then(|line| line.split_once("]: "));
        println!("   lockdep: {}: {}", finding.kind(), title.map_or("", |(_, title)| title));
    }
    if found.is_empty() {
        println!("   lockdep: {}", if lockdep::ENABLED { "silent" } else { "off, in this build" });
    }
    // The next way is another program, with its own order.
    lockdep::reset();
}

fn run() -> Result<(), Box<dyn Error>> {
    // Reported, but the transfers go on, so that PostgreSQL has its say.
    lockdep::set_level(FindingKind::Inversion, Level::Warn);
    lockdep::set_level(FindingKind::Deadlock, Level::Warn);
    eprintln!("starting a PostgreSQL server ...");
    let server = Postgres::start()?;
    let mut bank = Bank::open(&server)?;
    println!("Alice pays 10 to Bob, Bob pays 30 to Alice. Each begins with 100.\n");

    bank.without_locks()?;
    let [alice, bob] = bank.balances()?;
    let lost = format!("both succeed, Alice has {alice}, Bob has {bob}, so the 10 are lost");
    print("1. no locks, both at once", "red", &lost);

    bank.in_turn(PAYER_FIRST)?;
    let [alice, bob] = bank.balances()?;
    let right = format!("both succeed, Alice has {alice}, Bob has {bob}");
    print("2. rows locked, that of the payer first, one after the other", "red", &right);

    let mut observer = server.connect()?;
    let observer = Mutex::new(&mut observer);
    let have_one = AtomicUsize::new(0);
    let both_have_one = || {
        have_one.fetch_add(1, SeqCst);
        until(|| have_one.load(SeqCst) == 2);
    };
    let then_alice_waits = || {
        both_have_one();
        let waits = "SELECT 1 FROM pg_locks WHERE NOT granted";
        let mut observer = observer.lock().expect("no thread panics");
        until(|| observer.query(waits, &[]).is_ok_and(|rows| !rows.is_empty()));
    };
    let results = bank.at_once(PAYER_FIRST, [&both_have_one, &then_alice_waits]);
    let errors: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    let [error] = errors[..] else { return Err(format!("no deadlock: {results:?}").into()) };
    let deadlock = error.as_db_error().ok_or("the server is gone")?;
    if *deadlock.code() != SqlState::T_R_DEADLOCK_DETECTED {
        return Err(format!("no deadlock: {results:?}").into());
    }
    let aborted = format!("one is aborted, {}: {}", deadlock.code().code(), deadlock.message());
    bank.balances()?;
    print("3. the same, both at once", "red", &aborted);

    for result in bank.at_once(SMALLER_FIRST, [&|| (); 2]) {
        result?;
    }
    let [alice, bob] = bank.balances()?;
    let right = format!("both succeed, Alice has {alice}, Bob has {bob}");
    print("4. rows locked, the smaller number first, both at once", "green", &right);
    Ok(())
}

fn main() -> ExitCode {
    if let Some(argument) = std::env::args().nth(1) {
        eprintln!("`{argument}` is not an option: there are none");
        return ExitCode::from(2);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
