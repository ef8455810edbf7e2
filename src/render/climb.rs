//! Chooses where a report shows an acquisition.
//!
//! Much code takes its locks in helpers: `lock_unpoisoned`, an accessor, a wrapper's method, a macro. The line of
//! `lock()` is then the same for different locks, or for both orders, and distinguishes none of them. Outward along
//! the call stack comes a line that does: the first one of the program at which no two acquisitions of the report
//! meet. Those in between are mentioned in a note.
//!
//! A helper that is handed both locks of an edge leaves no such line, as both acquisitions are in the same call. They
//! are shown in the helper then, and with them the call.

use std::{env, path::PathBuf};

use super::backtrace::{Call, calls};
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

    /// Returns the line in the function that holds the lock from which the wanted one is reached: the lock
    /// must be released before it. `None` if a function that it calls holds the lock, such as one that runs
    /// a closure. Without a stack, that is the acquisition itself.
    pub(super) fn release_before(&self) -> Option<&Site> {
        let [held, wanted] = self.ends.each_ref().map(|end| &end.steps[..]);
        let [shown, wanted_at] = self.chosen.ends;
        let (holder, outside) = (&held[shown], &held[shown + 1..]);
        let has_stack = holder.function.is_some();
        match (0..wanted.len()).find(|&at| wanted[at + 1..] == *outside) {
            Some(at) if has_stack => {
                let line = &wanted[at].site;
                (*line != holder.site).then_some(line)
            }
            _ => Some(&wanted[wanted_at].site),
        }
    }
}

/// Moves the places of a finding's edges to where they are shown. Reads the sources.
pub(super) fn climb(finding: &Finding, edges: &mut [Edge], sources: &mut Sources) -> Vec<Way> {
    // They are about one acquisition, or about one each of two threads.
    let stay = matches!(finding.kind, FindingKind::LeakedGuard | FindingKind::HeldAcrossAwait)
        || matches!(finding.detail, Detail::LeftInParent(_));
    let mut ends = |edge: &Edge| {
        [(&edge.held_at, &edge.held_backtrace), (&edge.acquired_at, &edge.backtrace)].map(
            |(site, stack)| {
                let calls = calls(stack, &edge.thread, sources);
                if stay { Route::staying_at(site, calls) } else { Route::new(site, calls) }
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
    let route = Route::new(site, calls(stack, actor, sources));
    route.steps.into_iter().map(|step| step.site).collect()
}

impl Route {
    /// Climbs from an acquisition. The first step is where it is shown if nothing speaks against it: in the
    /// innermost code of the program itself, not of its dependencies.
    fn new(site: &Site, calls: Vec<Call>) -> Self {
        let is_there = |call: &Call| call.site.as_ref().is_some_and(|it| it.is_at(site));
        let Some(first) = calls.iter().position(is_there) else {
            return Self::staying_at(site, calls);
        };
        let root = calls[first].site.as_ref().and_then(|it| it.file().strip_suffix(site.file()));
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
    let site = |at: &[[usize; 2]], edge: usize, end: usize| &paths[edge][end][at[edge][end]].site;
    loop {
        let all = || (0..paths.len()).flat_map(|edge| [(edge, 0), (edge, 1)]);
        let meets = |(edge, end): &(usize, usize)| {
            all().any(|(other, its)| {
                (other, its) != (*edge, *end) && site(&at, other, its) == site(&at, *edge, *end)
            })
        };
        let meeting: Vec<_> = all().filter(meets).collect();
        let mut moved = Vec::new();
        for &(edge, end) in &meeting {
            let (from, here) = (at[edge][end], site(&at, edge, end));
            let next = paths[edge][end][from..].iter().position(|step| step.site != *here);
            moved.extend(next.map(|by| (edge, end, from + by)));
        }
        if moved.is_empty() {
            // The ends that meet up to the outermost line are shown where they began.
            for (edge, end) in meeting {
                at[edge][end] = 0;
            }
            break;
        }
        for (edge, end, to) in moved {
            at[edge][end] = to;
        }
    }
    let calls = distinguishing_calls(paths, &at);
    at.into_iter().zip(calls).map(|(ends, call)| Chosen { ends, call }).collect()
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
        // Without stacks.
        let bare = way([path("a"), path("bcm")], [0, 0]);
        assert_eq!(bare.release_before(), Some(&path("b")[0].site));
    }

    #[test]
    fn a_lock_without_a_stack_stays_where_it_is() {
        assert_eq!(shown(&[["h", "hbm"], ["h", "hdn"]]), ["hb", "hd"]);
        assert_eq!(shown(&[["x", "ybm"], ["y", "xdn"]]), ["xb", "yd"]);
    }
}
