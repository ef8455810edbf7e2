//! Classes of locks, which are common to many processes.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use super::{MAX_NAMED, Smallest};
use crate::record::schema::Lock;

pub(super) type ClassId = u32;

/// Classes of locks: a type and a creation site. A lock without a class is filed under its
/// type and name, which is enough to draw it, but does not identify it in other processes.
#[derive(Clone, Debug, Default)]
pub(super) struct Classes {
    numbers: FxHashMap<Box<str>, ClassId>,
    classes: Vec<Class>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) text: Box<str>,
    /// What is known of its locks; `None` if it is only mentioned in a finding or as a gate.
    pub(super) locks: Option<Locks>,
}

/// Properties of the locks of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Locks {
    pub(super) is_class: bool,
    /// `true` if each process has one of them.
    pub(super) is_static: bool,
    /// `true` if they are resources.
    is_of_resources: bool,
    pub(super) names: Smallest<Box<str>, MAX_NAMED>,
    /// The alphabetically first type of its locks: a class named by the program may have several.
    pub(super) type_name: Box<str>,
    pub(super) created_at: Option<Box<str>>,
}

impl Classes {
    pub(super) fn number(&mut self, text: &str) -> ClassId {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = ClassId::try_from(self.classes.len()).expect("a program has fewer classes");
        self.numbers.insert(text.into(), number);
        self.classes.push(Class { text: text.into(), locks: None });
        number
    }

    /// Returns the number of a class that is known.
    pub(super) fn known(&self, text: &str) -> Option<ClassId> {
        self.numbers.get(text).copied()
    }

    /// Returns the class of a lock, adding the lock to it.
    pub(super) fn see(&mut self, lock: &Lock<'_>) -> ClassId {
        let text = match &lock.class {
            Some(class) => Cow::Borrowed(&**class),
            None => format!("{} called {}", lock.type_name, lock.name).into(),
        };
        let number = self.number(&text);
        let known = &mut self.classes[number as usize].locks;
        let created_at = lock.created_at.as_deref();
        match known {
            Some(known) => {
                known.is_class |= lock.class.is_some();
                known.is_static &= lock.is_static;
                known.is_of_resources |= lock.key.is_some();
                known.names.add_text(&lock.name);
                if *lock.type_name < *known.type_name {
                    known.type_name = lock.type_name.as_ref().into();
                }
                if is_before(created_at, known.created_at.as_deref()) {
                    known.created_at = created_at.map(Into::into);
                }
            }
            None => {
                *known = Some(Locks {
                    is_class: lock.class.is_some(),
                    is_static: lock.is_static,
                    is_of_resources: lock.key.is_some(),
                    names: Smallest::of(lock.name.as_ref().into()),
                    type_name: lock.type_name.as_ref().into(),
                    created_at: created_at.map(Into::into),
                });
            }
        }
        number
    }

    /// Returns the class that stands for a lock which is held exclusively. A lock without a class
    /// counts as all of its type that are made at the same place or, if that is unknown, have the
    /// same name: it may keep two orders apart.
    pub(super) fn gate(&mut self, lock: &Lock<'_>, class: ClassId) -> ClassId {
        match (&lock.class, &lock.created_at) {
            (None, Some(site)) => self.number(&format!("{} made at {site}", lock.type_name)),
            _ => class,
        }
    }

    pub(super) fn text(&self, class: ClassId) -> &str {
        &self.classes[class as usize].text
    }

    /// Returns `true` if other processes can have this class as well.
    pub(super) fn is_class(&self, class: ClassId) -> bool {
        self.classes[class as usize].locks.as_ref().is_some_and(|locks| locks.is_class)
    }

    /// Returns `true` if each process has one lock of this class at most.
    pub(super) fn is_static(&self, class: ClassId) -> bool {
        self.classes[class as usize].locks.as_ref().is_some_and(|it| it.is_class && it.is_static)
    }

    /// Returns `true` if this is a class of resources, whose orders are searched apart.
    pub(super) fn is_of_resources(&self, class: ClassId) -> bool {
        self.classes[class as usize].locks.as_ref().is_some_and(|it| it.is_of_resources)
    }

    /// Called when a process has several locks of a class.
    pub(super) fn has_several(&mut self, class: ClassId) {
        if let Some(locks) = &mut self.classes[class as usize].locks {
            locks.is_static = false;
        }
    }

    /// Returns all classes, indexed by their numbers.
    pub(super) fn all(&self) -> &[Class] {
        &self.classes
    }

    /// Adds the classes of another merge, and returns the numbers that they have here.
    pub(super) fn merge(&mut self, other: &Self) -> Vec<ClassId> {
        let merge = |theirs: &Class| {
            let number = self.number(&theirs.text);
            let ours = &mut self.classes[number as usize].locks;
            match (ours, &theirs.locks) {
                (Some(ours), Some(theirs)) => ours.merge(theirs),
                (ours @ None, theirs) => ours.clone_from(theirs),
                (Some(_), None) => {}
            }
            number
        };
        other.classes.iter().map(merge).collect()
    }
}

impl Locks {
    fn merge(&mut self, other: &Self) {
        self.is_class |= other.is_class;
        self.is_static &= other.is_static;
        self.is_of_resources |= other.is_of_resources;
        self.names.merge(&other.names);
        if other.type_name < self.type_name {
            self.type_name.clone_from(&other.type_name);
        }
        if is_before(other.created_at.as_deref(), self.created_at.as_deref()) {
            self.created_at.clone_from(&other.created_at);
        }
    }
}

/// Returns `true` if `a` is smaller than `b` or the only place.
fn is_before(a: Option<&str>, b: Option<&str>) -> bool {
    a.is_some_and(|a| b.is_none_or(|b| a < b))
}

impl PartialEq for Classes {
    /// Compares what is known of each class, regardless of its number.
    fn eq(&self, other: &Self) -> bool {
        self.classes.len() == other.classes.len()
            && self.classes.iter().all(|class| {
                let theirs = other.numbers.get(&class.text);
                theirs.is_some_and(|&number| other.classes[number as usize] == *class)
            })
    }
}
