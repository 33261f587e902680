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
    artifact = bundle.find("whole", "onnxruntime")
    if artifact is None:
        raise GestaError(f"{bundle.path}: has no ONNX network. Export it: gesta export BUNDLE --to onnx --out DIR")
    example = _example(bundle.manifest.transform.needs_color)
    pose = load(bundle, Placement("onnxruntime", "cpu", precision=artifact.precision))
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
    steps = [
        "**Center** of the hand (x right, y up, z forward, mm), computed by `run.py` and not inside `model.onnx`: the "
        "image "
        f"thinned to about {center.COLUMNS} columns, a 3 x 3 median, then all that is connected with the nearest "
        f"reading "
        f"(neighbors within {center.STEP_MM:g} mm, 8 directions; a surface under {center.LEAST_MM2:g} mm2 only where "
        f"no larger "
        f"one lies within {t.cube_mm:g} mm behind it), within {center.REACH * t.cube_mm:g} mm of it. If that is "
        f"{center.LONG * t.cube_mm:g} mm or longer (1st to 99th percentile along its longest axis), the "
        f"{center.HAND * t.cube_mm:g} "
        f"mm at one end: the end that is not cut off by the image's edge or the reach along more than "
        f"{center.CUT_SHARE:.0%} of "
        f"its width, and of two such the wider. {center.ROUNDS} times the mean of the points within {t.cube_mm / 4:g} "
        f"mm, then "
        f"{center.BEHIND_MM:g} mm further along z.",
        f"**Patch** of {t.size} x {t.size} pixels: column i lies at u + (i - {(t.size - 1) / 2:g}) * {t.cube_mm:g} fx "
        f"/ z / "
        f"{t.size} of the image, where (u, v) is the center's pixel; rows likewise with fy. The nearest pixel is "
        f"taken; "
        "outside the image there is no reading.",
        f"**Depth**: (d - z) / {half:g}, limited to -1 to 1; 1 without a reading.",
    ]
    if t.needs_color:
        mask = " and 0 where depth is not between -1 and 1" if t.mask else ""
        steps.append(
            f"**Color**: at the same places, linear between pixels, rounded{mask}; then minus "
            f"{list(t.color_mean or ())}, over "
            f"{list(t.color_deviation or ())} (red, green, blue)."
        )
    steps.append(
        f"**Network**: {t.inputs}, float32 [1, {t.channels}, {t.size}, {t.size}]. Joints in mm = its answers x "
        f"{half:g} + center, "
        f"in this order: {', '.join(manifest.joints)}. Pixels: cx + fx x / z, cy - fy y / z."
    )
    numbered = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))
    return f"# What happens to the depth image\n\nAll but the first step is inside `model.onnx`.\n\n{numbered}\n"
