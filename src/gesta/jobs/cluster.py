"""Runs jobs on a Dask cluster: one started by this command (`local:4`), or an existing scheduler.

Dask distributes jobs to workers and notices dead workers. Only files determine what is done, so a scheduler may go and
come back: unfinished jobs are sent again, and a worker still running one keeps its claim (`jobs.claims`).
"""

from __future__ import annotations

import importlib.util
import logging
import math
import pickle
import queue
import re
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from gesta.jobs.job import Job
from gesta.jobs.ledger import place
from gesta.jobs.perform import Outcome, Site, one_thread, perform
from gesta.schema import GestaError
from gesta.words import install

CONNECT_S = 15.0
RETURN_S = 300.0
"""How long to wait for a lost scheduler to come back."""
LOOK_S = 5.0
FETCH_S = 20.0
"""How long to wait for a result; a living worker delivers it much sooner."""
MOST_WAITING = 64
"""Maximum number of jobs queued at the scheduler; the others wait here, so that their arguments use no memory."""
SLURM_JOBS = 4
MOST_WORKERS = 10_000
_ADDRESS = re.compile(r"//(\[[^\]\s]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})")
KILLED = "KilledWorker"
FORMS = "local:N (N workers on this computer), tcp://HOST:PORT or tls://HOST:PORT (a scheduler), slurm or slurm:N"


def perform_sent(sent: bytes) -> Outcome:
    """Runs `perform` on a worker. Pickled by gesta, so that Dask neither inspects nor changes the arguments."""
    one_thread()
    job, at = pickle.loads(sent)  # from the command, over Dask's own connection
    return perform(job, at)


class Cluster:
    """`name`: as for --cluster. `say` is called with messages on the dashboard and on waiting.

    Raises GestaError (usage) for an invalid name, and GestaError if the extra is not installed.
    """

    def __init__(self, name: str, say: Callable[[str], None] = lambda _text: None) -> None:
        self.name, self._say = name, say
        self._kind, self._count = _parsed(name)
        modules = ["distributed", *(["dask_jobqueue"] if self._kind == "slurm" else [])]
        if missing := [module for module in modules if importlib.util.find_spec(module) is None]:
            raise GestaError(
                f"--cluster {name} needs {', '.join(missing)}, which is not installed. Install it: {install('cluster')}"
            )
        self._client: Any = None
        self._own: Any = None
        self._counted = (-math.inf, 0)  # when, and how many workers
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()  # futures that have ended

    @property
    def dashboard(self) -> str | None:
        return None if self._client is None else self._client.dashboard_link

    @property
    def fixed_workers(self) -> int | None:
        """Number of workers if it cannot change."""
        return self._count if self._kind == "local" else None

    @property
    def workers(self) -> int:
        """The current number of workers, at least 1, for estimates."""
        with suppress(_Lost):
            return max(1, self._count_workers())
        return 1

    def _count_workers(self) -> int:
        """Number of workers that Dask has not paused. Raises _Lost if the scheduler does not answer."""
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            return sum(worker.get("status") != "paused" for worker in workers)
        except Exception as error:
            raise _Lost from error

    def open(self) -> None:
        """Connects, after starting the command's own cluster if it has one. Raises GestaError."""
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # gesta reports it instead
        if self._kind == "local":
            self._own = _local(self._count)
        elif self._kind == "slurm":
            self._own = _slurm(self._count)
        self._connect(CONNECT_S)
        if self.dashboard:
            hint = "" if importlib.util.find_spec("bokeh") else " (its figures need bokeh: pip install bokeh)"
            self._say(f"Dashboard of {self.name}: {self.dashboard}{hint}")

    def close(self) -> None:
        """Disconnects from the scheduler; shuts down whatever was started."""
        for one in (self._client, self._own):
            if one is not None:
                with suppress(Exception):
                    one.close(timeout=5)
        self._client = self._own = None

    def outcomes(self, jobs: Sequence[Job], at: Site) -> Iterator[tuple[Job, Outcome]]:
        """Yields each job with its outcome as it ends. Raises GestaError if the scheduler does not come back."""
        waiting, sent = deque(jobs), dict[Any, Job]()
        try:
            while waiting or sent:
                try:
                    self._send(waiting, sent, at)
                    for future in self._ended(sent):
                        outcome, job = _outcome(future), sent.pop(future)
                        if outcome is None or (outcome.kind == KILLED and _only_waited(job, at)):
                            waiting.append(job)
                        else:
                            yield job, outcome
                except _Lost:
                    waiting.extendleft(reversed(sent.values()))
                    sent.clear()
                    self._reconnect()
        finally:
            with suppress(Exception):
                self._client.cancel(list(sent))

    def _send(self, waiting: deque[Job], sent: dict[Any, Job], at: Site) -> None:
        if not waiting:
            return
        if time.monotonic() - self._counted[0] > LOOK_S:  # asking costs as much as a short job
            self._counted = time.monotonic(), self._count_workers()
        most = self._counted[1] + MOST_WAITING
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that arguments are large
            while waiting and len(sent) < most:
                job = waiting.popleft()
                name = (job.function, job.title, job.key, time.monotonic_ns())  # Dask learns how long a function takes
                data = pickle.dumps((job, at))
                try:
                    future = self._client.submit(perform_sent, data, key=name, pure=False)
                    sent[future] = job
                    future.add_done_callback(self._done.put)
                except Exception as error:  # the scheduler was lost a moment ago
                    waiting.appendleft(job)
                    raise _Lost from error

    def _ended(self, sent: Mapping[Any, Job]) -> list[Any]:
        """The sent futures that have ended, at least one. Raises _Lost if the scheduler is gone."""
        told = False
        while True:
            with suppress(queue.Empty):
                found = [self._done.get(timeout=LOOK_S)]
                while not self._done.empty():
                    found.append(self._done.get())
                if found := [future for future in found if future in sent]:
                    return found
            if self._client.status != "running":
                raise _Lost
            if not told and not self._count_workers():
                told = True
                self._say(
                    f"{self.name} has no worker that takes jobs (workers short of memory are paused); waiting for one."
                )

    def _connect(self, timeout_s: float) -> None:
        from distributed import Client
        from distributed.security import Security

        if self._kind == "tls" and Security().get_connection_args("client").get("ssl_context") is None:
            raise GestaError(
                f"--cluster {self.name}: this computer has no TLS certificates for Dask. Name them in Dask's "
                "configuration (distributed.comm.tls), or give a tcp:// address."
            )
        target = self.name if self._own is None else self._own
        try:
            self._client = Client(target, timeout=timeout_s, set_as_default=False)
        except (OSError, ValueError) as error:
            self._client = None
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise GestaError(
                f"--cluster {self.name}: no scheduler answers at this address ({reason}). Start one (dask "
                "scheduler), or correct the address."
            ) from error

    def _reconnect(self) -> None:
        """Waits for the scheduler to come back. Raises GestaError."""
        with suppress(Exception):
            self._client.close(timeout=2)
        if self._own is not None:
            raise GestaError(
                f"the scheduler of {self.name} has ended. Finished work is kept; run the command again to continue."
            )
        self._say(f"The scheduler at {self.name} is gone; waiting up to {RETURN_S:.0f} s for it to come back.")
        until = time.monotonic() + RETURN_S
        while True:
            try:
                self._connect(2.0)
            except GestaError:
                if time.monotonic() > until:
                    raise GestaError(
                        f"the scheduler at {self.name} is gone and did not come back. Finished work is kept; start it "
                        "and run the command again to continue."
                    ) from None
                time.sleep(1.0)
            else:
                self._say(f"The scheduler at {self.name} is back; continuing.")
                return


