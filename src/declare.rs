//! Orders that the program declares, and what is known of locks beside what they do: at the
//! root of the crate for its users.

use std::{fmt::Debug, panic::Location, sync::Arc};

use crate::{
    Trackable, trackable,
    validator::{self, Ordered, Rank},
};

/// Orders locks by a key: of two locks whose keys are of one type, the one with the smaller
/// key is to be acquired first.
///
/// Checked at every nesting, from the first one on: [`DeclaredOrder`] needs no history, and
/// also finds the one thread that takes two accounts in the wrong order. Two locks with equal
/// keys are not to be nested. Keys of one type are one order, whatever the locks are: use a
/// type of your own for each, such as `struct AccountNumber(u32)`, or an `enum` with the levels
/// of a program's locks.
///
/// Locks that are ordered by key have no edges among each other in [`order_graph`], so that a
/// million accounts may be locked in pairs: an inversion that leads through such a pair and
/// a third lock is not seen.
///
/// The key is compared and printed while no lock of ours is held; locks that it takes are not
/// checked. A second key replaces the first.
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

/// Declares that these locks are acquired in this order, if they are nested at all: a
/// [`DeclaredOrder`](crate::FindingKind::DeclaredOrder) otherwise. Orders add up: `a` before `b`
/// and `b` before `c` is `a` before `c`.
///
/// # Panics
///
/// If it contradicts what was declared before; then nothing of it holds.
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

/// The same for all locks of some [`class`]es, by name.
///
/// # Panics
///
/// If it contradicts what was declared before; then nothing of it holds.
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
        && let Err(before) = validator::declare_order(sequence, site)
    {
        panic!("lockdep: the order that is declared at {site} contradicts that of {before}");
    }
}

/// Declares that nothing is acquired while this lock is held.
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

/// Declares that this lock is acquired while nothing else is held.
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

/// Puts a lock in a class: an order between two locks then stands for the order of all locks
/// of their classes, in [`ClassInversion`](crate::FindingKind::ClassInversion) and
/// [`declare_class_order`].
///
/// Without it, locks that one line of the program makes are a class, if it calls a
/// constructor: not by `#[derive(Default)]`, which makes all of a type's locks at one place,
/// nor through the standard library, as `.map(Mutex::new)` does. A constructor of your own that
/// is `#[track_caller]` passes on the line that calls it.
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

/// Silences what is found of two locks, from now on: such findings are recorded with their
/// [reason](crate::Finding::silenced), at no level but [`Allow`](crate::Level::Allow).
///
/// A [`Deadlock`](crate::FindingKind::Deadlock) that has happened is told all the same.
///
/// A `lockdep.toml` does the same without touching the source: `LOCKDEP_CONFIG` names it, or it
/// stands in the folder where the process takes its first lock, or above. It is read when a lock is first
/// taken in another; where none ever is, at the first finding or the end of the process. An error in it is
/// reported then. (A process that neither nests locks nor ends by `exit` never reads it.)
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
