"""What folders mean: parts of the set, people and classes are told apart by their names, and doubts are told."""

from __future__ import annotations

from collections import Counter

import pytest
from cases.shared_cases import case, put

from gesta.sources.catalog import detect, read
from gesta.sources.files import folder_split


def told(listing, kind="folder-roles"):
    return [str(problem) for problem in listing.problems if problem.kind == kind]


def tree(root, *patterns):
    """a|b/c|d/e -> the files a/c/e.mp4, a/d/e.mp4, ..."""
    for pattern in patterns:
        names = [""]
        for level in pattern.split("/"):
            names = [f"{name}/{choice}" for name in names for choice in level.split("|")]
        put(root, *(f"{name.strip('/')}.mp4" for name in names))


@pytest.mark.parametrize(
    "tops",
    ["train|val|test", "training|validation|testing", "Train|Test", "train_set|val_set|test_set", "01_train|02_test"],
)
def test_parts_with_one_more_folder_are_parts(tmp_path, tops):
    tree(tmp_path, f"{tops}/clap|wave/a|b")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "classInd.txt").write_text("1 clap\n2 wave\n")
    put(tmp_path, ".DS_Store/x/y.mp4", "train/.DS_Store", "__MACOSX/train/clap/._a.mp4")
    listing = read(tmp_path)
    assert listing.labels == ("clap", "wave")
    parts = tops.split("|")
    assert Counter(s.split for s in listing.samples) == dict.fromkeys(map(folder_split, parts), 4)
    assert not listing.problems


def test_a_folder_of_videos_beside_the_parts_is_left_out_and_told(tmp_path):
    tree(tmp_path, "train|test/clap|wave/a|b", "unlabeled/x|y")
    listing = read(tmp_path)
    assert (len(listing.samples), listing.labels) == (8, ("clap", "wave"))
    assert "not in a training, validation or test folder, so skipped: unlabeled" in told(listing)[0]


def test_flat_parts_have_no_labels_and_the_table_beside_is_named(tmp_path):
    tree(tmp_path, "train|val|test/clip_0|clip_1|clip_2")
    (tmp_path / "labels.csv").write_text("clip,gesture\nclip_0,clap\n")
    listing = read(tmp_path)
    assert listing.labels == ()
    assert Counter(s.split for s in listing.samples) == {"train": 3, "val": 3, "test": 3}
    reasons = told(listing, "no-labels")
    assert len(reasons) == 3
    assert all(
        "have no label" in reason and "labels.csv in this folder is not read: rename it to index.csv" in reason
        for reason in reasons
    )


def test_an_unlabeled_test_part_beside_classes_in_train(tmp_path):
    tree(tmp_path, "train/clap|wave/a|b|c", "test/q|r")
    listing = read(tmp_path)
    assert Counter((s.split, s.label) for s in listing.samples) == {
        ("train", "clap"): 3,
        ("train", "wave"): 3,
        ("test", None): 2,
    }
    assert len(told(listing, "no-labels")) == 1


@pytest.mark.parametrize("people", ["anna|ben", "p01|p02|p03", "subject_3|subject_7", "S01|S02", "1|2|3"])
def test_person_folders_with_the_same_subfolders(tmp_path, people):
    tree(tmp_path, f"{people}/clap|wave/a|b")
    listing = read(tmp_path)
    assert (listing.labels, listing.subjects) == (("clap", "wave"), tuple(sorted(people.split("|"))))
    (note,) = told(listing)
    assert "every top folder has the same subfolders: clap, wave are taken as the classes" in note
    assert "--format class_folders+level1" in note
    assert read(tmp_path, "class_folders+level1").labels == tuple(sorted(people.split("|")))


def test_a_person_who_lacks_a_class_changes_nothing(tmp_path):
    tree(tmp_path, "anna|ben|carl/clap|wave|stop/a", "dora/clap|wave/a")
    listing = read(tmp_path)
    assert (listing.labels, len(listing.subjects)) == (("clap", "stop", "wave"), 4)
    assert "nearly the same subfolders" in told(listing)[0]


def test_people_inside_parts(tmp_path):
    tree(tmp_path, "train/anna|ben/clap|wave/a", "test/carl/clap|wave/a")
    listing = read(tmp_path)
    assert Counter((s.split, s.subject) for s in listing.samples) == {
        ("train", "anna"): 2,
        ("train", "ben"): 2,
        ("test", "carl"): 2,
    }
    assert listing.labels == ("clap", "wave")


def test_people_inside_classes(tmp_path):
    tree(tmp_path, "clap|wave/p01|p02|p03/a|b")
    listing = read(tmp_path)
    assert (listing.labels, listing.subjects) == (("clap", "wave"), ("p01", "p02", "p03"))
    assert "p01, p02, p03 inside the classes are taken as people" in told(listing)[0]


def test_parts_inside_classes(tmp_path):
    tree(tmp_path, "clap|wave/train|test/a|b")
    listing = read(tmp_path)
    assert Counter((s.label, s.split) for s in listing.samples) == {
        (label, split): 2 for label in ("clap", "wave") for split in ("train", "test")
    }


@pytest.mark.parametrize("inside", ["rgb|depth", "cam1|cam2", "day 1|day 2", "2024-01-03|2024-01-04", "videos"])
def test_subfolders_that_are_no_classes(tmp_path, inside):
    tree(tmp_path, f"clap|wave|stop/{inside}/a|b")
    listing = read(tmp_path)
    assert (listing.labels, listing.problems) == (("clap", "stop", "wave"), ())


def test_sessions_above_classes_are_no_people(tmp_path):
    tree(tmp_path, "session1|session2/clap|wave/a")
    listing = read(tmp_path)
    assert (listing.labels, listing.subjects) == (("clap", "wave"), ())


def test_one_folder_too_many_on_top(tmp_path):
    tree(tmp_path, "my_set/clap|wave/a|b")
    assert read(tmp_path).labels == ("clap", "wave")
    assert "all other folders are in one folder" in told(read(tmp_path))[0]


def test_one_class_with_one_word_of_a_part_stays_a_class(tmp_path):
    tree(tmp_path, "train|car|plane/a|b")
    assert read(tmp_path).labels == ("car", "plane", "train")


def test_names_of_other_sets_are_not_chalearn(tmp_path):
    put(tmp_path, *(f"train/signer{i}_sample{i}_{kind}.mp4" for i in range(3) for kind in ("color", "depth")))
    assert detect(tmp_path) == "class_folders"
    assert read(tmp_path).labels == ()
    put(tmp_path, "train/Sample0001_color.mp4")
    assert detect(tmp_path) == "chalearn2014"


def test_shared_split_folders():
    listing = read(case("split_folders_and_one_more"))
    assert Counter((s.split, s.label) for s in listing.samples) == {
        (split, label): 2 for split in ("train", "val", "test") for label in ("clap", "wave")
    }
    assert read(case("split_folders_flat")).labels == ()


def test_shared_person_folders():
    listing = read(case("person_folders"))
    assert (listing.labels, listing.subjects) == (("clap", "wave"), ("anna", "ben"))
    assert "every top folder has the same subfolders" in told(listing)[0]
