//! Uses of initialized cells: found if the use and the initializer could run at once, and silent
//! if something known keeps them apart.
#![cfg(all(
    debug_assertions,
    feature = "once_cell",
    feature = "parking_lot",
    feature = "parking_lot_0_13"
))]
#![allow(clippy::ignored_unit_patterns, reason = "the cells have no value")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
};

use crate::support::{denied, findings_about, in_a_child, kinds};
use lockdep::{
    FindingKind, Level, Mode, once_cell, parking_lot, parking_lot_0_13,
    sync::{LazyLock, Mutex, Once, OnceLock},
    thread,
};

use FindingKind::{Inversion, OrderedInversion};

/// An initializer, or a use of a cell that runs it.
type Action = Arc<dyn Fn() + Send + Sync>;

/// Creates a cell with a name and an initializer. Returns its use.
type NewCell = fn(&str, Action) -> Action;

/// All cells that are checked.
const CELLS: [(&str, NewCell); 10] = [
    ("OnceLock", |name, init| {
        let cell = OnceLock::new();
        lockdep::name(&cell, name);
        Arc::new(move || _ = cell.get_or_init(|| init()))
    }),
    ("LazyLock", |name, init| {
        let cell = LazyLock::new(move || init());
        lockdep::name(&cell, name);
        Arc::new(move || _ = LazyLock::force(&cell))
    }),
    ("Once", |name, init| {
        let cell = Once::new();
        lockdep::name(&cell, name);
        Arc::new(move || cell.call_once(|| init()))
    }),
    ("Once, forced", |name, init| {
        let cell = Once::new();
        lockdep::name(&cell, name);
        Arc::new(move || cell.call_once_force(|_| init()))
    }),
    ("OnceCell", |name, init| {
        let cell = once_cell::sync::OnceCell::new();
        lockdep::name(&cell, name);
        Arc::new(move || _ = cell.get_or_init(|| init()))
    }),
    ("OnceCell, fallible", |name, init| {
        let cell = once_cell::sync::OnceCell::new();
        lockdep::name(&cell, name);
        Arc::new(move || {
            cell.get_or_try_init(|| {
                init();
                Ok::<_, ()>(())
            })
            .unwrap();
        })
    }),
    ("Lazy", |name, init| {
        let cell = once_cell::sync::Lazy::new(move || init());
        lockdep::name(&cell, name);
        Arc::new(move || _ = once_cell::sync::Lazy::force(&cell))
    }),
    ("parking_lot::Once", |name, init| {
        let cell = parking_lot::Once::new();
        lockdep::name(&cell, name);
        Arc::new(move || cell.call_once(|| init()))
    }),
    ("parking_lot::Once, forced", |name, init| {
        let cell = parking_lot::Once::new();
        lockdep::name(&cell, name);
        Arc::new(move || cell.call_once_force(|_| init()))
    }),
    ("parking_lot_0_13::Once", |name, init| {
        let cell = parking_lot_0_13::Once::new();
        lockdep::name(&cell, name);
        Arc::new(move || cell.call_once(|| init()))
    }),
];

/// A cell whose initializer locks `state`, and a lock that nothing else needs.
#[derive(Clone)]
struct Program {
    name: String,
    state: Arc<Mutex<()>>,
    config: Action,
}

impl Program {
    /// Creates a program for one of the [`CELLS`], with names that no other test has.
    fn new(test: &str, (kind, cell): (&str, NewCell)) -> Self {
        let name = format!("{test}, {kind}");
        // The type of a default has no class.
        let state = Arc::<Mutex<()>>::default();
        lockdep::name(&*state, format!("{name}: state"));
        let config = cell(&name, {
            let state = Arc::clone(&state);
            Arc::new(move || drop(state.lock().unwrap()))
        });
        Self { name, state, config }
    }

    /// Uses the cell, which initializes it.
    fn config(&self) {
        (self.config)();
    }

