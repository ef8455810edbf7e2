//! Chooses where a report shows an acquisition.
//!
//! Much code takes its locks in helpers: `lock_unpoisoned`, an accessor, a wrapper's method, a macro. The line of
//! `lock()` is then the same for different locks, or for both orders, and distinguishes none of them. Outward along
//! the call stack comes a line that does: the first one of the program at which no two acquisitions of the report
//! meet. Those in between are mentioned in a note.
//!
//! A helper to which both locks of an edge are passed leaves no such line, as both acquisitions are in the same call.
//! They are shown in the helper then, and with them the call. A helper that runs a closure of its caller while it
//! holds the lock is left in any case: the reason for which the lock is held is in the closure.

use std::{env, path::PathBuf};

use super::{
    backtrace::{Call, calls},
    helpers::last_name,
};
use crate::{
    finding::{Detail, Edge, Finding, FindingKind, Site, ThreadInfo},
    source::Sources,
    stack::Stack,
    upstream,
};

/// A line of the program on the way to an acquisition, and the function in which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) site: Site,
    pub(super) function: Option<String>,
}

/// The call stack of an acquisition.
#[derive(Debug, Default)]
struct Route {
    /// The program's part of the stack, as a report writes it.
    calls: Vec<Call>,
    /// The lines of the program from the acquisition outward, at least one.
    steps: Vec<Step>,
    /// The folder to which the compiler's paths are relative, if the stack shows it.
    root: Option<PathBuf>,
}

/// How an edge is shown. Its ends are the acquisitions of the held and of the wanted lock.
#[derive(Debug)]
pub(super) struct Way {
    ends: [Route; 2],
    chosen: Chosen,
}

impl Way {
    /// Returns the call stack of each end.
    pub(super) fn calls(&self) -> [&[Call]; 2] {
        self.ends.each_ref().map(|end| &end.calls[..])
    }

    /// Returns the folder to which the compiler's paths are relative: the current one, unless a stack
    /// shows another.
    pub(super) fn root(&self) -> PathBuf {
        let root = self.ends.iter().find_map(|end| end.root.clone());
        root.or_else(|| env::current_dir().ok()).unwrap_or_default()
    }

    /// Returns the place where each end is shown.
    fn shown_at(&self) -> [&Site; 2] {
        [0, 1].map(|end| &self.ends[end].steps[self.chosen.ends[end]].site)
    }

    /// Returns the function that holds the lock, at the place where that is shown.
    pub(super) fn holder(&self) -> Option<&str> {
        self.ends[0].steps[self.chosen.ends[0]].function.as_deref()
    }

    /// Returns what was passed from each acquisition to the place where it is shown, innermost first.
    pub(super) fn passed(&self) -> [&[Step]; 2] {
        [0, 1].map(|end| &self.ends[end].steps[..self.chosen.ends[end]])
    }

    /// Returns the lines from each acquisition to what distinguishes it: the place where it is shown, or
    /// the call.
    pub(super) fn lines(&self) -> [Vec<&Site>; 2] {
        [0, 1].map(|end| {
            let sites = self.ends[end].steps.iter().map(|step| &step.site);
            let call = self.called_at();
            let call = call.and_then(|call| sites.clone().position(|site| site == call));
            let last = self.chosen.ends[end].max(call.unwrap_or(0));
            sites.take(last + 1).collect()
        })
    }

    /// Returns the call of the function that takes both locks, if only that distinguishes the edges.
    pub(super) fn called_at(&self) -> Option<&Site> {
        Some(&self.ends[1].steps[self.chosen.call?].site)
    }

    /// Returns the line from which the wanted lock is reached in the function that holds the other one, or in a
    /// closure of it that it has passed to a helper.
    pub(super) fn reached_from(&self) -> Option<&Site> {
        let ends = self.ends.each_ref().map(|end| &end.steps[..]);
        let passed = self.chosen.ends[0].checked_sub(1);
        let in_closure = passed.and_then(|at| closure_of_caller(ends, at));
        match in_closure {
            Some(step) => Some(&ends[1][step].site),
            None => self.release_before(),
        }
    }

