//! Random programs, which proptest can shrink, and random orders in which they run.

use proptest::{collection::vec, prelude::*};

use crate::{
    executor::Choose,
    program::{EVENTS, LOCKS, MUTEXES, PERMITS, POOL, Program, Step},
};

pub(crate) const MAX_TASKS: usize = 4;

/// The kinds of steps in a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Tasks that acquire locks, and wait for nothing else.
    Locks,
    /// The same, with permits of a semaphore, in branches and under timeouts.
    Permits,
    /// The same in branches and under timeouts, with signals.
    Branches,
    /// The same with guards and futures that may leave their task.
    Loose,
}

fn step(profile: Profile) -> BoxedStrategy<Step> {
    let lock = || 0..LOCKS;
    let plain = prop_oneof![
        8 => lock().prop_map(Step::Lock),
        4 => (MUTEXES..LOCKS).prop_map(Step::Read),
        3 => lock().prop_map(Step::Unlock),
        1 => lock().prop_map(Step::Std),
        2 => (1..4_u64).prop_map(Step::Sleep),
        2 => Just(Step::Yield),
    ];
    if profile == Profile::Locks {
        return plain.boxed();
    }
    if profile == Profile::Permits {
        let permits = prop_oneof![
            4 => (1..=PERMITS).prop_map(Step::Acquire),
            1 => Just(Step::Unlock(POOL)),
        ];
        return prop_oneof![2 => plain, 1 => permits].boxed();
    }
    let event = || 0..EVENTS;
    let signals = prop_oneof![
        2 => event().prop_map(Step::Signal),
        1 => event().prop_map(Step::Wait),
    ];
    if profile == Profile::Branches {
        return prop_oneof![12 => plain, 1 => signals].boxed();
    }
    let loose = prop_oneof![
        3 => (0..MUTEXES).prop_map(Step::LockOwned),
        1 => lock().prop_map(Step::TryLock),
        1 => (1..MAX_TASKS).prop_map(Step::Spawn),
        2 => Just(Step::Send),
        1 => Just(Step::Receive),
    ];
    prop_oneof![12 => plain, 1 => signals, 4 => loose].boxed()
}

/// Generates steps, some of which are blocks of the given steps.
fn steps(profile: Profile, inner: BoxedStrategy<Vec<Step>>) -> BoxedStrategy<Vec<Step>> {
    let branches = || [inner.clone(), inner.clone()];
    let select = (branches(), inner.clone(), any::<bool>())
        .prop_map(|(branches, then, resumes)| Step::Select { branches, then, resumes });
    let timeout = (1..4_u64, inner.clone()).prop_map(|(time, steps)| Step::Timeout(time, steps));
    let boxed = u32::from(profile == Profile::Loose);
    let step = prop_oneof![
        8 => step(profile),
        1 => branches().prop_map(Step::Join),
        1 => select,
        1 => timeout,
        boxed => inner.prop_map(Step::Boxed),
    ];
    vec(step, 1..=6).boxed()
}

pub(crate) fn programs(profile: Profile) -> BoxedStrategy<Program> {
    let flat = vec(step(profile), 1..=4).boxed();
    let task = match profile {
        Profile::Locks => vec(step(profile), 1..=6).boxed(),
        _ => steps(profile, steps(profile, flat)),
    };
    vec(task, 1..=MAX_TASKS).prop_map(|tasks| Program { tasks }.without_unknown_tasks()).boxed()
}

impl Program {
    /// Removes spawns of the first task, and of tasks that do not exist.
    fn without_unknown_tasks(mut self) -> Self {
        fn mend(steps: &mut [Step], count: usize) {
            for step in steps {
                match step {
                    Step::Spawn(_) if count == 1 => *step = Step::Send,
                    Step::Spawn(task) => *task = 1 + *task % (count - 1),
                    Step::Timeout(_, steps) | Step::Boxed(steps) => mend(steps, count),
                    Step::Join(branches) => {
                        for branch in branches {
                            mend(branch, count);
                        }
                    }
                    Step::Select { branches, then, .. } => {
                        for branch in branches {
                            mend(branch, count);
                        }
                        mend(then, count);
                    }
                    _ => {}
                }
            }
        }
        let count = self.tasks.len();
        self.tasks.iter_mut().for_each(|steps| mend(steps, count));
        self
    }
}

/// A random order.
pub(crate) struct Random(pub(crate) u64);

impl Choose for Random {
    fn choose(&mut self, among: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ mixed >> 31) % among as u64).expect("it is less than another")
    }
}

/// All orders, one after the other: the choices of the current one, each with the number of
/// options.
#[derive(Default)]
pub(crate) struct All {
    choices: Vec<(usize, usize)>,
    at: usize,
}

impl All {
    /// Advances to the next order. Returns `false` if there is none.
    pub(crate) fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, among)) = self.choices.pop() {
            if choice + 1 < among {
                self.choices.push((choice + 1, among));
                return true;
            }
        }
        false
    }
}

impl Choose for All {
    fn choose(&mut self, among: usize) -> usize {
        if self.at == self.choices.len() {
            self.choices.push((0, among));
        }
        self.at += 1;
        self.choices[self.at - 1].0
    }
}