    /// Uses the cell while `state` is held.
    fn step(&self) {
        let _state = self.state.lock().unwrap();
        (self.config)();
    }

    /// Returns the body of a thread.
    fn doing(&self, what: fn(&Self)) -> impl FnOnce() + Send + 'static {
        let this = self.clone();
        move || what(&this)
    }

    fn found(&self) -> Vec<FindingKind> {
        kinds(&findings_about(&[&self.name]))
    }
}

/// Runs a test for all cells, each on a thread of std, so that it is the root of a family.
fn for_all(test: &'static str, body: fn(Program)) {
    for cell in CELLS {
        std::thread::spawn(move || body(Program::new(test, cell))).join().unwrap();
    }
}

/// Waits until a thread has finished, without joining it.
fn until(is_finished: impl Fn() -> bool) {
    while !is_finished() {
        thread::yield_now();
    }
}

/// Runs three closures on three threads that exist at the same time, in turn: the last on this one.
fn in_turn(first: impl FnOnce() + Send, second: impl FnOnce() + Send, third: impl FnOnce()) {
    let all_exist = &Barrier::new(3);
    let turns = &[(); 2].map(|()| Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(move || {
            all_exist.wait();
            first();
            turns[0].wait();
        });
        scope.spawn(move || {
            all_exist.wait();
            turns[0].wait();
            second();
            turns[1].wait();
        });
        all_exist.wait();
        turns[1].wait();
        third();
    });
}

/// Runs two closures on two threads that exist at the same time, one after the other.
fn one_after_the_other(first: impl FnOnce() + Send, then: impl FnOnce() + Send) {
    let both_exist = Barrier::new(2);
    let (done, is_done) = mpsc::channel();
    thread::scope(|scope| {
        let both_exist = &both_exist;
        scope.spawn(move || {
            both_exist.wait();
            first();
            done.send(()).unwrap();
        });
        scope.spawn(move || {
            both_exist.wait();
            is_done.recv().unwrap();
            then();
        });
    });
}

#[test]
fn a_use_on_another_thread_is_found() {
    for_all("other thread", |program| {
        one_after_the_other(|| program.config(), || program.step());
        assert_eq!(program.found(), [OrderedInversion], "{}", program.name);
        // Once for each chain.
        program.step();
        assert_eq!(program.found(), [OrderedInversion], "{}", program.name);
    });
}

#[test]
fn a_use_by_the_parent_of_a_running_thread_is_found() {
    for_all("by the parent", |program| {
        let thread = thread::spawn(program.doing(Program::config));
        until(|| thread.is_finished());
        program.step();
        thread.join().unwrap();
        assert_eq!(program.found(), [OrderedInversion], "{}", program.name);
    });
}

/// As connections of a server: a thread for each, which is not joined before the next.
#[test]
fn a_use_on_a_thread_that_is_spawned_later_is_found() {
    for_all("connections", |program| {
        let first = thread::spawn(program.doing(Program::config));
        until(|| first.is_finished());
        let second = thread::spawn(program.doing(Program::step));
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(program.found(), [OrderedInversion], "{}", program.name);
    });
}

#[test]
fn uses_after_the_initialization_are_silent() {
    for_all("same thread", |program| {
        program.config();
        program.step();
        assert_eq!(program.found(), [], "{}", program.name);
    });
    for_all("before the spawn", |program| {
        program.config();
        let of_child = program.clone();
        let child = thread::spawn(move || {
            of_child.step();
            thread::spawn(of_child.doing(Program::step)).join().unwrap();
        });
        std::thread::spawn(program.doing(Program::step)).join().unwrap();
        child.join().unwrap();
        assert_eq!(program.found(), [], "{}", program.name);
    });
    for_all("after the join", |program| {
        thread::spawn(program.doing(Program::config)).join().unwrap();
        program.step();
        thread::spawn(program.doing(Program::step)).join().unwrap();
        assert_eq!(program.found(), [], "{}", program.name);
    });
    for_all("after the scope", |program| {
        thread::scope(|scope| _ = scope.spawn(|| program.config()));
        program.step();
        assert_eq!(program.found(), [], "{}", program.name);
    });
    // A thread that spawns others while it runs the initializer.
    for_all("spawned by the initializer's thread", |program| {
        let of_child = program.clone();
        let child = thread::spawn(move || {
            of_child.config();
            thread::spawn(of_child.doing(Program::step)).join().unwrap();
        });
        child.join().unwrap();
        assert_eq!(program.found(), [], "{}", program.name);
    });
}

