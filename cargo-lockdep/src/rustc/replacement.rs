//! Crates that define locks, and their replacements. Pure.
//!
//! Two crates of the same name are compiled: the real one, and ours, which is built on it. One of
//! them gets the file names that cargo expects; the other one moves aside. Both get the
//! dependencies that cargo passes for the real one, so their public types are the same.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use super::runtime::Runtime;
use crate::selection::Locks;

/// File suffixes: of a real crate that moved aside, and of a replacement that did.
pub(crate) const REAL: &str = "-real";
pub(crate) const CHECKED: &str = "-checked";

/// A crate that is replaced.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Replacement {
    /// The package, and the prefix of the supported versions.
    package: &'static str,
    line: &'static str,
    /// The feature without which the crate has no locks.
    feature: Option<&'static str>,
    /// Our crate moves aside: only direct dependents get it, all others get the real one.
    pub(crate) is_aside: bool,
    /// Our source file in the runtime.
    root: &'static str,
    /// The crate is replaced if any of these are checked.
    pub(crate) locks: &'static [Locks],
    /// The name of the real crate in our source.
    real: &'static str,
    /// A dependency of the real crate that our source calls by another name.
    renamed: Option<(&'static str, &'static str)>,
    /// The cfgs that our source uses.
    cfgs: &'static [&'static str],
    /// Items that old versions of the real crate lack; our source adapts by cfgs.
    additions: &'static [Addition],
    /// Tasks await its locks.
    pub(crate) is_awaited: bool,
    tasks: Tasks,
}

/// How the tasks of a crate are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tasks {
    /// It runs none.
    None,
    /// The real crate reports them.
    Reported,
    /// Our source wraps their futures.
    Wrapped,
}

/// An item that the real crate has had since a version of its line, and before that only with a feature.
#[derive(Debug, PartialEq, Eq)]
struct Addition {
    /// The number after the line.
    since: u32,
    feature: Option<&'static str>,
    /// The cfg that is set if the item is missing.
    cfg: &'static str,
}

const ENFORCE: &str = "feature=\"enforce\"";

/// The feature without which the crate has no tasks.
const RUNTIME: &str = "rt";

/// The start of the `--extern` for the crate to which tokio reports its tasks, and the cfgs that
/// enable this.
const TRACING: &str = "tracing=";
const REPORTING: [&str; 2] = ["tokio_unstable", "feature=\"tracing\""];

/// The locks that tasks await.
const AWAITED: &[Locks] = &[Locks::AsyncLock, Locks::FuturesLock, Locks::Tokio];

/// What most replacements have.
const PLAIN: Replacement = Replacement {
    package: "",
    line: "",
    feature: None,
    is_aside: false,
    root: "",
    locks: &[],
    real: "",
    renamed: None,
    cfgs: &[ENFORCE],
    additions: &[],
    is_awaited: false,
    tasks: Tasks::None,
};

