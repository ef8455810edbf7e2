//! The first line of a report, by kind.

use super::{
    roles,
    story::Story,
    thread_names::{both, circle, what, what_all, who},
};
use crate::finding::{Edge, Exhausted, FindingKind, LockInfo, ThreadSnapshot};

impl Story<'_> {
    pub(super) fn title(&self) -> String {
        let Edge { held, wanted, thread, .. } = self.first();
        let (held, wanted) = (self.names.of(held), self.names.of(wanted));
        let who = who(thread);
        match self.finding.kind {
            FindingKind::Inversion
            | FindingKind::OrderedInversion
            | FindingKind::SingleThreadInversion
            | FindingKind::LeasedInversion
            | FindingKind::GuardedInversion => self.inversion(),
            FindingKind::SelfDeadlock if self.initializes() => {
                format!("the initializer of {held} uses {held} itself")
            }
            FindingKind::SelfDeadlock if self.is_of_event() => {
                format!("{who} waits for {held}, which it alone owes")
            }
            FindingKind::SelfDeadlock => {
                format!("{who} acquires {held}, which it already holds")
            }
            FindingKind::RecursiveRead => {
                format!("{who} reads {held} again while it holds a read guard of it")
            }
            FindingKind::WaitWhileHolding => {
                let held = self.held_locks(", ");
                let event = self.wait().event();
                format!("{who} waits for {event} while it holds {held}")
            }
            FindingKind::Deadlock if self.left_in_parent().is_some() => {
                format!(
                    "{who} waits for {held}, which no thread of this forked process can release"
                )
            }
            FindingKind::Deadlock if let Some(pool) = self.exhausted() => {
                self.held_by_waiting(pool)
            }
            FindingKind::Deadlock if self.len() == 1 => {
                let holds = if self.is_of_event() { "owes" } else { "already holds" };
                format!("{who} waits for itself: it {holds} {held}")
            }
            FindingKind::Deadlock => self.wait_for_each_other(),
            FindingKind::ClassInversion if self.has_wait() => format!(
                "{held} and {wanted}, or others like them, are held and waited for in both orders"
            ),
            FindingKind::ClassInversion => {
                format!("locks like {held} and {wanted} are acquired in both orders")
            }
            FindingKind::SameClassNesting => {
                format!("two locks of one class are held at once: {held}, then {wanted}")
            }
            FindingKind::DeclaredOrder => {
                let acquired = if self.is_wait() { "waited for" } else { "acquired" };
                format!("{wanted} is {acquired} after {held}, against the declared order")
            }
            FindingKind::PoolExhaustion => {
                format!("{who} holds a permit of {held} and waits for another one")
            }
            FindingKind::ExpiredLease => {
                let [time, lease] = self.held_for();
                format!("{held} was held for {time}, under a lease of {lease}")
            }
            FindingKind::HeldAcrossAwait => format!("{who} holds {held} across an await"),
            FindingKind::Futurelock => self.futurelock(),
            FindingKind::LeakedGuard => match self.left_by() {
                Some(_) if self.is_of_event() => {
                    format!("{who} waits for {held}, which no thread will complete")
                }
                Some(_) => format!("{who} waits for {held}, which no thread will release"),
                None if self.is_destroyed() => {
                    format!("{who} never released {held}, which another thread has destroyed")
                }
                None if self.is_of_event() => {
                    format!("{who} ended while it owed {held}")
                }
                None => format!("{who} ended while it held {held}"),
            },
        }
    }

    /// The title for a cycle in the lock order.
    fn inversion(&self) -> String {
        let Edge { held, wanted, thread, .. } = self.first();
        let (held, wanted) = (self.names.of(held), self.names.of(wanted));
        let new = self.unshared().map(|(_, edge)| self.names.of(&edge.held));
        let so_far = match self.finding.kind {
            FindingKind::OrderedInversion if let Some(new) = &new => {
                &format!(", one of them only before {new} was shared")
            }
            FindingKind::OrderedInversion => ", so far never at the same time",
            FindingKind::SingleThreadInversion => &format!(", so far by one {}", what(thread)),
            FindingKind::GuardedInversion => ", behind a gate",
            FindingKind::LeasedInversion => ", until a lease ends",
            _ => "",
        };
        if let Some(edge) = self.use_of_cell() {
            return self.title_with_use(edge);
        }
        if let Some(wait) = self.wait_in_cycle() {
            return format!("{}{so_far}", self.title_with_wait(wait));
        }
        if self.len() == 2 && self.is_of_events() {
            format!("{held} and {wanted} are owed and waited for in both orders{so_far}")
        } else if self.len() == 2 {
            format!("{held} and {wanted} are acquired in both orders{so_far}")
        } else {
            let (len, circle) = (self.len(), self.held_locks(" → "));
            let what = if self.has_wait() {
                "locks and waits form a cycle"
            } else {
                "locks are acquired in a cycle"
            };
            format!("{len} {what}{so_far}: {circle} → {held}")
        }
    }

    /// The title for threads or tasks that wait for each other.
    fn wait_for_each_other(&self) -> String {
        let members = || self.shown.iter().map(|edge| &edge.thread);
        if let [first, second] = &self.shown[..] {
            return format!("{} wait for each other", both([&first.thread, &second.thread]));
        }
        let (len, what) = (self.len(), what_all(members()));
        let circle = circle(members(), self.len() > self.shown.len());
        format!("{len} {what} wait for each other: {circle}")
    }

    /// The title for a pool whose permits are held by threads or tasks that wait.
    fn held_by_waiting(&self, pool: &Exhausted) -> String {
        let name = self.names.of(&pool.pool);
        let which = format!("all {} permits", pool.permits);
        let holds = |thread: &&ThreadSnapshot| thread.held.iter().any(|it| it.lock == pool.pool);
        let holders: Vec<_> = pool.threads.iter().filter(holds).map(|it| &it.thread).collect();
        match holders[..] {
            [holder] if self.len() == 1 => {
                format!("{} holds {which} of {name} and waits for another one", who(holder))
            }
            [holder] => format!("{which} of {name} are held by {}, which waits", who(holder)),
            _ => format!("{which} of {name} are held by {} that wait", what_all(holders)),
        }
    }

    fn futurelock(&self) -> String {
        let asleep = self.shown.iter().find(|edge| edge.is_granted);
        let edge = asleep.unwrap_or_else(|| self.first());
        let (who, held) = (who(&edge.thread), self.names.of(&edge.held));
        match (self.len(), edge.is_granted) {
            (1, true) => {
                format!("{who} waits for {held}, which another of its own futures was granted")
            }
            (1, false) => format!("{who} waits for {held}, which one of its own futures holds"),
            _ => {
                let circle = self.wait_for_each_other();
                format!("{circle}, and {who} does not poll the future that has {held}")
            }
        }
    }

    fn title_with_wait(&self, [lock, wait]: [&LockInfo; 2]) -> String {
        let lock = self.names.of(lock);
        roles::needs_to_end(wait.kind.role, &self.names.of(wait), &lock)
    }

    /// The title for a cycle that uses an initialized cell.
    fn title_with_use(&self, edge: &Edge) -> String {
        let (held, cell) = (self.names.of(&edge.held), self.names.of(&edge.wanted));
        if self.len() == 2 {
            let while_held = roles::while_held(edge, &held);
            return format!("{cell} is used while {while_held}, and its initializer needs {held}");
        }
        let (len, circle, first) =
            (self.len(), self.held_locks(" → "), self.names.of(&self.first().held));
        format!(
            "{len} locks are acquired in a cycle, so far after the initializer of {cell} had run: \
             {circle} → {first}"
        )
    }

    /// Lists the held locks of the edges that are shown.
    fn held_locks(&self, separator: &str) -> String {
        let mut names: Vec<_> = self.shown.iter().map(|edge| self.names.of(&edge.held)).collect();
        if self.len() > self.shown.len() {
            names.push("…".to_owned());
        }
        names.join(separator)
    }
}
