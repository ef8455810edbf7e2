//! Names of locks that tell them apart.
//!
//! Where a helper acquires all locks, the source calls each of them `lock`. The findings know more, and so does the
//! source of the constructor call.

use std::collections::{BTreeMap, BTreeSet};

use lockdep::{
    __private::source::{declared_at, is_anonymous},
    record::{MergedGraph, MergedLock},
};

use crate::{
    report::formats::drawn,
    rustc::sources::{Place, Sources},
};

/// Returns the names of some locks of the graph. `of_findings` has the names that findings use for a lock.
pub(super) fn names(
    graph: &MergedGraph,
    locks: &[usize],
    of_findings: &BTreeMap<usize, BTreeSet<&str>>,
    sources: &Sources,
) -> BTreeMap<usize, String> {
    let mut called = BTreeMap::<_, usize>::new();
    for &lock in locks {
        for name in BTreeSet::from_iter(&graph.locks[lock].names) {
            *called.entry(&**name).or_default() += 1;
        }
    }
    let name = |number: usize| {
        let lock = &graph.locks[number];
        let is_clear = |name: &str| {
            let others = called.get(name).copied().unwrap_or_default()
                - usize::from(lock.names.iter().any(|its| its == name));
            !is_anonymous(name) && others == 0
        };
        let known = lock.names.iter().find(|name| is_clear(name)).cloned();
        // Without a class, it may stand for several locks. Then findings have several names for it.
        let of_finding = || match of_findings.get(&number).map(Vec::from_iter) {
            Some(names) if names.len() == 1 => {
                Some((*names[0]).to_owned()).filter(|it| is_clear(it))
            }
            _ => None,
        };
        let name = known.or_else(of_finding).or_else(|| declared(lock, sources));
        name.unwrap_or_else(|| drawn::name(graph, number).to_owned())
    };
    locks.iter().map(|&lock| (lock, name(lock))).collect()
}

/// Returns the field or `static` that the locks of a class are, according to their constructor call.
fn declared(lock: &MergedLock, sources: &Sources) -> Option<String> {
    lock.class.as_ref()?;
    let place = Place::parse(lock.created_at.as_deref()?)?;
    declared_at(&sources.text(place.file)?, (place.line, place.column), &lock.type_name)
}
