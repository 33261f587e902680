"""Splits and folds: by person, whole recordings, deterministic, and a note for all that is not as it should be."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.schema import GestaError, Resource, Sample
from gesta.sources.inputs import Listing, split_samples
from gesta.sources.split import assign_splits, folds


def sample(name, label, subject=None, split=None, recording=None):
    video = Resource(Path(f"{recording or name}.mp4"))
    return Sample(name, recording or name, color=video, label=label, subject=subject, split=split)


def people(count, labels=("wave", "clap"), split=None, first=0):
    return [
        sample(f"{person}-{label}", label, f"p{person}", split)
        for person in range(first, first + count)
        for label in labels
    ]


def by_split(samples):
    parts = {"train": set(), "val": set(), "test": set()}
    for s in samples:
        parts[s.split].add(s.subject or s.recording)
    return parts


def test_people_are_never_shared_and_the_order_stays():
    data = people(10)
    done, notes = assign_splits(data, seed=3)
    parts = by_split(done)
    assert [len(parts[name]) for name in ("train", "val", "test")] == [6, 2, 2]
    assert [s.id for s in done] == [s.id for s in data]
    assert "Test part: 2 of 10 people" in notes[0]
    assert assign_splits(data, seed=3)[0] == done
    assert any(assign_splits(data, seed=seed)[0] != done for seed in range(4, 8))


def test_given_test_stays_and_validation_people_come_out_of_training():
    data = people(6, split="train") + people(3, split="test", first=6)
    done, notes = assign_splits(data, seed=0)
    parts = by_split(done)
    assert parts["test"] == {"p6", "p7", "p8"}
    assert len(parts["val"]) == 1
    assert len(notes) == 1
    assert "Validation part: 1 of 6 people" in notes[0]


def test_a_part_without_labels_counts_as_none():
    hidden = people(3, labels=(None,), split="test", first=10)
    data = people(9, split="train") + people(2, split="val", first=20) + hidden
    done, notes = assign_splits(data, seed=0)
    labeled = by_split([s for s in done if s.label is not None])
    assert labeled["val"] == {"p20", "p21"}
    assert len(labeled["test"]) == 2
    assert labeled["test"] <= {f"p{i}" for i in range(9)}
    assert [s for s in done if s.label is None] == hidden
    assert notes[0] == "The test part of the data has no labels, so another one is split off the training part."
    assert "Test part: 2 of 9 people" in notes[1]
    assert len(notes) == 2


def test_validation_without_labels_and_people_seen_there():
    data = people(6) + people(2, labels=(None,), split="val")  # unlabeled recordings of people who are also labeled
    done, notes = assign_splits(data, seed=0)
    parts = by_split([s for s in done if s.label is not None])
    assert parts["train"]
    assert parts["val"]
    assert parts["test"]
    assert notes[0] == "The validation part of the data has no labels, so another one is split off the training part."
    assert not any("in both" in note for note in notes)
    assert assign_splits(people(6), seed=0)[0] == [s for s in done if s.label is not None]
    one = [*people(6, split="train"), *people(1, split="test", first=6)]
    partly = [*one, sample("unknown", None, "p7", "test")]
    assert {s.id for s in assign_splits(partly, seed=0)[0] if s.split == "test"} == {"6-wave", "6-clap", "unknown"}


def test_all_three_given_are_left_alone():
    data = people(2, split="train") + people(1, split="val", first=2) + people(1, split="test", first=3)
    assert assign_splits(data, seed=0) == (data, [])


def test_a_class_that_one_person_performs_stays_in_training():
    data = [*people(8), sample("only", "bow", "p3")]
    for seed in range(5):
        done, _ = assign_splits(data, seed=seed)
        assert next(s for s in done if s.id == "only").split == "train"


def test_unknown_people_are_stratified_and_it_says_what_that_means():
    data = [sample(f"{label}{i}", label) for label in ("wave", "clap") for i in range(10)]
    done, notes = assign_splits(data, seed=1)
    counts = Counter((s.label, s.split) for s in done)
    assert {counts[(label, part)] for label in ("wave", "clap") for part in ("val", "test")} == {2}
    assert "the people are unknown" in notes[0]
    assert "optimistic for new people" in notes[0]


def test_a_part_that_nothing_can_be_drawn_for_is_said_to_be_empty():
    done, notes = assign_splits([sample(label, label) for label in "abc"], seed=0)
    assert {s.split for s in done} == {"train"}
    empty = "none of 3 samples, because no label has two recordings to split."
    assert notes == [f"Test part: {empty}", f"Validation part: {empty}"]


def test_spans_of_a_recording_stay_together_when_people_are_unknown():
    data = [sample(f"r{r}/{i}", "ab"[i % 2], recording=f"r{r}") for r in range(10) for i in range(4)]
    parts = by_split(assign_splits(data, seed=0)[0])
    assert not (parts["train"] & parts["val"] or parts["train"] & parts["test"] or parts["val"] & parts["test"])
    assert len(parts["train"]) == 6


def test_two_people_are_too_few_to_split_by_person():
    data = [sample(f"{i}", "ab"[i % 2], f"p{i % 4 // 2}") for i in range(40)]
    done, notes = assign_splits(data, seed=0)
    assert {s.split for s in done} == {"train", "val", "test"}
    assert "there are only 2 people" in notes[0]


def test_same_person_on_both_sides_is_kept_and_reported():
    data = [*people(4, split="train"), sample("x", "wave", "p0", "test"), sample("y", "wave", "p9", "val")]
    done, notes = assign_splits(data, seed=0)
    assert done == data
    assert notes == ["1 person is in both train and test (p0), so the accuracy is optimistic."]


def test_rows_without_split_go_to_their_person():
    data = [
        *people(4, split="train"),
        sample("t", "wave", "p8", "test"),
        sample("blank", "clap", "p8"),
        sample("new", "clap", "p9"),
        sample("v", "wave", "p7", "val"),
    ]
    done, notes = assign_splits(data, seed=0)
    assert {s.id: s.split for s in done if s.id in ("blank", "new")} == {"blank": "test", "new": "train"}
    assert "2 samples without a split" in notes[0]


def test_samples_without_label_are_left_alone():
    data = [*people(5), sample("unlabeled", None, "p1"), sample("kept", None, "p1", "test")]
    done, _ = assign_splits(data, seed=0)
    assert [s.split for s in done[-2:]] == [None, "test"]


def test_the_documents_protocol():
    train = [sample(f"t{i}", "wave", "p0", "train") for i in range(7754)]
    val = [sample(f"v{i}", "wave", "p1", "val") for i in range(30)]
    done, notes = assign_splits([*train, *val, sample("x", "wave", "p2", "test")], seed=0, protocol="document")
    assert Counter(s.split for s in done) == {"train": 5754, "val": 2000, "test": 30}
    assert "validation = 2000 random ones of 7754" in notes[0]
    small, _ = assign_splits([*train[:100], *val], seed=0, protocol="document")
    assert Counter(s.split for s in small)["val"] == 26
    with pytest.raises(GestaError, match=r"needs labeled recordings in folders Train\* and Validation\*"):
        assign_splits(train, seed=0, protocol="document")
    with pytest.raises(GestaError, match="choose from subject and document"):
        assign_splits(train, seed=0, protocol="random")


def test_leave_one_person_out():
    data = people(9)
    result = folds(data, seed=0)
    assert [name for name, _, _ in result] == [f"p{i}" for i in range(9)]
    for name, rest, test in result:
        assert {s.subject for s in test} == {name}
        assert {s.split for s in test} == {"test"}
        assert name not in {s.subject for s in rest}
        assert {s.split for s in rest} == {"train", "val"}
        assert len(rest) + len(test) == len(data)


def test_groups_of_people_and_unknown_people():
    result = folds(people(7), k=3, seed=0)
    assert sorted(len({s.subject for s in test}) for _, _, test in result) == [2, 2, 3]
    assert "+" in result[0][0]
    unknown = [sample(f"{label}{i}", label) for label in ("wave", "clap") for i in range(10)]
    parts = folds(unknown, seed=0)
    assert len(parts) == 5
    assert parts[0][0] == "part 1 of 5 (by label, people unknown)"
    assert all(Counter(s.label for s in test) == {"wave": 2, "clap": 2} for _, _, test in parts)
    assert len(folds(people(4), by="label", k=2)) == 2


def test_folds_that_cannot_be():
    with pytest.raises(GestaError, match="choose from subject and label"):
        folds(people(3), by="color")
    with pytest.raises(GestaError, match="cannot split 3 people into 9 parts"):
        folds(people(3), k=9)
    with pytest.raises(GestaError, match="needs at least 2 people, found 1"):
        folds(people(1))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["p", "q", "r", "s", None])), max_size=40),
    st.integers(0, 5),
)
def test_every_labeled_sample_gets_a_part_and_people_are_not_shared_where_known(rows, seed):
    data = [sample(str(i), label, subject) for i, (label, subject) in enumerate(rows)]
    done, notes = assign_splits(data, seed=seed)
    assert all(s.split in ("train", "val", "test") for s in done)
    assert not data or any(s.split == "train" for s in done)
    parts = by_split(done)
    shared = (parts["train"] & parts["test"]) | (parts["train"] & parts["val"]) | (parts["val"] & parts["test"])
    assert not shared or any("optimistic" in note for note in notes)


@pytest.mark.parametrize("given", [False, True])
def test_without_validation_its_people_are_trained_on_and_the_test_people_stay(given):
    data = [*people(6, split="train"), *people(2, split="val", first=6)] if given else people(10)
    listing = Listing(Path("data"), "class_folders", tuple(data))
    held, _ = split_samples(listing, 3, "subject", {"training": {"epochs": 1}})
    whole, notes = split_samples(listing, 3, "subject", {"training": {"validation": False}})
    before, after = by_split(held.samples), by_split(whole.samples)
    assert before["val"] and after == {"train": before["train"] | before["val"], "val": set(), "test": before["test"]}
    assert "No validation part: training.validation is false." in notes
    assert not any(note.startswith("Validation") for note in notes)
