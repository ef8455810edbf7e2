//! Redis. Each test has its own keys, as the whole process shares their order.

use std::{
    env,
    panic::{catch_unwind, panic_any},
    path::Path,
    process::{self, Command},
    thread,
    time::Duration,
};

use lockdep::FindingKind;
use redis::{Commands, Connection};
use resources::{
    postgres::Transaction,
    redis::{Error, Keys, Lease},
    server::Redis,
};

use crate::support::{assert_found, assert_silent, in_turn, named, postgres, redis};

const KEYS: Keys =
    Keys { server: "redis", lease: Duration::from_mins(1), limit: Duration::from_mins(1) };

/// The same, without a wait.
const AT_ONCE: Keys = Keys { limit: Duration::ZERO, ..KEYS };

fn lock<'a>(connection: &'a mut Connection, key: &str) -> Lease<'a> {
    KEYS.lock(connection, key).unwrap()
}

/// A cycle through a key with a lease does not hang for ever.
#[test]
fn a_key_and_a_mutex_in_both_orders() {
    let (server, state) = (redis(), named("state"));
    let key_first = || {
        let mut connection = server.connect().unwrap();
        let key = lock(&mut connection, "with mutex:1");
        drop(state.lock());
        key.release().unwrap();
    };
    let state_first = || {
        let mut connection = server.connect().unwrap();
        let _state = state.lock();
        drop(lock(&mut connection, "with mutex:1"));
    };
    assert_silent(&in_turn(key_first, key_first));
    let words = [
        "`state` and `redis with mutex:1` are acquired in both orders, until a lease ends",
        "until the lease of `redis with mutex:1` runs out, after 1m",
        "tests/it/redis.rs",
    ];
    assert_found(&in_turn(key_first, state_first), FindingKind::LeasedInversion, &words);
    assert!(!redis_has(&server, "with mutex:1"));
}

/// Neither server can know of it.
#[test]
fn a_key_and_a_row_in_both_orders() {
    let (redis, postgres) = (redis(), postgres());
    let create = "CREATE TABLE orders (id bigint PRIMARY KEY); INSERT INTO orders VALUES (7)";
    postgres.connect().unwrap().batch_execute(create).unwrap();
    let key_first = || {
        let (mut connection, mut client) = (redis.connect().unwrap(), postgres.connect().unwrap());
        let key = lock(&mut connection, "order:7");
        let mut transaction = Transaction::begin(&mut client, "shop").unwrap();
        transaction.lock_row("orders", &7_i64).unwrap();
        transaction.commit().unwrap();
        key.release().unwrap();
    };
    let row_first = || {
        let (mut connection, mut client) = (redis.connect().unwrap(), postgres.connect().unwrap());
        let mut transaction = Transaction::begin(&mut client, "shop").unwrap();
        transaction.lock_row("orders", &7_i64).unwrap();
        let key = lock(&mut connection, "order:7");
        transaction.commit().unwrap();
        key.release().unwrap();
    };
    assert_silent(&in_turn(key_first, key_first));
    let title =
        "`shop orders:7` and `redis order:7` are acquired in both orders, until a lease ends";
    let found = in_turn(key_first, row_first);
    assert_found(&found, FindingKind::LeasedInversion, &[title]);
}

/// What it holds stays locked until its lease ends, and no process here has it.
#[test]
fn a_holder_that_crashes() {
    let (server, state) = (redis(), named("state"));
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "redis::crashes", "--ignored"])
        .env("ADDRESS", server.address())
        .output()
        .unwrap()
        .status;
    assert_eq!(status.code(), None, "it has crashed");

    let waits = || {
        let mut connection = server.connect().unwrap();
        let _state = state.lock();
        let error = AT_ONCE.lock(&mut connection, "crashed:1").err().unwrap();
        assert_eq!(error.to_string(), "the key \"crashed:1\" is locked by another holder");
        // Its lease is nearly at its end.
        assert!(connection.pexpire::<_, bool>("crashed:1", 30).unwrap());
        lock(&mut connection, "crashed:1").release().unwrap();
    };
    assert_silent(&in_turn(waits, || ()));
}

#[test]
#[ignore = "a test runs it in another process"]
fn crashes() {
    let address = env::var("ADDRESS").unwrap();
    let mut connection = redis::Client::open(address).unwrap().get_connection().unwrap();
    let _lease = lock(&mut connection, "crashed:1");
    process::abort();
}

