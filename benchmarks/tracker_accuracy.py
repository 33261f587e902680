"""Compares static mode with landmarks from another implementation of the same networks, on the same frames.

    python benchmarks/tracker_accuracy.py KNOWN.json CLIPS [--only clip.mp4]

KNOWN.json: clip -> size [W, H] and frames: {frame, hands: [{handedness, points [21][2]}], pose: [33][u, v, ...] or
null}, in pixels; `handedness` as in a mirrored image. CLIPS: folder with the clips. Prints for each clip the median
difference of hands in pixels at a width of 320, of poses in percent of the person's height, and the share of frames in
which the same hands and the same person are found.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from gesta.clips.decode import iter_frames
from gesta.schema import Resource
from gesta.trackers import Landmarks, Tracker

WIDTH = 320
FAR = 0.5  # relative to the size of the hand: one farther away is another hand
MIRRORED = {"Left": "right", "Right": "left"}


def track_frames(clip: Path, numbers: list[int], tracker: Tracker) -> dict[int, Landmarks]:
    """The tracker's landmarks in these frames of a clip."""
    wanted = set(numbers)
    frames = iter_frames(Resource(clip), "rgb", lambda index, _: index in wanted)
    return {i: tracker.step(rgb, time_s) for i, (time_s, rgb) in enumerate(frames) if rgb is not None}


def compare_clip(known: dict[str, Any], found: dict[int, Landmarks]) -> dict[str, float | int]:
    """Differences and shares of one clip; NaN if it has no hand or no person."""
    scale = WIDTH / known["size"][0]
    hand_px: list[float] = []
    pose_percent: list[float] = []
    same_hands = same_person = same_side = 0
    for frame in known["frames"]:
        landmarks = found[frame["frame"]]
        distances = match_hands(frame["hands"], landmarks)
        same_hands += len(distances) == len(frame["hands"]) == len(landmarks.hands)
        hand_px += [value * scale for values, _ in distances for value in values]
        same_side += sum(side for _, side in distances)
        same_person += (frame["pose"] is None) == (landmarks.person is None)
        if frame["pose"] is not None and landmarks.person is not None:
            truth = np.array(frame["pose"], float)[:, :2]
            difference = np.linalg.norm(landmarks.person.points_px[:, :2] - truth, axis=1)
            pose_percent += list(100 * difference / np.ptp(truth[:, 1]))
    count = len(known["frames"])
    return {
        "frames": count,
        "hands_median_px": median(hand_px),
        "pose_median_percent": median(pose_percent),
        "same_hands": same_hands / count,
        "same_person": same_person / count,
        "same_side": same_side / max(len(hand_px) // 21, 1) if hand_px else float("nan"),
    }


def match_hands(known: list[dict[str, Any]], landmarks: Landmarks) -> list[tuple[list[float], bool]]:
    """(21 distances in pixels, whether the side agrees) of each known hand that was found."""
    left, matched = list(landmarks.hands), []
    for hand in known:
        truth = np.array(hand["points"], float)
        distances = [np.linalg.norm(other.points_px[:, :2] - truth, axis=1) for other in left]
        best = min(range(len(left)), key=lambda i: distances[i].mean(), default=None)
        if best is not None and distances[best].mean() < FAR * np.ptp(truth, axis=0).max():
            matched.append((list(distances[best]), left.pop(best).side == MIRRORED[hand["handedness"]]))
    return matched


def median(values: list[float]) -> float:
    return float(np.median(values)) if values else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("known", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--only", help="name of one clip")
    arguments = parser.parse_args()
    known = json.loads(arguments.known.read_text(encoding="utf-8"))
    tracker = Tracker("both", static=True)
    for name, clip in known.items():
        if arguments.only in (None, name):
            found = track_frames(arguments.clips / name, [frame["frame"] for frame in clip["frames"]], tracker)
            print(json.dumps({"clip": name, **compare_clip(clip, found)}))


if __name__ == "__main__":
    main()
