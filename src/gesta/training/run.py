"""Where and how one training runs: what every task's `fit` is given."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gesta.schema import Problem


@dataclass(frozen=True)
class Run:
    """One training. `out` gets the bundle, checkpoints and logs; with `resume` it resumes after the last whole epoch.

    `device`: auto, cpu or cuda; `devices` processes on each of `nodes` computers. `notes`: on the split, for the
    bundle's provenance. `progress`: whether to show where it stands, on stderr. `stop`: once this file is there, the
    training ends after the epoch that is going on, with the best so far.
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


@dataclass(frozen=True)
class Fitted:
    """What a training left: the bundle, the metrics of its best epoch as in the manifest, a row for each epoch.

    `recipe`: as it was trained, every "auto" decided; `picked`: what was decided and why; `notes`: what a reader of the
    results should know; `rank` 0 wrote the bundle; `network`: the trained torch.nn.Module; `facts`: what else the task
    reports.
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
    """Removes what an earlier run left, so that nothing of it is taken for this one's; to resume, only half files."""
    for stray in (run.out / "checkpoints").glob(".*.tmp"):
        stray.unlink(missing_ok=True)
    if not run.resume:
        for name in ("checkpoints", "logs"):
            shutil.rmtree(run.out / name, ignore_errors=True)
