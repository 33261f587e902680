/** The first run: person, gestures and camera; or existing videos, or the model that comes with gesta. */

import { button, fill, h } from "./dom.js";
import { addLabel } from "./clip_list.js";
import { importer } from "./importing.js";
import { attempt } from "./say.js";
import { keep, settings } from "./settings.js";
import { store } from "./store.js";
import { listed, nameFault, NONE } from "./words.js";

const SUGGESTED = ["wave", "salute"];

/** `begin`: called when person and gestures are known. */
export function firstRun(begin) {
  const there = store.state.labels.map((one) => one.name).filter((one) => one !== NONE);
  const names = there.length ? there : [...SUGGESTED];
  const person = h("input", { id: "person", value: settings.person, maxlength: 40, placeholder: "for example anna", autocomplete: "off", "aria-describedby": "person-fault" });
  const fault = h("p", { id: "person-fault", class: "fault" });
  const chips = h("div", { class: "chips" });
  const start = async () => {
    fault.textContent = nameFault(person.value.trim()) && "Enter a short name first.";
    if (fault.textContent) return person.focus();
    keep({ person: person.value.trim(), label: names[0] ?? NONE });
    const made = await attempt(async () => {
      for (const name of names) await addLabel(name);
      await store.refresh();
      return true;
    });
    if (made) begin();
    return undefined;
  };
  drawChips(chips, names);
  return h("div", { class: "narrow first" },
    h("h1", {}, "Teach it your own gestures"),
    h("p", { class: "lead" }, "Record a few clips of each gesture, train, and try it on your camera, all on this computer. Clips are kept in ",
      h("strong", {}, store.state.folder), "; nothing is sent anywhere."),
    h("form", { class: "card", onsubmit: (event) => { event.preventDefault(); start(); } },
      h("div", { class: "two" },
        h("div", {}, h("h2", {}, h("label", { for: "person" }, "Who is in front of the camera?")),
          h("p", { class: "small muted" }, "A short name. It keeps each person's clips together, so that the model can be tested on people it has not seen."), person, fault),
        h("div", {}, h("h2", {}, "Which gestures?"), h("p", { class: "small muted" }, "At least one. Movements, not still poses: a wave, a swipe, a circle."), chips)),
      h("p", { class: "small ruled" }, h("strong", {}, "nothing"), " is always included. ", h("span", { class: "muted" },
        "It is everything that is not a gesture: sitting, drinking, reaching for the mouse. A minute of it teaches the model to ignore such movements.")),
      h("div", { class: "panel-row" }, h("div", { class: "bar-bottom" }, h("button", { class: "filled", id: "begin" }, "Turn on the camera")),
        h("p", { class: "small muted" }, "Your browser asks for permission. Sound is never recorded."))),
    h("div", { class: "two" }, importer(h("h2", {}, "Already have videos?")), justLooking()),
    h("p", { class: "small muted" }, "What to expect: 2 people, 5 clips of each gesture and a minute of nothing take about 6 minutes to record; training takes 3 to 5 minutes on two cores."));
}

function justLooking() {
  const demo = store.state.models.find((one) => one.demo);
  const words = demo ? [h("p", {}, h("a", { href: `#try/${demo.id}` }, "Try the model that comes with gesta"), `: ${listed(demo.labels.filter((one) => one !== NONE))}.`), h("p", { class: "small muted" }, demo.sentence),
    demo.lacks && h("p", { class: "warning" }, demo.lacks)] : h("p", {}, "This installation does not include the model to try.");
  return h("section", { class: "card" }, h("h2", {}, "Just looking?"), words);
}

function drawChips(root, names) {
  const redraw = () => drawChips(root, names);
  const input = h("input", { class: "chip-input", maxlength: 40, placeholder: "Add a gesture", "aria-label": "Add a gesture", "data-key": "add", autocomplete: "off" });
  const add = () => {
    const name = input.value.trim();
    if (nameFault(name) || names.includes(name) || ["none", "nothing"].includes(name.toLowerCase())) return false;
    names.push(name);
    redraw();
    root.querySelector("input").focus();
    return true;
  };
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !input.value.trim()) return;
    event.preventDefault();
    add();
  });
  input.addEventListener("blur", () => { if (input.value.trim() && input.isConnected) add(); });
  fill(root, names.map((name) => h("span", { class: "chip" }, name, button("\u00d7", () => { names.splice(names.indexOf(name), 1); redraw(); }, { class: "chip-x", "aria-label": `Remove ${name}` }))), input);
}
