//! Connection pools of r2d2, deadpool and bb8, with their places among a program's locks.
//!
//! Each adapter is a pool and a [`Resource`](lockdep::external::Resource) with as many permits. A thread or task that
//! asks for a second connection while it has one is reported, even if the pool is never empty. If all connections are held by
//! threads that wait for one, that is reported as well, with all of them.

use std::convert::Infallible;

pub mod bb8;
pub mod deadpool;
pub mod r2d2;

/// A connection to nothing, which every pool here manages.
#[derive(Debug, Default)]
pub struct Connection {
    queries: u64,
}

impl Connection {
    /// Runs a query, and returns how many were run.
    pub fn query(&mut self) -> u64 {
        self.queries += 1;
        self.queries
    }
}

/// Opens connections, for every pool here.
#[derive(Clone, Copy, Debug)]
pub struct Manager;

impl ::r2d2::ManageConnection for Manager {
    type Connection = Connection;
    type Error = Infallible;

    fn connect(&self) -> Result<Connection, Infallible> {
        Ok(Connection::default())
    }

    fn is_valid(&self, _connection: &mut Connection) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _connection: &mut Connection) -> bool {
        false
    }
}

impl ::bb8::ManageConnection for Manager {
    type Connection = Connection;
    type Error = Infallible;

    async fn connect(&self) -> Result<Connection, Infallible> {
        Ok(Connection::default())
    }

    async fn is_valid(&self, _connection: &mut Connection) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _connection: &mut Connection) -> bool {
        false
    }
}

impl ::deadpool::managed::Manager for Manager {
    type Type = Connection;
    type Error = Infallible;

    async fn create(&self) -> Result<Connection, Infallible> {
        Ok(Connection::default())
    }

    async fn recycle(
        &self,
        _connection: &mut Connection,
        _metrics: &::deadpool::managed::Metrics,
    ) -> ::deadpool::managed::RecycleResult<Infallible> {
        Ok(())
    }
}
