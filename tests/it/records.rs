//! What processes write with `LOCKDEP_OUT`, each test in a separate process, and how it is read.
#![cfg(all(debug_assertions, unix, feature = "records"))]

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use crate::support::{child_command, denied, is_child, name_of, on_a_thread};
use lockdep::{
    FindingKind, Mode,
    external::Resource,
    record::{self, Line, Merge},
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
};
use serde_json::json;

/// An empty folder, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("records-{name}"));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn files(&self) -> Vec<PathBuf> {
        // It may not exist yet.
        let entries = fs::read_dir(&self.0).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Returns the only file.
    fn file(&self) -> PathBuf {
        let files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn child(test: impl Fn(), out: &Path) -> Command {
    let mut child = child_command(test);
    child.env("LOCKDEP_OUT", out).env("LOCKDEP_EXIT", "0");
    child
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn invert() {
    let (accounts, ledger) = (Mutex::new(1), RwLock::new("a"));
    lockdep::name(&accounts, "accounts");
    drop((accounts.lock(), ledger.read()));
    // Written once.
    for _ in 0..2 {
        assert!(denied(|| drop((ledger.write(), accounts.lock()))).is_some());
    }
}

#[test]
fn a_process_writes_its_locks_edges_and_findings() {
    let test = a_process_writes_its_locks_edges_and_findings;
    if is_child() {
        return invert();
    }
    let folder = Folder::new("whole");
    // Created if it does not exist.
    let output = child(test, &folder.0.join("made")).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let folder = Folder(folder.0.join("made"));
    let text = fs::read(folder.file()).unwrap();

    let (mut headers, mut locks, mut edges, mut findings) = (0, BTreeSet::new(), vec![], vec![]);
    let problems = record::read(&*text, |line| match line {
        Line::Header(header) => {
            assert_eq!((header.schema, header.id.len()), (record::SCHEMA, 32));
            assert_eq!(header.program, "it");
            headers += 1;
        }
        Line::Lock(lock) => {
            assert!(
                lock.created_at.as_ref().unwrap().starts_with("tests/it/records.rs:"),
                "{lock:?}"
            );
            assert!(locks.insert(lock.id), "{lock:?} twice");
            let named = [("accounts", "Mutex<i32>"), ("ledger", "RwLock<&str>")];
            assert!(named.contains(&(&*lock.name, &*lock.type_name)), "{lock:?}");
        }
        Line::Edge(edge) => {
            assert!(locks.contains(&edge.held) && locks.contains(&edge.wanted), "in this order");
            edges.push([edge.held_mode.into_owned(), edge.wanted_mode.into_owned()]);
        }
        Line::Finding(finding) => {
            assert_eq!(finding.cycle[0].thread, name_of(test));
            assert!(
                finding.report.starts_with("error[lockdep::single_thread_inversion]: "),
                "{finding:?}"
            );
            findings.push((
                finding.kind.into_owned(),
                finding.level.into_owned(),
                finding.in_scope,
            ));
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(problems.unwrap(), []);
    assert_eq!((headers, locks.len()), (1, 2));
    assert_eq!(edges, [["exclusive", "shared"], ["exclusive", "exclusive"]]);
    assert_eq!(findings, [("single_thread_inversion".into(), "deny".into(), false)]);
}

/// A lock's own line has the name that reports have, so that a finding's locks are found in the graph.
#[test]
fn locks_that_are_acquired_in_a_helper_are_named_after_their_fields() {
    struct Kitchen {
        cup: Mutex<u8>,
        plate: Mutex<u8>,
    }
    if is_child() {
        let kitchen = Kitchen { cup: Mutex::new(1), plate: Mutex::new(2) };
        drop((unpoisoned(&kitchen.cup), unpoisoned(&kitchen.plate)));
        let denied = denied(|| drop((unpoisoned(&kitchen.plate), unpoisoned(&kitchen.cup))));
        return assert!(denied.is_some());
    }
    let folder = Folder::new("helper");
    let test = locks_that_are_acquired_in_a_helper_are_named_after_their_fields;
    let output = child(test, &folder.0).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let mut merge = Merge::default();
    merge.read_folder(&folder.0).unwrap();
    let names: BTreeSet<_> = merge.graph().locks.into_iter().flat_map(|lock| lock.names).collect();
    assert_eq!(names, ["Kitchen::cup", "Kitchen::plate"].map(str::to_owned).into());
    let of_finding = &merge.findings()[0].cycle[0];
    assert_eq!([&*of_finding.held, &*of_finding.wanted], ["Kitchen::plate", "Kitchen::cup"]);
}

/// Its locks have no class: a derived function creates all of them in one location.
#[derive(Default)]
struct Derived(RwLock<()>);

/// The gates of an edge: the other locks that no other thread could hold meanwhile.
#[test]
fn edges_name_their_gates() {
    let test = edges_name_their_gates;
    if is_child() {
        let (read, outer, inner) = (RwLock::new(()), Mutex::new(()), Mutex::new(()));
        for (lock, name) in [(&outer, "outer"), (&inner, "inner")] {
            lockdep::name(lock, name);
        }
        lockdep::name(&read, "read");
        let derived = Derived::default();
        lockdep::name(&derived.0, "derived");
        return drop((derived.0.read(), read.read(), outer.lock(), inner.lock()));
    }
    let folder = Folder::new("gates");
    let output = child(test, &folder.0).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let (mut names, mut gates) = (BTreeMap::new(), BTreeMap::new());
    let mut certain = BTreeSet::new();
    let problems = record::read(&*fs::read(folder.file()).unwrap(), |line| match line {
        Line::Lock(lock) => {
            assert!(lock.created_at.is_some());
            assert_eq!(lock.class.is_none(), lock.name == "derived", "{lock:?}");
            names.insert(lock.id, lock.name.into_owned());
        }
        Line::Edge(edge) => {
            let its: Vec<_> = edge.gates.iter().map(|gate| names[gate].clone()).collect();
            let ends = [&edge.held, &edge.wanted].map(|id| names[id].clone());
            if !edge.may_have_more_gates {
                certain.insert(ends.join(" "));
            }
            gates.insert(ends, its);
        }
        _ => {}
    });
    assert_eq!(problems.unwrap(), []);
    let of = |held: &str, wanted: &str| &gates[&[held, wanted].map(str::to_owned)][..];
    assert_eq!(of("read", "inner"), ["outer"]);
    assert!(of("outer", "inner").is_empty() && of("read", "outer").is_empty());
    // At the other edges, a lock was held for reading, which somebody may write.
    assert_eq!(certain, ["derived read".to_owned()].into());
}

fn pair() -> (Mutex<i32>, Mutex<&'static str>) {
    (Mutex::new(1), Mutex::new("a"))
}

fn nest(held: &Mutex<i32>, wanted: &Mutex<&str>) {
    let _held = held.lock().unwrap();
    drop(wanted.lock().unwrap());
}

fn nest_new_pair() {
    let (held, wanted) = pair();
    nest(&held, &wanted);
}

/// Returns the edges of a record without lock numbers: names, thread, gates.
fn edges_by_name(file: &Path) -> Vec<String> {
    let (mut names, mut edges) = (BTreeMap::new(), Vec::new());
    let problems = record::read(&*fs::read(file).unwrap(), |line| match line {
        Line::Lock(lock) => _ = names.insert(lock.id, lock.name.into_owned()),
        Line::Edge(edge) => {
            let gates: Vec<_> = edge.gates.iter().map(|gate| &names[gate]).collect();
            let [held, wanted] = [edge.held, edge.wanted].map(|id| &names[&id]);
            let thread = if edge.thread.starts_with("<unnamed>") { "unnamed" } else { "test" };
            edges.push(format!("{held} {wanted} {thread} {gates:?}"));
        }
        _ => {}
    });
    assert_eq!(problems.unwrap(), []);
    edges
}

/// A pair of locks for each request makes one line, not a million.
#[test]
fn edges_that_differ_only_in_lock_numbers_are_written_once() {
    let test = edges_that_differ_only_in_lock_numbers_are_written_once;
    if is_child() {
        (0..10).for_each(|_| nest_new_pair());
        let (held, wanted) = pair();
        let nest_another = || nest(&held, &Mutex::new("another constructor"));
        (0..10).for_each(|_| nest_another());
        // The edges from and under the gate are new once. The edge without it says more.
        for _ in 0..2 {
            let gate = Mutex::new('g');
            let _gate = gate.lock().unwrap();
            nest_new_pair();
        }
        // Unnamed threads count as one.
        (0..3).for_each(|_| on_a_thread(|| (0..10).for_each(|_| nest_new_pair())));
        on_a_thread(|| (0..10).for_each(|_| nest_another()));
        let pairs = [(); 2].map(|()| pair());
        for (held, wanted) in &pairs {
            nest(held, wanted);
        }
        on_a_thread(|| {
            // Another location makes it new.
            let _held = pairs[0].0.lock().unwrap();
            drop(pairs[1].1.lock().unwrap());
        });
        for name in ["first", "second"] {
            let wanted = Mutex::new("a");
            lockdep::name(&wanted, name);
            nest(&held, &wanted);
        }
        let _held = held.lock().unwrap();
        return drop(wanted.lock().unwrap());
    }
    let folder = Folder::new("alike");
    let output = child(test, &folder.0).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        edges_by_name(&folder.file()),
        [
            "held wanted test []",
            "held wanted test []",
            "gate held test []",
            "gate wanted test [\"held\"]",
            "held wanted unnamed []",
            "held wanted unnamed []",
            "held wanted unnamed []",
            "held first test []",
            "held second test []",
            "held wanted test []",
        ]
    );
}

/// Handles requests, each with two new locks, in every way in which locks and threads get names.
fn handle_requests(count: usize) {
    const CLASSES: [&str; 2] = ["of the request", "of the answer"];
    for request in 0..count {
        nest_new_pair();
        for (are_in_classes, number) in [(true, None), (false, None), (true, Some(request))] {
            let (held, wanted) = pair();
            let name = number.map_or("answer".to_owned(), |number| format!("answer {number}"));
            lockdep::name(&wanted, &name);
            if are_in_classes {
                lockdep::class(&held, CLASSES[0]);
                lockdep::class(&wanted, CLASSES[1]);
            }
            nest(&held, &wanted);
        }
        let derived = Derived::default();
        lockdep::name(&derived.0, format!("table {request}"));
        let gates = [(); 8].map(|()| Mutex::new('g'));
        let _gates = gates.each_ref().map(|gate| gate.lock().unwrap());
        drop(derived.0.read().unwrap());
        let thread = thread::Builder::new().name(format!("request {request}"));
        thread.spawn(nest_new_pair).unwrap().join().unwrap();
    }
}

/// The size of a record depends on the source, not on how long the program runs.
#[test]
fn a_record_grows_with_places_not_with_requests() {
    let test = a_record_grows_with_places_not_with_requests;
    if is_child() {
        let requests = std::env::var("REQUESTS").unwrap();
        return handle_requests(requests.parse().unwrap());
    }
    let [some, many] = ["100", "1000"].map(|requests| {
        let folder = Folder::new(&format!("requests-{requests}"));
        let output = child(test, &folder.0).env("REQUESTS", requests).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        fs::metadata(folder.file()).unwrap().len()
    });
    // Ten times as many names have some more among the smallest. All lines of these requests would take
    // 2.6 MB.
    assert!(many < some + 100_000, "{some} bytes for 100 requests, {many} for 1000");
}

#[test]
#[allow(unsafe_code, reason = "a fork")]
fn a_fork_writes_edges_that_its_parent_has_written() {
    let test = a_fork_writes_edges_that_its_parent_has_written;
    if is_child() {
        nest_new_pair();
        // SAFETY: apart from this thread there is only that of the harness, which waits for this
        // one.
        unsafe {
            match libc::fork() {
                0 => {
                    nest_new_pair();
                    libc::_exit(0)
                }
                pid => assert_eq!(libc::waitpid(pid, &raw mut *Box::new(0), 0), pid),
            }
        }
        return;
    }
    let folder = Folder::new("fork-edges");
    let output = child(test, &folder.0).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let edges: Vec<_> = folder.files().iter().map(|file| edges_by_name(file)).collect();
    assert_eq!(edges, [["held wanted test []"], ["held wanted test []"]]);
}

/// It dies just after the finding was printed.
#[test]
#[allow(unsafe_code, reason = "a signal")]
fn a_process_that_is_killed_loses_nothing() {
    let test = a_process_that_is_killed_loses_nothing;
    if is_child() {
        std::panic::set_hook(Box::new(|_| {
            // SAFETY: the call takes no pointers.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }));
        return invert();
    }
    let folder = Folder::new("killed");
    let output = child(test, &folder.0).output().unwrap();
    assert_eq!(output.status.code(), None, "{}", stderr(&output));
    let mut merge = Merge::default();
    assert_eq!(merge.read_folder(&folder.0).unwrap(), []);
    let findings = merge.findings();
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].kind, findings[0].processes), (FindingKind::SingleThreadInversion, 1));
    assert_eq!(
        findings[0].cycle[0].held_class.split(':').next(),
        Some("RwLock<&str> made at tests/it/records.rs")
    );
}

#[test]
fn parallel_processes_and_their_threads_never_clash() {
    let test = parallel_processes_and_their_threads_never_clash;
    if is_child() {
        return thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..2).for_each(|_| invert()));
            }
        });
    }
    let folder = Folder::new("parallel");
    let start =
        |_| child(test, &folder.0).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let mut children: Vec<_> = (0..8).map(start).collect();
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    assert_eq!(folder.files().len(), 8);
    let mut merge = Merge::default();
    assert_eq!(merge.read_folder(&folder.0).unwrap(), []);
    assert_eq!(merge.records(), 8);
    let findings = merge.findings();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].processes, 8);
}

