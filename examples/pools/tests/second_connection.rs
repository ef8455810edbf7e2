//! One request that asks for two connections, with each pool: predicted, while the pool has connections left. Then
//! fixed, and silent.

use lockdep::{FindingKind, testing, tokio};
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
