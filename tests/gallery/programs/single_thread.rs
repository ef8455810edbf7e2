//! Both orders on one thread, in two methods that no two threads call yet.

use lockdep::parking_lot::{Mutex, MutexGuard};

#[derive(Default)]
struct Player {
    playlist: Mutex<Vec<u32>>,
    output: Mutex<Vec<u32>>,
}

impl Player {
    fn playlist(&self) -> MutexGuard<'_, Vec<u32>> {
        self.playlist.lock()
    }

    fn output(&self) -> MutexGuard<'_, Vec<u32>> {
        self.output.lock()
    }

    fn play(&self) {
        let mut playlist = self.playlist();
        self.output().extend(playlist.drain(..));
    }

    fn rewind(&self) {
        let mut output = self.output();
        self.playlist().extend(output.drain(..));
    }
}

pub(crate) fn main() {
    let player = Player::default();
    crate::alone(|| {
        player.play();
        player.rewind();
    });
}