const REPLACEMENTS: [Replacement; 13] = [
    Replacement {
        package: "lock_api",
        line: "0.4.",
        is_aside: true,
        root: "lock_api.rs",
        locks: &[Locks::LockApi],
        real: "lock_api",
        cfgs: &[ENFORCE, "readers_pass"],
        ..PLAIN
    },
    Replacement {
        package: "lock_api",
        line: "0.5.",
        is_aside: true,
        root: "lock_api_0_5.rs",
        locks: &[Locks::LockApi],
        real: "lock_api_0_5",
        cfgs: &[ENFORCE, "feature=\"lock_api_0_5\""],
        ..PLAIN
    },
    Replacement {
        package: "parking_lot",
        line: "0.12.",
        root: "parking_lot.rs",
        locks: &[Locks::ParkingLot],
        real: "parking_lot",
        cfgs: &[ENFORCE, "feature=\"parking_lot\""],
        ..PLAIN
    },
    Replacement {
        package: "parking_lot",
        line: "0.13.",
        root: "parking_lot_0_13.rs",
        locks: &[Locks::ParkingLot],
        real: "parking_lot_0_13",
        renamed: Some(("lock_api", "lock_api_0_5")),
        cfgs: &[ENFORCE, "feature=\"lock_api_0_5\""],
        ..PLAIN
    },
    Replacement {
        package: "once_cell",
        line: "1.",
        feature: Some("std"),
        root: "once_cell.rs",
        locks: &[Locks::OnceCell],
        real: "once_cell",
        ..PLAIN
    },
    Replacement {
        package: "rayon-core",
        line: "1.",
        root: "rayon_core.rs",
        locks: &[Locks::Rayon],
        real: "rayon_core",
        ..PLAIN
    },
    Replacement {
        package: "tokio",
        line: "1.",
        feature: Some("sync"),
        root: "tokio.rs",
        locks: &[Locks::Tokio],
        real: "tokio",
        additions: &[
            Addition { since: 30, feature: Some("parking_lot"), cfg: "tokio_no_const_new" },
            Addition { since: 33, feature: None, cfg: "tokio_no_const_new_with" },
        ],
        is_awaited: true,
        tasks: Tasks::Reported,
        ..PLAIN
    },
    Replacement {
        package: "async-lock",
        line: "3.",
        feature: Some("std"),
        root: "async_lock.rs",
        locks: &[Locks::AsyncLock],
        real: "async_lock",
        cfgs: &[ENFORCE, "feature=\"async_lock\""],
        additions: &[
            Addition { since: 3, feature: None, cfg: "async_lock_no_forget" },
            Addition { since: 5, feature: None, cfg: "async_lock_no_available_permits" },
        ],
        is_awaited: true,
        ..PLAIN
    },
    Replacement {
        package: "futures-util",
        line: "0.3.",
        feature: Some("std"),
        root: "futures_util.rs",
        locks: &[Locks::FuturesLock],
        real: "futures_util",
        cfgs: &[ENFORCE, "feature=\"futures_lock\""],
        additions: &[Addition { since: 32, feature: None, cfg: "futures_no_const_new" }],
        is_awaited: true,
        ..PLAIN
    },
    Replacement {
        package: "async-task",
        line: "4.",
        feature: Some("std"),
        root: "async_task.rs",
        locks: AWAITED,
        real: "async_task",
        cfgs: &[],
        tasks: Tasks::Wrapped,
        ..PLAIN
    },
    Replacement {
        package: "async-io",
        line: "2.",
        root: "async_io.rs",
        locks: AWAITED,
        real: "async_io",
        cfgs: &[],
        tasks: Tasks::Wrapped,
        ..PLAIN
    },
    Replacement {
        package: "futures-executor",
        line: "0.3.",
        feature: Some("std"),
        root: "futures_executor.rs",
        locks: AWAITED,
        real: "futures_executor",
        cfgs: &[],
        tasks: Tasks::Wrapped,
        ..PLAIN
    },
    Replacement {
        package: "futures-lite",
        line: "2.",
        feature: Some("std"),
        root: "futures_lite.rs",
        locks: AWAITED,
        real: "futures_lite",
        cfgs: &[],
        tasks: Tasks::Wrapped,
        ..PLAIN
    },
];

/// The calls of rustc for a crate that is replaced.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) real: Vec<OsString>,
    pub(crate) replacement: Vec<OsString>,
    /// Additional arguments that make the real crate report its tasks. `None` if it cannot, or if the program
    /// traces them itself.
    pub(crate) reporting: Option<Vec<OsString>>,
    /// The program traces its tasks itself.
    pub(crate) has_tracing: bool,
    /// The files of the crate that moved aside.
    pub(crate) files: Vec<PathBuf>,
}

