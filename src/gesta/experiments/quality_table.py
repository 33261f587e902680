"""A table for any task: recipes trained on the same data, and the task's quality of each on the test part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gesta.experiments.table import SEEDS, Experiment, Line, Plan, Wanted, mean, number, recipe_of
from gesta.experiments.trial import trial_job
from gesta.schema import GestaError
from gesta.tasks import catalog


@dataclass(frozen=True)
class QualityRow:
    """A row: its recipe (name or file) with overrides, and the reported value, in the table's measure."""

    label: str
    recipe: str
    overrides: tuple[str, ...] = ()
    reported: float | None = None
    cost: float = 1.0


@dataclass(frozen=True)
class QualityRows:
    """The table of a task. `make`: generates data in a folder, by scale, if none are given; None: needs --data."""

    title: str
    task: str
    rows: tuple[QualityRow, ...]
    source: str = "-"
    make: Callable[[Path, str], object] | None = None
    minutes_each: float = 1.0


class QualityTable(Experiment):
    """`table`: QualityRows; `data` of its plans: a Listing."""

    scales: Mapping[str, Any] = dict.fromkeys(("quick", "full"))
    headings = ("line", "reported", "measured", "seeds", "parameters", "minutes")

    def data(self, wanted: Wanted) -> tuple[Any, str]:
        task, folder = catalog.find(self.table.task), wanted.data
        if folder is not None:
            return task.read(folder, wanted.layout), f"Data: {folder}."
        if self.table.make is None:
            raise GestaError(f"{self.name}: needs --data, a folder of {task.unit}.", usage=True)
        folder = wanted.out / f"data-{self.name.replace('/', '-')}-{wanted.scale}"
        self.table.make(folder, wanted.scale)
        return task.read(folder, wanted.layout), f"Generated data, scale {wanted.scale}."

    def plan(self, data: Any, note: str, wanted: Wanted) -> Plan:
        task, lines, notes = catalog.find(self.table.task), [], [note]
        for row in self.table.rows:
            recipe = recipe_of(row, *row.overrides, *wanted.sets)
            parts = task.split(data, 0, recipe.model_dump())
            notes += [text for text in parts.notes if text not in notes]
            for seed in range(self.seeds_of(wanted)):
                title = f"{row.label}, seed {seed}"
                job = trial_job(title, parts, recipe, wanted.out / "rows", seed, wanted.device)
                lines.append(Line(row.label, job, row.cost))
        return Plan((tuple(lines),), " ".join(notes), self.table.minutes_each, wanted.workers, data)

    def seeds_of(self, wanted: Wanted) -> int:
        return wanted.seeds or SEEDS

    def line(self, row: QualityRow, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        metric = catalog.find(self.table.task).quality.measured
        return {
            "label": row.label,
            "reported": row.reported,
            metric: mean(result[metric] for result in results),
            "by_seed": [result[metric] for result in results],
            "parameters": results[0]["parameters"] if results else None,
            "minutes": sum(result["seconds"] for result in results) / 60,
            "recipe": row.recipe,
            "overrides": list(row.overrides),
        }

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        quality = catalog.find(self.table.task).quality
        told = ["-" if value is None else quality.text(value) for value in (row["reported"], row[quality.measured])]
        parameters = number(row["parameters"], 0)
        return [row["label"], *told, str(len(row["by_seed"])), parameters, f"{row['minutes']:.1f}"]

    def told(self, result: Mapping[str, Any]) -> str:
        quality = catalog.find(self.table.task).quality
        return quality.text(result[quality.measured])
