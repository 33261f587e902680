"""The task of captioning videos from their features; implements gesta.tasks.base."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.engines.base import Engine, Placement
from gesta.engines.part import Part
from gesta.schema import GestaError, Listing, Problem
from gesta.sources.inputs import lost, split_samples
from gesta.tasks.base import Bar, Evaluation, Examples, Parts, Quality, Said, Wanted
from gesta.tasks.feature_store import RECIPE
from gesta.tasks.text import caption_data as data
from gesta.tasks.text.caption_data import Described
from gesta.tasks.text.manifest import CaptionManifest, FeatureUse
from gesta.tasks.text.recipe import CaptionRecipe
from gesta.tasks.text.shared import TextBase
from gesta.tasks.text.translate_task import TranslationTask
from gesta.training.run import Fitted, Run
from gesta.words import command

WITH_MODEL = frozenset({"backbone_weights"})


class FeatureBase(TextBase):
    """Base of tasks that learn from features and captions of videos. `modules`: prefix of fit and predict modules."""

    modules: str

    unit = "videos"
    of_people = True
    also_trains = frozenset({"clips"})
    """Other tasks that learn from the same recordings if their recipe is given."""
    options: Mapping[str, frozenset[str]] = {
        "train": frozenset(),
        "evaluate": WITH_MODEL | {"protocol"},
        "export": frozenset(),
        "predict": WITH_MODEL,
        "benchmark": frozenset(),
    }

    def recognizes(self, data_path: Path, layout: str | None) -> bool:  # noqa: ARG002
        return data.has_captions(data_path)

    def read(self, data_path: Path, layout: str | None = None, like: str | None = None) -> Listing:
        return data.read(data_path, layout, like)

    def split(self, listing: Listing, seed: int, recipe: Mapping[str, Any], protocol: str = "subject") -> Parts:
        inner = replace(listing, samples=tuple(one.sample for one in listing.samples))
        divided, notes = split_samples(inner, seed, protocol, recipe)
        return Parts(data.with_splits(listing, divided), notes)

    def train(self, parts: Parts, recipe: Any, run: Run) -> Fitted:
        """Train the model. Raises GestaError (usage) without stored features, with the command that makes them."""
        root = parts.listing.root
        if not (root / RECIPE).is_file():
            makes = command("gesta", "features", root, "--backbone", "skeleton", "--out", "FEATURES")
            raise GestaError(
                f"{root}: contains no stored features, which {self.title} are learned from. Compute them first, and "
                f"train on FEATURES: {makes} (or another --backbone, or --model).",
                usage=True,
            )
        fitted: Fitted = importlib.import_module(f"{self.modules}_fit").fit(parts, recipe, run)
        return fitted

    def load(self, bundle: Bundle[Any], at: Placement, backbone_weights: str | None = None, **_: Any) -> Any:
        """Load the model. `backbone_weights`: the bundle that computes the features, if they come from one."""
        return importlib.import_module(f"{self.modules}_predict").load(bundle, at, backbone_weights)

    def readable(
        self, predictor: Any, samples: Sequence[Described], bar: Bar
    ) -> tuple[list[Described], list[data.Features], list[Problem]]:
        """Return (the readable videos, their features, problems with the others)."""
        used, found, problems = [], [], []
        for done, sample in enumerate(samples, 1):
            try:
                found.append(predictor.features_of(sample))
                used.append(sample)
            except GestaError as error:
                if error.usage:
                    raise
                problems.append(Problem(str(sample.files[0]), "unreadable", str(error)))
            bar("Reading", done, len(samples))
        return used, found, problems

    def videos(
        self, predictor: Any, wanted: Wanted, failed: list[str]
    ) -> Iterator[tuple[Path, Described, data.Features]]:
        """Yield the videos in files and folders with their features."""
        for path in wanted.inputs:
            try:
                listing = data.read(path, wanted.layout, described=False)
            except GestaError as error:
                failed.append(str(error) if str(path) in str(error) else f"{path}: {error}")
                continue
            failed += lost(listing)
            for sample in listing.samples:
                try:
                    yield path, sample, predictor.features_of(sample)
                except GestaError as error:
                    if error.usage:
                        raise
                    failed.append(f"{sample.id}: {error}")

    def shown(self, use: FeatureUse, samples: Sequence[Described], limit: int, source: str) -> Examples:
        """Return features of videos, evenly spread over the samples, or noise."""
        stored = [sample for sample in samples if sample.folder is not None]
        if not stored:
            rng = np.random.default_rng(0)
            noise = [rng.normal(size=(use.usual, use.width)).astype(np.float32) for _ in range(limit)]
            return Examples(list(noise), [None] * limit, "random")
        count = min(limit, len(stored))
        chosen = [stored[i * len(stored) // count] for i in range(count)]
        return Examples([one.features() for one in chosen], [None] * count, source)

    def step_unit(self, manifest: Any) -> str:  # noqa: ARG002
        return "video"


class CaptionTask(FeatureBase, TranslationTask):
    """A sentence for a video. Trains on a folder of `gesta features` with captions.csv; predicts on videos, too."""

    name = "captions"
    title = "captions of videos"
    recipe = CaptionRecipe  # type: ignore[assignment]
    manifest = CaptionManifest  # type: ignore[assignment]
    default_recipe = "text/video-captions"
    modules = "gesta.tasks.text.caption"
    quality = Quality("val_loss", "bleu", True, "BLEU")
    kept: Sequence[str] = ("bleu", "rouge_l", "cider", "word_for_word", "meaning")

    def outputs(
        self, predictor: Any, samples: Sequence[Any], bar: Bar
    ) -> tuple[list[Any], NDArray[Any], list[Problem]]:
        used, features, problems = self.readable(predictor, samples, bar)
        said = predictor.sentences(features, lambda done, total: bar("Describing", done, total))
        return used, np.array([one.text for one in said], dtype=object), problems

    def evaluate(self, predictor: Any, samples: Sequence[Any], outputs: NDArray[Any], seed: int) -> Evaluation:  # noqa: ARG002
        """Return the metrics over all videos, for each group in captions.csv, and of the most frequent caption."""
        from gesta.tasks.text.caption_metrics import scores

        truth, groups = [s.captions for s in samples], sorted({s.group for s in samples if s.group})
        said = [str(text) for text in outputs]
        rows = {group: [i for i, s in enumerate(samples) if s.group == group] for group in groups}
        apart = {g: {"n": len(r), **scores([said[i] for i in r], [truth[i] for i in r])} for g, r in rows.items()}
        frequent = predictor.manifest.frequent
        metrics = {
            **scores(said, truth),
            "n": len(samples),
            "beams": predictor.search.beams,
            "groups": apart,
            "most_frequent": {"caption": frequent, **scores([frequent] * len(samples), truth)},
        }
        references = np.array([" | ".join(row) for row in truth], dtype=object)
        return Evaluation(metrics, tuple(samples), outputs, references, predictor.manifest)

    def report(self, result: Evaluation, out: Path) -> None:
        """Write metrics.json, report.html and captions.csv."""
        from gesta.tasks.text.report import write_report

        rows = [
            (s.id, said, truth) for s, said, truth in zip(result.samples, result.outputs, result.truth, strict=True)
        ]
        write_report(out, result.manifest.name, result.metrics, "captions.csv", ("video", "said", "references"), rows)

    def graphs(self, bundle: Bundle[Any], **_: Any) -> list[Part]:
        from gesta.tasks.text.caption_network import parts

        return parts(bundle)

    def examples(self, manifest: Any, samples: Sequence[Any], limit: int, source: str) -> Examples:
        return self.shown(manifest.features, samples, limit, source)

    def predictor(self, engine: Engine, manifest: Any) -> Any:
        from gesta.tasks.text.caption_predict import Captioner

        return Captioner(engine, manifest)

    def predictions(self, predictor: Any, wanted: Wanted, failed: list[str]) -> Iterator[Said]:
        """Yield a caption for each video in files and folders."""
        for path, sample, features in self.videos(predictor, wanted, failed):
            found = predictor.predict(features)
            document = {"input": str(path), "video": sample.id, "caption": found.text, "score": found.score}
            yield Said(document, f"{sample.id}  {found.text}")

    def lines(self, command: str, document: Mapping[str, Any]) -> list[str]:
        if command != "evaluate":
            return super().lines(command, document)
        rows = {"all": document, **document["groups"], "most frequent": document["most_frequent"]}
        return [
            *(f"{name:<14}{_measures(row)}" for name, row in rows.items()),
            f"videos        {document['n']}; {document['beams']} beams; engine {document['engine']}",
        ]


def _measures(row: Mapping[str, Any]) -> str:
    meaning = f"meaning {row['meaning']:.1%}, " if "meaning" in row else ""
    return (
        f"{meaning}word for word {row['word_for_word']:.1%}, BLEU {row['bleu']:.1f}, ROUGE-L {row['rouge_l']:.3f}, "
        f"CIDEr {row['cider']:.2f}"
    )


TASK = CaptionTask()
