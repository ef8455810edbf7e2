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
