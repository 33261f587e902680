"""Files beside an exported recognizer for use without gesta: model, program, preprocessing rules and an example."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta import decoder
from gesta.bundle.io import Bundle
from gesta.clips.preprocess import Preprocessor
from gesta.clips.skeleton_sets import describe_joints
from gesta.clips.transform import Transform
from gesta.engines.base import Placement
from gesta.schema import Frame, GestaError
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.predict import Recognizer, load
from gesta.tasks.clips.standalone import example, model, rules
from gesta.tasks.web import wandering

PROGRAMS = {name: Path(__file__).with_name(name) for name in ("run.py", "camera.py")}
DECODER = {"decoder.py": Path(decoder.__file__)}


def files(bundle: Bundle[ClipManifest]) -> dict[str, bytes]:
    """Returns name -> content, for a bundle with ONNX networks. Raises GestaError if it has none."""
    manifest = bundle.manifest
    if manifest.transform.fused:
        raise GestaError(
            "--with-preprocessing is for models of images or of skeletons, but this one takes both. Leave it out."
        )
    artifact = bundle.find("step", "onnxruntime") or bundle.find("whole", "onnxruntime")
    if artifact is None:
        raise GestaError(f"{bundle.path}: has no ONNX network. Export it: gesta export BUNDLE --to onnx --out DIR")
    inside = rules.missing(manifest.transform) is None
    programs = PROGRAMS if manifest.decoder is None else PROGRAMS | DECODER
    if manifest.transform.skeleton is not None:
        programs = {name: file for name, file in programs.items() if name != "camera.py"}  # it has no tracker
    return {
        **{name: file.read_bytes() for name, file in programs.items()},
        "model.onnx": model.build(manifest, bundle.read(artifact), artifact),
        "preprocessing.md": rules.markdown(manifest, inside).encode(),
        "golden.npz": _golden(load(bundle, Placement("onnxruntime", "cpu", precision=artifact.precision)), inside),
    }


def told(manifest: ClipManifest) -> str:
    """Describes in a sentence what the files take and omit."""
    lacking, space = rules.missing(manifest.transform), manifest.transform.skeleton
    if space is not None:
        return (
            f"model.onnx takes {describe_joints(space.joints)} and their times, from your tracker; run.py shows how, "
            "and preprocessing.md what happens inside"
        )
    if lacking is None:
        return "model.onnx takes RGB frames and their times; run.py shows how, and preprocessing.md what happens inside"
    return f"model.onnx takes preprocessed frames, as it cannot contain {lacking}; preprocessing.md describes the steps"


def _golden(recognizer: Recognizer, inside: bool) -> bytes:
    """Returns a synthetic example and gesta's answer to it."""
    t = recognizer.manifest.transform
    count, times = example.count_for(t), example.times(t)
    frames: NDArray[Any]
    if t.skeleton is not None:
        frames = wandering(len(t.skeleton.joints), t.skeleton.dimensions, count)
        clip = _preprocessed(t, [Frame(float(s), joints=joints) for s, joints in zip(times, frames, strict=True)])
    elif inside:
        frames = example.drawn(example.drawing(count))
        clip = _preprocessed(t, [Frame(float(s), color=image) for s, image in zip(times, frames, strict=True)])
    else:
        rng = np.random.default_rng(0)
        times, frames = np.arange(count) / t.fps, rng.integers(0, 256, (count, *t.frame_shape)).astype(np.uint8)
        clip = frames
    held = io.BytesIO()
    np.savez_compressed(held, frames=frames, times_s=times, probabilities=recognizer.predict_clips([clip])[0])
    return held.getvalue()


def _preprocessed(t: Transform, frames: Sequence[Frame]) -> NDArray[Any]:
    """Preprocesses frames for the network."""
    preprocessor = Preprocessor(t)
    return np.concatenate([*(preprocessor.push(frame) for frame in frames), preprocessor.flush()])
