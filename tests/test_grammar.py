"""What a sentence means is read back from each of its wordings, and nothing is read from other sentences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gesta.grammar import GESTURES, TWO_HANDED, Act, Meaning, parse, say


def meanings(count: int) -> list[Meaning]:
    rng = np.random.default_rng(0)
    names = list(GESTURES)

    def act() -> Act:
        gesture = names[rng.integers(len(names))]
        hand = "both" if gesture in TWO_HANDED else ("left", "right", "both")[rng.integers(3)]
        return Act(gesture, hand, int(rng.integers(1, 4)), ("", "slow", "fast")[rng.integers(3)])

    return [
        Meaning(("tall", "short", "")[rng.integers(3)], tuple(act() for _ in range(rng.integers(1, 4))))
        for _ in range(count)
    ]


def test_every_wording_means_what_was_said() -> None:
    rng = np.random.default_rng(1)
    for meaning in meanings(500):
        assert parse(say(meaning, rng)) == meaning


def test_there_are_several_wordings() -> None:
    rng, meaning = np.random.default_rng(2), meanings(1)[0]
    assert len({say(meaning, rng) for _ in range(50)}) >= 20


def test_order() -> None:
    wave, clap = Act("wave", "left", 2), Act("clap", "both", 1, "slow")
    for sentence in (
        "a tall person waves with the left hand twice , then claps slowly",
        "A tall person first waves twice with the left hand, and then slowly claps.",
        "somebody tall claps at a slow pace, but before that greets somebody two times using the left hand",
    ):
        assert parse(sentence) == Meaning("tall", (wave, clap))


def test_a_query_may_leave_things_out() -> None:
    assert parse("waves") == Meaning("", (Act("wave", None),))


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "a tall person",
        "a dog barks",
        "waves waves",
        "waves twice thrice",
        "waves with the left foot",
        "waves , but before that claps , but before that knocks",
        "waves and then",
    ],
)
def test_other_sentences_mean_nothing(sentence: str) -> None:
    assert parse(sentence) is None


def test_no_phrase_stands_for_two_things() -> None:
    from gesta import grammar

    phrases = [
        p for t in (grammar.GESTURES, grammar.HANDS, grammar.COUNTS, grammar.SPEEDS) for ps in t.values() for p in ps
    ]
    said = [phrase for phrase in itertools.chain(phrases, *grammar.WHO.values()) if phrase]
    assert len(set(said)) == len(said)
