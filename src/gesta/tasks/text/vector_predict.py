"""Vectors of videos and sentences, and retrieval metrics. Does not use PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.engines.base import Engine, Placement
from gesta.engines.catalog import open_engine
from gesta.engines.part import Part
from gesta.grammar import parse, words_of
from gesta.schema import GestaError
from gesta.tasks.text.caption_data import Described, Features, sources
from gesta.tasks.text.caption_predict import SeesFeatures, Video
from gesta.tasks.text.manifest import VectorManifest
from gesta.tasks.text.pairs import sources as token_sources

TOGETHER = 64
"""Videos per batch."""
RANKS = (1, 5, 10)
Vectors = NDArray[np.float32]


class VectorModel(SeesFeatures):
    """Computes vectors of videos and sentences. Holds its networks on one device; use one per thread."""

    def __init__(
        self, engine: Engine, manifest: VectorManifest, model: str | Path | None = None, at: Placement = Placement()
    ) -> None:
        self.engine, self.manifest = engine, manifest
        self.features, self.model, self.at = manifest.features, model, at

    @property
    def speaks(self) -> bool:
        """Whether the model can embed sentences, too."""
        return self.manifest.known is not None

    def predict(self, given: Video) -> Vectors:
        """Return the unit-length vector [E] of a video."""
        return self.of_videos([self.features_of(given)])[0]

    def of_videos(self, videos: Sequence[Features]) -> Vectors:
        """Features, each [T, D] -> vectors [n, E]; videos of similar length are batched together."""
        order = np.argsort([len(video) for video in videos], kind="stable")
        found = np.zeros((len(videos), self.manifest.recipe["model"]["vector"]), np.float32)
        for i in range(0, len(order), TOGETHER):
            rows = order[i : i + TOGETHER]
            found[rows] = self.engine.run(sources([videos[r] for r in rows]), stage="video")["vector"]
        return found

    def of_sentences(self, sentences: Sequence[str]) -> Vectors:
        """Return the vectors of sentences, [n, E].

        Raises GestaError if the model was not trained on captions, or knows no word of a sentence.
        """
        if self.manifest.known is None:
            raise GestaError(
                f"The model {self.manifest.name!r} was trained on {self.manifest.recipe['objective']}, not on "
                "captions: it does not understand sentences. Search with --like VIDEO, or train text/video2vec.",
                usage=True,
            )
        vocabulary = self.manifest.known.vocabulary
        texts = []
        for sentence in sentences:
            words = words_of(sentence)
            if not any(word in vocabulary for word in words if word != ","):
                known = ", ".join(t for t in vocabulary.tokens[2:] if t != ",")
                raise GestaError(f"{sentence!r}: the model knows none of these words. It knows {known}.", usage=True)
            texts.append(vocabulary.sentence(words))
        return np.concatenate([self.engine.run(token_sources([text], 0), stage="text")["vector"] for text in texts])


def load(bundle: Bundle[VectorManifest], at: Placement, model: str | Path | None = None) -> VectorModel:
    """Load the model. Raises GestaError if the engine is not installed or the bundle has no network for it."""
    stages = ("video", "text") if bundle.manifest.known is not None else ("video",)
    return VectorModel(open_engine(bundle, at, lambda: _parts(bundle), stages), bundle.manifest, model, at)


def _parts(bundle: Bundle[VectorManifest]) -> list[Part]:
    from gesta.tasks.text.vector_network import parts

    return parts(bundle)


def recalls(scores: NDArray[np.floating], right: NDArray[np.bool_]) -> dict[str, float]:
    """Return the recall at 1, 5 and 10, and the recall expected of a random order.

    `scores`, `right`: [queries, videos]. The recall at k is the share of queries with one of their right videos among
    the first k.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(right, order, 1)
    found = {f"recall_{k}": float(hits[:, :k].any(1).mean()) for k in RANKS}
    return found | {f"chance_{k}": float(_by_chance(right, k).mean()) for k in RANKS}


def _by_chance(right: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """Return 1 - C(n - m, k) / C(n, k) for each query with m right videos of n."""
    count, held = right.shape[1], right.sum(1).astype(float)
    missed = np.ones(len(right))
    for i in range(min(k, count)):
        missed *= np.clip(count - held - i, 0, None) / (count - i)
    return 1 - missed


def alike(samples: Sequence[Described]) -> NDArray[np.bool_]:
    """Return for each pair of videos whether they show the same, [n, n].

    They do if their captions have the same meaning, where these follow the grammar; otherwise if they share an
    identical caption, or the label where there are no captions.
    """
    keys = [_keys(sample) for sample in samples]
    return np.array([[bool(one & other) for other in keys] for one in keys])


def _keys(sample: Described) -> set[object]:
    if not sample.captions:
        return {("label", sample.label)} if sample.label is not None else {sample.id}
    meaning = parse(sample.captions[0])
    return {meaning} if meaning is not None else set(sample.captions)
