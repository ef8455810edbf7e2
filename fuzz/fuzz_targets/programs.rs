//! Programs over a few locks, made of bytes: what is found is what the naive oracle of `tests/oracle`
//! says of all their interleavings.
#![no_main]
#![allow(dead_code, reason = "the tests need more of it")]

#[path = "../../tests/oracle/case.rs"]
mod case;
#[path = "../../tests/oracle/locks.rs"]
mod locks;
#[path = "../../tests/oracle/paths.rs"]
mod paths;
#[path = "../../tests/oracle/program.rs"]
mod program;
#[path = "../../tests/oracle/random.rs"]
mod random;
#[path = "../../tests/oracle/reasons.rs"]
mod reasons;
#[path = "../../tests/oracle/scheduler.rs"]
mod scheduler;

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// More than a program needs.
const ANY: usize = 1 << 16;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    case::throw_nothing();
    // Proptest's random numbers are the bytes, and then any: of zeros, which it would take after their
    // end, its distributions reject all, for ever.
    let mut bytes = bytes.to_vec();
    let mut state = bytes.len() as u64 + 1;
    bytes.resize_with(bytes.len() + ANY, || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    });
    let rng = TestRng::from_seed(RngAlgorithm::PassThrough, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let Ok(program) = random::programs().new_tree(&mut runner) else { return };
    let case = case::Case::new(program.current());
    assert!(!case.is_missed() && !case.has_invented() && !case.depends_on_order(), "{case}");
});
