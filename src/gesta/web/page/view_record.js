/** Record: the camera preview and its controls on the left, the clips on the right. */

import { camera } from "./camera.js";
import { ClipList } from "./clip_list.js";
import { remove } from "./clip_acts.js";
import { button, choice, fill, h, key } from "./dom.js";
import { importer } from "./importing.js";
import { recorder } from "./recorder.js";
import { attempt, complain, hush, say } from "./say.js";
import { keep, settings } from "./settings.js";
import { cameraLine, stage, turner, turnOn } from "./stage.js";
import { store } from "./store.js";
import { firstRun } from "./view_first.js";
import { readyTones } from "./tones.js";
import { count, nameFault, NONE, seconds, shown } from "./words.js";

const NOTHING_S = 20;
const LINE_MS = 250;
const LENGTHS = [1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5].map((one) => [one, seconds(one)]);
const ROWS = [1, 2, 3, 5, 8, 10, 15, 20];
const COUNTDOWNS = [0, 1, 2, 3, 5, 8, 10].map((one) => [one, `${one} s`]);
const STOPS = { "": "Stopped. The unfinished clip is discarded.", hidden: "Stopped: the page was hidden." };

let begun = false;

export function open(root) {
  const view = new Record(root);
  return { redraw: () => view.redraw(), close: () => view.close(), keys: view.keys };
}

class Record {
  #over = h("div", { class: "over" });
  #controls = h("div", { class: "controls" });
  #settings = h("div", { class: "settings" });
  #fault = "";
  #first = null;
  #ends = new AbortController();

