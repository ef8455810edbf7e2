//! Parses a `lockdep.toml`: returns entries, or one message with its line.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(message) = lockdep::fuzzing::config(text) {
        assert!(message.starts_with("lockdep.toml:"), "{message}");
    }
});
