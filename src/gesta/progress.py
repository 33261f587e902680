"""Progress bars on stderr, hidden if stderr is not a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def bars(shown: bool = True) -> Iterator[Callable[[str, int, int], None]]:
    """One bar per stage: the callback takes (stage, done, total)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as live:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = live.add_task(stage, total=total)
            live.update(tasks[stage], completed=done, total=total)

        yield update


@contextmanager
def bar(stage: str, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A single bar: the callback takes (done, total)."""
    with bars(shown) as update:
        yield lambda done, total: update(stage, done, total)
