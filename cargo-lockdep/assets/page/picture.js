// The picture, which d3-zoom moves and scales.

"use strict";

let scope = firstScope();
let elements = new Map();
let boxes = [];
let heads = [];
// What is shown, and the scale at which all of it is in sight.
let words = "";
let fitted = 1;

const root = draw(picture, "g", { id: "root" });
const zoom = d3
  .zoom()
  .scaleExtent([0.03, 3])
  // Scrolling past the picture must not zoom it.
  .filter(
    (event) =>
      (event.type !== "wheel" ||
        event.ctrlKey ||
        event.metaKey ||
        picture.contains(document.activeElement)) &&
      !event.button,
  )
  .on("zoom", ({ transform }) => {
    const { k } = transform;
    root.setAttribute("transform", transform);
    picture.classList.toggle("far", k < 0.85);
    picture.classList.toggle("farther", k < FARTHER);
    // Arrowheads stay as large as one can see them.
    const size = Math.min(56, Math.max(9, 7 / k));
    for (const it of heads) {
      it.setAttribute("markerWidth", size);
      it.setAttribute("markerHeight", size);
    }
    tellShown(k);
  });
const view = d3.select(picture).call(zoom).on("dblclick.zoom", null);

function marker(definitions, name) {
  const it = draw(definitions, "marker", {
    id: `head-${name}`,
    viewBox: "0 0 10 10",
    refX: 9,
    refY: 5,
    markerWidth: 9,
    markerHeight: 9,
    markerUnits: "userSpaceOnUse",
    orient: "auto",
  });
  draw(it, "path", { d: "M0,1 L10,5 L0,9 z", class: `head ${name}` });
  return it;
}

function paint() {
  const drawn = drawing();
  const hadFocus = root.contains(document.activeElement);
  root.replaceChildren();
  elements = new Map();
  boxes = [];
  heads = [];
  tellScopes();
  if (drawn.boxes.length + drawn.links.length > TOO_MANY) {
    shown.textContent = `${drawn.words} and ${count(drawn.links.length, "arrow", "arrows")}: too many for one picture. Search for a lock, or choose a place.`;
    return;
  }
  layOut(drawn);
  const definitions = draw(root, "defs", {});
  heads = ["plain", "denied", "warned"].map((name) => marker(definitions, name));
  for (const link of drawn.links) paintLink(link);
  boxes = drawn.boxes;
  picture.classList.toggle("compact", boxes.length > COMPACT);
  viewer.classList.toggle("small", boxes.length < SMALL);
  for (const box of boxes) paintBox(box);
  words = drawn.words;
  rove(boxes.find((box) => box.verdict) ?? boxes[0]);
  if (hadFocus) focusCurrent();
  look();
  light();
}

function paintLink(link) {
  const { arrow } = link;
  const onlyFound = arrow && !arrow.orders.length;
  const group = draw(root, "g", {
    id: link.key,
    class: `arrow ${alarm(link.verdict) ?? ""} ${onlyFound ? "found" : ""}`,
    tabindex: -1,
    role: "button",
  });
  const label = arrow ? sentence(arrow) : count(link.arrows.length, "arrow", "arrows");
  group.setAttribute("aria-label", label);
  draw(group, "title", {}, label);
  const { d } = link;
  const stroke = draw(group, "path", {
    class: "stroke",
    d,
    "marker-end": `url(#head-${alarm(link.verdict) ?? "plain"})`,
  });
  // The width shows the number of arrows that it stands for.
  if (!arrow) stroke.style.strokeWidth = 1 + 0.6 * Math.log2(link.arrows.length);
  draw(group, "path", { class: "reach", d });
  group.addEventListener("click", () =>
    choose(arrow ? { kind: "arrow", arrow } : { kind: "link", link }),
  );
  elements.set(link.key, group);
}

function paintBox(box) {
  const group = draw(root, "g", {
    id: box.key,
    class: `lock ${box.verdict ?? ""}`,
    tabindex: -1,
    role: "button",
    transform: `translate(${box.x},${box.y})`,
  });
  const words = box.verdict ? `, in a finding that is ${WORDS[box.verdict]}` : "";
  const label = `${box.name}, ${box.of}${words}`;
  group.setAttribute("aria-label", label);
  draw(group, "title", {}, label);
  draw(group, "rect", {
    x: -box.width / 2,
    y: -box.height / 2,
    width: box.width,
    height: box.height,
    rx: 8,
  });
  draw(group, "text", { y: box.sub ? -3 : 5 }, box.label);
  if (box.sub) draw(group, "text", { y: 14, class: "of" }, box.sub);
  group.addEventListener("click", () => activate(box));
  group.addEventListener("focus", () => rove(box));
  elements.set(box.key, group);
}

const sentence = (arrow) =>
  `${locks[arrow.wanted].name} acquired while ${locks[arrow.held].name} was held` +
  (alarm(arrow.verdict) ? `, in a finding that is ${WORDS[arrow.verdict]}` : "");

