//! Programs whose types are inferred as if lockdep were not there. They compile as long as no dependency of lockdep
//! implements a trait of std for these types: see `cargo-lockdep/tests/foreign_impls.rs`. With the feature `tokio` they
//! do not: tokio has `bytes` below it.
#![cfg(not(feature = "tokio"))]
#![allow(
    clippy::ptr_arg,
    clippy::useless_conversion,
    clippy::default_trait_access,
    reason = "types are inferred"
)]

use std::time::Duration;

use lockdep::sync::Mutex;

/// `impl PartialOrd<BStr> for [u8]`, as winnow has, makes `&Vec<u8>` stay what it is.
fn is_above(x: &[u8], v: &Vec<u8>) -> bool {
    x > v
}

fn is_below(a: &str, b: &String) -> bool {
    a < b
}

/// `impl AsRef<BStr> for [u8]` makes it ambiguous.
fn length(b: &[u8]) -> usize {
    b.as_ref().len()
}

/// `impl PartialEq<Value> for usize`, as `serde_json` has: with the feature `records`.
#[cfg(not(feature = "records"))]
fn is_equal(x: usize, y: u32) -> bool {
    x == y as _
}

/// `impl From<humantime::Duration> for Duration` makes the argument ambiguous.
fn nothing() -> Duration {
    Duration::from(Default::default())
}

#[test]
fn types_are_inferred() {
    assert_eq!(*Mutex::new(1).lock().unwrap(), 1);
    assert!(is_above(b"b", &b"a".to_vec()) && is_below("a", &"b".to_owned()));
    assert_eq!((length(b"abc"), nothing()), (3, Duration::ZERO));
    #[cfg(not(feature = "records"))]
    assert!(is_equal(1, 1));
}
