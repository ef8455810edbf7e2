//! The help text of a report, by kind.

use super::{
    helpers::short,
    roles,
    story::Story,
    thread_names::{what, who},
    words::lease_of,
};
use crate::{
    finding::{
        Declaration, Detail, Edge, Exhausted, FindingKind, Level, LockInfo, Mode, Role, Site,
        WaitKind,
    },
    source::Lifetime,
};

impl Story<'_> {
    pub(super) fn help(&self) -> String {
        let help = self.help_of_kind() + &self.temporaries();
        match self.finding.detail {
            Detail::InSequence => format!(
                "{help}. So far one of these threads was joined before the other was spawned; unless \
                 something else keeps them apart, they can run at once"
            ),
            _ => help,
        }
    }

    fn help_of_kind(&self) -> String {
        let Edge { held, wanted, held_at, acquired_at, thread, .. } = self.first();
        let (held, wanted) = (self.names.of(held), self.names.of(wanted));
        let (held_line, line) = (self.line(held_at), self.line_of(0, acquired_at));
        let what = what(thread);
        let writer = self.while_writers_wait();
        match self.finding.kind {
            FindingKind::OrderedInversion if self.use_of_cell().is_some() => self.help_with_use(),
            FindingKind::OrderedInversion if self.unshared().is_some() => self.help_with_new(),
            FindingKind::OrderedInversion => self.help_with_phases(),
            FindingKind::SingleThreadInversion => {
                let (needed, again) = match self.len() {
                    2 => (format!("two {what}s"), "either of the two"),
                    len => (format!("{len} {what}s"), "one of these"),
                };
                format!(
                    "it takes {needed} at once{writer} to hang, but one was seen in two of \
                     these places. As soon as another {what} does {again}, this is an inversion: \
                     acquire these locks in one order everywhere"
                )
            }
            FindingKind::GuardedInversion => format!(
                "it cannot hang as long as {} {} held around it each time. Without that it \
                 would be an inversion: with one order of these locks everywhere, no gate is needed",
                self.gates(),
                if self.gate_locks().len() == 1 { "is" } else { "are" }
            ),
            FindingKind::Inversion if self.same_lines() && !self.has_wait() => {
                self.help_with_given()
            }
            FindingKind::Inversion if self.wait_in_cycle().is_some() => self.help_with_wait(),
            FindingKind::Inversion if self.is_of_events() => format!(
                "if they run at once, each waits for the next one's answer: pass along what the \
                 other side would ask for, or do not wait for its answer at {line}"
            ),
            FindingKind::Inversion if self.len() == 2 => format!(
                "if both run at once{writer}, each waits for the other: acquire {wanted} before {held} \
                 everywhere{}{}",
                self.as_other_function(),
                self.or_release(0)
            ),
            FindingKind::Inversion => format!(
                "if they run at once{writer}, each waits for the next: acquire these locks in one \
                 order everywhere{}",
                self.or_release(0)
            ),
            FindingKind::LeasedInversion => self.help_with_lease(),
            FindingKind::ExpiredLease => format!(
                "others may have acquired {held} when the lease ended, so what is done under it may have been done \
                 twice. Renew the lease while the work lasts, make it longer, or have the system reject what comes \
                 too late, by a fencing token"
            ),
            FindingKind::ClassInversion => format!(
                "this was never seen on the same two locks, and may be impossible; but if it happens, \
                 each waits for the other. Decide which of the two classes comes first. Locks are of \
                 one class if one constructor call made them, or by `lockdep::class`; use `lockdep::allow_pair` \
                 if the two never meet: {held} and {wanted}"
            ),
            FindingKind::SameClassNesting => self.order_within_class(),
            FindingKind::DeclaredOrder => self.declared(),
            FindingKind::SelfDeadlock if self.initializes() => format!(
                "it would wait for itself for ever: the initializer must not use {held} at {line}"
            ),
            FindingKind::SelfDeadlock if self.is_of_event() => format!(
                "it would wait for itself for ever: instead of the wait at {line}, complete the event, or \
                 drop the guard of {held_line} first"
            ),
            FindingKind::SelfDeadlock | FindingKind::RecursiveRead => self.held_already(),
            FindingKind::WaitWhileHolding => self.wait_while_holding(),
            FindingKind::Deadlock if self.left_in_parent().is_some() => self.lock_before_fork(),
            FindingKind::Deadlock => self.help_with_deadlock(&held, &held_line, &line),
            FindingKind::Futurelock => self.poll_or_drop(),
            FindingKind::HeldAcrossAwait => self.drop_before_await(),
            FindingKind::PoolExhaustion => self.acquire_at_once(),
            FindingKind::LeakedGuard if self.is_destroyed() => {
                "the guard was forgotten: `mem::forget`, a `ManuallyDrop`, a leaked box, or a cycle of `Arc`s. Nothing \
                 waits for a lock that is gone, but whatever the guard was to do when it is dropped is not done"
                    .to_owned()
            }
            FindingKind::LeakedGuard if self.is_of_event() => format!(
                "unless another thread completes {held}, a wait for it lasts for ever. The guard was \
                 forgotten: `mem::forget`, a `ManuallyDrop`, a leaked box, or a cycle of `Arc`s"
            ),
            FindingKind::LeakedGuard => format!(
                "unless another thread force-unlocks {held}, every thread that waits for it waits for \
                 ever. Its guard was forgotten: `mem::forget`, a `ManuallyDrop`, a leaked box, \
                 or a cycle of `Arc`s"
            ),
        }
    }

    /// Help for threads that wait for each other, or one that waits for itself.
    fn help_with_deadlock(&self, held: &str, held_line: &str, line: &str) -> String {
        let what_now = self.what_now();
        match self.len() {
            _ if let Some(pool) = self.exhausted() => self.help_with_pool(pool),
            1 if self.first().held.kind.is_outside() => format!(
                "{what_now}. Drop the guard of {held_line} before {line}, or declare it with \
                 `Resource::reentrant` if whoever holds it may acquire it again"
            ),
            1 if self.has_guard(0) => {
                format!("{what_now}. Drop the guard of {held_line} before {line}")
            }
            1 => format!("{what_now}. Do not acquire {held} again at {line}"),
            _ => format!("{what_now}. {}", self.help_with_circle()),
        }
    }

    /// Returns the line of the function that holds a lock from which the wanted one is reached; that of the
    /// acquisition if there is none.
    fn line_of(&self, index: usize, acquired_at: &Site) -> String {
        self.line(self.ways[index].reached_from().unwrap_or(acquired_at))
    }

    /// Returns `true` if the function that holds a lock has a guard of it. One that runs a closure with the
    /// lock held hands none out.
    fn has_guard(&self, index: usize) -> bool {
        self.ways.get(index).is_some_and(|way| way.release_before().is_some())
    }

    /// Returns the line before which the function of an edge can release the lock. `None` if it has no
    /// guard; if that is a temporary, whose end [another sentence](Self::temporaries) says; or if
    /// holding the lock means running its initializer.
    fn release_line(&self, index: usize) -> Option<String> {
        let is_variable = self.lifetimes.get(index)?.is_none();
        let is_guard = self.shown[index].held.kind.role != Role::Initializer;
        let held_at = &self.shown[index].held_at;
        let before = self.ways[index].release_before().filter(|_| is_variable && is_guard)?;
        let is_another = (before.file(), before.line()) != (held_at.file(), held_at.line());
        is_another.then(|| self.line(before))
    }

    /// Returns `line 7`, with the file if the report shows several.
    fn line(&self, site: &Site) -> String {
        let ends = self.shown.iter().flat_map(|edge| [&edge.held_at, &edge.acquired_at]);
        let calls = self.ways.iter().flat_map(|way| [way.called_at(), way.reached_from()]);
        if ends.chain(calls.flatten()).all(|it| it.file() == site.file()) {
            format!("line {}", site.line())
        } else {
            format!("line {} of {}", site.line(), site.file())
        }
    }

    /// Says which guards live longer than they seem to.
    fn temporaries(&self) -> String {
        let sentence = |(index, (edge, lifetime)): (usize, (&Edge, &Option<Lifetime>))| {
            if self.shown[..index].iter().any(|before| before.held_at == edge.held_at) {
                return None;
            }
            let (end, advice) = match lifetime.as_ref()? {
                Lifetime::Block(block) => (
                    format!("the `{block}` that has it in its head"),
                    "put what is needed of it into a variable first".to_owned(),
                ),
                Lifetime::Else => {
                    ("the `else`".to_owned(), "edition 2024 drops it before that".to_owned())
                }
                Lifetime::Statement => {
                    let wanted = self.names.at(&edge.wanted, &edge.acquired_at);
                    let advice = format!("put what is needed of {wanted} into a variable first");
                    ("its statement".to_owned(), advice)
                }
            };
            let line = self.line(&edge.held_at);
            Some(format!(". The guard of {line} lives until the end of {end}: {advice}"))
        };
        self.shown.iter().zip(&self.lifetimes).enumerate().filter_map(sentence).collect()
    }

    /// Returns ``, as `sell` does``, or `, as line 7 does` if the same function acquires the locks in both
    /// orders.
    fn as_other_function(&self) -> String {
        let [now, before] = &self.ways[..] else { return String::new() };
        let (Some(now), Some(before)) = (now.holder().map(short), before.holder().map(short))
        else {
            return String::new();
        };
        if now == before {
            format!(", as {} does", self.line(&self.shown[1].held_at))
        } else {
            format!(", as `{before}` does")
        }
    }

    /// Returns `, or release ... before line 7`, if the function of an edge can do that.
    fn or_release(&self, index: usize) -> String {
        let release =
            |line| format!(", or release {} before {line}", self.names.of(&self.shown[index].held));
        self.release_line(index).map_or_else(String::new, release)
    }

    /// Help for locks that one function acquires in the order in which it is given them.
    fn help_with_given(&self) -> String {
        let Edge { held_at, acquired_at, .. } = self.first();
        let (first, second) = (self.line(held_at), self.line(acquired_at));
        let lines = if held_at.file() != acquired_at.file() {
            format!("L{} and {second} take", &first[1..])
        } else if held_at.line() == acquired_at.line() {
            format!("L{} takes", &first[1..])
        } else {
            format!("Lines {} and {} take", held_at.line(), acquired_at.line())
        };
        let (run, next) = match self.len() {
            2 => ("both run", "the other"),
            _ => ("they run", "the next"),
        };
        let type_name = self.first().held.type_name();
        let or_sort = if self.shown.iter().all(|edge| edge.held.type_name() == type_name) {
            ", or sort them first, by a number or a key that each of them has"
        } else {
            ""
        };
        format!(
            "if {run} at once{}, each waits for {next}. {lines} these locks in the order in which \
             they are passed: pass them in one order everywhere{or_sort}",
            self.while_writers_wait()
        )
    }

    /// Help for two locks of one class.
    fn order_within_class(&self) -> String {
        let what = what(&self.first().thread);
        format!(
            "this is only a possibility. It hangs if another {what} takes the same two locks in the opposite order at \
             the same time, which was not seen. It cannot hang if something always gives the order, as where a parent \
             is locked before its child. If nothing does, sort the locks first, by a key that each of them has, and \
             declare the order with `lockdep::order_by_key`: then it is checked, and this is not reported any more"
        )
    }

    /// Help for a cycle that the end of a lease breaks.
    fn help_with_lease(&self) -> String {
        let leases =
            self.shown.iter().map(|edge| &edge.wanted).filter(|lock| lock.lease().is_some());
        let Some(leased) = leases.min_by_key(|lock| lock.lease()) else { return String::new() };
        format!(
            "if they run at once{}, each waits for the next until the lease of {} runs out, after {}, or a time limit \
             ends the wait: acquire these locks in one order everywhere{}",
            self.while_writers_wait(),
            self.names.of(leased),
            lease_of(leased),
            self.or_release(0)
        )
    }

    /// Help for a cycle of two edges, one of which is a wait for something other than a lock.
    fn help_with_wait(&self) -> String {
        let Some([lock, wait]) = self.wait_in_cycle() else { return String::new() };
        let waits = self.shown.iter().position(|edge| edge.wanted == *wait);
        let line = waits.and_then(|index| self.release_line(index));
        let is_initializer = lock.kind.role == Role::Initializer;
        let (lock, name) = (self.names.of(lock), self.names.of(wait));
        let role = wait.kind.role;
        let instead = match line {
            _ if role == Role::Jobs && is_initializer => {
                format!("do not wait for jobs in the initializer of {lock}, or run it before")
            }
            Some(line) => format!("release {lock} before {line}"),
            None => format!("do not wait for it while {lock} is held"),
        };
        if role == Role::Jobs {
            return format!(
                "a thread that waits for jobs of {name} runs others meanwhile, or waits until a worker is free. If \
                 these jobs need {lock}{}, it waits for ever: {instead}",
                self.while_writers_wait(),
            );
        }
        format!(
            "if {} still needs {lock}{} when the wait for {} begins, both wait for ever: {instead}",
            roles::holder(role, &name),
            self.while_writers_wait(),
            roles::awaited(role, &name),
        )
    }

    /// Help for a cycle whose threads spawned or joined each other in between.
    fn help_with_phases(&self) -> String {
        let writer = self.while_writers_wait();
        format!(
            "it cannot hang{writer} as long as one thread uses its order before it spawns \
             the other or after it has joined it. If it does that while the other runs, this is \
             an inversion: acquire these locks in one order everywhere"
        )
    }

    /// Help for a cycle with a lock that no other thread knew.
    fn help_with_new(&self) -> String {
        let Some((index, edge)) = self.unshared() else { return String::new() };
        let (held, wanted) = (self.names.of(&edge.held), self.names.of(&edge.wanted));
        format!(
            "this cannot hang, as no thread waits for {held} before it is shared. It is an inversion \
             as soon as a thread acquires {wanted} again while it holds {held}. To rule that out, \
             acquire {wanted} before {held}{}",
            self.or_release(index)
        )
    }

    /// Help for a cycle that uses an initialized cell.
    fn help_with_use(&self) -> String {
        let Some(edge) = self.use_of_cell() else { return String::new() };
        let (held, cell) = (self.names.of(&edge.held), self.names.of(&edge.wanted));
        let line = self.line(&edge.acquired_at);
        let next = if self.len() == 2 { "the other" } else { "the next" };
        format!(
            "the initializer of {cell} had already run. Had these run at once{}, each would wait \
             for {next}: initialize {cell} before the threads that use it start, or do not use it \
             while {}, at {line}. Use `lockdep::allow_pair` if the program makes sure of \
             this order in another way",
            self.while_writers_wait(),
            roles::while_held(edge, &held),
        )
    }

    /// Returns how the deadlock can be prevented.
    fn help_with_circle(&self) -> String {
        let is_lock = |edge: &&Edge| edge.held.kind.role.is_lock();
        let index = self.shown.iter().position(|edge| is_lock(&edge)).unwrap_or(0);
        let edge = &self.shown[index];
        let held = self.names.of(&edge.held);
        let is_of_one_lock = self.shown.iter().all(|it| it.wanted == edge.held);
        if self.has_wait() || is_of_one_lock {
            return match self.release_line(index) {
                Some(line) => format!("Release {held} before {line}"),
                None => format!("Do not wait while {held} is held"),
            };
        }
        format!("Acquire these locks in one order everywhere{}", self.or_release(index))
    }

    /// Returns how a deadlock with a pool can be prevented.
    fn help_with_pool(&self, Exhausted { pool, .. }: &Exhausted) -> String {
        let index = self.shown.iter().position(|edge| edge.held == *pool).unwrap_or(0);
        let name = self.names.of(pool);
        if self.shown[index].wanted != *pool {
            let release = match self.release_line(index) {
                Some(line) => format!("Release the permit of {name} before {line}"),
                None => format!("Do not wait while a permit of {name} is held"),
            };
            return format!("{release}, or acquire it last");
        }
        let (instead, release) = instead_of_another_permit(pool);
        let line = self.release_line(index);
        let or_release =
            line.map_or_else(String::new, |line| format!(", or {release} before {line}"));
        format!("{instead}{or_release}")
    }

    /// Returns what happens now to the threads that wait for each other.
    fn what_now(&self) -> String {
        match self.finding.level {
            Level::Deny => format!(
                "this {} panics and releases its locks, so that the others can continue",
                what(&self.first().thread)
            ),
            Level::Abort => "the process is aborted".to_owned(),
            Level::Warn | Level::Allow => match self.len() {
                1 => "it will wait for ever".to_owned(),
                _ => "all of them will wait for ever".to_owned(),
            },
        }
    }

    /// Help for a wait in a forked process for a lock that another thread of the parent holds.
    fn lock_before_fork(&self) -> String {
        let held = self.names.of(&self.first().held);
        let what_now = match self.finding.level {
            Level::Deny => "it would wait for ever",
            Level::Abort => "the process is aborted",
            Level::Warn | Level::Allow => "it will wait for ever",
        };
        format!(
            "{what_now}. Let the child call `exec` at once, as `std::process::Command` does; or fork before other \
             threads start; or acquire {held} in the forking thread before the fork, so that the child can release it"
        )
    }

    /// Help for a blocking guard that is held across an await.
    fn drop_before_await(&self) -> String {
        let Edge { held, thread, .. } = self.first();
        let (held, who) = (self.names.of(held), who(thread));
        format!(
            "a thread that waits for {held} meanwhile is blocked, and may be the one that must poll \
             {who}: then both wait for ever. Drop the guard before the await, or use a lock that tasks \
             await, such as those of `tokio::sync`"
        )
    }

    /// Help for a permit that is held while another one is acquired.
    fn acquire_at_once(&self) -> String {
        let Edge { held: pool, held_mode, thread, .. } = self.first();
        let (held, what) = (self.names.of(pool), what(thread));
        let line = self.release_line(0);
        if *held_mode == Mode::Exclusive {
            let release = match line {
                Some(line) => format!("Release the first permit before {line}, or pass it on"),
                None => "Pass the first permit on".to_owned(),
            };
            return format!(
                "it waits for itself for ever, unless another permit is added. {release}"
            );
        }
        let (instead, release) = instead_of_another_permit(pool);
        let or_release =
            line.map_or_else(String::new, |line| format!(", or {release} before {line}"));
        format!(
            "if as many {what}s as {held} has permits do this at once, all of them wait for ever. \
             {instead}{or_release}"
        )
    }

    /// Help for a task that waits for one of its own futures.
    fn poll_or_drop(&self) -> String {
        let asleep = self.shown.iter().find(|edge| edge.is_granted);
        let edge = asleep.unwrap_or_else(|| self.first());
        let (held, what_now) = (self.names.of(&edge.held), self.what_now());
        let what = if edge.is_granted { "it" } else { "its guard" };
        format!(
            "{what_now}. A future that is not polled cannot release {held}: spawn it as its own task, \
             or drop {what} before waiting for {held} again"
        )
    }

    /// Help for a lock that the thread holds already.
    fn held_already(&self) -> String {
        let Edge { held, held_at, acquired_at, .. } = self.first();
        let (held, held_line) = (self.names.of(held), self.line(held_at));
        let line = self.line_of(0, acquired_at);
        let instead = match (self.finding.kind, self.has_guard(0)) {
            (FindingKind::SelfDeadlock, true) => {
                format!("drop the guard of {held_line} first, or pass it on")
            }
            (_, true) => {
                let or_drop = self
                    .release_line(0)
                    .map_or_else(String::new, |line| format!(", or drop it before {line}"));
                format!("pass the guard of {held_line} on{or_drop}")
            }
            (FindingKind::SelfDeadlock, false) => format!(
                "pass on what was locked at {held_line}, instead of acquiring {held} again at {line}"
            ),
            (_, false) => {
                format!("pass on what was read at {held_line}, instead of reading {held} again")
            }
        };
        match self.finding.kind {
            FindingKind::SelfDeadlock => format!("it would wait for itself for ever: {instead}"),
            _ => format!(
                "if a writer queues between the two, the second read waits behind the writer, \
                 which waits for the first: {instead}"
            ),
        }
    }

    /// Help for a lock that is held during a wait.
    fn wait_while_holding(&self) -> String {
        let Edge { held, wanted, .. } = self.first();
        let (held, wanted) = (self.names.of(held), self.names.of(wanted));
        let needs = match self.wait() {
            WaitKind::Condvar => format!(
                "the wait releases only {wanted}: if the notifying thread needs {held} first"
            ),
            WaitKind::Join => format!("if that thread needs {held} before it ends"),
            WaitKind::Recv => format!("if the sender needs {held} before it sends"),
            WaitKind::Send => format!("if the receiver needs {held} before it receives again"),
            WaitKind::Barrier => format!("if another thread needs {held} before it gets there"),
            WaitKind::Jobs => format!("if one of the jobs needs {held}"),
            WaitKind::Park => format!("if the thread that unparks it needs {held} before"),
        };
        let instead = match self.release_line(0) {
            Some(line) => format!("Release {held} before {line}"),
            None => format!("Do not wait while {held} is held"),
        };
        format!("{needs}, both wait for ever. {instead}")
    }

    /// Help for a broken declaration.
    fn declared(&self) -> String {
        let Edge { held, wanted, .. } = self.first();
        let (held, wanted) = (self.names.of(held), self.names.of(wanted));
        let line = self.release_line(0);
        let declaration = match &self.finding.detail {
            Detail::Declared(declaration) => Some(declaration),
            _ => None,
        };
        match declaration {
            Some(Declaration::Keys { held: key, are_equal: true, .. }) => format!(
                "both have the key {key}, which does not order them: give each lock its own \
                     key, or do not nest them"
            ),
            Some(Declaration::Keys { held: held_key, wanted: key, .. }) => {
                let release =
                    line.map_or_else(String::new, |line| format!(", release {held} before {line}"));
                format!(
                    "{held} has the key {held_key}, {wanted} the key {key}: the smaller one must be \
                     acquired first{release}"
                )
            }
            Some(Declaration::Order(site)) => {
                let instead = line.map_or_else(
                    || "acquire it first".to_owned(),
                    |line| format!("release {held} before {line}"),
                );
                format!("it was declared at {site} that {wanted} comes before {held}: {instead}")
            }
            Some(Declaration::Leaf) => {
                let release =
                    line.map_or_else(String::new, |line| format!(": release it before {line}"));
                format!("{held} was declared a leaf, nothing is acquired while it is held{release}")
            }
            Some(Declaration::Outermost) | None => {
                let what = if self.is_wait() {
                    "outermost, it is waited for"
                } else {
                    "an outermost lock, it is acquired"
                };
                let release =
                    line.map_or_else(String::new, |line| format!(": release {held} before {line}"));
                format!("{wanted} was declared {what} while nothing is held{release}")
            }
        }
    }
}

/// Returns what to do instead of acquiring another permit, and how to say that the first one is released.
fn instead_of_another_permit(pool: &LockInfo) -> (&'static str, &'static str) {
    if pool.kind.is_outside() {
        ("Pass on what the first permit is for", "release it")
    } else {
        ("Acquire all permits in one call", "release the first permit")
    }
}
