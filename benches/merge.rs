//! Measures the cost of merging many records of one program whose tests acquire the same locks in
//! the same orders: time and peak memory, after a tenth of the records and after all of them.
//!
//! ```sh
//! cargo bench --features records --bench merge [records [edges]]
//! ```

use std::{fmt::Write, time::Instant};

use lockdep::record::Merge;

/// Returns the record of one process, without its header.
fn body(edges: usize) -> String {
    let mut text = String::new();
    for lock in 0..=edges / 2 {
        let _ = writeln!(
            text,
            r#"{{"lock":{{"id":{lock},"name":"self.part_{lock}","type":"Mutex<Vec<Part>>","created_at":"src/parts.rs:{lock}:22","class":"Mutex<Vec<Part>> made at src/parts.rs:{lock}:22"}}}}"#
        );
    }
    for edge in 0..edges {
        let (held, wanted) = (edge / 2, edge / 2 + 1 + edge % 2);
        let _ = writeln!(
            text,
            r#"{{"edge":{{"held":{held},"held_mode":"exclusive","held_at":"src/parts.rs:{edge}:40","wanted":{wanted},"wanted_mode":"exclusive","acquired_at":"src/parts.rs:{edge}:44","thread":"tests::parts_{edge}"}}}}"#
        );
    }
    text.replace(&format!(r#""wanted":{},"#, edges / 2 + 1), &format!(r#""wanted":{},"#, edges / 2))
}

/// Returns the peak memory so far, as Linux reports it.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let records = numbers.next().unwrap_or(10_000_usize);
    let edges = numbers.next().unwrap_or(1_000_usize);
    let body = body(edges);
    println!("{records} records of {edges} edges, {} KiB each", body.len() / 1024);
    let start = Instant::now();
    let mut merge = Merge::default();
    for number in 1..=records {
        // Distinct, and random enough.
        let id = (number as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let header = format!(
            r#"{{"header":{{"schema":1,"lockdep":"0.1.0","id":"{id:032x}","process":{number},"program":"tests","started":{number}}}}}"#
        );
        let record = std::io::Read::chain(header.as_bytes(), &b"\n"[..]);
        let record = std::io::Read::chain(record, body.as_bytes());
        let problems = merge.add(record).expect("it is in memory");
        assert!(problems.is_empty(), "{problems:?}");
        if number == records / 10 || number == records {
            println!(
                "{number} records: {} edges, {} findings, {:.2} s, at most {}",
                merge.edges(),
                merge.findings().len(),
                start.elapsed().as_secs_f64(),
                peak()
            );
        }
    }
}
