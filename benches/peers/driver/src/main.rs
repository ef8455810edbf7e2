//! Measures all peers side by side, and shows the results.

mod build;
mod builds;
mod children;
mod instructions;
mod plan;
mod plot;
mod programs;
mod results;
mod rounds;
mod show;
mod suites;
mod table;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use plan::{Figure, PEERS, ROWS};
use results::Results;
use rounds::Runner;

/// Measures what lockdep and its peers cost, side by side
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measures, writes the results, and prints the tables
    Measure {
        /// The file with the results; those of other parts are kept
        #[arg(long, value_name = "FILE", default_value = "results.json")]
        results: PathBuf,
        /// The number of rounds
        #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u16).range(1..))]
        rounds: u16,
        /// Measures only this part
        #[arg(long)]
        part: Vec<Part>,
    },
    /// Prints the tables of earlier results
    Table {
        /// The results
        #[arg(value_name = "FILE", default_value = "results.json")]
        results: PathBuf,
    },
    /// Draws earlier results
    Draw {
        /// The results
        #[arg(value_name = "FILE", default_value = "results.json")]
        results: PathBuf,
        /// The file of the drawing
        #[arg(long, value_name = "FILE", default_value = "results.svg")]
        svg: PathBuf,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The time of each workload
    Rounds,
    /// The instructions of each workload, by callgrind
    Instructions,
    /// Clean builds
    Builds,
    /// Test suites of published crates, with their locks replaced in the source
    Programs,
    /// Test suites of published crates under `cargo lockdep test`
    Suites,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Task::Measure { results, rounds, part } => measure(&results, rounds.into(), &part),
        Task::Table { results } => print(&Results::read(&results)?),
        Task::Draw { results, svg } => plot::draw(&Results::read(&results)?, &svg),
    }
}

fn print(results: &Results) -> Result<()> {
    Ok(io::stdout().write_all(table::render(results).as_bytes())?)
}

/// Builds and whole programs take long and vary less, so they run at most this often.
const FEW_ROUNDS: usize = 3;

fn measure(path: &Path, rounds: usize, parts: &[Part]) -> Result<()> {
    let few = rounds.min(FEW_ROUNDS);
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    let mut results = if path.exists() { Results::read(path)? } else { Results::default() };
    results.machine = machine();

    let style = ProgressStyle::with_template("{elapsed} {wide_msg}").expect("a template");
    let progress = ProgressBar::new_spinner().with_style(style);
    let next = |what: &str| progress.set_message(what.to_owned());

    let needs_peers = wanted(Part::Rounds) || wanted(Part::Instructions);
    let programs = PEERS
        .iter()
        .filter(|_| needs_peers)
        .map(|peer| {
            next(&format!("building {}", peer.package));
            build::build(peer.package)
        })
        .collect::<Result<Vec<_>>>()?;

    if wanted(Part::Rounds) {
        results.rounds.clear();
        for row in &ROWS {
            let runners: Vec<_> = PEERS
                .iter()
                .zip(&programs)
                .filter(|(peer, _)| peer.is_measured_at(row))
                .map(|(peer, program)| Runner { peer, program })
                .collect();
            for measurement in row.figure.measurements() {
                next(measurement);
                let done = rounds::run(measurement, rounds, &runners)?;
                let done = done.into_iter().map(|(peer, rounds)| (peer.to_owned(), rounds));
                results.rounds.insert((*measurement).to_owned(), done.collect());
            }
        }
        results.write(path)?;
    }
    if wanted(Part::Instructions) {
        results.instructions.clear();
        for row in &ROWS {
            let Figure::OneThread(measurement) = row.figure else { continue };
            let counts = results.instructions.entry(measurement.to_owned()).or_default();
            for (peer, program) in PEERS.iter().zip(&programs) {
                next(&format!("instructions of {measurement}, {}", peer.package));
                if let Some(count) = instructions::count(program, measurement) {
                    counts.insert(peer.package.to_owned(), count);
                }
            }
        }
        results.write(path)?;
    }
    if wanted(Part::Builds) {
        results.builds.clear();
        for round in 1..=few {
            for peer in &PEERS {
                next(&format!("a clean build of {}, {round} of {few}", peer.package));
                let seconds = builds::clean(peer.package)?;
                results.builds.entry(peer.package.to_owned()).or_default().push(seconds);
            }
        }
        results.write(path)?;
    }
    if wanted(Part::Programs) {
        results.programs = programs::run(few, next)?;
        results.write(path)?;
    }
    if wanted(Part::Suites) {
        results.suites = suites::run(few, next)?;
        results.write(path)?;
    }
    progress.finish_and_clear();
    print(&results)
}

/// Describes the machine and the compiler.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!("{model}, {cores} cores, {}", rustc.unwrap_or_default())
}
