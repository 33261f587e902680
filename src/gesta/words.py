"""Small helpers for messages: the closest name, counts with their noun, commands to copy."""

from __future__ import annotations

import difflib
import shlex
import warnings
from collections.abc import Collection, Iterable
from pathlib import Path

from gesta.schema import CHALEARN_GESTURES, GestaError

CUTOFF = 0.6
"""Minimum similarity of two names, from 0 to 1, for one to be suggested for the other."""


class FormerNameWarning(UserWarning):
    """A former name was used."""


def note_former(name: str, today: str) -> None:
    """Warns that `name` is now called `today` but still works."""
    warnings.warn(f"{name} is now called {today}; the former name still works.", FormerNameWarning, stacklevel=1)


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """What to append to a message: " Did you mean NAME?" with the name most like `text`, or "".

    The last part of a dotted name is enough: "epochs" suggests "training.epochs".
    """
    names = list(known)
    last = {name.rpartition(".")[2]: name for name in reversed(names)}
    near = [last[text]] if text in last else _nearest(text, names) or [last[one] for one in _nearest(text, last)]
    return f" Did you mean {near[0]}?" if near else ""


def _nearest(text: str, names: Iterable[str]) -> list[str]:
    """The most similar name, ignoring case; else one that begins with the text."""
    lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(text.lower(), lower, n=1, cutoff=CUTOFF)
    near = near or [name for name in lower if len(text) > 2 and name.startswith(text.lower())]
    return [lower[name] for name in near[:1]]


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun: "1 problem", "2 problems", "1,200 people" (plural="people")."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


_MEANINGS = (
    "go away",
    "come here",
    "perfect",
    "crafty",
    "what a bore",
    "what do you want",
    "they get along",
    "you are crazy",
    "what have you done",
    "I don't care",
    "OK",
    "what I would do to you",
    "enough",
    "do you want a beating",
    "there is none left",
    "hungry",
    "long ago",
    "delicious",
    "they have made a deal",
    "I am fed up",
)
ENGLISH = dict(zip(CHALEARN_GESTURES, _MEANINGS, strict=True))
"""English meanings of the Italian gestures of ChaLearn 2014. For display only: files keep the data set's labels."""


def in_english(label: str, labels: Collection[str]) -> str:
    """`vieniqui (come here)` if all `labels` of the model are ChaLearn's; otherwise the label unchanged."""
    meaning = ENGLISH.get(label)
    if meaning is None or meaning.lower() == label or not ENGLISH.keys() >= set(labels):
        return label
    return f"{label} ({meaning})"


DISTRIBUTION = "gesta-vision"
"""Name of this package on PyPI, where "gesta" is another product."""


def command(*words: object) -> str:
    """A command to copy into a shell, quoted where necessary."""
    return shlex.join(map(str, words))


def install(extra: str | None = None, version: str | None = None) -> str:
    """A command to copy that installs this package, optionally with an extra or a minimum version."""
    if extra and (Path(__file__).parents[2] / "pyproject.toml").is_file():
        return f"pip install -e '.[{extra}]'"  # in a checkout
    return f"pip install '{DISTRIBUTION}{f'[{extra}]' if extra else ''}{f'>={version}' if version else ''}'"


def choose(what: str, name: str, known: Iterable[str]) -> str:
    """The name, unchanged. Raises GestaError (usage) with the list and the closest match if it is not one of them."""
    names = list(known)
    if name not in names:
        raise GestaError(
            f"unknown {what} {name!r}; choose from {', '.join(names)}.{did_you_mean(name, names)}", usage=True
        )
    return name
