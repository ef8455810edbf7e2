//! A lock: its identity, its type, and the modes in which it can be acquired.

use std::{fmt, sync::Arc, time::Duration};

use super::Site;

/// How a lock is acquired.
///
/// ```
/// # use lockdep::sync::{Mutex, RwLock};
/// use lockdep::Mode;
///
/// let (rates, accounts) = (RwLock::new(()), Mutex::new(()));
/// drop((rates.read(), accounts.lock()));
/// for edge in lockdep::order_graph().as_petgraph().edge_weights() {
///     assert_eq!((edge.held_mode(), edge.wanted_mode()), (Mode::Shared, Mode::Exclusive));
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Mode {
    /// Excludes all others: `lock`, `write`, running an initializer.
    Exclusive = 0,
    /// Allows other readers, and queues behind a waiting writer: `read`.
    Shared = 1,
    /// Allows other readers, and overtakes a waiting writer: `read_recursive`.
    RecursiveShared = 2,
    /// Allows readers, but no other upgradable reader: `upgradable_read`.
    Upgradable = 3,
    /// Turns upgradable into exclusive once the readers are gone: `upgrade`.
    Upgrade = 4,
    /// Uses a cell whose initializer has run and took locks: `get_or_init`, `force`. It waits for
    /// nothing now, but would wait for the initializer.
    Initialized = 5,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 6] = [
        Self::Exclusive,
        Self::Shared,
        Self::RecursiveShared,
        Self::Upgradable,
        Self::Upgrade,
        Self::Initialized,
    ];

    /// Returns the name used in reports and records, such as `recursive shared`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
            Self::RecursiveShared => "recursive shared",
            Self::Upgradable => "upgradable",
            Self::Upgrade => "upgrade",
            Self::Initialized => "initialized",
        }
    }

    /// Returns the mode in which the lock is held after an acquisition in this one: a recursive
    /// reader holds it like any reader.
    #[doc(hidden)]
    #[must_use]
    pub const fn once_held(self) -> Self {
        match self {
            Self::RecursiveShared => Self::Shared,
            Self::Upgrade => Self::Exclusive,
            other => other,
        }
    }

    /// Returns `true` if an acquisition in this mode waits for a thread that holds the lock in mode
    /// `held`: the rule that makes a cycle of edges a deadlock.
    ///
    /// | wanted \ held    | exclusive | shared               | upgradable |
    /// |------------------|-----------|----------------------|------------|
    /// | exclusive        | waits     | waits                | waits      |
    /// | shared           | waits     | behind a writer only | never      |
    /// | recursive shared | waits     | never                | never      |
    /// | upgradable       | waits     | behind a writer only | waits      |
    /// | upgrade          | -         | waits                | -          |
    /// | initialized      | would     | -                    | -          |
    ///
    /// A plain reader queues behind a waiting writer, which waits for the reader that holds the
    /// lock. So readers wait for readers, but only if the lock is also written. The kernel's
    /// lockdep design document proves that a cycle in which every adjacent pair waits ("a strong
    /// path") is a possible deadlock, and that no other cycle is.
    pub(crate) fn waits_for(self, held: Self, has_writer: bool) -> bool {
        match (self, held) {
            (_, Self::Exclusive)
            | (Self::Exclusive, _)
            | (Self::Upgradable, Self::Upgradable)
            | (Self::Upgrade, Self::Shared) => true,
            _ => has_writer && self.queues_behind_writers(held),
        }
    }

    /// Returns `true` if an acquisition in this mode waits for a lock held in mode `held` only if a
    /// writer is queued between the two.
    pub(crate) const fn queues_behind_writers(self, held: Self) -> bool {
        matches!((self, held), (Self::Shared | Self::Upgradable, Self::Shared))
    }
}

/// The type of a lock: `Mutex` and the type it guards. One static per wrapper type, so that an
/// acquisition passes a single pointer.
pub struct LockKind {
    /// `Mutex`.
    pub wrapper: &'static str,
    /// The rest of its type.
    pub of: LockOf,
    /// What holding it means.
    pub role: Role,
}

