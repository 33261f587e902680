"""A document's table about actions or signs again: reported beside measured, for clips and for stored features.

Every line is trained on the same videos, split, budget and seeds. The validation part chooses the epoch. What lines
share - a backbone fine-tuned on single frames, stored features, a network that others begin with - is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gesta.experiments.action_catalog import ACTION_SCALES, ACTION_TABLES, ActionRow, ActionTable
from gesta.experiments.action_report import line, markdown
from gesta.experiments.action_trials import backbone_job, feature_job, sequence_job
from gesta.experiments.parallel import Job, Progress, run_jobs, write_json, write_text
from gesta.experiments.tables import cost
from gesta.experiments.trial import trial_job
from gesta.recipes import Recipe, RecipeError, load_recipe
from gesta.recipes.load import is_for_features, load_sequence_recipe
from gesta.recipes.sequences import SequenceRecipe
from gesta.schema import GestaError, Sample

Data = Mapping[str, Path]
"""Layout -> folder."""


@dataclass(frozen=True)
class ActionPlan:
    """What is going to be run, in `steps` one after another, and what it costs; `jobs`: those of the lines."""

    name: str
    table: ActionTable
    steps: tuple[tuple[Job, ...], ...]
    jobs: tuple[tuple[ActionRow, Job], ...]
    note: str
    minutes: float
    to_train: int

    @property
    def cost(self) -> str:
        """One line for people, before anything is trained."""
        return cost((job for _, job in self.jobs), self.to_train, self.minutes)


def estimate_actions(name: str, scale: str, seeds: int, workers: int) -> str:
    """What a table costs on generated data where nothing is done yet, in words, before anything is generated."""
    table, size = ACTION_TABLES[name], ACTION_SCALES[scale]
    costs = {
        (row.recipe, row.overrides, row.every, split, row.frozen): row.cost / len(row.splits)
        for row in trained(table)
        for split in row.splits
    }
    minutes = seeds * sum(costs.values()) * size.minutes / min(workers, seeds * len(costs))
    drawn = sum(_videos(layout, size.videos[layout]) for layout in layouts(table))
    return (
        f"{seeds * len(costs)} trainings, about {minutes:.0f} minutes, and before them {drawn} videos to generate, "
        f"about {drawn * size.video_minutes / workers:.0f} minutes; what is there already is not done again."
    )


def _videos(layout: str, of: Mapping[str, int]) -> int:
    """About so many videos a generator writes; LedaSila's signs have a long tail."""
    every = of["people"] * of["recordings"]
    if layout == "ledasila":
        return sum(max(1, round(every / (1 + rank / 4))) for rank in range(of["classes"]))
    return every * of["classes"]


def trained(table: ActionTable) -> list[ActionRow]:
    """The lines that are measured here."""
    return [row for row in table.rows if row.recipe is not None]


def layouts(table: ActionTable) -> list[str]:
    """What data the table needs: its own, and those on which other lines' networks begin."""
    begun = ["isogd"] if any(row.start is not None for row in table.rows) else []
    return [*begun, table.data]


def plan_actions(
    name: str,
    data: Data,
    out: Path,
    *,
    scale: str,
    seeds: int,
    note: str,
    workers: int = 2,
    sets: Sequence[str] = (),
    device: str = "auto",
) -> ActionPlan:
    """The work that a table needs on these data. `sets`: `--set` entries; "weights=FILE" is for image networks.

    Raises GestaError.
    """
    table = ACTION_TABLES[name]
    work = _Work(table, data, out, scale, device, *_without_weights(sets))
    jobs = [
        (row, work.job(table.data, replace(row, splits=(split,)), seed))
        for row in trained(table)
        for seed in range(seeds)
        for split in row.splits
    ]
    todo = {job.key: row.cost / len(row.splits) for row, job in jobs if job.finished() is None}
    minutes = sum(todo.values()) * ACTION_SCALES[scale].minutes / min(workers, max(len(todo), 1))
    steps = tuple(tuple({job.key: job for job in step}.values()) for step in (*work.steps, [job for _, job in jobs]))
    told = " ".join([note, *work.notes])
    return ActionPlan(name, table, steps, tuple(jobs), told, minutes, len(todo))


