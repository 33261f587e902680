/** Actions on a clip: play, trim, relabel, leave out, delete and undo. */

import { blob, call, get } from "./server.js";
import { button, choice, fill, h } from "./dom.js";
import { wholeStrip } from "./pictures.js";
import { attempt, offer, say } from "./say.js";
import { store } from "./store.js";
import { clipSeconds, clipWords, NONE, seconds, shown } from "./words.js";

/** Changes a clip and reloads the lists; shows why if the server refuses. */
export async function change(clip, changes, done = "") {
  const made = await attempt(() => call("PATCH", `/clips/${clip.id}`, { revision: clip.revision, ...changes }));
  await attempt(() => store.refresh());
  if (made && done) say(done);
  return made;
}

export async function remove(clip) {
  const gone = await attempt(() => call("DELETE", `/clips/${clip.id}`));
  if (!gone) return;
  offer("Deleted.", "Undo", async () => {
    await attempt(() => call("POST", `/clips/${clip.id}/restore`));
    await attempt(() => store.refresh());
    say("The clip was restored.");
  });
  await attempt(() => store.refresh());
}

export async function leaveOut(clip, out = true) {
  const done = await change(clip, { left_out: out }, out ? "Left out." : "Used again.");
  if (done && out) offer("Left out of training.", "Undo", () => leaveOut({ ...clip, revision: done.revision }, false));
}

/** A player for the clip's mp4, which serves playback only. */
export async function player(clip) {
  const video = h("video", { controls: true, loop: true, muted: true, playsinline: true, class: "player", "aria-label": clipWords(clip) });
  const made = await attempt(() => blob(`/clips/${clip.id}/video`));
  if (!made) return null;
  video.src = URL.createObjectURL(made);
  video.addEventListener("emptied", () => URL.revokeObjectURL(video.src), { once: true });
  video.play().catch(() => {});
  return video;
}

const labels = () => [...store.state.labels.map((one) => [one.name, shown(one.name)])];

export function relabel(clip, close) {
  let [label, subject] = [clip.label || NONE, clip.subject];
  const people = h("input", { value: subject, maxlength: 40, list: "people", oninput: () => { subject = people.value; } });
  const save = async () => {
    if (await change(clip, { label, ...(subject.trim() && subject !== clip.subject ? { subject } : {}) }, `Relabeled as ${shown(label)}.`)) close();
  };
  return h("form", { class: "panel-row", onsubmit: (event) => { event.preventDefault(); save(); } },
    choice("Gesture", labels(), label, (value) => { label = value; }),
    h("label", { class: "field" }, h("span", {}, "Person"), people),
    h("datalist", { id: "people" }, store.state.people.map((one) => h("option", { value: one.name }))),
    h("button", { class: "quiet" }, "Save"), button("Cancel", close, { class: "link" }));
}

/** Film strip with two handles, preset from the motion. Saving changes the times of the clip, not its file. */
export function trim(clip, close) {
  const root = h("div", { class: "trim" }, h("p", { class: "small" }, "Detecting the motion."));
  attempt(() => get(`/clips/${clip.id}/motion`)).then((motion) => motion && fill(root, trimmer(clip, motion, close)));
  return root;
}

function trimmer(clip, motion, close) {
  const length = clip.file_s;
  const span = { start_s: motion.start_s, end_s: Math.min(motion.end_s, length) };
  const outside = [h("span", { class: "outside" }), h("span", { class: "outside right" })];
  const words = h("output", {});
  const redraw = () => {
    outside[0].style.inlineSize = `${(100 * span.start_s) / length}%`;
    outside[1].style.inlineSize = `${100 - (100 * span.end_s) / length}%`;
    words.textContent = `${span.start_s.toFixed(2)} to ${span.end_s.toFixed(2)} s: ${seconds(span.end_s - span.start_s)} of ${seconds(length)}`;
  };
  const handle = (name, text) => {
    const input = h("input", { type: "range", min: 0, max: length, step: 0.01, value: span[name], class: "handle", "aria-label": text });
    input.addEventListener("input", () => {
      const value = Number(input.value);
      span[name] = name === "start_s" ? Math.min(value, span.end_s - 0.2) : Math.max(value, span.start_s + 0.2);
      input.value = span[name];
      redraw();
    });
    return input;
  };
  redraw();
  const save = async () => { if (await change(clip, { ...span }, `Trimmed to ${seconds(span.end_s - span.start_s)}.`)) close(); };
  return [
    h("div", { class: "film" }, wholeStrip(clip), graph(motion, length), outside, handle("start_s", "Start"), handle("end_s", "End")),
    h("div", { class: "panel-row" }, words, button("Save", save, { class: "quiet" }),
      button("Whole clip", () => change(clip, { start_s: 0, end_s: length }, "The whole clip is used.").then((done) => done && close()), { class: "link" }),
      button("Cancel", close, { class: "link" })),
  ];
}

/** The amount of motion over time, as columns. */
function graph(motion, length) {
  const columns = h("div", { class: "motion", "aria-hidden": "true" });
  motion.motion.forEach((share, index) => {
    const column = h("span");
    column.style.insetInlineStart = `${(100 * motion.times_s[index]) / length}%`;
    column.style.blockSize = `${100 * share}%`;
    columns.append(column);
  });
  return columns;
}

/** The bar below the selected clip: its facts and actions. `open`: "", play, trim or label. */
export function toolbar(clip, open, setOpen, before = "") {
  const close = () => setOpen("");
  const act = (text, name) => button(text, () => setOpen(open === name ? "" : name), { class: "link", "aria-expanded": String(open === name), "data-key": `${name}-${clip.id}` });
  const room = h("div", { class: "room" });
  if (open === "play") player(clip).then((video) => video && room.replaceChildren(video));
  if (open === "trim") room.append(trim(clip, close));
  if (open === "label") room.append(relabel(clip, close));
  const frames = Math.round(clip.fps * clipSeconds(clip));
  return h("div", { class: "clip-bar" },
    h("div", { class: "panel-row" },
      h("p", {}, h("strong", {}, `${before}${clip.name || clip.path}`), `, ${seconds(clipSeconds(clip))}, ${frames} frames`,
        clip.lost ? `, ${clip.lost} lost` : "", clip.state === "left_out" ? ", left out" : ""),
      act("Play", "play"), act("Trim", "trim"), act("Relabel", "label"),
      clip.state === "left_out" ? button("Use it again", () => leaveOut(clip, false), { class: "link" }) : null,
      button("Delete", () => remove(clip), { class: "link danger" })),
    clip.findings.length ? h("p", { class: "small" }, h("span", { class: "tag warn" }, clip.findings[0]), " ", h("a", { href: `#check/${clip.id}` }, "Open in Check")) : null,
    room.childNodes.length || open === "play" ? room : null);
}

