//! `cargo lockdep doctor`: which packages of a workspace use locks, and which of those will be
//! checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt::Write,
    process::ExitCode,
};

use cargo_metadata::{DependencyKind, Metadata, Node, Package, PackageId, Target};

use crate::{
    Result,
    cargo_options::take_option,
    project::{self, Project},
    report::{coverage::OTHER_LOCKS, formats},
    rustc::{
        classify::has_no_std,
        lock_types::{self, Home, sources},
        replacement::Replacement,
    },
};

/// The width of text below the table.
const WIDTH: usize = 100;

/// Prints the table on standard output.
pub(crate) fn run(mut arguments: Vec<OsString>) -> Result<ExitCode> {
    let project = Project::find(&mut arguments)?;
    let metadata = metadata(&project, arguments)?;
    let of_program = of_program(&metadata);
    let rows: Vec<_> =
        of_program.iter().flat_map(|(package, node)| rows(package, node, &metadata)).collect();
    let with_locks: BTreeSet<_> = rows.iter().map(|row| &row.package).collect();
    let without_std: Vec<_> = of_program
        .iter()
        .filter(|(package, _)| is_without_std(package))
        .map(|(package, _)| format!("{} {}", package.name, package.version))
        .filter(|package| !with_locks.contains(package))
        .collect();
    let summary = format!(
        "{} of {} packages name locks. This is an approximation from a search of their sources. A package that \
         does not compile with checked locks gets the real ones; a run says which those are.",
        with_locks.len(),
        of_program.len(),
    );
    let summary = textwrap::fill(&summary, WIDTH);
    formats::print(&format!("{}\n{summary}\n{}", table(&rows), list(&without_std)))?;
    Ok(ExitCode::SUCCESS)
}

/// Lists the packages that have no std.
fn list(packages: &[String]) -> String {
    if packages.is_empty() {
        return String::new();
    }
    format!(
        "\nThese have no std, so they have no locks, unless they make their own:\n{}\n",
        textwrap::fill(&packages.join(", "), WIDTH)
    )
}

/// Returns `true` if a package's library has no std.
fn is_without_std(package: &Package) -> bool {
    let library = package.targets.iter().find(|target| target.is_lib());
    library.is_some_and(|library| has_no_std(library.src_path.as_std_path()))
}

/// Returns cargo's metadata with the requested features. Rejects arguments that would change
/// nothing.
fn metadata(project: &Project, mut arguments: Vec<OsString>) -> Result<Metadata> {
    let mut options = vec!["--filter-platform".to_owned(), project.target.clone()];
    for name in ["--features", "-F"] {
        if let Some(features) = take_option(&mut arguments, name)? {
            options.extend(["--features".to_owned(), features.to_string_lossy().into_owned()]);
        }
    }
    let for_cargo = arguments.clone();
    take_option(&mut arguments, "--manifest-path")?;
    for argument in arguments {
        let argument = argument.to_string_lossy();
        match &*argument {
            "--all-features" | "--no-default-features" => options.push(argument.into_owned()),
            "--offline" | "--frozen" | "--locked" => {}
            _ => return Err(format!("`cargo lockdep doctor` does not take `{argument}`: {TAKES}")),
        }
    }
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    project::metadata(&project.cargo, &for_cargo, &options)
}

const TAKES: &str = "it takes `--manifest-path`, `--target`, `--features`, `--all-features`, \
    `--no-default-features`, `--offline`, `--locked` and `--frozen`, as for `cargo metadata`";

/// Returns the packages that make up the program and its tests.
fn of_program(metadata: &Metadata) -> Vec<(&Package, &Node)> {
    let packages: BTreeMap<_, _> = metadata.packages.iter().map(|it| (&it.id, it)).collect();
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let nodes: BTreeMap<_, _> = nodes.map(|node| (&node.id, node)).collect();
    let mut waiting: Vec<&PackageId> = metadata.workspace_members.iter().collect();
    let mut found = BTreeMap::new();
    while let Some(id) = waiting.pop() {
        let (Some(&package), Some(&node)) = (packages.get(id), nodes.get(id)) else { continue };
        let runs_at_build_time = package.targets.iter().any(Target::is_proc_macro);
        if runs_at_build_time || found.insert((&package.name, &package.version, id), node).is_some()
        {
            continue;
        }
        let is_member = metadata.workspace_members.contains(id);
        waiting.extend(node.deps.iter().filter_map(|dependency| {
            let is_used = dependency.dep_kinds.iter().any(|kind| match kind.kind {
                DependencyKind::Normal => true,
                DependencyKind::Development => is_member,
                _ => false,
            });
            is_used.then_some(&dependency.pkg)
        }));
    }
    found.into_iter().map(|((_, _, id), node)| (packages[id], node)).collect()
}

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    package: String,
    locks: String,
    seen: String,
}

