"""Inference with a frozen backbone and a classifier of its features. Exported bundles do not need PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.clips.chosen_frames import chosen, fit_frame, read_frames, windows
from gesta.clips.plane import is_video
from gesta.engines.base import Engine, Placement
from gesta.engines.catalog import choose, open_engine
from gesta.engines.part import Part
from gesta.schema import Frame, GestaError, Prediction, Sample
from gesta.sources.inputs import one_sample
from gesta.tasks.classification import prediction, softmax
from gesta.tasks.features.backbone_source import backbone_of
from gesta.tasks.features.manifest import BackboneUse, FeatureManifest
from gesta.tasks.features.stream import LAST, SequenceStream, follow

Video = str | Path | Sample | NDArray[np.uint8]
"""A file or recording, a Sample, or RGB frames [T, H, W, 3]."""
STAGES = ("backbone", "head")
BATCH = 32
"""Frames (or windows) per batch of the backbone."""


def load(
    bundle: Bundle[FeatureManifest], at: Placement = Placement(), backbone: str | Path | None = None
) -> SequenceRecognizer:
    """Load the recognizer.

    `backbone`: where the backbone's weights are if not in the bundle: a file (run with PyTorch), random:SEED, a bundle
    with the same backbone, or a folder with one such file. Raises GestaError for a missing or different backbone, and
    for a missing or unknown engine.
    """
    held = backbone_of(bundle, backbone)
    if isinstance(held, Bundle):
        name = choose(held, at.engine, at.device)
    elif at.engine in (None, "torch"):
        name = "torch"
    else:
        raise GestaError(
            f"--backbone-weights {held}: a weights file runs with PyTorch only. Leave --engine out, or export the "
            "model "
            f"with its backbone once: gesta export {bundle.path} --to openvino --backbone-weights {held} --out OUT",
            usage=True,
        )
    others = {"backbone": held} if isinstance(held, Bundle) else {}
    opened = open_engine(bundle, replace(at, engine=name), lambda: _parts(bundle, held), STAGES, others)
    return SequenceRecognizer(opened, bundle.manifest)


def load_head(bundle: Bundle[FeatureManifest], at: Placement) -> SequenceRecognizer:
    """Load the classifier without the backbone; it takes stored features. Needs PyTorch."""
    opened = open_engine(bundle, replace(at, engine="torch"), lambda: _parts(bundle, None), STAGES)
    return SequenceRecognizer(opened, bundle.manifest)


def _parts(bundle: Bundle[FeatureManifest], backbone: Bundle[FeatureManifest] | Path | None) -> list[Part]:
    from gesta.tasks.features.network import parts

    return parts(bundle, backbone)


def read_video(sample: Sample, used: BackboneUse) -> NDArray[np.uint8]:
    """Return frames [n, H, W, 3] or windows [n, w, H, W, 3]. Raises GestaError."""
    frames = read_frames(
        sample, used.size, frames=used.frames, every=used.every, window=used.window, letterbox=used.letterbox
    )
    return frames.reshape(-1, *used.shape)


def fit_video(video: NDArray[np.uint8], used: BackboneUse) -> NDArray[np.uint8]:
    """Preprocess RGB frames [T, H, W, 3] as `read_video` does a file's. Raises GestaError for other arrays."""
    if not is_video(video):
        raise GestaError(f"The model takes RGB frames, uint8 [T, H, W, 3], not {video.dtype} {list(video.shape)}.")
    places = windows(chosen(len(video), used.frames, used.every), used.window)
    fitted = [fit_frame(Frame(0.0, color=video[i]), used.size, used.letterbox) for i in places]
    return np.stack(fitted).reshape(-1, *used.shape)


class SequenceRecognizer:
    """Classifies videos. Holds two networks on one device; use one per thread."""

    def __init__(self, engine: Engine, manifest: FeatureManifest) -> None:
        self.engine, self.manifest = engine, manifest

    @property
    def labels(self) -> tuple[str, ...]:
        return self.manifest.labels

    @overload
    def predict(self, video: Video) -> Prediction: ...

    @overload
    def predict(self, video: list[Video]) -> list[Prediction]: ...

    def predict(self, video: Video | list[Video]) -> Prediction | list[Prediction]:
        """Classify a video, or each video of a list: a file, a Sample, or RGB frames [T, H, W, 3].

        Raises GestaError if a video cannot be read, or is a folder of several.
        """
        if isinstance(video, (list, tuple)):
            return [self._predict(one) for one in video]
        return self._predict(video)  # type: ignore[arg-type]

    def _predict(self, video: Video) -> Prediction:
        if isinstance(video, np.ndarray):
            frames = fit_video(video, self.manifest.backbone)
            return prediction(self.labels, self.predict_features([self.features_of(frames)])[0], "")
        sample = one_sample(video) if isinstance(video, (str, Path)) else video
        found = self.predict_features([self.features(sample)])[0]
        return prediction(self.labels, found, str(sample.files[0]))

    def stream(
        self, frames: Iterable[Frame | NDArray[np.uint8]] | str | Path | Sample, fps: float = 25.0, last: int = LAST
    ) -> Iterator[Prediction]:
        """Yield a prediction for each new feature, in constant memory, from an iterator of frames, a file or a Sample.

        The final prediction equals that of `predict`, unless the video has more than `last` features: the classifier
        then sees only the last `last`. `fps` assigns times to RGB images without time stamps. Raises GestaError (usage)
        as `open_stream` does.
        """
        return follow(self.open_stream(last), frames, self.manifest.backbone, fps)

    def open_stream(self, last: int = LAST) -> SequenceStream:
        """Open a stream to push frames into manually. Several may be open at once.

        Raises GestaError (usage) for a model that needs exactly n frames of a whole video.
        """
        return SequenceStream(self.features_of, self.predict_features, self.manifest, last)

    def features(self, sample: Sample) -> NDArray[np.float32]:
        """Return a video's features [T, D], from the frames selected as in training. Raises GestaError."""
        return self.features_of(read_video(sample, self.manifest.backbone))

    def features_of(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Frames [T, H, W, 3], or windows [T, w, H, W, 3] -> [T, D]."""
        return np.concatenate([self._features(frames[i : i + BATCH]) for i in range(0, len(frames), BATCH)])

    def predict_features(self, sequences: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """Return probabilities [n, N] for feature sequences [T, D]. Raises GestaError for a different width."""
        expected = self.manifest.backbone.features
        for features in sequences:
            if features.ndim != 2 or features.shape[1] != expected or not len(features):
                raise GestaError(f"The model takes features [T, {expected}], not {list(features.shape)}.")
        found = np.zeros((len(sequences), len(self.labels)))
        for start in range(0, len(sequences), BATCH):
            part = sequences[start : start + BATCH]
            lengths = np.array([len(features) for features in part], np.int64)
            padded = np.zeros((len(part), int(lengths.max()), expected), np.float32)
            for row, features in zip(padded, part, strict=True):
                row[: len(features)] = features
            found[start : start + BATCH] = softmax(
                self.engine.run({"features": padded, "lengths": lengths}, stage="head")["logits"]
            )
        return found

    def _features(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.engine.run({"frames": frames}, stage="backbone")["features"]
