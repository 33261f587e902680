"""Splits into train, validation and test: by person if people are known, else stratified, with a note that says so.

Everything is deterministic given the seed. Unlabeled samples keep their split and are never counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, Literal

import numpy as np

from gesta.schema import GestaError, Sample, Split, grouped
from gesta.words import counted

Protocol = Literal["subject", "document"]
DOCUMENT_NUM_TRAIN = 7754
"""Labeled gestures in ChaLearn 2014's training folders; 2,000 of them form the document's validation part."""
_DRAWS = 50


def assign_splits(
    samples: Sequence[Sample],
    *,
    seed: int,
    fractions: tuple[float, float] = (0.2, 0.2),
    protocol: Protocol = "subject",
    num_val: int = 2000,
) -> tuple[list[Sample], list[str]]:
    """Returns the samples in order, each labeled one with a split, and notes on what was done and what it means.

    Splits in the data are kept. If they lack a validation part, people are taken out of training (`fractions[0]` of
    them, at least one of three); if they lack a test part, test people, too (`fractions[1]`).
    A part without any label, as in a challenge, counts as missing: nothing can be measured on it.
    If people are unknown or fewer than three, samples are stratified by label, keeping recordings whole.
    `protocol="document"` is that of Mullick 2018, chapter 3: test = the Validation folders, validation = `num_val`
    random training gestures, proportionally fewer if the training part has fewer than the original 7,754; samples in
    Test folders are left out.
    Raises GestaError for an unknown protocol (usage), or if the document's cannot be followed.
    """
    if protocol == "document":
        return _document(samples, seed, num_val)
    if protocol != "subject":
        raise GestaError(f"unknown protocol {protocol!r}; choose from subject and document.", usage=True)
    rng = np.random.default_rng(seed)
    notes: list[str] = []
    splits: dict[str, Split] = {s.id: s.split for s in samples if s.split is not None}
    labeled = [s for s in samples if s.label is not None]
    given = {splits[s.id] for s in labeled if s.id in splits}
    if given:
        _place_blank_rows(labeled, splits, notes)
    else:
        splits.update({s.id: "train" for s in labeled})
    val, test = fractions
    for part, share in (("val", val), ("test", test)):
        if share > 0 and part not in given and part in splits.values():
            what = "validation" if part == "val" else part
            notes.append(f"The {what} part of the data has no labels, so another one is split off the training part.")
    if "test" not in given:
        _move(labeled, splits, "test", test, rng, notes)
        val = val / (1 - test)  # of the rest
    if "val" not in given:
        _move(labeled, splits, "val", val, rng, notes)
    done = [s if splits.get(s.id, s.split) == s.split else replace(s, split=splits[s.id]) for s in samples]
    return done, notes + _same_person_notes([s for s in done if s.label is not None])


def without_validation(samples: Sequence[Sample]) -> list[Sample]:
    """Returns the samples with those of the validation part in the training part."""
    return [replace(s, split="train") if s.split == "val" else s for s in samples]


def folds(
    samples: Sequence[Sample], by: str = "subject", k: int | None = None, seed: int = 0
) -> list[tuple[str, list[Sample], list[Sample]]]:
    """Returns cross-validation folds: [(held-out name, the rest with splits train and val, held-out with split test)].

    `by="subject"`: one person per fold, or `k` groups of people. If people are unknown, or with `by="label"`: `k` (5)
    parts stratified by label, keeping recordings whole; the name then says so. Splits in the data are ignored.
    Raises GestaError for an unknown `by` (usage), an impossible `k`, or a single person.
    """
    if by not in ("subject", "label"):
        raise GestaError(f"folds cannot be made by {by!r}; choose from subject and label.", usage=True)
    labeled = [replace(s, split=None) for s in samples if s.label is not None]
    rng = np.random.default_rng(seed)
    known = bool(labeled) and all(s.subject is not None for s in labeled)
    if by == "subject" and known:
        groups = person_groups(labeled, k, rng)
    else:
        groups = _stratified_groups(labeled, 5 if k is None else k, rng, "" if by == "label" else ", people unknown")
    result = []
    for number, (name, members) in enumerate(groups):
        rest = [s for s in labeled if s.id not in members]
        train, _ = assign_splits(rest, seed=seed + number, fractions=(0.2, 0.0))
        result.append((name, train, [replace(s, split="test") for s in labeled if s.id in members]))
    return result


def _place_blank_rows(labeled: Sequence[Sample], splits: dict[str, Split], notes: list[str]) -> None:
    """Assigns samples without a split, if others have one, to the split of their person, else to training."""
    blank = [s for s in labeled if s.id not in splits]
    if not blank:
        return
    homes: dict[str, Split] = {}
    for sample in labeled:
        if sample.id in splits and sample.subject is not None:
            homes.setdefault(sample.subject, splits[sample.id])
    for sample in blank:
        splits[sample.id] = homes.get(sample.subject, "train") if sample.subject is not None else "train"
    notes.append(
        f"{counted(len(blank), 'sample')} without a split: put into the part of the same person, or into training."
    )


def _move(
    labeled: Sequence[Sample],
    splits: dict[str, Split],
    part: Split,
    fraction: float,
    rng: np.random.Generator,
    notes: list[str],
) -> None:
    """Moves `fraction` of the training part to `part`, by person if possible."""
    pool = [s for s in labeled if splits[s.id] == "train"]
    if fraction <= 0 or len(pool) < 2:
        return
    what = {"val": "Validation", "test": "Test", "train": "Training"}[part]
    people = sorted({s.subject for s in pool if s.subject is not None})
    unknown = [s for s in pool if s.subject is None]
    if len(people) >= 3 and not unknown:
        taken = _draw(pool, attrgetter("subject"), fraction, rng)
        names = sorted({s.subject or "" for s in pool if s.id in taken})
        shown = f"{len(names)} of {len(people)} people" + (f": {', '.join(names)}" if len(names) <= 8 else "")
        notes.append(f"{what} part: {shown}.")
    else:
        taken = _draw_stratified(pool, fraction, rng)
        if not taken:
            notes.append(f"{what} part: none of {len(pool)} samples, because no label has two recordings to split.")
            return
        few = f"there are only {counted(len(people), 'person', 'people')}"
        why = "the people are unknown" if unknown else few
        advice = "Give the person of each recording." if unknown else "Record three or more people."
        notes.append(
            f"{what} part: {len(taken)} of {len(pool)} samples drawn by label, because {why}. The same person may be "
            f"in both parts, so the accuracy is optimistic for new people. {advice}"
        )
    splits.update(dict.fromkeys(taken, part))


def _group(samples: Sequence[Sample], key: Callable[[Sample], Hashable]) -> dict[Hashable, list[Sample]]:
    return grouped((key(sample), sample) for sample in samples)


def _draw(
    pool: Sequence[Sample], key: Callable[[Sample], Hashable], fraction: float, rng: np.random.Generator
) -> set[str]:
    """Returns ids of about `fraction` of the groups, at least one and never all: the best of many random draws.

    Draws are ranked by whether the rest keeps every class, then by the number of classes drawn, then by how close the
    size is to `fraction`.
    """
    groups = list(_group(pool, key).values())
    labels = [{s.label for s in group} for group in groups]
    count = min(max(round(fraction * len(groups)), 1), len(groups) - 1)
    best: tuple[int, int, float] | None = None
    chosen: set[int] = set()
    for _ in range(_DRAWS):
        drawn = {int(i) for i in rng.permutation(len(groups))[:count]}
        rest = set().union(*(labels[i] for i in range(len(groups)) if i not in drawn))
        size = sum(len(groups[i]) for i in drawn)
        score = (len(rest), len(set().union(*(labels[i] for i in drawn))), -abs(size - fraction * len(pool)))
        if best is None or score > best:
            best, chosen = score, drawn
    return {s.id for i in chosen for s in groups[i]}


def _draw_stratified(pool: Sequence[Sample], fraction: float, rng: np.random.Generator) -> set[str]:
    """Returns ids of about `fraction` of each label's samples; recordings with several labels are drawn whole."""
    recordings = _group(pool, attrgetter("recording"))
    if any(len({s.label for s in group}) > 1 for group in recordings.values()):
        return _draw(pool, attrgetter("recording"), fraction, rng) if len(recordings) > 1 else set()
    taken: set[str] = set()
    for _, members in sorted(_group(pool, lambda s: s.label).items(), key=lambda item: str(item[0])):
        groups = list(_group(members, attrgetter("recording")).values())
        count = min(max(round(fraction * len(groups)), 1), len(groups) - 1)
        taken |= {s.id for i in rng.permutation(len(groups))[:count] for s in groups[i]}
    return taken


