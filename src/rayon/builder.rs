//! [`ThreadPoolBuilder`], and the threads of a pool.

use std::{
    any::Any,
    error::Error,
    fmt, io,
    panic::Location,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use super::{ThreadPool, ThreadPoolBuildError, pool::set_global, spawn::contain};
use crate::{thread, validator::jobs::Pool};

/// `rayon_core::ThreadPoolBuilder`, checked.
pub struct ThreadPoolBuilder<S = DefaultSpawn> {
    inner: ::rayon_core::ThreadPoolBuilder,
    spawn: S,
    uses_current_thread: bool,
    /// Shared with the handlers of the start and the end of its threads.
    handles_panics: Arc<AtomicBool>,
}

/// Spawns the threads of a pool. As in rayon, the type of a builder names it, but nothing else does.
pub trait ThreadSpawn: private::Sealed {
    #[doc(hidden)]
    fn spawn(&mut self, thread: ThreadBuilder) -> io::Result<()>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for super::DefaultSpawn {}
    impl<F> Sealed for super::CustomSpawn<F> {}
}

/// Spawns threads with `thread::Builder`.
#[derive(Debug, Default)]
pub struct DefaultSpawn;

impl ThreadSpawn for DefaultSpawn {
    fn spawn(&mut self, thread: ThreadBuilder) -> io::Result<()> {
        thread.to_builder().spawn(|| thread.run())?;
        Ok(())
    }
}

/// Spawns threads with a function of the program.
#[derive(Debug)]
pub struct CustomSpawn<F>(F);

impl<F> ThreadSpawn for CustomSpawn<F>
where
    F: FnMut(ThreadBuilder) -> io::Result<()>,
{
    fn spawn(&mut self, thread: ThreadBuilder) -> io::Result<()> {
        (self.0)(thread)
    }
}

/// `rayon_core::ThreadBuilder`, checked.
pub struct ThreadBuilder {
    inner: ::rayon_core::ThreadBuilder,
    pool: Arc<Pool>,
}

impl ThreadBuilder {
    /// As rayon's.
    pub fn index(&self) -> usize {
        self.inner.index()
    }

    /// As rayon's.
    pub fn name(&self) -> Option<&str> {
        self.inner.name()
    }

    /// As rayon's.
    pub fn stack_size(&self) -> Option<usize> {
        self.inner.stack_size()
    }

    /// As rayon's.
    pub fn run(self) {
        let Self { inner, pool } = self;
        pool.work(|| inner.run());
    }

    /// Returns the builder of a thread with this name and size.
    fn to_builder(&self) -> thread::Builder {
        let mut builder = thread::Builder::new();
        if let Some(name) = self.name() {
            builder = builder.name(name.to_owned());
        }
        if let Some(size) = self.stack_size() {
            builder = builder.stack_size(size);
        }
        builder
    }
}

impl fmt::Debug for ThreadBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Default for ThreadPoolBuilder {
    fn default() -> Self {
        Self {
            inner: ::rayon_core::ThreadPoolBuilder::new(),
            spawn: DefaultSpawn,
            uses_current_thread: false,
            handles_panics: Arc::default(),
        }
    }
}

impl ThreadPoolBuilder {
    /// As rayon's.
    pub fn new() -> Self {
        Self::default()
    }

    /// As rayon's.
    ///
    /// # Errors
    ///
    /// As rayon's.
    #[track_caller]
    pub fn build_scoped<W, F, R>(self, wrapper: W, with_pool: F) -> Result<R, ThreadPoolBuildError>
    where
        W: Fn(ThreadBuilder) + Sync,
        F: FnOnce(&ThreadPool) -> R,
    {
        let created = Location::caller();
        thread::scope(|scope| {
            let wrapper = &wrapper;
            let pool = self
                .spawn_handler(|thread| {
                    thread.to_builder().spawn_scoped(scope, move || wrapper(thread))?;
                    Ok(())
                })
                .build_at(created)?;
            Ok(with_pool(&pool))
        })
    }
}

impl<S: ThreadSpawn> ThreadPoolBuilder<S> {
    /// As rayon's.
    ///
    /// # Errors
    ///
    /// As rayon's.
    #[track_caller]
    pub fn build(self) -> Result<ThreadPool, ThreadPoolBuildError> {
        self.build_at(Location::caller())
    }

    fn build_at(
        self,
        created: &'static Location<'static>,
    ) -> Result<ThreadPool, ThreadPoolBuildError> {
        let pool = Pool::new(Some(created), self.handles_panics.load(Relaxed));
        let inner = self.build_real(&pool, false)?.expect("it is not the global one");
        Ok(ThreadPool { inner, pool })
    }

    /// As rayon's.
    ///
    /// # Errors
    ///
    /// As rayon's.
    pub fn build_global(self) -> Result<(), ThreadPoolBuildError> {
        /// A thread that builds it also records it before another one looks.
        static BUILDING: Mutex<()> = Mutex::new(());
        let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = Pool::new(None, self.handles_panics.load(Relaxed));
        self.build_real(&pool, true)?;
        set_global(pool);
        Ok(())
    }
}

impl<S: ThreadSpawn> ThreadPoolBuilder<S> {
    /// Builds the real pool, whose threads are workers of the given one. `None` if it is the global one.
    fn build_real(
        self,
        pool: &Arc<Pool>,
        is_global: bool,
    ) -> Result<Option<::rayon_core::ThreadPool>, ThreadPoolBuildError> {
        let Self { inner, mut spawn, uses_current_thread, .. } = self;
        if uses_current_thread {
            pool.add_worker();
        }
        let builder = inner.spawn_handler(|inner| {
            pool.add_worker();
            spawn.spawn(ThreadBuilder { inner, pool: Arc::clone(pool) })
        });
        let built = if is_global {
            builder.build_global().map(|()| None)
        } else {
            builder.build().map(Some)
        }?;
        if uses_current_thread {
            pool.work_on();
        }
        Ok(built)
    }
}

impl<S> ThreadPoolBuilder<S> {
    /// As rayon's.
    pub fn spawn_handler<F>(self, spawn: F) -> ThreadPoolBuilder<CustomSpawn<F>>
    where
        F: FnMut(ThreadBuilder) -> io::Result<()>,
    {
        let Self { inner, uses_current_thread, handles_panics, .. } = self;
        ThreadPoolBuilder { inner, spawn: CustomSpawn(spawn), uses_current_thread, handles_panics }
    }

    /// As rayon's.
    pub fn thread_name<F>(self, closure: F) -> Self
    where
        F: FnMut(usize) -> String + 'static,
    {
        Self { inner: self.inner.thread_name(closure), ..self }
    }

    /// As rayon's.
    pub fn num_threads(self, num_threads: usize) -> Self {
        Self { inner: self.inner.num_threads(num_threads), ..self }
    }

    /// As rayon's.
    pub fn use_current_thread(self) -> Self {
        Self { inner: self.inner.use_current_thread(), uses_current_thread: true, ..self }
    }

    /// As rayon's. It also handles the panics of findings in detached jobs.
    pub fn panic_handler<H>(self, panic_handler: H) -> Self
    where
        H: Fn(Box<dyn Any + Send>) + Send + Sync + 'static,
    {
        self.handles_panics.store(true, Relaxed);
        Self { inner: self.inner.panic_handler(panic_handler), ..self }
    }

    /// As rayon's.
    pub fn stack_size(self, stack_size: usize) -> Self {
        Self { inner: self.inner.stack_size(stack_size), ..self }
    }

    /// As rayon's.
    #[deprecated(note = "use `scope_fifo` and `spawn_fifo` for similar effect")]
    #[allow(deprecated, reason = "rayon-core has it")]
    pub fn breadth_first(self) -> Self {
        Self { inner: self.inner.breadth_first(), ..self }
    }

    /// As rayon's.
    pub fn start_handler<H>(self, start_handler: H) -> Self
    where
        H: Fn(usize) + Send + Sync + 'static,
    {
        let handler = contained(start_handler, Arc::clone(&self.handles_panics));
        Self { inner: self.inner.start_handler(handler), ..self }
    }

    /// As rayon's.
    pub fn exit_handler<H>(self, exit_handler: H) -> Self
    where
        H: Fn(usize) + Send + Sync + 'static,
    {
        let handler = contained(exit_handler, Arc::clone(&self.handles_panics));
        Self { inner: self.inner.exit_handler(handler), ..self }
    }
}

/// Returns a handler whose panics for findings do not abort the process.
fn contained(
    handler: impl Fn(usize) + Send + Sync + 'static,
    handles_panics: Arc<AtomicBool>,
) -> impl Fn(usize) + Send + Sync + 'static {
    move |index| {
        if handles_panics.load(Relaxed) {
            handler(index);
        } else {
            contain(|| handler(index));
        }
    }
}

