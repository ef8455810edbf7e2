//! Objects that are locked while they are put into a locked list, whose iteration locks them. Until somebody takes the
//! list's lock again while holding an object's, that is no inversion.
#![cfg(debug_assertions)]

use std::{collections::HashMap, sync::mpsc};

use crate::support::{denied, in_a_child, kinds, on_a_thread};
use lockdep::{
    Finding, FindingKind, Level,
    sync::{Arc, Mutex, RwLock, Weak},
    thread,
};

use FindingKind::{
    ClassInversion, GuardedInversion, Inversion, OrderedInversion, SingleThreadInversion,
};

#[derive(Default)]
struct State {
    id: u64,
}

type Shared = Arc<Mutex<State>>;

/// An object with a lock.
struct Session {
    id: u64,
    state: Mutex<State>,
}

impl Session {
    fn new(id: u64) -> Self {
        let state = State { id };
        Self { id, state: Mutex::new(state) }
    }

    #[allow(clippy::unnecessary_wraps, reason = "most such functions may fail")]
    fn open(id: u64) -> Result<Arc<Self>, ()> {
        Ok(Arc::new(Self { id, state: Mutex::new(State::default()) }))
    }

    /// The new session may be known to others.
    fn registered(id: u64) -> Arc<Self> {
        let session = Arc::new(Self { id, state: Mutex::new(State::default()) });
        look_at(&session);
        session
    }
}

fn look_at<T>(_: &Arc<T>) {}

/// What threads put their objects into.
struct Server {
    all: Mutex<Vec<Shared>>,
    by_id: RwLock<HashMap<u64, Arc<Session>>>,
    weak: Mutex<Vec<Weak<Mutex<State>>>>,
    log: Mutex<Vec<u64>>,
}

impl Server {
    fn new() -> Self {
        let (all, by_id) = (Mutex::new(Vec::new()), RwLock::new(HashMap::new()));
        Self { all, by_id, weak: Mutex::new(Vec::new()), log: Mutex::new(Vec::new()) }
    }

    fn add(&self, id: u64, session: Arc<Session>) {
        self.by_id.write().unwrap().insert(id, session);
    }

    fn visit_all(&self) {
        for session in &*self.all.lock().unwrap() {
            session.lock().unwrap().id += 1;
        }
    }

    fn visit_by_id(&self) {
        for session in self.by_id.read().unwrap().values() {
            session.state.lock().unwrap().id += session.id;
        }
    }

    fn visit_weak(&self) {
        for session in &*self.weak.lock().unwrap() {
            session.upgrade().unwrap().lock().unwrap().id += 1;
        }
    }

    /// Takes an object out of the list while it is locked.
    fn close(&self, session: &Shared) {
        let state = session.lock().unwrap();
        let mut all = self.all.lock().unwrap();
        all.retain(|it| !Arc::ptr_eq(it, session));
        drop(state);
    }
}

/// Something that makes an object, locks it, and publishes it; and something that locks all objects.
type Program = (fn(&Server), fn(&Server));

fn accept(server: &Server) {
    let session = Arc::new(Mutex::new(State::default()));
    let mut state = session.lock().unwrap();
    state.id = 7;
    server.all.lock().unwrap().push(Arc::clone(&session));
}

