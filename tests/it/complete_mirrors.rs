//! The mirrors have all items of the mirrored crates, compared with the very sources that this
//! build uses. Locks and guards that are `lock_api`'s own types cannot lack methods; our own types
//! are compared method by method.
#![cfg(all(
    feature = "parking_lot",
    feature = "parking_lot_0_13",
    feature = "once_cell",
    feature = "rayon",
    feature = "async_lock",
    feature = "futures_lock",
    feature = "tokio"
))]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Returns the source folder of a dependency, by its name and the beginning of its version.
fn source_of(name: &str, version: &str) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--all-features"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let metadata = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let package = format!("{{\"name\":\"{name}\",\"version\":\"{version}");
    let (_, package) = metadata.split_once(&package).expect("the package is a dependency");
    let (_, path) = package.split_once("\"manifest_path\":\"").expect("it has a manifest");
    let (path, _) = path.split_once('"').expect("the path ends");
    PathBuf::from(path).parent().expect("the manifest is in a folder").join("src")
}

fn read(folder: &Path, file: &str) -> String {
    let path = folder.join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns one of our sources without comments.
fn ours(file: &str) -> String {
    code(&read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), file))
}

/// Returns a source without comments.
fn code(source: &str) -> String {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    source.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

fn is_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|part| part == word)
}

