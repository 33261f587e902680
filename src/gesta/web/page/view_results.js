/** Results: how accurate the model is, with all counts and the people who were held out. */

import { blob, get } from "./server.js";
import { bar, button, choice, fill, h } from "./dom.js";
import { strip } from "./pictures.js";
import { attempt } from "./say.js";
import { keep } from "./settings.js";
import { OPEN, store } from "./store.js";
import { startJob } from "./view_train.js";
import { count, duration, modelName, percent, shown } from "./words.js";

const ENOUGH_PEOPLE = 5;

export function open(root) {
  const view = new Results(root);
  return { redraw: () => view.redraw(), keys: {} };
}

class Results {
  #results = null;
  #asked = "";

  constructor(root) {
    this.root = root;
    this.wanted = location.hash.split("/")[1] ?? "";
  }

  redraw() {
    const model = store.state.models.find((one) => one.id === this.wanted) ?? store.newest;
    if (!model) return this.#empty();
    const job = store.state.jobs.find((one) => one.kind === "measure" && one.model === model.id);
    const asked = JSON.stringify([model.id, model.measured, model.newer_clips, job?.state, job?.done]);
    if (asked !== this.#asked) this.#ask(model, asked);
    return this.#draw(model, job);
  }

  async #ask(model, asked) {
    this.#asked = asked;
    const results = await attempt(() => get(`/models/${model.id}/results`));
    if (asked !== this.#asked) return;
    this.#results = results ?? null;
    this.redraw();
  }

  #empty() {
    fill(this.root, h("h1", {}, "No results yet"), h("p", {}, "Train a model first. Then each person is held out once to measure the accuracy."),
      h("div", { class: "bar-bottom" }, button("Go to Train", () => { location.hash = "#train"; }, { class: "filled", "data-key": "main" })));
  }

  #draw(model, job) {
    const results = this.#results;
    const models = store.state.models.filter((one) => !one.demo).map((one) => [one.id, modelName(one)]);
    const head = h("div", { class: "head plain" }, h("h1", {}, "How good is it?"),
      choice("Model", models, model.id, (id) => { this.wanted = id; this.redraw(); }, { "data-key": "model" }),
      h("div", { class: "end panel-row" }, results?.state === "measured" && button("Full report", () => openReport(model), { class: "link", "data-key": "report" }), results && this.#next(results, model, job)));
    if (!results) return fill(this.root, head, h("p", { class: "muted" }, "Loading the results."));
    return fill(this.root, head, this.#busy(model, job, results), results.n > 0 && this.#body(results), this.#newer(model));
  }

  /** The main button: the next step. */
  #next(results, model, job) {
    const filled = (text, act) => h("div", { class: "bar-bottom" }, button(text, act, { class: "filled", "data-key": "main", id: "next" }));
    if (results.state === "none") return job && OPEN.includes(job.state) ? null : filled("Measure it", () => startJob({ kind: "measure", model: model.id }));
    if (results.state === "measuring") return null;
    if (store.state.people.length < ENOUGH_PEOPLE) return filled("Record another person", () => { keep({ person: "" }); location.hash = "#record"; });
    return filled("Export", () => { location.hash = "#export"; });
  }

  #busy(model, job, results) {
    if (job?.state === "failed" || job?.state === "lost" || job?.state === "stopped") {
      return h("div", { class: "note-box" }, h("strong", {}, "Measuring ended early. "), job.error?.error, " ", button("Measure it again", () => startJob({ kind: "measure", model: model.id }), { class: "inline", "data-key": "again" }));
    }
    if (results.state === "none") return h("p", {}, "This model is not measured yet. To measure it, each person is held out once: a short training without this person, then a test on this person's clips.");
    if (results.state !== "measuring") return null;
    const [done, of] = [job?.done ?? results.done, job?.of || results.of];
    return [h("p", {}, h("strong", {}, `${done} of ${count(of, "person", "people")} measured.`), job?.left_s ? ` About ${duration(job.left_s)} left.` : ""), bar(of ? done / of : 0, "thick")];
  }

  #newer(model) {
    if (!model.newer_clips) return null;
    return h("div", { class: "note-box" }, h("strong", {}, `${count(model.newer_clips, "clip")} ${model.newer_clips === 1 ? "is" : "are"} newer than this model. `),
      button("Train again", () => { location.hash = "#train"; startJob({ kind: "train" }); }, { class: "inline", "data-key": "again" }));
  }

  #body(results) {
    return [tiles(results), results.sentences.map((one) => h("div", { class: "note-box" }, firstBold(one))),
      h("div", { class: "split results" }, h("div", {}, byGesture(results), mistake(results)), h("div", {}, confusion(results), byPerson(results)))];
  }
}

/** The text with its first sentence in bold, up to a full stop or colon. */
function firstBold(text) {
  const end = text.search(/[.:](\s|$)/) + 1 || text.length;
  return [h("strong", {}, text.slice(0, end)), text.slice(end)];
}

