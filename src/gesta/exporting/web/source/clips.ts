/** Runs a clip model on a stream: frames in, a prediction after each chunk (gesta.tasks.clips.stream and follow). */

import { Ticker } from "./clock.js";
import type { Chunk } from "./clock.js";
import { Decoder } from "./decoder.js";
import type { GestureEvent } from "./decoder.js";
import type { Picture } from "./image.js";
import type { ClipModel } from "./model.js";
import type { Feed, Network } from "./network.js";
import { Cropper, Planes } from "./pixels.js";
import { Normalizer } from "./skeleton.js";
import type { Skeleton } from "./skeleton.js";

/** Probabilities in the order of the labels, and the time up to which they apply. */
export interface Answer {
  timeS: number;
  probabilities: number[];
}

export interface Joints {
  skeleton: Skeleton;
  confidence: ArrayLike<number> | null;
}

/** The model's input for one frame: the planes of its channels one after another, or joints. */
type Seen = Uint8Array | Float32Array;

/** Turns frames into the network's input. */
interface Maker<F> {
  reset(): void;
  chunk(frames: F[]): Seen[];
  feed(frames: Seen[], length: number): { data: Uint8Array | Float32Array; shape: number[] };
}

export class ClipFollower<F extends Picture | Joints> {
  private readonly ticker: Ticker<F>;
  private readonly decoder: Decoder;
  private ring: Seen[] = [];
  private chunks = 0;
  private decodedS = -1;
  private readonly halfS: number;

  /** `onAnswer` is called with every prediction, also without a gesture. */
  constructor(
    private readonly model: ClipModel,
    private readonly network: Network,
    private readonly maker: Maker<F>,
    private readonly onAnswer: (answer: Answer) => void,
  ) {
    this.ticker = new Ticker(model.timing);
    this.halfS = model.timing.chunk / model.timing.fps / 2;
    this.decoder = new Decoder(model.decoder, model.labels);
  }

  /** Takes a frame and its time in seconds; returns the events decided by it. */
  async push(frame: F, timeS: number): Promise<GestureEvent[]> {
    return this.see(this.ticker.push(frame, timeS));
  }

  /** Ends the events in progress and returns them. Then the stream starts again. */
  async finish(): Promise<GestureEvent[]> {
    const events = await this.see(this.ticker.flush());
    this.maker.reset();
    this.clear();
    this.chunks = 0;
    this.decodedS = -1;
    return [...events, ...this.real(this.decoder.finish())];
  }

  private async see(chunks: Chunk<F>[]): Promise<GestureEvent[]> {
    const events: GestureEvent[] = [];
    for (const { frames, endS } of chunks) {
      const [probabilities] = await this.answer(this.maker.chunk(frames));
      this.onAnswer({ timeS: endS, probabilities });
      const middleS = endS - this.halfS; // a prediction refers to the middle of its chunk
      if (middleS <= this.decodedS) continue;
      this.decodedS = middleS;
      events.push(...this.real(this.decoder.step(middleS, probabilities)));
    }
    return events;
  }

  /** Extends events between middles of chunks to the start of their first and the end of their last chunk. */
  private real(events: GestureEvent[]): GestureEvent[] {
    return events.map(({ startS, endS, decidedS, ...event }) => {
      return { ...event, startS: startS - this.halfS, endS: endS + this.halfS, decidedS: decidedS + this.halfS };
    });
  }

  private answer(frames: Seen[]): Promise<number[][]> {
    const { reset_after_chunks, sampling, window, timing } = this.model;
    if (reset_after_chunks !== null && this.chunks === reset_after_chunks) {
      this.clear();
      this.chunks = 0;
    }
    this.chunks++;
    if (this.network.file.role === "step") return this.network.run({ chunk: this.maker.feed(frames, timing.chunk) });
    this.ring = [...this.ring, ...frames].slice(-window);
    const length = sampling === "central" ? window : Math.ceil(this.ring.length / timing.chunk) * timing.chunk;
    const feed: Feed = { clip: this.maker.feed(this.ring, length) };
    if (this.network.file.inputs.some(({ name }) => name === "lengths")) {
      feed["lengths"] = { data: BigInt64Array.of(BigInt(this.ring.length)), shape: [1] };
    }
    return this.network.run(feed);
  }

  private clear(): void {
    this.network.reset();
    this.ring = [];
  }
}

/** Images: 1, 1, channels, frames, height, width; padded with black after the last one. */
export class PictureMaker implements Maker<Picture> {
  private readonly cropper: Cropper;
  private readonly planes = new WeakMap<Picture, Planes>();

  constructor(model: ClipModel) {
    if (model.pixels === null) throw new Error("The model takes no images. Push joints.");
    this.cropper = new Cropper(model.pixels, model.timing.fps);
  }

  reset(): void {
    this.cropper.reset();
  }

  chunk(frames: Picture[]): Uint8Array[] {
    const seen = this.cropper.preprocess(frames.map((frame) => this.planesOf(frame)));
    return seen.map((channels) => {
      const size = channels[0].data.length;
      const joined = new Uint8Array(channels.length * size);
      channels.forEach((plane, i) => joined.set(plane.data, i * size));
      return joined;
    });
  }

  feed(frames: Uint8Array[], length: number): { data: Uint8Array; shape: number[] } {
    const { size, channels } = this.cropper.pixels;
    const area = size * size;
    const data = new Uint8Array(channels.length * length * area);
    frames.forEach((frame, t) => {
      channels.forEach((_, c) => data.set(frame.subarray(c * area, (c + 1) * area), (c * length + t) * area));
    });
    return { data, shape: [1, 1, channels.length, length, size, size] };
  }

  /** The planes of a frame, computed once also if it is used twice. */
  private planesOf(frame: Picture): Planes {
    const planes = this.planes.get(frame) ?? new Planes(frame);
    this.planes.set(frame, planes);
    return planes;
  }
}

/** Joints: 1, frames, joints, and their coordinates followed by 1 if the joint is present. */
export class SkeletonMaker implements Maker<Joints> {
  private readonly normalizer: Normalizer;

  constructor(private readonly model: ClipModel) {
    if (model.space === null) throw new Error("The model takes no joints. Push images.");
    this.normalizer = new Normalizer(model.space);
  }

  reset(): void {
    this.normalizer.reset();
  }

  chunk(frames: Joints[]): Float32Array[] {
    return frames.map(({ skeleton, confidence }) => this.normalizer.next(skeleton, confidence));
  }

  feed(frames: Float32Array[], length: number): { data: Float32Array; shape: number[] } {
    const space = this.model.space!;
    const [joints, dimensions] = [space.joints.length, space.dimensions];
    const data = new Float32Array(length * joints * (dimensions + 1));
    frames.forEach((frame, t) => {
      for (let joint = 0; joint < joints; joint++) {
        const at = (t * joints + joint) * (dimensions + 1);
        const point = frame.subarray(joint * dimensions, (joint + 1) * dimensions);
        if (point.every(Number.isFinite)) {
          data.set(point, at);
          data[at + dimensions] = 1;
        }
      }
    });
    return { data, shape: [1, length, joints, dimensions + 1] };
  }
}