/// Programs in which no other thread can know the object before it is published.
const FRESH: [Program; 9] = [
    (accept, Server::visit_all),
    (
        |server| {
            let session = Arc::new(Mutex::new(State { id: 1 }));
            lockdep::name(&*session, "session");
            let state = session.lock().unwrap();
            let mut all = server.all.lock().unwrap();
            all.push(session.clone());
            drop((state, all));
        },
        Server::visit_all,
    ),
    (
        |server| {
            let session = Arc::new(Session::new(1));
            let state = session.state.lock().unwrap();
            server.by_id.write().unwrap().insert(session.id, session.clone());
            drop(state);
        },
        Server::visit_by_id,
    ),
    (
        |server| {
            let session = Session::open(2).unwrap();
            let _state = session.state.lock().unwrap();
            if let Ok(mut by_id) = server.by_id.write() {
                by_id.entry(2).or_insert(Arc::clone(&session));
            }
        },
        Server::visit_by_id,
    ),
    // In a function that is called.
    (
        |server| {
            let session = Arc::new(Session::new(3));
            let state = session.state.lock().unwrap();
            server.add(session.id, Arc::clone(&session));
            drop(state);
        },
        Server::visit_by_id,
    ),
    // Looked up before it is added.
    (
        |server| {
            let session = Arc::new(Session::new(4));
            let _state = session.state.lock().unwrap();
            if !server.by_id.read().unwrap().contains_key(&4) {
                server.by_id.write().unwrap().insert(4, session.clone());
            }
        },
        Server::visit_by_id,
    ),
    (
        |server| {
            let session = Arc::new(Mutex::new(State { id: 5 }));
            let _state = session.lock().unwrap();
            let handle = Arc::downgrade(&session);
            server.weak.lock().unwrap().push(handle);
            std::mem::forget(session.clone());
        },
        Server::visit_weak,
    ),
    // Two objects at once.
    (
        |server| {
            let first = Arc::new(Mutex::new(State { id: 6 }));
            let second = Arc::new(Mutex::new(State { id: 7 }));
            let _states = (first.lock().unwrap(), second.lock().unwrap());
            let mut all = server.all.lock().unwrap();
            all.push(second.clone());
            all.push(first.clone());
        },
        Server::visit_all,
    ),
    // A cycle of three locks.
    (
        |server| {
            let session = Arc::new(Mutex::new(State { id: 8 }));
            let _state = session.lock().unwrap();
            server.log.lock().unwrap().push(8);
            server.all.lock().unwrap().push(session.clone());
        },
        |server| {
            let _log = server.log.lock().unwrap();
            server.visit_all();
        },
    ),
];

