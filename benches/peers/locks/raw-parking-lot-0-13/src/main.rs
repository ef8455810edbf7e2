//! parking_lot 0.13's locks.

harness::peer!(parking_lot);
