// The figures at the top, and how the backends are.

import { backendName, cells, el, tableParts } from "./dom.js";
import { count, dollars, percent, quantile, seconds, usd } from "./format.js";

/** Returns the figures of all requests so far. */
export function tiles(totals, requests, backends) {
  const answered = totals.requests - totals.failed - totals.left;
  const isBusyTold = backends.every((backend) => backend.in_flight !== null);
  const underWay = backends.reduce((sum, backend) => sum + backend.in_flight, 0);
  const latencies = requests.filter((request) => request.chosen !== null).map((request) => request.latency_s);
  const share = totals.best_cost_usd > 0 ? totals.saved_usd / totals.best_cost_usd : null;
  const isLoss = totals.saved_usd < 0;
  const failed = totals.failed ? el("span", { class: "bad" }, `${count(totals.failed)} failed`) : "none failed";
  const signs = answered ? "" : "–";
  return [
    tile("Requests", count(totals.requests), failed, isBusyTold ? ` · ${count(underWay)} under way` : null),
    tile(
      isLoss ? "More than always the best" : "Saved against always the best",
      signs || usd(Math.abs(totals.saved_usd)),
      share === null ? "expected cost of the best, less what was spent" : `${percent(Math.abs(share))} of ${usd(totals.best_cost_usd)} expected`,
    ),
    tile("Spent", signs || usd(totals.cost_usd), answered ? `${usd(totals.cost_usd / answered)} an answer` : "on answers"),
    tile("Escalated", signs || percent(totals.escalated / answered), `${count(totals.escalated)} of ${count(answered)} answers`),
    tile("Median latency", seconds(quantile(latencies, 0.5)), `95 % within ${seconds(quantile(latencies, 0.95))}`),
  ];
}

function tile(name, value, ...notes) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value), el("dd", { class: "note" }, ...notes));
}

const COLUMNS = [
  ["Backend", ""],
  ["State", ""],
  ["Under way", "number middling"],
  ["Answered", "number"],
  ["Failed", "number middling"],
  ["Median", "number wide"],
  ["95 %", "number wide"],
  ["Spent", "number middling"],
];

/** Returns the parts of the table of backends. */
export function backendTable(backends) {
  const order = backends.map((backend) => backend.name);
  const money = dollars(backends.map((backend) => backend.cost_usd));
  const answers = backends.reduce((sum, backend) => sum + backend.answered, 0);
  const rows = backends.map((backend, place) => {
    const share = answers ? backend.answered / answers : 0;
    const bar = el("meter", { class: `wide b${place % 8}`, min: 0, max: 1, value: share, "aria-hidden": "true" });
    return el(
      "tr",
      {},
      ...cells(COLUMNS, [
        [backendName(backend.name, order), el("span", { class: "quiet small wide" }, `  ${backend.tier}, ${backend.type}`)],
        state(backend),
        backend.in_flight === null ? "–" : `${backend.in_flight}${backend.waiting ? ` + ${backend.waiting}` : ""}`,
        [count(backend.answered), bar],
        failures(backend),
        seconds(backend.latency_s.median),
        seconds(backend.latency_s.p95),
        money(backend.cost_usd),
      ]),
    );
  });
  return tableParts(COLUMNS, rows);
}

function state({ circuit, refusal, failed, last_error: last }) {
  const title = refusal ?? (failed ? `last failure: ${last}` : "calls are let through");
  if (circuit === "half_open") return el("span", { class: "pill warn", title }, "trying again");
  if (refusal !== null) return el("span", { class: "pill bad", title }, circuit === "open" ? "left alone" : "busy");
  if (circuit === "open") return el("span", { class: "pill warn", title }, "to be tried");
  return el("span", { class: "pill good", title }, "ready");
}

function failures({ calls, failed, last_error: last }) {
  if (!failed) return "0";
  return el("span", { class: "bad", title: `last: ${last}` }, `${count(failed)} (${percent(failed / calls)})`);
}
