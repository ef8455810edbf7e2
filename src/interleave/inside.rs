//! Brings threads and tasks into a schedule, in a role.

use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    points::{self, Controller},
    validator::{root_poll, tasks::Task},
};

/// Returns a closure that brings the thread which runs it into the calling thread's schedule or
/// exploration, in a role: `thread::spawn(inside("worker", || ..))`. Without one, returns the
/// closure unchanged.
///
/// From now on the schedule waits for this thread. A thread that comes in by its own name could
/// arrive too late for that.
///
/// ```
/// use std::thread;
/// use lockdep::interleave::{Schedule, at, inside, point};
///
/// Schedule::new().order([at("writer", "written"), at("reader", "about to read")]).run(|| {
///     let reader = thread::spawn(inside("reader", || point!("about to read")));
///     let writer = thread::spawn(inside("writer", || point!("written")));
///     (reader.join().unwrap(), writer.join().unwrap())
/// });
/// ```
pub fn inside<R, F: FnOnce() -> R>(role: &str, body: F) -> impl FnOnce() -> R + use<R, F> {
    let expected = points::controller().map(|controller| Expected::new(controller, role));
    move || {
        let _participation = expected.as_ref().map(Expected::participate);
        body()
    }
}

/// Brings a future into a schedule in a role, as [`inside`] does with a thread: whatever the future
/// does at points counts as done by the role. It can be spawned, or awaited in another task.
///
/// The schedule is that of the calling thread or task, or otherwise one that orders events of this
/// role, so that a server can bring in the request that it handles. Without a schedule, this
/// returns the future unchanged.
///
/// The future becomes a task: the locks that it holds do not belong to the surrounding task. So
/// bring in a whole task or request, not a part of one.
///
/// ```
/// # #[cfg(feature = "tokio")]
/// # fn main() {
/// use lockdep::{interleave::{Schedule, acquire, at, inside_async}, tokio::{self, sync::Mutex}};
/// use std::sync::Arc;
///
/// let log = Arc::new(Mutex::new(Vec::new()));
/// let write = |line| {
///     let log = Arc::clone(&log);
///     tokio::spawn(inside_async(line, async move { log.lock().await.push(line) }))
/// };
/// let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// let order = [at("late", acquire(&*log)), at("early", acquire(&*log))];
/// Schedule::new().order(order).run(|| runtime.block_on(async {
///     let (early, late) = (write("early"), write("late"));
///     (early.await.unwrap(), late.await.unwrap())
/// }));
/// assert!(!lockdep::ENABLED || *log.blocking_lock() == ["late", "early"]);
/// # }
/// # #[cfg(not(feature = "tokio"))]
/// # fn main() {}
/// ```
#[track_caller]
pub fn inside_async<F: Future>(role: &str, future: F) -> impl Future<Output = F::Output> + use<F> {
    let participating = points::controller_for_task(role).map(|controller| Participating {
        task: Task::new(Location::caller(), size_of::<F>()),
        expected: Expected::new(controller, role),
        has_begun: false,
    });
    Inside { future: Box::pin(Some(future)), participating }
}

/// A thread or task that is expected or has arrived.
struct Expected {
    controller: Arc<dyn Controller>,
    role: Box<str>,
}

impl Expected {
    fn new(controller: Arc<dyn Controller>, role: &str) -> Self {
        controller.expect(role);
        Self { controller, role: role.into() }
    }

    fn participate(&self) -> points::Participation {
        points::participate(Arc::clone(&self.controller).role(&self.role))
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.controller.expect_no_longer(&self.role);
    }
}

/// A future that runs as a task in a role.
struct Inside<F> {
    /// `None` after completion.
    future: Pin<Box<Option<F>>>,
    participating: Option<Participating>,
}

struct Participating {
    task: Arc<Task>,
    expected: Expected,
    has_begun: bool,
}

impl Participating {
    fn begin(&mut self) {
        self.has_begun = true;
        let Expected { controller, role } = &self.expected;
        root_poll::within(&self.task, || {
            points::set_participant(Arc::clone(controller).role(role));
        });
    }
}

impl<F: Future> Future for Inside<F> {
    type Output = F::Output;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, participating } = self.get_mut();
        let Some(participating) = participating else {
            let future = future.as_mut().as_pin_mut();
            return future.expect("`async fn` resumed after completion").poll(cx);
        };
        if !participating.has_begun {
            participating.begin();
        }
        root_poll::poll(&participating.task, future.as_mut(), cx)
    }
}

impl<F> Drop for Inside<F> {
    fn drop(&mut self) {
        if let Some(participating) = &self.participating {
            root_poll::end(&participating.task, self.future.as_mut());
        }
    }
}
