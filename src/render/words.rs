//! What a report says, kind by kind. Every sentence says what was seen, or what
//! would have to happen; none calls a possible deadlock a deadlock.

use super::{age, names::Names};
use crate::finding::{Detail, Edge, Finding, FindingKind, LockInfo, Mode, ThreadInfo, Writer};

/// The sentences of one report.
pub(super) struct Words<'a> {
    pub(super) finding: &'a Finding,
    /// Those of its edges that are shown.
    pub(super) shown: &'a [Edge],
    pub(super) names: &'a Names,
}

impl Words<'_> {
    pub(super) fn first(&self) -> &Edge {
        &self.shown[0]
    }

    /// How many edges there are, shown or not.
    pub(super) fn len(&self) -> usize {
        self.finding.cycle.len()
    }

    /// Whether holding the lock means to run its initializer.
    pub(super) fn initializes(&self) -> bool {
        self.first().held.kind.initializes
    }

    /// Whether one pair of lines took all of these locks, in whatever order they
    /// were handed to it.
    pub(super) fn same_lines(&self) -> bool {
        let first = self.first();
        self.shown
            .iter()
            .all(|edge| (&edge.held_at, &edge.acquired_at) == (&first.held_at, &first.acquired_at))
    }

    /// ` while a writer waits for …`, if readers meet somewhere in the cycle: they wait
    /// for each other only then.
    pub(super) fn while_writers_wait(&self) -> String {
        let following = self.shown.iter().cycle().skip(1);
        let writers: Vec<_> = self
            .shown
            .iter()
            .zip(following)
            .filter(|(into, out)| into.wanted_mode.queues_behind_writers(out.held_mode))
            .map(|(into, _)| self.names.of(&into.wanted))
            .collect();
        if writers.is_empty() {
            String::new()
        } else {
            format!(" while a writer waits for {}", writers.join(" and for "))
        }
    }

    /// The locks held along the cycle, as far as they are shown.
    fn held_locks(&self, separator: &str) -> String {
        let mut names: Vec<_> = self.shown.iter().map(|edge| self.names.of(&edge.held)).collect();
        if self.len() > self.shown.len() {
            names.push("…".to_owned());
        }
        names.join(separator)
    }

    /// The locks that keep a cycle from closing.
    pub(super) fn gate_locks(&self) -> &[LockInfo] {
        match &self.finding.detail {
            Detail::Gates(gates) => gates,
            _ => &[],
        }
    }

    pub(super) fn gates(&self) -> String {
        let gates = self.gate_locks().iter().map(|gate| self.names.of(gate));
        gates.collect::<Vec<_>>().join(" or ")
    }

    /// The thread that left behind what another is about to wait for.
    fn left_by(&self) -> Option<&ThreadInfo> {
        match &self.finding.detail {
            Detail::LeftBy(thread) => Some(thread),
            _ => None,
        }
    }

    pub(super) fn title(&self) -> String {
        let Edge { held, wanted, thread, .. } = self.first();
        let (held, wanted) = (self.names.of(held), self.names.of(wanted));
        match self.finding.kind {
            FindingKind::Inversion
            | FindingKind::SingleThreadInversion
            | FindingKind::GuardedInversion => {
                let so_far = match self.finding.kind {
                    FindingKind::SingleThreadInversion => ", so far by one thread",
                    FindingKind::GuardedInversion => ", behind a gate",
                    _ => "",
                };
                if self.len() == 2 && self.has_event() {
                    self.held_over_a_wait() + so_far
                } else if self.len() == 2 {
                    format!("{held} and {wanted} are acquired in both orders{so_far}")
                } else {
                    let (len, circle) = (self.len(), self.held_locks(" → "));
                    let what = if self.has_event() {
                        "locks and events wait for each other"
                    } else {
                        "locks are acquired"
                    };
                    format!("{len} {what} in a circle{so_far}: {circle} → {held}")
                }
            }
            FindingKind::SelfDeadlock if self.initializes() => {
                format!("the initializer of {held} asks for {held} itself")
            }
            FindingKind::SelfDeadlock if self.has_event() => {
                format!("thread `{thread}` waits for {held}, which nobody owes but itself")
            }
            FindingKind::SelfDeadlock => {
                format!("thread `{thread}` acquires {held}, which it holds already")
            }
            FindingKind::RecursiveRead => {
                format!("thread `{thread}` reads {held} again while it holds a read guard of it")
            }
            FindingKind::WaitWhileHolding => {
                let held = self.held_locks(", ");
                format!("thread `{thread}` waits for a notification while it holds {held}")
            }
            FindingKind::Deadlock if self.len() == 1 => {
                let does = if self.has_event() { "owes" } else { "already holds" };
                format!("thread `{thread}` waits for itself: it {does} {held}")
            }
            FindingKind::Deadlock if self.len() == 2 => {
                let other = &self.shown[1].thread;
                format!("threads `{thread}` and `{other}` wait for each other")
            }
            FindingKind::Deadlock => {
                let threads = self.shown.iter().map(|edge| format!("`{}`", edge.thread));
                let mut threads: Vec<_> = threads.collect();
                if self.len() > self.shown.len() {
                    threads.push("…".to_owned());
                }
                let circle = threads.join(" → ");
                format!("{} threads wait for each other: {circle} → `{thread}`", self.len())
            }
            FindingKind::ClassInversion if self.has_event() => {
                format!("locks and events like {held} and {wanted} are waited for in both orders")
            }
            FindingKind::ClassInversion => {
                format!("locks like {held} and {wanted} are acquired in both orders")
            }
            FindingKind::DeclaredOrder => {
                let (wanted, acquired) = (&self.first().wanted, acquired(&self.first().wanted));
                let wanted = self.names.of(wanted);
                format!("{wanted} is {acquired} after {held}, against the declared order")
            }
            FindingKind::LeakedGuard => match self.left_by() {
                Some(_) if self.has_event() => {
                    format!("thread `{thread}` waits for {held}, which nobody will answer")
                }
                Some(_) => format!("thread `{thread}` waits for {held}, which nobody gives back"),
                None if self.has_event() => {
                    format!("thread `{thread}` ended while it owed {held}")
                }
                None => format!("thread `{thread}` ended while it held {held}"),
            },
        }
    }

    /// Returns `true` if something is owed and waited for in it.
    pub(super) fn has_event(&self) -> bool {
        self.shown.iter().any(|edge| edge.held.kind.is_event())
    }

    /// The title of a cycle of two edges: which lock is held over a wait for which event.
    fn held_over_a_wait(&self) -> String {
        let Edge { held, wanted, .. } = self.first();
        let (lock, event) = if wanted.kind.is_event() { (held, wanted) } else { (wanted, held) };
        let (first, second) = (self.names.of(lock), self.names.of(event));
        if lock.kind.is_event() {
            format!(
                "{first} is owed over a wait for {second}, and {second} over a wait for {first}"
            )
        } else {
            format!("{first} is held over a wait for {second}, and acquired while that is owed")
        }
    }

    /// What the first edge's two places are: where the lock has been held since,
    /// and what happens now.
    pub(super) fn now(&self) -> [String; 2] {
        let first = self.first();
        let Edge { held, held_at, wanted, acquired_at, thread, held_mode, .. } = first;
        let (held, wanted) = (self.names.at(held, held_at), self.names.at(wanted, acquired_at));
        let is_owed = first.held.kind.is_event();
        let since = if self.finding.kind == FindingKind::Deadlock {
            return self.waits(1, first);
        } else if let Some(left_by) = self.left_by() {
            let acquired = if is_owed { "owed" } else { "acquired" };
            format!("thread `{left_by}` {acquired} {held} here, and has ended since")
        } else if self.finding.kind == FindingKind::LeakedGuard {
            String::new()
        } else if self.initializes() {
            format!("thread `{thread}` has been running the initializer of {held} since here")
        } else {
            let (has_held, reading) = (kept(&first.held), kept_for(&first.held, *held_mode));
            format!("thread `{thread}` has {has_held} {held}{reading} since here")
        };
        let now = match self.finding.kind {
            FindingKind::Inversion
            | FindingKind::SingleThreadInversion
            | FindingKind::GuardedInversion
            | FindingKind::ClassInversion
            | FindingKind::DeclaredOrder => {
                let acquires = acquires(&first.wanted);
                let reading = for_reading(first.wanted_mode);
                format!("and {acquires} {wanted}{reading} here")
            }
            FindingKind::WaitWhileHolding => format!("waits here, giving {wanted} back meanwhile"),
            FindingKind::SelfDeadlock if self.initializes() => {
                format!("and asks for {wanted} here")
            }
            FindingKind::SelfDeadlock if is_owed => format!("and waits for {wanted} here"),
            FindingKind::SelfDeadlock => format!("and acquires {wanted} again here"),
            FindingKind::RecursiveRead => format!("and reads {wanted} again here"),
            FindingKind::LeakedGuard if self.left_by().is_some() => {
                format!("thread `{thread}` waits for {wanted} here")
            }
            FindingKind::LeakedGuard if is_owed => format!("{held} owed since here"),
            FindingKind::LeakedGuard => format!("{held} acquired here, and never released"),
            FindingKind::Deadlock => unreachable!("seen to above"),
        };
        [since, now]
    }

    /// What a thread of a deadlock holds and waits for, the circle's `number`-th.
    fn waits(&self, number: usize, edge: &Edge) -> [String; 2] {
        let Edge { held, held_at, held_mode, wanted, acquired_at, thread, .. } = edge;
        let (held, wanted) = (self.names.at(held, held_at), self.names.at(wanted, acquired_at));
        let next = &self.finding.cycle[number % self.len()];
        let does = match next {
            next if next.is_queued => "waits to write",
            next if next.held.kind.is_event() => "owes",
            _ => "holds",
        };
        let next = &next.thread;
        let since = if edge.is_queued {
            String::new()
        } else if edge.held.kind.initializes {
            format!("thread `{thread}` has been running the initializer of {held} since here")
        } else {
            let (has_held, reading) = (kept(&edge.held), kept_for(&edge.held, *held_mode));
            format!("thread `{thread}` has {has_held} {held}{reading} since here")
        };
        let reading = for_reading(edge.wanted_mode);
        let now = format!("waits here for {wanted}{reading}, which thread `{next}` {does}");
        [since, now]
    }

    /// The same for an edge that was seen before.
    pub(super) fn before(&self, index: usize, edge: &Edge) -> [String; 2] {
        if self.finding.kind == FindingKind::Deadlock {
            return self.waits(index + 1, edge);
        }
        let held = self.names.at(&edge.held, &edge.held_at);
        let reading = kept_for(&edge.held, edge.held_mode);
        let since = format!("{held} {}{reading} since here", kept(&edge.held));
        let wanted = self.names.at(&edge.wanted, &edge.acquired_at);
        let now = match self.finding.kind {
            FindingKind::WaitWhileHolding => "the same wait".to_owned(),
            _ => [&wanted, " ", acquired(&edge.wanted), for_reading(edge.wanted_mode), " here"]
                .concat(),
        };
        [since, now]
    }

    /// Introduces an edge but the first, by its place in the cycle.
    pub(super) fn further(&self, index: usize) -> String {
        let edge @ Edge { held, wanted, thread, .. } = &self.shown[index];
        let (held, wanted) = (self.names.of(held), self.names.of(wanted));
        let nested = || {
            let (held_it, acquired) = (kept(&edge.held), acquired(&edge.wanted));
            format!("thread `{thread}` {held_it} {held} and {acquired} {wanted}")
        };
        match self.finding.kind {
            FindingKind::WaitWhileHolding => format!("it holds {held} as well"),
            FindingKind::ClassInversion => format!(
                "thread `{thread}` took two others of the same kind, {held} and {wanted}, the other \
                 way round"
            ),
            FindingKind::Deadlock => {
                let (number, len) = (index + 1, self.len());
                let waits = match self.shown[index].waited.and_then(age) {
                    Some(age) => format!("has waited {age} for"),
                    None => "waits for".to_owned(),
                };
                format!("{number} of {len}: thread `{thread}` {waits} {wanted}")
            }
            _ if self.len() > 2 => {
                let number = index + 1;
                let len = self.len();
                format!("{number} of {len}: {}", nested())
            }
            _ if self.has_event() => nested(),
            _ if *thread == self.first().thread => {
                format!("the same thread, `{thread}`, took them the other way round before")
            }
            _ => format!("thread `{thread}` took them the other way round"),
        }
    }

    /// Stands for the edges that are not shown.
    pub(super) fn not_shown(&self) -> Option<String> {
        let rest = self.len() - self.shown.len();
        (rest > 0).then(|| format!("and {rest} more, which `Finding::cycle` has"))
    }

    /// Introduces the writer that made readers wait for each other.
    pub(super) fn writer(&self, writer: &Writer) -> [String; 2] {
        let (lock, thread) = (self.names.of(&writer.lock), &writer.thread);
        let title = format!(
            "thread `{thread}` writes {lock}, for the first time: while a writer waits, readers \
             wait behind it"
        );
        [title, format!("{lock} written here")]
    }

    /// What the locks are, and where they were made.
    pub(super) fn locks(&self) -> String {
        let mut seen: Vec<&LockInfo> = Vec::new();
        // The other two of a class inversion are made alike.
        let told = match self.finding.kind {
            FindingKind::ClassInversion => &self.shown[..1],
            _ => self.shown,
        };
        for lock in told.iter().flat_map(|edge| [&edge.held, &edge.wanted]) {
            if !seen.contains(&lock) {
                seen.push(lock);
            }
        }
        let what = |lock: &LockInfo| {
            let kind = lock.type_name();
            let article = if lock.kind.is_event() { "an" } else { "a" };
            match lock.created_at() {
                Some(site) if !site.is_of_the_toolchain() => {
                    format!("{article} `{kind}` made at {site}")
                }
                _ => format!("{article} `{kind}`"),
            }
        };
        let first = what(seen[0]);
        if seen.len() > 1 && seen.iter().all(|lock| what(lock) == first) {
            return format!("each of them is {first}");
        }
        let line = |lock| format!("{} is {}", self.names.of(lock), what(lock));
        seen.into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Why it is not told.
    pub(super) fn silenced(&self) -> Option<String> {
        let reason = self.finding.silenced.as_ref()?;
        Some(format!("it is silenced: {reason}"))
    }

    /// The headings of an edge's two call stacks.
    pub(super) fn stacks(&self, edge: &Edge) -> [String; 2] {
        let thread = &edge.thread;
        let held = self.names.at(&edge.held, &edge.held_at);
        let wanted = self.names.at(&edge.wanted, &edge.acquired_at);
        let what = match self.finding.kind {
            FindingKind::WaitWhileHolding => format!("waiting with {held} held"),
            FindingKind::Inversion
            | FindingKind::SingleThreadInversion
            | FindingKind::GuardedInversion
            | FindingKind::ClassInversion
            | FindingKind::DeclaredOrder => {
                let does = if edge.wanted.kind.is_event() { "waiting for" } else { "acquiring" };
                format!("{does} {wanted} with {held} {}", kept(&edge.held))
            }
            FindingKind::SelfDeadlock if self.has_event() => format!("waiting for {wanted}"),
            FindingKind::SelfDeadlock | FindingKind::RecursiveRead => {
                format!("acquiring {wanted} again")
            }
            FindingKind::Deadlock | FindingKind::LeakedGuard => format!("waiting for {wanted}"),
        };
        let holds = if edge.held.kind.is_event() { "owing" } else { "acquiring" };
        [
            format!("stack of thread `{thread}`, {holds} {held}"),
            format!("stack of thread `{thread}`, {what}"),
        ]
    }
}

/// ` for reading`, where that matters.
fn for_reading(mode: Mode) -> &'static str {
    match mode {
        Mode::Exclusive | Mode::Upgrade => "",
        Mode::Shared | Mode::RecursiveShared | Mode::Upgradable => " for reading",
    }
}

/// What is done to a lock, or an event, that comes first in an order.
fn kept(lock: &LockInfo) -> &'static str {
    if lock.kind.is_event() { "owed" } else { "held" }
}

/// ` for reading`, where that matters: an event is always owed as others owe it.
fn kept_for(lock: &LockInfo, mode: Mode) -> &'static str {
    if lock.kind.is_event() { "" } else { for_reading(mode) }
}

/// What is done to the one that comes second.
fn acquires(lock: &LockInfo) -> &'static str {
    if lock.kind.is_event() { "waits for" } else { "acquires" }
}

/// The same, as it was done.
fn acquired(lock: &LockInfo) -> &'static str {
    if lock.kind.is_event() { "waited for" } else { "acquired" }
}
