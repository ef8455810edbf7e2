//! The points at which a signal may interrupt a thread that changes its own state.
//!
//! Does nothing, except in tests, which run a handler at each point in turn.

/// A signal may arrive here. It may arrive elsewhere too, but nothing that a handler reads is
/// stored between two of these points.
#[cfg(not(all(test, unix, any(debug_assertions, feature = "enforce"), not(any(loom, shuttle)))))]
#[inline(always)]
#[allow(clippy::inline_always, reason = "it is nothing")]
pub(in crate::validator) fn here() {}

#[cfg(all(test, unix, any(debug_assertions, feature = "enforce"), not(any(loom, shuttle))))]
pub(in crate::validator) use self::tests::here;

#[cfg(all(test, unix, any(debug_assertions, feature = "enforce"), not(any(loom, shuttle))))]
mod tests {
    use std::{cell::Cell, collections::BTreeMap, thread};

    use crate::{
        finding::Mode,
        sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard},
        testing::{self, Scope},
        validator::{
            self,
            context::{Context, State as ThreadState, held::Tag},
        },
    };

    thread_local! {
        /// The number of points before a handler runs: in the handler, and in the thread.
        static LEFT: Cell<[usize; 2]> = const { Cell::new([0; 2]) };
        static PENDING: Cell<usize> = const { Cell::new(0) };
        static HANDLER: Cell<Option<fn()>> = const { Cell::new(None) };
    }

    pub(in crate::validator) fn here() {
        let pending = PENDING.get();
        if pending == 0 {
            return;
        }
        let mut left = LEFT.get();
        left[pending - 1] -= 1;
        LEFT.set(left);
        if left[pending - 1] == 0 {
            PENDING.set(pending - 1);
            let blocked = BlockedSignal::new();
            HANDLER.get().expect("it is pending")();
            drop(blocked);
            // A second signal arrives only while the first is handled.
            PENDING.set(0);
        }
    }

    /// Blocks a signal until it is dropped, as the kernel does while the signal is handled.
    struct BlockedSignal(libc::sigset_t);

    #[allow(unsafe_code, reason = "`pthread_sigmask` is")]
    impl BlockedSignal {
        fn new() -> Self {
            // SAFETY: both sets are initialized: the first by `sigemptyset`, the second by zeros.
            unsafe {
                let (mut signal, mut before) = (std::mem::zeroed(), std::mem::zeroed());
                libc::sigemptyset(&raw mut signal);
                libc::sigaddset(&raw mut signal, libc::SIGUSR1);
                libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signal, &raw mut before);
                Self(before)
            }
        }
    }

    impl Drop for BlockedSignal {
        #[allow(unsafe_code, reason = "`pthread_sigmask` is")]
        fn drop(&mut self) {
            // SAFETY: the set was written by `pthread_sigmask`.
            unsafe {
                libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut());
            }
        }
    }

    static TRIED: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];
    static TABLE: RwLock<()> = RwLock::new(());
    /// One for each of the two handlers: the second must not wait for the first.
    static WAITED_FOR: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];

    /// Returns what the thread holds according to its held set.
    fn tags() -> Vec<Tag> {
        validator::current().unwrap().held.iter().map(|entry| entry.tag).collect()
    }

    /// Tries locks for reading and exclusively, nested, one of them new, and releases them out of
    /// order.
    fn try_some() {
        let table = TABLE.try_read();
        let tried = TRIED[0].try_lock();
        let again = TABLE.try_read();
        drop(TRIED[1].try_lock());
        let new = Mutex::new(());
        drop(new.try_lock().unwrap());
        drop(table);
        drop(tried);
        drop(again);
    }

    /// As `try_some`, and also waits for a lock.
    fn try_some_and_wait() {
        let table = TABLE.try_read();
        drop(WAITED_FOR[PENDING.get()].lock());
        try_some();
        drop(table);
    }

    fn exclusive(lock: &Mutex<()>) -> Tag {
        Tag::new(lock.tracked().number(Mutex::<()>::KIND), Mode::Exclusive)
    }

    fn shared(lock: &RwLock<()>) -> Tag {
        Tag::new(lock.tracked().number(RwLock::<()>::KIND), Mode::Shared)
    }

    enum Guard<'a> {
        Mutex(#[expect(dead_code)] MutexGuard<'a, ()>),
        Reader(#[expect(dead_code)] RwLockReadGuard<'static, ()>),
    }

    /// Takes and releases locks at several depths, in and out of a special state, in and out of
    /// order, and compares the held set after each step. Some of the locks are new.
    fn work<'a>(locks: &'a [Mutex<()>]) {
        let context: &'static Context = validator::current().unwrap();
        let mut held: BTreeMap<usize, (Tag, Guard<'a>)> = BTreeMap::new();
        // The keys are in the order of acquisition.
        let check = |held: &BTreeMap<usize, (Tag, Guard<'a>)>| {
            let pending = PENDING.replace(0);
            let expected: Vec<Tag> = held.values().map(|(tag, _)| *tag).collect();
            assert_eq!(tags(), expected);
            assert!(!context.is_suspended());
            PENDING.set(pending);
        };
        let take = |at: usize, held: &mut BTreeMap<usize, (Tag, Guard<'a>)>| {
            let (guard, tag) = if at % 3 == 1 {
                (Guard::Reader(TABLE.try_read().unwrap()), shared(&TABLE))
            } else {
                (Guard::Mutex(locks[at].lock().unwrap()), exclusive(&locks[at]))
            };
            held.insert(at, (tag, guard));
            check(held);
        };
        for at in 0..locks.len() {
            take(at, &mut held);
        }
        for at in [locks.len() / 2, 0] {
            held.remove(&at);
            check(&held);
        }
        let allowing = context.enter(ThreadState::Allowing);
        let last = locks.len() - 1;
        held.remove(&last);
        check(&held);
        take(last, &mut held);
        drop(allowing);
        while let Some(last) = held.keys().next_back().copied() {
            held.remove(&last);
            check(&held);
        }
        assert!(context.held.is_empty());
    }

    /// Runs once, with a handler at one of the points and another in that handler. Returns how many
    /// points were left for each.
    fn run(depth: usize, known: Option<&[Mutex<()>]>, at: [usize; 2]) -> [usize; 2] {
        let new: Vec<_> = (0..depth).map(|_| Mutex::new(())).collect();
        LEFT.set(at);
        PENDING.set(2);
        work(known.unwrap_or(&new));
        PENDING.set(0);
        LEFT.get()
    }

    /// Runs with a handler at every point, and at every point of the handler.
    fn all_places(depth: usize, are_known: bool, nested: bool) -> usize {
        HANDLER.set(Some(try_some_and_wait));
        let known: Vec<_> = (0..depth).map(|_| Mutex::new(())).collect();
        let known = are_known.then_some(&known[..]);
        let mut runs = 0;
        for at in 1.. {
            for again in 1.. {
                let left = run(depth, known, [if nested { again } else { usize::MAX }, at]);
                runs += 1;
                if left[1] > 0 {
                    return runs;
                }
                if !nested || left[0] > 0 {
                    break;
                }
            }
        }
        unreachable!()
    }

    #[test]
    fn a_handler_may_run_anywhere() {
        testing::assert_no_findings(|| {
            for are_known in [true, false] {
                let runs = [3, 6, 19].map(|depth| all_places(depth, are_known, false));
                assert!(runs.iter().all(|&runs| runs > 30), "{runs:?}");
            }
        });
    }

    /// Takes locks in a thread without a context: two by attempts while a signal is blocked, as in
    /// a handler, and then one that it waits for, which attaches the thread.
    fn work_unattached(locks: &[Mutex<()>]) {
        let blocked = BlockedSignal::new();
        let (table, first) = (TABLE.try_read().unwrap(), locks[0].try_lock().unwrap());
        assert!(validator::current_if_attached().is_none());
        let second = locks[1].lock().unwrap();
        drop(blocked);
        PENDING.set(0);
        assert_eq!(tags(), [shared(&TABLE), exclusive(&locks[0]), exclusive(&locks[1])]);
        drop((table, first, second));
        assert_eq!(tags(), []);
    }

    #[test]
    fn a_handler_may_run_before_a_thread_is_attached() {
        testing::assert_no_findings(|| {
            let mut runs = 0;
            loop {
                runs += 1;
                let is_handled = thread::spawn(move || {
                    HANDLER.set(Some(try_some));
                    LEFT.set([usize::MAX, runs]);
                    PENDING.set(2);
                    work_unattached(&[Mutex::new(()), Mutex::new(())]);
                    LEFT.get()[1] == 0
                });
                if !is_handled.join().unwrap() {
                    break;
                }
            }
            assert!(runs > 20, "{runs}");
        });
    }

    thread_local! {
        static WANTED: Cell<Option<&'static Mutex<()>>> = const { Cell::new(None) };
    }

    /// A handler waits for a lock while another one is being added to the held set. What the
    /// handler sees must not settle the chain of both.
    #[test]
    fn an_interrupted_acquisition_hides_no_order() {
        let new = || -> &'static Mutex<()> { Box::leak(Box::new(Mutex::new(()))) };
        HANDLER.set(Some(|| drop(WANTED.get().unwrap().lock().unwrap())));
        let mut at = 1;
        loop {
            let (first, second, scope) = (new(), new(), Scope::new());
            // Leaves another lock in the slot.
            drop(new().lock().unwrap());
            WANTED.set(Some(second));
            LEFT.set([usize::MAX, at]);
            PENDING.set(2);
            drop(first.lock().unwrap());
            PENDING.set(0);
            if LEFT.get()[1] > 0 {
                break;
            }
            drop((first.lock().unwrap(), second.lock().unwrap()));
            let inverts = scope.inside(|| drop((second.lock().unwrap(), first.lock().unwrap())));
            assert!(thread::spawn(inverts).join().is_err(), "interrupted at {at}");
            assert_eq!(scope.take_findings().len(), 1);
            at += 1;
        }
        assert!(at > 5, "{at}");
    }

    #[test]
    fn a_handler_may_run_in_a_handler() {
        testing::assert_no_findings(|| {
            let runs = [true, false].map(|are_known| all_places(3, are_known, true));
            assert!(runs.iter().all(|&runs| runs > 1_000), "{runs:?}");
        });
    }
}