/// What it means to hold a node of the order graph and to wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A lock. A thread that wants it waits until it is released.
    Lock,
    /// A cell: its holder runs its initializer.
    Initializer,
    /// A semaphore. Its holder has some of its permits, exclusively if there is only one.
    Pool,
    /// The exit of a thread. The thread holds it until it ends; joining the thread waits for it.
    Exit,
    /// A channel: its only receiver owes space in it, and a sender waits for space.
    Channel,
    /// A barrier: each thread owes its arrival, and the others wait for it.
    Barrier,
    /// A thread pool: its jobs hold it, and a call that waits for some of them, or runs others meanwhile, waits for
    /// it.
    Jobs,
    /// An event that the program declares: the threads that owe it hold it, and waiting for it
    /// acquires it.
    Event,
    /// The token of a parked thread, which any thread may provide. It is not part of the lock
    /// order.
    Token,
}

impl Role {
    /// Returns `true` if it is held like a lock. Acquiring one of the others is only a wait, after
    /// which nothing is held.
    pub(crate) fn is_lock(self) -> bool {
        match self {
            Self::Lock | Self::Initializer | Self::Pool => true,
            Self::Exit | Self::Channel | Self::Barrier | Self::Jobs | Self::Event | Self::Token => {
                false
            }
        }
    }
}

/// The part of a lock's type that distinguishes it from others with the same wrapper, by
/// [`std::any::type_name`].
#[derive(Debug)]
pub enum LockOf {
    /// The wrapper has no type parameter.
    Nothing,
    /// The type is unknown.
    Unknown,
    /// The guarded type of a lock that tasks await.
    Awaited(fn() -> &'static str),
    /// The same, of a lock that wakes a waiting task without granting it the lock: another task may
    /// take it first. Empty if it guards nothing.
    Woken(fn() -> &'static str),
    /// The guarded type.
    Value(fn() -> &'static str),
    /// A lock of `lock_api`.
    Raw {
        /// The raw lock. Its crate's name is a prefix of the type's.
        raw: fn() -> &'static str,
        /// The marker type of its guards.
        guard: fn() -> &'static str,
    },
    /// A lock outside of the process. Its key tells it apart.
    Outside,
}

impl fmt::Debug for LockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.type_name())
    }
}

impl LockKind {
    pub(crate) fn type_name(&self) -> String {
        let wrapper = self.wrapper;
        match self.of {
            LockOf::Nothing | LockOf::Unknown | LockOf::Outside => wrapper.to_owned(),
            LockOf::Woken(value) if value().is_empty() => wrapper.to_owned(),
            LockOf::Value(value) | LockOf::Awaited(value) | LockOf::Woken(value) => {
                format!("{wrapper}<{}>", without_raw_locks(&without_paths(value())))
            }
            LockOf::Raw { raw, .. } => {
                let (home, _) = raw().split_once("::").unwrap_or_default();
                format!("{home}::{wrapper}")
            }
        }
    }

