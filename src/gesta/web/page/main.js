/** The frame of the page: steps with their tags, the current view, theme and keyboard. */

import { keepToken } from "./server.js";
import { button, fill, h } from "./dom.js";
import { onKey, showKeys } from "./keys.js";
import { complain, say } from "./say.js";
import { keep, settings } from "./settings.js";
import { OPEN, store } from "./store.js";
import { percent } from "./words.js";
import { resend } from "./takes.js";
import * as record from "./view_record.js";
import * as check from "./view_check.js";
import * as train from "./view_train.js";
import * as tryIt from "./view_try.js";
import * as results from "./view_results.js";
import * as exporting from "./view_export.js";

/** A view: `open(root)` draws and returns {redraw, close, keys}. */
const STEPS = [
  ["record", "Record", record],
  ["check", "Check", check],
  ["train", "Train", train],
  ["try", "Try", tryIt],
  ["results", "Results", results],
  ["export", "Export", exporting],
];
const main = document.getElementById("main");
let shown = null;
let current = "";

function tagOf(step) {
  const { counts } = store.state;
  const clips = counts.clips + counts.left_out;
  if (step === "record" && clips) return [String(clips), "count", `${clips} clips`];
  if (step === "check" && store.toLookAt) return [String(store.toLookAt), "warn", `${store.toLookAt} to check`];
  const job = { train: "train", results: "measure", export: "export" }[step];
  const running = job && store.job(job, ...OPEN);
  if (!running) return null;
  const share = running.of ? running.done / running.of : 0;
  return [percent(share), "run", `${percent(share)} done`];
}

function step([name, text]) {
  const tag = tagOf(name);
  return h("a", { href: `./#${name}`, "aria-current": name === current ? "page" : undefined, "data-key": name },
    h("span", { class: "step" }, text),
    tag && h("span", { class: `tag ${tag[1]}`, title: tag[2] }, tag[0]));
}

function redraw() {
  if (!store.state) return;
  document.getElementById("folder").textContent = store.state.folder;
  document.title = `${STEPS.find(([name]) => name === current)?.[1] ?? ""} - ${store.state.folder} - gesta studio`;
  fill(document.getElementById("steps"), STEPS.map(step));
  shown?.redraw();
}

function go() {
  const wanted = location.hash.slice(1).split("/")[0];
  const [name, , view] = STEPS.find(([one]) => one === wanted) ?? STEPS[0];
  if (name !== current) {
    shown?.close?.();
    main.replaceChildren();
    current = name;
    main.dataset.view = name;
    shown = view.open(main);
    scrollTo(0, 0);
  }
  redraw();
}

function theme(value) {
  if (value) document.documentElement.dataset.theme = value;
  const dark = value ? value === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.getElementById("theme").onclick = () => {
    keep({ theme: dark ? "light" : "dark" });
    theme(settings.theme);
    dispatchEvent(new Event("theme"));
  };
}

async function begin() {
  try {
    await store.start();
  } catch (error) {
    fill(main, h("section", { class: "narrow" }, h("h1", {}, "gesta studio is not responding"),
      h("p", { class: "lead" }, error.sentence ?? String(error)), button("Try again", begin, { class: "filled" })));
    return;
  }
  main.replaceChildren();
  store.addEventListener("change", redraw);
  addEventListener("hashchange", go);
  go();
  const ended = await resend(store.state.folder).catch(() => []);
  if (ended.length) {
    say("Clips that had not been sent are saved now.");
    await store.refresh();
  }
}

keepToken();
theme(settings.theme);
document.getElementById("help").onclick = showKeys;
addEventListener("keydown", (event) => onKey(event, shown?.keys ?? {}));
addEventListener("unhandledrejection", (event) => complain(event.reason?.sentence ?? String(event.reason?.message ?? event.reason)));
begin();
