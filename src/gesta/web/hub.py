"""Notifies the pages at /ws/state of changes."""

from __future__ import annotations

import asyncio
from threading import Lock
from typing import Literal

from gesta.web.messages_work import Changed

Kind = Literal["hello", "clip", "finding", "job", "model", "label"]
WAITING = 200


class Hub:
    """`tell` is thread-safe; each listener has a queue in its own event loop. Slow pages fetch what they missed."""

    def __init__(self) -> None:
        self._lock, self._listeners = Lock(), dict[asyncio.Queue[Changed], asyncio.AbstractEventLoop]()
        self.revision = 0

    def listen(self) -> asyncio.Queue[Changed]:
        queue: asyncio.Queue[Changed] = asyncio.Queue(WAITING)
        with self._lock:
            self._listeners[queue] = asyncio.get_running_loop()
        return queue

    def leave(self, queue: asyncio.Queue[Changed]) -> None:
        with self._lock:
            self._listeners.pop(queue, None)

    def tell(self, kind: Kind, name: str = "", revision: int | None = None) -> None:
        with self._lock:
            self.revision += 1
            change = Changed(type=kind, id=name, revision=self.revision if revision is None else revision)
            listeners = list(self._listeners.items())
        for queue, loop in listeners:
            try:
                loop.call_soon_threadsafe(_put, queue, change)
            except RuntimeError:  # its loop has ended
                self.leave(queue)


def _put(queue: asyncio.Queue[Changed], change: Changed) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(change)
