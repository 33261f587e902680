/** Creates elements without HTML strings: what a user types becomes a text node, never markup. */

const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "hidden", "muted", "open", "srcObject"]);
const SVG = "http://www.w3.org/2000/svg";

function dress(element, given) {
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
}

function grow(element, children) {
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** An element: attributes, listeners (`onclick`) and children (elements or text). */
export function h(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  grow(element, children);
  dress(element, given);
  return element;
}

/** The same for SVG. */
export function s(tag, given = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  dress(element, given);
  return grow(element, children);
}

let held = null;
const waiting = new Map();

addEventListener("pointerdown", (event) => { held = event.target; }, true);
for (const name of ["pointerup", "pointercancel"]) {
  addEventListener(name, () => {
    held = null;
    setTimeout(() => {
      const all = [...waiting];
      waiting.clear();
      for (const [node, children] of all) fill(node, ...children);
    });
  }, true);
}

/** Replaces the children. Focus stays on the element with the same `data-key`. While a control inside is pressed, the
 * change waits for its release, so that no click is lost. */
export function fill(node, ...children) {
  if (held && node !== held && node.contains(held) && held.closest("button, a, select, input, label")) {
    waiting.set(node, children);
    return;
  }
  waiting.delete(node);
  const active = document.activeElement;
  const key = active && node.contains(active) ? active.dataset.key : undefined;
  node.replaceChildren();
  grow(node, children);
  if (key !== undefined) node.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

export function button(text, onclick, given = {}) {
  return h("button", { type: "button", ...given, onclick }, text);
}

export function key(name) {
  return h("kbd", {}, name);
}

/** A bar of length `share` (0 to 1). Screen readers skip it, so the number must be shown beside it. */
export function bar(share, kind = "") {
  const filled = h("span", { class: "bar-fill" });
  filled.style.inlineSize = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return h("span", { class: `bar ${kind}`, "aria-hidden": "true" }, filled);
}

/** A labeled select element. `options`: values, or [value, text] pairs. */
export function choice(label, options, value, onchange, given = {}) {
  const select = h("select", { ...given, onchange: () => onchange(select.value) });
  for (const option of options) {
    const [own, text] = Array.isArray(option) ? option : [option, option];
    select.append(h("option", { value: String(own), selected: String(own) === String(value) }, String(text)));
  }
  return h("label", { class: "field" }, h("span", {}, label), select);
}
