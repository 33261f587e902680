"""Speed of a hand pose model by engine, on one core: reading, finding the center, the cube, the network."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.engines import host as machine
from gesta.engines.base import Placement
from gesta.schema import HandFrame, evenly
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.read import read_hand
from gesta.tasks.hands.transform import preprocess_images

FRAMES = 24
"""Number of frames used, spread over the data."""
ROUNDS = 3


def rates(
    bundle: Bundle[HandManifest], frames: Sequence[HandFrame]
) -> tuple[dict[str, Any], Callable[[str, str], dict[str, Any]]]:
    """Return ({}, a function that gives the median time of each processing step for an engine and precision)."""
    chosen = evenly(frames, FRAMES)

    def follow(engine: str, precision: str) -> dict[str, Any]:
        return {"way": followed_hands(bundle.path, chosen, engine, precision)} if chosen else {}

    return {}, follow


def followed_hands(bundle: Path, frames: Sequence[HandFrame], engine: str, precision: str) -> dict[str, Any]:
    """Return the median milliseconds of each processing step, on one core, in a separate process.

    Keys: "read_ms", "center_ms", "cube_ms", "network_ms", "frames_per_s" (of cube and network together), "images",
    "one_core".
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_follow, bundle, list(frames), engine, precision).result()


def _follow(bundle: Path, frames: list[HandFrame], engine: str, precision: str) -> dict[str, Any]:
    pinned = machine.pin_to_one_core()
    from gesta.tasks.hands.predict import load

    recognizer = load(io.read(bundle, HandManifest), Placement(engine, "cpu", 1, precision))
    transform = recognizer.manifest.transform
    took: dict[str, list[float]] = {"read_ms": [], "center_ms": [], "cube_ms": [], "network_ms": []}

    for _ in range(ROUNDS):
        for frame in frames:
            times = [time.perf_counter()]
            depth, color = read_hand(frame, color=transform.needs_color)
            times.append(time.perf_counter())
            center = recognizer.find(depth, frame.camera, transform.cube_mm)
            times.append(time.perf_counter())
            place = center if frame.center_mm is None else frame.center_mm
            hand = preprocess_images(depth, color, frame.camera, transform, place)
            times.append(time.perf_counter())
            recognizer.predict_preprocessed(hand.image[None])
            times.append(time.perf_counter())
            for part, seconds in zip(took, np.diff(times), strict=True):
                took[part].append(1000 * float(seconds))
    medians = {part: round(float(np.median(times)), 3) for part, times in took.items()}
    rate = 1000 / (medians["cube_ms"] + medians["network_ms"])
    return {**medians, "frames_per_s": round(rate, 1), "images": len(frames), "one_core": pinned}