def _without_weights(sets: Sequence[str]) -> tuple[str | None, list[str]]:
    named = [change.partition("=")[2] for change in sets if change.startswith("weights=")]
    return (named[-1] if named else None), [change for change in sets if not change.startswith("weights=")]


class _Work:
    """Gathers what the lines of a table need before them. `steps`: fine-tuned backbones, features, first networks."""

    def __init__(
        self,
        table: ActionTable,
        data: Data,
        out: Path,
        scale: str,
        device: str,
        weights: str | None,
        sets: Sequence[str],
    ) -> None:
        self.data, self.out, self.scale, self.device, self.weights, self.sets = data, out, scale, device, weights, sets
        self.size = ACTION_SCALES[scale]
        self.backbone = self.size.backbone and (table.quick_backbone or self.size.backbone)
        self.steps: tuple[list[Job], list[Job], list[Job]] = ([], [], [])
        self.notes: list[str] = []
        self._samples: dict[tuple[str, int], list[Sample]] = {}

    def job(self, layout: str, row: ActionRow, seed: int) -> Job:
        """The training of one line with one seed; what it needs is put into `steps`."""
        title = f"{row.label}, seed {seed}"
        if not is_for_features(row.recipe or ""):
            recipe = self.clip_recipe(layout, row)
            fitted, test = self.parts(layout, *row.splits)
            return trial_job(title, fitted, test, recipe, self.out / "rows", layout, seed, self.device)
        made = self.sequence_recipe(row)
        features = self.features(layout, row, made)
        start = None
        if row.start is not None:
            start = self.job("isogd", row.start, seed)
            self.steps[2].append(start)
        return sequence_job(title, features, made, self.out / "rows", seed, self.device, start, row.frozen)

    def clip_recipe(self, layout: str, row: ActionRow, *more: str) -> Recipe:
        rate = self._rate(layout, row.splits[0])
        window = max(4, round(self.size.frames / row.every))
        changes = [*self.size.clips, f"input.fps={rate / row.every:g}", f"input.window={window}"]
        changes += ["model.width=1.0", f"model.weights={self.weights}"] if self.weights else []
        try:
            return load_recipe(row.recipe or "", (*changes, *self._overrides(row), *more, *self.sets))
        except RecipeError as error:
            raise GestaError(str(error), usage=True) from error

    def sequence_recipe(self, row: ActionRow) -> SequenceRecipe:
        changes = list(self.size.sequences)
        if self.backbone is not None:
            changes += [f"features.backbone={self.backbone[0]}", "features.stage=layer4"]  # its last; a line's own wins
        try:
            return load_sequence_recipe(row.recipe or "", (*changes, *self._overrides(row), *self.sets))
        except RecipeError as error:
            raise GestaError(str(error), usage=True) from error

    def _overrides(self, row: ActionRow) -> tuple[str, ...]:
        return row.overrides + (row.quick if self.scale == "quick" else ())

    def features(self, layout: str, row: ActionRow, recipe: SequenceRecipe) -> Job:
        """The job that stores the features of a line, and before it what fine-tunes the backbone."""
        from gesta.models.packaged import PACKAGES

        tuned = None
        if row.features == "fine-tuned":
            tuned = self._fine_tuned(layout)
            self.steps[0].append(tuned)
        backbone = recipe.features.backbone or "inception_v3"
        weights = self.weights or ("random:0" if self.backbone and backbone not in PACKAGES else None)
        if tuned is None:
            held = "random weights (--set weights=FILE for others)" if weights == "random:0" else weights or "ImageNet"
            self._note(f"Stored features: of {backbone}, weights: {held}.")
        pixels = self.backbone[1] if self.backbone else None
        job = feature_job(
            layout, self.samples(layout), self.data[layout], self.out, recipe.features, backbone, pixels, weights, tuned
        )
        self.steps[1].append(job)
        return job

    def _fine_tuned(self, layout: str) -> Job:
        """The image network on single frames: the spatio-temporal one with a context of 1."""
        name = self.backbone[0] if self.backbone else "resnet50"
        row = ActionRow("fine-tuned on single frames", recipe="iqbal/st-resnet")
        changes = (f"model.name=st_{name}", "model.context=1", *self.size.fine_tuning)
        fitted, _ = self.parts(layout, 1)
        return backbone_job(fitted, self.clip_recipe(layout, row, *changes), self.out / "rows", layout, self.device)

    def samples(self, layout: str, split: int = 1) -> list[Sample]:
        """The layout's samples as the table wants them: of UCF-101 a split, of signs the frequent ones."""
        if (layout, split) not in self._samples:
            self._samples[layout, split] = read_actions(self.data[layout], layout, split, self.size.kept)
        return self._samples[layout, split]

    def parts(self, layout: str, split: int) -> tuple[list[Sample], list[Sample]]:
        """(training and validation, test)."""
        from gesta.sources.split import assign_splits

        divided, _ = assign_splits(self.samples(layout, split), seed=0)
        samples = [s for s in divided if s.label is not None]
        return [s for s in samples if s.split in ("train", "val")], [s for s in samples if s.split == "test"]

    def _rate(self, layout: str, split: int) -> float:
        from gesta.training.facts import median_fps

        return median_fps(self.samples(layout, split)) or 25.0

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def read_actions(root: Path, layout: str, split: int, kept: tuple[int, int]) -> list[Sample]:
    """The samples of a folder in one of the three layouts; `kept`: of signs, so many with so many videos at least."""
    from gesta.sources import isogd, ledasila, ucf101
    from gesta.sources.frequent import most_frequent

    if layout == "ucf101":
        return list(ucf101.read(root, split).samples)
    if layout == "isogd":
        return list(isogd.read(root, "rgb").samples)
    return list(most_frequent(ledasila.read(root), *kept).samples)