/// In a container, where several processes write to one log, with what they print.
#[test]
fn records_among_the_lines_of_a_log() {
    let test = records_among_the_lines_of_a_log;
    if is_child() {
        print!("no line break ");
        std::io::stdout().flush().unwrap();
        return invert();
    }
    let output = || {
        let output = child(test, Path::new("-")).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let [one, other] = [output(), output()];
    let lines = |text: &str| text.lines().filter(|line| line.contains("lockdep:")).count();
    assert_eq!((lines(&one), lines(&other)), (6, 6), "{one}");
    // Another process may write a line between any two.
    let mut log = Vec::new();
    for (one, other) in one.lines().zip(other.lines()) {
        log.push(format!("2026-12-01T10:00:00Z stdout F {one}"));
        log.push(json!({ "log": other }).to_string());
    }
    let log = log.join("\n") + "\n";
    let mut merge = Merge::default();
    assert_eq!(merge.add(log.as_bytes()).unwrap(), []);
    assert_eq!(merge.records(), 2);
    let mut separate = Merge::default();
    for text in [&one, &other] {
        assert_eq!(separate.add(text.as_bytes()).unwrap(), []);
    }
    assert_eq!(merge, separate);
    let [finding] = &merge.findings()[..] else { panic!("{merge:?}") };
    assert_eq!((finding.kind, finding.processes), (FindingKind::SingleThreadInversion, 2));
    // A line that was cut, and a record whose begin is missing.
    let (begin, end) = log.split_once("edge").unwrap();
    let rest = format!("{}\n{end}", &begin[..begin.len() - 2]);
    assert_ne!(Merge::default().add(rest.as_bytes()).unwrap(), []);
    let headless: Vec<_> = log.lines().filter(|line| !line.contains("header")).collect();
    let headless = headless.join("\n") + "\n";
    let problems = Merge::default().add(headless.as_bytes()).unwrap();
    assert!(problems[0].reason.contains("no header stands before this"), "{problems:?}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named_once() {
    let test = a_folder_that_cannot_be_made_is_named_once;
    if is_child() {
        return invert();
    }
    let output = child(test, Path::new("/dev/null/folder")).output().unwrap();
    assert!(output.status.success());
    let text = stderr(&output);
    let message =
        "lockdep: `/dev/null/folder` in LOCKDEP_OUT is ignored: cannot create a record there: ";
    assert_eq!(text.matches(message).count(), 1, "{text}");
    assert_eq!(text.matches("LOCKDEP_OUT").count(), 1, "{text}");
}

/// When the file must not grow any more, as on a full disk, the program continues.
#[test]
#[allow(unsafe_code, reason = "a limit for the process")]
fn a_full_disk_is_told_once() {
    let test = a_full_disk_is_told_once;
    if is_child() {
        drop(Mutex::new(()).lock());
        let limit = libc::rlimit { rlim_cur: 1500, rlim_max: 1500 };
        // SAFETY: the pointer is to a live value.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
        }
        return (0..8).for_each(|_| invert());
    }
    let folder = Folder::new("full");
    // Standard error is a pipe, to which the limit does not apply.
    let output = child(test, &folder.0).env_remove("LOCKDEP_EXIT").output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("\nlockdep: reports are above\n"), "not all are in the record: {text}");
    assert_eq!(text.matches("lockdep: LOCKDEP_OUT: recording to ").count(), 1, "{text}");
    // What is there is read.
    let mut merge = Merge::default();
    let problems = merge.read_folder(&folder.0).unwrap();
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert!(problem.reason.starts_with("incomplete: "), "{problem}");
    assert_eq!(merge.edges(), 2);
}

