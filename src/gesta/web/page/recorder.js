/** Records several clips in a row, each after a countdown, until all are done or the user stops. */

import { camera } from "./camera.js";
import { Take } from "./takes.js";
import { tone } from "./tones.js";

const TICK_MS = 50;
const STALLED_MS = 4000;
const LEAST_S = 0.5;

/** Why recording ended early: "" (Esc), "hidden", "camera". */
class Stopped extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/**
 * Events: `change` (of its state), `saved` (detail: TakeDone), `stopped` (detail: {reason, kept_s}).
 * `phase`: idle, countdown, recording, saving; `left`: seconds left in the countdown; `share`: recorded share of the clip.
 */
export class Recorder extends EventTarget {
  phase = "idle";
  plan = null;
  clip = 0;
  left = 0;
  share = 0;
  #stop = null;

  get busy() {
    return this.phase !== "idle";
  }

  /** `plan`: {label, subject, length_s, span_s, row, countdown_s, tones, folder}. Throws Refused. */
  async run(plan) {
    if (this.busy) return;
    this.plan = plan;
    this.#stop = new AbortController();
    try {
      for (this.clip = 1; this.clip <= plan.row; this.clip += 1) await this.#one(plan, this.#stop.signal);
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
      this.#tell("stopped", { reason: error.reason, kept_s: error.kept_s ?? 0 });
    } finally {
      this.#set({ phase: "idle", share: 0 });
    }
  }

  stop(reason = "") {
    this.#stop?.abort(new Stopped(reason));
  }

  #set(state) {
    Object.assign(this, state);
    this.dispatchEvent(new Event("change"));
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  async #one(plan, signal) {
    const [width, height] = camera.size;
    const { label, subject, length_s, span_s } = plan;
    const opening = Take.open({ label, subject, length_s, span_s, width, height }, plan.folder);
    opening.catch(() => {});
    try {
      await this.#countDown(plan, signal);
    } catch (error) {
      opening.then((take) => take.drop(), () => {});
      throw error;
    }
    const take = await opening;
    const { lost, reason } = await this.#film(take, plan, signal);
    this.#set({ phase: "saving" });
    this.#tell("saved", { ...(await take.finish({ lost, reason })), lost, plan });
    if (reason) throw Object.assign(new Stopped(reason), { kept_s: this.share * length_s });
  }

  async #countDown(plan, signal) {
    const end = performance.now() + plan.countdown_s * 1000;
    let before = plan.countdown_s + 1;
    for (;;) {
      if (signal.aborted) throw signal.reason;
      const left = Math.ceil((end - performance.now()) / 1000);
      if (left <= 0) return;
      if (left < before) {
        this.#set({ phase: "countdown", left });
        if (plan.tones && left <= 3) tone(660);
      }
      before = left;
      await new Promise((done) => { setTimeout(done, TICK_MS); });
    }
  }

  /** Records until the frames' times span the clip. A stopped clip is discarded; one that lost the camera is kept. */
  async #film(take, plan, signal) {
    const zero_ms = performance.now();
    let [first_us, lost, last_ms] = [null, 0, zero_ms];
    this.#set({ phase: "recording", share: 0 });
    const reason = await new Promise((done) => {
      const watch = setInterval(() => { if (performance.now() - last_ms > STALLED_MS) end("camera"); }, 500);
      const onFrame = ({ detail: frame }) => {
        if (frame.captured_ms < zero_ms) return;
        last_ms = performance.now();
        if (first_us !== null) lost += frame.lost;
        first_us ??= frame.time_us;
        const seconds = (frame.time_us - first_us) / 1e6;
        if (seconds >= plan.length_s) end("");
        else take.add(frame.time_us, camera.jpeg());
        this.#progress(Math.min(1, seconds / plan.length_s));
      };
      const onOff = () => end("camera");
      const onStop = () => end("stop");
      function end(why) {
        clearInterval(watch);
        camera.removeEventListener("frame", onFrame);
        camera.removeEventListener("off", onOff);
        signal.removeEventListener("abort", onStop);
        done(why);
      }
      camera.addEventListener("frame", onFrame);
      camera.addEventListener("off", onOff);
      signal.addEventListener("abort", onStop);
      if (signal.aborted) end("stop");
      else if (!camera.on) end("camera");
    });
    if (reason === "" && plan.tones) tone(990, 0.25);
    if (reason === "stop" || (reason === "camera" && this.share * plan.length_s < LEAST_S)) {
      await take.drop();
      throw reason === "stop" ? signal.reason : new Stopped("camera");
    }
    return { lost, reason };
  }

  #progress(share) {
    const shown = Math.floor(share * 50);
    if (shown === Math.floor(this.share * 50)) this.share = share;
    else this.#set({ share });
  }
}

export const recorder = new Recorder();

document.addEventListener("visibilitychange", () => { if (document.hidden) recorder.stop("hidden"); });
