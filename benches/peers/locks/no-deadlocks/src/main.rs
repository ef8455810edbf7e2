//! The locks of `no_deadlocks`.

harness::peer!(no_deadlocks, unwrap());
