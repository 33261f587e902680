"""An evaluation as one self-contained HTML file with its pictures; links lead to files beside it and to the clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gesta.bundle import card
from gesta.files import csv_text, json_text, write_files
from gesta.look import head, linked, links, sorting, titled
from gesta.tasks.base import Evaluation
from gesta.tasks.classification import Strips, most_confident_mistakes, predicted
from gesta.words import in_english

MISTAKES, RIGHT = 12, 6
MATRIX_CLASSES = 60
"""With more classes the matrix is unreadable; the report then lists only the most frequent confusions."""


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix: `share`, the fraction of its row's clips, sets the color."""

    count: int
    share: float
    diagonal: bool
    title: str


@dataclass(frozen=True)
class Shown:
    """A clip and its prediction. `guesses`: (label, probability), the most confident first; `linked`: its id with
    links to its files."""

    id: str
    subject: str | None
    truth: str
    guesses: list[tuple[str, float]]
    of_truth: float
    strips: list[tuple[str, str]]  # (caption, PNG as data URI)
    seconds: float | None
    linked: Markup


def report(result: Evaluation, out: Path, strips: Strips) -> None:
    """Writes `metrics.json`, `predictions.csv` and `report.html` to `out`. Raises GestaError."""
    contents = {
        "metrics.json": json_text(result.metrics),
        "predictions.csv": _predictions_csv(result),
        "report.html": render(result, strips),
    }
    write_files(out, contents)


def _predictions_csv(result: Evaluation) -> str:
    rows: list[list[Any]] = [
        ["id", "file", "subject", "label", "predicted", "correct", "probability", "probability_of_label"]
    ]
    labels = result.manifest.labels
    for sample, row, true, best in zip(result.samples, result.outputs, result.truth, predicted(result), strict=True):
        right, sure, of_label = int(true == best), f"{row[best]:.4f}", f"{row[true]:.4f}"
        rows.append([sample.id, sample.files[0], sample.subject, labels[true], labels[best], right, sure, of_label])
    return csv_text(rows)


def render(result: Evaluation, strips: Strips) -> str:
    """Renders the report as HTML. `strips` returns the pictures of a sample."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    environment.filters["named"] = lambda label: in_english(label, result.manifest.labels)
    labels, wrong = result.manifest.labels, predicted(result) != result.truth
    rows, mistakes = matrix(result.metrics["confusion"], labels), most_confident_mistakes(result, MISTAKES)
    title = titled(Path(result.facts.get("data", result.manifest.name)).name)
    return environment.get_template("classification_report.html").render(
        head=head(f"{title}: {100 * result.metrics['accuracy']:.1f} %"),
        title=title,
        above=16 + 7 * min(16, max(len(label) for label in labels)),
        files=links("predictions.csv", "metrics.json"),
        sorting=sorting(),
        m=result.metrics,
        manifest=result.manifest,
        card=card.render(result.manifest),
        classes=class_rows(result.metrics),
        matrix=rows if len(rows) <= MATRIX_CLASSES else None,
        confusions=confusions(result.metrics)[:15],
        mistakes=[shown(result, row, strips) for row in mistakes],
        right=[shown(result, row, strips) for row in most_confident_right(result, mistakes, RIGHT)],
        wrong=int(wrong.sum()),
        chance=1 / len(labels),
    )


def most_confident_right(result: Evaluation, mistakes: Sequence[int], count: int) -> list[int]:
    """Returns the most confident correct row of each class, classes of the mistakes first."""
    classes = dict.fromkeys([*(int(result.truth[row]) for row in mistakes), *range(len(result.manifest.labels))])
    right = [np.flatnonzero((predicted(result) == result.truth) & (result.truth == one)) for one in classes]
    return [int(rows[result.outputs[rows].max(axis=1).argmax()]) for rows in right if len(rows)][:count]


def matrix(confusion: list[list[int]], labels: tuple[str, ...]) -> list[list[Cell]]:
    """Returns the cells of the confusion matrix, row = true class."""
    rows = []
    for i, counts in enumerate(confusion):
        total = sum(counts) or 1
        titles = [f"{labels[i]} recognized as {labels[j]}: {count} of {sum(counts)}" for j, count in enumerate(counts)]
        rows.append([Cell(count, count / total, i == j, titles[j]) for j, count in enumerate(counts)])
    return rows


def class_rows(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the scores and main confusions of each class with clips or predictions, worst recall first."""
    rows = []
    for index, (label, score) in enumerate(metrics["per_class"].items()):
        others = [(n, metrics["labels"][j]) for j, n in enumerate(metrics["confusion"][index]) if j != index and n]
        taken = ", ".join(f"{name} ({n})" for n, name in sorted(others, key=lambda o: (-o[0], o[1]))[:2])
        if score["n"] or score["predicted"]:
            rows.append({"label": label, "taken_for": taken, **score})
    return sorted(rows, key=lambda row: (row["n"] == 0, row["recall"], row["label"]))


def confusions(metrics: dict[str, Any]) -> list[tuple[str, str, int, int]]:
    """Returns (true label, predicted label, count, clips of the true label), the most frequent first."""
    labels = metrics["labels"]
    found = [
        (labels[i], labels[j], count, sum(row))
        for i, row in enumerate(metrics["confusion"])
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(found, key=lambda c: (-c[2], c[0], c[1]))


def shown(result: Evaluation, row: int, strips: Strips) -> Shown:
    """Collects what the report shows of one prediction."""
    sample, labels = result.samples[row], result.manifest.labels
    scores = result.outputs[row]
    order = np.argsort(-scores, kind="stable")[:3]
    true = int(result.truth[row])
    guesses = [(labels[i], float(scores[i])) for i in order]
    named = linked(sample.id, (file.path for file in sample.files))
    return Shown(sample.id, sample.subject, labels[true], guesses, float(scores[true]), *strips(sample), named)
