"""Work shared by processes that Ctrl-C ends quietly and at once."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

T = TypeVar("T")


def in_processes(workers: int, function: Callable[..., T], arguments: Iterable[tuple[Any, ...]]) -> Iterator[T]:
    """Results as they come. An exception, Ctrl-C too, ends the processes: files are renamed when they are whole."""
    # spawn: the same on every platform, and safe beside threads
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_on_interrupt) as pool:
        try:
            for future in as_completed([pool.submit(function, *one) for one in arguments]):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _end_on_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # without a traceback of its own
