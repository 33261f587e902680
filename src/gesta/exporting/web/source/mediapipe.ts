/** MediaPipe's pose landmarker, loaded only from files beside the page. */

import type { Landmark, Landmarks } from "./skeleton.js";

const [MODULE, WASM, TASK] = ["vision_bundle.mjs", "wasm", "pose_landmarker.task"];
const FILES = [MODULE, `${WASM}/vision_wasm_internal.js`, `${WASM}/vision_wasm_internal.wasm`, TASK];
const HOW = [
  "With gesta: gesta fetch mediapipe-web, gesta fetch trackers, then gesta export again with --overwrite.",
  "Without gesta: vision_bundle.mjs and wasm/ are in the npm package @mediapipe/tasks-vision (npm pack @mediapipe/tasks-vision@1.1.0);",
  "pose_landmarker.task is MediaPipe's Pose landmarker (Full) (ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker).",
];

interface Found {
  landmarks: Landmark[][];
}

/** Returns a function from a video frame and its time to landmarks. Throws an Error that lists missing files. */
export async function poseTracker(folder: URL): Promise<(video: HTMLVideoElement, milliseconds: number) => Landmarks> {
  const there = await Promise.all(FILES.map(async (name) => (await fetch(new URL(name, folder), { method: "HEAD" })).ok));
  const missing = FILES.filter((_, i) => !there[i]);
  if (missing.length) throw new Error([`Missing in ${folder.pathname}: ${missing.join(", ")}.`, ...HOW].join("\n"));
  const { FilesetResolver, PoseLandmarker } = await import(new URL(MODULE, folder).href);
  const files = await FilesetResolver.forVisionTasks(new URL(WASM, folder).href);
  const baseOptions = { modelAssetPath: new URL(TASK, folder).href };
  const tracker = await PoseLandmarker.createFromOptions(files, { baseOptions, runningMode: "VIDEO" });
  return (video, milliseconds) => {
    const found: Found = tracker.detectForVideo(video, milliseconds);
    return { width: video.videoWidth, height: video.videoHeight, pose: found.landmarks[0] ?? [] };
  };
}