def _same_person_notes(samples: Sequence[Sample]) -> list[str]:
    parts: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        if sample.subject is not None and sample.split is not None:
            parts[sample.split].add(sample.subject)
    notes = []
    for one, other in (("train", "test"), ("val", "test"), ("train", "val")):
        shared = sorted(parts[one] & parts[other])
        if shared:
            few = ", ".join(shared[:5]) + (", ..." if len(shared) > 5 else "")
            people = counted(len(shared), "person", "people")
            verb = "is" if len(shared) == 1 else "are"
            notes.append(f"{people} {verb} in both {one} and {other} ({few}), so the accuracy is optimistic.")
    return notes


def _document(samples: Sequence[Sample], seed: int, num_val: int) -> tuple[list[Sample], list[str]]:
    train = [s for s in samples if s.split == "train" and s.label is not None]
    test = [s for s in samples if s.split == "val" and s.label is not None]
    if len(train) < 2 or not test:
        raise GestaError(
            "the document's protocol needs labeled recordings in folders Train* and Validation*; "
            f"found {len(train)} and {len(test)} gestures there. For other data, use --protocol subject."
        )
    count = min(num_val, max(1, round(len(train) * num_val / DOCUMENT_NUM_TRAIN)))
    drawn = np.random.default_rng(seed).permutation(len(train))[:count]
    val = {train[int(i)].id for i in drawn}
    tested = {s.id for s in test}
    done = []
    for sample in samples:
        if sample.id in tested:
            done.append(replace(sample, split="test"))
        elif sample.split == "train" and sample.label is not None:
            done.append(replace(sample, split="val" if sample.id in val else "train"))
    note = (
        f"The document's protocol: test = the {len(test)} gestures of the Validation folders, validation = {count} "
        f"random ones of {len(train)} in the Train folders. The same people are in validation and training."
    )
    return done, [note, *_same_person_notes(done)]


