/** Turns camera frames into chunks at the model's frame rate (gesta.clips.clock, gesta.clips.preprocess). */

import type { Timing } from "./model.js";
import { roundEven } from "./numbers.js";

/** Follows time stamps; if they jump back, time continues one step after the last frame. */
export class Clock {
  private shiftS = 0;
  private stepS: number;
  private lastS: number | null = null;

  constructor(private readonly timing: Timing) {
    this.stepS = timing.step_s;
  }

  at(stampS: number): number {
    if (!Number.isFinite(stampS)) throw new Error(`A frame has the time ${stampS}. Expected seconds as a finite number.`);
    let timeS = stampS + this.shiftS;
    const lastS = this.lastS;
    if (lastS !== null && timeS < lastS - this.timing.jitter_s) {
      this.shiftS += lastS + this.stepS - timeS;
      timeS = lastS + this.stepS;
    } else if (lastS !== null) {
      timeS = Math.max(timeS, lastS);
      if (timeS - lastS > 0 && timeS - lastS < 1) this.stepS = timeS - lastS;
    }
    this.lastS = timeS;
    return timeS;
  }
}

/** Frames that the network sees together, and when they end; the last chunk of a recording may have fewer. */
export interface Chunk<F> {
  frames: F[];
  endS: number;
}

/** Selects frames by their time stamps: early ones are skipped, one that stays is repeated. Causal. */
export class Ticker<F> {
  private clock: Clock;
  private pending: { frame: F } | null = null;
  private firstS = 0;
  private lastS = 0;
  private done = 0;
  private group: [F, number][] = [];

  constructor(private readonly timing: Timing) {
    this.clock = new Clock(timing);
  }

  /** Takes a frame and its time in seconds; returns the chunks that are complete now. */
  push(frame: F, stampS: number): Chunk<F>[] {
    const { fps, longest_gap_s } = this.timing;
    this.lastS = this.clock.at(stampS);
    if (this.pending === null) {
      this.firstS = this.lastS;
    } else {
      const due = Math.max(0, Math.floor((this.lastS - this.firstS) * fps - 0.5 + 1e-6) + 1 - this.done);
      const most = roundEven(longest_gap_s * fps);
      this.take(this.pending.frame, Math.min(due, most), -Infinity);
      if (due > most) this.firstS += (due - most) / fps;
    }
    this.pending = { frame };
    return this.chunks(this.timing.chunk);
  }

  /** Returns the remaining frames at the end of a recording, and starts again. */
  flush(): Chunk<F>[] {
    if (this.pending !== null) this.take(this.pending.frame, 1, this.lastS);
    const last = this.chunks(1);
    this.clock = new Clock(this.timing);
    this.pending = null;
    this.done = 0;
    return last;
  }

  private take(frame: F, times: number, leastS: number): void {
    for (let i = 0; i < times; i++) {
      this.done++;
      this.group.push([frame, Math.max(this.firstS + this.done / this.timing.fps, leastS)]);
    }
  }

  private chunks(least: number): Chunk<F>[] {
    const found: Chunk<F>[] = [];
    while (this.group.length >= least) {
      const part = this.group.splice(0, this.timing.chunk);
      found.push({ frames: part.map(([frame]) => frame), endS: part[part.length - 1][1] });
    }
    return found;
  }
}
