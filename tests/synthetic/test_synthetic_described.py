"""Described recordings: videos, skeletons and captions fit together; what is held out is nobody else's."""

from __future__ import annotations

import csv
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gesta.grammar import Meaning, glosses, parse
from gesta.schema import GestaError
from gesta.sources.catalog import read
from gesta.synthetic import described


def captions(folder: Path) -> dict[str, tuple[set[Meaning | None], str]]:
    found: dict[str, tuple[set[Meaning | None], str]] = defaultdict(lambda: (set(), ""))
    with (folder / "captions.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            meaning = parse(row["caption"])
            assert meaning is not None and row["glosses"] == glosses(meaning)
            found[row["path"]] = (found[row["path"]][0] | {parse(row["caption"])}, row["group"])
    return found


@pytest.mark.integration
def test_videos_skeletons_and_captions(tmp_path: Path) -> None:
    names = described.make(tmp_path, people=3, recordings=1, size=(64, 64), workers=1)
    listing, said = read(tmp_path), captions(tmp_path)
    assert [s.id for s in listing.samples] == names == list(said) and not listing.problems
    assert [s.split for s in listing.samples] == ["train", "val", "test"]
    for sample in listing.samples:
        (meaning,) = said[sample.id][0]  # all wordings mean the same
        assert meaning is not None and sample.label == " ".join(act.gesture for act in meaning.acts)
        assert sample.color is not None and sample.skeleton is not None and sample.skeleton.path.is_file()
    kept = [(tmp_path / name).stat().st_mtime_ns for name in names]
    assert described.make(tmp_path, people=3, recordings=1, size=(64, 64), workers=1) == names
    assert [(tmp_path / name).stat().st_mtime_ns for name in names] == kept


def test_combinations_are_held_out(tmp_path: Path) -> None:
    described.make(tmp_path, people=4, recordings=20, videos=False, workers=1)
    said, parts = captions(tmp_path), {s.id: s.split for s in read(tmp_path).samples}
    seen = {path for path, (_, group) in said.items() if group == "seen"}
    assert {parts[path] for path in said if path not in seen} == {"test"}
    assert {parts[path] for path in seen} == {"train", "val", "test"}

    def combinations(path: str) -> set[object]:
        (meaning,) = said[path][0]
        assert meaning is not None
        return {*meaning.acts, *((a.gesture, b.gesture) for a, b in pairwise(meaning.acts))}

    known = set().union(*(combinations(path) for path in seen))
    assert all(combinations(path) - known for path in said if path not in seen)


def test_tall_people_are_taller(tmp_path: Path) -> None:
    described.make(tmp_path, people=4, recordings=1, videos=False, workers=1)
    heights = defaultdict(list)
    for path, (meanings, _) in captions(tmp_path).items():
        joints = np.load(tmp_path / path)
        (meaning,) = meanings
        assert meaning is not None and joints.shape[1:] == (20, 3)
        heights[meaning.who].append(np.nanmedian(np.linalg.norm(joints[:, 3] - joints[:, 0], axis=-1)))
    assert min(heights["tall"]) > max(heights["short"])


def test_too_few_people(tmp_path: Path) -> None:
    with pytest.raises(GestaError, match="people is 2, expected at least 3"):
        described.make(tmp_path, people=2)
