//! Models that need more threads or steps than loom can handle. They run the real code in random
//! schedules, by PCT (Burckhardt et al., ASPLOS 2010), with shuttle's locks in place of a
//! program's.

use std::{
    panic::Location,
    sync::{
        self, Arc, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use shuttle::{
    Config, Runner,
    scheduler::PctScheduler,
    sync::{Mutex, MutexGuard},
    thread,
};

use super::{
    clock::Moment,
    context::{
        Context,
        held::{Entry, Tag},
        lineage::Lineage,
        registry,
        thread_exit::ThreadExit,
    },
    deadlock::{self, Deadlock},
    identity::Identity,
    lock_id::{LockId, creation_sites},
};
use crate::{
    finding::{LockKind, LockOf, Mode, Role, ThreadInfo, Until},
    stack::RawStack,
};

/// The number of schedules of each model.
const SCHEDULES: usize = 10_000;
/// The number of ordering constraints that a bug may need.
const DEPTH: usize = 4;

/// Runs a model in many schedules. Models run one at a time, because contexts are global.
fn in_many_schedules(model: impl Fn() + Send + Sync + 'static) {
    static ALONE: sync::Mutex<()> = sync::Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    config.silence_warnings = true;
    Runner::new(PctScheduler::new(DEPTH, SCHEDULES), config).run(model);
}

/// A program's locks, by number from 1.
#[derive(Default)]
struct Locks([Mutex<()>; 3]);

static KIND: LockKind = LockKind { wrapper: "Mutex", of: LockOf::Nothing, role: Role::Lock };

fn entry(lock: usize) -> Entry {
    // Of a kind whose guards stay in their thread: a cycle of other locks would have to last for
    // longer.
    static IDS: OnceLock<[LockId; 3]> = OnceLock::new();
    let ids = IDS.get_or_init(|| [(); 3].map(|()| creation_sites::next_id(None, &KIND, None)));
    Entry { tag: Tag::new(ids[lock - 1], Mode::Exclusive), site: Location::caller() }
}

fn begin_wait(context: &Context, lock: usize) {
    let (until, holds) = (Until::Acquired, usize::MAX);
    context.waiting.begin(&entry(lock), until, Moment::UNKNOWN, holds, &RawStack::EMPTY);
}

fn hold(context: &Context, lock: usize) {
    context.held.push_anywhere(entry(lock));
}

fn release(context: &Context, lock: usize) {
    context.held.remove(entry(lock).tag);
}

impl Locks {
    /// Acquires a lock as a wrapper does. Gives up if that closes a cycle.
    fn acquire(
        &self,
        context: &'static Context,
        lock: usize,
    ) -> Result<MutexGuard<'_, ()>, Deadlock> {
        let own = &self.0[lock - 1];
        let guard = match own.try_lock() {
            Ok(guard) => guard,
            Err(_) => {
                begin_wait(context, lock);
                if let Some(wait_cycle) = deadlock::closed_by(context) {
                    context.end_wait();
                    return Err(wait_cycle);
                }
                // If a cycle was missed, this blocks forever, and shuttle reports it.
                let guard = own.lock().unwrap();
                context.end_wait();
                guard
            }
        };
        hold(context, lock);
        Ok(guard)
    }

    /// Acquires locks one after the other, and releases them. Returns `true` if a cycle was found.
    fn nest(&self, context: &'static Context, locks: &[usize], all_held: &AtomicUsize) -> bool {
        let mut guards = Vec::new();
        let mut found = false;
        for &lock in locks {
            match self.acquire(context, lock) {
                Ok(guard) => guards.push((lock, guard)),
                Err(Deadlock { cycle, threads }) => {
                    assert_eq!((cycle.len(), threads.len()), (3, 3));
                    assert_eq!(all_held.load(Relaxed), 3, "each holds only its first lock");
                    found = true;
                    break;
                }
            }
            all_held.fetch_add(1, Relaxed);
        }
        for (lock, guard) in guards {
            release(context, lock);
            drop(guard);
        }
        found
    }
}

/// Three threads each hold what the next one wants. One of them must find the cycle whenever it
/// happens, or they would hang, and only once it exists.
#[test]
fn shuttle_a_cycle_of_three_is_found_once() {
    static HOW_OFTEN: AtomicUsize = AtomicUsize::new(0);
    in_many_schedules(|| {
        let locks = Arc::new(Locks::default());
        let held = Arc::new(AtomicUsize::new(0));
        let threads = [[1, 2], [2, 3], [3, 1]].map(|order| {
            let (locks, held) = (Arc::clone(&locks), Arc::clone(&held));
            thread::spawn(move || {
                let context = registry::take_up();
                let found = locks.nest(context, &order, &held);
                registry::give_back(context);
                found
            })
        });
        let found = threads.map(|thread| thread.join().unwrap());
        let found = found.into_iter().filter(|it| *it).count();
        assert!(found <= 1, "found by {found}");
        HOW_OFTEN.fetch_add(found, Relaxed);
    });
    assert!(HOW_OFTEN.load(Relaxed) > SCHEDULES / 100, "the model closes cycles");
}

/// A joining thread marks the exit as awaited before it publishes its own wait and searches. The
/// joined thread publishes its wait, and then searches only if its exit is awaited. So one of the
/// two finds the cycle, also along two joins.
#[test]
fn shuttle_a_cycle_with_joins_is_found_once() {
    in_many_schedules(|| {
        let spawned = |lock: usize| {
            let (context, exit) = (
                registry::take_up(),
                ThreadExit::with(entry(lock), Lineage::root(lock as u64), None),
            );
            context.begin(ThreadInfo::default(), Some(Arc::clone(&exit)));
            (context, exit)
        };
        let joiner = registry::take_up();
        let ((middle, exit_of_middle), (last, exit_of_last)) = (spawned(2), spawned(3));
        hold(joiner, 1);
        let (next, own) = (Arc::clone(&exit_of_last), Arc::clone(&exit_of_middle));
        let middle = thread::spawn(move || {
            // This thread holds nothing, and may not be awaited yet.
            if own.begin_to_join(&next) {
                next.await_all();
            }
            begin_wait(middle, 3);
            let finds = middle.awaited_exit().is_some() && deadlock::closed_by(middle).is_some();
            (middle, finds)
        });
        let last = thread::spawn(move || {
            begin_wait(last, 1);
            let finds = last.awaited_exit().is_some() && deadlock::closed_by(last).is_some();
            (last, finds)
        });
        exit_of_middle.await_all();
        begin_wait(joiner, 2);
        let mut found = usize::from(deadlock::closed_by(joiner).is_some());
        let others = [middle, last].map(|thread| thread.join().unwrap());
        found += others.iter().filter(|(_, finds)| *finds).count();
        assert_eq!(found, 1);
        release(joiner, 1);
        for context in [joiner, others[0].0, others[1].0] {
            context.end_wait();
            registry::give_back(context);
        }
    });
}

/// Threads that keep one order also wait for each other, but never in a cycle.
#[test]
fn shuttle_one_order_makes_no_cycle() {
    in_many_schedules(|| {
        let locks = Arc::new(Locks::default());
        let orders: [[&[usize]; 2]; 3] = [[&[1, 2, 3], &[2]], [&[2, 3], &[1, 3]], [&[3], &[1, 2]]];
        let threads = orders.map(|orders| {
            let locks = Arc::clone(&locks);
            thread::spawn(move || {
                for order in orders {
                    // Each round stands for another thread of the program.
                    let context = registry::take_up();
                    assert!(!locks.nest(context, order, &AtomicUsize::new(0)));
                    registry::give_back(context);
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// A thread waits and ends. The next one reuses its context, holds something and waits. The first
/// thread's wait and the second thread's lock must not appear as a cycle to other threads.
#[test]
fn shuttle_reused_contexts_make_no_cycle() {
    in_many_schedules(|| {
        let context = registry::take_up();
        let others = thread::spawn(|| {
            let first = registry::take_up();
            begin_wait(first, 1);
            registry::give_back(first);
            let second = registry::take_up();
            assert!(std::ptr::eq(first, second), "the model is about one context");
            hold(second, 2);
            begin_wait(second, 3);
            second.end_wait();
            release(second, 2);
            registry::give_back(second);
        });
        hold(context, 1);
        begin_wait(context, 2);
        assert!(deadlock::closed_by(context).is_none());
        context.end_wait();
        release(context, 1);
        others.join().unwrap();
        registry::give_back(context);
    });
}

/// Threads that request the id of a lock concurrently get the same one, one of them is its first
/// writer, and no other lock has that id.
#[test]
fn shuttle_a_lock_has_one_id() {
    in_many_schedules(|| {
        let locks = Arc::new([const { Identity::new() }; 2]);
        let threads = [0, 0, 1].map(|own| {
            let locks = Arc::clone(&locks);
            thread::spawn(move || {
                let lock: &Identity = &locks[own];
                let id = || lock.id(&KIND, None);
                let (first, is_first) = (id(), lock.note_writer());
                assert_eq!((id(), lock.assigned()), (first, Some(first)));
                (first, is_first)
            })
        });
        let [(one, first), (same, also_first), (other, alone)] =
            threads.map(|thread| thread.join().unwrap());
        assert!(one == same && one != other);
        assert!(alone && first != also_first);
    });
}
