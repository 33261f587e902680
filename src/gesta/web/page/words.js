/** Numbers, times and labels as text. */

export const NONE = "none";

export const shown = (label) => (label === NONE ? "nothing" : label || "not labeled");

export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

export const seconds = (value) => `${value.toFixed(1)} s`;

export const percent = (share) => `${Math.round(share * 100)} %`;

export function duration(value) {
  const whole = Math.max(0, Math.round(value));
  const minutes = Math.floor(whole / 60);
  const rest = whole % 60;
  if (!minutes) return `${rest} s`;
  return rest ? `${minutes} min ${rest} s` : `${minutes} min`;
}

export function bytes(n) {
  if (n < 1e3) return `${n} bytes`;
  if (n < 1e6) return `${Math.round(n / 1e3)} kB`;
  return `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`;
}

/** "anna, ben and carla". */
export function listed(names) {
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

export const clock = (date) => date.toLocaleTimeString("en-GB");

/** "today 14:06", for the lists of models. */
export function modelName(model) {
  if (model.demo) return `${model.id}, comes with gesta`;
  const made = new Date(model.made * 1000);
  const day = made.toDateString() === new Date().toDateString() ? "today" : made.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return `${day} ${made.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}${model.everyone ? ", everyone" : ""}`;
}

/** "wave, anna, clip 4, 2.0 seconds, warning: cut off". */
export function clipWords(clip) {
  const number = /(\d+)\D*$/.exec(clip.name);
  const words = [shown(clip.label), clip.subject || "person unknown", number ? `clip ${Number(number[1])}` : clip.name];
  words.push(`${clipSeconds(clip).toFixed(1)} seconds`);
  if (clip.state === "left_out") words.push("left out");
  if (clip.findings.length) words.push(`warning: ${clip.findings.join(", ")}`);
  return words.join(", ");
}

export const clipSeconds = (clip) => clip.end_s - clip.start_s;

/** What is wrong with a name, which has 1 to 40 characters and no control characters; "" if nothing is. */
export function nameFault(name) {
  if (!name) return "Enter a name.";
  if ([...name].length > 40) return "At most 40 characters.";
  // eslint-disable-next-line no-control-regex
  if (/[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/.test(name)) return "No control characters.";
  return "";
}
