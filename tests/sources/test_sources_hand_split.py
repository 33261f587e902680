"""Splits of hand frames: the data's own, else a person, else the last fifth; a quarter chooses the epoch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gesta.schema import Camera, GestaError, HandFrame, Resource
from gesta.tasks.hands.split import assign_hand_splits


def frames(count: int = 40, **fields: object) -> list[HandFrame]:
    blank = HandFrame("", Resource(Path("x")), Camera(1, 1, 0, 0), joints_mm=np.zeros((2, 3), np.float32))
    return [replace(blank, id=str(index), **fields) for index in range(count)]  # type: ignore[arg-type]


def counts(found: list[HandFrame]) -> dict[str, int]:
    return {part: sum(f.split == part for f in found) for part in ("train", "val", "test")}


def test_the_datas_own_split_stays() -> None:
    data = frames(40, split="train") + frames(10, split="test")
    found, notes = assign_hand_splits(data)
    assert counts(found) == {"train": 30, "val": 10, "test": 10} and "10 of 40" in notes[0]
    assert [f.split for f in found[40:]] == ["test"] * 10
    own, notes = assign_hand_splits([*data, *frames(5, split="val")])
    assert counts(own) == {"train": 40, "val": 5, "test": 10} and not notes


def test_validation_is_drawn_by_the_seed_and_the_test_is_not() -> None:
    data = frames(40)
    one, same, other = (assign_hand_splits(data, seed=seed)[0] for seed in (0, 0, 1))
    assert [f.split for f in one] == [f.split for f in same] != [f.split for f in other]
    assert [f.split == "test" for f in one] == [f.split == "test" for f in other]
    assert counts(one) == {"train": 24, "val": 8, "test": 8}
    assert counts(assign_hand_splits(data, validation_share=0.5)[0])["val"] == 16


def test_without_split_a_person_is_held_out() -> None:
    found, notes = assign_hand_splits(frames(8, subject="P0") + frames(8, subject="P1"))
    assert {f.subject for f in found if f.split == "test"} == {"P1"} and "P1" in notes[0]


def test_frames_without_joints_are_not_for_learning() -> None:
    assert len(assign_hand_splits([*frames(8), *frames(3, joints_mm=None)])[0]) == 8
    with pytest.raises(GestaError, match=r"joints\.csv"):
        assign_hand_splits(frames(3, joints_mm=None))
