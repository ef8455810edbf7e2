//! deloxide's locks: who waits for whom.

harness::peer!(deloxide, start deloxide::Deloxide::new().start().unwrap());
