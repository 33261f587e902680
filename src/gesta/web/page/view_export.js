/** Export: bundle, ONNX, web page and clips; the main lines of the model card; the command to use the model. */

import { download } from "./server.js";
import { button, choice, fill, h } from "./dom.js";
import { attempt, say } from "./say.js";
import { OPEN, store } from "./store.js";
import { startJob } from "./view_train.js";
import { bytes, count, duration, modelName } from "./words.js";

const KINDS = {
  bundle: ["Bundle for gesta", () => "Weights, labels, thresholds and the model card. For gesta live, gesta predict and Python."],
  onnx: ["ONNX with preprocessing", () => "Takes camera frames with their times and keeps its own state. Includes run.py (numpy and onnxruntime), and sample input and output to compare with."],
  web: ["Web page", () => "A folder with a page that runs the model in the browser alone. Put it on any web server with https."],
  clips: ["Clips", () => `The ${count(store.state.counts.clips, "clip")} with index.csv, as gesta train reads them. They show the people you recorded: ask for their consent first.`],
};

export function open(root) {
  const view = new Export(root);
  return { redraw: () => view.redraw(), keys: {} };
}

class Export {
  constructor(root) {
    this.root = root;
    this.wanted = location.hash.split("/")[1] ?? "";
  }

  redraw() {
    const model = store.state.models.find((one) => one.id === this.wanted) ?? store.newest;
    if (!model) {
      fill(this.root, h("h1", {}, "Train a model first."), h("p", {}, "Then you can export it as a bundle, as ONNX or as a web page."),
        h("div", { class: "bar-bottom" }, button("Go to Train", () => { location.hash = "#train"; }, { class: "filled", "data-key": "main" })));
      return;
    }
    const models = store.state.models.filter((one) => !one.demo).map((one) => [one.id, modelName(one)]);
    fill(this.root, h("div", { class: "split export" }, h("div", {},
      h("div", { class: "head plain" }, h("h1", {}, "Take it with you"), choice("Model", models, model.id, (id) => { this.wanted = id; this.redraw(); }, { "data-key": "model" })),
      model.files.map((file) => this.#file(model, file)), model.command && this.#command(model)), card(model)));
  }

  #file(model, file) {
    const [title, words] = KINDS[file.to];
    const jobs = store.state.jobs.filter((one) => one.kind === "export" && one.model === model.id && one.to === file.to);
    const job = jobs.find((one) => OPEN.includes(one.state));
    const failed = !file.there && jobs[0]?.state === "failed" ? jobs[0].error : null;
    const size = file.bytes ? `${file.there ? "" : "about "}${bytes(file.bytes)}` : "";
    const facts = file.there ? [`${file.name}${size ? `, ${size}` : ""}`, file.note && h("span", { class: "muted" }, ` \u00b7 ${file.note}`)] : [`Not created yet${size ? `, ${size}` : ""}`, file.note && `, ${file.note}`];
    return h("section", { class: "file" }, h("div", {}, h("h2", {}, title), h("p", { class: "small muted" }, words()),
      h("p", { class: "small" }, job ? busy(file, job) : facts), failed && h("p", { class: "warning" }, failed.error, " ", failed.hint)),
    this.#act(model, file, job));
  }

  #act(model, file, job) {
    const given = { class: file.to === "bundle" ? "filled" : "quiet", "data-key": file.to, id: `get-${file.to}` };
    const made = file.there ? button("Download", () => this.#download(model, file), given)
      : button(job ? "Creating" : "Create", () => startJob({ kind: "export", model: model.id, to: file.to }), { ...given, disabled: Boolean(job) });
    return file.to === "bundle" ? h("div", { class: "bar-bottom" }, made) : made;
  }

  async #download(model, file) {
    say(`Downloading ${file.name}`);
    await attempt(() => download(`/models/${model.id}/files/${encodeURIComponent(file.name)}`, file.name));
  }

  #command(model) {
    const copied = h("span", { class: "small muted", role: "status" });
    const copy = async () => {
      await attempt(() => navigator.clipboard.writeText(model.command));
      copied.textContent = "Copied.";
    };
    return h("section", { class: "command" }, h("h2", {}, "Or use it on this computer"), h("div", { class: "command-row" }, h("code", { tabindex: "0" }, model.command), button("Copy", copy, { class: "quiet", "data-key": "copy" })), copied);
  }
}

function busy(file, job) {
  const what = { bundle: "the bundle", onnx: "the ONNX files", web: "the web page", clips: "the archive of clips" }[file.to];
  return `Creating ${what}, ${duration(job.seconds)}.`;
}

function card(model) {
  return h("aside", { class: "panel" }, h("h2", {}, "From the model card"),
    h("dl", { class: "lines" }, model.card.map((line) => h("div", {}, h("dt", {}, line.name), h("dd", {}, line.value)))),
    h("p", { class: "small muted" }, "The bundle contains no names of people, only fingerprints, so that gesta can warn if the model is tested on someone it was trained on."));
}

