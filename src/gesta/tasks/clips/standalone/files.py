"""Files beside an exported recognizer for use without gesta: model, program, preprocessing rules and an example."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta import decoder
from gesta.bundle.io import Bundle
from gesta.clips.preprocess import Preprocessor
from gesta.clips.transform import Transform
from gesta.engines.base import Placement
from gesta.schema import Frame, GestaError
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.predict import Recognizer, load
from gesta.tasks.clips.standalone import example, model, rules

PROGRAMS = {name: Path(__file__).with_name(name) for name in ("run.py", "camera.py")}
DECODER = {"decoder.py": Path(decoder.__file__)}


def files(bundle: Bundle[ClipManifest]) -> dict[str, bytes]:
    """Returns name -> content, for a bundle with ONNX networks. Raises GestaError if it has none."""
    manifest = bundle.manifest
    if manifest.transform.skeleton is not None or manifest.transform.tracker is not None:
        raise GestaError(
            "--with-preprocessing is for models that take images, but this one takes skeletons. Leave it out."
        )
    artifact = bundle.find("step", "onnxruntime") or bundle.find("whole", "onnxruntime")
    if artifact is None:
        raise GestaError(f"{bundle.path}: has no ONNX network. Export it: gesta export BUNDLE --to onnx --out DIR")
    inside = rules.missing(manifest.transform) is None
    programs = PROGRAMS if manifest.decoder is None else PROGRAMS | DECODER
    return {
        **{name: file.read_bytes() for name, file in programs.items()},
        "model.onnx": model.build(manifest, bundle.read(artifact), artifact),
        "preprocessing.md": rules.markdown(manifest, inside).encode(),
        "golden.npz": _golden(load(bundle, Placement("onnxruntime", "cpu", precision=artifact.precision)), inside),
    }


def told(manifest: ClipManifest) -> str:
    """Describes in a sentence what the files take and omit."""
    lacking = rules.missing(manifest.transform)
    if lacking is None:
        return "model.onnx takes RGB frames and their times; run.py shows how, and preprocessing.md what happens inside"
    return f"model.onnx takes preprocessed frames, as it cannot contain {lacking}; preprocessing.md describes the steps"


def _golden(recognizer: Recognizer, inside: bool) -> bytes:
    """Returns a synthetic example and gesta's answer to it."""
    t = recognizer.manifest.transform
    count = example.count_for(t)
    if inside:
        times, frames = example.times(t), example.drawn(example.drawing(count))
        clip = _preprocessed(t, frames, times)
    else:
        rng = np.random.default_rng(0)
        times, frames = np.arange(count) / t.fps, rng.integers(0, 256, (count, *t.frame_shape)).astype(np.uint8)
        clip = frames
    held = io.BytesIO()
    np.savez_compressed(held, frames=frames, times_s=times, probabilities=recognizer.predict_clips([clip])[0])
    return held.getvalue()


def _preprocessed(t: Transform, frames: NDArray[np.uint8], times_s: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Preprocesses RGB frames [T, H, W, 3] at the given times for the network."""
    preprocessor = Preprocessor(t)
    pieces = [preprocessor.push(Frame(float(s), color=image)) for s, image in zip(times_s, frames, strict=True)]
    return np.concatenate([*pieces, preprocessor.flush()])
