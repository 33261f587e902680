/** The camera preview with its overlay, and the line of facts below it. Used by Record and Try. */

import { camera, cameraWarnings, lightWords } from "./camera.js";
import { button, fill, h } from "./dom.js";
import { attempt } from "./say.js";

/** The preview. `over`: its overlay; `off`: makes what is shown while the camera is off. */
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

/** Frame rate, light and size of the camera, and warnings. `more`: makes further facts. */
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

/** Turns the camera on. `show` gets the error message, or ""; returns whether the camera is on. */
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

/** The button to switch between cameras, shown if there are several. */
export function turner() {
  return button("Switch camera", () => attempt(() => camera.turn()), { class: `quiet turner ${camera.many ? "many" : ""}` });
}