#[test]
#[allow(unsafe_code, reason = "a fork")]
fn a_fork_has_a_record_of_its_own() {
    let test = a_fork_has_a_record_of_its_own;
    if is_child() {
        let (a, b) = (Mutex::new(1), Mutex::new(2));
        drop((a.lock(), b.lock()));
        // SAFETY: apart from this thread there is only that of the harness, which waits for this
        // one.
        unsafe {
            match libc::fork() {
                0 => {
                    assert!(denied(|| drop((b.lock(), a.lock()))).is_some());
                    libc::_exit(0)
                }
                pid => assert_eq!(libc::waitpid(pid, &raw mut *Box::new(0), 0), pid),
            }
        }
        return;
    }
    let folder = Folder::new("fork");
    let output = child(test, &folder.0).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(folder.files().len(), 2);
    let mut merge = Merge::default();
    assert_eq!(merge.read_folder(&folder.0).unwrap(), []);
    assert_eq!((merge.records(), merge.findings().len()), (2, 1));
}

/// Findings that a test expects are marked, and the last line says where the reports are.
#[test]
fn expected_findings_are_marked() {
    if is_child() {
        drop(lockdep::testing::collect(invert));
        return invert();
    }
    let folder = Folder::new("expected");
    let mut child = child(expected_findings_are_marked, &folder.0);
    let output = child.env_remove("LOCKDEP_EXIT").output().unwrap();
    assert_eq!(output.status.code(), Some(101));
    let text = stderr(&output);
    let line = format!("lockdep: reports are in {}\n", folder.file().display());
    assert!(text.contains(&line), "{text}");
    let mut merge = Merge::default();
    merge.read_folder(&folder.0).unwrap();
    let in_scope: Vec<_> = merge.findings().iter().map(|finding| finding.in_scope).collect();
    assert_eq!(in_scope, [false, true]);
}

