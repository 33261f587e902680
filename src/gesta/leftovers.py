"""Temporary names that identify their writer, so that leftovers of crashes can be told from files in use."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterable
from pathlib import Path

_NAME = re.compile(r"\.(?P<host>[0-9a-f]{6})-(?P<pid>\d+)-[0-9a-f]{8}\.(tmp|old|part)(\.\w+)?$")
_TEMPORARY = re.compile(r"\.(tmp|old|part)(\.\w+)?$")
_OLD_S = 24 * 3600.0
"""Files of another machine, or an older gesta, count as left behind if not modified for this long."""
CROWDED = 100
_SEARCHED: set[str] = set()
"""Crowded folders that this process has searched."""


def temporary(path: Path, ending: str = "tmp") -> Path:
    """A hidden name next to `path`, unique across processes: `.clip.npy.3f2a91-4711-8c5d01aa.tmp`."""
    return path.with_name(f".{path.name}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}.{ending}")


def this_process() -> str:
    """Identifies this process across several computers, for `is_gone`."""
    return f"{_host()}-{os.getpid()}"


def is_gone(process: str) -> bool:
    """Whether a process on this computer has ended; False for other computers, whose processes cannot be checked."""
    host, _, pid = process.partition("-")
    return host == _host() and pid.isdecimal() and not _is_alive(int(pid))


def is_left_behind(path: Path) -> bool:
    """Whether a temporary file or folder has no living writer."""
    found = _NAME.search(path.name)
    if found is not None and found["host"] == _host():
        return not _is_alive(int(found["pid"]))
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime > _OLD_S
    return False


def remove_left_behind(path: Path) -> None:
    """Removes temporary files for `path` that earlier crashes left behind.

    In a folder of more than CROWDED files, a process looks only once, and then for all paths: listing the folder for
    every file written to it would take time that grows with its square.
    """
    folder = str(path.parent.absolute())
    if folder in _SEARCHED:
        return
    with contextlib.suppress(OSError):
        names = [found.name for found in path.parent.iterdir()]
        crowded, start = len(names) > CROWDED, f".{path.name}."
        left = [n for n in names if (n.startswith(start) and _TEMPORARY.search(n)) or (crowded and _NAME.search(n))]
        remove(path.parent / name for name in left)
        if crowded:
            _SEARCHED.add(folder)


def remove(paths: Iterable[Path]) -> int:
    """Removes temporary files and folders that have no living writer; returns the number of bytes freed by files."""
    freed = 0
    for path in paths:
        if not is_left_behind(path):
            continue
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                size = path.lstat().st_size
                path.unlink()
                freed += size
    return freed


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode(errors="replace")).hexdigest()[:6]


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # os.kill(pid, 0) would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's process
        return True
    return True