    /// Returns the line in the function that holds the lock from which the wanted one is reached: the lock
    /// must be released before it. `None` if a function that it calls holds the lock, such as one that runs
    /// a closure, or if one macro acquires both. Without a stack, that is the acquisition itself.
    pub(super) fn release_before(&self) -> Option<&Site> {
        let [held, wanted] = self.ends.each_ref().map(|end| &end.steps[..]);
        let [shown, wanted_at] = self.chosen.ends;
        let (holder, outside) = (&held[shown], &held[shown + 1..]);
        let has_stack = holder.function.is_some();
        match (0..wanted.len()).find(|&at| wanted[at + 1..] == *outside) {
            Some(at) if has_stack => Some(&wanted[at].site),
            _ => Some(&wanted[wanted_at].site),
        }
        .filter(|line| **line != holder.site)
    }
}

/// Moves the places of a finding's edges to where they are shown. Reads the sources.
pub(super) fn climb(finding: &Finding, edges: &mut [Edge], sources: &mut Sources) -> Vec<Way> {
    // They are about one acquisition, or about one each of two threads.
    let stay = matches!(
        finding.kind,
        FindingKind::LeakedGuard | FindingKind::HeldAcrossAwait | FindingKind::ExpiredLease
    ) || matches!(finding.detail, Detail::LeftInParent(_));
    let mut ends = |edge: &Edge| {
        [(&edge.held_at, &edge.held_backtrace), (&edge.acquired_at, &edge.backtrace)].map(
            |(site, stack)| {
                let calls = calls(stack, &edge.thread, sources);
                if stay { Route::staying_at(site, calls) } else { Route::new(site, calls, sources) }
            },
        )
    };
    let ends: Vec<_> = edges.iter().map(&mut ends).collect();
    let steps: Vec<_> = ends.iter().map(|ends| ends.each_ref().map(|end| &end.steps[..])).collect();
    let chosen = choose(&steps);
    let ways: Vec<_> =
        ends.into_iter().zip(chosen).map(|(ends, chosen)| Way { ends, chosen }).collect();
    for (edge, way) in edges.iter_mut().zip(&ways) {
        [edge.held_at, edge.acquired_at] = way.shown_at().map(Site::clone);
    }
    ways
}

/// Returns the lines of the program that led to an acquisition, from there outward.
pub(crate) fn way_to(
    site: &Site,
    stack: &Stack,
    actor: &ThreadInfo,
    sources: &mut Sources,
) -> Vec<Site> {
    let calls = calls(stack, actor, sources);
    let route = Route::new(site, calls, sources);
    route.steps.into_iter().map(|step| step.site).collect()
}

impl Route {
    /// Climbs from an acquisition. The first step is where it is shown if nothing speaks against it: in the
    /// innermost code of the program itself, not of its dependencies.
    fn new(site: &Site, calls: Vec<Call>, sources: &mut Sources) -> Self {
        let is_there = |call: &Call| call.site.as_ref().is_some_and(|it| it.is_at(site));
        let first = calls.iter().position(is_there);
        let Some(first) = first.or_else(|| in_macro(site, &calls, sources)) else {
            return Self::staying_at(site, calls);
        };
        let root =
            calls.iter().find_map(|call| call.site.as_ref()?.file().strip_suffix(site.file()));
        let root = root.filter(|root| !root.is_empty()).map(PathBuf::from);
        let step = |Call { function, site }: &Call| {
            let site = match (site, &root) {
                (Some(site), Some(root)) => site.relative_to(root),
                (site, _) => site.clone()?,
            };
            Some(Step { site, function: Some(function.clone()) })
        };
        let mut steps: Vec<Step> = calls[first..].iter().filter_map(step).collect();
        steps[0].site = site.clone();
        let own = steps.iter().position(|step| !upstream::is_of_a_dependency(step.site.file()));
        steps.drain(..own.unwrap_or(0));
        steps.retain(|step| own.is_none() || !upstream::is_of_a_dependency(step.site.file()));
        Self { calls, steps, root }
    }

