use std::{sync::Arc, thread, time::Duration};

use sync::{Condvar, Mutex};

const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_mins(1);

#[derive(Default)]
struct Flag {
    up: Mutex<bool>,
    changed: Condvar,
}

impl Flag {
    fn raise(&self) {
        *self.up.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

/// Runs a wait while another thread raises the flag.
fn raised_meanwhile(wait: impl FnOnce(&Flag)) {
    let flag = Arc::new(Flag::default());
    let raiser = thread::spawn({
        let flag = Arc::clone(&flag);
        move || flag.raise()
    });
    wait(&flag);
    raiser.join().unwrap();
}

#[test]
fn wait() {
    raised_meanwhile(|flag| {
        let mut up = flag.up.lock().unwrap();
        while !*up {
            up = flag.changed.wait(up).unwrap();
        }
        // Held again: no other thread can acquire it.
        assert!(flag.up.try_lock().is_err());
    });
}

#[test]
fn wait_while() {
    raised_meanwhile(|flag| {
        let up = flag.changed.wait_while(flag.up.lock().unwrap(), |up| !*up).unwrap();
        assert!(*up);
    });
}

#[test]
fn wait_timeout() {
    raised_meanwhile(|flag| {
        let mut up = flag.up.lock().unwrap();
        while !*up {
            let (guard, result) = flag.changed.wait_timeout(up, LONG).unwrap();
            assert!(!result.timed_out());
            up = guard;
        }
    });
    let flag = Flag::default();
    // Spurious wake-ups are allowed, so that it may take several waits.
    let mut up = flag.up.lock().unwrap();
    loop {
        let (guard, result) = flag.changed.wait_timeout(up, SHORT).unwrap();
        up = guard;
        if result.timed_out() {
            break;
        }
    }
    assert!(!*up);
}

#[test]
#[allow(deprecated, reason = "std still has it")]
fn wait_timeout_ms() {
    let flag = Flag::default();
    let mut up = flag.up.lock().unwrap();
    loop {
        let (guard, in_time) = flag.changed.wait_timeout_ms(up, 1).unwrap();
        up = guard;
        if !in_time {
            break;
        }
    }
}

#[test]
fn wait_timeout_while() {
    raised_meanwhile(|flag| {
        let (up, result) =
            flag.changed.wait_timeout_while(flag.up.lock().unwrap(), LONG, |up| !*up).unwrap();
        assert!(*up && !result.timed_out());
    });
    let flag = Flag::default();
    let (up, result) =
        flag.changed.wait_timeout_while(flag.up.lock().unwrap(), SHORT, |up| !*up).unwrap();
    assert!(!*up && result.timed_out());
}

/// A condition that already holds does not wait, whatever the timeout.
#[test]
fn wait_timeout_while_does_not_wait_for_what_is_there() {
    let flag = Flag::default();
    flag.raise();
    let (up, result) = flag
        .changed
        .wait_timeout_while(flag.up.lock().unwrap(), Duration::ZERO, |up| !*up)
        .unwrap();
    assert!(*up && !result.timed_out());
}

#[test]
fn the_condition_may_change_the_value() {
    let flag = Flag::default();
    let mut calls = 0;
    let up = flag
        .changed
        .wait_while(flag.up.lock().unwrap(), |up| {
            calls += 1;
            *up = true;
            false
        })
        .unwrap();
    assert!(*up);
    assert_eq!(calls, 1);
}

#[test]
fn poison_comes_out_of_a_wait() {
    let flag = Arc::new(Flag::default());
    let up = flag.up.lock().unwrap();
    let poisoner = thread::spawn({
        let flag = Arc::clone(&flag);
        move || {
            let _up = flag.up.lock().unwrap();
            flag.changed.notify_all();
            panic!("on purpose");
        }
    });
    let error = flag.changed.wait_while(up, |up| !*up);
    assert!(error.is_err());
    drop(error);
    assert!(poisoner.join().is_err());
    assert!(flag.up.is_poisoned());
}

#[test]
fn notify_one_wakes_one() {
    let flag = Flag::default();
    flag.changed.notify_one();
    thread::scope(|scope| {
        scope.spawn(|| {
            *flag.up.lock().unwrap() = true;
            flag.changed.notify_one();
        });
        drop(flag.changed.wait_while(flag.up.lock().unwrap(), |up| !*up).unwrap());
    });
}

#[test]
fn debug_text() {
    static CHANGED: Condvar = Condvar::new();
    assert_eq!(format!("{CHANGED:?}"), "Condvar { .. }");
}
