"""A bundle over labelled samples: predictions, `metrics.json`, what was skipped and what to beware of."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gesta import metrics as measure
from gesta.bundle import io
from gesta.bundle.manifest import Manifest, Provenance, SequenceManifest
from gesta.bundle.people import fingerprint
from gesta.clips.cache import ClipCache
from gesta.clips.prepare import unreadable
from gesta.clips.transform import Transform
from gesta.runtime.recogniser import Recogniser, load
from gesta.schema import GestaError, Problem, Sample

BATCH = 32
"""Clips read and predicted at once."""


@dataclass(frozen=True)
class Evaluation:
    """Row i of everything speaks of `samples[i]`; `truth` and the columns of `probabilities` index `labels`."""

    metrics: dict[str, Any]
    probabilities: NDArray[np.float64]  # n N
    truth: NDArray[np.int64]  # n
    samples: tuple[Sample, ...]
    manifest: Manifest | SequenceManifest

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(s.id for s in self.samples)

    @property
    def subjects(self) -> tuple[str | None, ...]:
        return tuple(s.subject for s in self.samples)

    @property
    def predicted(self) -> NDArray[np.int64]:
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)


def evaluate(
    bundle_path: Path | str,
    samples: Sequence[Sample],
    *,
    engine: str | None = None,
    device: str = "auto",
    out: Path | None = None,
    cache: ClipCache | None = None,
    layout: str | None = None,
    notes: Sequence[str] = (),
    seed: int = 0,
    progress: bool = True,
) -> Evaluation:
    """Predicts every labelled sample (the caller has chosen the split) and measures.

    `layout` is the data's, to recognise people by fingerprint (default: the layout the bundle was trained on). `seed`
    draws the interval over people. `notes` on the split are handed on into metrics and report. With `out`,
    `metrics.json`, `predictions.csv` and `report.html` are written there. Clips that cannot be prepared are listed and
    skipped.

    Raises GestaError if there is nothing to measure or a label is not one of the bundle's.
    """
    recogniser = load(bundle_path, engine=engine, device=device)
    manifest = recogniser.manifest
    labelled = [s for s in samples if s.label is not None]
    check_labels(labelled, len(samples), manifest.labels)
    cache = cache or ClipCache()
    warnings = people_warnings(labelled, manifest.provenance, layout or manifest.provenance.layout)
    if len(labelled) < len(samples):
        warnings.append(f"{len(samples) - len(labelled)} recordings without label are not counted.")
    with bars(progress) as bar:
        used, probabilities, skipped = _predict(recogniser, labelled, cache, manifest.transform, bar)
    if not used:
        raise GestaError(f"none of the {len(labelled)} clips could be prepared. The first: {skipped[0]}")
    truth = np.array([manifest.labels.index(s.label or "") for s in used], np.int64)
    found = measured(truth, probabilities, [s.subject for s in used], manifest.labels, seed)
    found |= {
        "engine": recogniser.engine.name,
        "bundle": str(bundle_path),
        "skipped": [asdict(problem) for problem in skipped],
        "notes": list(notes),
        "warnings": warnings,
    }
    result = Evaluation(found, probabilities, truth, tuple(used), manifest)
    if out is not None:
        write(result, out, cache)
    return result


def measured(
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    subjects: Sequence[str | None],
    labels: Sequence[str],
    seed: int = 0,
) -> dict[str, Any]:
    """The numbers of `metrics.json` from truth [n] and probabilities [n, N], as plain JSON values.

    `accuracy_interval` (95 %) is the wider of Wilson's and, where at least two people are known, the bootstrap over
    people: with few people the bootstrap alone is too narrow, with alike clips Wilson's is.
    """
    predicted = probabilities.argmax(axis=1)
    hits = predicted == truth
    wilson = measure.wilson(int(hits.sum()), len(truth))
    known = None not in subjects and len(set(subjects)) > 1
    people = measure.bootstrap_by_person(hits, list(subjects), np.random.default_rng(seed)) if known else None
    low, high = (min(wilson[0], people[0]), max(wilson[1], people[1])) if people else wilson
    table = measure.confusion(truth, predicted, len(labels))
    scores = {label: asdict(score) for label, score in zip(labels, measure.per_class(table), strict=True)}
    present = [score["recall"] for score in scores.values() if score["n"]]
    return {
        "accuracy": measure.accuracy(truth, predicted),
        "accuracy_interval": [low, high],
        "interval_wilson": list(wilson),
        "interval_by_person": list(people) if people else None,
        "mean_class_accuracy": float(np.mean(present)),
        "top5": measure.top_k(probabilities, truth, 5),
        "n": len(truth),
        "people": len({s for s in subjects if s is not None}) or None,
        "labels": list(labels),
        "per_class": scores,
        "per_person": _per_person(hits, subjects),
        "confusion": table.tolist(),
    }


def most_confident_mistakes(result: Evaluation, count: int) -> list[int]:
    """Rows where the model was wrong, the surest first."""
    wrong = np.flatnonzero(result.predicted != result.truth)
    sureness = result.probabilities[wrong].max(axis=1)
    return [int(i) for i in wrong[np.argsort(-sureness, kind="stable")][:count]]


def write(result: Evaluation, out: Path, cache: ClipCache | None = None) -> dict[str, Path]:
    """`metrics.json`, `predictions.csv` and `report.html` in `out`, each renamed into place. Raises GestaError."""
    from gesta.evaluate.report import render

    contents = {
        "metrics": ("metrics.json", json.dumps(result.metrics, indent=1, ensure_ascii=False, allow_nan=False) + "\n"),
        "predictions": ("predictions.csv", _predictions_csv(result)),
        "report": ("report.html", render(result, cache or ClipCache())),
    }
    paths = {}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, (file, text) in contents.items():
            paths[name] = out / file
            part = out / f"{file}.part"
            part.write_text(text, encoding="utf-8", errors="backslashreplace")
            part.replace(paths[name])
    except OSError as error:
        raise GestaError(f"{out}: the results cannot be written ({error}). Give another --out.") from error
    return paths


def record(bundle_path: Path | str, metrics: dict[str, Any], split: str) -> None:
    """Writes the main numbers into the bundle's manifest and card, as `<split>_accuracy` and so on.

    Raises GestaError for a zip, which is never changed.
    """
    bundle = io.read_any(bundle_path)
    kept = ("accuracy", "accuracy_interval", "top5", "n", "people")
    found = {f"{split}_{name}": metrics[name] for name in kept if metrics[name] is not None}
    io.update(bundle, metrics={**bundle.manifest.metrics, **found})


def check_labels(labelled: Sequence[Sample], given: int, labels: Sequence[str]) -> None:
    """Raises GestaError where there is nothing to measure, or a label that is none of the model's."""
    if not labelled:
        raise GestaError(
            f"nothing to measure: of {given} samples none has a label. Choose another split or data folder."
        )
    unknown = Counter(s.label for s in labelled if s.label not in labels)
    if unknown:
        listed = ", ".join(f"{label} ({count})" for label, count in sorted(unknown.items(), key=str)[:20])
        more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
        raise GestaError(
            f"the data have {len(unknown)} labels that the bundle does not know: {listed}{more}. "
            f"It knows: {', '.join(labels)}. Rename or leave out those clips, or train on them: "
            "gesta train DATA --from BUNDLE."
        )


