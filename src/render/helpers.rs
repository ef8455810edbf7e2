//! What a report says of helpers: where they acquire the locks, and where they are called.

use super::{climb::Step, section::Label, story::Story};

impl Story<'_> {
    /// Returns a label for the call that belongs to an edge's excerpt: that of the function that takes
    /// both locks, if only that distinguishes the edge, or the line from which the function that holds one
    /// lock reaches the other, if that is acquired elsewhere.
    pub(super) fn call(&self, index: usize) -> Option<Label<'_>> {
        let (edge, way) = (&self.shown[index], &self.ways[index]);
        let reached = way.reached_from().filter(|line| {
            **line != edge.acquired_at && edge.held.kind.role.is_lock() && line.column() > 0
        });
        let call = way.called_at().or(reached)?;
        Some(Label::context(call, "in this call".to_owned()))
    }

    /// Names the functions in which the locks are acquired, if those are shown at the calls of
    /// these functions.
    pub(super) fn through(&self) -> Option<String> {
        let mut lines: Vec<(String, String)> = Vec::new();
        let mut have_all = true;
        for (edge, way) in self.shown.iter().zip(&self.ways) {
            let ends = [(&edge.held, &edge.held_at), (&edge.wanted, &edge.acquired_at)];
            for ((lock, at), passed) in ends.into_iter().zip(way.passed()) {
                let Some(Step { site, function }) = passed.first() else {
                    have_all = false;
                    continue;
                };
                let inside = match function {
                    Some(function) => format!("in `{}`, at {site}", short(function)),
                    None => format!("at {site}"),
                };
                let line = (self.names.at(lock, at), inside);
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
        }
        let (_, first) = lines.first()?;
        if have_all && lines.len() > 1 && lines.iter().all(|(_, inside)| inside == first) {
            return Some(format!("these calls acquire the locks {first}"));
        }
        let line = |(lock, inside): &(String, String)| format!("{lock} is acquired {inside}");
        Some(lines.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

/// `bank::accounts::Bank::lock::{{closure}}` → `Bank::lock`.
pub(super) fn short(function: &str) -> String {
    match &segments(function)[..] {
        [.., home, name] if home.starts_with(|it: char| it.is_uppercase() || it == '<') => {
            format!("{home}::{name}")
        }
        [.., name] => (*name).to_owned(),
        [] => function.to_owned(),
    }
}

/// `bank::accounts::Bank::lock::{{closure}}` → `lock`.
pub(super) fn last_name(function: &str) -> &str {
    segments(function).pop().unwrap_or(function)
}

/// Returns the parts of a function's path, without closures at its end.
fn segments(function: &str) -> Vec<&str> {
    let (mut segments, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, character) in function.char_indices() {
        match character {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && function[at..].starts_with("::") => {
                segments.push(&function[start..at]);
                start = at + 2;
            }
            _ => {}
        }
    }
    segments.push(&function[start.min(function.len())..]);
    while segments.len() > 1 && segments.last().is_some_and(|it| it.starts_with('{')) {
        segments.pop();
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn a_function_is_named_with_its_type() {
        assert_eq!(short("bank::accounts::Bank::lock::{{closure}}"), "Bank::lock");
        assert_eq!(short("bank::lock_both"), "lock_both");
        assert_eq!(
            short("<bank::Pool<T> as bank::Take>::take"),
            "<bank::Pool<T> as bank::Take>::take"
        );
        assert_eq!(short("main"), "main");
    }
}
