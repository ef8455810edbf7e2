//! The lines of Rust that declare the proposed order.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use lockdep::record::MergedLock;
use ra_ap_rustc_lexer::is_ident;

use super::ProposedOrder;

/// rustfmt breaks a line that is longer.
const MAX_LINE: usize = 100;

/// Lines to paste. Neither part has any if no two locks can be declared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Declarations {
    /// Put locks into classes, where they are made.
    pub(crate) classes: String,
    /// Declare the order of the classes.
    pub(crate) orders: String,
    /// The same for a `lockdep.toml`, if several services may take some of them: those that are resources.
    pub(crate) file: String,
}

impl Declarations {
    pub(crate) fn new(order: &ProposedOrder<'_>) -> Self {
        let (mut classes, mut orders) = (String::new(), String::new());
        let is_declared: Vec<_> =
            (0..order.locks.len()).filter(|&place| can_be_declared(order.lock(place))).collect();
        let names = names(order, &is_declared);
        let group = |place: usize| order.locks[place].group;
        let mut of_services = Vec::new();
        for places in is_declared.chunk_by(|&a, &b| group(a) == group(b)) {
            if places.len() == 1 {
                continue;
            }
            for &place in places.iter().filter(|&&place| given(order.lock(place)).is_none()) {
                let made = order.lock(place).created_at.as_ref();
                let made =
                    made.map_or_else(String::new, |made| format!(" // made at {}", one_line(made)));
                let lock = expression(order.name(place));
                let _ = writeln!(classes, "lockdep::class(&{lock}, {:?});{made}", names[&place]);
            }
            let names: Vec<_> = places.iter().map(|place| &names[place]).collect();
            if places.iter().any(|&place| order.lock(place).type_name == "Resource") {
                of_services.push(names.clone());
            }
            let names: Vec<_> = names.into_iter().map(|name| format!("{name:?}")).collect();
            let line = format!("lockdep::declare_class_order(&[{}]);", names.join(", "));
            if line.chars().count() <= MAX_LINE {
                orders += &line;
                orders.push('\n');
            } else {
                let _ = writeln!(
                    orders,
                    "lockdep::declare_class_order(&[\n    {},\n]);",
                    names.join(",\n    ")
                );
            }
        }
        Self { classes, orders, file: file(&of_services) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }
}

/// Returns a line of TOML. Its strings are those of JSON.
fn file(orders: &[Vec<&String>]) -> String {
    let text = match orders {
        [] => return String::new(),
        [one] => serde_json::to_string(one),
        several => serde_json::to_string(several),
    };
    text.map(|order| format!("order = {order}\n")).unwrap_or_default()
}

/// Returns the class that the program gave to a lock. The others are named after the type and the constructor.
fn given(lock: &MergedLock) -> Option<&str> {
    let class = lock.class.as_deref()?;
    let made = lock.created_at.as_ref().map(|made| format!(" made at {made}"));
    (!made.is_some_and(|made| class.ends_with(&made))).then_some(class)
}

/// Returns `true` if [`lockdep::class`] takes such a lock, according to its type.
fn can_be_declared(lock: &MergedLock) -> bool {
    let wrapper = lock.type_name.split('<').next().unwrap_or_default();
    let wrapper = wrapper.rsplit("::").next().unwrap_or_default();
    !matches!(wrapper, "JoinHandle" | "channel" | "sync_channel" | "Barrier" | "ReentrantMutex")
}

/// Returns a name for the class of each lock, by its place in the order: that of its field or variable or, where
/// several have one, with more.
fn names(order: &ProposedOrder<'_>, places: &[usize]) -> BTreeMap<usize, String> {
    let mut names = BTreeMap::new();
    let mut taken = BTreeSet::new();
    let mut rest = Vec::new();
    for &place in places {
        match given(order.lock(place)) {
            Some(given) => {
                taken.insert(given.to_owned());
                names.insert(place, given.to_owned());
            }
            None => rest.push(place),
        }
    }
    let short = |place: usize| {
        let name = order.name(place);
        let last = name.rsplit(['.', ':']).next().unwrap_or_default();
        if is_path(name) && is_ident(last) { last } else { name }.to_owned()
    };
    let with_type = |place: usize| format!("{}: {}", short(place), order.lock(place).type_name);
    let with_place = |place: usize| {
        let made = order.lock(place).created_at.as_deref().unwrap_or("an unknown place");
        format!("{}: made at {made}", short(place))
    };
    let candidates: [&dyn Fn(usize) -> String; 4] =
        [&short, &|place| order.name(place).to_owned(), &with_type, &with_place];
    for candidate in candidates {
        let mut by_name = BTreeMap::<_, Vec<_>>::new();
        for place in rest.drain(..) {
            by_name.entry(candidate(place)).or_default().push(place);
        }
        for (name, places) in by_name {
            match &*places {
                [only] if taken.insert(name.clone()) => _ = names.insert(*only, name),
                _ => rest.extend(places),
            }
        }
        rest.sort_unstable();
    }
    for place in rest {
        let numbered = (2..).map(|number| format!("{} {number}", short(place)));
        let name = numbered.into_iter().find(|name| taken.insert(name.clone())).unwrap_or_default();
        names.insert(place, name);
    }
    names
}

/// Returns an expression for a lock: that of its name, or a stand-in.
fn expression(name: &str) -> String {
    match name.rsplit_once("::") {
        _ if !is_path(name) => "lock".to_owned(),
        // A field of a type, as opposed to a `static` in a module.
        Some((_, field)) if field.chars().any(char::is_lowercase) => format!("self.{field}"),
        _ => name.to_owned(),
    }
}

/// Returns `true` for an expression that needs no brackets: `self.accounts`, `bank::ACCOUNTS`.
fn is_path(text: &str) -> bool {
    let is_index = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty();
    let mut parts = text.split('.');
    parts.next().is_some_and(|path| path.split("::").all(is_ident))
        && parts.all(|part| is_ident(part) || is_index(part))
}

/// Returns the text with escapes in place of characters that break a line or reverse it, for a comment or a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let is_escaped = |char: char| {
        char.is_control() || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let escape = |char: char| {
        if is_escaped(char) { char.escape_default().to_string() } else { char.into() }
    };
    text.chars().map(escape).collect()
}
