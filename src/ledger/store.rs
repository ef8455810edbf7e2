//! The findings of each open scope of [`testing`](crate::testing) and of the process, each stored
//! once. Pure; the owner locks it.

use std::{collections::hash_map::Entry, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::finding::{
    Bug, BugEdge, Detail, Finding, FindingKind, Level, ScopeId, ShownAt, WaitKind,
};

/// The number of different findings that a record keeps, so that a program that creates a new pair
/// of inverted locks in every request does not grow without bound. As many again are kept if they
/// are of a new bug, so that a common one does not crowd out the rest.
const CAPACITY: usize = 4096;

/// All findings. Each is in the record of exactly one scope, or in that of the process.
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
    /// What is known of each bug, by kind. The same two lines with another pair of locks are a new
    /// finding, but not a new report.
    bugs: FxHashMap<(FindingKind, FoundBug), Known>,
    /// The number of findings of further bugs, after `bugs` was full.
    lost: u64,
}

/// A bug in a record.
#[derive(Clone, Copy)]
struct Known {
    /// The highest level so far.
    level: Level,
    /// How often it was found on further locks after the record was full.
    uncounted: u64,
    /// The process of `uncounted`.
    process: u32,
}

/// The findings of one bug that were not taken.
#[derive(Debug)]
#[cfg_attr(not(unix), allow(dead_code, reason = "for a handler of `exit`"))]
pub(super) struct Unhandled {
    /// The worst of them: the first at the highest level, of the worst kind.
    pub(super) worst: Finding,
    /// How often the bug was found and not allowed, on any locks.
    pub(super) count: u64,
}

/// A finding and the process that made it last. A fork inherits its parent's findings, but they do
/// not affect its exit status.
struct Kept {
    finding: Finding,
    /// Where a report shows its edges, if that is known.
    shown_at: Option<Arc<[ShownAt]>>,
    process: u32,
}

/// What is new about an added finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Added {
    /// No finding of this kind on these locks was in the record.
    pub(super) is_new: bool,
    /// Nor one at these locations at this level or a higher one, so this one should be reported.
    pub(super) is_news: bool,
    /// The scope that recorded it.
    pub(super) scope: Option<ScopeId>,
}

/// The identity of a finding: its kind; its locks in cycle order, starting with the smallest id;
/// the wanted lock if the edges do not form a cycle; whether a thread that is gone left it locked;
/// and the kind of wait.
///
/// A lock that is destroyed has no identity, so its bug is meant; likewise for locks that are of one class.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Key {
    Locks(FindingKind, Box<[u64]>, Option<u64>, bool, Option<WaitKind>),
    Bug(FoundBug),
}

/// A bug of this process.
type FoundBug = Bug<BugEdge, ShownAt>;

impl Key {
    pub(super) fn of(finding: &Finding) -> Self {
        let Finding { kind, cycle, detail, .. } = finding;
        if let Detail::Classes { numbers, .. } = detail {
            return Self::Locks(*kind, numbers.map(u64::from).into(), None, false, None);
        }
        if let Detail::Destroyed | Detail::OneClass { .. } = detail {
            return Self::Bug(Bug::of(finding, None));
        }
        let mut locks: Box<[u64]> = cycle.iter().map(|edge| edge.held.id).collect();
        let wanted = cycle.last().map(|edge| edge.wanted.id);
        let wanted = wanted.filter(|&id| locks.first() != Some(&id));
        let smallest = (0..locks.len()).min_by_key(|&at| locks[at]).unwrap_or(0);
        locks.rotate_left(smallest);
        let is_left = matches!(detail, Detail::LeftBy(_) | Detail::LeftInParent(_));
        let wait = match detail {
            Detail::Wait(wait) => Some(*wait),
            _ => None,
        };
        Self::Locks(*kind, locks, wanted, is_left, wait)
    }
}

