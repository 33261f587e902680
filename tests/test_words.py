"""Labels of ChaLearn 2014 in English, for people to read."""

from __future__ import annotations

from gesta.schema import CHALEARN_GESTURES
from gesta.words import ENGLISH, in_english


def test_every_italian_gesture_has_its_own_meaning():
    assert tuple(ENGLISH) == CHALEARN_GESTURES and len(set(ENGLISH.values())) == 20


def test_the_meaning_stands_beside_the_label():
    assert in_english("vieniqui", CHALEARN_GESTURES) == "vieniqui (come here)"
    assert in_english("ok", CHALEARN_GESTURES) == "ok"  # says it already


def test_labels_of_other_data_stay_as_they_are():
    assert in_english("wave", ("wave", "clap")) == "wave"
    assert in_english("fame", ("fame", "fortune")) == "fame"
