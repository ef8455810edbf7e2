//! Crates that do not compile while crates below them have checked locks.

#[path = "support/copied.rs"]
mod copied;
#[path = "support/workspace.rs"]
mod workspace;

use std::fs;

use workspace::Fixture;

/// It needs real locks because of their size, and gets one of another crate.
const STUBBORN: &str = r#"use std::sync::Mutex;

const _: () = assert!(size_of::<Mutex<u32>>() <= 16, "a lock is small");

pub fn take(lock: &Mutex<u32>) -> u32 {
    std::mem::take(&mut lock.lock().unwrap())
}

#[test]
fn it_is_taken() {
    assert_eq!(take(&store::SHARED), 7);
}

pub fn shared() -> u32 {
    take(&store::SHARED)
}
"#;

#[test]
fn a_crate_that_shares_locks_is_built_with_the_real_ones_and_so_is_what_it_depends_on() {
    let fixture = Fixture::new("fallback");
    let append = |file: &str, text: &str| {
        let path = fixture.0.join(file);
        fs::write(&path, fs::read_to_string(&path).unwrap() + text).unwrap();
    };
    append("store/src/lib.rs", "pub static SHARED: Mutex<u32> = Mutex::new(7);\n");
    append("stubborn/Cargo.toml", "[dependencies]\nstore = { path = \"../store\" }\n");
    fs::write(fixture.0.join("stubborn/src/lib.rs"), STUBBORN).unwrap();
    let ended = fixture.run("test -p stubborn -p inference --lib").has_status(0).says(&[
        "error: stubborn 0.1.0 (`stubborn`) does not compile next to checked locks: stubborn/src/lib.rs:",
        "lockdep: building again, with the real locks in stubborn 0.1.0 and the 1 package that it depends on\n",
        "lockdep: 1 lock, ",
        "lockdep: unchecked: stubborn 0.1.0 (`stubborn`) has the real locks, because it does not compile with checked \
         ones: stubborn/src/lib.rs:3:15: evaluation panicked: a lock is small",
        "lockdep: unchecked: these have the real locks, because stubborn 0.1.0 depends on them: store 0.1.0\n",
    ]);
    assert!(ended.stdout.contains("test it_is_taken ... ok"), "{}", ended.stdout);

    // The error of the first attempt is no message: an editor would show it.
    let messages =
        fixture.run("test -p stubborn -p inference --lib --message-format json").has_status(0);
    assert!(!messages.stdout.contains("compiler-message"), "{}", messages.stdout);
    assert!(messages.stdout.ends_with("{\"reason\":\"build-finished\",\"success\":true}\n"));

    // A crate's own error is printed once, as rustc prints it.
    append("stubborn/src/lib.rs", "pub fn broken() -> u32 { take(\"seven\") }\n");
    let broken = fixture.run("test -p stubborn --lib").has_status(101);
    assert_eq!(broken.stderr.matches("error[E0308]").count(), 1, "{}", broken.stderr);
    let broken = fixture.run("test -p stubborn --lib --message-format json").has_status(101);
    assert_eq!(broken.stdout.matches("\"code\":\"E0308\"").count(), 1, "{}", broken.stdout);
    assert!(broken.stdout.ends_with("{\"reason\":\"build-finished\",\"success\":false}\n"));
}