/// Both have been at work. The release of the first leaves the second one's lock alone.
#[test]
fn a_lease_that_ends_too_early() {
    let server = redis();
    let short = Keys { lease: Duration::from_millis(20), ..KEYS };
    let works_for_too_long = || {
        let mut connections = [(); 2].map(|()| server.connect().unwrap());
        let [one, other] = &mut connections;
        let first = short.lock(one, "expired:1").unwrap();
        let second =
            thread::scope(|threads| threads.spawn(|| lock(other, "expired:1")).join().unwrap());
        let error = first.release().err().unwrap();
        let message = "the lease of \"expired:1\" had ended before its release";
        assert_eq!(error.to_string(), message);
        second.release().unwrap();
    };
    let found = in_turn(works_for_too_long, || ());
    let words = ["`redis expired:1` was held for ", "under a lease of 20ms"];
    assert_found(&found, FindingKind::ExpiredLease, &words);
}

#[test]
fn a_lease_of_zero() {
    let server = redis();
    let attempt = || {
        let mut connection = server.connect().unwrap();
        for lease in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let error = Keys { lease, ..KEYS }.lock(&mut connection, "zero:1").err().unwrap();
            let error = error.to_string();
            assert!(error.starts_with("Redis: "), "{error}");
            assert!(
                error.contains("invalid expire time") || error.contains("out of range"),
                "{error}"
            );
        }
        // Nothing is left of these, neither there nor here.
        lock(&mut connection, "zero:1").release().unwrap();
    };
    assert_silent(&in_turn(attempt, attempt));
}

#[test]
fn keys_with_odd_characters() {
    let server = redis();
    let long = "long ".repeat(2000);
    for key in ["", "new\nline", "nul\0", "'quotes' \"and\" `others`", "🔒", &long] {
        let mut connection = server.connect().unwrap();
        let first = lock(&mut connection, key);
        let mut other = server.connect().unwrap();
        let error = thread::scope(|threads| {
            threads.spawn(|| AT_ONCE.lock(&mut other, key).err().unwrap()).join().unwrap()
        });
        assert!(error.to_string().len() < 120, "{error}");
        first.release().unwrap();

        let state = named("state of odd keys");
        let key_first = || {
            let mut connection = server.connect().unwrap();
            let _key = lock(&mut connection, key);
            drop(state.lock());
        };
        let state_first = || {
            let mut connection = server.connect().unwrap();
            let _state = state.lock();
            drop(lock(&mut connection, key));
        };
        let found = in_turn(key_first, state_first);
        assert_found(&found, FindingKind::LeasedInversion, &["`state of odd keys` and `redis "]);
        let title = found[0].to_string().lines().next().unwrap().to_owned();
        assert!(title.ends_with(" are acquired in both orders, until a lease ends"), "{title}");
    }
}

#[test]
fn a_server_that_goes_down() {
    let server = Redis::start().unwrap();
    let keys = Keys { server: "redis that goes down", ..KEYS };
    let mut connections = [(); 3].map(|()| server.connect().unwrap());
    let [one, other, third] = &mut connections;
    let (first, second) = (keys.lock(one, "1").unwrap(), keys.lock(other, "2").unwrap());
    assert!(lockdep::held().to_string().contains("`redis that goes down 2`"));
    let address = server.address();
    drop(server);
    // "Broken pipe", say.
    let error = first.release().err().unwrap().to_string();
    assert!(error.starts_with("Redis: ") && error.ends_with(')'), "{error}");
    drop(second);
    assert!(matches!(keys.lock(third, "1"), Err(Error::Redis(_))));
    let error = redis::Client::open(address).unwrap().get_connection().err().unwrap();
    assert_eq!(error.to_string(), "No such file or directory (os error 2)");
    assert!(!lockdep::held().to_string().contains("redis that goes down"));
}

/// Its folder is removed then, too.
#[test]
fn a_server_ends_with_its_user() {
    let folder = catch_unwind(|| {
        let server = Redis::start().unwrap();
        panic_any(server.address());
    });
    let address = *folder.unwrap_err().downcast::<String>().unwrap();
    let socket = Path::new(address.strip_prefix("redis+unix://").unwrap());
    assert!(!socket.parent().unwrap().exists());
}

#[test]
fn a_wrong_password() {
    let server = redis();
    let mut connection = server.connect().unwrap();
    let rules = ["guarded", "on", ">right", "~*", "+@all"];
    redis::cmd("ACL").arg("SETUSER").arg(&rules).exec(&mut connection).unwrap();
    let connect = |password: &str| {
        let address = format!("{}?user=guarded&pass={password}", server.address());
        redis::Client::open(address).unwrap().get_connection()
    };
    assert!(connect("right").is_ok());
    let error = connect("wrong").err().unwrap().to_string();
    assert_eq!(error, "Password authentication failed - AuthenticationFailed");
}

fn redis_has(server: &Redis, key: &str) -> bool {
    server.connect().unwrap().exists(key).unwrap()
}
