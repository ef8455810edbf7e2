//! The output formats of a report and of a proposed order.

mod dot;
pub(crate) mod drawn;
mod fingerprint;
mod github;
mod gitlab;
mod html;
pub(crate) mod human;
mod json;
mod junit;
mod lock;
pub(crate) mod order;
#[cfg(test)]
mod parser_tests;
pub(crate) mod rustc;
mod sarif;
mod spans;
pub(crate) mod steps;

use std::{
    fmt::Debug,
    fs,
    io::{self, Write},
    path::{Path, PathBuf, is_separator},
};

use clap::{Args, ValueEnum};

use self::rustc::Rendered;
use super::Report;
use crate::{Result, cannot};

/// The formats of a command's output.
pub(crate) trait Output: ValueEnum + Copy + Debug + Ord + Send + Sync + 'static {
    /// Text for the terminal.
    const HUMAN: Self;

    fn text(self, report: &Report) -> Result<String>;

    /// Returns the default file name.
    fn file_name(self) -> &'static str;

    /// Returns the format that the extension of a file stands for.
    fn of_file(path: &Path) -> Option<Self>;
}

/// The formats of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Format {
    /// Text for the terminal
    Human,
    /// The whole report, for programs
    Json,
    /// For code hosts, which show findings at their lines
    Sarif,
    /// For CI servers, which list tests
    Junit,
    /// The lock order, for Graphviz
    Dot,
    /// A page for a browser
    Html,
    /// Workflow commands of GitHub Actions, which show findings at their lines
    Github,
    /// A Code Quality report, which GitLab shows in merge requests
    Gitlab,
    /// rustc's JSON diagnostics, for editors
    Rustc,
}

/// The requested formats, and where to write them.
#[derive(Debug, Args)]
pub(crate) struct Wanted<F: Output = Format> {
    /// Writes the report in these formats: `html,sarif`
    #[arg(long = "format", value_name = "FORMAT", value_enum, value_delimiter = ',')]
    formats: Vec<F>,
    /// Writes to this file, to this folder for several formats, or to standard output for `-`
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Output for Format {
    const HUMAN: Self = Self::Human;

    fn text(self, report: &Report) -> Result<String> {
        match self {
            Self::Human => Ok(human::text(report)),
            Self::Json => json::text(report),
            Self::Sarif => sarif::text(report),
            Self::Junit => junit::text(report),
            Self::Dot => Ok(dot::text(report)),
            Self::Html => Ok(html::text(report)),
            Self::Github => Ok(github::text(report)),
            Self::Gitlab => gitlab::text(report),
            Self::Rustc => rustc::text(report, Rendered::Report),
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Self::Human => "report.txt",
            Self::Json => "report.json",
            Self::Sarif => "report.sarif",
            Self::Junit => "report.junit.xml",
            Self::Dot => "report.dot",
            Self::Html => "report.html",
            Self::Github => "report.github.txt",
            Self::Gitlab => "report.gitlab.json",
            Self::Rustc => "report.rustc.json",
        }
    }

    fn of_file(path: &Path) -> Option<Self> {
        let before = path.file_stem().and_then(|stem| Path::new(stem).extension());
        let is_before = |name: &str| before.is_some_and(|it| it == name);
        Some(match path.extension()?.to_str()? {
            "txt" if is_before("github") => Self::Github,
            "txt" => Self::Human,
            "json" if is_before("sarif") => Self::Sarif,
            "json" if is_before("gitlab") => Self::Gitlab,
            "json" if is_before("rustc") => Self::Rustc,
            "json" => Self::Json,
            "sarif" => Self::Sarif,
            "xml" => Self::Junit,
            "dot" | "gv" => Self::Dot,
            "html" | "htm" => Self::Html,
            _ => return None,
        })
    }
}

/// The target of each report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan<F = Format>(Vec<(F, Target)>);

#[derive(Debug, PartialEq, Eq)]
enum Target {
    StandardOutput,
    File(PathBuf),
}

impl<F: Output> Wanted<F> {
    /// Returns the plan for a run. The program owns standard output, so reports go to files in
    /// `folder` by default. The human report is printed to standard error in any case.
    pub(crate) fn beside_a_run(&self, folder: &Path) -> Result<Plan<F>> {
        let mut plan =
            self.plan(Vec::new(), |format| Target::File(folder.join(format.file_name())))?;
        if self.output.is_none() {
            plan.0.retain(|(format, _)| *format != F::HUMAN);
        }
        Ok(plan)
    }

    /// Returns the plan for records on disk, by default to standard output.
    pub(crate) fn alone(&self) -> Result<Plan<F>> {
        let plan = self.plan(vec![F::HUMAN], |_| Target::StandardOutput)?;
        match plan.0.len() {
            2.. if self.output.is_none() => {
                Err("several formats require `--output FOLDER`".to_owned())
            }
            _ => Ok(plan),
        }
    }

