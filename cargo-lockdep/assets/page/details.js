// The details of the chosen lock, arrow or finding.

"use strict";

function tell() {
  const hadFocus = details.contains(document.activeElement);
  if (search.value.trim() || !chosen) details.replaceChildren(...list(search.value));
  else if (chosen.kind === "lock") details.replaceChildren(...tellLock(chosen.lock));
  else if (chosen.kind === "arrow") details.replaceChildren(...tellArrow(chosen.arrow));
  else if (chosen.kind === "link") details.replaceChildren(...tellLink(chosen.link));
  else details.replaceChildren(...tellFinding(chosen.finding));
  details.parentElement.scrollTop = 0;
  // The button that had the focus was replaced.
  if (hadFocus) details.querySelector("button")?.focus({ preventScroll: true });
}

const item = (click, words, under, verdict) =>
  make(
    "li",
    null,
    make(
      "button",
      { type: "button", class: alarm(verdict), click },
      words,
      under ? make("span", null, under) : null,
    ),
  );
const toLock = (at) =>
  item(
    () => choose({ kind: "lock", lock: at }),
    locks[at].name,
    locks[at].created_at ?? locks[at].type,
    verdicts[at],
  );
const toFinding = (at) =>
  item(
    () => choose({ kind: "finding", finding: at }),
    findings[at].title.replaceAll("`", ""),
    `${findings[at].kind}, ${WORDS[findings[at].verdict]}`,
    findings[at].verdict,
  );
const section = (title, items, heading = "h4") =>
  items.length ? [make(heading, { class: "section" }, title), make("ul", null, ...items)] : [];
const back = () =>
  make(
    "div",
    { class: "row" },
    make(
      "button",
      {
        type: "button",
        click: () => {
          choose(null);
          search.focus();
        },
      },
      "← All locks",
    ),
  );

function list(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (lock) => [lock.name, ...lock.names, lock.type, lock.created_at ?? ""].join(" ").toLowerCase();
  const found = [...locks.keys()].filter((at) =>
    words.every((word) => text(locks[at]).includes(word)),
  );
  found.sort(
    (a, b) =>
      (verdicts[b] !== null) - (verdicts[a] !== null) || locks[a].name.localeCompare(locks[b].name),
  );
  const isAsked = words.length > 0;
  const title = isAsked
    ? `${count(found.length, "lock", "locks")} found`
    : count(locks.length, "lock", "locks");
  return [
    ...(isAsked
      ? []
      : section(
          "Findings",
          [...findings.keys()].filter((at) => alarm(findings[at].verdict)).map(toFinding),
          "h3",
        )),
    ...section(title, found.slice(0, 200).map(toLock), "h3"),
    found.length > 200
      ? make("p", { class: "quiet" }, `and ${found.length - 200} more: search for them`)
      : "",
    found.length
      ? ""
      : make("p", { class: "quiet" }, "No lock has such a name, type or location."),
  ];
}

function source(place) {
  const line = lines[place.replace(/:\d+$/, "")];
  return [
    make("code", null, place),
    line === undefined ? null : make("code", { class: "source" }, line),
  ];
}

function tellLock(at) {
  const lock = locks[at];
  const others = lock.names.filter((name) => name !== lock.name);
  return [
    back(),
    make("p", { class: "quiet" }, "Lock"),
    make("h3", null, lock.name),
    make("p", { class: "quiet" }, make("code", null, lock.type)),
    others.length ? make("p", { class: "quiet" }, `also named ${others.join(", ")}`) : "",
    make(
      "dl",
      null,
      make("dt", null, "created at"),
      make("dd", null, ...(lock.created_at ? source(lock.created_at) : ["an unknown location"])),
    ),
    make(
      "div",
      { class: "row" },
      make(
        "button",
        {
          type: "button",
          click: () => {
            go({ kind: "around", lock: at, reach: 1 });
            light();
          },
        },
        "Show what is next to it",
      ),
    ),
    ...section(
      "Findings",
      [...new Set([...out[at], ...into[at]].flatMap((arrow) => arrow.findings))].map(toFinding),
    ),
    ...section(
      "Acquired while it was held",
      out[at].map((arrow) => toArrow(arrow, arrow.wanted)),
    ),
    ...section(
      "Held while it was acquired",
      into[at].map((arrow) => toArrow(arrow, arrow.held)),
    ),
  ];
}

