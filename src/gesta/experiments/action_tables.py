"""Reproduction of a document's table about actions or signs, reported and measured, for clips and stored features.

Every row is trained on the same videos, split, budget and seeds. The epoch is selected on the validation part. Shared
parts (a backbone fine-tuned on single frames, stored features, a network that others start from) are made once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gesta.experiments.action_catalog import ACTION_SCALES, ActionRow, ActionTable
from gesta.experiments.action_trials import backbone_job, feature_job, sequence_job
from gesta.experiments.catalog import DATA_SEED
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
from gesta.experiments.trial import trial_job
from gesta.progress import bar
from gesta.recipes import Recipe
from gesta.schema import GestaError, Listing
from gesta.tasks.base import Parts
from gesta.words import counted

Data = Mapping[str, Path]
"""Layout -> folder."""


class ActionTables(Experiment):
    """`data` of its plans: layout -> folder. `--set weights=FILE` gives the weights of image networks."""

    scales = ACTION_SCALES

    def estimate(self, wanted: Wanted) -> str:
        scale = self.scale_of(wanted)
        costs = {
            (r.recipe, r.overrides, r.every, split): r.cost / len(r.splits)
            for r in trained(self.table)
            for split in r.splits
        }
        count, minutes = trainings(costs, self.seeds_of(wanted), scale.minutes, wanted.workers)
        drawn = sum(_videos(layout, scale.videos[layout]) for layout in layouts(self.table))
        return (
            f"{runs_line(count, minutes)}, after generating {drawn} videos, "
            f"about {counted(round(drawn * scale.video_minutes / wanted.workers), 'minute')}; existing results "
            "are reused."
        )

    def data(self, wanted: Wanted) -> tuple[Data, str]:
        needed = layouts(self.table)
        if wanted.data is not None:
            return _given(wanted.data, needed), f"Data: {wanted.data}."
        folders = {layout: generated(layout, self.scale_of(wanted), wanted) for layout in needed}
        return folders, f"Generated videos in the layout of {' and '.join(folders)}, scale {wanted.scale}."

    def plan(self, data: Data, note: str, wanted: Wanted) -> Plan:
        work = _Work(self.table, data, self.scale_of(wanted), wanted)
        seeds = range(self.seeds_of(wanted))
        rows = trained(self.table)
        lines = [
            Line(row.label, work.job(self.table.data, replace(row, splits=(split,)), n), row.cost / len(row.splits))
            for row in rows
            for n in seeds
            for split in row.splits
        ]
        first = (tuple(Line("", job) for job in {job.key: job for job in step}.values()) for step in work.steps)
        told = " ".join([note, *work.notes])
        return Plan((*first, tuple(lines)), told, self.scale_of(wanted).minutes, wanted.workers)

    def facts(self) -> dict[str, Any]:
        return {"measure": self.table.measure}

    def line(self, row: ActionRow, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Returns one row: reported and measured shares by seed, best validation accuracy and lowest validation loss.

        `results`: by seed and, within each seed, by split; splits are averaged.
        """
        splits = len(row.splits)
        accuracy = _by_seed([result["accuracy"] for result in results], splits)
        return {
            "label": row.label,
            "reported": row.reported,
            "reported_loss": row.loss,
            "measured": [1 - value if self.table.measure == "error" else value for value in accuracy],
            "best_validation_accuracy": _by_seed(_best(results, "val_accuracy", max), splits),
            "lowest_validation_loss": _by_seed(_best(results, "val_loss", min), splits),
            "n": results[0]["n"] if results else None,
            "recipe": row.recipe,
            "overrides": list(row.overrides),
            "parameters": results[0]["parameters"] if results else None,
            "minutes": mean(result["training_seconds"] / 60 for result in results),
        }

    def headings_of(self, document: Mapping[str, Any]) -> Sequence[str]:
        measure = document["measure"]
        reported = (f"reported {measure}", "reported loss", f"measured {measure}, test")
        return ("line", *reported, "best validation accuracy", "lowest validation loss", "minutes")

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        measured = ("measured", "best_validation_accuracy", "lowest_validation_loss")
        return [
            row["label"],
            number(row["reported"], 3),
            number(row["reported_loss"], 3),
            *(spread(row[name], 3) for name in measured),
            number(row["minutes"], 1),
        ]

    def told(self, result: Mapping[str, Any]) -> str:
        return f"accuracy {result['accuracy']:.3f}" if "accuracy" in result else "done"

    def draw(self, plan: Plan, results: Results, folder: Path) -> dict[str, Path]:  # noqa: ARG002
        """Plots accuracy and loss over epochs for the first seed of each row (as in the sprint report).

        If rows start from another network, one more figure compares the reported rows: with transfer and from scratch.
        """
        from gesta.experiments.clip_tables import draw_curves
        from gesta.training.figure import draw_history

        files = {}
        for count, (label, runs) in enumerate(results.items() if self.table.figure else (), 1):
            files[f"figure {label}"] = path = folder / f"history-{count}.png"
            draw_history(runs[0]["history"], path, label)
        if any(row.start is not None for row in self.table.rows):
            reported = [row.label for row in self.table.rows if row.reported is not None and row.label in results]
            files["figure of the reported rows"] = path = folder / "curves.png"
            draw_curves({label: [r["history"] for r in results[label]] for label in reported}, path, "val")
        return files