    /// Stays at an acquisition.
    fn staying_at(site: &Site, calls: Vec<Call>) -> Self {
        Self { calls, steps: vec![Step { site: site.clone(), function: None }], root: None }
    }
}

/// Returns the innermost call if a macro made it in the function around a site. Debug information then
/// has a line of the macro.
fn in_macro(site: &Site, calls: &[Call], sources: &mut Sources) -> Option<usize> {
    let innermost = calls.first()?;
    let function = sources.function_around(site)?;
    let is_it = last_name(&innermost.function) == function && innermost.site.is_some();
    is_it.then_some(0)
}

/// The steps at which an edge is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chosen {
    ends: [usize; 2],
    /// Of the path to the wanted lock.
    call: Option<usize>,
}

/// Chooses a step of each path, such that no two are the same line, as far inward as possible.
fn choose(paths: &[[&[Step]; 2]]) -> Vec<Chosen> {
    let mut at = vec![[0; 2]; paths.len()];
    part(paths, &mut at);
    for (path, at) in paths.iter().zip(&mut at) {
        at[0] = at[0].max(outside_of_runners(*path));
    }
    part(paths, &mut at);
    let calls = distinguishing_calls(paths, &at);
    at.into_iter().zip(calls).map(|(ends, call)| Chosen { ends, call }).collect()
}

/// Returns the step at which a lock is held that a helper acquires and holds while it runs a closure of its
/// caller.
fn outside_of_runners([held, wanted]: [&[Step]; 2]) -> usize {
    (0..held.len()).find(|&at| closure_of_caller([held, wanted], at).is_none()).unwrap_or(0)
}

/// Returns the outermost step to the wanted lock that is in a closure of the function that called the one which
/// holds the lock at a step.
fn closure_of_caller([held, wanted]: [&[Step]; 2], at: usize) -> Option<usize> {
    let caller = held.get(at + 1)?.function.as_ref()?;
    let in_holder = (0..wanted.len()).find(|&it| wanted[it + 1..] == held[at + 1..])?;
    let closure = format!("{caller}::{{");
    let is_it = |step: &Step| step.function.as_ref().is_some_and(|it| it.starts_with(&closure));
    wanted[..in_holder].iter().rposition(is_it)
}

/// Returns the innermost steps from `begin` on at which the ends of an edge are different lines; `begin` if there
/// are none.
fn parting([held, wanted]: [&[Step]; 2], begin: [usize; 2]) -> [usize; 2] {
    let mut at = begin;
    while held[at[0]].site == wanted[at[1]].site {
        let next = [another_line(held, at[0]), another_line(wanted, at[1])];
        let [Some(of_held), Some(of_wanted)] = next else { return begin };
        at = [of_held, of_wanted];
    }
    at
}

/// Moves the steps of ends that meet outward until no two are the same line.
fn part(paths: &[[&[Step]; 2]], at: &mut [[usize; 2]]) {
    let begin = at.to_vec();
    loop {
        let site = |edge: usize, end: usize| &paths[edge][end][at[edge][end]].site;
        let all = || (0..paths.len()).flat_map(|edge| [(edge, 0), (edge, 1)]);
        let meets = |&(edge, end): &(usize, usize)| {
            all().any(|other| other != (edge, end) && site(other.0, other.1) == site(edge, end))
        };
        let meeting: Vec<_> = all().filter(meets).collect();
        let outward = |&(edge, end): &(usize, usize)| {
            Some((edge, end, another_line(paths[edge][end], at[edge][end])?))
        };
        let moved: Vec<_> = meeting.iter().filter_map(outward).collect();
        if moved.is_empty() {
            // The ends that meet up to the outermost line are shown where they began, or where those
            // of one edge part.
            for &(edge, end) in &meeting {
                at[edge][end] = begin[edge][end];
            }
            for edge in 0..paths.len() {
                if [0, 1].iter().all(|&end| meeting.contains(&(edge, end))) {
                    at[edge] = parting(paths[edge], begin[edge]);
                }
            }
            return;
        }
        for (edge, end, to) in moved {
            at[edge][end] = to;
        }
    }
}