    /// Returns `true` if a task waits for it without blocking its thread.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(self.of, LockOf::Awaited(_) | LockOf::Woken(_) | LockOf::Outside)
            || self.role == Role::Pool
    }

    /// Returns `true` for a [resource](crate::external::Resource), which others than this process hold as well.
    pub(crate) fn is_outside(&self) -> bool {
        matches!(self.of, LockOf::Outside)
    }

    /// Returns `true` if a task that is woken may have to wait for the lock again.
    pub(crate) fn is_only_woken(&self) -> bool {
        matches!(self.of, LockOf::Woken(_))
    }

    /// Returns `true` if readers may wait behind a queued writer. Not known of other systems.
    pub(crate) fn readers_may_queue(&self) -> bool {
        !self.is_outside() || self.role == Role::Pool
    }

    /// Returns `true` for an [event](crate::external::Event), which is owed and waited for.
    pub(crate) fn is_event(&self) -> bool {
        self.role == Role::Event
    }

    /// Returns `true` for a raw lock of unknown make. It may consist of more than its memory: a
    /// file, or a semaphore of the system, which other processes share.
    pub(crate) fn is_of_unknown_raw(&self) -> bool {
        match self.of {
            LockOf::Raw { raw, .. } => !raw().starts_with("parking_lot::"),
            LockOf::Nothing
            | LockOf::Unknown
            | LockOf::Awaited(_)
            | LockOf::Woken(_)
            | LockOf::Value(_)
            | LockOf::Outside => false,
        }
    }

    /// Returns `true` if another thread than the one that acquired the lock may release it, so that
    /// the holder is uncertain.
    pub(crate) fn guards_can_be_sent(&self) -> bool {
        match self.of {
            LockOf::Nothing => self.role == Role::Pool,
            LockOf::Value(_) => false,
            LockOf::Unknown | LockOf::Awaited(_) | LockOf::Woken(_) | LockOf::Outside => true,
            LockOf::Raw { guard, .. } => !guard().ends_with("::GuardNoSend"),
        }
    }
}

/// `alloc::vec::Vec<bank::Entry>` → `Vec<Entry>`.
fn without_paths(type_name: &str) -> String {
    let mut short = String::with_capacity(type_name.len());
    let mut path_start = 0;
    let mut rest = type_name;
    while let Some(character) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("::") {
            // `<T as Trait>::Output` and `{{closure}}` keep the last path segment before them.
            if !short.ends_with(['>', '}']) && !after.starts_with('{') {
                short.truncate(path_start);
            } else {
                short.push_str("::");
            }
            rest = after;
            continue;
        }
        if !(character.is_alphanumeric() || character == '_') {
            path_start = short.len() + character.len_utf8();
        }
        short.push(character);
        rest = &rest[character.len_utf8()..];
    }
    short
}

/// Writes a type of `lock_api` as people do, without the checked raw lock that it is made of: `Mutex<RawMutex<RawMutex>,
/// u8>` as `Mutex<u8>`.
fn without_raw_locks(type_name: &str) -> String {
    let raw = ["RawMutex<RawMutex>, ", "RawRwLock<RawRwLock>, ", "RawThreadId, "];
    raw.iter().fold(type_name.to_owned(), |name, raw| name.replace(raw, ""))
}

/// One lock of the program.
///
/// ```
/// # use lockdep::sync::Mutex;
/// let accounts = Mutex::new(vec![100, 200]);
/// lockdep::name(&accounts, "accounts");
/// for lock in lockdep::order_graph().as_petgraph().node_weights() {
///     println!("{:?}: {}", lock.name(), lock.type_name());
/// }
/// ```
#[derive(Clone, Debug)]
pub struct LockInfo {
    pub(crate) id: u64,
    pub(crate) kind: &'static LockKind,
    pub(crate) created_at: Option<Site>,
    pub(crate) seen_at: Site,
    pub(crate) name: Option<Arc<str>>,
    /// The class given by the program.
    pub(crate) class: Option<&'static str>,
    pub(crate) resource: Option<Arc<ResourceInfo>>,
}

/// What is known of a lock that is not in this process: see [`crate::external::Resource`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResourceInfo {
    /// Its system and key, in one text. `None` for a pool, which is one of this process.
    pub(crate) key: Option<Box<str>>,
    pub(crate) lease: Option<Duration>,
}

