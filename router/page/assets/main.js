// The page: asks the sidecar for what is new every two seconds, and shows it.

import { Refused, askJson, forgetKey, hasKey, setKey } from "./api.js";
import { setUpAsk } from "./ask.js";
import { byId, el } from "./dom.js";
import { age } from "./format.js";
import { backendTable, tiles } from "./overview.js";
import { drawPlot, isJudged } from "./plot.js";
import { RequestTable } from "./requests.js";

const EVERY_MS = 2000;
const AFTER_FAILURE_MS = 5000;
const MOST = 300; // requests, as many as the sidecar keeps

const state = { startedAt: null, requests: [], order: [], isPaused: false, isDrawn: false };
const table = new RequestTable(byId("requests"));
let timer = null;

/** Asks once, shows what came, and sees to the next time. */
async function look() {
  clearTimeout(timer);
  let wait = EVERY_MS;
  try {
    const last = state.requests.at(-1)?.number ?? 0;
    let told = await askJson(`/v1/activity?after=${last}`);
    if (state.startedAt !== null && told.started_at !== state.startedAt) {
      state.requests = []; // it was started anew, and counts from 1 again
      if (last) told = await askJson("/v1/activity");
    }
    show(told);
    say("live", "Live");
  } catch (error) {
    wait = error.status === 401 ? 0 : AFTER_FAILURE_MS; // without a key there is nothing to wait for
    fail(error);
  }
  if (!state.isPaused && !document.hidden && wait) timer = setTimeout(look, wait);
}

function show(told) {
  state.startedAt = told.started_at;
  state.order = told.backends.map((backend) => backend.name);
  state.requests = [...state.requests, ...told.requests].slice(-MOST);
  byId("problem").hidden = byId("door").hidden = true;
  byId("content").hidden = false;
  byId("forget").hidden = !hasKey();
  const basis = told.is_trained ? "trained" : "cold start: quality is guessed from tiers";
  const scope = told.sees_all ? "" : `, requests of key ${told.key} only`;
  const part = told.workers > 1 ? `, sums of ${told.workers} workers, all else of one of them` : "";
  byId("about").textContent = `up ${age(told.now - told.started_at)}, ${basis}${scope}${part}`;
  byId("tiles").replaceChildren(...tiles(told.totals, state.requests, told.backends));
  byId("backends").replaceChildren(...backendTable(told.backends));
  offer(told.models, told.default_policy);
  if (told.requests.length || !state.isDrawn) draw();
}

function draw() {
  state.isDrawn = true;
  table.show(state.requests, state.order);
  if (state.requests.some(isJudged)) drawPlot(byId("plot"), state.requests, state.order, (request) => table.reveal(request));
  else byId("plot").replaceChildren(el("p", { class: "empty" }, "Every answer will be a point here: what it cost, and how sure it is, beside what each backend alone would have come to."));
}

/** Offers what `model` may be, leaving the choice as it is. */
function offer(models, standard) {
  const select = byId("model");
  if (select.options.length === models.length) return;
  select.replaceChildren(...models.map((name) => el("option", { value: name, selected: name === standard }, name)));
}

function fail(error) {
  if (error instanceof Refused && error.status === 401) {
    const wasRefused = hasKey();
    forgetKey();
    byId("content").hidden = true;
    byId("door").hidden = false;
    byId("forget").hidden = true;
    if (document.activeElement === document.body) byId("key").focus();
    say("waiting", "Waits for a key");
    problem(wasRefused ? error.message : "");
    return;
  }
  const isRefusal = error instanceof Refused;
  say("broken", isRefusal ? "Refused" : "No connection");
  problem(isRefusal ? error.message : "The sidecar cannot be reached. What you see is from before; this page keeps trying.");
}

function problem(words) {
  byId("problem").textContent = words;
  byId("problem").hidden = !words;
}

function say(kind, words) {
  byId("live").dataset.state = state.isPaused ? "paused" : kind;
  byId("live").textContent = state.isPaused ? "Paused" : words;
}

byId("pause").addEventListener("click", () => {
  state.isPaused = !state.isPaused;
  byId("pause").setAttribute("aria-pressed", String(state.isPaused));
  byId("pause").textContent = state.isPaused ? "Go on" : "Pause";
  say("paused", "Paused");
  if (!state.isPaused) look();
});

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
const nameTheme = () => (byId("theme").textContent = isDark() ? "Light" : "Dark");
byId("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  nameTheme();
});
nameTheme();

byId("forget").addEventListener("click", () => {
  forgetKey();
  location.reload();
});
byId("door").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(byId("key").value.trim());
  byId("key").value = "";
  state.requests = [];
  state.isDrawn = false;
  look();
});
byId("shown").addEventListener("change", (event) => table.filter(event.target.value));
document.addEventListener("visibilitychange", () => document.hidden || state.isPaused || look());
let width = 0;
new ResizeObserver(([{ contentRect }]) => {
  if (contentRect.width !== width && state.isDrawn) draw();
  width = contentRect.width;
}).observe(byId("plot"));

setUpAsk(() => state.order);
look();
