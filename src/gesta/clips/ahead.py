"""Prefetching iterator: items are produced in a separate thread, so decoding continues while crops are computed.

In a process limited to one thread (`jobs.perform.one_thread`) nothing is prefetched: N workers fill N cores, and a
second thread in each would only take time from the others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator
from queue import Full, Queue
from typing import TypeVar

T = TypeVar("T")

THREADS = "DECODER_THREADS"
"""Environment variable for the number of decoding threads per file; default: one per core."""
DEPTH = 16
_PATIENCE_S = 0.1
_FAREWELL_S = 1.0  # longest wait for an item that is being produced


def ahead(items: Generator[T, None, None], depth: int = DEPTH) -> Iterator[T]:
    """Yields the same items in the same order, prefetching up to `depth`; exceptions of the producer are raised here.

    The thread ends with the last item, or soon after the consumer stops.
    """
    if os.environ.get(THREADS) == "1":
        yield from items
        return
    waiting: Queue[tuple[T] | BaseException | None] = Queue(depth)
    left = threading.Event()

    def put(item: tuple[T] | BaseException | None) -> bool:
        while not left.is_set():
            try:
                waiting.put(item, timeout=_PATIENCE_S)
                return True
            except Full:
                continue
        return False

    def make() -> None:
        try:
            for item in items:
                if not put((item,)):
                    return
            put(None)
        except BaseException as error:
            put(error)
        finally:
            items.close()

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        left.set()
        maker.join(_FAREWELL_S)
