//! A list that finds out in one comparison which of two entries comes first.
//!
//! Bender, Cole, Demaine, Farach-Colton and Zito, *Two simplified algorithms for maintaining order
//! in a list* (ESA 2002). Labels grow along a linked list. If no label is free between two
//! neighbours, the smallest surrounding range of labels that is sparse enough is relabelled: O(log
//! n) amortized per insertion.
//!
//! Entries are small integers, chosen by the caller (a graph's node indices).

use std::iter;

use super::room_for_more;

const NONE: u32 = u32::MAX;

/// The label of a removed entry, larger than all others.
const GONE: u64 = u64::MAX;

/// The distance of a new label at an end of the list from its neighbour.
const STRIDE: u64 = 1 << 32;

/// How much sparser a range must be after each doubling, between 1 and 2. A smaller value relabels
/// more entries each time, a larger one relabels more often.
const SPARSITY_FACTOR: f64 = 1.5;

#[derive(Clone, Copy)]
struct Entry {
    label: u64,
    previous: u32,
    next: u32,
}

#[derive(Default)]
pub(super) struct OrderList {
    entries: Vec<Entry>,
    /// The first and last entry, unless the list is empty.
    ends: Option<(u32, u32)>,
}

impl OrderList {
    /// Returns the label of an entry. Labels grow along the list, and change when others are
    /// inserted. The label of a removed entry is larger than all.
    pub(super) fn label(&self, entry: u32) -> u64 {
        self.entries[entry as usize].label
    }

    /// Returns `true` if an entry, which was added at some time, is still in the list.
    pub(super) fn contains(&self, entry: u32) -> bool {
        self.label(entry) != GONE
    }

