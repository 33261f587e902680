"""The process of a job: `python -m gesta.web.worker FOLDER JOB`. It reports progress in `progress.json`."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gesta.schema import GestaError
from gesta.web import work_export, work_measure, work_train
from gesta.web.folder import HIDDEN
from gesta.web.jobfiles import LOCK, Asked, Progress, read_asked, read_progress, write_progress
from gesta.web.messages import Refusal
from gesta.web.records import now

Work = Callable[..., dict[str, Any]]
WORK: dict[str, Work] = {"train": work_train.train, "measure": work_measure.measure, "export": work_export.export}


class Teller:
    """Tracks and writes the progress of a job."""

    def __init__(self, folder: Path, asked: Asked) -> None:
        before = read_progress(folder)
        started = before.started if before is not None and asked.runs > 1 else now()
        self._folder = folder
        self.progress = Progress(started=started, updated=now(), run=asked.runs, pid=os.getpid())
        self.tell()

    def tell(self, **values: Any) -> None:
        self.progress = self.progress.model_copy(update={"updated": now(), **values})
        write_progress(self._folder, self.progress)


def work(root: Path, job_id: str) -> int:
    """Runs a job and returns its exit code."""
    from filelock import FileLock, Timeout

    folder = root / HIDDEN / "jobs" / job_id
    asked = read_asked(folder)
    if asked is None:
        return 2
    try:
        with FileLock(folder / LOCK, blocking=False):
            return _told(root, folder, asked)
    except Timeout:
        return 2


def _told(root: Path, folder: Path, asked: Asked) -> int:
    teller = Teller(folder, asked)
    try:
        result = WORK[asked.work](root, folder, asked, teller.tell)
    except GestaError as error:
        teller.tell(state="failed", error=Refusal(error=str(error), hint=error_hint(asked)))
        return 1
    except Exception as error:
        traceback.print_exc()
        said = f"{type(error).__name__}: {error}"
        teller.tell(state="failed", error=Refusal(error=said, hint="See the log for details. Continuing may help."))
        return 1
    stopped = bool(result.pop("stopped", False))
    teller.tell(state="stopped" if stopped and asked.work != "train" else "done", result=result)
    return 0


def error_hint(asked: Asked) -> str:
    """What to do about a job that failed."""
    return {
        "train": "Look at the findings in Check, then continue or train again.",
        "measure": "Measure again; finished work is kept.",
        "export": "Export again.",
    }[asked.work]


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1]), sys.argv[2]))