impl Addition {
    /// `version` is the part of it after the line.
    fn is_missing(&self, version: &str, features: &[&str]) -> bool {
        let number = version.split('.').next().and_then(|number| number.parse::<u32>().ok());
        number.is_some_and(|number| number < self.since)
            && self.feature.is_none_or(|wanted| !features.contains(&wanted))
    }
}

impl Replacement {
    /// Returns `true` if the real crate is compiled with the checked std, so that the locks that it uses inside are
    /// checked as well.
    pub(crate) fn has_std(&self) -> bool {
        self.tasks != Tasks::None
    }

    /// Returns the replacement for a package's library with these features.
    pub(crate) fn of(package: &str, version: &str, features: &[String]) -> Option<&'static Self> {
        REPLACEMENTS.iter().find(|replacement| {
            replacement.package == package
                && version.starts_with(replacement.line)
                && replacement
                    .feature
                    .is_none_or(|wanted| features.iter().any(|name| name == wanted))
        })
    }

    /// Derives both calls from cargo's arguments for this version of the real crate. Returns `None`
    /// if the arguments do not look like cargo's.
    pub(crate) fn calls(
        &self,
        arguments: &[OsString],
        version: &str,
        runtime: &Runtime,
    ) -> Option<Calls> {
        let (theirs, ours) = if self.is_aside { ("", CHECKED) } else { (REAL, "") };
        let mut calls = Calls {
            real: vec![],
            replacement: vec![],
            reporting: None,
            has_tracing: false,
            files: vec![],
        };
        let mut features = Vec::new();
        let (mut suffix, mut folder, mut externs) = (None, None, Vec::new());
        let mut at = arguments.iter();
        while let Some(argument) = at.next() {
            let text = argument.to_str()?;
            if text == "--cap-lints" {
                at.next();
            } else if text.starts_with("--cap-lints=") || text.starts_with("--edition=") {
                calls.real.extend(text.starts_with("--edition=").then(|| argument.clone()));
            } else if let Some(given) = text.strip_prefix("extra-filename=") {
                suffix = Some(given);
                calls.real.push(format!("{text}{theirs}").into());
                calls.replacement.push(format!("{text}{ours}").into());
            } else if Path::new(text).extension() == Some(OsStr::new("rs"))
                && !text.starts_with('-')
            {
                calls.real.push(argument.clone());
                calls.replacement.push(runtime.source.join(self.root).into());
            } else {
                calls.real.push(argument.clone());
                calls.replacement.push(argument.clone());
                features.extend(
                    text.strip_prefix("feature=\"").and_then(|name| name.strip_suffix('"')),
                );
                if text == "--out-dir" || text == "--extern" {
                    let value = at.next()?;
                    calls.real.push(value.clone());
                    calls.replacement.push(value.clone());
                    calls.has_tracing |=
                        self.tasks == Tasks::Reported && value.to_str()?.starts_with(TRACING);
                    if text == "--out-dir" {
                        folder = Some(Path::new(value));
                    } else if let Some((theirs, ours)) = self.renamed
                        && let Some(path) = value.to_str()?.strip_prefix(theirs)
                        && path.starts_with('=')
                    {
                        externs.push(format!("{ours}{path}"));
                    }
                }
            }
        }
        let name = self.package.replace('-', "_");
        let file = |end, kind| Some(folder?.join(format!("lib{name}{}{end}.{kind}", suffix?)));
        let aside = if self.is_aside { CHECKED } else { REAL };
        calls.files = vec![file(aside, "rlib")?, file(aside, "rmeta")?];

        externs.push(format!("{}={}", self.real, file(theirs, "rlib")?.to_str()?));
        externs.push(format!("lockdep={}", runtime.lockdep.to_str()?));
        externs.push(format!("lockdep_std={}", runtime.std.to_str()?));
        if self.tasks == Tasks::Wrapped {
            externs.push(format!("lockdep_tracing={}", runtime.tracing.to_str()?));
        }
        // Several `metadata` values are combined, so this is a different crate to rustc.
        let stepping = if self.is_aside { &mut calls.replacement } else { &mut calls.real };
        stepping.extend(["-C", "metadata=aside"].map(OsString::from));
        calls.real.push("--cap-lints=allow".into());
        calls.replacement.extend(["--edition=2024", "--cap-lints=allow"].map(OsString::from));
        for library in externs {
            calls.replacement.extend(["--extern".into(), library.into()]);
        }
        let in_line = version.strip_prefix(self.line).unwrap_or(version);
        let missing = self.additions.iter().filter(|it| it.is_missing(in_line, &features));
        for cfg in self.cfgs.iter().copied().chain(missing.map(|it| it.cfg)) {
            calls.replacement.extend(["--cfg", cfg].map(OsString::from));
        }
        if self.tasks == Tasks::Reported && !calls.has_tracing && features.contains(&RUNTIME) {
            let ours = format!("{TRACING}{}", runtime.tracing.to_str()?);
            let cfgs = REPORTING.iter().flat_map(|cfg| ["--cfg", cfg]);
            calls.reporting = Some(cfgs.chain(["--extern", &*ours]).map(OsString::from).collect());
        }
        Some(calls)
    }
}

