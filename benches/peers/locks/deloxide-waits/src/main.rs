//! deloxide's locks, with detection of deadlocks.

harness::peer!(deloxide, start deloxide::Deloxide::new().start().unwrap());
