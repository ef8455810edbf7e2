//! Whole programs: the test suites of published crates, with their original locks and with ours.

use std::{
    env, fs,
    io::Cursor,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use cargo_metadata::Message;

use crate::{
    build::workspace,
    children,
    results::{Program, Runs},
};

/// Runs each suite `rounds` times, alternating between the variants.
pub(crate) fn run(rounds: usize, next: impl Fn(&str)) -> Result<Vec<Program>> {
    let scratch = tempfile::tempdir()?;
    next("preparing published crates");
    children::time(Command::new(workspace().join("../../.ci/real_crates")).arg(scratch.path()))?;
    let list = fs::read_to_string(scratch.path().join("list"))?;
    list.lines()
        .map(|line| {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap_or_default().to_owned();
            let (name, version, features) = (word(), word(), word());
            let program = format!("{name} {version}");
            next(&format!("{program}: building its tests"));
            let [plain, checked] = ["plain", "swapped"]
                .map(|kind| Suite::build(&scratch.path().join(kind).join(&name), &features));
            let (plain, checked) = (plain?, checked?);
            let mut result =
                Program { name: program, plain: Runs::default(), checked: Runs::default() };
            for round in 1..=rounds {
                next(&format!("{}: round {round}", result.name));
                plain.run(&mut result.plain)?;
                checked.run(&mut result.checked)?;
            }
            Ok(result)
        })
        .collect()
}

/// The test programs of a crate.
struct Suite {
    folder: PathBuf,
    programs: Vec<PathBuf>,
}

impl Suite {
    fn build(folder: &Path, features: &str) -> Result<Self> {
        let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build
            .current_dir(folder)
            .args(["test", "--no-run", "--quiet", "--message-format=json", "--features", features])
            // As the README recommends. Harmless without lockdep.
            .args(["--config", "profile.dev.package.lockdep.opt-level=3"])
            .arg("--target-dir")
            .arg(folder.join("target"))
            // The crates are older than some lints.
            .env("RUSTFLAGS", "--cap-lints=allow");
        let output = build.output()?;
        anyhow::ensure!(
            output.status.success(),
            "cannot build the tests in {}:\n{}",
            folder.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        let programs = Message::parse_stream(Cursor::new(output.stdout))
            .filter_map(|message| match message {
                Ok(Message::CompilerArtifact(artifact)) => artifact.executable.map(Ok),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
            .map(|program| program.map(Into::into))
            .collect::<Result<_, _>>()
            .context("cargo's messages")?;
        Ok(Self { folder: folder.to_owned(), programs })
    }

    fn run(&self, runs: &mut Runs) -> Result<()> {
        let (mut wall, mut cpu) = (0.0, 0.0);
        for program in &self.programs {
            let mut command = Command::new(program);
            // The findings at fail points are intended; only the cost is measured. In tests that
            // panic, std would look up symbols, which takes longer in the larger program.
            command.current_dir(&self.folder).env("LOCKDEP_EXIT", "0").env_remove("RUST_BACKTRACE");
            let (its_wall, its_cpu) = children::time(&mut command)?;
            wall += its_wall;
            cpu += its_cpu;
        }
        runs.push((wall, cpu));
        Ok(())
    }
}
