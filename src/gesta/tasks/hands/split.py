"""Split hand frames into training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gesta.schema import GestaError, HandFrame, Split
from gesta.sources.split import person_groups

VALIDATION_SHARE = 0.25
TEST_SHARE = 0.2


def assign_hand_splits(
    frames: Sequence[HandFrame], *, seed: int = 0, validation_share: float = VALIDATION_SHARE
) -> tuple[list[HandFrame], list[str]]:
    """Return the frames with joints, each with a split, and notes on how. The test split does not depend on `seed`.

    Splits given by the data are kept. Without any, the test split is the last person in order of names or, without
    people, the last fifth of the frames. A random `validation_share` of the training frames (uniform, by `seed`)
    becomes the validation split unless the data have one (Kazakos, section 4.4.3).
    Raises GestaError if no frame has joints.
    """
    used = [f for f in frames if f.joints_mm is not None]
    if not used:
        raise GestaError(
            "no frame has joints, so there is nothing to train on or compare with. Add joints.csv, or give other data."
        )
    notes: list[str] = []
    if not any(f.split for f in used):
        used = _with_test(used, notes)
    used = [f if f.split else replace(f, split="train") for f in used]
    if any(f.split == "val" for f in used):
        return used, notes
    train = [index for index, f in enumerate(used) if f.split == "train"]
    count = round(len(train) * validation_share)
    chosen = np.random.default_rng([seed, 25]).choice(len(train), size=count, replace=False)
    for position in chosen:
        used[train[position]] = replace(used[train[position]], split="val")
    notes.append(f"validation: {count} of {len(train)} training frames, drawn evenly.")
    return used, notes


def folds(
    frames: Sequence[HandFrame], by: str, k: int | None, seed: int, validation_share: float = VALIDATION_SHARE
) -> list[tuple[str, list[HandFrame], list[HandFrame]]]:
    """Cross-validate by person: [(held-out person, frames of the others with splits train and val, held-out frames)].

    `k`: hold out k groups of people instead of single persons. Raises GestaError if the people are not known.
    """
    used = [replace(f, split=None) for f in frames if f.joints_mm is not None]
    if by != "subject" or any(f.subject is None for f in used):
        raise GestaError(
            "hand frames are split by person, but some of these have no person. Give the person of every frame, "
            "and use --by subject or a number of groups."
        )
    result = []
    for number, (name, members) in enumerate(person_groups(used, k, np.random.default_rng(seed))):
        rest = [_marked(f, "train") for f in used if f.id not in members]
        train, _ = assign_hand_splits(rest, seed=seed + number, validation_share=validation_share)
        result.append((name, train, [_marked(f, "test") for f in used if f.id in members]))
    return result


def _with_test(frames: Sequence[HandFrame], notes: list[str]) -> list[HandFrame]:
    people = sorted({f.subject for f in frames if f.subject is not None})
    if len(people) > 1:
        notes.append(f"test: the frames of {people[-1]}; the data have no split.")
        return [_marked(f, "test" if f.subject == people[-1] else "train") for f in frames]
    first = len(frames) - round(TEST_SHARE * len(frames))
    notes.append(f"test: the last {len(frames) - first} of {len(frames)} frames; the data have no split and no people.")
    return [_marked(f, "train" if index < first else "test") for index, f in enumerate(frames)]


def _marked(frame: HandFrame, split: Split) -> HandFrame:
    return replace(frame, split=split)
