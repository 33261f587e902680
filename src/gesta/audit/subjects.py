"""Finds people in file and folder names: names that occur in (nearly) every class."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gesta.schema import Problem, Sample
from gesta.sources.files import folder_split
from gesta.sources.folder_roles import is_technical, looks_like_person

_SEPARATORS = re.compile(r"[_\-. ]+")
_DEEPEST = 4
"""Number of leading words of a name, and of folder levels, to search."""
_IN_CLASSES = 0.5
"""Average fraction of the classes in which names must occur to be considered people."""
_SHOWN = 8


@dataclass(frozen=True)
class Proposal:
    """Names that may be people, how many of them occur in every class, and the pattern that finds them."""

    names: tuple[str, ...]
    everywhere: int
    pattern: str


def subject_faults(root: Path, samples: Sequence[Sample]) -> Iterator[Problem]:
    """Yields at most one problem: people that occur in names but are not used."""
    proposal = propose(samples)
    if proposal is not None:
        shown = ", ".join(proposal.names[:_SHOWN]) + (", ..." if len(proposal.names) > _SHOWN else "")
        reason = (
            f"{proposal.everywhere} of {len(proposal.names)} names occur in every class ({shown}); they may be people."
        )
        if proposal.everywhere == len(proposal.names):
            reason = f"{len(proposal.names)} names occur in every class ({shown}); they may be people."
        hint = f"If so: {shlex.join(['gesta', 'data', 'index', str(root), '--subject', proposal.pattern])}"
        yield Problem(str(root), "people-in-names", reason, hint)


def propose(samples: Sequence[Sample]) -> Proposal | None:
    """Returns the likeliest pattern of people in the names of labeled samples; None if people are known or unlikely."""
    labeled = [s for s in samples if s.label is not None]
    if len({s.label for s in labeled}) < 2 or any(s.subject is not None for s in labeled):
        return None
    best: tuple[tuple[int, int, float], Proposal] | None = None
    for order, (pattern, names) in enumerate(_candidates([s.recording for s in labeled])):
        rank, proposal = _judged(pattern, names, labeled)
        score = (rank, proposal.everywhere, -order)
        if rank > 0 and (best is None or score > best[0]):
            best = score, proposal
    return None if best is None else best[1]


def _is_nobody(name: str) -> bool:
    """Returns whether a name is a number, like `cam1`, or a split: these occur in every class, too."""
    return not name or name.isdecimal() or is_technical(name) or folder_split(name) is not None


def _candidates(paths: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yields (pattern, its match in each path): folders, then words of the file names, then their last word."""
    parts = [PurePosixPath(path).parts for path in paths]
    depth = len(parts[0])
    if depth > 1 and all(len(one) == depth for one in parts):
        for level in range(min(depth - 1, _DEEPEST)):
            pattern = "/".join("{subject}" if i == level else "*" for i in range(depth))
            yield pattern, [one[level] for one in parts]
    stems = [PurePosixPath(path).stem for path in paths]
    words = [_SEPARATORS.split(stem) for stem in stems]
    marks = [_SEPARATORS.findall(stem) for stem in stems]
    fewest = min(map(len, words))
    for place in range(min(fewest - 1, _DEEPEST)):
        if all(mark[: place + 1] == marks[0][: place + 1] for mark in marks):
            before = "".join(f"*{mark}" for mark in marks[0][:place])
            yield f"{before}{{subject}}{marks[0][place]}*", [word[place] for word in words]
    if fewest > 1 and len({mark[-1] for mark in marks}) == 1 and len({len(word) for word in words}) == 1:
        yield "".join(f"*{mark}" for mark in marks[0]) + "{subject}", [word[-1] for word in words]


def _judged(pattern: str, names: Sequence[str], samples: Sequence[Sample]) -> tuple[int, Proposal]:
    """Returns (rank, proposal): 0 for no people, 1 for other names, 2 for words, 3 for names that look like people."""
    classes: dict[str, set[str | None]] = defaultdict(set)
    for name, sample in zip(names, samples, strict=True):
        classes[name].add(sample.label)
    labels = {sample.label for sample in samples}
    everywhere = sum(found == labels for found in classes.values())
    proposal = Proposal(tuple(sorted(classes)), everywhere, pattern)
    share = sum(len(found) for found in classes.values()) / (len(labels) * len(classes))
    if not 2 <= len(classes) <= len(samples) / 2 or share < _IN_CLASSES or everywhere == 0:
        return 0, proposal
    if any(_is_nobody(name) or name in labels for name in classes):
        return 0, proposal
    if all(map(looks_like_person, classes)):
        return 3, proposal
    return (2 if all(name.isalpha() for name in classes) else 1), proposal