    fn plan(&self, default: Vec<F>, unsaid: impl Fn(F) -> Target) -> Result<Plan<F>> {
        let mut formats = self.formats.clone();
        formats.sort_unstable();
        formats.dedup();
        let Some(output) = &self.output else {
            let formats = if formats.is_empty() { default } else { formats };
            return Ok(Plan(formats.into_iter().map(|it| (it, unsaid(it))).collect()));
        };
        if formats.is_empty() {
            formats.push(F::of_file(output).ok_or_else(|| {
                format!("`{}` does not tell its format: say `--format`", output.display())
            })?);
        }
        let name = output.as_os_str();
        let end = name.as_encoded_bytes().last();
        let is_folder = output.is_dir() || end.is_some_and(|&end| is_separator(end.into()));
        let target = |format: F| match formats.len() {
            _ if is_folder => Ok(Target::File(output.join(format.file_name()))),
            1 if name == "-" => Ok(Target::StandardOutput),
            1 => Ok(Target::File(output.clone())),
            _ => Err(format!(
                "several formats require a folder, but `{}` is not one",
                output.display()
            )),
        };
        let planned = formats.iter().map(|&format| Ok((format, target(format)?)));
        Ok(Plan(planned.collect::<Result<_>>()?))
    }
}

impl<F: Output> Plan<F> {
    /// Returns `true` if the human report goes to standard output.
    pub(crate) fn tells_people(&self) -> bool {
        self.0.contains(&(F::HUMAN, Target::StandardOutput))
    }

    /// Returns `true` if this format is written.
    pub(crate) fn has(&self, format: F) -> bool {
        self.0.iter().any(|(it, _)| *it == format)
    }

    /// Returns `true` if anything goes to standard output.
    pub(crate) fn prints(&self) -> bool {
        self.0.iter().any(|(_, target)| *target == Target::StandardOutput)
    }

    /// Writes all reports, and prints the paths of files.
    pub(crate) fn write(&self, report: &Report) -> Result<()> {
        for (format, target) in &self.0 {
            let text = format.text(report)?;
            match target {
                Target::StandardOutput => print(&text)?,
                Target::File(path) => {
                    if let Some(folder) = path.parent() {
                        let name = folder.display();
                        fs::create_dir_all(folder).map_err(cannot(format!("make {name}")))?;
                    }
                    fs::write(path, text).map_err(cannot(format!("write {}", path.display())))?;
                    eprintln!("lockdep: report written to {}", path.display());
                }
            }
        }
        Ok(())
    }
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        // The reader has closed the pipe, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(cannot("write to standard output")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Ours {
        #[command(flatten)]
        wanted: Wanted,
    }

    fn wanted(arguments: &str) -> Wanted {
        Ours::parse_from(["x"].into_iter().chain(arguments.split_whitespace())).wanted
    }

    /// `html to a/report.html, ...`
    fn words(plan: Result<Plan>) -> String {
        let target = |target| match target {
            Target::File(path) => path.display().to_string().replace('\\', "/"),
            Target::StandardOutput => "-".to_owned(),
        };
        match plan {
            Ok(Plan(parts)) => {
                let words =
                    parts.into_iter().map(|(format, to)| format!("{format:?} to {}", target(to)));
                words.collect::<Vec<_>>().join(", ")
            }
            Err(message) => message,
        }
    }

    #[test]
    fn a_run_leaves_standard_output_alone() {
        for (arguments, expected) in [
            ("", ""),
            ("--format human", ""),
            ("--format html", "Html to t/report.html"),
            ("--format sarif,json,sarif", "Json to t/report.json, Sarif to t/report.sarif"),
            ("--format json --output x", "Json to x"),
            ("--format human --output x", "Human to x"),
            ("--output a/b.html", "Html to a/b.html"),
            ("--output b.sarif.json", "Sarif to b.sarif.json"),
            ("--output b.gitlab.json", "Gitlab to b.gitlab.json"),
            ("--output b.github.txt", "Github to b.github.txt"),
            ("--format rustc --output b/", "Rustc to b/report.rustc.json"),
            ("--output b/ --format dot", "Dot to b/report.dot"),
            ("--output src --format dot", "Dot to src/report.dot"),
            ("--output - --format dot", "Dot to -"),
            ("--output x", "`x` does not tell its format: say `--format`"),
            (
                "--output x --format dot,html",
                "several formats require a folder, but `x` is not one",
            ),
        ] {
            assert_eq!(words(wanted(arguments).beside_a_run(Path::new("t"))), expected);
        }
    }

    #[test]
    fn records_alone_go_to_standard_output() {
        for (arguments, expected) in [
            ("", "Human to -"),
            ("--format json", "Json to -"),
            ("--format json,dot", "several formats require `--output FOLDER`"),
            ("--format json,dot --output x/", "Json to x/report.json, Dot to x/report.dot"),
        ] {
            assert_eq!(words(wanted(arguments).alone()), expected);
        }
    }
}