/** Tab reaches only one box; from there, arrow keys lead to the others. */
let current = null;
function rove(box) {
  if (current) elements.get(current.key)?.setAttribute("tabindex", -1);
  current = box ?? null;
  if (box) elements.get(box.key).setAttribute("tabindex", 0);
}

function focusCurrent() {
  if (current) elements.get(current.key).focus({ preventScroll: true });
}

function activate(box) {
  if (box.group !== undefined) go({ kind: "group", group: box.group });
  else choose({ kind: "lock", lock: box.lock });
}

function move(direction) {
  const [dx, dy] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[
    direction
  ];
  const distance = (box) => {
    const [x, y] = [box.x - current.x, box.y - current.y];
    const ahead = x * dx + y * dy;
    const aside = Math.abs(x * dy) + Math.abs(y * dx);
    return ahead > 1 && aside < 3 * ahead ? ahead + 2 * aside : Infinity;
  };
  const best = boxes.reduce((a, b) => (distance(b) < distance(a) ? b : a), current);
  if (distance(best) === Infinity) return;
  rove(best);
  focusCurrent();
  keepInSight(best);
}

// The view

/** Returns the size of the picture and of all that is drawn, and the scale at which it fits. */
function measures() {
  const { clientWidth: width, clientHeight: height } = picture;
  // Arrows exceed the size that the layout reports.
  const box = root.getBBox();
  const [left, top] = [box.x - MARGIN, box.y - MARGIN];
  const size = { width: box.width + 2 * MARGIN, height: box.height + 2 * MARGIN };
  fitted = fitting(size);
  return { width, height: height - 24, left, top, size };
}

function show(x, y, k) {
  view.call(zoom.transform, d3.zoomIdentity.translate(x, y).scale(k));
  tellShown(k);
}

/** Shows everything. */
function fit() {
  const { width, height, left, top, size } = measures();
  if (!width || height <= 0) return;
  const k = fitted;
  show((width - k * size.width) / 2 - k * left, (height - k * size.height) / 2 - k * top, k);
}

/** Shows everything or, if its names could not be read, what is around the current box. */
function look() {
  const { width, height, left, top, size } = measures();
  if (fitted >= READABLE || !current || !width) {
    fit();
    return;
  }
  const k = READABLE;
  // Where there is more to see than fits, nothing is left empty.
  const start = (place, whole, from, length) =>
    k * length <= whole
      ? (whole - k * length) / 2 - k * from
      : Math.min(-k * from, Math.max(whole - k * (from + length), whole / 2 - k * place));
  show(start(current.x, width, left, size.width), start(current.y, height, top, size.height), k);
}

function tellShown(k) {
  const hint =
    k < FARTHER
      ? ". Zoom in for the names, or choose from the list."
      : k > 1.02 * fitted
        ? ". Drag for more; Fit shows all."
        : "";
  const text = words + hint;
  // Screen readers read each change.
  if (shown.textContent !== text) shown.textContent = text;
}

const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;

function lookAt(box) {
  const k = Math.max(0.85, d3.zoomTransform(picture).k);
  const { clientWidth: width, clientHeight: height } = picture;
  const to = d3.zoomIdentity.translate(width / 2 - k * box.x, height / 2 - k * box.y).scale(k);
  (isCalm ? view : view.transition().duration(250)).call(zoom.transform, to);
}

function keepInSight(box) {
  const { k, x, y } = d3.zoomTransform(picture);
  const [left, top] = [k * box.x + x, k * box.y + y];
  const isIn =
    left > 40 && top > 40 && left < picture.clientWidth - 40 && top < picture.clientHeight - 40;
  if (!isIn || k < FARTHER) lookAt(box);
}

function go(to) {
  scope = to;
  if (chosen?.kind === "link") chosen = null;
  paint();
  tell();
}

function tellScopes() {
  const button = (words, to, isChosen = scope.kind === to.kind) =>
    make(
      "button",
      { type: "button", "aria-pressed": isChosen, title: words, click: () => go(to) },
      words,
    );
  const all = [];
  if (told.some((finding) => arrowsOf(finding).length))
    all.push(button("Findings", { kind: "findings" }));
  if (groups.length > 1) all.push(button("Places", { kind: "groups" }));
  all.push(button(`All ${count(locks.length, "lock", "locks")}`, { kind: "all" }));
  if (scope.kind === "around") {
    const near = (words, reach) => button(words, { ...scope, reach }, scope.reach === reach);
    all.push(near(`Next to ${locks[scope.lock].name}`, 1), near("Two steps", 2));
  } else if (scope.kind === "group") {
    all.push(button(scope.group, scope));
  } else if (scope.kind === "finding") {
    all.push(button("One finding", scope));
  }
  const hadFocus = scopes.contains(document.activeElement);
  scopes.replaceChildren(...all);
  if (hadFocus) scopes.querySelector("[aria-pressed=true]")?.focus();
}
