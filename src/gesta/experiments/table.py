"""Documents' tables and figures done again: what all of them share, from the plan to reported beside measured.

A table plans jobs on its data, says what they cost, runs what is missing, and writes result.json, table.md and perhaps
pictures. Lines of several tables that need the same training share it: results lie in `out/rows` by content. Every line
is trained with the same data, split, budget and seeds; the validation part chooses the epoch, the test part is only
reported.
"""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gesta.experiments.parallel import Job, Progress, Told, run_jobs
from gesta.experiments.trial import prepare
from gesta.files import json_text, write_files
from gesta.schema import GestaError
from gesta.tasks.catalog import load_recipe
from gesta.words import choose, counted

if TYPE_CHECKING:
    from rich.table import Table

Results = Mapping[str, Sequence[Mapping[str, Any]]]
"""Label of a line -> its results, by seed."""
SEEDS = 3
"""Runs per row, where the table's scale says nothing else."""


@dataclass(frozen=True)
class Wanted:
    """What `gesta reproduce` is asked for. `data`: the user's; None: a set is generated in `out`, at a scale."""

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
    """One job for a line of the table. `cost`: of training, relative to the cheapest network; 0: it trains nothing."""

    label: str
    job: Job
    cost: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What is going to be run, in `steps` one after another; the last are the lines'. `note` says on what data and by
    which protocol; `minutes_each`: of a training of cost 1 on one core."""

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
        """Every training once, by its job's key; lines, of this or other tables, may share one."""
        found: dict[str, Line] = {}
        for line in (line for step in self.steps for line in step if line.cost):
            found.setdefault(line.job.key, line)
        return found

    @property
    def todo(self) -> list[Line]:
        return [line for line in self.trainings.values() if line.job.finished() is None]

    @property
    def minutes(self) -> float:
        todo = self.todo
        return sum(line.cost for line in todo) * self.minutes_each / min(self.workers, max(len(todo), 1))

    @property
    def cost(self) -> str:
        """One line for people, before anything is trained."""
        trainings, lines = len(self.trainings), len({line.label for line in self.lines})
        done = f"{counted(trainings, 'training run')}, {trainings - len(self.todo)} of them already done"
        seeds = min(Counter(line.label for line in self.lines).values(), default=0)
        return (
            f"{counted(lines, 'row')} x {counted(seeds, 'seed')}: {done}; the others take about {self.minutes:.0f} min"
        )


def runs_line(count: int, minutes: float) -> str:
    """`3 training runs, about 2 minutes`."""
    return f"{counted(count, 'training run')}, about {counted(round(minutes), 'minute')}"


