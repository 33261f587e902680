"""A hand pose bundle in another format, compared with PyTorch in millimetres on the same prepared hands, and measured.

What must agree are the joints: `LARGEST_MM` and `MEAN_MM` say by how much they may differ, by precision. A cube's side
turns the network's units into millimetres.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact, PoseManifest, PoseMeasured, Tensor
from gesta.clips.hand_transform import HandTransform, prepare_hand
from gesta.evaluate import machine
from gesta.evaluate.latency import in_own_process
from gesta.export import openvino
from gesta.export.add import artifact_of
from gesta.export.quantize import LIMIT
from gesta.export.run import RANDOM, Say, check_out, chosen_format, weight_bytes
from gesta.export.torch_model import Part
from gesta.metrics import joint_errors
from gesta.runtime.engines.catalog import open_pose_engine
from gesta.runtime.engines.torch import PoseTorch, load_pose_network
from gesta.runtime.pose import PoseRecogniser
from gesta.schema import GestaError, HandFrame

LARGEST_MM = {"fp32": 0.1, "fp16": 2.0, "int8": 30.0}
"""Largest distance of a joint from PyTorch's, over all frames, that passes, by precision."""
MEAN_MM = {"fp32": 0.01, "fp16": 0.3, "int8": 3.0}
"""Mean distance that passes."""
TIMED_HANDS = 16

Images = NDArray[np.float32]  # n C S S


@dataclass(frozen=True)
class Hands:
    """Prepared hands to compare on: `images` n C S S; `joints` n J 3 in units of half a cube, or None (not known)."""

    images: Images
    joints: NDArray[np.float64] | None = None
    source: str = "validation"


@dataclass(frozen=True)
class PoseReport:
    """What came out. The artifact holds what was measured; `agrees`: whether it passed (or was forced)."""

    bundle: Bundle[PoseManifest]
    artifact: Artifact
    agrees: bool
    bytes_torch: int


@dataclass(frozen=True)
class Made:
    """An artifact with what was measured, and its files."""

    artifact: Artifact
    files: dict[str, bytes]

    @property
    def pose(self) -> PoseMeasured:
        assert self.artifact.pose is not None
        return self.artifact.pose


def add(bundle_path: Path | str, images: Images) -> PoseMeasured:
    """Adds the network in OpenVINO's format (fp32) to the bundle, compared on prepared validation hands n C S S.

    Raises GestaError, and leaves the bundle as it was, if the joints are not PyTorch's.
    """
    bundle = io.read_pose(bundle_path)
    hands = Hands(images) if len(images) else random_hands(bundle.manifest)
    made = _make(bundle, hands, openvino.ENGINE, "fp32", openvino.convert, ())
    if not agrees(made.pose, "fp32"):
        raise GestaError(_refusal(bundle, made.pose, "openvino", "fp32"))
    io.add_artifact(bundle, made.artifact, made.files)
    return made.pose


def export_pose(
    bundle: Bundle[PoseManifest] | Path | str,
    *,
    to: str,
    precision: str = "fp32",
    out: Path | str,
    hands: Hands | None = None,
    calibration: Images | None = None,
    force: bool = False,
    seconds: float = 2.0,
    say: Say = lambda _text: None,
) -> PoseReport:
    """Writes a new bundle at `out` with the network in another format: transform, provenance, metrics stay.

    `hands`: prepared validation frames, with joints for the error; random ones if left out, and no error.
    `calibration`: training images n C S S, for int8. Latency is measured for about `seconds`; 0 leaves it out.

    Raises GestaError, and writes nothing, for an unknown format or precision (usage), int8 without calibration, an
    `out` that holds trained weights, and, unless `force`, where the joints differ too much from PyTorch's.
    """
    bundle = bundle if isinstance(bundle, Bundle) else io.read_pose(bundle)
    engine, convert = chosen_format(to, precision)
    out = Path(out)
    check_out(bundle, out)
    feeds = _feeds(calibration) if precision == "int8" else ()
    hands = hands or random_hands(bundle.manifest)
    say("converting and comparing the network")
    made = _make(bundle, hands, engine, precision, convert, feeds)
    passed = agrees(made.pose, precision)
    if not passed and not force:
        raise GestaError(_refusal(bundle, made.pose, to, precision))
    notes = bundle.manifest.notes
    if not passed:
        forced = f"exported to {to} {precision} by force: {_difference(made.pose)}"
        notes = (*notes, forced)
    if seconds > 0:
        say("measuring")
        made = _timed(bundle, made, hands.images, seconds)
    manifest = bundle.manifest.model_copy(update={"artifacts": (made.artifact,), "notes": notes})
    written = io.write(out, manifest, made.files)
    return PoseReport(written, made.artifact, passed, weight_bytes(bundle))


def agrees(pose: PoseMeasured, precision: str) -> bool:
    """Whether no joint, and the joints in the mean, differ too much from PyTorch's, for this precision."""
    near = pose.largest_difference_mm <= LARGEST_MM[precision]  # False for NaN
    return near and pose.mean_difference_mm <= MEAN_MM[precision]


