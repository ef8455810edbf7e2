//! parking_lot 0.13's locks, checked by lockdep.

harness::peer!(lockdep::parking_lot_0_13);
