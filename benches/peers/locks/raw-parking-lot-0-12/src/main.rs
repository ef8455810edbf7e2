//! parking_lot 0.12's locks.

harness::peer!(parking_lot);
