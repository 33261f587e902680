"""Clips that can be learned, in memory: stands in for the cache, so that no video is needed.

As a program (`python learnable.py OUT DEVICES [EPOCHS]`) it trains on them: for tests that need processes of their own.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gesta.clips.transform import Transform
from gesta.schema import Clip, GestaError, Problem, Resource, Sample
from gesta.tasks.catalog import load_recipe
from gesta.tasks.clips.recipe import ClipRecipe

TINY = (
    "input.size=16",
    "input.fps=20",
    "model.width=0.125",
    "training.epochs=4",
    "training.batch=8",
    "augmentation.window=[8, 12]",
    "augmentation.shift_px=1",
)


class MemoryStore:
    """`broken`: ids that cannot be read. `fail_after`: so many loads, then the process "dies"."""

    def __init__(self, broken: Iterable[str] = (), fail_after: int | None = None) -> None:
        self.broken, self.fail_after, self.loads = set(broken), fail_after, 0

    def fingerprint(self, sample: Sample) -> str:
        return hashlib.sha256(sample.id.encode()).hexdigest()

    def fill(self, samples: Iterable[Sample], transform: Transform, progress: Any = None) -> tuple[Problem, ...]:  # noqa: ARG002
        return tuple(Problem(str(s.files[0]), "unreadable", "cut short") for s in samples if s.id in self.broken)

    def load(self, sample: Sample, transform: Transform) -> Clip:
        self.loads += 1
        if self.fail_after is not None and self.loads > self.fail_after:
            raise RuntimeError("killed")
        if sample.id in self.broken:
            raise GestaError("cut short")
        rng = np.random.default_rng(int(sample.id[1:]))
        frames = transform.window if transform.sampling == "central" else int(rng.integers(9, 20))
        pixels = rng.integers(0, 60, (frames, *transform.frame_shape), dtype=np.uint8)
        row = int(str(sample.label)[1:]) * transform.size // 3
        pixels[:, :, row : row + transform.size // 3] += 150
        return Clip(pixels, sample.label, sample.subject, sample.id)


def samples(count: int = 30, classes: int = 3, val: bool = True) -> list[Sample]:
    """People p0..p4, the last one in validation."""
    return [
        Sample(
            id=f"s{i}",
            recording=f"r{i}",
            color=Resource(Path(f"nowhere/{i}.avi")),
            depth=Resource(Path(f"nowhere/{i}.mkv")),
            label=f"c{i % classes}",
            subject=f"p{i // 3 % 5}",
            split="val" if val and i // 3 % 5 == 4 else "train",
        )
        for i in range(count)
    ]


def tiny(name: str = "auto", *changes: str) -> ClipRecipe:
    """A recipe cut down to seconds, whose network is delivered however good it is."""
    alone = ["baselines=false"] if name == "auto" else []
    return load_recipe(name, [*TINY, *alone, *changes])


if __name__ == "__main__":
    import torch
    from calls import fit

    torch.set_num_threads(1)
    out, devices = Path(sys.argv[1]), int(sys.argv[2])
    epochs = sys.argv[3] if len(sys.argv) > 3 else "4"
    result = fit(
        samples(31),
        tiny("auto", f"training.epochs={epochs}"),
        out,
        layout="memory",
        devices=devices,
        device="cpu",
        progress=False,
        resume=len(sys.argv) > 4,
        cache=MemoryStore(),
    )
    if result.rank == 0:
        print(result.metrics["val_accuracy"], len(result.history), result.history[-1]["val_loss"])
