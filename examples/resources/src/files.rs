//! Lock files: `File::lock` of the standard library, which needs no server.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

use lockdep::external::{Held, Mode, Resource};

/// Locks a file, and waits until no other handle has it locked. Creates it if there is none.
///
/// # Errors
///
/// If the file cannot be opened or locked.
#[track_caller]
pub fn lock(path: &Path) -> io::Result<Held<File>> {
    let file = open(path)?;
    resource(path)?.acquire(Mode::Exclusive, || file.lock().map(|()| file))
}

/// As [`lock`], together with others that read.
///
/// # Errors
///
/// If the file cannot be opened or locked.
#[track_caller]
pub fn lock_shared(path: &Path) -> io::Result<Held<File>> {
    let file = open(path)?;
    resource(path)?.acquire(Mode::Shared, || file.lock_shared().map(|()| file))
}

/// As [`lock`], but does not wait.
///
/// # Errors
///
/// If another handle has the file locked, or if it cannot be opened or locked.
#[track_caller]
pub fn try_lock(path: &Path) -> Result<Held<File>, TryLockError> {
    let file = open(path).map_err(TryLockError::Error)?;
    let resource = resource(path).map_err(TryLockError::Error)?;
    resource.try_acquire(Mode::Exclusive, || file.try_lock().map(|()| file))
}

/// The file is unlocked when it is closed, so it must not be duplicated.
fn open(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(false).open(path)
}

/// A file that exists is known by its path.
#[allow(clippy::unnecessary_debug_formatting, reason = "a path is not always text")]
#[track_caller]
fn resource(path: &Path) -> io::Result<Resource> {
    Ok(Resource::new("file", format_args!("{:?}", path.canonicalize()?)))
}