/// Packages that are not listed, but those that use them.
const SHOWN_BY_USERS: [&str; 10] = [
    "async-lock",
    "futures",
    "futures-util",
    "lazy_static",
    "lock_api",
    "once_cell",
    "parking_lot",
    "rayon",
    "rayon-core",
    "tokio",
];

fn rows(package: &Package, node: &Node, metadata: &Metadata) -> Vec<Row> {
    let row = |locks, seen: &str| Row {
        package: format!("{} {}", package.name, package.version),
        locks,
        seen: seen.to_owned(),
    };
    let features: Vec<_> = node.features.iter().map(ToString::to_string).collect();
    let is_replaced =
        Replacement::of(&package.name, &package.version.to_string(), &features).is_some();
    if let Some((what, why)) = other_locks(&package.name).filter(|_| !is_replaced) {
        return vec![row(what.to_owned(), &format!("no: {why}"))];
    }
    if SHOWN_BY_USERS.contains(&package.name.as_str()) {
        return Vec::new();
    }
    let named = named_in(package);
    // Its raw locks park threads, and are checked as those of `lock_api`.
    let has_raw_locks = named.keys().any(|home| home.crate_name() == "lock_api");
    let is_part = |home: &Home| has_raw_locks && home.crate_name() == "parking_lot_core";
    let named = named.into_iter().filter(|(home, _)| !is_part(home)).filter_map(|(home, types)| {
        let types = types.into_iter().collect::<Vec<_>>().join(", ");
        if home.crate_name() == "std" {
            return Some(row(format!("std: {types}"), "yes"));
        }
        let used = node.deps.iter().find(|used| used.name == home.crate_name())?;
        let used = metadata.packages.iter().find(|package| package.id == used.pkg)?;
        let features = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
        let features = features.filter(|node| node.id == used.id).flat_map(|node| &node.features);
        let features: Vec<_> = features.map(ToString::to_string).collect();
        let seen = if home.is_unchecked() {
            "no: they are the real ones".to_owned()
        } else {
            is_seen(&used.name, &used.version.to_string(), &features)
        };
        Some(row(format!("{} {}: {types}", used.name, used.version), &seen))
    });
    named.collect()
}

/// Returns what a package makes threads or tasks wait for that is not seen, and why not.
fn other_locks(package: &str) -> Option<(&'static str, &'static str)> {
    let crate_name = package.replace('-', "_");
    let known = OTHER_LOCKS.into_iter().find(|(name, ..)| *name == crate_name);
    known.map(|(_, what, why)| (what, why))
}

fn is_seen(package: &str, version: &str, features: &[String]) -> String {
    let is_replaced = Replacement::of(package, version, features).is_some();
    if let Some((_, why)) = other_locks(package).filter(|_| !is_replaced) {
        return format!("no: {why}");
    }
    let seen = match package {
        "lazy_static" if features.iter().any(|name| name == "spin_no_std") => {
            "no: its feature `spin_no_std` takes those of spin"
        }
        "lazy_static" | "crossbeam-utils" => "yes, as std's",
        // Its jobs are those of rayon-core, and its locks those of futures-util.
        "rayon" | "futures" => "yes",
        "parking_lot_core" => "no: it parks threads itself",
        // A program built with this feature and `tokio_unstable` traces its tasks itself.
        "tokio" if features.iter().any(|name| name == "tracing") => "yes, without `tokio_unstable`",
        _ if is_replaced => "yes",
        "futures-util" | "lock_api" | "once_cell" | "parking_lot" | "tokio" => {
            "no: not in this version, or with these features"
        }
        _ => "no: there is no replacement",
    };
    seen.to_owned()
}

