//! The names of the graph's locks, which all formats use.
//!
//! Where a helper acquires all locks, the source calls each of them `lock`. The findings know more, and so does the
//! source of the constructor call.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lockdep::{
    __private::source::{Constructors, is_anonymous},
    record::MergedLock,
};

use super::{Judged, Report, formats::drawn};
use crate::rustc::sources::Place;

/// Returns a name for each lock: one that no other lock has, if there is one.
pub(super) fn names(report: &Report) -> Vec<String> {
    let locks = &report.graph.locks;
    let mut called = HashMap::<_, usize>::new();
    for lock in locks {
        for name in BTreeSet::from_iter(&lock.names) {
            *called.entry(&**name).or_default() += 1;
        }
    }
    let of_findings = of_findings(report);
    let mut files = HashMap::new();
    let name = |(number, lock): (usize, &MergedLock)| {
        let is_clear = |name: &str| {
            let others = called.get(name).copied().unwrap_or_default()
                - usize::from(lock.names.iter().any(|its| its == name));
            !is_anonymous(name) && others == 0 && name != lock.type_name
        };
        let known = || lock.names.iter().find(|name| is_clear(name)).cloned();
        // Without a class, it may stand for several locks. Then findings have several names for it.
        let of_finding = || match of_findings.get(&number).map(Vec::from_iter) {
            Some(names) if names.len() == 1 => {
                Some((*names[0]).to_owned()).filter(|it| is_clear(it))
            }
            _ => None,
        };
        let name = match lock.class {
            Some(_) => of_finding().or_else(known),
            None => known().or_else(of_finding),
        };
        let name = name.or_else(|| declared(lock, report, &mut files));
        name.unwrap_or_else(|| lock.names.first().unwrap_or(&lock.type_name).clone())
    };
    locks.iter().enumerate().map(name).collect()
}

/// Returns the names that findings use for each lock.
fn of_findings(report: &Report) -> BTreeMap<usize, BTreeSet<&str>> {
    let mut names = BTreeMap::<_, BTreeSet<&str>>::new();
    for edge in report.findings.iter().flat_map(|Judged { finding, .. }| &finding.cycle) {
        if let Some((held, wanted)) = drawn::ends(&report.graph, edge) {
            names.entry(held).or_default().insert(&edge.held);
            names.entry(wanted).or_default().insert(&edge.wanted);
        }
    }
    names
}

/// Returns the field or `static` that the locks of a class are, according to their constructor call.
fn declared(
    lock: &MergedLock,
    report: &Report,
    files: &mut HashMap<String, Option<Constructors>>,
) -> Option<String> {
    lock.class.as_ref()?;
    let Place { file, line, column } = Place::parse(lock.created_at.as_deref()?)?;
    let read = || Constructors::new(&report.sources.text(file)?);
    let file = files.entry(file.to_owned()).or_insert_with(read).as_ref()?;
    file.declared_at((line, column), &lock.type_name)
}