def run_actions(
    planned: ActionPlan,
    out: Path,
    *,
    workers: int = 2,
    progress: Progress | None = None,
    told: Callable[[Job, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Does what is missing and writes result.json, table.md and, for a figure, a picture a line, in `out`/name.

    Returns the document: name, title, source, note, rows (reported and measured), files.
    """
    results: dict[str, dict[str, Any]] = {}
    for step in planned.steps:
        for job in step:
            kept = job.arguments.get("leaves")
            if kept is not None and not Path(kept).exists():
                job.result.unlink(missing_ok=True)  # somebody removed what it had left
        prefill_clips(step, progress)
        done = run_jobs(step, workers=workers, progress=progress, told=told)
        results |= {job.key: result for job, result in zip(step, done, strict=True)}
    found: dict[str, list[dict[str, Any]]] = {}
    for row, job in planned.jobs:
        found.setdefault(row.label, []).append(results[job.key])
    folder = out / planned.name.replace("/", "-")
    files = {"result": folder / "result.json", "table": folder / "table.md"}
    if planned.table.figure:
        files |= _draw(found, folder)
    document: dict[str, Any] = {
        "name": planned.name,
        "title": planned.table.title,
        "source": planned.table.source,
        "measure": planned.table.measure,
        "note": planned.note,
        "rows": [line(row, found.get(row.label, []), planned.table.measure) for row in planned.table.rows],
        "seconds": sum(result["seconds"] for result in results.values()),
        "files": {name: str(path) for name, path in files.items()},
    }
    write_text(files["table"], markdown(document))
    write_json(files["result"], document)
    return document


def prefill_clips(step: Sequence[Job], progress: Progress | None) -> None:
    """Prepares the clips of a step's trainings once, so that no two of them decode the same videos."""
    from gesta.experiments.trial import prefill

    for job in step:
        if job.finished() is None and isinstance(job.arguments.get("recipe"), Recipe):
            samples = [*job.arguments["train"], *job.arguments.get("test", ())]
            prefill(samples, [job.arguments["recipe"]], progress)


def _draw(found: Mapping[str, Sequence[Mapping[str, Any]]], folder: Path) -> dict[str, Path]:
    """Accuracy and loss against epochs of each line's first seed (as in the sprint report)."""
    from gesta.training.figure import draw_history

    drawn = {}
    for number, (label, runs) in enumerate(found.items(), 1):
        path = folder / f"history-{number}.png"
        folder.mkdir(parents=True, exist_ok=True)
        draw_history(runs[0]["history"], path, label)
        drawn[f"figure {label}"] = path
    return drawn
