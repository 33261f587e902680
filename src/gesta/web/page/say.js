/** Messages: a polite region for screen readers, errors, and a line at the bottom with a button. */

import { button, fill, h } from "./dom.js";
import { Refused } from "./server.js";

const polite = document.getElementById("polite");
const alerts = document.getElementById("alert");
const toast = document.getElementById("toast");
const TOAST_MS = 12_000;
let timer = 0;

export function say(text) {
  polite.textContent = polite.textContent === text ? `${text}\u00a0` : text;
}

/** Shows an error and what to do next. `actions`: [text, listener] pairs. */
export function complain(text, actions = []) {
  const buttons = actions.map(([name, act]) => button(name, () => { hush(); act(); }, { class: "quiet" }));
  fill(alerts, h("p", {}, text), buttons, button("Close", hush, { class: "link" }));
}

export function hush() {
  alerts.replaceChildren();
}

/** Runs work that the server may refuse. Shows a refusal and returns undefined then. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    complain(error instanceof Refused ? error.sentence : String(error.message ?? error));
    if (!(error instanceof Refused)) console.error(error);
    return undefined;
  }
}

/** Shows a line at the bottom for a while, such as "Deleted." with an Undo button. */
export function offer(text, name, act) {
  clearTimeout(timer);
  const close = () => toast.replaceChildren();
  fill(toast, h("p", {}, text), name && button(name, () => { close(); act(); }, { class: "quiet" }));
  timer = setTimeout(close, TOAST_MS);
  say(text);
}
