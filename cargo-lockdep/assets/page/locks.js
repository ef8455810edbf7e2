// The locks and arrows of the lock order, and helpers for all files of this folder.
//
// These files are scripts of one page and share one namespace; the page loads them in a fixed order. An arrow
// leads from a lock to one that was acquired while it was held.

"use strict";

const viewer = document.getElementById("viewer");
const { locks, arrows, findings, lines } = JSON.parse(document.getElementById("data").textContent);
const picture = document.getElementById("picture");
const details = document.getElementById("details");
const search = document.getElementById("search");
const scopes = document.getElementById("scopes");
const shown = document.getElementById("shown");

// More locks than this are drawn only on request.
const FEW = 60;
// More groups than this are hard to survey.
const GROUPS = 16;
// More boxes and arrows than this take too long to lay out.
const TOO_MANY = 3000;
// More arrows than this, and two for each box, are too dense.
const DENSE = 60;
/** Around a drawing. */
const MARGIN = 20;
// With fewer boxes than this, the picture is small.
const SMALL = 5;
// With more boxes than this, a box has only a name.
const COMPACT = 24;
// Names are readable from this scale on, and hidden below the other.
const READABLE = 0.65;
const FARTHER = 0.42;
const SVG = "http://www.w3.org/2000/svg";
const WORDS = {
  denied: "denied",
  warned: "warned",
  allowed: "allowed",
  silenced: "silenced",
  expected: "expected by a test",
};

const alarm = (verdict) => (verdict === "denied" || verdict === "warned" ? verdict : null);

const out = locks.map(() => []);
const into = locks.map(() => []);
const verdicts = locks.map(() => null);
arrows.forEach((arrow, id) => {
  arrow.id = id;
  out[arrow.held].push(arrow);
  into[arrow.wanted].push(arrow);
  if (alarm(arrow.verdict)) {
    for (const end of [arrow.held, arrow.wanted]) {
      if (verdicts[end] !== "denied") verdicts[end] = arrow.verdict;
    }
  }
});
const arrowOf = (held, wanted) => out[held].find((arrow) => arrow.wanted === wanted);
const arrowsOf = (finding) =>
  finding.cycle.filter((step) => step.ends).map((step) => arrowOf(...step.ends));
const told = findings.filter((finding) => alarm(finding.verdict));

// Locks are grouped by the folder or file that creates them, as deep as there are at most GROUPS groups.
const parts = locks.map(({ created_at: made }) =>
  (made?.replace(/:\d+:\d+$/, "") ?? "elsewhere")
    .replaceAll("\\", "/")
    .replace(/^.*\/registry\/src\/[^/]+\//, "")
    .replace(/^\/rustc\/.*/, "std")
    .split("/"),
);
const groupsAt = (depth) =>
  parts.map((part) =>
    part
      .slice(0, depth)
      .join("/")
      .replace(/\/src$/, ""),
  );
let depth = 1;
while (depth < 9 && new Set(groupsAt(depth + 1)).size <= GROUPS) depth += 1;
const groupOf = groupsAt(depth);
const groups = [...new Set(groupOf)].sort();

// For locks of the same name, the location is more specific than the type.
const called = new Map();
for (const { name } of locks) called.set(name, 1 + (called.get(name) ?? 0));
const kindOf = (at) => (called.get(locks[at].name) > 1 && locks[at].created_at) || locks[at].type;

// Elements

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "click") element.addEventListener("click", value);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function draw(parent, tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
