//! Parses values of the variables whose names begin with `LOCKDEP`, one per line: each invalid part
//! leads to one message, and nothing panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let complaints = lockdep::fuzzing::environment(|_| lines.next().map(str::to_owned));
    assert!(complaints.iter().all(|complaint| complaint.starts_with("lockdep: `")));
});
