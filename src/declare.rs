//! Declared orders, classes and known pairs: public functions that the root of the crate
//! re-exports.

use std::{fmt::Debug, panic::Location, sync::Arc};

use crate::{
    trackable::{self, Trackable},
    validator::{self, Ordered, Rank},
};

/// Orders locks by a key: of two locks with keys of the same type, the one with the smaller key
/// must be acquired first.
///
/// Every nesting is checked, from the first one on. [`DeclaredOrder`] needs no history, and also
/// finds a single thread that takes two accounts in the wrong order. Two locks with equal keys must
/// not be nested. All keys of one type form one order, whatever locks they belong to, so use a
/// separate type for each order, such as `struct AccountNumber(u32)`, or an `enum` with the levels
/// of a program's locks.
///
/// Locks that are ordered by key have no edges among each other in [`order_graph`], so a million
/// accounts may be locked in pairs. The price: an inversion through such a pair and a third lock is
/// not found.
///
/// Keys are compared and printed while no lock of lockdep is held, and locks that this takes are
/// not checked. A second key for a lock replaces the first.
///
/// ```
/// use lockdep::sync::Mutex;
///
/// struct Account {
///     number: u32,
///     balance: Mutex<i64>,
/// }
///
/// impl Account {
///     fn new(number: u32) -> Self {
///         let balance = Mutex::new(0);
///         lockdep::order_by_key(&balance, number);
///         Self { number, balance }
///     }
/// }
///
/// let (one, two) = (Account::new(1), Account::new(2));
/// let (_one, _two) = (one.balance.lock().unwrap(), two.balance.lock().unwrap());
/// ```
///
/// [`DeclaredOrder`]: crate::FindingKind::DeclaredOrder
/// [`order_graph`]: crate::order_graph
pub fn order_by_key<L, K>(lock: &L, key: K)
where
    L: Trackable + ?Sized,
    K: Ord + Debug + Send + Sync + 'static,
{
    if let Some(lock) = trackable::number(lock) {
        validator::order_by_key(lock, Arc::new(key));
    }
}

/// Declares the order in which these locks are acquired where they are nested. Another order is a
/// [`DeclaredOrder`](crate::FindingKind::DeclaredOrder). Declarations are transitive: `a` before
/// `b` and `b` before `c` imply `a` before `c`.
///
/// # Panics
///
/// If this contradicts an earlier declaration. Then no part of it takes effect.
///
/// # Examples
///
/// ```
/// # use lockdep::sync::{Mutex, RwLock};
/// static CONFIG: RwLock<u32> = RwLock::new(0);
/// static QUEUE: Mutex<Vec<u32>> = Mutex::new(Vec::new());
///
/// lockdep::declare_order(&[&CONFIG, &QUEUE]);
/// ```
#[track_caller]
pub fn declare_order(locks: &[&dyn Trackable]) {
    let locks = locks.iter().filter_map(|lock| trackable::number(*lock));
    declare(&locks.map(Ordered::Lock).collect::<Vec<_>>(), Location::caller());
}

/// Declares an order between all locks of some [`class`]es, by name.
///
/// # Panics
///
/// If this contradicts an earlier declaration. Then no part of it takes effect.
///
/// # Examples
///
/// ```
/// lockdep::declare_class_order(&["accounts", "ledger"]);
/// ```
#[track_caller]
pub fn declare_class_order(classes: &[&'static str]) {
    let classes: Vec<_> = classes.iter().copied().map(Ordered::Class).collect();
    declare(&classes, Location::caller());
}

fn declare(sequence: &[Ordered], site: &'static Location<'static>) {
    if validator::is_on()
        && let Err(before) = validator::declare_order(sequence, &site.into())
    {
        panic!("lockdep: the order declared at {site} contradicts the one declared at {before}");
    }
}

/// Declares that no lock is acquired while this one is held.
///
/// ```
/// # use lockdep::sync::Mutex;
/// static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());
///
/// lockdep::declare_leaf(&LOG);
/// ```
pub fn declare_leaf<L: Trackable + ?Sized>(lock: &L) {
    if let Some(lock) = trackable::number(lock) {
        validator::set_rank(lock, Rank::Leaf);
    }
}

/// Declares that this lock is acquired only while no other is held.
///
/// ```
/// # use lockdep::sync::Mutex;
/// static SHUTDOWN: Mutex<()> = Mutex::new(());
///
/// lockdep::declare_outermost(&SHUTDOWN);
/// ```
pub fn declare_outermost<L: Trackable + ?Sized>(lock: &L) {
    if let Some(lock) = trackable::number(lock) {
        validator::set_rank(lock, Rank::Outermost);
    }
}

/// Puts a lock into a class. An order between two locks then stands for an order between all locks
/// of their classes, in [`ClassInversion`](crate::FindingKind::ClassInversion) and
/// [`declare_class_order`].
///
/// By default, the locks that one constructor call in the source creates form a class, if it
/// initializes a field among others, a `static` or a variable. Calls in wrappers, generic functions,
/// dependencies and `#[derive(Default)]`, or through the standard library, such as
/// `.map(Mutex::new)`, make no class, because locks of different kinds are created there. A
/// `#[track_caller]` constructor passes on the location of its caller.
///
/// ```
/// # use lockdep::sync::Mutex;
/// #[derive(Default)]
/// struct Shard(Mutex<Vec<u32>>);
///
/// let shard = Shard::default();
/// lockdep::class(&shard.0, "shard");
/// ```
pub fn class<L: Trackable + ?Sized>(lock: &L, class: &'static str) {
    if let Some(lock) = trackable::number(lock) {
        validator::class(lock, class);
    }
}

/// Suppresses findings about two locks from now on. They are still recorded, with their
/// [reason](crate::Finding::silenced), but only at level [`Allow`](crate::Level::Allow).
///
/// A [`Deadlock`](crate::FindingKind::Deadlock) that has happened is reported regardless.
///
/// A `lockdep.toml` does the same without touching the source. `LOCKDEP_CONFIG` names the file;
/// otherwise lockdep looks for it in the folder where the process takes its first lock, and in
/// those above. It is read at the first nested acquisition, or else at the first finding or the end
/// of the process, which is also when an error in it is reported. A process that neither nests
/// locks nor ends through `exit` never reads it.
///
/// ```toml
/// [[allow]]
/// kind = "inversion"                       # or any kind
/// locks = ["bank.ledger", "bank.accounts"] # as reports call them,
/// sites = ["src/settle.rs:43"]             # or places in the source
/// reason = "both run at startup, one after the other"
/// ```
///
/// ```
/// # use lockdep::sync::Mutex;
/// static A: Mutex<()> = Mutex::new(());
/// static B: Mutex<()> = Mutex::new(());
///
/// lockdep::allow_pair(&A, &B, "only one thread runs while the second order is taken");
/// ```
pub fn allow_pair<A: Trackable + ?Sized, B: Trackable + ?Sized>(a: &A, b: &B, reason: &str) {
    if let (Some(a), Some(b)) = (trackable::number(a), trackable::number(b)) {
        validator::allow_pair([a, b], reason);
    }
}
