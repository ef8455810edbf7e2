//! parking_lot 0.12's locks, checked by tracing-mutex.

harness::peer!(tracing_mutex::parkinglot::tracing);
