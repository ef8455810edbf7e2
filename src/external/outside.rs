//! The locks that stand for resources: one for each system and key, whichever [`Resource`] names it.
//!
//! [`Resource`]: super::Resource

use std::{
    fmt,
    future::Future,
    hash::{Hash, Hasher},
    mem,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hashbrown::{HashSet, HashTable};
use parking_lot::Mutex;
use rustc_hash::{FxBuildHasher, FxHasher};

use super::pattern;
use crate::{
    finding::{LockKind, LockOf, Mode, ResourceInfo, Role},
    tracked::{Awaited, GuardKind, PendingAcquire, Pool, Tracked},
    validator,
};

/// The number of resources in each generation of the registry.
const GENERATION: usize = 1 << 14;

/// The number of classes of resources.
const MAX_CLASSES: usize = 1 << 12;

/// The number of locks with which a thread or task can hold a further resource. A transaction may lock thousands of
/// rows, and each would be ordered after all others.
const MAX_HELD: usize = 64;

/// The number of characters of a key in its name, which is part of many lines of a report.
const NAME_LENGTH: usize = 80;

/// The length of the class of a key, in bytes. Longer ones are data rather than names.
const MAX_CLASS_LENGTH: usize = 200;

/// How long to wait for the registry. If a fork left it locked, no thread will unlock it.
const REGISTRY_WAIT: Duration = Duration::from_millis(10);

const LOCK: &LockKind = &LockKind { wrapper: "Resource", of: LockOf::Outside, role: Role::Lock };
const POOL: &LockKind = &LockKind { wrapper: "Resource", of: LockOf::Outside, role: Role::Pool };

/// A resource as one [`Resource`](super::Resource) describes it.
#[derive(Clone)]
pub(super) struct Outside {
    system: &'static str,
    key: Box<str>,
    class: Option<&'static str>,
    permits: usize,
    lease: Option<Duration>,
    is_reentrant: bool,
    created: &'static Location<'static>,
}

/// The lock of one resource.
struct Node {
    tracked: Tracked,
    /// Its permits. A lock has one.
    pool: Pool,
    kind: &'static LockKind,
    system: &'static str,
    key: Box<str>,
    class: Option<&'static str>,
    lease: Option<Duration>,
}

/// An acquired resource, until it is dropped. `None` if it is not recorded.
pub(super) struct Token(Option<Taken>);

struct Taken {
    node: Arc<Node>,
    mode: Mode,
    /// The thread or task that has acquired it, and where.
    by: Option<(u64, bool)>,
    at: &'static Location<'static>,
    /// When, and for how long at most, if it has a lease. Other acquisitions may have another one.
    lease: Option<(Instant, Duration)>,
}

/// Resources that are known. Those that were not used for a long time are forgotten: at
/// most [`GENERATION`] that are not held stay in each of the two tables.
struct Registry {
    recent: HashTable<Arc<Node>>,
    earlier: HashTable<Arc<Node>>,
    classes: HashSet<&'static str, FxBuildHasher>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    recent: HashTable::new(),
    earlier: HashTable::new(),
    classes: HashSet::with_hasher(FxBuildHasher),
});

impl Outside {
    #[track_caller]
    pub(super) fn new(system: &'static str, key: impl fmt::Display) -> Self {
        let key = key.to_string().into_boxed_str();
        let created = Location::caller();
        Self { system, key, class: None, permits: 1, lease: None, is_reentrant: false, created }
    }

    pub(super) fn class(&mut self, pattern: &'static str) {
        self.class = Some(pattern);
    }

    pub(super) fn permits(&mut self, permits: usize) {
        self.permits = permits;
    }

    pub(super) fn lease(&mut self, lease: Duration) {
        self.lease = Some(lease);
    }

    pub(super) fn reentrant(&mut self) {
        self.is_reentrant = true;
    }

