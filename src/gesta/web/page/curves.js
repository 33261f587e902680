/** Accuracy per epoch as a line chart, with labels beside the lines. */

import { h, s } from "./dom.js";
import { listed } from "./words.js";

const [LEFT, RIGHT, TOP, BOTTOM] = [46, 60, 12, 24];
let [WIDTH, HEIGHT] = [700, 330];

export function curves(job) {
  const { epochs, train, val, held_out: held, best_epoch: best } = job.curves;
  [WIDTH, HEIGHT] = innerWidth > 720 ? [700, 330] : [380, 240];
  const last = Math.max(job.of, epochs.at(-1) ?? 1, 2);
  const x = (epoch) => LEFT + ((WIDTH - LEFT - RIGHT) * (epoch - 1)) / (last - 1);
  const y = (share) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - share);
  const points = (values) => values.flatMap((value, index) => (value === null ? [] : [`${x(epochs[index]).toFixed(1)},${y(value).toFixed(1)}`]));
  const ends = [[train, "training clips", "line-train"], [val, held.length ? `${listed(held)} (held out)` : "held-out clips", "line-val"]];
  const bestAt = epochs.indexOf(best);
  return h("figure", { class: "curves" }, s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "Accuracy per epoch; the best epoch is given below." },
    grid(y, x, last), ends.map(([values, , kind]) => s("polyline", { class: kind, points: points(values).join(" ") })),
    bestAt >= 0 && val[bestAt] !== null && s("circle", { class: "best", cx: x(best), cy: y(val[bestAt]), r: 5.5 }), names(ends, epochs, x, y)));
}

function grid(y, x, last) {
  const across = [0, 0.25, 0.5, 0.75, 1].map((share) => [s("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(share), y2: y(share) }),
    s("text", { x: LEFT - 8, y: y(share) + 4, "text-anchor": "end" }, `${share * 100} %`)]);
  const step = Math.max(1, 10 ** Math.floor(Math.log10(last)) / (last < 20 && last >= 10 ? 2 : 1));
  const marks = [];
  for (let epoch = step; epoch <= last; epoch += step) if (epoch > 1 && x(epoch) - x(1) > 60) marks.push(epoch);
  return [across, s("text", { x: LEFT, y: HEIGHT - 4 }, "epoch 1"), marks.map((epoch) => s("text", { x: x(epoch), y: HEIGHT - 4, "text-anchor": "middle" }, String(epoch)))];
}

/** Labels at the ends of the lines, moved apart where they would overlap. */
function names(ends, epochs, x, y) {
  const placed = ends.map(([values, text, kind]) => {
    const at = values.findLastIndex((value) => value !== null);
    return at < 0 ? null : { x: x(epochs[at]) + 10, y: y(values[at]) + 4, text, kind };
  }).filter(Boolean);
  if (placed.length === 2 && Math.abs(placed[0].y - placed[1].y) < 20) {
    const middle = (placed[0].y + placed[1].y) / 2;
    const [upper, lower] = placed[0].y <= placed[1].y ? placed : [placed[1], placed[0]];
    Object.assign(upper, { y: Math.max(TOP + 4, middle - 10) });
    Object.assign(lower, { y: upper.y + 20 });
  }
  return placed.map((one) => {
    const isLate = one.x > WIDTH * 0.62;
    return s("text", { class: `${one.kind}-name`, x: isLate ? WIDTH - 4 : one.x, y: isLate ? one.y + 16 : one.y, "text-anchor": isLate ? "end" : "start" }, one.text);
  });
}