#[test]
fn a_finding_and_the_order_as_json() {
    let findings = lockdep::testing::collect(|| {
        let (cup, plate) = (Mutex::new(1), Mutex::new(2));
        drop((cup.lock(), plate.lock()));
        let graph = lockdep::order_graph().to_json();
        let graph: record::Graph<'_> = serde_json::from_str(&graph).unwrap();
        let held = graph.locks.iter().find(|lock| lock.name == "cup").unwrap();
        assert!(graph.edges.iter().any(|edge| edge.held == held.id));
        drop((plate.lock(), cup.lock()));
    });
    let json = findings[0].to_json();
    let finding: record::Finding<'_> = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&*finding.kind, finding.cycle.len(), finding.locks.len()),
        ("single_thread_inversion", 2, 2)
    );
    assert_eq!(finding.report, findings[0].to_string());
    let title = "`plate` and `cup` are acquired in both orders, so far by one thread";
    assert_eq!(finding.title, title);
    assert!(
        finding.report.starts_with(&format!("error[lockdep::single_thread_inversion]: {title}\n"))
    );
    assert!(finding.help.starts_with("it takes two threads at once to hang, "), "{}", finding.help);
    assert!(!finding.help.contains('\n') && finding.silenced.is_none());
}

/// A resource is known by its key in every process, and so is a place whose guards change hands.
#[test]
fn resources_of_services() {
    let test = resources_of_services;
    if is_child() {
        let acquire = |resource: &Resource| {
            let held = resource.acquire(Mode::Exclusive, || Ok::<_, Infallible>(()));
            held.unwrap_or_else(|never| match never {})
        };
        let order = Resource::new("redis", "order:42").lease(Duration::from_millis(1500));
        let accounts = [1, 2].map(|id| Resource::new("pg", format!("account:{id}")));
        let state = Mutex::new(());
        lockdep::name(&order, "the order");
        let _order = acquire(&order);
        let held = accounts.each_ref().map(acquire);
        drop(state.lock());
        // They were acquired by this thread.
        on_a_thread(|| drop(held));
        return;
    }
    let folder = Folder::new("services");
    let mut child = child(test, &folder.0);
    child.env("LOCKDEP_SERVICE", " orders ").env_remove("OTEL_SERVICE_NAME");
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let (mut keys, mut elsewhere, mut gates) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let text = fs::read(folder.file()).unwrap();
    let problems = record::read(&*text, |line| match line {
        Line::Header(header) => {
            assert_eq!(header.service.as_deref(), Some("orders"));
            assert_eq!(header.host.is_some(), cfg!(target_os = "linux"));
        }
        Line::Lock(lock) => {
            if let Some(place) = lock.released_elsewhere {
                let class = lock.class.unwrap().into_owned();
                *elsewhere.entry((class, place.into_owned())).or_insert(0) += 1;
            }
            if let Some(key) = lock.key {
                keys.insert(lock.id, (key.into_owned(), lock.name.into_owned(), lock.lease));
            }
        }
        Line::Edge(edge) => {
            let key = |id: &u64| keys.get(id).map(|(key, ..)| key.clone());
            gates.extend(edge.gates.iter().filter_map(key));
        }
        _ => {}
    });
    assert_eq!(problems.unwrap(), []);
    let known: Vec<_> = keys.values().map(|(key, name, lease)| (&**key, &**name, *lease)).collect();
    assert_eq!(
        known,
        [
            ("redis order:42", "the order", Some(1500)),
            ("pg account:1", "pg account:1", None),
            ("pg account:2", "pg account:2", None),
        ]
    );
    // Once, though two were.
    let [((class, place), 1)] = elsewhere.iter().collect::<Vec<_>>()[..] else {
        panic!("{elsewhere:?}")
    };
    assert_eq!(class, "pg account:{}");
    assert!(place.starts_with("tests/it/records.rs:"), "{place}");
    let gates: Vec<_> = gates.iter().map(String::as_str).collect();
    assert_eq!(gates, ["pg account:1", "pg account:2", "redis order:42"]);
}