/// Returns the names that a source re-exports: `A` and `B` of `pub use self::part::{A, B};`.
fn reexports(source: &str) -> BTreeSet<&str> {
    source
        .split("pub use self::")
        .skip(1)
        .filter_map(|rest| rest.split(';').next())
        .filter_map(|path| path.split_once("::"))
        .filter(|(part, _)| *part != "lock_api")
        .flat_map(|(_, names)| names.trim_matches(['{', '}']).split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect()
}

/// Returns the public functions of a source, up to its tests.
fn functions(source: &str) -> BTreeSet<&str> {
    let source = source.split("#[cfg(test)]").next().expect("a first part");
    ["pub fn ", "pub const fn ", "pub unsafe fn "]
        .into_iter()
        .flat_map(|start| source.split(start).skip(1))
        .filter_map(|rest| rest.split(['(', '<']).next())
        .collect()
}

fn assert_has_all(mirror: &str, text: &str, names: &BTreeSet<&str>) {
    let missing: Vec<_> = names.iter().filter(|name| !is_word(text, name)).collect();
    assert!(missing.is_empty(), "{mirror} misses {missing:?}");
}

#[test]
fn parking_lot_0_12() {
    let source = source_of("parking_lot", "0.12.");
    let lib = read(&source, "lib.rs");
    let names = reexports(&lib);
    assert!(names.contains("RwLockUpgradableReadGuard") && names.contains("const_mutex"));
    assert!(names.len() >= 25, "{names:?}");
    assert_has_all("lockdep::parking_lot", &ours("parking_lot/mod.rs"), &names);
    for file in ["condvar.rs", "once.rs"] {
        let source = read(&source, file);
        // Methods of types that are re-exported unchanged.
        let mut names = functions(&source);
        names.retain(|name| !["timed_out", "poisoned", "done"].contains(name));
        assert!(names.len() >= 4, "{names:?}");
        assert_has_all(file, &ours(&format!("parking_lot/{file}")), &names);
    }
}

#[test]
fn parking_lot_0_13() {
    let source = source_of("parking_lot", "0.13.");
    let lib = read(&source, "lib.rs");
    let names = reexports(&lib);
    assert!(names.contains("RecursiveRwLock") && names.contains("RawCondvar"));
    assert!(names.len() >= 25, "{names:?}");
    assert_has_all("lockdep::parking_lot_0_13", &ours("parking_lot_0_13/mod.rs"), &names);
    let once = read(&source, "once.rs");
    let (_, once) = once.split_once("impl Once {").expect("it is there");
    let names = functions(once);
    assert!(names.len() >= 8, "{names:?}");
    assert_has_all("once.rs", &ours("parking_lot_0_13/once.rs"), &names);
}

#[test]
fn once_cell_sync() {
    let source = source_of("once_cell", "1.");
    let lib = read(&source, "lib.rs");
    let (_, sync) = lib.split_once("pub mod sync {").expect("it is there");
    let (sync, _) = sync.split_once("\npub mod race").unwrap_or((sync, ""));
    let names = functions(sync);
    assert!(names.len() >= 15, "{names:?}");
    let ours = ours("once_cell/sync/once_cell.rs") + &ours("once_cell/sync/lazy.rs");
    assert_has_all("lockdep::once_cell::sync", &ours, &names);
}

#[test]
fn futures_lock() {
    let source = source_of("futures-util", "0.3.");
    let exported = code(&read(&source, "lock/mod.rs"));
    let (_, names) = exported.split_once("pub use self::mutex::{").expect("it is there");
    let (names, _) = names.split_once('}').expect("it ends");
    let names = names.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
    assert_has_all("lockdep::futures_lock", &ours("futures_lock/mod.rs"), &names);
    let theirs = code(&read(&source, "lock/mutex.rs"));
    let theirs = counted(&[theirs.as_str()]);
    assert!(theirs.len() >= 8, "{theirs:?}");
    let mirror = ["mutex", "guard"].map(|file| ours(&format!("futures_lock/{file}.rs")));
    let mirror = counted(&[mirror[0].as_str(), mirror[1].as_str()]);
    for (name, count) in theirs {
        let here = mirror.get(name).copied().unwrap_or_default();
        assert!(here >= count, "{here} times `{name}`, {count} in futures");
    }
}

#[test]
fn async_lock() {
    let source = source_of("async-lock", "3.");
    let exported = code(&read(&source, "lib.rs"));
    let names = exported.split("pub use ").skip(1).filter_map(|it| it.split_once(';'));
    let names = names.flat_map(|(it, _)| it.split(['{', '}', ',', ':']).map(str::trim));
    let is_type = |it: &&str| it.starts_with(|first: char| first.is_ascii_uppercase());
    let names: BTreeSet<_> = names.filter(is_type).collect();
    assert!(names.len() >= 20, "{names:?}");
    let all = ours("async_lock/mod.rs") + &ours("async_lock/futures.rs");
    assert_has_all("lockdep::async_lock", &all, &names);
    let theirs = code(&read(&source, "mutex.rs"));
    let theirs = functions(&theirs);
    assert!(theirs.len() >= 10, "{theirs:?}");
    let mirror = ["mutex", "guard"].map(|file| ours(&format!("async_lock/{file}.rs"))).concat();
    assert_has_all("lockdep::async_lock", &mirror, &theirs);
    let theirs = code(&read(&source, "rwlock.rs"));
    let theirs = counted(&[theirs.as_str()]);
    assert!(theirs.len() >= 20, "{theirs:?}");
    let mirror = ["mod", "guards"].map(|file| ours(&format!("async_lock/rwlock/{file}.rs")));
    let mirror = counted(&mirror.each_ref().map(String::as_str));
    for (name, count) in theirs {
        let here = mirror.get(name).copied().unwrap_or_default();
        assert!(here >= count, "{here} times `{name}`, {count} in async-lock");
    }
}

/// Returns the public functions that our type cannot inherit by dereferencing to the real one:
/// those that do not take a reference to it, and those that take a future, which must become known.
fn not_dereferenced(source: &str) -> BTreeSet<&str> {
    let starts = ["pub fn ", "pub async fn "];
    let all = starts.into_iter().flat_map(|start| source.split(start).skip(1));
    let signatures = all.filter_map(|rest| rest.split_once('{')).map(|(it, _)| it);
    let is_wanted = |it: &&str| {
        let arguments = it.split_once('(').map_or("", |(_, arguments)| arguments);
        !arguments.trim_start().starts_with('&') || it.contains("Future")
    };
    let names = signatures.filter(is_wanted);
    names.filter_map(|it| it.split(['(', '<']).next()).collect()
}

#[test]
fn tokio_runtime_and_task() {
    let source = source_of("tokio", "1.");
    for (theirs, mirror, at_least) in [
        ("runtime/runtime.rs", "tokio/runtime/runtime.rs", 5),
        ("runtime/handle.rs", "tokio/runtime/handle.rs", 4),
        ("task/join_set.rs", "tokio/task/join_set.rs", 6),
        ("task/local.rs", "tokio/task/local_set.rs", 4),
        ("task/spawn.rs", "tokio/task/mod.rs", 1),
    ] {
        let theirs = code(&read(&source, theirs));
        // Only the part before the unstable builder of tasks.
        let theirs = theirs.split("impl<'a, T: 'static> Builder").next().expect("a first part");
        let mut names = not_dereferenced(theirs);
        // Unstable, or methods of other types.
        let beside = ["is_tracing", "is_rt_shutdown_err"];
        names.retain(|name| !beside.contains(name));
        assert!(names.len() >= at_least, "{mirror}: {names:?}");
        assert_has_all(mirror, &ours(mirror), &names);
    }
}

#[test]
fn rayon_core() {
    let source = source_of("rayon-core", "1.");
    let lib = code(&read(&source, "lib.rs"));
    let types = lib.split("pub struct ").skip(1).filter_map(|rest| rest.split(['<', ' ']).next());
    let names = reexports(&lib).into_iter().chain(functions(&lib)).chain(types);
    let names = names.collect::<BTreeSet<_>>();
    assert!(names.len() >= 40, "{names:?}");
    let all = ["broadcast", "builder", "join", "mod", "pool", "scope", "spawn"];
    let all: String = all.map(|file| ours(&format!("rayon/{file}.rs"))).concat();
    // Of `FnContext`, which is rayon's own.
    let names = names.into_iter().filter(|name| *name != "migrated").collect();
    assert_has_all("lockdep::rayon", &all, &names);
    for (theirs, mirror, at_least) in [
        ("thread_pool/mod.rs", "rayon/pool.rs", 16),
        ("scope/mod.rs", "rayon/scope.rs", 6),
        ("registry.rs", "rayon/builder.rs", 4),
    ] {
        let theirs = code(&read(&source, theirs)).replace("#[cfg(test)]\nmod test;\n", "");
        let names = functions(&theirs);
        assert!(names.len() >= at_least, "{mirror}: {names:?}");
        assert_has_all(mirror, &ours(mirror), &names);
    }
}

/// If a method of our builder were missing, it would be called on tokio's own, which builds an
/// unknown runtime.
#[test]
fn tokio_runtime_builder() {
    let source = source_of("tokio", "1.");
    let theirs = code(&read(&source, "runtime/builder.rs"));
    let mut names = functions(&theirs);
    assert!(names.len() >= 25, "{names:?}");
    // Unstable, or for kinds of runtimes that are not mirrored.
    for unstable in [
        "build_local",
        "disable_lifo_slot",
        "enable_alt_timer",
        "enable_eager_driver_handoff",
        "enable_io_uring",
        "enable_metrics_poll_count_histogram",
        "enable_metrics_poll_time_histogram",
        "enable_metrics_schedule_latency_histogram",
        "enable_sharded_blocking_queue",
        "metrics_poll_count_histogram_buckets",
        "metrics_poll_count_histogram_resolution",
        "metrics_poll_count_histogram_scale",
        "metrics_poll_time_histogram_configuration",
        "metrics_schedule_latency_histogram_configuration",
        "new_multi_thread_alt",
        "on_after_task_poll",
        "on_before_task_poll",
        "on_task_spawn",
        "on_task_terminate",
        "rng_seed",
        "track_task_schedule_latency",
        "unhandled_panic",
    ] {
        names.remove(unstable);
    }
    assert_has_all("tokio::runtime::Builder", &ours("tokio/runtime/builder.rs"), &names);
}

/// Returns every name after `pub use`, with or without braces, in the part of tokio's `sync` that
/// its feature `sync` enables.
fn tokio_reexports(source: &str) -> BTreeMap<&str, &str> {
    let (_, source) = source.split_once("cfg_sync! {").expect("it is there");
    let (source, _) = source.split_once("cfg_not_sync! {").expect("it is there");
    let uses = source.split("\n    pub use ").skip(1).filter_map(|rest| rest.split(';').next());
    uses.filter_map(|path| path.trim_start_matches("self::").split_once("::"))
        .flat_map(|(module, names)| {
            let names = names.rsplit("::").next().unwrap_or(names).trim_matches(['{', '}']);
            names.split(',').map(move |name| (name.trim(), module))
        })
        .collect()
}

/// Counts the public functions of each name.
fn counted<'a>(sources: &[&'a str]) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for source in sources {
        for start in ["pub fn ", "pub const fn ", "pub async fn "] {
            for rest in source.split(start).skip(1) {
                let name = rest.split(['(', '<']).next().expect("a first part");
                *counts.entry(name).or_default() += 1;
            }
        }
    }
    counts
}

