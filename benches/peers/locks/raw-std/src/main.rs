//! std's locks.

harness::peer!(std::sync, unwrap());
