// What every request cost against how sure its answer is, beside what each backend alone would have come to.

import { el, svg } from "./dom.js";
import { clock, mean, probability, seconds, usd } from "./format.js";

const LEFT = 56, RIGHT = 14, TOP = 30, BOTTOM = 42;
const NEAR = 24; // pixels within which the pointer means a request

/** Returns whether a request got an answer, and this one was judged: those of backends asked for by name are not. */
export function isJudged(request) {
  return request.chosen !== null && request.calls[request.chosen].confidence !== null;
}

/** Draws the plot into an element. `onChoose` is told of a request that is clicked. */
export function drawPlot(place, requests, order, onChoose) {
  const answered = requests.filter(isJudged);
  const alone = order.map((name) => averageAlone(name, answered)).filter(Boolean);
  const width = Math.max(place.clientWidth, 240), height = width < 480 ? 280 : 350;
  const points = answered.map(pointOf);
  const average = { cost: mean(points.map((p) => p.cost)), quality: mean(points.map((p) => p.quality)) };
  const x = costScale([...points, ...alone].map((point) => point.cost), LEFT, width - RIGHT);
  const y = (quality) => height - BOTTOM - quality * (height - BOTTOM - TOP);
  const at = (point) => [x(point.cost), y(point.quality)];

  const told = `${answered.length} answers: on average ${usd(average.cost)} each, at a confidence of`
    + ` ${probability(average.quality)}.`
    + alone.map((one) => ` ${one.name} alone: ${usd(one.cost)}, ${probability(one.quality)}.`).join("");
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": told });
  picture.append(...axes(x, y, width, height));
  const color = (name) => `b${Math.max(order.indexOf(name), 0) % 8}`;
  for (const point of points.filter((one) => one.way.length > 1)) {
    picture.append(line(point.way.map(at), `way ${color(point.backend)}`));
  }
  for (const point of points) {
    const [cx, cy] = at(point);
    const kind = point.way.length > 1 ? "moved" : "";
    picture.append(svg("circle", { cx, cy, r: 4, class: `request ${kind} ${color(point.backend)}` }));
  }
  const labels = [];
  for (const one of alone) {
    const [cx, cy] = at(one);
    picture.append(svg("path", { d: diamond(cx, cy, 6), class: `alone ${color(one.name)}` }));
    labels.push({ text: one.name, x: cx, y: cy });
  }
  const [cx, cy] = at(average);
  picture.append(svg("rect", { x: cx - 6, y: cy - 6, width: 12, height: 12, class: "average" }));
  labels.push({ text: "routed", x: cx, y: cy });
  picture.append(...labelled(labels, width));

  const readout = el("p", { class: "readout quiet" }, "Point at a request to read it, click to open it below.");
  watch(picture, points, at, readout, onChoose);
  place.replaceChildren(picture, legend(), readout);
}

/** Returns where a request stands, and the way there: what was spent by then, and how sure each answer was. */
function pointOf(request) {
  let cost = 0;
  const way = [];
  for (const call of request.calls) {
    cost += call.cost_usd;
    if (call.error === null) way.push({ cost, quality: call.confidence });
  }
  const chosen = request.calls[request.chosen];
  return { request, way, backend: chosen.backend, cost: request.cost_usd, quality: chosen.confidence };
}

/** Returns what a backend was expected to cost and to be worth for the same requests. */
function averageAlone(name, requests) {
  const known = requests
    .map((request) => request.estimates?.[name])
    .filter((estimate) => estimate && estimate.cost_usd !== null && estimate.quality !== null);
  if (!known.length) return null;
  return { name, cost: mean(known.map((e) => e.cost_usd)), quality: mean(known.map((e) => e.quality)) };
}

/** Returns the place of a cost on a logarithmic axis; what is free stands at its very left. */
function costScale(costs, from, to) {
  const known = costs.filter((cost) => cost > 0);
  const low = Math.log10(Math.min(...known, known.length ? Infinity : 1e-4)) - 0.15;
  const high = Math.max(Math.log10(Math.max(...known, known.length ? 0 : 1e-2)) + 0.15, low + 1);
  const start = costs.some((cost) => cost <= 0) ? from + 20 : from;
  const scale = (cost) => (cost > 0 ? start + ((Math.log10(cost) - low) / (high - low)) * (to - start) : from + 4);
  const steps = (high - low) * 110 > to - start ? [1] : high - low > 1.6 ? [1, 3] : [1, 2, 5];
  scale.ticks = [];
  for (let power = Math.floor(low); power <= high; power++) {
    for (const step of steps) {
      const cost = step * 10 ** power;
      if (Math.log10(cost) >= low && Math.log10(cost) <= high) {
        scale.ticks.push([cost, `$${cost.toFixed(Math.max(-power, 0))}`]);
      }
    }
  }
  if (start !== from) scale.ticks.unshift([0, "$0"]);
  return scale;
}

