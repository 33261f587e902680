/** Train: idle, running, done or failed; then measuring, which is a separate job. */

import { call } from "./server.js";
import { bar, button, fill, h } from "./dom.js";
import { curves } from "./curves.js";
import { attempt, complain, say } from "./say.js";
import { OPEN, store } from "./store.js";
import { count, duration, listed } from "./words.js";

const TENTH = 0.1;

export function open(root) {
  const view = new Train(root);
  return { redraw: () => view.redraw(), keys: {} };
}

export async function startJob(body) {
  try {
    await call("POST", "/jobs", body);
  } catch (error) {
    if (error.status === 409) complain("Training is already running, started in another window.", [["Show it", () => { location.hash = "#train"; }]]);
    else complain(error.sentence ?? String(error));
  }
  await attempt(() => store.refresh());
}

const act = (job, path, method = "POST") => attempt(() => call(method, `/jobs/${job.id}${path}`)).then(() => attempt(() => store.refresh()));

class Train {
  #left = h("div", {});
  #right = h("aside", { class: "panel notes" });
  #asking = false;
  #said = -1;
  #log = null;

  constructor(root) {
    fill(root, h("div", { class: "split train" }, this.#left, this.#right));
  }

  redraw() {
    const job = store.job("train");
    const isOpen = job && OPEN.includes(job.state);
    this.#asking &&= Boolean(isOpen);
    const isMade = store.state.models.some((one) => one.id === job?.model);
    const draw = isMade && !isOpen ? this.#done : isOpen ? this.#running : { done: this.#done, stopped: this.#stopped, failed: this.#stopped, lost: this.#stopped }[job?.state] ?? this.#idle;
    fill(this.#left, draw.call(this, job));
    this.#notes(job);
    if (isOpen) this.#tell(job);
  }

  #tell(job) {
    const tenth = job.of ? Math.floor(job.done / job.of / TENTH) : 0;
    if (tenth > this.#said && tenth > 0) say(`Training, ${tenth * 10} percent`);
    this.#said = tenth;
  }

  #idle() {
    const { ready, counts, people, abilities } = store.state;
    if (!abilities.train) return [h("h1", {}, "Train"), h("p", {}, "Training is not installed: ", h("code", {}, abilities.missing))];
    if (!ready.ok) {
      return [h("h1", {}, "Nothing to train on yet"), h("p", {}, ready.sentence),
        h("div", { class: "bar-bottom" }, button(ready.button || "Record", () => { location.hash = "#record"; }, { class: "filled", "data-key": "main" }))];
    }
    return [h("h1", {}, "Train"), h("p", { class: "lead" }, `On ${count(counts.clips, "clip")} of ${listed(people.map((one) => one.name))}. ${heldOut(people.length)}`),
      ready.sentence && h("p", { class: "warning" }, ready.sentence), h("p", { class: "small muted" }, expected()), trainButton("Train")];
  }

  #running(job) {
    const share = job.of ? job.done / job.of : 0;
    const words = job.state === "waiting" ? "Waiting for the previous job" : job.state === "stopping" ? "Stopping" : !job.of ? job.doing || "Training" : `Training, ${job.unit} ${job.done} of ${job.of}`;
    return [h("div", { class: "head plain" }, h("h1", {}, words), job.left_s !== null && h("p", { class: "end big-number" }, `about ${duration(job.left_s)} left`)), bar(share, "thick"),
      h("p", { class: "small muted" }, "Afterwards each person is measured; you can try the model before that. You can close this page: training continues."),
      this.#curves(job),
      h("div", { class: "panel-row" }, button("Stop and keep the best so far", () => act(job, "/stop"), { class: "quiet", "data-key": "stop", disabled: job.state !== "running" }), this.#cancel(job),
        this.#logButton(job)), this.#log && h("pre", { class: "log", tabindex: "0", "aria-label": "Log" }, this.#log)];
  }

  #logButton(job) {
    const show = async () => {
      if (this.#log) this.#log = null;
      else this.#log = (await attempt(async () => (await import("./server.js")).blob(`/jobs/${job.id}/log`).then((made) => made.text()))) || "The log is empty.";
      this.redraw();
    };
    return button(this.#log ? "Hide the log" : "Show the log", show, { class: "link end", "data-key": "log" });
  }

  #cancel(job) {
    if (!this.#asking) return button("Cancel and discard", () => { this.#asking = true; this.redraw(); }, { class: "link danger", "data-key": "cancel" });
    return h("span", { class: "asked" }, "Discard it all? ", button("Discard", () => { this.#asking = false; act(job, "", "DELETE"); }, { class: "link danger", "data-key": "cancel" }), " ",
      button("Continue", () => { this.#asking = false; this.redraw(); }, { class: "link", "data-key": "go-on" }));
  }

  #curves(job) {
    if (job.curves.epochs.length < 2) return null;
    const { best_epoch: best, epochs, val, val_n: n, held_out: held } = job.curves;
    const share = val[epochs.indexOf(best)];
    const right = share === undefined || share === null ? "" : `, ${Math.round(share * n)} of ${count(n, "clip")}${held.length ? ` of ${listed(held)}` : ""}`;
    return h("section", { class: "card" }, h("h2", {}, "Accuracy per epoch"), curves(job),
      best !== null && h("p", { class: "small muted" }, `Best so far: epoch ${best}${right}. This only serves to choose the epoch; the accuracy to rely on will be in Results.`));
  }

  #done(job) {
    const measuring = store.job("measure", ...OPEN);
    const model = store.model(job.model);
    const { newer_clips: newer = 0, measured = false, everyone = false } = model ?? {};
    const title = job.state === "done" ? `Trained in ${duration(job.seconds)}.` : `Stopped after epoch ${job.done}. The best so far is kept.`;
    return [h("h1", {}, title),
      measuring ? [h("p", {}, `Measuring: ${measuring.done} of ${count(measuring.of, "person", "people")} measured. Each is held out once.`), bar(measuring.of ? measuring.done / measuring.of : 0, "thick")]
        : h("p", {}, measured ? ["Measured: ", h("a", { href: "#results" }, "see Results"), "."] : ["Not measured yet: ", h("a", { href: "#results" }, "see Results"), "."]),
      newer > 0 && h("p", { class: "warning" }, `${count(newer, "clip")} ${newer === 1 ? "is" : "are"} newer than this model.`),
      h("div", { class: "panel-row bar-bottom" }, button("Try it", () => { location.hash = `#try/${job.model}`; }, { class: "filled", "data-key": "main", id: "to-try" }),
        button("Train again", () => startJob({ kind: "train" }), { class: "quiet", "data-key": "again" }),
        measured && !everyone && button("Train on everyone now", () => startJob({ kind: "train", everyone: true }), { class: "link", "data-key": "everyone" })),
      this.#curves(job)];
  }

  #stopped(job) {
    const title = { stopped: "Training was stopped.", failed: "Training failed.", lost: "Training was interrupted." }[job.state];
    return [h("h1", {}, title), job.error && h("p", { class: "warning", role: "alert" }, job.error.error, job.error.hint && ` ${job.error.hint}`),
      h("div", { class: "panel-row bar-bottom" }, job.resumable ? button(`Continue from epoch ${job.done}`, () => act(job, "/resume"), { class: "filled", "data-key": "main" }) : trainButton("Train again"),
        job.resumable && button("Train from the start", () => startJob({ kind: "train" }), { class: "quiet", "data-key": "again" }), this.#logButton(job)),
      this.#log && h("pre", { class: "log", tabindex: "0", "aria-label": "Log" }, this.#log), this.#curves(job)];
  }

  #notes(job) {
    this.#right.hidden = !job?.notes.length;
    fill(this.#right, h("h2", {}, "What auto chose, and why"), (job?.notes ?? []).map((note) => h("section", { class: "note" }, h("h3", {}, note.title), h("p", { class: "small muted" }, note.reason))));
  }
}

function trainButton(text) {
  return h("div", { class: "bar-bottom" }, button(text, () => startJob({ kind: "train" }), { class: "filled", "data-key": "main", id: "train" }));
}

function heldOut(people) {
  if (people < 2) return "There is only one person: the result says little about others.";
  if (people < 3) return "Nobody is held out in this training; afterwards each person is held out once to measure the accuracy.";
  return "One person in five is held out to choose the epoch; afterwards each person is held out once to measure the accuracy.";
}

function expected() {
  const { newest } = store;
  return newest?.seconds ? `The last training took ${duration(newest.seconds)}.` : "It takes 3 to 5 minutes on two cores. You can close the page meanwhile.";
}