/// The types in these modules are ours. Each has at least as many functions of each name as
/// tokio's, including its guards.
#[test]
fn tokio_sync() {
    let source = source_of("tokio", "1.").join("sync");
    let names = read(&source, "mod.rs");
    let names = tokio_reexports(&names);
    assert!(names.len() >= 20, "{names:?}");
    let exported = ours("tokio/sync/mod.rs");
    let not_locks = ["barrier", "batch_semaphore", "notify", "set_once"];
    for (name, module) in names {
        let is_error = name.ends_with("Error");
        let is_ours = is_word(&exported, name);
        assert_eq!(is_ours, !is_error && !not_locks.contains(&module), "{name} of {module}");
    }

    let guards = ["read_guard", "write_guard", "write_guard_mapped"];
    let guards = guards.into_iter().flat_map(|it| [it.to_owned(), format!("owned_{it}")]);
    let guards: Vec<_> = guards.map(|it| format!("rwlock/{it}.rs")).collect();
    let rwlock = guards.iter().map(String::as_str).chain(["rwlock.rs"]).collect::<Vec<_>>();
    for (theirs, files) in [
        (vec!["mutex.rs"], vec!["mutex.rs", "mutex/guard.rs", "mutex/mapped.rs"]),
        (
            rwlock,
            vec![
                "rwlock.rs",
                "rwlock/read_guard.rs",
                "rwlock/write_guard.rs",
                "rwlock/mapped_write_guard.rs",
            ],
        ),
        (vec!["semaphore.rs"], vec!["semaphore.rs", "semaphore/owned.rs", "semaphore/permit.rs"]),
        (vec!["once_cell.rs"], vec!["once_cell.rs"]),
    ] {
        let theirs: Vec<_> = theirs.iter().map(|file| code(&read(&source, file))).collect();
        // Methods of `SetError`, which is re-exported unchanged.
        let theirs: Vec<_> =
            theirs.iter().filter_map(|it| it.split("impl<T> SetError<T>").next()).collect();
        let mirror: Vec<_> = files.iter().map(|file| ours(&format!("tokio/sync/{file}"))).collect();
        let mirror = counted(&mirror.iter().map(String::as_str).collect::<Vec<_>>());
        let theirs = counted(&theirs);
        assert!(theirs.len() >= 12, "{theirs:?}");
        for (name, count) in theirs {
            let here = mirror.get(name).copied().unwrap_or_default();
            assert!(here >= count, "{files:?} has {here} times `{name}`, {count} in tokio");
        }
    }
}