fn unpoisoned<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

fn logged<'a, T>(_what: &str, lock: &'a Mutex<T>) -> MutexGuard<'a, T> {
    unpoisoned(lock)
}

/// The data has what the report shows: the callers of helpers, the labels there, the notes and the stacks.
#[test]
fn what_a_report_shows_is_data() {
    let lines = Cell::new([0; 4]);
    let findings = lockdep::testing::collect(|| {
        // After a new way, a thread captures the stacks of held locks, however many have started before.
        let (tray, lid) = (Mutex::new(1), Mutex::new(2));
        drop((tray.lock(), lid.lock()));
        let (cup, plate) = (Mutex::new(1), Mutex::new(2));
        let of_cup = (logged("a", &cup), line!());
        let of_plate = (logged("b", &plate), line!());
        let before = [of_cup.1, of_plate.1];
        drop((of_cup, of_plate));
        let of_plate = (logged("c", &plate), line!());
        lines.set([of_plate.1, line!() + 1, before[0], before[1]]);
        drop(/* ü → */ logged("d", &cup));
    });
    let json = findings[0].to_json();
    let finding: record::Finding<'_> = serde_json::from_str(&json).unwrap();
    let ends = finding.shown.iter().flat_map(|it| [it.held.as_ref().unwrap(), &it.wanted]);
    let ends: Vec<_> = ends.collect();
    let source = include_str!("records.rs");
    for (end, line) in ends.iter().zip(lines.get()) {
        let (place, column) = end.at.rsplit_once(':').unwrap();
        assert_eq!(place, format!("tests/it/records.rs:{line}"));
        let text = source.lines().nth(line as usize - 1).unwrap();
        let rest: String = text.chars().skip(column.parse::<usize>().unwrap() - 1).collect();
        assert!(rest.starts_with("logged("), "{end:?} {rest}");
        assert!(finding.report.contains(&*end.label), "{end:?}");
        let functions: Vec<_> = end.stack.iter().map(|call| &*call.function).collect();
        assert!(functions[0].ends_with("::unpoisoned"), "{functions:?}");
        assert!(functions[1].ends_with("::logged"), "{functions:?}");
        assert_eq!(end.stack[2].at.as_ref(), Some(&end.at), "{functions:?}");
    }
    assert_eq!(ends.len(), 4);
    assert!(finding.shown[0].note.is_empty());
    assert!(finding.report.contains(&format!("\nnote: {}\n", finding.shown[1].note)));
    let notes: Vec<_> = finding.notes.iter().map(|note| &*note.text).collect();
    assert!(
        notes[0].starts_with("these calls acquire the locks in `unpoisoned`, at "),
        "{notes:?}"
    );
    assert!(notes.last().unwrap().contains("[[allow]]"), "{notes:?}");
    for note in notes {
        let text = note.replace('\n', "\n      ");
        assert!(finding.report.contains(&format!("\nnote: {text}\n")), "{note}");
    }
}

