/** The preview with what lies over it, and the line below it. One for Record and Try, since there is one camera. */

import { camera, cameraWarnings, lightWords } from "./camera.js";
import { button, fill, h } from "./dom.js";
import { attempt } from "./say.js";

/** The picture; `over`: what is drawn over it, `off`: what stands there while the camera is off. */
export function stage(over, off) {
  const root = h("div", { class: "stage" });
  let drawn = null;
  const redraw = () => {
    root.classList.toggle("off", !camera.on);
    if (camera.on && camera.video.videoWidth) root.style.aspectRatio = `${camera.video.videoWidth} / ${camera.video.videoHeight}`;
    if (camera.on !== drawn || camera.on !== root.contains(camera.video)) {
      drawn = camera.on;
      over.querySelector(".turner")?.classList.toggle("many", camera.many);
      if (camera.on) root.replaceChildren(camera.video, over);
      else fill(root, off());
    }
    if (camera.on && camera.video.paused) camera.video.play().catch(() => {});
  };
  return { root, redraw };
}

/** Rate, light and size, at all times; redrawn by its own clock. */
export function cameraLine(more = () => []) {
  const root = h("p", { class: "facts small" });
  const warnings = h("div", { class: "warnings" });
  let before = "";
  const redraw = () => {
    const [light, bad] = lightWords(camera.brightness);
    const slow = camera.rate < 12;
    const state = (value, wrong) => h("strong", { class: wrong ? "bad" : "good" }, value);
    fill(root, camera.on ? [h("span", {}, "Camera ", state(`${camera.rate} frames/s`, slow)), light && h("span", {}, "Light ", state(light, bad)),
      h("span", {}, camera.size.join(" x ")), more()] : h("span", {}, "The camera is off."));
    const found = camera.on ? cameraWarnings(camera) : [];
    if (found.join() !== before) fill(warnings, found.map((one) => h("p", { class: "warning" }, one)));
    before = found.join();
  };
  return { root, warnings, redraw };
}

/** Turns the camera on; a fault is shown where the picture would be. */
export async function turnOn(show) {
  try {
    await camera.start();
    show("");
    return true;
  } catch (error) {
    show(error.message);
    return false;
  }
}

/** Shown where there are several. */
export function turner() {
  return button("Other camera", () => attempt(() => camera.turn()), { class: `quiet turner ${camera.many ? "many" : ""}` });
}
