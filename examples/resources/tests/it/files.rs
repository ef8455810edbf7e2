//! Lock files.

use std::{fs, fs::TryLockError, path::Path};

use lockdep::FindingKind;
use resources::files;

use crate::support::{assert_found, assert_silent, in_turn, named};

#[test]
fn a_file_and_a_mutex_in_both_orders() {
    let folder = tempfile::tempdir().unwrap();
    let (path, state) = (folder.path().join("accounts.lock"), named("state"));
    let file_first = || {
        let _file = files::lock(&path).unwrap();
        drop(state.lock());
    };
    let state_first = || {
        let _state = state.lock();
        drop(files::lock(&path).unwrap());
    };
    let found = in_turn(file_first, state_first);
    let path = path.canonicalize().unwrap();
    let title = format!("`state` and `file {path:?}` are acquired in both orders");
    assert_found(&found, FindingKind::Inversion, &[&title, "tests/it/files.rs"]);

    // The acquisition that was denied has left nothing locked.
    drop(files::try_lock(&path).unwrap());
}

#[test]
fn a_file_and_a_mutex_in_one_order() {
    let folder = tempfile::tempdir().unwrap();
    let (path, state) = (folder.path().join("accounts.lock"), named("state"));
    let state_first = || {
        let _state = state.lock();
        drop(files::lock(&path).unwrap());
    };
    assert_silent(&in_turn(state_first, state_first));
}

/// A path is the same file from wherever it is named.
#[test]
fn two_files_in_both_orders() {
    let folder = tempfile::tempdir().unwrap();
    let nest = |first: &str, second: &str| {
        let _first = files::lock(&folder.path().join(first)).unwrap();
        drop(files::lock(&folder.path().join(second)).unwrap());
    };
    fs::create_dir(folder.path().join("below")).unwrap();
    let found =
        in_turn(|| nest("one.lock", "two.lock"), || nest("below/../two.lock", "./one.lock"));
    assert_found(&found, FindingKind::Inversion, &["one.lock", "two.lock"]);
}

#[test]
fn readers_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.lock");
    let first = files::lock_shared(&path).unwrap();
    let second = files::lock_shared(&path).unwrap();
    assert!(matches!(files::try_lock(&path), Err(TryLockError::WouldBlock)));
    drop((first, second));
    drop(files::try_lock(&path).unwrap());
}

#[cfg(unix)]
#[test]
fn paths_with_odd_characters() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &[u8]| folder.path().join(OsStr::from_bytes(name));
    let [odd, no_text, nor_this] =
        [&b"new\nline 'and' \"quotes\" \xf0\x9f\x94\x92"[..], b"\xff", b"\xfe"].map(path);
    let nest = |first: &Path, second: &Path| {
        let _first = files::lock(first).unwrap();
        drop(files::lock(second).unwrap());
    };
    let found = in_turn(|| nest(&odd, &no_text), || nest(&no_text, &odd));
    assert_found(&found, FindingKind::Inversion, &[r#"new\nline 'and' \"quotes\" 🔒""#, r"\xFF"]);
    // This one would be the same as text, but is another file.
    assert_silent(&in_turn(|| nest(&nor_this, &odd), || nest(&nor_this, &odd)));
}

#[test]
fn a_file_that_cannot_be_locked() {
    let folder = tempfile::tempdir().unwrap();
    let error = files::lock(&folder.path().join("no folder/a.lock")).unwrap_err();
    assert_eq!(error.to_string(), "No such file or directory (os error 2)");
    let error = files::lock(folder.path()).unwrap_err();
    assert_eq!(error.to_string(), "Is a directory (os error 21)");
}
