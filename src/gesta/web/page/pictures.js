/** Images of clips: loaded when they come into view, from blobs because every request needs the token. */

import { picture } from "./server.js";
import { h } from "./dom.js";

const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    load(target);
  }
}, { rootMargin: "200px" });

const paths = new WeakMap();

async function load(image) {
  try {
    image.src = await picture(paths.get(image));
  } catch {
    image.classList.add("missing");
  }
}

/** An image of an API path; `alt` is empty if the text beside it says the same. */
export function lazy(path, alt = "", kind = "") {
  const image = h("img", { alt, class: kind, decoding: "async" });
  paths.set(image, path);
  near.observe(image);
  return image;
}

/** The middle frame of a clip; loaded again when the clip has changed. */
export const middle = (clip) => lazy(`/clips/${clip.id}/strip?n=1&height=144&r=${clip.revision}`);

export const strip = (clip, alt = "") => lazy(`/clips/${clip.id}/strip?n=8&height=120&r=${clip.revision}`, alt, "strip");

export const wholeStrip = (clip) => lazy(`/clips/${clip.id}/strip?n=12&height=90&whole=1`, "", "strip");
