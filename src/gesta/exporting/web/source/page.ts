/** The page: camera, current prediction and event log. Everything stays on this computer. */

import { load } from "./gesta.js";
import type { Answer, Check, GestureEvent, Recognizer } from "./gesta.js";
import { argmax } from "./numbers.js";

const SHOWN_EVENTS = 100;
const BARS = 8;
const RATE_MS = 2000;

function element<E extends HTMLElement>(id: string): E {
  return document.getElementById(id) as E;
}

function say(text: string, state: "busy" | "good" | "bad" = "busy"): void {
  const line = element("status");
  line.textContent = text;
  line.dataset["state"] = state;
}

/** Describes a camera error and what to do. */
function cameraError(error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError") return "Access to the camera was denied. Allow it in the address bar, then start again.";
  if (name === "NotFoundError") return "No camera was found. Connect one, then start again.";
  if (name === "NotReadableError") return "Another program is using the camera. Close it, then start again.";
  return `The camera did not start (${error}).`;
}

/** Shows the label, and bars with the probabilities of the most likely classes. */
function showAnswer(model: Recognizer, { probabilities }: Answer): void {
  const best = argmax(probabilities);
  const { none, on } = model.model.decoder;
  const sure = model.labels[best] !== none && probabilities[best] >= on;
  element("now").textContent = sure ? model.labels[best] : "–";
  const order = probabilities.map((_, i) => i).sort((a, b) => probabilities[b] - probabilities[a]);
  element("bars").replaceChildren(...order.slice(0, BARS).map((i) => bar(model.labels[i], probabilities[i])));
}

function bar(label: string, value: number): HTMLElement {
  const row = document.createElement("li");
  const meter = document.createElement("meter");
  meter.value = value;
  meter.setAttribute("aria-label", label);
  row.append(text("span", label), meter, text("span", `${Math.round(100 * value)} %`));
  return row;
}

function text(tag: string, content: string): HTMLElement {
  const made = document.createElement(tag);
  made.textContent = content;
  return made;
}

class Log {
  private startS: number | null = null;

  add(events: GestureEvent[], nowS: number): void {
    this.startS ??= nowS;
    for (const { label, startS, endS, confidence } of events) {
      const row = document.createElement("li");
      const since = Math.max(0, startS - this.startS).toFixed(1);
      row.append(text("b", label), ` at ${since} s for ${(endS - startS).toFixed(1)} s, ${Math.round(100 * confidence)} %`);
      element("events").prepend(row);
      element("nothing").hidden = true;
    }
    while (element("events").children.length > SHOWN_EVENTS) element("events").lastElementChild?.remove();
  }
}

/** Shows how many frames per second the model has processed recently. */
class Rate {
  private times: number[] = [];

  count(nowMs: number): void {
    this.times = [...this.times.filter((time) => nowMs - time < RATE_MS), nowMs];
    const spanMs = nowMs - this.times[0];
    if (spanMs > RATE_MS / 2) {
      element("rate").textContent = `${Math.round((1000 * (this.times.length - 1)) / spanMs)} frames/s`;
    }
  }
}

class Camera {
  private stream: MediaStream | null = null;
  private readonly video = element<HTMLVideoElement>("video");
  private readonly canvas = document.createElement("canvas");
  private readonly context = this.canvas.getContext("2d", { willReadFrequently: true })!;
  private readonly log = new Log();
  private readonly rate = new Rate();
  private busy = false;

  constructor(private readonly model: Recognizer) {}

  get running(): boolean {
    return this.stream !== null;
  }

  async start(): Promise<void> {
    this.stream = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } },
    });
    this.stream.getVideoTracks()[0].addEventListener("ended", () => {
      void this.stop();
      say("The camera was disconnected. Connect it, then start again.", "bad");
    });
    this.video.srcObject = this.stream;
    await this.video.play();
    this.next();
  }

  async stop(): Promise<void> {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = this.video.srcObject = null;
    this.log.add(await this.model.finish(), 0);
    showRunning(false);
  }

  /** Processes the newest frame; frames that arrive while the network is busy are skipped. */
  private next(): void {
    this.video.requestVideoFrameCallback((nowMs, frame) => {
      if (!this.running) return;
      this.next();
      if (!this.busy) void this.see((frame.captureTime ?? nowMs) / 1000);
    });
  }

  private async see(timeS: number): Promise<void> {
    this.busy = true;
    const { videoWidth: width, videoHeight: height } = this.video;
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    try {
      this.context.drawImage(this.video, 0, 0);
      this.log.add(await this.model.push(this.context.getImageData(0, 0, width, height), timeS), timeS);
      this.rate.count(performance.now());
    } catch (error) {
      await this.stop();
      say(`${error}`, "bad");
    } finally {
      this.busy = false;
    }
  }
}

function showRunning(running: boolean): void {
  element("start").textContent = running ? "Stop" : "Start the camera";
  element("picture").dataset["running"] = String(running);
  if (!running) element("rate").textContent = "";
}

function checked({ same, label, expected, largestDifference }: Check): void {
  const apart = largestDifference.toPrecision(2);
  if (same) say(`Ready. On the built-in example, this browser gives the same result as gesta (difference ${apart}).`, "good");
  else {
    say(`This browser does not give the same result as gesta: ${label} instead of ${expected}, difference ${apart}. Do not rely on it; try another browser.`, "bad");
  }
}

/** Connects the button that starts and stops the camera. */
function connect(model: Recognizer): void {
  const camera = new Camera(model);
  const button = element<HTMLButtonElement>("start");
  model.onAnswer = (answer) => showAnswer(model, answer);
  button.disabled = false;
  button.addEventListener("click", () => {
    if (camera.running) {
      void camera.stop().then(() => say("Stopped.", "good"));
      return;
    }
    say("Waiting for the camera.");
    camera.start().then(
      () => {
        showRunning(true);
        say("The camera is on. Nothing is stored or sent.", "good");
      },
      (error) => say(cameraError(error), "bad"),
    );
  });
}

async function main(): Promise<void> {
  const model = await load(new URL("./", document.baseURI));
  document.title = model.model.name;
  element("name").textContent = model.model.name;
  element("summary").textContent = model.model.summary;
  checked(await model.check());
  if (!model.takesPictures) {
    element("joints").hidden = false;
    element("picture").hidden = true;
  } else if (navigator.mediaDevices === undefined) {
    say("Browsers give the camera only to pages from https or localhost. Open this page from one of these.", "bad");
  } else {
    connect(model);
  }
}

main().catch((error) => say(`The model could not be opened. ${error instanceof Error ? error.message : error}`, "bad"));
