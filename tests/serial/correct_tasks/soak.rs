//! Random programs. `LOCKDEP_SOAK_SECONDS` sets the duration, `SEED` the first seed.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures::{
    FutureExt, StreamExt,
    future::{self, join_all},
    stream::{self, FuturesUnordered},
};
use lockdep::{
    sync::Mutex as StdMutex,
    tokio::{
        join, select,
        sync::{Mutex, RwLock},
        task::{JoinSet, spawn_blocking, yield_now},
        time::{sleep, timeout},
    },
};

use super::{MS, multi, single};

fn time() -> Duration {
    let seconds = std::env::var("LOCKDEP_SOAK_SECONDS").ok().and_then(|it| it.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

const LOCKS: usize = 7;

#[derive(Default)]
struct World {
    locks: [Mutex<u32>; LOCKS],
    tables: [RwLock<u32>; LOCKS],
    leaf: StdMutex<u32>,
}

#[derive(Debug)]
enum Node {
    Lock(usize, Vec<Node>),
    Read(usize, Vec<Node>),
    Write(usize, Vec<Node>),
    Blocking(usize),
    Leaf,
    Sleep(u64),
    Yield,
    Join(Box<[Vec<Node>; 2]>),
    JoinAll(Vec<Vec<Node>>),
    Future(Box<[Vec<Node>; 2]>),
    Unordered(Vec<Vec<Node>>),
    Buffered(Vec<Vec<Node>>),
    Timeout(u64, Vec<Node>),
    Race(Box<[Vec<Node>; 2]>),
    Rest(Box<[Vec<Node>; 2]>),
    Spawn(Vec<Node>),
    Set(Vec<Vec<Node>>),
    Loop(Box<[Vec<Node>; 2]>),
}

/// Returns nodes that acquire locks in a single order in each branch.
fn nodes(random: &mut Random, depth: u32, min: usize) -> Vec<Node> {
    let count = 1 + random.below(3);
    (0..count).map(|_| node(random, depth, min)).collect()
}

fn node(random: &mut Random, depth: u32, min: usize) -> Node {
    if depth == 0 {
        return match random.below(4) {
            0 => Node::Leaf,
            1 => Node::Sleep(random.below(4)),
            _ => Node::Yield,
        };
    }
    let at = min + random.below(3) as usize;
    let depth = depth - 1;
    let two =
        |random: &mut Random| Box::new([nodes(random, depth, min), nodes(random, depth, min)]);
    let many = |random: &mut Random| (0..3).map(|_| nodes(random, depth, min)).collect();
    match random.below(22) {
        0..7 if at < LOCKS => match random.below(4) {
            0 => Node::Read(at, nodes(random, depth, at + 1)),
            1 => Node::Write(at, nodes(random, depth, at + 1)),
            _ => Node::Lock(at, nodes(random, depth, at + 1)),
        },
        0..7 => Node::Sleep(1),
        7 if at < LOCKS => Node::Blocking(at),
        8 => Node::Leaf,
        9 | 10 => Node::Sleep(random.below(4)),
        11 => Node::Join(two(random)),
        12 => Node::JoinAll(many(random)),
        13 => Node::Future(two(random)),
        14 => Node::Unordered(many(random)),
        15 => Node::Buffered(many(random)),
        16 => Node::Timeout(random.below(6), nodes(random, depth, min)),
        17 => Node::Race(two(random)),
        18 => Node::Rest(two(random)),
        19 => Node::Spawn(nodes(random, depth, min)),
        20 => Node::Set(many(random)),
        21 => Node::Loop(two(random)),
        _ => Node::Yield,
    }
}

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

fn run(nodes: Arc<Vec<Node>>, world: Arc<World>) -> Boxed {
    Box::pin(async move { run_all(&nodes, &world).await })
}

fn all<'a>(
    nodes: &'a [Node],
    world: &'a Arc<World>,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    Box::pin(run_all(nodes, world))
}

async fn run_all(nodes: &[Node], world: &Arc<World>) {
    for node in nodes {
        match node {
            Node::Lock(at, body) => {
                let mut value = world.locks[*at].lock().await;
                *value += 1;
                all(body, world).await;
            }
            Node::Read(at, body) => {
                let _value = world.tables[*at].read().await;
                all(body, world).await;
            }
            Node::Write(at, body) => {
                *world.tables[*at].write().await += 1;
                let mut value = world.tables[*at].write().await;
                *value += 1;
                all(body, world).await;
            }
            Node::Blocking(at) => {
                let (world, at) = (world.clone(), *at);
                let done = spawn_blocking(move || *world.locks[at].blocking_lock() += 1);
                done.await.unwrap();
            }
            Node::Leaf => *world.leaf.lock().unwrap() += 1,
            Node::Sleep(time) => sleep(MS(*time)).await,
            Node::Yield => yield_now().await,
            Node::Join(two) => {
                join!(all(&two[0], world), run_all_boxed(&two[1], world));
            }
            Node::JoinAll(many) => _ = join_all(many.iter().map(|it| all(it, world))).await,
            Node::Future(two) => {
                future::join(all(&two[0], world), all(&two[1], world)).await;
            }
            Node::Unordered(many) => {
                let mut set: FuturesUnordered<_> = many.iter().map(|it| all(it, world)).collect();
                while set.next().await.is_some() {}
            }
            Node::Buffered(many) => {
                let bodies: Vec<_> = many.iter().map(|it| all(it, world)).collect();
                stream::iter(bodies).buffer_unordered(2).for_each(|()| async {}).await;
            }
            Node::Timeout(time, body) => _ = timeout(MS(*time), all(body, world)).await,
            Node::Race(two) => {
                select! { () = all(&two[0], world) => {} () = all(&two[1], world) => {} }
            }
            Node::Rest(two) => {
                let (mut one, mut other) = (pin!(all(&two[0], world)), all(&two[1], world).fuse());
                select! {
                    () = &mut one => other.await,
                    () = &mut other => one.await,
                }
            }
            Node::Spawn(_) | Node::Set(_) => unreachable!("owned ones are run by `owned`"),
            Node::Loop(two) => {
                let mut job = pin!(all(&two[0], world));
                let mut count = 0;
                loop {
                    select! {
                        () = &mut job => break,
                        () = all(&two[1], world), if count < 3 => count += 1,
                    }
                }
            }
        }
    }
}

async fn run_all_boxed(nodes: &[Node], world: &Arc<World>) {
    all(nodes, world).await;
}

fn without_spawns(nodes: Vec<Node>) -> Vec<Node> {
    nodes
        .into_iter()
        .map(|node| {
            let two = |two: Box<[Vec<Node>; 2]>| Box::new(two.map(without_spawns));
            let many = |many: Vec<Vec<Node>>| many.into_iter().map(without_spawns).collect();
            match node {
                Node::Spawn(body) => Node::Timeout(50, without_spawns(body)),
                Node::Set(bodies) => Node::JoinAll(many(bodies)),
                Node::Lock(at, body) => Node::Lock(at, without_spawns(body)),
                Node::Read(at, body) => Node::Read(at, without_spawns(body)),
                Node::Write(at, body) => Node::Write(at, without_spawns(body)),
                Node::Join(it) => Node::Join(two(it)),
                Node::JoinAll(it) => Node::JoinAll(many(it)),
                Node::Future(it) => Node::Future(two(it)),
                Node::Unordered(it) => Node::Unordered(many(it)),
                Node::Buffered(it) => Node::Buffered(many(it)),
                Node::Timeout(time, body) => Node::Timeout(time, without_spawns(body)),
                Node::Race(it) => Node::Race(two(it)),
                Node::Rest(it) => Node::Rest(two(it)),
                Node::Loop(it) => Node::Loop(two(it)),
                other => other,
            }
        })
        .collect()
}

/// Branches, each of which acquires locks in a single order.
#[test]
fn branches_of_one_order() {
    let seed = AtomicU64::new(
        std::env::var("SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(0x9E37_79B9_7F4A_7C15),
    );
    let _alone = crate::alone();
    let end = Instant::now() + time();
    while Instant::now() < end {
        for runtime in [multi(), single()] {
            lockdep::reset();
            let before = super::all_held();
            let seed = seed.fetch_add(0x1234_5677, Relaxed);
            let mut random = Random(seed);
            let world = Arc::<World>::default();
            let programs: Vec<_> =
                (0..8).map(|_| Arc::new(without_spawns(nodes(&mut random, 6, 0)))).collect();
            let ended = runtime.block_on(async {
                let tasks = async {
                    for _ in 0..3 {
                        let mut set = JoinSet::new();
                        for program in &programs {
                            set.spawn(run(program.clone(), world.clone()));
                        }
                        set.join_all().await;
                    }
                };
                timeout(Duration::from_secs(20), tasks).await
            });
            let findings = lockdep::take_findings();
            for finding in &findings {
                println!("{finding}");
            }
            let kinds: Vec<_> = findings.iter().map(lockdep::Finding::kind).collect();
            assert!(kinds.is_empty(), "seed {seed}: {kinds:?}");
            assert!(ended.is_ok(), "seed {seed}: it hangs");
            drop(world);
            assert_eq!(super::all_held(), before, "seed {seed}");
        }
    }
}
