"""Mullick's tables about gestures, and gesta's own: networks for clips, original, in half precision, and pruned.

Compact models: one job gives all values of a model in tables 4.1 to 4.3 and figure 4.3, so that tables share trainings.
A teacher is a job, too; its bundle is kept in its training folder for the students.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gesta.bundle import io
from gesta.experiments.catalog import DATA_SEED, MINUTES_A_RECORDING, SCALES, Row
from gesta.experiments.parallel import Job
from gesta.experiments.table import (
    Experiment,
    Line,
    Plan,
    Results,
    Wanted,
    mean,
    number,
    recipe_of,
    runs_line,
    spread,
    trainings,
)
from gesta.experiments.trial import measured, run_trial, trial_job
from gesta.progress import bar
from gesta.recipes import Recipe, changed
from gesta.schema import GestaError
from gesta.tasks import catalog
from gesta.tasks.base import Parts
from gesta.training.figure import empty_figure, save_figure
from gesta.words import counted

LAYOUT = "chalearn2014"


class ClipTable(Experiment):
    """`data` of its plans: Parts; ChaLearn 2014 is split by the document's protocol, other data by person."""

    scales = SCALES
    brief = ("line", "reported, %", "measured, %", "minutes per training run")

    def estimate(self, wanted: Wanted) -> str:
        scale = self.scale_of(wanted)
        needed = [row for row in self.table.rows if row.recipe is not None]
        needed += [row.teacher for row in needed if row.teacher is not None]
        costs = {(row.recipe, row.overrides, row.quick): row.cost for row in needed}  # rows may share a training
        count, minutes = trainings(costs, self.seeds_of(wanted), scale.minutes, wanted.workers)
        recordings = scale.people * scale.recordings
        drawing = counted(round(recordings * MINUTES_A_RECORDING), "minute")
        return (
            f"{runs_line(count, minutes)}, after generating {recordings} recordings, "
            f"about {drawing}; existing results are reused."
        )

    def data(self, wanted: Wanted) -> tuple[Parts, str]:
        task = catalog.find(catalog.DEFAULT)
        if wanted.data is not None:
            listing = task.read(wanted.data, wanted.layout)
            parts = task.split(listing, 0, {}, "document" if listing.layout == LAYOUT else "subject")
            return parts, " ".join([f"Data: {wanted.data}.", *parts.notes])
        from gesta.synthetic import chalearn2014

        scale, folder = self.scale_of(wanted), wanted.out / f"data-{wanted.scale}"
        with bar("Generating recordings") as tick:
            chalearn2014.make(folder, people=scale.people, recordings=scale.recordings, seed=DATA_SEED, progress=tick)
        parts = task.split(task.read(folder, LAYOUT), 0, {})
        counts = {split: parts.of(split) for split in ("train", "val", "test")}
        sizes = ", ".join(f"{part} {len(c)} ({len({s.subject for s in c})} people)" for part, c in counts.items())
        version = chalearn2014.GENERATOR_VERSION
        made = f"Generated data, scale {wanted.scale}, generator version {version}"
        return parts, f"{made}; gestures: {sizes}; no person in two parts."

    def plan(self, data: Parts, note: str, wanted: Wanted) -> Plan:
        scale, seeds = self.scale_of(wanted), self.seeds_of(wanted)
        test = [s for s in data.of("test") if s.label is not None]
        if not test or not data.of("train"):
            raise GestaError("the data have no training or no test part. Check them: gesta data inspect DATA.")
        parts = data.only([*(s for s in data.listing.samples if s.split in ("train", "val")), *test])
        teachers: dict[str, Line] = {}
        lines = []
        for row in (row for row in self.table.rows if row.recipe is not None):
            for seed in range(seeds):
                teacher = None
                if row.teacher is not None:
                    job = self._job(row.teacher, parts, seed, wanted)
                    teacher = replace(job, leaves=bundle_of(job))
                    teachers[teacher.key] = Line(row.teacher.label, teacher, row.teacher.cost)
                lines.append(Line(row.label, self._job(row, parts, seed, wanted, teacher), row.cost))
        steps = [tuple(teachers.values())] if teachers else []
        return Plan((*steps, tuple(lines)), note, scale.minutes, wanted.workers)

    def _job(self, row: Row, parts: Parts, seed: int, wanted: Wanted, teacher: Job | None = None) -> Job:
        quick = row.quick if wanted.scale == "quick" else ()
        recipe = recipe_of(row, *self.scale_of(wanted).overrides, *quick, *row.overrides, *wanted.sets)
        title = f"{row.label}, seed {seed}"
        if not row.stored:
            followed: dict[str, Any] = {"followed": True} if self.table.figure is True else {}
            return trial_job(title, parts, recipe, wanted.out / "rows", seed, wanted.device, **followed)
        return compact_job(title, parts, recipe, wanted.out / "rows", seed, wanted.device, teacher)

    def line(self, row: Row, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Returns the reported and measured accuracy of one row, in %; None for missing values.

        For compact models, also the bytes of the weights file, nonzero parameters, and the share below 2**-20.
        """
        shown = [r["stored"][row.stored] if row.stored else r for r in results]
        percent = [100 * r["accuracy"] for r in shown]
        compact = row.stored and results
        return {
            "label": row.label,
            "reported": row.reported,
            "reported_size": row.size or None,
            "measured": mean(percent),
            "spread": float(np.std(percent, ddof=1)) if len(percent) > 1 else None,
            "by_seed": percent,
            "shuffled": None if compact else mean(100 * r["shuffled_accuracy"] for r in results),
            "n": results[0]["n"] if results else None,
            "recipe": row.recipe,
            "overrides": list(row.overrides),
            "parameters": round(float(np.mean([r["parameters"] for r in shown]))) if results else None,
            "bytes": mean(r["bytes"] for r in shown) if compact else None,
            "below": mean(100 * r["magnitudes"]["share_below"] for r in results) if compact else None,
            "minutes": mean(r["training_seconds"] / 60 for r in results),
        }

    def headings_of(self, document: Mapping[str, Any]) -> Sequence[str]:
        compact = any(row.get("bytes") is not None for row in document["rows"])
        own = ("reported size", "weights, MB", "below 2^-20, %") if compact else ("frames shuffled, %",)
        return ("line", "reported, %", "measured, %", "by seed", *own, "parameters", "minutes per training run")

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        own = [number(row["shuffled"], 1)]
        if row.get("bytes") is not None:
            own = [row["reported_size"] or "-", number(row["bytes"], 3, 1e6), number(row["below"], 1)]
        return [
            row["label"],
            number(row["reported"]),
            spread(row["by_seed"]),
            ", ".join(f"{value:.1f}" for value in row["by_seed"]) or "-",
            *own,
            number(row["parameters"], 2, 1e6, " M"),
            number(row["minutes"], 1),
        ]

    def draw(self, plan: Plan, results: Results, folder: Path) -> dict[str, Path]:  # noqa: ARG002
        path = folder / "figure.png"
        if not self.table.figure:
            return {}
        if self.table.figure == "weights":
            from gesta.compression.magnitudes import Magnitudes, draw_panels

            draw_panels(
                {label: Magnitudes.from_document(runs[0]["magnitudes"]) for label, runs in results.items()}, path
            )
        else:
            draw_curves({label: [r["history"] for r in runs] for label, runs in results.items()}, path, "test")
        return {"figure": path}


def draw_curves(
    histories: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], path: Path, part: Literal["val", "test"]
) -> None:
    """Plots accuracy on one part over epochs, one line per model: the mean over seeds, with their range shaded."""
    column = f"{part}_accuracy"
    figure = empty_figure(8, 5)
    axes = figure.subplots()
    for label, runs in histories.items():
        curves = [[epoch[column] for epoch in run if epoch.get(column) is not None] for run in runs]
        length = min((len(curve) for curve in curves), default=0)
        if length == 0:
            continue
        values = 100 * np.array([curve[:length] for curve in curves])
        epochs = np.arange(1, length + 1)
        (line,) = axes.plot(epochs, values.mean(axis=0), label=label)
        if len(values) > 1:
            axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), alpha=0.15, color=line.get_color())
    said = "accuracy on test people, %" if part == "test" else "validation accuracy, %"
    axes.set(xlabel="epoch", ylabel=said, ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    save_figure(figure, path)


def compact_job(
    title: str, parts: Parts, recipe: Recipe, folder: Path, seed: int, device: str = "auto", teacher: Job | None = None
) -> Job:
    """Returns the job of a compact model. `teacher`: the job whose bundle is its teacher, which must be run first."""
    job = trial_job(title, parts, recipe, folder, seed, device, compact=None if teacher is None else teacher.key)
    arguments = {name: value for name, value in job.arguments.items() if name not in ("start", "compact")}
    if teacher is not None:
        arguments["recipe"] = changed(recipe, [f"teacher={bundle_of(teacher)}"])
    return replace(job, function="gesta.experiments.clip_tables:run_compact", arguments=arguments)


def bundle_of(job: Job) -> Path:
    """Returns the path of a job's bundle after it has run."""
    return Path(job.arguments["folder"]) / "bundle"


def run_compact(task: str, parts: Parts, recipe: Recipe, folder: Path, seed: int, device: str) -> dict[str, Any]:
    """Runs `run_trial` and adds "stored": the model unchanged, in half precision, and pruned below 2**-20.

    Each with test accuracy, nonzero parameters and bytes of the weights file; "magnitudes": its weights by log2 |w|.
    """
    from gesta.compression.magnitudes import magnitudes
    from gesta.compression.prune import prune
    from gesta.compression.store import store_as

    found = run_trial(task, parts, recipe, folder, seed, device, keep=True)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    bundle = folder / "bundle"
    steps = {"fp16": store_as(bundle, folder / "half", "fp16"), "pruned": prune(bundle, folder / "pruned")}
    whole = {name: found[name] for name in ("accuracy", "parameters")} | {"bytes": steps["fp16"].bytes_before}
    stored: dict[str, Any] = {"fp32": whole}
    for name, step in steps.items():
        reached = measured(catalog.find(task), step.bundle, parts, seed, device, facts=False)["accuracy"]
        stored[name] = {"accuracy": reached, "parameters": step.nonzero, "bytes": step.bytes_after}
        shutil.rmtree(step.bundle, ignore_errors=True)
    weights = magnitudes(io.load_weights(catalog.read_bundle(bundle)))
    return {**found, "stored": stored, "magnitudes": weights.document()}
