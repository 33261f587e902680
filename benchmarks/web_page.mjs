/** Runs the modules of an exported page in Node on one core: per clip one line of JSON on stdin, one with results on stdout. */

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const { load } = await import(new URL("gesta/gesta.js", folder));
const model = await load(folder, async (name) => new Uint8Array(await readFile(new URL(name, folder))));

for await (const line of createInterface({ input: process.stdin })) {
  const { file, width, height, numbers, times } = JSON.parse(line);
  const data = await readFile(file);
  const answers = [];
  model.onAnswer = ({ probabilities }) => answers.push(probabilities);
  const length = data.length / times.length;
  const begun = process.cpuUsage();
  for (const [i, time] of times.entries()) {
    const part = data.subarray(i * length, (i + 1) * length);
    const joints = () => new Float32Array(data.buffer, data.byteOffset + i * length, numbers);
    await model.push(numbers ? joints() : { data: part, width, height }, time);
  }
  await model.finish();
  const used = process.cpuUsage(begun);
  process.stdout.write(`${JSON.stringify({ answers, seconds: (used.user + used.system) / 1e6 })}\n`);
}
