"""Temporary names that tell who writes them, so that what a crash left behind is removed and what is in use is not."""

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
"""What another machine, or an older gesta, has not touched for so long is taken to be left behind."""


def temporary(path: Path, ending: str = "tmp") -> Path:
    """A hidden name beside `path` that no other process takes: `.clip.npy.3f2a91-4711-8c5d01aa.tmp`."""
    return path.with_name(f".{path.name}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}.{ending}")


def this_process() -> str:
    """This process among those of several computers, for `is_gone`."""
    return f"{_host()}-{os.getpid()}"


def is_gone(process: str) -> bool:
    """Whether a process of this computer has ended; of other computers' nothing is known, so they have not."""
    host, _, pid = process.partition("-")
    return host == _host() and pid.isdecimal() and not _is_alive(int(pid))


def is_left_behind(path: Path) -> bool:
    """Whether nobody writes to a temporary file or folder any more."""
    found = _NAME.search(path.name)
    if found is not None and found["host"] == _host():
        return not _is_alive(int(found["pid"]))
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime > _OLD_S
    return False


def remove_left_behind(path: Path) -> None:
    """Removes what earlier crashes left of temporary names of `path`."""
    with contextlib.suppress(OSError):
        start = f".{path.name}."
        remove(p for p in path.parent.iterdir() if p.name.startswith(start) and _TEMPORARY.search(p.name))


def remove(paths: Iterable[Path]) -> int:
    """Removes those of the temporary files and folders that nobody writes any more; returns the bytes of the files."""
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
    except OSError:  # another user's
        return True
    return True