    /// Iterates from the first entry on.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let next = |&at: &u32| Some(self.entries[at as usize].next).filter(|&next| next != NONE);
        iter::successors(self.ends.map(|(first, _)| first), next)
    }

    pub(super) fn push_back(&mut self, entry: u32) {
        match self.ends {
            Some((_, last)) => self.insert_between(last, NONE, entry),
            None => self.insert_between(NONE, NONE, entry),
        }
    }

    pub(super) fn remove(&mut self, entry: u32) {
        let Entry { previous, next, .. } = self.entries[entry as usize];
        let (first, last) = self.ends.expect("the entry is in the list");
        if previous != NONE {
            self.entries[previous as usize].next = next;
        }
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        self.ends = match (entry == first, entry == last) {
            (true, true) => None,
            (true, false) => Some((next, last)),
            (false, true) => Some((first, previous)),
            (false, false) => self.ends,
        };
        self.entries[entry as usize].label = GONE;
    }

    pub(super) fn move_after(&mut self, anchor: u32, entry: u32) {
        self.remove(entry);
        self.insert_between(anchor, self.entries[anchor as usize].next, entry);
    }

    pub(super) fn move_before(&mut self, anchor: u32, entry: u32) {
        self.remove(entry);
        self.insert_between(self.entries[anchor as usize].previous, anchor, entry);
    }

    fn insert_between(&mut self, previous: u32, next: u32, entry: u32) {
        let label = self.free_label(previous, next).unwrap_or_else(|| {
            self.spread_around(if previous == NONE { next } else { previous });
            self.free_label(previous, next).expect("there is room once labels are spread")
        });
        let at = entry as usize;
        if at >= self.entries.len() {
            if at >= self.entries.capacity() {
                self.entries.reserve_exact(at + room_for_more(at) - self.entries.len());
            }
            self.entries.resize(at + 1, Entry { label: 0, previous: NONE, next: NONE });
        }
        self.entries[at] = Entry { label, previous, next };
        let (mut first, mut last) = self.ends.unwrap_or((entry, entry));
        match previous {
            NONE => first = entry,
            _ => self.entries[previous as usize].next = entry,
        }
        match next {
            NONE => last = entry,
            _ => self.entries[next as usize].previous = entry,
        }
        self.ends = Some((first, last));
    }

    /// Returns a label strictly between two neighbours, at most [`STRIDE`] away.
    fn free_label(&self, previous: u32, next: u32) -> Option<u64> {
        match (previous, next) {
            (NONE, NONE) => Some(1 << 63),
            (NONE, _) => {
                let above = self.label(next);
                (above > 0).then(|| above - (above / 2).clamp(1, STRIDE))
            }
            (_, NONE) => {
                let below = self.label(previous);
                (below < GONE - 1).then(|| below + ((GONE - below) / 2).clamp(1, STRIDE))
            }
            _ => {
                let (below, above) = (self.label(previous), self.label(next));
                (above - below >= 2).then(|| below + (above - below) / 2)
            }
        }
    }

    /// Relabels the smallest range around an entry that is sparse enough, so that there is room
    /// next to each entry in it.
    fn spread_around(&mut self, entry: u32) {
        let label = self.label(entry);
        let (mut first, mut last, mut count) = (entry, entry, 1_u64);
        let mut sparse_enough = 1.0;
        for bits in 1..=u64::BITS {
            let mask = u64::MAX >> (u64::BITS - bits);
            let (low, high) = (label & !mask, label | mask);
            loop {
                let previous = self.entries[first as usize].previous;
                if previous == NONE || self.label(previous) < low {
                    break;
                }
                first = previous;
                count += 1;
            }
            loop {
                let next = self.entries[last as usize].next;
                if next == NONE || self.label(next) > high {
                    break;
                }
                last = next;
                count += 1;
            }
            sparse_enough *= 2.0 / SPARSITY_FACTOR;
            #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            let is_sparse = (count as f64) <= sparse_enough;
            // Leaves half a gap at both ends, because the neighbours outside may be close.
            let gap = mask / (count + 1);
            if is_sparse && gap >= 4 {
                let mut label = low;
                let mut at = first;
                for _ in 0..count {
                    label += gap;
                    self.entries[at as usize].label = label;
                    at = self.entries[at as usize].next;
                }
                return;
            }
        }
        unreachable!("2^64 labels are more than there are entries")
    }

    /// Panics if the list is inconsistent.
    #[cfg(test)]
    pub(super) fn check(&self, mut expected: Vec<u32>) {
        let mut found = Vec::new();
        let mut at = self.ends.map_or(NONE, |(first, _)| first);
        let mut previous = NONE;
        while at != NONE {
            let entry = self.entries[at as usize];
            assert_eq!(entry.previous, previous);
            assert!(previous == NONE || self.label(previous) < entry.label, "labels must grow");
            found.push(at);
            (previous, at) = (at, entry.next);
        }
        assert_eq!(previous, self.ends.map_or(NONE, |(_, last)| last));
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Repeated insertion at one place exhausts the labels there.
    #[test]
    fn crowded_places_are_spread() {
        for front in [false, true] {
            let mut list = OrderList::default();
            list.push_back(0);
            list.push_back(1);
            for entry in 2..5_000 {
                list.push_back(entry);
                if front { list.move_before(1, entry) } else { list.move_after(0, entry) }
            }
            list.check((0..5_000).collect());
        }
    }

    #[test]
    fn labels_at_an_end_are_a_stride_apart() {
        let mut list = OrderList::default();
        (0..3).for_each(|entry| list.push_back(entry));
        list.move_before(0, 2);
        let labels = [2, 0, 1].map(|entry| list.label(entry));
        assert_eq!(labels, [(1 << 63) - STRIDE, 1 << 63, (1 << 63) + STRIDE]);
    }

    /// If no label is left at an end, or almost none, others are moved away from it.
    #[test]
    fn the_ends_of_the_labels_are_spread() {
        let at_front = [0, 1, 2, 3].map(|label| (label, true));
        let at_back = [1, 2, 3, 4].map(|from_end| (GONE - from_end, false));
        for (label, front) in at_front.into_iter().chain(at_back) {
            let mut list = OrderList::default();
            list.push_back(0);
            list.entries[0].label = label;
            for entry in 1..20 {
                list.push_back(entry);
                if front {
                    list.move_before(entry - 1, entry);
                }
                list.check((0..=entry).collect());
                assert!((0..=entry).all(|entry| list.contains(entry)));
            }
            assert_eq!(list.label(0) < list.label(19), !front);
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_vector(steps in prop::collection::vec((0..4_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..300)) {
            let mut list = OrderList::default();
            let mut model: Vec<u32> = Vec::new();
            let mut unused: Vec<u32> = (0..300).rev().collect();
            for (step, a, b) in steps {
                match step {
                    0 => {
                        let entry = unused.pop().unwrap();
                        list.push_back(entry);
                        model.push(entry);
                    }
                    1 if !model.is_empty() => {
                        let entry = model.remove(a.index(model.len()));
                        list.remove(entry);
                        unused.push(entry);
                    }
                    2 | 3 if model.len() >= 2 => {
                        let entry = model.remove(a.index(model.len()));
                        let at = b.index(model.len());
                        if step == 2 {
                            list.move_after(model[at], entry);
                            model.insert(at + 1, entry);
                        } else {
                            list.move_before(model[at], entry);
                            model.insert(at, entry);
                        }
                    }
                    _ => {}
                }
                list.check(model.clone());
                let mut known = 0..u32::try_from(list.entries.len()).unwrap();
                prop_assert!(known.all(|it| list.contains(it) == model.contains(&it)));
                prop_assert!(model.is_sorted_by_key(|&entry| list.label(entry)));
            }
        }
    }
}
