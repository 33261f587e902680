"""A document's table again: trains what each line needs, several seeds, and puts reported beside measured.

Every line is trained with the same data, split, budget and seeds. The validation part chooses the checkpoint, the test
part is only reported. Lines that several tables share are trained once: results lie in `out/rows` by content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gesta.experiments import tables
from gesta.experiments.catalog import Row, Table, find, scale_of
from gesta.experiments.compact import compact_job, draw_magnitudes, forget_lost
from gesta.experiments.parallel import Job, Progress, run_jobs, write_json, write_text
from gesta.experiments.trial import prefill, trial_job
from gesta.recipes import RecipeError
from gesta.schema import GestaError, Sample
from gesta.tasks.catalog import load_recipe
from gesta.tasks.clips.recipe import ClipRecipe


@dataclass(frozen=True)
class Plan:
    """What is going to be run, and what it costs. `note` says on what data and by which protocol.

    `teachers`: the jobs whose bundles others learn from; they are run first.
    """

    name: str
    table: Table
    jobs: tuple[tuple[Row, Job], ...]
    note: str
    minutes: float
    to_train: int
    teachers: tuple[Job, ...] = ()

    @property
    def cost(self) -> str:
        """One line for people, before anything is trained."""
        lines = len({row.label for row, _ in self.jobs})
        seeds = len(self.jobs) // max(lines, 1)
        every = (*self.teachers, *(job for _, job in self.jobs))
        return f"{lines} lines x {seeds} seeds: {tables.cost(every, self.to_train, self.minutes)}"


def plan(
    name: str,
    samples: Sequence[Sample],
    out: Path,
    *,
    scale: str,
    seeds: int,
    layout: str,
    note: str,
    workers: int = 2,
    sets: Sequence[str] = (),
    device: str = "auto",
) -> Plan:
    """The trainings that a table needs on `samples` (with splits train, val and test). Raises GestaError."""
    table, size = find(name), scale_of(scale)
    if seeds < 1:
        raise GestaError(f"--seeds is {seeds}, expected at least 1.", usage=True)
    fitted = [s for s in samples if s.split in ("train", "val")]
    test = [s for s in samples if s.split == "test" and s.label is not None]
    if not test or not any(s.split == "train" for s in fitted):
        raise GestaError("the data have no training or no test part. Check them: gesta data inspect DATA.")
    jobs: list[tuple[Row, Job]] = []
    costs: dict[str, float] = {}  # by key
    teachers: dict[str, Job] = {}
    for row in table.rows:
        if row.recipe is None:
            continue
        recipe = _recipe(row, scale, sets)
        taught = None if row.teacher is None else _recipe(row.teacher, scale, sets)
        for seed in range(seeds):
            place = (fitted, test, out / "rows", layout, seed)
            teacher = None
            if row.teacher is not None and taught is not None:
                teacher = _job(row.teacher, taught, *place, device=device)
                teachers[teacher.key], costs[teacher.key] = teacher, row.teacher.cost
            job = _job(row, recipe, *place, teacher, device)
            jobs.append((row, job))
            costs[job.key] = row.cost
    every = {job.key: job for job in (*teachers.values(), *(job for _, job in jobs))}
    todo = [costs[key] for key, job in every.items() if job.finished() is None]
    minutes = sum(todo) * size.minutes / min(workers, max(len(todo), 1))
    return Plan(name, table, tuple(jobs), note, minutes, len(todo), tuple(teachers.values()))


def _recipe(row: Row, scale: str, sets: Sequence[str]) -> ClipRecipe:
    quick = row.quick if scale == "quick" else ()
    try:
        return load_recipe(row.recipe or "", (*scale_of(scale).overrides, *quick, *row.overrides, *sets))
    except RecipeError as error:
        raise GestaError(str(error), usage=True) from error


def _job(
    row: Row,
    recipe: ClipRecipe,
    fitted: Sequence[Sample],
    test: Sequence[Sample],
    folder: Path,
    layout: str,
    seed: int,
    teacher: Job | None = None,
    device: str = "auto",
) -> Job:
    title = f"{row.label}, seed {seed}"
    if row.stored:
        return compact_job(title, fitted, test, recipe, folder, layout, seed, teacher, device)
    return trial_job(title, fitted, test, recipe, folder, layout, seed, device)


def run(
    planned: Plan,
    out: Path,
    *,
    workers: int = 2,
    progress: Progress | None = None,
    told: Callable[[Job, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Trains what is missing and writes result.json, table.md and, for a figure, the picture, in `out`/name.

    Returns the document: name, title, note, rows (label, reported, measured mean and spread, by seed), files.
    """
    for job in planned.teachers:
        forget_lost(job)
    jobs = {job.key: job for job in (*planned.teachers, *(job for _, job in planned.jobs))}
    todo = [job for job in jobs.values() if job.finished() is None]
    if todo:
        arguments = todo[0].arguments
        recipes = [job.arguments["recipe"] for job in todo]
        prefill([*arguments["train"], *arguments["test"]], recipes, progress)
    if planned.teachers:
        run_jobs(planned.teachers, workers=workers, progress=progress, told=told)
    results = dict(zip(jobs, run_jobs(list(jobs.values()), workers=workers, progress=progress, told=told), strict=True))
    found: dict[str, list[dict[str, Any]]] = {}
    for row, job in planned.jobs:
        found.setdefault(row.label, []).append(results[job.key])
    document: dict[str, Any] = {
        "name": planned.name,
        "title": planned.table.title,
        "source": planned.table.source,
        "note": planned.note,
        "rows": [_line(row, found.get(row.label, [])) for row in planned.table.rows],
        "seconds": sum(r["seconds"] for r in results.values()),
    }
    folder = out / planned.name.replace("/", "-")
    files = {"result": folder / "result.json", "table": folder / "table.md"}
    if planned.table.figure == "weights":
        files["figure"] = folder / "figure.png"
        draw_magnitudes(found, files["figure"], planned.table.title)
    elif planned.table.figure:
        files["figure"] = folder / "figure.png"
        draw_curves({label: [r["history"] for r in runs] for label, runs in found.items()}, files["figure"])
    document["files"] = {name: str(path) for name, path in files.items()}
    write_text(files["table"], markdown(document))
    write_json(files["result"], document)
    return document


