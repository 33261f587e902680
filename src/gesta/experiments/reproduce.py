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

from gesta.experiments.catalog import Row, Table, find, scale_of
from gesta.experiments.parallel import Job, Progress, run_jobs, write_json, write_text
from gesta.experiments.trial import prefill, trial_job
from gesta.recipes import RecipeError, load_recipe
from gesta.schema import GestaError, Sample


@dataclass(frozen=True)
class Plan:
    """What is going to be run, and what it costs. `note` says on what data and by which protocol."""

    name: str
    table: Table
    jobs: tuple[tuple[Row, Job], ...]
    note: str
    minutes: float
    to_train: int

    @property
    def cost(self) -> str:
        """One line for people, before anything is trained."""
        lines = len({row.label for row, _ in self.jobs})
        seeds, done = len(self.jobs) // max(lines, 1), len(self.jobs) - self.to_train
        return (
            f"{lines} lines x {seeds} seeds = {len(self.jobs)} trainings, {done} already done; "
            f"the others take about {self.minutes:.0f} minutes"
        )


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
) -> Plan:
    """The trainings that a table needs on `samples` (with splits train, val and test). Raises GestaError."""
    table, size = find(name), scale_of(scale)
    if seeds < 1:
        raise GestaError(f"--seeds is {seeds}, expected at least 1.", usage=True)
    fitted = [s for s in samples if s.split in ("train", "val")]
    test = [s for s in samples if s.split == "test"]
    if not test or not any(s.split == "train" for s in fitted):
        raise GestaError("the data have no training or no test part. Check them: gesta data inspect DATA.")
    jobs = []
    for row in table.rows:
        if row.recipe is None:
            continue
        try:
            recipe = load_recipe(row.recipe, (*size.overrides, *row.overrides, *sets))
        except RecipeError as error:
            raise GestaError(str(error), usage=True) from error
        for seed in range(seeds):
            job = trial_job(f"{row.label}, seed {seed}", fitted, test, recipe, out / "rows", layout, seed)
            jobs.append((row, job))
    todo = [row for row, job in jobs if job.finished() is None]
    minutes = sum(row.cost for row in todo) * size.minutes / min(workers, max(len(todo), 1))
    return Plan(name, table, tuple(jobs), note, minutes, len(todo))


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
    todo = [job for _, job in planned.jobs if job.finished() is None]
    if todo:
        arguments = todo[0].arguments
        recipes = [job.arguments["recipe"] for job in todo]
        prefill([*arguments["train"], *arguments["test"]], recipes, progress)
    results = run_jobs([job for _, job in planned.jobs], workers=workers, progress=progress, told=told)
    found: dict[str, list[dict[str, Any]]] = {}
    for (row, _), result in zip(planned.jobs, results, strict=True):
        found.setdefault(row.label, []).append(result)
    document: dict[str, Any] = {
        "name": planned.name,
        "title": planned.table.title,
        "source": planned.table.source,
        "note": planned.note,
        "rows": [_line(row, found.get(row.label, [])) for row in planned.table.rows],
        "seconds": sum(r["seconds"] for r in results),
    }
    folder = out / planned.name.replace("/", "-")
    files = {"result": folder / "result.json", "table": folder / "table.md"}
    if planned.table.figure:
        files["figure"] = folder / "figure.png"
        draw_curves({label: [r["history"] for r in runs] for label, runs in found.items()}, files["figure"])
    document["files"] = {name: str(path) for name, path in files.items()}
    write_text(files["table"], markdown(document))
    write_json(files["result"], document)
    return document


def _line(row: Row, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Reported and measured accuracy of one line, both in %; None where there is nothing."""
    measured = [100 * r["accuracy"] for r in results]
    return {
        "label": row.label,
        "reported": row.reported,
        "measured": float(np.mean(measured)) if measured else None,
        "spread": float(np.std(measured, ddof=1)) if len(measured) > 1 else None,
        "by_seed": measured,
        "shuffled": float(np.mean([100 * r["shuffled_accuracy"] for r in results])) if results else None,
        "n": results[0]["n"] if results else None,
        "recipe": row.recipe,
        "overrides": list(row.overrides),
        "parameters": results[0]["parameters"] if results else None,
        "minutes": float(np.mean([r["training_seconds"] for r in results])) / 60 if results else None,
    }


def markdown(document: Mapping[str, Any]) -> str:
    """The document as a markdown table, reported beside measured."""
    lines = [
        f"## {document['name']}: {document['title']}",
        "",
        f"{document['note']} Reported: {document['source']}.",
        "",
        "| line | reported, % | measured, % | by seed | frames shuffled, % | parameters | minutes a training |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        cells = [
            row["label"],
            "-" if row["reported"] is None else f"{row['reported']:.2f}",
            measured_text(row),
            ", ".join(f"{value:.1f}" for value in row["by_seed"]) or "-",
            "-" if row["shuffled"] is None else f"{row['shuffled']:.1f}",
            "-" if row["parameters"] is None else f"{row['parameters'] / 1e6:.2f} M",
            "-" if row["minutes"] is None else f"{row['minutes']:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def measured_text(row: Mapping[str, Any]) -> str:
    """ "91.2 ± 0.8", "91.2" for one seed, "-" where nothing is measured."""
    if row["measured"] is None:
        return "-"
    return f"{row['measured']:.2f}" + ("" if row["spread"] is None else f" ± {row['spread']:.2f}")


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
