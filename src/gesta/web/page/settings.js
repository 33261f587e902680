/** Settings that the browser keeps between visits, such as person and clip length. None of them is secret. */

const KEPT = "gesta-settings";
const BEGIN = { person: "", label: "", length_s: 2, row: 5, countdown_s: 3, tones: true, theme: "", show: "" };

function read() {
  try {
    return { ...BEGIN, ...JSON.parse(localStorage.getItem(KEPT) ?? "{}") };
  } catch {
    return { ...BEGIN };
  }
}

export const settings = read();

export function keep(changes) {
  Object.assign(settings, changes);
  try {
    localStorage.setItem(KEPT, JSON.stringify(settings));
  } catch { /* no storage: the settings last until the page closes */ }
}
