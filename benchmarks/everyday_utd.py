"""Makes continuous recordings of UTD-MHAD's swipes, circles, wave and push, to test the model of everyday gestures.

    python benchmarks/everyday_utd.py UTD FOLDER --people 5,6              gestures with rests between them
    python benchmarks/everyday_utd.py UTD FOLDER --people 5,6 --others     all 27 actions; the other 21 count as none
    gesta evaluate BUNDLE FOLDER

Joins each person's clips in random order: the last frame is held and blended into the first of the next clip (1 to
2.5 s). The images of the data set are mirrored; here they are not, so that left and right are as in a camera image.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import yaml

from gesta.synthetic.everyday import FPS, JOINTS, NONE

LABELS = {
    "swipe_left": "swipe_left",
    "swipe_right": "swipe_right",
    "draw_circle_cw": "circle_clockwise",
    "draw_circle_ccw": "circle_counterclockwise",
    "wave": "wave",
    "push": "push",
}
AWAY = 0.4
"""Distance from its first position at which a hand counts as moving, relative to the width of the shoulders."""
BLEND = 9
"""Number of frames of the transition between two clips."""


def moving(clip: np.ndarray, label: str) -> list[str]:
    """Labels of the frames: the gesture from the first to the last frame with a moved wrist, otherwise none."""
    wrists = clip[:, [JOINTS.index("left_wrist"), JOINTS.index("right_wrist")]]
    away = np.linalg.norm(wrists - wrists[0], axis=2).max(axis=1)
    frames = np.flatnonzero(away > AWAY * np.linalg.norm(clip[:, 0] - clip[:, 1], axis=1).mean())
    first, last = (frames[0], frames[-1]) if len(frames) else (0, len(clip) - 1)
    return [label if first <= frame <= last else NONE for frame in range(len(clip))]


def recording(clips: list[tuple[np.ndarray, list[str]]], rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """Joins clips [T, J, 2] with labeled frames to one recording with rests and a label per frame."""
    points, labels = [clips[0][0][:1].repeat(FPS, axis=0)], [NONE] * FPS
    for index, (clip, those) in enumerate(clips):
        points.append(clip)
        labels += those
        follower = clips[index + 1][0][0] if index + 1 < len(clips) else clip[-1]
        held = int(rng.integers(FPS, 2.5 * FPS)) - BLEND
        share = np.linspace(0, 1, BLEND)[:, None, None]
        rest = np.concatenate([clip[-1:].repeat(held, axis=0), (1 - share) * clip[-1] + share * follower])
        points.append(rest + rng.normal(0, 0.3, rest.shape))
        labels += [NONE] * len(rest)
    return np.concatenate(points), labels


def main() -> None:
    """Runs the command described above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("utd", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", required=True, help="numbers of the people, for example 5,6")
    parser.add_argument("--others", action="store_true", help="add the other 21 actions, labeled none")
    given = parser.parse_args()
    camera = yaml.safe_load((given.utd / "camera.yaml").read_text())
    names = (given.utd / "joints.txt").read_text().split()
    places = [names.index(joint) for joint in JOINTS]
    with (given.utd / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    given.out.mkdir(parents=True)
    index = ["path,subject,split"]
    for person in given.people.split(","):
        rng = np.random.default_rng([7, int(person)])
        mine = [row for row in rows if row["subject"] == person and (given.others or row["label"] in LABELS)]
        clips = []
        for row in (mine[i] for i in rng.permutation(len(mine))):
            joints = np.load(given.utd / row["skeleton"])[:, places]
            pixels = joints[..., :2] * [-camera["fx"], -camera["fy"]] / joints[..., 2:] + [camera["cx"], camera["cy"]]
            clips.append((pixels, moving(pixels, LABELS.get(row["label"], NONE))))
        points, labels = recording(clips, rng)
        header = [f"{joint}_{axis}" for joint in JOINTS for axis in "xy"]
        lines = [",".join([*header, "gesture"])]
        lines += [",".join([f"{x:.1f}" for x in p.ravel()] + [label]) for p, label in zip(points, labels, strict=True)]
        (given.out / f"person{person}.csv").write_text("\n".join(lines) + "\n")
        index.append(f"person{person}.csv,person{person},test")
        count = sum(any(label != NONE for label in those) for _, those in clips)
        print(f"person {person}: {count} gestures in {len(labels) / FPS / 60:.1f} minutes")
    (given.out / "index.csv").write_text("\n".join(index) + "\n")


if __name__ == "__main__":
    main()
