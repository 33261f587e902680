"""Keeping freed memory for the next batch, where the C library would hand it back each time."""

from __future__ import annotations

import ctypes
import sys

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of glibc's mallopt


def keep_freed_memory() -> None:
    """Tells glibc to reuse the large blocks of a training step. Saves about a sixth of the step on a CPU.

    Without it every activation is mapped, and its pages filled with zeros, anew. Elsewhere than on glibc: nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 2**30)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
