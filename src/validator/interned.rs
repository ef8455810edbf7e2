//! Call stacks, one per call path however many edges were seen on it.

use rustc_hash::FxHashSet;

use crate::finding::Stack;

#[derive(Default)]
pub(super) struct Interned {
    stacks: FxHashSet<Stack>,
    sweep_at: usize,
}

impl Interned {
    /// The stack, shared with all that are the same.
    pub(super) fn intern(&mut self, stack: Stack) -> Stack {
        if stack.is_empty() {
            return stack;
        }
        if let Some(known) = self.stacks.get(&stack) {
            return known.clone();
        }
        // Stacks of edges that are gone go too, once they may be half of all.
        if self.stacks.len() >= self.sweep_at {
            self.stacks.retain(Stack::is_shared);
            self.sweep_at = (self.stacks.len() * 2).max(64);
        }
        self.stacks.insert(stack.clone());
        stack
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn stack(number: usize) -> Stack {
        Stack::new([number].into())
    }

    #[test]
    fn one_stack_for_all_that_are_the_same() {
        let mut interned = Interned::default();
        let first = interned.intern(stack(1));
        drop(interned.intern(stack(2)));
        let addresses = |stack: &Stack| stack.addresses().collect::<Vec<_>>();
        assert_eq!(addresses(&interned.intern(stack(1))), addresses(&first));
        assert_eq!(interned.stacks.len(), 2);
        // Settings may have none captured: that is no stack.
        assert!(interned.intern(Stack::default()).is_empty());
        assert_eq!(interned.stacks.len(), 2);
    }

    /// Looking for them costs as much as there are stacks: so that is done when their number has doubled.
    #[test]
    fn stacks_that_nobody_has_any_more_go() {
        let mut interned = Interned::default();
        let kept: Vec<_> = (0..1_000).map(|number| interned.intern(stack(number))).collect();
        assert_eq!(interned.sweep_at, 1_024);
        (1_000..100_000).for_each(|number| drop(interned.intern(stack(number))));
        assert!(interned.stacks.len() <= 2_048);
        assert!(kept.iter().all(Stack::is_shared));
    }
}
