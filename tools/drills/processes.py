"""Commands in a forked process with all libraries imported, so that a kill hits the work and not the imports."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

Act = Callable[[Path], None]
"""Starts or resumes a command in a folder."""
SLOWEST_S = 900.0
PR_SET_PDEATHSIG = 1


def fork(act: Act, folder: Path, log: Path) -> int:
    """Starts the command with its output in `log`; returns the process id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # end with the drill
        stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        act(folder)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def killed_after(pid: int, seconds: float) -> int | None:
    """Kills the process (SIGKILL) after some seconds and returns None, or its exit code if it ended before."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if (code := ended(pid)) is not None:
            return code
        time.sleep(min(0.01, left))
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def ended(pid: int) -> int | None:
    """The exit code of a process, negative for a signal; None while it runs."""
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def whole(act: Act, folder: Path, log: Path) -> tuple[int, float]:
    """Runs the command to its end; returns (exit code, seconds)."""
    started = time.monotonic()
    pid = fork(act, folder, log)
    code = killed_after(pid, SLOWEST_S)
    return (-signal.SIGKILL if code is None else code), time.monotonic() - started


def tail(log: Path, lines: int = 4) -> str:
    """The last lines of a process's output."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return " / ".join(line.strip() for line in text.splitlines()[-lines:])