def people_warnings(samples: Sequence[Sample], origin: Provenance, layout: str) -> list[str]:
    """Whether people are met again that the model was trained on; it cannot be told where people are not known."""
    trained = set(origin.people)
    people = sorted({s.subject for s in samples if s.subject is not None})
    if not trained or not people:
        side = "The data do" if trained else "The bundle does"
        return [f"{side} not say who is who, so the model may have been trained on the people it is measured on."]
    seen = [person for person in people if fingerprint(person, layout) in trained]
    if not seen:
        return []
    few = ", ".join(seen[:8]) + (", ..." if len(seen) > 8 else "")
    return [
        f"{len(seen)} of {len(people)} people were in the training ({few}): the accuracy is too good for new people."
    ]


def _predict(
    recogniser: Recogniser,
    samples: Sequence[Sample],
    cache: ClipCache,
    transform: Transform,
    bar: Callable[[str, int, int], None],
) -> tuple[list[Sample], NDArray[np.float64], list[Problem]]:
    """(samples predicted, probabilities n N, what could not be prepared)."""
    cache.fill(samples, transform, lambda done, total: bar("Preparing clips", done, total))
    used: list[Sample] = []
    rows: list[NDArray[np.float64]] = []
    problems: list[Problem] = []
    for start in range(0, len(samples), BATCH):
        clips = []
        for sample in samples[start : start + BATCH]:
            try:
                clips.append(cache.load(sample, transform))
                used.append(sample)
            except GestaError as error:
                problems.append(unreadable(sample, error, "unprepared"))
        if clips:
            rows.append(np.asarray(recogniser.predict_clips([clip.pixels for clip in clips]), np.float64))
        bar("Recognising", min(start + BATCH, len(samples)), len(samples))
    return used, np.concatenate(rows) if rows else np.zeros((0, 0)), problems


def _per_person(hits: NDArray[np.bool_], subjects: Sequence[str | None]) -> dict[str, dict[str, float]]:
    groups: dict[str, list[bool]] = defaultdict(list)
    for hit, subject in zip(hits, subjects, strict=True):
        if subject is not None:
            groups[subject].append(bool(hit))
    return {person: {"n": len(got), "accuracy": sum(got) / len(got)} for person, got in sorted(groups.items())}


def _predictions_csv(result: Evaluation) -> str:
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["id", "file", "subject", "label", "predicted", "correct", "probability", "probability_of_label"])
    labels = result.manifest.labels
    for sample, row, true, best in zip(
        result.samples, result.probabilities, result.truth, result.predicted, strict=True
    ):
        right, sure, of_label = int(true == best), f"{row[best]:.4f}", f"{row[true]:.4f}"
        rows.writerow([sample.id, sample.files[0], sample.subject, labels[true], labels[best], right, sure, of_label])
    return text.getvalue()


@contextmanager
def bars(shown: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Progress on stderr, one bar a stage: callback(stage, done, total). Silent where stderr is not a terminal."""
    console = Console(stderr=True, emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as bars:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield update
