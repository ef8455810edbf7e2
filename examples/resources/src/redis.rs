//! Redis: keys with a lease, on one server.

use std::{
    error, fmt, thread,
    time::{Duration, Instant},
};

use lockdep::external::{Held, Mode, Resource};
use redis::{Connection, RedisError, RedisResult, cmd};

/// How long to wait before another attempt.
const PAUSE: Duration = Duration::from_millis(5);

/// Deletes a key if it still has the token of the one who set it.
const DELETE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";

/// Keys that are locked in one way.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// The server, under a name that no other server has.
    pub server: &'static str,
    /// How long a key stays locked if its holder does not release it.
    pub lease: Duration,
    /// How long to wait for a key.
    pub limit: Duration,
}

/// A locked key, until it is released or dropped, or its lease ends.
pub struct Lease<'a> {
    held: Option<Held<()>>,
    connection: &'a mut Connection,
    key: String,
    token: String,
}

/// Why a key could not be locked or released.
#[derive(Debug)]
pub enum Error {
    /// Another holder has had the key until the limit was reached.
    Taken(String),
    /// The lease had ended before the release, so another holder may have had the key meanwhile.
    Expired(String),
    /// An error of the client or the server.
    Redis(RedisError),
}

impl Keys {
    /// Locks a key by `SET key token NX PX lease`, which it tries until the limit.
    ///
    /// # Errors
    ///
    /// If another holder has the key for all that time, or if the server cannot be asked.
    #[track_caller]
    pub fn lock<'a>(&self, connection: &'a mut Connection, key: &str) -> Result<Lease<'a>, Error> {
        let token = format!("{:032x}", rand::random::<u128>());
        let resource = Resource::new(self.server, key).lease(self.lease);
        let set = || self.set(connection, key, &token);
        let (held, ()) = resource.acquire(Mode::Exclusive, set)?.split();
        Ok(Lease { held: Some(held), connection, key: key.to_owned(), token })
    }

    fn set(&self, connection: &mut Connection, key: &str, token: &str) -> Result<(), Error> {
        let begin = Instant::now();
        let lease = self.lease.as_millis().to_string();
        let mut set = cmd("SET");
        set.arg(key).arg(token).arg("NX").arg("PX").arg(lease);
        while !set.query(connection)? {
            if begin.elapsed() >= self.limit {
                return Err(Error::Taken(key.to_owned()));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Lease<'_> {
    /// Deletes the key.
    ///
    /// # Errors
    ///
    /// If the lease has ended, or if the server cannot be asked. The key is not held in any case.
    pub fn release(mut self) -> Result<(), Error> {
        if self.delete()? { Ok(()) } else { Err(Error::Expired(self.key.clone())) }
    }

    /// The connection by which the key was locked.
    pub fn connection(&mut self) -> &mut Connection {
        self.connection
    }

    /// Returns `false` if the key was not ours any more.
    fn delete(&mut self) -> RedisResult<bool> {
        drop(self.held.take());
        cmd("EVAL").arg(DELETE).arg(1).arg(&self.key).arg(&self.token).query(self.connection)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if self.held.is_some() {
            // If this fails, the lease ends without it.
            let _ = self.delete();
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(key) => write!(f, "the key {} is locked by another holder", in_short(key)),
            Self::Expired(key) => {
                write!(f, "the lease of {} had ended before its release", in_short(key))
            }
            Self::Redis(error) => write!(f, "Redis: {error}"),
        }
    }
}

impl error::Error for Error {}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

/// Returns the beginning of a key, which may be anything.
fn in_short(key: &str) -> String {
    match key.char_indices().nth(60) {
        Some((end, _)) => format!("{:?}…", &key[..end]),
        None => format!("{key:?}"),
    }
}