impl LockInfo {
    /// Returns the id of this lock, which is assigned at its first acquisition and never reused in
    /// this process.
    ///
    /// Ids only distinguish locks. Locks created at one place in the source get ids close to each
    /// other, whatever else is acquired meanwhile.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the name given with [`lockdep::name`](crate::name), if any.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the class given with [`lockdep::class`](crate::class), if any.
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        self.class
    }

    /// Returns the time after which the lock is free again even if it was not released: that of a
    /// [`Resource`](crate::external::Resource::lease). `None` for all other locks.
    #[must_use]
    pub fn lease(&self) -> Option<Duration> {
        self.resource.as_ref()?.lease
    }

    /// Returns the system and key of a [`Resource`](crate::external::Resource), as in `redis
    /// order:42`: the same lock for all processes. `None` for a pool, and for all other locks.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.resource.as_ref()?.key.as_deref()
    }

    /// Returns the type without its paths: `Mutex<Vec<Entry>>`.
    #[must_use]
    pub fn type_name(&self) -> String {
        let name = self.kind.type_name();
        if self.seen_at.is_of_reentrant_mutex() {
            // lock_api builds a `ReentrantMutex` on this mutex.
            return name.replace("::Mutex", "::ReentrantMutex");
        }
        name
    }

    /// Returns where the lock was created: the call of its constructor. This is inside the standard
    /// library if that calls the constructor (`.map(Mutex::new)`). Unknown for a lock of
    /// `lock_api`.
    #[must_use]
    pub fn created_at(&self) -> Option<&Site> {
        self.created_at.as_ref()
    }
}

impl PartialEq for LockInfo {
    /// Compares the identity of the locks.
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for LockInfo {}

/// Returns the name of a type as part of a sentence: `` a `Mutex` ``. One `once` is said with a consonant.
pub(crate) fn with_article(type_name: &str) -> String {
    let article = if type_name.starts_with(['A', 'E', 'I', 'a', 'e', 'i']) { "an" } else { "a" };
    format!("{article} `{type_name}`")
}

#[cfg(test)]
mod tests {
    use super::{LockKind, LockOf, Mode, Role, without_paths, without_raw_locks};

    #[test]
    fn type_names_and_sendable_guards_of_each_kind() {
        let raw = |guard| LockOf::Raw { raw: || "parking_lot::raw_mutex::RawMutex", guard };
        for (of, name, guards_can_be_sent) in [
            (LockOf::Nothing, "Once", false),
            (LockOf::Value(|| "alloc::vec::Vec<u8>"), "Once<Vec<u8>>", false),
            (raw(|| "lock_api::GuardNoSend"), "parking_lot::Once", false),
            (raw(|| "lock_api::GuardSend"), "parking_lot::Once", true),
        ] {
            let kind = LockKind { wrapper: "Once", of, role: Role::Initializer };
            assert_eq!((kind.type_name(), format!("{kind:?}")), (name.into(), name.into()));
            assert_eq!(kind.guards_can_be_sent(), guards_can_be_sent, "{name}");
        }
    }

    #[test]
    fn modes_have_names() {
        let names = Mode::ALL.map(|mode| mode.to_string());
        let expected =
            ["exclusive", "shared", "recursive shared", "upgradable", "upgrade", "initialized"];
        assert_eq!(names, expected);
    }

    #[test]
    fn paths_are_cut_at_every_depth() {
        for (long, short) in [
            ("u64", "u64"),
            ("alloc::vec::Vec<bank::Entry>", "Vec<Entry>"),
            ("(std::string::String, &dyn core::fmt::Debug)", "(String, &dyn Debug)"),
            ("[core::option::Option<a::b::C>; 3]", "[Option<C>; 3]"),
            ("<a::B as c::D>::Output", "<B as D>::Output"),
            ("a::main::{{closure}}", "main::{{closure}}"),
            ("()", "()"),
        ] {
            assert_eq!(without_paths(long), short);
        }
    }

    #[test]
    fn raw_locks_are_left_out() {
        for (long, short) in [
            ("Mutex<RawMutex<RawMutex>, Vec<&str>>", "Mutex<Vec<&str>>"),
            ("Arc<RwLock<RawRwLock<RawRwLock>, u8>>", "Arc<RwLock<u8>>"),
            ("ReentrantMutex<RawMutex<RawMutex>, RawThreadId, u8>", "ReentrantMutex<u8>"),
            ("RawMutex<RawMutex>", "RawMutex<RawMutex>"),
        ] {
            assert_eq!(without_raw_locks(long), short);
        }
    }
}