    #[track_caller]
    pub(super) fn acquire<R, E>(
        &self,
        mode: Mode,
        acquire: impl FnOnce() -> Result<R, E>,
    ) -> Result<(Token, R), E> {
        let Some((node, mode)) = self.to_check(mode) else { return Ok((Token(None), acquire()?)) };
        let pending = node.tracked.about_to_block(node.kind, mode);
        // A lease ends the wait.
        let acquired = match node.lease {
            Some(_) => pending.wait_timeout(acquire),
            None => pending.wait(acquire),
        };
        let value = recorded(pending, acquired)?;
        Ok((Token::new(node, mode, Location::caller(), self.lease), value))
    }

    #[track_caller]
    pub(super) fn try_acquire<R, E>(
        &self,
        mode: Mode,
        acquire: impl FnOnce() -> Result<R, E>,
    ) -> Result<(Token, R), E> {
        let Some((node, mode)) = self.to_check(mode) else { return Ok((Token(None), acquire()?)) };
        let pending = node.tracked.about_to_try(node.kind, mode);
        let value = recorded(pending, acquire())?;
        Ok((Token::new(node, mode, Location::caller(), self.lease), value))
    }

    #[track_caller]
    pub(super) fn acquire_async<F, R, E>(
        &self,
        mode: Mode,
        acquire: F,
    ) -> impl Future<Output = Result<(Token, R), E>> + use<F, R, E>
    where
        F: Future<Output = Result<R, E>>,
    {
        // Not in a closure, which would be the caller.
        let to_check = match self.to_check(mode) {
            Some((node, mode)) => {
                let awaited = Awaited::new(node.kind, mode, GuardKind::Staying);
                Some((node, mode, awaited))
            }
            None => None,
        };
        Acquire { to_check, at: Location::caller(), lease: self.lease, call: Box::pin(acquire) }
    }

    #[allow(clippy::unnecessary_wraps, reason = "as in a build that is not checked")]
    pub(super) fn number(&self) -> Option<u64> {
        let node = self.node();
        Some(node.tracked.number(node.kind))
    }

    /// Returns the lock, and the mode in which it is acquired. `None` if the acquisition is not
    /// checked: the thread or task has the resource already, or very many, or it runs in a task that
    /// lockdep does not know, so that its guard may go anywhere.
    fn to_check(&self, mode: Mode) -> Option<(Arc<Node>, Mode)> {
        if is_in_unknown_task() || validator::depth() >= MAX_HELD {
            return None;
        }
        let node = self.node();
        if self.is_another_pool(&node) {
            node.pool.note_change(&node.tracked, node.kind);
        }
        let mode = match mode {
            _ if node.kind.role == Role::Pool => Mode::Shared,
            Mode::Upgrade | Mode::Initialized => Mode::Exclusive,
            mode => mode,
        };
        let is_again = self.is_reentrant && node.tracked.is_held_here();
        (!is_again).then_some((node, mode))
    }

    /// Returns `true` if the pool is not described as it was at first, or has leases, which end by themselves.
    fn is_another_pool(&self, node: &Node) -> bool {
        // A description without permits has one.
        self.permits > 1 && self.permits != node.pool.permits() || self.lease.is_some()
    }

    /// Returns the lock of this resource.
    fn node(&self) -> Arc<Node> {
        let hash = hash(self.system, &self.key);
        let known = registry(|registry| registry.find(hash, self.system, &self.key)).flatten();
        known.unwrap_or_else(|| self.added(hash))
    }

    #[cold]
    fn added(&self, hash: u64) -> Arc<Node> {
        let (system, key) = (self.system, self.key.clone());
        let kind = if self.permits > 1 { POOL } else { LOCK };
        let is_name = |it: &String| it.len() <= MAX_CLASS_LENGTH && !it.contains(char::is_control);
        let of_key = || Some(pattern::of(&self.key)).filter(is_name);
        let class = self.class.map(str::to_owned).or_else(of_key);
        let class = class.and_then(|class| {
            registry(|registry| registry.class(format!("{system} {class}"))).flatten()
        });
        let tracked = Tracked::created_at(self.created);
        // Before any other thread knows it.
        let number = tracked.number(kind);
        validator::name(number, &format!("{system} {}", in_short(&key)));
        if let Some(class) = class {
            validator::class(number, class);
        }
        let lease = self.lease;
        let known_by =
            (kind.role == Role::Lock).then(|| format!("{system} {key}").into_boxed_str());
        validator::resource(number, ResourceInfo { key: known_by, lease });
        let pool = Pool::new(self.permits);
        let node = Arc::new(Node { tracked, pool, kind, system, key, class, lease });
        let (node, forgotten) = registry(|registry| registry.add(hash, Arc::clone(&node)))
            .unwrap_or((node, HashTable::new()));
        // Their locks are forgotten as well.
        drop(forgotten);
        node
    }
}

