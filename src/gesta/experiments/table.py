"""Base classes for reproducing tables and figures of documents, with reported next to measured values.

A table plans jobs on its data, estimates their cost, runs the missing ones, and writes result.json, table.md and
possibly pictures. Rows of several tables that need the same training share it: results are stored in `out/rows` by
content. Every row is trained with the same data, split, budget and seeds; the epoch is selected on the validation part,
and the test part is only reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gesta.experiments.parallel import Job, Progress, Told, run_jobs
from gesta.experiments.trial import prepare
from gesta.files import json_text, write_files
from gesta.schema import GestaError, grouped
from gesta.tasks.catalog import load_recipe
from gesta.words import choose, counted

if TYPE_CHECKING:
    from rich.table import Table

Results = Mapping[str, Sequence[Mapping[str, Any]]]
"""Row label -> its results, by seed."""
SEEDS = 3
"""Default number of runs per row, unless the table's scale specifies it."""


@dataclass(frozen=True)
class Wanted:
    """Options of `gesta reproduce`. `data`: the user's data; None: data are generated in `out` at the given scale."""

    out: Path
    scale: str = "quick"
    seeds: int | None = None
    data: Path | None = None
    layout: str | None = None
    sets: Sequence[str] = ()
    workers: int = 2
    device: str = "auto"


@dataclass(frozen=True)
class Line:
    """One job for a row of the table. `cost`: training cost relative to the cheapest network; 0: no training."""

    label: str
    job: Job
    cost: float = 0.0


@dataclass(frozen=True)
class Plan:
    """The jobs to run, in consecutive `steps`; the last step has the jobs of the rows. `note`: describes data and
    protocol; `minutes_each`: minutes for a training of cost 1 on one core."""

    steps: tuple[tuple[Line, ...], ...]
    note: str
    minutes_each: float
    workers: int = 2
    data: Any = None

    @property
    def lines(self) -> tuple[Line, ...]:
        return self.steps[-1]

    @property
    def trainings(self) -> dict[str, Line]:
        """Unique trainings by job key; rows of this or other tables may share one."""
        found: dict[str, Line] = {}
        for line in (line for step in self.steps for line in step if line.cost):
            found.setdefault(line.job.key, line)
        return found

    @property
    def todo(self) -> list[Line]:
        return [line for line in self.trainings.values() if line.job.finished() is None]

    def only(self, rows: Sequence[str]) -> Plan:
        """The plan for the rows whose label has one of these words, and for those that are done. Earlier steps stay.

        Raises GestaError (usage) for words that are in no label.
        """
        labels = list(dict.fromkeys(line.label for line in self.lines))
        for words in rows:
            if not any(words.lower() in label.lower() for label in labels):
                raise GestaError(f"--row {words}: no row has this in its name. Rows: {'; '.join(labels)}.", usage=True)
        open_rows = {line.label for line in self.lines if line.job.finished() is None}
        kept = {label for label in labels if any(words.lower() in label.lower() for words in rows)}
        lines = tuple(line for line in self.lines if line.label in kept or line.label not in open_rows)
        return replace(self, steps=(*self.steps[:-1], lines))

    @property
    def minutes(self) -> float:
        todo = self.todo
        return sum(line.cost for line in todo) * self.minutes_each / min(self.workers, max(len(todo), 1))

    @property
    def cost(self) -> str:
        """One-line cost estimate to display before training."""
        trainings, lines = len(self.trainings), len({line.label for line in self.lines})
        done = f"{counted(trainings, 'training run')}, {trainings - len(self.todo)} of them already done"
        seeds = min(Counter(line.label for line in self.lines).values(), default=0)
        return (
            f"{counted(lines, 'row')} x {counted(seeds, 'seed')}: {done}; the others take about {self.minutes:.0f} min"
        )


def runs_line(count: int, minutes: float) -> str:
    """Returns e.g. `3 training runs, about 2 minutes`."""
    return f"{counted(count, 'training run')}, about {counted(round(minutes), 'minute')}"


