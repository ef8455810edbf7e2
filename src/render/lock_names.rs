//! The names of locks in a report.

use std::collections::HashMap;

use super::thread_names::who;
use crate::{
    finding::{LockInfo, Role, Site, ThreadInfo},
    source::{self, Sources},
};

/// The names of the locks in one report.
///
/// The name of a lock is the one given with [`lockdep::name`](crate::name), its source expression
/// where it was first seen, or its type. If the expression is only a variable, as in a helper, the
/// name is the field or `static` that the lock is, or what the callers of the helper pass. If one
/// source expression stands for two locks (`from` and `to` of a transfer, seen both ways), every
/// mention identifies the lock: `` `from.balance` (Mutex #4) ``.
#[derive(Default)]
pub(super) struct Names {
    by_lock: HashMap<u64, String>,
    /// The source expressions that say nothing, of locks that are called something else.
    replaced: HashMap<u64, String>,
    /// Names by lock and site, if one source expression stands for two locks.
    local: HashMap<(u64, Site), String>,
    /// What the exits of threads are called that have no name, in a sentence.
    phrases: HashMap<u64, String>,
    ambiguous: bool,
}

/// Returns the name of one lock, as mentioned at a place: `` `bank.accounts` ``.
pub(crate) fn lock_name(lock: &LockInfo, site: &Site) -> String {
    Names::new(&mut Sources::default(), [lock], [(lock, site)]).at(lock, site)
}

/// `self.worker.take().unwrap()` → `self.worker`. Returns `None` for a call of a function.
fn without_calls(receiver: &str) -> Option<String> {
    let mut name = receiver;
    while let Some(call) = name.strip_suffix("()") {
        name = call.rsplit_once('.')?.0;
    }
    (!name.contains('(')).then(|| name.to_owned())
}

/// `bank.accounts[from]` → `accounts`, `Bank::accounts` → `accounts`.
fn last_part(name: &str) -> &str {
    let name = name.split('[').next().unwrap_or(name);
    name.rsplit(['.', ':']).next().unwrap_or(name)
}

