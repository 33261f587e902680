/** Causal normalization of skeletons (gesta.clips.skeleton_space). */

import type { Space } from "./model.js";

/** Coordinates of the joints in the model's order: x, y and, if the model takes it, z; NaN if a joint is missing. */
export type Skeleton = ArrayLike<number>;

type Point = number[];

export class Normalizer {
  private origin: Point | null = null;
  private sizeSum = 0;
  private sizes = 0;
  /** Cosine and sine of the rotation about the vertical axis. */
  private turn: [number, number] | null = null;

  constructor(private readonly space: Space) {}

  /** Resets the state, as before the first frame. */
  reset(): void {
    this.origin = this.turn = null;
    this.sizeSum = this.sizes = 0;
  }

  /** Normalizes a frame, given the joints' confidence; all NaN before the first frame with a person. */
  next(skeleton: Skeleton, confidence: ArrayLike<number> | null = null): Float32Array {
    const { joints, dimensions } = this.space;
    if (skeleton.length !== joints.length * dimensions) {
      throw new Error(
        `A skeleton has ${skeleton.length} numbers. Expected ${joints.length} joints of ${dimensions}: ${joints.join(", ")}.`,
      );
    }
    const frame = this.points(skeleton, confidence);
    const there = frame.filter(known);
    const out = new Float32Array(skeleton.length).fill(NaN);
    if (!there.length) return out;
    this.see(frame, there);
    frame.forEach((point, joint) => {
      if (known(point)) out.set(this.placed(point), joint * dimensions);
    });
    return out;
  }

  private points(skeleton: Skeleton, confidence: ArrayLike<number> | null): Point[] {
    const { joints, dimensions, least_confidence } = this.space;
    return joints.map((_, joint) => {
      const point = Array.from({ length: dimensions }, (_, axis) => Math.fround(skeleton[joint * dimensions + axis]));
      return confidence !== null && !(confidence[joint] >= least_confidence) ? point.fill(NaN) : point;
    });
  }

  private placed(point: Point): Point {
    const { origin, scale } = this.space;
    let placed = point;
    const zero = this.origin;
    if (origin !== "none" && zero !== null) placed = placed.map((value, axis) => value - zero[axis]);
    if (scale !== "none" && this.sizes) placed = placed.map((value) => value * (this.sizes / this.sizeSum));
    if (this.turn === null) return placed;
    const [[cos, sin], [x, y, z]] = [this.turn, placed];
    return [x * cos + z * sin, y, z * cos - x * sin];
  }

  /** Updates origin, size and view from this frame. */
  private see(frame: Point[], there: Point[]): void {
    const { middle, origin, scale, view, across } = this.space;
    const center = mean(frame, middle) ?? this.origin ?? average(there);
    if (this.origin === null || origin === "frame") this.origin = center;
    const size = this.size(frame, there);
    if (size > 0 && (scale === "so_far" || !this.sizes)) {
      this.sizeSum += size;
      this.sizes++;
    }
    if (view === "first" && this.turn === null && across !== null && this.space.dimensions === 3) {
      this.turn = facing(mean(frame, across[0]), mean(frame, across[1]));
    }
  }

  /** Mean length of the visible spans; without spans, the mean distance of the joints from their center. */
  private size(frame: Point[], there: Point[]): number {
    const { spans } = this.space;
    const center = average(there);
    const lengths = spans.length
      ? spans.map(([a, b]) => distance(mean(frame, a), mean(frame, b)))
      : there.map((point) => distance(point, center));
    const seen = lengths.filter((length) => length > 0);
    return seen.length ? seen.reduce((a, b) => a + b, 0) / seen.length : 0;
  }
}

function known(point: Point): boolean {
  return point.every(Number.isFinite);
}

function average(points: Point[]): Point {
  return points[0].map((_, axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
}

/** Mean of the visible joints of a group. */
function mean(frame: Point[], group: number[]): Point | null {
  const there = group.map((joint) => frame[joint]).filter(known);
  return there.length ? average(there) : null;
}

function distance(a: Point | null, b: Point | null): number {
  return a === null || b === null ? NaN : Math.hypot(...a.map((value, axis) => value - b[axis]));
}

function facing(left: Point | null, right: Point | null): [number, number] | null {
  if (left === null || right === null) return null;
  const [x, z] = [right[0] - left[0], right[2] - left[2]];
  const length = Math.hypot(x, z);
  return length > 0 ? [x / length, z / length] : null;
}

/** A landmark as in MediaPipe's tasks, in fractions of the image's width and height. */
export interface Landmark {
  x: number;
  y: number;
  z: number;
  visibility?: number;
}

/** MediaPipe's landmarks in a frame of `width` x `height` pixels; left and right are those of the person. */
export interface Landmarks {
  width: number;
  height: number;
  pose?: Landmark[];
  leftHand?: Landmark[];
  rightHand?: Landmark[];
}

const [BODY, HAND] = [33, 21];

/** Converts MediaPipe's landmarks to the model's joints in pixels, with their confidence. */
export function fromMediaPipe(space: Space, found: Landmarks): { skeleton: Float32Array; confidence: Float32Array } {
  const { mediapipe, dimensions, joints } = space;
  if (mediapipe === null) {
    throw new Error(`The model's joints are not those of MediaPipe. Push the joints of your tracker in this order: ${joints.join(", ")}.`);
  }
  const skeleton = new Float32Array(joints.length * dimensions).fill(NaN);
  const confidence = new Float32Array(joints.length);
  mediapipe.forEach((place, joint) => {
    const hand = place < BODY + HAND ? found.leftHand : found.rightHand;
    const mark = place < BODY ? found.pose?.[place] : hand?.[(place - BODY) % HAND];
    if (mark === undefined) return;
    const pixels = [mark.x * found.width, mark.y * found.height, mark.z * found.width];
    skeleton.set(pixels.slice(0, dimensions), joint * dimensions);
    confidence[joint] = place < BODY ? (mark.visibility ?? 1) : 1;
  });
  return { skeleton, confidence };
}
