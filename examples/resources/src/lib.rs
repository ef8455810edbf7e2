//! Lock files, transactions of SQLite and PostgreSQL, and keys in Redis, with their places among a program's locks.
//!
//! Each adapter has an acquisition checked by a [`Resource`](lockdep::external::Resource), makes the client's call, and
//! returns a guard. A mutex, a row and a key that are acquired in both orders are found in one run, before any call waits.

pub mod files;
pub mod postgres;
pub mod redis;
pub mod server;
pub mod sqlite;
