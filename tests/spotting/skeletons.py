"""Small recordings of a skeleton of four joints that lifts, or moves aside, with rests between."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

JOINTS = ("HipCenter", "ShoulderCenter", "HandLeft", "HandRight")
REST = np.array([[0, 0, 2], [0, 0.5, 2], [-0.2, 0, 2], [0.2, 0, 2]], np.float32)
WAYS = {"lift": (3, 1, 0.8), "aside": (2, 0, -0.8)}
"""Gesture -> (joint, axis, how far)."""
FRAMES = 24
COLUMNS = tuple(f"{joint}_{axis}" for joint in ("left_hip", "neck", "left_hand", "right_hand") for axis in "xy")


def movement(label: str) -> np.ndarray:
    joint, axis, far = WAYS[label]
    frames = np.repeat(REST[None], FRAMES, axis=0)
    frames[:, joint, axis] += far * np.sin(np.linspace(0, np.pi, FRAMES))
    return frames


def recording(labels: list[str], rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[str, int, int]]]:
    """Frames T J 3 and (label, first, last) of each gesture, both inclusive."""
    parts, spans, at = [], [], 0
    for label in [*labels, None]:
        rest = np.repeat(REST[None], int(rng.integers(15, 30)), axis=0)
        parts.append(rest)
        at += len(rest)
        if label is not None:
            parts.append(movement(label))
            spans.append((label, at, at + FRAMES - 1))
            at += FRAMES
    frames = np.concatenate(parts)
    return (frames + rng.normal(0, 0.005, frames.shape)).astype(np.float32), spans


def write_sequences(root: Path, count: int = 8, dictionary: int = 0, seed: int = 0) -> Path:
    """SFINGE3D's layout: sequences, labels.csv, joints.txt; and `dictionary` files of one gesture for each label."""
    rng = np.random.default_rng(seed)
    (root / "sequences").mkdir(parents=True)
    rows = []
    for number in range(count):
        labels = [("lift", "aside")[(number + i) % 2] for i in range(2)]
        frames, spans = recording(labels, rng)
        np.save(root / "sequences" / f"{number:02d}.npy", frames)
        rows += [(f"sequences/{number:02d}.npy", *span, len(frames)) for span in spans]
    write_table(root / "labels.csv", ("sequence", "label", "first_frame", "last_frame", "frames"), rows)
    (root / "joints.txt").write_text("\n".join(JOINTS) + "\n")
    if dictionary:
        named = []
        for label in WAYS:
            for number in range(dictionary):
                path = root / "dictionary" / label / f"{number}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, movement(label))
                named.append((path.relative_to(root).as_posix(), label))
        write_table(root / "dictionary.csv", ("path", "label"), named)
    return root


def write_frame_labels(root: Path) -> Path:
    """Ground guide's layout: csv files with a class for every frame; three people."""
    rng = np.random.default_rng(0)
    classes = {"0": "lift", "1": "aside", "2": "standby"}
    ids = {name: number for number, name in classes.items()}
    index = []
    for person in ("ann", "ben", "cleo"):
        frames, spans = recording(["lift", "aside"], rng)
        labels = np.full(len(frames), ids["standby"])
        for label, first, last in spans:
            labels[first : last + 1] = ids[label]
        path = root / "sequences" / f"{person}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = [
            f"{joint.lower()}_{axis}" for joint in ("left_hip", "neck", "left_hand", "right_hand") for axis in "xy"
        ]
        cells = [
            (f"{i}.jpg", label, *map(float, frame[:, :2].ravel()))
            for i, (label, frame) in enumerate(zip(labels, frames, strict=True))
        ]
        write_table(path, ("image", "gesture", *names), cells)
        index.append((path.relative_to(root).as_posix(), person, "train"))
    write_table(root / "index.csv", ("path", "subject", "split"), index)
    write_table(root / "classes.csv", ("id", "label"), list(classes.items()))
    return root


def write_table(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