function tiles(results) {
  const { alarms, people, interval } = results;
  return h("div", { class: "tiles" }, accuracy(results, interval),
    tile(count(people.length, "person", "people"), people.length > 1 ? "each measured by a model trained without this person" : "also in the training data: says nothing about others"),
    alarms && alarms.seconds > 0 && tile(alarms.per_minute.toFixed(1), `false alarms per minute: ${alarms.count} in ${duration(alarms.seconds)} of nothing`),
    alarms?.delay_p50_s !== null && alarms?.delay_p50_s !== undefined && tile(`${alarms.delay_p50_s.toFixed(2)} s`,
      `median delay from the end of a gesture to its detection, p95 ${alarms.delay_p95_s?.toFixed(2) ?? "?"} s; ${alarms.found} of ${count(alarms.of, "gesture")} detected`));
}

const tile = (number, words) => h("section", { class: "tile" }, h("p", { class: "tile-number" }, number), h("p", { class: "small muted" }, words));

function accuracy({ accuracy: share, right, n, gray, interval_how: how }, interval) {
  const line = h("div", { class: "interval", "aria-hidden": "true" });
  if (interval) {
    const [span, mark] = [h("span", { class: "span" }), h("span", { class: "point" })];
    span.style.insetInlineStart = `${interval[0] * 100}%`;
    span.style.inlineSize = `${(interval[1] - interval[0]) * 100}%`;
    mark.style.insetInlineStart = `${share * 100}%`;
    line.append(span, mark);
  }
  const words = interval ? ` 95 % interval ${Math.round(interval[0] * 100)} to ${percent(interval[1])}${how ? ` (${how})` : ""}` : "";
  return h("section", { class: `tile wide ${gray ? "gray" : "blue"}` }, h("p", { class: "tile-number large" }, percent(share ?? right / n)), line, h("p", { class: "small muted" }, `of clips correct, ${right} of ${n}.${words}`));
}

function byGesture({ gestures }) {
  const row = (one) => {
    const recall = one.n ? one.right / one.n : 0;
    return h("tr", {}, h("th", { scope: "row" }, shown(one.label)), h("td", { class: "number" }, String(one.n)), h("td", {}, h("span", { class: "recall" }, bar(recall), h("span", { class: "row-number" }, percent(recall)))),
      h("td", { class: "number" }, one.called ? percent(one.right / one.called) : "never"), h("td", { class: "taken" }, one.taken_for.map(([label, n]) => `${shown(label)} (${n})`).join(", ")));
  };
  return h("section", {}, h("h2", {}, "By gesture"), h("p", { class: "small muted" }, "Worst first. Recall: share of its clips that were recognized. Precision: share of the clips recognized as this gesture that show it."),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "By gesture" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "gesture"), h("th", { class: "number" }, "clips"), h("th", {}, "recall"), h("th", { class: "number" }, "precision"), h("th", {}, "recognized as"))),
      h("tbody", {}, gestures.map(row)))));
}

function confusion({ labels, confusion: rows }) {
  const most = Math.max(1, ...rows.flat());
  const cell = (n, isRight) => {
    const made = h("td", { class: isRight && n ? "right" : n ? "wrong" : "" }, n ? String(n) : "");
    if (n && !isRight) made.style.setProperty("--share", String(Math.max(0.25, n / most)));
    return made;
  };
  return h("section", {}, h("h2", {}, "Confusion"), h("p", { class: "small muted" }, "Rows: true class. Columns: recognized as."),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Confusion" }, h("table", { class: "confusion" }, h("thead", {}, h("tr", {}, h("td", {}), labels.map((one) => h("th", { scope: "col" }, shown(one))))),
      h("tbody", {}, rows.map((row, at) => h("tr", {}, h("th", { scope: "row" }, shown(labels[at])), row.map((n, to) => cell(n, at === to))))))));
}

function byPerson({ people }) {
  return h("section", {}, h("h2", {}, "By person"), h("ul", { class: "rows" }, people.map((one) =>
    h("li", {}, h("span", { class: "row-name" }, one.name), bar(one.n ? one.right / one.n : 0), h("span", { class: "row-number wide" }, `${one.right} of ${one.n}`)))));
}

function mistake({ mistake: one }) {
  if (!one) return null;
  const clip = store.clip(one.clip);
  return h("section", {}, h("h2", {}, "Most confident error"), h("p", { class: "small" }, "Recognized as ", h("strong", { class: "bad" }, shown(one.called)), ` (${percent(one.confidence)}), true class `, h("strong", {}, shown(one.label)), ". ",
    h("span", { class: "muted" }, clip ? clip.name : one.person)),
  clip && h("div", { class: "mistake" }, strip(clip, `${shown(one.label)} by ${one.person}, eight frames`), button("Open in Check", () => { location.hash = `#check/${one.clip}`; }, { class: "quiet", "data-key": "open" })));
}

/** Opens the report in a new window, as a blob because the request needs the token. */
async function openReport(model) {
  const made = await attempt(() => blob(`/models/${model.id}/report`));
  if (!made) return;
  const url = URL.createObjectURL(made);
  h("a", { href: url, target: "_blank" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
