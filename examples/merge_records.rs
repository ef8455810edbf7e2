//! Merges the findings of many processes, from the records written with `LOCKDEP_OUT`.
//!
//! ```sh
//! LOCKDEP_OUT=/tmp/lockdep cargo test
//! cargo run --features records --example merge_records -- /tmp/lockdep
//! ```
//!
//! Exits with status 1 if there is a finding that no test expects.

use std::{env, io, process::ExitCode};

use lockdep::{Level, record::Merge};

fn main() -> io::Result<ExitCode> {
    let mut merge = Merge::default();
    for folder in env::args_os().skip(1) {
        for problem in merge.read_folder(folder)? {
            eprintln!("{problem}");
        }
    }
    let mut findings = merge.findings();
    findings.retain(|finding| !finding.in_scope && finding.level != Level::Allow);
    for finding in &findings {
        println!("{finding}");
    }
    println!(
        "records: {}, edges between classes of locks: {}, findings: {}",
        merge.records(),
        merge.edges(),
        findings.len()
    );
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