const toArrow = (arrow, other) =>
  item(
    () => choose({ kind: "arrow", arrow }),
    locks[other].name,
    arrow.orders[0]?.places[0]?.[1] ?? "in a finding",
    arrow.verdict,
  );

/** Returns the two locations of an arrow. */
const sites = ([heldAt, acquiredAt], held, wanted) =>
  make(
    "dl",
    { class: "sites" },
    make("dt", null, `${held} held since`),
    make("dd", { class: "held-at" }, ...source(heldAt)),
    make("dt", null, `${wanted} acquired at`),
    make("dd", { class: "acquired-at" }, ...source(acquiredAt)),
  );

const names = (list) => (list.length >= 16 ? `${list.join(", ")}, …` : list.join(", "));

// A task is named after the location that spawned it.
function actors(all) {
  const isTask = (name) => name.startsWith("task spawned at ");
  const [threads, tasks] = [all.filter((name) => !isTask(name)), all.filter(isTask)];
  const some = threads.length ? [`${threads.length > 1 ? "threads" : "thread"} ${names(threads)}`] : [];
  return names([...some, ...tasks]);
}

function tellArrow(arrow) {
  const [held, wanted] = [locks[arrow.held].name, locks[arrow.wanted].name];
  const orders = arrow.orders.flatMap((order) => {
    const all = order.places.map((place) => sites(place, held, wanted));
    const rest = all.splice(3);
    return [
      make("h4", null, `Held ${order.modes[0]}, acquired ${order.modes[1]}`),
      make(
        "p",
        null,
        `${order.processes} ${order.processes === "1" ? "process" : "processes"}, `,
        actors(order.threads),
      ),
      make("p", { class: "quiet" }, `in ${names(order.tests)}`),
      ...all,
      rest.length
        ? make("details", null, make("summary", null, `${rest.length} more places`), ...rest)
        : "",
    ];
  });
  const steps = arrow.orders.length
    ? []
    : arrow.findings.flatMap((at) =>
        findings[at].cycle
          .filter(
            (step) => step.ends && step.ends[0] === arrow.held && step.ends[1] === arrow.wanted,
          )
          .flatMap((step) => [
            make("h4", null, step.who),
            sites(step.places, held, wanted),
          ]),
      );
  const opposite = arrow.held === arrow.wanted ? null : arrowOf(arrow.wanted, arrow.held);
  return [
    back(),
    make("p", { class: "quiet" }, "Order"),
    make("h3", null, `${held} → ${wanted}`),
    make("p", { class: "quiet" }, `${wanted} was acquired while ${held} was held.`),
    make(
      "div",
      { class: "row" },
      make(
        "button",
        { type: "button", click: () => choose({ kind: "lock", lock: arrow.held }) },
        held,
      ),
      make(
        "button",
        { type: "button", click: () => choose({ kind: "lock", lock: arrow.wanted }) },
        wanted,
      ),
      opposite
        ? make(
            "button",
            { type: "button", click: () => choose({ kind: "arrow", arrow: opposite }) },
            "The other way round",
          )
        : null,
    ),
    ...orders,
    ...steps,
    ...section("Findings", arrow.findings.map(toFinding)),
  ];
}

function tellLink(link) {
  const between = (arrow) =>
    item(
      () => choose({ kind: "arrow", arrow }),
      `${locks[arrow.held].name} → ${locks[arrow.wanted].name}`,
      arrow.orders[0]?.places[0]?.[1] ?? "in a finding",
      arrow.verdict,
    );
  return [
    back(),
    ...section(count(link.arrows.length, "arrow", "arrows"), link.arrows.map(between)),
  ];
}

function tellFinding(at) {
  const finding = findings[at];
  return [
    back(),
    make("p", { class: "quiet" }, `Finding, ${WORDS[finding.verdict]}`),
    make("h3", { class: alarm(finding.verdict) }, finding.title.replaceAll("`", "")),
    make("div", { class: "row" }, make("a", { href: `#finding-${at}` }, "Its sources")),
    ...finding.cycle.flatMap((step) => [
      make("h4", null, step.who),
      sites(step.places, ...step.locks),
    ]),
    ...section("Its locks", [...ends(arrowsOf(finding))].map(toLock)),
  ];
}
