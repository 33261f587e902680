/** The clips of each gesture, newest first: the right side of Record. */

import { call } from "./server.js";
import { button, choice, fill, h } from "./dom.js";
import { leaveOut, remove, toolbar } from "./clip_acts.js";
import { middle } from "./pictures.js";
import { attempt } from "./say.js";
import { keep, settings } from "./settings.js";
import { store } from "./store.js";
import { clipSeconds, clipWords, count, duration, nameFault, NONE, seconds, shown } from "./words.js";

const IN_A_ROW = 5;

/** `next`: {label, text} of the clip that is recorded next, or null; `saved`: id of the newest one. */
export class ClipList {
  root = h("section", { class: "clips", "aria-label": "Clips" });
  chosen = "";
  saved = "";
  #open = "";
  #whole = new Set();
  #adding = false;

  redraw(next) {
    this.next = next;
    const clips = store.clips.filter((one) => !settings.show || one.subject === settings.show);
    if (this.#typing()) return;
    fill(this.root, this.#head(), this.#adding && this.#adder(), store.state.labels.map((label) => this.#group(label, clips)));
  }

  /** Selects a clip; `saved`: it was just recorded. */
  choose(id, saved = false) {
    this.chosen = id;
    if (saved) this.saved = id;
    this.#open = "";
    this.redraw(this.next);
  }

  /** Handles the keys P, T, L, Delete and X for the focused clip, otherwise for the selected one. */
  act(name) {
    const id = document.activeElement?.dataset.clip || this.chosen;
    const clip = store.clip(id);
    if (!clip) return false;
    this.chosen = id;
    if (name === "delete") remove(clip);
    else if (name === "out") leaveOut(clip, clip.state !== "left_out");
    else this.#setOpen(this.#open === name ? "" : name);
    return true;
  }

  #typing() {
    const active = document.activeElement;
    return this.root.contains(active) && active.matches("input, select") && !active.matches("[data-free]");
  }

  #setOpen(name) {
    this.#open = name;
    document.activeElement?.closest?.("form, .trim") && document.activeElement.blur();
    this.redraw(this.next);
  }

  #head() {
    const { counts, people } = store.state;
    const names = [["", "everyone"], ...people.map((one) => [one.name, one.name])];
    const show = choice("Show", names, settings.show, (value) => { keep({ show: value }); this.redraw(this.next); }, { "data-key": "show", "data-free": true });
    return h("div", { class: "head" }, h("h2", {}, "Clips"), h("p", { class: "muted" }, `${count(counts.clips, "clip")}, ${count(people.length, "person", "people")}`),
      h("div", { class: "end" }, button("Add a gesture", () => { this.#adding = !this.#adding; this.redraw(this.next); this.root.querySelector("#new-gesture")?.focus(); },
        { class: "link", "aria-expanded": String(this.#adding), "data-key": "add" }), show));
  }

  #adder() {
    return adder(() => { this.#adding = false; document.activeElement?.blur(); this.redraw(this.next); });
  }

  #group(label, everything) {
    const clips = everything.filter((one) => one.label === label.name);
    const rooms = this.#whole.has(label.id) ? clips.length : IN_A_ROW - (this.next?.label === label.name ? 1 : 0);
    const cards = clips.slice(0, rooms).map((clip) => this.#card(clip));
    if (this.next?.label === label.name) cards.unshift(h("p", { class: "clip-next" }, this.next.text));
    const more = clips.length - rooms;
    const chosen = clips.find((one) => one.id === this.chosen);
    return h("section", { class: "group" },
      h("div", { class: "group-head" }, h("h3", {}, shown(label.name)), h("p", { class: "muted small" }, groupWords(label))),
      cards.length ? h("div", { class: "cards" }, cards,
        more > 0 && button(`${more} more`, () => { this.#whole.add(label.id); this.redraw(this.next); }, { class: "more" }),
        more < 0 || !this.#whole.has(label.id) || clips.length <= IN_A_ROW ? null
          : button("Fewer", () => { this.#whole.delete(label.id); this.redraw(this.next); }, { class: "more" })) : null,
      chosen && toolbar(chosen, this.#open, (name) => this.#setOpen(name), chosen.id === this.saved ? "Saved: " : ""));
  }

  #card(clip) {
    const warning = clip.findings[0];
    const kind = ["clip", warning && "warned", clip.id === this.chosen && "chosen", clip.state === "left_out" && "out"].filter(Boolean).join(" ");
    return h("button", { type: "button", class: kind, "aria-pressed": String(clip.id === this.chosen), "data-key": clip.id,
      "data-clip": clip.id, onclick: () => this.choose(this.chosen === clip.id ? "" : clip.id) },
    middle(clip), h("span", { class: "unseen" }, clipWords(clip)), h("span", { class: "clip-words", "aria-hidden": "true" }, `${clip.subject} ${seconds(clipSeconds(clip))}`),
    clip.state === "left_out" ? h("span", { class: "tag", "aria-hidden": "true" }, "left out") : warning && h("span", { class: "tag warn", "aria-hidden": "true" }, warning));
  }
}

function groupWords(label) {
  if (!label.clips) return label.name === NONE ? "A minute of it teaches the model to ignore other movements." : "No clips yet.";
  const people = Object.entries(label.people).map(([name, n]) => `${name} ${n}`).join(", ");
  if (label.name !== NONE) return `${count(label.clips, "clip")}: ${people}`;
  return `${count(label.clips, "clip")} from ${count(label.recordings, "recording")}, ${duration(label.seconds)}`;
}

/** Creates the label unless there is one with this name. Throws Refused. */
export async function addLabel(name) {
  if (store.state.labels.some((one) => one.name === name)) return;
  await call("PUT", `/labels/${newId(name)}`, { name });
}

function newId(name) {
  const base = name.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 30) || "gesture";
  const taken = new Set(store.state.labels.map((one) => one.id));
  for (let n = 1; ; n += 1) {
    const id = n === 1 ? base : `${base}-${n}`;
    if (!taken.has(id)) return id;
  }
}

function adder(close) {
  const input = h("input", { id: "new-gesture", maxlength: 40, placeholder: "for example swipe left", "aria-describedby": "new-fault", autocomplete: "off" });
  const fault = h("p", { id: "new-fault", class: "fault" });
  const save = async (event) => {
    event.preventDefault();
    const name = input.value.trim();
    fault.textContent = nameFault(name);
    if (fault.textContent) return;
    if ((await attempt(async () => { await addLabel(name); await store.refresh(); return true; }))) close();
  };
  return h("form", { class: "adder", onsubmit: save },
    h("label", { class: "field" }, h("span", {}, "Name of the gesture. Left and right are those of the person."), input),
    h("button", { class: "quiet" }, "Add"), button("Cancel", close, { class: "link" }), fault);
}
