/** model.json: the facts about a model, with the names of its bundle's manifest. */

/** left, top, right, bottom in pixels */
export type Box = readonly [number, number, number, number];

export interface Tensor {
  name: string;
  dtype: "uint8" | "float32" | "int64";
  /** -1: any length */
  shape: number[];
}

export interface NetworkFile {
  file: string;
  role: "step" | "whole";
  inputs: Tensor[];
  states: Tensor[];
}

/** gesta.decoding.DecoderSpec */
export interface DecoderNumbers {
  none: string;
  smoothing_s: number;
  on: number;
  off: number;
  least_s: number;
  rearm_s: number;
  decide_s: number | null;
}

/** How frames are selected by their times (gesta.clips.clock and preprocess). */
export interface Timing {
  fps: number;
  chunk: number;
  jitter_s: number;
  step_s: number;
  longest_gap_s: number;
}

/** How the network's input is made from a frame (gesta.clips.transform). */
export interface Pixels {
  size: number;
  channels: string[];
  body: "motion" | "frame";
  smooth: boolean;
  box_smoothing: number;
  difference_gain: number;
  motion: MotionNumbers;
}

/** gesta.clips.crops, MOTION_... */
export interface MotionNumbers {
  side: number;
  threshold: number;
  half_life_s: number;
  least: number;
  margin: number;
  smallest: number;
}

/** gesta.clips.skeleton_space.SkeletonSpace, and groups of its joint set as indices into `joints`. */
export interface Space {
  joints: string[];
  dimensions: 2 | 3;
  origin: "frame" | "first" | "none";
  scale: "so_far" | "first" | "none";
  view: "first" | "none";
  least_confidence: number;
  middle: number[];
  spans: [number[], number[]][];
  across: [number[], number[]] | null;
  /** For each joint its index among MediaPipe's 33 body, 21 left hand and 21 right hand landmarks. */
  mediapipe: number[] | null;
}

interface Common {
  format: 1;
  name: string;
  summary: string;
  /** Includes the label for no gesture, if the model has one. */
  labels: string[];
  network: NetworkFile;
  decoder: DecoderNumbers;
}

export interface ClipModel extends Common {
  kind: "clips";
  timing: Timing;
  pixels: Pixels | null;
  space: Space | null;
  /** "chunks" keeps a state, "central" takes `window` frames, "whole" at most `window` frames. */
  sampling: "chunks" | "central" | "whole";
  window: number;
  reset_after_chunks: number | null;
}

export interface SpottingModel extends Common {
  kind: "spotting";
  fps: number;
  delay_frames: number;
  pause_s: number;
  space: Space;
}

export type Model = ClipModel | SpottingModel;
