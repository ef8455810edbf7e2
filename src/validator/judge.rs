//! Who waits for whom: the rule that makes a cycle of edges a deadlock.

use crate::finding::Mode;

/// Whether a thread that wants a lock in one mode waits for a thread that holds
/// it in another.
///
/// | wanted \ held    | exclusive | shared               | upgradable |
/// |------------------|-----------|----------------------|------------|
/// | exclusive        | waits     | waits                | waits      |
/// | shared           | waits     | behind a writer only | never      |
/// | recursive shared | waits     | never                | never      |
/// | upgradable       | waits     | behind a writer only | waits      |
/// | upgrade          | -         | waits                | -          |
///
/// A plain reader queues behind a waiting writer, which waits for the reader
/// that holds the lock: so readers wait for readers, but only of a lock that
/// somebody also writes. The kernel's lockdep design document proves that a cycle
/// in which every pair that meets waits ("a strong path") is a possible deadlock,
/// and that no other is.
pub(super) fn waits(wanted: Mode, held: Mode, has_writer: bool) -> bool {
    match (wanted, held) {
        (_, Mode::Exclusive)
        | (Mode::Exclusive, _)
        | (Mode::Upgradable, Mode::Upgradable)
        | (Mode::Upgrade, Mode::Shared) => true,
        _ => has_writer && wanted.queues_behind_writers(held),
    }
}
