//! `cargo lockdep records`: the nestings in records as rows, one JSON object a line, for databases.

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use lockdep::record;

use crate::{
    Result, cannot, exit_code,
    report::{
        inputs::Paths,
        rows::{Row, Rows},
    },
};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    paths: Paths,
}

pub(crate) fn run(options: Options) -> Result<ExitCode> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut written = Ok(());
    let messages = options.paths.inputs()?.each(|input| {
        let mut rows = Rows::default();
        let mut write = |row: &Row| {
            let line = serde_json::to_string(row).map_err(io::Error::from);
            if written.is_ok() {
                written = line.and_then(|line| writeln!(out, "{line}"));
            }
        };
        let problems = record::read_log(input, |id, line| rows.add(id, &line, &mut write));
        rows.end(&mut write);
        problems
    });
    for message in &messages {
        eprintln!("lockdep: {message}");
    }
    match written.and_then(|()| out.flush()) {
        // Who reads them has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.map_err(cannot("write the rows"))?,
    }
    Ok(exit_code::of_parts(messages.len()))
}
