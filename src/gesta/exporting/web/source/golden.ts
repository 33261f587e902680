/** golden.json: a synthetic example with gesta's predictions for it. */

import type { Picture } from "./image.js";

/** A disc moving over a color gradient, drawn in the same way by the export. */
interface Drawing {
  height: number;
  width: number;
  radius: number;
  color: [number, number, number];
  /** Row and column of the disc's center in each frame. */
  middles: [number, number][];
}

export interface Golden {
  times_s: number[];
  drawing: Drawing | null;
  /** The coordinates of all joints in each frame; null if a joint is missing. */
  skeletons: (number | null)[][] | null;
  answers: { time_s: number; probabilities: number[] }[];
  label: string;
  tolerance: number;
}

/** The frames of the example: RGB images, or joints. */
export function* examples(golden: Golden): Generator<Picture | Float32Array> {
  if (golden.drawing !== null) for (const middle of golden.drawing.middles) yield drawn(golden.drawing, middle);
  for (const skeleton of golden.skeletons ?? []) yield Float32Array.from(skeleton, (value) => value ?? NaN);
}

function drawn(drawing: Drawing, [v, u]: [number, number]): Picture {
  const { height, width, radius, color } = drawing;
  const data = new Uint8Array(height * width * 3);
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i += 3) {
      const near = (row - v) * (row - v) + (column - u) * (column - u) < radius * radius;
      data.set(near ? color : [row, column, row + column], i);
    }
  }
  return { data, width, height };
}
