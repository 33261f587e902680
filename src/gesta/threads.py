"""Threads and processes end when their caller does."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_ENDING = threading.Event()


class Threads(ThreadPoolExecutor):
    """A ThreadPoolExecutor that cancels what has not begun when its block ends in an exception, Ctrl-C included.

    Python's own finishes its whole queue first: a second Ctrl-C would wait for it.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return super().submit(_unless_ending, fn, *args, **kwargs)  # type: ignore[arg-type]

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown(wait=kind is None or issubclass(kind, Exception), cancel_futures=kind is not None)


def end_processes() -> None:
    """Ends the processes that this one has started."""
    for child in multiprocessing.active_children():
        child.terminate()


def end_all() -> None:
    """Call it when the program ends: nothing in a queue begins, even where Ctrl-C came before its pool was told."""
    _ENDING.set()
    end_processes()


def _unless_ending(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    if _ENDING.is_set():
        raise SystemExit
    return fn(*args, **kwargs)
