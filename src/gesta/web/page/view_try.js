/** Try: the model on the camera, with events, probabilities and thresholds. */

import { camera } from "./camera.js";
import { call } from "./server.js";
import { bar, button, choice, fill, h, key } from "./dom.js";
import { Live } from "./live.js";
import { colorOf, drawPlot, drawSkeleton } from "./plot.js";
import { attempt, complain, hush, offer, say } from "./say.js";
import { settings } from "./settings.js";
import { stage, turner, turnOn } from "./stage.js";
import { store } from "./store.js";
import { clock, duration, listed, modelName, NONE, percent, shown } from "./words.js";

const LABEL_MS = 1000;
const SAY_MS = 1000;
const HISTORY_S = 16;
const FACTS_MS = 500;
const SLIDERS = [["on", "On above", 0.05, 0.99, 0.01], ["off", "Off below", 0.01, 0.95, 0.01], ["least_s", "Min. length", 0, 2, 0.05]];

export function open(root) {
  const view = new Try(root);
  return { redraw: () => view.redraw(), close: () => view.close(), keys: view.keys };
}

class Try {
  #canvas = h("canvas", { class: "skeleton", "aria-hidden": "true" });
  #event = h("p", { class: "event-label", hidden: true });
  #plot = h("canvas", { class: "plot", role: "img", "aria-label": "Probabilities of the last 15 seconds; the events are listed beside it." });
  #facts = h("p", { class: "facts small" });
  #head = h("div", {});
  #bars = h("ul", { class: "rows bars", "aria-label": "Probabilities" });
  #events = h("section", {});
  #sliders = h("section", { class: "sliders" });
  #slow = h("p", { class: "warning", hidden: true });
  #live = null;
  #history = [];
  #log = [];
  #rows = new Map();
  #tried = null;
  #cores = 0;
  #began = 0;
  #said = 0;
  #drawn = "";
  #ends = new AbortController();

