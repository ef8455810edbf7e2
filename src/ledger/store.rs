//! What has been found, each finding once: those of the open scopes of [`testing`](crate::testing),
//! and those of the process. Pure; its owner locks it.

use std::collections::hash_map::Entry;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::finding::{Detail, Finding, FindingKind, Level, ScopeId, Site, WaitKind};

/// How many different findings a record keeps. A program that makes a new pair of
/// inverted locks in every request must not grow for it. There is room for as many again that
/// are news: what is found everywhere must not hide the rest.
const CAPACITY: usize = 4096;

/// All findings. Each is in the record of one scope, or in that of the process.
#[derive(Default)]
pub(super) struct Store {
    process: Record,
    scopes: FxHashMap<ScopeId, Record>,
}

/// Findings, oldest first.
#[derive(Default)]
struct Record {
    findings: Vec<Kept>,
    by_cycle: FxHashMap<Key, usize>,
    /// The highest level of what was found so far, by the places in the source: the same two
    /// lines with another pair of locks are a new finding, but no news.
    levels: FxHashMap<(FindingKind, Box<[Site]>), Level>,
}

/// A finding, and the process that made it last: a fork inherits the findings of its parent, but
/// does not have to answer for them.
struct Kept {
    finding: Finding,
    process: u32,
}

/// What a finding is in the record that it was added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Added {
    /// Nothing like it was there on its locks.
    pub(super) is_new: bool,
    /// Nor, at its level or a higher one, at its places.
    pub(super) is_news: bool,
    /// The scope whose record it is.
    pub(super) scope: Option<ScopeId>,
}

/// The identity of a finding: its kind and its locks, in the cycle's order, from
/// the smallest on, and the one that is wanted if it closes no cycle; and whether it is
/// about a wait for what was left behind, or for what.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Key(FindingKind, Box<[u64]>, Option<u64>, bool, Option<WaitKind>);

impl Key {
    pub(super) fn of(Finding { kind, cycle, detail, .. }: &Finding) -> Self {
        if let Detail::Classes { numbers, .. } = detail {
            return Self(*kind, numbers.map(u64::from).into(), None, false, None);
        }
        let mut locks: Box<[u64]> = cycle.iter().map(|edge| edge.held.id).collect();
        let wanted = cycle.last().map(|edge| edge.wanted.id);
        let wanted = wanted.filter(|&id| locks.first() != Some(&id));
        let smallest = (0..locks.len()).min_by_key(|&at| locks[at]).unwrap_or(0);
        locks.rotate_left(smallest);
        let wait = match detail {
            Detail::Wait(wait) => Some(*wait),
            _ => None,
        };
        Self(*kind, locks, wanted, matches!(detail, Detail::LeftBy(_)), wait)
    }
}

fn sites(finding: &Finding) -> (FindingKind, Box<[Site]>) {
    let mut sites: Vec<_> = finding.cycle.iter().map(|edge| edge.acquired_at.clone()).collect();
    sites.sort_unstable();
    (finding.kind, sites.into())
}

impl Store {
    /// Takes a finding in: in the record of the scope of the thread that made it, or else of that
    /// in which one of its edges was seen, if it is still open.
    pub(super) fn add(&mut self, finding: &Finding, scope: Option<ScopeId>, process: u32) -> Added {
        let of_edges = finding.cycle.iter().map(|edge| edge.thread.scope);
        let mut scopes = std::iter::once(scope).chain(of_edges).flatten();
        let scope = scopes.find(|scope| self.scopes.contains_key(scope));
        let record = match scope {
            Some(scope) => self.scopes.entry(scope).or_default(),
            None => &mut self.process,
        };
        let (is_new, is_news) = record.add(finding, process);
        Added { is_new, is_news, scope }
    }

    pub(super) fn open(&mut self, scope: ScopeId) {
        self.scopes.insert(scope, Record::default());
    }

    /// Closes a scope. What was not taken is the process's from now on.
    pub(super) fn close(&mut self, scope: ScopeId) {
        for Kept { finding, process } in self.scopes.remove(&scope).unwrap_or_default().findings {
            self.process.add(&finding, process);
        }
    }

    /// The findings of a scope that is open, or of the process.
    pub(super) fn findings(&self, scope: Option<ScopeId>) -> Vec<Finding> {
        let record = scope.map_or(Some(&self.process), |scope| self.scopes.get(&scope));
        record.map_or_else(Vec::new, |record| record.of_any_process().cloned().collect())
    }

