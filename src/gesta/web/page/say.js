/** What is said: one polite region for a screen reader, errors at once, and a line with a button below. */

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

/** An error, with what to do next; `actions`: [text, listener] pairs. */
export function complain(text, actions = []) {
  const buttons = actions.map(([name, act]) => button(name, () => { hush(); act(); }, { class: "quiet" }));
  fill(alerts, h("p", {}, text), buttons, button("Close", hush, { class: "link" }));
}

export function hush() {
  alerts.replaceChildren();
}

/** Runs what may be refused by the server, and shows the refusal; undefined then. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    complain(error instanceof Refused ? error.sentence : String(error.message ?? error));
    if (!(error instanceof Refused)) console.error(error);
    return undefined;
  }
}

/** A line below, for a while: "Deleted." with Undo. */
export function offer(text, name, act) {
  clearTimeout(timer);
  const close = () => toast.replaceChildren();
  fill(toast, h("p", {}, text), name && button(name, () => { close(); act(); }, { class: "quiet" }));
  timer = setTimeout(close, TOAST_MS);
  say(text);
}
