/** The camera: frames with their capture times, frame rate, brightness and lost frames. */

import { h } from "./dom.js";

const LONGEST = 640;
const LIGHT_MS = 500;
const LIGHT_SIZE = [32, 24];
export const QUALITY = 0.9;

const FAULTS = {
  NotReadableError: "The camera is in use by another program.",
  AbortError: "The camera is in use by another program.",
  NotAllowedError: "Permission was refused. Allow the camera in the address bar.",
  NotFoundError: "No camera was found. Connect one.",
};
const INSECURE = "This page needs https or 127.0.0.1 for the camera. Start gesta studio with --cert.";

/** Events: `on`, `off` (detail: whether the camera was lost), `frame` (detail: {time_us, callback_ms, lost}). */
export class Camera extends EventTarget {
  video = h("video", { muted: true, playsinline: true, autoplay: true, class: "mirrored", "aria-label": "Camera image, mirrored" });
  facing = "user";
  brightness = null;
  many = false;
  #stream = null;
  #canvas = document.createElement("canvas");
  #light = Object.assign(document.createElement("canvas"), { width: LIGHT_SIZE[0], height: LIGHT_SIZE[1] });
  #times = [];
  #clock = "";
  #last = { presented: 0, time_us: -1, light_ms: 0 };
  #best = 0;

  get on() {
    return this.#stream !== null;
  }

  /** Width and height of the frames that are sent: even, the longest side at most 640. */
  get size() {
    const { videoWidth: width, videoHeight: height } = this.video;
    const scale = Math.min(1, LONGEST / Math.max(width, height, 1));
    return [width, height].map((side) => Math.max(2, 2 * Math.round((side * scale) / 2)));
  }

  /** Frames per second, over the last second. */
  get rate() {
    const recent = this.#times.filter((one) => one > performance.now() - 1000);
    return recent.length;
  }

  /** Whether the frame rate has dropped clearly and the image is rather dark. */
  get slowed() {
    return this.#best > 0 && this.rate < 0.7 * this.#best && this.brightness !== null && this.brightness < 80;
  }

  /** Whether frames have arrived for long enough to measure the rate. */
  get steady() {
    return this.#times.length > 0 && performance.now() - this.#started > 1500;
  }

  #started = 0;

  /** Turns the camera on. Throws an Error with a message for the user. */
  async start() {
    if (this.on) return;
    if (!navigator.mediaDevices?.getUserMedia) throw new Error(INSECURE);
    try {
      const wanted = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, facingMode: this.facing };
      this.#begin(await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false }));
    } catch (error) {
      throw new Error(FAULTS[error.name] ?? `The camera provides no image (${error.name}).`, { cause: error });
    }
    await new Promise((done) => {
      if (this.video.videoWidth) done();
      else this.video.addEventListener("loadedmetadata", done, { once: true });
    });
    const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    this.many = devices.filter((one) => one.kind === "videoinput").length > 1;
    this.dispatchEvent(new Event("on"));
  }

  #begin(stream) {
    this.#stream = stream;
    this.#times = [];
    this.#clock = "";
    this.#best = 0;
    this.#last = { presented: 0, time_us: -1, light_ms: 0 };
    this.#started = performance.now();
    stream.getVideoTracks()[0].addEventListener("ended", () => this.stop(true));
    this.video.srcObject = stream;
    this.video.play().catch(() => {});
    this.#wait(stream);
  }

  stop(vanished = false) {
    if (!this.#stream) return;
    this.#stream.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.video.srcObject = null;
    this.brightness = null;
    this.dispatchEvent(new CustomEvent("off", { detail: vanished }));
  }

  async turn() {
    this.facing = this.facing === "user" ? "environment" : "user";
    this.stop();
    await this.start();
  }

  #wait(stream) {
    this.video.requestVideoFrameCallback((now, facts) => {
      if (this.#stream !== stream) return;
      this.#wait(stream);
      this.#frame(now, facts);
    });
  }

  #frame(now, facts) {
    this.#clock ||= facts.captureTime === undefined ? "mediaTime" : "captureTime";
    const time_us = this.#clock === "captureTime" ? Math.round(facts.captureTime * 1e3) : Math.round(facts.mediaTime * 1e6);
    if (!(time_us > this.#last.time_us)) return;
    const lost = this.#last.presented ? facts.presentedFrames - this.#last.presented - 1 : 0;
    Object.assign(this.#last, { presented: facts.presentedFrames, time_us });
    this.#times = [...this.#times.filter((one) => one > now - 1000), now];
    if (this.steady) this.#best = Math.max(this.#best, this.rate);
    if (now - this.#last.light_ms > LIGHT_MS) this.#measureLight(now);
    const captured_ms = this.#clock === "captureTime" ? facts.captureTime : now;
    this.dispatchEvent(new CustomEvent("frame", { detail: { time_us, captured_ms, lost } }));
  }

  #measureLight(now) {
    this.#last.light_ms = now;
    const context = this.#light.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.video, 0, 0, ...LIGHT_SIZE);
    const { data } = context.getImageData(0, 0, ...LIGHT_SIZE);
    let sum = 0;
    for (let at = 0; at < data.length; at += 4) sum += 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
    this.brightness = sum / (data.length / 4);
  }

  /** The current image as a JPEG, not mirrored. Its pixels are copied at once and encoded in the background. */
  jpeg() {
    const [width, height] = this.size;
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    this.#canvas.getContext("2d", { alpha: false }).drawImage(this.video, 0, 0, width, height);
    return new Promise((done, fail) => {
      this.#canvas.toBlob((made) => (made ? done(made) : fail(new Error("The browser could not encode a JPEG image."))), "image/jpeg", QUALITY);
    });
  }
}

export const camera = new Camera();

/** The light in words: [short state, warning], both empty while it is unknown. */
export function lightWords(brightness) {
  if (brightness === null) return ["", ""];
  if (brightness < 40) return ["dim", "Dim. Turn on a light in front of you."];
  if (brightness > 225) return ["too bright", "Too bright. Is the light behind you?"];
  return ["good", ""];
}

export function cameraWarnings(one) {
  const warnings = [];
  if (one.steady && one.rate < 12) warnings.push(`Only ${one.rate} frames/s. Fast gestures will be blurred. More light usually helps.`);
  else if (one.steady && one.slowed) warnings.push("The camera slows down in this light.");
  const [, light] = lightWords(one.brightness);
  return light ? [...warnings, light] : warnings;
}
