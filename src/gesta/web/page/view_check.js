/** Check: findings, worst first, and a summary of the training data. */

import { call, get } from "./server.js";
import { bar, button, fill, h, key } from "./dom.js";
import { leaveOut, player, relabel, remove, trim } from "./clip_acts.js";
import { strip } from "./pictures.js";
import { attempt, say } from "./say.js";
import { keep } from "./settings.js";
import { store } from "./store.js";
import { clipSeconds, count, NONE, seconds, shown } from "./words.js";

const SIDE = /(^|[^a-z])(left|right|clockwise|counterclockwise)([^a-z]|$)/i;

export function open(root) {
  const view = new Check(root);
  return { redraw: () => view.redraw(), keys: view.keys };
}

class Check {
  #left = h("div", {});
  #right = h("aside", { class: "panel" });
  #train = h("div", { class: "after-panel" });
  #current = "";
  #open = "";
  #keptShown = false;
  #seen = new Map();

  constructor(root) {
    this.#wanted = location.hash.split("/")[1] ?? "";
    fill(root, h("div", { class: "split wide-left" }, this.#left, h("div", {}, this.#right, this.#train)));
  }

  #wanted;

  keys = {
    ArrowUp: () => this.#step(-1),
    ArrowDown: () => this.#step(1),
    r: () => this.#fix("record"),
    t: () => this.#fix("trim"),
    x: () => this.#fix("leave_out"),
    l: () => this.#fix("relabel"),
    p: () => this.#fix("play"),
    Delete: () => { const clip = store.clip(this.#finding?.clip); return clip ? void remove(clip) : false; },
    Escape: () => this.#setOpen(""),
  };

  get #all() {
    return store.findings.findings.filter((one) => this.#keptShown || !one.kept);
  }

  get #finding() {
    return this.#all.find((one) => one.id === this.#current);
  }

  redraw() {
    const wanted = this.#wanted && store.findings.findings.find((one) => one.clip === this.#wanted);
    if (wanted) {
      Object.assign(this, {});
      this.#current = wanted.id;
      this.#keptShown ||= wanted.kept;
      this.#wanted = "";
    }
    if (this.#left.contains(document.activeElement) && document.activeElement.matches("input, select")) return;
    if (!this.#finding) this.#current = this.#all[0]?.id ?? "";
    this.#drawList();
    this.#drawPanel();
  }

  #step(by) {
    const at = this.#all.findIndex((one) => one.id === this.#current);
    const next = this.#all[at + by];
    if (!next) return;
    this.#current = next.id;
    this.#open = "";
    this.redraw();
    const card = this.#left.querySelector(".finding.current");
    card?.scrollIntoView({ block: "nearest" });
    card?.querySelector("h2 button")?.focus({ preventScroll: true });
  }

  #setOpen(name) {
    this.#open = name;
    document.activeElement?.blur();
    this.redraw();
  }

  #drawList() {
    const { looked, of } = store.findings;
    const all = this.#all;
    const clips = new Set(all.filter((one) => one.clip).map((one) => one.clip)).size;
    const kept = store.findings.findings.length - store.findings.findings.filter((one) => !one.kept).length;
    fill(this.#left,
      h("div", { class: "head plain" }, h("h1", {}, headWords(all, clips)), h("p", { class: "muted" }, restWords(clips))),
      looked < of && h("p", { class: "small busy" }, `Checking clip ${looked + 1} of ${of}.`),
      !of && h("p", {}, "There are no clips to check yet. ", h("a", { href: "#record" }, "Record some.")),
      all.map((one) => this.#card(one)),
      kept > 0 && button(this.#keptShown ? "Hide accepted findings" : `Show ${count(kept, "accepted finding")}`,
        () => { this.#keptShown = !this.#keptShown; this.redraw(); }, { class: "link", "data-key": "kept" }));
  }

  #card(finding) {
    const clip = store.clip(finding.clip);
    const isCurrent = finding.id === this.#current;
    const choose = () => { this.#current = finding.id; this.#open = ""; this.redraw(); };
    const title = clip ? `${shown(clip.label)}, ${clip.name}` : "All clips";
    return h("article", { class: `finding card ${isCurrent ? "current" : ""} ${finding.stops ? "stops" : ""}` },
      h("div", { class: "finding-head" }, h("span", { class: "tag warn" }, finding.kind),
        h("h2", {}, button(title, choose, { class: "title", "aria-expanded": String(isCurrent), "data-key": finding.id })),
        clip && h("p", { class: "small muted end" }, `${clip.path}, ${seconds(clipSeconds(clip))}, ${Math.round(clip.fps)} frames/s`)),
      h("p", {}, finding.sentence, finding.hint && ` ${finding.hint}`),
      clip && (isCurrent ? this.#film(clip) : h("div", { class: "channels" }, h("span", { class: "channel-name" }, "video"), strip(clip))),
      isCurrent && this.#fixes(finding, clip));
  }

  #film(clip) {
    const root = h("div", { class: "channels" });
    const draw = (seen) => fill(root, h("span", { class: "channel-name" }, "video"), strip(clip, `${shown(clip.label)} by ${clip.subject}, eight frames`),
      (seen?.channels ?? []).map((one) => [h("span", { class: "channel-name" }, "network sees: ", one.name), h("img", { class: "strip seen", alt: "", src: one.url })]),
      h("span", {}), h("p", { class: "times small muted" }, h("span", {}, "0 s"), h("span", {}, seconds(clipSeconds(clip)))));
    draw(null);
    this.#seenOf(clip).then((seen) => { if (root.isConnected) draw(seen); }, () => {});
    return root;
  }

  #seenOf(clip) {
    const name = `${clip.id} ${clip.revision}`;
    if (!this.#seen.has(name)) this.#seen.set(name, get(`/clips/${clip.id}/seen`).then(withUrls));
    return this.#seen.get(name);
  }

  #fixes(finding, clip) {
    const acts = { record: ["Record again", "R"], trim: ["Trim", "T"], relabel: ["Relabel", "L"], leave_out: ["Leave out", "X"], play: ["Play", "P"] };
    const names = [...finding.fixes.filter((one) => acts[one]), ...(clip ? ["play"] : [])];
    const room = h("div", { class: "room" });
    if (clip && this.#open === "trim") room.append(trim(clip, () => this.#setOpen("")));
    if (clip && this.#open === "relabel") room.append(relabel(clip, () => this.#setOpen("")));
    if (clip && this.#open === "play") player(clip).then((video) => video && room.replaceChildren(video));
    return [h("div", { class: "panel-row" },
      names.map((one) => button([acts[one][0], " ", key(acts[one][1])], () => this.#fix(one), { class: "quiet", "data-key": `fix-${one}` })),
      (finding.fixes.includes("keep") || !finding.clip) && !finding.stops && button(finding.kept ? "Reopen" : "Accept as it is", () => this.#keep(finding), { class: "link", "data-key": "keep" }),
      h("p", { class: "small muted end keys-hint" }, key("\u2191"), " ", key("\u2193"), " previous or next finding")), room];
  }

  #fix(name) {
    const clip = store.clip(this.#finding?.clip);
    if (!clip) return false;
    if (name === "leave_out") leaveOut(clip);
    else if (name === "record") recordAgain(clip);
    else this.#setOpen(this.#open === name ? "" : name);
    return true;
  }

  async #keep(finding) {
    await attempt(() => call("PUT", `/findings/${finding.id}`, { kept: !finding.kept }));
    await attempt(() => store.refresh());
    say(finding.kept ? "Reopened." : "Accepted.");
  }

  #drawPanel() {
    const { labels, people, counts, ready } = store.state;
    const most = Math.max(1, ...labels.map((one) => one.clips));
    const sided = labels.some((one) => one.clips && SIDE.test(one.name));
    fill(this.#right, h("h2", {}, "What the network will learn from"),
      h("ul", { class: "rows" }, labels.map((one) => h("li", {}, h("span", { class: "row-name" }, shown(one.name)), bar(one.clips / most), h("span", { class: "row-number" }, String(one.clips))))),
      h("h3", {}, "People"), h("p", { class: "small" }, people.map((one, index) => `${one.name} ${one.clips}${index ? "" : " clips"}`).join(", ") || "Nobody yet."),
      h("h3", {}, "Left and right"), h("p", { class: "small muted" }, sided ? "Some labels name a side or a direction, so no clips are mirrored in training."
        : "No label names a side, so half the clips are mirrored in training. A label such as \"swipe left\" turns that off."));
    const name = ready.ok ? `Train on ${count(counts.clips, "clip")}` : ready.button || "Record first";
    const go = () => { location.hash = ready.ok ? "#train" : "#record"; };
    fill(this.#train, h("div", { class: "bar-bottom" }, button(name, go, { class: "filled full", "data-key": "train", id: "to-train" })),
      h("p", { class: "small muted" }, ready.sentence || "Clips with warnings are used unless you leave them out."));
  }
}

function headWords(all, clips) {
  if (all.length) return clips ? `${count(clips, "clip")} to check` : `${count(all.length, "finding")} about all clips`;
  return store.findings.of && store.findings.looked === store.findings.of ? "All clips are fine." : "Check";
}

function restWords(clips) {
  const { of } = store.findings;
  if (!of || !clips) return "";
  const stops = store.findings.findings.some((one) => one.stops) || !store.findings.ready.ok;
  return `${of - clips} of ${of} clips are fine. ${stops ? "Training cannot start yet." : "You can start training."}`;
}

function withUrls(seen) {
  const channels = seen.channels.map(({ name, jpeg }) => {
    const bytes = Uint8Array.from(atob(jpeg), (one) => one.charCodeAt(0));
    return { name, url: URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })) };
  });
  return { ...seen, channels };
}

/** Opens Record with this clip's gesture and person, and deletes the clip, which can be undone. */
async function recordAgain(clip) {
  keep({ label: clip.label || NONE, ...(clip.subject ? { person: clip.subject } : {}) });
  await remove(clip);
  location.hash = "#record";
}
