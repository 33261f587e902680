"""Where and how a training runs (the argument of every task's `fit`), and its result."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gesta.schema import Problem


@dataclass(frozen=True)
class Run:
    """Options of one training. The bundle, checkpoints and logs go to `out`.

    `resume`: continue after the last complete epoch. `device`: auto, cpu or cuda; `devices`: processes on each of
    `nodes` computers. `notes`: notes on the split, for the bundle's provenance. `progress`: whether to show progress on
    stderr. `stop`: once this file exists, training ends after the current epoch with the best network so far.
    `followed`: the history also has the accuracy on split "test" after every epoch, by which nothing is chosen; clips.
    """

    out: Path
    seed: int = 0
    resume: bool = False
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    progress: bool = True
    notes: tuple[str, ...] = ()
    stop: Path | None = None
    followed: bool = False


@dataclass(frozen=True)
class Fitted:
    """Result of a training: the bundle, the metrics of its best epoch as in the manifest, and a row per epoch.

    `recipe`: the recipe used, with every "auto" resolved; `picked`: what was chosen for each and why; `notes`: what a
    reader of the results should know; `rank`: rank 0 wrote the bundle; `network`: the trained torch.nn.Module;
    `facts`: anything else the task reports.
    """

    bundle: Path
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    seconds: float
    recipe: Any
    skipped: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    picked: tuple[str, ...] = ()
    rank: int = 0
    network: Any = None
    facts: dict[str, Any] = field(default_factory=dict)


def clear(run: Run) -> None:
    """Removes files of an earlier run, lest they be mistaken for this one's; when resuming, only partial files."""
    for stray in (run.out / "checkpoints").glob(".*.tmp"):
        stray.unlink(missing_ok=True)
    if not run.resume:
        for name in ("checkpoints", "logs"):
            shutil.rmtree(run.out / name, ignore_errors=True)