/// Returns a key as reports name it: printable, and not too long for a line.
fn in_short(key: &str) -> String {
    let escaped = |part: &str| -> String {
        let escaped = part.chars().map(|it| match it {
            _ if it.is_control() => it.escape_default().to_string(),
            _ => it.to_string(),
        });
        escaped.collect()
    };
    let [head, tail] = [2 * NAME_LENGTH / 3, NAME_LENGTH / 3];
    let head = key.char_indices().nth(head).map_or(key.len(), |(at, _)| at);
    match key[head..].char_indices().rev().nth(tail) {
        Some((at, _)) => format!("{}…{}", escaped(&key[..head]), escaped(&key[head + at..])),
        None => escaped(key),
    }
}

/// Records whether a call has acquired the resource, and returns its result.
fn recorded<R, E>(pending: PendingAcquire<'_>, acquired: Result<R, E>) -> Result<R, E> {
    match acquired {
        Ok(_) => pending.acquired_to_send(),
        Err(_) => pending.abandon(),
    }
    acquired
}

/// Returns `true` if a runtime polls a task in this thread that lockdep does not know.
fn is_in_unknown_task() -> bool {
    #[cfg(feature = "tokio")]
    let is_in_task = crate::tokio::sync::is_in_task();
    #[cfg(not(feature = "tokio"))]
    let is_in_task = false;
    is_in_task && !validator::tasks::is_known()
}

fn hash(system: &str, key: &str) -> u64 {
    let mut hasher = FxHasher::default();
    (system, key).hash(&mut hasher);
    hasher.finish()
}

/// Runs `body` with the registry. `None` if a fork left it locked, or the thread that a signal handler has interrupted
/// has it.
fn registry<R>(body: impl FnOnce(&mut Registry) -> R) -> Option<R> {
    validator::inside(|| Some(body(&mut *REGISTRY.try_lock_for(REGISTRY_WAIT)?)))
}

impl Registry {
    fn find(&mut self, hash: u64, system: &str, key: &str) -> Option<Arc<Node>> {
        let is_it = |node: &Arc<Node>| node.system == system && *node.key == *key;
        if let Some(node) = self.recent.find(hash, is_it) {
            return Some(Arc::clone(node));
        }
        let (node, _) = self.earlier.find_entry(hash, is_it).ok()?.remove();
        self.recent.insert_unique(hash, Arc::clone(&node), Node::hash);
        Some(node)
    }

    /// Adds a resource, unless another thread has added it meanwhile. Returns the one that is in the
    /// registry now, and those that are forgotten for it.
    fn add(&mut self, hash: u64, node: Arc<Node>) -> (Arc<Node>, HashTable<Arc<Node>>) {
        if let Some(known) = self.find(hash, node.system, &node.key) {
            return (known, HashTable::new());
        }
        let mut forgotten = HashTable::new();
        if self.recent.len() >= GENERATION {
            forgotten = mem::replace(&mut self.earlier, mem::take(&mut self.recent));
            // A second lock for a resource that is held would not know of its holder.
            for held in forgotten.extract_if(|node| Arc::strong_count(node) > 1) {
                self.recent.insert_unique(held.hash(), held, Node::hash);
            }
        }
        self.recent.insert_unique(hash, Arc::clone(&node), Node::hash);
        (node, forgotten)
    }

