//! The `lockdep.toml` of the process. It is read once, when it may first matter, as [`load`] explains: looking for it
//! takes longer than everything else that a process's first lock does.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use once_cell::race::OnceBox;

use super::{allow_entry::Entry, config::parse, settings};
use crate::finding::Site;

/// What a `lockdep.toml` says.
#[derive(Debug, Default)]
pub(super) struct Config {
    pub(super) entries: Vec<Entry>,
    /// Classes in the order in which they are acquired, and where the file says so.
    pub(super) orders: Vec<(Vec<String>, Site)>,
}

/// An order of classes that the file declares.
pub(crate) struct ClassOrder {
    pub(crate) classes: Vec<&'static str>,
    pub(crate) site: Site,
}

/// The file once it was read; empty if it is missing or invalid.
static FILE: OnceBox<Config> = OnceBox::new();
/// `true` once its orders were declared.
static ARE_DECLARED: AtomicBool = AtomicBool::new(false);
/// The current folder when the process took its first lock. The file is looked for there, whenever
/// it is read.
static START_FOLDER: OnceBox<PathBuf> = OnceBox::new();

/// Remembers where to look for the file. Called with the first lock of the process.
pub(super) fn note_start_folder() {
    let is_named = settings().config.as_ref().is_some_and(|path| Path::new(path).is_absolute());
    if !is_named && let Ok(folder) = std::env::current_dir() {
        let _ = START_FOLDER.set(Box::new(folder));
    }
}

/// Reads the file that `LOCKDEP_CONFIG` names, or the `lockdep.toml` in the start folder or the
/// nearest one above it, unless it was read before. Reports errors with `print`. Returns `true` if
/// this call has read the file and found entries.
pub(super) fn load(print: fn(&str)) -> bool {
    if FILE.get().is_some() {
        return false;
    }
    // Without a lock: two threads that arrive at the same time both read the file, and one result
    // is kept.
    let (config, complaint) = match read() {
        Ok(config) => (config, None),
        Err(error) => (Config::default(), Some(error)),
    };
    let are_any = !config.entries.is_empty();
    if FILE.set(Box::new(config)).is_err() {
        return false;
    }
    if let Some(error) = complaint {
        print(&format!("lockdep: the configuration is ignored: {error}"));
    }
    are_any
}

/// Returns the orders that the file declares, to the first caller after it was read.
pub(crate) fn take_class_orders() -> Vec<ClassOrder> {
    let orders = FILE.get().map_or(&[][..], |config| &config.orders);
    if orders.is_empty() || ARE_DECLARED.swap(true, Relaxed) {
        return Vec::new();
    }
    let class = |class: &String| &*class.clone().leak();
    let order = |(classes, site): &(Vec<String>, Site)| ClassOrder {
        classes: classes.iter().map(class).collect(),
        site: site.clone(),
    };
    orders.iter().map(order).collect()
}

/// Returns the entries of the file, if it was read.
pub(super) fn entries() -> &'static [Entry] {
    FILE.get().map_or(&[], |config| &config.entries)
}

fn read() -> Result<Config, String> {
    let folder = START_FOLDER.get();
    let (path, shown) = if let Some(named) = &settings().config {
        // `join` with an absolute path returns that path.
        let path = folder.map_or_else(|| PathBuf::from(named), |folder| folder.join(named));
        (path, named.clone())
    } else {
        let folders = folder.into_iter().flat_map(|folder| folder.ancestors());
        let mut paths = folders.map(|folder| folder.join("lockdep.toml"));
        // A folder or a dangling link of this name is an error rather than skipped.
        let Some(path) = paths.find(|path| path.symlink_metadata().is_ok()) else {
            return Ok(Config::default());
        };
        let shown = path.display().to_string();
        (path, shown)
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text, &shown),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}
