"""Chains of a backbone and a classifier of its features: each stage converted, run as a user will, and compared."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact, Parity, SequenceManifest, Tensor
from gesta.export import onnx, openvino
from gesta.export.add import artifact_of
from gesta.export.parity import agrees, compared, demand
from gesta.export.quantize import LIMIT, Feed
from gesta.export.run import FORMATS, check_out, chosen_format
from gesta.export.torch_model import Part
from gesta.runtime.engines.base import SequenceEngine
from gesta.runtime.engines.catalog import open_sequence_engine
from gesta.runtime.engines.torch import SequenceTorch, load_backbone_of, load_head
from gesta.runtime.sequence import SequenceRecogniser, backbone_of, holds
from gesta.schema import GestaError

RANDOM_VIDEOS = 4
VIDEOS = {"fp32": 32, "fp16": 32, "int8": 100}
"""Videos to compare on, at most: 99 % of fewer than a hundred would be all of them."""
CALIBRATION = 32
"""Training videos that an 8-bit backbone is calibrated on, at most."""
EIGHT_BITS: dict[str, Callable[[Part, str], dict[str, bytes]]] = {
    openvino.ENGINE: openvino.convert_stored,
    onnx.ENGINE: lambda part, stem: onnx.convert(part, stem, "fp16"),
}
"""How the classifier is stored beside an 8-bit backbone, by engine; it computes in fp32: it is a small share of the
work, and errors of a recurrent network add up. OpenVINO: matrices in 8 bits. ONNX: in 16."""
Videos = Iterable[NDArray[np.uint8]]
"""Each one's frames as the backbone takes them, [n, H, W, 3], or windows [n, w, H, W, 3]."""


@dataclass(frozen=True)
class ChainReport:
    """The new bundle, and how its stages compare."""

    bundle: Bundle[SequenceManifest]
    parity: Parity
    agrees: bool
    backbone: bool


def add(folder: Path | str, precision: str = "fp32") -> Parity:
    """Adds OpenVINO's networks of the stages that the bundle holds; returns the worst parity.

    Raises GestaError, and leaves the bundle as it was, if one does not say what PyTorch says.
    """
    bundle = io.read_sequence(folder)
    made, parity = _made(bundle, bundle if holds(bundle) else None, "openvino", precision)
    demand(parity, precision, f"{bundle.path}: the networks for openvino {precision}")
    for artifact, files in made:
        bundle = io.add_artifact(bundle, artifact, files)
    return parity


def export_chain(
    path: Path | str,
    *,
    to: str,
    out: Path,
    precision: str = "fp32",
    backbone: str | Path | None = None,
    videos: Videos | None = None,
    calibration: Videos = (),
    force: bool = False,
) -> ChainReport:
    """Writes a new bundle at `out` that runs without PyTorch: the classifier, and the backbone from the bundle or
    `backbone` (as of `load_sequence`), whatever its size.

    `videos`: those to compare on, read one by one (`videos_of` of runtime.sequence); random ones if left out.
    `calibration`: training videos, for int8: the backbone computes in 8 bits, the classifier is stored as EIGHT_BITS
    says. Raises GestaError for an unknown format or precision (usage), int8 without calibration (usage), an `out` that
    holds something else, a backbone that is nowhere, and, unless `force`, where the chain does not say what PyTorch
    says (int8: on 99 %).
    """
    bundle = io.read_sequence(path)
    engine, _ = chosen_format(to, precision)
    check_out(bundle, out)
    source = backbone_of(bundle, backbone)
    feeds = _feeds(calibration) if precision == "int8" else ()
    made, parity = _made(bundle, source, engine, precision, videos, feeds)
    passed = agrees(parity, precision)
    if not passed and not force:
        demand(parity, precision, f"{bundle.path}: {to} {precision}")
    notes = tuple(note for note in bundle.manifest.notes if "is not in the bundle" not in note)
    if not passed:
        notes += (f"exported to {to} {precision} by force: top class as PyTorch's on {parity.top_class_agreement:.1%}",)
    manifest = bundle.manifest.model_copy(update={"artifacts": tuple(a for a, _ in made), "notes": notes})
    written = io.write(out, manifest, {name: data for _, files in made for name, data in files.items()})
    return ChainReport(written, parity, passed, holds(written))


