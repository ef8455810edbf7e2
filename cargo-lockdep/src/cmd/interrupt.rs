//! Signals that end a run: those of Ctrl-C, of timeouts in CI, and of a terminal that is closed.
//!
//! A terminal sends Ctrl-C to us, to cargo and to the program; `kill` and CI send their signal to us alone. So a signal
//! is passed on to whichever processes of the run still exist a moment later. They end as they would have anyway, and
//! those with checked locks first print what their threads wait for. Then we report what they have found.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Child, Command, ExitCode, ExitStatus},
};

use crate::{Result, cannot_start, rustc::real};

/// The end of a run of cargo.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// The signal that has ended it.
    pub(crate) signal: Option<i32>,
}

/// Cargo's exit status if a test has failed, also by a signal.
const CARGOS_FAILURE: i32 = 101;

impl Ended {
    pub(crate) fn signal_name(&self) -> Option<&'static str> {
        #[cfg(unix)]
        return self.signal.and_then(signal_hook::low_level::signal_name);
        #[cfg(not(unix))]
        None
    }

    /// Returns the exit status of a run that has failed: the program's own, or that of the signal.
    pub(crate) fn code(&self) -> ExitCode {
        match (self.signal, self.status.code()) {
            (Some(signal), None | Some(CARGOS_FAILURE)) => {
                ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
            }
            _ => real::code(self.status),
        }
    }
}

#[cfg(unix)]
pub(crate) use unix::Interrupts;

/// Leaves Ctrl-C to cargo.
#[cfg(not(unix))]
pub(crate) struct Interrupts;

#[cfg(not(unix))]
impl Interrupts {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self)
    }

    pub(crate) fn status(&self, cargo: &mut Command, _: bool, _: &Path) -> Result<Ended> {
        let status = cargo.status().map_err(cannot_start(cargo))?;
        Ok(Ended { status, signal: None })
    }
}

#[cfg(unix)]
mod unix {
    #![allow(unsafe_code, reason = "std sends no signals")]

    use std::{
        fs::{self, File},
        os::{fd::AsRawFd, unix::process::ExitStatusExt},
        sync::{
            Arc, Condvar, Mutex, PoisonError,
            atomic::{AtomicBool, AtomicI32, Ordering::SeqCst},
        },
        thread,
        time::{Duration, Instant},
    };

    use libc::{SIGHUP, SIGINT, SIGKILL, SIGTERM};
    use signal_hook::{flag, iterator::Signals};

    use super::{BTreeSet, Child, Command, Ended, Path, Result, cannot_start};
    use crate::cannot;

    const ENDINGS: [i32; 3] = [SIGHUP, SIGINT, SIGTERM];

    /// How long the processes may take to end before a signal is passed on to them. Cargo ends at once.
    const GRACE: Duration = Duration::from_millis(300);

    /// How long the processes may take to report what their threads wait for, and to end, once cargo has ended.
    const ANSWERS: Duration = Duration::from_secs(2);

    /// How long they may take if we have passed the signal on. Then they are killed.
    const ENDS: Duration = Duration::from_secs(5);

    /// What the thread that receives the signals shares with the one that waits for cargo.
    #[derive(Default)]
    struct Shared {
        has_ended: Mutex<bool>,
        end: Condvar,
        /// The first signal that was received, or 0.
        received: AtomicI32,
        has_passed_on: AtomicBool,
        /// The processes of the run when a signal was received.
        processes: Mutex<BTreeSet<i32>>,
    }

    /// The signals that end a run. While cargo does not run, they end this process.
    pub(crate) struct Interrupts {
        signals: Vec<i32>,
        is_idle: Arc<AtomicBool>,
    }

    impl Interrupts {
        pub(crate) fn new() -> Result<Self> {
            // Not those that are ignored, as in background jobs and below `nohup`: the program inherits that.
            let signals: Vec<_> = ENDINGS.into_iter().filter(|&it| !is_ignored(it)).collect();
            let is_idle = Arc::new(AtomicBool::new(true));
            for &signal in &signals {
                flag::register_conditional_default(signal, is_idle.clone())
                    .map_err(cannot("wait for signals"))?;
            }
            Ok(Self { signals, is_idle })
        }

        /// Runs cargo, and ends it and its processes if a signal asks for it. If cargo `passes_on` signals to its own
        /// processes, it alone receives them. Processes that have a record in `records` are waited for too.
        pub(crate) fn status(
            &self,
            cargo: &mut Command,
            passes_on: bool,
            records: &Path,
        ) -> Result<Ended> {
            let mut received = Signals::new(&self.signals).map_err(cannot("wait for signals"))?;
            let handle = received.handle();
            self.is_idle.store(false, SeqCst);
            let shared = Shared::default();
            let status = thread::scope(|scope| {
                let mut child = cargo.spawn().map_err(cannot_start(cargo))?;
                let root = id(&child);
                let shared = &shared;
                scope.spawn(move || {
                    received.forever().for_each(|signal| shared.answer(signal, root, passes_on));
                });
                let status = child.wait().map_err(cannot("wait for cargo"));
                *shared.has_ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
                shared.end.notify_all();
                handle.close();
                status
            });
            self.is_idle.store(true, SeqCst);

            let status = status?;
            let received = Some(shared.received.load(SeqCst)).filter(|&signal| signal != 0);
            // Cargo may have received it before us.
            let of_cargo = || status.signal().filter(|signal| ENDINGS.contains(signal));
            let signal = received.or_else(of_cargo);
            if signal.is_some() {
                shared.wait_for_the_others(records);
            }
            Ok(Ended { status, signal })
        }
    }

