// The choice: a lock, an arrow, a finding, or all arrows between two folders.

"use strict";

let chosen = null;

function choose(what) {
  chosen = what;
  search.value = "";
  const box = reveal(what);
  light();
  tell();
  remember();
  if (box) {
    rove(box);
    if (what.kind === "lock" && root.contains(document.activeElement)) focusCurrent();
    keepInSight(box);
  }
}

/** Shows the chosen item, if it is not shown yet. */
function reveal(what) {
  if (!what) return null;
  const boxOf = (lock) => boxes.find((box) => box.lock === lock);
  if (what.kind === "lock") {
    if (!boxOf(what.lock)) go({ kind: "around", lock: what.lock, reach: 1 });
    return boxOf(what.lock);
  }
  if (what.kind === "arrow") {
    const { arrow } = what;
    if (!elements.has(`arrow-${arrow.id}`)) go({ kind: "around", lock: arrow.held, reach: 1 });
    if (!elements.has(`arrow-${arrow.id}`)) go({ kind: "around", lock: arrow.wanted, reach: 1 });
    return boxOf(arrow.held);
  }
  if (what.kind === "link") return null;
  const list = arrowsOf(findings[what.finding]);
  if (!list.length) return null;
  if (!list.every((arrow) => elements.has(`arrow-${arrow.id}`))) {
    const isFew = ends(told.flatMap(arrowsOf)).size <= FEW && told.includes(findings[what.finding]);
    go(isFew ? { kind: "findings" } : { kind: "finding", finding: what.finding });
  }
  return boxOf(list[0].held);
}

function light() {
  for (const element of elements.values()) element.classList.remove("lit", "chosen");
  picture.classList.toggle("choosing", Boolean(chosen));
  if (!chosen) return;
  if (chosen.kind === "link") {
    const { key, from, to } = chosen.link;
    for (const lit of [key, from, to]) elements.get(lit)?.classList.add("lit");
    return;
  }
  const list =
    chosen.kind === "lock"
      ? [...out[chosen.lock], ...into[chosen.lock]]
      : chosen.kind === "arrow"
        ? [chosen.arrow, arrowOf(chosen.arrow.wanted, chosen.arrow.held)].filter(Boolean)
        : arrowsOf(findings[chosen.finding]);
  const lit = [
    ...list.map((arrow) => `arrow-${arrow.id}`),
    ...[...ends(list)].map((at) => `lock-${at}`),
  ];
  if (chosen.kind === "lock") lit.push(`lock-${chosen.lock}`);
  for (const key of lit) elements.get(key)?.classList.add("lit");
  const key =
    chosen.kind === "lock"
      ? `lock-${chosen.lock}`
      : chosen.kind === "arrow"
        ? `arrow-${chosen.arrow.id}`
        : null;
  elements.get(key)?.classList.add("chosen");
}

/** Puts the choice into the URL, so that it can be linked. */
function remember() {
  const hash =
    chosen?.kind === "lock"
      ? `#lock-${chosen.lock}`
      : chosen?.kind === "arrow"
        ? `#arrow-${chosen.arrow.held}-${chosen.arrow.wanted}`
        : "";
  try {
    history.replaceState(null, "", hash || location.pathname + location.search);
  } catch {
    // Some browsers do not allow this for pages opened from a file.
  }
}

function recall() {
  const [, kind, ...numbers] = location.hash.match(/^#(lock|arrow)-(\d+)(?:-(\d+))?$/) ?? [];
  const [first, second] = numbers.map(Number);
  if (kind === "lock" && locks[first]) choose({ kind, lock: first });
  const arrow = kind === "arrow" && locks[first] ? arrowOf(first, second) : null;
  if (arrow) choose({ kind, arrow });
  if (chosen) viewer.scrollIntoView({ block: "nearest" });
}
