//! deloxide's locks, with detection of deadlocks and of lock-order inversions.

harness::peer!(deloxide, start deloxide::Deloxide::new().start().unwrap());
