//! Calls into thread pools and their jobs, for the mirror of rayon.

pub use super::{
    context::{
        job::{Body, Call, Spawning},
        position::How,
    },
    waits::jobs::{For, InWait, Pool, handles_panics, is_finding, is_worker},
};
