// Keys and buttons, and the start of the page.

"use strict";

function resume() {
  if (chosen) choose(null);
  else go(firstScope());
}

const zoomBy = (factor) => view.call(zoom.scaleBy, factor);
const KEYS = {
  Enter: () =>
    current && document.activeElement.id.startsWith("arrow-")
      ? choose({ kind: "arrow", arrow: arrows[document.activeElement.id.slice(6)] })
      : current && activate(current),
  Escape: resume,
  "+": () => zoomBy(1.3),
  "=": () => zoomBy(1.3),
  "-": () => zoomBy(1 / 1.3),
  0: fit,
};
KEYS[" "] = KEYS.Enter;

picture.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key.startsWith("Arrow") && current) move(event.key);
  else if (KEYS[event.key]) KEYS[event.key]();
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target instanceof Element && event.target.matches("input, textarea");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    search.focus();
  }
});
search.addEventListener("input", tell);
const buttons = () => [...details.querySelectorAll("li > button")];
search.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    search.value = "";
    tell();
    focusCurrent();
  } else if (event.key === "Enter" && search.value.trim()) {
    buttons()[0]?.click();
  } else if (event.key === "ArrowDown") {
    buttons()[0]?.focus();
  } else {
    return;
  }
  event.preventDefault();
});
details.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") {
    choose(null);
    search.focus();
  } else if (step) {
    const all = buttons();
    const to = all.indexOf(document.activeElement) + step;
    (all[to] ?? (to < 0 ? search : null))?.focus();
    event.preventDefault();
  }
});
document.getElementById("closer").addEventListener("click", () => zoomBy(1.3));
document.getElementById("farther").addEventListener("click", () => zoomBy(1 / 1.3));
document.getElementById("fit").addEventListener("click", fit);
for (const button of document.querySelectorAll("button[data-finding]")) {
  const finding = Number(button.dataset.finding);
  if (!arrowsOf(findings[finding]).length) continue;
  button.hidden = false;
  button.addEventListener("click", () => {
    choose({ kind: "finding", finding });
    document.getElementById("graph").scrollIntoView({ block: "start" });
  });
}
let width = 0;
new ResizeObserver(() => {
  if (picture.clientWidth === width) return;
  width = picture.clientWidth;
  look();
}).observe(picture);

viewer.hidden = false;
width = picture.clientWidth;
paint();
tell();
recall();
