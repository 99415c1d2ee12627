// Trying a query: the decision explained, or the answer with the way it took.

import { askEvents, askJson } from "./api.js";
import { backendName, byId, cells, checked, el, tableParts } from "./dom.js";
import { change, count, dollars, percent, probability, seconds, usd } from "./format.js";

/** Makes the form work; `order` gives the backends' names. */
export function setUpAsk(order) {
  const form = byId("ask"), place = byId("answer"), send = byId("send");
  let running = null;

  const run = async (work) => {
    running?.abort();
    const mine = (running = new AbortController());
    send.textContent = "Stop";
    try {
      await work(mine.signal);
    } catch (error) {
      if (!mine.signal.aborted) place.append(el("p", { class: "bad", role: "alert" }, error.message));
    } finally {
      if (running === mine) {
        running = null;
        send.textContent = "Ask";
        place.querySelector(".running")?.classList.remove("running");
      }
    }
  };
  const body = () => ({ model: byId("model").value, messages: [{ role: "user", content: byId("query").value }] });

  byId("explain").addEventListener("click", () => {
    if (!form.reportValidity()) return;
    place.replaceChildren();
    run(async (signal) => place.append(...decision(await askJson("/v1/route", body(), signal), order())));
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (running) {
      running.abort();
      return;
    }
    run((signal) => answer(place, body(), order(), signal));
  });
  byId("query").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

/** Shows an answer as it comes, then what it took. */
async function answer(place, body, order, signal) {
  const text = el("div", { class: "said running" });
  place.replaceChildren(text);
  for await (const event of askEvents("/v1/chat/completions", { ...body, stream: true }, signal)) {
    if (event.error) throw new Error(event.error.message);
    text.append(event.choices?.[0]?.delta?.content ?? "");
    if (event.penstock) place.append(...outcome(event.penstock, order));
  }
}

function outcome(told, order) {
  const columns = [["Call", ""], ["P(correct)", "number"], ["Cost", "number"], ["Tokens in / out", "number"]];
  const money = dollars(told.steps.map((step) => step.cost_usd));
  const rows = told.steps.map((step) =>
    el(
      "tr",
      {},
      ...cells(columns, [
        [backendName(step.backend, order, step.error ? "failed" : ""), checked(step)],
        step.error ? "–" : probability(step.confidence),
        step.error ? "–" : money(step.cost_usd),
        step.error ? el("span", { class: "bad" }, step.error) : `${count(step.input_tokens)} / ${count(step.output_tokens)}`,
      ]),
    ),
  );
  return [
    el("div", { class: "scroll" }, el("table", {}, ...tableParts(columns, rows))),
    el("p", { class: "small quiet" }, `${usd(told.cost_usd)} in ${seconds(told.latency_s)}. ${told.reason}`),
    feedback(told.trace_id),
  ];
}

/** Returns buttons that say what an answer was worth. */
function feedback(traceId) {
  const line = el("p", { class: "together small" }, "Was it right?");
  const say = (score) => async () => {
    try {
      await askJson("/v1/feedback", { trace_id: traceId, score });
      line.replaceChildren("Thank you, it is noted.");
    } catch (error) {
      line.replaceChildren(el("span", { class: "bad" }, error.message));
    }
  };
  line.append(el("button", { type: "button", onclick: say(1) }, "Yes"), el("button", { type: "button", onclick: say(0) }, "No"));
  return line;
}

/** Returns a decision with its reasons. */
function decision(told, order) {
  const columns = [["Backend", ""], ["P(correct)", "number"], ["Cost", "number"], ["Latency", "number middling"]];
  const money = dollars(told.estimates.map((estimate) => estimate.cost_usd));
  const rows = told.estimates.map((estimate) => {
    const bar = { min: 0, max: 1, value: estimate.quality ?? 0, "aria-hidden": "true" };
    const color = `b${Math.max(order.indexOf(estimate.backend), 0) % 8}`;
    return el(
      "tr",
      { class: estimate.backend === told.backend ? "chosen" : "" },
      ...cells(columns, [
        [
          backendName(estimate.backend, order),
          estimate.excluded ? why(estimate) : null,
        ],
        [estimated(estimate), el("meter", { ...bar, class: color })],
        money(estimate.cost_usd),
        seconds(estimate.latency_s),
      ]),
    );
  });
  const parts = [
    el("p", {}, "Would ask ", el("strong", {}, backendName(told.backend, order)), " first."),
    el("p", { class: "small quiet" }, `${told.reason}. Difficulty ${probability(told.difficulty)}.`),
    el("div", { class: "scroll" }, el("table", {}, ...tableParts(columns, rows))),
    el("p", { class: "small quiet" }, "Estimates before any call; the answer is checked, and may be escalated."),
  ];
  const notes = [...told.notes, ...(told.is_unfamiliar ? ["Unlike the training queries: these are guesses."] : [])];
  parts.push(...notes.map((note) => el("p", { class: "small" }, note)));
  if (told.source === "cold start") {
    parts.push(el("p", { class: "small" }, "Nothing was learned yet: quality is guessed from the tier, cost from the price."));
  }
  if (told.contributions.length) {
    parts.push(el("h3", {}, "What told most"), ...contributions(told, order));
  }
  if (told.flips.length) {
    parts.push(el("h3", {}, "What would flip the decision"), flips(told, order));
  }
  if (told.neighbours.length) {
    parts.push(el("h3", {}, "Nearest training queries, and what each backend scored"), neighbours(told.neighbours, order));
  }
  return parts;
}

/** Returns an estimated quality, and how sure it is where that is known. */
function estimated({ quality, standard_error: error }) {
  return error == null ? probability(quality) : `${probability(quality)} ± ${probability(error)}`;
}

/** Returns why a backend is not the first to be asked. */
function why({ checks, excluded }) {
  return checks ? el("div", { class: "small quiet" }, excluded) : el("div", { class: "small bad" }, `not asked: ${excluded}`);
}

/** Returns what was seen of the query and moved the estimates, for the first choice and for who is next to it. */
function contributions(told, order) {
  const names = [...new Set([told.backend, ...told.flips.slice(-1).map((flip) => flip.backend)])];
  const columns = [["Seen in the query", ""], ...names.map((name) => [backendName(name, order), "number"])];
  const rows = told.contributions.map(({ kind, name, quality }) =>
    el("tr", {}, ...cells(columns, [el("span", {}, el("span", { class: "quiet" }, `${kind} `), name), ...names.map((each) => change(quality[each]))])),
  );
  return [
    el("div", { class: "scroll" }, el("table", { class: "contributions" }, ...tableParts(columns, rows))),
    el("p", { class: "small quiet" }, "P(correct) with it, less P(correct) without it. Each is left out alone, so they do not add up."),
  ];
}

function flips(told, order) {
  const item = ({ figure, now, then, backend }) => {
    const whose = figure === "lam" ? "" : ` of ${told.backend}`;
    const change = `${figure}${whose} ${Number(now.toPrecision(4))} → ${Number(then.toPrecision(4))}: `;
    return el("li", { class: "small" }, change, backendName(backend, order), " first");
  };
  return el("ul", {}, ...told.flips.map(item));
}

function neighbours(found, order) {
  const item = ({ query, similarity, quality }) => {
    const scores = Object.entries(quality).filter(([, score]) => score !== null);
    const parts = scores.flatMap(([name, score]) => [backendName(name, order), ` ${score.toFixed(score % 1 ? 2 : 0)}  `]);
    return el(
      "li",
      {},
      el("span", { class: "code" }, query.trim().slice(0, 160)),
      el("span", { class: "quiet" }, ` ${percent(similarity)} alike`),
      el("div", { class: "small" }, ...parts),
    );
  };
  return el("ol", { class: "near-queries" }, ...found.map(item));
}
