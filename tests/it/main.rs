//! The tests that can share a process, one module for each subject.
//!
//! They run at the same time as each other, so none of them may change what belongs to the process: levels, hooks,
//! settings, the environment, the list of findings. A test that has to does so in a child process, by
//! [`support::in_a_child`]. Locks have names that no other test's have, see [`support::findings_about`].

#[path = "../support/mod.rs"]
mod support;

mod barriers;
mod budget;
mod cells;
mod channels;
mod complete_mirrors;
mod config;
mod diagnostic_threads;
mod examples;
mod exit_status;
mod explore;
mod external;
mod fresh;
mod global_deadlock;
mod guarantees;
mod in_a_project;
mod interleave;
mod interleave_tasks;
mod joins;
mod kernel_selftests;
mod layers;
mod leaks;
mod links;
mod lock_count;
mod merge;
mod merge_services;
mod never_hurt;
mod no_default_features;
mod once_cell;
mod one_class;
mod parking_lot;
mod parking_lot_behaviour;
mod peers;
mod phases;
mod points;
mod precision;
mod rayon;
mod rayon_behaviour;
mod records;
mod resource_pools;
mod resources;
mod runtime_behaviour;
mod std_behaviour;
mod switch;
mod task_diagnostics;
mod testing;
mod thread_behaviour;
mod tokio_behaviour;
mod waits;
