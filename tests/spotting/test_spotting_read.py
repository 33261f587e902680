"""Recordings with spans: what the readers find, refuse and leave out."""

from __future__ import annotations

import numpy as np
import pytest
from spotting.skeletons import JOINTS, WAYS, write_frame_labels, write_sequences, write_table

from gesta.clips.skeleton_space import SkeletonSpace
from gesta.sources import recordings
from gesta.tasks import catalog
from gesta.tasks.spotting.data import Facts, tracks


def test_sequences_with_spans(tmp_path):
    root = write_sequences(tmp_path / "data", count=3, dictionary=2)
    listing = recordings.read(root)
    assert listing.layout == "sfinge3d"
    assert not listing.problems
    whole = [r for r in listing.samples if not r.isolated]
    single = [r for r in listing.samples if r.isolated]
    assert [r.id for r in whole] == [f"sequences/{n:02d}.npy" for n in range(3)]
    assert [span.label for span in whole[0].spans] == ["lift", "aside"]
    assert all(r.fps == 20 for r in whole)
    assert sorted(r.spans[0].label for r in single) == sorted([*WAYS, *WAYS])
    assert catalog.of_data(root).name == "spotting"


def test_a_class_for_every_frame(tmp_path):
    listing = recordings.read(write_frame_labels(tmp_path / "data"))
    assert listing.layout == "frame_labels"
    first = listing.samples[0]
    assert [span.label for span in first.spans] == ["lift", "aside"]  # standby is not a gesture
    assert first.subject == "ann"
    assert all(span.last - span.first == 23 for span in first.spans)


def test_bad_rows_and_missing_files_are_listed(tmp_path):
    root = write_sequences(tmp_path / "data", count=2)
    rows = [
        ("sequences/00.npy", "lift", 30, 20),
        ("sequences/00.npy", "lift", 3, 20),
        ("sequences/gone.npy", "lift", 3, 20),
        ("sequences/01.npy", "", 3, 20),
    ]
    write_table(root / "labels.csv", recordings.SPANS, rows)
    listing = recordings.read(root)
    assert [(r.id, len(r.spans)) for r in listing.samples] == [("sequences/00.npy", 1)]
    reasons = " ".join(str(problem) for problem in listing.problems)
    for text in ("line 2: frames 30 to 20 are not a span", "line 5: expected", "gone.npy: is not there"):
        assert text in reasons


@pytest.mark.parametrize("name", ["../outside.npy", "/etc/passwd"])
def test_paths_that_lead_out_are_left_out_and_the_others_read(name, tmp_path):
    root = write_sequences(tmp_path / "data", count=1)
    rows = [(name, "lift", 3, 20), ("sequences/00.npy", "lift", 3, 20), ("sequences/00.npy", "lift", 3, "9" * 5000)]
    write_table(root / "labels.csv", recordings.SPANS, rows)
    listing = recordings.read(root)
    assert [(r.id, len(r.spans)) for r in listing.samples] == [("sequences/00.npy", 1)]
    reasons = [problem.reason for problem in listing.problems]
    assert f"line 2: {name} is outside the folder" in reasons[0] and "are not a span" in reasons[1]


def test_rows_of_classes_without_a_label_are_passed_over(tmp_path):
    root = write_frame_labels(tmp_path / "data")
    (root / "classes.csv").write_text("id,label\n0,lift\n1\n2,standby\n")
    assert [span.label for span in recordings.read(root).samples[0].spans] == ["lift", "1"]


def test_gestures_after_the_end_are_told(tmp_path):
    root = write_sequences(tmp_path / "data", count=1)
    rows = [("sequences/00.npy", "lift", 3, 20), ("sequences/00.npy", "aside", 2000, 2020)]
    write_table(root / "labels.csv", recordings.SPANS, rows)
    facts = Facts(SkeletonSpace(joints=JOINTS), 20.0, ("none", "lift", "aside"))
    (track,), (problem,) = tracks(recordings.read(root).samples, facts)
    assert set(track.target.tolist()) == {0, 1}
    assert "1 gesture left out: after the end at" in problem.reason and "the first aside at 100.0 s" in problem.reason


def test_other_folders_are_not_taken(tmp_path):
    (tmp_path / "labels.csv").write_text("path,label\na.mp4,wave\n")
    assert recordings.detect(tmp_path) is None
    write_table(tmp_path / "index.csv", ("path", "label"), [("a.mp4", "wave")])
    assert recordings.detect(tmp_path) is None


def test_one_file_of_skeletons(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros((5, 4, 3), np.float32))
    (recording,) = recordings.read(tmp_path / "one.npy").samples
    assert recording.label is None
    assert recording.spans == ()
