//! Chooses where a report shows an acquisition.
//!
//! Much code takes its locks in helpers: `lock_unpoisoned`, an accessor, a wrapper's method, a macro. The line of
//! `lock()` is then the same for different locks, or for both orders, and distinguishes none of them. Outward along
//! the call stack comes a line that does: the first one of the program at which no two acquisitions of the report
//! meet. Those in between are mentioned in a note.
//!
//! A helper that is handed both locks of an edge leaves no such line, as both acquisitions are in the same call. They
//! are shown in the helper then, and with them the call.

use std::path::PathBuf;

use super::backtrace::{Call, calls};
use crate::{
    finding::{Edge, Finding, FindingKind, Site, ThreadInfo},
    stack::Stack,
    upstream,
};

/// A line of the program on the way to an acquisition, and the function in which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) site: Site,
    pub(super) function: Option<String>,
}

/// How an edge is shown.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// The lines from each acquisition, of the held and of the wanted lock, to what distinguishes it: the place where
    /// it is shown, or the call.
    pub(super) lines: [Vec<Site>; 2],
    /// What was passed on the way to the place where the held lock is shown, innermost first.
    pub(super) to_held: Vec<Step>,
    /// The same for the wanted lock.
    pub(super) to_wanted: Vec<Step>,
    /// The call of the function that takes both locks, if only that distinguishes the edges.
    pub(super) called_at: Option<Step>,
    /// The line in the function that holds the lock from which the wanted one is reached: the lock must be released
    /// before it. `None` if a function that it calls holds the lock, such as one that runs a closure.
    pub(super) release_before: Option<Site>,
    /// The folder to which the compiler's paths are relative, if a stack shows it.
    pub(super) root: Option<PathBuf>,
}

/// Moves the places of a finding's edges to where they are shown. Returns for each what was passed.
pub(super) fn climb(finding: &Finding, edges: &mut [Edge]) -> Vec<Way> {
    if matches!(finding.kind, FindingKind::LeakedGuard | FindingKind::HeldAcrossAwait) {
        // They are about one acquisition, or about one each of two threads.
        let stay =
            |edge: &Edge| Way { release_before: Some(edge.acquired_at.clone()), ..Way::default() };
        return edges.iter().map(stay).collect();
    }
    let ends = |edge: &Edge| {
        [(&edge.held_at, &edge.held_backtrace), (&edge.acquired_at, &edge.backtrace)]
            .map(|(site, stack)| steps(site, stack, &edge.thread))
    };
    let both: Vec<_> = edges.iter().map(ends).collect();
    let roots = both.iter().map(|[(held, _), (wanted, _)]| held.clone().or_else(|| wanted.clone()));
    let roots: Vec<_> = roots.collect();
    let paths: Vec<_> = both.into_iter().map(|ends| ends.map(|(_, steps)| steps)).collect();
    let shown = choose(&paths);
    let mut ways = Vec::new();
    for (((edge, path), at), root) in edges.iter_mut().zip(&paths).zip(shown).zip(roots) {
        let [to_held, to_wanted] = [0, 1].map(|end| path[end][..at.ends[end]].to_vec());
        edge.held_at = path[0][at.ends[0]].site.clone();
        edge.acquired_at = path[1][at.ends[1]].site.clone();
        let called_at = at.call.map(|call| path[1][call].clone());
        let lines = [0, 1].map(|end| {
            let sites = path[end].iter().map(|step| step.site.clone());
            let is_call = |site: &Site| called_at.as_ref().is_some_and(|call| call.site == *site);
            let last = sites.clone().position(|site| is_call(&site)).unwrap_or(at.ends[end]);
            sites.take(last.max(at.ends[end]) + 1).collect()
        });
        let release_before = release_before(path, at.ends);
        ways.push(Way { lines, to_held, to_wanted, called_at, release_before, root });
    }
    ways
}

/// Returns the lines of the program from an acquisition outward. The first is where it is shown if nothing speaks
/// against it: in the innermost code of the program itself, not of its dependencies. Also returns the folder to which
/// the paths are relative.
fn steps(site: &Site, stack: &Stack, actor: &ThreadInfo) -> (Option<PathBuf>, Vec<Step>) {
    let calls = calls(stack, actor);
    let is_there = |call: &Call| call.site.as_ref().is_some_and(|it| it.is_at(site));
    let Some(first) = calls.iter().position(is_there) else {
        return (None, vec![Step { site: site.clone(), function: None }]);
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
    (root, steps)
}

/// The steps at which an edge is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chosen {
    ends: [usize; 2],
    /// Of the path to the wanted lock.
    call: Option<usize>,
}

/// Chooses a step of each path, such that no two are the same line, as far inward as possible.
fn choose(paths: &[[Vec<Step>; 2]]) -> Vec<Chosen> {
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

/// Returns the line of the path to the wanted lock that is in the call of the function in which the held one is shown.
/// Without a stack, that is the acquisition itself.
fn release_before([held, wanted]: &[Vec<Step>; 2], shown: [usize; 2]) -> Option<Site> {
    let (holder, outside) = (&held[shown[0]], &held[shown[0] + 1..]);
    let has_stack = holder.function.is_some();
    match (0..wanted.len()).find(|&at| wanted[at + 1..] == *outside) {
        Some(at) if has_stack => {
            let line = &wanted[at].site;
            (*line != holder.site).then(|| line.clone())
        }
        _ => Some(wanted[shown[1]].site.clone()),
    }
}

/// Returns the calls that distinguish edges whose ends are the same lines.
fn distinguishing_calls(paths: &[[Vec<Step>; 2]], at: &[[usize; 2]]) -> Vec<Option<usize>> {
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
        let line = |step: &Step| char::from_u32(step.site.line()).expect("a letter");
        let text = |(at, path): (Chosen, &[Vec<Step>; 2])| {
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

    /// Returns the line before which the held lock must be released.
    fn released_before(held: &str, wanted: &str, shown: [usize; 2]) -> Option<char> {
        let named = |lines| {
            let named = |step: Step| Step { function: Some("f".to_owned()), ..step };
            path(lines).into_iter().map(named).collect()
        };
        let line = release_before(&[named(held), named(wanted)], shown)?.line();
        char::from_u32(line)
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
        let bare = [path("a"), path("bcm")];
        assert_eq!(release_before(&bare, [0, 0]), Some(bare[1][0].site.clone()));
    }

    #[test]
    fn a_lock_without_a_stack_stays_where_it_is() {
        assert_eq!(shown(&[["h", "hbm"], ["h", "hdn"]]), ["hb", "hd"]);
        assert_eq!(shown(&[["x", "ybm"], ["y", "xdn"]]), ["xb", "yd"]);
    }
}
