//! [`once_cell`], checked: a mirror of its module `sync`.

pub mod sync;