/// Every thread uses the cell before it takes any lock, and waits for the initializer then, or sees
/// that it has run.
#[test]
fn a_thread_that_has_used_the_cell_before_never_waits() {
    for_all("used before", |program| {
        let turn = Arc::new(Barrier::new(2));
        let of_thread = (program.clone(), Arc::clone(&turn));
        let thread = thread::spawn(move || {
            let (program, turn) = of_thread;
            turn.wait();
            program.config();
            program.step();
        });
        program.config();
        turn.wait();
        program.step();
        thread.join().unwrap();
        assert_eq!(program.found(), [], "{}", program.name);
    });
}

#[test]
fn a_gate_around_both_is_silent() {
    for_all("gate", |program| {
        let gate = Arc::<Mutex<()>>::default();
        let of_thread = (program.clone(), Arc::clone(&gate));
        let thread = thread::spawn(move || {
            let (program, gate) = of_thread;
            let _gate = gate.lock().unwrap();
            program.config();
        });
        until(|| thread.is_finished());
        let gated = gate.lock().unwrap();
        program.step();
        assert_eq!(program.found(), [], "{}", program.name);
        drop(gated);
        program.step();
        assert_eq!(program.found(), [OrderedInversion], "{}", program.name);
        thread.join().unwrap();
    });
}

/// The initializer and the use need different locks, or the initializer none.
#[test]
fn an_initializer_without_the_lock_is_silent() {
    for_all("other lock", |program| {
        let other = Mutex::new(());
        let step = || {
            let _other = other.lock().unwrap();
            program.config();
        };
        one_after_the_other(|| program.config(), step);
        assert_eq!(program.found(), [], "{}", program.name);
    });
    for (kind, cell) in CELLS {
        let name = format!("no locks, {kind}");
        let state = Mutex::new(());
        let config = cell(&name, Arc::new(|| ()));
        let step = || {
            let _state = state.lock().unwrap();
            config();
        };
        one_after_the_other(|| config(), step);
        // An attempt never waits, and `allow` is the program's word.
        let name_of_attempt = format!("attempts, {kind}");
        let tried = Arc::new(Mutex::new(()));
        let config = cell(&name_of_attempt, {
            let tried = Arc::clone(&tried);
            Arc::new(move || {
                drop(tried.try_lock().unwrap());
                lockdep::allow(|| drop(tried.lock().unwrap()));
            })
        });
        let step = || {
            let _tried = tried.lock().unwrap();
            config();
        };
        one_after_the_other(|| config(), step);
        assert_eq!(kinds(&findings_about(&[&name, &name_of_attempt])), []);
    }
}