/// The half of lockdep's feature `records` that writes, and the feature that checks locks in release builds too.
const RECORDING: [&str; 2] = ["write_records", "enforce"];

/// Returns what cargo's arguments for the library lockdep lack for records. `None` if this version has no such feature.
pub(crate) fn recording(arguments: &[OsString], runtime: &Runtime) -> Option<Vec<OsString>> {
    let texts = || arguments.iter().filter_map(|argument| argument.to_str());
    let is_enabled = |feature: &str| texts().any(|text| text == format!("feature=\"{feature}\""));
    let [records, _] = RECORDING;
    // `cfg(docsrs,test)` and `cfg(feature, values("config", ...))`: what is declared.
    let is_declared = texts()
        .any(|text| text.starts_with("cfg(feature") && text.contains(&format!("\"{records}\"")));
    if !is_declared {
        return None;
    }
    let mut added = Vec::new();
    if !is_enabled(records) {
        for (name, path) in &runtime.writers {
            added.extend(["--extern".into(), format!("{name}={}", path.display()).into()]);
        }
    }
    for feature in RECORDING.into_iter().filter(|feature| !is_enabled(feature)) {
        added.extend(["--cfg".into(), format!("feature=\"{feature}\"").into()]);
    }
    Some(added)
}

/// Replaces paths of crates by those of the crates that moved aside, with file suffix `end`, where
/// these exist according to `is_there`.
pub(crate) fn with_aside(
    arguments: &[OsString],
    end: &str,
    is_there: impl Fn(&Path) -> bool,
) -> Vec<OsString> {
    let aside = |argument: &OsString| {
        let (name, path) = argument.to_str()?.split_once('=')?;
        let path = Path::new(path);
        let kind = path.extension().and_then(OsStr::to_str)?;
        let aside = path.with_file_name(format!("{}{end}.{kind}", path.file_stem()?.to_str()?));
        is_there(&aside).then(|| format!("{name}={}", aside.display()).into())
    };
    arguments.iter().map(|argument| aside(argument).unwrap_or_else(|| argument.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// A shortened call of rustc by cargo.
    const CALL: &str = "--crate-name parking_lot --edition=2021 /r/parking_lot-0.13.0/src/lib.rs \
        --crate-type lib --emit=dep-info,metadata,link -C metadata=0a -C extra-filename=-0a1b \
        --out-dir /t/deps --target x --extern lock_api=/t/deps/liblock_api-1.rmeta \
        --cfg feature=\"send_guard\" --cap-lints allow";

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn runtime() -> Runtime {
        Runtime {
            std: "/std.rlib".into(),
            streams: None,
            tracing: "/t.rlib".into(),
            lockdep: "/l.rlib".into(),
            source: "/s".into(),
            search: BTreeSet::new(),
            writers: BTreeMap::new(),
        }
    }

    #[test]
    fn each_line_has_its_own() {
        let root = |version: &str| Replacement::of("parking_lot", version, &[]).map(|it| it.root);
        assert_eq!(root("0.12.5"), Some("parking_lot.rs"));
        assert_eq!(root("0.13.0"), Some("parking_lot_0_13.rs"));
        assert_eq!(root("0.11.2"), None);
        assert_eq!(Replacement::of("once_cell", "1.21.4", &["alloc".to_owned()]), None);
        assert!(Replacement::of("once_cell", "1.21.4", &["std".to_owned()]).is_some());
    }

    #[test]
    fn the_real_crate_steps_aside_for_ours() {
        let replacement = Replacement::of("parking_lot", "0.13.0", &[]).unwrap();
        let runtime = runtime();
        let calls = replacement.calls(&words(CALL), "0.13.0", &runtime).unwrap();
        let real = CALL.replace("-0a1b", "-0a1b-real").replace("--cap-lints allow", "");
        assert_eq!(calls.real, words(&(real + "-C metadata=aside --cap-lints=allow")));

        let ours = CALL.replace("--edition=2021 ", "").replace("--cap-lints allow", "");
        let ours = ours.replace("/r/parking_lot-0.13.0/src/lib.rs", "/s/parking_lot_0_13.rs");
        let added = "--edition=2024 --cap-lints=allow \
            --extern lock_api_0_5=/t/deps/liblock_api-1.rmeta \
            --extern parking_lot_0_13=/t/deps/libparking_lot-0a1b-real.rlib \
            --extern lockdep=/l.rlib --extern lockdep_std=/std.rlib \
            --cfg feature=\"enforce\" --cfg feature=\"lock_api_0_5\"";
        assert_eq!(calls.replacement, words(&(ours + added)));
    }

    #[test]
    fn ours_steps_aside_where_others_share_the_real_one() {
        let call = CALL.replace("parking_lot", "lock_api");
        let replacement = Replacement::of("lock_api", "0.4.14", &[]).unwrap();
        let runtime = runtime();
        let calls = replacement.calls(&words(&call), "0.4.14", &runtime).unwrap();
        assert!(calls.real.contains(&"extra-filename=-0a1b".into()));
        assert!(!calls.real.contains(&"metadata=aside".into()));
        for argument in [
            "extra-filename=-0a1b-checked",
            "metadata=aside",
            "/s/lock_api.rs",
            "lock_api=/t/deps/liblock_api-0a1b.rlib",
            "readers_pass",
        ] {
            assert!(calls.replacement.contains(&argument.into()), "{argument}");
        }
        assert_eq!(calls.files[0], Path::new("/t/deps/liblock_api-0a1b-checked.rlib"));
    }

    #[test]
    fn both_lines_of_lock_api_have_their_own() {
        let root = |version: &str| Replacement::of("lock_api", version, &[]).map(|it| it.root);
        assert_eq!(root("0.4.14"), Some("lock_api.rs"));
        assert_eq!(root("0.5.0"), Some("lock_api_0_5.rs"));
        assert_eq!(root("0.3.4"), None);
        let call = CALL.replace("parking_lot", "lock_api");
        let replacement = Replacement::of("lock_api", "0.5.0", &[]).unwrap();
        let calls = replacement.calls(&words(&call), "0.5.0", &runtime()).unwrap();
        let real = "lock_api_0_5=/t/deps/liblock_api-0a1b.rlib".into();
        assert!(calls.replacement.contains(&real), "{:?}", calls.replacement);
    }

    #[test]
    fn tokio_reports_its_tasks_unless_the_program_traces_them() {
        let sync = ["sync".to_owned()];
        assert_eq!(Replacement::of("tokio", "1.54.1", &[]), None, "it has no locks");
        let replacement = Replacement::of("tokio", "1.54.1", &sync).unwrap();
        let call = CALL.replace("parking_lot", "tokio");
        assert_eq!(replacement.calls(&words(&call), "1.54.1", &runtime()).unwrap().reporting, None);
        let call = call + " --cfg feature=\"rt\"";
        let reporting =
            replacement.calls(&words(&call), "1.54.1", &runtime()).unwrap().reporting.unwrap();
        let real = "--cfg tokio_unstable --cfg feature=\"tracing\" --extern tracing=/t.rlib";
        assert_eq!(reporting, words(real));

        let own = call + " --extern tracing=/t/deps/libtracing-1.rmeta";
        let own = replacement.calls(&words(&own), "1.54.1", &runtime()).unwrap();
        assert!(own.has_tracing && own.reporting.is_none());
        let parking_lot = Replacement::of("parking_lot", "0.13.0", &[]).unwrap();
        assert_eq!(parking_lot.calls(&words(CALL), "0.13.0", &runtime()).unwrap().reporting, None);
    }

    #[test]
    fn our_source_knows_what_an_old_version_lacks() {
        let replacement = Replacement::of("tokio", "1.28.2", &["sync".to_owned()]).unwrap();
        let call = CALL.replace("parking_lot", "tokio");
        let missing = |version: &str, added: &str| {
            let call = words(&format!("{call} {added}"));
            let calls = replacement.calls(&call, version, &runtime()).unwrap();
            let cfgs = calls.replacement.into_iter().map(|it| it.into_string().unwrap());
            cfgs.filter(|cfg| cfg.starts_with("tokio_no_")).collect::<Vec<_>>()
        };
        let parking_lot = "--cfg feature=\"parking_lot\"";
        assert_eq!(missing("1.28.2", ""), ["tokio_no_const_new", "tokio_no_const_new_with"]);
        assert_eq!(missing("1.28.2", parking_lot), ["tokio_no_const_new_with"]);
        assert_eq!(missing("1.30.0", ""), ["tokio_no_const_new_with"]);
        assert_eq!(missing("1.54.1", ""), [""; 0]);

        let replacement = Replacement::of("futures-util", "0.3.31", &["std".to_owned()]).unwrap();
        let call = CALL.replace("parking_lot", "futures_util");
        let has_const = |version: &str| {
            let calls = replacement.calls(&words(&call), version, &runtime()).unwrap();
            !calls.replacement.contains(&"futures_no_const_new".into())
        };
        assert_eq!(["0.3.31", "0.3.32"].map(has_const), [false, true]);
    }

    #[test]
    fn lockdep_records_with_what_the_runtime_has() {
        let mut runtime = runtime();
        runtime.writers.insert("serde".to_owned(), "/serde.rlib".into());
        let declared = "--check-cfg cfg(docsrs,test) --check-cfg cfg(feature,values(\"enforce\",\"write_records\"))";
        let of =
            |enabled: &str| recording(&words(&format!("{declared} {enabled}")), &runtime).unwrap();
        let enforce = "--cfg feature=\"enforce\"";
        let expected =
            format!("--extern serde=/serde.rlib --cfg feature=\"write_records\" {enforce}");
        assert_eq!(of(""), words(&expected));
        assert_eq!(of("--cfg feature=\"write_records\""), words(enforce));
        assert_eq!(recording(&words(CALL), &runtime), None, "it declares no such feature");
    }

    #[test]
    fn fallback_links_the_real_crate() {
        let arguments = words("--extern a=/t/liba-1.rmeta --extern noprelude:b=/t/libb-2.rlib x=y");
        let real = with_aside(&arguments, REAL, |path| path == Path::new("/t/libb-2-real.rlib"));
        let expected = "--extern a=/t/liba-1.rmeta --extern noprelude:b=/t/libb-2-real.rlib x=y";
        assert_eq!(real, words(expected));
    }
}