def trained(table: ActionTable) -> list[ActionRow]:
    """Returns the rows that are measured here."""
    return [row for row in table.rows if row.recipe is not None]


def layouts(table: ActionTable) -> list[str]:
    """Returns the layouts the table needs: its own, and that of networks which rows start from."""
    begun = ["isogd"] if any(row.start is not None for row in table.rows) else []
    return [*begun, table.data]


def _videos(layout: str, of: Mapping[str, int]) -> int:
    """Returns the approximate number of videos a generator writes; LedaSila's signs have a long-tail distribution."""
    every = of["people"] * of["recordings"]
    if layout == "ledasila":
        return sum(max(1, round(every / (1 + rank / 4))) for rank in range(of["classes"]))
    return every * of["classes"]


def _given(data: Path, wanted: Sequence[str]) -> dict[str, Path]:
    """Returns layout -> folder: `data`, or its subfolders if there are two layouts. Raises GestaError (usage)."""
    if len(wanted) == 1:
        return {wanted[0]: data}
    folders = {layout: data / layout for layout in wanted}
    if not all(folder.is_dir() for folder in folders.values()):
        raise GestaError(
            f"{data}: the table needs the folders {', '.join(wanted)} in it. Give a folder that has them.", usage=True
        )
    return folders


def generated(layout: str, scale: Any, wanted: Wanted) -> Path:
    """Generates the data set of that scale in `out`, skipping what already exists, and returns its folder."""
    from gesta.synthetic.catalog import CLIP_GENERATORS

    folder = wanted.out / f"data-{layout}-{wanted.scale}"
    seed = DATA_SEED + (layout == "ledasila")  # different people than in the set it is transferred from
    with bar(f"Generating {layout}") as tick:
        CLIP_GENERATORS[layout](folder, **scale.videos[layout], seed=seed, workers=wanted.workers, progress=tick)
    return folder


def _by_seed(values: Sequence[float], splits: int) -> list[float]:
    """Returns the means of consecutive groups of `splits` values."""
    return [float(np.mean(values[start : start + splits])) for start in range(0, len(values), splits)]


def _best(results: Sequence[Mapping[str, Any]], name: str, of: Any) -> list[float]:
    """Returns the best value of a history column by seed; empty if there is no validation part."""
    curves = [[epoch[name] for epoch in result["history"] if epoch.get(name) is not None] for result in results]
    return [float(of(curve)) for curve in curves if curve]


