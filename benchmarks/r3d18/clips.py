"""Reads recordings in the layout of ChaLearn 2014 as clips of 16 full RGB frames, with the same split as in gesta."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips.decode import iter_frames
from gesta.schema import GestaError, Resource, Sample
from gesta.sources.catalog import read
from gesta.sources.split import assign_splits

FRAMES = 16


@dataclass(frozen=True)
class Clips:
    """pixels uint8 [N, T, H, W, 3] (RGB), labels int64 [N]; ids and people as in gesta."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    ids: tuple[str, ...]
    people: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def spread(self, count: int) -> Clips:
        """At most `count` of the clips, evenly spaced."""
        chosen = [i * len(self) // min(count, len(self)) for i in range(min(count, len(self)))]
        kept = np.asarray(chosen, np.int64)
        ids, people = [self.ids[i] for i in chosen], [self.people[i] for i in chosen]
        return Clips(self.pixels[kept], self.labels[kept], tuple(ids), tuple(people))


def load(data: Path, side: int, seed: int) -> tuple[dict[str, Clips], tuple[str, ...]]:
    """Loads clips of `side` x `side` pixels by part (train, val, test), and the labels. Splits like `gesta train`.

    Recordings that cannot be decoded are reported on stderr and skipped. Raises GestaError for an empty part.
    """
    samples, notes = assign_splits(read(data).samples, seed=seed)
    for note in notes:
        print(note, file=sys.stderr)
    labels = tuple(sorted({s.label for s in samples if s.label is not None and s.split == "train"}))
    parts = {}
    for part in ("train", "val", "test"):
        chosen = [s for s in samples if s.split == part and s.label in labels]
        parts[part] = decode(chosen, labels, side)
        if not len(parts[part]):
            raise GestaError(f"{data}: no clips for {part}. This benchmark needs labeled gestures of several people.")
        size = parts[part].pixels.nbytes / 2**20
        people = len(set(parts[part].people))
        print(f"{part}: {len(parts[part])} clips of {people} people, {size:.0f} MiB", file=sys.stderr)
    return parts, labels


def decode(samples: Sequence[Sample], labels: Sequence[str], side: int) -> Clips:
    """Decodes each recording once, and takes 16 frames of each gesture, evenly spaced from its first to its last."""
    pixels = np.zeros((len(samples), FRAMES, side, side, 3), np.uint8)
    filled = np.zeros((len(samples), FRAMES), bool)
    recordings: dict[Resource, list[int]] = defaultdict(list)
    for row, sample in enumerate(samples):
        if sample.color is not None:
            recordings[sample.color].append(row)
    for video, rows in recordings.items():
        wanted: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for row in rows:
            for t, index in enumerate(evenly(samples[row])):
                wanted[index].append((row, t))
        try:
            for index, (_, image) in enumerate(iter_frames(video, "rgb", lambda i, _, due=wanted: i in due)):
                if image is not None:
                    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
                    for row, t in wanted[index]:
                        pixels[row, t], filled[row, t] = small, True
        except GestaError as error:
            print(f"skipped clips with missing frames: {error}", file=sys.stderr)
    whole = np.flatnonzero(filled.all(axis=1))
    kept = [samples[i] for i in whole]
    truth = np.array([labels.index(s.label or "") for s in kept], np.int64)
    return Clips(pixels[whole], truth, tuple(s.id for s in kept), tuple(s.subject for s in kept))


def evenly(sample: Sample) -> list[int]:
    """Indices of 16 frames from a gesture's first to its last; some are repeated in short gestures."""
    if sample.first_frame is None or sample.last_frame is None:
        raise GestaError(f"{sample.id}: has no first and last frame. This benchmark reads the layout of ChaLearn 2014.")
    return [round(float(i)) for i in np.linspace(sample.first_frame, sample.last_frame, FRAMES)]