  constructor(root) {
    const over = h("div", { class: "over" }, this.#canvas, this.#event, h("p", { class: "mirrored-note" }, "mirrored"), turner());
    this.model = store.model(location.hash.split("/")[1]);
    this.stage = stage(over, () => this.#off());
    fill(root, h("div", { class: "split try" },
      h("div", { class: "left" }, this.stage.root, this.#plot, this.#facts, this.#slow),
      h("div", {}, this.#head, this.#bars, this.#events, this.#sliders)));
    const { signal } = this.#ends;
    camera.addEventListener("frame", ({ detail }) => this.#live?.offer(detail, () => camera.jpeg()), { signal });
    camera.addEventListener("on", () => { this.#connect(); this.#again(); }, { signal });
    camera.addEventListener("off", ({ detail }) => { this.#disconnect(); if (detail) complain("The camera was disconnected."); this.#again(); }, { signal });
    addEventListener("theme", () => this.#draw(), { signal });
    document.addEventListener("visibilitychange", () => { if (document.hidden) camera.stop(); }, { signal });
    this.timer = setInterval(() => this.#tick(), FACTS_MS);
    if (camera.on) this.#connect();
  }

  keys = { Space: () => void this.#toggle(), w: () => this.#wrong(), Escape: () => camera.stop() };

  close() {
    clearInterval(this.timer);
    this.#disconnect();
    this.#ends.abort();
    if (location.hash.split("/")[0] !== "#record") camera.stop();
  }

  #again() {
    this.#drawn = "";
    this.redraw();
  }

  /** Redraws only what has changed: the sliders and the log are in use while clips and jobs change. */
  redraw() {
    const { models } = store.state;
    const wanted = location.hash.startsWith("#try/") && models.find((one) => one.id === location.hash.split("/")[1]);
    const model = wanted || models.find((one) => one.id === this.model?.id) || store.newest || models[0];
    if (model?.id !== this.model?.id) this.#change(model);
    this.model = model;
    this.stage.redraw();
    const facts = JSON.stringify([model, models.length, camera.on]);
    if (facts === this.#drawn) return;
    this.#drawn = facts;
    if (!camera.on) fill(this.stage.root, this.#off());
    this.#drawHead();
    this.#drawBars();
    this.#drawEvents();
    this.#drawSliders();
    this.#draw();
    this.#tick();
  }

  #change(model) {
    Object.assign(this, { model });
    this.#tried = null;
    this.#history = [];
    this.#disconnect();
    if (camera.on) this.#connect();
  }

  #off() {
    return h("div", { class: "off-words" }, this.fault && h("p", { role: "alert" }, this.fault), h("p", { id: "lacks" }, this.model?.lacks || (this.model ? "The camera is off." : "")));
  }

  async #toggle() {
    if (!this.model || this.model.lacks) return;
    if (camera.on) {
      camera.stop();
      return;
    }
    hush();
    await turnOn((fault) => { this.fault = fault; if (fault) { say(fault); fill(this.stage.root, this.#off()); } });
  }

  #connect() {
    if (this.#live || !this.model || this.model.lacks) return;
    const live = new Live(this.model.id, settings.person);
    this.#live = live;
    this.#began ||= performance.now();
    live.addEventListener("answer", ({ detail }) => this.#answer(detail));
    live.addEventListener("kept", ({ detail: id }) => this.#kept(id));
    live.addEventListener("end", ({ detail }) => {
      if (this.#live !== live) return;
      this.#live = null;
      if (detail) complain(detail, [["Try again", () => this.#connect()]]);
    });
  }

  #disconnect() {
    const live = this.#live;
    this.#live = null;
    live?.close();
    drawSkeleton(this.#canvas, null, []);
  }

  #answer(answer) {
    const time_s = answer.time_us / 1e6;
    this.#cores = answer.cores;
    if (Object.keys(answer.probabilities).length && Number.isFinite(time_s)) {
      this.#history.push({ time_s, probabilities: answer.probabilities });
      while (this.#history[0].time_s < time_s - HISTORY_S) this.#history.shift();
    }
    for (const event of answer.events) this.#fired(event);
    this.#offset_s = (answer.captured_ms ?? performance.now()) / 1000 - time_s;
    drawSkeleton(this.#canvas, answer.joints, this.model.joints);
    this.#draw(answer.probabilities);
  }

  #offset_s = 0;

  #fired(event) {
    this.#log.unshift({ ...event, at: new Date() });
    this.#event.textContent = shown(event.label);
    this.#event.hidden = false;
    clearTimeout(this.eventTimer);
    this.eventTimer = setTimeout(() => { this.#event.hidden = true; }, LABEL_MS);
    const now = performance.now();
    if (now - this.#said > SAY_MS) {
      say(`${shown(event.label)}, ${Math.round(event.confidence * 100)} percent`);
      this.#said = now;
    }
    this.#drawEvents();
  }

  #kept(id) {
    if (!id) return say("There is nothing to keep yet.");
    offer("Kept as a clip.", "Label it in Check", () => { location.hash = `#check/${id}`; });
    return store.refresh();
  }

  get #decoder() {
    return this.#tried ?? this.model.decoder;
  }

  #draw(probabilities = this.#history.at(-1)?.probabilities ?? {}) {
    if (!this.model) return;
    const now_s = this.#history.at(-1)?.time_s ?? 0;
    drawPlot(this.#plot, { labels: this.model.labels, history: this.#history, events: this.#log, decoder: this.#decoder, now_s });
    for (const [label, row] of this.#rows) {
      const share = probabilities[label] ?? 0;
      row.fill.style.inlineSize = `${share * 100}%`;
      row.number.textContent = share.toFixed(2);
      row.marks.forEach((mark, place) => { mark.style.insetInlineStart = `${(place ? this.#decoder.off : this.#decoder.on) * 100}%`; });
    }
  }

  #drawHead() {
    const { models } = store.state;
    if (!this.model) {
      fill(this.#head, h("h1", {}, "Nothing trained yet."), h("p", {}, "Train a model first; this installation does not include the one that comes with gesta."),
        h("div", { class: "bar-bottom" }, button("Go to Train", () => { location.hash = "#train"; }, { class: "filled", "data-key": "main" })));
      return;
    }
    const { lacks } = this.model;
    const toggle = lacks ? button("Check again", () => attempt(() => store.refresh()), { class: "filled", "data-key": "main", id: "look-again" }) : button([camera.on ? "Stop the camera " : "Turn on the camera ", key("Space")], () => this.#toggle(), { class: camera.on ? "quiet tall" : "filled", "data-key": "main", id: "camera" });
    const names = models.map((one) => [one.id, modelName(one)]);
    fill(this.#head, h("div", { class: "head plain" }, h("h1", {}, "Try it"), choice("Model", names, this.model.id, (id) => { location.hash = `#try/${id}`; }, { "data-key": "model" }),
      h("div", { class: "end bar-bottom" }, toggle, camera.on && !this.model.demo && button("That was wrong", () => this.#wrong(), { class: "quiet only-phone" }))), h("p", { class: "small muted" }, honest(this.model)));
  }

  #drawBars() {
    this.#rows.clear();
    fill(this.#bars, (this.model?.labels ?? []).map((label) => {
      const drawn = bar(0, "thick");
      const number = h("span", { class: "row-number" }, "0.00");
      const marks = label === NONE ? [] : [h("span", { class: "mark on" }), h("span", { class: "mark off" })];
      drawn.firstChild.style.backgroundColor = `var(${colorOf(this.model.labels, label)})`;
      this.#rows.set(label, { fill: drawn.firstChild, number, marks });
      return h("li", {}, h("span", { class: "row-name" }, shown(label).replaceAll("_", "_\u200b")), h("span", { class: "marked", "aria-hidden": "true" }, drawn, marks), number);
    }));
  }

  #drawEvents() {
    if (!this.model) return fill(this.#events);
    const span = this.#began ? `${this.#log.length} in ${duration((performance.now() - this.#began) / 1000)}. Each gesture is reported once.` : "Each gesture is reported once.";
    const rows = this.#log.slice(0, 50).map((one) => h("tr", {}, h("td", {}, clock(one.at)), h("td", {}, shown(one.label)), h("td", { class: "number" }, one.confidence.toFixed(2)), h("td", { class: "number" }, `${delay(one).toFixed(2)} s`)));
    return fill(this.#events, h("div", { class: "head plain" }, h("h2", {}, "Events"), h("p", { class: "small muted" }, span),
      this.#log.length > 0 && button("Save as csv", () => this.#save(), { class: "link end small", "data-key": "csv" })),
    rows.length ? h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Event log" }, h("table", { class: "events" }, h("thead", {}, h("tr", {}, h("th", {}, "time"), h("th", {}, "gesture"), h("th", { class: "number" }, "confidence"), h("th", { class: "number" }, "delay"))), h("tbody", {}, rows)))
      : h("p", { class: "muted" }, this.model.lacks ? "" : camera.on ? "No events yet: make a gesture, then rest." : "Turn on the camera and make a gesture."),
    !this.model.demo && h("div", { class: "panel-row" }, button(["That was wrong ", key("W")], () => this.#wrong(), { class: "quiet only-desk", disabled: !camera.on, "data-key": "wrong" }), h("p", { class: "small muted only-desk" }, "keeps the last 5 s as a clip, to label in Check")));
  }

  #wrong() {
    if (!this.#live || this.model.demo) return false;
    this.#live.tell({ wrong: true });
    return true;
  }

  #save() {
    const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
    const lines = [...this.#log].reverse().map((one) => [one.at.toISOString(), quoted(one.label), one.start_s.toFixed(3), one.end_s.toFixed(3), one.confidence.toFixed(4), delay(one).toFixed(3)].join(","));
    const link = h("a", { href: URL.createObjectURL(new Blob([`time,label,start_s,end_s,confidence,delay_s\n${lines.join("\n")}\n`], { type: "text/csv" })), download: "events.csv" });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  #drawSliders() {
    if (!this.model) return fill(this.#sliders);
    const { chosen, on_what: on } = this.model.decoder;
    const numbers = chosen && `${chosen.on.toFixed(2)}, ${chosen.off.toFixed(2)}, ${chosen.least_s.toFixed(2)} s`;
    return fill(this.#sliders, h("div", { class: "head plain" }, h("h2", {}, "Detection thresholds"), numbers && h("p", { class: "small muted" }, `Chosen${on ? ` on ${on}` : ""}: ${numbers}`)),
      SLIDERS.map((one) => this.#slider(...one)),
      !this.model.demo && h("div", { class: "panel-row" }, button("Save in the bundle", () => this.#saveDecoder(this.#decoder), { class: "quiet", "data-key": "save" }),
        chosen && button("Reset", () => { this.#tried = { ...chosen }; this.#live?.tell(this.#tried); this.#drawSliders(); this.#draw(); }, { class: "link", "data-key": "reset" })));
  }

  #slider(name, text, min, max, step) {
    const unit = name === "least_s" ? " s" : "";
    const value = h("output", { class: "row-number" }, `${this.#decoder[name].toFixed(2)}${unit}`);
    const input = h("input", { type: "range", min, max, step, value: this.#decoder[name], "data-key": name, disabled: this.model.demo });
    input.addEventListener("input", () => {
      const { on, off, least_s } = this.#decoder;
      this.#tried = { on, off, least_s, [name]: Number(input.value) };
      if (name === "on") this.#tried.off = Math.min(this.#tried.off, this.#tried.on);
      if (name === "off") this.#tried.on = Math.max(this.#tried.on, this.#tried.off);
      for (const [other] of SLIDERS) this.#show(other);
      this.#draw();
    });
    input.addEventListener("change", () => this.#live?.tell(this.#tried));
    return h("label", { class: "slider", "data-name": name }, h("span", {}, text), input, value);
  }

  #show(name) {
    const row = this.#sliders.querySelector(`[data-name=${name}]`);
    row.querySelector("input").value = this.#decoder[name];
    row.querySelector("output").textContent = `${this.#decoder[name].toFixed(2)}${name === "least_s" ? " s" : ""}`;
  }

  async #saveDecoder({ on, off, least_s }) {
    if (await attempt(() => call("PATCH", `/models/${this.model.id}`, { on, off, least_s }))) say("Saved in the bundle.");
    this.#tried = null;
    await attempt(() => store.refresh());
    if (this.#live) { this.#disconnect(); this.#connect(); }
  }

  #tick() {
    if (!camera.on || !this.#live) {
      fill(this.#facts);
      this.#slow.hidden = true;
      return;
    }
    const { p50, p95, dropped, answers, offered } = this.#live.facts;
    const strong = (text) => h("strong", {}, text);
    fill(this.#facts, h("span", {}, "Camera ", strong(`${camera.rate} frames/s`)), p50 !== undefined && h("span", {}, "Latency ", strong(`${Math.round(p50)} ms`), ", p95 ", strong(`${Math.round(p95)} ms`)),
      h("span", {}, "Dropped ", strong(`${(dropped * 100).toFixed(dropped < 0.1 ? 1 : 0)} %`)), h("span", {}, strong(this.#cores.toFixed(1)), " cores"));
    this.#slow.hidden = dropped < 0.2 || p50 === undefined;
    this.#slow.textContent = `Only ${Math.round(answers)} of ${Math.round(offered)} frames per second are processed: ${percent(dropped)} dropped.`;
  }
}

const delay = (event) => Math.max(0, event.decided_s - event.end_s);

function honest(model) {
  if (model.sentence) return `${model.demo && !store.newest ? "Nothing trained yet: this model comes with gesta. " : ""}${model.sentence}`;
  if (!model.chose_epoch.length) return `Trained on ${listed(model.trained_on)} only.`;
  return `Trained on ${listed(model.trained_on)}; its epoch was chosen on clips of ${listed(model.chose_epoch)}. Try it with someone new as well.`;
}

