"""Videos of one gesture each in three layouts: what the readers find in them, and that a stopped run resumes."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from gesta.schema import GestaError
from gesta.sources.catalog import detect, read
from gesta.synthetic.catalog import CLIP_GENERATORS
from gesta.synthetic.isolated import vocabulary

SETTINGS = {"size": (64, 64), "workers": 1, "seed": 3, "classes": 2}


def frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as video:
        return np.stack([frame.to_ndarray(format="gray") for frame in video.decode(video=0)])


@pytest.mark.integration
def test_ucf101(tmp_path: Path) -> None:
    names = CLIP_GENERATORS["ucf101"](tmp_path, people=3, **SETTINGS)
    assert detect(tmp_path) == "ucf101"
    tests = [{s.subject for s in read(tmp_path, f"ucf101+split{i}").samples if s.split == "test"} for i in (1, 2, 3)]
    assert tests == [{"g01"}, {"g02"}, {"g03"}]
    first, other = frames(tmp_path / names[0]), frames(tmp_path / names[1])
    assert len(first) >= 10 and first.shape[1:] == (64, 64)
    assert np.abs(first[0].astype(int) - first[len(first) // 2]).mean() > 0.5  # it moves
    assert first.shape != other.shape or not np.array_equal(first, other)  # another person
    kept = (tmp_path / names[0]).stat().st_mtime_ns
    (tmp_path / names[1]).unlink()
    assert CLIP_GENERATORS["ucf101"](tmp_path, people=3, **SETTINGS) == names
    assert (tmp_path / names[0]).stat().st_mtime_ns == kept
    assert np.array_equal(frames(tmp_path / names[1]), other)


@pytest.mark.integration
def test_isogd(tmp_path: Path) -> None:
    CLIP_GENERATORS["isogd"](tmp_path, people=3, **SETTINGS)
    listing = read(tmp_path)
    assert listing.layout == "isogd" and listing.labels == ("001", "002")
    assert [s.split for s in listing.samples] == ["train"] * 2 + ["val"] * 2 + ["test"] * 2
    sample = listing.samples[0]
    assert sample.color is not None and sample.depth is not None
    assert len(frames(sample.color.path)) == len(frames(sample.depth.path))


@pytest.mark.integration
def test_ledasila(tmp_path: Path) -> None:
    CLIP_GENERATORS["ledasila"](tmp_path, people=2, recordings=2, **SETTINGS)
    listing = read(tmp_path)
    counts = [sum(s.label == word.name for s in listing.samples) for word in vocabulary(2, rare=True)]
    assert listing.layout == "ledasila" and counts == [4, 3]
    assert set(listing.subjects) == {"person01", "person02"}


def test_vocabulary_is_singles_and_then_pairs() -> None:
    words = vocabulary(249)
    assert len({word.name for word in words}) == 249
    assert [len(word.gestures) for word in words[:21]] == [1] * 20 + [2]
    assert words == vocabulary(260)[:249]
    assert len({word.name for word in (*words, *vocabulary(151, rare=True))}) == 400
    with pytest.raises(GestaError, match="classes is 401, expected 2 to 400"):
        vocabulary(401)


def test_settings_out_of_range(tmp_path: Path) -> None:
    for bad, message in ({"people": 0}, "people is 0"), ({"size": (63, 64)}, "63x64"), ({"preset": "odd"}, "'odd'"):
        with pytest.raises(GestaError, match=message):
            CLIP_GENERATORS["ucf101"](tmp_path / "x", **{**SETTINGS, **bad})