def _line(row: Row, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Reported and measured accuracy of one line, both in %; None where there is nothing.

    Of compact models also the bytes of the weights' file, parameters that are not zero, and the share below 2**-20.
    """
    shown = [r["stored"][row.stored] if row.stored else r for r in results]
    measured = [100 * r["accuracy"] for r in shown]
    compact = row.stored and results
    return {
        "label": row.label,
        "reported": row.reported,
        "reported_size": row.size or None,
        "measured": float(np.mean(measured)) if measured else None,
        "spread": float(np.std(measured, ddof=1)) if len(measured) > 1 else None,
        "by_seed": measured,
        "shuffled": None if compact or not results else float(np.mean([100 * r["shuffled_accuracy"] for r in results])),
        "n": results[0]["n"] if results else None,
        "recipe": row.recipe,
        "overrides": list(row.overrides),
        "parameters": round(float(np.mean([r["parameters"] for r in shown]))) if results else None,
        "bytes": float(np.mean([r["bytes"] for r in shown])) if compact else None,
        "below": float(np.mean([100 * r["magnitudes"]["share_below"] for r in results])) if compact else None,
        "minutes": float(np.mean([r["training_seconds"] for r in results])) / 60 if results else None,
    }


def markdown(document: Mapping[str, Any]) -> str:
    """The document as a markdown table, reported beside measured."""
    compact = any(row.get("bytes") is not None for row in document["rows"])
    own = ["reported size", "weights, MB", "below 2^-20, %"] if compact else ["frames shuffled, %"]
    titles = ["line", "reported, %", "measured, %", "by seed", *own, "parameters", "minutes a training"]
    return tables.markdown(document, titles, (_cells(row, compact) for row in document["rows"]))


def _cells(row: Mapping[str, Any], compact: bool) -> list[str]:
    own = [_number(row["shuffled"], 1, 1)]
    if compact:
        own = [row["reported_size"] or "-", _number(row["bytes"], 1e6, 3), _number(row["below"], 1, 1)]
    return [
        row["label"],
        "-" if row["reported"] is None else f"{row['reported']:.2f}",
        tables.spread(row["by_seed"]),
        ", ".join(f"{value:.1f}" for value in row["by_seed"]) or "-",
        *own,
        "-" if row["parameters"] is None else f"{row['parameters'] / 1e6:.2f} M",
        "-" if row["minutes"] is None else f"{row['minutes']:.1f}",
    ]


def _number(value: float | None, unit: float, digits: int) -> str:
    return "-" if value is None else f"{value / unit:.{digits}f}"


def draw_curves(histories: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], path: Path) -> None:
    """Validation accuracy against epochs, a line a model: mean over seeds, the range between them shaded."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for label, runs in histories.items():
        curves = [[epoch["val_accuracy"] for epoch in run if epoch.get("val_accuracy") is not None] for run in runs]
        length = min((len(curve) for curve in curves), default=0)
        if length == 0:
            continue
        values = 100 * np.array([curve[:length] for curve in curves])
        epochs = np.arange(1, length + 1)
        (line,) = axes.plot(epochs, values.mean(axis=0), label=label)
        if len(values) > 1:
            axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), alpha=0.15, color=line.get_color())
    axes.set(xlabel="epoch", ylabel="validation accuracy, %", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    figure.savefig(partial, dpi=120, format="png")
    pyplot.close(figure)
    partial.replace(path)