    /// Takes those that are wanted out of the record of a scope.
    pub(super) fn take(&mut self, scope: ScopeId, wanted: &FxHashSet<Key>) -> Vec<Finding> {
        self.scopes.get_mut(&scope).map_or_else(Vec::new, |record| record.take(wanted))
    }

    /// Takes all of the process's.
    pub(super) fn take_all_of_process(&mut self) -> Vec<Finding> {
        let record = std::mem::take(&mut self.process);
        record.findings.into_iter().map(|kept| kept.finding).collect()
    }

    /// What a process has found itself, and not its parent, and nobody has taken.
    #[cfg_attr(not(unix), allow(dead_code, reason = "for a handler of `exit`"))]
    pub(super) fn unhandled(&self, process: u32) -> Vec<Finding> {
        let records = std::iter::once(&self.process).chain(self.scopes.values());
        let kept = records.flat_map(|record| &record.findings);
        let ours = kept.filter(|kept| kept.process == process);
        ours.map(|kept| kept.finding.clone()).collect()
    }
}

impl Record {
    /// Whether the finding is new on its locks, and whether at its places.
    fn add(&mut self, finding: &Finding, process: u32) -> (bool, bool) {
        let key = Key::of(finding);
        if let Some(&known) = self.by_cycle.get(&key) {
            let known = &mut self.findings[known];
            known.finding.count += finding.count;
            known.process = process;
            if finding.level <= known.finding.level {
                return (false, false);
            }
            // What was allowed may be denied by now, and that is to be answered for.
            known.finding = Finding { count: known.finding.count, ..finding.clone() };
            return (false, self.is_news(finding));
        }
        let is_news = self.is_news(finding);
        if self.findings.len() >= if is_news { 2 * CAPACITY } else { CAPACITY } {
            return (false, is_news);
        }
        self.by_cycle.insert(key, self.findings.len());
        self.findings.push(Kept { finding: finding.clone(), process });
        (true, is_news)
    }

    /// Whether nothing of its level was found at its places so far.
    fn is_news(&mut self, finding: &Finding) -> bool {
        match self.levels.entry(sites(finding)) {
            Entry::Occupied(known) if *known.get() >= finding.level => return false,
            entry => entry.insert_entry(finding.level),
        };
        true
    }

    fn of_any_process(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().map(|kept| &kept.finding)
    }

