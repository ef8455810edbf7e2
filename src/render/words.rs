//! The sentences of a report, by kind. Each states what was seen or what would have to happen; none
//! calls a possible deadlock a deadlock.

use std::time::Duration;

use super::{
    WIDTH, age, roles,
    story::Story,
    thread_names::{spawned, what_all, who},
};
use crate::{
    duration,
    finding::{
        Detail, Edge, Exhausted, FindingKind, InJob, LockInfo, Mode, Role, ThreadInfo, WaitKind,
        Writer,
    },
};

impl Story<'_> {
    pub(super) fn first(&self) -> &Edge {
        &self.shown[0]
    }

    /// Returns the number of edges, including those that are not shown.
    pub(super) fn len(&self) -> usize {
        self.finding.cycle.len()
    }

    /// Returns `true` if holding the lock means running its initializer.
    pub(super) fn initializes(&self) -> bool {
        self.first().held.kind.role == Role::Initializer
    }

    /// Returns `true` if the same two lines acquired all of these locks, which were passed to them
    /// in different orders.
    pub(super) fn same_lines(&self) -> bool {
        let first = self.first();
        self.shown
            .iter()
            .all(|edge| (&edge.held_at, &edge.acquired_at) == (&first.held_at, &first.acquired_at))
    }

    /// Returns ` while a writer waits for …` if readers meet somewhere in the cycle, because they
    /// wait for each other only then.
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

    /// Returns the lock and the wait of a cycle of two edges, one of which waits for something
    /// other than a lock.
    pub(super) fn wait_in_cycle(&self) -> Option<[&LockInfo; 2]> {
        let [first, second] = &self.shown[..] else { return None };
        [first, second]
            .into_iter()
            .find(|edge| !edge.wanted.kind.role.is_lock())
            .filter(|edge| edge.held.kind.role.is_lock())
            .map(|edge| [&edge.held, &edge.wanted])
    }

    /// Returns the edge of a cycle that uses a cell whose initializer had run.
    pub(super) fn use_of_cell(&self) -> Option<&Edge> {
        match self.finding.kind {
            FindingKind::OrderedInversion => self.shown.iter().find(|edge| roles::is_use(edge)),
            _ => None,
        }
    }

    /// Returns the edge of a cycle whose held lock no other thread knew, by index.
    pub(super) fn unshared(&self) -> Option<(usize, &Edge)> {
        match self.finding.detail {
            Detail::Unshared(at) => self.finding.cycle.get(at).map(|edge| (at, edge)),
            _ => None,
        }
    }

    /// Returns a note on why a lock counts as unknown to other threads.
    pub(super) fn newness(&self) -> Option<String> {
        let (_, edge) = self.unshared()?;
        let (held, wanted) = (self.names.of(&edge.held), self.names.of(&edge.wanted));
        let who = who(&edge.thread);
        Some(format!(
            "{held} was new: {who} had just made it, and no other knew it before {wanted} was acquired"
        ))
    }

    /// Returns the locks that keep a cycle from closing.
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

    /// Returns the pool in a deadlock, all of whose permits are held by threads or tasks that wait.
    pub(super) fn exhausted(&self) -> Option<&Exhausted> {
        match &self.finding.detail {
            Detail::Exhausted(pool) => Some(pool),
            _ => None,
        }
    }

    /// Returns how long a lock with a lease was held, in milliseconds if these are more than the lease, and its lease.
    pub(super) fn held_for(&self) -> [duration::Display; 2] {
        let (time, lease) = match self.finding.detail {
            Detail::HeldFor(time, lease) => (time, lease),
            _ => (Duration::ZERO, Duration::ZERO),
        };
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let rounded = Duration::from_millis(milliseconds);
        [if rounded > lease { rounded } else { time }, lease].map(duration::Display)
    }

    /// Returns the thread that ended without releasing the lock for which another is about to wait.
    pub(super) fn left_by(&self) -> Option<&ThreadInfo> {
        match &self.finding.detail {
            Detail::LeftBy(thread) => Some(thread),
            _ => None,
        }
    }

    /// Returns the thread that holds the lock for which another is about to wait, if it does not
    /// exist in this forked process.
    pub(super) fn left_in_parent(&self) -> Option<&ThreadInfo> {
        match &self.finding.detail {
            Detail::LeftInParent(thread) => Some(thread),
            _ => None,
        }
    }

    /// Returns `true` if another thread has destroyed the lock.
    pub(super) fn is_destroyed(&self) -> bool {
        matches!(self.finding.detail, Detail::Destroyed)
    }

    /// Returns the kind of the wait during which locks are held.
    pub(super) fn wait(&self) -> WaitKind {
        match self.finding.detail {
            Detail::Wait(kind) => kind,
            _ => WaitKind::Condvar,
        }
    }

    /// Returns `true` if the first edge holds an event.
    pub(super) fn is_of_event(&self) -> bool {
        self.first().held.kind.is_event()
    }

    /// Returns `true` if each edge waits for one event while another is owed.
    pub(super) fn is_of_events(&self) -> bool {
        self.shown.iter().all(|edge| edge.held.kind.is_event() && edge.wanted.kind.is_event())
    }

    /// Returns `true` if any edge waits for something other than a lock.
    pub(super) fn has_wait(&self) -> bool {
        self.shown.iter().any(|edge| !edge.wanted.kind.role.is_lock())
    }

    /// Returns `true` if the first edge waits for something other than a lock.
    pub(super) fn is_wait(&self) -> bool {
        !self.first().wanted.kind.role.is_lock()
    }

    /// Returns labels for the two places of the first edge: where the lock was acquired, and what
    /// happens now.
    pub(super) fn now(&self) -> [String; 2] {
        let first = self.first();
        let Edge { held, held_at, wanted, acquired_at, held_mode, .. } = first;
        let (held, wanted) =
            (self.names.in_label(held, held_at), self.names.in_label(wanted, acquired_at));
        let since = if let Some(holder) = self.left_in_parent() {
            let since = roles::held_at_fork(first, &who(holder), &held, for_reading(*held_mode));
            return [since, format!("{} waits for {wanted} here", who(&first.thread))];
        } else if self.is_circle_of_waits() {
            return self.waits(1, first);
        } else if let Some(left_by) = self.left_by() {
            let acquired = if self.is_of_event() { "owed" } else { "acquired" };
            format!("{} {acquired} {held} here, and has ended since", who(left_by))
        } else if self.has_one_place() {
            String::new()
        } else {
            roles::has_held(first, &held, for_reading(*held_mode))
        };
        let now = match self.finding.kind {
            FindingKind::Inversion
            | FindingKind::OrderedInversion
            | FindingKind::SingleThreadInversion
            | FindingKind::GuardedInversion
            | FindingKind::LeasedInversion
            | FindingKind::ClassInversion
            | FindingKind::SameClassNesting
            | FindingKind::DeclaredOrder => {
                roles::wants(first, &wanted, for_reading(first.wanted_mode))
            }
            FindingKind::WaitWhileHolding if self.wait() == WaitKind::Condvar => {
                format!("waits here, releasing {wanted} meanwhile")
            }
            FindingKind::WaitWhileHolding => {
                format!("waits for {} here, with {held} held", event(self.wait(), &wanted))
            }
            FindingKind::SelfDeadlock if self.initializes() => {
                format!("and uses {wanted} here")
            }
            FindingKind::SelfDeadlock if self.is_wait() => format!("and waits for {wanted} here"),
            FindingKind::SelfDeadlock => format!("and acquires {wanted} again here"),
            FindingKind::RecursiveRead => format!("and reads {wanted} again here"),
            FindingKind::LeakedGuard if self.left_by().is_some() => {
                format!("{} waits for {wanted} here", who(&first.thread))
            }
            FindingKind::LeakedGuard if self.is_of_event() => format!("{held} owed since here"),
            FindingKind::LeakedGuard => format!("{held} acquired here, and never released"),
            FindingKind::ExpiredLease => {
                let [_, lease] = self.held_for();
                format!("{held} acquired here, for {lease} at most")
            }
            FindingKind::HeldAcrossAwait => {
                format!("{held} acquired here, and held while {} waits", who(&first.thread))
            }
            FindingKind::PoolExhaustion => "and waits for another permit here".to_owned(),
            FindingKind::Futurelock if self.has_one_place() => {
                format!(
                    "one future was granted {held} here and is not polled, another waits for it"
                )
            }
            FindingKind::Futurelock => format!("and waits for {wanted} here"),
            FindingKind::Deadlock => unreachable!("seen to above"),
        };
        [since, now]
    }

    /// Returns `true` if one label is enough for both places of the first edge.
    fn has_one_place(&self) -> bool {
        let first = self.first();
        match self.finding.kind {
            FindingKind::LeakedGuard => self.left_by().is_none(),
            FindingKind::HeldAcrossAwait | FindingKind::ExpiredLease => true,
            FindingKind::Futurelock => first.is_granted && first.held_at == first.acquired_at,
            _ => false,
        }
    }

    /// Returns `true` if each edge is a current wait for the next one.
    pub(super) fn is_circle_of_waits(&self) -> bool {
        match self.finding.kind {
            FindingKind::Deadlock => true,
            FindingKind::Futurelock => self.len() > 1,
            _ => false,
        }
    }

    /// Returns labels for a thread or task of a deadlock: what it holds, and what it waits for.
    /// `number` is the index of the next edge.
    fn waits(&self, number: usize, edge: &Edge) -> [String; 2] {
        let Edge { held, held_at, held_mode, wanted, acquired_at, .. } = edge;
        let (held, wanted) =
            (self.names.in_label(held, held_at), self.names.in_label(wanted, acquired_at));
        let next = &self.finding.cycle[number % self.len()];
        let does = match next {
            next if next.is_queued => "waits to write",
            next if next.held.kind.is_event() => "owes",
            next if next.is_granted => "was granted",
            _ => "holds",
        };
        let next = who(&next.thread);
        let owes = matches!(edge.held.kind.role, Role::Channel | Role::Barrier | Role::Jobs);
        let since = if edge.is_queued || owes {
            String::new()
        } else {
            roles::has_held(edge, &held, for_reading(*held_mode))
        };
        if edge.wanted.kind.role == Role::Exit {
            return [since, format!("waits here for the end of {next}")];
        }
        match edge.wanted.kind.role {
            Role::Channel => {
                let now = format!("waits here for space in {wanted}, from which {next} receives");
                return [since, now];
            }
            Role::Barrier => {
                let now = format!("waits here at {wanted}, which {next} must reach");
                return [since, now];
            }
            Role::Jobs => {
                let now = format!("waits here for jobs of {wanted}, one of which {next} runs");
                return [since, now];
            }
            Role::Pool if self.len() == 1 => {
                return [since, "waits here for another one".to_owned()];
            }
            Role::Pool => {
                let now = format!("waits here for a permit of {wanted}, one of which {next} holds");
                return [since, now];
            }
            _ => {}
        }
        let reading = for_reading(edge.wanted_mode);
        let now = format!("waits here for {wanted}{reading}, which {next} {does}");
        [since, now]
    }

    /// Returns labels for the two places of an edge that was seen before.
    pub(super) fn before(&self, index: usize, edge: &Edge) -> [String; 2] {
        if self.is_circle_of_waits() {
            return self.waits(index + 1, edge);
        }
        let held = self.names.in_label(&edge.held, &edge.held_at);
        let reading = for_reading(edge.held_mode);
        let since = roles::held_before(edge, &held, reading);
        let wanted = self.names.in_label(&edge.wanted, &edge.acquired_at);
        let now = match self.finding.kind {
            FindingKind::WaitWhileHolding => "the same wait".to_owned(),
            _ => roles::wanted_before(edge, &wanted, for_reading(edge.wanted_mode)),
        };
        [since, now]
    }

    /// Introduces an edge other than the first, by its place in the cycle.
    pub(super) fn further(&self, index: usize) -> String {
        let Edge { held, wanted, thread, .. } = &self.shown[index];
        let (held, wanted) = (self.names.of(held), self.names.of(wanted));
        let who = who(thread);
        match self.finding.kind {
            FindingKind::WaitWhileHolding => format!("it holds {held} as well"),
            FindingKind::ClassInversion => format!(
                "{who} acquired two others of the same classes, {held} and {wanted}, in the opposite order"
            ),
            _ if self.is_circle_of_waits() => {
                let number = match self.exhausted() {
                    // These are only some of the threads or tasks that wait.
                    Some(_) => String::new(),
                    None => format!("{} of {}: ", index + 1, self.len()),
                };
                let waits = match self.shown[index].waited.and_then(age) {
                    Some(age) => format!("has waited {age} for"),
                    None => "waits for".to_owned(),
                };
                let wanted = roles::awaited(self.shown[index].wanted.kind.role, &wanted);
                format!("{number}{who} {waits} {wanted}")
            }
            _ if self.len() > 2
                || self.wait_in_cycle().is_some()
                || self.use_of_cell().is_some()
                || self.is_of_events() =>
            {
                let edge = &self.shown[index];
                let step = match edge.held.kind.role {
                    Role::Initializer if self.use_of_cell().is_some() => {
                        roles::initializing(edge, &held, &wanted)
                    }
                    _ => roles::step(edge, &held, &wanted),
                };
                // A thread without a name is called by its handle.
                let is_called_so = edge.held.kind.role == Role::Exit && thread.name().is_none();
                let who = if is_called_so { roles::thread(&held) } else { who };
                match self.len() {
                    ..=2 => format!("{who} {step}"),
                    len => format!("{} of {len}: {who} {step}", index + 1),
                }
            }
            _ if *thread == self.first().thread && thread.is_task() => {
                format!("{who} itself acquired them in the opposite order before")
            }
            _ if *thread == self.first().thread => {
                let name = if thread.is_called_by_site() { "" } else { &format!(", `{thread}`,") };
                format!("the same thread{name} acquired them in the opposite order before")
            }
            _ => format!("{who} acquired them in the opposite order"),
        }
    }

    /// Says how many edges are not shown.
    pub(super) fn not_shown(&self) -> Option<String> {
        let rest = self.len() - self.shown.len();
        (rest > 0).then(|| format!("and {rest} more: see `Finding::cycle`"))
    }

    /// Introduces the writer that makes readers wait for each other.
    pub(super) fn writer(&self, writer: &Writer) -> [String; 2] {
        let (lock, who) = (self.names.of(&writer.lock), who(&writer.thread));
        let title = format!(
            "{who} writes {lock} for the first time: while a writer waits, readers wait behind it"
        );
        [title, format!("{lock} written here")]
    }

    /// Explains how a lock came to be held by a thread that does not exist in this process.
    pub(super) fn fork(&self) -> Option<String> {
        let holder = who(self.left_in_parent()?);
        let held = self.names.of(&self.first().held);
        Some(format!(
            "this process is a copy of one in which {holder} held {held}: `fork` copies every lock as it is, \
             but of the threads only the one that calls it"
        ))
    }

    /// Says how a thread came to run a job while it held the lock.
    pub(super) fn in_job(&self) -> Option<String> {
        let Detail::InJob(InJob { waits_at, is_stolen }) = &self.finding.detail else {
            return None;
        };
        let (who, held) = (who(&self.first().thread), self.names.of(&self.first().held));
        Some(if *is_stolen {
            format!(
                "this is a job that was stolen while {who} waited at {waits_at}, where it holds {held}"
            )
        } else {
            format!(
                "this is a job of the call at {waits_at}, for which {who} waits with {held} held"
            )
        })
    }

    /// Returns the types of the locks, and where they were created.
    pub(super) fn locks(&self) -> String {
        let mut seen: Vec<&LockInfo> = Vec::new();
        // The other two locks of a class inversion were created alike.
        let told = match self.finding.kind {
            FindingKind::ClassInversion => &self.shown[..1],
            _ => &self.shown,
        };
        for lock in told.iter().flat_map(|edge| [&edge.held, &edge.wanted]) {
            if lock.kind.role != Role::Token && !seen.contains(&lock) {
                seen.push(lock);
            }
        }
        // A thread that is called by the place of its spawn says it already.
        if seen.iter().any(|lock| !self.names.is_by_site(lock)) {
            seen.retain(|lock| !self.names.is_by_site(lock));
        }
        let first = what_it_is(seen[0]);
        if seen.len() > 1 && seen.iter().all(|lock| what_it_is(lock) == first) {
            return format!("each of them is {first}");
        }
        let line = |lock| format!("{} is {}", self.names.of(lock), what_it_is(lock));
        seen.into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Returns where the tasks were spawned.
    pub(super) fn spawned(&self) -> Option<String> {
        let writer = match &self.finding.detail {
            Detail::Writer(writer) => Some(&writer.thread),
            _ => None,
        };
        let members = self.shown.iter().map(|edge| &edge.thread);
        spawned(members.chain(writer).chain(self.left_by()).chain(self.left_in_parent()))
    }

    /// Returns the condition under which the finding is true, if there is one.
    pub(super) fn doubt(&self) -> Option<String> {
        if let Some(pool) = self.exhausted() {
            return Some(Self::doubt_of_pool(pool, &self.names.of(&pool.pool)));
        }
        let doubtful = self.shown.iter().filter(|edge| edge.may_have_left);
        let guard = |edge: &Edge| {
            format!("{} still has its guard of {}", who(&edge.thread), self.names.of(&edge.held))
        };
        let guards: Vec<String> = doubtful.map(guard).collect();
        (!guards.is_empty()).then(|| {
            format!(
                "this is a deadlock only if {}: a task may move a guard to another task or thread",
                guards.join(", and ")
            )
        })
    }

    /// Returns the condition under which the permits of a pool never become free.
    fn doubt_of_pool(pool: &Exhausted, name: &str) -> String {
        let ends = if pool.may_grow() {
            format!("nothing adds a permit to {name} or closes it")
        } else {
            format!("a wait for a permit of {name} has no time limit")
        };
        let guards = match &pool.threads[..] {
            _ if !pool.may_have_left => String::new(),
            [only] => format!(", and if {} still has its guards", who(&only.thread)),
            all => {
                let holders = what_all(all.iter().map(|it| &it.thread));
                format!(", and if the {holders} below still have their guards")
            }
        };
        textwrap::fill(&format!("this is a deadlock only if {ends}{guards}"), WIDTH)
    }

    /// Says how to learn more if the source lines do not show which code acquired the lock.
    pub(super) fn hint(&self) -> Option<&'static str> {
        let first = self.first();
        match self.finding.kind {
            FindingKind::Futurelock if self.has_one_place() && first.backtrace.is_empty() => {
                Some("`LOCKDEP_BACKTRACE=full` shows which two futures these are")
            }
            // If a function returns the guard, the await is in a caller.
            kind if first.held_backtrace.is_empty()
                && (kind == FindingKind::HeldAcrossAwait
                    || first.held_at.is_of_reentrant_mutex()) =>
            {
                Some("`LOCKDEP_BACKTRACE=full` shows the call stack of the acquisition")
            }
            _ => None,
        }
    }

    /// Returns why the finding is silenced.
    pub(super) fn silenced(&self) -> Option<String> {
        let reason = self.finding.silenced.as_ref()?;
        Some(format!("it is silenced: {reason}"))
    }

    /// Returns the headings of an edge's two call stacks.
    pub(super) fn stacks(&self, edge: &Edge) -> [String; 2] {
        let who = who(&edge.thread);
        let held = self.names.at(&edge.held, &edge.held_at);
        let wanted = self.names.at(&edge.wanted, &edge.acquired_at);
        let what = match self.finding.kind {
            FindingKind::WaitWhileHolding => format!("waiting with {held} held"),
            FindingKind::Inversion
            | FindingKind::OrderedInversion
            | FindingKind::SingleThreadInversion
            | FindingKind::GuardedInversion
            | FindingKind::LeasedInversion
            | FindingKind::ClassInversion
            | FindingKind::SameClassNesting
            | FindingKind::DeclaredOrder => roles::while_holding(edge, &wanted, &held),
            FindingKind::SelfDeadlock if self.is_wait() => format!("waiting for {wanted}"),
            FindingKind::SelfDeadlock | FindingKind::RecursiveRead => {
                format!("acquiring {wanted} again")
            }
            FindingKind::ExpiredLease => format!("releasing {held}"),
            FindingKind::Deadlock
            | FindingKind::LeakedGuard
            | FindingKind::HeldAcrossAwait
            | FindingKind::Futurelock
            | FindingKind::PoolExhaustion => {
                format!("waiting for {}", roles::awaited(edge.wanted.kind.role, &wanted))
            }
        };
        let holds = match edge.held.kind.role {
            Role::Event => "owing",
            _ if edge.is_granted => "requesting",
            _ => "acquiring",
        };
        let holder = self.left_in_parent().map_or_else(|| who.clone(), super::thread_names::who);
        [format!("stack of {holder}, {holds} {held}"), format!("stack of {who}, {what}")]
    }
}

