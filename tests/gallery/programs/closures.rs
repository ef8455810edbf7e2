//! A generic `update` that runs a closure under a lock, as most wrappers have it.

use lockdep::sync::RwLock;

fn update<T, R>(lock: &RwLock<T>, change: impl FnOnce(&mut T) -> R) -> R {
    change(&mut lock.write().unwrap())
}

fn view<T, R>(lock: &RwLock<T>, look: impl FnOnce(&T) -> R) -> R {
    look(&lock.read().unwrap())
}

#[derive(Default)]
struct Game {
    players: RwLock<Vec<String>>,
    scores: RwLock<Vec<u32>>,
}

fn join(game: &Game, name: &str) {
    update(&game.players, |players| {
        players.push(name.to_owned());
        update(&game.scores, |scores| scores.push(0));
    });
}

fn leader(game: &Game) -> Option<String> {
    view(&game.scores, |scores| {
        let best = scores.iter().enumerate().max_by_key(|(_, score)| **score)?.0;
        view(&game.players, |players| players.get(best).cloned())
    })
}

pub(crate) fn main() {
    let game = Game::default();
    crate::one_after_the_other(|| join(&game, "ada"), || drop(leader(&game)));
}
