// Scopes of the picture: all locks, those of the findings, those around one, those created in one folder, or
// the folders.

"use strict";

const ends = (list) => new Set(list.flatMap((arrow) => [arrow.held, arrow.wanted]));
const between = (known) =>
  arrows.filter((arrow) => known.has(arrow.held) && known.has(arrow.wanted));

function around(lock, reach) {
  const known = new Set([lock]);
  let edge = [lock];
  for (let step = 0; step < reach; step += 1) {
    const next = edge.flatMap((at) => [
      ...out[at].map((arrow) => arrow.wanted),
      ...into[at].map((arrow) => arrow.held),
    ]);
    // Locks of findings come first, if there is no room for all.
    const fresh = [...new Set(next)]
      .filter((at) => !known.has(at))
      .sort((a, b) => (verdicts[b] !== null) - (verdicts[a] !== null));
    edge = fresh.slice(0, FEW - known.size);
    edge.forEach((at) => known.add(at));
    if (edge.length < fresh.length) return { known, left: fresh.length - edge.length };
  }
  return { known, left: 0 };
}

/** Returns the locks of a scope, with a description. */
function content(scope) {
  switch (scope.kind) {
    case "around": {
      const { known, left } = around(scope.lock, scope.reach);
      const more = left ? `, ${left} more not shown` : "";
      return {
        known,
        words: `${count(known.size, "lock", "locks")} around ${locks[scope.lock].name}${more}`,
      };
    }
    case "finding": {
      const known = ends(arrowsOf(findings[scope.finding]));
      return { known, words: `${count(known.size, "lock", "locks")} of one finding` };
    }
    case "findings": {
      const known = ends(told.flatMap(arrowsOf));
      return {
        known,
        words: `${count(known.size, "lock", "locks")} of the findings, of ${locks.length}`,
      };
    }
    case "group": {
      const known = new Set([...locks.keys()].filter((at) => groupOf[at] === scope.group));
      return { known, words: `${count(known.size, "lock", "locks")} made in ${scope.group}` };
    }
    default:
      return { known: new Set(locks.keys()), words: count(locks.length, "lock", "locks") };
  }
}

function firstScope() {
  if (locks.length <= FEW) return { kind: "all" };
  if (told.some((finding) => arrowsOf(finding).length)) return { kind: "findings" };
  return groups.length > 1 ? { kind: "groups" } : { kind: "around", lock: busiest(), reach: 1 };
}

function busiest() {
  const degree = (at) => out[at].length + into[at].length;
  return [...locks.keys()].reduce((best, at) => (degree(at) > degree(best) ? at : best), 0);
}

/**
 * Leaves out links of a dense drawing, which takes minutes to lay out: 45 locks in all orders have 1980. Those
 * of the worst findings come first.
 */
function sparse(drawn) {
  const most = DENSE + 2 * drawn.boxes.length;
  const left = drawn.links.length - most;
  if (left <= 0 || drawn.boxes.length + drawn.links.length > TOO_MANY) return drawn;
  const rank = ({ verdict }) => (verdict === "denied" ? 0 : verdict === "warned" ? 1 : 2);
  const links = [...drawn.links].sort((a, b) => rank(a) - rank(b)).slice(0, most);
  return { ...drawn, links, words: `${drawn.words}, ${count(left, "arrow", "arrows")} not shown` };
}

/** Returns the boxes and links to draw. */
function drawing() {
  return sparse(scope.kind === "groups" ? groupsDrawn() : locksDrawn());
}

function locksDrawn() {
  const { known, words } = content(scope);
  const boxes = [...known].map((at) => ({
    key: `lock-${at}`,
    lock: at,
    name: locks[at].name,
    of: kindOf(at),
    verdict: verdicts[at],
  }));
  const links = between(known).map((arrow) => ({
    key: `arrow-${arrow.id}`,
    from: `lock-${arrow.held}`,
    to: `lock-${arrow.wanted}`,
    arrow,
    verdict: arrow.verdict,
  }));
  return { boxes, links, words };
}

function groupsDrawn() {
  const worst = (list) =>
    list.includes("denied") ? "denied" : list.includes("warned") ? "warned" : null;
  const boxes = groups.map((group, at) => {
    const own = [...locks.keys()].filter((lock) => groupOf[lock] === group);
    return {
      key: `group-${at}`,
      group,
      name: group,
      of: count(own.length, "lock", "locks"),
      verdict: worst(own.map((lock) => verdicts[lock])),
    };
  });
  const links = new Map();
  for (const arrow of arrows) {
    const [from, to] = [arrow.held, arrow.wanted].map((at) => groups.indexOf(groupOf[at]));
    if (from === to) continue;
    const key = `link-${from}-${to}`;
    if (!links.has(key))
      links.set(key, { key, from: `group-${from}`, to: `group-${to}`, arrows: [] });
    links.get(key).arrows.push(arrow);
  }
  for (const link of links.values())
    link.verdict = worst(link.arrows.map((arrow) => arrow.verdict));
  return {
    boxes,
    links: [...links.values()],
    words: `${count(groups.length, "place", "places")} that make ${count(locks.length, "lock", "locks")}`,
  };
}