  constructor(root) {
    this.root = root;
    this.list = new ClipList();
    this.stage = stage(this.#over, () => this.#off());
    this.line = cameraLine(() => h("span", {}, "Mirrored on screen, not in the clips"));
    this.#hear();
    this.timer = setInterval(() => this.line.redraw(), LINE_MS);
  }

  keys = {
    Space: () => (recorder.busy || this.#first ? false : void this.#record()),
    Escape: () => (recorder.busy ? recorder.stop() : this.list.choose("")),
    r: () => void this.#again(),
    digit: (event) => this.#choose(store.state.labels[Number(event.key) - 1]?.name),
    p: () => this.list.act("play"),
    t: () => this.list.act("trim"),
    l: () => this.list.act("label"),
    x: () => this.list.act("out"),
    Delete: () => this.list.act("delete"),
  };

  #hear() {
    const { signal } = this.#ends;
    const redraw = () => this.redraw();
    camera.addEventListener("on", redraw, { signal });
    camera.addEventListener("off", redraw, { signal });
    recorder.addEventListener("change", () => this.#changed(), { signal });
    recorder.addEventListener("saved", ({ detail }) => this.#saved(detail), { signal });
    recorder.addEventListener("stopped", ({ detail }) => this.#stopped(detail), { signal });
  }

  close() {
    clearInterval(this.timer);
    recorder.stop();
    this.#ends.abort();
    if (location.hash.split("/")[0] !== "#try") camera.stop();
  }

  redraw() {
    const isFirst = !begun && !store.state.counts.clips && !store.state.counts.left_out && !store.state.counts.unlabeled;
    if (isFirst) {
      if (!this.#first) fill(this.root, (this.#first = firstRun(() => this.#begin())));
      return;
    }
    if (this.#first || !this.root.contains(this.stage.root)) this.#layout();
    this.stage.redraw();
    this.#overlay();
    this.#drawControls();
    this.#drawSettings();
    this.line.redraw();
    this.list.redraw(this.#next());
  }

  #layout() {
    this.#first = null;
    fill(this.root, h("h1", { class: "unseen" }, "Record"), h("div", { class: "split" },
      h("div", { class: "left" }, this.stage.root, this.line.root, this.#controls, this.#settings),
      h("div", {}, this.list.root, importer(null))));
  }

  async #begin() {
    begun = true;
    this.redraw();
    await this.#turnOn();
  }

  #turnOn() {
    return turnOn((fault) => { this.#fault = fault; if (fault) say(fault); this.stage.redraw(); if (!camera.on) fill(this.stage.root, this.#off()); });
  }

  #off() {
    return h("div", { class: "off-words" }, this.#fault && h("p", { role: "alert" }, this.#fault),
      button(this.#fault ? "Try again" : "Turn on the camera", () => this.#turnOn(), { class: this.#fault ? "quiet" : "filled", "data-key": "camera" }));
  }

  get #label() {
    const names = store.state.labels.map((one) => one.name);
    return names.includes(settings.label) ? settings.label : names[0];
  }

  #choose(name) {
    if (name === undefined || recorder.busy) return false;
    keep({ label: name });
    this.redraw();
    return true;
  }

  #plan(row) {
    const label = this.#label;
    const { length_s, countdown_s, tones, person } = settings;
    const isNothing = label === NONE;
    return { label, subject: person.trim(), length_s: isNothing ? NOTHING_S : length_s, span_s: length_s, row: isNothing ? 1 : row, countdown_s, tones, folder: store.state.folder };
  }

  async #record(row = settings.row) {
    hush();
    const fault = nameFault(settings.person.trim());
    if (fault) {
      this.#settings.querySelector("input")?.focus();
      return complain(`Who is in front of the camera? ${fault}`);
    }
    if (!camera.on && !(await this.#turnOn())) return undefined;
    readyTones();
    document.activeElement?.blur();
    await attempt(() => recorder.run(this.#plan(row)));
    return this.redraw();
  }

  async #again() {
    const last = store.clip(this.list.saved);
    if (recorder.busy) recorder.stop();
    while (recorder.busy) await new Promise((done) => { recorder.addEventListener("change", done, { once: true }); });
    if (last) {
      keep({ label: last.label });
      await remove(last);
    }
    await this.#record(1);
  }

  #changed() {
    this.#overlay();
    if (this.phase === recorder.phase && this.clip === recorder.clip) return;
    Object.assign(this, { phase: recorder.phase, clip: recorder.clip });
    const { plan, clip } = recorder;
    if (recorder.phase === "countdown") say(`Clip ${clip} of ${plan.row} of ${shown(plan.label)} in ${plan.countdown_s} seconds`);
    if (recorder.phase === "recording") say("Recording");
    this.redraw();
  }

  async #saved(done) {
    say(`Saved, ${count(done.frames, "frame")}${done.lost ? `, ${done.lost} lost` : ""}`);
    await attempt(() => store.refresh());
    this.list.choose(done.clips[0].id, true);
  }

  #stopped({ reason, kept_s }) {
    if (reason !== "camera") return reason ? complain(STOPS[reason]) : say(STOPS[""]);
    return complain(`The camera was disconnected. ${kept_s >= 0.5 ? `The first ${seconds(kept_s)} of this clip are kept.` : "This clip is not kept."}`, [["Try again", () => this.#turnOn()]]);
  }

  #next() {
    if (!recorder.busy) return null;
    const { plan, clip, phase } = recorder;
    const state = { countdown: "next", recording: "now", saving: "saving" }[phase];
    return { label: plan.label, text: plan.label === NONE ? `${plan.length_s} s ${state}` : `clip ${clip} ${state}` };
  }

  #overlay() {
    const { phase, plan, clip, left, share } = recorder;
    this.#over.dataset.phase = phase;
    if (phase === "idle") return fill(this.#over, turner());
    const what = plan.label === NONE ? `${shown(plan.label)}, ${plan.length_s} s` : `${shown(plan.label)}, clip ${clip} of ${plan.row}`;
    const corner = { countdown: "Get ready", recording: "Recording", saving: "Saving" }[phase];
    const done = h("span", { class: "done" });
    done.style.inlineSize = `${share * 100}%`;
    return fill(this.#over, h("p", { class: "corner" }, corner), h("div", { class: "big" }, phase === "countdown" && h("p", { class: "number" }, String(left)), h("p", { class: "what" }, what)),
      phase === "recording" && done);
  }

  #drawControls() {
    const label = this.#label;
    const name = label === NONE ? `Record ${NOTHING_S} s of nothing` : `Record ${count(settings.row, "clip")}`;
    const main = recorder.busy
      ? button(["Stop ", key("Esc")], () => recorder.stop(), { class: "filled stop", "data-key": "main", id: "record" })
      : camera.on && button([name, " ", key("Space")], () => this.#record(), { class: "filled", "data-key": "main", id: "record" });
    const last = store.clip(this.list.saved);
    const hint = recorder.busy || last ? h("p", { class: "small muted keys-hint" }, key("R"), " deletes the last clip and records it again") : null;
    fill(this.#controls, h("div", { class: "panel-row bar-bottom" }, main || null, hint), this.line.warnings, this.#chips(label));
  }

  #chips(label) {
    return h("div", { class: "chips gestures", role: "group", "aria-label": "Gesture" }, store.state.labels.map((one, index) =>
      button([h("span", {}, shown(one.name)), index < 9 && key(String(index + 1))], () => this.#choose(one.name),
        { class: "chip", "aria-pressed": String(one.name === label), disabled: recorder.busy, "data-key": `gesture-${one.id}` })));
  }

  #drawSettings() {
    if (this.#settings.contains(document.activeElement) && document.activeElement.matches("input[list]")) return;
    const set = (name, number = true) => (value) => { keep({ [name]: number ? Number(value) : value }); this.redraw(); };
    const given = (name) => ({ disabled: recorder.busy, "data-key": name });
    const person = h("input", { value: settings.person, maxlength: 40, list: "who", placeholder: "for example anna", autocomplete: "off", "data-key": "person", disabled: recorder.busy, onchange: () => keep({ person: person.value }), oninput: () => keep({ person: person.value }) });
    const tones = h("input", { type: "checkbox", checked: settings.tones, "data-key": "tones", onchange: () => keep({ tones: tones.checked }) });
    fill(this.#settings, h("div", { class: "fields" }, h("label", { class: "field" }, h("span", {}, "Person"), person),
      h("datalist", { id: "who" }, store.state.people.map((one) => h("option", { value: one.name }))),
      choice("Clip length", LENGTHS, settings.length_s, set("length_s"), given("length")),
      choice("Clips in a row", ROWS, settings.row, set("row"), given("row")),
      choice("Countdown", COUNTDOWNS, settings.countdown_s, set("countdown_s"), given("countdown")),
      h("label", { class: "check" }, tones, "Tones")),
    h("p", { class: "small muted" }, this.#advice()));
  }

  #advice() {
    if (this.#label !== NONE) return "Vary speed, distance and place a little from clip to clip. Start and end at rest.";
    const few = store.state.counts.none_s < 60 ? " Without a minute of nothing, everything you do will be recognized as a gesture." : "";
    return `Sit, drink, scratch, reach for the mouse. Do not make any of your gestures.${few}`;
  }
}
