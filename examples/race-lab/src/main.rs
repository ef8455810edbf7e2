//! Five ways to add to a balance in SQLite, and how many updates each of them loses.

mod bank;
mod experiment;
mod html;
mod report;
mod text;
mod way;

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use experiment::Setting;
use indicatif::{ProgressBar, ProgressStyle};
use report::Report;

/// Adds to the balance of one account in SQLite, from many threads at once and in five ways, and
/// shows how many updates are lost
#[derive(Parser)]
struct Arguments {
    /// The number of requests that can be served concurrently
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=200))]
    workers: u16,

    /// The duration of a long window between read and write, up to 10s
    #[arg(long, default_value = "3ms", value_parser = window)]
    window: Duration,

    /// The duration of a short window
    #[arg(long, default_value = "200us", value_parser = window)]
    short_window: Duration,

    /// Requests per second, of all workers together
    #[arg(long, default_value_t = 800, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,

    /// The number of requests in each experiment
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    requests: u32,

    /// Seeds the arrival times of the requests
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Also writes the report as an HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn window(text: &str) -> Result<Duration, String> {
    let window = humantime::parse_duration(text).map_err(|error| format!("{error}, as in 3ms"))?;
    if window > Duration::from_secs(10) {
        return Err("more than 10s".to_owned());
    }
    Ok(window)
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let setting = Setting {
        workers: arguments.workers.into(),
        window: arguments.window,
        rate: arguments.rate.into(),
        requests: arguments.requests as usize,
        seed: arguments.seed,
    };
    let page = arguments.html.as_deref().map(Page::create).transpose()?;

    let style = ProgressStyle::with_template("{bar:20} {pos}/{len} {msg}").expect("a template");
    let progress = ProgressBar::no_length().with_style(style);
    let report = report::measure(setting, arguments.short_window, |done, all, next| {
        progress.set_length(all as u64);
        progress.set_position(done as u64);
        progress.set_message(next.to_owned());
    })
    .map_err(|error| format!("SQLite: {error}"))?;
    progress.finish_and_clear();

    io::stdout()
        .write_all(text::render(&report).as_bytes())
        .map_err(|error| format!("cannot write the report: {error}"))?;
    page.map_or(Ok(()), |page| page.write(&report))
}

/// A page that is written at the end, but created first, so that an unwritable path is reported
/// before the experiments run.
struct Page<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> Page<'a> {
    fn create(path: &'a Path) -> Result<Self, String> {
        match File::create(path) {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(cannot_write(path, &error)),
        }
    }

    fn write(mut self, report: &Report) -> Result<(), String> {
        self.file
            .write_all(html::render(report).as_bytes())
            .map_err(|error| cannot_write(self.path, &error))
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}