def _feeds(calibration: Videos) -> list[Feed]:
    """At most LIMIT single inputs of the backbone, as many of each video, evenly spread."""
    each = max(1, LIMIT // CALIBRATION)
    found: list[Feed] = []
    for video in calibration:
        count = min(each, len(video))
        found += [{"frames": video[i * len(video) // count][None]} for i in range(count)]
    if not found:
        raise GestaError(
            "int8 needs real training videos to calibrate on and got none. Give the data the model was trained on: "
            "--data DATA.",
            usage=True,
        )
    return found[:LIMIT]


def parts(bundle: Bundle[SequenceManifest], backbone: nn.Module | None, head: nn.Module) -> dict[str, Part]:
    """Stage -> what becomes a file. Batch and number of features are dynamic (-1)."""
    used, classes = bundle.manifest.backbone, len(bundle.manifest.labels)
    feature = Tensor(name="features", dtype="float32", shape=(-1, -1, used.features))
    lengths = Tensor(name="lengths", dtype="int64", shape=(-1,))
    logits = Tensor(name="logits", dtype="float32", shape=(-1, classes))
    example = (torch.zeros(2, 5, used.features), torch.tensor([5, 4]))
    found = {"head": Part("whole", head, example, (feature, lengths), (logits,))}
    if backbone is not None:
        frames = Tensor(name="frames", dtype="uint8", shape=(-1, *used.shape))
        given = Tensor(name="features", dtype="float32", shape=(-1, used.features))
        found["backbone"] = Part(
            "whole", backbone, (torch.zeros(2, *used.shape, dtype=torch.uint8),), (frames,), (given,)
        )
    return found


def _made(
    bundle: Bundle[SequenceManifest],
    source: Bundle[SequenceManifest] | Path | None,
    engine: str,
    precision: str,
    videos: Videos | None = None,
    feeds: Sequence[Feed] = (),
) -> tuple[list[tuple[Artifact, dict[str, bytes]]], Parity]:
    """The stages' artifacts and files, and how the whole chain compares with PyTorch's on the videos."""
    head = load_head(bundle)
    backbone = None if source is None else load_backbone_of(bundle, source).module
    convert = next(made for name, made in FORMATS.values() if name == engine)
    made = []
    for stage, part in parts(bundle, backbone, head).items():
        name = f"{engine}_{stage}_{precision}"
        stored = precision == "int8" and stage == "head"
        files = EIGHT_BITS[engine](part, name) if stored else convert(part, name, precision, feeds)
        made.append((artifact_of(part, files, engine, precision).model_copy(update={"stage": stage}), files))
    parity = _compared(bundle, made, SequenceTorch(backbone or nn.Identity(), head), engine, videos)
    return [(a.model_copy(update={"parity": parity}), files) for a, files in made], parity


def _compared(
    bundle: Bundle[SequenceManifest],
    made: Sequence[tuple[Artifact, dict[str, bytes]]],
    expected: SequenceTorch,
    engine: str,
    videos: Videos | None,
) -> Parity:
    """Probabilities of both on the videos, each read once; without a backbone on random features."""
    manifest = bundle.manifest
    rng = np.random.default_rng(0)
    chained = any(artifact.stage == "backbone" for artifact, _ in made)
    torchs = SequenceRecogniser(expected, manifest)
    with tempfile.TemporaryDirectory() as scratch:
        trial = manifest.model_copy(update={"artifacts": tuple(a for a, _ in made)})
        files = {name: data for _, content in made for name, data in content.items()}
        written = io.write(Path(scratch) / "bundle", trial, files)
        running = SequenceRecogniser(_opened(written, engine, chained), manifest)
        if chained:
            clips = _random_videos(manifest, rng) if videos is None else videos
            pairs = [(torchs.features_of(clip), running.features_of(clip)) for clip in clips]
            if not pairs:
                raise GestaError(f"{bundle.path}: none of the videos to compare on could be read. Give other --data.")
            one, other = ([pair[i] for pair in pairs] for i in (0, 1))
        else:
            width = manifest.backbone.features
            one = other = [rng.normal(size=(n, width)).astype(np.float32) for n in (1, 3, 8, 8)]
        return compared(*(list(r.predict_features(f)[:, None]) for r, f in ((torchs, one), (running, other))))


def _opened(bundle: Bundle[SequenceManifest], engine: str, chained: bool) -> SequenceEngine:
    """The engine; of a head alone its stage also stands in for the backbone, which is then never asked."""
    if chained:
        return open_sequence_engine(bundle, bundle, engine, "cpu", None)
    (artifact,) = bundle.manifest.artifacts
    twice = bundle.manifest.model_copy(
        update={"artifacts": (artifact, artifact.model_copy(update={"stage": "backbone"}))}
    )
    holder = Bundle(bundle.path, twice)
    return open_sequence_engine(holder, holder, engine, "cpu", None)


def _random_videos(manifest: SequenceManifest, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Noise of another brightness in each: a few frames (or one window) are enough to compare."""
    used = manifest.backbone
    count = 2 if used.window == 1 else 1
    return [
        (rng.integers(0, 128, (count, *used.shape)) + rng.integers(0, 128)).astype(np.uint8)
        for _ in range(RANDOM_VIDEOS)
    ]