/// Returns the next step outward that is another line.
fn another_line(path: &[Step], from: usize) -> Option<usize> {
    (from..path.len()).find(|&at| path[at].site != path[from].site)
}

/// Returns the calls that distinguish edges whose ends are the same lines.
fn distinguishing_calls(paths: &[[&[Step]; 2]], at: &[[usize; 2]]) -> Vec<Option<usize>> {
    let lines = |edge: usize| [0, 1].map(|end| &paths[edge][end][at[edge][end]].site);
    let are_alike = paths.len() > 1 && (1..paths.len()).all(|edge| lines(edge) == lines(0));
    if !are_alike {
        return vec![None; paths.len()];
    }
    let mut calls = vec![0; paths.len()];
    loop {
        let here = |edge: usize| &paths[edge][1][calls[edge]].site;
        let meets = |&edge: &usize| (0..paths.len()).any(|it| it != edge && here(it) == here(edge));
        let meeting: Vec<usize> = (0..paths.len()).filter(meets).collect();
        if meeting.is_empty() {
            return calls.into_iter().map(Some).collect();
        }
        if meeting.iter().any(|&edge| calls[edge] + 1 >= paths[edge][1].len()) {
            return vec![None; paths.len()];
        }
        for edge in meeting {
            calls[edge] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a path of one-letter lines, innermost first.
    fn path(lines: &str) -> Vec<Step> {
        let step = |line: char| Step {
            site: Site::new("x.rs".to_owned(), line as u32, 1),
            function: None,
        };
        lines.chars().map(step).collect()
    }

    /// Returns the lines at which the edges with these paths are shown.
    fn shown(edges: &[[&str; 2]]) -> Vec<String> {
        let paths: Vec<_> = edges.iter().map(|ends| ends.map(path)).collect();
        let paths: Vec<_> = paths.iter().map(|ends| ends.each_ref().map(|end| &end[..])).collect();
        let line = |step: &Step| char::from_u32(step.site.line()).expect("a letter");
        let text = |(at, path): (Chosen, &[&[Step]; 2])| {
            let ends = [0, 1].map(|end| line(&path[end][at.ends[end]]));
            let call = at.call.map(|call| line(&path[1][call]));
            ends.into_iter().chain(call).collect()
        };
        choose(&paths).into_iter().zip(&paths).map(text).collect()
    }

    #[test]
    fn plain_code_is_shown_as_it_is() {
        assert_eq!(shown(&[["am", "bm"], ["cn", "dn"]]), ["ab", "cd"]);
        assert_eq!(shown(&[["am", "bm"]]), ["ab"]);
    }

    #[test]
    fn helpers_are_left() {
        // One helper for all, and one within another.
        assert_eq!(shown(&[["ham", "hbm"], ["hcn", "hdn"]]), ["ab", "cd"]);
        assert_eq!(shown(&[["hiam", "hibm"], ["hicn", "hidn"]]), ["ab", "cd"]);
        // An accessor for each lock.
        assert_eq!(shown(&[["xam", "ybm"], ["ycn", "xdn"]]), ["ab", "cd"]);
        // Only one of the locks has one.
        assert_eq!(shown(&[["xam", "bm"], ["cn", "xdn"]]), ["ab", "cd"]);
        // A closure that runs in the helper.
        assert_eq!(shown(&[["ham", "hbkam"], ["hcn", "hdkcn"]]), ["ab", "cd"]);
        // One thread locks again.
        assert_eq!(shown(&[["xam", "xybm"]]), ["ay"]);
    }

    #[test]
    fn a_helper_for_both_locks_is_shown_with_its_calls() {
        assert_eq!(shown(&[["ham", "iam"], ["hbm", "ibm"]]), ["hia", "hib"]);
        // Even the calls are the same.
        assert_eq!(shown(&[["ham", "iam"], ["ham", "iam"]]), ["hi", "hi"]);
        // It takes them in another helper.
        assert_eq!(shown(&[["hcam", "hdam"], ["hcbm", "hdbm"]]), ["cda", "cdb"]);
        // In a closure that runs in it.
        assert_eq!(shown(&[["hcam", "hdkcam"], ["hcbm", "hdkcbm"]]), ["cda", "cdb"]);
        assert_eq!(shown(&[["hcm", "hdm"], ["hcm", "hdm"]]), ["cd", "cd"]);
        assert_eq!(shown(&[["hm", "hm"], ["hm", "hm"]]), ["hh", "hh"]);
    }

    fn way(steps: [Vec<Step>; 2], shown: [usize; 2]) -> Way {
        let ends = steps.map(|steps| Route { steps, ..Route::default() });
        Way { ends, chosen: Chosen { ends: shown, call: None } }
    }

    /// Returns the line before which the held lock must be released.
    fn released_before(held: &str, wanted: &str, shown: [usize; 2]) -> Option<char> {
        let named = |lines| {
            let named = |step: Step| Step { function: Some("f".to_owned()), ..step };
            path(lines).into_iter().map(named).collect()
        };
        let way = way([named(held), named(wanted)], shown);
        char::from_u32(way.release_before()?.line())
    }

    #[test]
    fn a_lock_is_released_where_it_is_held() {
        assert_eq!(released_before("am", "bm", [0, 0]), Some('b'));
        // The wanted lock is acquired in a function that the holder calls.
        assert_eq!(released_before("am", "xbm", [0, 0]), Some('b'));
        // A helper has returned the guard.
        assert_eq!(released_before("xam", "xbm", [1, 1]), Some('b'));
        // A helper holds it while it runs a closure.
        assert_eq!(released_before("ham", "hbkam", [1, 1]), None);
        // A macro acquires both.
        assert_eq!(released_before("am", "am", [0, 0]), None);
        assert_eq!(way([path("a"), path("a")], [0, 0]).release_before(), None);
        // Without stacks.
        let bare = way([path("a"), path("bcm")], [0, 0]);
        assert_eq!(bare.release_before(), Some(&path("b")[0].site));
    }

    /// Returns a path of lines and the functions in which they are.
    fn path_in(steps: &[(char, &str)]) -> Vec<Step> {
        let step = |&(line, function): &(char, &str)| Step {
            function: Some(function.to_owned()),
            ..path(&line.to_string()).remove(0)
        };
        steps.iter().map(step).collect()
    }

    #[test]
    fn a_helper_that_runs_a_closure_is_left() {
        let held = path_in(&[('h', "with"), ('a', "grow"), ('m', "main")]);
        let wanted = [('x', "len"), ('b', "grow::{{closure}}"), ('f', "with"), ('a', "grow")];
        let wanted = path_in(&[&wanted[..], &[('m', "main")]].concat());
        assert_eq!(choose(&[[&held, &wanted]])[0].ends, [1, 0]);
        let way = way([held.clone(), wanted], [1, 0]);
        assert_eq!(way.release_before(), None);
        assert_eq!(way.reached_from(), Some(&path("b")[0].site));
        // One that calls another function.
        let other = path_in(&[('x', "log"), ('f', "with"), ('a', "grow"), ('m', "main")]);
        assert_eq!(choose(&[[&held, &other]])[0].ends, [0, 0]);
        // The closure takes the other lock in the same helper.
        let nested = [('h', "with"), ('b', "grow::{{closure}}"), ('f', "with"), ('a', "grow")];
        let nested = path_in(&[&nested[..], &[('m', "main")]].concat());
        assert_eq!(choose(&[[&held, &nested]])[0].ends, [1, 1]);
    }

    #[test]
    fn a_lock_without_a_stack_stays_where_it_is() {
        assert_eq!(shown(&[["h", "hbm"], ["h", "hdn"]]), ["hb", "hd"]);
        assert_eq!(shown(&[["x", "ybm"], ["y", "xdn"]]), ["xb", "yd"]);
    }
}
