/** Turns chunks of frames into the network's input (gesta.clips.cropping.Cropper). */

import { color, cut, difference, gray, resized, smoothed } from "./image.js";
import type { Picture, Plane } from "./image.js";
import { MotionBox, wholeFrame } from "./motion.js";
import type { Box, Pixels } from "./model.js";

const COLORS = ["red", "green", "blue"];
const DIFFERENCE = "_difference";

/** The planes of a frame, each computed once, when needed. */
export class Planes {
  private readonly made = new Map<string, Plane>();

  constructor(readonly picture: Picture) {
    const { data, width, height } = picture;
    const values = data.length / (width * height);
    if (values !== 3 && values !== 4) throw new Error(`A frame has ${values} values per pixel. Expected 3 (RGB) or 4 (RGBA).`);
  }

  of(name: string): Plane {
    let plane = this.made.get(name);
    if (plane === undefined) {
      plane = name === "gray" ? gray(this.picture) : color(this.picture, COLORS.indexOf(name));
      this.made.set(name, plane);
    }
    return plane;
  }
}

export class Cropper {
  private motion: MotionBox;
  private box: Box = [0, 0, 1, 1];
  private before: Planes | null = null;

  constructor(readonly pixels: Pixels, private readonly fps: number) {
    this.motion = new MotionBox(pixels.motion, fps, pixels.box_smoothing);
  }

  /** Resets the state, as before the first frame. */
  reset(): void {
    this.motion = new MotionBox(this.pixels.motion, this.fps, this.pixels.box_smoothing);
    this.before = null;
  }

  /** Turns a chunk of frames into one plane per channel for each of them. */
  preprocess(frames: Planes[]): Plane[][] {
    const { width, height } = frames[0].picture;
    this.box = wholeFrame(height, width);
    if (this.pixels.body === "motion") {
      for (const frame of frames) this.motion.see(frame.of("gray"));
      this.box = this.motion.follow(height, width);
    }
    return frames.map((frame) => this.frame(frame));
  }

  private frame(frame: Planes): Plane[] {
    const before = this.before ?? frame;
    this.before = frame;
    return this.pixels.channels.map((channel) => {
      const image = this.channel(frame, before, channel);
      return resized(this.pixels.smooth ? smoothed(image) : image, this.pixels.size);
    });
  }

  private channel(frame: Planes, before: Planes, channel: string): Plane {
    const name = channel.replace(DIFFERENCE, "");
    const now = cut(frame.of(name), this.box);
    if (name === channel) return now;
    const { picture } = before;
    const alike = picture.width === frame.picture.width && picture.height === frame.picture.height;
    return difference(now, alike ? cut(before.of(name), this.box) : now, this.pixels.difference_gain);
  }
}
