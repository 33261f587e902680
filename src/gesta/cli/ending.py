"""How a command ends: whatever goes wrong around it is one line on stderr and an exit code, never a traceback."""

from __future__ import annotations

import errno
import io
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import pairwise
from typing import NoReturn

from gesta.schema import GestaError
from gesta.threads import end_all
from gesta.untrusted import printable, valid_text

INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended, as shells name it."""
NO_MEMORY = "not enough memory. Use smaller files, smaller settings, or fewer at a time."
leave: Callable[[int], object] = os._exit
"""How the program ends after Ctrl-C: at once. Python would first join its threads, and one may hold a lock forever if
Ctrl-C came while it was taken. What they write has a temporary name until it is complete."""
SAME_PRESS_S = 1.0
"""A second Ctrl-C within this time may be the same press, passed on by another program too."""
RESUMABLE = ("train",)
"""Commands with --resume; the others start again and use what was finished and kept."""


def run(app: Callable[[], object], arguments: Sequence[str]) -> None:
    """Runs the command line and ends the program."""
    _write_any_text()
    _interrupt_once(arguments)
    try:
        _check_surroundings(arguments)
        _run(app)
    except GestaError as error:
        _fail(str(error), 2 if error.usage else 1)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            _stopped(arguments)
        raise
    except BrokenProcessPool:
        _fail("a process of this command was killed, perhaps for lack of memory. Run the command again.", 1)
    except MemoryError:
        _fail(NO_MEMORY, 1)
    except RuntimeError as error:  # PyTorch's, without importing it
        if not re.search("can't allocate memory|out of memory|Storage size calculation overflowed", str(error)):
            raise
        _fail(NO_MEMORY, 1)
    except OSError as error:
        _fail(_said(error), 1)


def _interrupt_once(arguments: Sequence[str]) -> None:
    """Ctrl-C raises KeyboardInterrupt once: a second one could be raised where code that holds a lock is being left,
    and would come out as any other error. A later one, when the end takes too long, ends the program at once."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return  # ignored: a command in the background
    came_s: list[float] = []

    def interrupt(_number: int, _frame: object) -> None:
        if not came_s:
            came_s.append(time.monotonic())
            raise KeyboardInterrupt
        if time.monotonic() > came_s[0] + SAME_PRESS_S:
            _stopped(arguments)

    signal.signal(signal.SIGINT, interrupt)


def _run(app: Callable[[], object]) -> None:
    """The command (which ends in SystemExit), and what it printed out of the buffer."""
    try:
        app()
    except (GestaError, OSError):
        raise  # also where the end after Ctrl-C fails, as on a full disk
    except (KeyboardInterrupt, Exception) as error:
        if not _from_interrupt(error):
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise SystemExit(INTERRUPTED) from None
    finally:
        sys.stdout.flush()


def _from_interrupt(error: BaseException | None) -> bool:
    """Whether it is Ctrl-C, or what Ctrl-C caused on its way: code that holds a lock may end in another error."""
    return error is not None and (isinstance(error, KeyboardInterrupt) or _from_interrupt(error.__context__))


def _stopped(arguments: Sequence[str]) -> NoReturn:
    """Says how to go on, and ends the program. Another Ctrl-C is ignored until then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_all()
    try:
        _fail(_go_on(arguments), INTERRUPTED, word="Stopped:")
    finally:
        with suppress(OSError):  # nothing can be written any more
            sys.stderr.flush()
        leave(INTERRUPTED)


def _write_any_text() -> None:
    """Text that the terminal's encoding lacks is escaped; it never ends a command."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _check_surroundings(arguments: Sequence[str]) -> None:
    """Raises GestaError for a closed stdout, and (usage) for an --out that not all writers can name."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        raise GestaError(
            "stdout is closed, so the result cannot be written. Leave it open, or send it to a file: > FILE."
        )
    outs = [value for option, value in pairwise(arguments) if option == "--out"]
    outs += [word for word in arguments if word.startswith("--out=")]
    for out in outs:
        if out != valid_text(out):
            raise GestaError(f"--out {valid_text(out)}: the name is not UTF-8. Choose another.", usage=True)


def _said(error: OSError) -> str:
    """An OSError that nobody named, in one line."""
    place = printable(str(error.filename)) if error.filename is not None else ""
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python tries again at its end, with a traceback
        return "the program that reads the output has closed it; the rest is not written."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        full = "the disk is full" if error.errno == errno.ENOSPC else "your disk quota is used up"
        return f"{full} ({place or 'while writing'}). Free some space and run the command again."
    if error.errno == errno.EFBIG:
        return f"a file would be larger than the limit ({place or 'ulimit -f'}). Raise it and run the command again."
    if place:
        return f"{place}: {error.strerror}. Check the path and your permissions."
    return (
        f"the operating system reported an error ({error.strerror or error}). Check the output, the disk and your "
        "limits."
    )


def _go_on(arguments: Sequence[str]) -> str:
    """What to do after Ctrl-C."""
    words = ["gesta", *arguments[1:]]
    name = next((word for word in words[1:] if not word.startswith("-")), "")
    if name in RESUMABLE and "--resume" not in words:
        words.append("--resume")
        chosen = os.environ.get("GESTA_TRAIN_OUT")
        if chosen and not any(word == "--out" or word.startswith("--out=") for word in words):
            words += ["--out", chosen]
    return f"interrupted. Finished work is kept. To continue: {shlex.join(words)}"


def _fail(message: str, code: int, word: str = "Error:") -> NoReturn:
    """One message on stderr and the exit code, also where nothing can be written any more."""
    from gesta.cli.common import console

    try:
        console.print(word, style="red", end=" ")
        console.print(message, markup=False, highlight=False, soft_wrap=True)
    except OSError:
        sys.exit(code)
    try:
        sys.stdout.flush()
    except OSError:  # a full disk behind stdout: Python would try again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)