class _Lost(Exception):
    """The scheduler is gone, along with its state."""


def _parsed(name: str) -> tuple[str, int]:
    """(kind, number) from a name. Raises GestaError (usage)."""
    kind, _, rest = name.partition(":")
    if kind in ("tcp", "tls") and (found := _ADDRESS.fullmatch(rest)) is not None and int(found["port"]) < 65536:
        return kind, 0
    if kind == "local" and rest.isdecimal() and 0 < int(rest) <= MOST_WORKERS:
        return kind, int(rest)
    if kind == "slurm" and (name == "slurm" or (rest.isdecimal() and 0 < int(rest) <= MOST_WORKERS)):
        return kind, int(rest or SLURM_JOBS)
    raise GestaError(f"--cluster is {name!r}; expected {FORMS}.", usage=True)


def _local(count: int) -> Any:
    import dask
    from distributed import LocalCluster

    dask.config.set({"distributed.worker.profile.enabled": False, "distributed.admin.system-monitor.interval": "5s"})
    here = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    return LocalCluster(n_workers=count, threads_per_worker=1, processes=True, silence_logs=logging.CRITICAL, **here)


def _slurm(count: int) -> Any:
    """Workers as SLURM jobs, configured by the user's jobqueue.yaml. Raises GestaError."""
    from dask_jobqueue import SLURMCluster

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the dashboard's usual port is taken; the address is reported
            made = SLURMCluster()
        made.scale(jobs=count)
    except Exception as error:
        raise GestaError(
            f"--cluster slurm: {error} Describe a job in ~/.config/dask/jobqueue.yaml (docs/cluster.md shows one)."
        ) from error
    return made


def _only_waited(job: Job, at: Site) -> bool:
    """Whether a job that Dask blames for dead workers never started on any: it was queued there behind another."""
    return at.ledger is not None and not place(at.ledger, job.key, "running").exists()


def _outcome(future: Any) -> Outcome | None:
    """Outcome of a future that has ended; None if its worker died before delivering the result: then the job is sent
    again and finds its result on disk. Raises _Lost if it was canceled, which only happens if the scheduler is gone.
    """
    from distributed import KilledWorker, TimeoutError
    from distributed.client import FutureCancelledError

    try:
        found: Outcome = future.result(timeout=FETCH_S)
        return found
    except TimeoutError:
        return None
    except FutureCancelledError as error:
        raise _Lost from error
    except KilledWorker as error:
        return Outcome(
            why=f"{_deaths(error)} workers died while running it, perhaps for lack of memory.", kind="KilledWorker"
        )
    except ModuleNotFoundError as error:
        return Outcome(why=f"the workers lack {error.name}. Install the same gesta there: {install('cluster')}")
    except Exception as error:
        return Outcome(why=f"{type(error).__name__}: {error}", kind=type(error).__name__)


def _deaths(error: Any) -> int:
    return int(error.allowed_failures) + 1