impl Store {
    /// Adds a finding to the scope of the thread that made it, or else to the first open scope in
    /// which one of its edges was seen, or else to the process.
    pub(super) fn add(
        &mut self,
        finding: &Finding,
        shown_at: Option<Arc<[ShownAt]>>,
        scope: Option<ScopeId>,
        process: u32,
    ) -> Added {
        let of_edges = finding.cycle.iter().map(|edge| edge.thread.scope);
        let mut scopes = std::iter::once(scope).chain(of_edges).flatten();
        let scope = scopes.find(|scope| self.scopes.contains_key(scope));
        let record = match scope {
            Some(scope) => self.scopes.entry(scope).or_default(),
            None => &mut self.process,
        };
        let (is_new, is_news) = record.add(finding, shown_at, process);
        Added { is_new, is_news, scope }
    }

    pub(super) fn open(&mut self, scope: ScopeId) {
        self.scopes.insert(scope, Record::default());
    }

    /// Closes a scope. Its remaining findings move to the process.
    pub(super) fn close(&mut self, scope: ScopeId) {
        let Record { findings, bugs, lost, .. } = self.scopes.remove(&scope).unwrap_or_default();
        for Kept { finding, shown_at, process } in findings {
            self.process.add(&finding, shown_at, process);
        }
        for (bug, Known { uncounted, process, .. }) in
            bugs.into_iter().filter(|it| it.1.uncounted > 0)
        {
            if let Some(known) = self.process.bugs.get_mut(&bug) {
                known.add_uncounted(uncounted, process);
            }
        }
        self.process.lost += lost;
    }

    /// Returns the findings of an open scope, or of the process.
    pub(super) fn findings(&self, scope: Option<ScopeId>) -> Vec<Finding> {
        let record = scope.map_or(Some(&self.process), |scope| self.scopes.get(&scope));
        record.map_or_else(Vec::new, |record| record.of_any_process().cloned().collect())
    }

    /// Removes the `wanted` findings from a scope and returns them.
    pub(super) fn take(&mut self, scope: ScopeId, wanted: &FxHashSet<Key>) -> Vec<Finding> {
        self.scopes.get_mut(&scope).map_or_else(Vec::new, |record| record.take(wanted))
    }

    /// Removes all findings of the process and returns them.
    pub(super) fn take_all_of_process(&mut self) -> Vec<Finding> {
        let record = std::mem::take(&mut self.process);
        record.findings.into_iter().map(|kept| kept.finding).collect()
    }

    /// Returns the bugs that this process, rather than its parent, found and that were not taken,
    /// worst first, without findings that are allowed; then the number of findings that were not
    /// kept.
    #[cfg_attr(not(unix), allow(dead_code, reason = "for a handler of `exit`"))]
    pub(super) fn unhandled(&self, process: u32) -> (Vec<Unhandled>, u64) {
        let mut unhandled: Vec<(usize, Unhandled)> = Vec::new();
        let mut places = FxHashMap::default();
        let records = || std::iter::once(&self.process).chain(self.scopes.values());
        // Those that are silenced are allowed as well.
        let is_reported =
            |kept: &&Kept| kept.process == process && kept.finding.level > Level::Allow;
        let reported: Vec<_> = records()
            .flat_map(|it| &it.findings)
            .filter(is_reported)
            .enumerate()
            .map(|(at, kept)| (at, &kept.finding, kept.bug()))
            .collect();
        // Those of which it is not known where they are shown are counted with the first of the others.
        let (shown, unshown): (Vec<_>, Vec<_>) =
            reported.into_iter().partition(|(.., bug)| bug.is_shown());
        for (at, finding, bug) in shown.into_iter().chain(unshown) {
            let is_shown = bug.is_shown();
            let place = *places.entry(bug.clone()).or_insert(unhandled.len());
            if is_shown {
                places.entry(bug.unshown()).or_insert(place);
            }
            if let Some((_, known)) = unhandled.get_mut(place) {
                known.add(finding);
            } else {
                let (worst, count) = (finding.clone(), finding.count);
                unhandled.push((at, Unhandled { worst, count }));
            }
        }
        let mut lost = records().map(|it| it.lost).sum();
        let is_uncounted = |(_, known): &(_, &Known)| {
            known.uncounted > 0 && known.process == process && known.level > Level::Allow
        };
        for ((_, bug), known) in records().flat_map(|it| &it.bugs).filter(is_uncounted) {
            match places.get(bug) {
                Some(&place) => unhandled[place].1.count += known.uncounted,
                None => lost += known.uncounted,
            }
        }
        unhandled.sort_by_key(|(at, it)| (badness(&it.worst), *at));
        (unhandled.into_iter().map(|(_, it)| it).collect(), lost)
    }
}