function axes(x, y, width, height) {
  const parts = [];
  for (const quality of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(quality), y2: y(quality), class: "grid" }));
    parts.push(svg("text", { x: LEFT - 8, y: y(quality) + 4, "text-anchor": "end" }, quality.toFixed(2)));
  }
  for (const [cost, name] of x.ticks) {
    parts.push(svg("line", { x1: x(cost), x2: x(cost), y1: TOP, y2: height - BOTTOM, class: "grid" }));
    parts.push(svg("text", { x: x(cost), y: height - BOTTOM + 16, "text-anchor": "middle" }, name));
  }
  const middle = (LEFT + width - RIGHT) / 2;
  parts.push(svg("text", { x: middle, y: height - 6, "text-anchor": "middle" }, "cost of a request, US dollars"));
  const turned = `rotate(-90 11 ${y(0.5)})`;
  parts.push(svg("text", { x: 11, y: y(0.5), "text-anchor": "middle", transform: turned }, "P(correct)"));
  return parts;
}

/** Returns labels beside their marks, none over another one. */
function labelled(labels, width) {
  const taken = labels.map(({ x, y }) => ({ row: y, from: x - 7, to: x + 7 })); // their marks
  return labels.map(({ text, x, y }) => {
    const length = text.length * 7.6 + 4;
    const isLeft = x + 12 + length > width - RIGHT;
    const from = isLeft ? x - 12 - length : x + 12;
    const isFree = (row) => !taken.some((o) => Math.abs(o.row - row) < 13 && from < o.to && from + length > o.from);
    const row = [0, 14, -14, 28, -28, 42].map((shift) => y + shift).find((one) => one > 8 && isFree(one)) ?? y;
    taken.push({ row, from, to: from + length });
    const anchor = isLeft ? "end" : "start";
    return svg("text", { x: isLeft ? x - 12 : x + 12, y: row + 4, class: "label", "text-anchor": anchor }, text);
  });
}

/** Lets the pointer read the request that is nearest. */
function watch(picture, points, at, readout, onChoose) {
  const ring = svg("circle", { r: 7, class: "near" });
  let way = null;
  const nearest = (event) => {
    const box = picture.getBoundingClientRect();
    const distance = (point) => {
      const [px, py] = at(point);
      return Math.hypot(px - (event.clientX - box.left), py - (event.clientY - box.top));
    };
    const found = points.reduce((best, point) => (best && distance(best) <= distance(point) ? best : point), null);
    return found && distance(found) <= NEAR ? found : null;
  };
  picture.addEventListener("pointermove", (event) => {
    const point = nearest(event);
    ring.remove();
    way?.remove();
    if (!point) return;
    const [cx, cy] = at(point);
    ring.setAttribute("cx", cx);
    ring.setAttribute("cy", cy);
    way = line(point.way.map(at), "near-way");
    picture.append(way, ring);
    const { request } = point;
    readout.textContent = `${clock(request.began_at)} · ${request.calls.map((call) => call.backend).join(" › ")} · `
      + `P(correct) ${probability(point.quality)} · ${usd(point.cost)} · ${seconds(request.latency_s)}`;
  });
  picture.addEventListener("click", (event) => {
    const point = nearest(event);
    if (point) onChoose(point.request);
  });
}

function legend() {
  const mark = (shape, text) => el("span", {}, svg("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, shape), text);
  return el(
    "div",
    { class: "legend" },
    mark(svg("circle", { cx: 7, cy: 7, r: 4, class: "request b7" }), "one answer, its confidence"),
    mark(svg("circle", { cx: 7, cy: 7, r: 4, class: "request moved b7" }), "after several calls"),
    mark(svg("path", { d: diamond(7, 7, 5), class: "alone b7" }), "a backend alone, as estimated"),
    mark(svg("rect", { x: 2, y: 2, width: 10, height: 10, class: "average" }), "average of all routed"),
  );
}

function line(points, kind) {
  return svg("polyline", { points: points.map(([px, py]) => `${px},${py}`).join(" "), class: kind });
}

function diamond(cx, cy, r) {
  return `M${cx} ${cy - r}L${cx + r} ${cy}L${cx} ${cy + r}L${cx - r} ${cy}Z`;
}
