//! Starts Redis and PostgreSQL, and then both services, one after the other, so that neither waits for the other. Each
//! writes its record into a folder.

use std::{env, error::Error, path::Path, process::Command};

use resources::server::{Postgres, Redis};
use two_services::{POSTGRES, REDIS, Version};

const ACCOUNTS: &str = "
    CREATE TABLE accounts (id int PRIMARY KEY, shipped int NOT NULL, billed int NOT NULL);
    INSERT INTO accounts VALUES (7, 0, 0);
";

fn main() -> Result<(), Box<dyn Error>> {
    let (version, records) = (Version::of_arguments()?, env::args_os().nth(2));
    let records = records.ok_or("which folder are the records written to?")?;
    let (redis, postgres) = (Redis::start()?, Postgres::start()?);
    postgres.connect()?.batch_execute(ACCOUNTS)?;
    let programs = env::current_exe()?;
    let programs = programs.parent().unwrap_or(Path::new("."));
    for service in ["orders", "billing"] {
        let mut service_call = Command::new(programs.join(service));
        service_call.arg(version.name());
        service_call.env(REDIS, redis.address()).env(POSTGRES, postgres.parameters());
        service_call.env("LOCKDEP_OUT", &records).env("LOCKDEP_SERVICE", service);
        if !service_call.status()?.success() {
            return Err(format!("`{service}` has failed").into());
        }
        eprintln!("`{service}` has done its work, and reports nothing");
    }
    Ok(())
}
