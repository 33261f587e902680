"""Files written next to an exported hand pose model for use without gesta."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.engines.base import Placement
from gesta.schema import Camera, GestaError
from gesta.tasks.hands import center
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.predict import load
from gesta.tasks.hands.standalone import model

PROGRAM = Path(__file__).with_name("run.py")
TOLD = "model.onnx takes a depth image, its camera and the hand's center; run.py finds the center and shows how"


def files(bundle: Bundle[HandManifest]) -> dict[str, bytes]:
    """Return the files as {name: content}. Raises GestaError if the bundle has no ONNX network."""
    artifact = bundle.find("whole", "onnxruntime", stage="network")
    if artifact is None:
        raise GestaError(f"{bundle.path}: has no ONNX network. Export it: gesta export BUNDLE --to onnx --out DIR")
    example = _example(bundle.manifest.transform.needs_color)
    pose = load(bundle, Placement("onnxruntime", "cpu", precision=artifact.precision), "nearest")  # as run.py
    lens = Camera(*example["camera"])
    example["joints_mm"] = pose.predict_images(example["depth_mm"], example.get("color"), lens).joints_mm
    held = io.BytesIO()
    np.savez_compressed(held, allow_pickle=False, **example)
    return {
        "model.onnx": model.build(bundle.manifest, bundle.read(artifact)),
        "preprocessing.md": _rules(bundle.manifest).encode(),
        "run.py": PROGRAM.read_bytes(),
        "golden.npz": held.getvalue(),
    }


def _example(color: bool) -> dict[str, NDArray[Any]]:
    """Draw a palm with five fingers in front of a wall."""
    rows, columns = np.mgrid[:240, :320]
    depth = np.full((240, 320), 1500, np.float32)
    palm = np.hypot(rows - 130, columns - 160)
    depth[palm < 28] = 600 + palm[palm < 28] / 4
    for finger in range(5):
        angle = np.deg2rad(-60 + 30 * finger)
        along = (columns - 160) * np.sin(angle) - (rows - 130) * np.cos(angle)
        aside = np.abs((columns - 160) * np.cos(angle) + (rows - 130) * np.sin(angle))
        depth[(along > 20) & (along < 58) & (aside < 5)] = 590 + 3 * finger
    example = {"depth_mm": depth, "camera": np.array([240.0, 240.0, 160.0, 120.0])}
    if color:
        example["color"] = np.stack([rows % 256, columns % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)
    return example


def _rules(manifest: HandManifest) -> str:
    """Return preprocessing.md, with every rule and number of the transform."""
    t = manifest.transform
    half = t.cube_mm / 2
    without = " The model's hand detector, which gesta would use, is not included." if manifest.has_detector else ""
    steps = [
        "**Center** of the hand (x right, y up, z forward, in mm), computed by `run.py`, not inside `model.onnx`. "
        f"Subsample the image to about {center.COLUMNS} columns and apply a 3 x 3 median. Take everything connected "
        f"with the nearest reading (8 directions, neighbors within {center.STEP_MM:g} mm of depth) that is within "
        f"{center.REACH * t.cube_mm:g} mm of it. A surface under {center.LEAST_MM2:g} mm2 is used only if there is no "
        f"larger one within {t.cube_mm:g} mm behind it. If the result is {center.LONG * t.cube_mm:g} mm or longer "
        f"(1st to 99th percentile along its longest axis), keep the {center.HAND * t.cube_mm:g} mm at one end: the "
        "end that is not cut off by the edge of the image or by the limit of distance along more than "
        f"{center.CUT_SHARE:.0%} of its width, and if neither is, the wider one. Then move to the mean of the points "
        f"within {t.cube_mm / 4:g} mm, {center.ROUNDS} times, and {center.BEHIND_MM:g} mm further along z.{without}",
        f"**Patch** of {t.size} x {t.size} pixels: column i is at u + (i - {(t.size - 1) / 2:g}) * {t.cube_mm:g} fx / "
        f"z / {t.size} of the image, where (u, v) is the pixel of the center; rows likewise with fy. Take the nearest "
        "pixel; outside the image there is no reading.",
        f"**Depth**: (d - z) / {half:g}, limited to -1 to 1; 1 without a reading.",
    ]
    if t.needs_color:
        mask = " and 0 where depth is not between -1 and 1" if t.mask else ""
        steps.append(
            f"**Color**: at the same places, linearly interpolated and rounded{mask}; then minus "
            f"{list(t.color_mean or ())} and divided by {list(t.color_deviation or ())} (red, green, blue)."
        )
    steps.append(
        f"**Network**: {t.inputs}, float32 [1, {t.channels}, {t.size}, {t.size}]. Joints in mm = its outputs x "
        f"{half:g} + center, in this order: {', '.join(manifest.joints)}. Pixels: cx + fx x / z, cy - fy y / z."
    )
    numbered = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))
    return f"# Preprocessing of the depth image\n\nAll steps except the first are inside `model.onnx`.\n\n{numbered}\n"
