//! One request that asks for two connections, with each pool: predicted, while the pool has connections left. Then
//! fixed, and silent. Last, as many requests as there are connections.

use std::{sync::Barrier, time::Duration};

use lockdep::{FindingKind, testing, thread, tokio};
use pools::{Connection, Manager, bb8, deadpool, r2d2};

const SIZE: u32 = 4;

/// What a request does with its connection.
fn chain_head(connection: &mut Connection) -> u64 {
    connection.query()
}

#[test]
fn with_r2d2() {
    let inner = ::r2d2::Pool::builder().max_size(SIZE).build(Manager).unwrap();
    let pool = r2d2::Pool::new("blocks", inner);
    let block = |is_fixed| {
        let mut connection = pool.get().unwrap();
        connection.query();
        if is_fixed { chain_head(&mut connection) } else { chain_head(&mut pool.get().unwrap()) }
    };
    testing::expect(FindingKind::PoolExhaustion, &["r2d2 blocks"], || block(false));
    testing::assert_no_findings(|| block(true));
}

#[test]
fn with_deadpool() {
    let inner =
        ::deadpool::managed::Pool::builder(Manager).max_size(SIZE as usize).build().unwrap();
    let pool = deadpool::Pool::new("blocks", inner);
    let block = async |is_fixed| {
        let mut connection = pool.get().await.unwrap();
        connection.query();
        if is_fixed {
            chain_head(&mut connection)
        } else {
            chain_head(&mut pool.get().await.unwrap())
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let run = |is_fixed| runtime.block_on(block(is_fixed));
    testing::expect(FindingKind::PoolExhaustion, &["deadpool blocks"], || run(false));
    testing::assert_no_findings(|| run(true));
}

#[test]
fn with_bb8() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let builder = ::bb8::Pool::builder().max_size(SIZE);
    let pool = bb8::Pool::new("blocks", SIZE, runtime.block_on(builder.build(Manager)).unwrap());
    let block = async |is_fixed| {
        let mut connection = pool.get().await.unwrap();
        connection.query();
        if is_fixed {
            chain_head(&mut connection)
        } else {
            chain_head(&mut pool.get().await.unwrap())
        }
    };
    let run = |is_fixed| runtime.block_on(block(is_fixed));
    testing::expect(FindingKind::PoolExhaustion, &["bb8 blocks"], || run(false));
    testing::assert_no_findings(|| run(true));
}

/// Each of them has a connection, and waits for another one until its time is up.
#[test]
fn with_r2d2_in_as_many_requests_as_there_are_connections() {
    let limit = Duration::from_secs(2);
    let builder = ::r2d2::Pool::builder().max_size(2).connection_timeout(limit);
    let pool = r2d2::Pool::new("busy blocks", builder.build(Manager).unwrap());
    let both = Barrier::new(2);
    let block = || {
        let _first = pool.get().unwrap();
        both.wait();
        pool.get().is_ok()
    };
    thread::scope(|requests| {
        let blocks = [requests.spawn(block), requests.spawn(block)];
        let are_done = blocks.map(|block| block.join().unwrap());
        assert!(are_done.contains(&false), "one waits until its time is up");
    });
    let found = lockdep::findings();
    let deadlock = found.iter().find(|it| it.kind() == FindingKind::Deadlock);
    let report = deadlock.expect("they wait for longer than a second").to_string();
    assert!(report.contains("all 2 permits of `r2d2 busy blocks` are held by threads that wait\n"));
    assert_eq!(
        report.matches("\n    holds      `r2d2 busy blocks` (permit)").count(),
        2,
        "{report}"
    );
}
