"""Names that look alike are one name (Unicode NFC and NFD), and whatever looks like a video is read or listed."""

from __future__ import annotations

import os
import unicodedata

import pytest
from cases.shared_cases import case, put

from gesta.schema import Resource, Sample
from gesta.sources.catalog import read

COMPOSED = "Grüßen é"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


def test_class_folders_in_both_forms_are_one_class(tmp_path):
    assert COMPOSED != DECOMPOSED
    put(tmp_path, f"train/{COMPOSED}/a.mp4", "train/clap/a.mp4", f"test/{DECOMPOSED}/a.mp4", "test/clap/a.mp4")
    assert read(tmp_path).labels == (COMPOSED, "clap")


def test_labels_people_and_paths_of_an_index_in_both_forms(tmp_path):
    put(tmp_path, f"{DECOMPOSED}/ä.mp4", f"{DECOMPOSED}/b.mp4")
    rows = [
        f"{COMPOSED}/{unicodedata.normalize('NFD', 'ä')}.mp4,{COMPOSED},Jürgen",
        f"{DECOMPOSED}/b.mp4,{DECOMPOSED},Jürgen",
    ]
    rows[1] = unicodedata.normalize("NFD", rows[1])
    (tmp_path / "index.csv").write_text("\n".join(["path,label,subject", *rows]))
    listing = read(tmp_path)
    assert not listing.problems
    assert (listing.labels, listing.subjects, len(listing.samples)) == ((COMPOSED,), ("Jürgen",), 2)
    assert all(sample.color.path.is_file() for sample in listing.samples)


def test_every_video_is_read_or_listed(tmp_path):
    read_ones = [f"wave/{i}{s}" for i, s in enumerate((".gif", ".m2ts", ".MTS", ".m4v", ".wmv", ".ts", ".3gp", ".mpg"))]
    put(tmp_path, "clap/a.mp4", *read_ones, "wave/x.y4m", "wave/y.bag", "wave/z.mp4.part", "wave/n.txt", "wave/p.csv")
    (tmp_path / "wave" / "no_ending").write_bytes(b"\0\0\0\x20ftypisom" + bytes(20))
    (tmp_path / "wave" / "odd.xyz").write_bytes(b"\x1aE\xdf\xa3" + bytes(20))
    put(tmp_path, "wave/pictures/1.bmp", "wave/pictures/2.bmp", "wave/all.zip")
    listing = read(tmp_path)
    assert [s.id for s in listing.samples] == ["clap/a.mp4", *sorted(read_ones)]
    listed = {(p.kind, os.path.relpath(p.path, tmp_path)) for p in listing.problems}
    assert listed == {
        ("unread-format", "wave/x.y4m"),
        ("unread-format", "wave/y.bag"),
        ("unread-format", "wave/z.mp4.part"),
        ("unread-format", "wave/no_ending"),
        ("unread-format", "wave/odd.xyz"),
        ("pictures-left-out", "wave/pictures"),
        ("archive", "wave/all.zip"),
    }


def test_names_that_are_not_utf8_can_be_written(tmp_path):
    put(tmp_path, os.fsdecode(b"caf\xe9/a.mp4"), os.fsdecode(b"caf\xe9/b\xff.mp4"))
    listing = read(tmp_path)
    assert [(s.id, s.label) for s in listing.samples] == [
        (r"caf\xe9/a.mp4", r"caf\xe9"),
        (r"caf\xe9/b\xff.mp4", r"caf\xe9"),
    ]
    assert all(sample.color.path.is_file() for sample in listing.samples)
    assert not listing.problems


def test_a_sample_keeps_one_spelling(tmp_path):
    sample = Sample(id="a", recording="a", color=Resource(tmp_path / "a.mp4"), label=DECOMPOSED, subject=DECOMPOSED)
    assert (sample.label, sample.subject) == (COMPOSED, COMPOSED)


def test_shared_labels_nfc_nfd():
    assert len(read(case("labels_nfc_nfd")).labels) == 2


def test_shared_videos_passed_over():
    listing = read(case("videos_passed_over"))
    assert [s.id for s in listing.samples] == ["clap/p00.mp4", "wave/00001.m2ts", "wave/anim.gif", "wave/p00.mp4"]
    from gesta.audit.inspection import inspect

    assert inspect(listing).usable == pytest.approx(4)