    impl Shared {
        /// Passes a signal on to the processes that do not end by themselves.
        fn answer(&self, signal: i32, root: i32, passes_on: bool) {
            let of_run = if passes_on { vec![root] } else { below(root) };
            self.add(&of_run);
            let is_first = self.received.compare_exchange(0, signal, SeqCst, SeqCst).is_ok();
            // The terminal has sent Ctrl-C to all of them.
            if signal == SIGINT && is_in_foreground() {
                return;
            }
            let grace = if is_first { GRACE } else { Duration::ZERO };
            if self.ends_within(grace) {
                return;
            }
            self.has_passed_on.store(true, SeqCst);
            // Cargo first, or it would start the next test.
            send(signal, root);
            let of_run = if passes_on { Vec::new() } else { self.add(&of_run) };
            of_run.into_iter().filter(|&process| process != root).for_each(|it| send(signal, it));
        }

        /// Waits for the end of cargo. Returns `false` if it has not ended after this time.
        fn ends_within(&self, time: Duration) -> bool {
            let has_ended = self.has_ended.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = self.end.wait_timeout_while(has_ended, time, |has_ended| !*has_ended);
            *ended.unwrap_or_else(PoisonError::into_inner).0
        }

        /// Adds processes of the run, and returns all.
        fn add(&self, processes: &[i32]) -> Vec<i32> {
            let mut all = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(processes);
            all.iter().copied().collect()
        }

        /// Waits for processes that outlive cargo.
        fn wait_for_the_others(&self, records: &Path) {
            let begin = Instant::now();
            let has_passed_on = self.has_passed_on.load(SeqCst);
            let limit = if has_passed_on { ENDS } else { ANSWERS };
            loop {
                let all: BTreeSet<_> =
                    self.add(&[]).into_iter().chain(with_record(records)).collect();
                let parents = parents();
                let left: Vec<_> =
                    all.into_iter().filter(|&it| parents.iter().any(|p| p.0 == it)).collect();
                if left.is_empty() {
                    return;
                }
                if begin.elapsed() >= limit {
                    left.into_iter()
                        .filter(|_| has_passed_on)
                        .for_each(|process| send(SIGKILL, process));
                    return;
                }
                // They are not our children, so there is nothing to wait for.
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Returns the processes that have a record.
    fn with_record(records: &Path) -> Vec<i32> {
        let files = fs::read_dir(records).into_iter().flatten().flatten();
        let process = |file: fs::DirEntry| {
            let name = file.file_name().into_string().ok()?;
            name.strip_suffix(".jsonl")?.rsplit('-').nth(1)?.parse().ok()
        };
        files.filter_map(process).collect()
    }

    fn id(child: &Child) -> i32 {
        i32::try_from(child.id()).unwrap_or(i32::MAX)
    }

    /// Returns a process and those that it has started, directly or not.
    fn below(root: i32) -> Vec<i32> {
        let parents = parents();
        let mut all = vec![root];
        let mut at = 0;
        while let Some(&parent) = all.get(at) {
            all.extend(parents.iter().filter(|it| it.1 == parent).map(|it| it.0));
            at += 1;
        }
        all
    }

    /// Returns all processes that run, each with its parent.
    fn parents() -> Vec<(i32, i32)> {
        let Ok(folders) = fs::read_dir("/proc").map(Iterator::flatten) else { return listed() };
        let stats =
            folders.filter_map(|folder| fs::read_to_string(folder.path().join("stat")).ok());
        let all: Vec<_> = stats.filter_map(|stat| parse_stat(&stat)).collect();
        if all.is_empty() { listed() } else { all }
    }

    /// Parses `7 (name) S 1 ...`, unless the process has ended.
    fn parse_stat(stat: &str) -> Option<(i32, i32)> {
        let (process, rest) = stat.split_once(" (")?;
        let (_, rest) = rest.rsplit_once(") ")?;
        let (state, rest) = rest.split_once(' ')?;
        let parent = rest.split(' ').next()?;
        (!matches!(state, "Z" | "X")).then_some((process.parse().ok()?, parent.parse().ok()?))
    }

    /// Asks `ps`, on systems without `/proc`.
    fn listed() -> Vec<(i32, i32)> {
        let output = Command::new("ps").args(["-A", "-o", "pid=,ppid=,stat="]).output();
        let text = output.map_or_else(|_| Vec::new(), |output| output.stdout);
        let line = |line: &str| {
            let mut words = line.split_whitespace();
            let both = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            (!words.next()?.starts_with('Z')).then_some(both)
        };
        String::from_utf8_lossy(&text).lines().filter_map(line).collect()
    }

    fn send(signal: i32, process: i32) {
        // SAFETY: `kill` has no preconditions. The process has ended at worst.
        unsafe { libc::kill(process, signal) };
    }

    /// Returns `true` if Ctrl-C in the terminal reaches this process and those that it has started.
    fn is_in_foreground() -> bool {
        let Ok(terminal) = File::open("/dev/tty") else { return false };
        // SAFETY: the descriptor is open.
        unsafe { libc::tcgetpgrp(terminal.as_raw_fd()) == libc::getpgrp() }
    }

    fn is_ignored(signal: i32) -> bool {
        // SAFETY: an all-zero action is valid, and without a new one, `sigaction` only writes the current one.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0
                && action.sa_sigaction == libc::SIG_IGN
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_process_that_has_ended_is_not_listed() {
            assert_eq!(parse_stat("7 (a) b) S 1 7 7 0"), Some((7, 1)));
            assert_eq!(parse_stat("7 (a) Z 1 7 7 0"), None);
            assert_eq!(parse_stat(""), None);
        }

        #[test]
        fn this_process_is_below_its_parent() {
            let this = i32::try_from(std::process::id()).unwrap();
            let parent = i32::try_from(std::os::unix::process::parent_id()).unwrap();
            assert!(below(parent).contains(&this) && parents().contains(&(this, parent)));
        }
    }
}
