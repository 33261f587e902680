"""Faults of the set: classes, people, the same content twice, imbalance, mixed modalities; and what is done instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from audit.videos import write_video

from gesta.audit import faults_sets
from gesta.audit.inspection import inspect, missing_notes
from gesta.schema import Camera, Resource, Sample
from gesta.sources.catalog import read

ROOT = Path("data")


def sample(name, label="wave", subject="p0", split=None, **files):
    files = {key: Resource(Path(value)) for key, value in (files or {"color": f"{name}.mp4"}).items()}
    return Sample(name, name, **files, label=label, subject=subject, split=split)


def texts(problems, kind):
    return [str(p) for p in problems if p.kind == kind]


def test_classes_with_fewer_clips_than_needed_and_imbalance():
    samples = [sample(f"w{i}") for i in range(20)] + [sample(f"c{i}", "clap") for i in range(3)] + [sample("b", "bow")]
    problems = list(faults_sets.class_faults(ROOT, samples))
    assert texts(problems, "few-clips") == [
        "data: class bow has 1 clip, fewer than the 5 needed. Record more, or leave the class out.",
        "data: class clap has 3 clips, fewer than the 5 needed. Record more, or leave the class out.",
    ]
    assert "class wave has 20 clips and bow has 1, more than 5 times fewer" in texts(problems, "imbalance")[0]


def test_five_times_is_not_yet_strong_imbalance():
    samples = [sample(f"w{i}") for i in range(25)] + [sample(f"c{i}", "clap") for i in range(5)]
    assert list(faults_sets.class_faults(ROOT, samples)) == []


def test_one_class_and_no_labels():
    assert "only one class, wave" in texts(faults_sets.class_faults(ROOT, [sample("a")]), "one-class")[0]
    assert "no sample has a label" in texts(faults_sets.class_faults(ROOT, [sample("a", None)]), "no-labels")[0]


def test_no_information_on_people():
    nobody = [sample("a", subject=None), sample("b", subject=None)]
    (text,) = texts(faults_sets.people_faults(ROOT, nobody), "no-people")
    assert "there is no information on people; the accuracy will be optimistic" in text
    assert "subject in index.csv" in text
    (text,) = texts(faults_sets.people_faults(ROOT, [*nobody, sample("c")]), "no-people")
    assert "2 of 3 samples have no person, e.g. a." in text


def test_same_person_in_train_and_test():
    samples = [sample("a", split="train"), sample("b", split="test"), sample("c", subject="p1", split="val")]
    problems = list(faults_sets.people_faults(ROOT, [*samples, sample("d", subject="p1", split="test")]))
    assert [p.reason for p in problems] == [
        "person p0 is in both train and test.",
        "person p1 is in both val and test.",
    ]


def test_spans_of_one_file_in_train_and_test():
    spans = [sample("a", split="train", color="a.mp4"), sample("b", split="test", color="a.mp4")]
    assert texts(faults_sets.same_file_faults(spans), "same-file") == [
        "a.mp4: its spans are in test and train. Put all spans of a recording into one part."
    ]


def test_same_file_by_content_in_train_and_test(healthy):
    (healthy / "wave_2_0.mkv").write_bytes((healthy / "wave_0_0.mkv").read_bytes())
    (problem,) = [p for p in inspect(read(healthy)).problems if p.kind == "same-file"]
    assert problem.path.endswith("wave_2_0.mkv")
    assert "has the same content as" in problem.reason
    assert "wave_0_0.mkv, and they are in test and train." in problem.reason


def test_same_file_under_two_labels_without_splits(tmp_path):
    write_video(tmp_path / "wave" / "a.mkv", seed=1)
    (tmp_path / "clap").mkdir()
    (tmp_path / "clap" / "b.mkv").write_bytes((tmp_path / "wave" / "a.mkv").read_bytes())
    (text,) = texts(inspect(read(tmp_path)).problems, "same-file")
    assert "may end up in train and test; their labels differ: clap, wave" in text


def test_only_files_of_one_size_are_read(tmp_path, monkeypatch):
    for name, content in (("a", b"1111"), ("b", b"2222"), ("c", b"2222"), ("d", b"55555")):
        (tmp_path / name).write_bytes(content)
    read_files = []
    digest = faults_sets._sha256
    monkeypatch.setattr(faults_sets, "_sha256", lambda r: read_files.append(r.name) or digest(r))
    groups = faults_sets.same_content([Resource(tmp_path / name) for name in "abcd"])
    assert [[r.name for r in group] for group in groups] == [["b", "c"]]
    assert read_files == ["a", "b", "c"]


def test_mixed_modalities():
    samples = [sample("a", color="a.mp4", depth="a.mkv"), sample("b", color="b.mp4")]
    (text,) = texts(faults_sets.mixed_faults(ROOT, samples), "mixed-modalities")
    assert "1 of 2 samples have no depth, e.g. b. A recipe that uses depth skips these." in text


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"color": "a.mp4"}, ["No skeleton: the body stream is a smoothed motion box", "No hand stream", "No depth"]),
        ({"depth": "a.mkv", "skeleton": "a.csv"}, ["No RGB: the channels are depth and its temporal difference"]),
        ({"color": "a.mp4", "depth": "a.mkv", "mask": "m.mp4", "skeleton": "a.csv"}, []),
    ],
)
def test_what_the_transform_does_instead(files, words):
    notes = missing_notes([sample("a", **files)], [25.0])
    if "mask" not in files:
        words = [*words, "No user mask: nothing is masked"]
    assert len(notes) == len(words)
    assert all(note.startswith(word) for note, word in zip(notes, words, strict=True))


def test_camera_of_a_sample_does_not_matter_to_notes():
    plain = sample("a", depth="a.mkv", skeleton="a.npy")
    assert missing_notes([plain], []) == missing_notes(
        [Sample("b", "b", depth=plain.depth, skeleton=plain.skeleton, camera=Camera(1, 1, 0, 0))], []
    )
    assert missing_notes([], []) == ()