/// Only what would wait for the initializer is a use.
#[test]
fn what_never_waits_is_silent() {
    let (state, mut once_lock, mut once_cell) =
        (Mutex::new(()), OnceLock::new(), once_cell::sync::OnceCell::new());
    let (mut lazy_lock, mut lazy, once, once_13) = (
        LazyLock::new(|| drop(state.lock().unwrap())),
        once_cell::sync::Lazy::new(|| drop(state.lock().unwrap())),
        Once::new(),
        parking_lot_0_13::Once::new(),
    );
    lockdep::name(&state, "never waits");
    let init = || drop(state.lock().unwrap());
    thread::scope(|scope| {
        let all = scope.spawn(|| {
            once_lock.get_or_init(init);
            once_cell.get_or_init(init);
            LazyLock::force(&lazy_lock);
            once_cell::sync::Lazy::force(&lazy);
            once.call_once(init);
            once_13.call_once(init);
        });
        until(|| all.is_finished());
        let _state = state.lock().unwrap();
        assert!(once_lock.get().is_some() && once_cell.get().is_some());
        assert!(LazyLock::get(&lazy_lock).is_some());
        assert!(once_cell::sync::Lazy::get(&lazy).is_some());
        assert!(once.is_completed() && once_13.is_completed());
        assert_eq!(format!("{once_lock:?} {once_cell:?}"), "OnceLock(()) OnceCell(())");
        assert_eq!(once_lock.clone(), once_lock);
        assert_eq!(once_cell.clone(), once_cell);
    });
    assert_eq!(kinds(&findings_about(&["never waits"])), []);
    // With exclusive access.
    let other = Mutex::new(());
    lockdep::name(&other, "never waits, exclusive");
    let _other = other.lock().unwrap();
    assert!(once_lock.get_mut().is_some() && once_cell.get_mut().is_some());
    LazyLock::force_mut(&mut lazy_lock);
    once_cell::sync::Lazy::force_mut(&mut lazy);
    assert_eq!((once_lock.take(), once_lock.get()), (Some(()), None));
    assert_eq!((once_cell.take(), once_cell.get()), (Some(()), None));
    assert_eq!(once_lock.set(()), Ok(()));
    assert_eq!(once_lock.into_inner(), Some(()));
    assert_eq!(kinds(&findings_about(&["never waits", "never waits, exclusive"])), []);
}

/// `set` and `wait` wait for a running initializer as well.
#[test]
fn other_uses_are_found() {
    type OnceCell = once_cell::sync::OnceCell<()>;

    fn found<C: Send + Sync>(
        name: &str,
        cell: &C,
        init: impl FnOnce(&C, &Mutex<()>) + Send,
        then: fn(&C),
    ) {
        let state = Mutex::new(());
        lockdep::name(&state, name);
        let step = || {
            let _state = state.lock().unwrap();
            then(cell);
        };
        one_after_the_other(|| init(cell, &state), step);
        assert_eq!(kinds(&findings_about(&[name])), [OrderedInversion], "{name}");
    }
    let lock = |state: &Mutex<()>| drop(state.lock().unwrap());
    let init = |cell: &OnceLock<()>, state: &Mutex<()>| _ = cell.get_or_init(|| lock(state));
    found("OnceLock::set", &OnceLock::new(), init, |cell| cell.set(()).unwrap_err());
    found("OnceLock::wait", &OnceLock::new(), init, |cell| *cell.wait());
    let init = |cell: &OnceCell, state: &Mutex<()>| _ = cell.get_or_init(|| lock(state));
    found("OnceCell::set", &OnceCell::new(), init, |cell| cell.set(()).unwrap_err());
    found("OnceCell::wait", &OnceCell::new(), init, |cell| *cell.wait());
    let init = |cell: &Once, state: &Mutex<()>| cell.call_once(|| lock(state));
    found("Once::wait", &Once::new(), init, Once::wait);
    found("Once::wait_force", &Once::new(), init, Once::wait_force);
}