/// Returns the lock types that the package's sources name. The tests of packages outside the
/// workspace do not count.
fn named_in(package: &Package) -> BTreeMap<&'static Home, BTreeSet<&'static str>> {
    let mut named = BTreeMap::<_, BTreeSet<_>>::new();
    let is_member = package.source.is_none();
    let targets = package.targets.iter().filter(|it| it.is_lib() || it.is_bin() || is_member);
    let folders: BTreeSet<_> =
        targets.filter(|it| !it.is_custom_build()).filter_map(|it| it.src_path.parent()).collect();
    for folder in folders {
        for text in sources(folder.as_std_path()) {
            for (home, types) in lock_types::of_source(&text) {
                named.entry(home).or_default().extend(types);
            }
        }
    }
    named
}

/// Lays out the rows in columns, naming each package once.
fn table(rows: &[Row]) -> String {
    let head = Row { package: "package".into(), locks: "locks".into(), seen: "seen".into() };
    let all = || std::iter::once(&head).chain(rows);
    let width = |of: fn(&Row) -> &str| all().map(|row| of(row).chars().count()).max().unwrap_or(0);
    let (package, locks) = (width(|row| &row.package), width(|row| &row.locks));
    let mut text = String::new();
    let mut last = "";
    for row in all() {
        let name = if row.package == last { "" } else { &row.package };
        let _ = writeln!(text, "{name:package$}  {:locks$}  {}", row.locks, row.seen);
        last = &row.package;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_columns() {
        let row = |package: &str, locks: &str, seen: &str| Row {
            package: package.to_owned(),
            locks: locks.to_owned(),
            seen: seen.to_owned(),
        };
        let rows = [
            row("shop 0.1.0", "std: Mutex", "yes"),
            row("shop 0.1.0", "parking_lot 0.11.2: Mutex", "no"),
            row("spin 0.9.8", "its own", "no"),
        ];
        assert_eq!(
            table(&rows),
            "package     locks                      seen\n\
             shop 0.1.0  std: Mutex                 yes\n\
             \x20           parking_lot 0.11.2: Mutex  no\n\
             spin 0.9.8  its own                    no\n"
        );
    }

    #[test]
    fn what_is_replaced_is_seen() {
        let features = |name: &str| [name.to_owned()];
        assert_eq!(is_seen("parking_lot", "0.12.5", &[]), "yes");
        let is_other = "no: not in this version, or with these features";
        assert_eq!(is_seen("parking_lot", "0.11.2", &[]), is_other);
        assert_eq!(is_seen("once_cell", "1.21.4", &features("std")), "yes");
        assert_eq!(is_seen("once_cell", "1.21.4", &features("race")), is_other);
        assert_eq!(is_seen("lazy_static", "1.5.1", &[]), "yes, as std's");
        let of_spin = "no: its feature `spin_no_std` takes those of spin";
        assert_eq!(is_seen("lazy_static", "1.5.1", &features("spin_no_std")), of_spin);
        assert_eq!(is_seen("tokio", "1.54.1", &features("sync")), "yes");
        assert_eq!(is_seen("tokio", "1.54.1", &features("rt")), is_other);
        let traced = ["sync", "tracing"].map(str::to_owned);
        assert_eq!(is_seen("tokio", "1.54.1", &traced), "yes, without `tokio_unstable`");
        assert_eq!(is_seen("lock_api", "0.5.0", &[]), "yes");
        assert_eq!(is_seen("async-lock", "3.5.0", &features("std")), "yes");
        assert_eq!(is_seen("async-lock", "2.8.0", &features("std")), is_other);
        assert_eq!(is_seen("futures-util", "0.3.34", &[]), is_other);
        assert_eq!(is_seen("spin", "0.9.8", &[]), "no: they are made of atomics");
        assert_eq!(
            is_seen("event-listener", "5.4.0", &[]),
            "no: any thread or task may notify them"
        );
        assert_eq!(is_seen("parking_lot_core", "0.9.12", &[]), "no: it parks threads itself");
    }
}
