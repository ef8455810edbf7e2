//! parking_lot 0.12's locks, checked by lockdep.

harness::peer!(lockdep::parking_lot);