/// An initializer that failed took the lock, another one initialized the cell.
#[test]
fn failed_initializers_count() {
    let (state, cell) = (Mutex::new(()), OnceLock::new());
    lockdep::name(&state, "after a panic");
    let fails = || {
        let failed = catch_unwind(AssertUnwindSafe(|| {
            cell.get_or_init(|| {
                drop(state.lock().unwrap());
                panic!("on purpose");
            });
        }));
        assert!(failed.is_err());
        cell.get_or_init(|| ());
    };
    let step = || {
        let _state = state.lock().unwrap();
        cell.get_or_init(|| unreachable!());
    };
    one_after_the_other(fails, step);
    assert_eq!(kinds(&findings_about(&["after a panic"])), [OrderedInversion]);

    let (state, cell) = (Mutex::new(()), once_cell::sync::OnceCell::new());
    lockdep::name(&state, "after an error");
    let fails = || {
        let fails = || {
            drop(state.lock().unwrap());
            Err(1)
        };
        assert_eq!(cell.get_or_try_init(fails), Err(1));
        cell.get_or_init(|| ());
    };
    let step = || {
        let _state = state.lock().unwrap();
        cell.get_or_init(|| unreachable!());
    };
    one_after_the_other(fails, step);
    assert_eq!(kinds(&findings_about(&["after an error"])), [OrderedInversion]);

    // With a value from elsewhere, no initializer runs.
    let (state, cell) = (Mutex::new(()), OnceLock::new());
    lockdep::name(&state, "set after a panic");
    let fails = || {
        let failed = catch_unwind(AssertUnwindSafe(|| {
            cell.get_or_init(|| {
                drop(state.lock().unwrap());
                panic!("on purpose");
            });
        }));
        assert!(failed.is_err());
        cell.set(()).unwrap();
    };
    let step = || {
        let _state = state.lock().unwrap();
        cell.get_or_init(|| unreachable!());
    };
    one_after_the_other(fails, step);
    assert_eq!(kinds(&findings_about(&["set after a panic"])), []);
}

/// The initializer of one cell uses another one, which takes the lock.
#[test]
fn nested_cells() {
    for_all("nested", |inner| {
        let outer = OnceLock::new();
        lockdep::name(&outer, format!("{}: outer", inner.name));
        let init = || _ = outer.get_or_init(|| inner.config());
        let step = || {
            let _state = inner.state.lock().unwrap();
            outer.get_or_init(|| unreachable!());
        };
        one_after_the_other(init, step);
        let names = [&*inner.name, &format!("{}: outer", inner.name)];
        assert_eq!(kinds(&findings_about(&names)), [OrderedInversion], "{}", inner.name);
    });
    // The inner cell is initialized before, by a third thread.
    for_all("nested, later", |inner| {
        let outer = OnceLock::new();
        let name = format!("{}: outer", inner.name);
        lockdep::name(&outer, &name);
        let init = || _ = outer.get_or_init(|| inner.config());
        let step = || {
            let _state = inner.state.lock().unwrap();
            outer.get_or_init(|| unreachable!());
        };
        in_turn(|| inner.config(), init, step);
        let findings = findings_about(&[&name]);
        assert_eq!(kinds(&findings), [OrderedInversion], "{}", inner.name);
        assert_eq!(findings[0].cycle().len(), 3);
    });
}

/// The edge that closes the cycle is an acquisition, after the use.
#[test]
fn a_use_before_the_rest_of_the_cycle() {
    for_all("use first", |program| {
        let outer = Mutex::new(());
        let use_it = || {
            let _outer = outer.lock().unwrap();
            program.config();
        };
        let nest = || {
            let _state = program.state.lock().unwrap();
            drop(outer.lock().unwrap());
        };
        in_turn(
            || program.config(),
            || {
                use_it();
                assert_eq!(program.found(), []);
            },
            nest,
        );
        let findings = findings_about(&[&program.name]);
        assert_eq!(kinds(&findings), [OrderedInversion], "{}", program.name);
        let modes = findings[0].cycle().iter().map(lockdep::Edge::wanted_mode);
        assert_eq!(modes.filter(|&mode| mode == Mode::Initialized).count(), 1);
    });
}

/// A use does not hide an inversion of the same acquisition.
#[test]
fn an_inversion_comes_first() {
    let program = Program::new("inversion first", CELLS[0]);
    let outer = Mutex::new(());
    in_turn(
        || program.config(),
        || {
            let _outer = outer.lock().unwrap();
            program.config();
            drop(program.state.lock().unwrap());
        },
        || {
            let report = denied(|| {
                let _state = program.state.lock().unwrap();
                drop(outer.lock().unwrap());
            });
            assert!(report.unwrap().starts_with("error[lockdep::inversion]"));
        },
    );
}

