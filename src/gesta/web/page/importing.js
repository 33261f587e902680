/** Importing of existing videos, dropped or chosen; a folder's name is the label. */

import { call } from "./server.js";
import { button, choice, fill, h } from "./dom.js";
import { addLabel } from "./clip_list.js";
import { say } from "./say.js";
import { settings } from "./settings.js";
import { store } from "./store.js";
import { count, NONE, shown } from "./words.js";

const KINDS = ".mp4,.avi,.mov,.mkv,.webm,.zip,video/*";

/** [{file, folder}] of everything dropped, including the files inside folders. */
async function dropped(items) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  return (await Promise.all(entries.map((entry) => walk(entry, "")))).flat();
}

async function walk(entry, folder) {
  if (entry.isFile) return [{ file: await new Promise((done, fail) => { entry.file(done, fail); }), folder }];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, fail) => { reader.readEntries(done, fail); });
    if (!some.length) break;
    found.push(...(await Promise.all(some.map((one) => walk(one, entry.name)))));
  }
  return found.flat();
}

const chosen = (files) => [...files].map((file) => ({ file, folder: file.webkitRelativePath.split("/").at(-2) ?? "" }));

/** An area to drop videos on. `more`: the content above its text. */
export function importer(more) {
  const report = h("div", { class: "report", role: "status" });
  const files = h("input", { type: "file", multiple: true, accept: KINDS, class: "unseen", tabindex: "-1", "aria-hidden": "true", onchange: () => take(chosen(files.files)) });
  const folder = h("input", { type: "file", class: "unseen", tabindex: "-1", "aria-hidden": "true", webkitdirectory: true, onchange: () => take(chosen(folder.files)) });
  const take = (found) => found.length && plan(report, found);
  const zone = h("section", { class: "drop" }, more,
    h("p", {}, "Drop files or a folder here, one folder for each gesture, or ", button("choose files", () => files.click(), { class: "inline" }), " or ",
      button("a folder", () => folder.click(), { class: "inline" }), ". mp4, avi, mov, mkv or webm, up to 200 MB each."),
    files, folder, report);
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take(await dropped(event.dataTransfer.items));
  });
  return zone;
}

/** Files in a folder get its name as label; for the others it asks for one. */
function plan(report, found) {
  const known = (name) => (name.toLowerCase() === "nothing" ? NONE : name);
  const loose = found.filter((one) => !one.folder && !one.file.name.endsWith(".zip"));
  const go = (label) => send(report, found.map((one) => ({ file: one.file, label: one.folder ? known(one.folder) : label })));
  if (!loose.length) return go(NONE);
  let label = store.state.labels[0]?.name ?? NONE;
  const names = store.state.labels.map((one) => [one.name, shown(one.name)]);
  return fill(report, h("div", { class: "panel-row" }, choice(`Gesture in ${count(loose.length, "file")}`, names, label, (value) => { label = value; }),
    button("Import", () => go(label), { class: "quiet" })));
}

async function send(report, found) {
  const refused = [];
  let saved = 0;
  for (const [index, { file, label }] of found.entries()) {
    fill(report, h("p", { class: "small" }, `${index + 1} of ${found.length}: ${file.name}`));
    try {
      const answer = await sendOne(file, label);
      saved += answer.clips.length;
      refused.push(...answer.refused);
    } catch (error) {
      refused.push({ name: file.name, reason: error.sentence ?? String(error) });
    }
  }
  await store.refresh();
  const words = `${count(saved, "clip")} imported${refused.length ? `, ${count(refused.length, "file")} refused` : ""}.`;
  fill(report, h("p", {}, h("strong", {}, words)), h("ul", { class: "small" }, refused.map((one) => h("li", {}, `${one.name}: ${one.reason}`))));
  say(words);
}

async function sendOne(file, label) {
  const limit = store.state.limits.import_bytes;
  if (file.size > limit) return { clips: [], refused: [{ name: file.name, reason: `larger than ${Math.round(limit / 2 ** 20)} MB.` }] };
  await addLabel(label);
  const query = new URLSearchParams({ label, subject: settings.person, name: file.name });
  return call("POST", `/imports?${query}`, file);
}
