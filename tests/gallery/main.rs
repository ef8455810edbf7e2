//! Small programs as people write them, in which the locks hide behind helpers, accessors, wrappers and macros. What
//! each prints stands in `reports`: both locks, all sites, both threads and the right fix must be there.
//!
//! `SNAPSHOTS=overwrite cargo test --all-features --test gallery` updates the files. Read each as if it were unknown.
#![allow(clippy::non_std_lazy_statics, reason = "programs as people have them")]

use std::{
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::{Command, Stdio},
    sync::Barrier,
    thread,
};

use libtest_mimic::{Arguments, Failed, Trial};
use snapbox::assert_data_eq;

/// Declares the programs: a module and an entry of the table for each.
macro_rules! programs {
    ($($(#[$condition:meta])? $name:ident,)*) => {
        mod programs {
            $($(#[$condition])? pub(super) mod $name;)*
        }

        /// All programs, by name.
        const PROGRAMS: &[(&str, fn())] =
            &[$($(#[$condition])? (stringify!($name), programs::$name::main),)*];
    };
}

/// Runs two threads that both live until the end, the second after the first, so that no join orders them.
fn one_after_the_other(first: impl FnOnce() + Send, second: impl FnOnce() + Send) {
    let turn = Barrier::new(2);
    thread::scope(|scope| {
        let first = || {
            first();
            turn.wait();
        };
        let second = || {
            turn.wait();
            second();
        };
        spawn(scope, "first", first);
        spawn(scope, "second", second);
    });
}

/// Runs the steps in turn, each on its own thread.
fn in_turn(steps: &[&(dyn Fn() + Sync)]) {
    let turn = Barrier::new(steps.len());
    let turn = &turn;
    thread::scope(|scope| {
        for (at, step) in steps.iter().enumerate() {
            spawn(scope, &format!("step-{at}"), move || {
                for now in 0..steps.len() {
                    if now == at {
                        caught(step);
                    }
                    turn.wait();
                }
            });
        }
    });
}

/// Runs two threads at the same time.
fn at_once(one: impl FnOnce() + Send, other: impl FnOnce() + Send) {
    thread::scope(|scope| {
        spawn(scope, "one", one);
        spawn(scope, "other", other);
    });
}

/// Runs one thread, to the end of its thread-locals' destructors.
fn alone(body: impl FnOnce() + Send) {
    thread::scope(|scope| spawn(scope, "only", body).join().expect("its panic is caught"));
}

/// Spawns a thread whose panic ends nothing but itself.
fn spawn<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &str,
    body: impl FnOnce() + Send + 'scope,
) -> thread::ScopedJoinHandle<'scope, ()> {
    let body = || caught(body);
    thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, body).expect("a thread starts")
}

/// Runs a step of a program, which a finding may end.
fn caught(step: impl FnOnce()) {
    drop(panic::catch_unwind(AssertUnwindSafe(step)));
}

fn main() {
    if let Some(name) = std::env::var_os(PROGRAM) {
        let (_, program) = PROGRAMS.iter().find(|(it, _)| name == *it).expect("a program");
        return program();
    }
    // The files have the lines of a debug build's stacks, and the source.
    if !cfg!(all(debug_assertions, feature = "excerpts", feature = "config")) {
        return;
    }
    let trial = |&(name, _): &(&'static str, fn())| Trial::test(name, move || matches(name));
    libtest_mimic::run(&Arguments::from_args(), PROGRAMS.iter().map(trial).collect()).exit();
}

/// The variable that makes a process run one program.
const PROGRAM: &str = "LOCKDEP_GALLERY_PROGRAM";

/// Compares what a program prints with its file.
fn matches(name: &str) -> Result<(), Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    for (variable, _) in std::env::vars_os() {
        let variable_name = variable.to_string_lossy();
        if ["LOCKDEP", "RUST_", "CLICOLOR", "NO_COLOR"]
            .iter()
            .any(|it| variable_name.starts_with(it))
        {
            command.env_remove(&variable);
        }
    }
    let output = command.env(PROGRAM, name).stdin(Stdio::null()).output()?;
    let status = output.status.code().ok_or("it was ended by a signal")?;
    let text = String::from_utf8(output.stderr)?;
    let text = without_thread_ids(&text);
    let text = text.replace(env!("CARGO_MANIFEST_DIR"), "[here]");
    let report = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/gallery/reports")
        .join(format!("{name}.txt"));
    assert_data_eq!(
        format!("{text}[status {status}]\n"),
        snapbox::Data::read_from(&report, None).raw()
    );
    Ok(())
}

/// Replaces the operating system's ids of threads, which differ between runs: `itself` is the thread that
/// has panicked last.
fn without_thread_ids(text: &str) -> String {
    let (mut replaced, mut panicked) = (String::new(), "");
    for line in text.lines() {
        let mut rest = line;
        if let Some((thread, after)) =
            line.split_once("' (").filter(|_| line.starts_with("thread '"))
        {
            (panicked, rest) = after.split_once(')').expect("the id ends");
            replaced.extend([thread, "'"]);
        }
        while let Some((before, after)) = rest.split_once("<unnamed> (") {
            let (id, after) = after.split_once(')').expect("the id ends");
            let who = if id == panicked { "itself" } else { "another" };
            replaced.extend([before, "<unnamed> (", who, ")"]);
            rest = after;
        }
        replaced += rest;
        replaced.push('\n');
    }
    replaced
}

// At the end, so that one more changes no line that a report shows.
programs! {
    accessors,
    accounts_in_a_vec,
    accounts_loaded_each_time,
    branches,
    callbacks,
    closure_locks_again,
    closures,
    connections,
    deadlock,
    declared_order,
    destructor,
    env_lock,
    five_cycle,
    #[cfg(feature = "rayon")]
    frame,
    fresh_banks,
    helpers_three_deep,
    join_in_a_helper,
    lazy_initializer,
    #[cfg(all(feature = "once_cell", feature = "parking_lot"))] lazy_parking_lot,
    leaked_guard,
    macros,
    method_locks_again,
    nameless_threads,
    one_lock_two_names,
    own_guard,
    pool,
    recursive_read,
    rooms_in_a_map,
    #[cfg(feature = "parking_lot")] single_thread,
    statics_in_functions,
    swapped_in_closures,
    #[cfg(feature = "tokio")] tasks,
    temporaries,
    temporary_in_a_statement,
    threads_of_std,
    track_caller,
    trait_objects,
    two_files,
    #[cfg(feature = "parking_lot")] upgrade,
    wait_in_a_helper,
    wrapper_type,
}
