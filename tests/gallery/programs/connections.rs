//! A store of blocks behind a pool of connections, as one would wrap r2d2's. A function with a connection calls another
//! one, which takes its own.

use std::convert::Infallible;

use lockdep::external::{Held, Mode, Resource};

struct Connection(u64);

impl Connection {
    fn query(&mut self, _sql: &str) -> u64 {
        self.0
    }
}

struct Store {
    pool: Resource,
}

impl Store {
    fn connect() -> Self {
        Self { pool: Resource::new("postgres", "blocks").permits(10) }
    }

    #[track_caller]
    fn connection(&self) -> Held<Connection> {
        let Ok(connection) = self.pool.acquire(Mode::Shared, || Ok::<_, Infallible>(Connection(7)));
        connection
    }

    fn chain_head(&self) -> u64 {
        let mut connection = self.connection();
        connection.query("select max(number) from blocks")
    }

    fn block_age(&self, number: u64) -> u64 {
        let mut connection = self.connection();
        let block = connection.query("select number from blocks where number = $1");
        self.chain_head() - block.min(number)
    }
}

pub(crate) fn main() {
    let store = Store::connect();
    crate::alone(|| assert_eq!(store.block_age(7), 0));
}