#[test]
fn lines_that_cannot_be_read_are_named_and_the_others_read() {
    let header = format!(
        r#"{{"header":{{"schema":1,"lockdep":"0.1.0","id":"{:032x}","process":1,"program":"a","started":1}}}}"#,
        7
    );
    let text = format!(
        "{header}\n{{\"lock\"\nnonsense\n{{\"lock\":{{\"id\":1,\"name\":\"a\",\"type\":\"b\"}}}}\n{{\"edge\":{{\"held\":1"
    );
    let mut locks = 0;
    let problems =
        record::read(text.as_bytes(), |line| locks += i32::from(matches!(line, Line::Lock(_))))
            .unwrap();
    assert_eq!(locks, 1);
    let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 3, 5], "{problems:?}");

    let folder = Folder::new("corrupt");
    fs::create_dir_all(&folder.0).unwrap();
    let file = folder.0.join("a.jsonl");
    fs::write(&file, text).unwrap();
    let problems = Merge::default().read_folder(&folder.0).unwrap();
    assert!(
        problems[1].to_string().starts_with(&format!("{}:3: ", file.display())),
        "{problems:?}"
    );

    // Nothing is read from a newer schema.
    let newer = header.replace("\"schema\":1", "\"schema\":2");
    let problems = Merge::default().add(newer.as_bytes()).unwrap();
    assert!(problems[0].reason.starts_with("schema 2: "), "{problems:?}");
}

/// A process that hangs, and is killed by its parent in the middle of writing.
#[test]
fn a_process_that_is_killed_while_it_writes() {
    if is_child() {
        println!("\nbegins");
        loop {
            denied(invert);
        }
    }
    let folder = Folder::new("killed-writing");
    let mut child = child(a_process_that_is_killed_while_it_writes, &folder.0);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap().take(1 << 16)).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "begins"));
    while folder.files().is_empty() || fs::metadata(folder.file()).unwrap().len() < 1 << 14 {
        thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut merge = Merge::default();
    let problems = merge.read_folder(&folder.0).unwrap();
    assert!(problems.iter().all(|it| it.reason.starts_with("incomplete: ")), "{problems:?}");
    assert_eq!(merge.findings().len(), 1);
}