impl Names {
    /// Collects names for locks, and for the places that mention them.
    pub(super) fn new<'a>(
        sources: &mut Sources,
        locks: impl IntoIterator<Item = &'a LockInfo>,
        mentions: impl IntoIterator<Item = (&'a LockInfo, &'a Site)>,
    ) -> Self {
        Self::with(sources, locks, mentions, &HashMap::new())
    }

    /// As [`new`](Self::new), with what helpers were passed, by lock.
    pub(super) fn with<'a>(
        sources: &mut Sources,
        locks: impl IntoIterator<Item = &'a LockInfo>,
        mentions: impl IntoIterator<Item = (&'a LockInfo, &'a Site)>,
        passed: &HashMap<u64, String>,
    ) -> Self {
        let mut names = Self::default();
        let mut owner = HashMap::new();
        let receiver = |lock: &'a LockInfo| (lock, sources.receiver_of(lock, &lock.seen_at));
        let locks: Vec<_> = locks.into_iter().map(receiver).collect();
        let is_of_others = |lock: &LockInfo, receiver: &String| {
            locks.iter().any(|(it, its)| it.id != lock.id && its.as_ref() == Some(receiver))
        };
        for (lock, receiver) in &locks {
            let name = match (&lock.name, receiver) {
                (Some(name), _) => name.to_string(),
                (None, Some(receiver))
                    if source::is_anonymous(receiver) || is_of_others(lock, receiver) =>
                {
                    let declared = sources
                        .declared(lock)
                        .or_else(|| passed.get(&lock.id).cloned())
                        .or_else(|| sources.field_of_self(receiver, &lock.seen_at));
                    if declared.is_some() {
                        names.replaced.insert(lock.id, receiver.clone());
                    }
                    declared.unwrap_or_else(|| receiver.clone())
                }
                (None, Some(receiver)) => receiver.clone(),
                (None, None) => sources.declared(lock).unwrap_or_else(|| lock.type_name()),
            };
            // `thread::spawn(|| ..)` is no name of a thread.
            if lock.kind.role == Role::Exit
                && lock.name.is_none()
                && receiver.as_ref().and_then(|it| without_calls(it)).is_none()
                && let Some(site) = lock.created_at()
            {
                names.call_by_site(lock, site);
                continue;
            }
            names.ambiguous |= *owner.entry(name.clone()).or_insert(lock.id) != lock.id;
            names.by_lock.insert(lock.id, name);
        }
        for (lock, site) in mentions {
            if lock.name.is_some() || names.replaced.contains_key(&lock.id) {
                continue;
            }
            if lock.kind.role == Role::Exit {
                // The source names a thread where it is joined, if its handle has a name.
                if let Some(name) = sources.receiver(site).and_then(|it| without_calls(&it)) {
                    names.phrases.remove(&lock.id);
                    names.by_lock.insert(lock.id, name);
                }
                continue;
            }
            if let Some(name) = sources.receiver_of(lock, site) {
                names.ambiguous |= owner.get(&name).is_some_and(|&owner| owner != lock.id);
                names.local.insert((lock.id, site.clone()), name);
            }
        }
        names
    }

    /// Names a lock at the place where its acquisition is shown as where it was acquired.
    pub(super) fn show_at(&mut self, lock: &LockInfo, acquired_at: &Site, shown_at: &Site) {
        if let Some(name) = self.local.get(&(lock.id, acquired_at.clone())).cloned() {
            self.local.insert((lock.id, shown_at.clone()), name);
        }
    }

    /// Calls the exit of a thread by the place of its spawn.
    fn call_by_site(&mut self, exit: &LockInfo, site: &Site) {
        let place = format!("thread spawned at {}:{}", site.file(), site.line());
        self.phrases.insert(exit.id, format!("the {place}"));
        self.by_lock.insert(exit.id, place);
    }

    /// Calls the exit of a thread as the thread, unless its handle has a name.
    pub(super) fn suggest(&mut self, exit: &LockInfo, thread: &ThreadInfo) {
        let known = self.by_lock.entry(exit.id).or_default();
        if !self.phrases.contains_key(&exit.id) && !known.is_empty() && *known != exit.type_name() {
            return;
        }
        *known = thread.to_string();
        self.phrases.remove(&exit.id);
        if thread.is_called_by_site() {
            self.phrases.insert(exit.id, who(thread));
        }
    }

    /// Sets the name of a pool if only its type is known.
    pub(super) fn suggest_pool(&mut self, pool: &LockInfo, name: String) {
        let known = self.by_lock.entry(pool.id).or_default();
        if known.is_empty() || *known == pool.type_name() {
            *known = name;
        }
    }

    /// Returns `true` if a thread is called only by the place of its spawn.
    pub(super) fn is_by_site(&self, lock: &LockInfo) -> bool {
        self.phrases.contains_key(&lock.id)
    }

    /// Returns the lock as mentioned in a sentence: `` `bank.accounts` ``.
    pub(super) fn of(&self, lock: &LockInfo) -> String {
        self.mention(lock, self.by_lock.get(&lock.id))
    }

    /// Returns only the lock's name: `bank.accounts`.
    pub(super) fn bare(&self, lock: &LockInfo) -> String {
        self.by_lock.get(&lock.id).cloned().unwrap_or_else(|| lock.type_name())
    }

    /// Returns the lock's source expression, even if the report calls it something else.
    pub(super) fn expression(&self, lock: &LockInfo) -> String {
        self.replaced.get(&lock.id).cloned().unwrap_or_else(|| self.bare(lock))
    }

    /// Returns the lock as a label calls it: with the name that it has in the source there, if that is another one than
    /// in the rest of the report.
    pub(super) fn in_label(&self, lock: &LockInfo, site: &Site) -> String {
        let here = self.local.get(&(lock.id, site.clone())).filter(|here| {
            !self.ambiguous
                && lock.kind.role.is_lock()
                && !source::is_anonymous(here)
                && last_part(here) != last_part(&self.bare(lock))
        });
        match here {
            Some(here) => format!("`{here}` (the same lock as {})", self.of(lock)),
            None => self.at(lock, site),
        }
    }

    /// Returns the lock as mentioned at a place.
    pub(super) fn at(&self, lock: &LockInfo, site: &Site) -> String {
        // The two ends of a channel have different names.
        let is_told = self.ambiguous || lock.kind.role == Role::Channel;
        let local = self.local.get(&(lock.id, site.clone())).filter(|_| is_told);
        self.mention(lock, local.or_else(|| self.by_lock.get(&lock.id)))
    }

    fn mention(&self, lock: &LockInfo, name: Option<&String>) -> String {
        if let Some(phrase) = self.phrases.get(&lock.id) {
            return phrase.clone();
        }
        let name = name.map_or_else(|| lock.type_name(), Clone::clone);
        let (wrapper, id) = (lock.kind.wrapper, lock.id);
        match self.ambiguous {
            false => format!("`{name}`"),
            true if name.starts_with(wrapper) => format!("`{name}` (#{id})"),
            true => format!("`{name}` ({wrapper} #{id})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::without_calls;

    #[test]
    fn a_handle_is_called_what_it_is_taken_from() {
        let name = |receiver| without_calls(receiver);
        assert_eq!(name("worker").as_deref(), Some("worker"));
        assert_eq!(name("self.worker.take().unwrap()").as_deref(), Some("self.worker"));
        assert_eq!(name("self.jobs.as_ref().unwrap()").as_deref(), Some("self.jobs"));
        assert_eq!(name("thread::spawn(|| ())"), None);
        assert_eq!(name("workers.remove(0)"), None);
        assert_eq!(name("spawn()"), None);
    }
}
