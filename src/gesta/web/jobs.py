"""Training, evaluation and export jobs: each in its own process, which outlives the page and the server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Any

from gesta.web.folder import Folder
from gesta.web.jobfiles import (
    ENDED,
    LOG,
    STOP,
    Asked,
    Progress,
    curves_of,
    is_locked,
    read_asked,
    read_progress,
    write_asked,
)
from gesta.web.messages_work import Job, JobBody
from gesta.web.records import new_id, now
from gesta.web.refuse import Refuse, missing

START_S = 15.0
"""Maximum time for a process to acquire its lock."""
LOG_BYTES = 64 * 1024


class Jobs:
    """Runs queued jobs one at a time. Calls `changed(id)` on every change and `ended(asked, progress)` once per end."""

    def __init__(
        self,
        folder: Folder,
        changed: Callable[[str], None] = lambda _id: None,
        ended: Callable[[Asked, Progress], None] = lambda _asked, _progress: None,
    ) -> None:
        self._folder, self._changed, self._ended = folder, changed, ended
        self._lock = RLock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._seen: dict[str, tuple[Any, ...]] = {}
        self._told: set[str] = {job.id for job in self.all() if job.state in ENDED}

    def all(self) -> list[Job]:
        """All jobs, newest first."""
        asked = [found for path in self._root().iterdir() if (found := read_asked(path)) is not None]
        return [self._shown(one) for one in sorted(asked, key=lambda one: (-one.made, one.id))]

    def get(self, job_id: str) -> Job:
        return self._shown(self._asked(job_id))

    def log(self, job_id: str) -> str:
        """The end of the process's output."""
        self._asked(job_id)
        try:
            with (self._place(job_id) / LOG).open("rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - LOG_BYTES))
                return stream.read().decode(errors="replace")
        except OSError:
            return ""

    def add(self, body: JobBody, model: str) -> Job:
        """Queues a job. Raises Refuse 409 if the same one is running, 429 if too many are queued."""
        with self._lock:
            going = [job for job in self.all() if job.state not in ENDED and job.state != "lost"]
            same = [job for job in going if (job.kind, job.to) == (body.kind, body.to or "")]
            if same and (body.kind == "train" or same[0].model == model):
                what = "Training" if body.kind == "train" else "The same"
                error = f"{what} is running, started in another window."
                raise Refuse(409, error, "one at a time", "Show it, or stop it first.", same[0].id)
            limit = self._folder.limits.waiting_jobs
            if sum(job.state == "waiting" for job in going) >= limit:
                raise Refuse(429, f"{limit} jobs are waiting.", hint="Wait until one has ended, or cancel one.")
            asked = Asked(
                id=new_id(),
                model=model,
                to=body.to or "",
                made=now(),
                work=body.kind,
                recipe=body.recipe,
                everyone=body.everyone,
            )
            write_asked(self._place(asked.id), asked)
            self._changed(asked.id)
            self.look()
            return self.get(asked.id)

    def stop(self, job_id: str) -> Job:
        """Stops after this epoch, keeping the best so far; cancels a queued job. Raises Refuse 409 if it has ended."""
        with self._lock:
            job = self.get(job_id)
            if job.state == "waiting":
                return self.cancel(job_id)
            if job.state not in ("running", "stopping"):
                raise Refuse(409, "The job has ended.", hint="Load the page again.")
            (self._place(job_id) / STOP).touch()
            self._changed(job_id)
            return self.get(job_id)

    def resume(self, job_id: str) -> Job:
        """Resumes a job. Raises Refuse 409 if that is not possible."""
        with self._lock:
            job, asked = self.get(job_id), self._asked(job_id)
            if not job.resumable:
                raise Refuse(
                    409, "This job cannot continue.", "one that was stopped, failed or lost", "Start a new one."
                )
            (self._place(job_id) / STOP).unlink(missing_ok=True)
            self._told.discard(job_id)
            write_asked(self._place(job_id), asked.model_copy(update={"wanted": True, "ended": ""}))
            self.look()
            return self.get(job_id)

    def cancel(self, job_id: str) -> Job:
        """Ends a job immediately and discards its output."""
        with self._lock:
            asked, job = self._asked(job_id), self.get(job_id)
            self._kill(job_id)
            if job.state != "done":
                write_asked(self._place(job_id), asked.model_copy(update={"ended": "canceled", "wanted": False}))
                if asked.work == "train":
                    shutil.rmtree(self._folder.place("runs") / asked.model, ignore_errors=True)
            else:
                shutil.rmtree(self._place(job_id), ignore_errors=True)
            self._changed(job_id)
            return job.model_copy(update={"state": "canceled"}) if job.state != "done" else job

    def look(self) -> None:
        """Reports changes, and starts the next job if none is running."""
        with self._lock:
            jobs = self.all()
            for job in jobs:
                self._notice(job)
            if not any(job.state in ("running", "stopping") for job in jobs):
                waiting = [job for job in jobs if job.state == "waiting"]
                if waiting:
                    self._start(self._asked(waiting[-1].id))

    def end(self) -> None:
        """Ends the server's part; processes continue on their own."""
        self._processes.clear()

    def _notice(self, job: Job) -> None:
        seen = (job.state, job.done, job.doing, len(job.curves.epochs))
        if self._seen.get(job.id) != seen:
            self._seen[job.id] = seen
            self._changed(job.id)
        if job.state in ENDED and job.id not in self._told:
            self._told.add(job.id)
            self._ended(self._asked(job.id), read_progress(self._place(job.id)) or Progress())

    def _start(self, asked: Asked) -> None:
        folder = self._place(asked.id)
        asked = asked.model_copy(update={"runs": asked.runs + 1, "wanted": False})
        write_asked(folder, asked)
        words = [sys.executable, "-m", "gesta.web.worker", str(self._folder.root.resolve()), asked.id]
        with (folder / LOG).open("ab") as log:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._processes[asked.id] = process
        self._changed(asked.id)

    def _kill(self, job_id: str) -> None:
        """Kills a job's process and its children; only while it holds the job's lock, so that the PID is its own."""
        process, progress = self._processes.pop(job_id, None), read_progress(self._place(job_id))
        pid = process.pid if process is not None and process.poll() is None else 0
        if not pid and progress is not None and is_locked(self._place(job_id)):
            pid = progress.pid
        if pid:
            with suppress(OSError):
                if hasattr(os, "killpg"):
                    os.killpg(pid, signal.SIGKILL)
                else:
                    os.kill(pid, signal.SIGTERM)
        if process is not None:
            process.wait(timeout=10)

    def _is_at_work(self, asked: Asked) -> bool:
        process = self._processes.get(asked.id)
        if process is not None:
            return process.poll() is None
        if is_locked(self._place(asked.id)):
            return True
        started = (self._place(asked.id) / "job.json").stat().st_mtime
        return asked.runs > 0 and read_progress(self._place(asked.id)) is None and now() - started < START_S

    def _state(self, asked: Asked, progress: Progress | None) -> str:
        if asked.ended:
            return asked.ended
        if asked.wanted:
            return "waiting"
        current = progress is not None and progress.run == asked.runs
        if current and progress is not None and progress.state in ("stopped", "done", "failed"):
            return progress.state
        if not self._is_at_work(asked):
            return "lost"
        return "stopping" if (self._place(asked.id) / STOP).exists() else "running"

    def _shown(self, asked: Asked) -> Job:
        folder = self._place(asked.id)
        progress = read_progress(folder)
        state: Any = self._state(asked, progress)
        said = progress or Progress()
        run = self._folder.place("runs") / asked.model
        curves, epoch_s = curves_of(run, said) if asked.work == "train" else (Job.model_fields["curves"].default, None)
        done = max(said.done, len(curves.epochs)) if asked.work == "train" else said.done
        running = state in ("running", "stopping")
        until = now() if running else said.updated
        return Job(
            id=asked.id,
            kind=asked.work,
            state=state,
            done=done,
            of=said.of,
            unit=said.unit,
            doing=said.doing if running else "",
            left_s=_left_s(said, done, epoch_s, now()) if running else None,
            seconds=max(0.0, until - said.started) if said.started else 0.0,
            made=asked.made,
            curves=curves,
            notes=said.notes,
            error=said.error if state == "failed" else None,
            resumable=state in ("lost", "failed") or (state == "canceled" and asked.work != "train"),
            model=asked.model,
            to=asked.to,
            revision=asked.runs,
        )

    def _asked(self, job_id: str) -> Asked:
        found = read_asked(self._place(job_id))
        if found is None:
            raise missing("job", job_id)
        return found

    def _root(self) -> Path:
        return self._folder.place("jobs")

    def _place(self, job_id: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{12}", job_id):
            raise missing("job", job_id[:60])
        return self._root() / job_id


def _left_s(said: Progress, done: int, epoch_s: float | None, time: float) -> float | None:
    """Estimated remaining seconds, if known."""
    if said.unit == "epoch":
        return None if epoch_s is None else round(max(0, said.of - done) * epoch_s, 1)
    if said.unit == "person" and done and said.started:
        return round((time - said.started) / done * (said.of - done), 1)
    return None
