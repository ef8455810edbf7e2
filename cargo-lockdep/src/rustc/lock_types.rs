//! Finds which lock types a source names, by a text search that ignores macros, renamed crates and
//! conditional compilation.

use std::{collections::BTreeSet, fs, path::Path};

/// A module path and its lock types.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Home {
    /// Starts with the crate.
    path: &'static [&'static str],
    types: &'static [&'static str],
}

/// Those types of async-lock whose mirror is the real one.
const UNCHECKED: &[&str] = &["Barrier", "OnceCell"];

const HOMES: [Home; 15] = [
    Home {
        path: &["std", "sync"],
        types: &["Condvar", "LazyLock", "Mutex", "Once", "OnceLock", "RwLock"],
    },
    Home {
        path: &["parking_lot"],
        types: &[
            "Condvar",
            "FairMutex",
            "Mutex",
            "Once",
            "RecursiveRwLock",
            "ReentrantMutex",
            "RwLock",
            "const_mutex",
            "const_rwlock",
        ],
    },
    Home { path: &["once_cell", "sync"], types: &["Lazy", "OnceCell"] },
    Home { path: &["lazy_static"], types: &["lazy_static"] },
    Home { path: &["lock_api"], types: &["Mutex", "ReentrantMutex", "RwLock"] },
    Home {
        path: &["parking_lot_core"],
        types: &["park", "unpark_all", "unpark_filter", "unpark_one", "unpark_requeue"],
    },
    Home { path: &["event_listener"], types: &["Event"] },
    Home { path: &["crossbeam_utils", "sync"], types: &["ShardedLock"] },
    Home { path: &["tokio", "sync"], types: &["Mutex", "OnceCell", "RwLock", "Semaphore"] },
    Home {
        path: &["rayon"],
        types: &["ThreadPool", "ThreadPoolBuilder", "join", "prelude", "scope", "spawn"],
    },
    Home { path: &["spin"], types: &["Lazy", "Mutex", "Once", "RwLock"] },
    Home { path: &["async_lock"], types: &["Mutex", "RwLock", "Semaphore"] },
    Home { path: &["async_lock"], types: UNCHECKED },
    Home { path: &["futures", "lock"], types: &["Mutex"] },
    Home { path: &["futures_util", "lock"], types: &["Mutex"] },
];

impl Home {
    /// Returns `true` if these types are not checked, though others of the crate are.
    pub(crate) fn is_unchecked(&self) -> bool {
        self.types == UNCHECKED
    }

    pub(crate) fn crate_name(&self) -> &'static str {
        self.path[0]
    }
}

/// Returns all sources below a folder.
pub(crate) fn sources(folder: &Path) -> impl Iterator<Item = String> {
    let files = walkdir::WalkDir::new(folder).into_iter().flatten();
    files
        .filter(|file| file.path().extension().is_some_and(|kind| kind == "rs"))
        .filter_map(|file| fs::read_to_string(file.path()).ok())
}

/// Returns the paths of locks that the source names, with their types.
pub(crate) fn of_source(text: &str) -> Vec<(&'static Home, BTreeSet<&'static str>)> {
    let code = without_comments(text);
    let named = HOMES.iter().map(|home| {
        let mut types = BTreeSet::new();
        collect(&code, home.path, home.types, &mut types);
        (home, types)
    });
    named.filter(|(_, types)| !types.is_empty()).collect()
}

fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Collects types after a path: `std::sync::Mutex`, `std::{sync::{Arc, Mutex}, thread}`.
fn collect(
    code: &str,
    path: &[&str],
    types: &'static [&'static str],
    found: &mut BTreeSet<&'static str>,
) {
    let Some((first, rest)) = path.split_first() else {
        found.extend(words(code).filter_map(|word| types.iter().find(|&&known| known == word)));
        return;
    };
    for (at, _) in code.match_indices(first) {
        let is_whole = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if let Some(behind) = code[at + first.len()..].strip_prefix("::").filter(|_| is_whole) {
            collect(tree(behind), rest, types, found);
        } else if *first == "lazy_static" && code[at..].starts_with("lazy_static!") {
            found.insert("lazy_static");
        }
    }
}

/// Returns the rest of a path: everything in its braces, or the names up to the end of the path.
fn tree(text: &str) -> &str {
    let mut depth = 0_usize;
    let end = text.find(|c: char| match c {
        '{' => {
            depth += 1;
            false
        }
        '}' => {
            depth = depth.saturating_sub(1);
            depth == 0
        }
        _ => depth == 0 && !(c.is_alphanumeric() || c == '_' || c == ':'),
    });
    &text[..end.unwrap_or(text.len())]
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<String> {
        of_source(text)
            .into_iter()
            .map(|(home, types)| format!("{} {types:?}", home.crate_name()))
            .collect()
    }

    #[test]
    fn types_are_found_in_imports_and_paths() {
        let std = ["std {\"Mutex\", \"RwLock\"}"];
        assert_eq!(named("use std::sync::{Arc, Mutex, RwLock};"), std);
        assert_eq!(named("use std::{fmt, sync::{Arc, Mutex, RwLock}, thread};"), std);
        assert_eq!(
            named("static A: std::sync::Mutex<()> = x; fn f(_: &std::sync::RwLock<u8>)"),
            std
        );
        assert_eq!(
            named("use parking_lot::Mutex;\nuse once_cell::sync::Lazy;"),
            ["parking_lot {\"Mutex\"}", "once_cell {\"Lazy\"}"]
        );
        assert_eq!(
            named("use async_lock::{Barrier, Mutex};"),
            ["async_lock {\"Mutex\"}", "async_lock {\"Barrier\"}"]
        );
        let barrier = of_source("use async_lock::Barrier;");
        assert!(barrier[0].0.is_unchecked());
        assert_eq!(
            named("lazy_static! { static ref A: u8 = 1; }"),
            ["lazy_static {\"lazy_static\"}"]
        );
    }

    #[test]
    fn what_only_looks_like_one_is_not() {
        for text in [
            "// use std::sync::Mutex;",
            "use std::sync::Arc; struct Mutex;",
            "use std::{sync::Arc}; use tokio_util::Mutex;",
            "use my_std::sync::Mutex;",
            "use std::sync::MutexLike;",
            "use once_cell::unsync::Lazy;",
        ] {
            assert_eq!(named(text), <[&str; 0]>::default(), "{text}");
        }
    }
}