class _Work:
    """Collects the jobs that rows of a table depend on. `steps`: fine-tuned backbones, features, initial networks."""

    def __init__(self, table: ActionTable, data: Data, scale: Any, wanted: Wanted) -> None:
        self.data, self.size, self.wanted, self.folder = data, scale, wanted, wanted.out / "rows"
        self.letterbox = table.letterbox
        self.backbone = scale.backbone and (table.quick_backbone or scale.backbone)
        named = [change.partition("=")[2] for change in wanted.sets if change.startswith("weights=")]
        self.weights = named[-1] if named else None
        self.sets = [change for change in wanted.sets if not change.startswith("weights=")]
        self.steps: tuple[list[Job], list[Job], list[Job]] = ([], [], [])
        self.notes: list[str] = []
        self._listings: dict[tuple[str, int], Listing] = {}
        self._parts: dict[tuple[str, int], Parts] = {}

    def job(self, layout: str, row: ActionRow, seed: int) -> Job:
        """Returns the training job of one row with one seed, and adds its prerequisites to `steps`."""
        title, device = f"{row.label}, seed {seed}", self.wanted.device
        if not hasattr(recipe_of(row), "features"):
            recipe = self.clip_recipe(layout, row)
            return trial_job(title, self.parts(layout, *row.splits), recipe, self.folder, seed, device)
        recipe = self.sequence_recipe(row)
        features = self.features(layout, row, recipe)
        start = None
        if row.start is not None:
            start = self.job("isogd", row.start, seed)
            self.steps[2].append(start)
        return sequence_job(title, features, recipe, self.folder, seed, device, start)

    def clip_recipe(self, layout: str, row: ActionRow, *more: str) -> Recipe:
        from gesta.tasks.clips.facts import median_fps

        rate = median_fps(self.listing(layout, row.splits[0]).samples) or 25.0
        window = max(4, round(self.size.frames / row.every))
        changes = [*self.size.clips, f"input.fps={rate / row.every:g}", f"input.window={window}"]
        changes.append(f"augmentation.window=[{window}, {window}]")
        changes += ["model.width=1.0", f"model.weights={self.weights}"] if self.weights else []
        return recipe_of(row, *changes, *self._overrides(row), *more, *self.sets)

    def sequence_recipe(self, row: ActionRow) -> Any:
        changes = list(self.size.sequences)
        if self.backbone is not None:
            changes += [f"features.backbone={self.backbone[0]}", "features.stage=layer4"]  # its last; rows may override
        return recipe_of(row, *changes, *self._overrides(row), *self.sets)

    def _overrides(self, row: ActionRow) -> tuple[str, ...]:
        return row.overrides + (row.quick if self.wanted.scale == "quick" else ())

    def features(self, layout: str, row: ActionRow, recipe: Any) -> Job:
        """Returns the job that stores a row's features, adding it and the fine-tuning of the backbone to `steps`."""
        from gesta.models.packaged import PACKAGES

        tuned = None
        if row.features == "fine-tuned":
            tuned = self._fine_tuned(layout)
            self.steps[0].append(tuned)
        backbone = recipe.features.backbone or "inception_v3"
        weights = self.weights or ("random:0" if self.backbone and backbone not in PACKAGES else None)
        held = "random weights (--set weights=FILE for others)" if weights == "random:0" else weights or "ImageNet"
        told = f"Stored features: of {backbone}, weights: {held}."
        if tuned is None and told not in self.notes:
            self.notes.append(told)
        pixels = self.backbone[1] if self.backbone else None
        job = feature_job(
            self.listing(layout),
            self.wanted.out,
            recipe.features,
            backbone,
            pixels,
            weights,
            tuned,
            self.letterbox,
        )
        self.steps[1].append(job)
        return job

    def _fine_tuned(self, layout: str) -> Job:
        """Returns the job that fine-tunes the image network on single frames (ST-ResNet with a context of 1)."""
        name = self.backbone[0] if self.backbone else "resnet50"
        row = ActionRow("fine-tuned on single frames", recipe="iqbal/st-resnet")
        changes = (f"model.name=st_{name}", "model.context=1", *self.size.fine_tuning)
        parts = self.parts(layout, 1)
        known = parts.only([s for s in parts.listing.samples if s.split != "test"])
        return backbone_job(known, self.clip_recipe(layout, row, *changes), self.folder, self.wanted.device)

    def listing(self, layout: str, split: int = 1) -> Listing:
        """Returns the layout's samples for the table: one split of UCF-101, or only frequent signs."""
        if (layout, split) not in self._listings:
            self._listings[layout, split] = read_actions(self.data[layout], layout, split, self.size.kept)
        return self._listings[layout, split]

    def parts(self, layout: str, split: int) -> Parts:
        from gesta.sources.split import assign_splits

        if (layout, split) not in self._parts:
            listing = self.listing(layout, split)
            divided, _ = assign_splits(listing.samples, seed=0)
            known = tuple(s for s in divided if s.label is not None and s.split is not None)
            self._parts[layout, split] = Parts(replace(listing, samples=known))
        return self._parts[layout, split]


def read_actions(root: Path, layout: str, split: int, kept: tuple[int, int]) -> Listing:
    """Reads a folder in one of the three layouts. `kept`: (number of signs to keep, minimum videos of each)."""
    from gesta.sources import isogd, ledasila, ucf101
    from gesta.sources.frequent import most_frequent

    if layout == "ucf101":
        found = ucf101.read(root, split)
    elif layout == "isogd":
        found = isogd.read(root, "rgb")
    else:
        found = most_frequent(ledasila.read(root), *kept)
    return replace(found, root=root, layout=layout)
