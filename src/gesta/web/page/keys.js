/** Keyboard shortcuts and the list of them. They are off while the user types. */

import { button, h, key } from "./dom.js";

const LIST = [
  ["Space", "Record: start recording. Try: turn the camera on or off."],
  ["Esc", "Stop. The unfinished clip is discarded."],
  ["R", "Delete the last clip and record it again. Check: record this one again."],
  ["1 to 9", "Choose the gesture."],
  ["P", "Play the focused clip."],
  ["T", "Trim it."],
  ["L", "Change its label."],
  ["Delete", "Delete it."],
  ["X", "Check: leave the clip out of training."],
  ["Up, Down", "Check: previous or next finding."],
  ["W", "Try: keep the last 5 s as a clip, because the result was wrong."],
  ["?", "Show this list."],
];
const TYPED = "input:not([type=range], [type=checkbox], [type=radio]), textarea, select, [contenteditable]";
const PRESSED = "button, a, summary, input, video";

let dialog = null;

export function showKeys() {
  if (dialog) return closeKeys();
  const before = document.activeElement;
  dialog = h("dialog", { class: "keys", "aria-label": "Keyboard shortcuts", onclose: () => { dialog?.remove(); dialog = null; before?.focus(); } },
    h("h2", {}, "Keyboard shortcuts"),
    h("dl", {}, LIST.map(([name, text]) => h("div", {}, h("dt", {}, key(name)), h("dd", {}, text)))),
    h("p", { class: "small" }, "They are off while you type."),
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

/** Calls the view's handler of a key. `keys`: name -> function(event), which returns false if it does not apply. */
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
