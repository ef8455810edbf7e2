//! A reader that reads again through a helper: hangs once a writer queues between the two.

use lockdep::sync::{RwLock, RwLockReadGuard};

#[derive(Default)]
struct Tree {
    nodes: RwLock<Vec<u32>>,
}

impl Tree {
    fn nodes(&self) -> RwLockReadGuard<'_, Vec<u32>> {
        self.nodes.read().unwrap()
    }

    fn depth(&self) -> usize {
        self.nodes().len()
    }

    fn describe(&self) -> String {
        let nodes = self.nodes();
        format!("{} nodes, {} deep", nodes.len(), self.depth())
    }
}

pub(crate) fn main() {
    let tree = Tree::default();
    crate::alone(|| drop(tree.describe()));
}
