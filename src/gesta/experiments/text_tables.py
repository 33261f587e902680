"""Comparison of the tutorial's text models on the user's text: language models next to an n-gram, and translators.

Every row is trained on the same parts; the epoch is selected on data held out of train, and the test part (or dev if
there is no test part) is scored once. No data are generated: a language cannot be made up.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gesta.bundle import io
from gesta.engines.base import Placement
from gesta.evaluation.run import measure
from gesta.experiments.parallel import Job, key_of
from gesta.experiments.quality_table import QualityRow
from gesta.experiments.table import Experiment, Line, Plan, Wanted, mean, number, spread
from gesta.recipes import Recipe
from gesta.schema import GestaError
from gesta.tasks.catalog import find, load_recipe
from gesta.training.run import Run

SAMPLES, SAMPLE_LENGTH = 20, 1500
"""Number of samples whose LaTeX is checked, and length of each in characters."""


@dataclass(frozen=True)
class TextTable:
    """`measure`: the evaluation metric to show, with `digits` decimals; `latex`: whether to check samples as LaTeX."""

    title: str
    source: str
    data: str
    measure: str
    rows: tuple[QualityRow, ...]
    digits: int = 3
    latex: bool = False


@dataclass(frozen=True)
class TextScale:
    """Recipe overrides, and minutes for one training of cost 1 on one core."""

    overrides: tuple[str, ...]
    minutes: float
    seeds: int = 1


SCALES = {"quick": TextScale(("training.epochs=2",), 3.0), "full": TextScale((), 30.0)}
_PART_V = "Ptucha 2019, part V"
_CHARACTERS = (
    QualityRow("1 LSTM layer of 192", "text/characters-tiny"),
    QualityRow("2 LSTM layers of 384", "text/characters-small", cost=4.0),
    QualityRow("3 LSTM layers of 512", "text/characters", cost=12.0),
)
_WITHOUT = ("model.attention=false",)

TEXT_TABLES: dict[str, TextTable] = {
    "tutorial/characters": TextTable(
        "character language models, nats per character",
        _PART_V,
        "a text file, such as Shakespeare's",
        "loss",
        _CHARACTERS,
        4,
    ),
    "tutorial/latex": TextTable(
        "character language models of LaTeX source, nats per character",
        _PART_V,
        "a file of LaTeX source",
        "loss",
        _CHARACTERS,
        4,
        latex=True,
    ),
    "tutorial/words": TextTable(
        "word language models of captions, perplexity",
        _PART_V,
        "a folder of captions in Flickr8k's layout",
        "perplexity",
        (QualityRow("1 LSTM layer of 512, tied", "text/captions"),),
        2,
    ),
    "tutorial/translation": TextTable(
        "German to English, BLEU",
        "public repositories",
        "a folder with train.de, train.en, test.de ...",
        "bleu",
        (
            QualityRow("encoder-decoder LSTM", "text/german-to-english", (*_WITHOUT, "training.epochs=7"), 16.5),
            QualityRow("with attention", "text/german-to-english", cost=1.2),
        ),
        2,
    ),
    "tutorial/glosses": TextTable(
        "sign language glosses to German, BLEU",
        "published for the test part, which may not be the part that is measured",
        "a folder with train.gloss, train.de, dev.gloss ...",
        "bleu",
        (
            QualityRow("encoder-decoder LSTM", "text/gloss-to-german", _WITHOUT),
            QualityRow("with attention", "text/gloss-to-german", reported=19.3),
        ),
        2,
    ),
}


class TextTables(Experiment):
    """`data` of its plans: the user's text."""

    scales: Mapping[str, Any] = SCALES
    trial = "gesta.experiments.text_tables:run_text_trial"
    headings = (
        "model",
        "parameters",
        "reported",
        "measured",
        "n-gram",
        "network alone",
        "with n-gram",
        "part",
        "minutes",
        "balanced LaTeX",
        "LaTeX that compiles",
    )
    brief: Sequence[str] | None = ("model", "reported", "measured", "n-gram")

    def data(self, wanted: Wanted) -> tuple[Path, str]:
        if wanted.data is None:
            raise GestaError(f"{self.name} needs text: give --data, {self.table.data}.", usage=True)
        return wanted.data, f"Data: {wanted.data.name}, scale {wanted.scale}."

    def plan(self, data: Path, note: str, wanted: Wanted) -> Plan:
        scale, lines = self.scale_of(wanted), []
        for row in self.table.rows:
            recipe = load_recipe(row.recipe, (*row.overrides, *scale.overrides, *wanted.sets))
            task = find(recipe.task)
            listing = task.read(data, wanted.layout)
            content = task.identities(listing.samples)
            for seed in range(self.seeds_of(wanted)):
                key = key_of(recipe.model_dump(mode="json"), seed, content, self.table.latex)
                arguments = {
                    "data": data,
                    "recipe": recipe,
                    "folder": wanted.out / "rows" / f"training-{key}",
                    "seed": seed,
                    "device": wanted.device,
                    "latex": self.table.latex,
                }
                job = Job(f"{row.label}, seed {seed}", self.trial, arguments, key, wanted.out / "rows" / f"{key}.json")
                lines.append(Line(row.label, job, row.cost))
        return Plan((tuple(lines),), note, scale.minutes, wanted.workers)

    def line(self, row: QualityRow, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        first, measure = results[0] if results else {}, self.table.measure
        counted = [result for result in results if f"ngram_{measure}" in result]
        return {
            "label": row.label,
            "recipe": row.recipe,
            "reported": row.reported,
            "measured": [result[measure] for result in results],
            "ngram": first.get(f"ngram_{measure}"),
            "network": [result.get(f"network_{measure}", result[measure]) for result in counted],
            "mixed": [result.get(f"mixed_{measure}", result[measure]) for result in counted],
            "parameters": first.get("parameters"),
            "part": first.get("part"),
            "minutes": mean(result["seconds"] / 60 for result in results),
            "balanced": mean(result["both"] for result in results if "both" in result),
            "compiles": mean(result["compiles"] for result in results if result.get("compiles") is not None),
            "sample": first.get("sample"),
        }

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        digits = self.table.digits
        return [
            row["label"],
            number(row["parameters"], 2, 1e6, " M"),
            number(row["reported"], digits),
            spread(row["measured"], digits),
            number(row["ngram"], digits),
            spread(row["network"], digits),
            spread(row["mixed"], digits),
            str(row["part"] or "-"),
            number(row["minutes"], 1),
            number(row["balanced"], 0, 0.01, " %"),
            number(row["compiles"], 0, 0.01, " %"),
        ]

    def told(self, result: Mapping[str, Any]) -> str:
        return f"{self.table.measure} {result[self.table.measure]:.{self.table.digits}f} on {result['part']}"


@dataclass(frozen=True)
class Scored:
    """A finished training: its data parts, fit result, model, name of the scored part, and evaluation result."""

    parts: Any
    fitted: Any
    model: Any
    part: str
    result: Any

    @property
    def facts(self) -> dict[str, Any]:
        return {"part": self.part, "parameters": self.model.manifest.parameters, "history": self.fitted.history}


def scored(data: Path, recipe: Recipe, folder: Path, seed: int, device: str) -> Scored:
    """Trains, scores test (or dev if there is no test part) once, and removes the folder."""
    task = find(recipe.task)
    try:
        parts = task.split(task.read(data), seed, recipe.model_dump())
        fitted = task.fit(parts, recipe, Run(folder, seed, device=device, progress=False))
        model = task.load(io.read(fitted.bundle, task.manifest), Placement("torch", device))
        part = "test" if parts.of("test") else "dev"
        result = measure(task, model, parts.of(part), seed=seed, progress=False)
        return Scored(parts, fitted, model, part, result)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_text_trial(data: Path, recipe: Recipe, folder: Path, seed: int, device: str, latex: bool) -> dict[str, Any]:
    """Trains, scores, and generates a sample."""
    started = time.monotonic()
    done = scored(data, recipe, folder, seed, device)
    found: dict[str, Any] = {k: v for k, v in done.result.metrics.items() if isinstance(v, int | float)}
    nats = {kind: found[f"{kind}_loss"] for kind in ("ngram", "mixed", "network") if f"{kind}_loss" in found}
    found |= {f"{kind}_perplexity": math.exp(loss) for kind, loss in nats.items()}
    samples = _samples(done.model, latex) if hasattr(done.model, "write") else {}
    return {**found, **done.facts, **samples, "seconds": time.monotonic() - started}


def _samples(model: Any, latex: bool) -> dict[str, Any]:
    """Returns a text sample of the model; for LaTeX, also the shares of well-formed ones among several samples."""
    from gesta.tasks.text.latex import shares

    count = SAMPLES if latex else 1
    texts = ["".join(model.write(length=SAMPLE_LENGTH, temperature=0.8, seed=seed)) for seed in range(count)]
    return {"sample": texts[0], **(shares(texts) if latex else {})}
