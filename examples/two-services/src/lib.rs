//! What both services know: how Redis and PostgreSQL are reached, and how they lock.

use std::{env, error::Error, str::FromStr, time::Duration};

use postgres::NoTls;
use resources::redis::Keys;

/// The variable with the address of Redis.
pub const REDIS: &str = "SHOP_REDIS";
/// The variable with the parameters of PostgreSQL.
pub const POSTGRES: &str = "SHOP_POSTGRES";

/// The database of the shop, as lockdep knows it.
pub const DATABASE: &str = "shop";

/// The keys of orders: whoever changes an order has its key.
pub const ORDERS: Keys =
    Keys { server: "redis", lease: Duration::from_secs(30), limit: Duration::from_secs(5) };

/// Whether the services take key and row in one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Each has an order of its own.
    Buggy,
    /// Both take the key first.
    Fixed,
}

impl Version {
    /// Returns its name, which is the argument of the services.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Buggy => "buggy",
            Self::Fixed => "fixed",
        }
    }

    /// Returns the one that this process was asked for.
    ///
    /// # Errors
    ///
    /// If the argument is neither `buggy` nor `fixed`.
    pub fn of_arguments() -> Result<Self, String> {
        env::args().nth(1).unwrap_or_default().parse()
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let versions = [Self::Buggy, Self::Fixed];
        let found = versions.into_iter().find(|version| version.name() == name);
        found.ok_or_else(|| format!("`{name}` is neither `buggy` nor `fixed`"))
    }
}

/// Connects to both servers.
///
/// # Errors
///
/// If a variable is missing, or a server does not answer.
pub fn connect() -> Result<(redis::Connection, postgres::Client), Box<dyn Error>> {
    let variable = |name| env::var(name).map_err(|error| format!("{name}: {error}"));
    let redis = redis::Client::open(variable(REDIS)?)?.get_connection()?;
    let postgres = postgres::Client::connect(&variable(POSTGRES)?, NoTls)?;
    Ok((redis, postgres))
}
