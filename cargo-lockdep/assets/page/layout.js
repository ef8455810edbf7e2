// The layout of boxes and arrows, by dagre.

"use strict";

const pen = document.createElement("canvas").getContext("2d");
function widthOf(text, font) {
  if (!pen) return 7.5 * text.length;
  pen.font = font;
  return pen.measureText(text).width;
}

/** Cuts off the beginning, as the end of a long name is more specific. */
function short(text, most) {
  return text.length > most ? `…${text.slice(1 - most)}` : text;
}

function path(points) {
  const at = ({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`;
  const middle = (a, b) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
  let text = `M${at(points[0])}`;
  for (let i = 1; i < points.length - 1; i += 1) {
    const last = i === points.length - 2;
    text += `Q${at(points[i])} ${at(last ? points[i + 1] : middle(points[i], points[i + 1]))}`;
  }
  return points.length === 2 ? `${text}L${at(points[1])}` : text;
}

/** Returns the path of an arrow from a box to itself, over its top. */
function loop({ x, y, height }) {
  const top = y - height / 2;
  return `M${x - 16},${top}C${x - 30},${top - 34} ${x + 30},${top - 34} ${x + 16},${top}`;
}

/** Returns the scale at which a size fits. */
const fitting = ({ width, height }) =>
  Math.min(1.15, picture.clientWidth / width, (picture.clientHeight - 24) / height);

/** Lays out a drawing in the direction that shows it larger. With many boxes, only one is tried. */
function layOut(drawn) {
  const isCompact = drawn.boxes.length > COMPACT;
  for (const box of drawn.boxes) {
    box.label = short(box.name, 30);
    box.sub = isCompact ? "" : short(box.of, 30);
    // When zoomed out, only the label is shown, in a larger font.
    const width = Math.max(
      widthOf(box.label, "500 16px system-ui") + 14,
      widthOf(box.sub, "11px monospace") + 28,
    );
    box.width = Math.max(isCompact ? 40 : 80, Math.ceil(width));
    box.height = isCompact ? 28 : 46;
  }
  const isLarge = drawn.boxes.length > 120;
  const graphs = (isLarge ? ["LR"] : ["LR", "TB"]).map((direction) =>
    graphOf(drawn, direction, isLarge),
  );
  const graph = graphs.reduce((a, b) => (fitting(b.graph()) > 1.1 * fitting(a.graph()) ? b : a));
  for (const box of drawn.boxes)
    Object.assign(box, { x: graph.node(box.key).x, y: graph.node(box.key).y });
  for (const link of drawn.links) {
    link.d =
      link.from === link.to
        ? loop(graph.node(link.from))
        : path(graph.edge(link.from, link.to).points);
  }
}

function graphOf(drawn, direction, isLarge) {
  const isCompact = drawn.boxes.length > COMPACT;
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({
    rankdir: direction,
    nodesep: isCompact ? 14 : 22,
    edgesep: 14,
    ranksep: direction === "TB" ? 44 : 64,
    ranker: isLarge ? "tight-tree" : "network-simplex",
  });
  for (const { key, width, height } of drawn.boxes) graph.setNode(key, { width, height });
  for (const { from, to } of drawn.links) if (from !== to) graph.setEdge(from, to, {});
  dagre.layout(graph);
  return graph;
}