/// Both run at once: an inversion of two acquisitions.
#[test]
fn at_once() {
    for (kind, cell) in CELLS {
        let name = format!("at once, {kind}");
        let state = Arc::<Mutex<()>>::default();
        lockdep::name(&*state, format!("{name}: state"));
        let (both, is_first) = (Arc::new(Barrier::new(2)), AtomicBool::new(true));
        let init = {
            let (state, both) = (Arc::clone(&state), Arc::clone(&both));
            move || {
                if is_first.swap(false, Relaxed) {
                    both.wait();
                    drop(state.lock().unwrap());
                }
            }
        };
        let config = cell(&name, Arc::new(init));
        // One of the two is denied, and ends the other's wait.
        let config = || _ = catch_unwind(AssertUnwindSafe(|| config()));
        thread::scope(|scope| {
            scope.spawn(config);
            let _state = state.lock().unwrap();
            both.wait();
            config();
        });
        assert_eq!(kinds(&findings_about(&[&name])), [Inversion], "{name}");
    }
}

#[test]
fn the_report_names_both_locks_and_what_to_do() {
    let program = Program::new("report", CELLS[0]);
    one_after_the_other(|| program.config(), || program.step());
    let findings = findings_about(&[&program.name]);
    let report = findings[0].to_string();
    let words = report.split_whitespace().collect::<Vec<_>>().join(" ");
    let (cell, state) = ("`report, OnceLock`", "`report, OnceLock: state`");
    for part in [
        format!(
            "warning[lockdep::ordered_inversion]: {cell} is used while {state} is held, and its initializer needs {state}"
        ),
        format!("has held {state} since here"),
        format!("and uses {cell} here, which is initialized"),
        format!("ran the initializer of {cell}, which acquired {state}"),
        format!(
            "the initializer of {cell} had already run. Had these run at once, each would wait for the other"
        ),
        format!("initialize {cell} before the threads that use it start"),
    ] {
        assert!(words.contains(&part), "{part}\n{report}");
    }
    assert!(!report.contains("deadlock"), "{report}");
}

