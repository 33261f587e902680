"""People who seem to stand in the names of files and folders: names that occur in (nearly) every class."""

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
"""Words at the beginning of a name, and folders, that are looked at."""
_IN_CLASSES = 0.5
"""Share of the classes in which a name occurs, on average, to be taken for a person's."""
_SHOWN = 8


@dataclass(frozen=True)
class Proposal:
    """Names that may be people's, in how many of the classes all of them occur, and the pattern that finds them."""

    names: tuple[str, ...]
    everywhere: int
    pattern: str


def subject_faults(root: Path, samples: Sequence[Sample]) -> Iterator[Problem]:
    """At most one problem: people that stand in names and are not used."""
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
    """The likeliest place of people in the names of labeled samples; None where people are known or none is likely."""
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
    """Numbers, `cam1`, and the parts of a set: they stand in every class, too."""
    return not name or name.isdecimal() or is_technical(name) or folder_split(name) is not None


def _candidates(paths: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """(pattern, what it finds in each path): folders, then words of the files' names, then their last word."""
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
    """(rank, proposal); rank 0 is no person, then names with an unknown prefix, words, and what looks like people."""
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
