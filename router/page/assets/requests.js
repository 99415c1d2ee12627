// The latest requests, one row each, to be opened for the calls that were made.

import { backendName, cells, checked, el, tableParts } from "./dom.js";
import { clock, count, dollars, probability, seconds } from "./format.js";

const COLUMNS = [
  ["Ended", ""],
  ["Policy", "wide"],
  ["Path", ""],
  ["P(correct)", "number"],
  ["Cost", "number"],
  ["Saved", "number wide"],
  ["Latency", "number middling"],
  ["Tokens in / out", "number wide"],
];
const STEP = 50; // rows that are shown at first, and with each more
const KINDS = {
  all: () => true,
  moved: (request) => request.calls.length > 1,
  failed: (request) => request.status >= 400,
};

/** The table of requests: keeps which rows are open, and leaves rows alone that have not changed. */
export class RequestTable {
  #place;
  #open = new Set();
  #known = new Set();
  #most = STEP;
  #kind = "all";
  #requests = [];
  #order = [];

  constructor(place) {
    this.#place = place;
  }

  /** Shows these requests, the oldest first; `order` has the backends' names. */
  show(requests, order) {
    [this.#requests, this.#order] = [requests, order];
    this.#draw();
  }

  /** Shows requests of one kind only. */
  filter(kind) {
    this.#kind = kind;
    this.#most = STEP;
    this.#draw();
  }

  /** Opens a request and brings it into view. */
  reveal({ number }) {
    this.#open.add(number);
    const place = this.#requests.findIndex((request) => request.number === number);
    this.#kind = "all";
    this.#most = Math.max(this.#most, this.#requests.length - place);
    this.#draw();
    const row = this.#place.querySelector(`[data-number="${number}"]`);
    row?.scrollIntoView({ block: "center" });
    row?.querySelector("button").focus({ preventScroll: true });
  }

  #draw() {
    const chosen = this.#requests.filter(KINDS[this.#kind]).reverse();
    if (!chosen.length) {
      this.#place.replaceChildren(this.#requests.length ? nothingOfTheKind() : noRequests());
      return;
    }
    const focused = document.activeElement?.closest?.("[data-number]")?.dataset.number;
    const money = dollars(chosen.flatMap((request) => [request.cost_usd, saved(request)]));
    const rows = chosen.slice(0, this.#most).flatMap((request) => this.#rows(request, money));
    const parts = [el("div", { class: "scroll" }, el("table", {}, ...tableParts(COLUMNS, rows)))];
    if (chosen.length > this.#most) {
      const more = () => {
        this.#most += STEP;
        this.#draw();
      };
      parts.push(el("button", { class: "more", type: "button", onclick: more }, `Show more of ${count(chosen.length)}`));
    }
    this.#place.replaceChildren(...parts);
    if (focused) this.#place.querySelector(`[data-number="${focused}"] button`)?.focus({ preventScroll: true });
    this.#known = new Set(this.#requests.map((request) => request.number));
  }

  #rows(request, money) {
    const isOpen = this.#open.has(request.number);
    const isNew = this.#known.size > 0 && !this.#known.has(request.number);
    const toggle = () => {
      if (!this.#open.delete(request.number)) this.#open.add(request.number);
      this.#draw();
    };
    const button = el("button", { type: "button", "aria-expanded": String(isOpen) }, clock(request.began_at + request.latency_s));
    const answer = request.chosen === null ? null : request.calls[request.chosen];
    const row = el(
      "tr",
      { class: isNew ? "row new" : "row", "data-number": request.number, onclick: toggle },
      ...cells(COLUMNS, [
        button,
        request.policy ?? (request.model || "–"),
        path(request, this.#order),
        answer === null ? "–" : probability(answer.confidence),
        answer === null && !request.cost_usd ? "–" : money(request.cost_usd),
        answer === null ? "–" : money(saved(request)),
        seconds(request.latency_s),
        answer === null ? "–" : `${count(sum(request, "input_tokens"))} / ${count(sum(request, "output_tokens"))}`,
      ]),
    );
    if (!isOpen) return [row];
    return [row, el("tr", { class: "detail" }, el("td", { colspan: COLUMNS.length }, ...detail(request, this.#order)))];
  }
}

/** Returns the backends that were asked, in order. */
function path(request, order) {
  const parts = [];
  for (const call of request.calls) {
    if (parts.length) parts.push(" ", el("span", { class: "then" }, "›"), " ");
    parts.push(backendName(call.backend, order, call.error === null ? "" : "failed"));
    if (call.judged) parts.push("?");
    if (call.error !== null) parts.push(el("span", { class: "unseen" }, " failed"));
  }
  if (request.chosen === null) {
    if (parts.length) parts.push(" ");
    const words = request.status === 499 ? "client left" : `${request.status} ${request.error ?? ""}`;
    parts.push(el("span", { class: request.status === 499 ? "pill" : "pill bad" }, words.trim()));
  }
  return parts;
}

const CALLS = [
  ["Call", ""],
  ["Estimated", "number"],
  ["P(correct)", "number"],
  ["Cost", "number"],
  ["Latency", "number middling"],
  ["Tokens in / out", "number wide"],
];

/** Returns what is known of one request. */
function detail(request, order) {
  const facts = [
    ["Query", request.text],
    ["Why", request.reason],
    ["Asked for", `${request.model || "default policy"}, ${request.endpoint}${request.is_stream ? ", streamed" : ""}`],
    ["Key", request.key],
    ["Trace", request.trace_id],
    ["Error", request.error === null ? "" : `${request.status} ${request.error}`],
  ];
  const list = facts.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);
  const money = dollars(request.calls.map((call) => call.cost_usd));
  const rows = request.calls.map((call, place) =>
    el(
      "tr",
      { class: place === request.chosen && request.calls.length > 1 ? "chosen" : "" },
      ...cells(CALLS, [
        [backendName(call.backend, order), call.error ? el("span", { class: "bad" }, ` ${call.error}`) : null, checked(call)],
        probability(request.estimates?.[call.backend]?.quality),
        call.error ? "–" : probability(call.confidence),
        call.error ? "–" : money(call.cost_usd),
        call.error ? "–" : seconds(call.latency_s),
        call.error ? "–" : `${count(call.input_tokens)} / ${count(call.output_tokens)}`,
      ]),
    ),
  );
  return [el("dl", {}, ...list), rows.length ? el("div", { class: "scroll" }, el("table", {}, ...tableParts(CALLS, rows))) : null].filter(Boolean);
}

function saved(request) {
  return request.chosen === null ? null : request.best_cost_usd - request.cost_usd;
}

function sum(request, name) {
  return request.calls.reduce((total, call) => total + call[name], 0);
}

function nothingOfTheKind() {
  return el("p", { class: "empty" }, "None of the latest requests is of this kind.");
}

/** Returns what to do where nothing has been asked yet. */
function noRequests() {
  const lines = [
    `curl ${location.origin}/v1/chat/completions \\`,
    "  -H 'content-type: application/json' \\",
    `  -d '{"messages": [{"role": "user", "content": "What is 49 * 2?"}]}'`,
  ];
  return el(
    "div",
    { class: "empty" },
    el("strong", {}, "No requests yet. "),
    "Ask something above, or let your application use ",
    el("code", {}, `${location.origin}/v1`),
    " as its base URL. Each request then appears here, with its path and what it cost.",
    el("pre", {}, lines.join("\n")),
  );
}
