//! When a `lockdep.toml` is read, and which messages it causes. Each test runs a child process.
#![cfg(all(debug_assertions, unix, feature = "config"))]

use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use crate::support::{child_command, denied, is_child, name_of, on_a_thread};
use lockdep::{
    Mode,
    external::Resource,
    sync::{Condvar, Mutex, RwLock},
};

/// A folder with a file, both deleted at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: impl Fn(), config: &str) -> Self {
        let test = name_of(test).replace("::", "-");
        let folder = std::env::temp_dir().join(format!("lockdep-{test}-{}", std::process::id()));
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::write(folder.join("lockdep.toml"), config).unwrap();
        Self(folder)
    }

    /// Runs the child of a test here. Returns its standard error if it succeeds.
    fn run(&self, test: impl Fn(), environment: &[(&str, &str)]) -> String {
        let mut child = child_command(test);
        child
            .current_dir(self.0.join("below"))
            .env_remove("LOCKDEP_CONFIG")
            .env("LOCKDEP_EXIT", "1");
        child.envs(environment.iter().copied());
        let Output { status, stderr, .. } = child.output().unwrap();
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert!(status.success(), "{status}: {stderr}");
        stderr
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const BAD: &str = "[[allow]]\nlocks = [\"left\"]\n";
const UNUSED: &str = "[[allow]]\nlocks = [\"left\"]\nreason = \"known\"\n";
const COMPLAINT: &str = "lockdep: the configuration is ignored: ";

fn one_lock() {
    drop(Mutex::new(()).lock());
}

fn one_in_another() {
    let (outer, inner) = (Mutex::new(()), Mutex::new(()));
    drop((outer.lock(), inner.lock()));
}

/// If locks are never nested, an error in the file is reported once, at the end, whether or not
/// findings change the exit status.
#[test]
fn a_bad_file_is_told_where_no_lock_is_nested() {
    let test = a_bad_file_is_told_where_no_lock_is_nested;
    if is_child() {
        one_lock();
        return eprintln!("all is done");
    }
    let folder = Folder::new(test, BAD);
    for exit in ["0", "1"] {
        let stderr = folder.run(test, &[("LOCKDEP_EXIT", exit)]);
        let (before, after) = stderr.split_once("all is done\n").expect("it runs");
        assert!(!before.contains("lockdep: "), "{stderr}");
        assert_eq!(after.matches(COMPLAINT).count(), 1, "{stderr}");
        assert!(after.contains("lockdep.toml:1: `reason` is missing"), "{stderr}");
    }
}

/// Otherwise it is reported at the first nested acquisition.
#[test]
fn a_bad_file_is_told_at_the_first_nested_lock() {
    let test = a_bad_file_is_told_at_the_first_nested_lock;
    if is_child() {
        one_lock();
        eprintln!("nothing is nested");
        one_in_another();
        eprintln!("one is");
        return one_in_another();
    }
    let stderr = Folder::new(test, BAD).run(test, &[]);
    let (before, after) = stderr.split_once("nothing is nested\n").expect("it runs");
    let (meanwhile, after) = after.split_once("one is\n").expect("it runs");
    assert_eq!(meanwhile.matches(COMPLAINT).count(), 1, "{stderr}");
    assert!(!before.contains("lockdep: ") && !after.contains("lockdep: "), "{stderr}");
}

/// Unused entries are listed at the end, whenever the file was read, unless `LOCKDEP_EXIT=0`.
#[test]
fn unused_entries_are_named_at_the_end() {
    let test = unused_entries_are_named_at_the_end;
    if is_child() {
        one_lock();
        if std::env::var_os("TEST_NESTS").is_some() {
            one_in_another();
        }
        return eprintln!("all is done");
    }
    let folder = Folder::new(test, UNUSED);
    for environment in [&[][..], &[("TEST_NESTS", "1")]] {
        let stderr = folder.run(test, environment);
        let (before, after) = stderr.split_once("all is done\n").expect("it runs");
        assert!(!before.contains("lockdep: "), "{stderr}");
        assert_eq!(after.matches("lockdep: unused entry: ").count(), 1, "{stderr}");
        let environment = [environment, &[("LOCKDEP_EXIT", "0")]].concat();
        let stderr = folder.run(test, &environment);
        assert!(!stderr.contains("lockdep: "), "{stderr}");
    }
}

/// The search starts in the folder that was current at the first acquisition; relative paths refer
/// to it as well.
#[test]
fn the_folder_is_that_of_the_first_lock() {
    let test = the_folder_is_that_of_the_first_lock;
    if is_child() {
        one_lock();
        std::env::set_current_dir("/").unwrap();
        return one_in_another();
    }
    let folder = Folder::new(test, BAD);
    let stderr = folder.run(test, &[]);
    let path = folder.0.join("lockdep.toml");
    assert!(stderr.contains(&format!("{COMPLAINT}{}:1", path.display())), "{stderr}");
    let named = Path::new("../lockdep.toml");
    let stderr = folder.run(test, &[("LOCKDEP_CONFIG", named.to_str().unwrap())]);
    assert!(stderr.contains(&format!("{COMPLAINT}{}:1", named.display())), "{stderr}");
    let stderr = folder.run(test, &[("LOCKDEP_CONFIG", "missing.toml")]);
    assert!(stderr.contains(&format!("{COMPLAINT}missing.toml: ")), "{stderr}");
}

/// An unreadable file is reported, even if it is not a regular file.
#[test]
fn a_folder_or_a_dangling_link_in_its_place_is_reported() {
    let test = a_folder_or_a_dangling_link_in_its_place_is_reported;
    if is_child() {
        return one_in_another();
    }
    let folder = Folder::new(test, "");
    let path = folder.0.join("lockdep.toml");
    fs::remove_file(&path).unwrap();
    let is_reported = || {
        let stderr = folder.run(test, &[]);
        assert_eq!(stderr.matches(COMPLAINT).count(), 1, "{stderr}");
        assert!(stderr.contains(&format!("{COMPLAINT}{}: ", path.display())), "{stderr}");
    };
    fs::create_dir(&path).unwrap();
    is_reported();
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    is_reported();
}

/// Causes a finding, of the kind that `TEST_FINDING` names, and then one of another bug.
fn cause_finding() {
    let (a, b, c) = (Mutex::new(()), Mutex::new(()), Mutex::new(()));
    let (rates, changed) = (RwLock::new(()), Condvar::new());
    match &*std::env::var("TEST_FINDING").unwrap() {
        "inversion" => {
            on_a_thread(|| drop((a.lock(), b.lock())));
            on_a_thread(|| drop((b.lock(), a.lock())));
        }
        "single_thread_inversion" => {
            drop((a.lock(), b.lock()));
            drop((b.lock(), a.lock()));
        }
        "ring" => {
            for [outer, inner] in [[&a, &b], [&b, &c], [&c, &a]] {
                on_a_thread(|| drop((outer.lock(), inner.lock())));
            }
        }
        "recursive_read" => drop((rates.read(), rates.read())),
        "declared_order" => {
            lockdep::declare_order(&[&a, &b]);
            drop((b.lock(), a.lock()));
        }
        "wait_while_holding" => {
            let _held = a.lock();
            let timeout = std::time::Duration::from_nanos(1);
            drop(changed.wait_timeout(b.lock().unwrap(), timeout));
        }
        "leaked_guard" => on_a_thread(|| std::mem::forget(a.lock())),
        other => panic!("{other}"),
    }
    let other = RwLock::new(());
    drop((other.read(), other.read()));
}

/// The block at the end of a report, pasted as it is, silences that finding and no other.
#[test]
fn the_end_of_a_report_silences_it() {
    let test = the_end_of_a_report_silences_it;
    if is_child() {
        return cause_finding();
    }
    let reports = |stderr: &str| {
        let reports = stderr.split_once("[lockdep::").map_or("", |(_, reports)| reports).to_owned();
        reports.split("\nwarning[lockdep::").map(str::to_owned).collect::<Vec<_>>()
    };
    for finding in [
        "inversion",
        "single_thread_inversion",
        "ring",
        "recursive_read",
        "declared_order",
        "wait_while_holding",
        "leaked_guard",
    ] {
        let environment = [("TEST_FINDING", finding), ("LOCKDEP", "warn")];
        let folder = Folder::new(test, "");
        let stderr = folder.run(test, &environment);
        let [first, other, summary @ ..] = &*reports(&stderr) else { panic!("{stderr}") };
        assert_eq!(summary.len(), 2, "{finding}: {stderr}");
        let entry = first.find("      [[allow]]\n").expect(&stderr);
        let entry: String =
            first[entry..].lines().take(4).map(|line| line.to_owned() + "\n").collect();
        fs::write(folder.0.join("lockdep.toml"), &entry).unwrap();
        let stderr = folder.run(test, &environment);
        assert!(!stderr.contains("unused entry"), "{finding}: {entry}{stderr}");
        let [still, line] = &*reports(&stderr) else { panic!("{finding}: {entry}{stderr}") };
        assert!(still.starts_with(other.lines().next().unwrap()), "{finding}: {stderr}");
        assert!(line.starts_with("recursive_read"), "{finding}: {stderr}");
    }
}

/// A forked process without nested locks does not repeat its parent's message.
#[test]
#[allow(unsafe_code, reason = "a fork")]
fn a_fork_does_not_repeat_it() {
    let test = a_fork_does_not_repeat_it;
    if is_child() {
        one_lock();
        // SAFETY: the child only exits.
        unsafe {
            match libc::fork() {
                0 => libc::exit(0),
                pid => assert_eq!(libc::waitpid(pid, std::ptr::null_mut(), 0), pid),
            }
        }
        return eprintln!("the fork is gone");
    }
    let stderr = Folder::new(test, BAD).run(test, &[]);
    let (before, after) = stderr.split_once("the fork is gone\n").expect("it runs");
    assert!(!before.contains("lockdep: "), "{stderr}");
    assert_eq!(after.matches(COMPLAINT).count(), 1, "{stderr}");
}

/// An order of resources that each of several services checks, whichever side it sees.
#[test]
fn a_declared_order() {
    let test = a_declared_order;
    if is_child() {
        let acquire = |resource: &Resource| {
            let held = resource.acquire(Mode::Exclusive, || Ok::<_, Infallible>(()));
            held.unwrap_or_else(|never| match never {})
        };
        let (order, account) =
            (Resource::new("redis", "order:1"), Resource::new("pg", "account:2"));
        // The first nested acquisition is checked, too.
        on_a_thread(|| {
            let _account = acquire(&account);
            let report = denied(|| drop(acquire(&order))).expect("denied");
            eprintln!("{report}");
        });
        on_a_thread(|| drop((acquire(&order), acquire(&account))));
        // Classes of the program are ordered as well, and the order is transitive.
        let (log, other) = (Mutex::new(()), Mutex::new(()));
        lockdep::class(&log, "log");
        on_a_thread(|| {
            let _log = log.lock();
            assert!(denied(|| drop(acquire(&order))).is_some());
            assert!(denied(|| drop(other.lock())).is_none());
        });
        assert_eq!(lockdep::take_findings().len(), 2);
        return;
    }
    let order = "order = ['redis order:{}', 'pg account:{}', 'log']\n";
    let folder = Folder::new(test, order);
    let stderr = folder.run(test, &[]);
    let file = folder.0.join("lockdep.toml");
    let words = format!(
        "it was declared at {}:1 that `redis order:1` comes before `pg account:2`",
        file.display()
    );
    let text = stderr.replace("\n      ", " ");
    assert!(text.contains("error[lockdep::declared_order]: "), "{stderr}");
    assert!(text.contains(&words), "{stderr}");
    assert!(!stderr.contains(COMPLAINT), "{stderr}");
}

/// The program's own declaration applies if it contradicts the file.
#[test]
fn a_declared_order_that_contradicts_another() {
    let test = a_declared_order_that_contradicts_another;
    if is_child() {
        lockdep::declare_class_order(&["b", "a"]);
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        lockdep::class(&a, "a");
        lockdep::class(&b, "b");
        assert!(denied(|| drop((b.lock(), a.lock()))).is_none());
        assert!(denied(|| drop((a.lock(), b.lock()))).is_some());
        drop(lockdep::take_findings());
        return;
    }
    let folder = Folder::new(test, "order = [['c', 'd'], ['a', 'b']]\n");
    let stderr = folder.run(test, &[]);
    let file = folder.0.join("lockdep.toml");
    let complaint = format!(
        "lockdep: the order at {}:1 is ignored: it contradicts the one declared at tests/it/config.rs:",
        file.display()
    );
    assert_eq!(stderr.matches(&complaint).count(), 1, "{stderr}");
}
