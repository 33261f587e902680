"""Segments opened and closed from the terminal."""

from __future__ import annotations

import sys
import threading
from typing import Any, TextIO


class KeyGate:
    """`gate(image, time_s)`: whether a segment is open. Each Enter in the terminal opens or closes one."""

    def __init__(self, keys: TextIO | None = None) -> None:
        self.open = False
        self._keys = keys or sys.stdin
        threading.Thread(target=self._read, daemon=True).start()

    def __call__(self, _image: Any, _time_s: float) -> bool:
        return self.open

    def _read(self) -> None:
        for _ in self._keys:
            self.open = not self.open
