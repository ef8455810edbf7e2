//! One source of tests, compiled against `parking_lot` 0.12 and against
//! `lockdep::parking_lot`: what holds for the one holds for the other, in checked builds and
//! in others.
#![cfg(all(feature = "parking_lot", feature = "arc_lock"))]

mod real {
    use parking_lot as subject;
    include!("locks.rs");
}

mod lockdep_parking_lot {
    use lockdep::parking_lot as subject;
    include!("locks.rs");
}
