//! The help text of a report, by kind.

use super::{
    helpers::short,
    roles,
    story::Story,
    thread_names::{what, who},
};
use crate::{
    finding::{Declaration, Detail, Edge, FindingKind, Level, Mode, Site, WaitKind},
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
            FindingKind::Inversion if self.same_lines() => format!(
                "if they run at once{writer}, each waits for the next. Lines {} and {} take \
                 these locks in the order in which they are passed: pass them in one order everywhere, \
                 or sort them first, by a number or a key that each of them has",
                held_at.line(),
                acquired_at.line()
            ),
            FindingKind::Inversion if self.wait_in_cycle().is_some() => self.help_with_wait(),
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
            FindingKind::ClassInversion => format!(
                "this was never seen on the same two locks, and may be impossible; but if it happens, \
                 each waits for the other. Decide which of the two classes comes first. Locks are of \
                 one class if one constructor call made them, or by `lockdep::class`; use `lockdep::allow_pair` \
                 if the two never meet: {held} and {wanted}"
            ),
            FindingKind::DeclaredOrder => self.declared(),
            FindingKind::SelfDeadlock if self.initializes() => format!(
                "it would wait for itself for ever: the initializer must not use {held} at {line}"
            ),
            FindingKind::SelfDeadlock if self.is_of_event() => format!(
                "it would wait for itself for ever: instead of the wait at {line}, complete the event, or \
                 drop the guard of {held_line} first"
            ),
            FindingKind::SelfDeadlock => format!(
                "it would wait for itself for ever: drop the guard of {held_line} first, or \
                 pass it on"
            ),
            FindingKind::RecursiveRead => format!(
                "if a writer queues between the two, the second read waits behind the writer, \
                 which waits for the first: pass the guard of {held_line} on, or drop it \
                 before {line}"
            ),
            FindingKind::WaitWhileHolding => self.wait_while_holding(),
            FindingKind::Deadlock if self.left_in_parent().is_some() => self.lock_before_fork(),
            FindingKind::Deadlock => {
                let what_now = self.what_now();
                match self.len() {
                    1 => {
                        format!("{what_now}. Drop the guard of {held_line} before {line}")
                    }
                    _ => format!("{what_now}. {}", self.help_with_circle()),
                }
            }
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

    /// Returns the line before which the held lock of an edge must be released; that of the
    /// acquisition if the function does not hold it itself.
    fn line_of(&self, index: usize, acquired_at: &Site) -> String {
        self.line(self.ways[index].release_before().unwrap_or(acquired_at))
    }

    /// Returns `line 7`, with the file if the report shows several.
    fn line(&self, site: &Site) -> String {
        let mut shown = self.shown.iter().flat_map(|edge| [&edge.held_at, &edge.acquired_at]);
        if shown.all(|it| it.file() == site.file()) {
            format!("line {}", site.line())
        } else {
            format!("line {} of {}", site.line(), site.file())
        }
    }

    /// Says which guards live longer than they seem to.
    fn temporaries(&self) -> String {
        let sentence = |(edge, lifetime): (&Edge, &Option<Lifetime>)| {
            let (end, advice) = match lifetime.as_ref()? {
                Lifetime::Block(block) => (
                    format!("the `{block}` that has it in its head"),
                    "put what is needed of it into a variable first".to_owned(),
                ),
                Lifetime::Else => {
                    ("the `else`".to_owned(), "edition 2024 drops it before that".to_owned())
                }
                Lifetime::Statement => {
                    let wanted = self.names.of(&edge.wanted);
                    let advice = format!("put what is needed of {wanted} into a variable first");
                    ("its statement".to_owned(), advice)
                }
            };
            let line = self.line(&edge.held_at);
            Some(format!(". The guard of {line} lives until the end of {end}: {advice}"))
        };
        self.shown.iter().zip(&self.lifetimes).filter_map(sentence).collect()
    }

    /// Returns ``, as `sell` does``, if the other of two threads acquires the locks in another function.
    fn as_other_function(&self) -> String {
        let [now, before] = &self.ways[..] else { return String::new() };
        let (Some(now), Some(before)) = (now.holder().map(short), before.holder().map(short))
        else {
            return String::new();
        };
        if now == before { String::new() } else { format!(", as `{before}` does") }
    }

    /// Returns `, or release ... before line 7`, if the function of an edge can do that.
    fn or_release(&self, index: usize) -> String {
        let held = self.names.of(&self.shown[index].held);
        let before = self.ways[index].release_before().filter(|_| self.lifetimes[index].is_none());
        let release = |site| format!(", or release {held} before {}", self.line(site));
        before.map_or_else(String::new, release)
    }

    /// Help for a cycle of two edges, one of which is a wait for something other than a lock.
    fn help_with_wait(&self) -> String {
        let Some([lock, wait]) = self.wait_in_cycle() else { return String::new() };
        let waits = self.shown.iter().enumerate().find(|(_, edge)| edge.wanted == *wait);
        let line =
            waits.map_or_else(String::new, |(index, edge)| self.line_of(index, &edge.acquired_at));
        let (lock, name) = (self.names.of(lock), self.names.of(wait));
        let role = wait.kind.role;
        format!(
            "if {} still needs {lock}{} when the wait for {} begins, both wait for ever: release \
             {lock} before {line}",
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
        let line = self.line(&self.shown.get(index).unwrap_or(edge).acquired_at);
        format!(
            "this cannot hang, as no thread waits for {held} before it is shared. It is an inversion \
             as soon as a thread acquires {wanted} again while it holds {held}. To rule that out, \
             acquire {wanted} before {held}, or release {held} before {line}"
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
        let edge = self.shown.iter().find(is_lock).unwrap_or_else(|| self.first());
        let (held, line) = (self.names.of(&edge.held), self.line(&edge.acquired_at));
        let is_of_one_lock = self.shown.iter().all(|it| it.wanted == edge.held);
        if self.has_wait() || is_of_one_lock {
            return format!("Release {held} before {line}");
        }
        format!("Acquire these locks in one order everywhere, or release {held} before {line}")
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
             {who}: then both wait for ever. Drop the guard before the await, or use a lock of \
             `tokio::sync`, which can be held across one"
        )
    }

    /// Help for a permit that is held while another one is acquired.
    fn acquire_at_once(&self) -> String {
        let Edge { held: pool, held_mode, acquired_at, thread, .. } = self.first();
        let (held, line, what) = (self.names.of(pool), self.line(acquired_at), what(thread));
        if *held_mode == Mode::Exclusive {
            return format!(
                "it waits for itself for ever, unless another permit is added. Release the first \
                 permit before {line}, or pass it on"
            );
        }
        let instead = if pool.kind.is_outside() {
            "Pass on what the first permit is for, or release it"
        } else {
            "Acquire all permits in one call, or release the first permit"
        };
        format!(
            "if as many {what}s as {held} has permits do this at once, all of them wait for ever. \
             {instead} before {line}"
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

    /// Help for a lock that is held during a wait.
    fn wait_while_holding(&self) -> String {
        let Edge { held, wanted, acquired_at, .. } = self.first();
        let (held, wanted) = (self.names.of(held), self.names.of(wanted));
        let line = self.line_of(0, acquired_at);
        let needs = match self.wait() {
            WaitKind::Condvar => format!(
                "the wait releases only {wanted}: if the notifying thread needs {held} first"
            ),
            WaitKind::Join => format!("if that thread needs {held} before it ends"),
            WaitKind::Recv => format!("if the sender needs {held} before it sends"),
            WaitKind::Send => format!("if the receiver needs {held} before it receives again"),
            WaitKind::Barrier => format!("if another thread needs {held} before it gets there"),
            WaitKind::Park => format!("if the thread that unparks it needs {held} before"),
        };
        format!("{needs}, both wait for ever. Release {held} before {line}")
    }

    /// Help for a broken declaration.
    fn declared(&self) -> String {
        let Edge { held, wanted, acquired_at, .. } = self.first();
        let (held, wanted) = (self.names.of(held), self.names.of(wanted));
        let line = self.line_of(0, acquired_at);
        let declaration = match &self.finding.detail {
            Detail::Declared(declaration) => Some(declaration),
            _ => None,
        };
        match declaration {
            Some(Declaration::Keys { held: key, are_equal: true, .. }) => format!(
                "both have the key {key}, which does not order them: give each lock its own \
                     key, or do not nest them"
            ),
            Some(Declaration::Keys { held: held_key, wanted: key, .. }) => format!(
                "{held} has the key {held_key}, {wanted} the key {key}: the smaller one must be \
                     acquired first, release {held} before {line}"
            ),
            Some(Declaration::Order(site)) => format!(
                "it was declared at {site} that {wanted} comes before {held}: release {held} \
                     before {line}"
            ),
            Some(Declaration::Leaf) => format!(
                "{held} was declared a leaf, nothing is acquired while it is held: release it \
                     before {line}"
            ),
            Some(Declaration::Outermost) | None => {
                let what = if self.is_wait() {
                    "outermost, it is waited for"
                } else {
                    "an outermost lock, it is acquired"
                };
                format!(
                    "{wanted} was declared {what} while nothing is held: release {held} before \
                     {line}"
                )
            }
        }
    }
}