/// Runs a test in a child process, whose findings are its own.
fn alone(test: impl Fn(), body: impl FnOnce()) {
    if let Some(output) = in_a_child(test, body) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Returns the kinds of the findings so far, and forgets them.
fn found() -> Vec<FindingKind> {
    kinds(&lockdep::take_findings())
}

#[test]
fn a_new_object_is_no_inversion() {
    alone(a_new_object_is_no_inversion, || {
        for (at, (publish, visit)) in FRESH.into_iter().enumerate() {
            // It is recorded once for all objects that are made there.
            for is_first in [true, false] {
                let server = Server::new();
                on_a_thread(|| publish(&server));
                on_a_thread(|| visit(&server));
                on_a_thread(|| visit(&server));
                let found = lockdep::take_findings();
                assert_eq!(found.is_empty(), !is_first, "{at}: {found:?}");
                let is_allowed =
                    |it: &Finding| it.kind() == OrderedInversion && it.level() == Level::Allow;
                assert!(found.iter().all(is_allowed), "{at}: {found:?}");
            }
            // By one thread, too.
            let server = Server::new();
            publish(&server);
            visit(&server);
            visit(&server);
            assert_eq!(found(), [], "{at}");
        }
    });
}

#[test]
fn it_is_recorded_once() {
    alone(it_is_recorded_once, || {
        let server = Server::new();
        for _ in 0..100 {
            accept(&server);
        }
        on_a_thread(|| server.visit_all());
        accept(&server);
        server.visit_all();
        let found = lockdep::take_findings();
        assert_eq!(kinds(&found), [OrderedInversion]);
        assert_eq!(found[0].level(), Level::Allow);
        let text = |it: &Finding| it.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        let report = text(&found[0]);
        for part in [
            "note[lockdep::ordered_inversion]: `server.all` and `session` are acquired in both orders, one of them \
             only before `session` was shared",
            "note: `session` was new: ",
            "had just made it, and no other knew it before `server.all` was acquired",
            "help: this cannot hang, as no thread waits for `session` before it is shared. It is an inversion as soon \
             as a thread acquires `server.all` again while it holds `session`.",
        ] {
            assert!(report.contains(part), "{part}\n{report}");
        }
        assert!(!report.contains("[[allow]]") && !report.contains("deadlock"), "{report}");
    });
}

/// The same order, after the object was published.
#[test]
fn the_second_time_is_denied() {
    alone(the_second_time_is_denied, || {
        let last = |server: &Server| server.all.lock().unwrap().last().unwrap().clone();
        // By the thread that made the object, and by another one.
        let server = Server::new();
        accept(&server);
        on_a_thread(|| server.visit_all());
        assert_eq!(found(), [OrderedInversion]);
        let session = last(&server);
        for _ in 0..2 {
            let report = denied(|| server.close(&session)).unwrap();
            assert!(report.starts_with("error[lockdep::inversion]"), "{report}");
        }
        assert_eq!(found(), [Inversion]);
        assert!(denied(|| server.visit_all()).is_some());
        _ = found();

        let server = Server::new();
        accept(&server);
        on_a_thread(|| server.visit_all());
        let session = last(&server);
        let report = on_a_thread(|| denied(|| server.close(&session))).unwrap();
        assert!(report.starts_with("error[lockdep::inversion]"), "{report}");
        assert_eq!(found(), [Inversion]);

        // Before a thread has visited it.
        for by_another in [false, true] {
            let server = Server::new();
            accept(&server);
            let session = last(&server);
            let close = || {
                let state = session.lock().unwrap();
                drop((server.all.lock().unwrap(), state));
            };
            if by_another {
                on_a_thread(close);
            } else {
                close();
            }
            assert_eq!(found(), []);
            let report = on_a_thread(|| denied(|| server.visit_all())).unwrap();
            assert!(report.starts_with("error[lockdep::inversion]"), "{report}");
            assert_eq!(found(), [Inversion]);
        }

        // All by one thread.
        let server = Server::new();
        accept(&server);
        server.visit_all();
        let session = last(&server);
        let report = denied(|| server.close(&session)).unwrap();
        assert!(report.starts_with("error[lockdep::single_thread_inversion]"), "{report}");
        assert_eq!(found(), [SingleThreadInversion]);
    });
}

/// Each of these shares the object first, or stands for a program that does.
/// A function that calls itself with the guard of its object, which it has put into a list.
#[test]
fn an_object_of_an_outer_call_is_denied() {
    fn accept(lists: &[&Mutex<Vec<Shared>>]) {
        let [list, others @ ..] = lists else { return };
        let session = Arc::new(Mutex::new(State::default()));
        let _state = session.lock().unwrap();
        list.lock().unwrap().push(session.clone());
        accept(others);
    }

    // The inner object is not locked any more when the list is.
    fn register(lists: &[&Mutex<Vec<Shared>>], is_outer: bool) {
        let session = Arc::new(Mutex::new(State::default()));
        let state = session.lock().unwrap();
        let kept = is_outer.then_some(state);
        lists[usize::from(!is_outer)].lock().unwrap().push(session.clone());
        if is_outer {
            register(lists, false);
        }
        drop(kept);
    }

    alone(an_object_of_an_outer_call_is_denied, || {
        for publish in [accept, |lists: &[&Mutex<Vec<Shared>>]| register(lists, true)] {
            let (first, second) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
            on_a_thread(|| publish(&[&first, &second]));
            let session = first.lock().unwrap()[0].clone();
            let visit = || {
                let _second = second.lock().unwrap();
                drop(session.lock());
            };
            let report = on_a_thread(|| denied(visit)).unwrap();
            assert!(report.starts_with("error[lockdep::inversion]"), "{report}");
        }
    });
}

#[test]
fn other_objects_are_denied() {
    static ALL: Mutex<Vec<Shared>> = Mutex::new(Vec::new());

    fn visit(all: &Mutex<Vec<Shared>>, sessions: &[Shared]) {
        let _all = all.lock().unwrap();
        for session in sessions {
            drop(session.lock().unwrap());
        }
    }

    let programs: [fn(); 9] = [
        // The usual tests.
        || {
            let (a, b) = (Arc::new(Mutex::new(State::default())), Mutex::new(Vec::new()));
            drop((a.lock().unwrap(), b.lock().unwrap()));
            visit(&b, &[a]);
        },
        || {
            let a = Arc::new(Mutex::new(State::default()));
            let b = Arc::new(Mutex::new(Vec::new()));
            let held = a.lock().unwrap();
            drop(b.lock().unwrap());
            drop(held);
            std::thread::spawn(move || visit(&b, &[a])).join().unwrap();
        },
        || {
            let a = Arc::new(Mutex::new(State::default()));
            let held = a.lock().unwrap();
            drop(ALL.lock().unwrap());
            drop(held);
            visit(&ALL, &[a]);
        },
        || {
            let a = Arc::new(Mutex::new(State::default()));
            thread::scope(|scope| {
                scope.spawn(|| drop((a.lock().unwrap(), ALL.lock().unwrap())));
                visit(&ALL, std::slice::from_ref(&a));
            });
        },
        // Made elsewhere.
        || {
            let a = Shared::default();
            let held = a.lock().unwrap();
            ALL.lock().unwrap().push(a.clone());
            drop(held);
            visit(&ALL, &[a]);
        },
        || {
            let server = Server::new();
            let session = Session::registered(1);
            let held = session.state.lock().unwrap();
            server.by_id.write().unwrap().insert(1, session.clone());
            drop(held);
            server.visit_by_id();
        },
        // Known before.
        || {
            let a = Arc::new(Mutex::new(State::default()));
            look_at(&a);
            let held = a.lock().unwrap();
            ALL.lock().unwrap().push(a.clone());
            drop(held);
            visit(&ALL, &[a]);
        },
        || {
            let (sender, receiver) = mpsc::channel();
            let a = Arc::new(Mutex::new(State::default()));
            sender.send(a.clone()).unwrap();
            let held = a.lock().unwrap();
            ALL.lock().unwrap().push(a.clone());
            drop(held);
            visit(&ALL, &[receiver.recv().unwrap()]);
        },
        // Taken out of the list.
        || {
            let server = Server::new();
            server.all.lock().unwrap().push(Arc::new(Mutex::new(State::default())));
            server.visit_all();
            let a = server.all.lock().unwrap().remove(0);
            let held = a.lock().unwrap();
            server.all.lock().unwrap().push(a.clone());
            drop(held);
        },
    ];
    alone(other_objects_are_denied, || {
        for (at, program) in programs.into_iter().enumerate() {
            _ = std::panic::catch_unwind(program);
            let found = found();
            let is_it = |kind: &FindingKind| [Inversion, SingleThreadInversion].contains(kind);
            assert!(found.len() == 1 && found.iter().all(is_it), "{at}: {found:?}");
        }
    });
}

/// A gate around both orders keeps them apart, as always.
#[test]
fn behind_a_gate() {
    alone(behind_a_gate, || {
        let (server, gate) = (Server::new(), Mutex::new(()));
        {
            let _gate = gate.lock().unwrap();
            accept(&server);
        }
        on_a_thread(|| {
            let _gate = gate.lock().unwrap();
            server.visit_all();
        });
        assert_eq!(found(), [GuardedInversion]);
    });
}

/// Many objects in one order, and many others in the other.
#[test]
fn new_objects_make_no_class_inversion() {
    alone(new_objects_make_no_class_inversion, || {
        fn add(server: &Server) -> Shared {
            let session = make();
            server.all.lock().unwrap().push(session.clone());
            session
        }
        fn make() -> Shared {
            let parts = (Arc::new(Mutex::new(State::default())), ());
            parts.0
        }
        fn publish(server: &Server) {
            let session = Arc::new(Mutex::new(State { id: 1 }));
            lockdep::class(&*session, "session");
            let _state = session.lock().unwrap();
            server.all.lock().unwrap().push(session.clone());
        }
        for is_first in [true, false] {
            lockdep::reset();
            let servers = [Server::new(), Server::new()];
            for server in &servers {
                lockdep::class(&server.all, "all");
            }
            let visit = || {
                let session = add(&servers[1]);
                lockdep::class(&*session, "session");
                servers[1].visit_all();
            };
            if is_first {
                publish(&servers[0]);
            }
            for _ in 0..3 {
                on_a_thread(visit);
                publish(&servers[0]);
            }
            assert_eq!(found(), []);
            // Once there is one that was known, the classes are compared.
            let session = add(&servers[0]);
            lockdep::class(&*session, "session");
            servers[0].close(&session);
            assert_eq!(found(), [ClassInversion]);
        }
    });
}

/// Readers of an object that wait behind a writer.
#[test]
fn readers_of_a_new_object() {
    alone(readers_of_a_new_object, || {
        let all: RwLock<Vec<Arc<RwLock<State>>>> = RwLock::default();
        let publish = || {
            let session = Arc::new(RwLock::new(State::default()));
            let state = session.read().unwrap();
            all.write().unwrap().push(session.clone());
            drop(state);
        };
        publish();
        on_a_thread(|| {
            for session in &*all.read().unwrap() {
                _ = session.read().unwrap().id;
            }
        });
        let session = all.read().unwrap()[0].clone();
        drop(session.write().unwrap());
        assert!(!found().contains(&Inversion));
    });
}

/// Without stacks, it is not known which function called the one that publishes.
#[test]
fn without_stacks() {
    let body = || {
        let [inline, in_a_function] = [FRESH[2], FRESH[4]];
        let server = Server::new();
        (inline.0)(&server);
        assert!(denied(|| (inline.1)(&server)).is_none());
        let server = Server::new();
        (in_a_function.0)(&server);
        assert!(denied(|| (in_a_function.1)(&server)).is_some());
    };
    if crate::support::is_child() {
        return body();
    }
    let mut child = crate::support::child_command(without_stacks);
    let output = child.env("LOCKDEP_BACKTRACE", "0").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The order of new objects is in no record, where other processes' orders would be compared with it.
#[cfg(feature = "records")]
#[test]
fn the_record_has_only_edges_that_count() {
    use lockdep::record::{self, Line};

    let test = the_record_has_only_edges_that_count;
    if crate::support::is_child() {
        let server = Server::new();
        for _ in 0..2 {
            accept(&server);
        }
        if std::env::var_os("REPEATED").is_some() {
            let session = server.all.lock().unwrap()[0].clone();
            server.close(&session);
        }
        return;
    }
    for is_repeated in [false, true] {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("records-fresh");
        _ = std::fs::remove_dir_all(&folder);
        let mut child = crate::support::child_command(test);
        child.env("LOCKDEP_OUT", &folder);
        if is_repeated {
            child.env("REPEATED", "1");
        }
        let output = child.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut edges = 0;
        for file in std::fs::read_dir(&folder).unwrap() {
            let text = std::fs::read(file.unwrap().path()).unwrap();
            record::read(&*text, |line| edges += usize::from(matches!(line, Line::Edge(_))))
                .unwrap();
        }
        assert_eq!(edges, usize::from(is_repeated));
        _ = std::fs::remove_dir_all(&folder);
    }
}

/// Two tasks do the same as two threads.
#[cfg(feature = "tokio")]
#[test]
fn tasks() {
    use lockdep::tokio::{self, sync::Mutex};

    type List = Mutex<Vec<Arc<Mutex<State>>>>;

    async fn accept(all: Arc<List>) {
        let session = Arc::new(Mutex::new(State::default()));
        let mut state = session.lock().await;
        state.id = 7;
        tokio::task::yield_now().await;
        all.lock().await.push(Arc::clone(&session));
    }

    async fn visit(all: Arc<List>) {
        for session in &*all.lock().await {
            session.lock().await.id += 1;
        }
    }

    async fn close(all: Arc<List>) {
        let session = all.lock().await[0].clone();
        let _state = session.lock().await;
        all.lock().await.clear();
    }

    alone(tasks, || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let all = Arc::<List>::default();
        runtime.block_on(async {
            tokio::spawn(accept(all.clone())).await.unwrap();
            tokio::spawn(visit(all.clone())).await.unwrap();
            assert_eq!(found(), [OrderedInversion]);
            assert!(tokio::spawn(close(all.clone())).await.is_err());
            assert_eq!(found(), [Inversion]);
        });
    });
}