class Experiment:
    """A named table or figure of a document. Subclasses define how a kind of table is planned and shown; other packages
    provide theirs in the attribute `tables` of their task, a mapping name -> Experiment.

    `table`: title, source and rows, each with a label. `scales`: what to generate and train, by name. `headings`: those
    of `cells`; `brief`: headings shown in a terminal (None: all).
    """

    scales: Mapping[str, Any] = {}
    headings: Sequence[str] = ()
    brief: Sequence[str] | None = None

    def __init__(self, name: str, table: Any) -> None:
        self.name, self.table = name, table

    def estimate(self, wanted: Wanted) -> str | None:
        """Returns the estimated cost on generated data with nothing done yet, before generating anything."""

    def data(self, wanted: Wanted) -> tuple[Any, str]:
        """Returns (generated or read data, a note on them). Raises GestaError."""
        raise NotImplementedError

    def plan(self, data: Any, note: str, wanted: Wanted) -> Plan:
        """Returns the work needed on these data. Raises GestaError."""
        raise NotImplementedError

    def line(self, row: Any, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Returns one row of the document, with reported and measured values."""
        raise NotImplementedError

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        """Formats a row for display under `headings_of`."""
        raise NotImplementedError

    def rows(self, results: Results) -> list[dict[str, Any]]:
        return [self.line(row, results.get(row.label, ())) for row in self.table.rows]

    def headings_of(self, document: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002
        return self.headings

    def draw(self, plan: Plan, results: Results, folder: Path) -> dict[str, Path]:  # noqa: ARG002
        """Writes pictures into a folder and returns name -> file."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Returns additional entries for the document."""
        return {}

    def told(self, result: Mapping[str, Any]) -> str:
        """Formats the result of a job for display."""
        return f"{100 * result['accuracy']:.2f} %"

    def scale_of(self, wanted: Wanted) -> Any:
        """Returns the scale. Raises GestaError (usage) if it is unknown."""
        return self.scales[choose("scale", wanted.scale, self.scales)]

    def seeds_of(self, wanted: Wanted) -> int:
        """Returns the number of seeds. Raises GestaError (usage) if it is less than one."""
        if wanted.seeds is not None and wanted.seeds < 1:
            raise GestaError(f"--seeds is {wanted.seeds}, expected at least 1.", usage=True)
        return wanted.seeds or int(getattr(self.scale_of(wanted), "seeds", SEEDS))

    def run(self, plan: Plan, out: Path, progress: Progress | None = None, told: Told | None = None) -> dict[str, Any]:
        """Runs missing jobs, writes result.json, table.md and pictures to `out`/name, and returns the document."""
        done: dict[str, dict[str, Any]] = {}
        for step in plan.steps:
            jobs = list({line.job.key: line.job for line in step}.values())
            prepare(jobs, progress)
            found = run_jobs(jobs, workers=plan.workers, progress=progress, told=told)
            done |= {job.key: result for job, result in zip(jobs, found, strict=True)}
        results = grouped((line.label, done[line.job.key]) for line in plan.lines)
        document = {"rows": self.rows(results), "seconds": sum(result["seconds"] for result in done.values())}
        folder = self.folder(out)
        folder.mkdir(parents=True, exist_ok=True)
        return self.write(document | {"note": plan.note}, out, self.draw(plan, results, folder))

    def folder(self, out: Path) -> Path:
        return out / self.name.replace("/", "-")

    def write(self, found: Mapping[str, Any], out: Path, pictures: Mapping[str, Path] | None = None) -> dict[str, Any]:
        """Writes and returns the complete document; `found`: rows, note and other entries. Raises GestaError."""
        folder = self.folder(out)
        files = {"result": folder / "result.json", "table": folder / "table.md", **(pictures or {})}
        document = {
            "name": self.name,
            "title": self.table.title,
            "source": self.table.source,
            **self.facts(),
            **found,
            "files": {name: str(path) for name, path in files.items()},
        }
        write_files(folder, {"table.md": self.markdown(document), "result.json": json_text(document)})
        return document

    def markdown(self, document: Mapping[str, Any]) -> str:
        """Returns the document in Markdown: name, title, note, and the table of reported and measured values."""
        reported = "" if document["source"] == "-" else f" Reported: {document['source']}."
        rows = [self.cells(row) for row in document["rows"]]
        head = f"## {document['name']}: {document['title']}\n\n{document['note']}{reported}\n\n"
        return head + table(self.headings_of(document), rows)

    def text(self, document: Mapping[str, Any]) -> Table:
        """Returns the table for display in a terminal."""
        from rich.table import Table

        headings = list(self.headings_of(document))
        kept = [headings.index(name) for name in (self.brief or headings)]
        shown = Table(*(headings[at] for at in kept), caption="\n".join(document["files"].values()))
        for row in document["rows"]:
            cells = self.cells(row)
            shown.add_row(*(cells[at] for at in kept))
        return shown


def recipe_of(row: Any, *changes: str) -> Any:
    """Returns a row's recipe with changes applied. Raises GestaError (usage), naming it, if they do not fit."""
    return load_recipe(row.recipe, changes)


def trainings(costs: Mapping[Any, float], seeds: int, minutes_each: float, workers: int) -> tuple[int, float]:
    """Returns (number of trainings, estimated minutes) from the costs of unique trainings."""
    count = seeds * len(costs)
    return count, seeds * sum(costs.values()) * minutes_each / min(workers, count)


def mean(values: Iterable[float]) -> float | None:
    """Returns the mean, or None if there are no values."""
    known = list(values)
    return float(np.mean(known)) if known else None


def number(value: float | None, digits: int = 2, unit: float = 1.0, after: str = "") -> str:
    """Formats a number; "-" for None."""
    return "-" if value is None else f"{value / unit:.{digits}f}{after}"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Formats mean and deviation: "21.20 ± 0.80", "21.20" for one seed, "-" if nothing was measured."""
    if not values:
        return "-"
    deviation = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{deviation}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    lines = [headings, *rows]
    shown = ["| " + " | ".join(cells) + " |" for cells in lines]
    return "\n".join([shown[0], "|" + "---|" * len(headings), *shown[1:]]) + "\n"
