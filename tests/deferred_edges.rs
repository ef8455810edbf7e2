//! Random programs have the same findings whether edges to new locks are deferred or not.
#![cfg(any(debug_assertions, feature = "enforce"))]
#![allow(unsafe_code, reason = "destroys locks that nobody holds")]

mod support;

use std::{sync::mpsc, thread};

use lockdep::{
    FindingKind, Level,
    sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard},
    testing::{Entered, Scope, ScopeHandle},
};
use support::{child_command, is_child};

enum Guard {
    A(#[expect(dead_code)] MutexGuard<'static, u8>),
    B(#[expect(dead_code)] MutexGuard<'static, u16>),
    R(#[expect(dead_code)] RwLockReadGuard<'static, u8>),
    W(#[expect(dead_code)] RwLockWriteGuard<'static, u8>),
}

#[derive(Clone, Copy)]
enum Lock {
    A(&'static Mutex<u8>),
    B(&'static Mutex<u16>),
    Rw(&'static RwLock<u8>),
}

impl Lock {
    fn take(self, shared: bool) -> Guard {
        match self {
            Lock::A(lock) => Guard::A(lock.lock().unwrap()),
            Lock::B(lock) => Guard::B(lock.lock().unwrap()),
            Lock::Rw(lock) if shared => Guard::R(lock.read().unwrap()),
            Lock::Rw(lock) => Guard::W(lock.write().unwrap()),
        }
    }
    fn try_take(self, shared: bool) -> Guard {
        match self {
            Lock::A(lock) => Guard::A(lock.try_lock().ok().unwrap()),
            Lock::B(lock) => Guard::B(lock.try_lock().ok().unwrap()),
            Lock::Rw(lock) if shared => Guard::R(lock.try_read().ok().unwrap()),
            Lock::Rw(lock) => Guard::W(lock.try_write().ok().unwrap()),
        }
    }

    /// # Safety
    ///
    /// No thread holds the lock or uses it again.
    unsafe fn destroy(self) {
        // SAFETY: the lock was leaked, and is not used again.
        unsafe {
            match self {
                Lock::A(lock) => drop(Box::from_raw(std::ptr::from_ref(lock).cast_mut())),
                Lock::B(lock) => drop(Box::from_raw(std::ptr::from_ref(lock).cast_mut())),
                Lock::Rw(lock) => drop(Box::from_raw(std::ptr::from_ref(lock).cast_mut())),
            }
        }
    }
}

type Local = (Vec<(usize, Guard)>, Vec<Entered>);
type Job = Box<dyn FnOnce(&mut Local) + Send>;

struct Worker {
    jobs: mpsc::Sender<(Job, mpsc::Sender<()>)>,
    thread: Option<thread::JoinHandle<()>>,
    held: Vec<(usize, bool)>,
    scoped: bool,
}

impl Worker {
    fn new() -> Self {
        let (jobs, todo) = mpsc::channel::<(Job, mpsc::Sender<()>)>();
        let thread = thread::spawn(move || {
            let mut local: Local = (Vec::new(), Vec::new());
            for (job, done) in todo {
                job(&mut local);
                done.send(()).unwrap();
            }
        });
        Self { jobs, thread: Some(thread), held: Vec::new(), scoped: false }
    }
    fn run(&self, job: impl FnOnce(&mut Local) + Send + 'static) {
        let (done, is_done) = mpsc::channel();
        self.jobs.send((Box::new(job), done)).unwrap();
        is_done.recv().unwrap();
    }
}

/// Runs random steps on three threads, one at a time, and prints what is found.
#[allow(clippy::too_many_lines, reason = "one arm for each kind of step")]
fn program(seed: u64) {
    static UNRELATED: Mutex<()> = Mutex::new(());
    lockdep::name(&UNRELATED, "unrelated");
    if std::env::var_os("AT_ONCE").is_some() {
        // Once anything is declared, no edge is deferred.
        lockdep::declare_outermost(&UNRELATED);
    }
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut below = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize % n
    };
    let mut workers: Vec<_> = (0..3).map(|_| Worker::new()).collect();
    let mut locks: Vec<Option<Lock>> = Vec::new();
    let scope = Scope::new();
    let handle: ScopeHandle = scope.handle();
    let made = |below: &mut dyn FnMut(usize) -> usize| match below(6) {
        0 => Lock::A(Box::leak(Box::new(Mutex::new(0)))),
        1 => Lock::A(Box::leak(Box::new(Mutex::new(1)))),
        2 => Lock::B(Box::leak(Box::new(Mutex::new(0)))),
        3 => Lock::B(Box::leak(Box::new(Mutex::new(1)))),
        4 => Lock::Rw(Box::leak(Box::new(RwLock::new(0)))),
        _ => Lock::Rw(Box::leak(Box::new(RwLock::new(1)))),
    };
    for _ in 0..6 {
        locks.push(Some(made(&mut below)));
    }
    for step in 0..400 {
        let w = below(workers.len());
        let alive: Vec<usize> = (0..locks.len()).filter(|&at| locks[at].is_some()).collect();
        let holders = |workers: &Vec<Worker>, at: usize| -> Vec<(usize, bool)> {
            let of = |(w, it): (usize, &Worker)| {
                it.held
                    .iter()
                    .filter(|(l, _)| *l == at)
                    .map(move |&(_, s)| (w, s))
                    .collect::<Vec<_>>()
            };
            workers.iter().enumerate().flat_map(of).collect()
        };
        match below(100) {
            0..=44 => {
                if workers[w].held.len() >= 3 || alive.is_empty() {
                    continue;
                }
                let at = alive[below(alive.len())];
                let shared = matches!(locks[at], Some(Lock::Rw(_))) && below(2) == 0;
                let held = holders(&workers, at);
                let free =
                    if shared { held.iter().all(|it| it.1 && it.0 != w) } else { held.is_empty() };
                if free {
                    let lock = locks[at].unwrap();
                    let tries = below(10) == 0;
                    workers[w].run(move |local| {
                        let guard = if tries { lock.try_take(shared) } else { lock.take(shared) };
                        local.0.push((at, guard));
                    });
                    workers[w].held.push((at, shared));
                }
            }
            45..=64 => {
                // A new lock under the held ones, usually dropped immediately.
                let lock = made(&mut below);
                let shared = matches!(lock, Lock::Rw(_)) && below(2) == 0;
                workers[w].run(move |_| drop(lock.take(shared)));
                if below(3) == 0 {
                    // SAFETY: it is in no list, and free.
                    unsafe { lock.destroy() };
                } else {
                    locks.push(Some(lock));
                }
            }
            65..=84 => {
                let n = workers[w].held.len();
                if n > 0 {
                    let which = if below(4) == 0 { below(n) } else { n - 1 };
                    workers[w].run(move |local| drop(local.0.remove(which)));
                    workers[w].held.remove(which);
                }
            }
            85..=89 => {
                let free: Vec<_> =
                    alive.iter().filter(|&&at| holders(&workers, at).is_empty()).collect();
                if free.len() > 4 {
                    let at = *free[below(free.len())];
                    // SAFETY: it was removed from the list, and is free.
                    unsafe { locks[at].take().unwrap().destroy() };
                }
            }
            90..=91 if !alive.is_empty() => {
                let at = alive[below(alive.len())];
                match locks[at].unwrap() {
                    Lock::A(lock) => lockdep::name(lock, format!("n{step}")),
                    Lock::B(lock) => lockdep::name(lock, format!("n{step}")),
                    Lock::Rw(lock) => lockdep::name(lock, format!("n{step}")),
                }
            }
            92 if !alive.is_empty() => {
                let at = alive[below(alive.len())];
                let class = ["c1", "c2"][below(2)];
                match locks[at].unwrap() {
                    Lock::A(lock) => lockdep::class(lock, class),
                    Lock::B(lock) => lockdep::class(lock, class),
                    Lock::Rw(lock) => lockdep::class(lock, class),
                }
            }
            93 if seed.is_multiple_of(8) && !alive.is_empty() => {
                let at = alive[below(alive.len())];
                let key = below(5);
                match locks[at].unwrap() {
                    Lock::A(lock) => lockdep::order_by_key(lock, key),
                    Lock::B(lock) => lockdep::order_by_key(lock, key),
                    Lock::Rw(lock) => lockdep::order_by_key(lock, key),
                }
            }
            94 => {
                let kinds = [
                    FindingKind::Inversion,
                    FindingKind::ClassInversion,
                    FindingKind::SingleThreadInversion,
                    FindingKind::GuardedInversion,
                ];
                let level = [Level::Warn, Level::Allow][below(2)];
                lockdep::set_level(kinds[below(4)], level);
            }
            95 if below(3) == 0 => lockdep::reset(),
            96 => {
                let handle = handle.clone();
                let was = workers[w].scoped;
                workers[w].run(
                    move |local| {
                        if was { local.1.clear() } else { local.1.push(handle.enter()) }
                    },
                );
                workers[w].scoped = !was;
            }
            97 if workers[w].held.is_empty() => {
                let mut old = std::mem::replace(&mut workers[w], Worker::new());
                old.run(|local| local.1.clear());
                let thread = old.thread.take().unwrap();
                drop(old);
                thread.join().unwrap();
            }
            98 => {
                let graph = lockdep::order_graph();
                println!(
                    "graph {} {}",
                    graph.as_petgraph().node_count(),
                    graph.as_petgraph().edge_count()
                );
            }
            _ => {}
        }
        for finding in lockdep::take_findings().into_iter().chain(scope.take_findings()) {
            println!("step {step} {:?} {finding}", finding.level());
        }
    }
    println!("edges {}", lockdep::stats().edges());
    for worker in &mut workers {
        worker.run(|local| {
            local.0.clear();
            local.1.clear();
        });
    }
    let graph = lockdep::order_graph();
    println!("graph {} {}", graph.as_petgraph().node_count(), graph.as_petgraph().edge_count());
    let mut edges: Vec<String> = graph
        .as_petgraph()
        .edge_weights()
        .map(|edge| {
            format!(
                "E{} {:?} {:?} E{} {:?} {:?} {:?}",
                edge.held().id(),
                edge.held_mode(),
                edge.held_at(),
                edge.wanted().id(),
                edge.wanted_mode(),
                edge.acquired_at(),
                edge.thread()
            )
        })
        .collect();
    edges.sort();
    println!("{}\nEND", edges.join("\n"));
}

/// Removes what the system calls threads, which differs from process to process.
fn without_system_ids(text: &str) -> String {
    ["os_id: Some(", "<unnamed> ("].iter().fold(text.to_owned(), |text, before| {
        let mut parts = text.split(before);
        let first = parts.next().unwrap_or_default().to_owned();
        let is_digit = |c: char| c.is_ascii_digit();
        parts.fold(first, |all, part| all + before + part.trim_start_matches(is_digit))
    })
}

#[test]
fn the_same_is_found_with_deferred_edges() {
    if is_child() {
        return program(std::env::var("SEED").unwrap().parse().unwrap());
    }
    let seeds = std::env::var("SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(16);
    let mut findings = 0;
    for seed in 0..seeds {
        let run = |at_once: bool| {
            let mut command = child_command(the_same_is_found_with_deferred_edges);
            command.env("SEED", u64::to_string(&seed));
            command.env("LOCKDEP", "warn").env("LOCKDEP_BACKTRACE", "0");
            if at_once {
                command.env("AT_ONCE", "1");
            }
            let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
            let (output, _) = output.split_once("END").expect("it has run to its end");
            without_system_ids(output)
        };
        let (deferred, at_once) = (run(false), run(true));
        assert_eq!(deferred, at_once, "seed {seed}");
        findings += deferred.matches("step ").count();
    }
    assert!(findings > 0);
}
