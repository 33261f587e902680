"""The report of `inspect`: counts, problems, and how the transform will handle missing modalities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gesta.schema import Problem
from gesta.words import counted

SHOWN_PER_KIND = 8


@dataclass(frozen=True)
class Spread:
    """Minimum, median, maximum and sum of durations in seconds."""

    least: float
    median: float
    most: float
    total: float


class Inspected:
    """Base of reports: what they share as JSON and in the terminal. Subclasses have `root`, `problems` and `facts`."""

    root: Path
    problems: tuple[Problem, ...]

    def facts(self) -> list[tuple[str, str]]:
        """Returns the summary as (name, text) pairs, for the terminal and the page."""
        raise NotImplementedError

    def kinds(self) -> dict[str, int]:
        """Returns the number of problems of each kind, in descending order."""
        return dict(Counter(problem.kind for problem in self.problems).most_common())

    def to_json(self) -> dict[str, Any]:
        """Returns the report as plain dictionaries, lists, numbers and strings."""
        problems = [asdict(problem) for problem in self.problems]
        return asdict(self) | {"root": str(self.root), "problems": problems}  # type: ignore[call-overload]

    def to_text(self) -> RenderableType:
        """Returns the report for the terminal."""
        table = Table(title=str(self.root), title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
        for what, text in self.facts():
            table.add_row(Text(what, style="bold"), Text(text))
        return Group(table, *self._problem_lines())

    def _problem_lines(self) -> list[RenderableType]:
        if not self.problems:
            return [Text("\nNo problems found.", style="green")]
        lines: list[RenderableType] = [Text("\n" + counted(len(self.problems), "problem"), style="bold")]
        for kind, count in self.kinds().items():
            lines.append(Text(f"  {kind} ({count})", style="yellow"))
            found = [problem for problem in self.problems if problem.kind == kind]
            lines += [Text(f"    {problem}") for problem in found[:SHOWN_PER_KIND]]
            if count > SHOWN_PER_KIND:
                lines.append(Text(f"    ... and {count - SHOWN_PER_KIND} more; --json lists all"))
        return lines


@dataclass(frozen=True)
class Report(Inspected):
    """Counts by name, in descending order where order matters; `usable` samples lie within a readable video."""

    root: Path
    layout: str
    samples: int
    usable: int
    recordings: int
    classes: Mapping[str, int]
    people: Mapping[str, int]
    splits: Mapping[str, int]
    modalities: Mapping[str, int]
    sizes: Mapping[str, int]
    frame_rates: Mapping[str, int]
    lengths_s: Spread | None
    problems: tuple[Problem, ...] = ()
    fallbacks: tuple[str, ...] = field(default=())

    @property
    def labeled(self) -> int:
        return sum(self.classes.values())

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"labeled": self.labeled, "fallbacks": list(self.fallbacks)}

    def facts(self) -> list[tuple[str, str]]:
        rows = [
            ("layout", self.layout),
            (
                "samples",
                f"{self.samples} in {counted(self.recordings, 'recording')}, {self.labeled} labeled, {self.usable} "
                "usable",
            ),
            ("classes", f"{len(self.classes)}" + (f": {counts_line(self.classes)}" if self.classes else "")),
            ("people", f"{len(self.people)}: {counts_line(self.people)}" if self.people else "not known"),
            ("splits", counts_line(self.splits) if self.splits else "not given"),
            ("modalities", counts_line(self.modalities)),
            ("sizes", counts_line(self.sizes)),
            ("frames/s", counts_line(self.frame_rates)),
        ]
        if self.lengths_s is not None:
            s = self.lengths_s
            text = f"{s.least:.2f} to {s.most:.2f} s, median {s.median:.2f} s, {s.total / 60:.1f} minutes in total"
            rows.append(("lengths", text))
        return rows

    def _problem_lines(self) -> list[RenderableType]:
        lines: list[RenderableType] = []
        if self.fallbacks:
            lines.append(Text("\nWhat is missing, and what is used instead", style="bold"))
            lines += [Text(f"  {line}") for line in self.fallbacks]
        return lines + super()._problem_lines()


def counts_of(values: Iterable[str | None]) -> dict[str, int]:
    """Returns counts by value, without None, sorted by descending count, then by name."""
    counts = Counter(value for value in values if value is not None)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def counts_line(counts: Mapping[str, int], most: int = 30) -> str:
    """Formats counts as `wave (9), clap (8), ...`."""
    shown = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:most])
    return shown + (f", and {len(counts) - most} more" if len(counts) > most else "")
