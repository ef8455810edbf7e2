//! A lock held during a round trip to the main thread, as in programs with a GUI: a worker asks the
//! main loop for something and waits for the answer, while it holds a lock that a callback of the
//! main loop acquires.
//!
//! The answer comes through a channel, so the wait is not for a lock. Two lines declare it:
//! [`Event::owe`] around each callback, [`Event::wait`] around the wait for its answer. The
//! inversion is reported in a run that does not hang: the callback had ended before the worker
//! asked.
//!
//! ```sh
//! cargo run --example main_thread_round_trip
//! ```

use std::{sync::mpsc, thread};

use lockdep::{external::Event, sync::Mutex};

static DOCUMENT: Mutex<String> = Mutex::new(String::new());

/// The answers of the main thread.
static MAIN_LOOP: Event = Event::new("main loop");

type Callback = Box<dyn FnOnce() + Send>;

/// Runs a callback on the main thread and waits for its result.
#[track_caller]
fn on_main_thread<R: Send + 'static>(
    main_loop: &mpsc::Sender<Callback>,
    callback: impl FnOnce() -> R + Send + 'static,
) -> R {
    let (reply, answer) = mpsc::channel();
    let callback = Box::new(move || drop(reply.send(callback())));
    main_loop.send(callback).expect("the main loop runs");
    MAIN_LOOP.wait(|| answer.recv()).expect("it answers")
}

fn run_main_loop(callbacks: mpsc::Receiver<Callback>) {
    for callback in callbacks {
        let _owes = MAIN_LOOP.owe();
        callback();
    }
}

fn redraw() {
    let document = DOCUMENT.lock().unwrap();
    println!("drawn: {document:?}");
}

fn ask_for_title() -> &'static str {
    "notes"
}

/// Hangs if a redraw is queued before the question: the redraw waits for `DOCUMENT`, and `save` for
/// the answer.
fn save(main_loop: &mpsc::Sender<Callback>) {
    let mut document = DOCUMENT.lock().unwrap();
    let title = on_main_thread(main_loop, ask_for_title);
    *document = format!("{title}, saved");
}

fn save_fixed(main_loop: &mpsc::Sender<Callback>) {
    let title = on_main_thread(main_loop, ask_for_title);
    *DOCUMENT.lock().unwrap() = format!("{title}, saved");
}

fn main() {
    for save in [save, save_fixed] {
        let (main_loop, callbacks) = mpsc::channel();
        let saver = thread::Builder::new().name("saver".into()).spawn(move || {
            on_main_thread(&main_loop, redraw);
            save(&main_loop);
            on_main_thread(&main_loop, redraw);
        });
        run_main_loop(callbacks);
        let outcome = saver.expect("a thread").join();
        println!("{}", if outcome.is_ok() { "it is saved" } else { "it was about to hang" });
    }
    assert_eq!(lockdep::take_findings().len(), usize::from(lockdep::ENABLED));
}
