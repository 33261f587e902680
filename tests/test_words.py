"""Words of messages: the nearest name, counts with their noun, labels of ChaLearn 2014 in English."""

from __future__ import annotations

from gesta.schema import CHALEARN_GESTURES
from gesta.words import ENGLISH, counted, did_you_mean, in_english


def test_every_italian_gesture_has_its_own_meaning():
    assert tuple(ENGLISH) == CHALEARN_GESTURES and len(set(ENGLISH.values())) == 20


def test_the_meaning_stands_beside_the_label():
    assert in_english("vieniqui", CHALEARN_GESTURES) == "vieniqui (come here)"
    assert in_english("ok", CHALEARN_GESTURES) == "ok"  # says it already


def test_labels_of_other_data_stay_as_they_are():
    assert in_english("wave", ("wave", "clap")) == "wave"
    assert in_english("fame", ("fame", "fortune")) == "fame"


def test_a_count_agrees_with_its_noun():
    assert [counted(n, "problem") for n in (0, 1, 2, 1200)] == [
        "0 problems",
        "1 problem",
        "2 problems",
        "1,200 problems",
    ]
    assert (counted(1, "person", "people"), counted(3, "person", "people")) == ("1 person", "3 people")


def test_the_nearest_name_and_no_far_one():
    known = ["training", "training.epochs", "model.name", "Wave"]
    assert did_you_mean("epochs", known) == " Did you mean training.epochs?"
    assert did_you_mean("training.epoch", known) == " Did you mean training.epochs?"
    assert did_you_mean("wvae", known) == " Did you mean Wave?"
    assert did_you_mean("clap", known) == did_you_mean("zzz", []) == ""
