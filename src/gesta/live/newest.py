"""Reads a source in a thread, with at most two frames queued; older ones are dropped and counted.

A source that fails is reopened, first immediately, then after increasing pauses; only the frames in between are lost.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from gesta.live.sources import Source
from gesta.schema import GestaError

WAITING = 2
"""Maximum number of queued frames."""
PAUSES_S = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Pauses before each attempt to reopen a source; the last one repeats."""
LOOK_S = 0.1


@dataclass(frozen=True)
class Frame:
    """A captured frame: `time_s` on the source's clock, `arrived` on ours; `connection`: how often it was reopened."""

    value: NDArray[Any]
    time_s: float
    arrived: float
    connection: int = 0


class Newest:
    """Iterates over the newest frames of a source. A context manager: the thread ends with the block.

    Raises GestaError if the source cannot be opened initially.
    """

    def __init__(self, source: Source, clock: Callable[[], float] = time.monotonic) -> None:
        self._source, self._clock = source, clock
        self._frames: deque[Frame] = deque()
        self._change = threading.Condition()
        self._stopped = threading.Event()
        self._ended = False
        self._fault: BaseException | None = None
        self._attempts = 0  # to reopen the source, since the last frame
        self.taken = self.dropped = self.connections = 0

    def __enter__(self) -> Newest:
        self._source.open()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=2)

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._change:
                while not self._frames and not self._ended:
                    self._change.wait(LOOK_S)
                if not self._frames:
                    break
                frame = self._frames.popleft()
            yield frame
        if self._fault is not None:
            raise self._fault

    @property
    def dropped_share(self) -> float:
        """Fraction of the captured frames that were dropped."""
        return self.dropped / self.taken if self.taken else 0.0

    def _run(self) -> None:
        try:
            while not self._stopped.is_set() and self._go_on():
                pass
        except Exception as error:
            self._fault = error
        finally:
            self._source.close()
            with self._change:
                self._ended = True
                self._change.notify_all()

    def _go_on(self) -> bool:
        """Captures one frame, or reopens the source; False at the end."""
        found = self._source.take()
        if found is not None:
            self.connections += self._attempts > 0
            self._attempts = 0
            self._put(Frame(*found, self._clock(), self.connections))
            return True
        return self._source.lasting and self._again()

    def _put(self, frame: Frame) -> None:
        with self._change:
            self.taken += 1
            self._frames.append(frame)
            while len(self._frames) > WAITING:
                self._frames.popleft()
                self.dropped += 1
            self._change.notify_all()

    def _again(self) -> bool:
        """Reopens a failed source, retrying as often as needed; False if the block ends meanwhile.

        A source that opens but gives no frame still counts as failed: the pauses grow.
        """
        while not self._stopped.wait(PAUSES_S[min(self._attempts, len(PAUSES_S) - 1)]):
            self._attempts += 1
            self._source.close()
            try:
                self._source.open()
            except GestaError:
                continue
            return True
        return False