/// Returns the lease of a lock that has one.
pub(super) fn lease_of(lock: &LockInfo) -> duration::Display {
    duration::Display(lock.lease().unwrap_or_default())
}

/// Returns a lock's type, and where it was created: `` a `Mutex<Vec<Job>>` made at src/main.rs:3:20
/// ``.
pub(super) fn what_it_is(lock: &LockInfo) -> String {
    let kind = roles::what(lock);
    match lock.created_at() {
        Some(site) if !site.is_of_the_toolchain() => {
            format!("{kind} {} at {site}", roles::made(lock.kind.role))
        }
        _ => kind,
    }
}

/// Describes the awaited event, by the name of its source.
pub(super) fn event(kind: WaitKind, name: &str) -> String {
    match kind {
        WaitKind::Join => format!("{} to end", roles::thread(name)),
        WaitKind::Recv => format!("a message from {name}"),
        WaitKind::Send => format!("space in {name}"),
        WaitKind::Barrier => format!("the other threads at {name}"),
        WaitKind::Jobs => format!("jobs of {name}"),
        WaitKind::Condvar | WaitKind::Park => kind.event().to_owned(),
    }
}

/// Returns ` for reading` for modes other than exclusive.
fn for_reading(mode: Mode) -> &'static str {
    match mode {
        Mode::Exclusive | Mode::Upgrade | Mode::Initialized => "",
        Mode::Shared | Mode::RecursiveShared | Mode::Upgradable => " for reading",
    }
}
