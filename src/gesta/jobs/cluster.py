"""Jobs on a Dask cluster: `local:4` of this command's own, or a scheduler that somebody keeps.

Dask brings jobs to workers and notices workers that die. What is done is told by files alone, so a scheduler may go and
come back: what it had not finished is sent again, and a worker that is still at it keeps its claim (`jobs.claims`).
"""

from __future__ import annotations

import importlib.util
import logging
import math
import pickle
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from gesta.jobs.job import Job
from gesta.jobs.ledger import place
from gesta.jobs.perform import Outcome, Site, one_thread, perform
from gesta.schema import GestaError
from gesta.words import install

CONNECT_S = 15.0
RETURN_S = 300.0
"""A scheduler that is gone may come back within so long."""
LOOK_S = 5.0
FETCH_S = 20.0
"""A worker that lives hands a result over much sooner."""
MOST_WAITING = 64
"""Jobs with the scheduler beside those at work: the others wait here, so that their arguments fill no memory."""
SLURM_JOBS = 4
KILLED = "KilledWorker"
FORMS = "local:N (N workers on this computer), tcp://HOST:PORT or tls://HOST:PORT (a scheduler), slurm or slurm:N"


def perform_sent(sent: bytes) -> Outcome:
    """`perform` on a worker. Pickled here, so that Dask neither looks into the arguments nor changes them."""
    one_thread()
    job, at = pickle.loads(sent)  # from the command, over Dask's own connection
    return perform(job, at)


class Cluster:
    """`name`: as --cluster has it. `say` hears of the dashboard, and of what is waited for.

    Raises GestaError (usage) for another name, and GestaError where the extra is not installed.
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

    @property
    def dashboard(self) -> str | None:
        return None if self._client is None else self._client.dashboard_link

    @property
    def workers(self) -> int:
        """How many are there now, at least 1, for what is estimated by their number."""
        with suppress(_Lost):
            return max(1, self._count_workers())
        return 1

    def _count_workers(self) -> int:
        """Those that take work: not the ones that Dask has paused. Raises _Lost where the scheduler does not say."""
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            return sum(worker.get("status") != "paused" for worker in workers)
        except Exception as error:
            raise _Lost from error

    def open(self) -> None:
        """Connects, after starting what is the command's own. Raises GestaError."""
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it has to say is said here
        if self._kind == "local":
            self._own = _local(self._count)
        elif self._kind == "slurm":
            self._own = _slurm(self._count)
        self._connect(CONNECT_S)
        if self.dashboard:
            hint = "" if importlib.util.find_spec("bokeh") else " (its figures need bokeh: pip install bokeh)"
            self._say(f"Dashboard of {self.name}: {self.dashboard}{hint}")

    def close(self) -> None:
        """Leaves the scheduler; ends what was started."""
        for one in (self._client, self._own):
            if one is not None:
                with suppress(Exception):
                    one.close(timeout=5)
        self._client = self._own = None

    def outcomes(self, jobs: Sequence[Job], at: Site) -> Iterator[tuple[Job, Outcome]]:
        """Each job with what came of it, as it ends. Raises GestaError where the scheduler does not come back."""
        waiting, sent = deque(jobs), dict[Any, Job]()
        try:
            while waiting or sent:
                try:
                    self._send(waiting, sent, at)
                    for future in self._ended(list(sent)):
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
        if time.monotonic() - self._counted[0] > LOOK_S:  # the question costs as much as a short job
            self._counted = time.monotonic(), self._count_workers()
        most = self._counted[1] + MOST_WAITING
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that arguments are large
            while waiting and len(sent) < most:
                job = waiting.popleft()
                name = f"{job.title} {job.key} {time.monotonic_ns()}"
                data = pickle.dumps((job, at))
                try:
                    sent[self._client.submit(perform_sent, data, key=name, pure=False)] = job
                except Exception as error:  # the scheduler went a moment ago
                    waiting.appendleft(job)
                    raise _Lost from error

    def _ended(self, futures: list[Any]) -> list[Any]:
        """Those that have ended, at least one. Raises _Lost where the scheduler is gone."""
        from distributed import TimeoutError, wait
        from distributed.client import FuturesCancelledError

        told = False
        while True:
            try:
                with self._client.as_current():
                    return list(wait(futures, timeout=LOOK_S, return_when="FIRST_COMPLETED").done)
            except TimeoutError:
                pass
            except FuturesCancelledError as error:
                raise _Lost from error
            if self._client.status != "running":
                raise _Lost
            if not told and not self._count_workers():
                told = True
                self._say(f"{self.name} has no worker now, or paused ones, which lack memory; waiting for one.")

    def _connect(self, timeout_s: float) -> None:
        from distributed import Client

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
            raise GestaError(f"the scheduler of {self.name} has ended. What is finished is kept; start again to go on.")
        self._say(f"The scheduler at {self.name} is gone; waiting up to {RETURN_S:.0f} s for it to come back.")
        until = time.monotonic() + RETURN_S
        while True:
            try:
                self._connect(2.0)
            except GestaError:
                if time.monotonic() > until:
                    raise GestaError(
                        f"the scheduler at {self.name} is gone and did not come back. What is finished is kept; start "
                        "it, and the command again to go on."
                    ) from None
                time.sleep(1.0)
            else:
                self._say(f"The scheduler at {self.name} is back; going on.")
                return