    fn take(&mut self, wanted: &FxHashSet<Key>) -> Vec<Finding> {
        let is_wanted = |kept: &mut Kept| wanted.contains(&Key::of(&kept.finding));
        let taken = self.findings.extract_if(.., is_wanted).map(|kept| kept.finding).collect();
        let left = self.of_any_process().enumerate();
        self.by_cycle = left.map(|(at, finding)| (Key::of(finding), at)).collect();
        taken
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// A finding that is told from others by a number.
    fn finding(number: u32) -> Finding {
        let detail = Detail::Classes { numbers: [number, number], made_at: Arc::new([]) };
        Finding::new(FindingKind::Inversion, Level::Warn, Vec::new(), detail)
    }

    fn number(finding: &Finding) -> u32 {
        let Detail::Classes { numbers: [number, _], .. } = finding.detail else { unreachable!() };
        number
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Add(u32, Option<u64>),
        Open(u64),
        Close(u64),
        TakeEven(u64),
        TakeProcess,
    }

    fn step() -> impl Strategy<Value = Step> {
        let scope = 1..3_u64;
        prop_oneof![
            4 => (0..4_u32, proptest::option::of(scope.clone())).prop_map(|(it, at)| Step::Add(it, at)),
            1 => scope.clone().prop_map(Step::Open),
            1 => scope.clone().prop_map(Step::Close),
            1 => scope.prop_map(Step::TakeEven),
            1 => Just(Step::TakeProcess),
        ]
    }

    /// How often each finding was found, by number.
    type Counts = BTreeMap<u32, u64>;

    fn counts(findings: &[Finding]) -> Counts {
        let counts: Counts = findings.iter().map(|it| (number(it), it.count)).collect();
        assert_eq!(counts.len(), findings.len(), "each is there once");
        counts
    }

    fn add_up(sum: &mut Counts, more: Counts) {
        for (number, count) in more {
            *sum.entry(number).or_default() += count;
        }
    }

    proptest! {
        /// Against books of plain sums: what is in which record, how often, and what is new there.
        #[test]
        fn every_finding_is_in_one_record(steps in vec(step(), 0..60)) {
            let mut book = Store::default();
            // The process's has no scope, and is always open.
            let mut naive = BTreeMap::from([(None, Counts::new())]);
            for step in steps {
                match step {
                    Step::Add(number, wanted) => {
                        let scope = wanted.filter(|_| naive.contains_key(&wanted));
                        let record = naive.get_mut(&scope).unwrap();
                        let is_new = !record.contains_key(&number);
                        add_up(record, Counts::from([(number, 1)]));
                        let added = book.add(&finding(number), wanted.and_then(ScopeId::new), 1);
                        prop_assert_eq!((added.is_new, added.scope), (is_new, scope.and_then(ScopeId::new)));
                    }
                    Step::Open(scope) => {
                        // A scope is opened once, as its number is never used again.
                        naive.entry(Some(scope)).or_insert_with(|| {
                            book.open(ScopeId::new(scope).unwrap());
                            Counts::new()
                        });
                    }
                    Step::Close(scope) => {
                        let left = naive.remove(&Some(scope)).unwrap_or_default();
                        add_up(naive.get_mut(&None).unwrap(), left);
                        book.close(ScopeId::new(scope).unwrap());
                    }
                    Step::TakeEven(scope) => {
                        let even = |number: &u32| number.is_multiple_of(2);
                        let mut expected = Counts::new();
                        if let Some(record) = naive.get_mut(&Some(scope)) {
                            expected = record.extract_if(.., |number, _| even(number)).collect();
                        }
                        let wanted = (0..4).filter(even).map(|it| Key::of(&finding(it))).collect();
                        let taken = book.take(ScopeId::new(scope).unwrap(), &wanted);
                        prop_assert_eq!(counts(&taken), expected);
                    }
                    Step::TakeProcess => {
                        let expected = naive.insert(None, Counts::new()).unwrap();
                        prop_assert_eq!(counts(&book.take_all_of_process()), expected);
                    }
                }
            }
            for (scope, expected) in naive {
                let scope = scope.and_then(ScopeId::new);
                prop_assert_eq!(counts(&book.findings(scope)), expected);
            }
        }
    }

    /// A finding that a fork makes again is its own by that.
    #[test]
    fn a_fork_answers_for_what_it_finds_again() {
        let [parent, child] = [1, 2];
        let mut book = Store::default();
        book.add(&finding(1), None, parent);
        book.add(&finding(2), None, parent);
        assert!(book.unhandled(child).is_empty());
        book.add(&finding(2), None, child);
        assert_eq!(counts(&book.unhandled(child)), Counts::from([(2, 2)]));
    }

    /// What was allowed when it was found first is denied later: that is what it is told as.
    #[test]
    fn a_finding_has_the_highest_of_its_levels() {
        let at = |level, number| Finding { level, ..finding(number) };
        let mut book = Store::default();
        let mut add = |level, number| {
            let Added { is_new, is_news, .. } = book.add(&at(level, number), None, 1);
            (is_new, is_news)
        };
        // All of them at the same places.
        assert_eq!(add(Level::Allow, 1), (true, true));
        assert_eq!(add(Level::Warn, 2), (true, true), "nobody was told of the first");
        assert_eq!(add(Level::Warn, 3), (true, false));
        assert_eq!(add(Level::Deny, 1), (false, true));
        assert_eq!(add(Level::Warn, 1), (false, false));
        let findings = book.unhandled(1);
        let levels: Vec<_> = findings.iter().map(|it| (it.level, it.count)).collect();
        assert_eq!(levels, [(Level::Deny, 3), (Level::Warn, 1), (Level::Warn, 1)]);
    }

    /// However often something else was found.
    #[test]
    fn a_full_record_has_room_for_news() {
        let mut book = Store::default();
        for number in 0..=4096 {
            book.add(&finding(number), None, 1);
        }
        let denied = Finding { level: Level::Deny, ..finding(5000) };
        let Added { is_new, is_news, .. } = book.add(&denied, None, 1);
        assert!(is_new && is_news && book.unhandled(1)[4096].level == Level::Deny);
    }

    /// Beyond that a program's memory would grow with its findings.
    #[test]
    fn a_record_is_full_in_the_end() {
        let mut book = Store::default();
        for number in 0..=4096 {
            let added = book.add(&finding(number), None, 1);
            assert_eq!(added.is_new, number < 4096);
        }
        book.add(&finding(0), None, 1);
        let findings = book.findings(None);
        assert_eq!((findings.len(), findings[0].count), (4096, 2));
    }
}
