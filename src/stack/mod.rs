//! Call stacks: raw addresses, how they are captured, and their symbols.

pub(crate) mod exit;
pub(crate) mod symbols;
mod walk;

use std::{ffi::c_void, sync::Arc};

pub(crate) use self::walk::{number_walk, trace, walk_number};

/// The maximum number of frames in a stack.
pub(crate) const MAX_FRAMES: usize = 32;

/// A call stack: raw addresses, innermost first, at most 32. Symbols are looked
/// up when a report is drawn. Empty if none was captured (`LOCKDEP_BACKTRACE=0`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stack {
    frames: Option<Arc<[usize]>>,
}

/// A stack in a fixed-size buffer. Capturing it allocates nothing.
#[derive(Clone, Copy)]
pub(crate) struct RawStack {
    frames: [usize; MAX_FRAMES],
    depth: usize,
}

impl RawStack {
    pub(crate) const EMPTY: Self = Self { frames: [0; MAX_FRAMES], depth: 0 };

    /// Adds the next outer frame. Returns `true` if there is room for another.
    pub(super) fn push(&mut self, address: usize) -> bool {
        if let Some(frame) = self.frames.get_mut(self.depth) {
            *frame = address;
            self.depth += 1;
        }
        self.depth < MAX_FRAMES
    }

    /// The return addresses, innermost first.
    pub(crate) fn frames(&self) -> &[usize] {
        &self.frames[..self.depth]
    }
}

impl From<&Stack> for RawStack {
    fn from(stack: &Stack) -> Self {
        let mut raw = Self::EMPTY;
        stack.frames().iter().all(|&frame| raw.push(frame));
        raw
    }
}

impl From<&RawStack> for Stack {
    fn from(raw: &RawStack) -> Self {
        Self::new(raw.frames().into())
    }
}

impl Stack {
    pub(crate) fn new(frames: Arc<[usize]>) -> Self {
        Self { frames: (!frames.is_empty()).then_some(frames) }
    }

    /// The return addresses, innermost first.
    ///
    /// ```
    /// # use lockdep::sync::Mutex;
    /// # let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
    /// # drop((accounts.lock(), ledger.lock()));
    /// for edge in lockdep::order_graph().as_petgraph().edge_weights() {
    ///     for address in edge.backtrace().addresses() {
    ///         backtrace::resolve(address, |symbol| println!("{symbol:?}"));
    ///     }
    /// }
    /// ```
    pub fn addresses(&self) -> impl Iterator<Item = *mut c_void> + '_ {
        self.frames().iter().map(|&ip| ip as *mut c_void)
    }

    pub(crate) fn frames(&self) -> &[usize] {
        self.frames.as_deref().unwrap_or_default()
    }

    /// Returns `true` if no stack was captured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_frames_are_kept() {
        let mut stack = RawStack::EMPTY;
        let has_room = |address| stack.push(address);
        let have_room = (1..=MAX_FRAMES + 1).map(has_room).take_while(|&room| room).count();
        assert_eq!(have_room, MAX_FRAMES - 1);
        assert!(!stack.push(99) && stack.frames().iter().copied().eq(1..=MAX_FRAMES));
    }
}
