"""`gesta jobs`: what became of a command's jobs, from the files that they leave."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group

from gesta.cli.common import JsonFlag, emit, existing
from gesta.schema import GestaError
from gesta.words import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gesta.jobs.ledger import Overview, Status

SHOWN = 20


def jobs(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The --out folder of a command.", show_default=False)],
    log: Annotated[
        str | None,
        typer.Option("--log", metavar="JOB", help="Print the log of one job, by key or title."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also list jobs that wait or are done.")] = False,
    json: JsonFlag = False,
) -> None:
    """Show which jobs of a command are running, done or failed, and why.

    Reads the files that the jobs leave, so it works while they run and long after, from every computer that sees the
    folder.

    Examples:
      gesta jobs runs/crossval
      gesta jobs features --all --json
    """
    from gesta.jobs.ledger import overview

    found = overview(existing(out, "folder"))
    if not found.jobs:
        raise GestaError(
            f"{out}: contains no record of jobs. Give the --out folder of features, track, data make, crossval, "
            "reproduce, learning-curve, tune or compress, or the folder that gesta data prepare prints.",
            usage=True,
        )
    if log is not None:
        typer.echo(_log(found.jobs, log), nl=False)
        return
    document: dict[str, Any] = {
        "out": str(out),
        "where": found.where,
        "dashboard": found.dashboard,
        "at_work": found.at_work,
        "counts": found.counts,
        "jobs": [asdict(job) for job in found.jobs],
    }
    emit(document, _text(found, every), json)


def _log(known: tuple[Status, ...], wanted: str) -> str:
    """Raises GestaError (usage) where no job is meant, or none that has begun."""
    meant = [job for job in known if job.key == wanted] or [job for job in known if job.title.startswith(wanted)]
    if not meant:
        raise GestaError(
            f"no job has the key {wanted!r} or a title that begins with it. List them with --all.", usage=True
        )
    logs = [job.log for job in meant if job.log is not None]
    if not logs:
        raise GestaError(f"{meant[0].title}: wrote no log; the job is {meant[0].state}.")
    return Path(logs[0]).read_text(encoding="utf-8", errors="replace")


def _text(found: Overview, every: bool) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    counts = ", ".join(f"{count} {state}" for state, count in found.counts.items() if count)
    told = {True: "the command is running", False: "the command has ended", None: "started on another computer"}
    lines = [f"{counted(len(found.jobs), 'job')}: {counts}", f"{told[found.at_work]}, on {found.where}"]
    if found.at_work and found.dashboard:
        lines.append(f"dashboard: {found.dashboard}")
    shown = [job for job in found.jobs if every or job.state in ("running", "failed", "stopped")]
    table = Table("job", "state", "worker", "why", "log")
    for job in shown if every else shown[:SHOWN]:
        table.add_row(*(Text(cell) for cell in (job.title, job.state, job.worker, job.why, job.log or "-")))
    if len(shown) > SHOWN and not every:
        lines.append(f"the first {SHOWN} of {len(shown)}; --all lists every job")
    return Group(*lines, *([table] if shown else []))