    /// Returns a class by its name. Its name stays in memory; `None` once there are too many.
    fn class(&mut self, name: String) -> Option<&'static str> {
        if let Some(known) = self.classes.get(&*name) {
            return Some(known);
        }
        if self.classes.len() >= MAX_CLASSES {
            return None;
        }
        let name: &'static str = name.leak();
        self.classes.insert(name);
        Some(name)
    }
}

impl Node {
    fn hash(self: &Arc<Self>) -> u64 {
        hash(self.system, &self.key)
    }
}

impl Token {
    fn new(
        node: Arc<Node>,
        mode: Mode,
        at: &'static Location<'static>,
        lease: Option<Duration>,
    ) -> Self {
        let lease = lease.map(|lease| (Instant::now(), lease));
        node.pool.add(&node.tracked, node.kind, 1);
        Self(Some(Taken { node, mode, by: validator::actor_number(), at, lease }))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(Taken { node, mode, by, at, lease }) = &self.0 {
            let held_for = lease.map(|(since, lease)| (since.elapsed(), lease));
            if let Some((held_for, lease)) = held_for.filter(|(held_for, lease)| held_for > lease) {
                node.tracked.held_too_long(*mode, at, held_for, lease);
            }
            node.pool.remove(1);
            if *by != validator::actor_number() {
                node.tracked.changed_hands(*mode, node.class, at);
            }
            node.tracked.release(*mode, || ());
        }
    }
}

/// The future of an acquisition.
struct Acquire<F> {
    to_check: Option<(Arc<Node>, Mode, Awaited)>,
    at: &'static Location<'static>,
    lease: Option<Duration>,
    call: Pin<Box<F>>,
}

impl<F, R, E> Future for Acquire<F>
where
    F: Future<Output = Result<R, E>>,
{
    type Output = Result<(Token, R), E>;

    /// `track_caller`, so that a panic shows the location of the `.await`.
    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { to_check, at, lease, call } = &mut *self;
        let Some((node, mode, awaited)) = to_check else {
            return call.as_mut().poll(cx).map_ok(|value| (Token(None), value));
        };
        let is_recorded = validator::tasks::is_known();
        let polled = awaited.poll(&node.tracked, cx, |cx| call.as_mut().poll(cx));
        polled.map_ok(|value| {
            let taken = is_recorded.then(|| Token::new(Arc::clone(node), *mode, at, *lease));
            (taken.unwrap_or(Token(None)), value)
        })
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Resource").field(&self.system).field(&self.key).finish()
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;

    /// However many keys there are, few of them are remembered: those that are held, and the last ones.
    #[test]
    fn the_number_of_resources_is_bounded() {
        let mut registry = Registry {
            recent: HashTable::new(),
            earlier: HashTable::new(),
            classes: HashSet::default(),
        };
        let node = |key: usize| {
            let (tracked, key) = (Tracked::created_at(Location::caller()), key.to_string());
            Arc::new(Node {
                tracked,
                pool: Pool::new(1),
                kind: LOCK,
                system: "many",
                key: key.into(),
                class: None,
                lease: None,
            })
        };
        let find = |registry: &mut Registry, key: usize| {
            let key = key.to_string();
            registry.find(hash("many", &key), "many", &key)
        };
        let held = node(0);
        registry.add(held.hash(), Arc::clone(&held));
        for key in 1..4 * GENERATION {
            let node = node(key);
            registry.add(node.hash(), node);
            assert!(registry.recent.len() + registry.earlier.len() <= 2 * GENERATION);
            if key % 1000 == 0 {
                // Used now and then, so it stays.
                assert!(find(&mut registry, 1).is_some());
            }
        }
        assert!(find(&mut registry, 0).is_some_and(|it| Arc::ptr_eq(&it, &held)));
        assert!(
            find(&mut registry, 1).is_some() && find(&mut registry, 4 * GENERATION - 1).is_some()
        );
        assert!(find(&mut registry, 2).is_none());

        for class in 0..=MAX_CLASSES {
            let is_there = registry.class(class.to_string()).is_some();
            assert_eq!(is_there, class < MAX_CLASSES);
        }
        assert!(registry.class("7".to_owned()).is_some());
    }
}