/// Returns a key that sorts findings, worst first.
fn badness(finding: &Finding) -> impl Ord + use<> {
    (std::cmp::Reverse(finding.level), finding.kind.rank())
}

impl Kept {
    fn bug(&self) -> FoundBug {
        Bug::of(&self.finding, self.shown_at.as_deref())
    }
}

impl Unhandled {
    fn add(&mut self, finding: &Finding) {
        self.count += finding.count;
        if badness(finding) < badness(&self.worst) {
            self.worst = finding.clone();
        }
    }
}

impl Known {
    fn add_uncounted(&mut self, count: u64, process: u32) {
        if self.process != process {
            // A fork does not answer for what its parent has found.
            *self = Self { uncounted: 0, process, ..*self };
        }
        self.uncounted += count;
    }
}

impl Record {
    /// Adds a finding. Returns whether it is new on its locks, and whether its bug is.
    fn add(
        &mut self,
        finding: &Finding,
        shown_at: Option<Arc<[ShownAt]>>,
        process: u32,
    ) -> (bool, bool) {
        let key = Key::of(finding);
        let bug = Bug::of(finding, shown_at.as_deref());
        if let Some(&known) = self.by_cycle.get(&key) {
            let known = &mut self.findings[known];
            known.finding.count += finding.count;
            known.process = process;
            if finding.level <= known.finding.level {
                return (false, false);
            }
            // The level was raised since: the finding must be reported, and counts for the exit
            // status.
            known.finding = Finding { count: known.finding.count, ..finding.clone() };
            known.shown_at = shown_at;
            return (false, self.is_news(bug, finding, process));
        }
        let is_news = self.is_news(bug.clone(), finding, process);
        if self.findings.len() >= if is_news { 2 * CAPACITY } else { CAPACITY } {
            match self.bugs.get_mut(&(finding.kind, bug)) {
                Some(known) => known.add_uncounted(finding.count, process),
                None if finding.level > Level::Allow => self.lost += finding.count,
                None => {}
            }
            return (false, is_news);
        }
        self.by_cycle.insert(key, self.findings.len());
        self.findings.push(Kept { finding: finding.clone(), shown_at, process });
        (true, is_news)
    }