/// Nothing that belongs to the process is left, and nothing is found that was known before.
#[test]
fn a_reset_forgets_initializations() {
    let child = in_a_child(a_reset_forgets_initializations, || {
        let program = Program::new("reset", CELLS[0]);
        one_after_the_other(
            || program.config(),
            || {
                lockdep::reset();
                program.step();
            },
        );
        assert_eq!(program.found(), []);
        assert!(lockdep::order_graph().as_petgraph().edge_count() <= 1);
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{output:?}");
    }
}

/// At `deny`, the use panics, and the cell keeps its value.
#[test]
fn a_denied_use() {
    let child = in_a_child(a_denied_use, || {
        lockdep::set_level(OrderedInversion, Level::Deny);
        for at in [0, 2, 5] {
            let program = Program::new("denied", CELLS[at]);
            one_after_the_other(
                || program.config(),
                || {
                    for _ in 0..3 {
                        assert!(denied(|| program.step()).is_some(), "{}", program.name);
                    }
                    program.config();
                },
            );
            program.config();
            assert!(!program.state.is_poisoned());
        }
        assert_eq!(kinds(&lockdep::take_findings()), [OrderedInversion; 3]);
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{output:?}");
    }
}

/// A cell cannot be uninitialized, so `confirm` runs a program that creates another one. The
/// deadlock happens unless the program prevents it.
#[cfg(feature = "interleave")]
#[test]
fn confirmed_if_nothing_orders_them() {
    use lockdep::interleave;

    fn program(is_ordered: bool, cell: &OnceLock<u32>) {
        let state = Mutex::new(1);
        let both_exist = Barrier::new(2);
        let (done, is_done) = mpsc::channel();
        thread::scope(|scope| {
            let (both_exist, state) = (&both_exist, &state);
            scope.spawn(move || {
                both_exist.wait();
                cell.get_or_init(|| *state.lock().unwrap());
                // The other thread may not wait for it.
                _ = done.send(());
            });
            scope.spawn(move || {
                both_exist.wait();
                if is_ordered {
                    is_done.recv().unwrap();
                }
                let _state = state.lock().unwrap();
                cell.get_or_init(|| 2);
            });
        });
    }

    let child = in_a_child(confirmed_if_nothing_orders_them, || {
        program(true, &OnceLock::new());
        let findings = lockdep::take_findings();
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!(finding.kind(), OrderedInversion);
        let confirmation = interleave::confirm(finding, || program(false, &OnceLock::new()));
        assert!(confirmation.is_confirmed(), "{confirmation}");
        let confirmation = interleave::confirm(finding, || program(true, &OnceLock::new()));
        assert!(!confirmation.is_confirmed(), "{confirmation}");
        println!("with a message: {confirmation}");
        let cell = OnceLock::from(1);
        let confirmation = interleave::confirm(finding, || program(false, &cell));
        assert!(!confirmation.is_confirmed(), "{confirmation}");
        println!("with a value: {confirmation}");
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{output:?}");
        println!("{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Random programs that use a cell only after its initialization, as far as spawns and joins tell.
#[test]
fn correct_programs_are_silent() {
    #[derive(Clone)]
    struct Actor {
        programs: Arc<Vec<(Program, AtomicBool)>>,
        /// The cells that are initialized, as this thread knows.
        known: Vec<usize>,
        seed: u64,
        depth: usize,
    }

    impl Actor {
        fn random(&mut self, below: usize) -> usize {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.seed >> 33) as usize % below
        }

        fn child(&mut self) -> Self {
            let seed = self.random(1 << 30) as u64;
            Self { seed, depth: self.depth + 1, ..self.clone() }
        }

        /// Returns what it knows in the end.
        fn act(mut self) -> Vec<usize> {
            let mut children: Vec<thread::JoinHandle<Vec<usize>>> = Vec::new();
            for _ in 0..12 {
                match self.random(4) {
                    0 => {
                        let at = self.random(self.programs.len());
                        if !self.programs[at].1.swap(true, Relaxed) {
                            self.programs[at].0.config();
                            self.known.push(at);
                        }
                    }
                    1 if self.depth < 3 => {
                        let child = self.child();
                        children.push(thread::spawn(|| child.act()));
                    }
                    2 if !children.is_empty() => {
                        let at = self.random(children.len());
                        self.known.extend(children.swap_remove(at).join().unwrap());
                    }
                    _ if !self.known.is_empty() => {
                        let at = self.random(self.known.len());
                        self.programs[self.known[at]].0.step();
                    }
                    _ => {}
                }
            }
            self.known.extend(children.into_iter().flat_map(|child| child.join().unwrap()));
            self.known
        }
    }

    for round in 0..60 {
        let test = format!("correct {round}");
        let programs = CELLS.map(|cell| (Program::new(&test, cell), AtomicBool::new(false)));
        let programs = Arc::new(Vec::from(programs));
        let main =
            Actor { programs: Arc::clone(&programs), known: Vec::new(), seed: round, depth: 0 };
        std::thread::spawn(|| main.act()).join().unwrap();
        for (program, _) in &*programs {
            assert_eq!(program.found(), [], "{}", program.name);
        }
    }
}

/// `#[tokio::main]` initializes and then spawns tasks, though worker threads exist already.
#[cfg(feature = "tokio")]
mod tasks {
    use lockdep::tokio::{self, runtime::Builder, sync::Notify};

    use super::{Arc, Barrier, OrderedInversion, Program, for_all};

    /// Runs a future on a runtime whose workers have locked something.
    fn on_a_runtime<F: Future>(body: impl FnOnce() -> F) -> F::Output {
        let runtime = Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
        runtime.block_on(async {
            let all = Arc::new(Barrier::new(3));
            let warm = |_| {
                let all = Arc::clone(&all);
                tokio::spawn(async move {
                    drop(lockdep::sync::Mutex::new(()).lock().unwrap());
                    all.wait();
                })
            };
            for worker in (0..3).map(warm).collect::<Vec<_>>() {
                worker.await.unwrap();
            }
            body().await
        })
    }

    fn doing(program: &Program, what: fn(&Program)) -> impl Future<Output = ()> + Send + 'static {
        let program = program.clone();
        async move { what(&program) }
    }

    #[test]
    fn tasks_spawned_after_the_initialization_are_silent() {
        for_all("tasks", |program| {
            on_a_runtime(|| async {
                program.config();
                for _ in 0..3 {
                    let of_task = program.clone();
                    let task = tokio::spawn(async move {
                        of_task.step();
                        tokio::spawn(doing(&of_task, Program::step)).await.unwrap();
                    });
                    task.await.unwrap();
                }
            });
            assert_eq!(program.found(), [], "{}", program.name);
        });
        for_all("tasks of tasks", |program| {
            on_a_runtime(|| async {
                let of_task = program.clone();
                let task = tokio::spawn(async move {
                    of_task.config();
                    tokio::task::yield_now().await;
                    of_task.step();
                    tokio::spawn(doing(&of_task, Program::step)).await.unwrap();
                    let step = of_task.clone();
                    lockdep::thread::spawn(move || step.step()).join().unwrap();
                });
                task.await.unwrap();
            });
            assert_eq!(program.found(), [], "{}", program.name);
        });
    }

    /// The pool's thread exists before the initialization.
    #[test]
    fn jobs_spawned_after_the_initialization_are_silent() {
        for_all("jobs", |program| {
            on_a_runtime(|| async {
                let lock = || drop(lockdep::sync::Mutex::new(()).lock().unwrap());
                tokio::task::spawn_blocking(lock).await.unwrap();
                program.config();
                let step = program.clone();
                tokio::task::spawn_blocking(move || step.step()).await.unwrap();
            });
            assert_eq!(program.found(), [], "{}", program.name);
        });
        for_all("jobs at once", |program| {
            on_a_runtime(|| async {
                let lock = || drop(lockdep::sync::Mutex::new(()).lock().unwrap());
                tokio::task::spawn_blocking(lock).await.unwrap();
                tokio::spawn(doing(&program, Program::config)).await.unwrap();
                let step = program.clone();
                tokio::task::spawn_blocking(move || step.step()).await.unwrap();
            });
            assert_eq!(program.found(), [OrderedInversion], "{}", program.name);
        });
    }

    #[test]
    fn a_use_in_another_task_is_found() {
        for_all("other task", |program| {
            on_a_runtime(|| async {
                let done = Arc::new(Notify::new());
                let (of_task, is_done) = (program.clone(), Arc::clone(&done));
                let user = tokio::spawn(async move {
                    is_done.notified().await;
                    of_task.step();
                });
                tokio::spawn(doing(&program, Program::config)).await.unwrap();
                done.notify_one();
                user.await.unwrap();
            });
            assert_eq!(program.found(), [OrderedInversion], "{}", program.name);
        });
    }

    /// As requests of a server.
    #[test]
    fn a_use_in_a_task_that_is_spawned_later_is_found() {
        for_all("requests", |program| {
            on_a_runtime(|| async {
                tokio::spawn(doing(&program, Program::config)).await.unwrap();
                tokio::spawn(doing(&program, Program::step)).await.unwrap();
            });
            assert_eq!(program.found(), [OrderedInversion], "{}", program.name);
        });
    }
}
