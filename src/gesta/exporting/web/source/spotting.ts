/** Runs a spotting model on a stream: joints in, events out, a prediction per frame (gesta.tasks.spotting.predict). */

import type { Answer, Joints } from "./clips.js";
import { Decoder } from "./decoder.js";
import type { GestureEvent } from "./decoder.js";
import type { SpottingModel } from "./model.js";
import type { Network } from "./network.js";
import { Normalizer } from "./skeleton.js";
import type { Skeleton } from "./skeleton.js";

export class SpottingFollower {
  private readonly normalizer: Normalizer;
  private readonly decoder: Decoder;
  private startS: number | null = null;
  private last: { timeS: number; skeleton: Skeleton } | null = null;
  private frames = 0; // seen by the network

  /** `onAnswer` is called with every prediction, also without a gesture, and the time of the frame it refers to. */
  constructor(
    private readonly model: SpottingModel,
    private readonly network: Network,
    private readonly onAnswer: (answer: Answer) => void,
  ) {
    this.normalizer = new Normalizer(model.space);
    this.decoder = new Decoder(model.decoder, model.labels);
  }

  /** Takes a skeleton and its time in seconds; returns the events decided by it. Between frames the last one is used. */
  async push({ skeleton }: Joints, timeS: number): Promise<GestureEvent[]> {
    const before = this.last;
    if (before !== null && !(timeS > before.timeS)) {
      throw new Error(`A skeleton at ${timeS} s comes after one at ${before.timeS} s. Times must increase.`);
    }
    const events: GestureEvent[] = [];
    if (before !== null && timeS - before.timeS > this.model.pause_s) events.push(...(await this.finish()));
    if (this.startS === null) this.startS = timeS;
    else if (before !== null) events.push(...(await this.see(before.skeleton, this.until(timeS, false))));
    this.last = { timeS, skeleton };
    events.push(...(await this.see(skeleton, this.until(timeS, true))));
    return events;
  }

  /** Ends the events in progress at the last frame and returns them. Then the stream starts again. */
  async finish(): Promise<GestureEvent[]> {
    if (this.last === null) return [];
    const seenS = (this.frames - 1) / this.model.fps;
    const events = await this.see(this.last.skeleton, this.frames + this.model.delay_frames, seenS);
    events.push(...this.decoder.finish().map((event) => this.real(event, seenS)));
    this.network.reset();
    this.normalizer.reset();
    this.last = this.startS = null;
    this.frames = 0;
    return events;
  }

  /** How many frames the network has seen once it has all frames before a time, or up to it. */
  private until(timeS: number, inclusive: boolean): number {
    const place = (timeS - this.startS!) * this.model.fps;
    return inclusive ? Math.floor(place + 1e-6) + 1 : Math.ceil(place - 1e-6);
  }

  /** Repeats the frame until the network has seen `until` frames. */
  private async see(skeleton: Skeleton, until: number, seenS?: number): Promise<GestureEvent[]> {
    const { fps, delay_frames, space } = this.model;
    const count = until - this.frames;
    if (count <= 0) return [];
    const rows = Array.from({ length: count }, () => this.normalizer.next(skeleton));
    const found = await this.network.run(feedOf(rows, space.joints.length, space.dimensions));
    const events: GestureEvent[] = [];
    found.forEach((probabilities, i) => {
      const about = this.frames + i - delay_frames; // the frame that the prediction refers to
      if (about < 0) return;
      this.onAnswer({ timeS: this.startS! + about / fps, probabilities });
      events.push(...this.decoder.step(about / fps, probabilities));
    });
    this.frames = until;
    return events.map((event) => this.real(event, seenS ?? (until - 1) / fps));
  }

  /** Converts an event to the clock of the frames; it is decided after the network's delay. */
  private real(event: GestureEvent, seenS: number): GestureEvent {
    const decidedS = Math.min(event.decidedS + this.model.delay_frames / this.model.fps, seenS);
    const [start, end, decided] = [event.startS, event.endS, decidedS].map((timeS) => round6(timeS + this.startS!));
    return { ...event, startS: start, endS: end, decidedS: decided };
  }
}

function round6(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}

/** Normalized frames with 0 for missing joints, and the mask of visible joints. */
function feedOf(rows: Float32Array[], joints: number, dimensions: number) {
  const skeleton = new Float32Array(rows.length * joints * dimensions);
  const mask = new Float32Array(rows.length * joints);
  rows.forEach((row, t) => {
    for (let joint = 0; joint < joints; joint++) {
      const point = row.subarray(joint * dimensions, (joint + 1) * dimensions);
      if (!point.every(Number.isFinite)) continue;
      skeleton.set(point, (t * joints + joint) * dimensions);
      mask[t * joints + joint] = 1;
    }
  });
  return {
    skeleton: { data: skeleton, shape: [1, rows.length, joints, dimensions] },
    mask: { data: mask, shape: [1, rows.length, joints] },
  };
}
