/** Runs the page's modules for tests: a JSON document on stdin has the request, one on stdout the result. */

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const given = JSON.parse(readFileSync(0, "utf8"));
const folder = pathToFileURL(`${given.folder}/`);
const module = (name) => import(new URL(`gesta/${name}.js`, folder));
const plane = ({ data, width, height }) => ({ data: Uint8Array.from(data), width, height });
const numbers = (values) => Float32Array.from(values, (value) => value ?? NaN);
const plain = (values) => Array.from(values, (value) => (Number.isNaN(value) ? null : value));

const WORK = {
  async images({ images }) {
    const image = await module("image");
    return images.map(({ how, size, box, ...rest }) => {
      if (how === "resized") return plain(image.resized(plane(rest), size[0]).data);
      if (how === "smoothed") return plain(image.smoothed(plane(rest)).data);
      if (how === "cut") return plain(image.cut(plane(rest), box).data);
      return plain(image.scaled(plane(rest), size[0], size[1], how).data);
    });
  },

  /** Takes frames; returns the end of each chunk and the network's input for it. */
  async preprocess({ model, frames, times }) {
    const { PictureMaker } = await module("clips");
    const { Ticker } = await module("clock");
    const [maker, ticker] = [new PictureMaker(model), new Ticker(model.timing)];
    const chunks = frames.flatMap((frame, i) => ticker.push(plane(frame), times[i]));
    return [...chunks, ...ticker.flush()].map(({ frames, endS }) => [endS, maker.chunk(frames).map(plain)]);
  },

  async normalize({ space, skeletons, confidences }) {
    const { Normalizer } = await module("skeleton");
    const normalizer = new Normalizer(space);
    return skeletons.map((skeleton, i) => plain(normalizer.next(numbers(skeleton), confidences?.[i] ?? null)));
  },

  async landmarks({ space, found }) {
    const { fromMediaPipe } = await module("skeleton");
    const { skeleton, confidence } = fromMediaPipe(space, found);
    return [plain(skeleton), plain(confidence)];
  },

  async decode({ tracks }) {
    const { Decoder } = await module("decoder");
    return tracks.map(({ spec, labels, times, probabilities }) => {
      const decoder = new Decoder(spec, labels);
      return [...times.flatMap((time, i) => decoder.step(time, probabilities[i])), ...decoder.finish()];
    });
  },

  /** Runs a whole model: its check, and the events of its example, repeated, and of joints. */
  async model({ repeats = 0, skeletons = [], times = [] }) {
    const { load } = await module("gesta");
    const model = await load(folder, async (name) => new Uint8Array(await readFile(new URL(name, folder))));
    const check = await model.check();
    const { examples } = await module("golden");
    const golden = JSON.parse(await readFile(new URL("golden.json", folder)));
    const [events, last] = [[], golden.times_s.at(-1)];
    for (let again = 0; again < repeats; again++) {
      const shown = [...examples(golden)];
      for (const [i, input] of shown.entries()) events.push(...(await model.push(input, again * last + golden.times_s[i])));
    }
    for (const [i, skeleton] of skeletons.entries()) events.push(...(await model.push(numbers(skeleton), times[i])));
    events.push(...(await model.finish()));
    return { check, events };
  },
};

process.stdout.write(JSON.stringify(await WORK[given.work](given)));
