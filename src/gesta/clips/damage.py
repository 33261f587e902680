"""How many damaged frames are tolerated before a video is rejected."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable

from gesta.schema import GestaError, Resource
from gesta.words import counted

MAX_DAMAGE = 0.05
VARIABLE = "GESTA_MAX_DAMAGE"
"""Environment variable for the allowed fraction of frames, inherited by child processes; set by `--max-damage`."""


class DamageWarning(UserWarning):
    """Part of a file was skipped or its clock was corrected; the rest is used."""


def max_damage() -> float:
    """Largest fraction of frames that may be lost. Raises GestaError (usage) if the variable is not a fraction."""
    text = os.environ.get(VARIABLE, "")
    if not text:
        return MAX_DAMAGE
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise GestaError(
            f"--max-damage ({VARIABLE}) is {text}: expected a share of the frames, from 0 to 1, such as 0.05.",
            usage=True,
        )
    return share


def described(lost: int, total: int) -> str:
    """`1 of 120 frames is damaged`."""
    return f"{lost} of {total} frames {'is' if lost == 1 else 'are'} damaged"


def too_much(lost: int, total: int) -> bool:
    """Whether a video or part of one has lost more frames than allowed."""
    return lost > 0 and lost > max_damage() * total


def check(name: object, lost: int, total: int) -> None:
    """Warns about lost frames. Raises GestaError if there are too many."""
    if lost == 0:
        return
    if too_much(lost, total):
        raise GestaError(
            f"{name}: {described(lost, total)}, more than {100 * max_damage():g} %. Copy or encode the file again, or "
            "allow more with --max-damage."
        )
    note(f"{name}: {described(lost, total)} and skipped.")


def check_clock(resource: Resource, restarts: int) -> None:
    """Warns if the file's time stamps jumped back."""
    if restarts:
        note(
            f"{resource}: its time stamps jump back {counted(restarts, 'time')}; time continues from the previous "
            "frame."
        )


def note(text: str) -> None:
    warnings.warn(text, DamageWarning, stacklevel=2)


Lost = Callable[[int, float], None]
"""Callback with the index and time of each lost frame."""
