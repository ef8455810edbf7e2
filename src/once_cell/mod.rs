//! [`once_cell`], checked: a mirror of its module `sync`.
//!
//! ```
//! use lockdep::once_cell::sync::Lazy; // was: use once_cell::sync::Lazy;
//!
//! static PRIMES: Lazy<Vec<u32>> = Lazy::new(|| vec![2, 3, 5, 7]);
//! assert_eq!(PRIMES[2], 5);
//! ```

pub mod sync;
