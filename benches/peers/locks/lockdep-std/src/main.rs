//! std's locks, checked by lockdep.

harness::peer!(lockdep::sync, unwrap());
