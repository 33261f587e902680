/** The keyboard: which key does what, and the list of them. No key acts while somebody types. */

import { button, h, key } from "./dom.js";

const LIST = [
  ["Space", "Record: begin a row. Try: camera on or off."],
  ["Esc", "Stop. The unfinished clip is dropped."],
  ["R", "Delete the last clip and record it again. Check: record this one again."],
  ["1 to 9", "Choose the gesture."],
  ["P", "Play the clip that has the focus."],
  ["T", "Trim it."],
  ["L", "Give it another label."],
  ["Delete", "Delete it."],
  ["X", "Check: leave the clip out."],
  ["Up, Down", "Check: the finding before, the next."],
  ["W", "Try: that was wrong."],
  ["?", "This list."],
];
const TYPED = "input:not([type=range], [type=checkbox], [type=radio]), textarea, select, [contenteditable]";
const PRESSED = "button, a, summary, input, video";

let dialog = null;

export function showKeys() {
  if (dialog) return closeKeys();
  const before = document.activeElement;
  dialog = h("dialog", { class: "keys", "aria-label": "Keys", onclose: () => { dialog?.remove(); dialog = null; before?.focus(); } },
    h("h2", {}, "Keys"),
    h("dl", {}, LIST.map(([name, text]) => h("div", {}, h("dt", {}, key(name)), h("dd", {}, text)))),
    h("p", { class: "small" }, "None of them acts while you type."),
    button("Close", closeKeys, { class: "quiet" }));
  document.body.append(dialog);
  dialog.show();
  return dialog.querySelector("button").focus();
}

function closeKeys() {
  dialog?.close();
}

function name(event) {
  if (event.key === " ") return "Space";
  if (/^[1-9]$/.test(event.key)) return "digit";
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

/** Calls the view's listener of a key; `keys`: name -> function(event) that returns false where it does not apply. */
export function onKey(event, keys) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const pressed = name(event);
  if (pressed === "Escape" && dialog) return void closeKeys();
  if (event.target.closest?.(TYPED) && pressed !== "Escape") return;
  if (pressed === "Space" && event.target.closest?.(PRESSED)) return;
  if (event.target.matches?.("input[type=range]") && pressed.startsWith("Arrow")) return;
  if (pressed === "?") return void showKeys();
  if (event.repeat && pressed !== "ArrowUp" && pressed !== "ArrowDown") return;
  if (keys[pressed] && keys[pressed](event) !== false) event.preventDefault();
}
