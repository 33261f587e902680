"""Compares the speed of the trackers with the mediapipe package, on one core, in one run.

    python benchmarks/trackers.py OTHER_PYTHON HANDS_CLIP POSE_CLIP [--frames 120] [--rounds 5]

OTHER_PYTHON: Python of a separate environment with mediapipe 0.10.21 (`python3.11 -m venv ENV; ENV/bin/pip install
mediapipe==0.10.21`). Both sides get the same frames, decoded and resized to 640 x 480 in advance. Both processes run on
the same core and take turns with blocks of frames, so that other load slows both equally. Prints a line for each of
hands lite, hands full, pose, both: frames per second of both sides, their ratio (median over the rounds, of wall time
and of processor time, which other load affects less), the minimum processor time per frame in milliseconds, and the
share of gesta's time inside each network. HANDS_CLIP (hands, both) should show one hand, POSE_CLIP a person.
`--max-hands`: number of hands that both sides look for; with 2 and one in view, they keep searching for the other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CASES = ("hands lite", "hands full", "pose", "both")
SIZE = (640, 480)
WARM_UP = 10
Step = Callable[[np.ndarray, float], Any]


def ours(case: str, max_hands: int) -> tuple[Step, list[Any]]:
    from gesta.trackers import Tracker

    what = "hands" if case.startswith("hands") else case
    model = "lite" if case.endswith("lite") else "full"
    tracker = Tracker(what, hand_model=model, max_hands=max_hands, threads=1)
    return tracker.step, list(tracker.networks)


def theirs(case: str, max_hands: int) -> tuple[Step, list[Any]]:
    import mediapipe  # from the other environment

    solutions, parts = mediapipe.solutions, []
    if case != "pose":
        parts.append(solutions.hands.Hands(max_num_hands=max_hands, model_complexity=int(not case.endswith("lite"))))
    if not case.startswith("hands"):
        parts.append(solutions.pose.Pose(model_complexity=1))
    return lambda rgb, _: [part.process(rgb) for part in parts], []


def serve(side: str, case: str, frames_file: str, max_hands: str) -> None:
    """Process of one side: for each line on stdin (a round), runs a block of frames and prints its times as JSON."""
    frames = np.load(frames_file, mmap_mode="r")
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keeps output of libraries out of the results
    step, networks = (ours if side == "ours" else theirs)(case, int(max_hands))
    clock = 0
    for line in sys.stdin:
        count = int(line)
        before = {network.name: (network.seconds, network.calls) for network in networks}
        start, cpu = time.perf_counter(), time.process_time()
        for i in range(count):
            step(np.ascontiguousarray(frames[(clock + i) % len(frames)]), (clock + i) / 30)
        seconds, cpu_s, clock = time.perf_counter() - start, time.process_time() - cpu, clock + count
        inside = {n.name: [n.seconds - before[n.name][0], n.calls - before[n.name][1]] for n in networks}
        out.write(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "inside": inside}) + "\n")
        out.flush()


def decoded(clip: Path, count: int) -> np.ndarray:
    """The first frames of a clip, letterboxed to SIZE."""
    import cv2

    from gesta.clips.decode import iter_frames
    from gesta.schema import Resource

    frames = []
    for _, rgb in iter_frames(Resource(clip), "rgb"):
        if rgb is None or len(frames) == count:
            break
        scale = min(SIZE[0] / rgb.shape[1], SIZE[1] / rgb.shape[0])
        size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
        frame = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        frame[: size[1], : size[0]] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        frames.append(frame)
    return np.stack(frames)


def race(case: str, frames_file: str, options: argparse.Namespace) -> dict[str, Any]:
    """Runs both sides in turn, block by block."""
    sides = {}
    for side, python in (("ours", sys.executable), ("theirs", options.other_python)):
        command = [python, __file__, "--serve", side, case, frames_file, str(options.max_hands)]
        sides[side] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    for process in sides.values():
        ask(process, WARM_UP)
    turns = [{side: ask(process, options.frames) for side, process in sides.items()} for _ in range(options.rounds)]
    for process in sides.values():
        process.stdin.close()  # type: ignore[union-attr]
        process.wait()
    return summary(case, options.frames, turns)


def ask(process: Any, frames: int) -> dict[str, Any]:
    process.stdin.write(f"{frames}\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{' '.join(process.args)} ended. To see why, run it by hand with a number on stdin.")
    return dict(json.loads(line))


def summary(case: str, frames: int, turns: list[dict[str, Any]]) -> dict[str, Any]:
    seconds = {side: np.array([turn[side]["seconds"] for turn in turns]) for side in ("ours", "theirs")}
    inside = {
        name: sum(turn["ours"]["inside"][name][0] for turn in turns) / seconds["ours"].sum()
        for name in turns[0]["ours"]["inside"]
    }
    ratios = seconds["theirs"] / seconds["ours"]
    return {
        "case": case,
        **{f"{side}_fps": round(float(frames / np.median(values)), 1) for side, values in seconds.items()},
        "ratio": round(float(np.median(ratios)), 2),
        "cpu_ratio": round(float(np.median([t["theirs"]["cpu_s"] / t["ours"]["cpu_s"] for t in turns])), 2),
        "cpu_ms": {side: round(1e3 * min(t[side]["cpu_s"] for t in turns) / frames, 2) for side in seconds},
        "ratios": [round(float(ratio), 2) for ratio in ratios],
        "networks_share": round(sum(inside.values()), 3),
        "shares": {name: round(share, 3) for name, share in inside.items()},
        "calls": {name: sum(turn["ours"]["inside"][name][1] for turn in turns) for name in inside},
    }


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other_python")
    parser.add_argument("hands_clip", type=Path)
    parser.add_argument("pose_clip", type=Path)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--max-hands", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, help="core to use (default: the last one)")
    parser.add_argument("--case", choices=CASES, action="append")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1] if arguments.core is None else arguments.core})
    with tempfile.TemporaryDirectory() as folder:
        for case in arguments.case or CASES:
            clip = arguments.pose_clip if case == "pose" else arguments.hands_clip
            file = str(Path(folder) / "frames.npy")
            np.save(file, decoded(clip, arguments.frames))
            print(json.dumps(race(case, file, arguments)), flush=True)


if __name__ == "__main__":
    main()