class Experiment:
    """A table or figure of a document, under its name. A kind of tables says how one is planned and shown; one of
    another package is brought by the attribute `tables` of its task, a mapping name -> Experiment.

    `table`: title, source and rows, which have a label each. `scales`: what is generated and trained, by name.
    `headings` of `cells`; `brief`: those shown in a terminal, None: all.
    """

    scales: Mapping[str, Any] = {}
    headings: Sequence[str] = ()
    brief: Sequence[str] | None = None

    def __init__(self, name: str, table: Any) -> None:
        self.name, self.table = name, table

    def estimate(self, wanted: Wanted) -> str | None:
        """What it costs on generated data where nothing is done yet, before anything is generated."""

    def data(self, wanted: Wanted) -> tuple[Any, str]:
        """(the data, generated or read, a note on them). Raises GestaError."""
        raise NotImplementedError

    def plan(self, data: Any, note: str, wanted: Wanted) -> Plan:
        """The work that is needed on these data. Raises GestaError."""
        raise NotImplementedError

    def line(self, row: Any, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """One row of the document: reported and measured."""
        raise NotImplementedError

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        """That row for people, under `headings_of`."""
        raise NotImplementedError

    def rows(self, results: Results) -> list[dict[str, Any]]:
        return [self.line(row, results.get(row.label, ())) for row in self.table.rows]

    def headings_of(self, document: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002
        return self.headings

    def draw(self, plan: Plan, results: Results, folder: Path) -> dict[str, Path]:  # noqa: ARG002
        """Writes its pictures into a folder: name -> file."""
        return {}

    def facts(self) -> dict[str, Any]:
        """What else the document says of the table."""
        return {}

    def told(self, result: Mapping[str, Any]) -> str:
        """What a job came to, in words."""
        return f"{100 * result['accuracy']:.2f} %"

    def scale_of(self, wanted: Wanted) -> Any:
        """Raises GestaError (usage) for an unknown scale."""
        return self.scales[choose("scale", wanted.scale, self.scales)]

    def seeds_of(self, wanted: Wanted) -> int:
        """Raises GestaError (usage) for less than one."""
        if wanted.seeds is not None and wanted.seeds < 1:
            raise GestaError(f"--seeds is {wanted.seeds}, expected at least 1.", usage=True)
        return wanted.seeds or int(getattr(self.scale_of(wanted), "seeds", SEEDS))

    def run(self, plan: Plan, out: Path, progress: Progress | None = None, told: Told | None = None) -> dict[str, Any]:
        """Does what is missing and writes result.json, table.md and pictures in `out`/name; returns the document."""
        done: dict[str, dict[str, Any]] = {}
        for step in plan.steps:
            jobs = list({line.job.key: line.job for line in step}.values())
            prepare(jobs, progress)
            found = run_jobs(jobs, workers=plan.workers, progress=progress, told=told)
            done |= {job.key: result for job, result in zip(jobs, found, strict=True)}
        results = defaultdict(list)
        for line in plan.lines:
            results[line.label].append(done[line.job.key])
        document = {"rows": self.rows(results), "seconds": sum(result["seconds"] for result in done.values())}
        folder = self.folder(out)
        folder.mkdir(parents=True, exist_ok=True)
        return self.write(document | {"note": plan.note}, out, self.draw(plan, results, folder))

    def folder(self, out: Path) -> Path:
        return out / self.name.replace("/", "-")

    def write(self, found: Mapping[str, Any], out: Path, pictures: Mapping[str, Path] | None = None) -> dict[str, Any]:
        """The whole document, left in files; `found`: rows, note and what else it says. Raises GestaError."""
        folder = self.folder(out)
        files = {"result": folder / "result.json", "table": folder / "table.md", **(pictures or {})}
        head = {"name": self.name, "title": self.table.title, "source": self.table.source}
        document = {**head, **self.facts(), **found}
        document["files"] = {name: str(path) for name, path in files.items()}
        write_files(folder, {"table.md": self.markdown(document), "result.json": json_text(document)})
        return document

    def markdown(self, document: Mapping[str, Any]) -> str:
        """The document's name, title and note, and reported beside measured."""
        reported = "" if document["source"] == "-" else f" Reported: {document['source']}."
        rows = [self.cells(row) for row in document["rows"]]
        head = f"## {document['name']}: {document['title']}\n\n{document['note']}{reported}\n\n"
        return head + table(self.headings_of(document), rows)

    def text(self, document: Mapping[str, Any]) -> Table:
        """The same for a terminal."""
        from rich.table import Table

        headings = list(self.headings_of(document))
        kept = [headings.index(name) for name in (self.brief or headings)]
        shown = Table(*(headings[at] for at in kept), caption="\n".join(document["files"].values()))
        for row in document["rows"]:
            cells = self.cells(row)
            shown.add_row(*(cells[at] for at in kept))
        return shown


def recipe_of(row: Any, *changes: str) -> Any:
    """A line's recipe with changes. Raises GestaError (usage), naming the line, for those that do not fit."""
    return load_recipe(row.recipe, changes)


def trainings(costs: Mapping[Any, float], seeds: int, minutes_each: float, workers: int) -> tuple[int, float]:
    """(how many trainings, about how many minutes they take) from the costs of different ones."""
    count = seeds * len(costs)
    return count, seeds * sum(costs.values()) * minutes_each / min(workers, count)


def mean(values: Iterable[float]) -> float | None:
    """None of nothing."""
    known = list(values)
    return float(np.mean(known)) if known else None


def number(value: float | None, digits: int = 2, unit: float = 1.0, after: str = "") -> str:
    """ "-" where there is none."""
    return "-" if value is None else f"{value / unit:.{digits}f}{after}"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """ "21.20 ± 0.80", "21.20" for one seed, "-" where nothing is measured."""
    if not values:
        return "-"
    deviation = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{deviation}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [headings, *rows]
    shown = ["| " + " | ".join(cells) + " |" for cells in lines]
    return "\n".join([shown[0], "|" + "---|" * len(headings), *shown[1:]]) + "\n"


def canvas(width: float, height: float) -> tuple[Any, Any]:
    """An empty figure, in inches, that needs no screen, and its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
