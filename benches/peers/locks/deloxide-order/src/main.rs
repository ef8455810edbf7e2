//! deloxide's locks: who waits for whom, and the order.

harness::peer!(deloxide, start deloxide::Deloxide::new().start().unwrap());
