//! parking_lot 0.13's locks, with its own detection.

harness::peer!(parking_lot);