def prepared_hands(
    frames: Sequence[HandFrame], transform: HandTransform, limit: int, source: str = "validation"
) -> Hands | None:
    """At most `limit` hands with joints, spread evenly over the frames; those that cannot be prepared are left out.

    None where nothing is left.
    """
    count = min(limit, len(frames))
    images, joints = [], []
    for frame in (frames[i * len(frames) // count] for i in range(count)):
        try:
            hand = prepare_hand(frame, transform)
        except GestaError:
            continue  # a broken image: `gesta data inspect` names it
        if frame.joints_mm is not None:
            images.append(hand.image)
            joints.append(hand.cube.normalise(frame.joints_mm))
    return Hands(np.stack(images), np.array(joints), source) if images else None


def random_hands(manifest: PoseManifest, count: int = 16, seed: int = 0) -> Hands:
    """Blobs of depth before nothing, for where no data are given."""
    rng = np.random.default_rng(seed)
    transform = manifest.transform
    size = transform.size
    images = np.ones((count, transform.channels, size, size), np.float32)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    for image in images:
        middle, spread = rng.uniform(-0.2, 0.2, 2), rng.uniform(0.1, 0.3)
        inside = np.hypot(rows - middle[0], columns - middle[1]) < spread
        image[:, inside] = rng.normal(rng.uniform(-0.6, 0.6), 0.15, (transform.channels, int(inside.sum())))
    return Hands(np.clip(images, -1, 1), source=RANDOM)


def pose_part(bundle: Bundle[PoseManifest], network: torch.nn.Module) -> Part:
    """The network as what becomes a file: hand [B, C, S, S] -> joints [B, J, 3]; B is dynamic."""
    transform = bundle.manifest.transform
    shape = (-1, transform.channels, transform.size, transform.size)
    hand = Tensor(name="hand", dtype="float32", shape=shape)
    joints = Tensor(name="joints", dtype="float32", shape=(-1, len(bundle.manifest.joints), 3))
    return Part("whole", network, (torch.zeros(2, *shape[1:]),), (hand,), (joints,))


def compared_mm(one: NDArray[Any], other: NDArray[Any], cube_mm: float) -> tuple[float, float]:
    """(largest, mean) distance in mm of joints n J 3 in units of half a cube; NaN stays NaN."""
    apart = joint_errors(one, other) * (cube_mm / 2)
    return float(np.max(apart)), float(np.mean(apart))


def _make(
    bundle: Bundle[PoseManifest],
    hands: Hands,
    engine: str,
    precision: str,
    convert: Callable[..., dict[str, bytes]],
    feeds: Sequence[dict[str, Images]],
) -> Made:
    """The network converted, run as a user's machine will, and compared."""
    network = load_pose_network(bundle)
    part = pose_part(bundle, network)
    files = convert(part, f"{engine}_whole_{precision}", precision, feeds)
    artifact = artifact_of(part, files, engine, precision)
    trial = bundle.manifest.model_copy(update={"artifacts": (artifact,)})
    expected = PoseRecogniser(PoseTorch(network), bundle.manifest).predict_prepared(hands.images)
    with tempfile.TemporaryDirectory() as scratch:
        written = io.write(Path(scratch) / "trial", trial, files)
        running = open_pose_engine(written, engine, "cpu", None, precision)
        found = PoseRecogniser(running, bundle.manifest).predict_prepared(hands.images)
    cube = bundle.manifest.transform.cube_mm
    largest, mean = compared_mm(expected, found, cube)
    errors: dict[str, float] = {}
    if hands.joints is not None:
        errors = {
            "error_mm": compared_mm(hands.joints, found, cube)[1],
            "error_mm_torch": compared_mm(hands.joints, expected, cube)[1],
        }
    pose = PoseMeasured(
        frames=len(hands.images),
        source=hands.source,
        largest_difference_mm=largest,
        mean_difference_mm=mean,
        bytes=sum(len(data) for data in files.values()),
        machine=machine.text(machine.describe()),
        **errors,
    )
    return Made(artifact.model_copy(update={"pose": pose}), files)


def _timed(bundle: Bundle[PoseManifest], made: Made, images: Images, seconds: float) -> Made:
    """With the latency of a frame on one core, PyTorch's too, one after the other, each in a process of its own."""
    artifact = made.artifact
    with tempfile.TemporaryDirectory(prefix="gesta-export-") as scratch:
        file, folder = Path(scratch) / "hands.npz", Path(scratch) / "bundle"
        np.savez(file, *images[:TIMED_HANDS])
        io.write(folder, bundle.manifest.model_copy(update={"artifacts": (artifact,)}), made.files)
        ours = in_own_process(folder, file, artifact.engine, artifact.precision, seconds)["frame"]
        theirs = in_own_process(bundle.path, file, "torch", "fp32", seconds)["frame"]
    times = {
        "latency_ms": (ours["p50_ms"], ours["p95_ms"]),
        "latency_torch_ms": (theirs["p50_ms"], theirs["p95_ms"]),
    }
    return Made(artifact.model_copy(update={"pose": made.pose.model_copy(update=times)}), made.files)


def _feeds(calibration: Images | None) -> list[dict[str, Images]]:
    if calibration is None or len(calibration) == 0:
        raise GestaError(
            "int8 needs real training frames to calibrate on and got none. Give the data the model was trained on: "
            "--data DATA.",
            usage=True,
        )
    count = min(LIMIT, len(calibration))
    return [{"hand": calibration[i * len(calibration) // count][None]} for i in range(count)]


def _difference(pose: PoseMeasured) -> str:
    return (
        f"joints differ from PyTorch's by up to {pose.largest_difference_mm:.3g} mm, by {pose.mean_difference_mm:.3g} "
        f"mm in the mean, on {pose.frames} {pose.source} frames"
    )


def _refusal(bundle: Bundle[PoseManifest], pose: PoseMeasured, to: str, precision: str) -> str:
    return (
        f"{bundle.path}: {to} {precision} does not say what PyTorch says: {_difference(pose)} (at most "
        f"{LARGEST_MM[precision]:g} and {MEAN_MM[precision]:g} mm pass). "
        "Nothing was written. Take a higher precision, or write it all the same: --force."
    )
