//! Each system with a mutex or another system: in both orders, which is found, and in one, which is not. And what can
//! go wrong: each is one clear error, after which nothing is held that should not be.

mod files;
mod postgres;
mod redis;
mod sqlite;
mod support;
mod transfer;