class _Lost(Exception):
    """The scheduler is gone, and with it what it knew."""


def _parsed(name: str) -> tuple[str, int]:
    """(kind, number) of a name. Raises GestaError (usage)."""
    kind, _, rest = name.partition(":")
    if kind in ("tcp", "tls") and rest.startswith("//") and rest[2:].rpartition(":")[2].isdecimal():
        return kind, 0
    if kind == "local" and rest.isdecimal() and int(rest) > 0:
        return kind, int(rest)
    if kind == "slurm" and (name == "slurm" or (rest.isdecimal() and int(rest) > 0)):
        return kind, int(rest or SLURM_JOBS)
    raise GestaError(f"--cluster is {name!r}; expected {FORMS}.", usage=True)


def _local(count: int) -> Any:
    from distributed import LocalCluster

    here = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    return LocalCluster(n_workers=count, threads_per_worker=1, processes=True, silence_logs=logging.CRITICAL, **here)


def _slurm(count: int) -> Any:
    """Workers as jobs of SLURM, as the user's jobqueue.yaml describes them. Raises GestaError."""
    from dask_jobqueue import SLURMCluster

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the dashboard's usual port is taken: the address is told
            made = SLURMCluster()
        made.scale(jobs=count)
    except Exception as error:
        raise GestaError(
            f"--cluster slurm: {error} Describe a job in ~/.config/dask/jobqueue.yaml (docs/cluster.md shows one)."
        ) from error
    return made


def _only_waited(job: Job, at: Site) -> bool:
    """Whether a job that Dask blames for the deaths of workers had begun on none: it waited there behind another."""
    return at.ledger is not None and not place(at.ledger, job.key, "running").exists()


def _outcome(future: Any) -> Outcome | None:
    """Of a future that has ended; None where its worker died before it handed the result over: then the job is sent
    again, and finds its result on disk. Raises _Lost where it was canceled: only a scheduler that went does that.
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
            why=f"{_deaths(error)} workers died while they were at it, perhaps for lack of memory.", kind="KilledWorker"
        )
    except ModuleNotFoundError as error:
        return Outcome(why=f"the workers lack {error.name}. Install the same gesta there: {install('cluster')}")
    except Exception as error:
        return Outcome(why=f"{type(error).__name__}: {error}", kind=type(error).__name__)


def _deaths(error: Any) -> int:
    return int(error.allowed_failures) + 1
