"""Compares tracking mode with static mode on the same frames: jitter, delay, lost and swapped hands.

    python benchmarks/tracker_stability.py CLIP... [--crossing]

For each clip, hands and pose: `frames`; `found` by static mode; `lost`: found by static mode but not by tracking;
`bridged`: the opposite; `tracks`: number of different hands or people in tracking; `swaps`: how often a hand changed
its number or side from one frame to the next; `other_side`: how often the modes disagree about the side; `jitter_px`
and `jitter_static_px`: median length of the second difference of the landmarks at a width of 320; `away_px`: median
distance between both modes (delay and noise). `--crossing` makes two hands from each clip: the image and its mirror
image slide over each other and back.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gesta.clips.decode import iter_frames
from gesta.schema import Resource
from gesta.trackers import Landmarks, Tracker

WIDTH = 320
NEAR = 0.5  # relative to the size of the hand
Found = list[tuple[int, str, np.ndarray]]  # number, side, points


def crossing(frames: Iterator[tuple[float, np.ndarray]]) -> Iterator[tuple[float, np.ndarray]]:
    """Each frame and its mirror image swap places, the frame in front, and return: 4 s at 30 frames per second."""
    for index, (time_s, rgb) in enumerate(frames):
        height, width = rgb.shape[:2]
        shift = round((1 - abs(1 - index / 60 % 2)) * width)
        canvas = np.zeros((height, 2 * width, 3), np.uint8)
        canvas[:, width - shift : 2 * width - shift] = rgb[:, ::-1]
        canvas[:, shift : width + shift] = rgb
        yield time_s, canvas


def hands(landmarks: Landmarks) -> Found:
    return [(hand.track, hand.side, hand.points_px[:, :2]) for hand in landmarks.hands]


def person(landmarks: Landmarks) -> Found:
    return [] if landmarks.person is None else [(landmarks.person.track, "", landmarks.person.points_px[:, :2])]


def nearest(points: np.ndarray, others: Found) -> tuple[int, str, np.ndarray] | None:
    """The one of `others` on the same hand, or None."""
    reach = NEAR * np.ptp(points, axis=0).max()
    near = [(float(np.linalg.norm(other[2] - points, axis=1).mean()), other) for other in others]
    distance, best = min(near, key=lambda pair: pair[0], default=(np.inf, None))
    return best if distance < reach else None


def measure(static: list[Found], tracked: list[Found], scale: float) -> dict[str, Any]:
    """The measures of one clip, from the results of both modes in each frame."""
    pairs = [(s, nearest(s[2], t)) for frame, t in zip(static, tracked, strict=True) for s in frame]
    backward = [nearest(t[2], s) for s, frame in zip(static, tracked, strict=True) for t in frame]
    away = [np.linalg.norm(s[2] - t[2], axis=1) for s, t in pairs if t is not None]
    return {
        "frames": len(static),
        "found": len(pairs),
        "lost": sum(t is None for _, t in pairs),
        "bridged": sum(s is None for s in backward),
        "tracks": len({number for frame in tracked for number, _, _ in frame}),
        "swaps": swaps(tracked),
        "other_side": sum(t is not None and t[1] != s[1] for s, t in pairs),
        "jitter_px": jitter(tracked, scale),
        "jitter_static_px": jitter(static, scale),
        "away_px": round(float(np.median(np.concatenate(away))) * scale, 2) if away else None,
    }


def swaps(frames: list[Found]) -> int:
    """How often the nearest hand in the next frame has a different number or side."""
    count = 0
    for before, after in pairwise(frames):
        for number, side, points in before:
            follower = nearest(points, after)
            count += follower is not None and follower[:2] != (number, side)
    return count


def jitter(frames: list[Found], scale: float) -> float | None:
    """Median length of the second difference of the landmarks; a hand is matched to the nearest in the next frame."""
    lengths = []
    for first, second, third in zip(frames, frames[1:], frames[2:], strict=False):
        for _, _, points in first:
            middle = nearest(points, second)
            last = None if middle is None else nearest(middle[2], third)
            if middle is not None and last is not None:
                lengths.append(np.linalg.norm(points - 2 * middle[2] + last[2], axis=1))
    return round(float(np.median(np.concatenate(lengths))) * scale, 2) if lengths else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--crossing", action="store_true")
    arguments = parser.parse_args()
    what = "hands" if arguments.crossing else "both"
    modes = [Tracker(what, static=True), Tracker(what)]
    for clip in arguments.clips:
        frames: Any = iter_frames(Resource(clip), "rgb")
        found: list[list[Landmarks]] = [[], []]
        for time_s, rgb in crossing(frames) if arguments.crossing else frames:
            for tracker, list_ in zip(modes, found, strict=True):
                list_.append(tracker.step(rgb, time_s))
        for tracker in modes:
            tracker.reset()
        scale = WIDTH / found[0][0].size[1]
        for name, part in (("hands", hands), ("pose", person))[: 1 if arguments.crossing else 2]:
            static, tracked = ([part(landmarks) for landmarks in list_] for list_ in found)
            print(json.dumps({"clip": clip.name, "what": name, **measure(static, tracked, scale)}))


if __name__ == "__main__":
    main()
