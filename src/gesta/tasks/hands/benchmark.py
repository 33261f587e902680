"""Speed of a hand pose model in one run: reading, finding the centre, the cube, the network, by engine on one core."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle import io
from gesta.engines import host as machine
from gesta.evaluation.benchmark import Say, latencies, sizes
from gesta.schema import GestaError, HandFrame
from gesta.tasks.hands.center import nearest_object
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.read import read_hand
from gesta.tasks.hands.transform import prepare_images

FRAMES = 24
"""Frames that are gone over, spread over the data."""
ROUNDS = 3


def benchmark_pose(
    bundle_path: Path | str,
    frames: Sequence[HandFrame] = (),
    *,
    engines: Sequence[str] | None = None,
    seconds: float = 3.0,
    say: Say = lambda _text: None,
) -> dict[str, Any]:
    """Latency of a prepared hand by every engine that the bundle has something for, about `seconds` each.

    With frames also the whole way of an image: reading its file, the centre's detection, the cube, the network. What
    cannot be measured is named with its reason. Raises GestaError where no frame can be prepared.
    """
    path = Path(bundle_path)
    manifest = io.read(path, HandManifest).manifest
    chosen = [frames[i * len(frames) // FRAMES] for i in range(FRAMES)] if len(frames) >= FRAMES else list(frames)
    hands = _hands(chosen, manifest)

    def follow(engine: str, precision: str) -> dict[str, Any]:
        return {"way": followed_hands(path, chosen, engine, precision)} if chosen else {}

    return {
        "bundle": str(bundle_path),
        "model": {"name": manifest.name, "parameters": manifest.parameters, "bytes": sizes(path, manifest)},
        "hands": {"source": "data" if chosen else "random", "n": len(hands)},
        "latency": latencies(path, manifest, hands, engines, seconds, say, follow),
        "machine": machine.describe(),
    }


def followed_hands(bundle: Path, frames: Sequence[HandFrame], engine: str, precision: str) -> dict[str, Any]:
    """Median milliseconds of each part of an image's way, on one core, in a process of its own.

    {"read_ms", "center_ms", "cube_ms", "network_ms", "frames_per_s"}: the last of cube and network together.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_follow, bundle, list(frames), engine, precision).result()


def _follow(bundle: Path, frames: list[HandFrame], engine: str, precision: str) -> dict[str, Any]:
    pinned = machine.pin_to_one_core()
    from gesta.tasks.hands.predict import load_pose

    recogniser = load_pose(bundle, engine=engine, threads=1, device="cpu", precision=precision)
    transform = recogniser.manifest.transform
    took: dict[str, list[float]] = {"read_ms": [], "center_ms": [], "cube_ms": [], "network_ms": []}

    for _ in range(ROUNDS):
        for frame in frames:
            times = [time.perf_counter()]
            depth, color = read_hand(frame, color=transform.needs_color)
            times.append(time.perf_counter())
            center = nearest_object(depth, frame.camera, transform.cube_mm)
            times.append(time.perf_counter())
            place = center if frame.center_mm is None else frame.center_mm
            hand = prepare_images(depth, color, frame.camera, transform, place)
            times.append(time.perf_counter())
            recogniser.predict_prepared(hand.image[None])
            times.append(time.perf_counter())
            for part, seconds in zip(took, np.diff(times), strict=True):
                took[part].append(1000 * float(seconds))
    medians = {part: round(float(np.median(times)), 3) for part, times in took.items()}
    rate = 1000 / (medians["cube_ms"] + medians["network_ms"])
    return {**medians, "frames_per_s": round(rate, 1), "images": len(frames), "one_core": pinned}


def _hands(frames: Sequence[HandFrame], manifest: HandManifest) -> list[NDArray[np.float32]]:
    """Prepared hands; noise of the right shape without frames."""
    transform = manifest.transform
    if not frames:
        shape = (8, transform.channels, transform.size, transform.size)
        return list(np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32))
    found, reasons = [], []
    for frame in frames:
        try:
            depth, color = read_hand(frame, color=transform.needs_color)
            found.append(prepare_images(depth, color, frame.camera, transform, frame.center_mm).image)
        except GestaError as error:
            reasons.append(str(error))
    if not found:
        raise GestaError(f"no frame of the data could be prepared. {reasons[0]}")
    return found
