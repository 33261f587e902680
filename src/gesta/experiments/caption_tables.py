"""Comparison of video captioning and embedding models, on unseen generated people or on the user's captioned data.

Every row is trained on the same features; the epoch is selected on the validation part, the test part is scored once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gesta.experiments.caption_wordings import UTD_MHAD
from gesta.experiments.catalog import DATA_SEED
from gesta.experiments.quality_table import QualityRow
from gesta.experiments.table import Wanted, mean, number, spread
from gesta.experiments.text_tables import Scored, TextTables, scored
from gesta.files import csv_text, write_whole
from gesta.recipes import Recipe
from gesta.schema import GestaError
from gesta.sources.catalog import read
from gesta.synthetic import described
from gesta.tasks.encoders import skeleton_encoder
from gesta.tasks.feature_store import RECIPE
from gesta.tasks.features.encode import encode_all

CAPTIONS = "captions.csv"


@dataclass(frozen=True)
class DescribedTable:
    """`columns`: heading -> (path of the measure in an evaluation, e.g. groups.seen.meaning; whether it is a share)."""

    title: str
    source: str
    rows: tuple[QualityRow, ...]
    columns: Mapping[str, tuple[str, bool]]
    beside: Mapping[str, str]
    latex: bool = False


@dataclass(frozen=True)
class DescribedScale:
    """Amount of generated data, recipe overrides, and minutes for one training of cost 1 on one core."""

    people: int
    recordings: int
    overrides: tuple[str, ...]
    minutes: float
    seeds: int = 1


_RECALLS = {f"recall at {k}": (f"recall_{k}", True) for k in (1, 5, 10)}
DESCRIBED_TABLES: dict[str, DescribedTable] = {
    "tutorial/captions": DescribedTable(
        "captions of actions",
        "-",
        (
            QualityRow("LSTM, the video's last state", "text/video-captions", ("model.attention=false",)),
            QualityRow("LSTM with attention over time", "text/video-captions"),
        ),
        {
            "meaning, seen": ("groups.seen.meaning", True),
            "meaning, held-out": ("groups.held-out.meaning", True),
            "word for word": ("word_for_word", True),
            "BLEU": ("bleu", False),
            "ROUGE-L": ("rouge_l", False),
            "CIDEr": ("cider", False),
        },
        {"most frequent caption": "most_frequent", "nearest neighbor's caption": "nearest"},
    ),
    "tutorial/video2vec": DescribedTable(
        "video embeddings: retrieval of videos with the same meaning",
        "-",
        (
            QualityRow("from captions", "text/video2vec"),
            QualityRow("from classes", "text/video2vec-classes"),
            QualityRow("from reconstruction", "text/video2vec-reconstruction"),
        ),
        {
            **{f"text, {name}": (f"by_text.{key}", share) for name, (key, share) in _RECALLS.items()},
            **{f"like, {name}": (f"by_video.{key}", share) for name, (key, share) in _RECALLS.items()},
        },
        {"chance": "chance", "classifier's labels as queries": "labels"},
    ),
}


class DescribedTables(TextTables):
    """`data` of its plans: a folder of features with captions."""

    scales: Mapping[str, Any] = {
        "quick": DescribedScale(36, 100, ("training.epochs=25",), 6.0),
        "full": DescribedScale(54, 400, (), 60.0, 3),
    }
    brief = None
    trial = "gesta.experiments.caption_tables:run_described_trial"

    def headings_of(self, document: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002
        return ("model", *self.table.columns, "parameters", "minutes")

    def data(self, wanted: Wanted) -> tuple[Path, str]:
        features = wanted.out / f"features-{wanted.scale if wanted.data is None else wanted.data.name}"
        if wanted.data is None:
            scale, made = self.scale_of(wanted), wanted.out / f"described-{wanted.scale}"
            described.make(
                made,
                videos=False,
                workers=wanted.workers,
                people=scale.people,
                recordings=scale.recordings,
                seed=DATA_SEED,
            )
            return stored(made, features), f"Generated: {scale.people} people, {scale.recordings} recordings each."
        if (wanted.data / RECIPE).is_file():
            return wanted.data, f"Data: {wanted.data.name}."
        return stored(wanted.data, features, wanted.layout), f"Data: skeletons of {wanted.data.name}."

    def line(self, row: QualityRow, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        first = results[0] if results else {}
        return {
            "label": row.label,
            "recipe": row.recipe,
            "measured": {name: _values(results, path) for name, (path, _) in self.table.columns.items()},
            "parameters": first.get("parameters"),
            "minutes": mean(result["seconds"] / 60 for result in results),
            "results": list(results),
        }

    def rows(self, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """Returns the trained rows, preceded by baselines measured in the same trials."""
        trained = super().rows(results)
        beside = []
        for label, key in self.table.beside.items():
            held = [one[key] for found in results.values() for one in found if key in one]
            measured = {name: _values(held[:1], path) for name, (path, _) in self.table.columns.items()}
            beside.append({"label": label, "measured": measured, "parameters": None, "minutes": None})
        return [*beside, *trained]

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        shown = []
        for name, (_, share) in self.table.columns.items():
            values = row["measured"][name]
            shown.append(f"{spread([100 * v for v in values], 1)} %" if share and values else spread(values, 2))
        return [row["label"], *shown, number(row["parameters"], 2, 1e6, " M"), number(row["minutes"], 1)]

    def told(self, result: Mapping[str, Any]) -> str:
        found = {name: _values([result], path) for name, (path, _) in self.table.columns.items()}
        return ", ".join(f"{name} {values[0]:.3f}" for name, values in found.items() if values)


def _values(results: Sequence[Mapping[str, Any]], path: str) -> list[float]:
    """Returns a measure from each result that has it."""
    found = []
    for result in results:
        value: Any = result
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None:
            found.append(float(value))
    return found


def stored(data: Path, out: Path, layout: str | None = None) -> Path:
    """Stores skeletons of recordings as features, with the data's captions or the built-in ones for UTD-MHAD's actions.

    Raises GestaError if there are neither.
    """
    listing = read(data, layout)
    known = set(listing.labels)
    if (data / CAPTIONS).is_file():
        said = (data / CAPTIONS).read_bytes()
    elif known and known <= set(UTD_MHAD):
        rows = [(label, caption) for label in sorted(known) for caption in UTD_MHAD[label]]
        said = csv_text([("label", "caption"), *rows]).encode()
    else:
        raise GestaError(f"{data}: has no {CAPTIONS}. Write one next to the data, with the columns path,caption.")
    encode_all(listing, out, *skeleton_encoder())
    write_whole(out / CAPTIONS, said)
    return out


def run_described_trial(data: Path, recipe: Recipe, folder: Path, seed: int, device: str, **_: Any) -> dict[str, Any]:
    """Trains, scores, and measures the baselines."""
    started = time.monotonic()
    done = scored(data, recipe, folder, seed, device)
    found = {k: v for k, v in done.result.metrics.items() if isinstance(v, int | float | Mapping)}
    found |= BESIDE[recipe.task](done)
    return {**found, **done.facts, "seconds": time.monotonic() - started}


def _beside_captions(done: Scored) -> dict[str, Any]:
    """Scores the caption of the training video nearest in mean and deviation over time, and the most frequent one."""
    from gesta.tasks.text.caption_metrics import scores

    train, test = done.parts.of("train"), done.result.samples
    pooled = [np.stack([np.r_[v.mean(0), v.std(0)] for v in (s.features() for s in part)]) for part in (train, test)]
    middle, spread_ = pooled[0].mean(0), pooled[0].std(0) + 1e-6
    held, asked = ((rows - middle) / spread_ for rows in pooled)
    nearest = [int(((held - row) ** 2).sum(1).argmin()) for row in asked]
    said = {
        "nearest": [train[i].captions[0] for i in nearest],
        "most_frequent": [done.result.manifest.frequent] * len(test),
    }
    found = {}
    for name, texts in said.items():
        groups = {s.group for s in test if s.group}
        rows = {group: [i for i, s in enumerate(test) if s.group == group] for group in groups}
        apart = {g: scores([texts[i] for i in r], [test[i].captions for i in r]) for g, r in rows.items()}
        found[name] = {**scores(texts, [s.captions for s in test]), "groups": apart}
    return found


def _beside_vectors(done: Scored) -> dict[str, Any]:
    """Scores chance and, for models trained on classes, the classifier: queries are labels, ranked by probability."""
    from gesta.tasks.text.vector_predict import RANKS, alike, recalls

    result, network = done.result, done.fitted.network
    kinds = {kind: result.metrics[kind] for kind in ("by_text", "by_video") if kind in result.metrics}
    by_chance = {k: {f"recall_{n}": v[f"chance_{n}"] for n in RANKS} for k, v in kinds.items() if "chance_1" in v}
    found: dict[str, Any] = {"chance": by_chance} if "by_text" in by_chance else {}
    if getattr(network, "objective", None) == "classes":
        labels = sorted({s.label for s in done.parts.of("train") if s.label is not None})
        weights = {name: tensor.numpy(force=True) for name, tensor in network.classifier.state_dict().items()}
        logits = result.outputs @ weights["weight"].T + weights["bias"]  # videos classes
        unknown = np.zeros(len(logits))
        scores = [logits[:, labels.index(s.label)] if s.label in labels else unknown for s in result.samples]
        found["labels"] = {"by_text": recalls(np.stack(scores), alike(result.samples))}
    return found


BESIDE = {"captions": _beside_captions, "video2vec": _beside_vectors}
