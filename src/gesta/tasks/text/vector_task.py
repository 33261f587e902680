"""The task of computing vectors of videos and searching by them; implements gesta.tasks.base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact
from gesta.engines.part import Part
from gesta.engines.quantize import spread
from gesta.schema import Problem, Sample
from gesta.tasks import lines as shared
from gesta.tasks.base import Agreement, Bar, Evaluation, Examples, Quality, Said, Timing, Wanted, deferred
from gesta.tasks.classification_parity import agreement
from gesta.tasks.feature_store import identities
from gesta.tasks.text import caption_data as data
from gesta.tasks.text import search
from gesta.tasks.text.caption_data import Described, sources
from gesta.tasks.text.caption_task import FeatureBase
from gesta.tasks.text.manifest import VectorManifest
from gesta.tasks.text.recipe import VectorRecipe

BATCH = 256
"""Number of videos whose features are kept in memory while indexing."""


class VectorTask(FeatureBase):
    """Vectors for videos and sentences, and search by them.

    Trains on a folder made by `gesta features` with a captions.csv.
    """

    name = "video2vec"
    title = "vectors of videos"
    recipe = VectorRecipe
    manifest = VectorManifest
    default_recipe = "text/video2vec"
    modules = "gesta.tasks.text.vector"
    quality = Quality("val_loss", "recall_1", True, "%")
    kept = ("recall_1", "recall_5", "recall_10")

    predictor = deferred("gesta.tasks.text.vector_predict:VectorModel")
    embeds = deferred("gesta.tasks.encoders:states_of")

    def outputs(
        self, predictor: Any, samples: Sequence[Described], bar: Bar
    ) -> tuple[list[Described], NDArray[Any], list[Problem]]:
        used, features, problems = self.readable(predictor, samples, bar)
        return used, predictor.of_videos(features), problems

    def evaluate(self, predictor: Any, samples: Sequence[Described], outputs: NDArray[Any], seed: int) -> Evaluation:  # noqa: ARG002
        """Measure how often a sentence retrieves a video that matches it, and a video another that shows the same.

        "recall_1" and so on are for sentences if the model supports them, otherwise for videos.
        """
        from gesta.tasks.text.vector_predict import alike, recalls

        same = alike(samples)
        others = same & ~np.eye(len(samples), dtype=bool)
        asked = others.any(1)
        by_video = (
            recalls((outputs @ outputs.T - 2 * np.eye(len(samples)))[asked], others[asked]) if asked.any() else {}
        )
        found: dict[str, Any] = {"by_video": by_video | {"n": int(asked.sum())}}
        if predictor.speaks:
            texts = predictor.of_sentences([s.captions[0] for s in samples]) @ outputs.T
            groups = sorted({s.group for s in samples if s.group})
            rows = {g: [i for i, s in enumerate(samples) if s.group == g] for g in groups}
            found["groups"] = {g: {"n": len(r), **recalls(texts[r], same[r])} for g, r in rows.items()}
            found["by_text"] = recalls(texts, same) | {"n": len(samples)}
        metrics = {**found.get("by_text", by_video), **found, "n": len(samples)}
        return Evaluation(metrics, tuple(samples), outputs, same, predictor.manifest)

    def report(self, result: Evaluation, out: Path) -> None:
        """Write metrics.json, report.html and nearest.csv, which lists the nearest other video for each video."""
        from gesta.tasks.text.report import write_report

        cosines = result.outputs @ result.outputs.T - 2 * np.eye(len(result.outputs))
        nearest = cosines.argmax(1)
        rows = [
            (s.id, s.captions[0], result.samples[j].id, result.samples[j].captions[0], f"{cosines[i, j]:.4f}")
            for i, (s, j) in enumerate(zip(result.samples, nearest, strict=True))
        ]
        header = ("video", "caption", "nearest", "its caption", "cosine")
        write_report(out, result.manifest.name, result.metrics, "nearest.csv", header, rows)

    def graphs(self, bundle: Bundle[VectorManifest], **_: Any) -> list[Part]:
        from gesta.tasks.text.vector_network import parts

        return parts(bundle)

    def examples(self, manifest: VectorManifest, samples: Sequence[Described], limit: int, source: str) -> Examples:
        return self.shown(manifest.features, samples, limit, source)

    def feeds(self, bundle: Bundle[VectorManifest], examples: Examples) -> dict[tuple[str, str], list[Any]]:
        found = {("whole", "video"): spread([sources([video]) for video in examples.inputs])}
        if bundle.manifest.known is not None:
            texts = [{"source": text[:, None], "lengths": np.array([len(text)])} for text in _texts(bundle.manifest)]
            found["whole", "text"] = spread(texts)
        return found

    def compare(self, reference: Any, other: Any, examples: Examples, artifact: Artifact) -> Agreement:
        """Compare the vectors of videos, and those of random sentences."""
        one, two = (list(model.of_videos(examples.inputs)[:, None]) for model in (reference, other))
        if reference.speaks:
            said = [" ".join(reference.manifest.known.tokens[i] for i in text) for text in _texts(reference.manifest)]
            one, two = ([*rows, *model.of_sentences(said)[:, None]] for rows, model in ((one, reference), (two, other)))
        return agreement(one, two, Examples(one, [None] * len(one), examples.source), artifact, (), None)

    def predictions(self, predictor: Any, wanted: Wanted, failed: list[str]) -> Iterator[Said]:
        """Yield the vector of each video in files and folders."""
        for path, sample, features in self.videos(predictor, wanted, failed):
            vector = predictor.predict(features)
            line = (
                f"{sample.id}  " + " ".join(f"{number:.3f}" for number in vector[:4]) + f" ... ({len(vector)} numbers)"
            )
            yield Said({"input": str(path), "video": sample.id, "vector": [float(v) for v in vector]}, line)

    def timings(self, predictor: Any, inputs: Sequence[NDArray[Any]]) -> dict[str, Timing]:
        found = {"video": Timing(lambda i: predictor.of_videos([inputs[i % len(inputs)]]))}
        if predictor.speaks:
            texts = [" ".join(predictor.manifest.known.tokens[i] for i in t) for t in _texts(predictor.manifest)]
            found["sentence"] = Timing(lambda i: predictor.of_sentences([texts[i % len(texts)]]))
        return found

    def embed(self, predictor: Any, sample: Sample) -> NDArray[Any]:
        """Optional ability: return the vector of a video, [1, E]."""
        found: NDArray[Any] = predictor.predict(sample)[None]
        return found

    def index(
        self, predictor: Any, folder: Path, place: Path | None, layout: str | None, bar: Bar
    ) -> tuple[search.Index, Path, list[Problem]]:
        """Optional ability: create or update the index of a folder's videos at `place` (None: in the cache).

        Returns the index, its location, and the problems found.
        """
        key = self.embeds(predictor.manifest).weights
        listing = data.read(folder, layout, predictor.manifest.provenance.layout, described=False)
        problems = list(listing.problems)
        place = place or search.place_of(folder, key)
        samples = {sample.id: sample for sample in listing.samples}
        names = identities([sample.sample for sample in samples.values()])

        def embed(ids: list[str]) -> dict[str, NDArray[np.float32]]:
            found: dict[str, NDArray[np.float32]] = {}
            for first in range(0, len(ids), BATCH):
                chosen = [samples[id] for id in ids[first : first + BATCH]]
                used, features, broken = self.readable(predictor, chosen, lambda _s, _d, _t: None)
                problems.extend(broken)
                found |= dict(zip([s.id for s in used], predictor.of_videos(features), strict=True)) if used else {}
                bar("Indexing", min(first + BATCH, len(ids)), len(ids))
            return found

        width = predictor.manifest.recipe["model"]["vector"]
        old = search.read(place, key, width)
        made = search.updated(old, dict(zip(samples, names, strict=True)), embed, width)
        if made is not old:
            search.write(place, key, made)
        return made, place, problems

    def lines(self, command: str, document: Mapping[str, Any]) -> list[str]:
        if command == "train":
            loss = document["metrics"].get("val_loss")
            return shared.trained(document, [f"loss      {'not measured' if loss is None else f'{loss:.4f}'}"])
        if command == "evaluate":
            rows = {"sentences": document.get("by_text"), **document.get("groups", {}), "videos": document["by_video"]}
            return [
                *(f"{name:<10}{_recalls(row)}" for name, row in rows.items() if row and "recall_1" in row),
                f"videos    {document['n']}, {len(document['skipped'])} skipped; engine {document['engine']}",
            ]
        if command == "benchmark":
            table = shared.latency_table(document, shared.times_of(video="video", sentence="sentence"))
            return [*shared.benchmark_head(document), *table]
        return shared.exported(document, [f"network  {a['file']}" for a in document["artifacts"]], "VIDEO")


def _texts(manifest: VectorManifest) -> list[NDArray[np.int64]]:
    """Return random sentences."""
    assert manifest.known is not None
    rng, count = np.random.default_rng(0), len(manifest.known.tokens)
    return [rng.integers(min(2, count - 1), count, length) for length in (3, 8, 8, 12)]


def _recalls(row: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{row[f'recall_{k}']:.1%} (chance {row[f'chance_{k}']:.1%})" for k in (1, 5, 10))
    return f"a video with the same meaning among the first 1, 5, 10: {shares}; {row['n']} queries"


TASK = VectorTask()