def person_groups(labeled: Sequence[Any], k: int | None, rng: np.random.Generator) -> list[tuple[str, set[str]]]:
    """Returns [(names, ids of their samples)] for each person, or for `k` groups of people. Raises GestaError."""
    people = sorted({s.subject or "" for s in labeled})
    if len(people) < 2:
        raise GestaError(f"cross validation by person needs at least 2 people, found {len(people)}. Use --by label.")
    _check_k(k, len(people), "people")
    if k is None:
        parts = [[person] for person in people]
    else:
        order = [people[int(i)] for i in rng.permutation(len(people))]
        parts = [sorted(order[i::k]) for i in range(k)]
    return [("+".join(part), {s.id for s in labeled if s.subject in part}) for part in parts]


def _stratified_groups(
    labeled: Sequence[Sample], k: int, rng: np.random.Generator, why: str
) -> list[tuple[str, set[str]]]:
    recordings = list(_group(labeled, attrgetter("recording")).values())
    _check_k(k, len(recordings), "recordings")
    order = [recordings[int(i)] for i in rng.permutation(len(recordings))]
    order.sort(key=lambda group: group[0].label or "")  # stable: random within a label
    return [(f"part {i + 1} of {k} (by label{why})", {s.id for group in order[i::k] for s in group}) for i in range(k)]


def _check_k(k: int | None, most: int, what: str) -> None:
    if k is not None and not 2 <= k <= most:
        raise GestaError(f"cannot split {most} {what} into {k} parts; give a number from 2 to {most}.", usage=True)
