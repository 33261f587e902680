"""Exporting, calibrating and timing hand pose models: preprocessed hands, and distances between joints.

Two networks agree if their joints do: `LARGEST_MM` and `MEAN_MM` are the tolerances, by precision. The cube's side
converts the network's units to millimeters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact, PoseMeasured
from gesta.engines.quantize import Feed, spread
from gesta.metrics import joint_errors
from gesta.schema import GestaError, HandFrame, evenly
from gesta.tasks.base import Agreement, Examples, Timing
from gesta.tasks.hands.center import nearest_object
from gesta.tasks.hands.detect import CENTER, SIZE, WIDTHS, search_cube, seen
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.predict import PoseRecognizer
from gesta.tasks.hands.read import read_hand
from gesta.tasks.hands.transform import HandTransform, preprocess_images

LARGEST_MM = {"fp32": 0.1, "fp16": 2.0, "int8": 30.0}
"""Tolerance for the largest distance of a joint from PyTorch's, over all frames, by precision."""
MEAN_MM = {"fp32": 0.01, "fp16": 0.3, "int8": 3.0}
"""Tolerance for the mean distance."""

Images = NDArray[np.float32]  # n C S S


@dataclass(frozen=True)
class HandExamples(Examples):
    """`patches`: what the hand detector sees in its first round, [1, SIZE, SIZE]; none without a detector."""

    patches: list[NDArray[np.float32]] = field(default_factory=list)


def examples(manifest: HandManifest, frames: Sequence[HandFrame], limit: int, source: str) -> Examples:
    """Return at most `limit` preprocessed hands with joints, spread over the frames, skipping those that fail.

    `truth`: joints [J, 3] in units of half a cube.
    """
    if not frames:
        hands = list(random_hands(manifest.transform, limit))
        patches = list(random_hands(HandTransform(size=SIZE), limit)) if manifest.has_detector else []
        return HandExamples(hands, [None] * len(hands), "random", patches)
    found = HandExamples([], [], source)
    transform = manifest.transform
    for frame in evenly(frames, limit):
        if frame.joints_mm is None:
            continue
        try:
            depth, color = read_hand(frame, color=transform.needs_color)
            hand = preprocess_images(depth, color, frame.camera, transform, frame.center_mm)
            if manifest.has_detector:
                center = nearest_object(depth, frame.camera, transform.cube_mm)
                found.patches.append(seen(depth, search_cube(frame.camera, center, transform.cube_mm)))
        except GestaError:
            continue  # a broken image; `gesta data inspect` reports it
        found.inputs.append(hand.image)
        found.truth.append(hand.cube.normalize(frame.joints_mm))
    return found


def random_hands(transform: HandTransform, count: int = 16, seed: int = 0) -> Images:
    """Return images of random depth blobs on an empty background, used when no data are given."""
    rng = np.random.default_rng(seed)
    size = transform.size
    images = np.ones((count, transform.channels, size, size), np.float32)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    for image in images:
        middle, spread = rng.uniform(-0.2, 0.2, 2), rng.uniform(0.1, 0.3)
        inside = np.hypot(rows - middle[0], columns - middle[1]) < spread
        image[:, inside] = rng.normal(rng.uniform(-0.6, 0.6), 0.15, (transform.channels, int(inside.sum())))
    return np.clip(images, -1, 1)


def feeds(bundle: Bundle[HandManifest], shown: Examples) -> dict[tuple[str, str], list[Feed]]:  # noqa: ARG001
    """Return single hands, and single patches for the detector, for calibration."""
    found = {("whole", "network"): spread([{"hand": image[None]} for image in shown.inputs])}
    if isinstance(shown, HandExamples) and shown.patches:
        found["whole", CENTER] = spread([{"patch": patch[None]} for patch in shown.patches])
    return found


def compare(reference: PoseRecognizer, other: PoseRecognizer, shown: Examples, artifact: Artifact) -> Agreement:
    """Compare joints and detected centers of two models, and the errors of both if the true joints are known."""
    images = np.stack(shown.inputs)
    expected, found = (recognizer.predict_preprocessed(images) for recognizer in (reference, other))
    cube_mm = reference.manifest.transform.cube_mm
    largest, mean = compared_mm(expected, found, cube_mm)
    errors: dict[str, float] = {}
    if all(joints is not None for joints in shown.truth):
        truth = np.array(shown.truth)
        sides = {"error_mm": found, "error_mm_torch": expected}
        errors = {name: compared_mm(truth, side, cube_mm)[1] for name, side in sides.items()}
    centers = _centers_mm(reference, other, shown)
    if centers is not None:
        errors["center_difference_mm"] = centers[0]
    pose = PoseMeasured(
        frames=len(images), source=shown.source, largest_difference_mm=largest, mean_difference_mm=mean, **errors
    )
    precision = artifact.precision
    limits = np.array([LARGEST_MM[precision], MEAN_MM[precision]])
    near = bool((np.array([largest, mean]) <= limits).all())  # False for NaN
    detected = ""
    if centers is not None:
        near &= bool((np.array(centers) <= WIDTHS * limits).all())  # its cube is wider
        detected = f", detected centers by up to {centers[0]:.3g} mm (99 %), by {centers[1]:.3g} mm on average"
    words = (
        f"joints differ from PyTorch's by up to {largest:.3g} mm, by {mean:.3g} mm on average{detected}, on "
        f"{len(images)} {shown.source} frames (at most {LARGEST_MM[precision]:g} and {MEAN_MM[precision]:g} mm pass"
        + (", twice as much for centers)" if centers else ")")
    )
    return Agreement(near, {"pose": pose}, max(largest, centers[0] if centers else 0.0), words, "frame")


def _centers_mm(reference: PoseRecognizer, other: PoseRecognizer, shown: Examples) -> tuple[float, float] | None:
    """Return (99th percentile, mean) of the distances in mm of two detectors' centers; None without detectors.

    Not the largest: in an image with two likely hands, a small difference may decide for the other one.
    """
    if not isinstance(shown, HandExamples) or not shown.patches:
        return None
    patches = np.stack(shown.patches)
    one, two = (found.engine.run({"patch": patches}, stage=CENTER)["offset"] for found in (reference, other))
    apart = np.linalg.norm(one - two, axis=1) * WIDTHS * reference.manifest.transform.cube_mm / 2
    return float(np.percentile(apart, 99)), float(apart.mean())


def compared_mm(one: NDArray[Any], other: NDArray[Any], cube_mm: float) -> tuple[float, float]:
    """Return the (largest, mean) distance in mm of joints [n, J, 3] in units of half a cube. NaN propagates."""
    apart = joint_errors(one, other) * (cube_mm / 2)
    return float(np.max(apart)), float(np.mean(apart))


def timings(recognizer: PoseRecognizer, hands: Sequence[Images]) -> dict[str, Timing]:
    """Return the timing of the network on one preprocessed hand."""
    return {"frame": Timing(lambda i: recognizer.predict_preprocessed(hands[i % len(hands)][None]))}