impl<S> fmt::Debug for ThreadPoolBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// `rayon_core::Configuration`, checked.
#[deprecated(note = "Use `ThreadPoolBuilder`")]
#[derive(Default)]
pub struct Configuration {
    builder: ThreadPoolBuilder,
}

#[allow(deprecated, reason = "rayon-core has it")]
impl Configuration {
    /// As rayon's.
    pub fn new() -> Self {
        Self::default()
    }

    /// As rayon's.
    ///
    /// # Errors
    ///
    /// As rayon's.
    #[track_caller]
    pub fn build(self) -> Result<ThreadPool, Box<dyn Error + 'static>> {
        self.builder.build().map_err(Box::from)
    }

    /// As rayon's.
    pub fn thread_name<F>(self, closure: F) -> Self
    where
        F: FnMut(usize) -> String + 'static,
    {
        Self { builder: self.builder.thread_name(closure) }
    }

    /// As rayon's.
    pub fn num_threads(self, num_threads: usize) -> Self {
        Self { builder: self.builder.num_threads(num_threads) }
    }

    /// As rayon's.
    pub fn panic_handler<H>(self, panic_handler: H) -> Self
    where
        H: Fn(Box<dyn Any + Send>) + Send + Sync + 'static,
    {
        Self { builder: self.builder.panic_handler(panic_handler) }
    }

    /// As rayon's.
    pub fn stack_size(self, stack_size: usize) -> Self {
        Self { builder: self.builder.stack_size(stack_size) }
    }

    /// As rayon's.
    pub fn breadth_first(self) -> Self {
        Self { builder: self.builder.breadth_first() }
    }

    /// As rayon's.
    pub fn start_handler<H>(self, start_handler: H) -> Self
    where
        H: Fn(usize) + Send + Sync + 'static,
    {
        Self { builder: self.builder.start_handler(start_handler) }
    }

    /// As rayon's.
    pub fn exit_handler<H>(self, exit_handler: H) -> Self
    where
        H: Fn(usize) + Send + Sync + 'static,
    {
        Self { builder: self.builder.exit_handler(exit_handler) }
    }
}

#[allow(deprecated, reason = "rayon-core has it")]
impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.builder.fmt(f)
    }
}

/// As `rayon_core::initialize`.
///
/// # Errors
///
/// As rayon's.
#[deprecated(note = "use `ThreadPoolBuilder::build_global`")]
#[allow(deprecated, reason = "rayon-core has it")]
pub fn initialize(config: Configuration) -> Result<(), Box<dyn Error>> {
    config.builder.build_global().map_err(Box::from)
}
