/** Drawing on canvases: 15 s of probabilities with thresholds and events, and the skeleton over the image. */

import { shown } from "./words.js";

const SPAN_S = 15;
const PLOT = { height: 130, top: 8, floor: 82, tag: 94 };

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The color of a label by its place in the list; "none" has its own. */
export const colorOf = (labels, label) => (label === "none" ? "--c-none" : `--c${labels.filter((one) => one !== "none").indexOf(label) % 8}`);

/** Gives a canvas the device pixels of its width on the page; returns its cleared context and that width. */
function fitted(canvas, height) {
  const [scale, width] = [devicePixelRatio || 1, canvas.clientWidth];
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return [context, width];
}

/** `history`: [{time_s, probabilities}], `events`: [{label, end_s}], all on the frames' clock; `now_s`: the right edge. */
export function drawPlot(canvas, { labels, history, events, decoder, now_s }) {
  const [context, width] = fitted(canvas, PLOT.height);
  const x = (time_s) => 6 + ((width - 12) * (SPAN_S - (now_s - time_s))) / SPAN_S;
  const y = (share) => PLOT.floor - (PLOT.floor - PLOT.top) * share;
  context.font = `12px ${css("--font")}`;
  thresholds(context, width, y, decoder);
  for (const label of labels.filter((one) => one !== "none")) {
    context.strokeStyle = css(colorOf(labels, label));
    context.lineWidth = 2;
    context.beginPath();
    for (const one of history) context.lineTo(x(one.time_s), y(one.probabilities[label] ?? 0));
    context.stroke();
  }
  for (const event of events) if (now_s - event.end_s < SPAN_S) tag(context, x(event.end_s), shown(event.label), css(colorOf(labels, event.label)), width);
  context.fillStyle = css("--muted");
  context.textAlign = "left";
  context.fillText(`${SPAN_S} s ago`, 6, PLOT.height - 4);
  context.textAlign = "right";
  context.fillText("now", width - 6, PLOT.height - 4);
}

function thresholds(context, width, y, decoder) {
  context.textAlign = "left";
  for (const [name, value, dash] of [["on", decoder.on, []], ["off", decoder.off, [2, 3]]]) {
    context.strokeStyle = css("--edge");
    context.lineWidth = 1.5;
    context.setLineDash(dash);
    context.beginPath();
    context.moveTo(6, y(value));
    context.lineTo(width - 6, y(value));
    context.stroke();
    context.fillStyle = css("--muted");
    context.fillText(`${name} ${value.toFixed(2)}`, 8, y(value) + (name === "on" ? -4 : 13));
  }
  context.setLineDash([]);
}

function tag(context, x, text, color, width) {
  context.font = `bold 12px ${css("--font")}`;
  const wide = context.measureText(text).width + 12;
  const left = Math.max(6, Math.min(width - 6 - wide, x - wide / 2));
  context.fillStyle = color;
  context.beginPath();
  context.roundRect(left, PLOT.tag - 2, wide, 20, 4);
  context.fill();
  context.fillStyle = css("--on-fill");
  context.textAlign = "left";
  context.fillText(text, left + 6, PLOT.tag + 12);
  context.font = `12px ${css("--font")}`;
}

/** Joints (x, y in 0 to 1 of the frame, confidence) and bones over the mirrored image; the person's left is blue. */
export function drawSkeleton(canvas, joints, bones) {
  const [context, width] = fitted(canvas, canvas.clientHeight);
  if (!joints) return;
  const height = canvas.clientHeight;
  const at = ([x, y]) => [(1 - x) * width, y * height];
  const sure = (place) => joints[place] && joints[place][2] > 0.3;
  const middle = joints.reduce((sum, one) => sum + one[0], 0) / Math.max(1, joints.length);
  context.lineWidth = 4;
  for (const [from, to] of bones) {
    if (!sure(from) || !sure(to)) continue;
    const side = (joints[from][0] + joints[to][0]) / 2 - middle;
    context.strokeStyle = Math.abs(side) < 0.02 ? "#ffffff" : side > 0 ? "#4db1ff" : "#f59a3c";
    context.beginPath();
    context.moveTo(...at(joints[from]));
    context.lineTo(...at(joints[to]));
    context.stroke();
  }
  context.fillStyle = "#ffffff";
  context.strokeStyle = "#1b2233";
  context.lineWidth = 1.5;
  joints.forEach((joint, place) => {
    if (!sure(place)) return;
    context.beginPath();
    context.arc(...at(joint), 4.5, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  });
}
