"""Class folders, loose videos, detection and the catalog's messages. Most videos are empty files."""

from __future__ import annotations

import numpy as np
import pytest
from clips.videos import write_video

from gesta.schema import GestaError, Resource
from gesta.sources.catalog import READERS, detect, read


def put(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_labels_are_the_top_folders_and_deeper_is_allowed(tmp_path):
    put(tmp_path, "wave/b.MP4", "wave/day 1/a.mkv", "clap/c.webm", "clap/notes.txt", "clap/._c.webm", ".cache/x/d.mp4")
    listing = read(tmp_path)
    assert listing.layout == "class_folders"
    assert [(s.id, s.label, s.subject) for s in listing.samples] == [
        ("clap/c.webm", "clap", None),
        ("wave/b.MP4", "wave", None),
        ("wave/day 1/a.mkv", "wave", None),
    ]
    assert listing.problems == ()


def test_train_and_test_folders_above_the_classes_are_the_split(tmp_path):
    put(tmp_path, "train/wave/a.mp4", "Validation/wave/b.mp4", "test/clap/c.mp4")
    listing = read(tmp_path)
    assert sorted((s.label, s.split) for s in listing.samples) == [
        ("clap", "test"),
        ("wave", "train"),
        ("wave", "val"),
    ]


def test_classes_that_are_called_train_and_test_can_be_asked_for(tmp_path):
    put(tmp_path, "train/a.mp4", "test/b.mp4")
    assert [s.label for s in read(tmp_path, "class_folders+level1").samples] == ["test", "train"]


def test_what_class_folders_leave_out_is_listed(tmp_path):
    put(tmp_path, "wave/a.mp4", "loose.mp4", "clap/old.rmvb")
    problems = {problem.kind: str(problem) for problem in read(tmp_path).problems}
    assert "no label and is skipped. Move it" in problems["no-labels"]
    assert "looks like a video, but .rmvb files are not read. Convert" in problems["unread-format"]
    assert "contains no video, so this class is missing" in problems["empty-class"]


def test_a_video_or_a_folder_of_videos_has_no_labels(tmp_path):
    put(tmp_path, "b.mp4", "a.avi", "notes.txt")
    assert [(s.id, s.label) for s in read(tmp_path).samples] == [("a.avi", None), ("b.mp4", None)]
    single = read(tmp_path / "b.mp4")
    assert (single.layout, [s.id for s in single.samples]) == ("videos", ["b.mp4"])


def test_a_depth_video_alone_is_depth(tmp_path):
    frames = [np.full((48, 64), 900, np.uint16)] * 3
    path = write_video(tmp_path / "a.mkv", frames, pix_fmt="gray16le", source="gray16le")
    (only,) = read(path).samples
    assert only.color is None and only.depth == Resource(path)


def test_detection_prefers_the_index(tmp_path):
    put(tmp_path, "wave/a.mp4")
    (tmp_path / "index.csv").write_text("path,label\nwave/a.mp4,hello\n")
    assert detect(tmp_path) == "index_csv"
    assert read(tmp_path).labels == ("hello",)
    assert read(tmp_path, "class_folders").labels == ("wave",)


def test_nothing_known_says_what_layouts_look_like(tmp_path):
    put(tmp_path, "notes.txt")
    with pytest.raises(GestaError, match="no known layout") as caught:
        detect(tmp_path)
    assert all(name in str(caught.value) for name in READERS)
    assert "index.csv with the columns path,label" in str(caught.value)


def test_missing_folder_and_unknown_format(tmp_path):
    with pytest.raises(GestaError, match="does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(GestaError, match="Did you mean chalearn2014") as caught:
        read(tmp_path, "chalearn")
    assert caught.value.usage
    assert "class_folders" in str(caught.value)
