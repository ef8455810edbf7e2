//! Describes the activity of a thread, according to the operating system.

use crate::finding::{Activity, FutexWait, SystemCall};

/// Completes the sentence "it is ...". Returns `None` if nothing is known.
pub(super) fn words(activity: &Activity) -> Option<String> {
    Some(match activity {
        Activity::Unknown => return None,
        Activity::Runs => "running".to_owned(),
        Activity::Futex(FutexWait { is_timed: false, .. }) => {
            "asleep until another thread wakes it (futex, no time limit)".to_owned()
        }
        Activity::Futex(_) => {
            "asleep until another thread wakes it, or until a timeout (futex)".to_owned()
        }
        Activity::Joins(thread) => format!("joining thread {thread}, until it ends"),
        Activity::SystemCall(SystemCall { known: Some((name, does)), .. }) => {
            format!("{does} ({name})")
        }
        Activity::SystemCall(SystemCall { number, .. }) => format!("in system call {number}"),
        Activity::Faults => "waiting for memory to be read in".to_owned(),
        Activity::Stopped => "stopped, by a signal or a debugger".to_owned(),
        Activity::HasEnded => "at its end".to_owned(),
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_told() {
        assert_eq!(words(&Activity::Unknown), None);
        let call = |known| Activity::SystemCall(SystemCall { number: 7, known });
        assert_eq!(words(&call(Some(("poll", "waiting")))).unwrap(), "waiting (poll)");
        assert_eq!(words(&call(None)).unwrap(), "in system call 7");
        let futex = |is_timed| {
            let wait = FutexWait { address: 0, value: 0, is_timed, is_private: true };
            words(&Activity::Futex(wait)).unwrap()
        };
        assert!(futex(false).contains("no time limit") && futex(true).contains("a timeout"));
    }
}
