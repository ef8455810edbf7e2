//! Two threads that do wait for each other, through an accessor.

use std::sync::Barrier;

use lockdep::sync::{Mutex, MutexGuard};

#[derive(Default)]
struct Editor {
    text: Mutex<String>,
    undo: Mutex<Vec<String>>,
}

impl Editor {
    fn text(&self) -> MutexGuard<'_, String> {
        self.text.lock().unwrap()
    }

    fn undo(&self) -> MutexGuard<'_, Vec<String>> {
        self.undo.lock().unwrap()
    }
}

fn typing(editor: &Editor, both: &Barrier) {
    let text = editor.text();
    both.wait();
    // So that this thread is the one that closes the cycle.
    while !lockdep::held().to_string().contains("waits for") {
        std::thread::yield_now();
    }
    editor.undo().push(text.clone());
}

fn undoing(editor: &Editor, both: &Barrier) {
    let mut undo = editor.undo();
    both.wait();
    *editor.text() = undo.pop().unwrap_or_default();
}

pub(crate) fn main() {
    // Only what really happens.
    lockdep::set_level(lockdep::FindingKind::Inversion, lockdep::Level::Allow);
    let (editor, both) = (Editor::default(), Barrier::new(2));
    crate::at_once(|| typing(&editor, &both), || undoing(&editor, &both));
}
