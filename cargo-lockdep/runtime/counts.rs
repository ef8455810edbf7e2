//! At exit, records the path of the program, how many locks and edges the process had, and which entries of its
//! `lockdep.toml` matched a finding. A process that is killed leaves none of this.

use ::std::{
    env, fs,
    path::Path,
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use lockdep::__private::{self, validator::tasks};

#[used]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
static AT_START: extern "C" fn() = at_start;

/// The id of the process that registered the handler. A forked child inherits the handler but not
/// the counts; besides, another thread may have held one of our locks at the fork.
static PROCESS: AtomicU32 = AtomicU32::new(0);

extern "C" fn at_start() {
    PROCESS.store(process::id(), Relaxed);
    // SAFETY: `atexit` may be called at any time, and the handler does not unwind.
    unsafe { libc::atexit(at_exit) };
    if env::var_os("CARGO_LOCKDEP").is_none() {
        be_quiet();
    }
}

/// Sets the levels that `CARGO_LOCKDEP` sets in other processes: the parent of this one has cleared its
/// environment.
fn be_quiet() {
    for kind in lockdep::FindingKind::ALL.into_iter().filter(|kind| !kind.is_certain()) {
        lockdep::set_level(kind, lockdep::Level::Allow);
    }
}

extern "C" fn at_exit() {
    let process = process::id();
    if process != PROCESS.load(Relaxed) {
        return;
    }
    if let Some(folder) = env::var_os("CARGO_LOCKDEP_COUNTS") {
        let stats = lockdep::stats();
        let counts = format!("{} {}\n", stats.locks(), stats.edges());
        let program = env::current_exe().unwrap_or_default().to_string_lossy().into_owned();
        let unknown = tasks::has_unknown().then(|| (String::new(), "unknown_tasks"));
        let entries = Some(allow_entries()).filter(|text| !text.is_empty()).map(|it| (it, "allow"));
        let always = [(counts, "counts"), (program, "program")];
        for (text, kind) in always.into_iter().chain(unknown).chain(entries) {
            // A failed write must not affect the program.
            let _ = fs::write(Path::new(&folder).join(format!("{process}.{kind}")), text);
        }
    }
}

/// Returns a line for each entry of the `lockdep.toml`: whether it matched a finding, its place and its reason.
fn allow_entries() -> String {
    let line = |(place, reason, is_used): (&str, &str, bool)| {
        let used = if is_used { "used" } else { "unused" };
        format!("{used}\t{place}\t{}\n", reason.replace('\n', " "))
    };
    __private::allow_entries().map(line).collect()
}
