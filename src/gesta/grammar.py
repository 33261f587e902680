"""Generates sentences about what people do from a meaning, in several wordings, and parses them back.

A meaning is who does which gestures in which order, each with a hand, a count and a speed. Words are separated by
spaces; a comma is a word.

    a tall person waves with the left hand twice , then claps slowly
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

Phrases = Mapping[str, tuple[str, ...]]
"""Meaning -> possible wordings."""

ONE_HANDED: Phrases = {
    "wave": ("waves", "greets somebody"),
    "reach": ("reaches up", "stretches upward"),
    "circle": ("draws a circle", "circles in the air"),
    "push": ("pushes forward", "pushes something away"),
    "swipe": ("swipes outward", "sweeps to the side"),
    "knock": ("knocks", "knocks at a door"),
    "head": ("touches the head", "taps the head"),
    "drink": ("drinks", "takes a drink"),
    "throw": ("throws", "throws a ball"),
    "cross": ("draws a cross", "crosses something out"),
}
TWO_HANDED: Phrases = {
    "clap": ("claps", "claps the hands"),
    "spread": ("spreads the arms", "opens the arms wide"),
}
GESTURES: Phrases = {**ONE_HANDED, **TWO_HANDED}
HANDS: Phrases = {
    "left": ("with the left hand", "using the left hand"),
    "right": ("with the right hand", "using the right hand"),
    "both": ("with both hands", "using both hands"),
}
COUNTS: Phrases = {"1": ("", "once"), "2": ("twice", "two times"), "3": ("three times", "thrice")}
TIMES = {1: "once", 2: "twice", 3: "thrice"}
SPEEDS: Phrases = {"": ("",), "slow": ("slowly", "at a slow pace"), "fast": ("quickly", "at a fast pace")}
WHO: Phrases = {
    "tall": ("a tall person", "somebody tall"),
    "short": ("a short person", "somebody short"),
    "": ("a person", "somebody", "someone"),
}
THEN = (", and then", ", then", "and then", ", and finally", "and finally", ", and", "and")
BEFORE = ", but before that"


@dataclass(frozen=True)
class Act:
    """One gesture. `hand`: left, right or both, None if unspecified; `speed`: slow, fast or "" for neither."""

    gesture: str
    hand: str | None
    count: int = 1
    speed: str = ""


@dataclass(frozen=True)
class Meaning:
    """`who`: tall, short or "" if unspecified; `acts`: in the order in which they happen."""

    who: str
    acts: tuple[Act, ...]


def words_of(sentence: str) -> list[str]:
    """The words of a sentence in lower case; commas are words, other punctuation is dropped."""
    return re.findall(r"[^\W_]+(?:['-][^\W_]+)*|,", sentence.lower())


def say(meaning: Meaning, rng: np.random.Generator) -> str:
    """A random wording of a meaning."""
    who, clauses = _one(WHO[meaning.who], rng), [_clause(act, rng) for act in meaning.acts]
    if len(clauses) == 1:
        return f"{who} {clauses[0]}"
    if len(clauses) == 2 and rng.random() < 0.25:
        return f"{who} {clauses[1]} {BEFORE} {clauses[0]}"
    first = "first " if rng.random() < 0.3 else ""
    joins = [_one(THEN[:3], rng) for _ in clauses[2:]] + [_one(THEN[:3] if len(clauses) == 2 else THEN[:5], rng)]
    rest = " ".join(f"{join} {clause}" for join, clause in zip(joins, clauses[1:], strict=True))
    return f"{who} {first}{clauses[0]} {rest}"


def glosses(meaning: Meaning) -> str:
    """A meaning's glosses: gesture, hand, count and speed of each act, in the order in which they happen."""
    words = [(act.gesture, str(act.hand), TIMES[act.count], act.speed or "even") for act in meaning.acts]
    return " ".join(chain.from_iterable(words)).upper()


def _clause(act: Act, rng: np.random.Generator) -> str:
    """ "waves with the left hand twice": details in random order; a one-word speed may precede the verb."""
    verb, speed = _one(GESTURES[act.gesture], rng), _one(SPEEDS[act.speed], rng)
    details = [_one(COUNTS[str(act.count)], rng)]
    if act.hand is not None and act.gesture in ONE_HANDED:
        details.append(_one(HANDS[act.hand], rng))
    if " " not in speed and rng.random() < 0.3:
        verb = f"{speed} {verb}".strip()
    else:
        details.append(speed)
    return " ".join([verb, *(details[i] for i in rng.permutation(len(details)) if details[i])])


def _one(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def parse(sentence: str) -> Meaning | None:
    """The meaning of a sentence; None if its words or their order are not part of the grammar."""
    words = words_of(sentence)
    who, rest = _who(words)
    if rest[:1] == ["first"]:
        rest = rest[1:]
    clauses, joins = _split(rest)
    acts = [_act(clause) for clause in clauses]
    if who is None or any(act is None for act in acts) or (BEFORE in joins and joins != [BEFORE]):
        return None
    ordered = reversed(acts) if joins == [BEFORE] else acts
    return Meaning(who, tuple(act for act in ordered if act is not None))


def _who(words: list[str]) -> tuple[str | None, list[str]]:
    """(who a sentence is about, the remaining words); a query may omit the person: "waves twice"."""
    for who, phrase in _longest_first(WHO):
        if words[: len(phrase)] == phrase:
            return who, words[len(phrase) :]
    return "", words


def _split(words: list[str]) -> tuple[list[list[str]], list[str]]:
    """Clauses, and the conjunctions between them."""
    clauses: list[list[str]] = [[]]
    joins: list[str] = []
    known = [(join, join.split()) for join in (BEFORE, *THEN)]
    place = 0
    while place < len(words):
        found = next(((join, said) for join, said in known if words[place : place + len(said)] == said), None)
        if found is None:
            clauses[-1].append(words[place])
            place += 1
        else:
            joins.append(found[0])
            clauses.append([])
            place += len(found[1])
    return clauses, joins


def _act(words: list[str]) -> Act | None:
    """A clause as an act; None if it has no verb, a repeated detail or an unknown word."""
    found: dict[str, str] = {}
    place = 0
    while place < len(words):
        match = next(((k, v, len(p)) for k, v, p in _PHRASES if words[place : place + len(p)] == p), None)
        if match is None or match[0] in found:
            return None
        found[match[0]] = match[1]
        place += match[2]
    if "gesture" not in found:
        return None
    hand = "both" if found["gesture"] in TWO_HANDED else found.get("hand")
    return Act(found["gesture"], hand, int(found.get("count", "1")), found.get("speed", ""))


def _longest_first(*tables: Phrases) -> list[tuple[str, list[str]]]:
    pairs: Iterable[tuple[str, str]] = chain.from_iterable(((k, p) for k, ps in t.items() for p in ps) for t in tables)
    return sorted(((key, phrase.split()) for key, phrase in pairs if phrase), key=lambda pair: -len(pair[1]))


_PHRASES = sorted(
    (
        (slot, meant, phrase)
        for slot, table in (("gesture", GESTURES), ("hand", HANDS), ("count", COUNTS), ("speed", SPEEDS))
        for meant, phrase in _longest_first(table)
    ),
    key=lambda entry: -len(entry[2]),
)
