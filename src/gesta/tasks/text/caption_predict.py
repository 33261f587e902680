"""Inference with a captioning model: a sentence for a video or its features. Does not use PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.engines.base import Engine, Placement
from gesta.engines.catalog import open_engine
from gesta.engines.part import Part
from gesta.schema import GestaError, Sample
from gesta.sources.inputs import one_sample
from gesta.tasks.encoders import Encode, encoder_of
from gesta.tasks.text.caption_data import Described, Features, sources
from gesta.tasks.text.manifest import CaptionManifest, FeatureUse
from gesta.tasks.text.translate_predict import STAGES, Arrays, SentenceWriter, Translation

Video = str | Path | Sample | Described | Features
"""A file, a Sample, a Described with stored features, or features [T, D]."""


class SeesFeatures:
    """Obtains and checks the features of a video in any form. `model`: the bundle that makes them, if any."""

    features: FeatureUse
    model: str | Path | None
    at: Placement
    _encode: Encode | None = None

    def encode_sample(self, sample: Sample) -> Features:
        if self._encode is None:
            self._encode = encoder_of(self.features.recipe, self.model, self.at)
        return self._encode(sample)

    def features_of(self, given: Video) -> Features:
        """Return features [T, D]. Raises GestaError for an unreadable recording and for features of another kind."""
        if isinstance(given, Described):
            if given.folder is not None and (differ := given.folder.recipe.differences(self.features.recipe)):
                raise GestaError(f"{given.folder.folder}: other features than the model's: {'; '.join(differ)}.")
            found = given.features(self.encode_sample)
        elif isinstance(given, np.ndarray):
            found = given
        else:
            found = self.encode_sample(given if isinstance(given, Sample) else one_sample(given))
        if found.ndim != 2 or found.shape[1] != self.features.width or not len(found):
            raise GestaError(f"The model takes features [T, {self.features.width}], not {list(found.shape)}.")
        if not np.isfinite(found).all():
            raise GestaError("The features contain values that are not finite (NaN or infinite).")
        return found.astype(np.float32, copy=False)


class Captioner(SeesFeatures, SentenceWriter):
    """Describes what happens in videos."""

    def __init__(
        self, engine: Engine, manifest: CaptionManifest, model: str | Path | None = None, at: Placement = Placement()
    ) -> None:
        super().__init__(engine, manifest)
        self.features, self.model, self.at = manifest.features, model, at

    def feed(self, sources_: Sequence[NDArray]) -> Arrays:
        return sources(sources_)

    def predict(self, given: Video) -> Translation:
        """Return what happens in a video: `text`, `score`, and the other hypotheses."""
        return self.sentences([self.features_of(given)])[0]


def load(bundle: Bundle[CaptionManifest], at: Placement, model: str | Path | None = None) -> Captioner:
    """Load the model. Raises GestaError if the engine is not installed or the bundle has no network for it."""
    return Captioner(open_engine(bundle, at, lambda: _parts(bundle), STAGES), bundle.manifest, model)


def _parts(bundle: Bundle[CaptionManifest]) -> list[Part]:
    from gesta.tasks.text.caption_network import parts

    return parts(bundle)