    /// Returns `true` if no finding of this bug and kind had this level or a higher one so far, and
    /// records the level.
    fn is_news(&mut self, bug: FoundBug, finding: &Finding, process: u32) -> bool {
        // A bug may have two entries.
        let is_full = self.bugs.len() >= 4 * CAPACITY;
        let unshown = bug.is_shown().then(|| bug.clone().unshown());
        match self.bugs.entry((finding.kind, bug)) {
            Entry::Occupied(mut known) => {
                let is_higher = known.get().level < finding.level;
                known.get_mut().level = finding.level.max(known.get().level);
                is_higher
            }
            Entry::Vacant(_) if is_full => false,
            Entry::Vacant(bug) => {
                let known = Known { level: finding.level, uncounted: 0, process };
                bug.insert(known);
                // A finding without stacks may be of this bug.
                if let Some(unshown) = unshown {
                    let same = self.bugs.entry((finding.kind, unshown)).or_insert(known);
                    same.level = same.level.max(known.level);
                }
                true
            }
        }
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
    use crate::finding::{Edge, LockKind, LockOf, Mode, Role, Site};

    /// Returns a finding identified by a number.
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

    /// The count of each finding, by number.
    type Counts = BTreeMap<u32, u64>;

    fn counts(findings: &[Finding]) -> Counts {
        let counts: Counts = findings.iter().map(|it| (number(it), it.count)).collect();
        assert_eq!(counts.len(), findings.len(), "each finding is stored once");
        counts
    }

    fn add_up(sum: &mut Counts, more: Counts) {
        for (number, count) in more {
            *sum.entry(number).or_default() += count;
        }
    }

    proptest! {
        /// Compares with a model of plain sums: which record has a finding, its count, and what is
        /// new.
        #[test]
        fn every_finding_is_in_one_record(steps in vec(step(), 0..60)) {
            let mut book = Store::default();
            // The process has no scope id, and is always open.
            let mut naive = BTreeMap::from([(None, Counts::new())]);
            for step in steps {
                match step {
                    Step::Add(number, wanted) => {
                        let scope = wanted.filter(|_| naive.contains_key(&wanted));
                        let record = naive.get_mut(&scope).unwrap();
                        let is_new = !record.contains_key(&number);
                        add_up(record, Counts::from([(number, 1)]));
                        let added = book.add(&finding(number), None, wanted.and_then(ScopeId::new), 1);
                        prop_assert_eq!((added.is_new, added.scope), (is_new, scope.and_then(ScopeId::new)));
                    }
                    Step::Open(scope) => {
                        // A scope is opened only once: ids are never reused.
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

    /// A finding that a fork makes again belongs to the fork.
    #[test]
    fn a_fork_answers_for_what_it_finds_again() {
        let [parent, child] = [1, 2];
        let mut book = Store::default();
        book.add(&finding(1), None, None, parent);
        book.add(&finding(2), None, None, parent);
        assert!(book.unhandled(child).0.is_empty());
        book.add(&finding(2), None, None, child);
        let (bugs, _) = book.unhandled(child);
        let [Unhandled { worst, count: 2 }] = &*bugs else { panic!("{bugs:?}") };
        assert_eq!(number(worst), 2);
    }

    /// A level that is raised after the first occurrence applies to the finding.
    #[test]
    fn a_finding_keeps_its_highest_level() {
        let at = |level, number| Finding { level, ..finding(number) };
        let mut book = Store::default();
        let mut add = |level, number| {
            let Added { is_new, is_news, .. } = book.add(&at(level, number), None, None, 1);
            (is_new, is_news)
        };
        // All of them have the same locations.
        assert_eq!(add(Level::Allow, 1), (true, true));
        assert_eq!(add(Level::Warn, 2), (true, true), "the first was not reported");
        assert_eq!(add(Level::Warn, 3), (true, false));
        assert_eq!(add(Level::Deny, 1), (false, true));
        assert_eq!(add(Level::Warn, 1), (false, false));
        let findings = book.findings(None);
        let levels: Vec<_> = findings.iter().map(|it| (it.level, it.count)).collect();
        assert_eq!(levels, [(Level::Deny, 3), (Level::Warn, 1), (Level::Warn, 1)]);
        let (bugs, _) = book.unhandled(1);
        let [Unhandled { worst, count: 5 }] = &*bugs else { panic!("{bugs:?}") };
        assert_eq!(worst.level, Level::Deny);
    }

    /// New locations are kept however often another finding occurred.
    #[test]
    fn a_full_record_keeps_findings_at_new_locations() {
        let mut book = Store::default();
        for number in 0..=4096 {
            book.add(&finding(number), None, None, 1);
        }
        let denied = Finding { level: Level::Deny, ..finding(5000) };
        let Added { is_new, is_news, .. } = book.add(&denied, None, None, 1);
        assert!(is_new && is_news && book.findings(None)[4096].level == Level::Deny);
    }

    /// A program's memory must not grow without bound.
    #[test]
    fn a_record_is_bounded() {
        let mut book = Store::default();
        for number in 0..=4096 {
            let added = book.add(&finding(number), None, None, 1);
            assert_eq!(added.is_new, number < 4096);
        }
        book.add(&finding(0), None, None, 1);
        let findings = book.findings(None);
        assert_eq!((findings.len(), findings[0].count), (4096, 2));
    }

    /// Returns a recursive read at a line, of the lock with an id.
    #[track_caller]
    fn read_twice(id: u64) -> Finding {
        static KIND: LockKind =
            LockKind { wrapper: "RwLock", of: LockOf::Nothing, role: Role::Lock };
        let mut edge =
            Edge { held_mode: Mode::Shared, wanted_mode: Mode::Shared, ..Edge::for_test(id, id) };
        (edge.held.kind, edge.wanted.kind) = (&KIND, &KIND);
        Finding::new(FindingKind::RecursiveRead, Level::Warn, vec![edge], Detail::None)
    }

    /// What a full record does not keep is counted, and other bugs are kept.
    #[test]
    fn a_record_full_of_one_bug_keeps_others() {
        let mut book = Store::default();
        let scope = ScopeId::new(1);
        book.open(scope.unwrap());
        for id in 0..5_000 {
            book.add(&read_twice(id), None, scope, 1);
        }
        for id in 5_000..5_003 {
            book.add(&read_twice(id), None, scope, 1);
        }
        let counts = |book: &Store| {
            let (bugs, lost) = book.unhandled(1);
            let counts: Vec<_> = bugs.iter().map(|bug| bug.count).collect();
            (counts, lost)
        };
        assert_eq!(counts(&book), (vec![5_000, 3], 0));
        book.close(scope.unwrap());
        assert_eq!(counts(&book), (vec![5_000, 3], 0));
        // A fork found none of these.
        assert_eq!(book.unhandled(2).0.len(), 0);
        book.add(&read_twice(0), None, None, 2);
        assert_eq!(book.unhandled(2).0.len(), 1);
    }

    /// One bug is one entry, at its worst.
    #[test]
    fn a_bug_that_got_worse_is_one_entry() {
        let at = |kind, level| Finding { kind, level, ..read_twice(1) };
        let mut book = Store::default();
        book.add(&at(FindingKind::GuardedInversion, Level::Allow), None, None, 1);
        book.add(&at(FindingKind::WaitWhileHolding, Level::Warn), None, None, 1);
        book.add(&at(FindingKind::Inversion, Level::Deny), None, None, 1);
        book.add(&at(FindingKind::SingleThreadInversion, Level::Deny), None, None, 1);
        let silenced = Some(Arc::from("known"));
        let other = at(FindingKind::DeclaredOrder, Level::Allow);
        book.add(&Finding { silenced, ..other }, None, None, 1);
        let (bugs, _) = book.unhandled(1);
        let bugs: Vec<_> = bugs.iter().map(|it| (it.worst.kind, it.count)).collect();
        assert_eq!(bugs, [(FindingKind::Inversion, 2), (FindingKind::WaitWhileHolding, 1)]);
        assert_eq!(book.findings(None).len(), 5);
    }

    /// One helper acquires all locks, and one line makes them.
    #[test]
    fn bugs_are_told_apart_by_the_calls_of_a_helper() {
        let mut book = Store::default();
        let line = |line| Site::new("src/main.rs".to_owned(), line, 1);
        let at = |first| Some([[line(first), line(first + 1)]].into());
        let mut is_news = |id, at| book.add(&read_twice(id), at, None, 1).is_news;
        assert!(is_news(0, at(10)));
        for id in 1..31 {
            assert!(!is_news(id, at(10)));
        }
        assert!(is_news(31, at(20)), "a second bug behind 31 alike");
        assert!(!is_news(32, None), "without stacks, it may be either");
        let (bugs, _) = book.unhandled(1);
        assert_eq!(bugs.iter().map(|bug| bug.count).collect::<Vec<_>>(), [32, 1]);
        assert_eq!(bugs[1].worst.cycle()[0].held().id(), read_twice(31).cycle()[0].held().id());
    }
}
